//! What it takes to form a batch anew, and the form that it has now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::apply::Lease;
use crate::flows::forward::batcher::PendingBatch;
use crate::fold::{Classifier, HEARTBEAT, REFIT, RETRY, StreamState, fold, parking_name};
use crate::limits;
use crate::model::{
    Batch, Counts, Lsn, Statement, Step, StepKind, Table, TableId, TableStop, Tables,
};
use crate::plan::{StagedForm, StagedStep, WriteContext, staged};
use crate::spill::Facts;

/// What needs the connection for itself.
pub enum ExclusiveJob {
    /// Stage a large transaction.
    Stage,
    /// Carry out a staged transaction.
    Large(Box<LargeJob>),
    /// Empty the staging table.
    Unstage,
    /// Try parked rows of a table again, or of several that may wait for one another.
    Retry(Vec<TableId>),
    /// See whether rows that did not fit may fit now.
    Widened,
    /// Have what the cloud has written to its disk.
    Flush,
    /// Merge copies of tables.
    Merge(Vec<TableId>),
}

/// How the steps of what ends at `end` are written by the holder of the lease.
pub(super) fn manner(lease: &Lease, end: Lsn) -> WriteContext<'_> {
    WriteContext {
        replicator: &lease.replicator,
        epoch: lease.epoch,
        end,
        patience: limits::TRY_MAX,
        again: false,
    }
}

/// How a batch is written.
#[derive(Default)]
pub struct Attempt {
    /// Tables that stop with it.
    pub halts: Vec<TableStop>,
    /// Steps that are tried row by row.
    pub row_by_row: BTreeSet<usize>,
    /// Tables whose changes are in source order instead of folded; a staged transaction with any of them has its
    /// deletes first.
    pub source_order: BTreeSet<TableId>,
    /// It wrote rows, or somebody asks for it: parked rows may find now what they miss.
    pub wakes_quarantine: bool,
    /// Somebody asks for rows to be tried again that were too long for a column.
    pub recheck_types: bool,
    /// For steps with rows that were parked before: their names.
    pub names: HashMap<usize, Vec<Vec<u8>>>,
    /// It was refused at COMMIT, which doesn't say for which step: constraints are asked with each.
    pub at_once: bool,
    /// Steps that need rows as they stand under other keys, so that theirs can't be parked.
    pub rekey_steps: BTreeSet<usize>,
}

/// A batch. Its rows are not kept: they are folded again when needed.
pub struct BatchJob {
    gathered: PendingBatch,
    pub(super) form: Attempt,
}

impl Attempt {
    /// The steps that are tried row by row. In source order all later ones of the same table are too: one of them may
    /// change what an earlier one has parked.
    ///
    /// Where rows may wait for one another, all of them are tried, together.
    pub(super) fn tried(&self, steps: &[Step], tables: &Tables) -> BTreeSet<usize> {
        let mut late = BTreeSet::new();
        let mut tried = BTreeSet::new();
        for (number, step) in steps.iter().enumerate() {
            let shape = &step.shape;
            let alone = shape.parked || shape.waits() || self.row_by_row.contains(&number);
            if alone || late.contains(&step.table) {
                tried.insert(number);
                late.extend(
                    self.source_order
                        .contains(&step.table)
                        .then_some(step.table),
                );
            }
        }
        let knots = tried.iter().map(|number| tables.get(steps[*number].table));
        let knots: Vec<_> = knots.filter(|table| table.knot.is_some()).collect();
        let tied = |table: &Table| knots.iter().any(|knot| table.is_tied_to(knot));
        let together =
            { steps.iter().enumerate() }.filter(|(_, step)| tied(tables.get(step.table)));
        tried.extend(together.map(|(number, _)| number));
        tried
    }
}

impl BatchJob {
    pub(super) fn new(gathered: PendingBatch) -> BatchJob {
        BatchJob {
            gathered,
            form: Attempt::default(),
        }
    }

    /// More comes at once behind it.
    pub(super) fn is_followed(&self) -> bool {
        self.gathered.followed
    }

    /// How many changes it has.
    pub(super) fn changes(&self) -> usize {
        let changes = self
            .gathered
            .transactions
            .iter()
            .map(|transaction| transaction.changes.len());
        changes.sum()
    }

    /// It carries out something that later batches build on: what is parked, and which tables stop.
    pub(super) fn is_decisive(&self, tried: &BTreeSet<usize>) -> bool {
        !tried.is_empty() || !self.form.halts.is_empty()
    }

    /// Folds it; where a table has to stop, again without it, and where one can't be folded, with it in order.
    pub(super) fn fold(
        &mut self,
        tables: &Tables,
        sorter: &mut Classifier,
        book: &mut StreamState,
    ) -> Batch {
        loop {
            let mut batch = fold(
                &self.gathered.transactions,
                tables,
                sorter,
                book,
                &self.form.source_order,
            );
            if batch.halts.is_empty() && batch.needs_order.is_empty() {
                return batch;
            }
            self.form.halts.append(&mut batch.halts);
            self.form.source_order.extend(batch.needs_order);
        }
    }

