//! The rows of small tables that the refill reads: whether one is newer than a moment, or gone.
//!
//! A server learns what a session has done when the session reports it: at most once a second, up to ten seconds after its
//! commit, and before version 15 whenever it does the next thing. So where any transaction has ended since the last look,
//! tables that are read in a moment are asked themselves. And what is reported late, of a change that is known, makes nothing
//! run again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use super::counters::WHOLE;
use crate::limits;

/// What small tables were like at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sight {
    /// The transactions that were over.
    pub(super) snapshot: String,
    /// How many rows each table had; a partition is one of its own.
    pub(super) rows: BTreeMap<u32, i64>,
}

/// A look, and what is not as it was at an earlier one.
pub(super) struct Seen {
    pub(super) sight: Sight,
    /// Tables that were looked at both times, and have a newer row, or another number of rows.
    pub(super) changed: BTreeSet<u32>,
}

/// Looks at the tables `roots` and all that belong to them, as far as they are small and may be read. None where the desktop
/// refuses, or somebody has one of them locked: the counters will tell.
///
/// # Errors
/// When the desktop is away.
pub(super) async fn look(
    client: &Client,
    roots: &Vec<u32>,
    before: Option<&Sight>,
) -> Result<Option<Seen>, Error> {
    match read(client, roots, before).await {
        Err(error) if error.as_db_error().is_some() => Ok(None),
        seen => seen.map(Some),
    }
}

async fn read(client: &Client, roots: &Vec<u32>, before: Option<&Sight>) -> Result<Seen, Error> {
    let sql = format!(
        "{WHOLE},
         sized as (
           select c.oid, format('%I.%I', n.nspname, c.relname) as name,
             pg_relation_size(c.oid) as bytes
           from (select distinct oid from whole) as w
           join pg_class as c on c.oid = w.oid
           join pg_namespace as n on n.oid = c.relnamespace
           where c.relkind in ('r', 'm')
             and c.relispopulated
             and has_schema_privilege(n.oid, 'usage')
             and has_table_privilege(c.oid, 'select')
             and not row_security_active(c.oid)
             and (
               getdatabaseencoding() <> 'SQL_ASCII' or concat(n.nspname, c.relname) ~ '^[ -~]*$'
             )
         )
         select s.oid, s.name
         from (select *, sum(bytes) over (order by bytes, oid) as all_of_it from sized) as s
         where s.all_of_it <= {sight_bytes}",
        sight_bytes = limits::SIGHT_BYTES
    );
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(roots, Type::OID_ARRAY)];
    let tables = client.query_typed(&sql, &params).await?;
    // One statement sees one moment. The number of a row's transaction is completed by the current ones: none that is seen is newer.
    let none =
        "select pg_current_snapshot()::text, null::oid, null::bigint, null::bigint".to_owned();
    let each = tables.iter().map(|row| {
        let (oid, name): (u32, &str) = (row.get(0), row.get(1));
        format!(
            "select null, {oid}::oid, count(*),
               count(*) filter (
                 where not pg_visible_in_snapshot(
                   (b.x - ((b.x - t.xmin::text::bigint) & 4294967295))::text::xid8,
                   $1::text::pg_snapshot
                 )
               )
             from only {name} as t
             cross join (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as x) as b"
        )
    });
    let statements: Vec<_> = [none].into_iter().chain(each).collect();
    let reference = before.map_or("1:1:", |before| before.snapshot.as_str());
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&reference, Type::TEXT)];
    let sql = statements.join(" union all ");
    let sql = match tables.is_empty() {
        // Every parameter has to be used.
        true => format!("{sql} where $1::text is not null"),
        false => sql,
    };
    let mut seen = Seen {
        sight: Sight::default(),
        changed: BTreeSet::new(),
    };
    for row in client.query_typed(&sql, &params).await? {
        let Some(oid) = row.get::<_, Option<u32>>(1) else {
            seen.sight.snapshot = row.get(0);
            continue;
        };
        let (rows, newer): (i64, i64) = (row.get(2), row.get(3));
        let had = before.and_then(|before| before.rows.get(&oid));
        if had.is_some_and(|had| *had != rows || newer > 0) {
            seen.changed.insert(oid);
        }
        seen.sight.rows.insert(oid, rows);
    }
    Ok(seen)
}
