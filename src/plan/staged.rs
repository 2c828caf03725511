//! A transaction whose rows were staged: one final transaction reads them from the staging table.

use std::collections::BTreeSet;

use super::diff::diff;
use super::follow::follow_all;
use super::knot::Part;
use super::reverse::queue_differing;
use super::row_by_row::{try_parts, void_parked};
use super::shrink::shrink;
use super::source::{Rows, key, source};
use super::staging::place;
use super::write::text;
use super::write_context::WriteContext;
use crate::model::{Counts, Key, Param, Statement, StepKind, StepShape, Table, TableId, Tables};

/// A step whose rows are in the staging table.
#[derive(Clone, Debug)]
pub struct StagedStep {
    /// The table.
    pub table: TableId,
    /// What to do with the rows.
    pub work: StepKind,
    /// What they have in common.
    pub shape: StepShape,
    /// How many rows.
    pub rows: u64,
    /// The table was emptied first: these are all the rows that it has.
    pub whole: bool,
}

impl StagedStep {
    /// It needs rows as they stand under other keys, so that its own can't be parked.
    pub fn moves(&self) -> bool {
        self.shape.moved || self.work == StepKind::Rekey
    }
}

/// How staged steps are carried out.
pub struct StagedForm<'a> {
    /// Steps that are tried row by row.
    pub row_by_row: &'a BTreeSet<usize>,
    /// Tables in which a step may remove a key that another one writes.
    pub rekeyed: &'a BTreeSet<TableId>,
    /// Rows are removed first, because a new row may need their unique values; else last.
    pub deletes_first: bool,
    /// Tables that nothing is written to.
    pub stopped: &'a dyn Fn(TableId) -> bool,
}

/// The statements that carry out staged steps, each with its number in the staging table.
pub fn staged(
    steps: &[(usize, StagedStep)],
    counts: &[(TableId, Counts)],
    tables: &Tables,
    manner: &WriteContext<'_>,
    form: &StagedForm<'_>,
) -> Vec<Statement> {
    let mut statements = shrink(counts, tables);
    for (number, step) in steps {
        statements.push(are_there(
            tables.get(step.table),
            *number,
            step.rows,
            manner,
        ));
    }
    for table in tables.iter() {
        if !table.has_exact_key() || form.rekeyed.contains(&table.id) {
            statements.extend(same_keys(table, steps, manner));
        }
    }
    statements.extend(carry_out(steps, tables, manner, form));
    let written: BTreeSet<_> = steps.iter().map(|(_, step)| step.table).collect();
    for table in written.into_iter().map(|table| tables.get(table)) {
        statements.extend(follow_all(table, tables, form.stopped));
    }
    statements
}

/// A step in its turn: its phase, its table, in the order of its phase, its number in the staging table.
type Turn<'a> = (u8, i32, usize, &'a StagedStep);

/// The steps in the order in which they are carried out: children before parents where rows go, else behind them.
fn in_order<'a>(steps: &'a [(usize, StagedStep)], form: &StagedForm<'_>) -> Vec<Turn<'a>> {
    let last = if form.deletes_first { 0 } else { 2 };
    let mut order: Vec<Turn<'_>> = Vec::new();
    for (number, step) in steps {
        let table = i32::from(step.table.0);
        match step.work {
            StepKind::RemoveCopies => order.push((0, -table, *number, step)),
            StepKind::Delete => order.push((last, -table, *number, step)),
            StepKind::Requeue | StepKind::RecordChange | StepKind::RecordDelete => {
                order.push((3, table, *number, step))
            }
            StepKind::Rekey | StepKind::Upsert | StepKind::AddCopies => {
                order.push((1, table, *number, step));
                // Trying takes the rows out of the staging table, and they say what is to be removed: it comes before.
                if step.whole && !form.row_by_row.contains(number) {
                    order.push((last, -table, *number, step));
                }
            }
        }
    }
    // Moved rows read others under their old keys, so they are written before anything takes those.
    order.sort_by_key(|(phase, table, number, step)| (*phase, *table, !step.shape.moved, *number));
    order
}

