-- prices, as far as both sides differ

-- any rows
select true
from "public"."prices" as t
where (t."source" = 'D'::bpchar or t."source" is null)
limit 1;

-- a piece is written
insert into tandem.piece (replicator, "table", first_page, next_page)
values ($1, $2, $3, $4)
on conflict (replicator, "table", first_page) do update
set next_page = excluded.next_page;
--   $1: office-1
--   $2: prices
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
--   $2: prices

-- no pieces any more
delete from tandem.piece
where replicator = $1 and "table" = $2;
--   $1: office-1
--   $2: prices

-- equal beside the staged
select set_config('tandem.equal', (current_setting('tandem.equal')::bigint + $1)::text, true)
where current_setting('tandem.equal', true) not in ('', 'unknown');
--   $1: 7

-- the desktop's sums
copy (
  select (('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text, 'UTF8')),
        16))::bit(64)::bigint & 2047)::int, count(*), sum(('x' || left(md5(convert_to(row((t."item"::text)::text,
              (t."price"::numeric)::numeric(10,2), false)::text, 'UTF8')), 16))::bit(64)::bigint)::text
  from only "public"."prices" as t
  where true
  group by 1) to stdout;

-- the sums of some pages
copy (
  select (('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text, 'UTF8')),
        16))::bit(64)::bigint & 2047)::int, count(*), sum(('x' || left(md5(convert_to(row((t."item"::text)::text,
              (t."price"::numeric)::numeric(10,2), false)::text, 'UTF8')), 16))::bit(64)::bigint)::text
  from only "public"."prices" as t
  where true and (t.ctid >= '(0,0)'::tid and t.ctid < '(1024,0)'::tid or t.ctid >= '(2048,0)'::tid
    and t.ctid < '(3072,0)'::tid)
  group by 1) to stdout;

-- ranges that differ
select string_agg(differs.range::text, ',')
from (
  select coalesce(sent.range, have.range)
  from unnest($1, $2, $3) as sent(range, n, sum) full
  join (
    select (('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int,
    count(*), sum(('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2), t."source" is null)::text,
              'UTF8')), 16))::bit(64)::bigint)::text
    from "public"."prices" as t
    where (t."source" = 'D'::bpchar or t."source" is null)
    group by 1) as have(range, n, sum) using (range)
  where (sent.n, sent.sum::numeric) is distinct from (have.n, have.sum::numeric)) as differs(range);
--   $1: {"3"}
--   $2: {"12"}
--   $3: {"-4711"}

-- rows that are read
(('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])

-- rows that are read, or on no such page
((('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text, 'UTF8')),
        16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[]) or not (t.ctid >= '(0,0)'::tid
    and t.ctid < '(1024,0)'::tid or t.ctid >= '(2048,0)'::tid and t.ctid < '(3072,0)'::tid))

-- rows that are looked at
(('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])

-- read
copy (
  select array[case when t."item" is distinct from null then concat(t."item") end, case
  when t."price" is distinct from null then concat(t."price") end]::text[]
  from only "public"."prices" as t
  where true and (('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text,
            'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])) to stdout;

-- diff: remove
with src as materialized (
  select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
want as (
  select row(src."item"::text, src."price"::numeric(10,2))::record::text as name, count(*) as copies
  from src
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."item"::text, t."price"::numeric(10,2))::record::text as name,
  row_number() over (partition by row(t."item"::text, t."price"::numeric(10,2))::record::text) as nth
  from "public"."prices" as t
  where t."source" = 'D'::bpchar and (('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text,
            'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])),
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
  where (t."source" = 'D'::bpchar or t."source" is null) and (('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text,
            'UTF8')), 16))::bit(64)::bigint & 2047)::int = any ('{3,17}'::int[])
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
