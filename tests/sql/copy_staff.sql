-- staff as a whole

-- read
copy (
  select array[case when t."staff no" is distinct from null then concat(t."staff no") end, case
  when t."branch" is distinct from null then concat(t."branch") end, case
  when t."boss" is distinct from null then concat(t."boss") end, case when t."client_id" is distinct from null then concat(t."client_id") end]::text[]
  from only "public"."staff" as t
  where true) to stdout;

-- read, rows that are not too large
copy (
  select array[case when t."staff no" is distinct from null then concat(t."staff no") end, case
  when t."branch" is distinct from null then concat(t."branch") end, case
  when t."boss" is distinct from null then concat(t."boss") end, case when t."client_id" is distinct from null then concat(t."client_id") end]::text[]
  from only "public"."staff" as t
  where true and octet_length(array[case when t."staff no" is distinct from null then concat(t."staff no") end,
    case when t."branch" is distinct from null then concat(t."branch") end, case
    when t."boss" is distinct from null then concat(t."boss") end, case
    when t."client_id" is distinct from null then concat(t."client_id") end]::text[]::text) <= 1000) to stdout;

-- read, keys of those that are
copy (
  select array[case when t."staff no" is distinct from null then concat(t."staff no") end, case
  when t."branch" is distinct from null then concat(t."branch") end, null, null]::text[]
  from only "public"."staff" as t
  where true and octet_length(array[case when t."staff no" is distinct from null then concat(t."staff no") end,
    case when t."branch" is distinct from null then concat(t."branch") end, case
    when t."boss" is distinct from null then concat(t."boss") end, case
    when t."client_id" is distinct from null then concat(t."client_id") end]::text[]::text) > 1000) to stdout;

-- read, to be compared
select array[case when t."staff no" is distinct from null then concat(t."staff no") end, case
when t."branch" is distinct from null then concat(t."branch") end, case
when t."boss" is distinct from null then concat(t."boss") end, case when t."client_id" is distinct from null then concat(t."client_id") end]::text[] as cells,
1::bigint as n
from only "public"."staff" as t
where true;

-- digest on the desktop
select count(*), coalesce(sum(hashtextextended(row((t."staff no"::integer)::integer, (t."branch"::text)::text, (t."boss"::integer)::integer,
        (t."client_id"::integer)::integer)::text, 0)), 0)::text
from only "public"."staff" as t
where true;

-- digest in the cloud
select count(*), coalesce(sum(hashtextextended(row(t."staff no"::integer, t."branch"::text, t."boss"::integer, t."client_id"::integer)::text,
      0)), 0)::text
from "public"."staff" as t
where exists (
  select
  from "public"."clients" as tp
  where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
  or t."source" is null);

-- rows of the desktop that are ours to send
true

-- compared
with src as materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch", u.c2::integer as "boss", u.c3::integer as "client_id",
  u.n::bigint as "tandem n"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, c2, c3, n))
select count(*) filter (where t.ctid is null), count(*) filter (where t.ctid is not null
  and (t."boss"::integer is distinct from src."boss"::integer or t."client_id"::integer is distinct from src."client_id"::integer
    or t."source" is null)), count(*) filter (where t.ctid is not null and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar)
from src
left join "public"."staff" as t on row(t."staff no"::integer, t."branch"::text)::record::text = row(src."staff no"::integer,
  src."branch"::text)::record::text and exists (
  select
  from "public"."clients" as tp
  where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
  or t."source" is null);
--   $1: {1}
--   $2: {1}
--   $3: {1}
--   $4: {1}
--   $5: {1}

-- rows that may be deleted
select count(*)
from "public"."staff" as t
where exists (
  select
  from "public"."clients" as tp
  where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar;

-- diff: leave out
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."staff no"::integer, src."branch"::text)::record::text as name
  from src)
delete from tandem.staging as s using src
where s.ctid = src."tandem at" and exists (
  select
  from touched
  where touched.name = row(src."staff no"::integer, src."branch"::text)::record::text);
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741824

-- diff: ambiguous
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4)
select tandem.ambiguous('staff no, branch', many.keys, many.rows)
from (
  select count(*) as keys, sum(same.n)::bigint as rows
  from (
    select count(*) as n
    from src
    group by row(src."staff no"::integer, src."branch"::text)::record::text having count(*) > 1) as same) as many
