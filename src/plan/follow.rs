//! Columns that were looked up follow the parent's later changes.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::array::TextArray;
use super::guard::Guard;
use super::orphan::heal;
use super::quote::{ident, table as qualified};
use super::source::parents;
use crate::model::{
    Cell, Column, Lookup, Param, Row, Source, Statement, Step, Table, TableId, Tables, Tuple,
};

/// The statements that bring looked-up columns in line with parents which `steps` have written, after those that give rows
/// their references which came before their parents. In a table that has
/// stopped nothing follows: its new copy looks everything up.
pub(super) fn follow(
    steps: &[Step],
    tables: &Tables,
    stopped: &dyn Fn(TableId) -> bool,
) -> Vec<Statement> {
    let mut by_parent: BTreeMap<TableId, Vec<&Step>> = BTreeMap::new();
    for step in steps
        .iter()
        .filter(|step| tables.get(step.table).is_looked_up)
    {
        by_parent.entry(step.table).or_default().push(step);
    }
    let mut statements = Vec::new();
    let adds = |step: &&Step| !step.work.removes() && !step.work.only_notes();
    let wrote: BTreeSet<_> = { steps.iter().filter(adds) }
        .map(|step| step.table)
        .collect();
    for parent in wrote {
        let children = tables.orphaned_by(tables.get(parent));
        statements.extend(children.filter(|child| !stopped(child.id)).filter_map(heal));
    }
    for (parent, steps) in by_parent {
        let parent = tables.get(parent);
        let going = |(child, _): &(&Table, usize)| !stopped(child.id);
        for (child, at) in tables.lookups_in(parent).filter(going) {
            let touched = touched(&steps, parent, child, at);
            statements.push(statement(child, at, Some(touched)));
        }
    }
    statements
}

/// The same for all rows, after a table was filled, written from staging or tried again.
pub fn follow_all(
    parent: &Table,
    tables: &Tables,
    stopped: &dyn Fn(TableId) -> bool,
) -> Vec<Statement> {
    let orphans = tables.orphaned_by(parent);
    let healed = orphans.filter(|child| !stopped(child.id)).filter_map(heal);
    let followers = tables.lookups_in(parent);
    let followed = followers
        .filter(|(child, _)| !stopped(child.id))
        .map(|(child, at)| statement(child, at, None));
    healed.chain(followed).collect()
}

/// The same for what a table itself looks up: of equal rows a copy sees no difference there.
pub fn follow_own(table: &Table) -> Vec<Statement> {
    let columns = table.columns.iter().filter(|column| !column.cloud_owned);
    let followers = columns.filter_map(|column| match column.from {
        Source::LookedUp(at) => Some(statement(table, at, None)),
        _ => None,
    });
    followers.collect()
}

/// The values of the parent's columns by which it is found, of rows as they were and as they are.
fn touched(steps: &[&Step], parent: &Table, child: &Table, at: usize) -> Vec<Param> {
    let arriving = child.lookups[at].on.iter().map(|(_, named, _)| {
        let column = parent.columns.iter().find(|column| column.name == *named);
        match column.map(|column| &column.from) {
            Some(Source::Arriving(index)) => *index,
            // `catalog::resolve` lets no other source through.
            _ => 0,
        }
    });
    let arriving: Vec<usize> = arriving.collect();
    let mut arrays: Vec<_> = arriving.iter().map(|_| TextArray::new()).collect();
    let mut seen = HashSet::new();
    let mut add = |row: &Row, tuple: &Tuple| {
        let cells = row.layout.arriving(tuple);
        let values: Vec<_> = arriving.iter().map(|index| cells[*index]).collect();
        let owned = values.iter().map(|cell| match cell {
            Cell::Text(text) => Some(text.to_vec()),
            Cell::Null | Cell::Unchanged => None,
        });
        if seen.insert(owned.collect::<Vec<_>>()) {
            for (array, value) in arrays.iter_mut().zip(values) {
                array.push(value);
            }
        }
    };
    for row in steps.iter().flat_map(|step| &step.rows) {
        add(row, &row.tuple);
        if let Some(old) = &row.old {
            add(row, old);
        }
    }
    arrays.into_iter().map(TextArray::finish).collect()
}

fn statement(child: &Table, at: usize, touched: Option<Vec<Param>>) -> Statement {
    let lookup = &child.lookups[at];
    let filled = child
        .columns
        .iter()
        .find(|column| column.from == Source::LookedUp(at));
    let Some(column) = filled else {
        return Statement::bookkeeping("select", Vec::new());
    };
    let base = match &touched {
        Some(params) => named(lookup, params),
        None => stored(child, lookup),
    };
    let sql = update(child, lookup, column, &base);
    // Where something has to stand, what stood there stays when no parent says anything.
    let sql = match column.not_null {
        true => format!("{sql} and found.value is not null"),
        false => sql,
    };
    Statement::about(child.id, None, sql, touched.unwrap_or_default())
}

/// The references that the parameters name, one array for each of their columns.
fn named(lookup: &Lookup, params: &[Param]) -> String {
    let keys = lookup.on.iter().enumerate();
    let values = keys.map(|(nth, (.., parent))| format!("u.c{nth}::{parent} as k{nth}"));
    let names = (0..params.len()).map(|nth| format!("c{nth}"));
    let numbers = (1..=params.len()).map(|nth| format!("${nth}"));
    format!(
        "select {values} from unnest({numbers}) as u({names})",
        values = values.collect::<Vec<_>>().join(", "),
        numbers = numbers.collect::<Vec<_>>().join(", "),
        names = names.collect::<Vec<_>>().join(", ")
    )
}

/// All references that the child has.
fn stored(child: &Table, lookup: &Lookup) -> String {
    let keys = lookup.on.iter().enumerate();
    let values = keys.map(|(nth, (own, ..))| format!("t.{own} as k{nth}", own = ident(own)));
    format!(
        "select distinct {values} from {target} as t",
        values = values.collect::<Vec<_>>().join(", "),
        target = qualified(&child.cloud)
    )
}

/// Writes what the parents say into the children's rows that refer as those of `base` do.
fn update(child: &Table, lookup: &Lookup, column: &Column, base: &str) -> String {
    let wanted: Vec<_> = (0..lookup.on.len())
        .map(|nth| format!("touched.k{nth}"))
        .collect();
    let found = parents(
        lookup,
        column,
        &format!("select {wanted} from touched", wanted = wanted.join(", ")),
    );
    let keys = lookup.on.iter().enumerate();
    let found_same = keys
        .clone()
        .map(|(nth, _)| format!("found.k{nth} = touched.k{nth}"));
    let stored = keys.map(|(nth, (own, ..))| format!("t.{own} = touched.k{nth}", own = ident(own)));
    format!(
        "with touched as materialized ({base}), found as materialized ({found})
         update {target} as t
         set {name} = found.value
         from touched
         left join found on {found_same}
         where {stored}
           and {owned}
           and row(t.{name}::{compare})::record *<> row(found.value::{compare})::record",
        target = qualified(&child.cloud),
        name = ident(&column.name),
        found_same = found_same.collect::<Vec<_>>().join(" and "),
        stored = stored.collect::<Vec<_>>().join(" and "),
        owned = Guard::of(child).owned(),
        compare = column.compare_type
    )
}
