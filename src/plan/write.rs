//! The statement of each kind of step.

use super::clauses::{and, matches, parents_are_ours, sent, update_differing};
use super::copies::{self, add_copies, remove_copies};
use super::delete::delete;
use super::guard::{Change, Guard, has_other_parent, has_parent, spares};
use super::kept::{Counted, INSERT, UPDATE};
use super::orphan::{forget, naming, noticing, remember};
use super::quote::{ident, literal, table as qualified};
use super::source::{Rows, all, assignments, changeable, differs, insertion, key, source, value};
use super::{mobile_rows, unreadable};
use crate::model::{Column, StepKind, StepShape, Table};

/// What a step's statement says.
pub(super) fn text(table: &Table, work: StepKind, shape: &StepShape, rows: &Rows) -> String {
    if let Some(bytes) = shape.too_large {
        return format!("select tandem.too_large({bytes})");
    }
    if shape.unreadable {
        return unreadable::refuse(table, rows);
    }
    match work {
        StepKind::Upsert if shape.mobile => mobile_rows::change_mobile(table, shape, rows),
        StepKind::Delete if shape.mobile => mobile_rows::remove_mobile(table, shape, rows),
        StepKind::Requeue => mobile_rows::recall(table, shape, rows),
        StepKind::RecordChange | StepKind::RecordDelete => {
            mobile_rows::note(table, shape, rows, work == StepKind::RecordDelete)
        }
        StepKind::Upsert => upsert(table, shape, rows),
        StepKind::Delete => delete(table, shape, rows),
        StepKind::Rekey => rekey(table, shape, rows),
        StepKind::AddCopies => add_copies(table, rows),
        StepKind::RemoveCopies => remove_copies(table, rows),
    }
}

/// Arriving columns that a step's statement takes.
pub(super) fn taken(table: &Table, work: StepKind, shape: &StepShape) -> Vec<usize> {
    match (work, &table.key) {
        (StepKind::Delete, _) => table.key_arriving(),
        (StepKind::Requeue, _) => mobile_rows::recalled(table, shape),
        (StepKind::RecordDelete, _) => table.naming(),
        _ => (0..table.arriving.len())
            .filter(|index| !shape.unsent.contains(index))
            .collect(),
    }
}

/// The names of what a step's array parameters hold beside its arriving columns.
pub(super) fn extras(table: &Table, work: StepKind) -> Vec<String> {
    use StepKind::*;
    match work {
        Rekey => origin_names(table),
        AddCopies | RemoveCopies => vec!["copies".to_owned()],
        Upsert | Delete | Requeue | RecordChange | RecordDelete => Vec::new(),
    }
}

fn origin_names(table: &Table) -> Vec<String> {
    let key = table.key_arriving();
    key.iter().map(|index| format!("k{index}")).collect()
}

/// Update what differs by join, insert what is missing by anti-join: both see the same snapshot.
/// `ON CONFLICT DO UPDATE` would lock rows that are equal and burn their sequences.
fn upsert(table: &Table, shape: &StepShape, rows: &Rows) -> String {
    let columns = sent(table, all(table), shape);
    if shape.moved {
        let full = StepShape {
            unsent: Vec::new(),
            ..shape.clone()
        };
        let ctes = moved(table, &columns, rows);
        return write(table, &full, rows, (&ctes, "whole as src"));
    }
    let src = source(table, &columns, rows, &noticing(table, &columns, rows));
    if shape.fresh {
        // A row that is there all the same meets the unique index, and then all are written the long way.
        let (names, values) = insertion(table, &all(table));
        let ours = has_parent(table).map_or(String::new(), |ours| format!(" where {ours}"));
        let target = qualified(&table.cloud);
        let insert = format!("insert into {target} {names} select {values} from src{ours}");
        let counted = Counted {
            table,
            does: INSERT,
            ctes: src,
            besides: remember(table, &columns),
            parts: vec![("added", insert)],
            most: rows.count().to_owned(),
            wanted: format!("(select count(*) from src{ours})"),
            still: None,
        };
        return counted.text(rows);
    }
    write(table, shape, rows, (&src, "src"))
}

