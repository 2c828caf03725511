-- clients as a whole

-- read
copy (
  select array[case when t."id" is distinct from null then concat(t."id") end, case
  when t."name" is distinct from null then concat(t."name") end]::text[]
  from only "public"."clients" as t
  where true) to stdout;

-- read, rows that are not too large
copy (
  select array[case when t."id" is distinct from null then concat(t."id") end, case
  when t."name" is distinct from null then concat(t."name") end]::text[]
  from only "public"."clients" as t
  where true and octet_length(array[case when t."id" is distinct from null then concat(t."id") end, case
    when t."name" is distinct from null then concat(t."name") end]::text[]::text) <= 1000) to stdout;

-- read, keys of those that are
copy (
  select array[case when t."id" is distinct from null then concat(t."id") end, null]::text[]
  from only "public"."clients" as t
  where true and octet_length(array[case when t."id" is distinct from null then concat(t."id") end, case
    when t."name" is distinct from null then concat(t."name") end]::text[]::text) > 1000) to stdout;

-- read, to be compared
select array[case when t."id" is distinct from null then concat(t."id") end, case
when t."name" is distinct from null then concat(t."name") end]::text[] as cells, 1::bigint as n
from only "public"."clients" as t
where true;

-- digest on the desktop
select count(*), coalesce(sum(hashtextextended(row((t."id"::integer)::integer, (t."name"::text)::text)::text, 0)),
  0)::text
from only "public"."clients" as t
where true;

-- digest in the cloud
select count(*), coalesce(sum(hashtextextended(row(t."id"::integer, t."name"::text)::text, 0)), 0)::text
from "public"."clients" as t
where true;

-- rows of the desktop that are ours to send
true

-- compared
with src as materialized (
  select u.c0::integer as "id", u.c1::text as "name", u.n::bigint as "tandem n"
  from unnest($1, $2, $3) as u(c0, c1, n))
select count(*) filter (where t.ctid is null), count(*) filter (where t.ctid is not null
  and (t."name"::text collate "C" is distinct from src."name"::text)), count(*) filter (where t.ctid is not null
  and true)
from src
left join "public"."clients" as t on row(t."id"::integer)::record::text = row(src."id"::integer)::record::text
and true;
--   $1: {1}
--   $2: {1}
--   $3: {1}

-- rows that may be deleted
select count(*)
from "public"."clients" as t
where true;

-- diff: leave out
with src as materialized (
  select u.cells[1]::integer as "id", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::integer as "id"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."id"::integer)::record::text as name
  from src)
delete from tandem.staging as s using src
where s.ctid = src."tandem at" and exists (
  select
  from touched
  where touched.name = row(src."id"::integer)::record::text);
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 1073741824

-- diff: ambiguous
with src as materialized (
  select u.cells[1]::integer as "id", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4)
select tandem.ambiguous('id', many.keys, many.rows)
from (
  select count(*) as keys, sum(same.n)::bigint as rows
  from (
    select count(*) as n
    from src
    group by row(src."id"::integer)::record::text having count(*) > 1) as same) as many
where many.keys > 0;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 1073741824

-- diff: empties
select tandem.empties($1)
where exists (select from "public"."clients" as t where true);
--   $1: clients

-- diff: shrink
with src as materialized (
  select u.cells[1]::integer as "id", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::integer as "id"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."id"::integer)::record::text as name
  from src),
want as (
  select row(src."id"::integer)::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."id"::integer)::record::text as name, row_number() over (partition by row(t."id"::integer)::record::text) as nth
  from "public"."clients" as t
  where true and not exists (
    select
    from tandem.quarantine as q
    where q.replicator = $1 and q.direction = 'forward' and q."table" = $3
    and q.sqlstate in ('TD007', '22021') and q.key_hash = md5(array[(array[case
        when t."id" is distinct from null then concat(t."id") end, case
        when t."name" is distinct from null then concat(t."name") end]::text[])[1]]::text[]::text) collate "C")
  and not exists (
    select
    from touched
    where touched.name = row(t."id"::integer)::record::text)),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true')
select tandem.shrink($3, many.n, (select count(*) from "public"."clients" as t where true), 0.2::float8)
from (select count(*) as n from extra) as many
where many.n > 100;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 1073741824

-- diff: extras
with src as materialized (
  select u.cells[1]::integer as "id", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::integer as "id"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."id"::integer)::record::text as name
  from src),
