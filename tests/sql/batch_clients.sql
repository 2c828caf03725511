-- steps of a batch of clients, whole

-- upsert
with src as not materialized (
  select u.c0::integer as "id", u.c1::text as "name"
  from unnest($1, $2) as u(c0, c1)),
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
  where (select count(*) from changed) < cardinality($1) and not exists (
    select
    from "public"."clients" as t
    where t."id" = src."id" and true)
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."clients"'::regclass, 20) is not null then tandem.kept_out('clients',
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
--   $1: of type 23 {00000001, 00000001}
--   $2: {2, 2}

-- upsert, one row
with src as not materialized (
  select u.c0::integer as "id", u.c1::text as "name"
  from (values ($1, $2)) as u(c0, c1)),
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
  where (select count(*) from changed) < 1 and not exists (
    select
    from "public"."clients" as t
    where t."id" = src."id" and true)
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."clients"'::regclass, 20) is not null then tandem.kept_out('clients',
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
--   $1: of type 23 00000001
--   $2: 2

-- upsert of rows that are new
with src as not materialized (
  select u.c0::integer as "id", u.c1::text as "name"
  from unnest($1, $2) as u(c0, c1)),
added as (
  insert into "public"."clients" ("id", "name")
  select src."id", src."name"
  from src
  returning 1)
select
from (select (select count(*) from added) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."clients"'::regclass, 4) is not null then tandem.kept_out('clients',
  '"public"."clients"'::regclass, 4, done.n, (select count(*) from src), false)
else false end;
--   $1: of type 23 {00000001, 00000001}
--   $2: {2, 2}

-- upsert of rows that are new, one row
with src as not materialized (
  select u.c0::integer as "id", u.c1::text as "name"
  from (values ($1, $2)) as u(c0, c1)),
added as (
  insert into "public"."clients" ("id", "name")
  select src."id", src."name"
  from src
  returning 1)
select
from (select (select count(*) from added) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."clients"'::regclass, 4) is not null then tandem.kept_out('clients',
  '"public"."clients"'::regclass, 4, done.n, (select count(*) from src), false)
else false end;
--   $1: of type 23 00000001
--   $2: 2

-- upsert of rows that were not there before the batch
with src as not materialized (
  select u.c0::integer as "id", u.c1::text as "name"
  from unnest($1, $2) as u(c0, c1)),
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
  where (select count(*) from changed) < cardinality($1) and not exists (
    select
    from "public"."clients" as t
    where t."id" = src."id" and true)
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."clients"'::regclass, 20) is not null then tandem.kept_out('clients',
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
--   $1: of type 23 {00000001, 00000001}
--   $2: {2, 2}

-- upsert of rows that were not there before the batch, one row
with src as not materialized (
  select u.c0::integer as "id", u.c1::text as "name"
  from (values ($1, $2)) as u(c0, c1)),
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
  where (select count(*) from changed) < 1 and not exists (
    select
    from "public"."clients" as t
    where t."id" = src."id" and true)
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."clients"'::regclass, 20) is not null then tandem.kept_out('clients',
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
--   $1: of type 23 00000001
--   $2: 2

-- upsert, a column unsent
with src as not materialized (select u.c0::integer as "id" from unnest($1) as u(c0)),
changed as (
  update "public"."clients" as t
  set 
  from src
  where t."id" = src."id" and true and false
  returning 1)
select
from (select (select count(*) from changed) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."clients"'::regclass, 16) is not null then tandem.kept_out('clients',
  '"public"."clients"'::regclass, 16, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."clients" as t
      where t."id" = src."id" and true and false)), false) else false end;
--   $1: of type 23 {00000001, 00000001}

-- upsert, a column unsent, one row
with src as not materialized (select u.c0::integer as "id" from (values ($1)) as u(c0)),
changed as (
  update "public"."clients" as t
  set 
  from src
  where t."id" = src."id" and true and false
  returning 1)
select
from (select (select count(*) from changed) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."clients"'::regclass, 16) is not null then tandem.kept_out('clients',
  '"public"."clients"'::regclass, 16, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."clients" as t
      where t."id" = src."id" and true and false)), false) else false end;
--   $1: of type 23 00000001

-- upsert under another key, a column unsent
with src as materialized (
  select u.c0::integer as "id", u.k0::integer as "tandem old 0"
  from unnest($1) as u(c0)),
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
  where (select count(*) from changed) < (select count(*) from whole as src)
  and not exists (
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
--   $1: {1, 1}

-- rekey, a column unsent
with src as materialized (
  select u.c0::integer as "id", u.k0::integer as "tandem old 0"
  from unnest($1, $2) as u(c0, k0)),
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
--   $1: {1, 1}
--   $2: {1, 1}

-- delete
with src as not materialized (select u.c0::integer as "id" from unnest($1) as u(c0)),
gone as (
  delete from "public"."clients" as t using src
  where t."id" = src."id" and true
  returning 1)
select
from (select (select count(*) from gone) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."clients"'::regclass, 8) is not null then tandem.kept_out('clients',
  '"public"."clients"'::regclass, 8, done.n, (
    select count(*)
    from "public"."clients" as t
    where exists (select from src where t."id" = src."id" and true)), false)
else false end;
--   $1: of type 23 {00000001, 00000001}

-- delete, one row
with src as not materialized (select u.c0::integer as "id" from (values ($1)) as u(c0)),
gone as (
  delete from "public"."clients" as t using src
  where t."id" = src."id" and true
  returning 1)
select
from (select (select count(*) from gone) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."clients"'::regclass, 8) is not null then tandem.kept_out('clients',
  '"public"."clients"'::regclass, 8, done.n, (
    select count(*)
    from "public"."clients" as t
    where exists (select from src where t."id" = src."id" and true)), false)
else false end;
--   $1: of type 23 00000001

-- upsert of rows that are new, very many, 1 of 2
with src as not materialized (
  select u.c0::integer as "id", u.c1::text as "name"
  from unnest($1, $2) as u(c0, c1))
insert into "public"."clients" ("id", "name")
select src."id", src."name"
from src;
--   $1: of type 23 {00000001, 00000001, 00000001, ... 2000 in all}
--   $2: {2, 2, 2, ... 2000 in all}

-- upsert of rows that are new, very many, 2 of 2
select
where not tandem.uncounted('"public"."clients"'::regclass, 4);

-- what follows in other tables, 1 of 2
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

-- what follows in other tables, 2 of 2
with touched as materialized (select u.c0::integer as k0 from unnest($1) as u(c0)),
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
--   $1: {1}

-- a batch that deletes many
select tandem.shrink('clients', $1, (
    select count(*)
    from (select from "public"."clients" as t where true limit 505) as counted), $2);
--   $1: 101
--   $2: 0.2
