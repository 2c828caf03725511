-- prices as a whole

-- read
copy (
  select array[case when t."item" is distinct from null then concat(t."item") end, case
  when t."price" is distinct from null then concat(t."price") end]::text[]
  from only "public"."prices" as t
  where true) to stdout;

-- read, rows that are not too large
copy (
  select array[case when t."item" is distinct from null then concat(t."item") end, case
  when t."price" is distinct from null then concat(t."price") end]::text[]
  from only "public"."prices" as t
  where true and octet_length(array[case when t."item" is distinct from null then concat(t."item") end, case
    when t."price" is distinct from null then concat(t."price") end]::text[]::text) <= 1000) to stdout;

-- read, keys of those that are
copy (
  select array[null, null]::text[]
  from only "public"."prices" as t
  where true and octet_length(array[case when t."item" is distinct from null then concat(t."item") end, case
    when t."price" is distinct from null then concat(t."price") end]::text[]::text) > 1000) to stdout;

-- read, to be compared
select array[case when t."item" is distinct from null then concat(t."item") end, case
when t."price" is distinct from null then concat(t."price") end]::text[] as cells, count(*) as n
from only "public"."prices" as t
where true
group by case when t."item" is distinct from null then concat(t."item") end, case
when t."price" is distinct from null then concat(t."price") end;

-- digest on the desktop
select count(*), coalesce(sum(hashtextextended(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text,
      0)), 0)::text
from only "public"."prices" as t
where true;

-- digest in the cloud
select count(*), coalesce(sum(hashtextextended(row(t."item"::text, t."price"::numeric(10,2))::text, 0)), 0)::text
from "public"."prices" as t
where (t."source" = 'D'::bpchar or t."source" is null);

-- rows of the desktop that are ours to send
true

-- compared
with src as materialized (
  select u.c0::text as "item", u.c1::numeric as "price", u.n::bigint as "tandem n"
  from unnest($1, $2, $3) as u(c0, c1, n)),
have as (
  select row(t."item"::text, t."price"::numeric(10,2))::record::text as name, count(*) as copies, count(*) filter (where t."source" = 'D'::bpchar) as mine,
  count(*) filter (where t."source" is null) as unclaimed
  from "public"."prices" as t
  where (t."source" = 'D'::bpchar or t."source" is null)
  group by 1)
select coalesce(sum(greatest(0, src."tandem n" - coalesce(have.copies, 0))), 0)::bigint, coalesce(sum(have.unclaimed),
  0)::bigint, coalesce(sum(least(coalesce(have.mine, 0), src."tandem n")), 0)::bigint
from src
left join have on have.name = row(src."item"::text, src."price"::numeric(10,2))::record::text;
--   $1: {1}
--   $2: {1}
--   $3: {1}

-- rows that may be deleted
select count(*)
from "public"."prices" as t
where t."source" = 'D'::bpchar;

-- diff: leave out
with src as materialized (
  select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::text as "item", u.cells[2]::numeric as "price"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."item"::text, src."price"::numeric(10,2))::record::text as name
  from src)
delete from tandem.staging as s using src
where s.ctid = src."tandem at" and exists (
  select
  from touched
  where touched.name = row(src."item"::text, src."price"::numeric(10,2))::record::text);
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741824

-- diff: ambiguous: nothing

-- diff: empties
select tandem.empties($1)
where exists (
  select
  from "public"."prices" as t
  where t."source" = 'D'::bpchar);
--   $1: prices

-- diff: shrink
with src as materialized (
  select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::text as "item", u.cells[2]::numeric as "price"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."item"::text, src."price"::numeric(10,2))::record::text as name
  from src),
want as (
  select row(src."item"::text, src."price"::numeric(10,2))::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."item"::text, t."price"::numeric(10,2))::record::text as name,
  row_number() over (partition by row(t."item"::text, t."price"::numeric(10,2))::record::text) as nth
  from "public"."prices" as t
  where t."source" = 'D'::bpchar and not exists (
    select
    from touched
    where touched.name = row(t."item"::text, t."price"::numeric(10,2))::record::text)),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true')
select tandem.shrink($3, many.n, (
    select count(*)
    from "public"."prices" as t
    where (t."source" = 'D'::bpchar or t."source" is null)), 0.2::float8)
