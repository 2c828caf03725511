-- steps of a batch of staff, whole

-- upsert
with src as not materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch", u.c2::integer as "boss", u.c3::integer as "client_id"
  from unnest($1, $2, $3, $4) as u(c0, c1, c2, c3)),
leaving as (
  delete from "public"."staff" as t using src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  and exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) and not exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric)),
changed as (
  update "public"."staff" as t
  set "boss" = src."boss", "client_id" = src."client_id", "source" = 'D'
  from src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
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
  returning 1),
added as (
  insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
  select src."staff no", src."branch", src."boss", src."client_id", 'D'
  from src
  where not exists (
    select
    from "public"."staff" as t
    where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
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
    where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."staff"'::regclass, 20) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 20, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" = src."branch"
      and exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
        or t."source" is null) and (t."boss"::integer is distinct from src."boss"::integer
        or t."client_id"::integer is distinct from src."client_id"::integer
        or t."source" is null)) and case when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
    when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end) + (
    select count(*)
    from src
    where not exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" = src."branch"
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
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end), true)
else false end;
--   $1: of type 23 {00000001, 00000001}
--   $2: {2, 2}
--   $3: of type 23 {00000003, 00000003}
--   $4: of type 23 {00000004, 00000004}

-- upsert, one row
with src as not materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch", u.c2::integer as "boss", u.c3::integer as "client_id"
  from (values ($1, $2, $3, $4)) as u(c0, c1, c2, c3)),
leaving as (
  delete from "public"."staff" as t using src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  and exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) and not exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric)),
changed as (
  update "public"."staff" as t
  set "boss" = src."boss", "client_id" = src."client_id", "source" = 'D'
  from src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
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
  returning 1),
added as (
  insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
  select src."staff no", src."branch", src."boss", src."client_id", 'D'
  from src
  where not exists (
    select
    from "public"."staff" as t
    where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
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
    where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."staff"'::regclass, 20) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 20, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" = src."branch"
      and exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
        or t."source" is null) and (t."boss"::integer is distinct from src."boss"::integer
        or t."client_id"::integer is distinct from src."client_id"::integer
        or t."source" is null)) and case when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
    when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end) + (
    select count(*)
    from src
    where not exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" = src."branch"
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
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end), true)
else false end;
--   $1: of type 23 00000001
--   $2: 2
--   $3: of type 23 00000003
--   $4: of type 23 00000004

-- upsert of rows that are new
with src as not materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch", u.c2::integer as "boss", u.c3::integer as "client_id"
  from unnest($1, $2, $3, $4) as u(c0, c1, c2, c3)),
added as (
  insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
  select src."staff no", src."branch", src."boss", src."client_id", 'D'
  from src
  where case when exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
  when exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
  returning 1)
select
from (select (select count(*) from added) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."staff"'::regclass, 4) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 4, done.n, (
    select count(*)
    from src
    where case when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
    when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end), true)
else false end;
--   $1: of type 23 {00000001, 00000001}
--   $2: {2, 2}
--   $3: of type 23 {00000003, 00000003}
--   $4: of type 23 {00000004, 00000004}

-- upsert of rows that are new, one row
with src as not materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch", u.c2::integer as "boss", u.c3::integer as "client_id"
  from (values ($1, $2, $3, $4)) as u(c0, c1, c2, c3)),
added as (
  insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
  select src."staff no", src."branch", src."boss", src."client_id", 'D'
  from src
  where case when exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
  when exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
  returning 1)
select
from (select (select count(*) from added) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."staff"'::regclass, 4) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 4, done.n, (
    select count(*)
    from src
    where case when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
    when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end), true)
else false end;
--   $1: of type 23 00000001
--   $2: 2
--   $3: of type 23 00000003
--   $4: of type 23 00000004

-- upsert of rows that were not there before the batch
with src as not materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch", u.c2::integer as "boss", u.c3::integer as "client_id"
  from unnest($1, $2, $3, $4) as u(c0, c1, c2, c3)),
leaving as (
  delete from "public"."staff" as t using src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  and exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) and not exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric)),
changed as (
  update "public"."staff" as t
  set "boss" = src."boss", "client_id" = src."client_id", "source" = 'D'
  from src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
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
  returning 1),
added as (
  insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
  select src."staff no", src."branch", src."boss", src."client_id", 'D'
  from src
  where not exists (
    select
    from "public"."staff" as t
    where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
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
    where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."staff"'::regclass, 20) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 20, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" = src."branch"
      and exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
        or t."source" is null) and (t."boss"::integer is distinct from src."boss"::integer
        or t."client_id"::integer is distinct from src."client_id"::integer
        or t."source" is null)) and case when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
    when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end) + (
    select count(*)
    from src
    where not exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" = src."branch"
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
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end), true)
else false end;
--   $1: of type 23 {00000001, 00000001}
--   $2: {2, 2}
--   $3: of type 23 {00000003, 00000003}
--   $4: of type 23 {00000004, 00000004}

