-- diary on its way home

-- watched: new
new."source" = 'M'::bpchar and new."org_id" = '1'::numeric

-- watched: changed
(old."source" = 'M'::bpchar and old."org_id" = '1'::numeric) or (new."source" = 'M'::bpchar
  and new."org_id" = '1'::numeric)

-- watched: gone
old."source" = 'M'::bpchar and old."org_id" = '1'::numeric

-- the phones' rows in the cloud
t."source" = 'M'::bpchar and t."org_id" = '1'::numeric

-- the phones' rows on the desktop
coalesce(t."source" = 'M'::bpchar, false)

-- queue what is there
insert into tandem.outbox (replicator, "table", key, op)
select 'office-1', 'diary', array[case when t."id" is distinct from null then concat(t."id") end]::text[], 'Q'
from "public"."diary" as t
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
  where replicator = 'office-1' and "table" = any ('{"diary"}'::text[])
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
  k.key[1] as c0, case when t."date" is distinct from null then concat(t."date") end as c1, case
  when t."timefrom" is distinct from null then concat(t."timefrom") end as c2, case
  when t."note" is distinct from null then concat(t."note") end as c3, case
  when t."source" is distinct from null then concat(t."source") end as c4
  from k
  left join "public"."diary" as t on not k.emptied and t."id" = k.key[1]::integer
  and t."org_id" = '1'::numeric
  where k."table" = 'diary')
select f."table", f.id, f.ids::text, f.new, f.key::text, f.state, f.again, f.copies, f.bytes, k.told_by, k.told::text,
k.only_told, case when f.bytes <= 33554432 then f.c0 end, case when f.bytes <= 33554432 then f.c1 end, case
when f.bytes <= 33554432 then f.c2 end, case when f.bytes <= 33554432 then f.c3 end, case
when f.bytes <= 33554432 then f.c4 end
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
--   $5: diary

