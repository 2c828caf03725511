//! Messages become transactions, transactions become batches; each keeps the memory that it holds.

mod chunk;
mod chunks;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::backlog::Backlog;
use crate::capture::{Delivery, Piece, budget};
use crate::config;
use crate::decode::Assembler;
use crate::failpoint;
use crate::fault::{Fault, Kind};
use crate::flows::copy::ChangeTracker;
use crate::fold::{Echoes, RELOAD, SWAP};
use crate::limits;
use crate::model::{
    Change, ChangeOrigin, Charset, Lsn, Operation, Snapshot, Tables, Timestamp, Transaction,
};
use crate::spill::Spill;
use chunk::Way;
pub use chunk::{Attempts, Chunk};
pub(super) use chunk::{HeldMemory, not_in_one_pass};

/// A run of whole transactions, and the memory that they hold until they are committed.
pub struct PendingBatch {
    pub(super) transactions: Vec<Transaction>,
    /// More comes at once behind it.
    pub followed: bool,
    /// Given back when the batch is committed and this is dropped.
    _memory: Option<OwnedSemaphorePermit>,
}

impl PendingBatch {
    /// Transactions whose memory nobody counts, and behind which nothing is known to come.
    pub fn of(transactions: Vec<Transaction>) -> PendingBatch {
        PendingBatch {
            transactions,
            followed: false,
            _memory: None,
        }
    }
}

/// What is written in one cloud transaction.
pub enum WorkItem {
    /// Transactions that fit into memory.
    Batch(PendingBatch),
    /// One that doesn't, or that emptied a table.
    Large(Box<Spill>),
    /// Some changes of one that doesn't, and that goes as it comes.
    Chunk(Box<Chunk>),
}

/// What has come and wasn't sent yet.
pub(super) struct Batcher {
    assembler: Assembler,
    tables: Arc<Tables>,
    whole: VecDeque<Queued>,
    /// Memory of messages whose transaction isn't whole yet.
    open: Option<OwnedSemaphorePermit>,
    /// The open transaction's first part, once it has become too large.
    spill: Option<Box<Spill>>,
    /// Which way it goes then.
    way: Way,
    /// Which transactions have begun to go in one pass.
    attempts: Attempts,
    /// Rows and bytes of what is whole, and since when the first has waited.
    rows: usize,
    bytes: usize,
    since: Option<Instant>,
    /// How many transactions the next batch has, and how long it waits for them, where a test says so.
    cut: Option<(usize, Duration)>,
    /// How many of those that wait are large.
    large: usize,
    /// All that the cloud doesn't have, also what is on its way there.
    missing: Backlog,
    /// More is there already, and comes at once.
    backlog: bool,
    /// Tables that are being copied.
    watch: Option<ChangeTracker>,
    /// The transactions that came last.
    recent: VecDeque<u32>,
    /// Somebody asked for a swap.
    asked: bool,
    /// Somebody asked that the settings are read again.
    reload: bool,
    /// The word that our own writes from the cloud carry.
    nonce: String,
    /// Changes of rows that an open transaction of ours names: they can't be judged before it is whole.
    named: Vec<Change>,
    batch_wait: Duration,
    rows_max: usize,
    bytes_max: usize,
    open_max: usize,
    /// What messages may hold in all.
    memory_max: u64,
}

enum Queued {
    Whole(Transaction, Option<OwnedSemaphorePermit>),
    Large(Box<Spill>),
    Chunk(Box<Chunk>),
}

impl Batcher {
    pub(super) fn new(
        forward: &config::Forward,
        tables: Arc<Tables>,
        (nonce, attempts): (String, Attempts),
        charset: Option<Charset>,
    ) -> Batcher {
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Batcher {
            assembler: Assembler::reading(charset),
            tables,
            whole: VecDeque::new(),
            open: None,
            spill: None,
            way: Way::default(),
            attempts,
            rows: 0,
            bytes: 0,
            since: None,
            cut: failpoint::cut(),
            large: 0,
            missing: Backlog::default(),
            backlog: false,
            watch: None,
            recent: VecDeque::new(),
            asked: false,
            reload: false,
            nonce,
            named: Vec::new(),
            batch_wait: forward.batch_wait,
            rows_max: forward.batch_rows as usize,
            bytes_max: bytes(forward.batch_bytes),
            open_max: bytes(forward.memory_max) / limits::SPILL_SHARE,
            memory_max: budget(forward.memory_max),
        }
    }

    /// Takes what the desktop sent.
    ///
    /// # Errors
    /// When it can't be: the session ends, and nothing of the transaction was written.
    pub(super) fn take(&mut self, delivery: Delivery) -> Result<(), Fault> {
        self.backlog = delivery.backlog;
        match &mut self.open {
            Some(open) => open.merge(delivery.memory),
            None => self.open = Some(delivery.memory),
        }
        for Piece { message, too_large } in delivery.messages {
            let whole = self.assembler.push(&message).map_err(|disorder| {
                Fault::new(
                    Kind::Damaged,
                    "the desktop sent something that can't be read",
                )
                .cause(disorder)
                .hint("nothing of this transaction was written")
            })?;
            if let Some(bytes) = too_large {
                self.assembler.was_too_large(bytes);
            }
            // Whoever waits for room comes as soon as memory is given back: nothing may hold it then.
            drop(message);
            match whole {
                Some(transaction) => self.keep(transaction)?,
                None if self.assembler.open_bytes() > self.open_limit() => self.overflow()?,
                None => {}
            }
        }
        if self.assembler.open_bytes() == 0 {
            self.open = None;
        }
        Ok(())
    }

