//! The statements of a batch's steps.

use std::collections::HashMap;
use std::sync::Arc;

use super::array::TextArray;
use super::guard::Guard;
use super::quote::{ident, literal, table as qualified};
use super::source::{all, assignments, differs, image, insertion, key, rest, typed};
use crate::limits;
use crate::model::{
    Cell, Column, Key, Row, Shape, Source, Statement, Step, Table, TableId, Tables, Work,
};

/// Makes statements, and remembers their texts.
#[derive(Default)]
pub struct Planner {
    texts: HashMap<(TableId, Work, Shape), Arc<str>>,
}

impl Planner {
    /// The statements that carry out `steps`, in their order. They are made one by one as they are
    /// asked for: a step of many bytes becomes several, so that it is never encoded whole.
    pub fn statements(
        &mut self,
        steps: Vec<Step>,
        tables: &Arc<Tables>,
    ) -> impl Iterator<Item = Statement> + Send + use<> {
        let texts: Vec<_> = steps
            .iter()
            .map(|step| self.text(step, tables.get(step.table)))
            .collect();
        let tables = tables.clone();
        steps
            .into_iter()
            .zip(texts)
            .enumerate()
            .flat_map(move |(number, (step, sql))| {
                let tables = tables.clone();
                pieces(step, &tables).map(move |piece| Statement {
                    sql: sql.clone(),
                    params: params(tables.get(piece.table), &piece),
                    table: Some(piece.table),
                    step: Some(number),
                })
            })
    }

    fn text(&mut self, step: &Step, table: &Table) -> Arc<str> {
        let name = (step.table, step.work, step.shape.clone());
        let text = self
            .texts
            .entry(name)
            .or_insert_with(|| text(table, step.work, &step.shape).into());
        text.clone()
    }
}

/// Cuts a step's rows into pieces of a bounded size. Rows of a table that refers to itself stay
/// together: a foreign key is checked at the end of each statement.
fn pieces(mut step: Step, tables: &Tables) -> impl Iterator<Item = Step> + Send + use<> {
    let cut = !tables.get(step.table).refers_to_itself;
    let mut rows = std::mem::take(&mut step.rows).into_iter().peekable();
    std::iter::from_fn(move || {
        let (mut piece, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next_if(|_| !cut || bytes < limits::STATEMENT_BYTES) {
            bytes += row.tuple.bytes();
            piece.push(row);
        }
        (!piece.is_empty()).then(|| Step {
            rows: piece,
            ..step.clone()
        })
    })
}

/// Arriving columns that a step's statement takes, in the order of its parameters.
pub(super) fn taken(table: &Table, work: Work, shape: &Shape) -> Vec<usize> {
    let columns = if work == Work::Delete {
        key(table)
    } else {
        all(table)
    };
    let arriving = columns.iter().filter(|(index, column)| {
        matches!(column.from, Source::Desktop(_)) && !shape.unsent.contains(index)
    });
    arriving.map(|(index, _)| *index).collect()
}

pub(super) fn params(table: &Table, step: &Step) -> Vec<crate::model::Param> {
    let columns = taken(table, step.work, &step.shape);
    let mut arrays: Vec<_> = columns.iter().map(|_| TextArray::new()).collect();
    let mut old_keys: Vec<_> = key(table).iter().map(|_| TextArray::new()).collect();
    let mut counts = TextArray::new();
    // For each attribute of the tuple, the array that it goes to.
    let mut target: Vec<Option<usize>> = Vec::new();
    let mut target_of: Option<&Arc<crate::model::Layout>> = None;
    for row in &step.rows {
        if !target_of.is_some_and(|known| Arc::ptr_eq(known, &row.layout)) {
            target = targets(row, &columns);
            target_of = Some(&row.layout);
        }
        for (cell, to) in row.tuple.cells().zip(&target) {
            if let Some(to) = to {
                arrays[*to].push(cell);
            }
        }
        counts.push(Cell::Text(row.count.to_string().as_bytes()));
        push_old_key(table, row, &mut old_keys);
    }
    let mut params: Vec<_> = arrays.into_iter().map(TextArray::finish).collect();
    match step.work {
        Work::Rekey => params.extend(old_keys.into_iter().map(TextArray::finish)),
        Work::AddCopies | Work::RemoveCopies => params.push(counts.finish()),
        Work::Upsert | Work::Delete => {}
    }
    params
}

fn targets(row: &Row, columns: &[usize]) -> Vec<Option<usize>> {
    let slots = row.layout.slots.iter();
    slots
        .map(|slot| {
            slot.and_then(|slot| {
                columns
                    .iter()
                    .position(|column| *column == usize::from(slot))
            })
        })
        .collect()
}

fn push_old_key(table: &Table, row: &Row, old_keys: &mut [TextArray]) {
    let Some(old) = &row.old else { return };
    let cells: Vec<_> = old.cells().collect();
    for ((index, _), array) in key(table).iter().zip(old_keys) {
        array.push(
            row.layout
                .attribute(*index)
                .map_or(Cell::Null, |at| cells[at]),
        );
    }
}

/// `unnest($1, ...) as u(c0, ...)`, named after the columns' numbers.
pub(super) fn arrived(columns: &[usize], extra: &[String]) -> String {
    let names: Vec<_> = columns
        .iter()
        .map(|index| format!("c{index}"))
        .chain(extra.iter().cloned())
        .collect();
    let numbers: Vec<_> = (1..=names.len())
        .map(|number| format!("${number}"))
        .collect();
    format!("unnest({}) as u({})", numbers.join(", "), names.join(", "))
}

fn text(table: &Table, work: Work, shape: &Shape) -> String {
    match work {
        Work::Upsert => upsert(table, shape),
        Work::Delete => delete(table, shape),
        Work::Rekey => rekey(table, shape),
        Work::AddCopies => add_copies(table),
        Work::RemoveCopies => remove_copies(table),
    }
}

/// Finds the stored row by its key. `=` can use an index; NULL in a key is told apart by shape.
fn matches(table: &Table, shape: &Shape) -> String {
    let tests = key(table).into_iter().map(|(index, column)| {
        let name = ident(&column.cloud);
        if shape.null_keys.contains(&index) {
            format!("t.{name} is null")
        } else {
            format!("t.{name} = src.{name}")
        }
    });
    let tests: Vec<_> = tests.collect();
    if tests.is_empty() {
        "true".to_owned()
    } else {
        tests.join(" and ")
    }
}

fn sent<'a>(columns: Vec<(usize, &'a Column)>, shape: &Shape) -> Vec<(usize, &'a Column)> {
    columns
        .into_iter()
        .filter(|(index, _)| !shape.unsent.contains(index))
        .collect()
}