want as (
  select row(src."id"::integer)::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."id"::integer)::record::text as name, row_number() over (partition by row(t."id"::integer)::record::text) as nth
  from "public"."clients" as t
  where true and not exists (
    select
    from tandem.quarantine as q
    where q.replicator = $1 and q.direction = 'forward' and q."table" = $3
    and q.sqlstate in ('TD007', '22021') and q.key_hash = md5(array[(array[case
        when t."id" is distinct from null then concat(t."id") end, case
        when t."name" is distinct from null then concat(t."name") end]::text[])[1]]::text[]::text) collate "C")
  and not exists (
    select
    from touched
    where touched.name = row(t."id"::integer)::record::text)),
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
--   $3: clients
--   $4: 1073741824

-- diff: recount
with src as materialized (
  select u.cells[1]::integer as "id", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::integer as "id"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."id"::integer)::record::text as name
  from src),
want as (
  select row(src."id"::integer)::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."id"::integer)::record::text as name, row_number() over (partition by row(t."id"::integer)::record::text) as nth
  from "public"."clients" as t
  where true and not exists (
    select
    from tandem.quarantine as q
    where q.replicator = $1 and q.direction = 'forward' and q."table" = $3
    and q.sqlstate in ('TD007', '22021') and q.key_hash = md5(array[(array[case
        when t."id" is distinct from null then concat(t."id") end, case
        when t."name" is distinct from null then concat(t."name") end]::text[])[1]]::text[]::text) collate "C")
  and not exists (
    select
    from touched
    where touched.name = row(t."id"::integer)::record::text)),
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
--   $3: clients
--   $4: 1073741824

-- diff: spare
select case set_config('tandem.spare', (
    select coalesce(max(s.extras), 0) > 0
    from tandem.table_state as s
    where s.replicator = $1 and s."table" = $2)::text, true) when '' then '' end;
--   $1: office-1
--   $2: clients

-- diff: unspare
select set_config('tandem.spare', '', true);

-- diff: remove
with src as materialized (
  select u.cells[1]::integer as "id", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::integer as "id"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."id"::integer)::record::text as name
  from src),
want as (
  select row(src."id"::integer)::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."id"::integer)::record::text as name, row_number() over (partition by row(t."id"::integer)::record::text) as nth
  from "public"."clients" as t
  where true and not exists (
    select
    from tandem.quarantine as q
    where q.replicator = $1 and q.direction = 'forward' and q."table" = $3
    and q.sqlstate in ('TD007', '22021') and q.key_hash = md5(array[(array[case
        when t."id" is distinct from null then concat(t."id") end, case
        when t."name" is distinct from null then concat(t."name") end]::text[])[1]]::text[]::text) collate "C")
  and not exists (
    select
    from touched
    where touched.name = row(t."id"::integer)::record::text)),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true'),
done as (
  delete from "public"."clients" as t using extra
  where t.tableoid = extra.part and t.ctid = extra.at and true
  returning 1)
select case set_config('tandem.deleted', (select count(*) from done)::text, true)
when '' then '' end;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 1073741824

-- diff: referred: nothing

-- diff: kept, 1 of 2
with src as materialized (
  select u.cells[1]::integer as "id", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::integer as "id"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."id"::integer)::record::text as name
  from src),
want as (
  select row(src."id"::integer)::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."id"::integer)::record::text as name, row_number() over (partition by row(t."id"::integer)::record::text) as nth
  from "public"."clients" as t
  where true and not exists (
    select
    from tandem.quarantine as q
    where q.replicator = $1 and q.direction = 'forward' and q."table" = $3
    and q.sqlstate in ('TD007', '22021') and q.key_hash = md5(array[(array[case
        when t."id" is distinct from null then concat(t."id") end, case
        when t."name" is distinct from null then concat(t."name") end]::text[])[1]]::text[]::text) collate "C")
  and not exists (
    select
    from touched
    where touched.name = row(t."id"::integer)::record::text)),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true'),
held as (
  select array[(array[case when t."id" is distinct from null then concat(t."id") end, case
    when t."name" is distinct from null then concat(t."name") end]::text[])[1]]::text[] as key, min(array[case
    when t."id" is distinct from null then concat(t."id") end, case when t."name" is distinct from null then concat(t."name") end]::text[]) as cells,
  count(*) as copies
  from extra
  join "public"."clients" as t on t.tableoid = extra.part and t.ctid = extra.at
  and true
  where tandem.keepers('"public"."clients"'::regclass, 8) is not null
  group by 1)
insert into tandem.quarantine as q (replicator, "table", key, key_hash, cells, copies, work, sqlstate, why, messages)
select $1, $3, held.key, md5(held.key::text), held.cells, held.copies, 'delete', 'TD014', tandem.kept_words('"public"."clients"'::regclass,
  8), 0
