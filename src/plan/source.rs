//! How columns are read from what arrived, written, and compared.

use super::quote::{ident, literal};
use crate::model::{Column, Key, Source, Table};

/// `src`: the arrived values with their types. `column` gives the text of an arriving column.
pub(super) fn typed(columns: &[(usize, &Column)], text_of: impl Fn(usize) -> String) -> String {
    let typed = columns.iter().map(|(index, column)| {
        let value = match &column.from {
            Source::Desktop(_) => text_of(*index),
            Source::Constant(value) => literal(value),
        };
        format!("{value}::{} as {}", column.base_type, ident(&column.cloud))
    });
    typed.collect::<Vec<_>>().join(", ")
}

/// The row as its binary image, in the form in which stored and arriving values are comparable:
/// `*<>` sees every difference, NULL equals NULL, and no type needs an equality operator.
pub(super) fn image(alias: &str, columns: &[(usize, &Column)]) -> String {
    let cells = columns
        .iter()
        .map(|(_, column)| format!("{alias}.{}::{}", ident(&column.cloud), column.compare_type));
    // The cast keeps the parser from comparing two row constructors cell by cell.
    format!("row({})::record", cells.collect::<Vec<_>>().join(", "))
}

/// All columns with their numbers.
pub(super) fn all(table: &Table) -> Vec<(usize, &Column)> {
    table.columns.iter().enumerate().collect()
}

/// The key's columns; for a multiset, all.
pub(super) fn key(table: &Table) -> Vec<(usize, &Column)> {
    match &table.key {
        Key::Multiset => all(table),
        Key::Columns(key) => key
            .iter()
            .map(|index| (*index, &table.columns[*index]))
            .collect(),
    }
}

/// Columns that are not in the key.
pub(super) fn rest(table: &Table) -> Vec<(usize, &Column)> {
    let key = key(table);
    all(table)
        .into_iter()
        .filter(|(index, _)| key.iter().all(|(in_key, _)| in_key != index))
        .collect()
}

/// `"a" = src."a", ...` and the owner; empty when there is nothing to set.
pub(super) fn assignments(table: &Table, columns: &[(usize, &Column)]) -> String {
    let mut list: Vec<_> = columns
        .iter()
        .map(|(_, column)| format!("{0} = src.{0}", ident(&column.cloud)))
        .collect();
    if let Some(owner) = &table.owner {
        list.push(format!(
            "{} = {}",
            ident(&owner.column),
            literal(&owner.desktop)
        ));
    }
    list.join(", ")
}

/// True for a stored row that doesn't look as it should (P9: no change, no write).
pub(super) fn differs(table: &Table, columns: &[(usize, &Column)]) -> String {
    let mut tests = Vec::new();
    if !columns.is_empty() {
        tests.push(format!(
            "{} *<> {}",
            image("t", columns),
            image("src", columns)
        ));
    }
    if let Some(owner) = &table.owner {
        tests.push(format!("t.{} is null", ident(&owner.column)));
    }
    if tests.is_empty() {
        "false".to_owned()
    } else {
        format!("({})", tests.join(" or "))
    }
}

/// `("a", ..., "source")` and `src."a", ..., 'D'`.
pub(super) fn insertion(table: &Table, columns: &[(usize, &Column)]) -> (String, String) {
    let mut names: Vec<_> = columns
        .iter()
        .map(|(_, column)| ident(&column.cloud))
        .collect();
    let mut values: Vec<_> = names.iter().map(|name| format!("src.{name}")).collect();
    if let Some(owner) = &table.owner {
        names.push(ident(&owner.column));
        values.push(literal(&owner.desktop));
    }
    (names.join(", "), values.join(", "))
}
