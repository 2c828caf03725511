-- prices, compared and repaired

-- how many rows are the desktop's
select count(*)
from "public"."prices" as t
where (t."source" = 'D'::bpchar or t."source" is null);

-- verify its rows, desktop: count
select count(*)
from only "public"."prices" as t
where true;

-- verify its rows, desktop: trial
select ('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text, 'UTF8')),
    16))::bit(64)::bigint
from only "public"."prices" as t
where false;

-- verify its rows, desktop: Ranges(1024)
select (('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text, 'UTF8')),
      16))::bit(64)::bigint & 1023)::int, count(*), sum(('x' || left(md5(convert_to(row((t."item"::text)::text,
            (t."price"::numeric)::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint)::text
from only "public"."prices" as t
where true
group by 1;

-- verify its rows, desktop: RowsIn(1024)
select ('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text, 'UTF8')),
    16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text,
        'UTF8')), 16))::bit(64)::bigint, count(*), ''
from only "public"."prices" as t
where true and (('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text,
          'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify its rows, desktop: RowsOf
select ('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text, 'UTF8')),
    16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text,
        'UTF8')), 16))::bit(64)::bigint, count(*), ''
from only "public"."prices" as t
where true and ('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify its rows, desktop: NamesOf
select ('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text, 'UTF8')),
    16))::bit(64)::bigint, array[case when (t."item"::text)::text is distinct from null then concat((t."item"::text)::text) end,
case when (t."price"::numeric)::numeric(10,2) is distinct from null then concat((t."price"::numeric)::numeric(10,2)) end]::text[],
array[]::text[]
from only "public"."prices" as t
where true and ('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, desktop: ValuesOf
select ('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text, 'UTF8')),
    16))::bit(64)::bigint, array[case when (t."item"::text)::text is distinct from null then concat((t."item"::text)::text) end,
case when (t."price"::numeric)::numeric(10,2) is distinct from null then concat((t."price"::numeric)::numeric(10,2)) end]::text[],
array[case when (t."item"::text)::text is distinct from null then concat((t."item"::text)::text) end, case
when (t."price"::numeric)::numeric(10,2) is distinct from null then concat((t."price"::numeric)::numeric(10,2)) end]::text[]
from only "public"."prices" as t
where true and ('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, cloud: count
select count(*)
from "public"."prices" as t
where (t."source" = 'D'::bpchar or t."source" is null);

-- verify its rows, cloud: trial
select ('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint
from "public"."prices" as t
where false;

-- verify its rows, cloud: Ranges(1024)
select (('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int,
count(*), sum(('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint)::text
from "public"."prices" as t
where (t."source" = 'D'::bpchar or t."source" is null)
group by 1;

-- verify its rows, cloud: RowsIn(1024)
select ('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint,
count(*), ''
from "public"."prices" as t
where (t."source" = 'D'::bpchar or t."source" is null) and (('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text,
          'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify its rows, cloud: RowsOf
select ('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint,
count(*), ''
from "public"."prices" as t
where (t."source" = 'D'::bpchar or t."source" is null) and ('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify its rows, cloud: NamesOf
select ('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint,
array[case when t."item"::text is distinct from null then concat(t."item"::text) end, case
when t."price"::numeric(10,2) is distinct from null then concat(t."price"::numeric(10,2)) end]::text[], array[]::text[]
from "public"."prices" as t
where (t."source" = 'D'::bpchar or t."source" is null) and ('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, cloud: ValuesOf
select ('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint,
array[case when t."item"::text is distinct from null then concat(t."item"::text) end, case
when t."price"::numeric(10,2) is distinct from null then concat(t."price"::numeric(10,2)) end]::text[], array[case
when t."item"::text is distinct from null then concat(t."item"::text) end, case
when t."price"::numeric(10,2) is distinct from null then concat(t."price"::numeric(10,2)) end]::text[]
from "public"."prices" as t
where (t."source" = 'D'::bpchar or t."source" is null) and ('x' || left(md5(convert_to(row(t."item"::text, t."price"::numeric(10,2))::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows: sent as it would travel
select array[case when t."item" is distinct from null then concat(t."item") end, case
when t."price" is distinct from null then concat(t."price") end]::text[]
from only "public"."prices" as t
where true and ('x' || left(md5(convert_to(row((t."item"::text)::text, (t."price"::numeric)::numeric(10,2))::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows: looked at where it arrives
select ('x' || left(md5(convert_to(row((t.c0::text)::text, (t.c1::numeric)::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row((t.c0::text)::text, (t.c1::numeric)::numeric(10,2))::text, 'UTF8')), 16))::bit(64)::bigint,
count(*), ''
from (select * from unnest($1, $2) as u(c0, c1)) as t
where true and ('x' || left(md5(convert_to(row((t.c0::text)::text, (t.c1::numeric)::numeric(10,2))::text, 'UTF8')),
    16))::bit(64)::bigint = any ($3)
group by 1, 2;

-- verify what follows: nothing


-- repair: missing
insert into "public"."prices" ("item", "price", "source")
values ('1', '1', 'D');

-- repair: different
-- both sides compute , and not alike: give it one definition; nobody can write it;

-- repair: extra
delete from "public"."prices" as t
where t."item" = '1'::text and t."price" = '1'::numeric and t."source" = 'D'::bpchar;