from (select count(*) as n from extra) as many
where many.n > 100;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741824

-- diff: extras
with src as materialized (
  select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::text as "item", u.cells[2]::numeric as "price"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."item"::text, src."price"::numeric(10,2))::record::text as name
  from src),
want as (
  select row(src."item"::text, src."price"::numeric(10,2))::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."item"::text, t."price"::numeric(10,2))::record::text as name,
  row_number() over (partition by row(t."item"::text, t."price"::numeric(10,2))::record::text) as nth
  from "public"."prices" as t
  where t."source" = 'D'::bpchar and not exists (
    select
    from touched
    where touched.name = row(t."item"::text, t."price"::numeric(10,2))::record::text)),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true')
update tandem.table_state
set extras = (select count(*) from extra)
where replicator = $1 and "table" = $3;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741824

-- diff: recount
with src as materialized (
  select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::text as "item", u.cells[2]::numeric as "price"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."item"::text, src."price"::numeric(10,2))::record::text as name
  from src),
want as (
  select row(src."item"::text, src."price"::numeric(10,2))::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."item"::text, t."price"::numeric(10,2))::record::text as name,
  row_number() over (partition by row(t."item"::text, t."price"::numeric(10,2))::record::text) as nth
  from "public"."prices" as t
  where t."source" = 'D'::bpchar and not exists (
    select
    from touched
    where touched.name = row(t."item"::text, t."price"::numeric(10,2))::record::text)),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true')
update tandem.table_state
set extras = (select count(*) from extra)
where replicator = $1 and "table" = $3 and extras > 0;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741824

-- diff: spare
select case set_config('tandem.spare', (
    select coalesce(max(s.extras), 0) > 0
    from tandem.table_state as s
    where s.replicator = $1 and s."table" = $2)::text, true) when '' then '' end;
--   $1: office-1
--   $2: prices

-- diff: unspare
select set_config('tandem.spare', '', true);

-- diff: remove
with src as materialized (
  select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::text as "item", u.cells[2]::numeric as "price"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."item"::text, src."price"::numeric(10,2))::record::text as name
  from src),
want as (
  select row(src."item"::text, src."price"::numeric(10,2))::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."item"::text, t."price"::numeric(10,2))::record::text as name,
  row_number() over (partition by row(t."item"::text, t."price"::numeric(10,2))::record::text) as nth
  from "public"."prices" as t
  where t."source" = 'D'::bpchar and not exists (
    select
    from touched
    where touched.name = row(t."item"::text, t."price"::numeric(10,2))::record::text)),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true'),
done as (
  delete from "public"."prices" as t using extra
  where t.tableoid = extra.part and t.ctid = extra.at and t."source" = 'D'::bpchar
  returning 1)
select case set_config('tandem.deleted', (select count(*) from done)::text, true)
when '' then '' end;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741824

-- diff: referred: nothing

-- diff: kept
with src as materialized (
  select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::text as "item", u.cells[2]::numeric as "price"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."item"::text, src."price"::numeric(10,2))::record::text as name
  from src),
want as (
  select row(src."item"::text, src."price"::numeric(10,2))::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."item"::text, t."price"::numeric(10,2))::record::text as name,
  row_number() over (partition by row(t."item"::text, t."price"::numeric(10,2))::record::text) as nth
  from "public"."prices" as t
  where t."source" = 'D'::bpchar and not exists (
    select
    from touched
    where touched.name = row(t."item"::text, t."price"::numeric(10,2))::record::text)),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true'),
held as (
  select count(*) as n
  from extra
  join "public"."prices" as t on t.tableoid = extra.part and t.ctid = extra.at
  and t."source" = 'D'::bpchar
  where tandem.keepers('"public"."prices"'::regclass, 8) is not null)
select
from held
where tandem.kept_out('prices', '"public"."prices"'::regclass, 8, 0, held.n, false);
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741824

-- diff: update
with src as materialized (
  select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select distinct row(src."item"::text, src."price"::numeric(10,2))::record::text as name
  from src),
done as (
  update "public"."prices" as t
  set "source" = 'D'
  from want
  where row(t."item"::text, t."price"::numeric(10,2))::record::text = want.name
  and (t."source" = 'D'::bpchar or t."source" is null) and (t."source" is null)
  returning 1)
