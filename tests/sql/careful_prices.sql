-- steps of a batch of prices, row by row

-- add copies, 1 of 2
insert into tandem.staging (replicator, epoch, "table", step, n, cells, copies, messages, origin)
select $6, $7, $8, $9, u.n::bigint, array[u.c0, u.c1]::text[], u.copies::bigint, u.messages::bigint, array[null,
null]::text[]
from unnest($1, $2, $3, $4, $5) as u(c0, c1, n, copies, messages);
--   $1: {1}
--   $2: {2}
--   $3: {0}
--   $4: {2}
--   $5: {3}
--   $6: office-1
--   $7: 7
--   $8: prices
--   $9: 0

-- add copies, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 0
--   $5: select tandem.write_counted('prices', '"public"."prices"'::regclass, 4, array['with src as materialized (
--         select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       insert into "public"."prices" ("item", "price", "source")
--       select src."item", src."price", ''D''
--       from src, generate_series(1, src."tandem copies")'], 'with src as materialized (
--         select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select coalesce(sum(src."tandem copies"), 0)::bigint
--         from src)', null, false, $1)
--   $6: add
--   $7: {1,2}
--   $8: {}
--   $9: 0/1A2B3C4D
--   $10: false
--   $11: 60000 milliseconds
--   $12: 10000
--   $13: 67108864
--   $14: 8388608

-- remove copies, 1 of 2
insert into tandem.staging (replicator, epoch, "table", step, n, cells, copies, messages, origin)
select $6, $7, $8, $9, u.n::bigint, array[u.c0, u.c1]::text[], u.copies::bigint, u.messages::bigint, array[null,
null]::text[]
from unnest($1, $2, $3, $4, $5) as u(c0, c1, n, copies, messages);
--   $1: {1}
--   $2: {2}
--   $3: {0}
--   $4: {2}
--   $5: {3}
--   $6: office-1
--   $7: 7
--   $8: prices
--   $9: 0

-- remove copies, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 0
--   $5: select tandem.write_counted('prices', '"public"."prices"'::regclass, 8, array['with src as materialized (
--         select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
--         from tandem.staging as u
--         where u.ctid = any($1)),
--       hit as (
--         select t.tableoid as part, t.ctid as at, row_number() over (partition by src."tandem row") as nth, src."tandem copies" as copies
--         from "public"."prices" as t
--         join src on row(t."item"::text, t."price"::numeric(10,2))::record *= row(src."item"::text, src."price"::numeric(10,2))::record
--         where t."source" = ''D''::bpchar)
--       delete from "public"."prices" as t using hit
--       where t.tableoid = hit.part and t.ctid = hit.at and hit.nth <= hit.copies
--       and t."source" = ''D''::bpchar'], 'with src as materialized (
--         select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
--         from tandem.staging as u
--         where u.ctid = any($1)),
--       hit as (
--         select t.tableoid as part, t.ctid as at, row_number() over (partition by src."tandem row") as nth, src."tandem copies" as copies
--         from "public"."prices" as t
--         join src on row(t."item"::text, t."price"::numeric(10,2))::record *= row(src."item"::text, src."price"::numeric(10,2))::record
--         where t."source" = ''D''::bpchar)
--       select (select count(*) from hit where hit.nth <= hit.copies)', null, false, $1)
--   $6: remove
--   $7: {1,2}
--   $8: {}
--   $9: 0/1A2B3C4D
--   $10: false
--   $11: 60000 milliseconds
--   $12: 10000
--   $13: 67108864
--   $14: 8388608

-- too large, 1 of 2
insert into tandem.staging (replicator, epoch, "table", step, n, cells, copies, messages, origin)
select $6, $7, $8, $9, u.n::bigint, array[u.c0, u.c1]::text[], u.copies::bigint, u.messages::bigint, array[null,
null]::text[]
from unnest($1, $2, $3, $4, $5) as u(c0, c1, n, copies, messages);
--   $1: {1}
--   $2: {2}
--   $3: {0}
--   $4: {2}
--   $5: {3}
--   $6: office-1
--   $7: 7
--   $8: prices
--   $9: 0

-- too large, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 0
--   $5: select tandem.too_large(9)
--   $6: add
--   $7: {1,2}
--   $8: {}
--   $9: 0/1A2B3C4D
--   $10: false
--   $11: 60000 milliseconds
--   $12: 10000
--   $13: 67108864
--   $14: 8388608

-- unreadable, 1 of 2
insert into tandem.staging (replicator, epoch, "table", step, n, cells, copies, messages, origin)
select $6, $7, $8, $9, u.n::bigint, array[u.c0, u.c1]::text[], u.copies::bigint, u.messages::bigint, array[null,
null]::text[]
from unnest($1, $2, $3, $4, $5) as u(c0, c1, n, copies, messages);
--   $1: {1}
--   $2: {2}
--   $3: {0}
--   $4: {2}
--   $5: {3}
--   $6: office-1
--   $7: 7
--   $8: prices
--   $9: 0

-- unreadable, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 0
--   $5: select tandem.unreadable(u.cells, array['column item', 'column price']::text[], '')
--     from tandem.staging as u
--     where u.ctid = any($1)
--   $6: add
--   $7: {1,2}
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
--   $3: prices
--   $4: 0
--   $5: add
--   $6: {2}
--   $7: 1000

-- rows that wait are tried again, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: prices
--   $4: 0
--   $5: select tandem.write_counted('prices', '"public"."prices"'::regclass, 4, array['with src as materialized (
--         select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       insert into "public"."prices" ("item", "price", "source")
--       select src."item", src."price", ''D''
--       from src, generate_series(1, src."tandem copies")'], 'with src as materialized (
--         select u.cells[1]::text as "item", u.cells[2]::numeric as "price", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select coalesce(sum(src."tandem copies"), 0)::bigint
--         from src)', null, false, $1)
--   $6: add
--   $7: {1,2}
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
--   $2: prices
--   $3: 10000
--   $4: 67108864

-- rows get the parents that they came without: nothing

-- columns that are wider now: nothing
