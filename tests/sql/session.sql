-- what every transaction begins with, and what belongs to no table

-- in the cloud, 1 of 3
begin isolation level read committed read write;

-- in the cloud, 2 of 3
select set_config('tandem.apply', pg_current_xact_id()::text, true), set_config('datestyle', 'ISO', true), set_config('intervalstyle',
  'postgres', true), set_config('extra_float_digits', '3', true), set_config('bytea_output', 'hex', true), set_config('timezone',
  'UTC', true), set_config('lc_monetary', 'C', true), set_config('array_nulls', 'on', true), set_config('xmloption',
  'content', true), set_config('statement_timeout', '600000', true), set_config('lock_timeout', '5000', true), set_config('idle_in_transaction_session_timeout',
  '30000', true), set_config('synchronous_commit', 'on', true), set_config('jit', 'off', true), set_config('row_security',
  'off', true);

-- in the cloud, 3 of 3
set constraints all deferred;

-- in the cloud, confined by policies, 1 of 3
begin isolation level read committed read write;

-- in the cloud, confined by policies, 2 of 3
select set_config('tandem.apply', pg_current_xact_id()::text, true), set_config('datestyle', 'ISO', true), set_config('intervalstyle',
  'postgres', true), set_config('extra_float_digits', '3', true), set_config('bytea_output', 'hex', true), set_config('timezone',
  'UTC', true), set_config('lc_monetary', 'C', true), set_config('array_nulls', 'on', true), set_config('xmloption',
  'content', true), set_config('statement_timeout', '600000', true), set_config('lock_timeout', '5000', true), set_config('idle_in_transaction_session_timeout',
  '30000', true), set_config('synchronous_commit', 'on', true), set_config('jit', 'off', true), set_config('row_security',
  'on', true);

-- in the cloud, confined by policies, 3 of 3
set constraints all deferred;

-- on the desktop, 1 of 3
begin isolation level read committed read write;

-- on the desktop, 2 of 3
select set_config('tandem.apply', pg_current_xact_id()::text, true), set_config('datestyle', 'ISO', true), set_config('intervalstyle',
  'postgres', true), set_config('extra_float_digits', '3', true), set_config('bytea_output', 'hex', true), set_config('timezone',
  'UTC', true), set_config('lc_monetary', 'C', true), set_config('array_nulls', 'on', true), set_config('xmloption',
  'content', true), set_config('statement_timeout', '30000', true), set_config('lock_timeout', '300', true), set_config('idle_in_transaction_session_timeout',
  '30000', true), set_config('synchronous_commit', 'on', true), set_config('jit', 'off', true), set_config('row_security',
  'off', true);

-- on the desktop, 3 of 3
set constraints all deferred;

-- begin alone
begin isolation level read committed read write;

-- the checkpoint moves, 1 of 2
begin isolation level read committed read write;

-- the checkpoint moves, 2 of 2
select tandem.advance($1, $2, $3, $4, $5, timestamptz '2000-01-01 00:00:00+00' + $6 * interval '1 microsecond',
  $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17);
--   $1: office-1
--   $2: tandem
--   $3: 7
--   $4: 0/1
--   $5: 0/1A2B3C4D
--   $6: null
--   $7: null
--   $8: 0
--   $9: {}
--   $10: {}
--   $11: {}
--   $12: {}
--   $13: {}
--   $14: {}
--   $15: {}
--   $16: {"datestyle","ISO","intervalstyle","postgres","extra_float_digits","3","bytea_output","hex","timezone","UTC","lc_monetary","C","array_nulls","on","xmloption","content","statement_timeout","600000","lock_timeout","5000","idle_in_transaction_session_timeout","30000","synchronous_commit","on","jit","off","row_security","off"}
--   $17: false

-- constraints at once
set constraints all immediate;

-- joins
select set_config('enable_nestloop', 'off', true);

-- any joins again
select set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true);

-- one refill or poll at a time
select pg_advisory_xact_lock(hashtext('tandem.reverse'), hashtext('office-1'));

-- our mark in the desktop's log
select pg_logical_emit_message(true, 'tandem.reverse', (
    select h.nonce
    from tandem.reverse as h
    where h.replicator = 'office-1'));

-- the same as text
select pg_logical_emit_message(true, 'tandem.reverse', (
    select h.nonce
    from tandem.reverse as h
    where h.replicator = 'office-1'))

-- whether anything waits for a poll
with noted as (
  update tandem.poll
  set polled_at = clock_timestamp()
  where replicator = 'office-1' and polled_at < clock_timestamp() - interval '900 ms'),
first as (
  insert into tandem.poll (replicator, polled_at)
  select 'office-1', clock_timestamp()
  where not exists (select from tandem.poll where replicator = 'office-1')
  on conflict do nothing)
select exists (
  select
  from tandem.outbox
  where replicator = 'office-1' and "table" = any ('{"diary","visits","notes","teams"}'::text[])
  and "table" in (
    select s."table"
    from tandem.reverse_state as s
    where s.replicator = 'office-1' and s.why is null));

-- a poll of several tables
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
  where replicator = 'office-1' and "table" = any ('{"diary","visits","notes","teams"}'::text[])
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
  where k."table" = 'diary'
  union all
  select k."table", k.id, k.ids, k.new, k.key, case when k.emptied then 'emptied'
  when t.ctid is null then 'gone' when t."source" = 'M'::bpchar then 'mobile'
  when t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null) then 'desktop'
  else 'other' end as state, k.again, 1::bigint as copies, coalesce(octet_length(t::text), 0)::bigint as bytes,
  k.key[1] as c0, case when t."done" is distinct from null then concat(t."done") end as c1, null::text as c2, null::text as c3,
  null::text as c4
  from k
  left join "public"."visit" as t on not k.emptied and t."visit_no" = k.key[1]::integer
  and t."org_id" = '1'::numeric
  where k."table" = 'visits'
  union all
  select k."table", k.id, k.ids, k.new, k.key, case when l.copies is null then 'gone'
  else 'desktop' end as state, k.again, coalesce(l.copies, 0) as copies, octet_length(k.key::text)::bigint as bytes,
  k.key[1] as c0, k.key[2] as c1, null::text as c2, null::text as c3, null::text as c4
  from k
  left join (
    select name, count(*) as copies
    from (
      select array[t."about"::text::text, t."said"::text::text]::text as name
      from "public"."notes" as t
      where t."org_id" = '1'::numeric and (t."source" = 'D'::bpchar or t."source" is null)) as r
    group by name) as l on l.name = array[k.key[1]::text::text, k.key[2]::text::text]::text
  where k."table" = 'notes'
  union all
  select k."table", k.id, k.ids, k.new, k.key, case when k.emptied then 'emptied'
  when t.ctid is null then 'gone' when t."source" = 'M'::bpchar then 'mobile'
  when (t."source" = 'D'::bpchar or t."source" is null) then 'desktop' else 'other' end as state, k.again, 1::bigint as copies,
  coalesce(octet_length(t::text), 0)::bigint as bytes, k.key[1] as c0, case
  when t."lead" is distinct from null then concat(t."lead") end as c1, null::text as c2, null::text as c3, null::text as c4
  from k
  left join "public"."teams" as t on not k.emptied and t."id" = k.key[1]::integer
  and true
  where k."table" = 'teams')
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
