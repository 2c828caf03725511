-- steps of a batch of visits, whole

-- upsert
with base as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", tandem.fit(u.c1::text, u.c1::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.c2::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.c3::boolean as "done", (
    select child.v
    from (select u.c4::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", md5(array[u.c0]::text[]::text) as "tandem orphan",
  case when (u.c4::integer) is not null and ((
      select child.v
      from (select u.c4::integer) as child(v)
      where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.c0, null,
  null, null, u.c4]::text[] end as "tandem refers"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, c2, c3, c4)),
found0 as (
  select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
  count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
  from "public"."clients" as p
  where (p."id") in (select base."client_id" from base) and true
  group by p."id"),
src as materialized (
  select base.*, found0.value as "client_name"
  from base
  left join found0 on found0.k0 = base."client_id"),
forgotten as (
  delete from tandem.orphan as o using src
  where o.replicator = current_setting('tandem.replicator') and o."table" = 'visits'
  and o.key_hash = src."tandem orphan" and src."tandem refers" is null),
remembered as (
  insert into tandem.orphan as o (replicator, "table", key_hash, cells)
  select distinct on (src."tandem orphan") current_setting('tandem.replicator'), 'visits', src."tandem orphan",
  src."tandem refers"
  from src
  where src."tandem refers" is not null
  on conflict (replicator, "table", key_hash) do update
  set cells = excluded.cells
  where o.cells <> excluded.cells),
changed as (
  update "public"."visit" as t
  set "note" = src."note", "timefrom" = src."timefrom", "client_name" = src."client_name", "client_id" = src."client_id",
  "source" = 'D'
  from src
  where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
  and (t."source" = 'D'::bpchar or t."source" is null) and (t."note"::text collate "C" is distinct from src."note"::text
    or t."client_name"::text collate "C" is distinct from src."client_name"::text
    or t."client_id"::integer is distinct from src."client_id"::integer
    or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
    or t."source" is null)
  returning 1),
added as (
  insert into "public"."visit" ("org_id", "visit_no", "note", "timefrom", "done", "client_name", "client_id", "source")
  select src."org_id", src."visit_no", src."note", src."timefrom", src."done", src."client_name", src."client_id",
  'D'
  from src
  where (select count(*) from changed) < cardinality($1) and not exists (
    select
    from "public"."visit" as t
    where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
    and (t."source" = 'D'::bpchar or t."source" is null))
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."visit"'::regclass, 20) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 20, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."visit" as t
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
      and (t."note"::text collate "C" is distinct from src."note"::text
        or t."client_name"::text collate "C" is distinct from src."client_name"::text
        or t."client_id"::integer is distinct from src."client_id"::integer
        or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
        or t."source" is null))) + (
    select count(*)
    from src
    where not exists (
      select
      from "public"."visit" as t
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null))), false)
else false end;
--   $1: {1, 1}
--   $2: {2, 2}
--   $3: {3, 3}
--   $4: {4, 4}
--   $5: {5, 5}

-- upsert, one row
with base as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", tandem.fit(u.c1::text, u.c1::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.c2::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.c3::boolean as "done", (
    select child.v
    from (select u.c4::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", md5(array[u.c0]::text[]::text) as "tandem orphan",
  case when (u.c4::integer) is not null and ((
      select child.v
      from (select u.c4::integer) as child(v)
      where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.c0, null,
  null, null, u.c4]::text[] end as "tandem refers"
  from (values ($1, $2, $3, $4, $5)) as u(c0, c1, c2, c3, c4)),
found0 as (
  select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
  count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
  from "public"."clients" as p
  where (p."id") in (select base."client_id" from base) and true
  group by p."id"),
src as materialized (
  select base.*, found0.value as "client_name"
  from base
  left join found0 on found0.k0 = base."client_id"),
forgotten as (
  delete from tandem.orphan as o using src
  where o.replicator = current_setting('tandem.replicator') and o."table" = 'visits'
  and o.key_hash = src."tandem orphan" and src."tandem refers" is null),
remembered as (
  insert into tandem.orphan as o (replicator, "table", key_hash, cells)
  select distinct on (src."tandem orphan") current_setting('tandem.replicator'), 'visits', src."tandem orphan",
  src."tandem refers"
  from src
  where src."tandem refers" is not null
  on conflict (replicator, "table", key_hash) do update
  set cells = excluded.cells
  where o.cells <> excluded.cells),
changed as (
  update "public"."visit" as t
  set "note" = src."note", "timefrom" = src."timefrom", "client_name" = src."client_name", "client_id" = src."client_id",
  "source" = 'D'
  from src
  where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
  and (t."source" = 'D'::bpchar or t."source" is null) and (t."note"::text collate "C" is distinct from src."note"::text
    or t."client_name"::text collate "C" is distinct from src."client_name"::text
    or t."client_id"::integer is distinct from src."client_id"::integer
    or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
    or t."source" is null)
  returning 1),
added as (
  insert into "public"."visit" ("org_id", "visit_no", "note", "timefrom", "done", "client_name", "client_id", "source")
  select src."org_id", src."visit_no", src."note", src."timefrom", src."done", src."client_name", src."client_id",
  'D'
  from src
  where (select count(*) from changed) < 1 and not exists (
    select
    from "public"."visit" as t
    where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
    and (t."source" = 'D'::bpchar or t."source" is null))
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."visit"'::regclass, 20) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 20, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."visit" as t
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
      and (t."note"::text collate "C" is distinct from src."note"::text
        or t."client_name"::text collate "C" is distinct from src."client_name"::text
        or t."client_id"::integer is distinct from src."client_id"::integer
        or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
        or t."source" is null))) + (
    select count(*)
    from src
    where not exists (
      select
      from "public"."visit" as t
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null))), false)
else false end;
--   $1: 1
--   $2: 2
--   $3: 3
--   $4: 4
--   $5: 5

