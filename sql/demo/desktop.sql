-- The office's side: the program's own tables (schema app, invented), the views over them,
-- the keyless copies that get replicated (schema public), and the loud refill between the two.

create schema app;

-- L0: what the office program writes. It has keys; the copies further down have none.

create table app.firm (org_id numeric(3) primary key, orgname varchar(100));

create table app.office (
    org_id numeric(3), loc_id numeric(3), locname varchar(100),
    primary key (org_id, loc_id));

create table app.contact (
    org_id numeric(3), con_id integer, name varchar(60), email varchar(60), phone varchar(25),
    primary key (org_id, con_id));

create table app.client (
    org_id numeric(3), con_id integer, loc_id numeric(3), client_id numeric(7),
    name varchar(80), email varchar(60), cell varchar(25),
    primary key (org_id, client_id));

create table app.staff (
    org_id numeric(3), con_id integer, loc_id numeric(3), staff_id numeric(8),
    login varchar(50), secret varchar(50), kind numeric(1), name varchar(50), mobile varchar(30),
    born date, email varchar(50), profession varchar(10), member_no varchar(10), desc_id numeric(5),
    joined date, created_by varchar(15), created_on date, left_by varchar(15), left_on date,
    active numeric(1),
    primary key (org_id, staff_id));

create table app.job (
    org_id numeric(3), year_id numeric(8), job_id numeric(10), con_id integer, loc_id numeric(3),
    uid varchar(25), client_id numeric(7), opened date, target date, nature char(1),
    description varchar(100), place varchar(15), minutes numeric(10),
    folder_path varchar(100), folder_key varchar(100), status char(1),
    primary key (org_id, year_id, job_id));

-- one line per job and member of staff; nothing forbids the same line twice, and it happens
create table app.assignment (
    line bigint primary key, org_id numeric(3), year_id numeric(8), job_id numeric(10),
    staff_id numeric(8), incharge char(1));

create table app.task (
    org_id numeric(3), year_id numeric(8), job_id numeric(10), task_id numeric(7),
    con_id integer, loc_id numeric(3), seq numeric(10), description varchar(40),
    hours numeric(8,2), spent time, spent_minutes numeric(10), checklist char(1),
    primary key (org_id, year_id, job_id, task_id));

create table app.checklist (
    line bigint primary key, org_id numeric(3), loc_id numeric(3), task_id numeric(7),
    job_id numeric(10), description varchar(100), status numeric(1));

create table app.reminder (
    org_id numeric(3), rem_id numeric(8), loc_id numeric(3), year_id numeric(9), staff_id numeric(8),
    on_date date, client_id numeric(7), client_name varchar(80), kind varchar(30), notes varchar(100),
    due date, created_by varchar(15), created_on date, changed_by varchar(15), changed_on date,
    to_kind char(1), status numeric(1), at_time time, title varchar(100), color integer,
    primary key (org_id, rem_id));

create table app.response (
    resp_id numeric(8) primary key, rem_id numeric(8), staff_id numeric(8),
    answer varchar(150), status char(1));

-- where the phone's work lands in the office program
create table app.daily_work (
    work_id numeric(10) primary key, org_id numeric(3), job_id numeric(10), task_id numeric(7),
    staff_id numeric(8), work_date date, minutes numeric(4), notes varchar(50));

-- L1: the views, with the column names of the original program.

create view v_orgmaster as
    select org_id, orgname from app.firm;

create view v_locmaster as
    select org_id, loc_id, locname from app.office;

create view v_conmaster as
    select org_id, con_id as bfir_n_firmid, name as bfir_s_name, email as bfir_s_email,
           phone as bfir_s_phone1
    from app.contact;

create view v_climaster as
    select org_id, con_id as billfirm_id, loc_id, client_id, name as client_name, email, cell as cell_no
    from app.client;

create view v_mbstaff as
    select org_id, con_id as bfir_n_firmid, loc_id, staff_id as sporgid, login as userloginname,
           secret as userpassword, kind as sptype, name as spfirname, mobile as sasmsmobno,
           born as spdob, email as saemail, profession as prof_type, member_no as ca_mem_no,
           desc_id as des_id, joined as spdoj, created_by as createdby, created_on as createddate,
           null::varchar(15) as suspendedby, null::date as suspendeddate,
           null::varchar(15) as revokedby, null::date as revokeddate,
           left_by as terminatedby, left_on as terminateddate_final,
           active as active_status, 'D'::char(1) as source
    from app.staff;

