-- visits, compared and repaired

-- how many rows are the desktop's
select count(*)
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null);

-- verify its rows, desktop: count
select count(*)
from only "public"."visits" as t
where true and t."source"::text is distinct from 'M';

-- verify its rows, desktop: trial
select ('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t."visit_no"::integer)::integer, (t."note")::text,
          ((
              select (timefrom::time /* the line ends */
                )
              from (
                select t."timefrom"::timestamp without time zone as "timefrom") as arriving)::time without time zone)::time without time zone,
          (t."client"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint
from only "public"."visits" as t
where false;

-- verify its rows, desktop: Ranges(1024)
select (('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t."visit_no"::integer)::integer)::text, 'UTF8')),
      16))::bit(64)::bigint & 1023)::int, count(*), sum(('x' || left(md5(convert_to(row(('1'::numeric)::numeric,
            (t."visit_no"::integer)::integer, (t."note")::text, ((
                select (timefrom::time /* the line ends */
                  )
                from (
                  select t."timefrom"::timestamp without time zone as "timefrom") as arriving)::time without time zone)::time without time zone,
            (t."client"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint)::text
from only "public"."visits" as t
where true and t."source"::text is distinct from 'M'
group by 1;

-- verify its rows, desktop: RowsIn(1024)
select ('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t."visit_no"::integer)::integer)::text, 'UTF8')),
    16))::bit(64)::bigint, ('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t."visit_no"::integer)::integer,
          (t."note")::text, ((
              select (timefrom::time /* the line ends */
                )
              from (
                select t."timefrom"::timestamp without time zone as "timefrom") as arriving)::time without time zone)::time without time zone,
          (t."client"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from only "public"."visits" as t
where true and t."source"::text is distinct from 'M' and (('x' || left(md5(convert_to(row(('1'::numeric)::numeric,
            (t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify its rows, desktop: RowsOf
select ('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t."visit_no"::integer)::integer)::text, 'UTF8')),
    16))::bit(64)::bigint, ('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t."visit_no"::integer)::integer,
          (t."note")::text, ((
              select (timefrom::time /* the line ends */
                )
              from (
                select t."timefrom"::timestamp without time zone as "timefrom") as arriving)::time without time zone)::time without time zone,
          (t."client"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from only "public"."visits" as t
where true and t."source"::text is distinct from 'M' and ('x' || left(md5(convert_to(row(('1'::numeric)::numeric,
          (t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify its rows, desktop: NamesOf
select ('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t."visit_no"::integer)::integer)::text, 'UTF8')),
    16))::bit(64)::bigint, array[case when ('1'::numeric)::numeric is distinct from null then concat(('1'::numeric)::numeric) end,
case when (t."visit_no"::integer)::integer is distinct from null then concat((t."visit_no"::integer)::integer) end]::text[],
array[]::text[]
from only "public"."visits" as t
where true and t."source"::text is distinct from 'M' and ('x' || left(md5(convert_to(row(('1'::numeric)::numeric,
          (t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, desktop: ValuesOf
select ('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t."visit_no"::integer)::integer)::text, 'UTF8')),
    16))::bit(64)::bigint, array[case when ('1'::numeric)::numeric is distinct from null then concat(('1'::numeric)::numeric) end,
case when (t."visit_no"::integer)::integer is distinct from null then concat((t."visit_no"::integer)::integer) end]::text[],
array[case when ('1'::numeric)::numeric is distinct from null then concat(('1'::numeric)::numeric) end, case
when (t."visit_no"::integer)::integer is distinct from null then concat((t."visit_no"::integer)::integer) end, case
when (t."note")::text is distinct from null then concat((t."note")::text) end, case
when ((
    select (timefrom::time /* the line ends */
      )
    from (
      select t."timefrom"::timestamp without time zone as "timefrom") as arriving)::time without time zone)::time without time zone is distinct from null then concat(((
      select (timefrom::time /* the line ends */
        )
      from (
        select t."timefrom"::timestamp without time zone as "timefrom") as arriving)::time without time zone)::time without time zone) end,
case when (t."client"::integer)::integer is distinct from null then concat((t."client"::integer)::integer) end]::text[]
from only "public"."visits" as t
where true and t."source"::text is distinct from 'M' and ('x' || left(md5(convert_to(row(('1'::numeric)::numeric,
          (t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, cloud: count
select count(*)
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null);

-- verify its rows, cloud: trial
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer, (t."note")::text, t."timefrom"::time without time zone,
          t."client_id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint
from "public"."visit" as t
where false;

-- verify its rows, cloud: Ranges(1024)
select (('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int,
count(*), sum(('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer, (t."note")::text, t."timefrom"::time without time zone,
            t."client_id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint)::text
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
group by 1;

-- verify its rows, cloud: RowsIn(1024)
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer, (t."note")::text, t."timefrom"::time without time zone,
          t."client_id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
and (('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify its rows, cloud: RowsOf
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer, (t."note")::text, t."timefrom"::time without time zone,
          t."client_id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
and ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify its rows, cloud: NamesOf
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
array[case when t."org_id"::numeric is distinct from null then concat(t."org_id"::numeric) end, case
when t."visit_no"::integer is distinct from null then concat(t."visit_no"::integer) end]::text[], array[]::text[]
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
and ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, cloud: ValuesOf
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
array[case when t."org_id"::numeric is distinct from null then concat(t."org_id"::numeric) end, case
when t."visit_no"::integer is distinct from null then concat(t."visit_no"::integer) end]::text[], array[case
when t."org_id"::numeric is distinct from null then concat(t."org_id"::numeric) end, case
when t."visit_no"::integer is distinct from null then concat(t."visit_no"::integer) end, case
when (t."note")::text is distinct from null then concat((t."note")::text) end, case
when t."timefrom"::time without time zone is distinct from null then concat(t."timefrom"::time without time zone) end,
case when t."client_id"::integer is distinct from null then concat(t."client_id"::integer) end]::text[]
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
and ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows: sent as it would travel
select array[case when t."visit_no" is distinct from null then concat(t."visit_no") end, case
when t."note" is distinct from null then concat(t."note") end, case when t."timefrom" is distinct from null then concat(t."timefrom") end,
case when t."done" is distinct from null then concat(t."done") end, case
when t."client" is distinct from null then concat(t."client") end]::text[]
from only "public"."visits" as t
where true and t."source"::text is distinct from 'M' and ('x' || left(md5(convert_to(row(('1'::numeric)::numeric,
          (t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows: looked at where it arrives
select ('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t.c0::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t.c0::integer)::integer, (t.c1)::text, ((
              select (timefrom::time /* the line ends */
                )
              from (select t.c2::timestamp without time zone as "timefrom") as arriving)::time without time zone)::time without time zone,
          (t.c4::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from (
  select *
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, c2, c3, c4)) as t
where true and ('x' || left(md5(convert_to(row(('1'::numeric)::numeric, (t.c0::integer)::integer)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($6)
group by 1, 2;

-- verify what follows, desktop: count
select count(*)
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
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null);

-- verify what follows, desktop: trial
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer, t."tandem says 0"::text)::text,
        'UTF8')), 16))::bit(64)::bigint
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
where false;

-- verify what follows, desktop: Ranges(1024)
select (('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int,
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
group by 1;

-- verify what follows, desktop: RowsIn(1024)
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer, t."tandem says 0"::text)::text, 'UTF8')),
    16))::bit(64)::bigint, count(*), ''
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
and (('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify what follows, desktop: RowsOf
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer, t."tandem says 0"::text)::text, 'UTF8')),
    16))::bit(64)::bigint, count(*), ''
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
and ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify what follows, desktop: NamesOf
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
array[case when t."org_id"::numeric is distinct from null then concat(t."org_id"::numeric) end, case
when t."visit_no"::integer is distinct from null then concat(t."visit_no"::integer) end]::text[], array[]::text[]
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
and ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify what follows, desktop: ValuesOf
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
array[case when t."org_id"::numeric is distinct from null then concat(t."org_id"::numeric) end, case
when t."visit_no"::integer is distinct from null then concat(t."visit_no"::integer) end]::text[], array[case
when t."org_id"::numeric is distinct from null then concat(t."org_id"::numeric) end, case
when t."visit_no"::integer is distinct from null then concat(t."visit_no"::integer) end, case
when t."tandem says 0"::text is distinct from null then concat(t."tandem says 0"::text) end]::text[]
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
and ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify what follows, cloud: count
select count(*)
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null);

-- verify what follows, cloud: trial
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer, t."client_name"::text)::text,
        'UTF8')), 16))::bit(64)::bigint
from "public"."visit" as t
where false;

-- verify what follows, cloud: Ranges(1024)
select (('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int,
count(*), sum(('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer, t."client_name"::text)::text,
          'UTF8')), 16))::bit(64)::bigint)::text
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
group by 1;

-- verify what follows, cloud: RowsIn(1024)
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer, t."client_name"::text)::text, 'UTF8')),
    16))::bit(64)::bigint, count(*), ''
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
and (('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify what follows, cloud: RowsOf
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer, t."client_name"::text)::text, 'UTF8')),
    16))::bit(64)::bigint, count(*), ''
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
and ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify what follows, cloud: NamesOf
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
array[case when t."org_id"::numeric is distinct from null then concat(t."org_id"::numeric) end, case
when t."visit_no"::integer is distinct from null then concat(t."visit_no"::integer) end]::text[], array[]::text[]
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
and ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify what follows, cloud: ValuesOf
select ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
array[case when t."org_id"::numeric is distinct from null then concat(t."org_id"::numeric) end, case
when t."visit_no"::integer is distinct from null then concat(t."visit_no"::integer) end]::text[], array[case
when t."org_id"::numeric is distinct from null then concat(t."org_id"::numeric) end, case
when t."visit_no"::integer is distinct from null then concat(t."visit_no"::integer) end, case
when t."client_name"::text is distinct from null then concat(t."client_name"::text) end]::text[]
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
and ('x' || left(md5(convert_to(row(t."org_id"::numeric, t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- repair: missing
insert into "public"."visit" ("org_id", "visit_no", "note", "timefrom", "client_id", "source")
values ('1', '1', '1', '1', '1', 'D');

-- repair: different
update "public"."visit" as t
set "note" = '1', "timefrom" = '1', "client_id" = '1'
where t."org_id" = '1'::numeric and t."visit_no" = '1'::integer and t."org_id" = '1'::numeric
and (t."source" = 'D'::bpchar or t."source" is null);

-- repair: extra
delete from "public"."visit" as t
where t."org_id" = '1'::numeric and t."visit_no" = '1'::integer and t."org_id" = '1'::numeric
and t."source" = 'D'::bpchar;

-- repair: it follows
update "public"."visit" as t
set "client_name" = '1'
where t."org_id" = '1'::numeric and t."visit_no" = '1'::integer and t."org_id" = '1'::numeric
and (t."source" = 'D'::bpchar or t."source" is null);

-- repair: it comes home
insert into tandem.outbox (replicator, "table", key, op)
values ('office-1', 'visits', array['1']::text[], 'R');