-- upsert of rows that are new
with base as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", tandem.fit(u.c1::text, u.c1::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.c2::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.c3::boolean as "done", (
    select child.v
    from (select u.c4::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", md5(array[u.c0]::text[]::text) as "tandem orphan",
  case when (u.c4::integer) is not null and ((
      select child.v
      from (select u.c4::integer) as child(v)
      where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.c0, null,
  null, null, u.c4]::text[] end as "tandem refers"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, c2, c3, c4)),
found0 as (
  select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
  count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
  from "public"."clients" as p
  where (p."id") in (select base."client_id" from base) and true
  group by p."id"),
src as materialized (
  select base.*, found0.value as "client_name"
  from base
  left join found0 on found0.k0 = base."client_id"),
forgotten as (
  delete from tandem.orphan as o using src
  where o.replicator = current_setting('tandem.replicator') and o."table" = 'visits'
  and o.key_hash = src."tandem orphan" and src."tandem refers" is null),
remembered as (
  insert into tandem.orphan as o (replicator, "table", key_hash, cells)
  select distinct on (src."tandem orphan") current_setting('tandem.replicator'), 'visits', src."tandem orphan",
  src."tandem refers"
  from src
  where src."tandem refers" is not null
  on conflict (replicator, "table", key_hash) do update
  set cells = excluded.cells
  where o.cells <> excluded.cells),
added as (
  insert into "public"."visit" ("org_id", "visit_no", "note", "timefrom", "done", "client_name", "client_id", "source")
  select src."org_id", src."visit_no", src."note", src."timefrom", src."done", src."client_name", src."client_id",
  'D'
  from src
  returning 1)
