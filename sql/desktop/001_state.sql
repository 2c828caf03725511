-- tandem's state on the desktop, version 1. Run by `tandem run` when it is missing, or by a DBA.

create schema tandem;
comment on schema tandem is 'tandem: keeps this database and a cloud PostgreSQL saying the same thing';
revoke all on schema tandem from public;

create table tandem.version (
    version integer not null,
    oldest_binary text not null
);
insert into tandem.version values (1, '0.1.0');

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

-- Slots that tandem made: another program's slot is never dropped.
create table tandem.slot (
    replicator text not null,
    slot text not null,
    made_at timestamptz not null default now(),
    primary key (replicator, slot)
);
