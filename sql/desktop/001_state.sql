-- tandem's state on the desktop, version 1. Run by `tandem run` when it is missing, or by a DBA.

create schema tandem;
comment on schema tandem is 'tandem: keeps this database and a cloud PostgreSQL saying the same thing';
revoke all on schema tandem from public;

create table tandem.version (
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

-- What each table's replica identity was before it was published, so that it can be given back.
create table tandem.replica_identity (
    replicator text not null,
    schema text not null,
    "table" text not null,
    was "char" not null,
    was_index text,
    changed_at timestamptz not null default now(),
    primary key (replicator, schema, "table")
);

-- Publications and slots that tandem made, and tables that it put into a publication: another program's are never
-- dropped.
create table tandem.publication (
    replicator text not null,
    publication text not null,
    made_at timestamptz not null default now(),
    primary key (replicator, publication)
);
create table tandem.published (
    replicator text not null,
    publication text not null,
    schema text not null,
    "table" text not null,
    primary key (replicator, publication, schema, "table")
);
-- What was published when a table's rows were last known to be whole in the cloud: `tandem.sight` of that moment. If it is
-- another one now, somebody changed the publication or the table, also where it was put back since, and what happened in
-- between may never have been sent.
create table tandem.seen (
    replicator text not null,
    publication text not null,
    schema text not null,
    "table" text not null,
    seen text[] not null,
    primary key (replicator, publication, schema, "table")
);
create table tandem.slot (
    replicator text not null,
    slot text not null,
    made_at timestamptz not null default now(),
    -- it kept more of the log than the settings allow and was dropped: all tables are to be copied anew
    given_up_at timestamptz,
    given_up_bytes bigint,
    primary key (replicator, slot)
);

-- Heartbeats, as many as the cloud may know last. One that the cloud knows and that isn't here was written in a history
-- that this database doesn't have: it was restored from a backup or an image.
create table tandem.heartbeat (
    replicator text not null,
    name text not null,
    lsn pg_lsn not null default pg_current_wal_insert_lsn(),
    primary key (replicator, name)
);

-- A text's bytes in UTF-8; a database without an encoding (SQL_ASCII) has it in `p_encoding`. Where they mean nothing,
-- what stands for such a value in the cloud: two characters that are none, and the bytes.
create function tandem.utf8(p_text text, p_encoding text) returns bytea
language plpgsql immutable strict set search_path = pg_catalog, pg_temp as $$
begin
    if getdatabaseencoding() = 'SQL_ASCII' then
        return convert(convert_to(p_text, 'SQL_ASCII'), p_encoding, 'UTF8');
    end if;
    return convert_to(p_text, 'UTF8');
exception when character_not_in_repertoire or untranslatable_character then
    return decode('efb790efb791', 'hex')
        || convert_to(encode(convert_to(p_text, getdatabaseencoding()), 'escape'), 'UTF8');
end $$;

-- The same as text, in a database without an encoding.
create function tandem.from_office(p_text text, p_encoding text) returns text
language sql immutable strict set search_path = pg_catalog, pg_temp as $$
    select convert_from(tandem.utf8(p_text, p_encoding), 'SQL_ASCII')
$$;

-- A text in UTF-8 as a database without an encoding has it. Fails at a character that `p_encoding` doesn't have.
create function tandem.to_office(p_text text, p_encoding text) returns text
language sql immutable strict set search_path = pg_catalog, pg_temp as $$
    select convert_from(convert(convert_to(p_text, 'SQL_ASCII'), 'UTF8', p_encoding), 'SQL_ASCII')
$$;

-- A heartbeat: a message in the log, by which the cloud knows how far it is, and its name here. Those go that the cloud
-- has left behind.
create function tandem.heartbeat(p_replicator text, p_name text, p_prefix text, p_slot text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    delete from tandem.heartbeat as b where b.replicator = p_replicator and b.lsn < (
        select max(c.lsn) from tandem.heartbeat as c
         where c.replicator = p_replicator
           and c.lsn < (select s.confirmed_flush_lsn from pg_replication_slots as s where s.slot_name = p_slot));
    insert into tandem.heartbeat (replicator, name) values (p_replicator, p_name);
    perform pg_logical_emit_message(true, p_prefix, p_name);
end $$;

-- The office's refill, where tandem runs it, part by part: when, and what became of it.
create table tandem.refill (
    replicator text not null,
    -- what the part is called in the settings; refill where there is only one, without a name
    name text not null,
    started_at timestamptz not null,
    ended_at timestamptz,
    failed text,
    runs bigint not null default 0,
    -- clock: it was time; changed: what it reads had changed, namely these tables; again: it had failed; start: nobody knew
    why text check (why in ('clock', 'changed', 'again', 'start')),
    changed text[],
    -- rows that it inserted, changed and deleted; null where that can't be known
    wrote bigint,
    -- the tables whose changes make it run, and why not all of them are seen; null where only the clock does
    watched text[],
    trouble text,
    -- the counters of those tables behind it, its own writes included: as long as they stay so, nothing has changed
    seen jsonb,
    primary key (replicator, name)
);

-- Who was told what when something was wrong (`[alert]`), as a document; the cloud has the same. The newer one counts.
create table tandem.alert (
    replicator text primary key,
    memory text not null,
    kept_at timestamptz not null
);

-- The way home: whose outbox the ledger is about, and the word by which our own writes are known in the log.
create table tandem.reverse (
    replicator text primary key,
    cloud_system_id text not null,
    cloud_timeline integer not null,
    nonce text not null,
    -- the office's statement behind polls that wrote rows: when it ran, and why it failed
    then_at timestamptz,
    then_failed text,
    -- how long it took, and for which tables it ran
    then_ms bigint,
    then_tables text[]
);

-- For each key that came home the last outbox entry: an older one, of a program that slept, writes nothing.
create table tandem.ledger (
    replicator text not null,
    "table" text not null,
    -- of replicator, table and key: one column finds a row, so the server knows how few it finds
    key_hash text primary key,
    entry bigint not null,
    -- the row as we left it; null where we left none
    hash text,
    -- kept: gone in the cloud, and kept here; desktop: the desktop's version stays; taken: the desktop has a row of its own
    state text check (state in ('kept', 'desktop', 'taken'))
) with (fillfactor = 70);

-- What both sides wanted otherwise, with both images.
create table tandem.conflict (
    id bigint generated always as identity primary key,
    replicator text not null,
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

-- Binds the ledger to the cloud at hand. Another one, or one that went back in time, counts its entries anew.
create function tandem.bind_reverse(p_replicator text, p_system_id text, p_timeline integer) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    known tandem.reverse;
begin
    insert into tandem.reverse (replicator, cloud_system_id, cloud_timeline, nonce)
    values (p_replicator, p_system_id, p_timeline, gen_random_uuid()::text)
    on conflict do nothing;
    select * into known from tandem.reverse where replicator = p_replicator for update;
    if (known.cloud_system_id, known.cloud_timeline) <> (p_system_id, p_timeline) then
        update tandem.ledger set entry = 0 where replicator = p_replicator;
        update tandem.reverse set cloud_system_id = p_system_id, cloud_timeline = p_timeline where replicator = p_replicator;
    end if;
    return known.nonce;
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

-- Refuses rows that were to be written or deleted and were not: fewer than `p_wanted` were. Never true.
create function tandem.kept_out(p_table regclass, p_does integer, p_done bigint, p_wanted bigint) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if p_done >= p_wanted then
        return false;
    end if;
    -- Without anything that may have kept them out, somebody replaced rows in the same moment, after they were locked and looked
    -- at: what is there now has not been written, and the whole transaction is tried again.
    if tandem.keepers(p_table, p_does) is null then
        raise exception using errcode = '40001', message = format('rows of %s were replaced while they were written', p_table);
    end if;
    raise exception using errcode = 'TD014', message = tandem.kept_words(p_table, p_does);
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

-- The replica identity that a table needs so that an old row carries the columns `p_needed` (null: all columns).
-- Null when the present one does. A fitting unique index, else FULL.
create function tandem.better_identity(p_table regclass, p_needed text[]) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    with fitting as (
        select x.relname, i.indisprimary, i.indisreplident
          from pg_index i join pg_class x on x.oid = i.indexrelid
         where i.indrelid = p_table and i.indisunique and i.indimmediate and i.indisvalid
           and i.indpred is null and i.indexprs is null
           and not exists (select from pg_attribute a
                            where a.attrelid = p_table and a.attnum = any (i.indkey) and not a.attnotnull)
           and p_needed <@ array(select a.attname::text from pg_attribute a
                                  where a.attrelid = p_table and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])))
    select case
        -- no old row carries what is computed when it is read (VIRTUAL): with FULL the table would refuse updates and deletes
        when c.relreplident = 'f' and (not exists (select from fitting) or not exists (
            select from pg_attribute a where a.attrelid = c.oid and a.attgenerated = 'v' and not a.attisdropped)) then null
        when c.relreplident = 'd' and exists (select from fitting where indisprimary) then null
        when c.relreplident = 'i' and exists (select from fitting where indisreplident) then null
        else coalesce((select format('using index %I', relname) from fitting order by relname limit 1), 'full')
    end
    from pg_class c where c.oid = p_table
$$;

-- By what a change of a publication, of a table's place in it, or of the table's columns `p_columns` is known, also after it
-- was undone: rows of the catalogs that are made anew have other identifiers, and those that are changed another xmin.
create function tandem.sight(p_publication text, p_table oid, p_columns text[]) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
    select array[
        (select concat(p.oid, '.', p.xmin) from pg_publication p where p.pubname = p_publication),
        (select concat(r.oid, '.', r.xmin) from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
          where p.pubname = p_publication and r.prrelid = p_table),
        (select string_agg(concat(a.attnum, '.', a.xmin), ' ' order by a.attnum) from pg_attribute a
          where a.attrelid = p_table and a.attname = any (p_columns) and a.attnum > 0)]
$$;

-- Whether only some rows or columns of a table are published (PostgreSQL 15 and newer).
create function tandem.is_narrow(p_publication text, p_table oid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select exists (select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
                    where p.pubname = p_publication and r.prrelid = p_table
                      and coalesce(to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> 'prattrs') is not null)
$$;

-- Publishes a table, after giving it an identity that names its rows: a published table without one makes the
-- office program's own UPDATE and DELETE fail. Remembers what it was. Says whether anything was changed. Run it with
-- a short lock_timeout, one table to a transaction: while it waits for the table, everybody waits behind it.
create function tandem.publish(p_replicator text, p_publication text, p_table regclass, p_needed text[])
returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    identity text := tandem.better_identity(p_table, p_needed);
    changed boolean := identity is not null;
    name_schema text; name_table text;
begin
    select n.nspname, c.relname into name_schema, name_table
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = p_table;
    -- what it was before the first replicator; each that needs what it is now says so
    insert into tandem.replica_identity (replicator, schema, "table", was, was_index)
    select p_replicator, i.schema, i."table", i.was, i.was_index from tandem.replica_identity i
     where i.schema = name_schema and i."table" = name_table limit 1
    on conflict do nothing;
    if identity is not null then
        insert into tandem.replica_identity (replicator, schema, "table", was, was_index)
        select p_replicator, name_schema, name_table, c.relreplident,
               (select x.relname from pg_index i join pg_class x on x.oid = i.indexrelid
                 where i.indrelid = c.oid and i.indisreplident)
          from pg_class c where c.oid = p_table
        on conflict do nothing;
        execute format('alter table %s replica identity %s', p_table, identity);
    end if;
    -- a filter or a column list that somebody put into a publication of ours goes
    if tandem.is_narrow(p_publication, p_table)
       and exists (select from tandem.publication o where o.publication = p_publication) then
        execute format('alter publication %I drop table only %s', p_publication, p_table);
        changed := true;
    end if;
    if not exists (select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
                    where p.pubname = p_publication and r.prrelid = p_table) then
        execute format('alter publication %I add table only %s', p_publication, p_table);
        insert into tandem.published values (p_replicator, p_publication, name_schema, name_table)
        on conflict do nothing;
        return true;
    end if;
    -- another replicator may have put it there; what a person did stays theirs
    insert into tandem.published
    select p_replicator, p_publication, name_schema, name_table from tandem.published u
     where u.publication = p_publication and u.schema = name_schema and u."table" = name_table limit 1
    on conflict do nothing;
    return changed;
end $$;

-- True while a publication of anybody's sends updates or deletes of a table.
create function tandem.is_published(p_table regclass) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    -- a partition goes with the publications of what it belongs to
    tables oid[] := array(select p_table::oid union select relid::oid from pg_partition_ancestors(p_table) as relid);
begin
    if exists (select from pg_publication p where (p.pubupdate or p.pubdelete) and (p.puballtables or exists (
                  select from pg_publication_rel r where r.prpubid = p.oid and r.prrelid = any (tables)))) then
        return true;
    end if;
    -- whole schemas are published since version 15
    if current_setting('server_version_num')::integer < 150000 then
        return false;
    end if;
    return exists (select from pg_publication p join pg_publication_namespace s on s.pnpubid = p.oid
                     join pg_class c on c.relnamespace = s.pnnspid
                    where (p.pubupdate or p.pubdelete) and c.oid = any (tables));
end $$;

-- Takes a table out of the publication, if tandem put it there and no other replicator needs it there, and gives it
-- back the identity that it had. A table that somebody else publishes keeps an identity that names its rows: without
-- one the office program's UPDATE and DELETE would fail.
create function tandem.unpublish(p_replicator text, p_publication text, p_schema text, p_table text)
returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    found_table oid;
    had tandem.replica_identity;
    was_ours boolean;
    names_rows boolean;
begin
    select c.oid into found_table from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = p_schema and c.relname = p_table;
    delete from tandem.published
     where replicator = p_replicator and publication = p_publication and schema = p_schema and "table" = p_table;
    was_ours := found;
    if was_ours and not exists (select from tandem.published
                                 where publication = p_publication and schema = p_schema and "table" = p_table)
       and exists (select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
                    where p.pubname = p_publication and r.prrelid = found_table) then
        execute format('alter publication %I drop table only %s', p_publication, found_table::regclass);
    end if;
    delete from tandem.replica_identity
     where replicator = p_replicator and schema = p_schema and "table" = p_table returning * into had;
    -- other replicators may still need what we made of it
    if found_table is null or had.was is null or exists (
        select from tandem.replica_identity where schema = p_schema and "table" = p_table) then
        return;
    end if;
    names_rows := case had.was
        when 'f' then true
        when 'd' then exists (select from pg_index where indrelid = found_table and indisprimary)
        when 'i' then to_regclass(format('%I.%I', p_schema, had.was_index)) is not null
        else false end;
    if not names_rows and tandem.is_published(found_table) then
        raise warning '%.% keeps its replica identity: another publication sends its changes', p_schema, p_table;
        return;
    end if;
    execute format('alter table %s replica identity %s', found_table::regclass, case
        when had.was = 'f' then 'full'
        when had.was = 'n' then 'nothing'
        when had.was = 'i' and to_regclass(format('%I.%I', p_schema, had.was_index)) is not null
            then format('using index %I', had.was_index)
        else 'default'
    end);
end $$;

-- The first statement of each later file: takes the step to the next version, once, whoever else tries it in the same moment.
-- `p_oldest_binary` is for what older programs can't work with. It waits until other replicators' streams have ended: what
-- streams beside a schema that isn't migrated is older.
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
        select string_agg(format('%s, which reads slot %s', t.replicator, t.slot), '; ' order by t.replicator) into others
          from tandem.slot as t join pg_replication_slots as s on s.slot_name = t.slot
          join pg_stat_replication as r on r.pid = s.active_pid
         where t.replicator <> us;
        if others is not null then
            raise exception using errcode = 'TD021',
                message = format('at work, and older than tandem %s: %s', p_oldest_binary, others);
        end if;
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
