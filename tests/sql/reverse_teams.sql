-- teams on its way home

-- watched: new
new."source" = 'M'::bpchar and true

-- watched: changed
(old."source" = 'M'::bpchar and true) or (new."source" = 'M'::bpchar and true)

-- watched: gone
old."source" = 'M'::bpchar and true

-- the phones' rows in the cloud
t."source" = 'M'::bpchar and true

-- the phones' rows on the desktop
coalesce(t."source" = 'M'::bpchar, false)

-- queue what is there
insert into tandem.outbox (replicator, "table", key, op)
select 'office-1', 'teams', array[case when t."id" is distinct from null then concat(t."id") end]::text[], 'Q'
from "public"."teams" as t
where t."source" = 'M'::bpchar and true;

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
  where replicator = 'office-1' and "table" = any ('{"teams"}'::text[])
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
  when (t."source" = 'D'::bpchar or t."source" is null) then 'desktop' else 'other' end as state, k.again, 1::bigint as copies,
  coalesce(octet_length(t::text), 0)::bigint as bytes, k.key[1] as c0, case
  when t."lead" is distinct from null then concat(t."lead") end as c1
  from k
  left join "public"."teams" as t on not k.emptied and t."id" = k.key[1]::integer
  and true
  where k."table" = 'teams')
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
--   $5: teams

