//! One batch to the cloud, and what to do when the cloud refuses it.

use std::future::pending;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::super::fill::{describe, not_applied, set_state};
use super::gather::Gathered;
use crate::apply::{Advance, Applier, Done, Lease, NotApplied, Script, advance};
use crate::fault::{Fault, Kind, Side, blames_table};
use crate::fold::{Book, fold, in_order};
use crate::model::{Batch, Committed, Halt, Statement, TableId, Tables, Transaction};
use crate::plan::{Opening, Planner, opening};
use crate::wire::ServerError;

/// Writes batches one behind the other.
pub(super) struct Writer<'a> {
    opening: Opening,
    lease: Lease,
    tables: &'a Tables,
    book: Book,
    planner: Planner,
    checkpoint: Committed,
    applier: Option<Applier>,
    flight: Option<Flight>,
}

/// A batch that the cloud is working on.
struct Flight {
    answer: JoinHandle<(Applier, Result<Done, NotApplied>)>,
    transactions: Vec<Transaction>,
    _memory: Option<OwnedSemaphorePermit>,
    /// It was sent in source order already.
    ordered: bool,
    rows: Vec<usize>,
}

/// What became of a batch.
pub(super) enum Outcome {
    /// It is in the cloud.
    Committed(Committed),
    /// It was sent again in another form.
    Again,
}

impl<'a> Writer<'a> {
    pub(super) fn new(applier: Applier, opening: Opening, lease: Lease, tables: &'a Tables, book: Book, checkpoint: Committed) -> Writer<'a> {
        let (planner, applier) = (Planner::default(), Some(applier));
        Writer { opening, lease, tables, book, planner, checkpoint, applier, flight: None }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.flight.is_some()
    }

    /// Sends a batch; [`Writer::outcome`] tells what became of it.
    pub(super) fn write(&mut self, gathered: Gathered) {
        let Gathered { transactions, memory } = gathered;
        let batch = self.fold(&transactions, false);
        self.send(transactions, memory, batch, false);
    }

    /// Folds; where a table has to stop, again without it.
    fn fold(&mut self, transactions: &[Transaction], ordered: bool) -> Batch {
        let form = if ordered { in_order } else { fold };
        let mut batch = form(transactions, self.tables, &mut self.book);
        let mut halts = Vec::new();
        while !batch.halts.is_empty() {
            halts.append(&mut batch.halts);
            batch = form(transactions, self.tables, &mut self.book);
        }
        if batch.needs_order {
            batch = in_order(transactions, self.tables, &mut self.book);
        }
        batch.halts = halts;
        batch
    }

    fn send(&mut self, transactions: Vec<Transaction>, memory: Option<OwnedSemaphorePermit>, batch: Batch, ordered: bool) {
        let Some(mut applier) = self.applier.take() else { return };
        let script = self.script(&batch);
        let rows = batch.steps.iter().map(|step| step.rows.len()).collect();
        let ordered = ordered || batch.needs_order;
        let answer = tokio::spawn(async move {
            let answer = applier.run(&script).await;
            (applier, answer)
        });
        self.flight = Some(Flight { answer, transactions, _memory: memory, ordered, rows });
    }

    /// BEGIN, settings, the compare-and-set, rows, the states of tables that stop.
    fn script(&mut self, batch: &Batch) -> Script {
        let (from, to) = (Some(self.checkpoint.lsn()), batch.end);
        let step = Advance { lease: &self.lease, from, to, committed_at: Some(batch.committed_at) };
        let mut statements = opening(&self.opening);
        statements.push(advance(&step, Some(batch), self.tables));
        statements.extend(self.planner.statements(&batch.steps, self.tables));
        for Halt { table, why } in &batch.halts {
            statements.push(self.stopped(*table, why));
        }
        Script { statements, checkpoint: Some(batch.end), look_only: false }
    }

    fn stopped(&self, table: TableId, why: &str) -> Statement {
        let table = self.tables.get(table);
        tracing::error!(table = %table.name, why, "stopped; the other tables go on");
        set_state(&self.lease.replicator, table, "stopped", Some(why))
    }

    /// Waits for the cloud's answer. Safe to cancel.
    pub(super) async fn outcome(&mut self) -> Result<Outcome, Fault> {
        let Some(flight) = &mut self.flight else { return pending().await };
        let answered = (&mut flight.answer).await;
        let flight = self.flight.take();
        let ((applier, answer), Some(flight)) = (answered.map_err(internal)?, flight) else { return pending().await };
        self.applier = Some(applier);
        match answer {
            Ok(Done { committed: Some(committed), .. }) => {
                self.checkpoint = committed;
                Ok(Outcome::Committed(committed))
            }
            Ok(Done { committed: None, .. }) | Err(NotApplied::Undone) => Err(not_applied(NotApplied::Undone)),
            Err(NotApplied::Refused { table, step, error }) => self.refused(flight, table, step, error),
            Err(error) => Err(not_applied(error)),
        }
    }

    /// The same batch in source order; if that doesn't help, without the table that is refused.
    fn refused(&mut self, flight: Flight, table: Option<TableId>, step: Option<usize>, error: Box<ServerError>) -> Result<Outcome, Fault> {
        let table = table.or_else(|| self.named(&error));
        let Some(table) = table.filter(|_| blames_table(&error)) else {
            return Err(not_applied(NotApplied::Refused { table, step, error }));
        };
        let Flight { transactions, _memory: memory, ordered, rows, .. } = flight;
        if error.code == "23505" && !ordered {
            let batch = self.fold(&transactions, true);
            self.send(transactions, memory, batch, true);
            return Ok(Outcome::Again);
        }
        let among = step.and_then(|step| rows.get(step)).map(|rows| format!(" (one of {rows} rows written together)"));
        let why = format!("{}{}", describe(&error, None), among.unwrap_or_default());
        self.book.stop(table);
        let mut batch = self.fold(&transactions, false);
        batch.halts.push(Halt { table, why });
        self.send(transactions, memory, batch, false);
        Ok(Outcome::Again)
    }

    /// The table that an error at COMMIT names: a deferred constraint doesn't say whose statement it was.
    fn named(&self, error: &ServerError) -> Option<TableId> {
        let (schema, relation) = (error.schema.as_ref()?, error.table.as_ref()?);
        let found = self.tables.iter().find(|table| table.cloud.schema == *schema && table.cloud.relation == *relation);
        found.map(|table| table.id)
    }

    /// Waits for the batch that is on its way, if there is one.
    pub(super) async fn finish(&mut self) -> Result<Option<Committed>, Fault> {
        while self.is_busy() {
            self.outcome().await?;
        }
        Ok(Some(self.checkpoint))
    }

    /// Says goodbye to the cloud.
    pub(super) async fn close(self) {
        if let Some(applier) = self.applier {
            applier.close().await;
        }
    }
}

fn internal(error: tokio::task::JoinError) -> Fault {
    Fault::new(Kind::Internal, "internal check failed: the task that writes to the cloud ended")
        .cause(error)
        .hint(format!("nothing unfinished was committed to the {}; a restart goes on from the checkpoint", Side::Cloud))
}
