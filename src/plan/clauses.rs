//! Clauses that statements of several kinds share: which stored row is meant, which columns are known, what differs.

use super::guard::{Change, has_parent, spares};
use super::quote::{ident, table as qualified};
use super::source::{all, assignments, differs, image, key};
use crate::model::{Column, Source, StepShape, Table};

/// Finds the stored row by its key. `=` can use an index; NULL in a key is told apart by shape, but for
/// conversions, of which only the cloud knows when they give NULL, and for rows of mixed shapes. For these the image's
/// text is compared where it is the same for equal values, since a join can be hashed by it.
pub(super) fn matches(table: &Table, shape: &StepShape) -> String {
    matches_row(table, shape, "t")
}

/// The same for a stored row of another name.
pub(super) fn matches_row(table: &Table, shape: &StepShape, row: &str) -> String {
    let tests = key(table).into_iter().map(|(index, column)| {
        let name = ident(&column.name);
        let converted = matches!(column.from, Source::Converted { .. });
        if shape.null_keys.contains(&index) {
            format!("{row}.{name} is null")
        } else if shape.mixed_keys && !column.not_null && column.exact {
            let one = [(index, column)];
            format!(
                "{stored}::text = {wanted}::text",
                stored = image(row, &one),
                wanted = image("src", &one)
            )
        } else if (converted || shape.mixed_keys) && !column.not_null {
            format!("{row}.{name} is not distinct from src.{name}")
        } else {
            format!("{row}.{name} = src.{name}")
        }
    });
    let tests: Vec<_> = tests.collect();
    if tests.is_empty() {
        "true".to_owned()
    } else {
        tests.join(" and ")
    }
}

/// Columns whose value is known: those made of what was sent, and those looked up by them.
pub(super) fn sent<'a>(
    table: &Table,
    columns: Vec<(usize, &'a Column)>,
    shape: &StepShape,
) -> Vec<(usize, &'a Column)> {
    let known = |column: &Column| {
        column
            .from
            .uses()
            .iter()
            .all(|index| !shape.unsent.contains(index))
    };
    let by_name = |name: &String| {
        let found = table.columns.iter().find(|column| column.name == *name);
        found.is_some_and(known)
    };
    let mut columns = columns;
    columns.retain(|(_, column)| match column.from {
        Source::LookedUp(at) => table.lookups[at]
            .on
            .iter()
            .all(|(child, ..)| by_name(child)),
        _ => known(column),
    });
    columns
}

/// A further condition, where there is one.
pub(super) fn and(condition: Option<String>) -> String {
    condition.map_or(String::new(), |condition| format!(" and {condition}"))
}

/// A row that takes its tenant from a parent needs one of ours; where that column was not sent, it has it already.
pub(super) fn parents_are_ours(table: &Table, shape: &StepShape) -> String {
    let Some(via) = &table.tenant.via else {
        return String::new();
    };
    let known = sent(table, all(table), shape);
    let on = |(own, _): &(String, String)| known.iter().any(|(_, column)| column.name == *own);
    match has_parent(table) {
        Some(ours) if via.on.iter().all(on) => format!(" and {ours}"),
        _ => String::new(),
    }
}

/// `update ... from` of the rows that `found` finds and that don't look as they should.
pub(super) fn update_differing(
    table: &Table,
    changing: &[(usize, &Column)],
    from: &str,
    found: &str,
) -> String {
    let names: Vec<_> = changing
        .iter()
        .map(|(_, column)| column.name.clone())
        .collect();
    let when = format!("{found} and {differs}", differs = differs(table, changing));
    let spared = and(spares(table, &when, Change::Looks(&names)));
    format!(
        "update {target} as t set {assignments} from {from} where {when}{spared}",
        target = qualified(&table.cloud),
        assignments = assignments(table, changing)
    )
}
