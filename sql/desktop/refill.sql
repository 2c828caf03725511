-- A quiet refill, for whoever may replace the office's own. A loud one deletes and inserts every row: 30 MB of log for
-- nothing, each time, which the desktop writes and tandem reads. This one changes only what differs.
--
-- Usage, in place of a table's DELETE and INSERT in the refilling function:
--
--     perform public.refill_quietly('public.jobtasks', $q$ select org_id, job_id, ... from v_jobtasks $q$,
--                                   array['created_at', 'updated_at'], $q$ source = 'D' or source is null $q$);
--
-- p_table   the table to fill
-- p_query   what it is to hold; its columns have the names of the table's
-- p_skip    columns that don't count as a difference; where they are not in the query, new rows get their defaults
-- p_scope   which of the table's rows are the refill's own; all others are left alone
--
-- Rows are compared whole, and equal rows are counted, so no key is needed: a row that changed in one column goes and
-- comes again. Says how many rows went and came. Run it again and again: what hasn't changed is not written.

create or replace function public.refill_quietly(p_table regclass, p_query text, p_skip text[] default '{}', p_scope text default 'true')
returns table (deleted bigint, inserted bigint) language plpgsql as $$
declare
    wanted text[];    -- the query's columns
    compared text;    -- those that count, as a list
begin
    execute format('create temporary table tandem_refill on commit drop as %s', p_query);
    select array_agg(quote_ident(attname) order by attnum) into wanted
      from pg_attribute where attrelid = 'pg_temp.tandem_refill'::regclass and attnum > 0 and not attisdropped;
    select string_agg('r.' || quote_ident(attname), ', ' order by attnum) into compared
      from pg_attribute where attrelid = 'pg_temp.tandem_refill'::regclass and attnum > 0 and not attisdropped
       and attname <> all (p_skip);
    -- values are compared as the table would hold them: a view may be wider than the copy
    execute coalesce((
        select format('alter table pg_temp.tandem_refill %s',
                   string_agg(format('alter %I type %s using %1$I::%2$s', t.attname, format_type(t.atttypid, t.atttypmod)), ', '))
          from pg_attribute as t join pg_attribute as q on q.attrelid = 'pg_temp.tandem_refill'::regclass and q.attname = t.attname
         where t.attrelid = p_table and t.attnum > 0 and not t.attisdropped
           and (t.atttypid, t.atttypmod) <> (q.atttypid, q.atttypmod)
        having count(*) > 0), 'select');
    execute format(
        'with want as (select row(%1$s)::text as row, count(*) as n from pg_temp.tandem_refill as r group by 1), '
        'have as (select r.ctid, row(%1$s)::text as row, row_number() over (partition by row(%1$s)::text) as nth from %2$s as r where %3$s) '
        'delete from %2$s as t using have left join want using (row) where t.ctid = have.ctid and have.nth > coalesce(want.n, 0)',
        compared, p_table, p_scope);
    get diagnostics deleted = row_count;
    execute format(
        'with have as (select row(%1$s)::text as row, count(*) as n from %2$s as r where %3$s group by 1), '
        'want as (select r.*, row(%1$s)::text as tandem_row, row_number() over (partition by row(%1$s)::text) as tandem_nth from pg_temp.tandem_refill as r) '
        'insert into %2$s (%4$s) select %4$s from want left join have on have.row = want.tandem_row where want.tandem_nth > coalesce(have.n, 0)',
        compared, p_table, p_scope, array_to_string(wanted, ', '));
    get diagnostics inserted = row_count;
    drop table pg_temp.tandem_refill;
    return next;
end $$;
