-- staged steps of errands

-- add copies, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 3
--   $5: 1000

-- add copies, 2 of 2
with src as materialized (
  select u.cells[1]::text as "what", u.cells[2]::integer as "done", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
added as (
  insert into "public"."errands" ("what", "done", "source")
  select src."what", src."done", 'D'
  from src, generate_series(1, src."tandem copies")
  returning 1)
select
from (select (select count(*) from added) as n) as done
where case when done.n < (
  select coalesce(sum(src."tandem copies"), 0)::bigint
  from src) and tandem.keepers('"public"."errands"'::regclass, 4) is not null then tandem.kept_out('errands', '"public"."errands"'::regclass,
  4, done.n, (
    select coalesce(sum(src."tandem copies"), 0)::bigint
    from src), false) else false end;
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 3

-- remove copies, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 3
--   $5: 1000

-- remove copies, 2 of 2
with src as materialized (
  select u.cells[1]::text as "what", u.copies::bigint as "tandem copies", row_number() over () as "tandem row",
  array[u.cells[2]]::text[] as "tandem look"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
looks as (
  select row(src."what"::text)::record::text as name, src."tandem look" as look, sum(src."tandem copies") as copies
  from src
  group by 1, 2),
named as (
  select looks.name, sum(looks.copies) as copies
  from looks
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."what"::text)::record::text as name, array[case
  when t."done" is distinct from null then concat(t."done"::integer) end]::text[] as look
  from "public"."errands" as t
  where exists (
    select
    from src
    where row(t."what"::text)::record *= row(src."what"::text)::record)
  and t."source" = 'D'::bpchar),
same as (
  select have.*, row_number() over (partition by have.name, have.look) as nth
  from have),
hit as (
  select same.part, same.at, row_number() over (partition by same.name
    order by same.nth <= coalesce(looks.copies, 0) desc) as nth, named.copies
  from same
  join named using (name)
  left join looks using (name, look)),
gone as (
  delete from "public"."errands" as t using hit
  where t.tableoid = hit.part and t.ctid = hit.at and hit.nth <= hit.copies
  and t."source" = 'D'::bpchar
  returning 1)
select
from (select (select count(*) from gone) as n) as done
where case when done.n < (
  select coalesce(sum(src."tandem copies"), 0)::bigint
  from src) and tandem.keepers('"public"."errands"'::regclass, 8) is not null then tandem.kept_out('errands', '"public"."errands"'::regclass,
  8, done.n, (select count(*) from hit where hit.nth <= hit.copies), false)
else false end;
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 3

-- add copies, the table was emptied first, 1 of 9
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 3
--   $5: 1000

-- add copies, the table was emptied first, 2 of 9
with src as materialized (
  select u.cells[1]::text as "what", u.ctid as "tandem at", array[u.cells[2]]::text[] as "tandem look"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
looks as (
  select row(src."what"::text)::record::text as name, src."tandem look" as look, count(*) as copies
  from src
  group by 1, 2),
want as (
  select looks.name, sum(looks.copies) as copies
  from looks
  group by 1),
seen as (
  select t.tableoid as part, t.ctid as at, row(t."what"::text)::record::text as name, array[case
  when t."done" is distinct from null then concat(t."done"::integer) end]::text[] as look
  from "public"."errands" as t
  where t."source" = 'D'::bpchar and not exists (
    select
    from tandem.quarantine as q
    where q.replicator = $1 and q.direction = 'forward' and q."table" = $3
    and q.sqlstate in ('TD007', '22021') and q.key_hash = md5(array[(array[case
        when t."what" is distinct from null then concat(t."what") end, case
        when t."done" is distinct from null then concat(t."done") end]::text[])[1]]::text[]::text) collate "C")),
known as (
  select
  from tandem.table_state as s
  where s.replicator = $1 and s."table" = $3 and s.copied_at is not null
  and s.extras = 0),
same as (
  select seen.*, row_number() over (partition by seen.name, seen.look) as nth
  from seen),
have as (
  select same.part, same.at, same.name, row_number() over (partition by same.name
    order by exists (select from known) and same.nth <= coalesce(looks.copies, 0) desc, num_nulls(variadic same.look),
    same.look desc) as nth
  from same
  left join looks using (name, look)),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true')
select tandem.shrink($3, many.n, (
    select count(*)
    from "public"."errands" as t
    where (t."source" = 'D'::bpchar or t."source" is null)), 0.2::float8)
from (select count(*) as n from extra) as many
where many.n > 100;
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 3

-- add copies, the table was emptied first, 3 of 9
with src as materialized (
  select u.cells[1]::text as "what", u.ctid as "tandem at", array[u.cells[2]]::text[] as "tandem look"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
looks as (
  select row(src."what"::text)::record::text as name, src."tandem look" as look, count(*) as copies
  from src
  group by 1, 2),
want as (
  select looks.name, sum(looks.copies) as copies
  from looks
  group by 1),
seen as (
  select t.tableoid as part, t.ctid as at, row(t."what"::text)::record::text as name, array[case
  when t."done" is distinct from null then concat(t."done"::integer) end]::text[] as look
  from "public"."errands" as t
  where t."source" = 'D'::bpchar and not exists (
    select
    from tandem.quarantine as q
    where q.replicator = $1 and q.direction = 'forward' and q."table" = $3
    and q.sqlstate in ('TD007', '22021') and q.key_hash = md5(array[(array[case
        when t."what" is distinct from null then concat(t."what") end, case
        when t."done" is distinct from null then concat(t."done") end]::text[])[1]]::text[]::text) collate "C")),
known as (
  select
  from tandem.table_state as s
  where s.replicator = $1 and s."table" = $3 and s.copied_at is not null
  and s.extras = 0),
same as (
  select seen.*, row_number() over (partition by seen.name, seen.look) as nth
  from seen),
have as (
  select same.part, same.at, same.name, row_number() over (partition by same.name
    order by exists (select from known) and same.nth <= coalesce(looks.copies, 0) desc, num_nulls(variadic same.look),
    same.look desc) as nth
  from same
  left join looks using (name, look)),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true'),
done as (
  delete from "public"."errands" as t using extra
  where t.tableoid = extra.part and t.ctid = extra.at and t."source" = 'D'::bpchar
  returning 1)
select case set_config('tandem.deleted', (select count(*) from done)::text, true)
when '' then '' end;
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 3

-- add copies, the table was emptied first, 4 of 9
with src as materialized (
  select u.cells[1]::text as "what", u.ctid as "tandem at", array[u.cells[2]]::text[] as "tandem look"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
looks as (
  select row(src."what"::text)::record::text as name, src."tandem look" as look, count(*) as copies
  from src
  group by 1, 2),
want as (
  select looks.name, sum(looks.copies) as copies
  from looks
  group by 1),
seen as (
  select t.tableoid as part, t.ctid as at, row(t."what"::text)::record::text as name, array[case
  when t."done" is distinct from null then concat(t."done"::integer) end]::text[] as look
  from "public"."errands" as t
  where t."source" = 'D'::bpchar and not exists (
    select
    from tandem.quarantine as q
    where q.replicator = $1 and q.direction = 'forward' and q."table" = $3
    and q.sqlstate in ('TD007', '22021') and q.key_hash = md5(array[(array[case
        when t."what" is distinct from null then concat(t."what") end, case
        when t."done" is distinct from null then concat(t."done") end]::text[])[1]]::text[]::text) collate "C")),
known as (
  select
  from tandem.table_state as s
  where s.replicator = $1 and s."table" = $3 and s.copied_at is not null
  and s.extras = 0),
same as (
  select seen.*, row_number() over (partition by seen.name, seen.look) as nth
  from seen),
have as (
  select same.part, same.at, same.name, row_number() over (partition by same.name
    order by exists (select from known) and same.nth <= coalesce(looks.copies, 0) desc, num_nulls(variadic same.look),
    same.look desc) as nth
  from same
  left join looks using (name, look)),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true'),
held as (
  select array[(array[case when t."what" is distinct from null then concat(t."what") end, case
    when t."done" is distinct from null then concat(t."done") end]::text[])[1]]::text[] as key, min(array[case
    when t."what" is distinct from null then concat(t."what") end, case
    when t."done" is distinct from null then concat(t."done") end]::text[]) as cells, count(*) as copies
  from extra
  join "public"."errands" as t on t.tableoid = extra.part and t.ctid = extra.at
  and t."source" = 'D'::bpchar
  where tandem.keepers('"public"."errands"'::regclass, 8) is not null
  group by 1)
insert into tandem.quarantine as q (replicator, "table", key, key_hash, cells, copies, work, sqlstate, why, messages)
select $1, $3, held.key, md5(held.key::text), held.cells, held.copies, 'remove', 'TD014', tandem.kept_words('"public"."errands"'::regclass,
  8), 0
from held
on conflict (replicator, direction, "table", key_hash) do update
set cells = excluded.cells, copies = excluded.copies, unsent = excluded.unsent, work = excluded.work, sqlstate = excluded.sqlstate,
why = excluded.why;
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 3

-- add copies, the table was emptied first, 5 of 9
select tandem.cap_parked($1, $2, $3, $4);
--   $1: office-1
--   $2: errands
--   $3: 10000
--   $4: 67108864

-- add copies, the table was emptied first, 6 of 9
select tandem.void_parked($1, $2);
--   $1: office-1
--   $2: errands

-- add copies, the table was emptied first, 7 of 9
with src as materialized (
  select u.cells[1]::text as "what", u.cells[2]::integer as "done", u.copies as "tandem copies"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select row(src."what"::text)::record::text as name, row(src."done"::integer)::record::text as look, min(array[case
    when src."what" is distinct from null then concat(src."what"::text) end]::text[]) as key, sum(src."tandem copies") as copies
  from src
  group by 1, 2),
have as (
  select row(t."what"::text)::record::text as name, row(t."done"::integer)::record::text as look, count(*) as copies
  from "public"."errands" as t
  where (t."source" = 'D'::bpchar or t."source" is null)
  group by 1, 2),
other as (
  select distinct want.key
  from want
  left join have using (name, look)
  where have.copies is distinct from want.copies and want.name in (select have.name from have))
insert into tandem.outbox (replicator, "table", key, op)
select $1, $3, other.key, 'R'
from other;
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 3

-- add copies, the table was emptied first, 8 of 9
with src as materialized (
  select u.cells[1]::text as "what", u.cells[2]::integer as "done", u.ctid as "tandem at", array[u.cells[2]]::text[] as "tandem look"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select distinct row(src."what"::text)::record::text as name
  from src),
done as (
  update "public"."errands" as t
  set "source" = 'D'
  from want
  where row(t."what"::text)::record::text = want.name and (t."source" = 'D'::bpchar
    or t."source" is null) and (t."source" is null)
  returning 1)
select case set_config('tandem.updated', (select count(*) from done)::text, true)
when '' then '' end
where case when tandem.keepers('"public"."errands"'::regclass, 16) is null then true
else not tandem.kept_out('errands', '"public"."errands"'::regclass, 16, (select count(*) from done), (
    select count(*)
    from "public"."errands" as t
    where exists (
      select
      from want
      where row(t."what"::text)::record::text = want.name and (t."source" = 'D'::bpchar
        or t."source" is null) and (t."source" is null))), false) end;
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 3

-- add copies, the table was emptied first, 9 of 9
with src as materialized (
  select u.cells[1]::text as "what", u.cells[2]::integer as "done", u.ctid as "tandem at", array[u.cells[2]]::text[] as "tandem look"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
looks as (
  select row(t."what"::text)::record::text as "tandem name", array[case
  when t."done" is distinct from null then concat(t."done"::integer) end]::text[] as "tandem look", count(*) as "tandem copies"
  from "public"."errands" as t
  where (t."source" = 'D'::bpchar or t."source" is null)
  group by 1, 2),
have as (
  select looks."tandem name" as name, sum(looks."tandem copies") as copies
  from looks
  group by 1),
same as (
  select src.*, row(src."what"::text)::record::text as "tandem name", row_number() over (partition by row(src."what"::text)::record::text,
    src."tandem look") as "tandem same"
  from src),
want as (
  select same.*, row_number() over (partition by same."tandem name"
    order by same."tandem same" <= coalesce(looks."tandem copies", 0) desc) as "tandem nth"
  from same
  left join looks using ("tandem name", "tandem look")),
done as (
  insert into "public"."errands" ("what", "done", "source")
  select src."what", src."done", 'D'
  from want as src
  left join have on have.name = src."tandem name"
  where src."tandem nth" > coalesce(have.copies, 0)
  returning 1)
select case set_config('tandem.inserted', (select count(*) from done)::text, true)
when '' then '' end
where case when tandem.keepers('"public"."errands"'::regclass, 4) is null then true
else not tandem.kept_out('errands', '"public"."errands"'::regclass, 4, (select count(*) from done), (
    select count(*)
    from want as src
    left join have on have.name = src."tandem name"
    where src."tandem nth" > coalesce(have.copies, 0)), false) end;
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 3
