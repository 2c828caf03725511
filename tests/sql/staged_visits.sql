-- staged steps of visits

-- upsert, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3
--   $5: 1000

-- upsert, 2 of 2
with base as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", tandem.fit(u.cells[2]::text, u.cells[2]::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.cells[3]::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.cells[4]::boolean as "done", (
    select child.v
    from (select u.cells[5]::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", md5(array[u.cells[1]]::text[]::text) as "tandem orphan",
  case when (u.cells[5]::integer) is not null and ((
      select child.v
      from (select u.cells[5]::integer) as child(v)
      where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.cells[1],
  null, null, null, u.cells[5]]::text[] end as "tandem refers"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
  where not exists (
    select
    from "public"."visit" as t
    where t."org_id" = src."org_id" and t."visit_no" = src."visit_no" and t."org_id" = '1'::numeric
    and (t."source" = 'D'::bpchar or t."source" is null))
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."visit"'::regclass, 20) is not null then tandem.kept_out('visits',
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
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3

-- upsert, a column unsent, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3
--   $5: 1000

-- upsert, a column unsent, 2 of 2
with base as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", (
    select (timefrom::time /* the line ends */
      )
    from (select u.cells[3]::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.cells[4]::boolean as "done", (
    select child.v
    from (select u.cells[5]::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", md5(array[u.cells[1]]::text[]::text) as "tandem orphan",
  case when (u.cells[5]::integer) is not null and ((
      select child.v
      from (select u.cells[5]::integer) as child(v)
      where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.cells[1],
  null, null, null, u.cells[5]]::text[] end as "tandem refers"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."visit"'::regclass, 16) is not null then tandem.kept_out('visits',
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
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3

-- upsert under another key, a column unsent, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3
--   $5: 1000

-- upsert under another key, a column unsent, 2 of 2
with src as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", tandem.fit(u.cells[2]::text, u.cells[2]::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.cells[3]::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.cells[4]::boolean as "done", '1'::numeric as "tandem old 0", u.origin[1]::integer as "tandem old 1", md5(array[u.cells[1]]::text[]::text) as "tandem orphan",
  null::text[] as "tandem refers"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
  where not exists (
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
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3

-- rekey, a column unsent, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3
--   $5: 1000

-- rekey, a column unsent, 2 of 2
with src as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", tandem.fit(u.cells[2]::text, u.cells[2]::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.cells[3]::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.cells[4]::boolean as "done", '1'::numeric as "tandem old 0", u.origin[1]::integer as "tandem old 1", md5(array[u.origin[1]]::text[]::text) as "tandem orphan"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3

-- delete, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3
--   $5: 1000

-- delete, 2 of 2
with src as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", md5(array[u.cells[1]]::text[]::text) as "tandem orphan"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."visit"'::regclass, 8) is not null then tandem.kept_out('visits',
  '"public"."visit"'::regclass, 8, done.n, (
    select count(*)
    from "public"."visit" as t
    where exists (
      select
      from src
      where t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
      and t."org_id" = '1'::numeric and t."source" = 'D'::bpchar)), false)
else false end;
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3

-- what the cloud owns is given back, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3
--   $5: 1000

-- what the cloud owns is given back, 2 of 2
with src as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", u.cells[4]::boolean as "done"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4)
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
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3

-- a phone's row is noted, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3
--   $5: 1000

-- a phone's row is noted, 2 of 2
with src as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", (
    select to_jsonb(r)
    from (
      select u.cells[1] as "visit_no", u.cells[2] as "note", u.cells[3] as "timefrom", u.cells[4] as "done", u.cells[5] as "client") as r) as "tandem desktop"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4)
insert into tandem.conflict (replicator, "table", kind, key, kept, desktop, cloud)
select current_setting('tandem.replicator'), 'visits', 'mobile', array[case
when src."org_id" is distinct from null then concat(src."org_id"::numeric) end, case
when src."visit_no" is distinct from null then concat(src."visit_no"::integer) end]::text[], 'cloud', src."tandem desktop",
to_jsonb(t)
from src
left join "public"."visit" as t on t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
and t."org_id" = '1'::numeric and t."source" = 'M'::bpchar;
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3

-- a phone's row that goes is noted, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3
--   $5: 1000

-- a phone's row that goes is noted, 2 of 2
with src as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", null::jsonb as "tandem desktop"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4)
insert into tandem.conflict (replicator, "table", kind, key, kept, desktop, cloud)
select current_setting('tandem.replicator'), 'visits', 'mobile', array[case
when src."org_id" is distinct from null then concat(src."org_id"::numeric) end, case
when src."visit_no" is distinct from null then concat(src."visit_no"::integer) end]::text[], 'cloud', src."tandem desktop",
to_jsonb(t)
from src
left join "public"."visit" as t on t."org_id" = src."org_id" and t."visit_no" = src."visit_no"
and t."org_id" = '1'::numeric and t."source" = 'M'::bpchar;
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3

-- upsert, the table was emptied first, 1 of 11
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3
--   $5: 1000

-- upsert, the table was emptied first, 2 of 11
with src as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select row(src."org_id"::numeric, src."visit_no"::integer)::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."org_id"::numeric, t."visit_no"::integer)::record::text as name,
  row_number() over (partition by row(t."org_id"::numeric, t."visit_no"::integer)::record::text) as nth
  from "public"."visit" as t
  where t."org_id" = '1'::numeric and t."source" = 'D'::bpchar and not exists (
    select
    from tandem.quarantine as q
    where q.replicator = $1 and q.direction = 'forward' and q."table" = $3
    and q.sqlstate in ('TD007', '22021') and q.key_hash = md5(array[(array[case
        when t."visit_no" is distinct from null then concat(t."visit_no") end, case
        when t."note" is distinct from null then concat(t."note") end, null, case
        when t."done" is distinct from null then concat(t."done") end, case
        when t."client_id" is distinct from null then concat(t."client_id") end]::text[])[1]]::text[]::text) collate "C")),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true')
select tandem.shrink($3, many.n, (
    select count(*)
    from "public"."visit" as t
    where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)), 0.2::float8)
from (select count(*) as n from extra) as many
where many.n > 100;
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3

-- upsert, the table was emptied first, 3 of 11
with src as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select row(src."org_id"::numeric, src."visit_no"::integer)::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."org_id"::numeric, t."visit_no"::integer)::record::text as name,
  row_number() over (partition by row(t."org_id"::numeric, t."visit_no"::integer)::record::text) as nth
  from "public"."visit" as t
  where t."org_id" = '1'::numeric and t."source" = 'D'::bpchar and not exists (
    select
    from tandem.quarantine as q
    where q.replicator = $1 and q.direction = 'forward' and q."table" = $3
    and q.sqlstate in ('TD007', '22021') and q.key_hash = md5(array[(array[case
        when t."visit_no" is distinct from null then concat(t."visit_no") end, case
        when t."note" is distinct from null then concat(t."note") end, null, case
        when t."done" is distinct from null then concat(t."done") end, case
        when t."client_id" is distinct from null then concat(t."client_id") end]::text[])[1]]::text[]::text) collate "C")),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true'),
