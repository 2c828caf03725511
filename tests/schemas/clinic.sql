-- A clinic's bookings: ranges, exclusion constraints, unique constraints that are checked at the end only, domains, composite
-- types, intervals.

-- both
create domain email_address as text check (value like '%@%');
create type address as (street text, city text, zip text);
create type slot_kind as enum ('visit', 'surgery', 'blocked');
create table doctor (
    doctor_id int primary key,
    name text not null,
    email email_address unique,
    rank int not null,
    constraint doctor_rank unique (rank) deferrable initially deferred);
create table patient (
    patient_id uuid primary key,
    name text not null,
    born date,
    home address,
    allergies text[] not null default '{}',
    insured daterange);
create table room (room_id int primary key, name text not null unique deferrable, floor smallint);
create table booking (
    booking_id bigint primary key,
    room_id int not null references room deferrable initially deferred,
    doctor_id int not null references doctor,
    patient_id uuid references patient,
    kind slot_kind not null,
    during tstzrange not null check (not isempty(during)),
    reminder interval,
    exclude using gist (int4range(room_id, room_id, '[]') with =, during with &&),
    exclude using gist (int4range(doctor_id, doctor_id, '[]') with =, during with &&) deferrable initially deferred);
create table opening (
    weekday int not null check (weekday between 1 and 7),
    hours int4range not null,
    exclude using gist (int4range(weekday, weekday, '[]') with =, hours with &&),
    primary key (weekday, hours));
create table prescription (
    booking_id bigint not null references booking on delete cascade,
    line int not null,
    drug text not null,
    dose numeric(6, 3) not null check (dose > 0),
    every interval,
    primary key (booking_id, line));

-- data
insert into doctor select n, 'Doctor ' || n, 'd' || n || '@clinic', n from generate_series(1, 6) n;
insert into patient select md5('p' || n)::uuid, 'Patient ' || n, date '1960-01-01' + n * 500,
    case when n % 2 = 0 then row('Street ' || n, 'To"wn', null)::address end, array['nuts', 'd,ust'], daterange(date '2020-01-01', case when n % 3 > 0 then date '2026-01-01' + n end)
from generate_series(1, 15) n;
insert into room select n, 'Room ' || n, n % 3 from generate_series(1, 4) n;
insert into booking select n, 1 + n % 4, 1 + n % 6, md5('p' || 1 + n % 15)::uuid, (array['visit', 'surgery', 'blocked']::slot_kind[])[1 + n % 3],
    tstzrange(timestamptz '2025-03-01 08:00+00' + n * interval '30 min', timestamptz '2025-03-01 08:30+00' + n * interval '30 min'), interval '1 day 2 hours'
from generate_series(1, 30) n;
insert into opening select d, int4range(h, h + 4) from generate_series(1, 5) d, (values (8), (13)) as hours (h);
insert into prescription select n, l, 'Drug ' || l, l * 0.125, interval '8 hours' from generate_series(1, 30, 3) n, generate_series(1, 2) l;

-- changes
insert into booking values (100, 1, 1, null, 'blocked', '[2025-04-01 08:00+00,2025-04-01 12:00+00)', null);
-- one booking gives way, another takes its place
begin;
delete from booking where booking_id = 5;
insert into booking select 101, 2, 6, md5('p1')::uuid, 'visit', tstzrange(timestamptz '2025-03-01 10:30+00', timestamptz '2025-03-01 11:00+00'), '-1 mons';
insert into prescription values (101, 1, 'New', 999.999, null);
commit;
-- a booking is put off, and another takes its time
begin;
update booking set during = '[2030-01-01 00:00+00,2030-01-01 01:00+00)' where booking_id = 8;
update booking set during = '[2025-03-01 12:00+00,2025-03-01 12:30+00)' where booking_id = 12;
commit;
-- two bookings exchange their times, through a third: rows of other tables hang on them
begin;
update booking set during = '[2031-01-01 00:00+00,2031-01-01 01:00+00)' where booking_id = 9;
update booking set during = '[2025-03-01 12:30+00,2025-03-01 13:00+00)' where booking_id = 3;
update booking set during = '[2025-03-01 09:30+00,2025-03-01 10:00+00)' where booking_id = 9;
commit;
-- the hours of two days change places, and overlap what they replace: nothing refers to them
update opening set hours = int4range(7, 11) where weekday = 1 and lower(hours) = 8;
begin;
update opening set weekday = 7 where weekday = 1;
update opening set weekday = 1 where weekday = 2;
update opening set weekday = 2 where weekday = 7;
commit;
-- all move up by one: fine at the end only
begin;
update doctor set rank = rank + 1;
update doctor set rank = 1 where rank = 7;
commit;
begin;
set constraints all deferred;
update room set name = 'Room 2' where room_id = 1;
update room set name = 'Room 1' where room_id = 2;
commit;
-- the room comes after its booking
begin;
insert into booking values (102, 5, 2, null, 'surgery', '[2025-05-01 08:00+00,2025-05-01 09:00+00]', '1 hour');
insert into room values (5, 'Room 5', null);
commit;
update patient set home = row('Moved', null, '12345'), allergies = '{}', insured = 'empty' where born > '1975-01-01';
update prescription set line = line + 10 where drug = 'Drug 2';
update booking set booking_id = 200 where booking_id = 30;
delete from booking where booking_id between 13 and 16;
delete from patient where not exists (select from booking where booking.patient_id = patient.patient_id);
begin;
update opening set hours = int4range(lower(hours) + 1, upper(hours)) where lower(hours) = 8;
insert into opening select 6, int4range(9, 12);
commit;
truncate prescription;
insert into prescription values (1, 1, 'again', 0.001, '1 year 2 mons 3 days 04:05:06.789');
