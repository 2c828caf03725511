-- A busy office: business changes straight on the replicated copies, as the program and its operators make them.
-- Run after generate.sql. The next refill undoes them, as it does in real life. Everything written here is accepted
-- by the clean cloud: new ids come from a sequence, parents exist, answers go before their reminder.

create sequence if not exists demo.work_number;

-- Some row of a table without any index: a look at four pages by lot. Locks the row, never waits for one and so never
-- deadlocks with a refill; NULL when nothing is free. Rows that came from phones are left alone.
create or replace function demo.some(tab regclass, draw bigint, filter text default 'true') returns tid
language plpgsql as $$
declare
    pages int := pg_relation_size(tab) / current_setting('block_size')::int;
    page  int;
    hit   tid;
begin
    if pages = 0 then
        return null;
    end if;
    for try in 1..8 loop
        page := demo.dice(draw, 80, try, pages);
        execute format(
            'select ctid from %s where ctid >= %L::tid and ctid < %L::tid and (source = ''D'' or source is null) and %s
             order by hashtext(ctid::text || %s) limit 1 for update skip locked',
            tab, format('(%s,0)', page), format('(%s,0)', page + 4), filter, draw)
        into hit;
        if hit is not null then
            return hit;
        end if;
    end loop;
    -- a table that is mostly holes
    execute format('select ctid from %s where (source = ''D'' or source is null) and %s limit 1 for update skip locked',
                   tab, filter) into hit;
    return hit;
end $$;

-- One business change; returns how many rows it changed in the end.
create or replace function demo.work_once(draw bigint) returns int language plpgsql as $$
declare
    kind   int := demo.dice(draw, 81, 0, 100);
    size   int := 1 + demo.dice(draw, 82, 0, 300);
    words  text := demo.nasty(1 + demo.dice(draw, 83, 0, 16));
    at     tid;
    n      int := 0;
    number bigint;
    old    numeric;
    j      jobshead;
    r      mbreminder;
