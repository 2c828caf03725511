//! A table into an empty one: COPY from the one side into COPY on the other, where nothing has to be made of the values.

use super::digest::admitted;
use super::quote::{ident, literal, table as qualified};
use crate::model::{Source, Table};

/// The two halves.
pub struct Direct {
    /// Reads the desktop's rows, with the constants that go with them.
    pub out: String,
    /// Writes them, after it has made sure that the cloud's table has no row at all.
    pub into: String,
}

/// Both halves; none where a value is looked up, converted or may be refused, or a row's tenant is its parent's.
///
/// COPY parses text as the column's type with its modifier, which would shorten in silence (P11); so it is done only
/// where the receiving column can hold all that the sending one can.
pub fn direct(table: &Table) -> Option<Direct> {
    if table.tenant.via.is_some() {
        return None;
    }
    let (mut values, mut names) = (Vec::new(), Vec::new());
    for column in &table.columns {
        if column.narrower.is_some() {
            return None;
        }
        values.push(match &column.from {
            Source::Desktop(index) => format!("t.{}", ident(&table.arriving[*index].name)),
            Source::Constant(value) => literal(value),
            Source::Converted { .. } | Source::LookedUp(_) => return None,
        });
        names.push(ident(&column.cloud));
    }
    if let Some(owner) = &table.owner {
        values.push(literal(&owner.desktop));
        names.push(ident(&owner.column));
    }
    let only = if table.leaves.is_some() { "" } else { "only " };
    let (from, into) = (qualified(&table.desktop), qualified(&table.cloud));
    Some(Direct {
        out: format!(
            "copy (select {} from {only}{from} as t where {}) to stdout",
            values.join(", "),
            admitted(table)
        ),
        into: format!(
            "select tandem.taken({}) where exists (select from {into}); copy {into} ({}) from stdin",
            literal(&table.cloud.to_string()),
            names.join(", ")
        ),
    })
}
