//! Sequences of the cloud that make keys.

use super::quote::{ident, literal, table as qualified};
use crate::model::{Column, Table};

/// Sets the sequence that belongs to a key's column past the highest key, if there is one and it stands before that.
pub fn past_keys(table: &Table, column: &Column) -> String {
    let (target, name) = (qualified(&table.cloud), ident(&column.name));
    format!(
        "select setval(s.seq, s.highest)
         from (
           select pg_get_serial_sequence({named}, {column})::regclass as seq,
             (select max(t.{name})::bigint from {target} as t) as highest
         ) as s
         where s.seq is not null
           and s.highest > 0
           and s.highest > coalesce(pg_sequence_last_value(s.seq), 0)",
        named = literal(&target),
        column = literal(&column.name)
    )
}