select
from (select (select count(*) from added) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."visit"'::regclass, 4) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 4, done.n, (select count(*) from src), false)
else false end;
--   $1: {1, 1}
--   $2: {2, 2}
--   $3: {3, 3}
--   $4: {4, 4}
--   $5: {5, 5}

-- upsert of rows that are new, one row
with base as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", tandem.fit(u.c1::text, u.c1::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.c2::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.c3::boolean as "done", (
    select child.v
    from (select u.c4::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", md5(array[u.c0]::text[]::text) as "tandem orphan",
  case when (u.c4::integer) is not null and ((
      select child.v
      from (select u.c4::integer) as child(v)
      where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.c0, null,
  null, null, u.c4]::text[] end as "tandem refers"
  from (values ($1, $2, $3, $4, $5)) as u(c0, c1, c2, c3, c4)),
found0 as (
  select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
  count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
  from "public"."clients" as p
  where (p."id") in (select base."client_id" from base) and true
  group by p."id"),
src as materialized (
  select base.*, found0.value as "client_name"
  from base
  left join found0 on found0.k0 = base."client_id"),
forgotten as (
  delete from tandem.orphan as o using src
  where o.replicator = current_setting('tandem.replicator') and o."table" = 'visits'
  and o.key_hash = src."tandem orphan" and src."tandem refers" is null),
remembered as (
  insert into tandem.orphan as o (replicator, "table", key_hash, cells)
  select distinct on (src."tandem orphan") current_setting('tandem.replicator'), 'visits', src."tandem orphan",
  src."tandem refers"
  from src
  where src."tandem refers" is not null
  on conflict (replicator, "table", key_hash) do update
  set cells = excluded.cells
  where o.cells <> excluded.cells),
added as (
  insert into "public"."visit" ("org_id", "visit_no", "note", "timefrom", "done", "client_name", "client_id", "source")
  select src."org_id", src."visit_no", src."note", src."timefrom", src."done", src."client_name", src."client_id",
  'D'
  from src
  returning 1)
select
from (select (select count(*) from added) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."visit"'::regclass, 4) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 4, done.n, (select count(*) from src), false)
else false end;
--   $1: 1
--   $2: 2
--   $3: 3
--   $4: 4
--   $5: 5

-- upsert of rows that were not there before the batch
with base as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", tandem.fit(u.c1::text, u.c1::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.c2::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.c3::boolean as "done", (
    select child.v
    from (select u.c4::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", md5(array[u.c0]::text[]::text) as "tandem orphan",
  case when (u.c4::integer) is not null and ((
      select child.v
      from (select u.c4::integer) as child(v)
      where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.c0, null,
  null, null, u.c4]::text[] end as "tandem refers"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, c2, c3, c4)),
found0 as (
  select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
  count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
  from "public"."clients" as p
  where (p."id") in (select base."client_id" from base) and true
  group by p."id"),
src as materialized (
  select base.*, found0.value as "client_name"
  from base
  left join found0 on found0.k0 = base."client_id"),
forgotten as (
  delete from tandem.orphan as o using src
  where o.replicator = current_setting('tandem.replicator') and o."table" = 'visits'
  and o.key_hash = src."tandem orphan" and src."tandem refers" is null),
remembered as (
  insert into tandem.orphan as o (replicator, "table", key_hash, cells)
  select distinct on (src."tandem orphan") current_setting('tandem.replicator'), 'visits', src."tandem orphan",
  src."tandem refers"
  from src
  where src."tandem refers" is not null
  on conflict (replicator, "table", key_hash) do update
  set cells = excluded.cells
  where o.cells <> excluded.cells),
changed as (
  update "public"."visit" as t
  set "note" = src."note", "timefrom" = src."timefrom", "client_name" = src."client_name", "client_id" = src."client_id",
  "done" = src."done", "source" = 'D'
  from src
  where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
  and (t."source" = 'D'::bpchar or t."source" is null) and (t."note"::text collate "C" is distinct from src."note"::text
    or t."client_name"::text collate "C" is distinct from src."client_name"::text
    or t."client_id"::integer is distinct from src."client_id"::integer
    or t."done"::boolean is distinct from src."done"::boolean or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
    or t."source" is null)
  returning 1),
added as (
  insert into "public"."visit" ("org_id", "visit_no", "note", "timefrom", "done", "client_name", "client_id", "source")
  select src."org_id", src."visit_no", src."note", src."timefrom", src."done", src."client_name", src."client_id",
  'D'
  from src
  where (select count(*) from changed) < cardinality($1) and not exists (
    select
    from "public"."visit" as t
    where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
    and (t."source" = 'D'::bpchar or t."source" is null))
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."visit"'::regclass, 20) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 20, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."visit" as t
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
      and (t."note"::text collate "C" is distinct from src."note"::text
        or t."client_name"::text collate "C" is distinct from src."client_name"::text
        or t."client_id"::integer is distinct from src."client_id"::integer
        or t."done"::boolean is distinct from src."done"::boolean or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
        or t."source" is null))) + (
    select count(*)
    from src
    where not exists (
      select
      from "public"."visit" as t
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null))), false)
else false end;
--   $1: {1, 1}
--   $2: {2, 2}
--   $3: {3, 3}
--   $4: {4, 4}
--   $5: {5, 5}

