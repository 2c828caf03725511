-- the state of each table in the cloud

-- a state
insert into tandem.table_state as s (replicator, "table", cloud, fingerprint, state, why)
values ($1, $2, $3, $4, $5, $6)
on conflict (replicator, "table") do update
set cloud = excluded.cloud, fingerprint = excluded.fingerprint, since = case
when s.state = excluded.state then s.since else now() end, state = excluded.state, why = excluded.why;
--   $1: office-1
--   $2: clients
--   $3: clients
--   $4: f
--   $5: waiting
--   $6: null

-- its copy is whole
update tandem.table_state
set copied_at = $3::pg_lsn, state = 'streaming', since = now(), why = null, swap_why = null
where replicator = $1 and "table" = $2;
--   $1: office-1
--   $2: clients
--   $3: 0/1A2B3C4D

-- its copy is whole, but not what changed since
update tandem.table_state
set copied_at = $3::pg_lsn, state = 'copying', since = now(), why = null, swap_why = null
where replicator = $1 and "table" = $2;
--   $1: office-1
--   $2: clients
--   $3: 0/1A2B3C4D

-- the copy of one that is only swapped is whole
update tandem.table_state
set copied_at = $3::pg_lsn, state = 'swap_only', since = now(), why = null, swap_why = null
where replicator = $1 and "table" = $2;
--   $1: office-1
--   $2: clients
--   $3: 0/1A2B3C4D

-- what changed since is written
update tandem.table_state
set state = 'streaming', since = now(), why = null
where replicator = $1 and "table" = any ($2) and state = 'copying';
--   $1: office-1
--   $2: {"clients","visits","prices","errands","staff"}

-- it is filled piece by piece
update tandem.table_state
set copied_at = $3::pg_lsn, extras = 0, state = 'copying', since = now(), why = null
where replicator = $1 and "table" = $2;
--   $1: office-1
--   $2: clients
--   $3: 0/1A2B3C4D

-- rows of a filled table
update tandem.table_state
set copied = $3::bigint, extras = 0
where replicator = $1 and "table" = $2;
--   $1: office-1
--   $2: clients
--   $3: 7

-- rows of a copied table
update tandem.table_state
set copied = $3::bigint
where replicator = $1 and "table" = $2;
--   $1: office-1
--   $2: clients
--   $3: 7

-- rows of a copied table, some of them refused
update tandem.table_state
set copied = greatest($3::bigint - tandem.waiting($1, $2), 0)
where replicator = $1 and "table" = $2;
--   $1: office-1
--   $2: clients
--   $3: 7

-- all rows are ours
update tandem.table_state
set extras = $3::bigint
where replicator = $1 and "table" = $2;
--   $1: office-1
--   $2: clients
--   $3: 0

-- what the cloud's table is
update tandem.table_state
set seen = $3::jsonb
where replicator = $1 and "table" = $2;
--   $1: office-1
--   $2: clients
--   $3: {}

-- what the cloud's table is, another one
update tandem.table_state
set seen = $3::jsonb, copied_at = null
where replicator = $1 and "table" = $2;
--   $1: office-1
--   $2: clients
--   $3: {}

-- what is remembered
select "table", state, fingerprint, copied_at::text, extras, seen::text
from tandem.table_state
where replicator = $1;

-- tables that were served
select "table"
from tandem.table_state
where replicator = $1 and state <> 'removed' and (state <> 'waiting' or copied_at is not null);

-- tables that left the settings
with gone as (
  update tandem.table_state
  set state = 'removed', since = now(), why = null
  where replicator = $1 and state <> 'removed' and not ("table" = any($2))
  returning "table")
select tandem.void_parked($1, "table")
from gone;

-- last swaps
select s."table", (greatest(0, extract(epoch
      from clock_timestamp() - coalesce(max(w.ended_at), s.since))) * 1000)::bigint
from tandem.table_state as s
left join tandem.swap as w on w.replicator = s.replicator and w."table" = s."table"
and w.refused is null
where s.replicator = $1 and s.state in ('streaming', 'swap_only')
group by s."table", s.since;

-- tables that do not fit
select "table"
from tandem.table_state
where replicator = $1 and state = 'stopped' and fingerprint = '';

-- one does not fit
update tandem.table_state
set state = 'stopped', fingerprint = '', why = $4, since = case when state = 'stopped' then since
else now() end
where replicator = $1 and "table" = $2 and exists (
  select
  from tandem.checkpoint as c
  where c.replicator = $1 and c.epoch = $3) and (state, fingerprint, why) is distinct from ('stopped', '', $4)
returning true;

-- one fits again
update tandem.table_state
set fingerprint = ''
where replicator = $1 and "table" = $2 and exists (
  select
  from tandem.checkpoint as c
  where c.replicator = $1 and c.epoch = $3) and state = 'stopped';

-- tables in trouble
select "table", state, coalesce(why, '')
from tandem.table_state
where replicator = $1 and state in ('stopped', 'held')
union all
select "table", 'quarantined', count(*) || case count(*) when 1 then ' row; '
else ' rows; the first: ' end || (array_agg(sqlstate || ' ' || why
    order by id))[1]
from tandem.quarantine
where replicator = $1
group by "table"
union all
select "table", 'stopped', why
from tandem.reverse_state
where replicator = $1 and why is not null
order by 1, 2;

-- tables as status shows them
select s."table", case when r.why is not null and s.state in ('streaming', 'swap_only') then 'stopped'
when s.swap_why is not null and s.state in ('streaming', 'swap_only') then 'swap_refused'
else s.state end, to_char(s.since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), coalesce(s.why, 'nothing comes home any more: ' || r.why,
  s.swap_why), s.copied, s.received, s.applied, s.folded, s.ruled_out, s.quarantined, (
  select count(*)
  from tandem.quarantine as q
  where q.replicator = s.replicator and q."table" = s."table"), (
  select to_char(max(w.ended_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
  from tandem.swap as w
  where w.replicator = s.replicator and w."table" = s."table" and w.refused is null), s.extras
from tandem.table_state as s
left join tandem.reverse_state as r using (replicator, "table")
where s.replicator = $1
order by 1;

-- tables that wait for a person
select s.replicator, s."table", case when r.why is not null and s.state in ('streaming', 'swap_only') then 'stopped'
when s.swap_why is not null and s.state in ('streaming', 'swap_only') then 'swap_refused'
else s.state end, coalesce(s.why, 'nothing comes home any more: ' || r.why, s.swap_why)
from tandem.table_state as s
left join tandem.reverse_state as r using (replicator, "table")
where s.state in ('held', 'stopped', 'swap_refused') or s.state in ('streaming', 'swap_only')
and (r.why is not null or s.swap_why is not null) or s.state not in ('waiting', 'copying', 'streaming', 'held',
  'stopped', 'swap_only', 'swap_refused', 'removed')
order by 1, 2;

-- still to be copied
exists (
  select
  from tandem.table_state as s
  where s.replicator = c.replicator and s.state in ('waiting', 'copying'))

-- how many tables there are
select count(*) as tables, bool_or(s.state in ('waiting', 'copying')) as copying
from tandem.table_state as s
where s.replicator = c.replicator and s.state <> 'removed'