select case set_config('tandem.updated', (select count(*) from done)::text, true)
when '' then '' end
where case when tandem.keepers('"public"."prices"'::regclass, 16) is null then true
else not tandem.kept_out('prices', '"public"."prices"'::regclass, 16, (select count(*) from done), (
    select count(*)
    from "public"."prices" as t
    where exists (
      select
      from want
      where row(t."item"::text, t."price"::numeric(10,2))::record::text = want.name
      and (t."source" = 'D'::bpchar or t."source" is null) and (t."source" is null))), false) end;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741824

-- diff: insert
with src as materialized (
  select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select src.*, row(src."item"::text, src."price"::numeric(10,2))::record::text as "tandem name", row_number() over (partition by row(src."item"::text,
      src."price"::numeric(10,2))::record::text) as "tandem nth"
  from src),
have as (
  select row(t."item"::text, t."price"::numeric(10,2))::record::text as name, count(*) as copies
  from "public"."prices" as t
  where (t."source" = 'D'::bpchar or t."source" is null)
  group by 1),
done as (
  insert into "public"."prices" ("item", "price", "source")
  select src."item", src."price", 'D'
  from want as src
  left join have on have.name = src."tandem name"
  where src."tandem nth" > coalesce(have.copies, 0)
  returning 1)
select case set_config('tandem.inserted', (select count(*) from done)::text, true)
when '' then '' end
where case when tandem.keepers('"public"."prices"'::regclass, 4) is null then true
else not tandem.kept_out('prices', '"public"."prices"'::regclass, 4, (select count(*) from done), (
    select count(*)
    from want as src
    left join have on have.name = src."tandem name"
    where src."tandem nth" > coalesce(have.copies, 0)), false) end;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741824

-- diff: narrow
with src as materialized (
  select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select src.*, row(src."item"::text, src."price"::numeric(10,2))::record::text as "tandem name", row_number() over (partition by row(src."item"::text,
      src."price"::numeric(10,2))::record::text) as "tandem nth"
  from src),
have as (
  select row(t."item"::text, t."price"::numeric(10,2))::record::text as name, count(*) as copies
  from "public"."prices" as t
  where (t."source" = 'D'::bpchar or t."source" is null)
  group by 1)
delete from tandem.staging as s
where s.replicator = $1 and s.epoch = $2 and s."table" = $3 and s.step = $4
and s.ctid not in (
  select src."tandem at"
  from want as src
  left join have on have.name = src."tandem name"
  where src."tandem nth" > coalesce(have.copies, 0));
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741824

-- diff, nothing was touched: insert
with src as materialized (
  select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select src.*, row(src."item"::text, src."price"::numeric(10,2))::record::text as "tandem name", row_number() over (partition by row(src."item"::text,
      src."price"::numeric(10,2))::record::text) as "tandem nth"
  from src),
have as (
  select row(t."item"::text, t."price"::numeric(10,2))::record::text as name, count(*) as copies
  from "public"."prices" as t
  where (t."source" = 'D'::bpchar or t."source" is null)
  group by 1),
done as (
  insert into "public"."prices" ("item", "price", "source")
  select src."item", src."price", 'D'
  from want as src
  left join have on have.name = src."tandem name"
  where src."tandem nth" > coalesce(have.copies, 0)
  returning 1)
select case set_config('tandem.inserted', (select count(*) from done)::text, true)
when '' then '' end
where case when tandem.keepers('"public"."prices"'::regclass, 4) is null then true
else not tandem.kept_out('prices', '"public"."prices"'::regclass, 4, (select count(*) from done), (
    select count(*)
    from want as src
    left join have on have.name = src."tandem name"
    where src."tandem nth" > coalesce(have.copies, 0)), false) end;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741824

-- row by row, 1 of 2
with src as materialized (
  select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select src.*, row(src."item"::text, src."price"::numeric(10,2))::record::text as "tandem name", row_number() over (partition by row(src."item"::text,
      src."price"::numeric(10,2))::record::text) as "tandem nth"
  from src),
have as (
  select row(t."item"::text, t."price"::numeric(10,2))::record::text as name, count(*) as copies
  from "public"."prices" as t
  where (t."source" = 'D'::bpchar or t."source" is null)
  group by 1)