from held
on conflict (replicator, direction, "table", key_hash) do update
set cells = excluded.cells, copies = excluded.copies, unsent = excluded.unsent, work = excluded.work, sqlstate = excluded.sqlstate,
why = excluded.why;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 1073741824

-- diff: kept, 2 of 2
select tandem.cap_parked($1, $2, $3, $4);
--   $1: office-1
--   $2: clients
--   $3: 10000
--   $4: 67108864

-- diff: update
with src as materialized (
  select u.cells[1]::integer as "id", u.cells[2]::text as "name", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
done as (
  update "public"."clients" as t
  set "name" = src."name"
  from src
  where row(t."id"::integer)::record::text = row(src."id"::integer)::record::text
  and true and (t."name"::text collate "C" is distinct from src."name"::text)
  returning 1)
select case set_config('tandem.updated', (select count(*) from done)::text, true)
when '' then '' end
where case when tandem.keepers('"public"."clients"'::regclass, 16) is null then true
else not tandem.kept_out('clients', '"public"."clients"'::regclass, 16, (select count(*) from done), (
    select count(*)
    from "public"."clients" as t
    where exists (
      select
      from src
      where row(t."id"::integer)::record::text = row(src."id"::integer)::record::text
      and true and (t."name"::text collate "C" is distinct from src."name"::text))), false) end;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 1073741824

-- diff: insert
with src as materialized (
  select u.cells[1]::integer as "id", u.cells[2]::text as "name", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select src.*, row(src."id"::integer)::record::text as "tandem name", row_number() over (partition by row(src."id"::integer)::record::text) as "tandem nth"
  from src),
have as (
  select row(t."id"::integer)::record::text as name, count(*) as copies
  from "public"."clients" as t
  where true
  group by 1),
done as (
  insert into "public"."clients" ("id", "name")
  select src."id", src."name"
  from want as src
  left join have on have.name = src."tandem name"
  where src."tandem nth" > coalesce(have.copies, 0)
  returning 1)
select case set_config('tandem.inserted', (select count(*) from done)::text, true)
when '' then '' end
where case when tandem.keepers('"public"."clients"'::regclass, 4) is null then true
else not tandem.kept_out('clients', '"public"."clients"'::regclass, 4, (select count(*) from done), (
    select count(*)
    from want as src
    left join have on have.name = src."tandem name"
    where src."tandem nth" > coalesce(have.copies, 0)), false) end;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 1073741824

-- diff: narrow
with src as materialized (
  select u.cells[1]::integer as "id", u.cells[2]::text as "name", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select src.*, row(src."id"::integer)::record::text as "tandem name", row_number() over (partition by row(src."id"::integer)::record::text) as "tandem nth"
  from src),
have as (
  select row(t."id"::integer)::record::text as name, count(*) as copies
  from "public"."clients" as t
  where true
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
--   $3: clients
--   $4: 1073741824

-- diff, nothing was touched: insert
with src as materialized (
  select u.cells[1]::integer as "id", u.cells[2]::text as "name", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select src.*, row(src."id"::integer)::record::text as "tandem name", row_number() over (partition by row(src."id"::integer)::record::text) as "tandem nth"
  from src),
have as (
  select row(t."id"::integer)::record::text as name, count(*) as copies
  from "public"."clients" as t
  where true
  group by 1),
done as (
  insert into "public"."clients" ("id", "name")
  select src."id", src."name"
  from want as src
  left join have on have.name = src."tandem name"
  where src."tandem nth" > coalesce(have.copies, 0)
  returning 1)
select case set_config('tandem.inserted', (select count(*) from done)::text, true)
when '' then '' end
where case when tandem.keepers('"public"."clients"'::regclass, 4) is null then true
else not tandem.kept_out('clients', '"public"."clients"'::regclass, 4, (select count(*) from done), (
    select count(*)
    from want as src
    left join have on have.name = src."tandem name"
    where src."tandem nth" > coalesce(have.copies, 0)), false) end;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 1073741824

-- row by row
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 1073741824
--   $5: select tandem.write_counted('clients', '"public"."clients"'::regclass, 20, array['with src as materialized (
--         select u.cells[1]::integer as "id", u.cells[2]::text as "name"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       update "public"."clients" as t
--       set "name" = src."name"
--       from src
--       where t."id" = src."id" and true and (t."name"::text collate "C" is distinct from src."name"::text)', 'with src as materialized (
--         select u.cells[1]::integer as "id", u.cells[2]::text as "name"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       insert into "public"."clients" ("id", "name")
--       select src."id", src."name"
--       from src
--       where not exists (
--         select
--         from "public"."clients" as t
--         where t."id" = src."id" and true)'], 'with src as materialized (
--         select u.cells[1]::integer as "id", u.cells[2]::text as "name"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select count(*)
--         from src
--         where exists (
--           select
--           from "public"."clients" as t
--           where t."id" = src."id" and true and (t."name"::text collate "C" is distinct from src."name"::text))) + (
--         select count(*)
--         from src
--         where not exists (
--           select
--           from "public"."clients" as t
--           where t."id" = src."id" and true))', 'with src as materialized (
--         select u.cells[1]::integer as "id", u.cells[2]::text as "name"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select count(*)
--         from src
--         where exists (
--           select
--           from "public"."clients" as t
--           where t."id" = src."id" and true and (t."name"::text collate "C" is distinct from src."name"::text))) + (
--         select count(*)
--         from src
--         where not exists (
--           select
--           from "public"."clients" as t
--           where t."id" = src."id" and true))', false, $1)
--   $6: upsert
--   $7: {1}
--   $8: {}
--   $9: 0/1A2B3C4D
--   $10: false
--   $11: 60000 milliseconds
--   $12: 10000
--   $13: 67108864
--   $14: 8388608

-- weigh
select tandem.weigh((select count(*) from "public"."clients" as t where true), 'with src as materialized (
    select u.cells[1]::integer as "id", u.cells[2]::text as "name"
    from tandem.staging as u
    where u.ctid = any($1))
  select count(*)
  from src
  where exists (
    select
    from "public"."clients" as t
    where row(t."id"::integer)::record::text = row(src."id"::integer)::record::text
    and true and not (t."name"::text collate "C" is distinct from src."name"::text))', $1, $2, $3, $4, 40);
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 1073741824

-- weighed
select tandem.weighed((select count(*) from "public"."clients" as t where true));

-- waiting
select tandem.waiting($1, $2)::text, (array_agg(q.sqlstate
    order by q.id))[1], (array_agg(q.why
    order by q.id))[1]
from tandem.quarantine as q
where q.replicator = $1 and q."table" = $2 and q.direction = 'forward' and q.work in ('upsert', 'add');
--   $1: office-1
--   $2: clients

-- so far
select tandem.swapped_so_far($1, $2);
--   $1: office-1
--   $2: {"1","2"}

-- loosen: nothing

-- too large
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 1073741825
--   $5: select tandem.too_large(0)
--   $6: upsert
--   $7: {1}
--   $8: {2}
--   $9: 0/1A2B3C4D
--   $10: false
--   $11: 60000 milliseconds
--   $12: 10000
--   $13: 67108864
--   $14: 8388608

-- unreadable
insert into tandem.quarantine as q (replicator, "table", key, key_hash, cells, copies, work, sqlstate, why, lsn,
  messages)
select $1, $3, bad.key, md5(bad.key::text), bad.cells, bad.copies, 'upsert', '22021', bad.why, $5, 0
from (
  select array[u.cells[1]]::text[] as key, min(u.cells) as cells, count(*) as copies, min(tandem.why_unreadable(u.cells,
      array['key column id', 'column name']::text[], '')) as why
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4
  group by 1) as bad
on conflict (replicator, direction, "table", key_hash) do update
set cells = excluded.cells, unsent = excluded.unsent, copies = excluded.copies, work = excluded.work, sqlstate = excluded.sqlstate,
why = excluded.why, lsn = excluded.lsn, tried_at = now(), tries = q.tries + 1;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 1073741827
--   $5: 0/1A2B3C4D

-- nothing waits any more
select tandem.void_parked($1, $2);
--   $1: office-1
--   $2: clients

-- nothing waits any more but what was touched
select tandem.void_parked($1, $3, array(
    select md5(array[u.cells[1]]::text[]::text)
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826
    and $4 = 1073741826));
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 1073741826

-- the staged rows are there
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 1073741824
--   $5: 1000

-- what looks something up here follows, 1 of 2
select tandem.heal_orphans(current_setting('tandem.replicator'), $1, $2, $3, $4, $5::interval, $6)::text;
--   $1: visits
--   $2: with base as materialized (
--       select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", (
--         select child.v
--         from (select u.cells[5]::integer) as child(v)
--         where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", u.ctid as "tandem at",
--       md5(array[u.cells[1]]::text[]::text) as "tandem orphan", case when (u.cells[5]::integer) is not null
--       and ((
--           select child.v
--           from (select u.cells[5]::integer) as child(v)
--           where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.cells[1],
--       null, null, null, u.cells[5]]::text[] end as "tandem refers"
--       from tandem.orphan as u
--       where u.ctid = any($1)),
--     found0 as (
--       select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
--       count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
--       from "public"."clients" as p
--       where (p."id") in (select base."client_id" from base) and true
--       group by p."id"),
--     src as materialized (
--       select base.*, found0.value as "client_name"
--       from base
--       left join found0 on found0.k0 = base."client_id")
--     select array_agg(src."tandem at")
--     from src
--     where exists (
--       select
--       from "public"."visit" as t
--       where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
--       and (t."source" = 'D'::bpchar or t."source" is null) and (t."client_name"::text collate "C" is distinct from src."client_name"::text
--         or t."client_id"::integer is distinct from src."client_id"::integer
--         or t."source" is null))
--   $3: with base as materialized (
--       select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", (
--         select child.v
--         from (select u.cells[5]::integer) as child(v)
--         where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id"
--       from tandem.orphan as u
--       where u.ctid = any($1)),
--     found0 as (
--       select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
--       count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
--       from "public"."clients" as p
--       where (p."id") in (select base."client_id" from base) and true
--       group by p."id"),
--     src as materialized (
--       select base.*, found0.value as "client_name"
--       from base
--       left join found0 on found0.k0 = base."client_id")
--     update "public"."visit" as t
--     set "client_name" = src."client_name", "client_id" = src."client_id", "source" = 'D'
--     from src
--     where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
--     and (t."source" = 'D'::bpchar or t."source" is null) and (t."client_name"::text collate "C" is distinct from src."client_name"::text
--       or t."client_id"::integer is distinct from src."client_id"::integer or t."source" is null)
--   $4: with base as materialized (
--       select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", (
--         select child.v
--         from (select u.cells[5]::integer) as child(v)
--         where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", u.ctid as "tandem at",
--       md5(array[u.cells[1]]::text[]::text) as "tandem orphan", case when (u.cells[5]::integer) is not null
--       and ((
--           select child.v
--           from (select u.cells[5]::integer) as child(v)
--           where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.cells[1],
--       null, null, null, u.cells[5]]::text[] end as "tandem refers"
--       from tandem.orphan as u
--       where u.ctid = any($1)),
--     found0 as (
--       select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
--       count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
--       from "public"."clients" as p
--       where (p."id") in (select base."client_id" from base) and true
--       group by p."id"),
--     src as materialized (
--       select base.*, found0.value as "client_name"
--       from base
--       left join found0 on found0.k0 = base."client_id")
--     select array_agg(src."tandem at")
--     from src
--     where src."tandem refers" is null or not exists (
--       select
--       from "public"."visit" as t
--       where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
--       and (t."source" = 'D'::bpchar or t."source" is null))
--   $5: 5000 milliseconds
--   $6: 1024

-- what looks something up here follows, 2 of 2
with touched as materialized (
  select distinct t."client_id" as k0
  from "public"."visit" as t),
found as materialized (
  select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
  count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
  from "public"."clients" as p
  where (p."id") in (select touched.k0 from touched) and true
  group by p."id")
update "public"."visit" as t
set "client_name" = found.value
from touched
left join found on found.k0 = touched.k0
where t."client_id" = touched.k0 and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar
  or t."source" is null) and row(t."client_name"::text)::record *<> row(found.value::text)::record;

-- what it looks up itself follows: nothing

-- the sequence of id
select setval(s.seq, s.highest)
from (
  select pg_get_serial_sequence('"public"."clients"', 'id')::regclass as seq, (select max(t."id")::bigint from "public"."clients" as t) as highest) as s
where s.seq is not null and s.highest > 0 and s.highest > coalesce(pg_sequence_last_value(s.seq), 0);

-- into an empty table: out
copy (
  select t."id", t."name"
  from only "public"."clients" as t
  where true) to stdout;

-- into an empty table: out, some pages
copy (
  select t."id", t."name"
  from only "public"."clients" as t
  where true and t.ctid >= '(100,0)'::tid and t.ctid < '(200,0)'::tid) to stdout;

-- into an empty table: in
copy "public"."clients" ("id", "name")
from stdin;

-- into an empty table: only if it is
select tandem.taken('clients')
where exists (select from "public"."clients");

-- into an empty table: all came in
select tandem.taken('clients')
where (
  select count(*)
  from "public"."clients" as t
  where t.xmin = pg_current_xact_id()::xid) <> 7;
