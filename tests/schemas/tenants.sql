-- A product of many firms: org_id in each table and in each key, and row security in the cloud. This desktop is one firm's.

-- both
create table org (org_id int primary key, name text not null);
create table member (
    org_id int not null references org,
    member_id int not null,
    name text not null,
    email text,
    primary key (org_id, member_id),
    unique (org_id, email));
create table room (
    org_id int not null references org,
    room_id int not null,
    name text not null,
    primary key (org_id, room_id));
create table meeting (
    org_id int not null,
    meeting_id uuid not null default gen_random_uuid(),
    room_id int not null,
    host_id int not null,
    starts timestamptz not null,
    notes text,
    primary key (org_id, meeting_id),
    foreign key (org_id, room_id) references room,
    foreign key (org_id, host_id) references member);
create table guest (
    org_id int not null,
    meeting_id uuid not null,
    member_id int not null,
    comes boolean,
    primary key (org_id, meeting_id, member_id),
    foreign key (org_id, meeting_id) references meeting on delete cascade,
    foreign key (org_id, member_id) references member);

-- cloud
alter table org enable row level security;
alter table member enable row level security;
alter table room enable row level security;
alter table meeting enable row level security;
alter table guest enable row level security;
create policy own on org to authenticated using (org_id = current_setting('app.org', true)::int);
create policy own on member to authenticated using (org_id = current_setting('app.org', true)::int);
create policy own on room to authenticated using (org_id = current_setting('app.org', true)::int);
create policy own on meeting to authenticated using (org_id = current_setting('app.org', true)::int);
create policy own on guest to authenticated using (org_id = current_setting('app.org', true)::int);
grant select, insert, update, delete on org, member, room, meeting, guest to authenticated;

-- data
insert into org values (7, 'Ours');
insert into member select 7, n, 'Member ' || n, case when n % 4 > 0 then n || '@ours' end from generate_series(1, 20) n;
insert into room select 7, n, 'Room ' || n from generate_series(1, 4) n;
insert into meeting select 7, md5('m' || n)::uuid, 1 + n % 4, 1 + n % 20, timestamptz '2025-03-30 00:30+00' + n * interval '1 hour', null from generate_series(1, 15) n;
insert into guest select 7, md5('m' || n)::uuid, g, g % 2 = 0 from generate_series(1, 15) n, generate_series(1, 3) g;

-- changes
insert into member values (7, 100, 'New', '100@ours');
begin;
insert into meeting values (7, md5('new')::uuid, 1, 100, '2026-01-01', 'kick-off');
insert into guest values (7, md5('new')::uuid, 1, null), (7, md5('new')::uuid, 100, true);
update room set name = 'Taken' where room_id = 1;
commit;
update guest set comes = not comes where member_id = 2;
update meeting set starts = starts + interval '30 min', notes = 'moved' where room_id = 2;
update guest set member_id = 10 where member_id = 3 and meeting_id = md5('m1')::uuid;
delete from meeting where meeting_id = md5('m5')::uuid;
-- two exchange their addresses
begin;
update member set email = null where member_id = 1;
update member set email = '1@ours' where member_id = 2;
update member set email = '2@ours' where member_id = 1;
commit;
delete from guest where member_id = 1;
begin;
delete from guest;
insert into guest select 7, meeting_id, host_id, true from meeting;
commit;
truncate guest;
insert into guest select 7, meeting_id, 20, false from meeting where room_id = 3;
