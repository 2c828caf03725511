-- Takes one replicator out of this cloud: its state goes, the rows of its tables stay as they are, and with the last
-- replicator the schema goes. Stop tandem first.
--
--   set tandem.replicator = 'office-1';      -- the name that `tandem uninstall --plan` shows
--   \i uninstall.sql
do $$
declare
    who text := current_setting('tandem.replicator');
    what record;
begin
    perform set_config('lock_timeout', '3s', true);
    for what in select s."table" from tandem.reverse_state s where s.replicator = who loop
        perform tandem.unwatch(who, what."table");
    end loop;
    -- all that is kept by replicator, of whatever version the schema is; what refers to the checkpoint goes with it
    for what in select c.oid::regclass as kept from pg_class c join pg_attribute a on a.attrelid = c.oid
                 where c.relnamespace = 'tandem'::regnamespace and c.relkind = 'r' and a.attname = 'replicator' and not a.attisdropped
                   and c.relname <> 'checkpoint' loop
        execute format('delete from %s where replicator = %L', what.kept, who);
    end loop;
    delete from tandem.checkpoint where replicator = who;
    if not exists (select from tandem.checkpoint) then
        drop schema tandem cascade;
    end if;
end $$;
