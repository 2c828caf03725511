-- errands, as far as both sides differ

-- any rows
select true
from "public"."errands" as t
where (t."source" = 'D'::bpchar or t."source" is null)
limit 1;

-- a piece is written
insert into tandem.piece (replicator, "table", first_page, next_page)
values ($1, $2, $3, $4)
on conflict (replicator, "table", first_page) do update
set next_page = excluded.next_page;
--   $1: office-1
--   $2: errands
--   $3: 0
--   $4: 1024

-- pieces
select string_agg(first_page || '-' || next_page, ' '
  order by first_page)
from tandem.piece
where replicator = $1 and "table" = $2 and exists (
  select
  from tandem.table_state as s
  where s.replicator = $1 and s."table" = $2 and s.copied_at is not null
  and s.extras = 0);
--   $1: office-1
--   $2: errands

-- no pieces any more
delete from tandem.piece
where replicator = $1 and "table" = $2;
--   $1: office-1
--   $2: errands

-- equal beside the staged
select set_config('tandem.equal', (current_setting('tandem.equal')::bigint + $1)::text, true)
where current_setting('tandem.equal', true) not in ('', 'unknown');
--   $1: 7