-- upsert of rows that were not there before the batch, one row
with src as not materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch", u.c2::integer as "boss", u.c3::integer as "client_id"
  from (values ($1, $2, $3, $4)) as u(c0, c1, c2, c3)),
leaving as (
  delete from "public"."staff" as t using src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  and exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) and not exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric)),
changed as (
  update "public"."staff" as t
  set "boss" = src."boss", "client_id" = src."client_id", "source" = 'D'
  from src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
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
  returning 1),
added as (
  insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
  select src."staff no", src."branch", src."boss", src."client_id", 'D'
  from src
  where not exists (
    select
    from "public"."staff" as t
    where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
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
    where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."staff"'::regclass, 20) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 20, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" = src."branch"
      and exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
        or t."source" is null) and (t."boss"::integer is distinct from src."boss"::integer
        or t."client_id"::integer is distinct from src."client_id"::integer
        or t."source" is null)) and case when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
    when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end) + (
    select count(*)
    from src
    where not exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" = src."branch"
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
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end), true)
else false end;
--   $1: of type 23 00000001
--   $2: 2
--   $3: of type 23 00000003
--   $4: of type 23 00000004

-- upsert, a column unsent
with src as not materialized (
  select u.c0::integer as "staff no", u.c2::integer as "boss", u.c3::integer as "client_id"
  from unnest($1, $2, $3) as u(c0, c2, c3)),
leaving as (
  delete from "public"."staff" as t using src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  and exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) and not exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric)),
changed as (
  update "public"."staff" as t
  set "boss" = src."boss", "client_id" = src."client_id", "source" = 'D'
  from src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
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
select
from (select (select count(*) from changed) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."staff"'::regclass, 16) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 16, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" = src."branch"
      and exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
        or t."source" is null) and (t."boss"::integer is distinct from src."boss"::integer
        or t."client_id"::integer is distinct from src."client_id"::integer
        or t."source" is null)) and case when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
    when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end), true)
else false end;
--   $1: of type 23 {00000001, 00000001}
--   $2: of type 23 {00000003, 00000003}
--   $3: of type 23 {00000004, 00000004}

-- upsert, a column unsent, one row
with src as not materialized (
  select u.c0::integer as "staff no", u.c2::integer as "boss", u.c3::integer as "client_id"
  from (values ($1, $2, $3)) as u(c0, c2, c3)),
leaving as (
  delete from "public"."staff" as t using src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  and exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) and not exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric)),
changed as (
  update "public"."staff" as t
  set "boss" = src."boss", "client_id" = src."client_id", "source" = 'D'
  from src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
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
select
from (select (select count(*) from changed) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."staff"'::regclass, 16) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 16, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" = src."branch"
      and exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
        or t."source" is null) and (t."boss"::integer is distinct from src."boss"::integer
        or t."client_id"::integer is distinct from src."client_id"::integer
        or t."source" is null)) and case when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
    when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end), true)
else false end;
--   $1: of type 23 00000001
--   $2: of type 23 00000003
--   $3: of type 23 00000004

-- upsert under another key, a column unsent
with src as materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch", u.c2::integer as "boss", u.k0::integer as "tandem old 0",
  u.k1::text as "tandem old 1"
  from unnest($1, $2, $3) as u(c0, c1, c2)),
whole as materialized (
  select src.*, o."client_id"::integer as "client_id"
  from src
  join "public"."staff" as o on o."staff no" is not distinct from src."tandem old 0"
  and o."branch" is not distinct from src."tandem old 1" and exists (
    select
    from "public"."clients" as op
    where op."id" = o."client_id" and op."org_id" = '1'::numeric) and (o."source" = 'D'::bpchar
    or o."source" is null)),
leaving as (
  delete from "public"."staff" as t using whole as src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  and exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) and not exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric)),
changed as (
  update "public"."staff" as t
  set "boss" = src."boss", "client_id" = src."client_id", "source" = 'D'
  from whole as src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
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
  returning 1),
added as (
  insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
  select src."staff no", src."branch", src."boss", src."client_id", 'D'
  from whole as src
  where not exists (
    select
    from "public"."staff" as t
    where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
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
    where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < (select count(*) from whole as src) and tandem.keepers('"public"."staff"'::regclass, 20) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 20, done.n, (
    select count(*)
    from whole as src
    where exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" = src."branch"
      and exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
        or t."source" is null) and (t."boss"::integer is distinct from src."boss"::integer
        or t."client_id"::integer is distinct from src."client_id"::integer
        or t."source" is null)) and case when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
    when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end) + (
    select count(*)
    from whole as src
    where not exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" = src."branch"
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
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end), true)
else false end;
--   $1: {1, 1}
--   $2: {2, 2}
--   $3: {3, 3}