-- announce
with src as materialized (
  select u.c0::integer as "id", u.c1::integer as "lead", u.key as "tandem key", u.entry::bigint as "tandem entry",
  u.copies::bigint as "tandem copies", md5(concat($6, '/', $7, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (select u.c0 as "id", u.c1 as "lead") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, key, entry, copies))
select pg_logical_emit_message(true, 'tandem.reverse', (
    select h.nonce
    from tandem.reverse as h
    where h.replicator = $6) || (
    select coalesce(string_agg(concat(E'\n', encode(sha256(convert_to(case
                when src."id" is distinct from null then concat('v', octet_length(convert_to(concat(src."id"::integer),
                      'UTF8')), ':', concat(src."id"::integer)) else 'n' end, 'UTF8')), 'hex'), ' ', encode(sha256(convert_to(case
                when src."id" is distinct from null then concat('v', octet_length(convert_to(concat(src."id"::integer),
                      'UTF8')), ':', concat(src."id"::integer)) else 'n' end || case
                when src."lead" is distinct from null then concat('v', octet_length(convert_to(concat(src."lead"::integer),
                      'UTF8')), ':', concat(src."lead"::integer)) else 'n' end, 'UTF8')), 'hex'), ' ', replace($7,
            E'\n', ' ')), ''), '')
    from src));
--   $1: {1}
--   $2: {2}
--   $3: {{1}}
--   $4: {5}
--   $5: {1}
--   $6: office-1
--   $7: teams

-- announce what goes
with src as materialized (
  select u.c0::integer as "id", u.key as "tandem key", u.entry::bigint as "tandem entry", u.copies::bigint as "tandem copies",
  md5(concat($5, '/', $6, '/', u.key)) as "tandem hash", (select to_jsonb(c) from (select u.c0 as "id") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4) as u(c0, key, entry, copies))
select pg_logical_emit_message(true, 'tandem.reverse', (
    select h.nonce
    from tandem.reverse as h
    where h.replicator = $5) || (
    select coalesce(string_agg(concat(E'\n', encode(sha256(convert_to(case
                when src."id" is distinct from null then concat('v', octet_length(convert_to(concat(src."id"::integer),
                      'UTF8')), ':', concat(src."id"::integer)) else 'n' end, 'UTF8')), 'hex'), ' ', '-', ' ', replace($6,
            E'\n', ' ')), ''), '')
    from src));
--   $1: {1}
--   $2: {{1}}
--   $3: {5}
--   $4: {1}
--   $5: office-1
--   $6: teams

-- put, 1 of 2
with src as materialized (
  select u.c0::integer as "id", u.c1::integer as "lead", u.key as "tandem key", u.entry::bigint as "tandem entry",
  u.copies::bigint as "tandem copies", md5(concat($6, '/', $7, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (select u.c0 as "id", u.c1 as "lead") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry")
select count(*)
from (
  select
  from only "public"."teams" as t
  join mine on t."id" = mine."id" for update of t) as locked;
--   $1: {1}
--   $2: {2}
--   $3: {{1}}
--   $4: {5}
--   $5: {1}
--   $6: office-1
--   $7: teams

-- put, 2 of 2
with src as materialized (
  select u.c0::integer as "id", u.c1::integer as "lead", u.key as "tandem key", u.entry::bigint as "tandem entry",
  u.copies::bigint as "tandem copies", md5(concat($6, '/', $7, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (select u.c0 as "id", u.c1 as "lead") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry"),
there as materialized (
  select distinct on (mine."tandem key") mine."tandem key" as name, t.tableoid as part, t.ctid as at, md5(row(t."id"::integer,
      t."lead"::integer)::record::text) as hash, coalesce(t."source" = 'M'::bpchar, false) as mobile, to_jsonb(t) as image
  from mine
  join only "public"."teams" as t on t."id" = mine."id"
  order by mine."tandem key", 5 desc, t.ctid),
judged as materialized (
  select mine.*, there.part as "tandem part", there.at as "tandem at", there.image as "tandem image", case
  when there.at is not null and not there.mobile then 'taken' when there.at is not null
  and there.hash = md5(row(mine."id"::integer, mine."lead"::integer)::record::text) then 'same'
  when there.at is not null and mine."tandem state" = 'kept' then 'reused'
  when there.at is not null and there.hash <> mine."tandem last" then 'changed'
  when there.at is not null then 'update' when mine."tandem last" is not null then 'removed'
  else 'insert' end as "tandem verdict"
  from mine
  left join there on there.name = mine."tandem key"),
updated as (
  update only "public"."teams" as t
  set "lead" = src."lead"
  from judged as src
  where t.tableoid = src."tandem part" and t.ctid = src."tandem at" and src."tandem verdict" in ('update')
  returning 1),
inserted as (
  insert into "public"."teams" ("id", "lead", "source") overriding system value
  select src."id", src."lead", 'M'::bpchar
  from judged as src
  where src."tandem verdict" in ('insert')
  returning 1),
noted as (
  insert into tandem.conflict (replicator, "table", kind, key, kept, desktop, cloud)
  select $6, $7, j."tandem verdict", j."tandem key"::text[], case j."tandem verdict"
  when 'taken' then 'desktop' when 'reused' then 'desktop' when 'changed' then 'desktop'
  when 'removed' then 'desktop' end, j."tandem image", j."tandem cloud"
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
  when 'changed' then 'desktop' when 'removed' then 'desktop' end
  from judged as j
  where l.key_hash = j."tandem hash")
select coalesce(jsonb_agg(jsonb_build_array("tandem entry", "tandem verdict")), '[]')
from judged
where case when (select count(*) from updated) + (select count(*) from inserted) < (
  select count(*)
  from judged as w
  where w."tandem verdict" in ('insert', 'update')) then not tandem.kept_out('"public"."teams"'::regclass, 20, (select count(*) from updated) + (select count(*) from inserted),
  (
    select count(*)
    from judged as w
    where w."tandem verdict" in ('insert', 'update'))) else true end;
--   $1: {1}
--   $2: {2}
--   $3: {{1}}
--   $4: {5}
--   $5: {1}
--   $6: office-1
--   $7: teams

-- put loosely, 1 of 2
with src as materialized (
  select u.c0::integer as "id", u.c1::integer as "lead", u.key as "tandem key", u.entry::bigint as "tandem entry",
  u.copies::bigint as "tandem copies", md5(concat($6, '/', $7, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (select u.c0 as "id", u.c1 as "lead") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry")
select count(*)
from (
  select
  from only "public"."teams" as t
  join mine on t."id" = mine."id" for update of t) as locked;
--   $1: {1}
--   $2: {2}
--   $3: {{1}}
--   $4: {5}
--   $5: {1}
--   $6: office-1
--   $7: teams

-- put loosely, 2 of 2
with src as materialized (
  select u.c0::integer as "id", u.c1::integer as "lead", u.key as "tandem key", u.entry::bigint as "tandem entry",
  u.copies::bigint as "tandem copies", md5(concat($6, '/', $7, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (select u.c0 as "id", u.c1 as "lead") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry"),
there as materialized (
  select distinct on (mine."tandem key") mine."tandem key" as name, t.tableoid as part, t.ctid as at, md5(row(t."id"::integer,
      t."lead"::integer)::record::text) as hash, coalesce(t."source" = 'M'::bpchar, false) as mobile, to_jsonb(t) as image
  from mine
  join only "public"."teams" as t on t."id" = mine."id"
  order by mine."tandem key", 5 desc, t.ctid),
judged as materialized (
  select mine.*, there.part as "tandem part", there.at as "tandem at", there.image as "tandem image", case
  when there.at is not null and not there.mobile then 'taken' when there.at is not null
  and there.hash = md5(row(mine."id"::integer, mine."lead"::integer)::record::text) then 'same'
  when there.at is not null and mine."tandem state" = 'kept' then 'reused'
  when there.at is not null and there.hash <> mine."tandem last" then 'changed'
  when there.at is not null then 'update' when mine."tandem last" is not null then 'removed'
  else 'insert' end as "tandem verdict"
  from mine
  left join there on there.name = mine."tandem key"),
updated as (
  update only "public"."teams" as t
  set "lead" = null::integer
  from judged as src
  where t.tableoid = src."tandem part" and t.ctid = src."tandem at" and src."tandem verdict" in ('update')
  returning 1),
inserted as (
  insert into "public"."teams" ("id", "lead", "source") overriding system value
  select src."id", null::integer, 'M'::bpchar
  from judged as src
  where src."tandem verdict" in ('insert')
  returning 1),
noted as (
  insert into tandem.conflict (replicator, "table", kind, key, kept, desktop, cloud)
  select $6, $7, j."tandem verdict", j."tandem key"::text[], case j."tandem verdict"
  when 'taken' then 'desktop' when 'reused' then 'desktop' when 'changed' then 'desktop'
  when 'removed' then 'desktop' end, j."tandem image", j."tandem cloud"
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
  when 'changed' then 'desktop' when 'removed' then 'desktop' end
  from judged as j
  where l.key_hash = j."tandem hash")
select coalesce(jsonb_agg(jsonb_build_array("tandem entry", "tandem verdict")), '[]')
from judged
where case when (select count(*) from updated) + (select count(*) from inserted) < (
  select count(*)
  from judged as w
  where w."tandem verdict" in ('insert', 'update')) then not tandem.kept_out('"public"."teams"'::regclass, 20, (select count(*) from updated) + (select count(*) from inserted),
  (
    select count(*)
    from judged as w
    where w."tandem verdict" in ('insert', 'update'))) else true end;
--   $1: {1}
--   $2: {2}
--   $3: {{1}}
--   $4: {5}
--   $5: {1}
--   $6: office-1
--   $7: teams

-- fill
with src as materialized (
  select u.c0::integer as "id", u.c1::integer as "lead", u.key as "tandem key", u.entry::bigint as "tandem entry",
  u.copies::bigint as "tandem copies", md5(concat($6, '/', $7, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (select u.c0 as "id", u.c1 as "lead") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry")
update only "public"."teams" as t
set "lead" = mine."lead"
from mine
where t."id" = mine."id" and coalesce(t."source" = 'M'::bpchar, false) and t.xmin = pg_current_xact_id()::xid
and row(t."lead"::integer)::record::text <> row(mine."lead"::integer)::record::text;
--   $1: {1}
--   $2: {2}
--   $3: {{1}}
--   $4: {5}
--   $5: {1}
--   $6: office-1
--   $7: teams

-- remove, 1 of 2
with src as materialized (
  select u.c0::integer as "id", u.key as "tandem key", u.entry::bigint as "tandem entry", u.copies::bigint as "tandem copies",
  md5(concat($5, '/', $6, '/', u.key)) as "tandem hash", (select to_jsonb(c) from (select u.c0 as "id") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4) as u(c0, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry")
select count(*)
from (
  select
  from only "public"."teams" as t
  join mine on t."id" = mine."id" for update of t) as locked;
--   $1: {1}
--   $2: {{1}}
--   $3: {5}
--   $4: {1}
--   $5: office-1
--   $6: teams

-- remove, 2 of 2
with src as materialized (
  select u.c0::integer as "id", u.key as "tandem key", u.entry::bigint as "tandem entry", u.copies::bigint as "tandem copies",
  md5(concat($5, '/', $6, '/', u.key)) as "tandem hash", (select to_jsonb(c) from (select u.c0 as "id") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4) as u(c0, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry"),
there as materialized (
  select distinct on (mine."tandem key") mine."tandem key" as name, t.tableoid as part, t.ctid as at, md5(row(t."id"::integer,
      t."lead"::integer)::record::text) as hash, coalesce(t."source" = 'M'::bpchar, false) as mobile, to_jsonb(t) as image
  from mine
  join only "public"."teams" as t on t."id" = mine."id"
  order by mine."tandem key", 5 desc, t.ctid),
judged as materialized (
  select mine.*, there.part as "tandem part", there.at as "tandem at", there.image as "tandem image", case
  when there.at is null or not there.mobile then 'same' when there.hash <> mine."tandem last" then 'keep'
  else 'keep' end as "tandem verdict"
  from mine
  left join there on there.name = mine."tandem key"),
gone as (
  delete from only "public"."teams" as t using judged as src
  where t.tableoid = src."tandem part" and t.ctid = src."tandem at" and src."tandem verdict" in ('delete')
  returning 1),
noted as (
  insert into tandem.conflict (replicator, "table", kind, key, kept, desktop, cloud)
  select $5, $6, j."tandem verdict", j."tandem key"::text[], case j."tandem verdict"
  when 'deleted' then 'desktop' end, j."tandem image", j."tandem cloud"
  from judged as j
  where j."tandem verdict" in ('deleted') and not exists (
    select
    from tandem.conflict as c
    where c.replicator = $5 and c.seen_at is null and c."table" = $6 and c.kind = j."tandem verdict"
    and c.key = j."tandem key"::text[] and c.desktop is not distinct from j."tandem image"
    and c.cloud is not distinct from j."tandem cloud")),
stated as (
  update tandem.ledger as l
  set state = case j."tandem verdict" when 'keep' then 'kept' when 'deleted' then 'desktop' end
  from judged as j
  where l.key_hash = j."tandem hash")
select coalesce(jsonb_agg(jsonb_build_array("tandem entry", "tandem verdict")), '[]')
from judged
where case when (select count(*) from gone) < (
  select count(*)
  from judged as w
  where w."tandem verdict" in ('delete')) then not tandem.kept_out('"public"."teams"'::regclass, 8, (select count(*) from gone),
  (
    select count(*)
    from judged as w
    where w."tandem verdict" in ('delete'))) else true end;
--   $1: {1}
--   $2: {{1}}
--   $3: {5}
--   $4: {1}
--   $5: office-1
--   $6: teams

-- remember
with src as materialized (
  select u.c0::integer as "id", u.key as "tandem key", u.entry::bigint as "tandem entry", u.copies::bigint as "tandem copies",
  md5(concat($5, '/', $6, '/', u.key)) as "tandem hash", (select to_jsonb(c) from (select u.c0 as "id") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4) as u(c0, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry"),
now as (
  select mine."tandem hash" as name, min(case when t.ctid is not null then md5(row(t."id"::integer, t."lead"::integer)::record::text) end) as hash
  from mine
  left join only "public"."teams" as t on t."id" = mine."id" and coalesce(t."source" = 'M'::bpchar, false)
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
--   $6: teams

-- take over what the desktop did
with src as materialized (
  select u.entry::bigint as "tandem entry", md5(concat($4::text, '/', $5::text, '/', u.key)) as "tandem hash", u.told is null as "tandem gone",
  (u.told::jsonb ->> 'id')::integer as "id", (u.told::jsonb ->> 'lead')::integer as "lead"
  from unnest($1, $2, $3) as u(key, entry, told)
  where u.told is null or u.told::jsonb ?& array['id', 'lead']::text[])
update tandem.ledger as l
set entry = src."tandem entry", state = null, hash = case when not src."tandem gone" then md5(row(src."id"::integer,
    src."lead"::integer)::record::text) end
from src
where l.key_hash = src."tandem hash" and l.entry < src."tandem entry" and (l.state is null
  or l.state = 'desktop');
--   $1: {{1}}
--   $2: {5}
--   $3: {{}}
--   $4: office-1
--   $5: teams

-- verify its rows, desktop: count
select count(*)
from only "public"."teams" as t
where coalesce(t."source" = 'M'::bpchar, false);

-- verify its rows, desktop: trial
select ('x' || left(md5(convert_to(row(t."id"::integer, t."lead"::integer)::text, 'UTF8')), 16))::bit(64)::bigint
from only "public"."teams" as t
where false;

-- verify its rows, desktop: Ranges(1024)
select (('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int, count(*),
sum(('x' || left(md5(convert_to(row(t."id"::integer, t."lead"::integer)::text, 'UTF8')), 16))::bit(64)::bigint)::text
from only "public"."teams" as t
where coalesce(t."source" = 'M'::bpchar, false)
group by 1;

-- verify its rows, desktop: RowsIn(1024)
select ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row(t."id"::integer,
          t."lead"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from only "public"."teams" as t
where coalesce(t."source" = 'M'::bpchar, false) and (('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')),
      16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify its rows, desktop: RowsOf
select ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row(t."id"::integer,
          t."lead"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from only "public"."teams" as t
where coalesce(t."source" = 'M'::bpchar, false) and ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify its rows, desktop: NamesOf
select ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when t."id"::integer is distinct from null then concat(t."id"::integer) end]::text[], array[]::text[]
from only "public"."teams" as t
where coalesce(t."source" = 'M'::bpchar, false) and ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($1);

-- verify its rows, desktop: ValuesOf
select ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when t."id"::integer is distinct from null then concat(t."id"::integer) end]::text[], array[case
when t."id"::integer is distinct from null then concat(t."id"::integer) end, case
when t."lead"::integer is distinct from null then concat(t."lead"::integer) end]::text[]
from only "public"."teams" as t
where coalesce(t."source" = 'M'::bpchar, false) and ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($1);

-- verify its rows, cloud: count
select count(*)
from "public"."teams" as t
where t."source" = 'M'::bpchar and true;

-- verify its rows, cloud: trial
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer, (t."lead"::integer)::integer)::text, 'UTF8')),
    16))::bit(64)::bigint
from "public"."teams" as t
where false;

-- verify its rows, cloud: Ranges(1024)
select (('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int,
count(*), sum(('x' || left(md5(convert_to(row((t."id"::integer)::integer, (t."lead"::integer)::integer)::text, 'UTF8')),
      16))::bit(64)::bigint)::text
from "public"."teams" as t
where t."source" = 'M'::bpchar and true
group by 1;

-- verify its rows, cloud: RowsIn(1024)
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t."id"::integer)::integer,
          (t."lead"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from "public"."teams" as t
where t."source" = 'M'::bpchar and true and (('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text,
          'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify its rows, cloud: RowsOf
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t."id"::integer)::integer,
          (t."lead"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from "public"."teams" as t
where t."source" = 'M'::bpchar and true and ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify its rows, cloud: NamesOf
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when t."id" is distinct from null then concat(t."id") end]::text[], array[]::text[]
from "public"."teams" as t
where t."source" = 'M'::bpchar and true and ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($1);

-- verify its rows, cloud: ValuesOf
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when t."id" is distinct from null then concat(t."id") end]::text[], array[case
when (t."id"::integer)::integer is distinct from null then concat((t."id"::integer)::integer) end, case
when (t."lead"::integer)::integer is distinct from null then concat((t."lead"::integer)::integer) end]::text[]
from "public"."teams" as t
where t."source" = 'M'::bpchar and true and ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($1);

-- verify its rows: sent as it would travel
select array[case when t."id" is distinct from null then concat(t."id") end, case
when t."lead" is distinct from null then concat(t."lead") end]::text[]
from only "public"."teams" as t
where coalesce(t."source" = 'M'::bpchar, false) and ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($1);

-- verify its rows: looked at where it arrives
select ('x' || left(md5(convert_to(row((t.c0::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t.c0::integer)::integer,
          (t.c1::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from (select * from unnest($1, $2) as u(c0, c1)) as t
where true and ('x' || left(md5(convert_to(row((t.c0::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($3)
group by 1, 2;

-- verify the cloud's own: nothing

