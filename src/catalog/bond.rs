//! Constraints of a table that look at several rows at once.

use tokio_postgres::{Client, Row};

use super::sought::Sought;
use crate::wire::WireError;

/// What binds a table's rows to others.
#[derive(Clone, Debug, Default)]
pub struct Bonds {
    /// Unique and exclusion constraints, and unique indexes.
    pub uniques: Vec<Unique>,
    /// Foreign keys.
    pub foreigns: Vec<Foreign>,
    /// Somebody's trigger or rule runs when a row goes or comes.
    pub triggers: bool,
}

/// Rows that must not have the same values.
#[derive(Clone, Debug)]
pub struct Unique {
    /// The columns.
    pub columns: Vec<String>,
    /// It can be asked at the end of a transaction.
    pub deferrable: bool,
    /// NULL is a value like others for it.
    pub nulls_equal: bool,
    /// Values may exclude others that differ from them (`EXCLUDE`): ranges that overlap.
    pub excludes: bool,
}

/// Rows that need a parent.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// The columns.
    pub columns: Vec<String>,
    /// The table that they refer to.
    pub parent: u32,
    /// It can be asked at the end of a transaction.
    pub deferrable: bool,
    /// Only all columns together may be NULL.
    pub full: bool,
}

/// Unique indexes.
const UNIQUES: &str = "select array(
      select a.attname::text
      from pg_attribute a
      where a.attrelid = i.indrelid
        and (
          a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1])
          or i.indexprs is not null
            and exists (
              select
              from pg_depend d
              where d.classid = 'pg_class'::regclass
                and d.objid = i.indexrelid
                and d.refclassid = 'pg_class'::regclass
                and d.refobjid = i.indrelid
                and d.refobjsubid = a.attnum
            )
        )
        and a.attnum > 0
      order by a.attnum
    ),
      coalesce(
        (
          select bool_or(c.condeferrable)
          from pg_constraint c
          where c.conindid = i.indexrelid
            and c.conrelid = i.indrelid
            and c.contype in ('p', 'u', 'x')
        ),
        false
      ),
      coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false), i.indisexclusion, asked.nth
    from asked
    join pg_index i on i.indrelid = asked.oid
    where i.indislive and (i.indisunique or i.indisexclusion)
    order by asked.nth, i.indexrelid";

/// Foreign keys.
const FOREIGNS: &str = "select array(
      select a.attname::text
      from unnest(f.conkey) with ordinality k(num, nth)
      join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.num
      order by k.nth
    ),
      f.confrelid, f.condeferrable, f.confmatchtype = 'f', asked.nth
    from asked
    join pg_constraint f on f.conrelid = asked.oid
    where f.contype = 'f'
    order by asked.nth, f.oid";

/// Whether something watches a table's constraints.
const TRIGGERS: &str = "select exists (
      select
      from pg_trigger g
      join pg_proc p on p.oid = g.tgfoid
      join pg_namespace n on n.oid = p.pronamespace
      where g.tgrelid = asked.oid
        and not g.tgisinternal
        and n.nspname <> 'tandem'
        and g.tgtype & 12 <> 0
    )
      or exists (select from pg_rewrite r where r.ev_class = asked.oid), asked.nth
    from asked";

/// Asks for them.
///
/// # Errors
/// When a query fails.
pub(super) async fn bonds(client: &Client, asked: &Sought<'_>) -> Result<Vec<Bonds>, WireError> {
    let unique = |row: &Row| Unique {
        columns: row.get(0),
        deferrable: row.get(1),
        nulls_equal: row.get(2),
        excludes: row.get(3),
    };
    let foreign = |row: &Row| Foreign {
        columns: row.get(0),
        parent: row.get(1),
        deferrable: row.get(2),
        full: row.get(3),
    };
    // Columns of expressions stand in what the index depends on.
    let (uniques, foreigns, triggers) = tokio::join!(
        asked.of_each(client, ("", UNIQUES), unique),
        asked.of_each(client, ("", FOREIGNS), foreign),
        asked.of_each(client, ("", TRIGGERS), |row| row.get(0)),
    );
    let each = uniques?.into_iter().zip(foreigns?).zip(triggers?);
    let each = each.map(|((uniques, foreigns), triggers)| Bonds {
        uniques,
        foreigns,
        triggers: triggers.contains(&true),
    });
    Ok(each.collect())
}
