-- Supabase-like roles. Run by supabase_admin (superuser) in database postgres.

do $$
declare
    r record;
begin
    -- postgres is what Supabase gives its users: much, but no superuser
    for r in select * from (values
        ('postgres',      'login nosuperuser createdb createrole replication bypassrls'),
        ('anon',          'nologin'),
        ('authenticated', 'nologin'),
        ('service_role',  'nologin bypassrls'),
        ('authenticator', 'login noinherit'),
        ('phone',         'login')) as roles (name, options)
    loop
        if not exists (select from pg_roles where rolname = r.name) then
            execute format('create role %I %s', r.name, r.options);
        end if;
    end loop;
    execute format('grant create, connect, temporary on database %I to postgres', current_database());
end $$;

grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role to postgres;
grant authenticated to phone;
grant usage, create on schema public to postgres;
grant usage on schema public to anon, authenticated, service_role;