create view v_jobshead as
    select j.org_id, j.con_id as bfir_n_firmid, j.loc_id, j.job_id, j.uid as job_uid,
           a.staff_id as sporgid, a.incharge as jctincharge, j.year_id, j.client_id,
           j.opened as job_dt, j.target as target_dt, j.nature as job_job_nature,
           j.description as job_work_desc, j.place as worklocation, j.minutes as act_man_min,
           j.folder_path as drivefolderpath, j.folder_key as drivefolderkey, j.status as job_status
    from app.assignment a
    join app.job j using (org_id, year_id, job_id);

create view v_jobtasks as
    select org_id, con_id as bfir_n_firmid, loc_id, job_id, year_id, task_id,
           seq as job_det_n_seq, description as task_desc, hours as jobdet_man_hrs,
           spent as actual_man_hrs, spent_minutes as actual_man_min,
           checklist as task_checklist_appl
    from app.task;

create view v_taskchecklist as
    select org_id, loc_id, task_id, job_id, description as tcldesc, status as activestatus
    from app.checklist;

create view v_mbreminder as
    select rem_id, org_id, loc_id, year_id, staff_id as sporgid, on_date as remdate, client_id,
           client_name, kind as remtype, notes as remnotes, due as remduedate,
           created_by as user_create, changed_by as user_modify, created_on as user_create_dt,
           changed_on as user_modify_dt, to_kind as remtotype, status as remstatus,
           at_time as remtime, title as remtitle, color
    from app.reminder;

create view v_mbremdetail as
    select resp_id as remdetid, rem_id, staff_id as sporgid, answer as remresponse,
           status as remresstatus
    from app.response;

-- L2: the copies. No key, no index, no NOT NULL: that is how they are.

create table orgmaster (org_id numeric(3), orgname varchar(100));

create table locmaster (org_id numeric(3), loc_id numeric(3), locname varchar(100));

create table conmaster (
    org_id numeric(3), con_id integer, conname varchar(60), conmail varchar(60), conphone varchar(25));

create table climaster (
    org_id numeric(3), con_id integer, loc_id numeric(3), client_id numeric(7),
    clientname varchar(80), clientmail varchar(60), clientphone varchar(25));

create table cliunimaster (
    org_id numeric(3), con_id integer, loc_id numeric(3), client_id numeric(7),
    cliunit_id numeric(7), cliunitname varchar(80), cliunitadd1 varchar(50), cliunitadd2 varchar(50),
    cliunitcity varchar(50), cliunitpin varchar(8), cliunitstate varchar(35),
    cliunitcountry varchar(35), clientgeolocation varchar(100), cliunitmail varchar(40),
    cliunitphone varchar(25), cliunitcontactname varchar(60));

create table taskmaster (
    org_id numeric(3), con_id integer, loc_id numeric(3), task_id numeric(7),
    task_desc varchar(40), task_status numeric(1));

create table jobmaster (
    org_id numeric(3), con_id integer, loc_id numeric(3), job_id numeric(10),
    jobdesc varchar(100), jobstatus char(1));

create table mbstaff (
    org_id numeric(3), con_id integer, loc_id numeric(3), staff_id numeric(8),
    app_username varchar(50), app_pw varchar(50), stafftype numeric(1), name varchar(50),
    phonumber varchar(30), dob date, email varchar(50), whetherca varchar(10), ca_mem_no varchar(10),
    desc_id numeric(5), spdoj date, createdby varchar(15), createddate date,
    suspendedby varchar(15), suspendeddate date, revokedby varchar(15), revokeddate date,
    terminatedby varchar(15), terminateddate date, active_status numeric(1));

create table jobshead (
    org_id numeric(3), con_id integer, loc_id numeric(3), job_id numeric(10), job_uid varchar(25),
    sporg_id numeric(8), jctincharge char(1), year_id numeric(8), client_id numeric(7),
    jobdate date, targetdate date, job_nature char(1), work_desc varchar(100),
    worklocation varchar(15), act_man_min numeric(10), drivefolderpath varchar(100),
    drivefolderkey varchar(100), job_status char(1));

