-- Every message of protocol 1, in one fixed order. A line with @ in its comment starts a script of its own.
-- @setup
create type weather as enum ('sun', 'Regen');
create domain postcode as text check (length(value) <= 12);
create type place as (x integer, "Y z" text);
create schema "Büro Ost";
create table default_id (id integer primary key, name text, big text);
alter table default_id alter column big set storage external;
create table full_id (a integer, b text, c numeric(8, 2));
alter table full_id replica identity full;
create table index_id (note text, code text not null, part integer not null, unique (part, code));
alter table index_id replica identity using index index_id_part_code_key;
create table nothing_id (x text);
alter table nothing_id replica identity nothing;
create table "Büro Ost"."Mixed ""Case"", näme" ("Id" integer primary key, "a b" text, "ünï.col" varchar(10));
create table typed (id bigint primary key, w weather, p postcode, at place, list integer[], t timestamptz, f float8, d bytea, j jsonb);
create table parent (id serial primary key);
create table child (id serial primary key, parent integer references parent);
create table alone (id serial primary key);
create publication golden for all tables;
select pg_replication_origin_create('node "one"');
-- @setup
select from pg_create_logical_replication_slot('golden', 'pgoutput');
-- @transaction
insert into default_id values (1, 'one', repeat('0123456789abcdef', 190)), (2, null, ''), (3, 'Grüße, 日本語 🐘', null);
insert into full_id values (1, 'x', 1.50), (1, 'x', 1.50), (null, null, null);
insert into index_id values ('first', 'k', 7);
insert into nothing_id values (E'tab\t, newline\n, back\\slash, quote''"');
insert into "Büro Ost"."Mixed ""Case"", näme" values (1, '', 'zwölf');
-- @transaction
update default_id set name = 'uno' where id = 1;
update default_id set id = 20 where id = 2;
update default_id set big = null where id = 1;
update full_id set c = 2 where a is null;
update index_id set note = 'second';
update index_id set part = 8;
update "Büro Ost"."Mixed ""Case"", näme" set "Id" = 2, "a b" = null;
-- @transaction
delete from default_id where id = 20;
delete from full_id where a = 1;
delete from index_id;
-- @transaction
insert into typed values (1, 'Regen', '560 001', row(3, 'a "b"'), '{1,null,3}', 'infinity', 'NaN', '\x00ff', '{"a": [1, null]}'),
    (-9223372036854775808, null, null, null, '{}', '2024-02-29 12:00:00.123456+05:30', 0.1, '', 'null');
-- @transaction
insert into parent values (default);
insert into child values (default, 1);
insert into alone values (default), (default);
truncate parent cascade;
truncate alone restart identity;
truncate parent, child, alone restart identity cascade;
-- @transaction
select pg_logical_emit_message(true, 'golden "in"', 'with the transaction');
insert into full_id values (5, 'between', 0);
select pg_logical_emit_message(true, '', '');
-- @transaction
select pg_logical_emit_message(false, 'golden.out', E'\\x00ff80'::bytea);
-- @transaction
alter table full_id drop column b, add column "new" boolean default true;
update full_id set c = 3 where a = 5;
-- @transaction
insert into nothing_id values (repeat('A hundred kilobytes. ', 4762));
-- @transaction
select pg_replication_origin_session_setup('node "one"');
insert into alone values (100);
-- @transaction
select pg_replication_origin_session_reset();
select pg_logical_emit_message(true, 'golden.end', '');