    /// Notes under which names the rows of its steps may be parked, and whether parked rows may go on after it. What one
    /// of the `tried` steps parks a later one may let through.
    pub(super) fn note(
        &mut self,
        (batch, tried): (&Batch, &BTreeSet<usize>),
        tables: &Tables,
        book: &StreamState,
    ) {
        let marks = self
            .gathered
            .transactions
            .iter()
            .flat_map(|transaction| &transaction.marks);
        let mut asked = marks.filter(|mark| mark.prefix == RETRY).peekable();
        self.form.wakes_quarantine = !batch.steps.is_empty() || asked.peek().is_some();
        self.form.recheck_types = asked.any(|mark| mark.content == REFIT);
        self.form.names.clear();
        self.form.rekey_steps.clear();
        for (number, step) in batch.steps.iter().enumerate() {
            if step.work == StepKind::Rekey {
                self.form.rekey_steps.insert(number);
            }
            if book.parking.of(step.table).is_none() && !tried.contains(&number) {
                continue;
            }
            let table = tables.get(step.table);
            let names = step
                .rows
                .iter()
                .filter_map(|row| parking_name(table, &row.layout, &row.tuple));
            self.form.names.insert(number, names.collect());
        }
    }
}

/// A transaction in the staging table.
pub struct LargeJob {
    /// What it is, apart from its rows.
    pub facts: Facts,
    /// Its steps, by number.
    pub steps: Vec<StagedStep>,
    /// Tables in which a step may remove a key that another one writes.
    pub rekeyed: BTreeSet<TableId>,
    /// What became of its messages.
    pub counts: BTreeMap<TableId, Counts>,
    /// How it is written.
    pub form: Attempt,
}

impl LargeJob {
    /// What its final transaction says.
    pub(super) fn statements(
        &self,
        tables: &Tables,
        book: &StreamState,
        lease: &Lease,
    ) -> (Batch, Vec<Statement>) {
        let stopped: BTreeSet<_> = self.form.halts.iter().map(|halt| halt.table).collect();
        let counts = self.counts.iter().map(|(table, counts)| {
            let missed = Counts {
                missed: counts.received + counts.missed,
                ..Counts::default()
            };
            let counts = if stopped.contains(table) {
                missed
            } else {
                *counts
            };
            (*table, counts)
        });
        let heartbeat = self
            .facts
            .marks
            .iter()
            .rev()
            .filter(|mark| mark.prefix == HEARTBEAT);
        let batch = Batch {
            counts: counts.collect(),
            end: self.facts.end,
            committed_at: self.facts.committed_at,
            transactions: self.facts.transactions,
            heartbeat: { heartbeat }.find_map(|mark| String::from_utf8(mark.content.to_vec()).ok()),
            ..Batch::default()
        };
        let going = self.steps.iter().cloned().enumerate();
        let going: Vec<_> = going
            .filter(|(_, step)| !stopped.contains(&step.table))
            .collect();
        let manner = WriteContext {
            patience: limits::TRY_LONG_MAX,
            ..manner(lease, batch.end)
        };
        let knots = self
            .form
            .row_by_row
            .iter()
            .filter_map(|number| self.step(Some(*number)));
        let knots: Vec<_> = knots.map(|step| tables.get(step.table)).collect();
        let tied = |(_, step): &(usize, &StagedStep)| {
            let table = tables.get(step.table);
            knots.iter().any(|knot| table.is_tied_to(knot))
        };
        let together = { self.steps.iter().enumerate() }.filter(tied);
        let row_by_row = together.map(|(number, _)| number);
        let form = StagedForm {
            row_by_row: &row_by_row
                .chain(self.form.row_by_row.iter().copied())
                .collect(),
            rekeyed: &self.rekeyed,
            deletes_first: !self.form.source_order.is_empty(),
            stopped: &|table| stopped.contains(&table) || book.is_stopped(table),
        };
        let statements = staged(&going, &batch.counts, tables, &manner, &form);
        (batch, statements)
    }

    fn step(&self, number: Option<usize>) -> Option<&StagedStep> {
        self.steps.get(number?)
    }

    /// The step's table was emptied first.
    pub(super) fn is_whole(&self, number: Option<usize>) -> bool {
        self.step(number).is_some_and(|step| step.whole)
    }

    /// The step needs rows as they stand under other keys, so that its own can't be parked.
    pub(super) fn is_moved(&self, number: Option<usize>) -> bool {
        self.step(number).is_some_and(StagedStep::moves)
    }
}
