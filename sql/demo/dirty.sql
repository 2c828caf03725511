-- Rows that the cloud's own constraints refuse. They go into the office program's tables, so they survive a
-- refill. Run after generate.sql; dirty.json says what is refused, table by table. Other tables stay clean.

create or replace function demo.dirty() returns void language plpgsql as $$
begin
    -- 23503: an office that the cloud doesn't have
    insert into app.client
    select 1, null, 2, 950000 + i, 'Client of office two ' || i, null, '' from generate_series(1, 3) i
    on conflict do nothing;

    -- 23505: the task comes back in the next year; the cloud's key leaves the year out.
    -- Of each two, the one that comes second is refused.
    insert into app.task
    select org_id, year_id + 10001, job_id, task_id, con_id, loc_id, seq, 'again, next year', 1, null, null, 'N'
    from app.task
    where org_id = 1 and job_id between 1001 and 1005 and seq = 1 and description is distinct from 'again, next year'
    on conflict do nothing;

    -- 23502: a reminder for nobody
    insert into app.reminder (org_id, rem_id, loc_id, year_id, staff_id, title, status)
    select 1, 950000 + i, 1, 20252026, null, 'for nobody ' || i, 1 from generate_series(1, 2) i
    on conflict do nothing;

    -- 23503: answers to a reminder that is refused itself (1), or that nobody has (2, 3)
    insert into app.response
    select 950000 + i, case when i = 1 then 950001 else 960000 + i end, 1, 'answer without a question', 'Y'
    from generate_series(1, 3) i
    on conflict do nothing;

    perform sync_views_to_tables();
end $$;

-- 22003, apart, since it alters a table: by the book taskchecklist.job_id is an integer on both sides. A desktop
-- where it is numeric(10) can hold what the cloud can't; call it before bootstrap. dirty_wide.json has its rows.
create or replace function demo.dirty_wide() returns void language plpgsql as $$
begin
    alter table public.taskchecklist alter job_id type numeric(10);
    insert into app.checklist
    select 950000000 + i, 1, 1, 1, 3000000000 + i, 'a job beyond an integer ' || i, 0 from generate_series(1, 2) i
    on conflict do nothing;
    perform sync_views_to_tables();
end $$;
