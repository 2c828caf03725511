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

-- Each migration that has run, and the program that ran it; none where a person did.
create table tandem.migration (
    version integer primary key,
    program text default nullif(current_setting('tandem.program', true), ''),
    run_by text not null default session_user,
    run_at timestamptz not null default clock_timestamp()
);
insert into tandem.migration (version) values (1);

-- A program's version as something that can be compared.
create function tandem.binary_number(p_version text) returns integer[]
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select coalesce(string_to_array(substring(p_version from '^[0-9]+(?:[.][0-9]+)*'), '.')::integer[], '{}')
$$;

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
    held_since timestamptz,
    held_until timestamptz not null default 'epoch',
    term interval not null default '30 s',
    -- when the holder gave it back by itself; null while somebody has it, or since it ended without a word
    released_at timestamptz,
    last_words text,
    -- the holder's
    version text
) with (fillfactor = 40);

-- What each replicator last said of itself: one small write with each heartbeat, beside the batches, also while nothing else
-- moves. It renews no lease and decides nothing; `tandem fleet` shows it.
create table tandem.lifesign (
    replicator text primary key references tandem.checkpoint on delete cascade,
    at timestamptz not null,
    -- the process that said it, and its program
    holder text not null,
    version text not null,
    -- as `tandem lag` has it; null: it could not tell
    state text,
    -- why it stands still
    why text,
    -- why a statement of the office's fails
    failing text,
    -- how long the oldest missing transaction has been waiting
    lag_ms bigint,
    desktop_lsn pg_lsn,
    wal_held_bytes bigint,
    wal_held_bytes_max bigint not null
) with (fillfactor = 20);

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

-- Pages of the desktop's table whose rows a first copy has written, until it is whole: one that was interrupted need not send
-- them again, as far as both sides' rows come to the same sums.
create table tandem.piece (
    replicator text not null references tandem.checkpoint on delete cascade,
    "table" text not null,
    first_page bigint not null,
    next_page bigint not null,
    primary key (replicator, "table", first_page)
);

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
    origin text[],
    -- why it was refused; an empty code: there was no time to try it
    code text,
    why text
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
    -- rows that wait in the quarantine
    quarantined bigint,
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

-- Rows that were written without a parent that wasn't there (`orphans = "null"`): what they refer to on the desktop, which they
-- get when it comes. Written in the statement that writes the row.
create table tandem.orphan (
    replicator text not null references tandem.checkpoint on delete cascade,
    "table" text not null,
    -- as in tandem.quarantine
    key_hash text not null,
    -- the desktop's values of the key and of the references; all others are null
    cells text[] not null,
    primary key (replicator, "table", key_hash)
);

-- That the running service reads its settings again: who asked, and what came of it. A row that nobody asked for is a signal's.
-- The last one says whether the settings that the service runs with are those of its file.
create table tandem.reload (
    id bigint generated always as identity primary key,
    replicator text not null references tandem.checkpoint on delete cascade,
    asked_by text not null,
    asked_at timestamptz not null default now(),
    -- the service has heard of it
    begun_at timestamptz,
    ended_at timestamptz,
    outcome text check (outcome in ('unchanged', 'taken_up', 'restart', 'bad', 'unreachable')),
    answer jsonb
);

-- The last comparison of both sides that the service made.
create table tandem.verified (
    replicator text primary key references tandem.checkpoint on delete cascade,
    ended_at timestamptz not null,
    different text[] not null,
    -- tables that could not be compared
    unknown text[] not null default '{}'
);