-- announce
with src as materialized (
  select u.c0::integer as "id", u.c1::date as "date", (
    select (date + timefrom /* the line ends */
      )
    from (
      select u.c1::date as "date", u.c2::time without time zone as "timefrom") as arriving)::timestamp without time zone as "timefrom",
  tandem.fit(u.c3::text, u.c3::text::character varying(50)::text, 'note')::text as "note", u.c4::bpchar as "source",
  u.key as "tandem key", u.entry::bigint as "tandem entry", u.copies::bigint as "tandem copies", md5(concat($9,
      '/', $10, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (
      select u.c0 as "id", u.c1 as "date", u.c2 as "timefrom", u.c3 as "note", u.c4 as "source") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5, $6, $7, $8) as u(c0, c1, c2, c3, c4, key, entry, copies))
select pg_logical_emit_message(true, 'tandem.reverse', (
    select h.nonce
    from tandem.reverse as h
    where h.replicator = $9) || (
    select coalesce(string_agg(concat(E'\n', encode(sha256(convert_to(case
                when src."id" is distinct from null then concat('v', octet_length(convert_to(concat(src."id"::integer),
                      'UTF8')), ':', concat(src."id"::integer)) else 'n' end, 'UTF8')), 'hex'), ' ', encode(sha256(convert_to(case
                when src."id" is distinct from null then concat('v', octet_length(convert_to(concat(src."id"::integer),
                      'UTF8')), ':', concat(src."id"::integer)) else 'n' end || case
                when src."date" is distinct from null then concat('v', octet_length(convert_to(concat(src."date"::date),
                      'UTF8')), ':', concat(src."date"::date)) else 'n' end || case
                when src."timefrom" is distinct from null then concat('v', octet_length(convert_to(concat(src."timefrom"::timestamp without time zone),
                      'UTF8')), ':', concat(src."timefrom"::timestamp without time zone))
                else 'n' end || case when src."note" is distinct from null then concat('v', octet_length(convert_to(concat(src."note"::text),
                      'UTF8')), ':', concat(src."note"::text)) else 'n' end || case
                when src."source" is distinct from null then concat('v', octet_length(convert_to(concat(src."source"::bpchar),
                      'UTF8')), ':', concat(src."source"::bpchar)) else 'n' end, 'UTF8')), 'hex'), ' ', replace($10,
            E'\n', ' ')), ''), '')
    from src));
--   $1: {1}
--   $2: {2}
--   $3: {3}
--   $4: {4}
--   $5: {5}
--   $6: {{1}}
--   $7: {5}
--   $8: {1}
--   $9: office-1
--   $10: diary

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
--   $6: diary

-- put, 1 of 2
with src as materialized (
  select u.c0::integer as "id", u.c1::date as "date", (
    select (date + timefrom /* the line ends */
      )
    from (
      select u.c1::date as "date", u.c2::time without time zone as "timefrom") as arriving)::timestamp without time zone as "timefrom",
  tandem.fit(u.c3::text, u.c3::text::character varying(50)::text, 'note')::text as "note", u.c4::bpchar as "source",
  u.key as "tandem key", u.entry::bigint as "tandem entry", u.copies::bigint as "tandem copies", md5(concat($9,
      '/', $10, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (
      select u.c0 as "id", u.c1 as "date", u.c2 as "timefrom", u.c3 as "note", u.c4 as "source") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5, $6, $7, $8) as u(c0, c1, c2, c3, c4, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry")
select count(*)
from (
  select
  from only "public"."diary" as t
  join mine on t."id" = mine."id" for update of t) as locked;
--   $1: {1}
--   $2: {2}
--   $3: {3}
--   $4: {4}
--   $5: {5}
--   $6: {{1}}
--   $7: {5}
--   $8: {1}
--   $9: office-1
--   $10: diary

-- put, 2 of 2
with src as materialized (
  select u.c0::integer as "id", u.c1::date as "date", (
    select (date + timefrom /* the line ends */
      )
    from (
      select u.c1::date as "date", u.c2::time without time zone as "timefrom") as arriving)::timestamp without time zone as "timefrom",
  tandem.fit(u.c3::text, u.c3::text::character varying(50)::text, 'note')::text as "note", u.c4::bpchar as "source",
  u.key as "tandem key", u.entry::bigint as "tandem entry", u.copies::bigint as "tandem copies", md5(concat($9,
      '/', $10, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (
      select u.c0 as "id", u.c1 as "date", u.c2 as "timefrom", u.c3 as "note", u.c4 as "source") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5, $6, $7, $8) as u(c0, c1, c2, c3, c4, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry"),
there as materialized (
  select distinct on (mine."tandem key") mine."tandem key" as name, t.tableoid as part, t.ctid as at, md5(row(t."id"::integer,
      t."date"::date, t."timefrom"::timestamp without time zone, t."note"::text, t."source"::bpchar)::record::text) as hash,
  coalesce(t."source" = 'M'::bpchar, false) as mobile, to_jsonb(t) as image
  from mine
  join only "public"."diary" as t on t."id" = mine."id"
  order by mine."tandem key", 5 desc, t.ctid),
judged as materialized (
  select mine.*, there.part as "tandem part", there.at as "tandem at", there.image as "tandem image", case
  when there.at is not null and not there.mobile then 'taken' when there.at is not null
  and there.hash = md5(row(mine."id"::integer, mine."date"::date, mine."timefrom"::timestamp without time zone,
      mine."note"::text, mine."source"::bpchar)::record::text) then 'same'
  when there.at is not null and mine."tandem state" = 'kept' then 'reused'
  when there.at is not null and there.hash <> mine."tandem last" then 'changed'
  when there.at is not null then 'update' when mine."tandem last" is not null then 'removed'
  else 'insert' end as "tandem verdict"
  from mine
  left join there on there.name = mine."tandem key"),
updated as (
  update only "public"."diary" as t
  set "date" = src."date", "timefrom" = src."timefrom", "note" = src."note", "source" = src."source"
  from judged as src
  where t.tableoid = src."tandem part" and t.ctid = src."tandem at" and src."tandem verdict" in ('update', 'changed')
  returning 1),
inserted as (
  insert into "public"."diary" ("id", "date", "timefrom", "note", "source", "source") overriding system value
  select src."id", src."date", src."timefrom", src."note", src."source", 'M'::bpchar
  from judged as src
  where src."tandem verdict" in ('insert', 'removed')
  returning 1),
noted as (
  insert into tandem.conflict (replicator, "table", kind, key, kept, desktop, cloud)
  select $9, $10, j."tandem verdict", j."tandem key"::text[], case j."tandem verdict"
  when 'taken' then 'desktop' when 'reused' then 'desktop' when 'changed' then 'cloud'
  when 'removed' then 'cloud' end, j."tandem image", j."tandem cloud"
  from judged as j
  where j."tandem verdict" in ('taken', 'reused', 'changed', 'removed')
  and not exists (
    select
    from tandem.conflict as c
    where c.replicator = $9 and c.seen_at is null and c."table" = $10 and c.kind = j."tandem verdict"
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
  where w."tandem verdict" in ('insert', 'removed', 'update', 'changed')) then not tandem.kept_out('"public"."diary"'::regclass,
  20, (select count(*) from updated) + (select count(*) from inserted), (
    select count(*)
    from judged as w
    where w."tandem verdict" in ('insert', 'removed', 'update', 'changed')))
else true end;
--   $1: {1}
--   $2: {2}
--   $3: {3}
--   $4: {4}
--   $5: {5}
--   $6: {{1}}
--   $7: {5}
--   $8: {1}
--   $9: office-1
--   $10: diary

-- put loosely, 1 of 2
with src as materialized (
  select u.c0::integer as "id", u.c1::date as "date", (
    select (date + timefrom /* the line ends */
      )
    from (
      select u.c1::date as "date", u.c2::time without time zone as "timefrom") as arriving)::timestamp without time zone as "timefrom",
  tandem.fit(u.c3::text, u.c3::text::character varying(50)::text, 'note')::text as "note", u.c4::bpchar as "source",
  u.key as "tandem key", u.entry::bigint as "tandem entry", u.copies::bigint as "tandem copies", md5(concat($9,
      '/', $10, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (
      select u.c0 as "id", u.c1 as "date", u.c2 as "timefrom", u.c3 as "note", u.c4 as "source") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5, $6, $7, $8) as u(c0, c1, c2, c3, c4, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry")
select count(*)
from (
  select
  from only "public"."diary" as t
  join mine on t."id" = mine."id" for update of t) as locked;
--   $1: {1}
--   $2: {2}
--   $3: {3}
--   $4: {4}
--   $5: {5}
--   $6: {{1}}
--   $7: {5}
--   $8: {1}
--   $9: office-1
--   $10: diary

-- put loosely, 2 of 2
with src as materialized (
  select u.c0::integer as "id", u.c1::date as "date", (
    select (date + timefrom /* the line ends */
      )
    from (
      select u.c1::date as "date", u.c2::time without time zone as "timefrom") as arriving)::timestamp without time zone as "timefrom",
  tandem.fit(u.c3::text, u.c3::text::character varying(50)::text, 'note')::text as "note", u.c4::bpchar as "source",
  u.key as "tandem key", u.entry::bigint as "tandem entry", u.copies::bigint as "tandem copies", md5(concat($9,
      '/', $10, '/', u.key)) as "tandem hash", (
    select to_jsonb(c)
    from (
      select u.c0 as "id", u.c1 as "date", u.c2 as "timefrom", u.c3 as "note", u.c4 as "source") as c) as "tandem cloud"
  from unnest($1, $2, $3, $4, $5, $6, $7, $8) as u(c0, c1, c2, c3, c4, key, entry, copies)),
mine as materialized (
  select src.*, l.hash as "tandem last", l.state as "tandem state"
  from src
  join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry"),
there as materialized (
  select distinct on (mine."tandem key") mine."tandem key" as name, t.tableoid as part, t.ctid as at, md5(row(t."id"::integer,
      t."date"::date, t."timefrom"::timestamp without time zone, t."note"::text, t."source"::bpchar)::record::text) as hash,
  coalesce(t."source" = 'M'::bpchar, false) as mobile, to_jsonb(t) as image
  from mine
  join only "public"."diary" as t on t."id" = mine."id"
  order by mine."tandem key", 5 desc, t.ctid),
judged as materialized (
  select mine.*, there.part as "tandem part", there.at as "tandem at", there.image as "tandem image", case
  when there.at is not null and not there.mobile then 'taken' when there.at is not null
  and there.hash = md5(row(mine."id"::integer, mine."date"::date, mine."timefrom"::timestamp without time zone,
      mine."note"::text, mine."source"::bpchar)::record::text) then 'same'
  when there.at is not null and mine."tandem state" = 'kept' then 'reused'
  when there.at is not null and there.hash <> mine."tandem last" then 'changed'
  when there.at is not null then 'update' when mine."tandem last" is not null then 'removed'
  else 'insert' end as "tandem verdict"
  from mine
  left join there on there.name = mine."tandem key"),
updated as (
  update only "public"."diary" as t
  set "date" = src."date", "timefrom" = src."timefrom", "note" = src."note", "source" = src."source"
  from judged as src
  where t.tableoid = src."tandem part" and t.ctid = src."tandem at" and src."tandem verdict" in ('update', 'changed')
  returning 1),
inserted as (
  insert into "public"."diary" ("id", "date", "timefrom", "note", "source", "source") overriding system value
  select src."id", src."date", src."timefrom", src."note", src."source", 'M'::bpchar
  from judged as src
  where src."tandem verdict" in ('insert', 'removed')
  returning 1),
noted as (
  insert into tandem.conflict (replicator, "table", kind, key, kept, desktop, cloud)
  select $9, $10, j."tandem verdict", j."tandem key"::text[], case j."tandem verdict"
  when 'taken' then 'desktop' when 'reused' then 'desktop' when 'changed' then 'cloud'
  when 'removed' then 'cloud' end, j."tandem image", j."tandem cloud"
  from judged as j
  where j."tandem verdict" in ('taken', 'reused', 'changed', 'removed')
  and not exists (
    select
    from tandem.conflict as c
    where c.replicator = $9 and c.seen_at is null and c."table" = $10 and c.kind = j."tandem verdict"
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
  where w."tandem verdict" in ('insert', 'removed', 'update', 'changed')) then not tandem.kept_out('"public"."diary"'::regclass,
  20, (select count(*) from updated) + (select count(*) from inserted), (
    select count(*)
    from judged as w
    where w."tandem verdict" in ('insert', 'removed', 'update', 'changed')))
else true end;
--   $1: {1}
--   $2: {2}
--   $3: {3}
--   $4: {4}
--   $5: {5}
--   $6: {{1}}
--   $7: {5}
--   $8: {1}
--   $9: office-1
--   $10: diary

-- fill: nothing

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
  from only "public"."diary" as t
  join mine on t."id" = mine."id" for update of t) as locked;
--   $1: {1}
--   $2: {{1}}
--   $3: {5}
--   $4: {1}
--   $5: office-1
--   $6: diary

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
      t."date"::date, t."timefrom"::timestamp without time zone, t."note"::text, t."source"::bpchar)::record::text) as hash,
  coalesce(t."source" = 'M'::bpchar, false) as mobile, to_jsonb(t) as image
  from mine
  join only "public"."diary" as t on t."id" = mine."id"
  order by mine."tandem key", 5 desc, t.ctid),
judged as materialized (
  select mine.*, there.part as "tandem part", there.at as "tandem at", there.image as "tandem image", case
  when there.at is null or not there.mobile then 'same' when there.hash <> mine."tandem last" then 'deleted'
  else 'delete' end as "tandem verdict"
  from mine
  left join there on there.name = mine."tandem key"),
gone as (
  delete from only "public"."diary" as t using judged as src
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
  where w."tandem verdict" in ('delete', 'deleted')) then not tandem.kept_out('"public"."diary"'::regclass, 8, (select count(*) from gone),
  (
    select count(*)
    from judged as w
    where w."tandem verdict" in ('delete', 'deleted'))) else true end;
--   $1: {1}
--   $2: {{1}}
--   $3: {5}
--   $4: {1}
--   $5: office-1
--   $6: diary

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
  select mine."tandem hash" as name, min(case when t.ctid is not null then md5(row(t."id"::integer, t."date"::date,
        t."timefrom"::timestamp without time zone, t."note"::text, t."source"::bpchar)::record::text) end) as hash
  from mine
  left join only "public"."diary" as t on t."id" = mine."id" and coalesce(t."source" = 'M'::bpchar, false)
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
--   $6: diary

-- take over what the desktop did
with src as materialized (
  select u.entry::bigint as "tandem entry", md5(concat($4::text, '/', $5::text, '/', u.key)) as "tandem hash", u.told is null as "tandem gone",
  (u.told::jsonb ->> 'id')::integer as "id", (u.told::jsonb ->> 'date')::date as "date", (u.told::jsonb ->> 'timefrom')::timestamp without time zone as "timefrom",
  (u.told::jsonb ->> 'note')::text as "note", (u.told::jsonb ->> 'source')::bpchar as "source"
  from unnest($1, $2, $3) as u(key, entry, told)
  where u.told is null or u.told::jsonb ?& array['id', 'date', 'timefrom', 'note', 'source']::text[])
update tandem.ledger as l
set entry = src."tandem entry", state = null, hash = case when not src."tandem gone" then md5(row(src."id"::integer,
    src."date"::date, src."timefrom"::timestamp without time zone, src."note"::text, src."source"::bpchar)::record::text) end
from src
where l.key_hash = src."tandem hash" and l.entry < src."tandem entry" and (l.state is null
  or l.state = 'desktop');
--   $1: {{1}}
--   $2: {5}
--   $3: {{}}
--   $4: office-1
--   $5: diary

-- verify its rows, desktop: count
select count(*)
from only "public"."diary" as t
where coalesce(t."source" = 'M'::bpchar, false);

-- verify its rows, desktop: trial
select ('x' || left(md5(convert_to(row(t."id"::integer, t."date"::date, t."timefrom"::timestamp without time zone,
          (t."note")::text, t."source"::bpchar)::text, 'UTF8')), 16))::bit(64)::bigint
from only "public"."diary" as t
where false;

-- verify its rows, desktop: Ranges(1024)
select (('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int, count(*),
sum(('x' || left(md5(convert_to(row(t."id"::integer, t."date"::date, t."timefrom"::timestamp without time zone,
            (t."note")::text, t."source"::bpchar)::text, 'UTF8')), 16))::bit(64)::bigint)::text
from only "public"."diary" as t
where coalesce(t."source" = 'M'::bpchar, false)
group by 1;

-- verify its rows, desktop: RowsIn(1024)
select ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row(t."id"::integer,
          t."date"::date, t."timefrom"::timestamp without time zone, (t."note")::text, t."source"::bpchar)::text,
        'UTF8')), 16))::bit(64)::bigint, count(*), ''
from only "public"."diary" as t
where coalesce(t."source" = 'M'::bpchar, false) and (('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')),
      16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify its rows, desktop: RowsOf
select ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row(t."id"::integer,
          t."date"::date, t."timefrom"::timestamp without time zone, (t."note")::text, t."source"::bpchar)::text,
        'UTF8')), 16))::bit(64)::bigint, count(*), ''
from only "public"."diary" as t
where coalesce(t."source" = 'M'::bpchar, false) and ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify its rows, desktop: NamesOf
select ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when t."id"::integer is distinct from null then concat(t."id"::integer) end]::text[], array[]::text[]
from only "public"."diary" as t
where coalesce(t."source" = 'M'::bpchar, false) and ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($1);

-- verify its rows, desktop: ValuesOf
select ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when t."id"::integer is distinct from null then concat(t."id"::integer) end]::text[], array[case
when t."id"::integer is distinct from null then concat(t."id"::integer) end, case
when t."date"::date is distinct from null then concat(t."date"::date) end, case
when t."timefrom"::timestamp without time zone is distinct from null then concat(t."timefrom"::timestamp without time zone) end,
case when (t."note")::text is distinct from null then concat((t."note")::text) end, case
when t."source"::bpchar is distinct from null then concat(t."source"::bpchar) end]::text[]
from only "public"."diary" as t
where coalesce(t."source" = 'M'::bpchar, false) and ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($1);

-- verify its rows, cloud: count
select count(*)
from "public"."diary" as t
where t."source" = 'M'::bpchar and t."org_id" = '1'::numeric;

-- verify its rows, cloud: trial
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer, (t."date"::date)::date, ((
              select (date + timefrom /* the line ends */
                )
              from (
                select t."date"::date as "date", t."timefrom"::time without time zone as "timefrom") as arriving)::timestamp without time zone)::timestamp without time zone,
          (t."note")::text, (t."source"::bpchar)::bpchar)::text, 'UTF8')), 16))::bit(64)::bigint
