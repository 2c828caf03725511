-- The cloud's side: the live tables, after all the relaxations.
-- Run by supabase_admin (superuser) in database postgres, after roles.sql.

-- everything below belongs to postgres
set role postgres;

create table orgmaster (org_id numeric(3) primary key, orgname varchar(100));

-- the key leaves the firm out: two firms with office 1 collide (tenants_cloud.sql mends it)
create table locmaster (
    org_id numeric(3) not null references orgmaster, loc_id numeric(3) primary key,
    locname varchar(100));

create table conmaster (
    org_id numeric(3) not null references orgmaster, con_id integer primary key,
    conname varchar(60), conmail varchar(60), conphone varchar(25));

-- con_id is 0 or NULL on most rows, so its foreign key had to go
create table climaster (
    org_id numeric(3) not null references orgmaster, con_id integer,
    loc_id numeric(3) not null references locmaster, client_id numeric(7) primary key,
    clientname varchar(80), clientmail varchar(60), clientphone varchar(25));

create table cliunimaster (
    org_id numeric(3) not null references orgmaster, con_id integer,
    loc_id numeric(3) not null references locmaster,
    client_id numeric(7) not null references climaster, cliunit_id numeric(7) primary key,
    cliunitname varchar(80), cliunitadd1 varchar(50), cliunitadd2 varchar(50),
    cliunitcity varchar(50), cliunitpin varchar(8), cliunitstate varchar(35),
    cliunitcountry varchar(35), clientgeolocation varchar(100), cliunitmail varchar(40),
    cliunitphone varchar(25), cliunitcontactname varchar(60));

create table taskmaster (
    org_id numeric(3) not null references orgmaster, con_id integer,
    loc_id numeric(3) not null references locmaster, task_id numeric(7) primary key,
    task_desc varchar(40), task_status numeric(1));

create table jobmaster (
    org_id numeric(3) not null references orgmaster, con_id integer,
    loc_id numeric(3) not null references locmaster, job_id numeric(10) primary key,
    jobdesc varchar(100), jobstatus char(1));

create table mbstaff (
    org_id numeric(3) not null references orgmaster, con_id integer,
    loc_id numeric(3) not null references locmaster, staff_id numeric(8) primary key,
    app_username varchar(50), app_pw varchar(50), stafftype numeric(1), name varchar(50),
    phonumber varchar(30), dob date, email varchar(50), whetherca varchar(10), ca_mem_no varchar(10),
    desc_id numeric(8), spdoj date, createdby varchar(15), createddate date,
    suspendedby varchar(15), suspendeddate date, revokedby varchar(15), revokeddate date,
    terminatedby varchar(15), terminateddate date, active_status numeric(1));

-- one row per job and member of staff, some of them twice: no key is left
create table jobshead (
    org_id numeric(3) not null references orgmaster, con_id integer,
    loc_id numeric(3) not null references locmaster, job_id numeric(10) not null,
    job_uid varchar(25), sporg_id numeric(8), year_id numeric(8), client_id numeric(7) not null,
    jobdate date, targetdate date, job_nature char(1), work_desc varchar(100),
    worklocation varchar(15), act_man_min numeric(10), drivefolderpath varchar(100),
    drivefolderkey varchar(100), job_status char(1));

create table jobtasks (
    jt_id bigserial primary key,
    org_id numeric(3) not null references orgmaster, con_id integer not null references conmaster,
    loc_id numeric(3) not null references locmaster, job_id numeric(10), year_id numeric(8),
    task_id numeric(7), taskorder numeric(10), task_desc varchar(40), jobdet_man_hrs numeric(8,2),
    actual_man_hrs time without time zone, actual_man_min numeric(10), checklistlinked char(1),
    client_id numeric(7), createdby varchar(15), createddate date, task_status numeric(1) default 0,
    constraint jobtasks_job_task_unique unique (job_id, task_id));

create table taskchecklist (
    tc_id bigserial primary key,
    org_id numeric(3) not null references orgmaster, loc_id numeric(3) not null references locmaster,
    task_id numeric(7), job_id integer, checklistdesc varchar(100), applicable varchar(15),
    formatdoc varchar(15), completedby varchar(15), completeddate date, comments varchar(100),
    checkliststatus numeric(1));

create sequence workdiary_wd_id_seq;

create table workdiary (
    wd_id numeric(8) primary key default nextval('workdiary_wd_id_seq'),
    org_id numeric(3) references orgmaster, con_id integer references conmaster,
    loc_id numeric(3) references locmaster, staff_id numeric(8) references mbstaff,
    job_id numeric(10), client_id numeric(7) references climaster, task_id numeric(7),
    cma_id numeric(5), recper_id integer, date date, timefrom time, timeto time, minutes numeric(4),
    tasknotes varchar(50), attachment char(1), doc_ref text);