delete from tandem.staging as s
where s.replicator = $1 and s.epoch = $2 and s."table" = $3 and s.step = $4
and s.ctid not in (
  select src."tandem at"
  from want as src
  left join have on have.name = src."tandem name"
  where src."tandem nth" > coalesce(have.copies, 0));
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741824

-- row by row, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741824
--   $5: select tandem.write_counted('prices', '"public"."prices"'::regclass, 4, array['with src as materialized (
--         select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       insert into "public"."prices" ("item", "price", "source")
--       select src."item", src."price", ''D''
--       from src, generate_series(1, src."tandem copies")'], 'with src as materialized (
--         select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select coalesce(sum(src."tandem copies"), 0)::bigint
--         from src)', null, false, $1)
--   $6: add
--   $7: {1,2}
--   $8: {}
--   $9: 0/1A2B3C4D
--   $10: false
--   $11: 60000 milliseconds
--   $12: 10000
--   $13: 67108864
--   $14: 8388608

-- weigh
select tandem.weigh((
    select count(*)
    from "public"."prices" as t
    where (t."source" = 'D'::bpchar or t."source" is null)), null, $1, $2, $3, $4, 40);
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741824

-- weighed
select tandem.weighed((
    select count(*)
    from "public"."prices" as t
    where (t."source" = 'D'::bpchar or t."source" is null)));

-- waiting
select tandem.waiting($1, $2)::text, (array_agg(q.sqlstate
    order by q.id))[1], (array_agg(q.why
    order by q.id))[1]
from tandem.quarantine as q
where q.replicator = $1 and q."table" = $2 and q.direction = 'forward' and q.work in ('upsert', 'add');
--   $1: office-1
--   $2: prices

-- so far
select tandem.swapped_so_far($1, $2);
--   $1: office-1
--   $2: {"1","2"}

-- loosen: nothing

-- too large
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741825
--   $5: select tandem.too_large(0)
--   $6: upsert
--   $7: {1,2}
--   $8: {1,2}
--   $9: 0/1A2B3C4D
--   $10: false
--   $11: 60000 milliseconds
--   $12: 10000
--   $13: 67108864
--   $14: 8388608

-- unreadable
insert into tandem.quarantine as q (replicator, "table", key, key_hash, cells, copies, work, sqlstate, why, lsn,
  messages)
select $1, $3, bad.key, md5(bad.key::text), bad.cells, bad.copies, 'add', '22021', bad.why, $5, 0
from (
  select array[u.cells[1], u.cells[2]]::text[] as key, min(u.cells) as cells, count(*) as copies, min(tandem.why_unreadable(u.cells,
      array['column item', 'column price']::text[], '')) as why
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4
  group by 1) as bad
on conflict (replicator, direction, "table", key_hash) do update
set cells = excluded.cells, unsent = excluded.unsent, copies = excluded.copies, work = excluded.work, sqlstate = excluded.sqlstate,
why = excluded.why, lsn = excluded.lsn, tried_at = now(), tries = q.tries + 1;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741827
--   $5: 0/1A2B3C4D

-- nothing waits any more
select tandem.void_parked($1, $2);
--   $1: office-1
--   $2: prices

-- nothing waits any more but what was touched
select tandem.void_parked($1, $3, array(
    select md5(array[u.cells[1], u.cells[2]]::text[]::text)
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826
    and $4 = 1073741826));
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741826

-- the staged rows are there
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 1073741824
--   $5: 1000

-- what looks something up here follows: nothing

-- what it looks up itself follows: nothing

-- into an empty table: out
copy (
  select t."item", t."price", 'D'
  from only "public"."prices" as t
  where true) to stdout;

-- into an empty table: out, some pages
copy (
  select t."item", t."price", 'D'
  from only "public"."prices" as t
  where true and t.ctid >= '(100,0)'::tid and t.ctid < '(200,0)'::tid) to stdout;

-- into an empty table: in
copy "public"."prices" ("item", "price", "source")
from stdin;

-- into an empty table: only if it is
select tandem.taken('prices')
where exists (select from "public"."prices");

-- into an empty table: all came in
select tandem.taken('prices')
where (
  select count(*)
  from "public"."prices" as t
  where t.xmin = pg_current_xact_id()::xid) <> 7;
