//! Constraints of a table that look at several rows at once.

use tokio_postgres::Client;

use super::relation::{Named, of_named};
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

/// Unique indexes of the table `$1`.
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
      coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false), i.indisexclusion
    from pg_index i
    where i.indrelid = $1 and i.indislive and (i.indisunique or i.indisexclusion)
    order by i.indexrelid";

/// Foreign keys of the table `$1`.
const FOREIGNS: &str = "select array(
      select a.attname::text
      from unnest(f.conkey) with ordinality k(num, nth)
      join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.num
      order by k.nth
    ),
      f.confrelid, f.condeferrable, f.confmatchtype = 'f'
    from pg_constraint f
    where f.conrelid = $1 and f.contype = 'f'
    order by f.oid";

/// Whether something watches the constraints of the table `$1`.
const TRIGGERS: &str = "select exists (
      select
      from pg_trigger g
      join pg_proc p on p.oid = g.tgfoid
      join pg_namespace n on n.oid = p.pronamespace
      where g.tgrelid = $1
        and not g.tgisinternal
        and n.nspname <> 'tandem'
        and g.tgtype & 12 <> 0
    )
      or exists (select from pg_rewrite r where r.ev_class = $1)";

/// Asks for them.
///
/// # Errors
/// When a query fails.
pub(super) async fn bonds(client: &Client, named: &Named<'_>) -> Result<Bonds, WireError> {
    let [uniques, foreigns, triggers] = [UNIQUES, FOREIGNS, TRIGGERS].map(of_named);
    // Columns of expressions stand in what the index depends on.
    let (uniques, foreigns, triggers) = tokio::join!(
        client.query_typed(&uniques, named),
        client.query_typed(&foreigns, named),
        client.query_typed(&triggers, named),
    );
    let unique = |row: &tokio_postgres::Row| Unique {
        columns: row.get(0),
        deferrable: row.get(1),
        nulls_equal: row.get(2),
        excludes: row.get(3),
    };
    let foreign = |row: &tokio_postgres::Row| Foreign {
        columns: row.get(0),
        parent: row.get(1),
        deferrable: row.get(2),
        full: row.get(3),
    };
    Ok(Bonds {
        uniques: uniques?.iter().map(unique).collect(),
        foreigns: foreigns?.iter().map(foreign).collect(),
        triggers: triggers?.first().is_some_and(|row| row.get(0)),
    })
}
