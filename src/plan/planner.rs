//! The statements of a batch's steps, with their parameters.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::array::TextArray;
use super::element::{Element, elements, is_plain};
use super::follow::follow;
use super::knot::Part;
use super::row_by_row::{Careful, try_parts};
use super::shrink::shrink;
use super::source::Rows;
use super::write::{extras, plain_insert, taken, text, uncounted};
use super::write_context::WriteContext;
use crate::limits;
use crate::model::{
    Cell, Counts, Key, Layout, Param, Row, Statement, Step, StepKind, StepShape, Table, TableId,
    Tables,
};

/// Makes statements, and remembers their texts.
#[derive(Default)]
pub struct Planner {
    /// By table, work and shape, and whether they are for one row.
    texts: HashMap<(TableId, StepKind, StepShape, bool), Arc<str>>,
    /// The same for many new rows.
    plain: HashMap<(TableId, StepKind, StepShape), Option<Arc<str>>>,
    /// Tables with something that may keep rows out without an error, whose rows are counted.
    counted: BTreeSet<TableId>,
}

/// How the steps of a batch are carried out.
pub struct BatchForm<'a> {
    /// Steps whose rows are tried one by one, and parked where the cloud refuses them.
    pub row_by_row: &'a BTreeSet<usize>,
    /// Tables that nothing is written to.
    pub stopped: &'a dyn Fn(TableId) -> bool,
}

impl Planner {
    /// The statements that carry out `steps`, in their order. They are made one by one as they are
    /// asked for: a step of many bytes becomes several, so that it is never encoded whole.
    pub fn statements(
        &mut self,
        steps: Vec<Step>,
        counts: &[(TableId, Counts)],
        tables: &Arc<Tables>,
        manner: &WriteContext<'_>,
        form: &BatchForm<'_>,
    ) -> impl Iterator<Item = Statement> + Send + use<> {
        let followed = follow(&steps, tables, form.stopped);
        let shrinks = shrink(counts, tables);
        let mut finishes = finishes(&steps, tables, form, manner);
        let plans = steps.into_iter().enumerate().map(|(number, step)| {
            let table = tables.get(step.table);
            let way = if form.row_by_row.contains(&number) {
                let finish = finishes.remove(&number).unwrap_or_default();
                Way::Careful(Careful::of(table, number, finish, manner))
            } else {
                match self.plain(&step, table) {
                    Some(sql) => Way::Plain(sql, Some(uncounted(table).into())),
                    None if is_lone(&step, table) => Way::Lone(self.text(&step, table, true)),
                    None => Way::Plain(self.text(&step, table, false), None),
                }
            };
            (number, way, step)
        });
        let plans: Vec<_> = plans.collect();
        let tables = tables.clone();
        let mut probing = false;
        let last = plans
            .last()
            .map(|(_, way, step)| probes(tables.get(step.table), way, step));
        let written = plans.into_iter().flat_map(move |(number, way, step)| {
            let probes = probes(tables.get(step.table), &way, &step);
            let change = (probes != probing).then(|| joins(!probes));
            probing = probes;
            change
                .into_iter()
                .chain(write(number, way, step, tables.clone()))
        });
        let again = last.filter(|last| *last && !followed.is_empty());
        let again = again.map(|_| joins(true));
        shrinks
            .into_iter()
            .chain(written)
            .chain(again)
            .chain(followed)
    }

    /// Something may keep rows of this table out without an error.
    pub fn count(&mut self, table: TableId) {
        self.counted.insert(table);
    }

    /// What inserts many new rows; none for other steps.
    fn plain(&mut self, step: &Step, table: &Table) -> Option<Arc<str>> {
        if step.rows.len() < limits::UNCOUNTED_ROWS_MIN || self.counted.contains(&table.id) {
            return None;
        }
        let name = (step.table, step.work, step.shape.clone());
        let made = || {
            let taken = taken(table, step.work, &step.shape);
            let rows = Rows::Arrays(taken, extras(table, step.work));
            plain_insert(table, step.work, &step.shape, &rows).map(Arc::from)
        };
        self.plain.entry(name).or_insert_with(made).clone()
    }