-- Who was told what when something was wrong (`[alert]`), as a document; the desktop has the same. The newer one counts.
create table tandem.alert (
    replicator text primary key references tandem.checkpoint on delete cascade,
    memory text not null,
    kept_at timestamptz not null
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
    -- owns; P: the desktop refused it, and it is tried again; A: a phone's row was changed here as the desktop did
    op "char" not null,
    -- of A: the desktop's row; null when it is gone there
    told jsonb,
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
-- The transaction's settings come with it, the name of each and then its value: they hold until its end.
create function tandem.advance(
    p_replicator text, p_slot text, p_epoch bigint, p_from pg_lsn, p_to pg_lsn,
    p_committed_at timestamptz, p_beat text, p_transactions bigint,
    p_tables text[], p_received bigint[], p_applied bigint[], p_folded bigint[], p_ruled_out bigint[],
    p_missed bigint[], p_truncated bigint[],
    p_settings text[], p_at_once boolean
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    done text;
begin
    -- assignments, since an expression alone is evaluated without a query
    done := set_config('tandem.apply', pg_current_xact_id()::text, true);
    for i in 1 .. cardinality(p_settings) by 2 loop
        done := set_config(p_settings[i], p_settings[i + 1], true);
    end loop;
    -- whatever the order in which rows are written, it is their end that counts
    if p_at_once then
        set constraints all immediate;
    else
        set constraints all deferred;
    end if;
    -- for statements that are the same for every replicator
    done := set_config('tandem.replicator', p_replicator, true);
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
    -- a batch mostly has few tables: one by one they cost less than a join
    for i in 1 .. cardinality(p_tables) loop
        update tandem.table_state
           set received = received + p_received[i], applied = applied + p_applied[i],
               folded = folded + p_folded[i], ruled_out = ruled_out + p_ruled_out[i],
               missed = missed + p_missed[i], truncated = truncated + p_truncated[i]
         where replicator = p_replicator and "table" = p_tables[i];
    end loop;
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
    -- What the holder before committed without waiting for the disk is there for good when this is.
    perform set_config('synchronous_commit', 'on', true);
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
           set epoch = o_epoch, holder = p_holder,
               held_since = case when holder = p_holder then coalesce(held_since, clock_timestamp()) else clock_timestamp() end,
               term = p_term, held_until = clock_timestamp() + p_term,
               released_at = null, last_words = null, version = p_version
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

-- A large transaction comes in several groups of statements: each of them fails unless it is in the transaction that the first one
-- began, whatever lies between us and the server.
create function tandem.goes_on(p_replicator text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if current_setting('tandem.apply', true) is distinct from pg_current_xact_id_if_assigned()::text then
        raise exception using errcode = 'TD002',
            message = format('the transaction in which a large one of %s goes to the cloud is gone', p_replicator);
    end if;
    perform set_config('tandem.replicator', p_replicator, true);
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

-- How many of a table's rows wait in the quarantine to get into it.
create function tandem.waiting(p_replicator text, p_table text) returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(sum(q.copies), 0)::bigint from tandem.quarantine as q
     where q.replicator = p_replicator and q."table" = p_table and q.direction = 'forward' and q.work in ('upsert', 'add')
$$;

-- Before the staged rows of a copy are tried one by one: how many rows of ours there are, and how many of the staged ones
-- stand there as they should, which `p_equal` counts of those given as $1 tid[]. A row with a value that can't be read doesn't;
-- where so many of them keep the others from being compared that it takes more than `p_tries`, it is noted as unknown.
create function tandem.weigh(
    p_ours bigint, p_equal text, p_replicator text, p_epoch bigint, p_table text, p_step integer, p_tries integer
) returns void language plpgsql as $$
declare
    staged tid[];
    -- ranges that are still to be compared
    lows integer[] := '{1}';
    highs integer[];
    low integer; high integer; middle integer; top integer;
    equal bigint := 0; n bigint; tries integer := 0;
begin
    perform set_config('tandem.before', p_ours::text, true);
    if p_equal is null then
        return;
    end if;
    select coalesce(array_agg(s.ctid), '{}') into staged from tandem.staging as s
     where s.replicator = p_replicator and s.epoch = p_epoch and s."table" = p_table and s.step = p_step;
    highs := array[cardinality(staged)];
    while cardinality(lows) > 0 and tries <= p_tries loop
        top := cardinality(lows);
        low := lows[top];
        high := highs[top];
        lows := lows[:top - 1];
        highs := highs[:top - 1];
        continue when low > high;
        tries := tries + 1;
        begin
            execute p_equal into n using staged[low:high];
            equal := equal + n;
        exception when others then
            if low < high then
                middle := (low + high) / 2;
                lows := lows || array[middle + 1, low];
                highs := highs || array[high, middle];
            end if;
        end;
    end loop;
    perform set_config('tandem.equal', case when cardinality(lows) > 0 then 'unknown' else equal::text end, true);
end $$;

-- After they were tried: what is more now was inserted.
create function tandem.weighed(p_ours bigint) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    select set_config('tandem.inserted', greatest(p_ours - current_setting('tandem.before')::bigint, 0)::text, true)
$$;

-- What the first of two transactions of a copy did.
create function tandem.swapped_so_far(p_replicator text, p_asked bigint[]) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    update tandem.swap
       set inserted = nullif(current_setting('tandem.inserted', true), '')::bigint,
           updated = nullif(current_setting('tandem.updated', true), '')::bigint
     where replicator = p_replicator and id = any (p_asked)
$$;

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
    equal text := coalesce(current_setting('tandem.equal', true), '');
    waits bigint := tandem.waiting(p_replicator, p_table);
begin
    -- rows that were tried one by one: what is neither equal, new nor refused was changed
    if equal not in ('', 'unknown') then
        done[2] := greatest(p_read - waits - coalesce(done[1], 0) - equal::bigint, 0);
    end if;
    if cardinality(p_asked) = 0 then
        insert into tandem.swap (replicator, "table") values (p_replicator, p_table) returning array[id] into p_asked;
    end if;
    update tandem.swap
       set ended_at = clock_timestamp(), snapshot = p_snapshot, lsn = p_lsn, read = p_read, refused = p_refused,
           guarded = p_guarded,
           inserted = case when p_refused is null then coalesce(done[1], inserted, 0) end,
           updated = case when p_refused is null and equal <> 'unknown' then coalesce(done[2], updated, 0) end,
           deleted = case when p_refused is null then coalesce(done[3], deleted, 0) end,
           quarantined = case when p_refused is null then waits end
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

-- True for a row with a value that could not be read: it begins with two characters that are none, and goes on with its
-- bytes as encode(bytes, 'escape') writes them.
create function tandem.is_unreadable(p_cells text[]) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select coalesce(bool_or(left(c, 2) = chr(64976) || chr(64977)), false) from unnest(p_cells) as c
$$;

-- Which column can't be read, and what follows from it.
create function tandem.why_unreadable(p_cells text[], p_names text[], p_what text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select concat(string_agg(n.name, ', ' order by n.nth), ' ', p_what)
      from unnest(p_cells, p_names) with ordinality as n(cell, name, nth)
     where left(n.cell, 2) = chr(64976) || chr(64977)
$$;

-- Refuses such a row.
create function tandem.unreadable(p_cells text[], p_names text[], p_what text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception using errcode = '22021', message = tandem.why_unreadable(p_cells, p_names, p_what);
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

-- The foreign keys of a table whose rows may be written with session_replication_role = replica and checked together: the columns
-- of each, and those of them that get a value also where none is given. Null where that would leave out, run or change more than
-- foreign keys: triggers of others, and unique keys that are asked at the end.
create function tandem.checked_together(p_table regclass) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(
               (select jsonb_agg(jsonb_build_object(
                    'key', f.oid::bigint,
                    'columns', (select jsonb_agg(a.attname order by k.nth)
                                  from unnest(f.conkey) with ordinality as k(num, nth)
                                  join pg_attribute as a on a.attrelid = f.conrelid and a.attnum = k.num),
                    'filled', (select coalesce(jsonb_agg(a.attname), '[]') from pg_attribute as a join pg_type as t on t.oid = a.atttypid
                                where a.attrelid = f.conrelid and a.attnum = any (f.conkey)
                                  and (a.atthasdef or a.attidentity <> '' or t.typdefault is not null))))
                  from pg_constraint as f where f.conrelid = p_table and f.contype = 'f'), '[]')
      from pg_class as c
     where c.oid = p_table and c.relkind = 'r' and not c.relispartition
       and not exists (
           select from pg_trigger as g
             join pg_proc as p on p.oid = g.tgfoid
             left join pg_constraint as f on f.oid = g.tgconstraint
            where g.tgrelid = p_table and g.tgtype & 4 <> 0 and g.tgenabled <> 'D'
              and case
                      when g.tgisinternal then f.contype is distinct from 'f'
                      when p.pronamespace = 'tandem'::regnamespace then false
                      else g.tgenabled <> 'A' or g.tgtype & 2 <> 0
                  end)
       and not exists (
           select from pg_constraint as f
            where f.conrelid = p_table and f.contype = 'f' and f.confmatchtype <> 's' and cardinality(f.conkey) > 1)
$$;

-- Fails unless all of these values of a foreign key have their parents, which stay until the transaction ends: just what the
-- server does for each row, for all of them at once. `p_values`: an array for each, with the texts of its columns.
create function tandem.check_together(p_key bigint, p_values jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    f pg_constraint;
    parent pg_class;
    own text; matches text;
    lacking bigint;
begin
    select * into f from pg_constraint where oid = p_key::oid;
    select * into parent from pg_class where oid = f.confrelid;
    select string_agg(format('(v ->> %s)::%s as c%1$s', k.nth - 1, format_type(a.atttypid, a.atttypmod)), ', ' order by k.nth),
           string_agg(format('p.%I operator(%s.%s) w.c%s', b.attname, n.nspname, o.oprname, k.nth - 1), ' and ' order by k.nth)
      into own, matches
      from unnest(f.conkey, f.confkey, f.conpfeqop) with ordinality as k(num, named, op, nth)
      join pg_attribute as a on a.attrelid = f.conrelid and a.attnum = k.num
      join pg_attribute as b on b.attrelid = f.confrelid and b.attnum = k.named
      join pg_operator as o on o.oid = k.op
      join pg_namespace as n on n.oid = o.oprnamespace;
    execute format(
        'with wanted as materialized (select distinct %1$s from jsonb_array_elements($1) as v),
              held as (select from wanted as w join %4$s %2$s as p on %3$s for key share of p)
         select (select count(*) from wanted) - (select count(*) from held)',
        own, f.confrelid::regclass, matches, case parent.relkind when 'p' then '' else 'only' end)
       into lacking using p_values;
    if lacking is distinct from 0 then
        raise exception using errcode = 'foreign_key_violation', table = f.conrelid::regclass::text,
            message = format('%s values of foreign key %s of %s have no row in %s', lacking, f.conname, f.conrelid::regclass, f.confrelid::regclass);
    end if;
end $$;

-- What may keep a row out of a table without an error, by name; null: nothing. `p_does` is the sum of 4 for inserts, 8 for
-- deletes and 16 for updates.
create function tandem.keepers(p_table regclass, p_does integer) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    with recursive whole as (
        select p_table::oid as oid
        union
        select i.inhrelid from pg_inherits as i join whole on i.inhparent = whole.oid)
    select string_agg(distinct k.name, ', ' order by k.name) from (
        select format('trigger %s', g.tgname) from whole join pg_trigger as g on g.tgrelid = whole.oid
         where g.tgtype & 3 = 3 and g.tgtype & p_does <> 0 and g.tgenabled in ('O', 'A')
        union all
        select format('rule %s', r.rulename) from pg_rewrite as r
         where r.ev_class = p_table and r.is_instead and r.ev_enabled in ('O', 'A')
           and case r.ev_type when '2' then 16 when '3' then 4 when '4' then 8 else 0 end & p_does <> 0
        union all
        select 'row level security' where row_security_active(p_table)) as k(name)
$$;

-- The same as a sentence about a row.
create function tandem.kept_words(p_table regclass, p_does integer) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select format('%s keeps it%s without an error: %s', regexp_replace(p_table::text, '^public[.]', ''), case p_does when 8 then '' else ' out' end,
                  tandem.keepers(p_table, p_does))
$$;

-- Rows that were to be written or deleted and were not: fewer than `p_wanted` were (`p_done`). They are refused, or ruled out
-- where that is wanted. True nowhere, so that a statement that asks answers no row.
create function tandem.kept_out(
    p_name text, p_table regclass, p_does integer, p_done bigint, p_wanted bigint, p_rule_out boolean
) returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    -- without any it was somebody else's change in the same moment
    if p_done >= p_wanted or tandem.keepers(p_table, p_does) is null then
        return false;
    end if;
    if p_rule_out then
        update tandem.table_state
           set ruled_out = ruled_out + p_wanted - p_done, applied = applied - p_wanted + p_done
         where replicator = current_setting('tandem.replicator') and "table" = p_name;
        return false;
    end if;
    raise exception using errcode = 'TD014', message = tandem.kept_words(p_table, p_does);
end $$;

-- True where nothing can keep a row out without an error, so that nobody has to count. Else it refuses, and each row is looked
-- at. Whoever asks has a lock on the table, behind which no trigger, rule or policy comes.
create function tandem.uncounted(p_table regclass, p_does integer) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    -- most tables have nothing of the kind
    if exists (select from pg_class as c where c.oid = p_table and c.relkind = 'r' and not c.relhastriggers and not c.relhasrules
                                           and not c.relrowsecurity and not c.relhassubclass) then
        return true;
    end if;
    if tandem.keepers(p_table, p_does) is not null then
        raise exception using errcode = 'TD014', message = format('%s may keep it out without an error', p_table);
    end if;
    return true;
end $$;

-- Writes staged rows, those of `p_rows`, part by part, and sees whether all are there. `p_wanted` and `p_still` count what is
-- to be written, before and after; without the latter the counts of the parts decide.
create function tandem.write_counted(
    p_name text, p_table regclass, p_does integer, p_parts text[], p_wanted text, p_still text, p_rule_out boolean,
    p_rows tid[]
) returns void language plpgsql as $$
declare
    wanted bigint; still bigint; n bigint; done bigint := 0;
    part text; messages bigint;
begin
    execute p_wanted into wanted using p_rows;
    foreach part in array p_parts loop
        execute part using p_rows;
        get diagnostics n = row_count;
        done := done + n;
    end loop;
    if done >= wanted or tandem.keepers(p_table, p_does) is null then
        return;
    end if;
    if p_still is not null then
        execute p_still into still using p_rows;
        done := greatest(done, wanted - still);
    end if;
    if not p_rule_out or done >= wanted then
        perform tandem.kept_out(p_name, p_table, p_does, done, wanted, false);
    elsif cardinality(p_rows) > 1 then
        raise exception using errcode = 'TD014', message = 'one of them is ruled out';
    else
        select s.messages into messages from tandem.staging as s where s.ctid = any (p_rows);
        perform tandem.kept_out(p_name, p_table, p_does, 0, messages, true);
    end if;
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
    -- and without rows whose parents weren't there
    delete from tandem.orphan as o
     where o.replicator = p_replicator and o."table" = p_table and o.key_hash <> all (p_but);
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

-- Writes staged rows in pieces and by halves, until those that are refused stand alone. `p_write` writes the staged rows
-- given as $1 tid[]. `p_now`: constraints that could wait for COMMIT are asked with each piece. The first error with a code
-- in `p_waits` ends it, where there are some (`waits`). An error that isn't a row's own, too many refused rows or too much
-- time (`p_limit`) is an error of the whole; but rows that are tried again (`p_again`) are parked already, and what there
-- is no time for just stays so.
create function tandem.by_halves(
    p_write text, p_rows tid[], p_piece integer, p_now boolean, p_waits text[], p_again boolean, p_limit interval, p_max bigint,
    out refused tid[], out codes text[], out whys text[], out untried tid[], out waits boolean
) language plpgsql as $$
declare
    settled boolean := false;
    -- ranges that are still to be tried, the leftmost on top: what went in stays in
    lows integer[];
    highs integer[];
    low integer; high integer; middle integer; top integer;
    code text; message text; detail text;
begin
    refused := '{}';
    codes := '{}';
    whys := '{}';
    untried := '{}';
    waits := false;
    select coalesce(array_agg(i order by i desc), '{}'),
           coalesce(array_agg(least(i + p_piece - 1, cardinality(p_rows)) order by i desc), '{}')
      into lows, highs from generate_series(1, cardinality(p_rows), p_piece) as i;
    while cardinality(lows) > 0 loop
        top := cardinality(lows);
        low := lows[top];
        high := highs[top];
        lows := lows[:top - 1];
        highs := highs[:top - 1];
        continue when low > high;
        begin
            execute p_write using p_rows[low:high];
            if p_now then
                -- what would be refused at COMMIT is refused here
                set constraints all immediate;
            end if;
            settled := true;
        exception when others then
            get stacked diagnostics code = returned_sqlstate, message = message_text, detail = pg_exception_detail;
            -- the connection, rights, the table's definition, resources, the server: no row is to blame
            if left(code, 2) in ('08', '0A', '25', '28', '40', '42', '53', '55', '57', '58', 'F0', 'XX') then
                raise;
            end if;
            waits := code = any (p_waits);
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
                refused := refused || p_rows[low];
                codes := codes || code;
                whys := whys || concat_ws(': ', message, detail);
            end if;
        end;
        exit when waits;
        if p_again then
            -- each try gets further by one row at least
            if settled and clock_timestamp() > statement_timestamp() + p_limit then
                for i in 1 .. cardinality(lows) loop
                    untried := untried || p_rows[lows[i]:highs[i]];
                end loop;
                exit;
            end if;
        elsif cardinality(refused) > p_max then
            raise exception using errcode = 'TD006',
                message = format('at least %s rows are refused; the first: %s %s', cardinality(refused), codes[1], whys[1]);
        elsif cardinality(refused) > 0 and cardinality(lows) > 0 and clock_timestamp() > statement_timestamp() + p_limit then
            raise exception using errcode = 'TD015',
                message = format('there was no time to find which of %s rows are refused; at least %s are, the first: %s %s',
                                 cardinality(p_rows), cardinality(refused), codes[1], whys[1]);
        end if;
    end loop;
end $$;

-- Gives rows that were written without their parents what they refer to. `p_ready` says which of the remembered rows $1 tid[]
-- could have more than they have, `p_write` writes some, each for itself where it has to be, and `p_done` says which wait for
-- nothing more. What is refused stays as it is, and is tried again; true where there was no time for some.
create function tandem.heal_orphans(
    p_replicator text, p_table text, p_ready text, p_write text, p_done text, p_limit interval, p_piece integer
) returns boolean language plpgsql as $$
declare
    known tid[]; ready tid[]; done tid[];
    tried record;
    left_out tid[] := '{}'; late boolean := false;
begin
    select array_agg(o.ctid) into known from tandem.orphan as o
     where o.replicator = p_replicator and o."table" = p_table;
    if known is null then
        return false;
    end if;
    execute p_ready into ready using known;
    if ready is not null then
        tried := tandem.by_halves(p_write, ready, p_piece, true, '{}', true, p_limit, 0);
        left_out := tried.refused || tried.untried;
        late := cardinality(tried.untried) > 0;
    end if;
    execute p_done into done using known;
    delete from tandem.orphan as o where o.ctid = any (done) and o.ctid <> all (left_out);
    return late;
end $$;

-- Writes the staged rows of a step, each for itself where it has to be, and parks those that are refused.
create function tandem.try_rows(
    p_replicator text, p_epoch bigint, p_table text, p_step integer, p_write text, p_work text,
    p_key integer[], p_unsent integer[], p_lsn pg_lsn, p_again boolean, p_limit interval, p_max bigint,
    p_max_bytes bigint, p_told bigint
) returns jsonb language plpgsql as $$
declare
    staged tid[];
    tried record;
begin
    select coalesce(array_agg(s.ctid order by s.n), '{}') into staged from tandem.staging as s
     where s.replicator = p_replicator and s.epoch = p_epoch and s."table" = p_table and s.step = p_step;
    -- all at once was refused already, so it begins with pieces: most of them hold no bad row
    tried := tandem.by_halves(p_write, staged, 256, true, '{}', p_again, p_limit, p_max);
    perform tandem.mark_refused(tried.refused, tried.codes, tried.whys, tried.untried);
    return tandem.park_rows(p_replicator, p_epoch, p_table, p_step, p_work, p_key, p_unsent, p_lsn, p_again, p_max,
                            p_max_bytes, p_told);
end $$;

-- Notes which staged rows were refused and why, and for which there was no time.
create function tandem.mark_refused(p_refused tid[], p_codes text[], p_whys text[], p_untried tid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if cardinality(p_refused) + cardinality(p_untried) > 0 then
        update tandem.staging as s set code = r.code, why = r.why
          from (select * from unnest(p_refused, p_codes, p_whys) as r(at, code, why)
                union all select u.at, '', null from unnest(p_untried) as u(at)) as r
         where s.ctid = r.at;
    end if;
end $$;

-- What became of a step's staged rows: those that got through leave the quarantine, those that are marked as refused are
-- parked there. Answers the parked rows, with their values up to `p_told` bytes in all; too many of them, or too many bytes
-- are an error.
create function tandem.park_rows(
    p_replicator text, p_epoch bigint, p_table text, p_step integer, p_work text, p_key integer[], p_unsent integer[],
    p_lsn pg_lsn, p_again boolean, p_max bigint, p_max_bytes bigint, p_told bigint
) returns jsonb language plpgsql as $$
declare
    healed bigint; parked bigint; answer jsonb;
begin
    with tried as (
        select array(select s.cells[k.i] from unnest(p_key) with ordinality as k(i, nth) order by k.nth) as key
          from tandem.staging as s
         where s.replicator = p_replicator and s.epoch = p_epoch and s."table" = p_table and s.step = p_step and s.code is null),
    gone as (
        delete from tandem.quarantine as q using tried
         where q.replicator = p_replicator and q.direction = 'forward' and q."table" = p_table
           and q.key_hash = md5(tried.key::text)
        returning q.messages)
    select coalesce(sum(gone.messages), 0) into healed from gone;
    with refused as (
        select s.n, s.cells, s.copies, s.messages, s.code, s.why,
               array(select s.cells[k.i] from unnest(p_key) with ordinality as k(i, nth) order by k.nth) as key
          from tandem.staging as s
         where s.replicator = p_replicator and s.epoch = p_epoch and s."table" = p_table and s.step = p_step and s.code <> ''),
    -- without a key, rows that differ only in columns of the cloud's own have one name
    bad as (
        select distinct on (r.key) r.n, r.cells, sum(r.copies) over named::bigint as copies,
               sum(r.messages) over named::bigint as messages, r.code, r.why, r.key
          from refused as r window named as (partition by r.key) order by r.key, r.n),
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
    if answer <> '[]' and not p_again then
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

-- The staged rows of one part of `tandem.knit`, but for some; or only some of them.
create function tandem.part_rows(p_replicator text, p_epoch bigint, p_part jsonb, p_but tid[], p_only tid[]) returns tid[]
language sql stable set search_path = pg_catalog, pg_temp as $$
    select coalesce(array_agg(s.ctid order by s.n), '{}') from tandem.staging as s
     where s.replicator = p_replicator and s.epoch = p_epoch and s."table" = p_part ->> 'table'
       and s.step = (p_part ->> 'step')::integer and s.ctid <> all (p_but) and (p_only is null or s.ctid = any (p_only))
$$;

-- Those of the staged rows `p_rows` that are still to be written: none whose row a later part has written since. `p_refused`:
-- what has been refused beside them.
create function tandem.still_due(p_replicator text, p_epoch bigint, p_parts jsonb, p_rows tid[], p_refused tid[]) returns tid[]
language sql stable set search_path = pg_catalog, pg_temp as $$
    with staged as (
        select s.ctid as at, s."table", s.step,
               array(select s.cells[k.i::integer] from jsonb_array_elements_text(p -> 'key') with ordinality as k(i, nth) order by k.nth) as key
          from jsonb_array_elements(p_parts) as p
          join tandem.staging as s
            on s.replicator = p_replicator and s.epoch = p_epoch and s."table" = p ->> 'table' and s.step = (p ->> 'step')::integer)
    select coalesce(array_agg(due.at), '{}') from staged as due
     where due.at = any (p_rows)
       and not exists (
           select from staged as later
            where later."table" = due."table" and later.key = due.key and later.step > due.step
              and later.at <> all (p_rows) and later.at <> all (p_refused))
$$;

-- Which of the staged rows `p_rows` break a constraint, now that all are written: rows without a parent, or with the
-- values of another row. `p_find` says where in their table they are.
create function tandem.breaks(p_constraint oid, p_find text, p_rows tid[]) returns tid[]
language plpgsql stable as $$
declare
    con record;
    own text[]; other text[];
    tests text; given text; broken tid[];
begin
    select c.contype, c.conrelid, c.confrelid, c.conkey, c.confkey into con from pg_catalog.pg_constraint as c where c.oid = p_constraint;
    own := array(select quote_ident(a.attname) from unnest(con.conkey) with ordinality as k(num, nth)
                   join pg_catalog.pg_attribute as a on a.attrelid = con.conrelid and a.attnum = k.num order by k.nth);
    other := array(select quote_ident(a.attname) from unnest(con.confkey) with ordinality as k(num, nth)
                     join pg_catalog.pg_attribute as a on a.attrelid = con.confrelid and a.attnum = k.num order by k.nth);
    if con.contype <> 'f' then
        other := own;
    end if;
    select string_agg(format('o.%s = c.%s', pair.other, pair.own), ' and '), string_agg(format('c.%s is not null', pair.own), ' and ')
      into tests, given from unnest(own, other) as pair(own, other);
    if con.contype = 'f' then
        tests := format('%s and not exists (select from %s as o where %s)', given, con.confrelid::regclass, tests);
    elsif con.contype in ('u', 'p') then
        tests := format('exists (select from only %s as o where o.ctid <> c.ctid and %s)', con.conrelid::regclass, tests);
    else
        return '{}';
    end if;
    execute format('select coalesce(array_agg(distinct f.staged), ''{}'') from (%s) as f join only %s as c on f.part = %s and c.ctid = f.at where %s',
                   p_find, con.conrelid::regclass, con.conrelid, tests) into broken using p_rows;
    return broken;
end $$;

-- Writes the staged rows of several steps that may wait for one another, so that as many of them get in as can stand
-- together, and marks the others as refused. Constraints that can be asked at the end are; where that is not enough, each
-- part is `loosen`ed first (columns that others wait for become NULL, or the row makes way), and then written. A row that is
-- refused so is left out, and all is done again without it, until the others hold. `p_parts` has for each step: `table`,
-- `step`, `write`, `loosen` ('' for none) and `find` over $1 tid[], and `stuck`: why more can't be done for it.
create function tandem.knit(p_replicator text, p_epoch bigint, p_parts jsonb, p_again boolean, p_limit interval, p_max bigint)
returns text language plpgsql as $$
declare
    -- errors that lie between rows
    between_rows constant text[] := '{23001,23503,23505,23P01,TD005,TD008}';
    bad tid[] := '{}'; codes text[] := '{}'; whys text[] := '{}'; untried tid[] := '{}';
    loosened boolean := false;
    rounds integer := 0;
    part jsonb; tried record; todo tid[]; left_over tid[]; rows tid[];
    last_codes text[]; last_whys text[];
    moved boolean; waits boolean; known integer; late boolean := false;
    code text; message text; detail text; con_name text; con_table text; con_schema text; con oid; broken tid[];
    -- a row may stand in several parts of its table, one behind the other
    repeated constant boolean := (select count(*) > count(distinct p ->> 'table') from jsonb_array_elements(p_parts) as p);
begin
    loop
        rounds := rounds + 1;
        waits := false;
        known := cardinality(bad);
        begin
            set constraints all deferred;
            if loosened then
                for part in select p from jsonb_array_elements(p_parts) as p where p ->> 'loosen' <> '' loop
                    rows := tandem.part_rows(p_replicator, p_epoch, part, bad, null);
                    perform tandem.by_halves(part ->> 'loosen', rows, greatest(cardinality(rows), 1), false, '{}', true, p_limit, p_max);
                end loop;
            end if;
            todo := null;
            -- what one row waits for another one may bring
            loop
                moved := false;
                left_over := '{}';
                last_codes := '{}';
                last_whys := '{}';
                for part in select p from jsonb_array_elements(p_parts) as p loop
                    rows := tandem.part_rows(p_replicator, p_epoch, part, bad, todo);
                    continue when cardinality(rows) = 0;
                    tried := tandem.by_halves(part ->> 'write', rows, cardinality(rows), false,
                        case when loosened then '{}' else between_rows end, p_again, p_limit, p_max);
                    late := late or cardinality(tried.untried) > 0;
                    waits := tried.waits or late;
                    exit when waits;
                    moved := moved or cardinality(tried.refused) < cardinality(rows);
                    for i in 1 .. cardinality(tried.refused) loop
                        code := tried.codes[i];
                        message := tried.whys[i];
                        if code = any (between_rows) then
                            left_over := left_over || tried.refused[i];
                            last_codes := last_codes || code;
                            last_whys := last_whys || case when part ->> 'stuck' <> '' and code in ('23505', '23P01')
                                then format('%s; it can''t go and come again, since %s', message, part ->> 'stuck') else message end;
                        else
                            bad := bad || tried.refused[i];
                            codes := codes || code;
                            whys := whys || message;
                        end if;
                    end loop;
                end loop;
                exit when waits or not moved or cardinality(left_over) = 0;
                todo := case when repeated then tandem.still_due(p_replicator, p_epoch, p_parts, left_over, bad) else left_over end;
                if cardinality(todo) = 0 then
                    left_over := '{}';
                    last_codes := '{}';
                    last_whys := '{}';
                    exit;
                end if;
            end loop;
            if not waits then
                bad := bad || left_over;
                codes := codes || last_codes;
                whys := whys || last_whys;
                begin
                    set constraints all immediate;
                exception when others then
                    get stacked diagnostics code = returned_sqlstate, message = message_text, detail = pg_exception_detail,
                        con_name = constraint_name, con_table = table_name, con_schema = schema_name;
                    if left(code, 2) in ('08', '0A', '25', '28', '40', '42', '53', '55', '57', '58', 'F0', 'XX') then
                        raise;
                    end if;
                    waits := true;
                    if loosened then
                        select c.oid into con from pg_catalog.pg_constraint as c
                         where c.conname = con_name and c.conrelid = to_regclass(format('%I.%I', con_schema, con_table));
                        for part in select p from jsonb_array_elements(p_parts) as p where con is not null and p ->> 'find' <> '' loop
                            broken := tandem.breaks(con, part ->> 'find', tandem.part_rows(p_replicator, p_epoch, part, bad, null));
                            bad := bad || broken;
                            codes := codes || array_fill(code, array[cardinality(broken)]);
                            whys := whys || array_fill(concat_ws(': ', message, nullif(detail, '')), array[cardinality(broken)]);
                        end loop;
                    end if;
                end;
            end if;
            -- what was refused without being loosened has left nothing behind
            exit when not waits and (not loosened or cardinality(bad) = known);
            raise exception using errcode = 'TD013', message = 'once more';
        exception when sqlstate 'TD013' then
            -- nothing of this round stays
            null;
        end;
        -- nobody is found who could be left out, or it takes too long: each for itself
        if late or loosened and cardinality(bad) = known or rounds > 100 or clock_timestamp() > statement_timestamp() + p_limit then
            bad := '{}';
            codes := '{}';
            whys := '{}';
            for part in select p from jsonb_array_elements(p_parts) as p loop
                rows := tandem.part_rows(p_replicator, p_epoch, part, '{}', null);
                tried := tandem.by_halves(part ->> 'write', rows, 256, true, '{}', p_again, p_limit, p_max);
                bad := bad || tried.refused;
                codes := codes || tried.codes;
                whys := whys || tried.whys;
                untried := untried || tried.untried;
            end loop;
            exit;
        end if;
        loosened := loosened or waits;
    end loop;
    perform tandem.mark_refused(bad, codes, whys, untried);
    return null;
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

-- The first statement of each later file: takes the step to the next version, once, whoever else tries it in the same moment.
-- `p_oldest_binary` is for what older programs can't work with. It waits until they have given their leases back, and
-- who sleeps with one is fenced.
create function tandem.begin_migration(p_version integer, p_oldest_binary text default null) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    us text := coalesce(current_setting('tandem.replicator', true), '');
    others text;
begin
    update tandem.version set version = p_version, oldest_binary =
           case when tandem.binary_number(p_oldest_binary) > tandem.binary_number(oldest_binary) then p_oldest_binary else oldest_binary end
     where version = p_version - 1;
    if not found then
        raise exception using errcode = 'TD020', message = format('the schema tandem has version %s, so the step to %s is not its next one',
            (select max(v.version) from tandem.version as v), p_version);
    end if;
    insert into tandem.migration (version) values (p_version);
    if p_oldest_binary is not null then
        -- nobody takes a lease, or renews one, until this is decided
        lock table tandem.checkpoint in share row exclusive mode;
        select string_agg(format('%s with tandem %s', c.replicator, coalesce(c.version, 'unknown')), ', ' order by c.replicator) into others
          from tandem.checkpoint as c
         where c.replicator <> us and c.held_until > clock_timestamp()
           and tandem.binary_number(c.version) < tandem.binary_number(p_oldest_binary);
        if others is not null then
            raise exception using errcode = 'TD021',
                message = format('at work, and older than tandem %s: %s', p_oldest_binary, others);
        end if;
        update tandem.checkpoint set epoch = epoch + 1
         where replicator <> us and tandem.binary_number(version) < tandem.binary_number(p_oldest_binary);
    end if;
    perform set_config('tandem.known', (
        select string_agg(k.oid::text, ' ') from (
            select oid from pg_class where relnamespace = 'tandem'::regnamespace
            union all select oid from pg_proc where pronamespace = 'tandem'::regnamespace) as k), true);
end $$;

-- The last one of each later file: what is new is for those who may already write here, and for nobody else.
create function tandem.end_migration() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    known text[] := string_to_array(current_setting('tandem.known'), ' ');
    friends text;
    what text;
begin
    select string_agg(distinct quote_ident(pg_get_userbyid(a.grantee)), ', ') into friends
      from pg_class as c cross join aclexplode(c.relacl) as a
     where c.oid = 'tandem.version'::regclass and a.privilege_type = 'INSERT' and a.grantee not in (0, c.relowner);
    for what in select p.oid::regprocedure::text from pg_proc as p
                 where p.pronamespace = 'tandem'::regnamespace and p.oid::text <> all (known) loop
        execute format('revoke all on routine %s from public', what);
        if friends is not null then
            execute format('grant execute on routine %s to %s', what, friends);
        end if;
    end loop;
    for what in select case c.relkind when 'S' then 'usage on sequence ' else 'select, insert, update, delete on ' end || c.oid::regclass::text
                  from pg_class as c
                 where c.relnamespace = 'tandem'::regnamespace and c.relkind in ('r', 'p', 'v', 'S')
                   and c.oid::text <> all (known) and friends is not null loop
        execute format('grant %s to %s', what, friends);
    end loop;
end $$;

revoke all on all functions in schema tandem from public;
