-- staged steps of prices

-- add copies, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 3
--   $5: 1000

-- add copies, 2 of 2
with src as materialized (
  select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
added as (
  insert into "public"."prices" ("item", "price", "source")
  select src."item", src."price", 'D'
  from src, generate_series(1, src."tandem copies")
  returning 1)
select
from (select (select count(*) from added) as n) as done
where case when done.n < (
  select coalesce(sum(src."tandem copies"), 0)::bigint
  from src) and tandem.keepers('"public"."prices"'::regclass, 4) is not null then tandem.kept_out('prices', '"public"."prices"'::regclass,
  4, done.n, (
    select coalesce(sum(src."tandem copies"), 0)::bigint
    from src), false) else false end;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 3

-- remove copies, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 3
--   $5: 1000

-- remove copies, 2 of 2
with src as materialized (
  select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
hit as (
  select t.tableoid as part, t.ctid as at, row_number() over (partition by src."tandem row") as nth, src."tandem copies" as copies
  from "public"."prices" as t
  join src on row(t."item"::text, t."price"::numeric(10,2))::record *= row(src."item"::text, src."price"::numeric(10,2))::record
  where t."source" = 'D'::bpchar),
gone as (
  delete from "public"."prices" as t using hit
  where t.tableoid = hit.part and t.ctid = hit.at and hit.nth <= hit.copies
  and t."source" = 'D'::bpchar
  returning 1)
select
from (select (select count(*) from gone) as n) as done
where case when done.n < (
  select coalesce(sum(src."tandem copies"), 0)::bigint
  from src) and tandem.keepers('"public"."prices"'::regclass, 8) is not null then tandem.kept_out('prices', '"public"."prices"'::regclass,
  8, done.n, (select count(*) from hit where hit.nth <= hit.copies), false)
else false end;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 3

-- add copies, the table was emptied first, 1 of 7
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 3
--   $5: 1000

-- add copies, the table was emptied first, 2 of 7
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
  where t."source" = 'D'::bpchar),
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
--   $4: 3

-- add copies, the table was emptied first, 3 of 7
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
  where t."source" = 'D'::bpchar),
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
--   $4: 3

-- add copies, the table was emptied first, 4 of 7
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
  where t."source" = 'D'::bpchar),
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
--   $4: 3

-- add copies, the table was emptied first, 5 of 7
select tandem.void_parked($1, $2);
--   $1: office-1
--   $2: prices

-- add copies, the table was emptied first, 6 of 7
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
--   $4: 3

-- add copies, the table was emptied first, 7 of 7
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
--   $4: 3