from "public"."diary" as t
where false;

-- verify its rows, cloud: Ranges(1024)
select (('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint & 1023)::int,
count(*), sum(('x' || left(md5(convert_to(row((t."id"::integer)::integer, (t."date"::date)::date, ((
                select (date + timefrom /* the line ends */
                  )
                from (
                  select t."date"::date as "date", t."timefrom"::time without time zone as "timefrom") as arriving)::timestamp without time zone)::timestamp without time zone,
            (t."note")::text, (t."source"::bpchar)::bpchar)::text, 'UTF8')), 16))::bit(64)::bigint)::text
from "public"."diary" as t
where t."source" = 'M'::bpchar and t."org_id" = '1'::numeric
group by 1;

-- verify its rows, cloud: RowsIn(1024)
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t."id"::integer)::integer,
          (t."date"::date)::date, ((
              select (date + timefrom /* the line ends */
                )
              from (
                select t."date"::date as "date", t."timefrom"::time without time zone as "timefrom") as arriving)::timestamp without time zone)::timestamp without time zone,
          (t."note")::text, (t."source"::bpchar)::bpchar)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from "public"."diary" as t
where t."source" = 'M'::bpchar and t."org_id" = '1'::numeric and (('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text,
          'UTF8')), 16))::bit(64)::bigint & 1023)::int = any ($1)