-- rekey, a column unsent
with src as materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch", u.c2::integer as "boss", u.k0::integer as "tandem old 0",
  u.k1::text as "tandem old 1"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, c2, k0, k1)),
changed as (
  update "public"."staff" as t
  set "staff no" = src."staff no", "branch" = src."branch", "boss" = src."boss", "source" = 'D'
  from src
  where t."staff no" is not distinct from src."tandem old 0" and t."branch" is not distinct from src."tandem old 1"
  and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
    or t."source" is null)
  returning 1)
select
from (select (select count(*) from changed) as n) as done
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."staff"'::regclass, 16) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 16, done.n, (
    select count(*)
    from "public"."staff" as t
    where exists (
      select
      from src
      where t."staff no" is not distinct from src."tandem old 0" and t."branch" is not distinct from src."tandem old 1"
      and exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
        or t."source" is null))), true) else false end;
--   $1: {1, 1}
--   $2: {2, 2}
--   $3: {3, 3}
--   $4: {1, 1}
--   $5: {2, 2}

-- delete
with src as not materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch"
  from unnest($1, $2) as u(c0, c1)),
gone as (
  delete from "public"."staff" as t using src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  returning 1)
select
from (select (select count(*) from gone) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."staff"'::regclass, 8) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 8, done.n, (
    select count(*)
    from "public"."staff" as t
    where exists (
      select
      from src
      where t."staff no" = src."staff no" and t."branch" = src."branch"
      and exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar)), true)
else false end;
--   $1: of type 23 {00000001, 00000001}
--   $2: {2, 2}

-- delete, one row
with src as not materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch"
  from (values ($1, $2)) as u(c0, c1)),
gone as (
  delete from "public"."staff" as t using src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  returning 1)
select
from (select (select count(*) from gone) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."staff"'::regclass, 8) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 8, done.n, (
    select count(*)
    from "public"."staff" as t
    where exists (
      select
      from src
      where t."staff no" = src."staff no" and t."branch" = src."branch"
      and exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar)), true)
else false end;
--   $1: of type 23 00000001
--   $2: 2

-- upsert, NULL in the key
with src as not materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch", u.c2::integer as "boss", u.c3::integer as "client_id"
  from unnest($1, $2, $3, $4) as u(c0, c1, c2, c3)),
leaving as (
  delete from "public"."staff" as t using src
  where t."staff no" = src."staff no" and t."branch" is null and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  and exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) and not exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric)),
changed as (
  update "public"."staff" as t
  set "boss" = src."boss", "client_id" = src."client_id", "source" = 'D'
  from src
  where t."staff no" = src."staff no" and t."branch" is null and exists (
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
  returning 1),
added as (
  insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
  select src."staff no", src."branch", src."boss", src."client_id", 'D'
  from src
  where not exists (
    select
    from "public"."staff" as t
    where t."staff no" = src."staff no" and t."branch" is null and exists (
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
    where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."staff"'::regclass, 20) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 20, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" is null and exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
        or t."source" is null) and (t."boss"::integer is distinct from src."boss"::integer
        or t."client_id"::integer is distinct from src."client_id"::integer
        or t."source" is null)) and case when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
    when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end) + (
    select count(*)
    from src
    where not exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" is null and exists (
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
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end), true)
else false end;
--   $1: of type 23 {00000001, 00000001}
--   $2: {2, 2}
--   $3: of type 23 {00000003, 00000003}
--   $4: of type 23 {00000004, 00000004}

-- upsert, NULL in the key, one row
with src as not materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch", u.c2::integer as "boss", u.c3::integer as "client_id"
  from (values ($1, $2, $3, $4)) as u(c0, c1, c2, c3)),
leaving as (
  delete from "public"."staff" as t using src
  where t."staff no" = src."staff no" and t."branch" is null and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  and exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) and not exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric)),