alter sequence workdiary_wd_id_seq owned by workdiary.wd_id;

create table reminder (
    rem_id numeric(8) primary key, org_id numeric(3) not null references orgmaster,
    loc_id numeric(3) not null references locmaster, year_id numeric(9) not null,
    staff_id numeric(8) not null, remdate date, client_id numeric(7), client_name varchar(80),
    remtype varchar(30), remnotes varchar(100), remduedate date, user_create varchar(15),
    user_modify varchar(15), user_create_dt date, user_modify_dt date, remtotype char(1),
    remstatus numeric(1), remtime time, remtitle varchar(100), color integer);

create table remdetail (
    remdetid numeric(8) primary key, rem_id numeric(8) not null references reminder,
    staff_id numeric(8) not null, remresponse varchar(150), remresstatus char(1));

create table learequest (
    org_id numeric(3) not null references orgmaster, con_id integer not null references conmaster,
    loc_id numeric(3) not null references locmaster, learequest_id numeric(5) primary key,
    staff_id numeric(8) not null references mbstaff, requestdate date, fromdate date, todate date,
    fhvalue char(2), shvalue char(2), leavetype char(2), leaveremarks varchar(50),
    createdby varchar(15), createddate date, approval_status char(1), approvedby varchar(30),
    approveddate date);

create index on mbstaff (email);
create index on mbstaff (active_status);
create index on jobshead (client_id);
create index on jobshead (jobdate);
create index on jobshead (job_status);
create index on jobtasks (job_id);
create index on jobtasks (task_id);
create index on workdiary (staff_id);
create index on workdiary (date);
create index on workdiary (job_id);
create index on reminder (staff_id);
create index on reminder (remduedate);
create index on reminder (remstatus);

-- the cloud's own tables: nobody's business but the app's
create table _sync_metadata (
    table_name text primary key, last_sync_timestamp timestamptz not null, sync_status text default 'pending',
    records_synced integer);
create table _sync_log (id bigserial primary key, table_name text, message text, logged_at timestamptz default now());
create table pinboard_items (id bigserial primary key, staff_id numeric(8), title text, body text);
create table mbrecurrent_periods (
    recper_id integer primary key, recur_period text, recper_order integer, job_id numeric(10));
create table app_versions (version text primary key, mandatory boolean not null);

insert into _sync_metadata values ('jobshead', '2025-11-03 04:15+00', 'success', 24562);
insert into _sync_log (table_name, message) values ('jobshead', 'never read by anyone');
insert into pinboard_items (staff_id, title, body) values (1, 'Holiday', 'दीपावली की शुभकामनाएँ'), (2, 'Tea', null);
insert into mbrecurrent_periods values (1, 'monthly', 1, 1001), (2, 'monthly', 2, 1001), (3, 'yearly', 1, null);
insert into app_versions values ('1.4.2', false);

create function update_updated_at_column() returns trigger language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end $$;

-- Each synced table says who made a row and when; a phone sees all of them through row security.
do $$
declare
    t text;
begin
    foreach t in array array[
        'orgmaster', 'locmaster', 'conmaster', 'climaster', 'cliunimaster', 'taskmaster',
        'jobmaster', 'mbstaff', 'jobshead', 'jobtasks', 'taskchecklist', 'workdiary',
        'reminder', 'remdetail', 'learequest']
    loop
        execute format(
            'alter table public.%I
                 add source char(1) default ''D'',
                 add created_at timestamptz default now(),
                 add updated_at timestamptz default now(),
                 enable row level security', t);
        execute format(
            'create trigger %I before update on public.%I
                 for each row execute function update_updated_at_column()', 'update_' || t || '_updated_at', t);
        execute format('create policy app_reads on public.%I for select to authenticated using (true)', t);
        execute format('grant select on public.%I to authenticated', t);
        execute format('grant all on public.%I to service_role', t);
    end loop;

    -- what a phone may change; the app inserts with source M, older versions leave it out
    foreach t in array array['workdiary', 'learequest'] loop
        execute format('create policy app_adds on public.%I for insert to authenticated with check (true)', t);
        execute format('create policy app_edits on public.%I for update to authenticated using (true)', t);
        execute format('create policy app_removes on public.%I for delete to authenticated using (true)', t);
        execute format('grant insert, update, delete on public.%I to authenticated', t);
    end loop;
end $$;

create policy app_ticks on taskchecklist for update to authenticated using (true);
grant update on taskchecklist to authenticated;
grant usage on all sequences in schema public to authenticated, service_role;
grant select on pinboard_items, mbrecurrent_periods, app_versions to authenticated;

reset role;
