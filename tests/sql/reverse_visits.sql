-- visits on its way home

-- watched: new


-- watched: changed
new."org_id" = '1'::numeric and (old."done"::text is distinct from new."done"::text)

-- watched: gone


-- the phones' rows in the cloud
t."source" = 'M'::bpchar and t."org_id" = '1'::numeric

-- the phones' rows on the desktop
coalesce(t."source" = 'M'::bpchar, false)

-- queue what is there
insert into tandem.outbox (replicator, "table", key, op)
select 'office-1', 'visits', array[case when t."visit_no" is distinct from null then concat(t."visit_no") end]::text[],
'Q'
from "public"."visit" as t
where t."source" = 'M'::bpchar and t."org_id" = '1'::numeric;

-- poll
select set_config('datestyle', 'ISO', true), set_config('intervalstyle', 'postgres', true), set_config('extra_float_digits',
  '3', true), set_config('bytea_output', 'hex', true), set_config('timezone', 'UTC', true), set_config('lc_monetary',
  'C', true), set_config('array_nulls', 'on', true), set_config('xmloption', 'content', true), set_config('statement_timeout',
  '0', true), set_config('idle_in_transaction_session_timeout', '0', true), set_config('row_security', 'off', true); with noted as (
  update tandem.poll
  set polled_at = clock_timestamp()
  where replicator = 'office-1' and polled_at < clock_timestamp() - interval '900 ms'),
first as (
  insert into tandem.poll (replicator, polled_at)
  select 'office-1', clock_timestamp()
  where not exists (select from tandem.poll where replicator = 'office-1')
  on conflict do nothing),
e as materialized (
  select id, "table", key, op, told
  from tandem.outbox
  where replicator = 'office-1' and "table" = any ('{"visits"}'::text[])
  and "table" in (
    select s."table"
    from tandem.reverse_state as s
    where s.replicator = 'office-1' and s.why is null)
  order by id
  limit 1000),
k as materialized (
  select "table", key, max(id) as id, array_agg(id) as ids, count(*) filter (where op not in ('P', 'A')) as new,
  bool_or(op = 'T') as emptied, (array_agg(op
      order by id desc))[1] as last, bool_or(op = 'R') as again, max(id) filter (where op = 'A') as told_by, (array_agg(told
      order by id desc) filter (where op = 'A'))[1] as told, bool_and(op = 'A') as only_told
  from e
  group by 1, 2),
found as (
  select k."table", k.id, k.ids, k.new, k.key, case when k.emptied then 'emptied'
  when t.ctid is null then 'gone' when t."source" = 'M'::bpchar then 'mobile'
  when t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null) then 'desktop'
  else 'other' end as state, k.again, 1::bigint as copies, coalesce(octet_length(t::text), 0)::bigint as bytes,
  k.key[1] as c0, case when t."done" is distinct from null then concat(t."done") end as c1
  from k
  left join "public"."visit" as t on not k.emptied and t."visit_no" = k.key[1]::integer
  and t."org_id" = '1'::numeric
  where k."table" = 'visits')
select f."table", f.id, f.ids::text, f.new, f.key::text, f.state, f.again, f.copies, f.bytes, k.told_by, k.told::text,
k.only_told, case when f.bytes <= 33554432 then f.c0 end, case when f.bytes <= 33554432 then f.c1 end
from (
  select found.*, coalesce(sum(bytes) over (order by id groups between unbounded preceding
      and 1 preceding), 0) as told
  from found) as f
join k on k.id = f.id
where f.told < 8388608
order by f.id;

-- claim
insert into tandem.ledger as l (replicator, "table", key_hash, entry)
select distinct $4, $5, md5(concat($4, '/', $5, '/', u.key)), u.entry::bigint
from unnest($1, $2, $3) as u(key, entry, copies)
on conflict (key_hash) do update
set entry = excluded.entry
where l.entry < excluded.entry;
--   $1: {{1}}
--   $2: {5}
--   $3: {1}
--   $4: office-1
--   $5: visits