where many.keys > 0;
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741824

-- diff: empties
select tandem.empties($1)
where exists (
  select
  from "public"."staff" as t
  where exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar);
--   $1: staff

-- diff: shrink
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."staff no"::integer, src."branch"::text)::record::text as name
  from src),
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
        when t."client_id" is distinct from null then concat(t."client_id") end]::text[])[2]]::text[]::text) collate "C")
  and not exists (
    select
    from touched
    where touched.name = row(t."staff no"::integer, t."branch"::text)::record::text)),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true')
select tandem.shrink($3, many.n, (
    select count(*)
    from "public"."staff" as t
    where exists (
      select
      from "public"."clients" as tp
      where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
      or t."source" is null)), 0.2::float8)
from (select count(*) as n from extra) as many
where many.n > 100;
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741824

-- diff: extras
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."staff no"::integer, src."branch"::text)::record::text as name
  from src),
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
        when t."client_id" is distinct from null then concat(t."client_id") end]::text[])[2]]::text[]::text) collate "C")
  and not exists (
    select
    from touched
    where touched.name = row(t."staff no"::integer, t."branch"::text)::record::text)),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true')
update tandem.table_state
set extras = (select count(*) from extra)
where replicator = $1 and "table" = $3;
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741824

-- diff: recount
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."staff no"::integer, src."branch"::text)::record::text as name
  from src),
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
        when t."client_id" is distinct from null then concat(t."client_id") end]::text[])[2]]::text[]::text) collate "C")
  and not exists (
    select
    from touched
    where touched.name = row(t."staff no"::integer, t."branch"::text)::record::text)),
extra as (
  select have.part, have.at
  from have
  left join want using (name)
  where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true')
update tandem.table_state
set extras = (select count(*) from extra)
where replicator = $1 and "table" = $3 and extras > 0;
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741824

-- diff: spare
select case set_config('tandem.spare', (
    select coalesce(max(s.extras), 0) > 0
    from tandem.table_state as s
    where s.replicator = $1 and s."table" = $2)::text, true) when '' then '' end;
--   $1: office-1
--   $2: staff

-- diff: unspare
select set_config('tandem.spare', '', true);

-- diff: remove
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
touched as (
  with src as materialized (
    select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch"
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826)
  select distinct row(src."staff no"::integer, src."branch"::text)::record::text as name
  from src),
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
        when t."client_id" is distinct from null then concat(t."client_id") end]::text[])[2]]::text[]::text) collate "C")
  and not exists (
    select
    from touched
    where touched.name = row(t."staff no"::integer, t."branch"::text)::record::text)),
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

-- diff: referred: nothing

-- diff: kept: nothing

-- diff: update
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.cells[3]::integer as "boss", u.cells[4]::integer as "client_id",
  u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
done as (
  update "public"."staff" as t
  set "boss" = src."boss", "client_id" = src."client_id", "source" = 'D'
  from src
  where row(t."staff no"::integer, t."branch"::text)::record::text = row(src."staff no"::integer, src."branch"::text)::record::text
  and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
    or t."source" is null) and case when exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
  when exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
  and (t."boss"::integer is distinct from src."boss"::integer or t."client_id"::integer is distinct from src."client_id"::integer
    or t."source" is null)
  returning 1)
select case set_config('tandem.updated', (select count(*) from done)::text, true)
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
    or t."source" is null)
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

-- diff: narrow
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
    or t."source" is null)
  group by 1)
delete from tandem.staging as s
where s.replicator = $1 and s.epoch = $2 and s."table" = $3 and s.step = $4
and s.ctid not in (
  select src."tandem at"
  from want as src
  left join have on have.name = src."tandem name"
  where src."tandem nth" > coalesce(have.copies, 0));
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741824

-- diff, nothing was touched: insert
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
    or t."source" is null)
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

