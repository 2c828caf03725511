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
    last_words text
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
    primary key (replicator, "table")
) with (fillfactor = 40);

-- Rows on their way into a table. Unlogged: after a crash the copy starts again anyway. The epoch
-- keeps a writer that lost its lease from adding rows to its successor's copy.
create unlogged table tandem.staging (
    replicator text not null,
    epoch bigint not null,
    "table" text not null,
    cells text[] not null
);
create index staging_of on tandem.staging (replicator, epoch, "table");

-- The raising compare-and-set: the first statement on rows in each transaction. It fails when
-- another writer has moved the checkpoint or taken the lease, and then nothing of ours is written.
create function tandem.advance(
    p_replicator text, p_slot text, p_epoch bigint, p_from pg_lsn, p_to pg_lsn,
    p_committed_at timestamptz, p_beat text, p_transactions bigint,
    p_tables text[], p_received bigint[], p_applied bigint[], p_folded bigint[], p_ruled_out bigint[],
    p_missed bigint[]
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
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
               missed = s.missed + c.missed
          from unnest(p_tables, p_received, p_applied, p_folded, p_ruled_out, p_missed)
               as c("table", received, applied, folded, ruled_out, missed)
         where s.replicator = p_replicator and s."table" = c."table";
    end if;
end $$;

-- Takes the lease: a new epoch, which fences whoever had the old one. `taken` is false while
-- somebody else holds it, unless `p_force` says that the holder is known to be dead.
create function tandem.take_lease(
    p_replicator text, p_system_id text, p_timeline integer, p_database text, p_slot text,
    p_holder text, p_term interval, p_force boolean,
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
               last_words = null
         where replicator = p_replicator;
    end if;
end $$;

-- Fails unless the caller still has the lease; for transactions that don't move the checkpoint.
create function tandem.hold(p_replicator text, p_epoch bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    update tandem.checkpoint set held_until = clock_timestamp() + term
     where replicator = p_replicator and epoch = p_epoch;
    if not found then
        raise exception using errcode = 'TD001',
            message = format('the lease of %s is no longer held in epoch %s', p_replicator, p_epoch);
    end if;
end $$;

-- Fails unless the staging table holds exactly the rows that were sent: a crash empties unlogged
-- tables, and behind a pooler the client doesn't notice. A partial copy must never be merged.
create function tandem.staged(p_replicator text, p_epoch bigint, p_table text, p_rows bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    present bigint;
begin
    select count(*) into present from tandem.staging
     where replicator = p_replicator and epoch = p_epoch and "table" = p_table;
    if present <> p_rows then
        raise exception using errcode = 'TD002',
            message = format('%s of %s staged rows of %s are there', present, p_rows, p_table);
    end if;
end $$;

-- How many of a table's staged rows the cloud refuses, and the first of them: found by halves.
-- `p_write` writes the staged rows given as $1 tid[]. Only called in transactions that are rolled
-- back. It ends after `p_limit`, and then `whole` is false: there may be more.
create function tandem.probe(
    p_replicator text, p_epoch bigint, p_table text, p_write text, p_limit interval,
    out refused bigint, out whole boolean,
    out sqlstate_of text, out message_of text, out detail_of text, out cells text[]
) language plpgsql as $$
declare
    staged tid[];
    -- ranges that are still to be tried, the leftmost on top: what went in stays in
    lows integer[];
    highs integer[];
    low integer; high integer; middle integer; top integer;
    code text; message text; detail text;
begin
    refused := 0;
    whole := true;
    select coalesce(array_agg(s.ctid order by s.ctid), '{}') into staged from tandem.staging as s
     where s.replicator = p_replicator and s.epoch = p_epoch and s."table" = p_table;
    lows := array[1];
    highs := array[cardinality(staged)];
    while cardinality(lows) > 0 loop
        top := cardinality(lows);
        low := lows[top];
        high := highs[top];
        lows := lows[:top - 1];
        highs := highs[:top - 1];
        continue when low > high;
        begin
            execute p_write using staged[low:high];
        exception when others then
            if low < high then
                middle := (low + high) / 2;
                lows := lows || array[middle + 1, low];
                highs := highs || array[high, middle];
            else
                refused := refused + 1;
                if refused = 1 then
                    get stacked diagnostics code = returned_sqlstate, message = message_text, detail = pg_exception_detail;
                    sqlstate_of := code; message_of := message; detail_of := detail;
                    select s.cells into cells from tandem.staging as s where s.ctid = staged[low];
                end if;
            end if;
        end;
        if clock_timestamp() > statement_timestamp() + p_limit then
            whole := cardinality(lows) = 0;
            exit;
        end if;
    end loop;
end $$;

revoke all on all functions in schema tandem from public;
