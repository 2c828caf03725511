//! A large transaction in one pass: its changes are folded and sent as they come, into one cloud transaction that stays open
//! until the last of them is there.
//!
//! Each chunk is to the cloud what a batch of its own would be, so it may do only what comes to the same however the transaction
//! is cut: insert and update rows by their keys. Deletes, keys that change, the phones' rows, what the cloud owns, what is
//! parked or too large needs all of the transaction. Nothing is kept to be sent again: whatever goes wrong ends the session,
//! and with it the cloud's transaction; the next session stages it.

use std::collections::BTreeSet;
use std::time::Instant;

use super::attempt::{Attempt, manner};
use super::command::{Command, OutgoingChunk};
use super::event::{Done, Outcome};
use super::notes::Note;
use super::state::{Machine, SentChunk};
use crate::apply::{ApplyError, Script, goes_on};
use crate::fault::{Fault, blames_table};
use crate::flows::copy::{is_ours, not_applied};
use crate::flows::forward::batcher::{Chunk, not_in_one_pass};
use crate::fold::{REFIT, RETRY, fold};
use crate::limits;
use crate::model::{Batch, Key, LogicalMessage, Step, StepKind, Table, Transaction};
use crate::plan::{BatchForm, any_joins, opening};

impl Machine {
    /// Part of a transaction can be taken: `first`, or more of one that has begun. `room` as in [`Machine::has_room`].
    pub fn takes_chunk(&self, first: bool, room: bool, now: Instant) -> bool {
        match &self.pass {
            None => first && !self.is_busy() && !self.closing && !self.wants_quiet(now),
            Some(pass) => {
                let few = pass.flights.len() < limits::CHUNKS_IN_FLIGHT;
                !first && few && room && !self.closing && self.chunk.is_none()
            }
        }
    }

    /// A transaction goes in one pass, and isn't through.
    pub fn is_passing(&self) -> bool {
        self.pass.is_some()
    }

    /// Chunks are on their way.
    pub(super) fn has_chunks_out(&self) -> bool {
        { self.pass.iter() }.any(|pass| !pass.flights.is_empty())
    }

    /// What becomes of the next chunk.
    pub(super) fn next_chunk(&mut self, chunk: Box<Chunk>) -> Command {
        let transactions = std::slice::from_ref(&chunk.transaction);
        let in_order = BTreeSet::new();
        let (tables, sorter) = (&self.tables, &mut self.sorter);
        let mut batch = fold(transactions, tables, sorter, &mut self.book, &in_order);
        self.book.look_again();
        if !self.is_plain(&batch) {
            return match self.pass {
                None => Command::TakeBack(chunk),
                Some(_) => Command::GiveUp(not_in_one_pass("not all of it inserts or updates")),
            };
        }
        let begins = self.pass.is_none();
        let pass = self.pass.get_or_insert_default();
        for (table, counts) in &batch.counts {
            pass.counts.entry(*table).or_default().add(*counts);
        }
        let Chunk {
            transaction,
            is_last,
            memory,
            ..
        } = *chunk;
        let steps = std::mem::take(&mut batch.steps);
        let from = self.sent;
        let end = is_last.then(|| {
            pass.is_whole = true;
            batch.counts = std::mem::take(&mut pass.counts).into_iter().collect();
            self.sent = batch.end;
            (from, batch)
        });
        pass.flights.push_back(SentChunk {
            _memory: memory,
            end: is_last.then(|| last_form(&transaction)),
        });
        Command::SendChunk(OutgoingChunk {
            begins,
            steps,
            commit: transaction.commit,
            end,
        })
    }

    /// It comes to the same however the transaction is cut.
    fn is_plain(&self, batch: &Batch) -> bool {
        let plain = |step: &Step| {
            let shape = &step.shape;
            let whole = !shape.moved && !shape.parked && !shape.waits();
            step.work == StepKind::Upsert
                && whole
                && !shape.mobile
                && !shape.reborn
                && shape.null_keys.is_empty()
        };
        let mut touched = { batch.counts.iter() }.filter(|(_, counts)| counts.received > 0);
        batch.halts.is_empty()
            && batch.needs_order.is_empty()
            && touched.all(|(table, _)| self.takes_chunks(self.tables.get(*table)))
            && batch.steps.iter().all(plain)
    }

    /// Rows of this table may be written before all of the transaction is known.
    fn takes_chunks(&self, table: &Table) -> bool {
        let owned = table.columns.iter().any(|column| column.cloud_owned);
        table.key != Key::Multiset
            // Two rows of one key have to meet something that says so.
            && table.indexed
            // A row may wait for one that comes later.
            && !table.refers_to_itself
            && table.tenant.via.is_none()
            // What the cloud owns is decided from how the whole transaction leaves a row.
            && !table.returns
            && !owned
            && self.book.parking.of(table.id).is_none()
    }

    /// The statements of a chunk.
    pub fn chunk_script(&mut self, chunk: OutgoingChunk) -> Script {
        let OutgoingChunk {
            begins,
            steps,
            commit,
            end,
        } = chunk;
        let mut start = match begins {
            true => opening(&self.opening),
            false => vec![any_joins()],
        };
        start.push(goes_on(&self.lease));
        let book = &self.book;
        let form = BatchForm {
            row_by_row: &BTreeSet::new(),
            stopped: &|table| book.is_stopped(table),
        };
        let manner = manner(&self.lease, commit);
        let planner = &mut self.planner;
        let rows = planner.statements(steps, &[], &self.tables, &manner, &form);
        let statements = start.into_iter().chain(rows);
        match end {
            None => Script::open(statements),
            Some((from, batch)) => {
                // The transaction has begun already.
                let [_, advance] = self.start_of(&batch, from, (false, true));
                Script::moving(statements.chain([advance]), batch.end)
            }
        }
    }

    /// The cloud has the first chunk that was on its way.
    pub(super) fn chunk_taken(&mut self, done: &Done, now: Instant) -> Result<Outcome, Fault> {
        let flight = self.pass.as_mut().and_then(|pass| pass.flights.pop_front());
        let Some(SentChunk { end, .. }) = flight else {
            return Err(not_applied(ApplyError::Undone));
        };
        match end {
            None => {
                self.note_late(done, now);
                Ok(Outcome::Again)
            }
            Some(form) => {
                self.pass = None;
                self.committed((form, true), done, now)
            }
        }
    }

    /// The cloud refused something, and undid all of it.
    pub(super) fn chunk_refused(&mut self, error: ApplyError) -> Fault {
        self.pass = None;
        let ApplyError::Refused { table, step, error } = error else {
            return not_applied(error);
        };
        if !blames_table(&error) && !is_ours(&error) {
            return not_applied(ApplyError::Refused { table, step, error });
        }
        let why = format!("{} (SQLSTATE {})", error.message, error.code);
        self.notes.push(Note::Refused { step, error });
        not_in_one_pass(&why)
    }

    /// Nothing more is sent. Says whether a transaction is given up of which not all was sent.
    pub(super) fn leave_pass(&mut self) -> bool {
        self.chunk = None;
        self.pass.take_if(|pass| !pass.is_whole).is_some()
    }
}

/// What follows when the cloud has all of it.
fn last_form(transaction: &Transaction) -> Attempt {
    let wants_fit = |mark: &LogicalMessage| mark.prefix == RETRY && mark.content == REFIT;
    Attempt {
        wakes_quarantine: true,
        recheck_types: transaction.marks.iter().any(wants_fit),
        ..Attempt::default()
    }
}
