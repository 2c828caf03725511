//! Rows that were written without a parent that isn't there (`orphans = "null"`): what they say on the desktop is remembered in
//! the statement that writes them, so that they get it when the parent comes.

use super::clauses::{matches, sent, update_differing};
use super::guard::Guard;
use super::quote::{literal, table as qualified};
use super::source::{Rows, all, differs, source, value, value_or_null};
use crate::limits;
use crate::model::{Column, Param, Source, Statement, StepShape, Table, oid};

/// What a row's memory is found by: the hash under which the quarantine knows it.
const NAME: &str = "\"tandem orphan\"";
/// What it refers to, with its key; NULL where all its parents are there.
const REFERS: &str = "\"tandem refers\"";

/// What a statement's `src` says besides where it writes these columns of a table; nothing for other tables.
pub(super) fn noticing(table: &Table, columns: &[(usize, &Column)], rows: &Rows) -> Vec<String> {
    let orphaned = table.orphaned();
    if orphaned.is_empty() {
        return Vec::new();
    }
    let cell = |index: usize| rows.cell(index);
    let known = |at: &&usize| columns.iter().any(|(known, _)| known == *at);
    let refers = match orphaned.iter().all(|at| known(&at)) {
        true => {
            let lacks = orphaned.iter().map(|at| {
                let column = &table.columns[*at];
                format!(
                    "({value}) is not null and ({value_or_null}) is null",
                    value = value(&table.arriving, column, &cell),
                    value_or_null = value_or_null(table, columns, column, &cell)
                )
            });
            let lacks: Vec<_> = lacks.collect();
            let kept = remembered(table);
            let cells = (0..table.arriving.len()).map(|index| match kept.contains(&index) {
                true => rows.cell(index),
                false => "null".to_owned(),
            });
            let cells: Vec<_> = cells.collect();
            format!(
                "case when {lacks} then array[{cells}]::text[] end",
                lacks = lacks.join(" or "),
                cells = cells.join(", ")
            )
        }
        false => "null::text[]".to_owned(),
    };
    vec![
        format!("{name} as {NAME}", name = name(table, &cell)),
        format!("{refers} as {REFERS}"),
    ]
}

/// The same where only what names a row is known, by these cells: it goes, or has another name now.
pub(super) fn naming(table: &Table, cell: &dyn Fn(usize) -> String) -> Option<String> {
    let any = !table.orphaned().is_empty();
    any.then(|| format!("{name} as {NAME}", name = name(table, cell)))
}

/// CTEs, behind a comma, that remember what [`noticing`] has noticed of `src`, and forget what was known of its other rows. Nothing
/// where no reference was sent: it stays as it is.
pub(super) fn remember(table: &Table, columns: &[(usize, &Column)]) -> String {
    let orphaned = table.orphaned();
    let sent = |at: &usize| columns.iter().any(|(known, _)| known == at);
    if !orphaned.iter().any(sent) {
        return String::new();
    }
    let name = literal(&table.name);
    format!(
        "{forgetting}, \
         remembered as (\
           insert into tandem.orphan as o (replicator, \"table\", key_hash, cells) \
           select distinct on (src.{NAME}) current_setting('tandem.replicator'), {name}, \
             src.{NAME}, src.{REFERS} \
           from src \
           where src.{REFERS} is not null \
           on conflict (replicator, \"table\", key_hash) do update \
           set cells = excluded.cells \
           where o.cells <> excluded.cells\
         )",
        forgetting = forgetting(table, &format!(" and src.{REFERS} is null"))
    )
}

/// A CTE, behind a comma, that forgets rows named by [`naming`].
pub(super) fn forget(table: &Table) -> String {
    match table.orphaned().is_empty() {
        true => String::new(),
        false => forgetting(table, ""),
    }
}

fn forgetting(table: &Table, which: &str) -> String {
    format!(
        ", forgotten as (\
           delete from tandem.orphan as o \
           using src \
           where o.replicator = current_setting('tandem.replicator') \
             and o.\"table\" = {name} \
             and o.key_hash = src.{NAME}{which}\
         )",
        name = literal(&table.name)
    )
}

fn name(table: &Table, cell: &dyn Fn(usize) -> String) -> String {
    let cells: Vec<_> = table.key_arriving().into_iter().map(cell).collect();
    format!(
        "md5(array[{cells}]::text[]::text)",
        cells = cells.join(", ")
    )
}

/// Arriving columns that are remembered: what names a row, and what its references are made of.
fn remembered(table: &Table) -> Vec<usize> {
    let mut kept = table.key_arriving();
    for column in table.orphaned().into_iter().map(|at| &table.columns[at]) {
        kept.extend(column.from.uses());
        let others = column.parents.iter().flat_map(|parent| &parent.on);
        for (own, _) in others {
            let other = table.columns.iter().find(|column| column.name == *own);
            kept.extend(other.iter().flat_map(|other| other.from.uses()));
        }
    }
    kept.sort_unstable();
    kept.dedup();
    kept
}

/// Gives those rows of a table their references whose parents are there now, after something was written there. One that the
/// cloud refuses stays as it is, and is tried again with the next parent. Answers `true` where there was no time for all.
/// None for a table without such rows.
pub fn heal(child: &Table) -> Option<Statement> {
    if child.orphaned().is_empty() {
        return None;
    }
    let kept = remembered(child);
    let shape = StepShape {
        unsent: { 0..child.arriving.len() }
            .filter(|index| !kept.contains(index))
            .collect(),
        mixed_keys: true,
        ..StepShape::default()
    };
    let columns = sent(child, all(child), &shape);
    let orphaned = child.orphaned();
    let mut changing = columns.clone();
    changing.retain(|(at, column)| {
        let looked_up = matches!(column.from, Source::LookedUp(_));
        (orphaned.contains(at) || looked_up) && !column.cloud_owned
    });
    let found = format!(
        "{matches} and {owned}",
        matches = matches(child, &shape),
        owned = Guard::of(child).owned()
    );
    let write = format!(
        "with {source} {update_differing}",
        source = source(child, &columns, &Rows::Orphans, &[]),
        update_differing = update_differing(child, &changing, "src", &found)
    );
    let target = qualified(&child.cloud);
    let there = format!("select from {target} as t where {found}");
    let still = noticing(child, &columns, &Rows::Orphans);
    // Those that differ from what they could be, and those that are gone.
    let over = |which: &str| {
        let extra = ["u.ctid as \"tandem at\"".to_owned()];
        let extra: Vec<_> = extra.into_iter().chain(still.clone()).collect();
        format!(
            "with {source} select array_agg(src.\"tandem at\") from src where {which}",
            source = source(child, &columns, &Rows::Orphans, &extra)
        )
    };
    let ready = over(&format!(
        "exists ({there} and {differs})",
        differs = differs(child, &changing)
    ));
    let done = over(&format!("src.{REFERS} is null or not exists ({there})"));
    let texts = [&child.name, &ready, &write, &done].map(|text| Param::string(text.as_str()));
    let mut params = texts.to_vec();
    params.extend([
        Param::string(format!(
            "{patience} milliseconds",
            patience = limits::TRY_MAX.as_millis()
        )),
        Param::text(oid::INT4, limits::HEALED_PIECE.to_string()),
    ]);
    Some(Statement {
        table: Some(child.id),
        ..Statement::bookkeeping(
            "select tandem.heal_orphans(\
               current_setting('tandem.replicator'), $1, $2, $3, $4, $5::interval, $6\
             )::text",
            params,
        )
    })
}