group by 1, 2;

-- verify its rows, cloud: RowsOf
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t."id"::integer)::integer,
          (t."date"::date)::date, ((
              select (date + timefrom /* the line ends */
                )
              from (
                select t."date"::date as "date", t."timefrom"::time without time zone as "timefrom") as arriving)::timestamp without time zone)::timestamp without time zone,
          (t."note")::text, (t."source"::bpchar)::bpchar)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from "public"."diary" as t
where t."source" = 'M'::bpchar and t."org_id" = '1'::numeric and ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1)
group by 1, 2;

-- verify its rows, cloud: NamesOf
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when t."id" is distinct from null then concat(t."id") end]::text[], array[]::text[]
from "public"."diary" as t
where t."source" = 'M'::bpchar and t."org_id" = '1'::numeric and ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows, cloud: ValuesOf
select ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, array[case
when t."id" is distinct from null then concat(t."id") end]::text[], array[case
when (t."id"::integer)::integer is distinct from null then concat((t."id"::integer)::integer) end, case
when (t."date"::date)::date is distinct from null then concat((t."date"::date)::date) end, case
when ((
    select (date + timefrom /* the line ends */
      )
    from (
      select t."date"::date as "date", t."timefrom"::time without time zone as "timefrom") as arriving)::timestamp without time zone)::timestamp without time zone is distinct from null then concat(((
      select (date + timefrom /* the line ends */
        )
      from (
        select t."date"::date as "date", t."timefrom"::time without time zone as "timefrom") as arriving)::timestamp without time zone)::timestamp without time zone) end,
case when (t."note")::text is distinct from null then concat((t."note")::text) end, case
when (t."source"::bpchar)::bpchar is distinct from null then concat((t."source"::bpchar)::bpchar) end]::text[]
from "public"."diary" as t
where t."source" = 'M'::bpchar and t."org_id" = '1'::numeric and ('x' || left(md5(convert_to(row((t."id"::integer)::integer)::text,
        'UTF8')), 16))::bit(64)::bigint = any ($1);

