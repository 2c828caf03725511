-- Turns a generated desktop into the desktop of firm `org`: all rows carry that org_id, all other ids overlap with
-- those of every other firm. Use another seed per firm, so that their rows differ. Run after generate.sql.

create or replace function demo.tenant(org integer) returns void language plpgsql as $$
declare
    t text;
begin
    -- a desktop knows one firm: its own
    delete from app.firm where org_id <> (select min(org_id) from app.firm);
    update app.firm set org_id = org, orgname = 'Firm ' || org;

    foreach t in array array['office', 'contact', 'client', 'staff', 'job', 'assignment', 'task', 'checklist', 'reminder', 'daily_work'] loop
        execute format('update app.%I set org_id = $1 where org_id <> $1', t) using org;
    end loop;

    -- rows that came from phones stay through a refill
    update public.workdiary set org_id = org where org_id <> org;
    update public.learequest set org_id = org where org_id <> org;
    perform sync_views_to_tables();
end $$;
