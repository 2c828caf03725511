-- Takes one replicator off this desktop: its publication goes, its tables get their replica identity back, its slot
-- goes, and with the last replicator the schema. Stop tandem first.
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
    for what in select p.publication from tandem.publication p where p.replicator = who
                 and not exists (select from tandem.published u
                                  where u.publication = p.publication and u.replicator <> who) loop
        execute format('drop publication if exists %I', what.publication);
    end loop;
    for what in
        select u.schema, u."table", u.publication from tandem.published u where u.replicator = who
        union
        select i.schema, i."table", '' from tandem.replica_identity i
         where i.replicator = who and not exists (
            select from tandem.published u
             where u.replicator = who and u.schema = i.schema and u."table" = i."table")
    loop
        perform tandem.unpublish(who, what.publication, what.schema, what."table");
    end loop;
    for what in select s.slot_name from pg_replication_slots s join tandem.slot t on t.slot = s.slot_name
                 where t.replicator = who loop
        perform pg_drop_replication_slot(what.slot_name);
    end loop;
    -- whoever still uses a publication takes it away one day
    insert into tandem.publication (replicator, publication)
    select distinct on (p.publication) u.replicator, p.publication
      from tandem.publication p join tandem.published u on u.publication = p.publication
     where p.replicator = who order by p.publication, u.replicator
    on conflict do nothing;
    -- all that is kept by replicator, of whatever version the schema is
    for what in select c.oid::regclass as kept from pg_class c join pg_attribute a on a.attrelid = c.oid
                 where c.relnamespace = 'tandem'::regnamespace and c.relkind = 'r' and a.attname = 'replicator' and not a.attisdropped loop
        execute format('delete from %s where replicator = %L', what.kept, who);
    end loop;
    if not exists (select from tandem.slot) and not exists (select from tandem.publication)
       and not exists (select from tandem.published)
       and not exists (select from tandem.reverse)
       and not exists (select from tandem.replica_identity) then
        drop schema tandem cascade;
    end if;
end $$;