held as (
  select array[(array[case when t."visit_no" is distinct from null then concat(t."visit_no") end, case
    when t."note" is distinct from null then concat(t."note") end, null, case
    when t."done" is distinct from null then concat(t."done") end, case
    when t."client_id" is distinct from null then concat(t."client_id") end]::text[])[1]]::text[] as key, min(array[case
    when t."visit_no" is distinct from null then concat(t."visit_no") end, case
    when t."note" is distinct from null then concat(t."note") end, null, case
    when t."done" is distinct from null then concat(t."done") end, case
    when t."client_id" is distinct from null then concat(t."client_id") end]::text[]) as cells, count(*) as copies
  from extra
  join "public"."visit" as t on t.tableoid = extra.part and t.ctid = extra.at
  and t."org_id" = '1'::numeric and t."source" = 'D'::bpchar
  where (exists (
      select
      from "public"."photos" as c
      where c."visit_no" = t."visit_no"))
  group by 1)
insert into tandem.quarantine as q (replicator, "table", key, key_hash, cells, copies, work, sqlstate, why, messages)
select $1, $3, held.key, md5(held.key::text), held.cells, held.copies, 'delete', 'TD005', 'rows of another table refer to it',
0
from held
on conflict (replicator, direction, "table", key_hash) do update
set cells = excluded.cells, copies = excluded.copies, unsent = excluded.unsent, work = excluded.work, sqlstate = excluded.sqlstate,
why = excluded.why;
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3

-- upsert, the table was emptied first, 4 of 11
select tandem.cap_parked($1, $2, $3, $4);
--   $1: office-1
--   $2: visits
--   $3: 10000
--   $4: 67108864