/// The insert of fresh rows, or of copies, that nobody counts: for many rows, where [`uncounted`] stands behind them. None for other
/// steps, and where fewer may be written than are sent.
pub(super) fn plain_insert(
    table: &Table,
    work: StepKind,
    shape: &StepShape,
    rows: &Rows,
) -> Option<String> {
    let fresh = work == StepKind::Upsert && shape.fresh && !shape.mobile && !shape.moved;
    let counts = table.lets_keep_out || shape.waits() || table.tenant.via.is_some();
    if counts || !(fresh || work == StepKind::AddCopies) {
        return None;
    }
    let columns = all(table);
    let (names, values) = insertion(table, &columns);
    let (ctes, times) = match work {
        StepKind::AddCopies => (
            copies::copies(table, &columns, rows, None),
            ", generate_series(1, src.\"tandem copies\")",
        ),
        _ => {
            let src = source(table, &columns, rows, &noticing(table, &columns, rows));
            (src + &remember(table, &columns), "")
        }
    };
    let target = qualified(&table.cloud);
    Some(format!(
        "with {ctes} insert into {target} {names} select {values} from src{times}"
    ))
}

/// Refuses what was inserted where something may have kept rows out.
pub(super) fn uncounted(table: &Table) -> String {
    format!(
        "select where not tandem.uncounted({target}::regclass, {INSERT})",
        target = literal(&qualified(&table.cloud))
    )
}

/// An upsert whose rows are read from `from`.
fn write(table: &Table, shape: &StepShape, rows: &Rows, (ctes, from): (&str, &str)) -> String {
    let (target, guard, found) = (
        qualified(&table.cloud),
        Guard::of(table),
        matches(table, shape),
    );
    let mut changing = sent(table, changeable(table), shape);
    if shape.reborn {
        let owned = all(table).into_iter();
        changing.extend(owned.filter(|(_, column)| column.cloud_owned));
    }
    let ours = parents_are_ours(table, shape);
    let (is_owned, differing) = (
        format!("{found} and {owned}", owned = guard.owned()),
        differs(table, &changing),
    );
    let owned = format!("{is_owned}{ours}");
    let update = update_differing(table, &changing, from, &owned);
    let leaving = match ours.is_empty() {
        true => String::new(),
        false => leaving(table, from, &found),
    };
    let remembered = remember(table, &sent(table, all(table), shape));
    let differing = format!("select from {target} as t where {is_owned} and {differing}");
    let different = format!("(select count(*) from {from} where exists ({differing}){ours})");
    let all_of = match from {
        "src" => rows.count().to_owned(),
        _ => format!("(select count(*) from {from})"),
    };
    let mut counted = Counted {
        table,
        does: UPDATE,
        ctes: ctes.to_owned(),
        besides: leaving + &remembered,
        parts: vec![("changed", update)],
        most: all_of.clone(),
        still: Some(different.clone()),
        wanted: different,
    };
    if !shape.unsent.is_empty() {
        return counted.text(rows);
    }
    let (names, values) = insertion(table, &all(table));
    // Mostly all rows are there and change: then nobody looks for those that are missing.
    let changes = !assignments(table, &changing).is_empty();
    let one_each = table.indexed && shape.null_keys.is_empty();
    let any_left = match changes && one_each && rows.are_sent_along() {
        true => format!("(select count(*) from changed) < {all_of} and "),
        false => String::new(),
    };
    let missing = format!("not exists (select from {target} as t where {is_owned}){ours}");
    let insert = format!(
        "insert into {target} {names} select {values} from {from} where {any_left}{missing}"
    );
    let lacking = format!("(select count(*) from {from} where {missing})");
    counted.does |= INSERT;
    if !changes {
        (counted.does, counted.wanted) = (INSERT, lacking.clone());
        counted.parts.clear();
        counted.still = Some(lacking);
    } else {
        counted.wanted = format!("{wanted} + {lacking}", wanted = counted.wanted);
        counted.still = Some(counted.wanted.clone());
    }
    counted.parts.push(("added", insert));
    counted.text(rows)
}