    fn keep(&mut self, mut transaction: Transaction) -> Result<(), Fault> {
        let bytes = transaction.bytes;
        if self.recent.len() == limits::RECENT_TRANSACTIONS {
            self.recent.pop_front();
        }
        self.recent.push_back(transaction.xid);
        transaction.changes.splice(..0, self.named.drain(..));
        if let Some(echoes) = Echoes::of(&transaction.marks, &self.nonce, &self.tables) {
            echoes.judge(&mut transaction.changes, &self.tables);
        }
        self.asked |= { transaction.marks.iter() }.any(|mark| mark.prefix == SWAP);
        self.reload |= { transaction.marks.iter() }.any(|mark| mark.prefix == RELOAD);
        if let Some(watch) = &mut self.watch {
            let looked = watch.look(&mut transaction, &self.tables);
            looked.map_err(|error| no_room(&error))?;
        }
        let is_large = self.spill.is_some() || self.is_in_one_pass();
        let carries_rows = is_large || { transaction.changes.iter() }
            .any(|change| change.hand != ChangeOrigin::Echo);
        self.missing.came(&transaction, carries_rows);
        if self.is_in_one_pass() {
            return self.end_pass(transaction);
        }
        self.way = Way::default();
        let emptied = |change: &Change| change.operation == Operation::Truncate;
        let large = match self.spill.take() {
            Some(mut spill) => {
                for change in &transaction.changes {
                    spill
                        .push(change, &self.tables)
                        .map_err(|error| no_room(&error))?;
                }
                spill.finish(transaction);
                Some(spill)
            }
            None if transaction.changes.iter().any(emptied) => {
                let spill = Spill::of(transaction, &self.tables);
                Some(Box::new(spill.map_err(|error| no_room(&error))?))
            }
            None => {
                let memory = self.memory(bytes);
                self.rows += transaction.changes.len();
                self.bytes += transaction.bytes;
                self.whole.push_back(Queued::Whole(transaction, memory));
                None
            }
        };
        if let Some(spill) = large {
            drop(self.memory(bytes));
            self.whole.push_back(Queued::Large(spill));
            self.large += 1;
        }
        self.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// The cloud has everything up to here.
    pub(super) fn committed(&mut self, checkpoint: Lsn) {
        self.missing.committed(checkpoint);
    }

    /// When the oldest transaction committed that the cloud doesn't have.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.missing.oldest(self.assembler.open_committed_at())
    }

    /// The memory of that many bytes of what has come last.
    fn memory(&mut self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let open = self.open.as_mut()?;
        open.split(bytes.min(open.num_permits()))
    }

    /// More waits than the cloud takes at once: what is still on the desktop has time.
    pub(super) fn has_enough(&self) -> bool {
        let ahead = limits::BATCHES_AHEAD;
        self.rows >= ahead * self.rows_max || self.bytes >= ahead * self.bytes_max || self.is_full()
    }

    /// A large transaction waits: each takes disk and open files, so no more is taken until the cloud has it.
    pub(super) fn is_full(&self) -> bool {
        self.large > 0
    }

    /// No large transaction waits or is on its way: what has come of one is past looking through.
    pub(super) fn is_calm(&self) -> bool {
        let chunk = |queued: &Queued| matches!(queued, Queued::Chunk(_));
        let passes = self.is_in_one_pass() || self.whole.iter().any(chunk);
        self.large == 0 && self.spill.is_none() && !passes
    }

