//! What has to be done in the cloud, and the statements for it.

use std::collections::BTreeSet;

use super::attempt::{LargeJob, manner};
use super::one_pass::OutgoingChunk;
use super::{Chunk, ExclusiveJob, Machine};
use crate::apply::{Advance, Script, advance, assert_lease};
use crate::fault::Fault;
use crate::flows::copy::stop_state;
use crate::model::{Batch, Lsn, Statement, TableId, TableStop};
use crate::plan::{BatchForm, TransactionSettings, table_state};
use crate::spill::Spill;

/// What has to be done in the cloud.
pub enum Command {
    /// Send a batch behind those that are on their way; [`Machine::script`] has its statements.
    Send(Outgoing),
    /// Send part of a transaction behind the others of it; [`Machine::chunk_script`] has its statements.
    SendChunk(OutgoingChunk),
    /// A transaction can't go in one pass, and nothing of it was sent: it takes another way.
    TakeBack(Box<Chunk>),
    /// A transaction can't go on in one pass: the session ends, and with it what was sent.
    GiveUp(Fault),
    /// Run a transaction while nothing else is on its way.
    Run(Errand, Script),
    /// Stage a large transaction, while nothing else is on its way.
    Stage(Box<Spill>),
}

/// A batch in the form in which it is sent.
#[derive(Debug)]
pub struct Outgoing {
    /// Where the checkpoint must stand before it...
    pub from: Lsn,
    /// ...and what takes it to its end.
    pub batch: Batch,
    /// Steps that are tried row by row.
    pub row_by_row: BTreeSet<usize>,
    /// Constraints are asked with each statement.
    pub at_once: bool,
    /// Tables that stop with it.
    pub stops: Vec<TableStop>,
    /// Its end renews the lease.
    pub renews: bool,
    /// Its COMMIT waits for the disk.
    pub flush: bool,
}

/// What a transaction is for that has the connection for itself.
#[derive(Debug)]
pub enum Errand {
    /// A large transaction goes from the staging table into its tables.
    Large {
        /// Where the checkpoint must stand before it.
        from: Lsn,
        /// Where it stands after it.
        to: Lsn,
        /// Steps that are tried row by row.
        row_by_row: BTreeSet<usize>,
        /// Tables that stop with it.
        stops: Vec<TableStop>,
    },
    /// The staging table is emptied.
    Unstage,
    /// Parked rows of these tables are tried again.
    Retry(Vec<TableId>),
    /// Rows whose parents came in another way get their references.
    Heal,
    /// What the cloud has is written to its disk.
    Flush,
    /// Is a column wider now?
    Widened,
}

impl Machine {
    /// The statements of a batch.
    pub fn script(&mut self, outgoing: Outgoing) -> Script {
        let Outgoing {
            from,
            mut batch,
            row_by_row,
            at_once,
            stops,
            renews,
            flush,
        } = outgoing;
        let start = self.start_of(&batch, from, (at_once, flush));
        let renewal = renews.then(|| assert_lease(&self.lease));
        let (steps, counts) = (std::mem::take(&mut batch.steps), &batch.counts);
        let book = &self.book;
        let form = BatchForm {
            row_by_row: &row_by_row,
            stopped: &|table| book.is_stopped(table),
        };
        let manner = manner(&self.lease, batch.end);
        let planner = &mut self.planner;
        let rows = planner.statements(steps, counts, &self.tables, &manner, &form);
        let stops = self.stops(&stops);
        let statements = start.into_iter().chain(rows).chain(stops).chain(renewal);
        let script = Script::moving(statements, batch.end);
        match flush {
            true => script,
            false => script.unflushed(),
        }
    }

    /// Carries out a staged transaction.
    pub(super) fn send_large(&mut self, job: Box<LargeJob>) {
        let (batch, statements) = job.statements(&self.tables, &self.book, &self.lease);
        let mut all = self
            .start_of(&batch, self.sent, (job.form.at_once, true))
            .to_vec();
        all.extend(statements);
        let settles = job
            .facts
            .settles
            .iter()
            .map(|table| self.tables.get(*table));
        if !job.facts.settles.is_empty() {
            all.push(table_state::settle(&self.lease.replicator, settles));
        }
        all.extend(self.stops(&job.form.halts));
        all.push(assert_lease(&self.lease));
        for halt in &job.form.halts {
            self.book.stop(halt.table);
        }
        let errand = Errand::Large {
            from: self.sent,
            to: batch.end,
            row_by_row: job.form.row_by_row.clone(),
            stops: job.form.halts.clone(),
        };
        self.sent = batch.end;
        let script = Script::moving(all, batch.end);
        self.run(ExclusiveJob::Large(job), errand, script);
    }

    pub(super) fn run(&mut self, job: ExclusiveJob, errand: Errand, script: Script) {
        self.exclusive = Some(job);
        self.order = Some(Command::Run(errand, script));
    }

    fn stops(&self, halts: &[TableStop]) -> Vec<Statement> {
        let stop = |halt: &TableStop| {
            let table = self.tables.get(halt.table);
            stop_state(&self.lease.replicator, table, halt.way, &halt.why)
        };
        halts.iter().map(stop).collect()
    }

    /// BEGIN, settings, the compare-and-set.
    pub(super) fn start_of(
        &self,
        batch: &Batch,
        from: Lsn,
        (at_once, flush): (bool, bool),
    ) -> [Statement; 2] {
        let settings = TransactionSettings {
            flush,
            ..self.opening.clone()
        };
        let step = Advance {
            lease: &self.lease,
            from: Some(from),
            to: batch.end,
            committed_at: Some(batch.committed_at),
            settings: &settings,
            at_once,
        };
        advance(&step, Some(batch), &self.tables)
    }
}
