-- A user for whoever looks after all offices of this cloud (`tandem fleet`): it reads how each replicator is, and no row of
-- anybody's. Run by the owner of the schema `tandem` or a superuser, once.
--
--   set tandem.role = 'tandem_fleet';                 -- the user; \password tandem_fleet  gives it one
--   \i fleet.sql
do $$
declare
    who text := current_setting('tandem.role');
begin
    if not exists (select from pg_roles where rolname = who) then
        execute format('create role %I login nosuperuser nocreatedb nocreaterole', who);
    end if;
    execute format('grant usage on schema tandem to %I', who);
    execute format('grant select on tandem.version, tandem.checkpoint, tandem.lifesign, tandem.table_state, '
        'tandem.reverse_state, tandem.poll, tandem.verified to %I', who);
    -- not the keys and values of what waits
    execute format('grant select (replicator, direction) on tandem.quarantine to %I', who);
    execute format('grant select (replicator, made_at) on tandem.outbox to %I', who);
end $$;