-- row by row, 1 of 2
select tandem.knit($1, $2, $3::jsonb, $4, $5::interval, $6);
--   $1: office-1
--   $2: 7
--   $3[0].find: with src as materialized (
--       select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.ctid as "tandem at"
--       from tandem.staging as u
--       where u.ctid = any($1))
--     select src."tandem at" as staged, t.tableoid as part, t.ctid as at
--     from src
--     join "public"."staff" as t on t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
--     and exists (
--       select
--       from "public"."clients" as tp
--       where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
--       or t."source" is null)
--   $3[0].key: [1,2]
--   $3[0].loosen: with src as materialized (
--       select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.cells[3]::integer as "boss", u.cells[4]::integer as "client_id"
--       from tandem.staging as u
--       where u.ctid = any($1)),
--     done0 as (
--       update "public"."staff" as t
--       set "boss" = case when row(t."boss"::integer)::record *<> row(src."boss"::integer)::record then null
--       else t."boss" end
--       from src
--       where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
--       and exists (
--         select
--         from "public"."clients" as tp
--         where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
--         or t."source" is null) and (row(t."boss"::integer)::record *<> row(src."boss"::integer)::record))
--     insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
--     select src."staff no", src."branch", null::integer, src."client_id", 'D'
--     from src
--     where not exists (
--       select
--       from "public"."staff" as t
--       where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
--       and exists (
--         select
--         from "public"."clients" as tp
--         where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
--         or t."source" is null)) and case when exists (
--       select
--       from "public"."clients" as srcp
--       where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
--     when exists (
--       select
--       from "public"."clients" as srcp
--       where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
--   $3[0].step: 1073741824
--   $3[0].stuck: 
--   $3[0].table: staff
--   $3[0].write: select tandem.write_counted('staff', '"public"."staff"'::regclass, 20, array['with src as materialized (
--         select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.cells[3]::integer as "boss", u.cells[4]::integer as "client_id"
--         from tandem.staging as u
--         where u.ctid = any($1)),
--       leaving as (
--         delete from "public"."staff" as t using src
--         where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
--         and exists (
--           select
--           from "public"."clients" as tp
--           where tp."id" = t."client_id" and tp."org_id" = ''1''::numeric) and t."source" = ''D''::bpchar
--         and exists (
--           select
--           from "public"."clients" as srcp
--           where srcp."id" = src."client_id" and true) and not exists (
--           select
--           from "public"."clients" as srcp
--           where srcp."id" = src."client_id" and srcp."org_id" = ''1''::numeric))
--       update "public"."staff" as t
--       set "boss" = src."boss", "client_id" = src."client_id", "source" = ''D''
--       from src
--       where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
--       and exists (
--         select
--         from "public"."clients" as tp
--         where tp."id" = t."client_id" and tp."org_id" = ''1''::numeric) and (t."source" = ''D''::bpchar
--         or t."source" is null) and case when exists (
--         select
--         from "public"."clients" as srcp
--         where srcp."id" = src."client_id" and srcp."org_id" = ''1''::numeric) then true
--       when exists (
--         select
--         from "public"."clients" as srcp
--         where srcp."id" = src."client_id" and true) then false else tandem.no_parent(''clients'') end
--       and (t."boss"::integer is distinct from src."boss"::integer or t."client_id"::integer is distinct from src."client_id"::integer
--         or t."source" is null)', 'with src as materialized (
--         select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.cells[3]::integer as "boss", u.cells[4]::integer as "client_id"
--         from tandem.staging as u
--         where u.ctid = any($1)),
--       leaving as (
--         delete from "public"."staff" as t using src
--         where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
--         and exists (
--           select
--           from "public"."clients" as tp
--           where tp."id" = t."client_id" and tp."org_id" = ''1''::numeric) and t."source" = ''D''::bpchar
--         and exists (
--           select
--           from "public"."clients" as srcp
--           where srcp."id" = src."client_id" and true) and not exists (
--           select
--           from "public"."clients" as srcp
--           where srcp."id" = src."client_id" and srcp."org_id" = ''1''::numeric))
--       insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
--       select src."staff no", src."branch", src."boss", src."client_id", ''D''
--       from src
--       where not exists (
--         select
--         from "public"."staff" as t
--         where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
--         and exists (
--           select
--           from "public"."clients" as tp
--           where tp."id" = t."client_id" and tp."org_id" = ''1''::numeric) and (t."source" = ''D''::bpchar
--           or t."source" is null)) and case when exists (
--         select
--         from "public"."clients" as srcp
--         where srcp."id" = src."client_id" and srcp."org_id" = ''1''::numeric) then true
--       when exists (
--         select
--         from "public"."clients" as srcp
--         where srcp."id" = src."client_id" and true) then false else tandem.no_parent(''clients'') end'], 'with src as materialized (
--         select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.cells[3]::integer as "boss", u.cells[4]::integer as "client_id"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select count(*)
--         from src
--         where exists (
--           select
--           from "public"."staff" as t
--           where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
--           and exists (
--             select
--             from "public"."clients" as tp
--             where tp."id" = t."client_id" and tp."org_id" = ''1''::numeric)
--           and (t."source" = ''D''::bpchar or t."source" is null) and (t."boss"::integer is distinct from src."boss"::integer
--             or t."client_id"::integer is distinct from src."client_id"::integer
--             or t."source" is null)) and case when exists (
--           select
--           from "public"."clients" as srcp
--           where srcp."id" = src."client_id" and srcp."org_id" = ''1''::numeric) then true
--         when exists (
--           select
--           from "public"."clients" as srcp
--           where srcp."id" = src."client_id" and true) then false else tandem.no_parent(''clients'') end) + (
--         select count(*)
--         from src
--         where not exists (
--           select
--           from "public"."staff" as t
--           where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
--           and exists (
--             select
--             from "public"."clients" as tp
--             where tp."id" = t."client_id" and tp."org_id" = ''1''::numeric)
--           and (t."source" = ''D''::bpchar or t."source" is null)) and case when exists (
--           select
--           from "public"."clients" as srcp
--           where srcp."id" = src."client_id" and srcp."org_id" = ''1''::numeric) then true
--         when exists (
--           select
--           from "public"."clients" as srcp
--           where srcp."id" = src."client_id" and true) then false else tandem.no_parent(''clients'') end)', 'with src as materialized (
--         select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.cells[3]::integer as "boss", u.cells[4]::integer as "client_id"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select count(*)
--         from src
--         where exists (
--           select
--           from "public"."staff" as t
--           where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
--           and exists (
--             select
--             from "public"."clients" as tp
--             where tp."id" = t."client_id" and tp."org_id" = ''1''::numeric)
--           and (t."source" = ''D''::bpchar or t."source" is null) and (t."boss"::integer is distinct from src."boss"::integer
--             or t."client_id"::integer is distinct from src."client_id"::integer
--             or t."source" is null)) and case when exists (
--           select
--           from "public"."clients" as srcp
--           where srcp."id" = src."client_id" and srcp."org_id" = ''1''::numeric) then true
--         when exists (
--           select
--           from "public"."clients" as srcp
--           where srcp."id" = src."client_id" and true) then false else tandem.no_parent(''clients'') end) + (
--         select count(*)
--         from src
--         where not exists (
--           select
--           from "public"."staff" as t
--           where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
--           and exists (
--             select
--             from "public"."clients" as tp
--             where tp."id" = t."client_id" and tp."org_id" = ''1''::numeric)
--           and (t."source" = ''D''::bpchar or t."source" is null)) and case when exists (
--           select
--           from "public"."clients" as srcp
--           where srcp."id" = src."client_id" and srcp."org_id" = ''1''::numeric) then true
--         when exists (
--           select
--           from "public"."clients" as srcp
--           where srcp."id" = src."client_id" and true) then false else tandem.no_parent(''clients'') end)', true, $1)
--   $4: false
--   $5: 60000 milliseconds
--   $6: 10000

-- row by row, 2 of 2
select tandem.park_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)::text;
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741824
--   $5: upsert
--   $6: {1,2}
--   $7: {}
--   $8: 0/1A2B3C4D
--   $9: false
--   $10: 10000
--   $11: 67108864
--   $12: 8388608

-- weigh
select tandem.weigh((
    select count(*)
    from "public"."staff" as t
    where exists (
      select
      from "public"."clients" as tp
      where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
      or t."source" is null)), 'with src as materialized (
    select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.cells[3]::integer as "boss", u.cells[4]::integer as "client_id"
    from tandem.staging as u
    where u.ctid = any($1))
  select count(*)
  from src
  where exists (
    select
    from "public"."staff" as t
    where row(t."staff no"::integer, t."branch"::text)::record::text = row(src."staff no"::integer, src."branch"::text)::record::text
    and exists (
      select
      from "public"."clients" as tp
      where tp."id" = t."client_id" and tp."org_id" = ''1''::numeric) and (t."source" = ''D''::bpchar
      or t."source" is null) and not (t."boss"::integer is distinct from src."boss"::integer
      or t."client_id"::integer is distinct from src."client_id"::integer
      or t."source" is null))', $1, $2, $3, $4, 40);
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741824

-- weighed
select tandem.weighed((
    select count(*)
    from "public"."staff" as t
    where exists (
      select
      from "public"."clients" as tp
      where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
      or t."source" is null)));

-- waiting
select tandem.waiting($1, $2)::text, (array_agg(q.sqlstate
    order by q.id))[1], (array_agg(q.why
    order by q.id))[1]
from tandem.quarantine as q
where q.replicator = $1 and q."table" = $2 and q.direction = 'forward' and q.work in ('upsert', 'add');
--   $1: office-1
--   $2: staff

-- so far
select tandem.swapped_so_far($1, $2);
--   $1: office-1
--   $2: {"1","2"}

-- loosen
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.cells[3]::integer as "boss", u.cells[4]::integer as "client_id"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
done0 as (
  update "public"."staff" as t
  set "boss" = case when row(t."boss"::integer)::record *<> row(src."boss"::integer)::record then null
  else t."boss" end
  from src
  where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
  and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
    or t."source" is null) and (row(t."boss"::integer)::record *<> row(src."boss"::integer)::record))
insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
select src."staff no", src."branch", null::integer, src."client_id", 'D'
from src
where not exists (
  select
  from "public"."staff" as t
  where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
  and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
    or t."source" is null)) and case when exists (
  select
  from "public"."clients" as srcp
  where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
when exists (
  select
  from "public"."clients" as srcp
  where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end;
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741824

-- too large
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741825
--   $5: select tandem.too_large(0)
--   $6: upsert
--   $7: {1,2}
--   $8: {3,4}
--   $9: 0/1A2B3C4D
--   $10: false
--   $11: 60000 milliseconds
--   $12: 10000
--   $13: 67108864
--   $14: 8388608

-- unreadable
insert into tandem.quarantine as q (replicator, "table", key, key_hash, cells, copies, work, sqlstate, why, lsn,
  messages)
select $1, $3, bad.key, md5(bad.key::text), bad.cells, bad.copies, 'upsert', '22021', bad.why, $5, 0
from (
  select array[u.cells[1], u.cells[2]]::text[] as key, min(u.cells) as cells, count(*) as copies, min(tandem.why_unreadable(u.cells,
      array['key column staff no', 'key column branch', 'column boss', 'column client_id']::text[], '')) as why
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4
  group by 1) as bad
on conflict (replicator, direction, "table", key_hash) do update
set cells = excluded.cells, unsent = excluded.unsent, copies = excluded.copies, work = excluded.work, sqlstate = excluded.sqlstate,
why = excluded.why, lsn = excluded.lsn, tried_at = now(), tries = q.tries + 1;
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741827
--   $5: 0/1A2B3C4D

-- nothing waits any more
select tandem.void_parked($1, $2);
--   $1: office-1
--   $2: staff

-- nothing waits any more but what was touched
select tandem.void_parked($1, $3, array(
    select md5(array[u.cells[1], u.cells[2]]::text[]::text)
    from tandem.staging as u
    where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = 1073741826
    and $4 = 1073741826));
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741826

-- the staged rows are there
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 1073741824
--   $5: 1000

-- what looks something up here follows: nothing

-- what it looks up itself follows: nothing

-- the sequence of staff no
select setval(s.seq, s.highest)
from (
  select pg_get_serial_sequence('"public"."staff"', 'staff no')::regclass as seq, (select max(t."staff no")::bigint from "public"."staff" as t) as highest) as s
where s.seq is not null and s.highest > 0 and s.highest > coalesce(pg_sequence_last_value(s.seq), 0);

-- into an empty table: not by COPY