-- jt_id and tc_id are always NULL here: the cloud makes them
create table jobtasks (
    jt_id numeric(10), org_id numeric(3), con_id integer, loc_id numeric(3), job_id numeric(10),
    year_id numeric(8), task_id numeric(7), taskorder numeric(10), task_desc varchar(40),
    jobdet_man_hrs numeric(8,2), actual_man_hrs time without time zone, actual_man_min numeric(10),
    checklistlinked char(1));

-- job_id was added by hand, on both sides, as an integer
create table taskchecklist (
    tc_id numeric(10), org_id numeric(3), loc_id numeric(3), task_id numeric(7), job_id integer,
    checklistdesc varchar(100), applicable varchar(15), formatdoc varchar(15),
    completedby varchar(15), completeddate date, comments varchar(100), checkliststatus numeric(1));

create table workdiary (
    wd_id numeric(10), org_id numeric(3), con_id integer, loc_id numeric(3), staff_id numeric(8),
    job_id numeric(10), task_id numeric(7), date date, timefrom timestamp, timeto timestamp,
    minutes numeric(4), tasknotes varchar(50), attachment char(1), doc_ref varchar(15));

create table mbreminder (
    rem_id numeric(8), org_id numeric(3), loc_id numeric(3), year_id numeric(9), staff_id numeric(8),
    remdate date, client_id numeric(7), client_name varchar(80), remtype varchar(30),
    remnotes varchar(100), remduedate date, user_create varchar(15), user_modify varchar(15),
    user_create_dt date, user_modify_dt date, remtotype char(1), remstatus numeric(1),
    remtime time, remtitle varchar(100), color integer);

create table mbremdetail (
    remdetid numeric(8), rem_id numeric(8), staff_id numeric(8), remresponse varchar(150),
    remresstatus char(1));

create table learequest (
    org_id numeric(3), con_id integer, loc_id numeric(3), learequest_id numeric(5),
    requestdate date, fromdate date, todate date, fhvalue char(2), shvalue char(2),
    leavetype char(2), leaveremarks varchar(50), createdby varchar(15), createddate date,
    approval_status char(1), approvedby varchar(30), approveddate date);

create function update_timestamp() returns trigger language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end $$;

-- these three columns and the trigger were added later, to all fifteen alike
do $$
declare
    t text;
