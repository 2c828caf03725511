-- Fills the office program's tables with rows that the cloud accepts, all of them: the clean layer.
-- No random(): everything comes from a hash of (seed, what, n), so a seed gives the same rows anywhere.

create schema if not exists demo;

-- The n-th throw of the die called `what`: 0 .. sides - 1.
create or replace function demo.dice(seed bigint, what int, n bigint, sides int) returns int
language sql immutable as $$
    select (hashint8extended(n, hashint8extended(what, seed)) & 2147483647)::int % sides
$$;

-- Text that breaks careless quoting, encodings and COPY; at most 40 characters each, 1 .. 16.
create or replace function demo.nasty(i int) returns text language sql immutable as $body$
    select (array[
        'Income tax return', 'Audit of "Shah & Sons"', 'O''Brien''s GST return', 'वार्षिक लेखा परीक्षा',
        'જીએસટી રિટર્ન ફાઇલિંગ', 'வருமான வரி தாக்கல்', '株式会社の決算 🧾', 'C:\new\table\u0041',
        E'two\nlines\r\nand a third', E'a\ttab and a trailing space ', '{a,"b",NULL}', '\N',
        '', 'NULL', '100% $1 $$ ; -- /* ? :x', 'Łódź, Ærø, naïve façade'])[i]
$body$;

-- The financial year that starts in April of y, as the office writes it: 20252026.
create or replace function demo.year(y int) returns numeric language sql immutable as $$
    select y * 10000 + y + 1
$$;

-- The task of a job in its n-th place (from 0); places never share ids.
create or replace function demo.task_at(seed bigint, job bigint, place int) returns int
language sql immutable as $$
    select 1 + place * 40 + demo.dice(seed, 30 + place, job, 40)
$$;

create or replace function demo.generate(seed bigint, scale numeric default 1) returns void
language plpgsql as $$
declare
    clients   int := greatest(54, round(729 * scale));
    staff     int := greatest(16, round(16 * scale));
    jobs      int := greatest(80, round(12000 * scale));
    crowded   int := greatest(10, round(12 * scale));      -- jobs with 18 to 24 staff
    carried   int := greatest(4, round(12 * scale));       -- jobs that go on in the next year
    orphans   int := greatest(5, round(169 * scale));      -- tasks of unknown jobs
    tasks     int := greatest(jobs * 2, round(64711 * scale) - orphans);
    items     int := greatest(60, round(2894 * scale)::int) - 3;
    twins     int := greatest(4, round(12 * scale));       -- checklist items that occur twice
    reminders int := greatest(24, round(132 * scale));
    responses int := greatest(8, round(39 * scale));
    crowd     int;
    lines     int;
