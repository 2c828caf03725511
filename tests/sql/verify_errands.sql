-- errands, compared and repaired

-- how many rows are the desktop's
select count(*)
from "public"."errands" as t
where (t."source" = 'D'::bpchar or t."source" is null);

-- verify its rows, desktop: count
select count(*)
from only "public"."errands" as t
where true;

-- verify its rows, desktop: trial
select ('x' || left(md5(convert_to(row((t."what"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint
from only "public"."errands" as t
where false;

-- verify its rows, desktop: Ranges(1024)
select (('x' || left(md5(convert_to(row((t."what"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int,
count(*), sum(('x' || left(md5(convert_to(row((t."what"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint)::text
from only "public"."errands" as t
where true
group by 1;

-- verify its rows, desktop: RowsIn(1024)
select ('x' || left(md5(convert_to(row((t."what"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t."what"::text)::text)::text,
        'UTF8')), 16))::bit(64)::bigint, count(*), ''
from only "public"."errands" as t
where true and (('x' || left(md5(convert_to(row((t."what"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify its rows, desktop: RowsOf
select ('x' || left(md5(convert_to(row((t."what"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t."what"::text)::text)::text,
        'UTF8')), 16))::bit(64)::bigint, count(*), ''
from only "public"."errands" as t
where true and ('x' || left(md5(convert_to(row((t."what"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify its rows, desktop: NamesOf
select ('x' || left(md5(convert_to(row((t."what"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when (t."what"::text)::text is distinct from null then concat((t."what"::text)::text) end]::text[], array[]::text[]
from only "public"."errands" as t
where true and ('x' || left(md5(convert_to(row((t."what"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, desktop: ValuesOf
select ('x' || left(md5(convert_to(row((t."what"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when (t."what"::text)::text is distinct from null then concat((t."what"::text)::text) end]::text[], array[case
when (t."what"::text)::text is distinct from null then concat((t."what"::text)::text) end]::text[]
from only "public"."errands" as t
where true and ('x' || left(md5(convert_to(row((t."what"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, cloud: count
select count(*)
from "public"."errands" as t
where (t."source" = 'D'::bpchar or t."source" is null);

-- verify its rows, cloud: trial
select ('x' || left(md5(convert_to(row(t."what"::text)::text, 'UTF8')), 16))::bit(64)::bigint
from "public"."errands" as t
where false;

-- verify its rows, cloud: Ranges(1024)
select (('x' || left(md5(convert_to(row(t."what"::text)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int, count(*),
sum(('x' || left(md5(convert_to(row(t."what"::text)::text, 'UTF8')), 16))::bit(64)::bigint)::text
from "public"."errands" as t
where (t."source" = 'D'::bpchar or t."source" is null)
group by 1;

-- verify its rows, cloud: RowsIn(1024)
select ('x' || left(md5(convert_to(row(t."what"::text)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row(t."what"::text)::text,
        'UTF8')), 16))::bit(64)::bigint, count(*), ''
from "public"."errands" as t
where (t."source" = 'D'::bpchar or t."source" is null) and (('x' || left(md5(convert_to(row(t."what"::text)::text,
          'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify its rows, cloud: RowsOf
select ('x' || left(md5(convert_to(row(t."what"::text)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row(t."what"::text)::text,
        'UTF8')), 16))::bit(64)::bigint, count(*), ''
from "public"."errands" as t
where (t."source" = 'D'::bpchar or t."source" is null) and ('x' || left(md5(convert_to(row(t."what"::text)::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify its rows, cloud: NamesOf
select ('x' || left(md5(convert_to(row(t."what"::text)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when t."what"::text is distinct from null then concat(t."what"::text) end]::text[], array[]::text[]
from "public"."errands" as t
where (t."source" = 'D'::bpchar or t."source" is null) and ('x' || left(md5(convert_to(row(t."what"::text)::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, cloud: ValuesOf
select ('x' || left(md5(convert_to(row(t."what"::text)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when t."what"::text is distinct from null then concat(t."what"::text) end]::text[], array[case
when t."what"::text is distinct from null then concat(t."what"::text) end]::text[]
from "public"."errands" as t
where (t."source" = 'D'::bpchar or t."source" is null) and ('x' || left(md5(convert_to(row(t."what"::text)::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows: sent as it would travel
select array[case when t."what" is distinct from null then concat(t."what") end, case
when t."done" is distinct from null then concat(t."done") end]::text[]
from only "public"."errands" as t
where true and ('x' || left(md5(convert_to(row((t."what"::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows: looked at where it arrives
select ('x' || left(md5(convert_to(row((t.c0::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t.c0::text)::text)::text,
        'UTF8')), 16))::bit(64)::bigint, count(*), ''
from (select * from unnest($1, $2) as u(c0, c1)) as t
where true and ('x' || left(md5(convert_to(row((t.c0::text)::text)::text, 'UTF8')), 16))::bit(64)::bigint = any ($3)
group by 1, 2;

-- verify what follows: nothing


-- repair: missing
insert into "public"."errands" ("what", "source")
values ('1', 'D');

-- repair: different
-- both sides compute , and not alike: give it one definition; nobody can write it;

-- repair: extra
delete from "public"."errands" as t
where t."what" = '1'::text and t."source" = 'D'::bpchar;

-- repair: it comes home
insert into tandem.outbox (replicator, "table", key, op)
values ('office-1', 'errands', array['1']::text[], 'R');