begin
    foreach t in array array[
        'orgmaster', 'locmaster', 'conmaster', 'climaster', 'cliunimaster', 'taskmaster',
        'jobmaster', 'mbstaff', 'jobshead', 'jobtasks', 'taskchecklist', 'workdiary',
        'mbreminder', 'mbremdetail', 'learequest']
    loop
        execute format(
            'alter table public.%I
                 add source char(1),
                 add created_at timestamp without time zone default now(),
                 add updated_at timestamp without time zone default now()', t);
        execute format(
            'create trigger %I before update on public.%I
                 for each row execute function update_timestamp()', t || '_update_timestamp', t);
    end loop;
end $$;

-- The refill, second generation: every desktop row goes and comes back, changed or not.
-- Unlike the original it carries all columns, so that an idle run changes nothing but timestamps.
create function sync_views_to_tables() returns void language sql as $$
    delete from orgmaster where source = 'D' or source is null;
    insert into orgmaster (org_id, orgname, source, created_at, updated_at)
        select org_id, orgname, 'D', now(), now() from v_orgmaster;

    delete from locmaster where source = 'D' or source is null;
    insert into locmaster (org_id, loc_id, locname, source, created_at, updated_at)
        select org_id, loc_id, locname, 'D', now(), now() from v_locmaster;

    delete from conmaster where source = 'D' or source is null;
    insert into conmaster (org_id, con_id, conname, conmail, conphone, source, created_at, updated_at)
        select org_id, bfir_n_firmid, bfir_s_name, bfir_s_email, bfir_s_phone1, 'D', now(), now()
        from v_conmaster;

    delete from climaster where source = 'D' or source is null;
    insert into climaster (org_id, con_id, loc_id, client_id, clientname, clientmail, clientphone,
                           source, created_at, updated_at)
        select org_id, billfirm_id, loc_id, client_id, client_name, email, cell_no,
               'D', now(), now()
        from v_climaster;

    -- here the view itself says whose row it is
    delete from mbstaff where source = 'D' or source is null;
    insert into mbstaff (org_id, con_id, loc_id, staff_id, app_username, app_pw, stafftype, name,
                         phonumber, dob, email, whetherca, ca_mem_no, desc_id, spdoj, createdby,
                         createddate, suspendedby, suspendeddate, revokedby, revokeddate,
                         terminatedby, terminateddate, active_status, source, created_at, updated_at)
        select org_id, bfir_n_firmid, loc_id, sporgid, userloginname, userpassword, sptype, spfirname,
               sasmsmobno, spdob, saemail, prof_type, ca_mem_no, des_id, spdoj, createdby,
               createddate, suspendedby, suspendeddate, revokedby, revokeddate,
               terminatedby, terminateddate_final, active_status, source, now(), now()
        from v_mbstaff;

    delete from jobshead where source = 'D' or source is null;
    insert into jobshead (org_id, con_id, loc_id, job_id, job_uid, sporg_id, jctincharge, year_id,
                          client_id, jobdate, targetdate, job_nature, work_desc, worklocation,
                          act_man_min, drivefolderpath, drivefolderkey, job_status,
                          source, created_at, updated_at)
        select org_id, bfir_n_firmid, loc_id, job_id, job_uid, sporgid, jctincharge, year_id,
               client_id, job_dt, target_dt, job_job_nature, job_work_desc, worklocation,
               act_man_min, drivefolderpath, drivefolderkey, job_status,
               'D', now(), now()
        from v_jobshead;

    delete from jobtasks where source = 'D' or source is null;
    insert into jobtasks (org_id, con_id, loc_id, job_id, year_id, task_id, taskorder, task_desc,
                          jobdet_man_hrs, actual_man_hrs, actual_man_min, checklistlinked,
                          source, created_at, updated_at)
        select org_id, bfir_n_firmid, loc_id, job_id, year_id, task_id, job_det_n_seq, task_desc,
               jobdet_man_hrs, actual_man_hrs, actual_man_min, task_checklist_appl,
               'D', now(), now()
        from v_jobtasks;

    delete from taskchecklist where source = 'D' or source is null;
    insert into taskchecklist (org_id, loc_id, task_id, job_id, checklistdesc, applicable, formatdoc,
                               completedby, completeddate, comments, checkliststatus,
                               source, created_at, updated_at)
        select org_id, loc_id, task_id, job_id, tcldesc, 'Y', null,
               null, null, null, activestatus,
               'D', now(), now()
        from v_taskchecklist;

    delete from mbreminder where source = 'D' or source is null;
    insert into mbreminder (rem_id, org_id, loc_id, year_id, staff_id, remdate, client_id,
                            client_name, remtype, remnotes, remduedate, user_create, user_modify,
                            user_create_dt, user_modify_dt, remtotype, remstatus, remtime, remtitle,
                            color, source, created_at, updated_at)
        select rem_id, org_id, loc_id, year_id, sporgid, remdate, client_id,
               client_name, remtype, remnotes, remduedate, user_create, user_modify,
               user_create_dt, user_modify_dt, remtotype, remstatus, remtime, remtitle,
               color, 'D', now(), now()
        from v_mbreminder;

    delete from mbremdetail where source = 'D' or source is null;
    insert into mbremdetail (remdetid, rem_id, staff_id, remresponse, remresstatus,
                             source, created_at, updated_at)
        select remdetid, rem_id, sporgid, remresponse, remresstatus, 'D', now(), now()
        from v_mbremdetail;
$$;

-- The office's own step after a reverse poll: mobile diary rows become daily work, each once.
create function sync_mobile_to_parent() returns void language sql as $$
    insert into app.daily_work (work_id, org_id, job_id, task_id, staff_id, work_date, minutes, notes)
        select wd_id, org_id, job_id, task_id, staff_id, date, minutes, tasknotes
        from workdiary
        where source = 'M' and wd_id is not null
    on conflict (work_id) do nothing;
$$;