-- upsert of rows that were not there before the batch, one row
with base as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", tandem.fit(u.c1::text, u.c1::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.c2::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.c3::boolean as "done", (
    select child.v
    from (select u.c4::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", md5(array[u.c0]::text[]::text) as "tandem orphan",
  case when (u.c4::integer) is not null and ((
      select child.v
      from (select u.c4::integer) as child(v)
      where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.c0, null,
  null, null, u.c4]::text[] end as "tandem refers"
  from (values ($1, $2, $3, $4, $5)) as u(c0, c1, c2, c3, c4)),
found0 as (
  select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
  count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
  from "public"."clients" as p
  where (p."id") in (select base."client_id" from base) and true
  group by p."id"),
src as materialized (
  select base.*, found0.value as "client_name"
  from base
  left join found0 on found0.k0 = base."client_id"),
forgotten as (
  delete from tandem.orphan as o using src
  where o.replicator = current_setting('tandem.replicator') and o."table" = 'visits'
  and o.key_hash = src."tandem orphan" and src."tandem refers" is null),
remembered as (
  insert into tandem.orphan as o (replicator, "table", key_hash, cells)
  select distinct on (src."tandem orphan") current_setting('tandem.replicator'), 'visits', src."tandem orphan",
  src."tandem refers"
  from src
  where src."tandem refers" is not null
  on conflict (replicator, "table", key_hash) do update
  set cells = excluded.cells
  where o.cells <> excluded.cells),
changed as (
  update "public"."visit" as t
  set "note" = src."note", "timefrom" = src."timefrom", "client_name" = src."client_name", "client_id" = src."client_id",
  "done" = src."done", "source" = 'D'
  from src
  where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
  and (t."source" = 'D'::bpchar or t."source" is null) and (t."note"::text collate "C" is distinct from src."note"::text
    or t."client_name"::text collate "C" is distinct from src."client_name"::text
    or t."client_id"::integer is distinct from src."client_id"::integer
    or t."done"::boolean is distinct from src."done"::boolean or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
    or t."source" is null)
  returning 1),
added as (
  insert into "public"."visit" ("org_id", "visit_no", "note", "timefrom", "done", "client_name", "client_id", "source")
  select src."org_id", src."visit_no", src."note", src."timefrom", src."done", src."client_name", src."client_id",
  'D'
  from src
  where (select count(*) from changed) < 1 and not exists (
    select
    from "public"."visit" as t
    where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
    and (t."source" = 'D'::bpchar or t."source" is null))
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."visit"'::regclass, 20) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 20, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."visit" as t
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
      and (t."note"::text collate "C" is distinct from src."note"::text
        or t."client_name"::text collate "C" is distinct from src."client_name"::text
        or t."client_id"::integer is distinct from src."client_id"::integer
        or t."done"::boolean is distinct from src."done"::boolean or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
        or t."source" is null))) + (
    select count(*)
    from src
    where not exists (
      select
      from "public"."visit" as t
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null))), false)
else false end;
--   $1: 1
--   $2: 2
--   $3: 3
--   $4: 4
--   $5: 5

