-- Measurements in partitions: by range, by list below it, by hash, one without a key, with rows that move between them.

-- both
create table sensor (sensor_id int primary key, name text not null, kind text not null default 'heat');
create table reading (
    sensor_id int not null references sensor,
    taken timestamptz not null,
    value double precision,
    primary key (sensor_id, taken)) partition by range (taken);
create table reading_2024 partition of reading for values from ('2024-01-01 00:00+00') to ('2025-01-01 00:00+00');
create table reading_2025 partition of reading for values from ('2025-01-01 00:00+00') to ('2026-01-01 00:00+00');
create table reading_rest partition of reading default;
create table event (
    event_id bigint not null,
    region text not null,
    day date not null,
    words text,
    primary key (event_id, region, day)) partition by list (region);
create table event_north partition of event for values in ('north') partition by range (day);
create table event_north_old partition of event_north for values from (minvalue) to ('2025-01-01');
create table event_north_new partition of event_north for values from ('2025-01-01') to (maxvalue);
create table event_other partition of event default;
create table counter (name text primary key, value bigint not null) partition by hash (name);
create table counter_0 partition of counter for values with (modulus 2, remainder 0);
create table counter_1 partition of counter for values with (modulus 2, remainder 1);
create table line_log (at date not null, words text) partition by range (at);
create table line_log_old partition of line_log for values from (minvalue) to ('2025-01-01');
create table line_log_new partition of line_log for values from ('2025-01-01') to (maxvalue);

-- data
insert into sensor select n, 'Sensor ' || n from generate_series(1, 5) n;
insert into reading select s, timestamptz '2024-12-30 00:00+00' + n * interval '7 hours', n / 7.0 from generate_series(1, 5) s, generate_series(1, 12) n;
insert into reading values (1, '1999-01-01', '-Infinity'), (1, '2099-01-01', 'NaN');
insert into event select n, (array['north', 'south', 'west'])[1 + n % 3], date '2024-12-25' + n, 'event ' || n from generate_series(1, 20) n;
insert into counter select 'counter ' || n, n from generate_series(1, 15) n;
insert into line_log select date '2024-12-25' + n % 14, 'line ' || n % 5 from generate_series(1, 30) n;

-- changes
insert into reading values (2, '2025-06-01 10:00+00', 1), (2, '2026-06-01 10:00+00', 2);
begin;
insert into sensor values (6, 'New', 'light');
insert into reading select 6, timestamptz '2025-01-01 00:00+00' + n * interval '1 day', n from generate_series(-3, 3) n;
insert into event values (100, 'north', '2025-02-02', 'new'), (101, 'east', '2025-02-02', 'new');
commit;
update reading set value = value * 2 where sensor_id = 3;
-- from one partition into another
update reading set taken = taken + interval '1 year' where sensor_id = 4;
update event set region = 'north' where region = 'south' and event_id < 10;
update event set day = day + 30 where region = 'north';
update counter set name = name || '!' where value % 2 = 0;
delete from reading where sensor_id = 5 and taken < '2025-01-01';
delete from event where region = 'west';
insert into line_log values ('2025-05-05', 'line 1'), ('2025-05-05', 'line 1');
delete from line_log where words = 'line 2';
update line_log set at = at + 10 where words = 'line 3';
-- two exchange their names
begin;
update counter set name = 'between' where value = 1;
update counter set name = 'counter 1' where value = 3;
update counter set name = 'counter 3' where value = 1;
commit;
truncate reading_rest;
truncate counter;
insert into counter values ('only', 1), ('these', 2);
