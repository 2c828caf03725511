-- visits, as far as both sides differ

-- any rows
select true
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
limit 1;

-- a piece is written
insert into tandem.piece (replicator, "table", first_page, next_page)
values ($1, $2, $3, $4)
on conflict (replicator, "table", first_page) do update
set next_page = excluded.next_page;
--   $1: office-1
--   $2: visits
--   $3: 0
--   $4: 1024

-- pieces
select string_agg(first_page || '-' || next_page, ' '
  order by first_page)
from tandem.piece
where replicator = $1 and "table" = $2 and exists (
  select
  from tandem.table_state as s
  where s.replicator = $1 and s."table" = $2 and s.copied_at is not null
  and s.extras = 0);
--   $1: office-1
--   $2: visits

-- no pieces any more
delete from tandem.piece
where replicator = $1 and "table" = $2;
--   $1: office-1
--   $2: visits

-- equal beside the staged
select set_config('tandem.equal', (current_setting('tandem.equal')::bigint + $1)::text, true)
where current_setting('tandem.equal', true) not in ('', 'unknown');
--   $1: 7

-- the desktop's sums
copy (
  select (('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t."visit_no"::integer)::integer)::text, 'UTF8')),
        16))::bit(64)::bigint & 2047)::int, count(*), sum(('x' || left(md5(convert_to(row(('1'::numeric)::numeric,
              (t."visit_no"::integer)::integer, (t."note")::text, ((
                  select (timefrom::time /* the line ends */
                    )
                  from (
                    select t."timefrom"::timestamp without time zone as "timefrom") as arriving)::time without time zone)::time without time zone,
              (t."client"::integer)::integer, (t."done"::boolean)::boolean, false)::text, 'UTF8')), 16))::bit(64)::bigint)::text
  from only "public"."visits" as t
  where true and t."source"::text is distinct from 'M'
  group by 1) to stdout;

-- the sums of some pages
copy (
  select (('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t."visit_no"::integer)::integer)::text, 'UTF8')),
        16))::bit(64)::bigint & 2047)::int, count(*), sum(('x' || left(md5(convert_to(row(('1'::numeric)::numeric,
              (t."visit_no"::integer)::integer, (t."note")::text, ((
                  select (timefrom::time /* the line ends */
                    )
                  from (
                    select t."timefrom"::timestamp without time zone as "timefrom") as arriving)::time without time zone)::time without time zone,
              (t."client"::integer)::integer, (t."done"::boolean)::boolean, false)::text, 'UTF8')), 16))::bit(64)::bigint)::text
  from only "public"."visits" as t
  where true and t."source"::text is distinct from 'M' and (t.ctid >= '(0,0)'::tid
    and t.ctid < '(1024,0)'::tid or t.ctid >= '(2048,0)'::tid and t.ctid < '(3072,0)'::tid)
  group by 1) to stdout;

-- ranges that differ
select string_agg(differs.range::text, ',')
from (
  select coalesce(sent.range, have.range)
  from unnest($1, $2, $3) as sent(range, n, sum) full
  join (
    select (('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int,
    count(*), sum(('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer, (t."note")::text,
                t."timefrom"::time without time zone, t."client_id"::integer, t."done"::boolean, t."source" is null)::text,
              'UTF8')), 16))::bit(64)::bigint)::text
    from "public"."visit" as t
    where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
    group by 1) as have(range, n, sum) using (range)
  where (sent.n, sent.sum::numeric) is distinct from (have.n, have.sum::numeric) union
  select coalesce(said.range, have.range)
  from (
    select (('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int,
    count(*), sum(('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer, t."tandem says 0"::text)::text,
              'UTF8')), 16))::bit(64)::bigint)::text
    from (
      with found0 as (
        select p."id" as k0, case when count(distinct coalesce('v' || p."name"::text, 'n')) = 1 then min(p."name"::text)::text end as value,
        count(distinct coalesce('v' || p."name"::text, 'n')) = 1 as agreed
        from "public"."clients" as p
        where (p."id") in (select t."client_id" from "public"."visit" as t)
        and true
        group by p."id")
      select t.*, found0.value as "tandem says 0"
      from "public"."visit" as t
      left join found0 on found0.k0 = t."client_id") as t
    where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
    group by 1) as said(range, n, sum) full
  join (
    select (('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int,
    count(*), sum(('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer, t."client_name"::text)::text,
              'UTF8')), 16))::bit(64)::bigint)::text
    from "public"."visit" as t
    where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
    group by 1) as have(range, n, sum) using (range)
  where (said.n, said.sum) is distinct from (have.n, have.sum)) as differs(range);
--   $1: {"3"}
--   $2: {"12"}
--   $3: {"-4711"}

-- rows that are read
(('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])

-- rows that are read, or on no such page
((('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])
  or not (t.ctid >= '(0,0)'::tid and t.ctid < '(1024,0)'::tid or t.ctid >= '(2048,0)'::tid
    and t.ctid < '(3072,0)'::tid))

-- rows that are looked at
(('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])

-- read
copy (
  select array[case when t."visit_no" is distinct from null then concat(t."visit_no") end, case
  when t."note" is distinct from null then concat(t."note") end, case when t."timefrom" is distinct from null then concat(t."timefrom") end,
  case when t."done" is distinct from null then concat(t."done") end, case
  when t."client" is distinct from null then concat(t."client") end]::text[]
  from only "public"."visits" as t
  where true and t."source"::text is distinct from 'M' and (('x' || left(md5(convert_to(row(('1'::numeric)::numeric,
              (t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])) to stdout;

-- diff: remove
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
  where t."org_id" = '1'::numeric and t."source" = 'D'::bpchar and (('x' || left(md5(convert_to(row(t."org_id"::numeric,
              t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])
  and not exists (
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
--   $4: 1073741824

-- diff: insert
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
  and (('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])
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
--   $4: 1073741824
