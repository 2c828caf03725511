-- tandem's state in the cloud, version 1. Run by `tandem run` when it is missing, or by a DBA.
-- Everything is keyed by replicator, so that several desktops can share one cloud. Nothing here is
-- readable by the phone's roles: the schema is never granted to them.

create schema tandem;
comment on schema tandem is 'tandem: keeps a desktop PostgreSQL and this database saying the same thing';
revoke all on schema tandem from public;

create table tandem.version (
    -- one row: which migrations have run, and the oldest program that may still work here
    version integer not null,
    oldest_binary text not null
);
insert into tandem.version values (1, '0.1.0');

-- The only authority at start: how far the desktop's history is in this database. Written in the
-- same transaction as the rows. `lsn` is null until the tables have been filled for the first time.
create table tandem.checkpoint (
    replicator text primary key,
    system_id text not null,
    timeline integer not null,
    database text not null,
    slot text not null,
    lsn pg_lsn,
    beat text,
    committed_at timestamptz,
    applied_at timestamptz not null default now(),
    transactions bigint not null default 0,
    -- the lease: whoever has the highest epoch may write; `held_until` only decides whether to wait
    epoch bigint not null default 0,
    holder text,
    held_until timestamptz not null default 'epoch',
    term interval not null default '30 s',
    last_words text,
    -- the holder's
    version text
) with (fillfactor = 40);

create table tandem.table_state (
    replicator text not null references tandem.checkpoint on delete cascade,
    "table" text not null,
    cloud text not null,
    fingerprint text not null,
    state text not null check (state in
        ('waiting', 'copying', 'streaming', 'held', 'stopped', 'swap_only', 'swap_refused', 'removed')),
    since timestamptz not null default now(),
    why text,
    -- changes that were committed on the desktop before this position are in the table's copy
    copied_at pg_lsn,
    copied bigint not null default 0,
    extras bigint not null default 0,
    received bigint not null default 0,
    applied bigint not null default 0,
    folded bigint not null default 0,
    ruled_out bigint not null default 0,
    quarantined bigint not null default 0,
    missed bigint not null default 0,
    -- times that the desktop emptied it; counted apart from row messages
    truncated bigint not null default 0,
    -- why its last swap was refused
    swap_why text,
    -- what the cloud's table was when its rows were last known to be whole: the server, its identifier, its files, and the
    -- numbers of its columns. Something else under the same name may lack rows or values
    seen jsonb,
    primary key (replicator, "table")
) with (fillfactor = 40);

-- Rows on their way into a table: of a copy, of a transaction too large for memory, or of a step that is tried
-- row by row. Unlogged: after a crash they are sent again anyway. The epoch keeps a writer that lost its lease
-- from adding rows to its successor's.
create unlogged table tandem.staging (
    replicator text not null,
    epoch bigint not null,
    "table" text not null,
    step integer not null,
    n bigint not null,
    cells text[] not null,
    copies bigint not null default 1,
    -- row messages that the row stands for
    messages bigint not null default 0,
    -- the row under its old key, where a column was not sent
    origin text[]
);
create index staging_of on tandem.staging (replicator, epoch, "table", step);
alter table tandem.staging alter cells set statistics 0, alter origin set statistics 0;

-- Swaps: whole copies of tables that were made equal by a diff. Asked for by a person, or, without `asked_by`, by the
-- clock; open until `ended_at`.
create table tandem.swap (
    id bigint generated always as identity primary key,
    replicator text not null references tandem.checkpoint on delete cascade,
    "table" text not null,
    asked_by text,
    asked_at timestamptz not null default now(),
    allow_shrink boolean not null default false,
    ended_at timestamptz,
    -- the desktop's transactions that the copy has, and the position before which all of them committed
    snapshot text,
    lsn pg_lsn,
    read bigint,
    inserted bigint,
    updated bigint,
    deleted bigint,
    refused text,
    -- it would have removed more than it may without a yes
    guarded boolean not null default false
);
create index swap_of on tandem.swap (replicator, "table", ended_at);

-- Rows that could not be written, each as it should look now. A later change of the same row takes its place.
create table tandem.quarantine (
    id bigint generated always as identity primary key,
    replicator text not null references tandem.checkpoint on delete cascade,
    direction text not null default 'forward' check (direction in ('forward', 'reverse')),
    "table" text not null,
    -- the sender's values: of the key, and of the row; a table without a key has the whole row as its key
    key text[] not null,
    key_hash text not null,
    cells text[] not null,
    unsent integer[] not null default '{}',
    copies bigint not null default 1,
    work text not null,
    sqlstate text not null,
    why text not null,
    lsn pg_lsn,
    since timestamptz not null default now(),
    tried_at timestamptz not null default now(),
    tries bigint not null default 1,
    messages bigint not null default 1,
    unique (replicator, direction, "table", key_hash)
);

