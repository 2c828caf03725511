//! Removing rows, found by their key.

use super::clauses::{and, matches, matches_row};
use super::guard::{Change, Guard, spares};
use super::kept::{Counted, DELETE};
use super::orphan::{forget, naming};
use super::quote::table as qualified;
use super::source::{Rows, key, source};
use crate::model::{StepShape, Table};

pub(super) fn delete(table: &Table, shape: &StepShape, rows: &Rows) -> String {
    let goes_too = format!(
        "exists (select from src where {matches_row}) and {deletable}",
        matches_row = matches_row(table, shape, "c"),
        deletable = Guard::of_row(table, "c").deletable()
    );
    delete_found(table, shape, rows, (&Guard::of(table), ""), &goes_too)
}

/// Deletes rows that the guard lets go, and does something besides. Rows `c` for which `goes_too` is true go with them.
pub(super) fn delete_found(
    table: &Table,
    shape: &StepShape,
    rows: &Rows,
    (guard, besides): (&Guard, &str),
    goes_too: &str,
) -> String {
    let found = format!(
        "{matches} and {deletable}",
        matches = matches(table, shape),
        deletable = guard.deletable()
    );
    let spared = and(spares(table, &found, Change::Goes(goes_too)));
    let target = qualified(&table.cloud);
    let there = format!(
        "(select count(*) from {target} as t where exists (select from src where {found}))"
    );
    let cell = |index: usize| rows.cell(index);
    let counted = Counted {
        table,
        does: DELETE,
        ctes: source(table, &key(table), rows, naming(table, &cell).as_slice()),
        besides: forget(table) + besides,
        parts: vec![(
            "gone",
            format!("delete from {target} as t using src where {found}{spared}"),
        )],
        most: rows.count().to_owned(),
        wanted: there.clone(),
        still: Some(there),
    };
    counted.text(rows)
}
