-- staff, as far as both sides differ

-- any rows
select true
from "public"."staff" as t
where exists (
  select
  from "public"."clients" as tp
  where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
  or t."source" is null)
limit 1;

-- a piece is written
insert into tandem.piece (replicator, "table", first_page, next_page)
values ($1, $2, $3, $4)
on conflict (replicator, "table", first_page) do update
set next_page = excluded.next_page;
--   $1: office-1
--   $2: staff
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
--   $2: staff

-- no pieces any more
delete from tandem.piece
where replicator = $1 and "table" = $2;
--   $1: office-1
--   $2: staff

-- equal beside the staged
select set_config('tandem.equal', (current_setting('tandem.equal')::bigint + $1)::text, true)
where current_setting('tandem.equal', true) not in ('', 'unknown');
--   $1: 7

-- the desktop's sums
copy (
  select (('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text, 'UTF8')),
        16))::bit(64)::bigint & 2047)::int, count(*), sum(('x' || left(md5(convert_to(row((t."staff no"::integer)::integer,
              (t."branch"::text)::text, (t."boss"::integer)::integer, (t."client_id"::integer)::integer, false)::text,
            'UTF8')), 16))::bit(64)::bigint)::text
  from only "public"."staff" as t
  where true
  group by 1) to stdout;

-- the sums of some pages
copy (
  select (('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text, 'UTF8')),
        16))::bit(64)::bigint & 2047)::int, count(*), sum(('x' || left(md5(convert_to(row((t."staff no"::integer)::integer,
              (t."branch"::text)::text, (t."boss"::integer)::integer, (t."client_id"::integer)::integer, false)::text,
            'UTF8')), 16))::bit(64)::bigint)::text
  from only "public"."staff" as t
  where true and (t.ctid >= '(0,0)'::tid and t.ctid < '(1024,0)'::tid or t.ctid >= '(2048,0)'::tid
    and t.ctid < '(3072,0)'::tid)
  group by 1) to stdout;

-- ranges that differ
select string_agg(differs.range::text, ',')
from (
  select coalesce(sent.range, have.range)
  from unnest($1, $2, $3) as sent(range, n, sum) full
  join (
    select (('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text)::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int,
    count(*), sum(('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text, t."boss"::integer, t."client_id"::integer,
                t."source" is null)::text, 'UTF8')), 16))::bit(64)::bigint)::text
    from "public"."staff" as t
    where exists (
      select
      from "public"."clients" as tp
      where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
      or t."source" is null)
    group by 1) as have(range, n, sum) using (range)
  where (sent.n, sent.sum::numeric) is distinct from (have.n, have.sum::numeric)) as differs(range);
--   $1: {"3"}
--   $2: {"12"}
--   $3: {"-4711"}

-- rows that are read
(('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])

-- rows that are read, or on no such page
((('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])
  or not (t.ctid >= '(0,0)'::tid and t.ctid < '(1024,0)'::tid or t.ctid >= '(2048,0)'::tid
    and t.ctid < '(3072,0)'::tid))

-- rows that are looked at
(('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text)::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])

-- read
copy (
  select array[case when t."staff no" is distinct from null then concat(t."staff no") end, case
  when t."branch" is distinct from null then concat(t."branch") end, case
  when t."boss" is distinct from null then concat(t."boss") end, case when t."client_id" is distinct from null then concat(t."client_id") end]::text[]
  from only "public"."staff" as t
  where true and (('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text,
            'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])) to stdout;

-- diff: remove
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select row(src."staff no"::integer, src."branch"::text)::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."staff no"::integer, t."branch"::text)::record::text as name, row_number() over (partition by row(t."staff no"::integer,
      t."branch"::text)::record::text) as nth
  from "public"."staff" as t
  where exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  and (('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text)::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])
  and not exists (
    select
    from tandem.quarantine as q
    where q.replicator = $1 and q.direction = 'forward' and q."table" = $3
    and q.sqlstate in ('TD007', '22021') and q.key_hash = md5(array[(array[case
        when t."staff no" is distinct from null then concat(t."staff no") end, case
        when t."branch" is distinct from null then concat(t."branch") end, case
        when t."boss" is distinct from null then concat(t."boss") end, case
        when t."client_id" is distinct from null then concat(t."client_id") end]::text[])[1], (array[case
        when t."staff no" is distinct from null then concat(t."staff no") end, case
        when t."branch" is distinct from null then concat(t."branch") end, case
        when t."boss" is distinct from null then concat(t."boss") end, case
        when t."client_id" is distinct from null then concat(t."client_id") end]::text[])[2]]::text[]::text) collate "C")),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true'),
done as (
  delete from "public"."staff" as t using extra
  where t.tableoid = extra.part and t.ctid = extra.at and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  returning 1)
select case set_config('tandem.deleted', (select count(*) from done)::text, true)
when '' then '' end;
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741824

-- diff: insert
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.cells[3]::integer as "boss", u.cells[4]::integer as "client_id",
  u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select src.*, row(src."staff no"::integer, src."branch"::text)::record::text as "tandem name", row_number() over (partition by row(src."staff no"::integer,
      src."branch"::text)::record::text) as "tandem nth"
  from src),
have as (
  select row(t."staff no"::integer, t."branch"::text)::record::text as name, count(*) as copies
  from "public"."staff" as t
  where exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
    or t."source" is null) and (('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text)::text,
            'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])
  group by 1),
done as (
  insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
  select src."staff no", src."branch", src."boss", src."client_id", 'D'
  from want as src
  left join have on have.name = src."tandem name"
  where src."tandem nth" > coalesce(have.copies, 0) and case when exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
  when exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
  returning 1)
select case set_config('tandem.inserted', (select count(*) from done)::text, true)
when '' then '' end;
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741824