-- The last comparison of both sides that the service made.
create table tandem.verified (
    replicator text primary key references tandem.checkpoint on delete cascade,
    ended_at timestamptz not null,
    different text[] not null,
    -- tables that could not be compared
    unknown text[] not null default '{}'
);

-- Rows that a person took out of the quarantine: they stay as the cloud has them until they change again.
create table tandem.dropped (
    id bigint primary key,
    replicator text not null references tandem.checkpoint on delete cascade,
    direction text not null,
    "table" text not null,
    key text[] not null,
    sqlstate text not null,
    why text not null,
    dropped_by text not null,
    dropped_at timestamptz not null default now()
);

-- What came or went of the phones' rows, and changes of columns that the cloud owns, until the desktop has it. Appended by
-- triggers, never merged when written: no phone waits for another one, or for us. The row is the truth, not the entry.
create table tandem.outbox (
    replicator text not null,
    id bigint generated always as identity,
    "table" text not null,
    -- the cloud's values; of a table without a key the whole row, but for columns of the cloud's own
    key text[] not null,
    -- I, U, D: what a phone did; T: the table was emptied; Q: it was there before; R: the desktop changed what the cloud
    -- owns; P: the desktop refused it, and it is tried again
    op "char" not null,
    made_at timestamptz not null default clock_timestamp(),
    primary key (replicator, id)
) with (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

-- When a replicator looked into the outbox for the last time. Unlogged: an idle look writes nothing that has to be flushed.
create unlogged table tandem.poll (
    replicator text primary key,
    polled_at timestamptz not null
) with (fillfactor = 20);

-- Each table's way home: what watches it, and what became of its entries.
create table tandem.reverse_state (
    replicator text not null references tandem.checkpoint on delete cascade,
    "table" text not null,
    fingerprint text not null,
    -- triggers take what this user writes in our transactions for ours
    watcher text not null,
    -- what was there before the triggers is in the outbox
    queued boolean not null default false,
    since timestamptz not null default now(),
    -- why it has stopped
    why text,
    received bigint not null default 0,
    applied bigint not null default 0,
    folded bigint not null default 0,
    ruled_out bigint not null default 0,
    quarantined bigint not null default 0,
    -- rows of the desktop that got the cloud's values again, because something there had changed them
    rewritten bigint not null default 0,
    primary key (replicator, "table")
) with (fillfactor = 40);

-- What both sides wanted otherwise, with both images.
create table tandem.conflict (
    id bigint generated always as identity primary key,
    replicator text not null references tandem.checkpoint on delete cascade,
    "table" text not null,
    kind text not null,
    key text[] not null,
    -- whose version stayed
    kept text not null check (kept in ('desktop', 'cloud')),
    desktop jsonb,
    cloud jsonb,
    noticed_at timestamptz not null default now(),
    -- somebody has taken note of it: it is kept, and no longer said
    seen_at timestamptz
);

-- The raising compare-and-set: the first statement on rows in each transaction. It fails when
-- another writer has moved the checkpoint or taken the lease, and then nothing of ours is written.
create function tandem.advance(
    p_replicator text, p_slot text, p_epoch bigint, p_from pg_lsn, p_to pg_lsn,
    p_committed_at timestamptz, p_beat text, p_transactions bigint,
    p_tables text[], p_received bigint[], p_applied bigint[], p_folded bigint[], p_ruled_out bigint[],
    p_missed bigint[], p_truncated bigint[]
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    -- for statements that are the same for every replicator
    perform set_config('tandem.replicator', p_replicator, true);
    update tandem.checkpoint
       set lsn = p_to,
           committed_at = coalesce(p_committed_at, committed_at),
           beat = coalesce(p_beat, beat),
           transactions = transactions + p_transactions,
           applied_at = now(),
           held_until = clock_timestamp() + term
     where replicator = p_replicator and slot = p_slot and epoch = p_epoch
       and lsn is not distinct from p_from;
    if not found then
        raise exception using errcode = 'TD001',
            message = format('the checkpoint of %s is no longer at %s in epoch %s', p_replicator, p_from, p_epoch);
    end if;
    if cardinality(p_tables) > 0 then
        update tandem.table_state as s
           set received = s.received + c.received, applied = s.applied + c.applied,
               folded = s.folded + c.folded, ruled_out = s.ruled_out + c.ruled_out,
               missed = s.missed + c.missed, truncated = s.truncated + c.truncated
          from unnest(p_tables, p_received, p_applied, p_folded, p_ruled_out, p_missed, p_truncated)
               as c("table", received, applied, folded, ruled_out, missed, truncated)
         where s.replicator = p_replicator and s."table" = c."table";
    end if;
end $$;

-- Takes the lease: a new epoch, which fences whoever had the old one. `taken` is false while
-- somebody else holds it, unless `p_force` says that the holder is known to be dead.
create function tandem.take_lease(
    p_replicator text, p_system_id text, p_timeline integer, p_database text, p_slot text,
    p_holder text, p_term interval, p_force boolean, p_version text default null,
    out taken boolean, out o_epoch bigint, out o_holder text, out o_wait_ms bigint,
    out o_lsn pg_lsn, out o_beat text, out o_system_id text, out o_timeline integer,
    out o_database text, out o_slot text
) language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    found_row tandem.checkpoint;
begin
    insert into tandem.checkpoint (replicator, system_id, timeline, database, slot)
    values (p_replicator, p_system_id, p_timeline, p_database, p_slot)
    on conflict do nothing;
    select * into found_row from tandem.checkpoint where replicator = p_replicator for update;
    taken := p_force or found_row.held_until <= clock_timestamp()
             or found_row.holder is not distinct from p_holder;
    o_holder := found_row.holder;
    o_wait_ms := greatest(0, extract(epoch from found_row.held_until - clock_timestamp()) * 1000);
    o_lsn := found_row.lsn;
    o_beat := found_row.beat;
    o_system_id := found_row.system_id;
    o_timeline := found_row.timeline;
    o_database := found_row.database;
    o_slot := found_row.slot;
    o_epoch := found_row.epoch;
    if taken then
        o_epoch := found_row.epoch + 1;
        update tandem.checkpoint
           set epoch = o_epoch, holder = p_holder, term = p_term, held_until = clock_timestamp() + p_term,
               last_words = null, version = p_version
         where replicator = p_replicator;
    end if;
end $$;

-- Fails unless the caller still has the lease; for transactions that don't move the checkpoint.
create function tandem.hold(p_replicator text, p_epoch bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform set_config('tandem.replicator', p_replicator, true);
    update tandem.checkpoint set held_until = clock_timestamp() + term
     where replicator = p_replicator and epoch = p_epoch;
    if not found then
        raise exception using errcode = 'TD001',
            message = format('the lease of %s is no longer held in epoch %s', p_replicator, p_epoch);
    end if;
end $$;

-- Fails unless the staging table holds exactly the rows that were sent: a crash empties unlogged
-- tables, and behind a pooler the client doesn't notice. A part must never be taken for the whole.
create function tandem.staged(p_replicator text, p_epoch bigint, p_table text, p_step integer, p_rows bigint)
returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    present bigint;
begin
    select count(*) into present from tandem.staging
     where replicator = p_replicator and epoch = p_epoch and "table" = p_table and step = p_step;
    if present <> p_rows then
        raise exception using errcode = 'TD002',
            message = format('%s of %s staged rows of %s are there', present, p_rows, p_table);
    end if;
end $$;

-- Empties the staging table of what this writer's predecessors left, and of its own rows: those of copies, whose steps
-- are numbered from 2^30 on, or the others, since both may be on their way at once. Where nobody else uses it, the table
-- is given back whole, so that no bloat stays.
create function tandem.unstage(p_replicator text, p_epoch bigint, p_copies boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from tandem.staging) then
        return;
    end if;
    if not exists (select from tandem.staging where replicator <> p_replicator or epoch > p_epoch
                      or epoch = p_epoch and p_copies <> (step >= 1 << 30)) then
        -- long enough for the server to call autovacuum off, short enough for another replicator
        perform set_config('lock_timeout', '2s', true);
        begin
            lock table tandem.staging in access exclusive mode;
            if not exists (select from tandem.staging where replicator <> p_replicator or epoch > p_epoch
                              or epoch = p_epoch and p_copies <> (step >= 1 << 30)) then
                truncate tandem.staging;
                return;
            end if;
        exception when lock_not_available or deadlock_detected or insufficient_privilege then
            null;
        end;
    end if;
    delete from tandem.staging where replicator = p_replicator
       and (epoch < p_epoch or epoch = p_epoch and p_copies = (step >= 1 << 30));
end $$;

-- Notes what became of a swap: in the rows that asked for it, or in a new one. What it did stands in settings of the
-- transaction. Those of a quarter of a year ago are forgotten.
create function tandem.swapped(
    p_replicator text, p_table text, p_asked bigint[], p_snapshot text, p_lsn pg_lsn, p_read bigint, p_refused text,
    p_guarded boolean
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    done bigint[] := array[
        nullif(current_setting('tandem.inserted', true), ''), nullif(current_setting('tandem.updated', true), ''),
        nullif(current_setting('tandem.deleted', true), '')];
begin
    if cardinality(p_asked) = 0 then
        insert into tandem.swap (replicator, "table") values (p_replicator, p_table) returning array[id] into p_asked;
    end if;
    update tandem.swap
       set ended_at = clock_timestamp(), snapshot = p_snapshot, lsn = p_lsn, read = p_read, refused = p_refused,
           guarded = p_guarded,
           inserted = case when p_refused is null then coalesce(done[1], 0) end,
           updated = case when p_refused is null then coalesce(done[2], 0) end,
           deleted = case when p_refused is null then coalesce(done[3], 0) end
     where replicator = p_replicator and id = any (p_asked);
    update tandem.table_state set swap_why = p_refused where replicator = p_replicator and "table" = p_table;
    delete from tandem.swap where replicator = p_replicator and "table" = p_table and ended_at < now() - interval '90 days';
end $$;

-- A value that a narrower column would change is refused.
create function tandem.fit(p_value anyelement, p_kept anyelement, p_column text) returns anyelement
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    if p_value is distinct from p_kept then
        raise exception using errcode = 'TD003', message = format('the value does not fit into column %s', p_column);
    end if;
    return p_value;
end $$;

-- Refuses a change that a foreign key's action would carry to rows of another table.
create function tandem.reached(p_table text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception using errcode = 'TD005',
        message = format('rows of %s refer to it and would change with it', p_table);
end $$;

-- Refuses a row whose tenant is its parent's, and whose parent is none of this tenant's.
create function tandem.no_parent(p_table text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception using errcode = 'TD008',
        message = format('it has no parent among this tenant''s rows of %s', p_table);
end $$;

-- Refuses a row that was too large to be kept on its way; 0 bytes: an earlier version of it was.
create function tandem.too_large(p_bytes bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception using errcode = 'TD007', message = case p_bytes
        when 0 then 'the row is too large to be kept while it waits'
        else format('the row has %s bytes, more than half of forward.memory_max', p_bytes) end;
end $$;

-- Refuses a batch that would delete too large a share of a table's owned rows.
create function tandem.shrink(p_table text, p_deletes bigint, p_owned bigint, p_share double precision) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if p_deletes > p_share * p_owned then
        raise exception using errcode = 'TD004',
            message = format('%s of its %s rows would be deleted at once, more than max_shrink = %s allows',
                             p_deletes, p_owned, p_share);
    end if;
end $$;

-- Refuses a swap that would remove all rows of a table because the desktop's has none.
create function tandem.empties(p_table text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception using errcode = 'TD004',
        message = format('the desktop has no row for %s, and all of its rows would be deleted', p_table);
end $$;

-- Refuses a copy in which a key names more than one row.
create function tandem.ambiguous(p_key text, p_keys bigint, p_rows bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception using errcode = 'TD010',
        message = format('key (%s) does not name one row on the desktop any more: %s of its values name %s rows', p_key, p_keys, p_rows);
end $$;

-- Refuses a plain COPY into a table that has rows.
create function tandem.taken(p_table text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception using errcode = 'TD009', message = format('%s has rows already', p_table);
end $$;

-- The bytes of a row's values.
create function tandem.bytes(p_cells text[]) returns bigint
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select coalesce(sum(octet_length(c)), 0)::bigint from unnest(p_cells) as c
$$;

-- A replicator's parked rows of one table, or of all, in the form in which try_rows answers. Values are told up to
-- `p_bytes` in all; a row whose values are left out has null `cells`.
create function tandem.parked(p_replicator text, p_table text, p_bytes bigint) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(jsonb_agg(jsonb_build_object('table', q."table", 'key', q.key,
               'cells', case when q.told <= p_bytes then q.cells end,
               'unsent', q.unsent, 'copies', q.copies, 'work', q.work, 'sqlstate', q.sqlstate) order by q.id), '[]')
      from (select p.*, sum(tandem.bytes(p.cells)) over (order by tandem.bytes(p.cells), p.id) as told
              from tandem.quarantine as p
             where p.replicator = p_replicator and p.direction = 'forward'
               and (p_table is null or p."table" = p_table)) as q
$$;

-- A table that is copied or emptied starts without parked rows, but for those of `p_but`, by their keys' hashes; their
-- messages count as folded.
create function tandem.void_parked(p_replicator text, p_table text, p_but text[] default '{}') returns void
language sql set search_path = pg_catalog, pg_temp as $$
    with gone as (
        delete from tandem.quarantine as q
         where q.replicator = p_replicator and q.direction = 'forward' and q."table" = p_table
           and q.key_hash <> all (p_but)
        returning q.messages),
    counted as (select coalesce(sum(gone.messages), 0)::bigint as n from gone)
    update tandem.table_state as s set quarantined = s.quarantined - counted.n, folded = s.folded + counted.n
      from counted where s.replicator = p_replicator and s."table" = p_table and counted.n > 0
$$;

-- Takes parked rows out of the quarantine for good; their messages count as ruled out. Says how many.
create function tandem.drop_parked(p_replicator text, p_ids bigint[], p_who text) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    dropped bigint;
begin
    with gone as (
        delete from tandem.quarantine as q where q.replicator = p_replicator and q.id = any (p_ids) returning q.*),
    noted as (
        insert into tandem.dropped (id, replicator, direction, "table", key, sqlstate, why, dropped_by)
        select g.id, g.replicator, g.direction, g."table", g.key, g.sqlstate, g.why, p_who from gone as g),
    counted as (
        update tandem.table_state as s
           set quarantined = s.quarantined - g.messages, ruled_out = s.ruled_out + g.messages
          from (select gone."table", sum(gone.messages)::bigint as messages from gone
                 where gone.direction = 'forward' group by 1) as g
         where s.replicator = p_replicator and s."table" = g."table"),
    counted_home as (
        update tandem.reverse_state as s
           set quarantined = s.quarantined - g.messages, ruled_out = s.ruled_out + g.messages
          from (select gone."table", sum(gone.messages)::bigint as messages from gone
                 where gone.direction = 'reverse' group by 1) as g
         where s.replicator = p_replicator and s."table" = g."table")
    select count(*) into dropped from gone;
    return dropped;
end $$;

-- Fails when more rows of a table, or more bytes, are parked than may be: then the table is broken, not its rows.
create function tandem.cap_parked(p_replicator text, p_table text, p_max bigint, p_max_bytes bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    rows bigint; bytes bigint; last tandem.quarantine;
begin
    select count(*), coalesce(sum(tandem.bytes(q.cells)), 0) into rows, bytes from tandem.quarantine as q
     where q.replicator = p_replicator and q.direction = 'forward' and q."table" = p_table;
    if rows > p_max or bytes > p_max_bytes then
        select * into last from tandem.quarantine as q
         where q.replicator = p_replicator and q.direction = 'forward' and q."table" = p_table order by q.id desc limit 1;
        raise exception using errcode = 'TD006', message = format(
            '%s rows of %s bytes are refused, which is too much to put aside; the last: %s %s',
            rows, bytes, last.sqlstate, last.why);
    end if;
end $$;

-- Writes the staged rows of a step in pieces and by halves, until those that are refused stand alone, and parks these in the
-- quarantine. `p_write` writes the staged rows given as $1 tid[]. Rows that get through leave the quarantine.
-- Answers the parked rows, with their values up to `p_told` bytes in all. An error that isn't a row's own, too many
-- refused rows, too many bytes of them or too much time (`p_limit`) is an error of the whole step; but rows that are
-- tried again (`p_again`) are parked already, and what there is no time for just stays so.
create function tandem.try_rows(
    p_replicator text, p_epoch bigint, p_table text, p_step integer, p_write text, p_work text,
    p_key integer[], p_unsent integer[], p_lsn pg_lsn, p_again boolean, p_limit interval, p_max bigint,
    p_max_bytes bigint, p_told bigint
) returns jsonb language plpgsql as $$
declare
    staged tid[];
    untried tid[] := '{}';
    settled boolean := false;
    -- ranges that are still to be tried, the leftmost on top: what went in stays in
    lows integer[];
    highs integer[];
    low integer; high integer; middle integer; top integer;
    refused tid[] := '{}'; codes text[] := '{}'; whys text[] := '{}';
    code text; message text; detail text;
    healed bigint; parked bigint; answer jsonb;
begin
    select coalesce(array_agg(s.ctid order by s.n), '{}') into staged from tandem.staging as s
     where s.replicator = p_replicator and s.epoch = p_epoch and s."table" = p_table and s.step = p_step;
    -- all at once was refused already, so it begins with pieces: most of them hold no bad row
    select coalesce(array_agg(i order by i desc), '{}'),
           coalesce(array_agg(least(i + 255, cardinality(staged)) order by i desc), '{}')
      into lows, highs from generate_series(1, cardinality(staged), 256) as i;
    while cardinality(lows) > 0 loop
        top := cardinality(lows);
        low := lows[top];
        high := highs[top];
        lows := lows[:top - 1];
        highs := highs[:top - 1];
        continue when low > high;
        begin
            execute p_write using staged[low:high];
            -- what would be refused at COMMIT is refused here
            set constraints all immediate;
            settled := true;
        exception when others then
            get stacked diagnostics code = returned_sqlstate, message = message_text, detail = pg_exception_detail;
            -- the connection, rights, the table's definition, resources, the server: no row is to blame
            if left(code, 2) in ('08', '0A', '25', '28', '40', '42', '53', '55', '57', '58', 'F0', 'XX') then
                raise;
            end if;
            if low < high then
                middle := (low + high) / 2;
                lows := lows || array[middle + 1, low];
                highs := highs || array[high, middle];
            else
                -- the detail of these two is the whole row, with whatever personal data is in it
                if code in ('23502', '23514') or detail = '' then
                    detail := null;
                end if;
                settled := true;
                refused := refused || staged[low];
                codes := codes || code;
                whys := whys || concat_ws(': ', message, detail);
            end if;
        end;
        if p_again then
            -- each try gets further by one row at least
            if settled and clock_timestamp() > statement_timestamp() + p_limit then
                for i in 1 .. cardinality(lows) loop
                    untried := untried || staged[lows[i]:highs[i]];
                end loop;
                exit;
            end if;
        elsif cardinality(refused) > p_max
           or cardinality(refused) > 0 and cardinality(lows) > 0 and clock_timestamp() > statement_timestamp() + p_limit then
            raise exception using errcode = 'TD006',
                message = format('at least %s rows are refused; the first: %s %s', cardinality(refused), codes[1], whys[1]);
        end if;
    end loop;
    with tried as (
        select array(select s.cells[k.i] from unnest(p_key) with ordinality as k(i, nth) order by k.nth) as key
          from tandem.staging as s where s.ctid = any (staged) and s.ctid <> all (refused || untried)),
    gone as (
        delete from tandem.quarantine as q using tried
         where q.replicator = p_replicator and q.direction = 'forward' and q."table" = p_table
           and q.key_hash = md5(tried.key::text)
        returning q.messages)
    select coalesce(sum(gone.messages), 0) into healed from gone;
    with bad as (
        select s.n, s.cells, s.copies, s.messages, r.code, r.why,
               array(select s.cells[k.i] from unnest(p_key) with ordinality as k(i, nth) order by k.nth) as key
          from unnest(refused, codes, whys) as r(at, code, why) join tandem.staging as s on s.ctid = r.at),
    put as (
        insert into tandem.quarantine as q
            (replicator, "table", key, key_hash, cells, unsent, copies, work, sqlstate, why, lsn, messages)
        select p_replicator, p_table, bad.key, md5(bad.key::text), bad.cells, p_unsent, bad.copies, p_work, bad.code,
               bad.why, p_lsn, bad.messages
          from bad
        on conflict (replicator, direction, "table", key_hash) do update
           set cells = excluded.cells, unsent = excluded.unsent, copies = excluded.copies, work = excluded.work,
               sqlstate = excluded.sqlstate, why = excluded.why, lsn = excluded.lsn, tried_at = now(),
               tries = q.tries + 1, messages = q.messages + excluded.messages)
    select coalesce(sum(bad.messages), 0),
           coalesce(jsonb_agg(jsonb_build_object('key', bad.key, 'cells', case when bad.told <= p_told then bad.cells end,
               'unsent', p_unsent, 'copies', bad.copies, 'work', p_work, 'sqlstate', bad.code, 'why', bad.why)
               order by bad.n), '[]')
      into parked, answer
      from (select b.*, sum(tandem.bytes(b.cells)) over (order by tandem.bytes(b.cells), b.n) as told from bad as b) as bad;
    if cardinality(refused) > 0 and not p_again then
        perform tandem.cap_parked(p_replicator, p_table, p_max, p_max_bytes);
    end if;
    if healed <> 0 or parked <> 0 then
        update tandem.table_state as s
           set quarantined = s.quarantined + parked - healed, applied = s.applied - parked + healed
         where s.replicator = p_replicator and s."table" = p_table;
    end if;
    delete from tandem.staging as s
     where s.replicator = p_replicator and s.epoch = p_epoch and s."table" = p_table and s.step = p_step;
    return answer;
end $$;

-- What an outbox names a row by: the texts of these columns of the row `p_row`, as SQL.
create function tandem.named_by(p_row text, p_key text[]) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select format('array[%s]::text[]', string_agg(
               format('case when %1$s.%2$I is distinct from null then concat(%1$s.%2$I) end', p_row, k.name), ', ' order by k.nth))
      from unnest(p_key) with ordinality as k(name, nth)
$$;

-- The name of the triggers of a table's way home, and of their function.
create function tandem.watcher(p_replicator text, p_table text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select 'tandem_' || left(md5(p_replicator || '/' || p_table), 16)
$$;

create function tandem.unwatch(p_replicator text, p_table text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    execute format('drop function if exists tandem.%I() cascade', tandem.watcher(p_replicator, p_table));
    delete from tandem.reverse_state where replicator = p_replicator and "table" = p_table;
end $$;

-- True while a table's way home is watched as it should be.
create function tandem.is_watched(p_replicator text, p_table text, p_target regclass, p_fingerprint text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select exists (select from tandem.reverse_state as s
                    where s.replicator = p_replicator and s."table" = p_table and s.fingerprint = p_fingerprint
                      and s.watcher = session_user)
       and coalesce(bool_and(g.tgenabled in ('O', 'A')), false)
      from pg_trigger as g join pg_proc as f on f.oid = g.tgfoid join pg_namespace as n on n.oid = f.pronamespace
     where g.tgrelid = p_target and n.nspname = 'tandem' and f.proname = tandem.watcher(p_replicator, p_table)
$$;

-- Puts triggers on a table that note in the outbox what others than we do to its rows, as far as the predicates say so
-- (over `new`, over `old` and `new`, over `old`; null: not at all). A transaction of ours is known by its own number, which
-- nobody can leave behind in a session or make up, and by our user; what a trigger of others makes of our writes is theirs.
-- If an entry can't be written the phone's write fails: nothing is lost in silence. Run it with a short lock_timeout.
create function tandem.watch(
    p_replicator text, p_table text, p_target regclass, p_fingerprint text, p_key text[],
    p_insert text, p_update text, p_delete text
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    name text := tandem.watcher(p_replicator, p_table);
    others text := format(
        '(current_setting(''tandem.apply'', true) is distinct from pg_current_xact_id_if_assigned()::text or session_user <> %L or pg_trigger_depth() > 0)',
        session_user);
    new_key text := tandem.named_by('new', p_key);
    old_key text := tandem.named_by('old', p_key);
    put text := format('insert into tandem.outbox (replicator, "table", key, op) values (%L, %L, ', p_replicator, p_table);
    pinned text := '';
begin
    -- how such values are written depends on the phone's session
    if exists (select from pg_attribute a join pg_type t on t.oid = a.atttypid
                where a.attrelid = p_target and a.attname = any (p_key)
                  and (t.typcategory not in ('N', 'S', 'B', 'U', 'E') or t.typname in ('float4', 'float8', 'money', 'bytea'))) then
        pinned := 'set datestyle = iso set intervalstyle = postgres set timezone = utc set extra_float_digits = 3 set bytea_output = hex set lc_monetary = "C"';
    end if;
    execute format('drop function if exists tandem.%I() cascade', name);
    execute format(
        'create function tandem.%I() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp %s as %L',
        name, pinned, format($t$
begin
    if tg_op = 'INSERT' then
        %1$s %2$s, 'I');
    elsif tg_op = 'UPDATE' then
        %1$s %2$s, 'U');
        if %2$s is distinct from %3$s then
            %1$s %3$s, 'D');
        end if;
    elsif tg_op = 'DELETE' then
        %1$s %3$s, 'D');
    else
        %1$s '{}', 'T');
    end if;
    return null;
end $t$, put, new_key, old_key));
    execute format('revoke all on function tandem.%I() from public', name);
    if p_insert is not null then
        execute format('create trigger %I after insert on %s for each row when (%s and (%s)) execute function tandem.%I()',
            name || '_i', p_target, others, p_insert, name);
    end if;
    if p_update is not null then
        execute format('create trigger %I after update on %s for each row when (%s and (%s)) execute function tandem.%I()',
            name || '_u', p_target, others, p_update, name);
    end if;
    if p_delete is not null then
        execute format('create trigger %I after delete on %s for each row when (%s and (%s)) execute function tandem.%I()',
            name || '_d', p_target, others, p_delete, name);
        execute format('create trigger %I after truncate on %s for each statement when (%s) execute function tandem.%I()',
            name || '_t', p_target, others, name);
    end if;
    insert into tandem.reverse_state as s (replicator, "table", fingerprint, watcher)
    values (p_replicator, p_table, p_fingerprint, session_user)
    on conflict (replicator, "table") do update
       set fingerprint = excluded.fingerprint, watcher = excluded.watcher, queued = false, why = null;
end $$;

-- The desktop has these rows now, or they are parked: their entries go. What became of each key's entries is counted:
-- `p_entries` of them, those that are tried again not among them. Fails when the lease is another's.
create function tandem.delivered(
    p_replicator text, p_epoch bigint, p_ids bigint[], p_tables text[], p_keys text[], p_outcomes text[],
    p_entries bigint[], p_sqlstates text[], p_whys text[], p_cells text[]
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from tandem.checkpoint where replicator = p_replicator and epoch = p_epoch) then
        raise exception using errcode = 'TD001',
            message = format('the lease of %s is no longer held in epoch %s', p_replicator, p_epoch);
    end if;
    with done as (
        select * from unnest(p_tables, p_keys, p_outcomes, p_entries, p_sqlstates, p_whys, p_cells)
            as d("table", key, outcome, entries, sqlstate, why, cells)),
    healed as (
        delete from tandem.quarantine as q using done
         where q.replicator = p_replicator and q.direction = 'reverse' and q."table" = done."table"
           and q.key_hash = md5(done.key) and done.outcome <> 'parked'
        returning q."table", done.key, q.messages),
    parked as (
        insert into tandem.quarantine as q (replicator, direction, "table", key, key_hash, cells, work, sqlstate, why, messages)
        select p_replicator, 'reverse', done."table", done.key::text[], md5(done.key), done.cells::text[], 'upsert',
               done.sqlstate, done.why, done.entries
          from done where done.outcome = 'parked'
        on conflict (replicator, direction, "table", key_hash) do update
           set cells = excluded.cells, sqlstate = excluded.sqlstate, why = excluded.why, tried_at = now(),
               tries = q.tries + 1, messages = q.messages + excluded.messages),
    counted as (
        select done."table", sum(done.entries) as received,
               sum(case when done.outcome in ('applied', 'rewritten') then least(1, done.entries + coalesce(healed.messages, 0)) else 0 end) as applied,
               sum(case when done.outcome = 'ruled out' then done.entries + coalesce(healed.messages, 0) else 0 end) as ruled_out,
               sum(case when done.outcome = 'parked' then done.entries else - coalesce(healed.messages, 0) end) as quarantined,
               count(*) filter (where done.outcome = 'rewritten') as rewritten
          from done left join healed using ("table", key) group by 1)
    update tandem.reverse_state as s
       set received = s.received + c.received, applied = s.applied + c.applied, ruled_out = s.ruled_out + c.ruled_out,
           quarantined = s.quarantined + c.quarantined, rewritten = s.rewritten + c.rewritten,
           folded = s.folded + c.received - c.applied - c.ruled_out - c.quarantined
      from counted as c where s.replicator = p_replicator and s."table" = c."table";
    delete from tandem.outbox where replicator = p_replicator and id = any (p_ids);
end $$;

-- Rows that the desktop refused are tried again: those that haven't been for so long, and those that a person asked for.
create function tandem.queue_parked(p_replicator text, p_after interval) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    insert into tandem.outbox (replicator, "table", key, op)
    select p_replicator, q."table", q.key, 'P' from tandem.quarantine as q
     where q.replicator = p_replicator and q.direction = 'reverse' and q.tried_at < now() - p_after
       and not exists (select from tandem.outbox as o
                        where o.replicator = p_replicator and o."table" = q."table" and o.key = q.key)
     order by q.tried_at limit 1000
$$;

revoke all on all functions in schema tandem from public;