    /// What writes one row, or any number of them.
    fn text(&mut self, step: &Step, table: &Table, is_lone: bool) -> Arc<str> {
        let name = (step.table, step.work, step.shape.clone(), is_lone);
        let made = || {
            let taken = taken(table, step.work, &step.shape);
            let rows = match is_lone {
                true => Rows::Lone(taken),
                false => Rows::Arrays(taken, extras(table, step.work)),
            };
            text(table, step.work, &step.shape, &rows).into()
        };
        self.texts.entry(name).or_insert_with(made).clone()
    }
}

/// The step is one row of a table with a key: what becomes of it is worth a plan that the server keeps.
fn is_lone(step: &Step, table: &Table) -> bool {
    let keyed = matches!(table.key, Key::Columns(_));
    step.rows.len() == 1 && keyed && is_plain(step.work, &step.shape)
}

/// A step's rows are looked for one by one in an index. Left alone, the server may read a whole table instead once
/// a batch has some thousand rows, which takes three times as long, and more in a larger table. For few rows it doesn't.
fn probes(table: &Table, way: &Way, step: &Step) -> bool {
    let many = step.rows.len() >= limits::PROBED_ROWS_MIN;
    let found = table.indexed && step.shape.null_keys.is_empty() && !step.shape.fresh;
    matches!(way, Way::Plain(..)) && many && found
}

/// A step of earlier statements of the same transaction may have looked for its rows by index only: others need not.
pub fn any_joins() -> Statement {
    joins(true)
}

/// Whether the server may join by hash and by order.
fn joins(may: bool) -> Statement {
    let word = if may { "on" } else { "off" };
    let sql = format!(
        "select set_config('enable_hashjoin', '{word}', true), \
             set_config('enable_mergejoin', '{word}', true)"
    );
    Statement::bookkeeping(sql, Vec::new())
}

/// What tries the staged rows of careful steps, by the step behind which it stands. Neighbours whose rows may wait for one
/// another are tried together.
fn finishes(
    steps: &[Step],
    tables: &Tables,
    form: &BatchForm<'_>,
    manner: &WriteContext<'_>,
) -> HashMap<usize, Vec<Statement>> {
    let row_by_row =
        { steps.iter().enumerate() }.filter(|(number, _)| form.row_by_row.contains(number));
    let parts = row_by_row
        .map(|(number, step)| Part::new(tables.get(step.table), number, step.work, &step.shape));
    let parts: Vec<_> = parts.collect();
    let together =
        parts.chunk_by(|one, next| one.number + 1 == next.number && next.is_tied_to(one));
    let tried = together.filter_map(|run| Some((run.last()?.number, try_parts(run, manner))));
    tried.collect()
}

/// How one step is written.
enum Way {
    /// By this statement, and another one behind it.
    Plain(Arc<str>, Option<Arc<str>>),
    /// By this statement, which takes the values of its only row.
    Lone(Arc<str>),
    /// Into the staging table, and from there row by row where it has to be.
    Careful(Careful),
}