-- verify its rows: sent as it would travel
select array[case when t."id" is distinct from null then concat(t."id") end, case
when t."date" is distinct from null then concat(t."date") end, case when t."timefrom" is distinct from null then concat(t."timefrom") end,
case when t."note" is distinct from null then concat(t."note") end, case
when t."source" is distinct from null then concat(t."source") end]::text[]
from only "public"."diary" as t
where coalesce(t."source" = 'M'::bpchar, false) and ('x' || left(md5(convert_to(row(t."id"::integer)::text, 'UTF8')),
    16))::bit(64)::bigint = any ($1);

-- verify its rows: looked at where it arrives
select ('x' || left(md5(convert_to(row((t.c0::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint, ('x' || left(md5(convert_to(row((t.c0::integer)::integer,
          (t.c1::date)::date, ((
              select (date + timefrom /* the line ends */
                )
              from (
                select t.c1::date as "date", t.c2::time without time zone as "timefrom") as arriving)::timestamp without time zone)::timestamp without time zone,
          (t.c3)::text, (t.c4::bpchar)::bpchar)::text, 'UTF8')), 16))::bit(64)::bigint, count(*), ''
from (
  select *
  from unnest($1, $2, $3, $4, $5) as u(c0, c1, c2, c3, c4)) as t
where true and ('x' || left(md5(convert_to(row((t.c0::integer)::integer)::text, 'UTF8')), 16))::bit(64)::bigint = any ($6)
group by 1, 2;

-- verify the cloud's own: nothing

