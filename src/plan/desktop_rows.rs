//! The desktop's rows as they are read: where they stand, which of them are ours, and their values.

use super::as_text::output;
use super::quote::{ident, literal, table as qualified};
use crate::model::Table;

/// The desktop's table to read from. The children of an ordinary table are tables of their own; a partitioned table has
/// no rows but theirs.
pub fn from(table: &Table) -> String {
    let only = if table.leaves.is_some() { "" } else { "only " };
    format!("{only}{desktop}", desktop = qualified(&table.desktop))
}

/// The desktop's rows that forward sends, as a predicate on `t`.
pub fn admitted(table: &Table) -> String {
    let mut tests = vec!["true".to_owned()];
    if let (Some(name), Some(owner)) = (&table.desktop_owner, &table.owner) {
        tests.push(format!(
            "t.{name}::text is distinct from {mobile}",
            name = ident(name),
            mobile = literal(&owner.mobile)
        ));
    }
    for column in &table.tenant.columns {
        if let Some(name) = &column.desktop {
            tests.push(format!(
                "concat(t.{name}) = {value}",
                name = ident(name),
                value = literal(&column.value)
            ));
        }
    }
    tests.join(" and ")
}

/// The arriving columns of the desktop's row `t`, each through its type's output function, so that a value is the text
/// that the stream would send.
pub(super) fn row(table: &Table) -> String {
    let cells = table.arriving.iter().map(|column| cell(&column.name));
    format!(
        "array[{cells}]::text[]",
        cells = cells.collect::<Vec<_>>().join(", ")
    )
}

pub(super) fn cell(name: &str) -> String {
    output(&format!("t.{name}", name = ident(name)), "")
}
