-- steps of a batch of errands, whole

-- add copies
with src as materialized (
  select u.c0::text as "what", u.c1::integer as "done", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
  from unnest($1, $2, $3) as u(c0, c1, copies)),
added as (
  insert into "public"."errands" ("what", "done", "source")
  select src."what", src."done", 'D'
  from src, generate_series(1, src."tandem copies")
  returning 1)
select
from (select (select count(*) from added) as n) as done
where case when done.n < (
  select coalesce(sum(src."tandem copies"), 0)::bigint
  from src) and tandem.keepers('"public"."errands"'::regclass, 4) is not null then tandem.kept_out('errands', '"public"."errands"'::regclass,
  4, done.n, (
    select coalesce(sum(src."tandem copies"), 0)::bigint
    from src), false) else false end;
--   $1: {1, 1}
--   $2: {2, 2}
--   $3: {2, 2}

-- remove copies
with src as materialized (
  select u.c0::text as "what", u.copies::bigint as "tandem copies", row_number() over () as "tandem row", array[u.c1]::text[] as "tandem look"
  from unnest($1, $2, $3) as u(c0, c1, copies)),
looks as (
  select row(src."what"::text)::record::text as name, src."tandem look" as look, sum(src."tandem copies") as copies
  from src
  group by 1, 2),
named as (
  select looks.name, sum(looks.copies) as copies
  from looks
  group by 1),
have as (
  select t.tableoid as part, t.ctid as at, row(t."what"::text)::record::text as name, array[case
  when t."done" is distinct from null then concat(t."done"::integer) end]::text[] as look
  from "public"."errands" as t
  where exists (
    select
    from src
    where row(t."what"::text)::record *= row(src."what"::text)::record)
  and t."source" = 'D'::bpchar),
same as (
  select have.*, row_number() over (partition by have.name, have.look) as nth
  from have),
hit as (
  select same.part, same.at, row_number() over (partition by same.name
    order by same.nth <= coalesce(looks.copies, 0) desc) as nth, named.copies
  from same
  join named using (name)
  left join looks using (name, look)),
gone as (
  delete from "public"."errands" as t using hit
  where t.tableoid = hit.part and t.ctid = hit.at and hit.nth <= hit.copies
  and t."source" = 'D'::bpchar
  returning 1)
select
from (select (select count(*) from gone) as n) as done
where case when done.n < (
  select coalesce(sum(src."tandem copies"), 0)::bigint
  from src) and tandem.keepers('"public"."errands"'::regclass, 8) is not null then tandem.kept_out('errands', '"public"."errands"'::regclass,
  8, done.n, (select count(*) from hit where hit.nth <= hit.copies), false)
else false end;
--   $1: {1, 1}
--   $2: {2, 2}
--   $3: {2, 2}

-- add copies, very many, 1 of 2
with src as materialized (
  select u.c0::text as "what", u.c1::integer as "done", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
  from unnest($1, $2, $3) as u(c0, c1, copies))
insert into "public"."errands" ("what", "done", "source")
select src."what", src."done", 'D'
from src, generate_series(1, src."tandem copies");
--   $1: {1, 1, 1, ... 2000 in all}
--   $2: {2, 2, 2, ... 2000 in all}
--   $3: {2, 2, 2, ... 2000 in all}

-- add copies, very many, 2 of 2
select
where not tandem.uncounted('"public"."errands"'::regclass, 4);

-- what follows in other tables: nothing

-- a batch that deletes many
select tandem.shrink('errands', $1, (
    select count(*)
    from (
      select
      from "public"."errands" as t
      where (t."source" = 'D'::bpchar or t."source" is null)
      limit 505) as counted), $2);
--   $1: 101
--   $2: 0.2
