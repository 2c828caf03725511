-- steps of a batch of clients, row by row

-- upsert, 1 of 2
insert into tandem.staging (replicator, epoch, "table", step, n, cells, copies, messages, origin)
select $7, $8, $9, $10, u.n::bigint, array[u.c0, u.c1]::text[], u.copies::bigint, u.messages::bigint, array[u.k0,
null]::text[]
from unnest($1, $2, $3, $4, $5, $6) as u(c0, c1, n, copies, messages, k0);
--   $1: {1}
--   $2: {2}
--   $3: {0}
--   $4: {2}
--   $5: {3}
--   $6: {1}
--   $7: office-1
--   $8: 7
--   $9: clients
--   $10: 0

-- upsert, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 0
--   $5: select tandem.write_counted('clients', '"public"."clients"'::regclass, 20, array['with src as materialized (
--         select u.cells[1]::integer as "id", u.cells[2]::text as "name"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       update "public"."clients" as t
--       set "name" = src."name"
--       from src
--       where t."id" = src."id" and true and (t."name"::text collate "C" is distinct from src."name"::text)', 'with src as materialized (
--         select u.cells[1]::integer as "id", u.cells[2]::text as "name"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       insert into "public"."clients" ("id", "name")
--       select src."id", src."name"
--       from src
--       where not exists (
--         select
--         from "public"."clients" as t
--         where t."id" = src."id" and true)'], 'with src as materialized (
--         select u.cells[1]::integer as "id", u.cells[2]::text as "name"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select count(*)
--         from src
--         where exists (
--           select
--           from "public"."clients" as t
--           where t."id" = src."id" and true and (t."name"::text collate "C" is distinct from src."name"::text))) + (
--         select count(*)
--         from src
--         where not exists (
--           select
--           from "public"."clients" as t
--           where t."id" = src."id" and true))', 'with src as materialized (
--         select u.cells[1]::integer as "id", u.cells[2]::text as "name"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select count(*)
--         from src
--         where exists (
--           select
--           from "public"."clients" as t
--           where t."id" = src."id" and true and (t."name"::text collate "C" is distinct from src."name"::text))) + (
--         select count(*)
--         from src
--         where not exists (
--           select
--           from "public"."clients" as t
--           where t."id" = src."id" and true))', false, $1)
--   $6: upsert
--   $7: {1}
--   $8: {}
--   $9: 0/1A2B3C4D
--   $10: false
--   $11: 60000 milliseconds
--   $12: 10000
--   $13: 67108864
--   $14: 8388608

-- delete, 1 of 2
insert into tandem.staging (replicator, epoch, "table", step, n, cells, copies, messages, origin)
select $7, $8, $9, $10, u.n::bigint, array[u.c0, u.c1]::text[], u.copies::bigint, u.messages::bigint, array[u.k0,
null]::text[]
from unnest($1, $2, $3, $4, $5, $6) as u(c0, c1, n, copies, messages, k0);
--   $1: {1}
--   $2: {2}
--   $3: {0}
--   $4: {2}
--   $5: {3}
--   $6: {1}
--   $7: office-1
--   $8: 7
--   $9: clients
--   $10: 0

-- delete, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 0
--   $5: select tandem.write_counted('clients', '"public"."clients"'::regclass, 8, array['with src as materialized (
--         select u.cells[1]::integer as "id"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       delete from "public"."clients" as t using src
--       where t."id" = src."id" and true'], 'with src as materialized (
--         select u.cells[1]::integer as "id"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select count(*)
--         from "public"."clients" as t
--         where exists (select from src where t."id" = src."id" and true))', 'with src as materialized (
--         select u.cells[1]::integer as "id"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select count(*)
--         from "public"."clients" as t
--         where exists (select from src where t."id" = src."id" and true))', false, $1)
--   $6: delete
--   $7: {1}
--   $8: {}
--   $9: 0/1A2B3C4D
--   $10: false
--   $11: 60000 milliseconds
--   $12: 10000
--   $13: 67108864
--   $14: 8388608

-- too large, 1 of 2
insert into tandem.staging (replicator, epoch, "table", step, n, cells, copies, messages, origin)
select $7, $8, $9, $10, u.n::bigint, array[u.c0, u.c1]::text[], u.copies::bigint, u.messages::bigint, array[u.k0,
null]::text[]
from unnest($1, $2, $3, $4, $5, $6) as u(c0, c1, n, copies, messages, k0);
--   $1: {1}
--   $2: {2}
--   $3: {0}
--   $4: {2}
--   $5: {3}
--   $6: {1}
--   $7: office-1
--   $8: 7
--   $9: clients
--   $10: 0

-- too large, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 0
--   $5: select tandem.too_large(9)
--   $6: upsert
--   $7: {1}
--   $8: {}
--   $9: 0/1A2B3C4D
--   $10: false
--   $11: 60000 milliseconds
--   $12: 10000
--   $13: 67108864
--   $14: 8388608

-- unreadable, 1 of 2
insert into tandem.staging (replicator, epoch, "table", step, n, cells, copies, messages, origin)
select $7, $8, $9, $10, u.n::bigint, array[u.c0, u.c1]::text[], u.copies::bigint, u.messages::bigint, array[u.k0,
null]::text[]
from unnest($1, $2, $3, $4, $5, $6) as u(c0, c1, n, copies, messages, k0);
--   $1: {1}
--   $2: {2}
--   $3: {0}
--   $4: {2}
--   $5: {3}
--   $6: {1}
--   $7: office-1
--   $8: 7
--   $9: clients
--   $10: 0

-- unreadable, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 0
--   $5: select tandem.unreadable(u.cells, array['key column id', 'column name']::text[], '')
--     from tandem.staging as u
--     where u.ctid = any($1)
--   $6: upsert
--   $7: {1}
--   $8: {}
--   $9: 0/1A2B3C4D
--   $10: false
--   $11: 60000 milliseconds
--   $12: 10000
--   $13: 67108864
--   $14: 8388608

-- rows that wait are tried again, 1 of 2
insert into tandem.staging (replicator, epoch, "table", step, n, cells, copies)
select $1, $2, $3, $4, q.id, q.cells, q.copies
from tandem.quarantine as q
where q.replicator = $1 and q.direction = 'forward' and q."table" = $3 and q.work = $5
and q.unsent = $6 and q.sqlstate <> 'TD007' and not (q.sqlstate = '22021'
  and tandem.is_unreadable(q.cells))
order by q.tried_at
limit $7;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 0
--   $5: upsert
--   $6: {2}
--   $7: 1000

-- rows that wait are tried again, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: clients
--   $4: 0
--   $5: select tandem.write_counted('clients', '"public"."clients"'::regclass, 16, array['with src as materialized (
--         select u.cells[1]::integer as "id"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       update "public"."clients" as t
--       set 
--       from src
--       where t."id" = src."id" and true and false'], 'with src as materialized (
--         select u.cells[1]::integer as "id"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select count(*)
--         from src
--         where exists (
--           select
--           from "public"."clients" as t
--           where t."id" = src."id" and true and false))', 'with src as materialized (
--         select u.cells[1]::integer as "id"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select count(*)
--         from src
--         where exists (
--           select
--           from "public"."clients" as t
--           where t."id" = src."id" and true and false))', false, $1)
--   $6: upsert
--   $7: {1}
--   $8: {2}
--   $9: 0/1A2B3C4D
--   $10: false
--   $11: 60000 milliseconds
--   $12: 10000
--   $13: 67108864
--   $14: 8388608

-- not too many wait
select tandem.cap_parked($1, $2, $3, $4);
--   $1: office-1
--   $2: clients
--   $3: 10000
--   $4: 67108864

-- rows get the parents that they came without: nothing

-- columns that are wider now: nothing