/// The CTE that removes rows of ours whose parent is another tenant's now.
fn leaving(table: &Table, from: &str, found: &str) -> String {
    let Some(elsewhere) = has_other_parent(table) else {
        return String::new();
    };
    let found = format!(
        "{found} and {deletable} and {elsewhere}",
        deletable = Guard::of(table).deletable()
    );
    let spared = and(spares(table, &found, Change::Goes("false")));
    format!(
        ", leaving as (delete from {target} as t using {from} where {found}{spared})",
        target = qualified(&table.cloud)
    )
}

/// Rows that have a new key, as one transaction leaves them: what was not sent stands in the row under its old key,
/// which is removed later in the same transaction.
fn moved(table: &Table, columns: &[(usize, &Column)], rows: &Rows) -> String {
    let olds = key(table).into_iter().map(|(index, column)| {
        let value = value(&table.arriving, column, &|arriving| rows.origin(arriving));
        format!("{value} as \"tandem old {index}\"")
    });
    let olds = olds.chain(noticing(table, columns, rows));
    let base = source(table, columns, rows, &olds.collect::<Vec<_>>());
    let found = key(table).into_iter().map(|(index, column)| {
        format!(
            "o.{column} is not distinct from src.\"tandem old {index}\"",
            column = ident(&column.name)
        )
    });
    let found: Vec<_> = found.collect();
    let carried = all(table)
        .into_iter()
        .filter(|(index, _)| columns.iter().all(|(sent, _)| sent != index));
    let carried: Vec<_> = carried
        .map(|(_, column)| {
            format!(
                "o.{column}::{base_type} as {column}",
                column = ident(&column.name),
                base_type = column.base_type
            )
        })
        .collect();
    format!(
        "{base}, \
         whole as materialized (\
           select src.*, {carried} \
           from src \
           join {target} as o on {found} and {owned}\
         )",
        carried = carried.join(", "),
        target = qualified(&table.cloud),
        found = found.join(" and "),
        owned = Guard::of_row(table, "o").owned()
    )
}

/// A row whose key changes while a column was not sent: moved where it stands.
fn rekey(table: &Table, shape: &StepShape, rows: &Rows) -> String {
    let columns = sent(table, all(table), shape);
    let olds = key(table).into_iter().map(|(index, column)| {
        let value = value(&table.arriving, column, &|arriving| rows.origin(arriving));
        format!("{value} as \"tandem old {index}\"")
    });
    // What was known of it under its old key is sent again with the next change.
    let olds = olds.chain(naming(table, &|index| rows.origin(index)));
    let olds: Vec<_> = olds.collect();
    let found = key(table).into_iter().map(|(index, column)| {
        format!(
            "t.{column} is not distinct from src.\"tandem old {index}\"",
            column = ident(&column.name)
        )
    });
    let found: Vec<_> = found.collect();
    let found = format!(
        "{found} and {owned}",
        found = found.join(" and "),
        owned = Guard::of(table).owned()
    );
    let names: Vec<_> = columns
        .iter()
        .map(|(_, column)| column.name.clone())
        .collect();
    let spared = and(spares(table, &found, Change::Looks(&names)));
    let target = qualified(&table.cloud);
    let there = format!(
        "(select count(*) from {target} as t where exists (select from src where {found}))"
    );
    let counted = Counted {
        table,
        does: UPDATE,
        ctes: source(table, &columns, rows, &olds),
        besides: forget(table),
        parts: vec![(
            "changed",
            format!(
                "update {target} as t set {assignments} from src where {found}{spared}",
                assignments = assignments(table, &columns)
            ),
        )],
        most: "(select count(*) from src)".to_owned(),
        wanted: there,
        still: None,
    };
    counted.text(rows)
}