-- announce
with src as materialized (
  select u.c0::integer as "visit_no", u.c1::boolean as "done", u.key as "tandem key", u.entry::bigint as "tandem entry",
  u.copies::bigint as "tandem copies", md5(concat($6, '/', $7, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (select u.c0 as "visit_no", u.c1 as "done") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, key, entry, copies))
select pg_logical_emit_message(true, 'tandem.reverse', (
    select h.nonce
    from tandem.reverse as h
    where h.replicator = $6) || (
    select coalesce(string_agg(concat(E'\n', encode(sha256(convert_to(case
                when src."visit_no" is distinct from null then concat('v', octet_length(convert_to(concat(src."visit_no"::integer),
                      'UTF8')), ':', concat(src."visit_no"::integer)) else 'n' end, 'UTF8')), 'hex'), ' ', encode(sha256(convert_to(case
                when src."visit_no" is distinct from null then concat('v', octet_length(convert_to(concat(src."visit_no"::integer),
                      'UTF8')), ':', concat(src."visit_no"::integer)) else 'n' end || case
                when src."done" is distinct from null then concat('v', octet_length(convert_to(concat(src."done"::boolean),
                      'UTF8')), ':', concat(src."done"::boolean)) else 'n' end, 'UTF8')), 'hex'), ' ', replace($7,
            E'\n', ' ')), ''), '')
    from src));
--   $1: {1}
--   $2: {2}
--   $3: {{1}}
--   $4: {5}
--   $5: {1}
--   $6: office-1
--   $7: visits

-- announce what goes
with src as materialized (
  select u.c0::integer as "visit_no", u.key as "tandem key", u.entry::bigint as "tandem entry", u.copies::bigint as "tandem copies",
  md5(concat($5, '/', $6, '/', u.key)) as "tandem hash", (select to_jsonb(c) from (select u.c0 as "visit_no") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4) as u(c0, key, entry, copies))
select pg_logical_emit_message(true, 'tandem.reverse', (
    select h.nonce
    from tandem.reverse as h
    where h.replicator = $5) || (
    select coalesce(string_agg(concat(E'\n', encode(sha256(convert_to(case
                when src."visit_no" is distinct from null then concat('v', octet_length(convert_to(concat(src."visit_no"::integer),
                      'UTF8')), ':', concat(src."visit_no"::integer)) else 'n' end, 'UTF8')), 'hex'), ' ', '-',
          ' ', replace($6, E'\n', ' ')), ''), '')
    from src));
--   $1: {1}
--   $2: {{1}}
--   $3: {5}
--   $4: {1}
--   $5: office-1
--   $6: visits

-- put, 1 of 2
with src as materialized (
  select u.c0::integer as "visit_no", u.c1::boolean as "done", u.key as "tandem key", u.entry::bigint as "tandem entry",
  u.copies::bigint as "tandem copies", md5(concat($6, '/', $7, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (select u.c0 as "visit_no", u.c1 as "done") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry")
select count(*)
from (
  select
  from only "public"."visits" as t
  join mine on t."visit_no" = mine."visit_no" for update of t) as locked;
--   $1: {1}
--   $2: {2}
--   $3: {{1}}
--   $4: {5}
--   $5: {1}
--   $6: office-1
--   $7: visits

-- put, 2 of 2
with src as materialized (
  select u.c0::integer as "visit_no", u.c1::boolean as "done", u.key as "tandem key", u.entry::bigint as "tandem entry",
  u.copies::bigint as "tandem copies", md5(concat($6, '/', $7, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (select u.c0 as "visit_no", u.c1 as "done") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry"),
there as materialized (
  select distinct on (mine."tandem key") mine."tandem key" as name, t.tableoid as part, t.ctid as at, md5(row(t."visit_no"::integer,
      t."done"::boolean)::record::text) as hash, coalesce(t."source" = 'M'::bpchar, false) as mobile, to_jsonb(t) as image
  from mine
  join only "public"."visits" as t on t."visit_no" = mine."visit_no"
  order by mine."tandem key", 5 desc, t.ctid),
judged as materialized (
  select mine.*, there.part as "tandem part", there.at as "tandem at", there.image as "tandem image", case
  when there.at is not null and not there.mobile then 'taken' when there.at is not null
  and there.hash = md5(row(mine."visit_no"::integer, mine."done"::boolean)::record::text) then 'same'
  when there.at is not null and mine."tandem state" = 'kept' then 'reused'
  when there.at is not null and there.hash <> mine."tandem last" then 'changed'
  when there.at is not null then 'update' when mine."tandem last" is not null then 'removed'
  else 'insert' end as "tandem verdict"
  from mine
  left join there on there.name = mine."tandem key"),
updated as (
  update only "public"."visits" as t
  set "done" = src."done"
  from judged as src
  where t.tableoid = src."tandem part" and t.ctid = src."tandem at" and src."tandem verdict" in ('update', 'changed')
  returning 1),
inserted as (
  insert into "public"."visits" ("visit_no", "done", "source") overriding system value
  select src."visit_no", src."done", 'M'::bpchar
  from judged as src
  where src."tandem verdict" in ('insert', 'removed')
  returning 1),
noted as (
  insert into tandem.conflict (replicator, "table", kind, key, kept, desktop, cloud)
  select $6, $7, j."tandem verdict", j."tandem key"::text[], case j."tandem verdict"
  when 'taken' then 'desktop' when 'reused' then 'desktop' when 'changed' then 'cloud'
  when 'removed' then 'cloud' end, j."tandem image", j."tandem cloud"
  from judged as j
  where j."tandem verdict" in ('taken', 'reused', 'changed', 'removed')
  and not exists (
    select
    from tandem.conflict as c
    where c.replicator = $6 and c.seen_at is null and c."table" = $7 and c.kind = j."tandem verdict"
    and c.key = j."tandem key"::text[] and c.desktop is not distinct from j."tandem image"
    and c.cloud is not distinct from j."tandem cloud")),
stated as (
  update tandem.ledger as l
  set state = case j."tandem verdict" when 'taken' then 'taken' when 'reused' then 'kept'
  when 'changed' then null when 'removed' then null end
  from judged as j
  where l.key_hash = j."tandem hash")
select coalesce(jsonb_agg(jsonb_build_array("tandem entry", "tandem verdict")), '[]')
from judged
where case when (select count(*) from updated) + (select count(*) from inserted) < (
  select count(*)
  from judged as w
  where w."tandem verdict" in ('insert', 'removed', 'update', 'changed')) then not tandem.kept_out('"public"."visits"'::regclass,
  20, (select count(*) from updated) + (select count(*) from inserted), (
    select count(*)
    from judged as w
    where w."tandem verdict" in ('insert', 'removed', 'update', 'changed')))
else true end;
--   $1: {1}
--   $2: {2}
--   $3: {{1}}
--   $4: {5}
--   $5: {1}
--   $6: office-1
--   $7: visits

-- put loosely, 1 of 2
with src as materialized (
  select u.c0::integer as "visit_no", u.c1::boolean as "done", u.key as "tandem key", u.entry::bigint as "tandem entry",
  u.copies::bigint as "tandem copies", md5(concat($6, '/', $7, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (select u.c0 as "visit_no", u.c1 as "done") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry")
select count(*)
from (
  select
  from only "public"."visits" as t
  join mine on t."visit_no" = mine."visit_no" for update of t) as locked;
--   $1: {1}
--   $2: {2}
--   $3: {{1}}
--   $4: {5}
--   $5: {1}
--   $6: office-1
--   $7: visits

-- put loosely, 2 of 2
with src as materialized (
  select u.c0::integer as "visit_no", u.c1::boolean as "done", u.key as "tandem key", u.entry::bigint as "tandem entry",
  u.copies::bigint as "tandem copies", md5(concat($6, '/', $7, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (select u.c0 as "visit_no", u.c1 as "done") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry"),
there as materialized (
  select distinct on (mine."tandem key") mine."tandem key" as name, t.tableoid as part, t.ctid as at, md5(row(t."visit_no"::integer,
      t."done"::boolean)::record::text) as hash, coalesce(t."source" = 'M'::bpchar, false) as mobile, to_jsonb(t) as image
  from mine
  join only "public"."visits" as t on t."visit_no" = mine."visit_no"
  order by mine."tandem key", 5 desc, t.ctid),
judged as materialized (
  select mine.*, there.part as "tandem part", there.at as "tandem at", there.image as "tandem image", case
  when there.at is not null and not there.mobile then 'taken' when there.at is not null
  and there.hash = md5(row(mine."visit_no"::integer, mine."done"::boolean)::record::text) then 'same'
  when there.at is not null and mine."tandem state" = 'kept' then 'reused'
  when there.at is not null and there.hash <> mine."tandem last" then 'changed'
  when there.at is not null then 'update' when mine."tandem last" is not null then 'removed'
  else 'insert' end as "tandem verdict"
  from mine
  left join there on there.name = mine."tandem key"),
updated as (
  update only "public"."visits" as t
  set "done" = src."done"
  from judged as src
  where t.tableoid = src."tandem part" and t.ctid = src."tandem at" and src."tandem verdict" in ('update', 'changed')
  returning 1),
inserted as (
  insert into "public"."visits" ("visit_no", "done", "source") overriding system value
  select src."visit_no", src."done", 'M'::bpchar
  from judged as src
  where src."tandem verdict" in ('insert', 'removed')
  returning 1),
noted as (
  insert into tandem.conflict (replicator, "table", kind, key, kept, desktop, cloud)
  select $6, $7, j."tandem verdict", j."tandem key"::text[], case j."tandem verdict"
  when 'taken' then 'desktop' when 'reused' then 'desktop' when 'changed' then 'cloud'
  when 'removed' then 'cloud' end, j."tandem image", j."tandem cloud"
  from judged as j
  where j."tandem verdict" in ('taken', 'reused', 'changed', 'removed')
  and not exists (
    select
    from tandem.conflict as c
    where c.replicator = $6 and c.seen_at is null and c."table" = $7 and c.kind = j."tandem verdict"
    and c.key = j."tandem key"::text[] and c.desktop is not distinct from j."tandem image"
    and c.cloud is not distinct from j."tandem cloud")),
stated as (
  update tandem.ledger as l
  set state = case j."tandem verdict" when 'taken' then 'taken' when 'reused' then 'kept'
  when 'changed' then null when 'removed' then null end
  from judged as j
  where l.key_hash = j."tandem hash")
select coalesce(jsonb_agg(jsonb_build_array("tandem entry", "tandem verdict")), '[]')
from judged
where case when (select count(*) from updated) + (select count(*) from inserted) < (
  select count(*)
  from judged as w
  where w."tandem verdict" in ('insert', 'removed', 'update', 'changed')) then not tandem.kept_out('"public"."visits"'::regclass,
  20, (select count(*) from updated) + (select count(*) from inserted), (
    select count(*)
    from judged as w
    where w."tandem verdict" in ('insert', 'removed', 'update', 'changed')))
else true end;
--   $1: {1}
--   $2: {2}
--   $3: {{1}}
--   $4: {5}
--   $5: {1}
--   $6: office-1
--   $7: visits

-- fill: nothing

-- remove, 1 of 2
with src as materialized (
  select u.c0::integer as "visit_no", u.key as "tandem key", u.entry::bigint as "tandem entry", u.copies::bigint as "tandem copies",
  md5(concat($5, '/', $6, '/', u.key)) as "tandem hash", (select to_jsonb(c) from (select u.c0 as "visit_no") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4) as u(c0, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry")
select count(*)
from (
  select
  from only "public"."visits" as t
  join mine on t."visit_no" = mine."visit_no" for update of t) as locked;
--   $1: {1}
--   $2: {{1}}
--   $3: {5}
--   $4: {1}
--   $5: office-1
--   $6: visits

-- remove, 2 of 2
with src as materialized (
  select u.c0::integer as "visit_no", u.key as "tandem key", u.entry::bigint as "tandem entry", u.copies::bigint as "tandem copies",
  md5(concat($5, '/', $6, '/', u.key)) as "tandem hash", (select to_jsonb(c) from (select u.c0 as "visit_no") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4) as u(c0, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry"),
there as materialized (
  select distinct on (mine."tandem key") mine."tandem key" as name, t.tableoid as part, t.ctid as at, md5(row(t."visit_no"::integer,
      t."done"::boolean)::record::text) as hash, coalesce(t."source" = 'M'::bpchar, false) as mobile, to_jsonb(t) as image
  from mine
  join only "public"."visits" as t on t."visit_no" = mine."visit_no"
  order by mine."tandem key", 5 desc, t.ctid),
judged as materialized (
  select mine.*, there.part as "tandem part", there.at as "tandem at", there.image as "tandem image", case
  when there.at is null or not there.mobile then 'same' when there.hash <> mine."tandem last" then 'deleted'
  else 'delete' end as "tandem verdict"
  from mine
  left join there on there.name = mine."tandem key"),
gone as (
  delete from only "public"."visits" as t using judged as src
  where t.tableoid = src."tandem part" and t.ctid = src."tandem at" and src."tandem verdict" in ('delete', 'deleted')
  returning 1),
noted as (
  insert into tandem.conflict (replicator, "table", kind, key, kept, desktop, cloud)
  select $5, $6, j."tandem verdict", j."tandem key"::text[], case j."tandem verdict"
  when 'deleted' then 'cloud' end, j."tandem image", j."tandem cloud"
  from judged as j
  where j."tandem verdict" in ('deleted') and not exists (
    select
    from tandem.conflict as c
    where c.replicator = $5 and c.seen_at is null and c."table" = $6 and c.kind = j."tandem verdict"
    and c.key = j."tandem key"::text[] and c.desktop is not distinct from j."tandem image"
    and c.cloud is not distinct from j."tandem cloud")),
stated as (
  update tandem.ledger as l
  set state = case j."tandem verdict" when 'keep' then 'kept' when 'deleted' then null end
  from judged as j
  where l.key_hash = j."tandem hash")
select coalesce(jsonb_agg(jsonb_build_array("tandem entry", "tandem verdict")), '[]')
from judged
where case when (select count(*) from gone) < (
  select count(*)
  from judged as w
  where w."tandem verdict" in ('delete', 'deleted')) then not tandem.kept_out('"public"."visits"'::regclass, 8,
  (select count(*) from gone), (
    select count(*)
    from judged as w
    where w."tandem verdict" in ('delete', 'deleted'))) else true end;
--   $1: {1}
--   $2: {{1}}
--   $3: {5}
--   $4: {1}
--   $5: office-1
--   $6: visits

-- remember
with src as materialized (
  select u.c0::integer as "visit_no", u.key as "tandem key", u.entry::bigint as "tandem entry", u.copies::bigint as "tandem copies",
  md5(concat($5, '/', $6, '/', u.key)) as "tandem hash", (select to_jsonb(c) from (select u.c0 as "visit_no") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4) as u(c0, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry"),
now as (
  select mine."tandem hash" as name, min(case when t.ctid is not null then md5(row(t."visit_no"::integer, t."done"::boolean)::record::text) end) as hash
  from mine
  left join only "public"."visits" as t on t."visit_no" = mine."visit_no"
  and coalesce(t."source" = 'M'::bpchar, false)
  group by 1)
update tandem.ledger as l
set hash = now.hash
from now
where l.key_hash = now.name and l.state is null;
--   $1: {1}
--   $2: {{1}}
--   $3: {5}
--   $4: {1}
--   $5: office-1
--   $6: visits

-- take over what the desktop did
with src as materialized (
  select u.entry::bigint as "tandem entry", md5(concat($4::text, '/', $5::text, '/', u.key)) as "tandem hash", u.told is null as "tandem gone",
  (u.told::jsonb ->> 'visit_no')::integer as "visit_no", (u.told::jsonb ->> 'done')::boolean as "done"
  from unnest($1, $2, $3) as u(key, entry, told)
  where u.told is null or u.told::jsonb ?& array['visit_no', 'done']::text[])
update tandem.ledger as l
set entry = src."tandem entry", state = null, hash = case when not src."tandem gone" then md5(row(src."visit_no"::integer,
    src."done"::boolean)::record::text) end
from src
where l.key_hash = src."tandem hash" and l.entry < src."tandem entry" and (l.state is null
  or l.state = 'desktop');
--   $1: {{1}}
--   $2: {5}
--   $3: {{}}
--   $4: office-1
--   $5: visits

-- level, 1 of 3
select pg_advisory_xact_lock(hashtext('tandem.reverse'), hashtext('office-1'));

-- level, 2 of 3
with src as materialized (
  select u.c0::integer as "visit_no", u.c1::boolean as "done", u.key as "tandem key", u.entry::bigint as "tandem entry",
  u.copies::bigint as "tandem copies", md5(concat($6, '/', $7, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (select u.c0 as "visit_no", u.c1 as "done") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry")
select count(*)
from (
  select
  from only "public"."visits" as t
  where row(t."visit_no"::integer)::record::text in (select row(mine."visit_no"::integer)::record::text from mine)
  and not coalesce(t."source" = 'M'::bpchar, false) for update of t) as locked;
--   $1: {1}
--   $2: {2}
--   $3: {{1}}
--   $4: {5}
--   $5: {1}
--   $6: office-1
--   $7: visits

-- level, 3 of 3
with src as materialized (
  select u.c0::integer as "visit_no", u.c1::boolean as "done", u.key as "tandem key", u.entry::bigint as "tandem entry",
  u.copies::bigint as "tandem copies", md5(concat($6, '/', $7, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (select u.c0 as "visit_no", u.c1 as "done") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry"),
want as (
  select row(mine."visit_no"::integer)::record::text as "tandem name", row(mine."done"::boolean)::record::text as "tandem look",
  sum(mine."tandem copies") as "tandem wanted", (array_agg(mine."done"))[1] as "done"
  from mine
  where mine."tandem copies" > 0
  group by 1, 2),
have as (
  select row(t."visit_no"::integer)::record::text as "tandem name", row(t."done"::boolean)::record::text as "tandem look",
  t.tableoid as part, t.ctid as at
  from only "public"."visits" as t
  where not coalesce(t."source" = 'M'::bpchar, false)),
found as (
  select have.*, row_number() over (partition by have."tandem name", have."tandem look"
    order by have.at) as nth
  from have
  where have."tandem name" in (select want."tandem name" from want)),
surplus as (
  select found."tandem name", found.part, found.at, row_number() over (partition by found."tandem name"
    order by found.at) as "tandem turn"
  from found
  left join want using ("tandem name", "tandem look")
  where found.nth > coalesce(want."tandem wanted", 0)),
counted as (
  select found."tandem name", found."tandem look", count(*) as copies
  from found
  group by 1, 2),
lacking as (
  select want.*, row_number() over (partition by want."tandem name"
    order by want."tandem look") as "tandem turn"
  from want
  left join counted using ("tandem name", "tandem look")
  cross join lateral generate_series(1, want."tandem wanted" - coalesce(counted.copies, 0))),
updated as (
  update only "public"."visits" as t
  set "done" = src."done"
  from (
    select lacking.*, surplus.part as "tandem part", surplus.at as "tandem at"
    from lacking
    join surplus using ("tandem name", "tandem turn")) as src
  where t.tableoid = src."tandem part" and t.ctid = src."tandem at"
  returning src."tandem name" as name, row(t."done"::boolean)::record::text is not distinct from src."tandem look" as exact),
named as (
  select distinct mine."tandem entry" as entry, row(mine."visit_no"::integer)::record::text as name
  from mine)
select coalesce(jsonb_agg(jsonb_build_array(named.entry, case when exists (select from updated where updated.name = named.name) then 'update'
      else 'same' end)), '[]'), (
  select pg_logical_emit_message(true, 'tandem.reverse', concat(h.nonce, E'\n='))::text
  from tandem.reverse as h
  where h.replicator = 'office-1' and exists (select from updated) and not exists (select from updated where not updated.exact))
from named
where case when (select count(*) from updated) < (
  select count(*)
  from lacking
  join surplus using ("tandem name", "tandem turn")) then not tandem.kept_out('"public"."visits"'::regclass, 16,
  (select count(*) from updated), (
    select count(*)
    from lacking
    join surplus using ("tandem name", "tandem turn"))) else true end;
--   $1: {1}
--   $2: {2}
--   $3: {{1}}
--   $4: {5}
--   $5: {1}
--   $6: office-1
--   $7: visits

-- keep, before a refill
create temporary table tandem_kept_0 on commit drop as
select t."visit_no", t."done", count(*) as "tandem copies"
from only "public"."visits" as t
where not coalesce(t."source" = 'M'::bpchar, false)
group by t."visit_no", t."done";

-- restore, behind a refill
with kept as (select k.* from pg_temp.tandem_kept_0 as k),
want as (
  select row(kept."visit_no"::integer)::record::text as "tandem name", row(kept."done"::boolean)::record::text as "tandem look",
  sum(kept."tandem copies") as "tandem wanted", (array_agg(kept."done"))[1] as "done"
  from kept
  where kept."tandem copies" > 0
  group by 1, 2),
have as (
  select row(t."visit_no"::integer)::record::text as "tandem name", row(t."done"::boolean)::record::text as "tandem look",
  t.tableoid as part, t.ctid as at
  from only "public"."visits" as t
  where not coalesce(t."source" = 'M'::bpchar, false)),
found as (
  select have.*, row_number() over (partition by have."tandem name", have."tandem look"
    order by have.at) as nth
  from have
  where have."tandem name" in (select want."tandem name" from want)),
surplus as (
  select found."tandem name", found.part, found.at, row_number() over (partition by found."tandem name"
    order by found.at) as "tandem turn"
  from found
  left join want using ("tandem name", "tandem look")
  where found.nth > coalesce(want."tandem wanted", 0)),
counted as (
  select found."tandem name", found."tandem look", count(*) as copies
  from found
  group by 1, 2),
lacking as (
  select want.*, row_number() over (partition by want."tandem name"
    order by want."tandem look") as "tandem turn"
  from want
  left join counted using ("tandem name", "tandem look")
  cross join lateral generate_series(1, want."tandem wanted" - coalesce(counted.copies, 0))),
updated as (
  update only "public"."visits" as t
  set "done" = src."done"
  from (
    select lacking.*, surplus.part as "tandem part", surplus.at as "tandem at"
    from lacking
    join surplus using ("tandem name", "tandem turn")) as src
  where t.tableoid = src."tandem part" and t.ctid = src."tandem at"
  returning src."tandem name" as name, row(t."done"::boolean)::record::text is not distinct from src."tandem look" as exact)
select count(*)
from updated;

-- verify its rows: nothing


-- verify the cloud's own, desktop: count
select count(*)
from only "public"."visits" as t
where not coalesce(t."source" = 'M'::bpchar, false);

-- verify the cloud's own, desktop: trial
select ('x' || left(md5(convert_to(row(t."visit_no"::integer, t."done"::boolean)::text, 'UTF8')), 16))::bit(64)::bigint
from only "public"."visits" as t
where false;

-- verify the cloud's own, desktop: Ranges(1024)
select (('x' || left(md5(convert_to(row(t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int,
count(*), sum(('x' || left(md5(convert_to(row(t."visit_no"::integer, t."done"::boolean)::text, 'UTF8')), 16))::bit(64)::bigint)::text
from only "public"."visits" as t
where not coalesce(t."source" = 'M'::bpchar, false)
group by 1;

-- verify the cloud's own, desktop: RowsIn(1024)
select ('x' || left(md5(convert_to(row(t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row(t."visit_no"::integer,
          t."done"::boolean)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), md5(string_agg(t.xmin::text, ' '
    order by t.xmin::text))
from only "public"."visits" as t
where not coalesce(t."source" = 'M'::bpchar, false) and (('x' || left(md5(convert_to(row(t."visit_no"::integer)::text,
          'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify the cloud's own, desktop: RowsOf
select ('x' || left(md5(convert_to(row(t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row(t."visit_no"::integer,
          t."done"::boolean)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), md5(string_agg(t.xmin::text, ' '
    order by t.xmin::text))
from only "public"."visits" as t
where not coalesce(t."source" = 'M'::bpchar, false) and ('x' || left(md5(convert_to(row(t."visit_no"::integer)::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify the cloud's own, desktop: NamesOf
select ('x' || left(md5(convert_to(row(t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when t."visit_no"::integer is distinct from null then concat(t."visit_no"::integer) end]::text[], array[]::text[]
from only "public"."visits" as t
where not coalesce(t."source" = 'M'::bpchar, false) and ('x' || left(md5(convert_to(row(t."visit_no"::integer)::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify the cloud's own, desktop: ValuesOf
select ('x' || left(md5(convert_to(row(t."visit_no"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when t."visit_no"::integer is distinct from null then concat(t."visit_no"::integer) end]::text[], array[case
when t."visit_no"::integer is distinct from null then concat(t."visit_no"::integer) end, case
when t."done"::boolean is distinct from null then concat(t."done"::boolean) end]::text[]
from only "public"."visits" as t
where not coalesce(t."source" = 'M'::bpchar, false) and ('x' || left(md5(convert_to(row(t."visit_no"::integer)::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify the cloud's own, cloud: count
select count(*)
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null);

-- verify the cloud's own, cloud: trial
select ('x' || left(md5(convert_to(row((t."visit_no"::integer)::integer, (t."done"::boolean)::boolean)::text, 'UTF8')),
    16))::bit(64)::bigint
from "public"."visit" as t
where false;

-- verify the cloud's own, cloud: Ranges(1024)
select (('x' || left(md5(convert_to(row((t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int,
count(*), sum(('x' || left(md5(convert_to(row((t."visit_no"::integer)::integer, (t."done"::boolean)::boolean)::text,
          'UTF8')), 16))::bit(64)::bigint)::text
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
group by 1;

-- verify the cloud's own, cloud: RowsIn(1024)
select ('x' || left(md5(convert_to(row((t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row((t."visit_no"::integer)::integer, (t."done"::boolean)::boolean)::text, 'UTF8')),
    16))::bit(64)::bigint, count(*), md5(string_agg(t.xmin::text, ' '
    order by t.xmin::text))
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
and (('x' || left(md5(convert_to(row((t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify the cloud's own, cloud: RowsOf
select ('x' || left(md5(convert_to(row((t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
('x' || left(md5(convert_to(row((t."visit_no"::integer)::integer, (t."done"::boolean)::boolean)::text, 'UTF8')),
    16))::bit(64)::bigint, count(*), md5(string_agg(t.xmin::text, ' '
    order by t.xmin::text))
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
and ('x' || left(md5(convert_to(row((t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify the cloud's own, cloud: NamesOf
select ('x' || left(md5(convert_to(row((t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
array[case when t."visit_no" is distinct from null then concat(t."visit_no") end]::text[], array[]::text[]
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
and ('x' || left(md5(convert_to(row((t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify the cloud's own, cloud: ValuesOf
select ('x' || left(md5(convert_to(row((t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint,
array[case when t."visit_no" is distinct from null then concat(t."visit_no") end]::text[], array[case
when (t."visit_no"::integer)::integer is distinct from null then concat((t."visit_no"::integer)::integer) end, case
when (t."done"::boolean)::boolean is distinct from null then concat((t."done"::boolean)::boolean) end]::text[]
from "public"."visit" as t
where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)
and ('x' || left(md5(convert_to(row((t."visit_no"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify the cloud's own: sent as it would travel
select array[case when t."visit_no" is distinct from null then concat(t."visit_no") end, case
when t."done" is distinct from null then concat(t."done") end]::text[]
from only "public"."visits" as t
where not coalesce(t."source" = 'M'::bpchar, false) and ('x' || left(md5(convert_to(row(t."visit_no"::integer)::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify the cloud's own: looked at where it arrives
select ('x' || left(md5(convert_to(row((t.c0::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t.c0::integer)::integer,
          (t.c1::boolean)::boolean)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from (select * from unnest($1, $2) as u(c0, c1)) as t
where true and ('x' || left(md5(convert_to(row((t.c0::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($3)
group by 1, 2;