-- upsert, a column unsent
with base as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", (
    select (timefrom::time /* the line ends */
      )
    from (select u.c2::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.c3::boolean as "done", (
    select child.v
    from (select u.c4::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", md5(array[u.c0]::text[]::text) as "tandem orphan",
  case when (u.c4::integer) is not null and ((
      select child.v
      from (select u.c4::integer) as child(v)
      where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.c0, null,
  null, null, u.c4]::text[] end as "tandem refers"
  from unnest($1, $2, $3, $4) as u(c0, c2, c3, c4)),
found0 as (
  select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
  count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
  from "public"."clients" as p
  where (p."id") in (select base."client_id" from base) and true
  group by p."id"),
src as materialized (
  select base.*, found0.value as "client_name"
  from base
  left join found0 on found0.k0 = base."client_id"),
forgotten as (
  delete from tandem.orphan as o using src
  where o.replicator = current_setting('tandem.replicator') and o."table" = 'visits'
  and o.key_hash = src."tandem orphan" and src."tandem refers" is null),
remembered as (
  insert into tandem.orphan as o (replicator, "table", key_hash, cells)
  select distinct on (src."tandem orphan") current_setting('tandem.replicator'), 'visits', src."tandem orphan",
  src."tandem refers"
  from src
  where src."tandem refers" is not null
  on conflict (replicator, "table", key_hash) do update
  set cells = excluded.cells
  where o.cells <> excluded.cells),
changed as (
  update "public"."visit" as t
  set "timefrom" = src."timefrom", "client_name" = src."client_name", "client_id" = src."client_id", "source" = 'D'
  from src
  where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
  and (t."source" = 'D'::bpchar or t."source" is null) and (t."client_name"::text collate "C" is distinct from src."client_name"::text
    or t."client_id"::integer is distinct from src."client_id"::integer
    or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
    or t."source" is null)
  returning 1)
select
from (select (select count(*) from changed) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."visit"'::regclass, 16) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 16, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."visit" as t
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
      and (t."client_name"::text collate "C" is distinct from src."client_name"::text
        or t."client_id"::integer is distinct from src."client_id"::integer
        or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
        or t."source" is null))), false) else false end;
--   $1: {1, 1}
--   $2: {3, 3}
--   $3: {4, 4}
--   $4: {5, 5}

-- upsert, a column unsent, one row
with base as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", (
    select (timefrom::time /* the line ends */
      )
    from (select u.c2::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.c3::boolean as "done", (
    select child.v
    from (select u.c4::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", md5(array[u.c0]::text[]::text) as "tandem orphan",
  case when (u.c4::integer) is not null and ((
      select child.v
      from (select u.c4::integer) as child(v)
      where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.c0, null,
  null, null, u.c4]::text[] end as "tandem refers"
  from (values ($1, $2, $3, $4)) as u(c0, c2, c3, c4)),
found0 as (
  select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
  count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
  from "public"."clients" as p
  where (p."id") in (select base."client_id" from base) and true
  group by p."id"),
src as materialized (
  select base.*, found0.value as "client_name"
  from base
  left join found0 on found0.k0 = base."client_id"),
forgotten as (
  delete from tandem.orphan as o using src
  where o.replicator = current_setting('tandem.replicator') and o."table" = 'visits'
  and o.key_hash = src."tandem orphan" and src."tandem refers" is null),
remembered as (
  insert into tandem.orphan as o (replicator, "table", key_hash, cells)
  select distinct on (src."tandem orphan") current_setting('tandem.replicator'), 'visits', src."tandem orphan",
  src."tandem refers"
  from src
  where src."tandem refers" is not null
  on conflict (replicator, "table", key_hash) do update
  set cells = excluded.cells
  where o.cells <> excluded.cells),
changed as (
  update "public"."visit" as t
  set "timefrom" = src."timefrom", "client_name" = src."client_name", "client_id" = src."client_id", "source" = 'D'
  from src
  where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
  and (t."source" = 'D'::bpchar or t."source" is null) and (t."client_name"::text collate "C" is distinct from src."client_name"::text
    or t."client_id"::integer is distinct from src."client_id"::integer
    or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
    or t."source" is null)
  returning 1)
select
from (select (select count(*) from changed) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."visit"'::regclass, 16) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 16, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."visit" as t
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
      and (t."client_name"::text collate "C" is distinct from src."client_name"::text
        or t."client_id"::integer is distinct from src."client_id"::integer
        or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
        or t."source" is null))), false) else false end;
--   $1: 1
--   $2: 3
--   $3: 4
--   $4: 5

-- upsert under another key, a column unsent
with src as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", tandem.fit(u.c1::text, u.c1::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.c2::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.c3::boolean as "done", '1'::numeric as "tandem old 0", u.k0::integer as "tandem old 1", md5(array[u.c0]::text[]::text) as "tandem orphan",
  null::text[] as "tandem refers"
  from unnest($1, $2, $3, $4) as u(c0, c1, c2, c3)),
whole as materialized (
  select src.*, o."client_name"::text as "client_name", o."client_id"::integer as "client_id"
  from src
  join "public"."visit" as o on o."org_id" is not distinct from src."tandem old 0"
  and o."visit_no" is not distinct from src."tandem old 1" and o."org_id" = '1'::numeric
  and (o."source" = 'D'::bpchar or o."source" is null)),
forgotten as (
  delete from tandem.orphan as o using src
  where o.replicator = current_setting('tandem.replicator') and o."table" = 'visits'
  and o.key_hash = src."tandem orphan" and src."tandem refers" is null),
remembered as (
  insert into tandem.orphan as o (replicator, "table", key_hash, cells)
  select distinct on (src."tandem orphan") current_setting('tandem.replicator'), 'visits', src."tandem orphan",
  src."tandem refers"
  from src
  where src."tandem refers" is not null
  on conflict (replicator, "table", key_hash) do update
  set cells = excluded.cells
  where o.cells <> excluded.cells),
changed as (
  update "public"."visit" as t
  set "note" = src."note", "timefrom" = src."timefrom", "client_name" = src."client_name", "client_id" = src."client_id",
  "source" = 'D'
  from whole as src
  where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
  and (t."source" = 'D'::bpchar or t."source" is null) and (t."note"::text collate "C" is distinct from src."note"::text
    or t."client_name"::text collate "C" is distinct from src."client_name"::text
    or t."client_id"::integer is distinct from src."client_id"::integer
    or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
    or t."source" is null)
  returning 1),
added as (
  insert into "public"."visit" ("org_id", "visit_no", "note", "timefrom", "done", "client_name", "client_id", "source")
  select src."org_id", src."visit_no", src."note", src."timefrom", src."done", src."client_name", src."client_id",
  'D'
  from whole as src
  where (select count(*) from changed) < (select count(*) from whole as src)
  and not exists (
    select
    from "public"."visit" as t
    where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
    and (t."source" = 'D'::bpchar or t."source" is null))
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < (select count(*) from whole as src) and tandem.keepers('"public"."visit"'::regclass, 20) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 20, done.n, (
    select count(*)
    from whole as src
    where exists (
      select
      from "public"."visit" as t
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
      and (t."note"::text collate "C" is distinct from src."note"::text
        or t."client_name"::text collate "C" is distinct from src."client_name"::text
        or t."client_id"::integer is distinct from src."client_id"::integer
        or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
        or t."source" is null))) + (
    select count(*)
    from whole as src
    where not exists (
      select
      from "public"."visit" as t
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null))), false)
else false end;
--   $1: {1, 1}
--   $2: {2, 2}
--   $3: {3, 3}
--   $4: {4, 4}

