-- A user for tandem on the desktop with no more than it needs day by day. Run by a superuser, when the schema `tandem` and
-- the publication are there (`tandem bootstrap --plan` prints both for pasting); again when tables are added.
--
--   set tandem.role = 'tandem';                         -- the user; \password tandem  gives it one
--   set tandem.tables = 'public.jobshead, public.client'; -- all desktop tables of the settings, as SQL writes their names
--   set tandem.home = 'public.workdiary';               -- those of them that something comes home to; '' for none
--   \i role.sql
do $$
declare
    who text := current_setting('tandem.role');
    name text;
begin
    if not exists (select from pg_roles where rolname = who) then
        execute format('create role %I login replication nosuperuser nocreatedb nocreaterole', who);
    end if;
    execute format('grant connect, temporary on database %I to %I', current_database(), who);
    execute format('grant usage on schema tandem to %I', who);
    execute format('grant select, insert, update, delete on all tables in schema tandem to %I', who);
    execute format('grant usage on all sequences in schema tandem to %I', who);
    execute format('grant execute on all functions in schema tandem to %I', who);
    foreach name in array array(select m[1] from regexp_matches(coalesce(current_setting('tandem.tables'), ''), '((?:[^",]|"[^"]*")+)', 'g') as m where trim(m[1]) <> '') loop
        execute format('grant usage on schema %s to %I',
            (select relnamespace::regnamespace from pg_class where oid = trim(name)::regclass), who);
        execute format('grant select on %s to %I', trim(name)::regclass, who);
    end loop;
    foreach name in array array(select m[1] from regexp_matches(coalesce(current_setting('tandem.home', true), ''), '((?:[^",]|"[^"]*")+)', 'g') as m where trim(m[1]) <> '') loop
        execute format('grant insert, update, delete on %s to %I', trim(name)::regclass, who);
    end loop;
end $$;
