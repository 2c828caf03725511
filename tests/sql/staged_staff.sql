-- staged steps of staff

-- upsert, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3
--   $5: 1000

-- upsert, 2 of 2
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.cells[3]::integer as "boss", u.cells[4]::integer as "client_id"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."staff"'::regclass, 20) is not null then tandem.kept_out('staff',
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
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3

-- upsert, a column unsent, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3
--   $5: 1000

-- upsert, a column unsent, 2 of 2
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[3]::integer as "boss", u.cells[4]::integer as "client_id"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."staff"'::regclass, 16) is not null then tandem.kept_out('staff',
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
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3

-- upsert under another key, a column unsent, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3
--   $5: 1000

-- upsert under another key, a column unsent, 2 of 2
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.cells[3]::integer as "boss", u.origin[1]::integer as "tandem old 0",
  u.origin[2]::text as "tandem old 1"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3

-- rekey, a column unsent, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3
--   $5: 1000

-- rekey, a column unsent, 2 of 2
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.cells[3]::integer as "boss", u.origin[1]::integer as "tandem old 0",
  u.origin[2]::text as "tandem old 1"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3

-- delete, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3
--   $5: 1000

-- delete, 2 of 2
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
gone as (
  delete from "public"."staff" as t using src
  where t."staff no" = src."staff no" and t."branch" = src."branch" and exists (
    select
    from "public"."clients" as tp
    where tp."id" = t."client_id" and tp."org_id" = '1'::numeric) and t."source" = 'D'::bpchar
  returning 1)
select
from (select (select count(*) from gone) as n) as done
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."staff"'::regclass, 8) is not null then tandem.kept_out('staff',
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
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3

-- upsert, NULL in the key, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3
--   $5: 1000

-- upsert, NULL in the key, 2 of 2
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.cells[3]::integer as "boss", u.cells[4]::integer as "client_id"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."staff"'::regclass, 20) is not null then tandem.kept_out('staff',
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
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3

-- upsert, NULL in some keys, 1 of 2
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3
--   $5: 1000

-- upsert, NULL in some keys, 2 of 2
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.cells[3]::integer as "boss", u.cells[4]::integer as "client_id"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
where case when done.n < (select count(*) from src) and tandem.keepers('"public"."staff"'::regclass, 20) is not null then tandem.kept_out('staff',
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
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3

-- upsert, the table was emptied first, 1 of 6
select tandem.staged($1, $2, $3, $4, $5);
--   $1: office-1
--   $2: 7
--   $3: staff
--   $4: 3
--   $5: 1000

-- upsert, the table was emptied first, 2 of 6
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
        when t."client_id" is distinct from null then concat(t."client_id") end]::text[])[2]]::text[]::text) collate "C")),
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
--   $4: 3

-- upsert, the table was emptied first, 3 of 6
with src as materialized (
  select u.cells[1]::integer as "staff no", u.cells[2]::text as "branch", u.ctid as "tandem at"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4),
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
        when t."client_id" is distinct from null then concat(t."client_id") end]::text[])[2]]::text[]::text) collate "C")),
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
--   $4: 3

-- upsert, the table was emptied first, 4 of 6
select tandem.void_parked($1, $2);
--   $1: office-1
--   $2: staff

-- upsert, the table was emptied first, 5 of 6
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
--   $4: 3

-- upsert, the table was emptied first, 6 of 6
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
--   $4: 3