-- rekey, a column unsent
with src as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", tandem.fit(u.c1::text, u.c1::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.c2::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.c3::boolean as "done", '1'::numeric as "tandem old 0", u.k0::integer as "tandem old 1", md5(array[u.k0]::text[]::text) as "tandem orphan"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, c2, c3, k0)),
forgotten as (
  delete from tandem.orphan as o using src
  where o.replicator = current_setting('tandem.replicator') and o."table" = 'visits'
  and o.key_hash = src."tandem orphan"),
changed as (
  update "public"."visit" as t
  set "org_id" = src."org_id", "visit_no" = src."visit_no", "note" = src."note", "timefrom" = src."timefrom", "done" = src."done",
  "source" = 'D'
  from src
  where t."org_id" is not distinct from src."tandem old 0" and t."visit_no" is not distinct from src."tandem old 1"
  and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
  and case when t."org_id" is not distinct from src."tandem old 0" and t."visit_no" is not distinct from src."tandem old 1"
  and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
  and (t."visit_no" is distinct from src."visit_no") and exists (
    select
    from "public"."photos" as c
    where c."visit_no" = t."visit_no") then tandem.reached('photos') else true end
  returning 1)
select
from (select (select count(*) from changed) as n) as done
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."visit"'::regclass, 16) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 16, done.n, (
    select count(*)
    from "public"."visit" as t
    where exists (
      select
      from src
      where t."org_id" is not distinct from src."tandem old 0" and t."visit_no" is not distinct from src."tandem old 1"
      and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null))), false)
else false end;
--   $1: {1, 1}
--   $2: {2, 2}
--   $3: {3, 3}
--   $4: {4, 4}
--   $5: {1, 1}

-- delete
with src as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", md5(array[u.c0]::text[]::text) as "tandem orphan"
  from unnest($1) as u(c0)),
forgotten as (
  delete from tandem.orphan as o using src
  where o.replicator = current_setting('tandem.replicator') and o."table" = 'visits'
  and o.key_hash = src."tandem orphan"),
gone as (
  delete from "public"."visit" as t using src
  where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
  and t."source" = 'D'::bpchar and case when t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
  and t."org_id" = '1'::numeric and t."source" = 'D'::bpchar and true and exists (
    select
    from "public"."photos" as c
    where c."visit_no" = t."visit_no") then tandem.reached('photos') else true end
  returning 1)
select
from (select (select count(*) from gone) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."visit"'::regclass, 8) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 8, done.n, (
    select count(*)
    from "public"."visit" as t
    where exists (
      select
      from src
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and t."source" = 'D'::bpchar)), false)
else false end;
--   $1: {1, 1}

-- delete, one row
with src as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", md5(array[u.c0]::text[]::text) as "tandem orphan"
  from (values ($1)) as u(c0)),
forgotten as (
  delete from tandem.orphan as o using src
  where o.replicator = current_setting('tandem.replicator') and o."table" = 'visits'
  and o.key_hash = src."tandem orphan"),