fn upsert(table: &Table, shape: &Shape) -> String {
    let columns = sent(all(table), shape);
    let values = typed(&columns, |index| format!("u.c{index}"));
    let arrived = arrived(&taken(table, Work::Upsert, shape), &[]);
    upsert_from(table, shape, &format!("select {values} from {arrived}"))
}

/// Update what differs by join, insert what is missing by anti-join: both see the same snapshot.
/// `ON CONFLICT DO UPDATE` would lock rows that are equal and burn their sequences.
pub(super) fn upsert_from(table: &Table, shape: &Shape, source: &str) -> String {
    let columns = sent(all(table), shape);
    let source = format!("with src as materialized ({source})");
    let (target, guard, found) = (
        qualified(&table.cloud),
        Guard::of(table),
        matches(table, shape),
    );
    let changing = sent(rest(table), shape);
    let set = assignments(table, &changing);
    let update = format!(
        "update {target} as t set {set} from src where {found} and {} and {}",
        guard.owned(),
        differs(table, &changing),
    );
    if !shape.unsent.is_empty() {
        return format!("{source} {update}");
    }
    let (names, values) = insertion(table, &columns);
    let insert = format!(
        "insert into {target} ({names}) select {values} from src where not exists (select from {target} as t where {found} and {})",
        guard.owned(),
    );
    if set.is_empty() {
        format!("{source} {insert}")
    } else {
        format!("{source}, changed as ({update}) {insert}")
    }
}

fn delete(table: &Table, shape: &Shape) -> String {
    format!(
        "with src as materialized (select {} from {}) delete from {} as t using src where {} and {}",
        typed(&key(table), |index| format!("u.c{index}")),
        arrived(&taken(table, Work::Delete, shape), &[]),
        qualified(&table.cloud),
        matches(table, shape),
        Guard::of(table).deletable(),
    )
}

/// A row whose key changes while a column was not sent: moved where it stands.
fn rekey(table: &Table, shape: &Shape) -> String {
    let columns = sent(all(table), shape);
    let olds: Vec<_> = key(table)
        .iter()
        .map(|(index, _)| format!("k{index}"))
        .collect();
    let old_values = key(table).into_iter().map(|(index, column)| {
        let value = match &column.from {
            Source::Desktop(_) => format!("u.k{index}"),
            Source::Constant(value) => literal(value),
        };
        format!("{value}::{} as k{index}", column.base_type)
    });
    let old_values: Vec<_> = old_values.collect();
    let found = key(table).into_iter().map(|(index, column)| {
        format!(
            "t.{} is not distinct from src.k{index}",
            ident(&column.cloud)
        )
    });
    let found: Vec<_> = found.collect();
    format!(
        "with src as materialized (select {}, {} from {}) update {} as t set {} from src where {} and {}",
        typed(&columns, |index| format!("u.c{index}")),
        old_values.join(", "),
        arrived(&taken(table, Work::Rekey, shape), &olds),
        qualified(&table.cloud),
        assignments(table, &columns),
        found.join(" and "),
        Guard::of(table).owned(),
    )
}

fn copies(table: &Table) -> String {
    debug_assert_eq!(table.key, Key::Multiset);
    let arrived = arrived(
        &taken(table, Work::AddCopies, &Shape::default()),
        &["copies".to_owned()],
    );
    let values = typed(&all(table), |index| format!("u.c{index}"));
    format!(
        "with src as materialized (select {values}, u.copies::bigint as \"tandem copies\", row_number() over () as \"tandem row\" from {arrived})"
    )
}

fn add_copies(table: &Table) -> String {
    let (names, values) = insertion(table, &all(table));
    let target = qualified(&table.cloud);
    format!(
        "{} insert into {target} ({names}) select {values} from src, generate_series(1, src.\"tandem copies\")",
        copies(table)
    )
}

/// Any `copies` of the equal rows: they can't be told apart.
fn remove_copies(table: &Table) -> String {
    let columns = all(table);
    let joins = columns.iter().filter(|(_, column)| column.not_null);
    let mut tests: Vec<_> = joins
        .map(|(_, column)| format!("t.{0} = src.{0}", ident(&column.cloud)))
        .collect();
    tests.push(format!(
        "{} *= {}",
        image("t", &columns),
        image("src", &columns)
    ));
    // A ctid names a row within one partition only.
    let (target, guard) = (qualified(&table.cloud), Guard::of(table));
    format!(
        "{}, hit as (select t.tableoid as part, t.ctid as at, row_number() over (partition by src.\"tandem row\") as nth, src.\"tandem copies\" as copies \
         from {target} as t join src on {} where {}) \
         delete from {target} as t using hit where t.tableoid = hit.part and t.ctid = hit.at and hit.nth <= hit.copies and {}",
        copies(table),
        tests.join(" and "),
        guard.deletable(),
        guard.deletable(),
    )
}
