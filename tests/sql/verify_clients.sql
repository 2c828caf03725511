-- clients, compared and repaired

-- how many rows are the desktop's
select count(*)
from "public"."clients" as t
where true;

-- verify its rows, desktop: count
select count(*)
from only "public"."clients" as t
where true;

-- verify its rows, desktop: trial
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer, (t."name"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint
from only "public"."clients" as t
where false;

-- verify its rows, desktop: Ranges(1024)
select (('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int,
count(*), sum(('x' || left(md5(convert_to(row((t."id"::integer)::integer, (t."name"::text)::text)::text, 'UTF8')),
      16))::bit(64)::bigint)::text
from only "public"."clients" as t
where true
group by 1;

-- verify its rows, desktop: RowsIn(1024)
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t."id"::integer)::integer,
          (t."name"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from only "public"."clients" as t
where true and (('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify its rows, desktop: RowsOf
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t."id"::integer)::integer,
          (t."name"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from only "public"."clients" as t
where true and ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify its rows, desktop: NamesOf
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when (t."id"::integer)::integer is distinct from null then concat((t."id"::integer)::integer) end]::text[], array[]::text[]
from only "public"."clients" as t
where true and ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, desktop: ValuesOf
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when (t."id"::integer)::integer is distinct from null then concat((t."id"::integer)::integer) end]::text[], array[case
when (t."id"::integer)::integer is distinct from null then concat((t."id"::integer)::integer) end, case
when (t."name"::text)::text is distinct from null then concat((t."name"::text)::text) end]::text[]
from only "public"."clients" as t
where true and ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, cloud: count
select count(*)
from "public"."clients" as t
where true;

-- verify its rows, cloud: trial
select ('x' || left(md5(convert_to(row(t."id"::integer, t."name"::text)::text, 'UTF8')), 16))::bit(64)::bigint
from "public"."clients" as t
where false;

-- verify its rows, cloud: Ranges(1024)
select (('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int, count(*),
sum(('x' || left(md5(convert_to(row(t."id"::integer, t."name"::text)::text, 'UTF8')), 16))::bit(64)::bigint)::text
from "public"."clients" as t
where true
group by 1;

-- verify its rows, cloud: RowsIn(1024)
select ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row(t."id"::integer,
          t."name"::text)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from "public"."clients" as t
where true and (('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify its rows, cloud: RowsOf
select ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row(t."id"::integer,
          t."name"::text)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from "public"."clients" as t
where true and ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify its rows, cloud: NamesOf
select ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when t."id"::integer is distinct from null then concat(t."id"::integer) end]::text[], array[]::text[]
from "public"."clients" as t
where true and ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, cloud: ValuesOf
select ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when t."id"::integer is distinct from null then concat(t."id"::integer) end]::text[], array[case
when t."id"::integer is distinct from null then concat(t."id"::integer) end, case
when t."name"::text is distinct from null then concat(t."name"::text) end]::text[]
from "public"."clients" as t
where true and ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows: sent as it would travel
select array[case when t."id" is distinct from null then concat(t."id") end, case
when t."name" is distinct from null then concat(t."name") end]::text[]
from only "public"."clients" as t
where true and ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows: looked at where it arrives
select ('x' || left(md5(convert_to(row((t.c0::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t.c0::integer)::integer,
          (t.c1::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from (select * from unnest($1, $2) as u(c0, c1)) as t
where true and ('x' || left(md5(convert_to(row((t.c0::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($3)
group by 1, 2;

-- verify what follows: nothing


-- repair: missing
insert into "public"."clients" ("id", "name")
values ('1', '1');

-- repair: different
update "public"."clients" as t
set "name" = '1'
where t."id" = '1'::integer;

-- repair: extra
delete from "public"."clients" as t
where t."id" = '1'::integer;