-- upsert, the table was emptied first, 5 of 11
with src as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select row(src."org_id"::numeric, src."visit_no"::integer)::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."org_id"::numeric, t."visit_no"::integer)::record::text as name,
  row_number() over (partition by row(t."org_id"::numeric, t."visit_no"::integer)::record::text) as nth
  from "public"."visit" as t
  where t."org_id" = '1'::numeric and t."source" = 'D'::bpchar and not exists (
    select
    from tandem.quarantine as q
    where q.replicator = $1 and q.direction = 'forward' and q."table" = $3
    and q.sqlstate in ('TD007', '22021') and q.key_hash = md5(array[(array[case
        when t."visit_no" is distinct from null then concat(t."visit_no") end, case
        when t."note" is distinct from null then concat(t."note") end, null, case
        when t."done" is distinct from null then concat(t."done") end, case
        when t."client_id" is distinct from null then concat(t."client_id") end]::text[])[1]]::text[]::text) collate "C")),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true'),
done as (
  delete from "public"."visit" as t using extra
  where t.tableoid = extra.part and t.ctid = extra.at and t."org_id" = '1'::numeric
  and t."source" = 'D'::bpchar and not (exists (
      select
      from "public"."photos" as c
      where c."visit_no" = t."visit_no"))
  returning 1)
select case set_config('tandem.deleted', (select count(*) from done)::text, true)
when '' then '' end;
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3

-- upsert, the table was emptied first, 6 of 11
with src as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select row(src."org_id"::numeric, src."visit_no"::integer)::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."org_id"::numeric, t."visit_no"::integer)::record::text as name,
  row_number() over (partition by row(t."org_id"::numeric, t."visit_no"::integer)::record::text) as nth
  from "public"."visit" as t
  where t."org_id" = '1'::numeric and t."source" = 'D'::bpchar and not exists (
    select
    from tandem.quarantine as q
    where q.replicator = $1 and q.direction = 'forward' and q."table" = $3
    and q.sqlstate in ('TD007', '22021') and q.key_hash = md5(array[(array[case
        when t."visit_no" is distinct from null then concat(t."visit_no") end, case
        when t."note" is distinct from null then concat(t."note") end, null, case
        when t."done" is distinct from null then concat(t."done") end, case
        when t."client_id" is distinct from null then concat(t."client_id") end]::text[])[1]]::text[]::text) collate "C")),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true'),
held as (
  select array[(array[case when t."visit_no" is distinct from null then concat(t."visit_no") end, case
    when t."note" is distinct from null then concat(t."note") end, null, case
    when t."done" is distinct from null then concat(t."done") end, case
    when t."client_id" is distinct from null then concat(t."client_id") end]::text[])[1]]::text[] as key, min(array[case
    when t."visit_no" is distinct from null then concat(t."visit_no") end, case
    when t."note" is distinct from null then concat(t."note") end, null, case
    when t."done" is distinct from null then concat(t."done") end, case
    when t."client_id" is distinct from null then concat(t."client_id") end]::text[]) as cells, count(*) as copies
  from extra
  join "public"."visit" as t on t.tableoid = extra.part and t.ctid = extra.at
  and t."org_id" = '1'::numeric and t."source" = 'D'::bpchar
  where tandem.keepers('"public"."visit"'::regclass, 8) is not null and not (exists (
      select
      from "public"."photos" as c
      where c."visit_no" = t."visit_no"))
  group by 1)
insert into tandem.quarantine as q (replicator, "table", key, key_hash, cells, copies, work, sqlstate, why, messages)
select $1, $3, held.key, md5(held.key::text), held.cells, held.copies, 'delete', 'TD014', tandem.kept_words('"public"."visit"'::regclass,
  8), 0
from held
on conflict (replicator, direction, "table", key_hash) do update
set cells = excluded.cells, copies = excluded.copies, unsent = excluded.unsent, work = excluded.work, sqlstate = excluded.sqlstate,
why = excluded.why;
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3

-- upsert, the table was emptied first, 7 of 11
select tandem.cap_parked($1, $2, $3, $4);
--   $1: office-1
--   $2: visits
--   $3: 10000
--   $4: 67108864

-- upsert, the table was emptied first, 8 of 11
select tandem.void_parked($1, $2);
--   $1: office-1
--   $2: visits

