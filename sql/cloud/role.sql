-- A user for tandem in the cloud with no more than it needs: no superuser, and where a tenant is named, confined to its rows
-- by policies. Run by a user who may grant CREATE on the database, once; again when tables are added.
--
--   set tandem.role = 'tandem';                       -- the user; \password tandem  gives it one
--   set tandem.tables = 'public.client, public.jobs'; -- all cloud tables of the settings, also parents that are looked up;
--                                                    names as SQL has them: 'public.client, shop."My Table"'
--   set tandem.tenant = 'org_id = 1';                 -- as in [tenant]; '' where one firm has the database for itself
--   \i role.sql
--
-- TRIGGER is for tables that come home. CREATE is for the schema `tandem` and may be revoked when that is there.
do $$
declare
    who text := current_setting('tandem.role');
    tenant text := coalesce(current_setting('tandem.tenant', true), '');
    what regclass;
    name text;
    counter text;
begin
    if not exists (select from pg_roles where rolname = who) then
        execute format('create role %I login nosuperuser nocreatedb nocreaterole', who);
    end if;
    execute format('grant connect, create on database %I to %I', current_database(), who);
    foreach name in array array(select m[1] from regexp_matches(coalesce(current_setting('tandem.tables'), ''), '((?:[^",]|"[^"]*")+)', 'g') as m where trim(m[1]) <> '') loop
        what := trim(name)::regclass;
        execute format('grant usage on schema %s to %I',
            (select relnamespace::regnamespace from pg_class where oid = what), who);
        execute format('grant select, insert, update, delete, trigger on %s to %I', what, who);
        for counter in
            select d.objid::regclass from pg_depend d join pg_class c on c.oid = d.objid and c.relkind = 'S'
             where d.refobjid = what and d.deptype in ('a', 'i')
        loop
            execute format('grant usage on sequence %s to %I', counter, who);
        end loop;
        if tenant <> '' and (select relrowsecurity from pg_class where oid = what)
           and not exists (select from pg_policy where polrelid = what and polname = 'tandem ' || who) then
            execute format('create policy %I on %s to %I using (%s) with check (%s)',
                'tandem ' || who, what, who, tenant, tenant);
        end if;
    end loop;
end $$;