/// Carries out the steps, each at once or row by row.
fn carry_out(
    steps: &[(usize, StagedStep)],
    tables: &Tables,
    manner: &WriteContext<'_>,
    form: &StagedForm<'_>,
) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut run: Vec<Part<'_>> = Vec::new();
    for (phase, _, number, step) in in_order(steps, form) {
        let table = tables.get(step.table);
        let tried = form.row_by_row.contains(&number) || step.shape.parked || step.shape.waits();
        let part = Part::new(table, number, step.work, &step.shape);
        // What may wait for one another is tried together.
        if run
            .last()
            .is_some_and(|last| !tried || !part.is_tied_to(last))
        {
            statements.extend(try_parts(&std::mem::take(&mut run), manner));
        }
        if step.whole {
            statements.extend(whole(table, number, manner, (phase, tried)));
        }
        if tried {
            run.push(part);
        } else if !step.whole {
            statements.push(Statement::about(
                table.id,
                number,
                text(table, step.work, &step.shape, &Rows::Staged),
                place(table, number, manner),
            ));
        }
    }
    if !run.is_empty() {
        statements.extend(try_parts(&run, manner));
    }
    statements
}

/// Fails unless the staging table holds exactly the rows that were sent: a crash of the cloud empties
/// unlogged tables, and behind a pooler the client doesn't notice.
pub fn are_there(table: &Table, number: usize, rows: u64, manner: &WriteContext<'_>) -> Statement {
    let mut params = place(table, number, manner);
    params.push(Param::int8(rows));
    Statement::bookkeeping("select tandem.staged($1, $2, $3, $4, $5)", params)
}

/// An emptied table: first what it has now, then, children before parents, what it doesn't have any more. Where its rows
/// are tried, that goes first.
fn whole(
    table: &Table,
    number: usize,
    manner: &WriteContext<'_>,
    (phase, row_by_row): (u8, bool),
) -> Vec<Statement> {
    let diff = diff(table, manner, number, false);
    let void = void_parked(table, manner.replicator);
    let gone = [diff.shrink]
        .into_iter()
        .chain(diff.referred)
        .chain([diff.remove])
        .chain(diff.kept);
    let differing = table
        .returns
        .then(|| queue_differing(table, manner, number));
    match (phase, row_by_row) {
        (_, true) => {
            let narrow = (table.key == Key::Multiset).then_some(diff.narrow);
            [void]
                .into_iter()
                .chain(differing)
                .chain(gone)
                .chain(narrow)
                .collect()
        }
        (1, false) => [void]
            .into_iter()
            .chain(differing)
            .chain(diff.update)
            .chain([diff.insert])
            .collect(),
        (_, false) => gone.collect(),
    }
}

/// Takes out deletes of keys that the same transaction writes too: keys that are only spelled in another way, and
/// keys that one row leaves and another one takes over.
fn same_keys(
    table: &Table,
    steps: &[(usize, StagedStep)],
    manner: &WriteContext<'_>,
) -> Vec<Statement> {
    let of_table = |step: &&(usize, StagedStep)| step.1.table == table.id && !step.1.whole;
    let mine: Vec<_> = { steps.iter().filter(of_table) }
        .filter(|(_, step)| !step.shape.mobile)
        .collect();
    let writes: Vec<_> = mine
        .iter()
        .filter(|(_, step)| step.work == StepKind::Upsert)
        .collect();
    if writes.is_empty() {
        return Vec::new();
    }
    let written: Vec<_> = writes
        .iter()
        .map(|(number, _)| number.to_string())
        .collect();
    let columns = key(table);
    let tests: Vec<_> = columns
        .iter()
        .map(|(_, column)| {
            let name = super::quote::ident(&column.name);
            format!("w.{name} is not distinct from src.{name}")
        })
        .collect();
    let gone = mine
        .iter()
        .filter(|(_, step)| step.work == StepKind::Delete);
    let statements = gone.map(|(number, _)| {
        let at = ["u.ctid as \"tandem at\"".to_owned()];
        let deletes = source(table, &columns, &Rows::Staged, &at);
        let values = columns.iter().map(|(_, column)| {
            let value = super::source::value(&table.arriving, column, &|index| {
                format!("u.cells[{number}]", number = index + 1)
            });
            format!(
                "{value} as {column}",
                column = super::quote::ident(&column.name)
            )
        });
        let values: Vec<_> = values.collect();
        let sql = format!(
            r#"with {deletes},
               w as materialized (
                 select {values}
                 from tandem.staging as u
                 where u.replicator = $1
                   and u.epoch = $2
                   and u."table" = $3
                   and u.step in ({written})
               )
               delete from tandem.staging as s
               using src
               where s.ctid = src."tandem at" and exists (select from w where {tests})"#,
            values = values.join(", "),
            written = written.join(", "),
            tests = tests.join(" and ")
        );
        Statement::about(table.id, *number, sql, place(table, *number, manner))
    });
    statements.collect()
}