-- upsert, the table was emptied first, 9 of 11
with base as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", tandem.fit(u.cells[2]::text, u.cells[2]::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.cells[3]::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.cells[4]::boolean as "done", (
    select child.v
    from (select u.cells[5]::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", u.copies as "tandem copies"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
want as (
  select row(src."org_id"::numeric, src."visit_no"::integer)::record::text as name, row(src."done"::boolean)::record::text as look,
  min(array[case when src."org_id" is distinct from null then concat(src."org_id"::numeric) end, case
    when src."visit_no" is distinct from null then concat(src."visit_no"::integer) end]::text[]) as key, sum(src."tandem copies") as copies
  from src
  group by 1, 2),
have as (
  select row(t."org_id"::numeric, t."visit_no"::integer)::record::text as name, row(t."done"::boolean)::record::text as look,
  count(*) as copies
  from "public"."visit" as t
  where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
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
--   $3: visits
--   $4: 3

-- upsert, the table was emptied first, 10 of 11
with base as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", tandem.fit(u.cells[2]::text, u.cells[2]::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.cells[3]::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.cells[4]::boolean as "done", (
    select child.v
    from (select u.cells[5]::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", u.ctid as "tandem at",
  md5(array[u.cells[1]]::text[]::text) as "tandem orphan", case when (u.cells[5]::integer) is not null
  and ((
      select child.v
      from (select u.cells[5]::integer) as child(v)
      where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.cells[1],
  null, null, null, u.cells[5]]::text[] end as "tandem refers"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
done as (
  update "public"."visit" as t
  set "note" = src."note", "timefrom" = src."timefrom", "client_name" = src."client_name", "client_id" = src."client_id",
  "source" = 'D'
  from src
  where row(t."org_id"::numeric, t."visit_no"::integer)::record::text = row(src."org_id"::numeric, src."visit_no"::integer)::record::text
  and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
  and (t."note"::text collate "C" is distinct from src."note"::text or t."client_name"::text collate "C" is distinct from src."client_name"::text
    or t."client_id"::integer is distinct from src."client_id"::integer
    or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
    or t."source" is null)
  returning 1)
select case set_config('tandem.updated', (select count(*) from done)::text, true)
when '' then '' end
where case when tandem.keepers('"public"."visit"'::regclass, 16) is null then true
else not tandem.kept_out('visits', '"public"."visit"'::regclass, 16, (select count(*) from done), (
    select count(*)
    from "public"."visit" as t
    where exists (
      select
      from src
      where row(t."org_id"::numeric, t."visit_no"::integer)::record::text = row(src."org_id"::numeric, src."visit_no"::integer)::record::text
      and t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
      and (t."note"::text collate "C" is distinct from src."note"::text
        or t."client_name"::text collate "C" is distinct from src."client_name"::text
        or t."client_id"::integer is distinct from src."client_id"::integer
        or row(t."timefrom"::time without time zone)::record *<> row(src."timefrom"::time without time zone)::record
        or t."source" is null))), false) end;
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3

-- upsert, the table was emptied first, 11 of 11
with base as materialized (
  select '1'::numeric as "org_id", u.cells[1]::integer as "visit_no", tandem.fit(u.cells[2]::text, u.cells[2]::text::character varying(20)::text,
    'note')::text as "note", (
    select (timefrom::time /* the line ends */
      )
    from (select u.cells[3]::timestamp without time zone as "timefrom") as arriving)::time without time zone as "timefrom",
  u.cells[4]::boolean as "done", (
    select child.v
    from (select u.cells[5]::integer) as child(v)
    where (exists (select from "public"."clients" as p where p."id" = child.v))) as "client_id", u.ctid as "tandem at",
  md5(array[u.cells[1]]::text[]::text) as "tandem orphan", case when (u.cells[5]::integer) is not null
  and ((
      select child.v
      from (select u.cells[5]::integer) as child(v)
      where (exists (select from "public"."clients" as p where p."id" = child.v)))) is null then array[u.cells[1],
  null, null, null, u.cells[5]]::text[] end as "tandem refers"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
want as (
  select src.*, row(src."org_id"::numeric, src."visit_no"::integer)::record::text as "tandem name", row_number() over (partition by row(src."org_id"::numeric,
      src."visit_no"::integer)::record::text) as "tandem nth"
  from src),
have as (
  select row(t."org_id"::numeric, t."visit_no"::integer)::record::text as name, count(*) as copies
  from "public"."visit" as t
  where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
  group by 1),
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
done as (
  insert into "public"."visit" ("org_id", "visit_no", "note", "timefrom", "done", "client_name", "client_id", "source")
  select src."org_id", src."visit_no", src."note", src."timefrom", src."done", src."client_name", src."client_id",
  'D'
  from want as src
  left join have on have.name = src."tandem name"
  where src."tandem nth" > coalesce(have.copies, 0)
  returning 1)
select case set_config('tandem.inserted', (select count(*) from done)::text, true)
when '' then '' end
where case when tandem.keepers('"public"."visit"'::regclass, 4) is null then true
else not tandem.kept_out('visits', '"public"."visit"'::regclass, 4, (select count(*) from done), (
    select count(*)
    from want as src
    left join have on have.name = src."tandem name"
    where src."tandem nth" > coalesce(have.copies, 0)), false) end;
--   $1: office-1
--   $2: 7
--   $3: visits
--   $4: 3
