-- staged steps of clients

-- upsert, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 3
--   $5: 1000

-- upsert, 2 of 2
with src as materialized (
  select u.cells[1]::integer as "id", u.cells[2]::text as "name"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
changed as (
  update "public"."clients" as t
  set "name" = src."name"
  from src
  where t."id" = src."id" and true and (t."name"::text collate "C" is distinct from src."name"::text)
  returning 1),
added as (
  insert into "public"."clients" ("id", "name")
  select src."id", src."name"
  from src
  where not exists (
    select
    from "public"."clients" as t
    where t."id" = src."id" and true)
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."clients"'::regclass, 20) is not null then tandem.kept_out('clients',
  '"public"."clients"'::regclass, 20, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."clients" as t
      where t."id" = src."id" and true and (t."name"::text collate "C" is distinct from src."name"::text))) + (
    select count(*)
    from src
    where not exists (
      select
      from "public"."clients" as t
      where t."id" = src."id" and true)), false) else false end;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 3

-- upsert, a column unsent, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 3
--   $5: 1000

-- upsert, a column unsent, 2 of 2
with src as materialized (
  select u.cells[1]::integer as "id"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
changed as (
  update "public"."clients" as t
  set 
  from src
  where t."id" = src."id" and true and false
  returning 1)
select
from (select (select count(*) from changed) as n) as done
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."clients"'::regclass, 16) is not null then tandem.kept_out('clients',
  '"public"."clients"'::regclass, 16, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."clients" as t
      where t."id" = src."id" and true and false)), false) else false end;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 3

-- upsert under another key, a column unsent, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 3
--   $5: 1000

-- upsert under another key, a column unsent, 2 of 2
with src as materialized (
  select u.cells[1]::integer as "id", u.origin[1]::integer as "tandem old 0"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
whole as materialized (
  select src.*, o."name"::text as "name"
  from src
  join "public"."clients" as o on o."id" is not distinct from src."tandem old 0"
  and true),
changed as (
  update "public"."clients" as t
  set "name" = src."name"
  from whole as src
  where t."id" = src."id" and true and (t."name"::text collate "C" is distinct from src."name"::text)
  returning 1),
added as (
  insert into "public"."clients" ("id", "name")
  select src."id", src."name"
  from whole as src
  where not exists (
    select
    from "public"."clients" as t
    where t."id" = src."id" and true)
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < (select count(*) from whole as src) and tandem.keepers('"public"."clients"'::regclass,
  20) is not null then tandem.kept_out('clients', '"public"."clients"'::regclass, 20, done.n, (
    select count(*)
    from whole as src
    where exists (
      select
      from "public"."clients" as t
      where t."id" = src."id" and true and (t."name"::text collate "C" is distinct from src."name"::text))) + (
    select count(*)
    from whole as src
    where not exists (
      select
      from "public"."clients" as t
      where t."id" = src."id" and true)), false) else false end;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 3

-- rekey, a column unsent, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 3
--   $5: 1000

-- rekey, a column unsent, 2 of 2
with src as materialized (
  select u.cells[1]::integer as "id", u.origin[1]::integer as "tandem old 0"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
changed as (
  update "public"."clients" as t
  set "id" = src."id"
  from src
  where t."id" is not distinct from src."tandem old 0" and true
  returning 1)
select
from (select (select count(*) from changed) as n) as done
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."clients"'::regclass, 16) is not null then tandem.kept_out('clients',
  '"public"."clients"'::regclass, 16, done.n, (
    select count(*)
    from "public"."clients" as t
    where exists (
      select
      from src
      where t."id" is not distinct from src."tandem old 0" and true)), false)
else false end;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 3

-- delete, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 3
--   $5: 1000

-- delete, 2 of 2
with src as materialized (
  select u.cells[1]::integer as "id"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
gone as (
  delete from "public"."clients" as t using src
  where t."id" = src."id" and true
  returning 1)
select
from (select (select count(*) from gone) as n) as done
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."clients"'::regclass, 8) is not null then tandem.kept_out('clients',
  '"public"."clients"'::regclass, 8, done.n, (
    select count(*)
    from "public"."clients" as t
    where exists (select from src where t."id" = src."id" and true)), false)
else false end;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 3

-- upsert, the table was emptied first, 1 of 8
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 3
--   $5: 1000

-- upsert, the table was emptied first, 2 of 8
with src as materialized (
  select u.cells[1]::integer as "id", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
        when t."name" is distinct from null then concat(t."name") end]::text[])[1]]::text[]::text) collate "C")),
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
--   $4: 3

-- upsert, the table was emptied first, 3 of 8
with src as materialized (
  select u.cells[1]::integer as "id", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
        when t."name" is distinct from null then concat(t."name") end]::text[])[1]]::text[]::text) collate "C")),
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
--   $4: 3

-- upsert, the table was emptied first, 4 of 8
with src as materialized (
  select u.cells[1]::integer as "id", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
        when t."name" is distinct from null then concat(t."name") end]::text[])[1]]::text[]::text) collate "C")),
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
--   $4: 3

-- upsert, the table was emptied first, 5 of 8
select tandem.cap_parked($1, $2, $3, $4);
--   $1: office-1
--   $2: clients
--   $3: 10000
--   $4: 67108864

-- upsert, the table was emptied first, 6 of 8
select tandem.void_parked($1, $2);
--   $1: office-1
--   $2: clients

-- upsert, the table was emptied first, 7 of 8
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
--   $4: 3

-- upsert, the table was emptied first, 8 of 8
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
--   $4: 3