gone as (
  delete from "public"."visit" as t using src
  where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
  and t."source" = 'D'::bpchar and case when t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
  and t."org_id" = '1'::numeric and t."source" = 'D'::bpchar and true and exists (
    select
    from "public"."photos" as c
    where c."visit_no" = t."visit_no") then tandem.reached('photos') else true end
  returning 1)
select
from (select (select count(*) from gone) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."visit"'::regclass, 8) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 8, done.n, (
    select count(*)
    from "public"."visit" as t
    where exists (
      select
      from src
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and t."source" = 'D'::bpchar)), false)
else false end;
--   $1: 1

-- what the cloud owns is given back
with src as not materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", u.c3::boolean as "done"
  from unnest($1, $2) as u(c0, c3))
insert into tandem.outbox (replicator, "table", key, op)
select distinct current_setting('tandem.replicator'), 'visits', array[case
when src."org_id" is distinct from null then concat(src."org_id"::numeric) end, case
when src."visit_no" is distinct from null then concat(src."visit_no"::integer) end]::text[], 'R'
from src
where exists (
  select
  from "public"."visit" as t
  where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
  and (t."source" = 'D'::bpchar or t."source" is null) and row(t."done"::boolean)::record *<> row(src."done"::boolean)::record);
--   $1: {1, 1}
--   $2: {4, 4}

-- a phone's row is noted
with src as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", (
    select to_jsonb(r)
    from (
      select u.c0 as "visit_no", u.c1 as "note", u.c2 as "timefrom", u.c3 as "done", u.c4 as "client") as r) as "tandem desktop"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, c2, c3, c4))
insert into tandem.conflict (replicator, "table", kind, key, kept, desktop, cloud)
select current_setting('tandem.replicator'), 'visits', 'mobile', array[case
when src."org_id" is distinct from null then concat(src."org_id"::numeric) end, case
when src."visit_no" is distinct from null then concat(src."visit_no"::integer) end]::text[], 'cloud', src."tandem desktop",
to_jsonb(t)
from src
left join "public"."visit" as t on t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
and t."org_id" = '1'::numeric and t."source" = 'M'::bpchar;
--   $1: {1, 1}
--   $2: {2, 2}
--   $3: {3, 3}
--   $4: {4, 4}
--   $5: {5, 5}

-- a phone's row that goes is noted
with src as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", null::jsonb as "tandem desktop"
  from unnest($1) as u(c0))
insert into tandem.conflict (replicator, "table", kind, key, kept, desktop, cloud)
select current_setting('tandem.replicator'), 'visits', 'mobile', array[case
when src."org_id" is distinct from null then concat(src."org_id"::numeric) end, case
when src."visit_no" is distinct from null then concat(src."visit_no"::integer) end]::text[], 'cloud', src."tandem desktop",
to_jsonb(t)
from src
left join "public"."visit" as t on t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
and t."org_id" = '1'::numeric and t."source" = 'M'::bpchar;
--   $1: {1, 1}

-- a phone's row is changed
with base as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", tandem.fit(u.c1::text, u.c1::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.c2::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.c3::boolean as "done", (
    select child.v
    from (select u.c4::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", (
    select to_jsonb(r)
    from (
      select u.c0 as "visit_no", u.c1 as "note", u.c2 as "timefrom", u.c3 as "done", u.c4 as "client") as r) as "tandem desktop"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, c2, c3, c4)),
found0 as (
  select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
  count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
  from "public"."clients" as p
  where (p."id") in (select base."client_id" from base) and true
  group by p."id"),
src as materialized (
  select base.*, found0.value as "client_name"
  from base
  left join found0 on found0.k0 = base."client_id"),
told as (
  insert into tandem.outbox (replicator, "table", key, op, told)
  select current_setting('tandem.replicator'), 'visits', array[case when src."org_id" is distinct from null then concat(src."org_id"::numeric) end,
  case when src."visit_no" is distinct from null then concat(src."visit_no"::integer) end]::text[], 'A', src."tandem desktop"
  from src
  where exists (
    select
    from "public"."visit" as t
    where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
    and t."source" = 'M'::bpchar)),
changed as (
  update "public"."visit" as t
  set "note" = src."note", "timefrom" = src."timefrom", "client_name" = src."client_name", "client_id" = src."client_id"
  from src
  where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
  and t."source" = 'M'::bpchar and (t."note"::text collate "C" is distinct from src."note"::text
    or t."client_name"::text collate "C" is distinct from src."client_name"::text
    or t."client_id"::integer is distinct from src."client_id"::integer
    or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record)
  returning 1)