begin
    if kind < 25 then       -- a job moves on
        at := demo.some('jobshead', draw);
        update jobshead set job_status = substr('WPDALGC', 1 + size % 7, 1), act_man_min = coalesce(act_man_min, 0) + size
        where ctid = at;
    elsif kind < 35 then    -- somebody describes it better
        at := demo.some('jobshead', draw);
        update jobshead set work_desc = left(words || ' #' || size, 100), worklocation = nullif(left(words, 15), '')
        where ctid = at;
    elsif kind < 45 then    -- another member of staff: part of the key changes
        at := demo.some('jobshead', draw);
        update jobshead set sporg_id = 1 + size % 40 where ctid = at;
    elsif kind < 53 then    -- a new job, two members of staff, three tasks
        at := demo.some('jobshead', draw);
        select * into j from jobshead where ctid = at;
        if j.org_id is null then
            return 0;
        end if;
        number := nextval('demo.work_number');
        insert into jobshead (org_id, con_id, loc_id, job_id, job_uid, sporg_id, jctincharge, year_id, client_id,
                              jobdate, targetdate, job_nature, work_desc, act_man_min, job_status, source)
        select j.org_id, j.con_id, j.loc_id, 100000000 + number, 'new-' || number, s, 'N', j.year_id, j.client_id,
               current_date, current_date + size, 'R', words, 0, 'W', 'D'
        from generate_series(1, 2) s;
        insert into jobtasks (org_id, con_id, loc_id, job_id, year_id, task_id, taskorder, task_desc, actual_man_min,
                              checklistlinked, source)
        select j.org_id, 1 + size % 4, j.loc_id, 100000000 + number, j.year_id, t, t, left(words, 40), 0, 'N', 'D'
        from generate_series(1, 3) t;
        return 5;
    elsif kind < 65 then    -- time is booked on a task
        at := demo.some('jobtasks', draw);
        update jobtasks
        set actual_man_min = coalesce(actual_man_min, 0) + size, jobdet_man_hrs = coalesce(jobdet_man_hrs, 0) + 0.25,
            actual_man_hrs = coalesce(actual_man_hrs, '00:00') + size * interval '1 minute'
        where ctid = at;
    elsif kind < 71 then    -- one more task
        at := demo.some('jobtasks', draw);
        insert into jobtasks (org_id, con_id, loc_id, job_id, year_id, task_id, taskorder, task_desc, checklistlinked, source)
        select org_id, con_id, loc_id, job_id, year_id, 1000000 + nextval('demo.work_number'), size, left(words, 40), 'N', 'D'
        from jobtasks where ctid = at;
    elsif kind < 75 then    -- one task less
        at := demo.some('jobtasks', draw);
        delete from jobtasks where ctid = at;
    elsif kind < 78 then    -- one assignment less
        at := demo.some('jobshead', draw);
        delete from jobshead where ctid = at;
    elsif kind < 83 then    -- a reminder is done, or comes back
        at := demo.some('mbreminder', draw, 'staff_id is not null');
        update mbreminder set remstatus = 1 - coalesce(remstatus, 0), remnotes = words, user_modify = 'office',
                              user_modify_dt = current_date
        where ctid = at;
    elsif kind < 87 then    -- a new reminder, and an answer to it
        at := demo.some('mbreminder', draw, 'staff_id is not null');
        number := 10000000 + nextval('demo.work_number');
        insert into mbreminder (rem_id, org_id, loc_id, year_id, staff_id, remdate, remtype, remnotes, remstatus, remtitle, source)
        select number, org_id, loc_id, year_id, staff_id, current_date, 'Meeting', words, 1, 'new ' || number, 'D'
        from mbreminder where ctid = at;
        get diagnostics n = row_count;
        if n > 0 then
            insert into mbremdetail (remdetid, rem_id, staff_id, remresponse, remresstatus, source)
            values (number, number, 1, words, 'Y', 'D');
            return 2;
        end if;
        return 0;
    elsif kind < 92 then    -- a reminder goes, or gets another number; its answers go first, or follow it
        at := demo.some('mbreminder', draw, 'staff_id is not null');
        select * into r from mbreminder where ctid = at;
        old := r.rem_id;
        -- not even these rows are waited for
        perform from mbremdetail where rem_id = old for update nowait;
        if kind < 89 then
            delete from mbremdetail where rem_id = old;
            delete from mbreminder where ctid = at;
        else
            number := 10000000 + nextval('demo.work_number');
            with answers as (delete from mbremdetail where rem_id = old returning *), moved as (
                update mbreminder set rem_id = number where ctid = at)
            insert into mbremdetail (remdetid, rem_id, staff_id, remresponse, remresstatus, source)
            select remdetid, number, staff_id, remresponse, remresstatus, source from answers;
            return (old is not null)::int;
        end if;
    elsif kind < 94 then    -- a client has another phone
        at := demo.some('climaster', draw);
        update climaster set clientphone = '98' || to_char(number_of, 'FM00000000')
        from (select 1000000 * size::bigint % 99999999 as number_of) x where climaster.ctid = at;
    elsif kind < 95 then    -- a job belongs to another client, in all its lines
        at := demo.some('climaster', draw);
        select client_id into old from climaster where ctid = at;
        at := demo.some('jobshead', draw);
        update jobshead set client_id = old
        where old is not null
          and ctid = any (array(select ctid from jobshead
                                where job_id = (select job_id from jobshead where ctid = at) and source = 'D'
                                for update skip locked));
    elsif kind < 96 then    -- a remark on a checklist item
        at := demo.some('taskchecklist', draw);
        update taskchecklist set comments = left(words, 100), completedby = 'office' where ctid = at;
    elsif kind < 98 then    -- saved without a change
        at := demo.some('jobtasks', draw);
        update jobtasks set task_desc = task_desc where ctid = at;
    elsif kind < 99 then    -- thought better of it: rolled back to a savepoint
        begin
            at := demo.some('jobshead', draw);
            update jobshead set work_desc = 'must never be seen' where ctid = at;
            delete from mbremdetail where remdetid in (select remdetid from mbremdetail limit 1 for update skip locked);
            raise exception 'never mind';
        exception when raise_exception then
            return 0;
        end;
    else                    -- made and thrown away in one transaction
        number := 10000000 + nextval('demo.work_number');
        insert into mbreminder (rem_id, org_id, loc_id, year_id, staff_id, remtitle, source)
        select number, org_id, 1, 20252026, 1, 'gone at once', 'D' from orgmaster order by org_id limit 1;
        delete from mbreminder where rem_id = number;
        return 0;
    end if;
    get diagnostics n = row_count;
    return n;
exception when lock_not_available then
    return 0;    -- a refill has the rows; the office tries again some other time
end $$;

-- n business changes in the caller's transaction; the number of rows changed.
create or replace function demo.work(seed bigint, n int) returns int language plpgsql as $$
declare
    changed int := 0;
begin
    for i in 1..n loop
        changed := changed + demo.work_once(hashint8extended(i, seed));
    end loop;
    return changed;
end $$;