changed as (
  update "public"."staff" as t
  set "boss" = src."boss", "client_id" = src."client_id", "source" = 'D'
  from src
  where t."staff no" = src."staff no" and t."branch" is null and exists (
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
  returning 1),
added as (
  insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
  select src."staff no", src."branch", src."boss", src."client_id", 'D'
  from src
  where not exists (
    select
    from "public"."staff" as t
    where t."staff no" = src."staff no" and t."branch" is null and exists (
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
    where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."staff"'::regclass, 20) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 20, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" is null and exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
        or t."source" is null) and (t."boss"::integer is distinct from src."boss"::integer
        or t."client_id"::integer is distinct from src."client_id"::integer
        or t."source" is null)) and case when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
    when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end) + (
    select count(*)
    from src
    where not exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and t."branch" is null and exists (
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
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end), true)
else false end;
--   $1: of type 23 00000001
--   $2: 2
--   $3: of type 23 00000003
--   $4: of type 23 00000004

-- upsert, NULL in some keys
with src as not materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch", u.c2::integer as "boss", u.c3::integer as "client_id"
  from unnest($1, $2, $3, $4) as u(c0, c1, c2, c3)),
leaving as (
  delete from "public"."staff" as t using src
  where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
  and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  and exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) and not exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric)),
changed as (
  update "public"."staff" as t
  set "boss" = src."boss", "client_id" = src."client_id", "source" = 'D'
  from src
  where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
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
  returning 1),
added as (
  insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
  select src."staff no", src."branch", src."boss", src."client_id", 'D'
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
    where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."staff"'::regclass, 20) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 20, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
      and exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
        or t."source" is null) and (t."boss"::integer is distinct from src."boss"::integer
        or t."client_id"::integer is distinct from src."client_id"::integer
        or t."source" is null)) and case when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
    when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end) + (
    select count(*)
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
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end), true)
else false end;
--   $1: of type 23 {00000001, 00000001}
--   $2: {2, 2}
--   $3: of type 23 {00000003, 00000003}
--   $4: of type 23 {00000004, 00000004}

-- upsert, NULL in some keys, one row
with src as not materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch", u.c2::integer as "boss", u.c3::integer as "client_id"
  from (values ($1, $2, $3, $4)) as u(c0, c1, c2, c3)),
leaving as (
  delete from "public"."staff" as t using src
  where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
  and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  and exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) and not exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric)),
changed as (
  update "public"."staff" as t
  set "boss" = src."boss", "client_id" = src."client_id", "source" = 'D'
  from src
  where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
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
  returning 1),
added as (
  insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
  select src."staff no", src."branch", src."boss", src."client_id", 'D'
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
    where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
  returning 1)
select
from (
  select (select count(*) from changed) + (select count(*) from added) as n) as done
where case when done.n < 1 and tandem.keepers('"public"."staff"'::regclass, 20) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 20, done.n, (
    select count(*)
    from src
    where exists (
      select
      from "public"."staff" as t
      where t."staff no" = src."staff no" and row(t."branch"::text)::record::text = row(src."branch"::text)::record::text
      and exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
        or t."source" is null) and (t."boss"::integer is distinct from src."boss"::integer
        or t."client_id"::integer is distinct from src."client_id"::integer
        or t."source" is null)) and case when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
    when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end) + (
    select count(*)
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
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end), true)
else false end;
--   $1: of type 23 00000001
--   $2: 2
--   $3: of type 23 00000003
--   $4: of type 23 00000004

-- upsert of rows that are new, very many
with src as not materialized (
  select u.c0::integer as "staff no", u.c1::text as "branch", u.c2::integer as "boss", u.c3::integer as "client_id"
  from unnest($1, $2, $3, $4) as u(c0, c1, c2, c3)),
added as (
  insert into "public"."staff" ("staff no", "branch", "boss", "client_id", "source")
  select src."staff no", src."branch", src."boss", src."client_id", 'D'
  from src
  where case when exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
  when exists (
    select
    from "public"."clients" as srcp
    where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end
  returning 1)
select
from (select (select count(*) from added) as n) as done
where case when done.n < cardinality($1) and tandem.keepers('"public"."staff"'::regclass, 4) is not null then tandem.kept_out('staff',
  '"public"."staff"'::regclass, 4, done.n, (
    select count(*)
    from src
    where case when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and srcp."org_id" = '1'::numeric) then true
    when exists (
      select
      from "public"."clients" as srcp
      where srcp."id" = src."client_id" and true) then false else tandem.no_parent('clients') end), true)
else false end;
--   $1: of type 23 {00000001, 00000001, 00000001, ... 2000 in all}
--   $2: {2, 2, 2, ... 2000 in all}
--   $3: of type 23 {00000003, 00000003, 00000003, ... 2000 in all}
--   $4: of type 23 {00000004, 00000004, 00000004, ... 2000 in all}

-- what follows in other tables: nothing

-- a batch that deletes many
select tandem.shrink('staff', $1, (
    select count(*)
    from (
      select
      from "public"."staff" as t
      where exists (
        select
        from "public"."clients" as tp
        where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and (t."source" = 'D'::bpchar
        or t."source" is null)
      limit 505) as counted), $2);
--   $1: 101
--   $2: 0.2