select
from (select (select count(*) from changed) as n) as done
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."visit"'::regclass, 16) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 16, done.n, (
    select count(*)
    from "public"."visit" as t
    where exists (
      select
      from src
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and t."source" = 'M'::bpchar and (t."note"::text collate "C" is distinct from src."note"::text
        or t."client_name"::text collate "C" is distinct from src."client_name"::text
        or t."client_id"::integer is distinct from src."client_id"::integer
        or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record))),
  false) else false end;
--   $1: {1, 1}
--   $2: {2, 2}
--   $3: {3, 3}
--   $4: {4, 4}
--   $5: {5, 5}

-- a phone's row is removed
with src as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", md5(array[u.c0]::text[]::text) as "tandem orphan"
  from unnest($1) as u(c0)),
forgotten as (
  delete from tandem.orphan as o using src
  where o.replicator = current_setting('tandem.replicator') and o."table" = 'visits'
  and o.key_hash = src."tandem orphan"),
told as (
  insert into tandem.outbox (replicator, "table", key, op, told)
  select current_setting('tandem.replicator'), 'visits', array[case when src."org_id" is distinct from null then concat(src."org_id"::numeric) end,
  case when src."visit_no" is distinct from null then concat(src."visit_no"::integer) end]::text[], 'A', null::jsonb
  from src
  where exists (
    select
    from "public"."visit" as t
    where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
    and t."source" = 'M'::bpchar)),
gone as (
  delete from "public"."visit" as t using src
  where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
  and t."source" = 'M'::bpchar and case when t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
  and t."org_id" = '1'::numeric and t."source" = 'M'::bpchar and true and exists (
    select
    from "public"."photos" as c
    where c."visit_no" = t."visit_no") then tandem.reached('photos') else true end
  returning 1)
select
from (select (select count(*) from gone) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."visit"'::regclass, 8) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 8, done.n, (
    select count(*)
    from "public"."visit" as t
    where exists (
      select
      from src
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and t."source" = 'M'::bpchar)), false)
else false end;
--   $1: {1, 1}

-- upsert of rows that are new, very many, 1 of 2
with base as materialized (
  select '1'::numeric as "org_id", u.c0::integer as "visit_no", tandem.fit(u.c1::text, u.c1::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.c2::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.c3::boolean as "done", (
    select child.v
    from (select u.c4::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", md5(array[u.c0]::text[]::text) as "tandem orphan",
  case when (u.c4::integer) is not null and ((
      select child.v
      from (select u.c4::integer) as child(v)
      where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.c0, null,
  null, null, u.c4]::text[] end as "tandem refers"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, c2, c3, c4)),
found0 as (
  select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
  count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
  from "public"."clients" as p
  where (p."id") in (select base."client_id" from base) and true
  group by p."id"),
src as materialized (
  select base.*, found0.value as "client_name"
  from base
  left join found0 on found0.k0 = base."client_id"),
forgotten as (
  delete from tandem.orphan as o using src
  where o.replicator = current_setting('tandem.replicator') and o."table" = 'visits'
  and o.key_hash = src."tandem orphan" and src."tandem refers" is null),
remembered as (
  insert into tandem.orphan as o (replicator, "table", key_hash, cells)
  select distinct on (src."tandem orphan") current_setting('tandem.replicator'), 'visits', src."tandem orphan",
  src."tandem refers"
  from src
  where src."tandem refers" is not null
  on conflict (replicator, "table", key_hash) do update
  set cells = excluded.cells
  where o.cells <> excluded.cells)
insert into "public"."visit" ("org_id", "visit_no", "note", "timefrom", "done", "client_name", "client_id", "source")
select src."org_id", src."visit_no", src."note", src."timefrom", src."done", src."client_name", src."client_id",
'D'
from src;
--   $1: {1, 1, 1, ... 2000 in all}
--   $2: {2, 2, 2, ... 2000 in all}
--   $3: {3, 3, 3, ... 2000 in all}
--   $4: {4, 4, 4, ... 2000 in all}
--   $5: {5, 5, 5, ... 2000 in all}

-- upsert of rows that are new, very many, 2 of 2
select
where not tandem.uncounted('"public"."visit"'::regclass, 4);

-- what follows in other tables: nothing

-- a batch that deletes many
select tandem.shrink('visits', $1, (
    select count(*)
    from (
      select
      from "public"."visit" as t
      where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
      limit 505) as counted), $2);
--   $1: 101
--   $2: 0.2