    /// Nothing waits to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty()
    }

    /// All transactions that came so far are in what `snapshot` sees, as far as they are remembered.
    pub(super) fn is_seen(&self, snapshot: &Snapshot) -> bool {
        self.recent.iter().all(|xid| snapshot.sees(*xid))
    }

    /// From now on looks out for changes of tables that are being copied.
    pub(super) fn watch(&mut self, watch: ChangeTracker) {
        self.watch = Some(watch);
    }

    /// Looks out no longer.
    pub(super) fn unwatch(&mut self) -> Option<ChangeTracker> {
        self.watch.take()
    }

    /// Whether somebody has asked for a swap since this was asked last.
    pub(super) fn was_asked(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Nothing waits but one transaction, and what comes next of it finds no room: it would wait for ever.
    ///
    /// # Errors
    /// When the disk has no room either.
    pub(super) fn make_room(&mut self, wanted: u64) -> Result<(), Fault> {
        let open = self.assembler.open_bytes() as u64;
        if wanted > 0 && open > 0 && open + wanted > self.memory_max {
            self.overflow()?;
        }
        Ok(())
    }

    /// Whether somebody has asked for the settings to be read since this was asked last.
    pub(super) fn was_told_to_reload(&mut self) -> bool {
        std::mem::take(&mut self.reload)
    }

    /// Takes up other limits for batches; memory that is held stays as it is.
    pub(super) fn limit(&mut self, forward: &config::Forward) {
        self.batch_wait = forward.batch_wait;
        self.rows_max = forward.batch_rows as usize;
        self.bytes_max = usize::try_from(forward.batch_bytes).unwrap_or(usize::MAX);
    }

    /// Puts what has come of the open transaction on disk, and gives its memory back.
    fn spill_open(&mut self) -> Result<(), Fault> {
        let bytes = self.assembler.open_bytes();
        let spill = self.spill.get_or_insert_default();
        let mut changes = self.assembler.take_open();
        if let Some(echoes) = Echoes::of(self.assembler.open_marks(), &self.nonce, &self.tables) {
            let (named, mut others): (Vec<_>, _) =
                { changes.into_iter() }.partition(|change| echoes.names(change, &self.tables));
            { others.iter_mut() }
                .for_each(|change: &mut Change| change.hand = ChangeOrigin::OwnTransaction);
            self.named.extend(named);
            changes = others;
        }
        if let Some(watch) = &mut self.watch {
            let looked = watch.look_at_part(&self.assembler, &mut changes, &self.tables);
            looked.map_err(|error| no_room(&error))?;
        }
        for change in &changes {
            spill
                .push(change, &self.tables)
                .map_err(|error| no_room(&error))?;
        }
        drop(changes);
        drop(self.memory(bytes));
        Ok(())
    }

    /// When the next unit is to be written; none when there is none. `next` says when the cloud should be done with
    /// what is on its way; without it nothing is.
    pub(super) fn due(&self, next: Option<Instant>) -> Option<Instant> {
        let since = self.since.filter(|_| !self.whole.is_empty())?;
        if let Some(Queued::Large(_)) = self.whole.front() {
            // It needs the connection for itself.
            return next.is_none().then_some(since);
        }
        if self.is_batch() || self.next_chunk().is_some() {
            return Some(since);
        }
        if let Some((transactions, patience)) = self.cut {
            let whole = self.whole.len() >= transactions;
            return Some(if whole { since } else { since + patience });
        }
        // A cloud that is faster than the log is read has time for fewer, larger batches.
        let gathered = match self.backlog {
            true => since + limits::BACKLOG_GATHER,
            false => since,
        };
        Some(
            next.map_or(gathered, |next| next.max(gathered))
                .min(since + self.batch_wait),
        )
    }

    /// What waits is as much as a batch may have.
    fn is_batch(&self) -> bool {
        self.rows >= self.rows_max || self.bytes >= self.bytes_max || self.is_full()
    }

    /// What is written next: whole transactions up to the settings' limits, at least one if there is one.
    pub(super) fn next(&mut self) -> Option<WorkItem> {
        let unit = self.unit();
        self.cut = failpoint::cut();
        self.since = (!self.whole.is_empty()).then(Instant::now);
        unit
    }

    fn unit(&mut self) -> Option<WorkItem> {
        if let Some(chunk) = self.pop_chunk() {
            return Some(WorkItem::Chunk(chunk));
        }
        let (mut transactions, mut memory) = (Vec::new(), None::<OwnedSemaphorePermit>);
        let (mut rows, mut bytes) = (0, 0);
        let most = self
            .cut
            .map_or(usize::MAX, |(transactions, _)| transactions);
        while rows < self.rows_max && bytes < self.bytes_max && transactions.len() < most {
            match self.whole.pop_front() {
                None => break,
                Some(Queued::Large(spill)) if transactions.is_empty() => {
                    self.large -= 1;
                    return Some(WorkItem::Large(spill));
                }
                Some(large @ (Queued::Large(_) | Queued::Chunk(_))) => {
                    self.whole.push_front(large);
                    break;
                }
                Some(Queued::Whole(transaction, held)) => {
                    rows += transaction.changes.len();
                    bytes += transaction.bytes;
                    self.rows -= transaction.changes.len();
                    self.bytes -= transaction.bytes;
                    transactions.push(transaction);
                    match (&mut memory, held) {
                        (Some(memory), Some(held)) => memory.merge(held),
                        (None, held) => memory = held,
                        (Some(_), None) => {}
                    }
                }
            }
        }
        let followed = match self.whole.front() {
            Some(Queued::Whole(..)) => true,
            Some(Queued::Large(_) | Queued::Chunk(_)) => false,
            None => self.backlog && self.is_calm(),
        };
        (!transactions.is_empty()).then_some(WorkItem::Batch(PendingBatch {
            transactions,
            followed,
            _memory: memory,
        }))
    }
}

/// The temporary folder has no room for a large transaction.
pub(super) fn no_room(error: &std::io::Error) -> Fault {
    let folder = std::env::temp_dir();
    let what = format!(
        "a large transaction of the desktop can't be kept in {}",
        folder.display()
    );
    Fault::new(Kind::NoRoom, what)
        .cause(error)
        .hint("nothing is lost, the desktop keeps it; make room there, or set TMPDIR to a folder with room")
}
