-- steps of a batch of prices, whole

-- add copies
with src as materialized (
  select u.c0::text as "item", u.c1::numeric as "price", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
  from unnest($1, $2, $3) as u(c0, c1, copies)),
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
--   $1: {1, 1}
--   $2: {2, 2}
--   $3: {2, 2}

-- remove copies
with src as materialized (
  select u.c0::text as "item", u.c1::numeric as "price", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
  from unnest($1, $2, $3) as u(c0, c1, copies)),
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
--   $1: {1, 1}
--   $2: {2, 2}
--   $3: {2, 2}

-- add copies, very many, 1 of 2
with src as materialized (
  select u.c0::text as "item", u.c1::numeric as "price", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
  from unnest($1, $2, $3) as u(c0, c1, copies))
insert into "public"."prices" ("item", "price", "source")
select src."item", src."price", 'D'
from src, generate_series(1, src."tandem copies");
--   $1: {1, 1, 1, ... 2000 in all}
--   $2: {2, 2, 2, ... 2000 in all}
--   $3: {2, 2, 2, ... 2000 in all}

-- add copies, very many, 2 of 2
select
where not tandem.uncounted('"public"."prices"'::regclass, 4);

-- what follows in other tables: nothing

-- a batch that deletes many
select tandem.shrink('prices', $1, (
    select count(*)
    from (
      select
      from "public"."prices" as t
      where (t."source" = 'D'::bpchar or t."source" is null)
      limit 505) as counted), $2);
--   $1: 101
--   $2: 0.2
