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
    delete from tandem.outbox where replicator = who;
    delete from tandem.poll where replicator = who;
    delete from tandem.staging where replicator = who;
    -- table states and the quarantine go with it
    delete from tandem.checkpoint where replicator = who;
    if not exists (select from tandem.checkpoint) then
        drop schema tandem cascade;
    end if;
end $$;
