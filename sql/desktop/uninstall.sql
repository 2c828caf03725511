-- Takes one replicator off this desktop: its tables leave the publication and get their replica identity back, its
-- slot and publication go, and with the last replicator the schema. Stop tandem first.
--
--   set tandem.replicator = 'office-1';      -- the name that `tandem uninstall --plan` shows
--   \i uninstall.sql
--
-- `tandem uninstall` runs the same, but table by table first, so that nobody waits long.
do $$
declare
    who text := current_setting('tandem.replicator');
    what record;
begin
    perform set_config('lock_timeout', '3s', true);
    for what in
        select i.schema, i."table", coalesce(p.publication, '') as publication
          from tandem.replica_identity i left join tandem.publication p on p.replicator = i.replicator
         where i.replicator = who
    loop
        perform tandem.unpublish(who, what.publication, what.schema, what."table");
    end loop;
    for what in select publication from tandem.publication where replicator = who loop
        execute format('drop publication if exists %I', what.publication);
    end loop;
    for what in select s.slot_name from pg_replication_slots s join tandem.slot t on t.slot = s.slot_name
                 where t.replicator = who loop
        perform pg_drop_replication_slot(what.slot_name);
    end loop;
    delete from tandem.publication where replicator = who;
    delete from tandem.slot where replicator = who;
    if not exists (select from tandem.slot) and not exists (select from tandem.publication)
       and not exists (select from tandem.replica_identity) then
        drop schema tandem cascade;
    end if;
end $$;
