//! One number per side for a table's owned, mapped rows: equal rows give equal numbers.

use super::desktop_rows::{admitted, from};
use super::guard::Guard;
use super::quote::table as qualified;
use super::source::{held, sent};
use crate::model::{Column, Source, Table};

/// Counts and sums the cloud's owned rows as they compare: `count, sum`.
pub fn cloud_digest(table: &Table) -> String {
    let cells: Vec<_> = compared(table)
        .map(|column| held(&table.arriving, "t", column))
        .collect();
    let (from, of_ours) = (qualified(&table.cloud), Guard::of(table).owned());
    digest(&cells.join(", "), &from, &of_ours)
}

/// The same of the desktop's rows that are ours, in the cloud's types.
pub fn desktop_digest(table: &Table) -> String {
    let cells = compared(table).map(|column| sent(&table.arriving, column));
    let cells: Vec<_> = cells.collect();
    digest(&cells.join(", "), &from(table), &admitted(table))
}

/// The columns in which both sides agree: not those that are looked up in the cloud, or its own.
pub(super) fn compared(table: &Table) -> impl Iterator<Item = &Column> {
    let columns = table.columns.iter();
    columns.filter(|column| !matches!(column.from, Source::LookedUp(_)) && !column.cloud_owned)
}

fn digest(cells: &str, from: &str, which: &str) -> String {
    format!(
        "select count(*), coalesce(sum(hashtextextended(row({cells})::text, 0)), 0)::text
         from {from} as t
         where {which}"
    )
}
