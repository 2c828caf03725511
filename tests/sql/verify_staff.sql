-- staff, compared and repaired

-- how many rows are the desktop's
select count(*)
from "public"."staff" as t
where exists (
  select
  from "public"."clients" as tp
  where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
  or t."source" is null);

-- verify its rows, desktop: count
select count(*)
from only "public"."staff" as t
where true;

-- verify its rows, desktop: trial
select ('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text, (t."boss"::integer)::integer,
          (t."client_id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint
from only "public"."staff" as t
where false;

-- verify its rows, desktop: Ranges(1024)
select (('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text, 'UTF8')),
      16))::bit(64)::bigint & 1023)::int, count(*), sum(('x' || left(md5(convert_to(row((t."staff no"::integer)::integer,
            (t."branch"::text)::text, (t."boss"::integer)::integer, (t."client_id"::integer)::integer)::text, 'UTF8')),
      16))::bit(64)::bigint)::text
from only "public"."staff" as t
where true
group by 1;

-- verify its rows, desktop: RowsIn(1024)
select ('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text, 'UTF8')),
    16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text,
          (t."boss"::integer)::integer, (t."client_id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
count(*), ''
from only "public"."staff" as t
where true and (('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text,
          'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify its rows, desktop: RowsOf
select ('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text, 'UTF8')),
    16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text,
          (t."boss"::integer)::integer, (t."client_id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
count(*), ''
from only "public"."staff" as t
where true and ('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify its rows, desktop: NamesOf
select ('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text, 'UTF8')),
    16))::bit(64)::bigint, array[case when (t."staff no"::integer)::integer is distinct from null then concat((t."staff no"::integer)::integer) end,
case when (t."branch"::text)::text is distinct from null then concat((t."branch"::text)::text) end]::text[], array[]::text[]
from only "public"."staff" as t
where true and ('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, desktop: ValuesOf
select ('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text, 'UTF8')),
    16))::bit(64)::bigint, array[case when (t."staff no"::integer)::integer is distinct from null then concat((t."staff no"::integer)::integer) end,
case when (t."branch"::text)::text is distinct from null then concat((t."branch"::text)::text) end]::text[], array[case
when (t."staff no"::integer)::integer is distinct from null then concat((t."staff no"::integer)::integer) end, case
when (t."branch"::text)::text is distinct from null then concat((t."branch"::text)::text) end, case
when (t."boss"::integer)::integer is distinct from null then concat((t."boss"::integer)::integer) end, case
when (t."client_id"::integer)::integer is distinct from null then concat((t."client_id"::integer)::integer) end]::text[]
from only "public"."staff" as t
where true and ('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, cloud: count
select count(*)
from "public"."staff" as t
where exists (
  select
  from "public"."clients" as tp
  where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
  or t."source" is null);

-- verify its rows, cloud: trial
select ('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text, t."boss"::integer, t."client_id"::integer)::text,
        'UTF8')), 16))::bit(64)::bigint
from "public"."staff" as t
where false;

-- verify its rows, cloud: Ranges(1024)
select (('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int,
count(*), sum(('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text, t."boss"::integer, t."client_id"::integer)::text,
          'UTF8')), 16))::bit(64)::bigint)::text
from "public"."staff" as t
where exists (
  select
  from "public"."clients" as tp
  where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
  or t."source" is null)
group by 1;

-- verify its rows, cloud: RowsIn(1024)
select ('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text)::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text, t."boss"::integer, t."client_id"::integer)::text,
        'UTF8')), 16))::bit(64)::bigint, count(*), ''
from "public"."staff" as t
where exists (
  select
  from "public"."clients" as tp
  where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
  or t."source" is null) and (('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text)::text, 'UTF8')),
      16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify its rows, cloud: RowsOf
select ('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text)::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text, t."boss"::integer, t."client_id"::integer)::text,
        'UTF8')), 16))::bit(64)::bigint, count(*), ''
from "public"."staff" as t
where exists (
  select
  from "public"."clients" as tp
  where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
  or t."source" is null) and ('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify its rows, cloud: NamesOf
select ('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text)::text, 'UTF8')), 16))::bit(64)::bigint,
array[case when t."staff no"::integer is distinct from null then concat(t."staff no"::integer) end, case
when t."branch"::text is distinct from null then concat(t."branch"::text) end]::text[], array[]::text[]
from "public"."staff" as t
where exists (
  select
  from "public"."clients" as tp
  where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
  or t."source" is null) and ('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($1);

-- verify its rows, cloud: ValuesOf
select ('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text)::text, 'UTF8')), 16))::bit(64)::bigint,
array[case when t."staff no"::integer is distinct from null then concat(t."staff no"::integer) end, case
when t."branch"::text is distinct from null then concat(t."branch"::text) end]::text[], array[case
when t."staff no"::integer is distinct from null then concat(t."staff no"::integer) end, case
when t."branch"::text is distinct from null then concat(t."branch"::text) end, case
when t."boss"::integer is distinct from null then concat(t."boss"::integer) end, case
when t."client_id"::integer is distinct from null then concat(t."client_id"::integer) end]::text[]
from "public"."staff" as t
where exists (
  select
  from "public"."clients" as tp
  where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
  or t."source" is null) and ('x' || left(md5(convert_to(row(t."staff no"::integer, t."branch"::text)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($1);

-- verify its rows: sent as it would travel
select array[case when t."staff no" is distinct from null then concat(t."staff no") end, case
when t."branch" is distinct from null then concat(t."branch") end, case
when t."boss" is distinct from null then concat(t."boss") end, case when t."client_id" is distinct from null then concat(t."client_id") end]::text[]
from only "public"."staff" as t
where true and ('x' || left(md5(convert_to(row((t."staff no"::integer)::integer, (t."branch"::text)::text)::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows: looked at where it arrives
select ('x' || left(md5(convert_to(row((t.c0::integer)::integer, (t.c1::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row((t.c0::integer)::integer, (t.c1::text)::text, (t.c2::integer)::integer, (t.c3::integer)::integer)::text,
        'UTF8')), 16))::bit(64)::bigint, count(*), ''
from (select * from unnest($1, $2, $3, $4) as u(c0, c1, c2, c3)) as t
where true and ('x' || left(md5(convert_to(row((t.c0::integer)::integer, (t.c1::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint = any ($5)
group by 1, 2;

-- verify what follows: nothing


-- repair: missing
insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
values ('1', '1', '1', '1', 'D');

-- repair: different
update "public"."staff" as t
set "boss" = '1', "client_id" = '1'
where t."staff no" = '1'::integer and t."branch" = '1'::text and exists (
  select
  from "public"."clients" as tp
  where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
  or t."source" is null);

-- repair: extra
delete from "public"."staff" as t
where t."staff no" = '1'::integer and t."branch" = '1'::text and exists (
  select
  from "public"."clients" as tp
  where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar;
