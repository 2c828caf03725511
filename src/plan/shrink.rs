//! A broken refill must not empty every phone: the guard against mass deletes.

use super::guard::Guard;
use super::quote::{literal, table as qualified};
use crate::limits;
use crate::model::{Counts, Param, Statement, Table, TableId, Tables, oid};

/// The statements that refuse a batch which deletes too large a share of a table's owned rows.
pub(super) fn shrink(counts: &[(TableId, Counts)], tables: &Tables) -> Vec<Statement> {
    let many = counts
        .iter()
        .map(|(table, counts)| (tables.get(*table), counts.deletes.max(0).unsigned_abs()))
        .filter(|(table, deletes)| *deletes > limits::SHRINK_ROWS_MIN && table.max_shrink < 1.0)
        .map(|(table, deletes)| shrinks(table, deletes));
    many.collect()
}

/// Raises [`crate::model::sqlstate::SHRINKS`] when `deletes` rows are a larger share of the table's owned rows than it may lose at once.
fn shrinks(table: &Table, deletes: u64) -> Statement {
    // So many rows must be there: no more are counted.
    let least = (deletes as f64 / table.max_shrink.max(f64::EPSILON))
        .ceil()
        .min(i64::MAX as f64) as u64;
    let counted = format!(
        "select count(*) from (select from {target} as t where {owned} limit {least}) as counted",
        target = qualified(&table.cloud),
        owned = Guard::of(table).owned()
    );
    let sql = format!(
        "select tandem.shrink({name}, $1, ({counted}), $2)",
        name = literal(&table.name)
    );
    Statement::about(
        table.id,
        None,
        sql,
        vec![
            Param::int8(deletes),
            Param::text(oid::FLOAT8, table.max_shrink.to_string()),
        ],
    )
}
