-- What the phones do. Run in the cloud by supabase_admin or postgres, after cloud.sql (or tenants_cloud.sql).
-- The functions may then be called by postgres, or by phone through its row security (but for the dummy contact).

create schema if not exists demo;
grant usage on schema demo to public;

create or replace function demo.dice(seed bigint, what int, n bigint, sides int) returns int
language sql immutable as $$
    select (hashint8extended(n, hashint8extended(what, seed)) & 2147483647)::int % sides
$$;

-- 200 diary rows with source M, one with source NULL, up to 20 leave requests, the dummy contact 0.
-- Needs the masters of the firm (org, office 1, staff): without them it does nothing and returns 0.
-- Returns the number of new rows.
create or replace function demo.phone(seed bigint, org numeric default 1) returns int
language plpgsql as $$
declare
    staff    numeric[] := array(select staff_id from mbstaff where org_id = org order by 1);
    contact  int := (select min(con_id) from conmaster where org_id = org and con_id > 0);
    clients  numeric[] := array(select client_id from climaster where org_id = org order by 1 limit 20);
    wall     timestamptz := now() + interval '5 hours 30 minutes';   -- phones send local time as if it were UTC
    notes    text := left(repeat('ग्राहक से मिले, खाते देखे; ', 3), 50);
    made     int := 0;
    n        int;
begin
    if cardinality(staff) = 0 or not exists (select from locmaster where org_id = org and loc_id = 1) then
        return 0;
    end if;

    -- somebody's work-around for con_id 0: a row that nobody's desktop has
    if not exists (select from conmaster where org_id = org and con_id = 0)
       and has_table_privilege('conmaster', 'insert') then
        insert into conmaster (org_id, con_id, conname, source) values (org, 0, 'No Contractor', 'S')
        on conflict do nothing;
        get diagnostics n = row_count;
        made := made + n;
    end if;

    insert into workdiary (org_id, con_id, loc_id, staff_id, job_id, client_id, task_id, recper_id, date,
                           timefrom, timeto, minutes, tasknotes, attachment, doc_ref,
                           source, created_at, updated_at)
    select org, case when c % 3 > 0 then contact end, 1, staff[1 + demo.dice(seed, 61, c, cardinality(staff))],
           1001 + demo.dice(seed, 62, c, 80),
           case when c % 4 > 0 then clients[1 + demo.dice(seed, 63, c, 20)] end,
           case when c % 20 <> 3 then 1 + demo.dice(seed, 64, c, 80) end,
           case when c % 10 = 0 then 1 end,
           date '2025-11-01' + demo.dice(seed, 65, c, 28),
           case when c % 6 > 0 then time '08:00' + demo.dice(seed, 66, c, 32) * interval '15 minutes' end,
           case when c % 6 > 0 then time '16:00' + demo.dice(seed, 67, c, 31) * interval '15 minutes' end,
           15 * (1 + demo.dice(seed, 68, c, 40)),
           case c % 5 when 0 then notes when 1 then '' when 2 then E'it''s "done"\n\\N' else 'note ' || c end,
           case when c % 8 = 1 then 'Y' else 'N' end,
           case when c % 8 = 1 then left('https://abcdefghijkl.supabase.co/storage/v1/object/public/attachments/'
                                         || md5(seed::text || c) || repeat(md5(c::text), 2), 126) || '.jpg' end,
           'M', wall,
           case i when 1 then timestamptz '2099-12-31 23:59:59.999+00'
                  when 2 then timestamptz '2001-01-01 00:00+00' else wall + i * interval '1 ms' end
    -- the last five are equal to the five before them: two entries alike, both meant
    from (select i, case when i > 195 then i - 5 else i end as c from generate_series(1, 200) i) entries;
    get diagnostics n = row_count;
    made := made + n;

    insert into workdiary (org_id, loc_id, staff_id, job_id, date, minutes, tasknotes, source)
    values (org, 1, staff[1], 1001, '2025-11-01', 30, 'an old version of the app', null);
    made := made + 1;

    -- the app takes the clock modulo 100,000 as id, so a second call may meet ids of the first
    if contact is not null then
        insert into learequest (org_id, con_id, loc_id, learequest_id, staff_id, requestdate, fromdate, todate,
                                leavetype, leaveremarks, createdby, createddate, approval_status,
                                source, created_at, updated_at)
        select org, contact, 1, (demo.dice(seed, 70, 0, 100000) + i * 4999) % 100000,
               staff[1 + demo.dice(seed, 71, i, cardinality(staff))], date '2025-11-01' + i, date '2025-11-10' + i,
               date '2025-11-11' + i, (array['SL', 'CL', 'EL', 'EM'])[1 + i % 4],
               case when i % 2 = 0 then 'बुखार है [First Half]' else '' end, 'user' || i, date '2025-11-01' + i, 'P',
               'M', wall, wall
        from generate_series(1, 20) i
        on conflict do nothing;
        get diagnostics n = row_count;
        made := made + n;
    end if;
    return made;
end $$;

-- A later moment: 5 diary rows edited, 5 others deleted, up to 40 checklist items of the office ticked.
-- Returns the number of rows changed.
create or replace function demo.phone_edits(seed bigint, org numeric default 1) returns int
language plpgsql as $$
declare
    mine    numeric[] := array(select wd_id from workdiary where org_id = org and source = 'M'
                               order by demo.dice(seed, 72, wd_id::bigint, 1000000), wd_id limit 10);
    changed int := 0;
    n       int;
begin
    update workdiary set minutes = minutes + 5, tasknotes = 'edited: ' || left(tasknotes, 40) where wd_id = any (mine[1:5]);
    get diagnostics n = row_count;
    changed := changed + n;

    delete from workdiary where wd_id = any (mine[6:10]);
    get diagnostics n = row_count;
    changed := changed + n;

    -- a tick changes neither source nor anything the desktop sent
    update taskchecklist set checkliststatus = 1
    where tc_id in (select tc_id from taskchecklist where org_id = org and checkliststatus = 0 and source = 'D'
                    order by demo.dice(seed, 73, tc_id, 1000000), tc_id limit 40);
    get diagnostics n = row_count;
    return changed + n;
end $$;
