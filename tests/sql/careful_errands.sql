-- steps of a batch of errands, row by row

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
--   $8: errands
--   $9: 0

-- add copies, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 0
--   $5: select tandem.write_counted('errands', '"public"."errands"'::regclass, 4, array['with src as materialized (
--         select u.cells[1]::text as "what", u.cells[2]::integer as "done", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       insert into "public"."errands" ("what", "done", "source")
--       select src."what", src."done", ''D''
--       from src, generate_series(1, src."tandem copies")'], 'with src as materialized (
--         select u.cells[1]::text as "what", u.cells[2]::integer as "done", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select coalesce(sum(src."tandem copies"), 0)::bigint
--         from src)', null, false, $1)
--   $6: add
--   $7: {1}
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
--   $8: errands
--   $9: 0

-- remove copies, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 0
--   $5: select tandem.write_counted('errands', '"public"."errands"'::regclass, 8, array['with src as materialized (
--         select u.cells[1]::text as "what", u.copies::bigint as "tandem copies", row_number() over () as "tandem row",
--         array[u.cells[2]]::text[] as "tandem look"
--         from tandem.staging as u
--         where u.ctid = any($1)),
--       looks as (
--         select row(src."what"::text)::record::text as name, src."tandem look" as look, sum(src."tandem copies") as copies
--         from src
--         group by 1, 2),
--       named as (
--         select looks.name, sum(looks.copies) as copies
--         from looks
--         group by 1),
--       have as (
--         select t.tableoid as part, t.ctid as at, row(t."what"::text)::record::text as name, array[case
--         when t."done" is distinct from null then concat(t."done"::integer) end]::text[] as look
--         from "public"."errands" as t
--         where exists (
--           select
--           from src
--           where row(t."what"::text)::record *= row(src."what"::text)::record)
--         and t."source" = ''D''::bpchar),
--       same as (
--         select have.*, row_number() over (partition by have.name, have.look) as nth
--         from have),
--       hit as (
--         select same.part, same.at, row_number() over (partition by same.name
--           order by same.nth <= coalesce(looks.copies, 0) desc) as nth, named.copies
--         from same
--         join named using (name)
--         left join looks using (name, look))
--       delete from "public"."errands" as t using hit
--       where t.tableoid = hit.part and t.ctid = hit.at and hit.nth <= hit.copies
--       and t."source" = ''D''::bpchar'], 'with src as materialized (
--         select u.cells[1]::text as "what", u.copies::bigint as "tandem copies", row_number() over () as "tandem row",
--         array[u.cells[2]]::text[] as "tandem look"
--         from tandem.staging as u
--         where u.ctid = any($1)),
--       looks as (
--         select row(src."what"::text)::record::text as name, src."tandem look" as look, sum(src."tandem copies") as copies
--         from src
--         group by 1, 2),
--       named as (
--         select looks.name, sum(looks.copies) as copies
--         from looks
--         group by 1),
--       have as (
--         select t.tableoid as part, t.ctid as at, row(t."what"::text)::record::text as name, array[case
--         when t."done" is distinct from null then concat(t."done"::integer) end]::text[] as look
--         from "public"."errands" as t
--         where exists (
--           select
--           from src
--           where row(t."what"::text)::record *= row(src."what"::text)::record)
--         and t."source" = ''D''::bpchar),
--       same as (
--         select have.*, row_number() over (partition by have.name, have.look) as nth
--         from have),
--       hit as (
--         select same.part, same.at, row_number() over (partition by same.name
--           order by same.nth <= coalesce(looks.copies, 0) desc) as nth, named.copies
--         from same
--         join named using (name)
--         left join looks using (name, look))
--       select (select count(*) from hit where hit.nth <= hit.copies)', null, false, $1)
--   $6: remove
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
--   $8: errands
--   $9: 0

-- too large, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 0
--   $5: select tandem.too_large(9)
--   $6: add
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
--   $8: errands
--   $9: 0

-- unreadable, 2 of 2
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 0
--   $5: select tandem.unreadable(u.cells, array['column what', 'column done']::text[], '')
--     from tandem.staging as u
--     where u.ctid = any($1)
--   $6: add
--   $7: {1}
--   $8: {}
--   $9: 0/1A2B3C4D
--   $10: false
--   $11: 60000 milliseconds
--   $12: 10000
--   $13: 67108864
--   $14: 8388608

-- rows that wait are tried again, 1 of 3
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
--   $3: errands
--   $4: 0
--   $5: add
--   $6: {2}
--   $7: 1000

-- rows that wait are tried again, 2 of 3
with src as materialized (
  select u.cells[1]::text as "what"
  from tandem.staging as u
  where u.replicator = $1 and u.epoch = $2 and u."table" = $3 and u.step = $4)
insert into tandem.outbox (replicator, "table", key, op)
select distinct current_setting('tandem.replicator'), 'errands', array[case
when src."what" is distinct from null then concat(src."what"::text) end]::text[], 'R'
from src;
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 0

-- rows that wait are tried again, 3 of 3
select tandem.try_rows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::interval, $12, $13, $14)::text;
--   $1: office-1
--   $2: 7
--   $3: errands
--   $4: 0
--   $5: select tandem.write_counted('errands', '"public"."errands"'::regclass, 4, array['with src as materialized (
--         select u.cells[1]::text as "what", u.cells[2]::integer as "done", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       insert into "public"."errands" ("what", "done", "source")
--       select src."what", src."done", ''D''
--       from src, generate_series(1, src."tandem copies")'], 'with src as materialized (
--         select u.cells[1]::text as "what", u.cells[2]::integer as "done", u.copies::bigint as "tandem copies", row_number() over () as "tandem row"
--         from tandem.staging as u
--         where u.ctid = any($1))
--       select (
--         select coalesce(sum(src."tandem copies"), 0)::bigint
--         from src)', null, false, $1)
--   $6: add
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
--   $2: errands
--   $3: 10000
--   $4: 67108864

-- rows get the parents that they came without: nothing

-- columns that are wider now: nothing