begin
    if scale <= 0 or scale > 50 then
        raise exception 'scale must be above 0 and at most 50, not %', scale;
    end if;

    truncate app.firm, app.office, app.contact, app.client, app.staff, app.job, app.assignment,
             app.task, app.checklist, app.reminder, app.response;

    insert into app.firm values (1, 'Shah & Associates — शाह'), (2, E'Second firm\t"unused"');
    insert into app.office values (1, 1, 'मुख्य कार्यालय (Head office)');
    insert into app.contact
    select 1, i, demo.nasty(1 + i), case i when 2 then '' when 3 then null else 'firm' || i || '@example.in' end,
           case i when 4 then null else '+91 79 4000 00' || i end
    from generate_series(1, 4) i;

    -- 22 of 27 clients have no contact: 594 of 729
    insert into app.client
    select 1,
           case when i % 27 < 22 then nullif(0, i % 2) else 1 + demo.dice(seed, 1, i, 4) end,
           1, 1 + i,
           demo.nasty(1 + demo.dice(seed, 2, i, 16)) || case when i % 5 > 0 then ' ' || i else '' end,
           case i % 9 when 0 then null when 1 then '' else 'client' || i || '@example.in' end,
           case i % 7 when 0 then null when 1 then '' else (9800000000 + demo.dice(seed, 3, i, 99999999))::text end
    from generate_series(0, clients - 1) i;

    insert into app.staff
    select 1, nullif(demo.dice(seed, 4, i, 4), 3), 1, i, 'user' || i,
           upper(left(md5(seed || '/' || i), 24)), i % 3, left(demo.nasty(i % 16 + 1), 40) || ' ' || i,
           case when i % 5 > 0 then '98250 ' || 10000 + i end, date '1960-02-29' + demo.dice(seed, 5, i, 14000),
           case i % 6 when 0 then '' else 'user' || i || '@example.in' end,
           case when i % 3 = 0 then 'CA' end, case when i % 3 = 0 then (100000 + i)::text end, 10 + i % 5,
           date '2010-04-01' + demo.dice(seed, 6, i, 5000), 'admin', date '2020-04-01',
           case when i % 8 = 0 then 'admin' end, case when i % 8 = 0 then date '2024-03-31' end, 1 + i % 2
    from generate_series(1, staff) i;

    -- about one job in six has a client that nobody knows (the cloud's foreign key is gone)
    insert into app.job
    select 1, demo.year(y), 1000 + j, nullif(demo.dice(seed, 10, j, 6), 5) % 5, 1,
           right(y::text, 1) || to_char(1 + j % 12, 'FM00') || '10-' || to_char(j, 'FM0000000'),
           case when j % 25 < 4 then 900000 + demo.dice(seed, 11, j, 50)
                else 1 + demo.dice(seed, 12, j, clients) end,
           make_date(y, 4, 1) + demo.dice(seed, 13, j, 360),
           case when j % 4 > 0 then make_date(y, 7, 31) + demo.dice(seed, 14, j, 240) end,
           substr('RNOS', 1 + j % 4, 1),
           case j % 11 when 0 then null
                else demo.nasty(1 + demo.dice(seed, 15, j, 16)) || case when j % 3 > 0 then ' ' || y else '' end end,
           case j % 5 when 0 then null when 1 then '' else 'office' end,
           demo.dice(seed, 16, j, 6000),
           case when j % 10 = 0 then 'D:\Jobs\' || y || '\' || j end,
           case when j % 10 = 0 then left(md5('drive' || j), 28) end,
           substr('WPDALGC', 1 + demo.dice(seed, 17, j, 7), 1)
    from (select j, 2021 + j % 5 as y from generate_series(1, jobs) j) js;

    -- a carried job is the same job in two years; one of them changed its client on the way
    insert into app.job
    select org_id, year_id + 10001, job_id, con_id, loc_id, uid,
           case when job_id = 1000 + crowded + 1 then 1 else client_id end, opened + 365, target + 365,
           nature, description, place, 0, folder_path, folder_key, 'P'
    from app.job where job_id between 1000 + crowded + 1 and 1000 + crowded + carried;

    -- the crowded jobs first, then one line for each other job, then the rest of the lines by lot
    select sum(18 + j % 7) into crowd from generate_series(1, crowded) j;
    lines := greatest(0, round(24568 * scale) - crowd - (jobs - crowded) - carried - 3);
    insert into app.assignment
    with seats as (
        select j, s from generate_series(1, crowded) j, generate_series(1, 18 + j % 7) s
        union all
        select j, row_number() over (partition by j)
        from (select generate_series(crowded + 1, jobs) as j
              union all
              select crowded + 1 + demo.dice(seed, 20, l, jobs - crowded)
              from generate_series(1, lines) l) drawn)
    select row_number() over (order by j, s), 1, demo.year(2021 + j % 5), 1000 + j,
           -- neighbours on a circle of 24 never repeat within a job; a few seats are empty
           case when s = 1 and j % 40 = 7 then null
                else 1 + (demo.dice(seed, 21, j, 24) + s) % 24 + (s - 1) / 24 * 24 end,
           case when s = 1 then 'Y' else 'N' end
    from seats;

    insert into app.assignment
    select 100000000 + row_number() over (order by job_id), 1, year_id + 10001, job_id, 1, 'Y'
    from app.job
    where job_id between 1000 + crowded + 1 and 1000 + crowded + carried
      and year_id = demo.year((2021 + (job_id - 1000) % 5)::int);

    -- the same line twice, three times over: no key of this table is unique
    insert into app.assignment
    select 200000000 + line, org_id, year_id, job_id, staff_id, incharge
    from app.assignment where line <= 3;

    insert into app.task
    select 1, demo.year(2021 + j % 5), 1000 + j, demo.task_at(seed, j, place), 1 + j % 4, 1, place + 1,
           case t % 13 when 0 then null else demo.nasty(1 + demo.dice(seed, 22, t, 16)) end,
           (demo.dice(seed, 23, t, 4000) / 100.0)::numeric(8,2),
           case when t % 3 > 0 then time '00:00' + demo.dice(seed, 24, t, 1440) * interval '1 minute' end,
           case when t % 3 > 0 then demo.dice(seed, 24, t, 1440) end,
           case when t % 8 = 0 then 'Y' else 'N' end
    from (select t, 1 + t % jobs as j, t / jobs as place from generate_series(0, tasks - 1) t) ts;

    insert into app.task
    select 1, demo.year(2020), 7000000000 + t, 1 + t % 200, 1, 1, 1, 'job is gone', 1.5, null, null, 'N'
    from generate_series(1, orphans) t;

    -- items repeat their wording under a task, some are equal in everything, three have no task
    insert into app.checklist
    with drawn as (
        select i, case when i > items - twins then i - twins else i end as c from generate_series(1, items) i),
    placed as (
        select i, c, 1 + demo.dice(seed, 40, c, jobs) as j, demo.dice(seed, 41, c, 2) as place from drawn)
    select i, 1, 1, demo.task_at(seed, j, place), 1000 + j, demo.nasty(1 + demo.dice(seed, 42, c, 16)),
           (demo.dice(seed, 43, c, 4) = 0)::int
    from placed
    union all
    select items + i, 1, 1, null, null, 'item without a task ' || i, 0 from generate_series(1, 3) i;

    -- the same words twice under one task, which is not yet an equal row
    update app.checklist c set task_id = o.task_id, job_id = o.job_id, description = o.description, status = 1 - o.status
    from app.checklist o where c.line between 6 and 10 and o.line = c.line - 5;

    -- one in twelve is for staff unknown to the cloud, which no longer minds
    insert into app.reminder
    select 1, i, 1, demo.year(2025), case when i % 12 = 0 then 700 + i else 1 + demo.dice(seed, 50, i, staff) end,
           date '2025-04-01' + i, case i % 4 when 0 then null when 1 then 0 else 1 + demo.dice(seed, 51, i, clients) end,
           case i % 4 when 0 then null when 1 then '' else demo.nasty(1 + i % 16) end,
           (array['Meeting', 'Due date', 'देय तिथि', null])[1 + i % 4], demo.nasty(1 + demo.dice(seed, 52, i, 16)),
           case when i % 5 > 0 then date '2025-05-01' + i end, 'user1', date '2025-04-01',
           case when i % 3 = 0 then 'user2' end, case when i % 3 = 0 then date '2025-04-02' end,
           case when i % 2 = 0 then 'S' else 'C' end, (i % 7 > 0)::int,
           case when i % 6 > 0 then time '09:00' + i * interval '7 minutes' + interval '0.125 s' end,
           demo.nasty(1 + demo.dice(seed, 53, i, 16)), case when i % 4 > 0 then -16777216 + i * 4096 end
    from generate_series(1, reminders) i;

    insert into app.response
    select i, 1 + (i * 3) % reminders, 1 + demo.dice(seed, 54, i, staff), demo.nasty(1 + demo.dice(seed, 55, i, 16)),
           case i % 3 when 0 then null when 1 then 'Y' else 'N' end
    from generate_series(1, responses) i;

    -- without statistics the refill's join is planned for empty tables
    analyze app.job, app.assignment;
    perform sync_views_to_tables();
end $$;