fn write(
    number: usize,
    way: Way,
    step: Step,
    tables: Arc<Tables>,
) -> Box<dyn Iterator<Item = Statement> + Send> {
    let (id, table) = (step.table, tables.clone());
    match way {
        Way::Plain(sql, then) => {
            let then = then.map(|sql| Statement::about(id, number, sql, Vec::new()));
            let written = pieces(step, &tables).map(move |piece| {
                Statement::about(id, number, sql.clone(), params(table.get(id), &piece))
            });
            Box::new(written.chain(then))
        }
        Way::Lone(sql) => Box::new(std::iter::once_with(move || Statement {
            sql,
            params: values(table.get(id), &step),
            table: Some(id),
            step: Some(number),
            is_lone: true,
        })),
        Way::Careful(row_by_row) => {
            let Careful { stage, finish } = row_by_row;
            let mut first = 0;
            let staged = pieces(step, &tables).map(move |piece| {
                let statement = stage.fill(table.get(id), &piece, first);
                first += piece.rows.len();
                statement
            });
            Box::new(staged.chain(finish))
        }
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

/// The array parameters of a step's rows.
pub(super) fn params(table: &Table, step: &Step) -> Vec<Param> {
    let columns = taken(table, step.work, &step.shape);
    let mut elements = elements(table, step.work, &step.shape, &columns);
    let mut arrays = arrays(step, &columns, &elements);
    for (array, element) in arrays.iter().zip(&mut elements) {
        if array.is_odd() {
            *element = Element::Text;
        }
    }
    if arrays.iter().any(TextArray::is_odd) {
        // Not both at once: a row may be large.
        arrays.clear();
        arrays = self::arrays(step, &columns, &elements);
    }
    let mut params: Vec<_> = arrays.into_iter().map(TextArray::finish).collect();
    match step.work {
        StepKind::Rekey => {
            let key = table.key_arriving();
            let mut origins: Vec<_> = key.iter().map(|_| TextArray::new()).collect();
            step.rows
                .iter()
                .for_each(|row| push_origin(row, &mut origins));
            params.extend(origins.into_iter().map(TextArray::finish));
        }
        StepKind::AddCopies | StepKind::RemoveCopies => {
            let mut counts = TextArray::new();
            for row in &step.rows {
                counts.push(Cell::Text(row.count.to_string().as_bytes()));
            }
            params.push(counts.finish());
        }
        StepKind::Upsert
        | StepKind::Delete
        | StepKind::Requeue
        | StepKind::RecordChange
        | StepKind::RecordDelete => {}
    }
    params
}

/// The parameters of a step's only row.
fn values(table: &Table, step: &Step) -> Vec<Param> {
    let columns = taken(table, step.work, &step.shape);
    let elements = elements(table, step.work, &step.shape, &columns);
    let nulls = elements.iter().map(|element| Param::null(element.oid()));
    let mut values: Vec<_> = nulls.collect();
    for row in &step.rows {
        for (cell, to) in row.tuple.cells().zip(targets(row, &columns)) {
            if let (Cell::Text(text), Some(to)) = (cell, to) {
                values[to] = elements[to].lone(row.tuple.share(text));
            }
        }
    }
    values
}

/// The arrays of these arriving columns.
fn arrays(step: &Step, columns: &[usize], elements: &[Element]) -> Vec<TextArray> {
    let mut arrays: Vec<_> = { elements.iter() }
        .map(|element| TextArray::of(*element))
        .collect();
    // For each attribute of the tuple, the array that it goes to.
    let mut target: Vec<Option<usize>> = Vec::new();
    let mut target_of: Option<&Arc<Layout>> = None;
    for row in &step.rows {
        if !target_of.is_some_and(|known| Arc::ptr_eq(known, &row.layout)) {
            target = targets(row, columns);
            target_of = Some(&row.layout);
        }
        for (cell, to) in row.tuple.cells().zip(&target) {
            if let Some(to) = to {
                arrays[*to].push(cell);
            }
        }
    }
    arrays
}

fn targets(row: &Row, columns: &[usize]) -> Vec<Option<usize>> {
    let place = |slot: u16| {
        columns
            .iter()
            .position(|column| *column == usize::from(slot))
    };
    let slots = row.layout.slots.iter();
    slots.map(|slot| slot.and_then(place)).collect()
}

fn push_origin(row: &Row, origins: &mut [TextArray]) {
    let Some(old) = &row.old else { return };
    let cells: Vec<_> = old.cells().collect();
    for (at, array) in row.layout.key().iter().zip(origins) {
        array.push(cells[*at]);
    }
}
