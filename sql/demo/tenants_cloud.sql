-- Run after cloud.sql, while its tables are empty: the same tables for a cloud that several firms share.
-- Every key and every foreign key gets org_id in front, under its old name.

set role postgres;

-- answers had no firm of their own; in a shared cloud they need one
alter table remdetail add org_id numeric(3) not null references orgmaster;

do $$
declare
    parents text[] := array['locmaster', 'conmaster', 'climaster', 'mbstaff', 'reminder'];
    f       record;
    k       record;
    made    text[] := '{}';
    todo    text;
begin
    -- foreign keys to the composite keys: away now, back at the end
    for f in
        select c.conname, c.conrelid::regclass as child, c.confrelid::regclass as parent,
               a.attname as col, p.attname as parent_col
        from pg_constraint c
        join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
        join pg_attribute p on p.attrelid = c.confrelid and p.attnum = c.confkey[1]
        where c.contype = 'f' and c.connamespace = 'public'::regnamespace and c.confrelid::regclass::text = any (parents)
    loop
        execute format('alter table %s drop constraint %I', f.child, f.conname);
        made := made || format('alter table %s add constraint %I foreign key (org_id, %I) references %s (org_id, %I)',
                               f.child, f.conname, f.col, f.parent, f.parent_col);
    end loop;

    for k in select * from (values
        ('locmaster', 'loc_id'), ('conmaster', 'con_id'), ('climaster', 'client_id'),
        ('cliunimaster', 'cliunit_id'), ('taskmaster', 'task_id'), ('jobmaster', 'job_id'),
        ('mbstaff', 'staff_id'), ('reminder', 'rem_id'), ('remdetail', 'remdetid'),
        ('learequest', 'learequest_id')) as keys (tab, col)
    loop
        execute format('alter table %I drop constraint %I', k.tab, k.tab || '_pkey');
        execute format('alter table %I add primary key (org_id, %I)', k.tab, k.col);
    end loop;

    foreach todo in array made loop
        execute todo;
    end loop;
end $$;

alter table jobtasks
    drop constraint jobtasks_job_task_unique,
    add constraint jobtasks_job_task_unique unique (org_id, job_id, task_id);

reset role;
