//! A large transaction in one pass: while it only inserts and updates, its changes go to the cloud as they come, in one
//! transaction that stays open there. Nothing of them is kept: an attempt that comes to nothing is undone as a whole, and the
//! next session has the transaction again, which then goes through the disk and the staging table.

use std::time::Instant;

use super::chunk::{Chunk, HeldMemory, Way, not_in_one_pass};
use super::{Batcher, Queued, no_room};
use crate::fault::Fault;
use crate::fold::Echoes;
use crate::limits;
use crate::model::{Change, LogicalMessage, Operation, Transaction};
use crate::spill::Spill;

impl Batcher {
    /// What the open transaction may hold before something of it has to go.
    pub(super) fn open_limit(&self) -> usize {
        match self.way.is_one_pass() {
            true => self.chunk_bytes(),
            false => self.open_max,
        }
    }

    fn chunk_bytes(&self) -> usize {
        limits::CHUNK_BYTES.min(self.open_max / limits::CHUNK_SHARE)
    }

    /// The open transaction holds too much: what has come of it goes to the cloud, or on disk.
    ///
    /// # Errors
    /// When the disk has no room, or when it began in one pass and can't go on so.
    pub(super) fn overflow(&mut self) -> Result<(), Fault> {
        if self.way == Way::Undecided {
            self.way = match self.assembler.open() {
                Some(open) if self.may_begin(open) => Way::Beginning,
                _ => Way::Disk,
            };
        }
        if !self.way.is_one_pass() {
            return self.spill_open();
        }
        self.refuse_echoes(self.assembler.open_marks())?;
        let Some(open) = self.assembler.open() else {
            return Ok(());
        };
        let (empty, bytes) = (without_changes(open), self.assembler.open_bytes());
        let changes = self.assembler.take_open();
        let pieces = cut(changes, bytes, self.chunk_bytes());
        self.queue_pieces(pieces, &empty);
        Ok(())
    }

    /// What has come so far says nothing against it, nor did it come to nothing before. Whether the tables allow it, the machine
    /// knows.
    fn may_begin(&self, open: &Transaction) -> bool {
        let plain = |change: &Change| {
            matches!(
                change.operation,
                Operation::Insert(_) | Operation::Update { .. }
            ) && change.too_large.is_none()
        };
        self.spill.is_none()
            && self.watch.is_none()
            && self.named.is_empty()
            && Echoes::of(&open.marks, &self.nonce, &self.tables).is_none()
            && open.changes.iter().all(plain)
            && self.attempts.may_begin(open.commit)
    }

    /// Nothing has come meanwhile for which all of it has to be known.
    fn refuse_echoes(&self, marks: &[LogicalMessage]) -> Result<(), Fault> {
        match Echoes::of(marks, &self.nonce, &self.tables) {
            None => Ok(()),
            Some(_) => Err(not_in_one_pass(
                "it carries changes that came from the cloud",
            )),
        }
    }

    /// The rest of the open transaction, if it goes in one pass; it is whole now.
    ///
    /// # Errors
    /// When it can't go on so.
    pub(super) fn end_pass(&mut self, transaction: Transaction) -> Result<(), Fault> {
        self.refuse_echoes(&transaction.marks)?;
        let (empty, mut last) = (without_changes(&transaction), transaction);
        let changes = std::mem::take(&mut last.changes);
        let mut pieces = cut(changes, last.bytes, self.chunk_bytes());
        let rest = pieces.pop();
        self.queue_pieces(pieces, &empty);
        (last.changes, last.bytes) = rest.unwrap_or_default();
        self.queue_chunk(last, true);
        self.way = Way::Undecided;
        Ok(())
    }

    /// The open transaction goes to the cloud as it comes.
    pub(super) fn is_in_one_pass(&self) -> bool {
        self.way.is_one_pass()
    }

    /// Pieces behind which more comes.
    fn queue_pieces(&mut self, pieces: Vec<(Vec<Change>, usize)>, empty: &Transaction) {
        for (changes, bytes) in pieces {
            let piece = Transaction {
                changes,
                bytes,
                ..empty.clone()
            };
            self.queue_chunk(piece, false);
        }
    }

    fn queue_chunk(&mut self, transaction: Transaction, is_last: bool) {
        let is_first = self.way == Way::Beginning;
        self.way = Way::OnePass;
        let memory = HeldMemory {
            _permit: self.memory(transaction.bytes),
        };
        self.rows += transaction.changes.len();
        self.bytes += transaction.bytes;
        self.since.get_or_insert_with(Instant::now);
        self.whole.push_back(Queued::Chunk(Box::new(Chunk {
            transaction,
            is_first,
            is_last,
            memory,
        })));
    }

    /// What is written next is part of a transaction in one pass: says whether it is the first.
    pub(in crate::flows::forward) fn next_chunk(&self) -> Option<bool> {
        match self.whole.front() {
            Some(Queued::Chunk(chunk)) => Some(chunk.is_first),
            Some(Queued::Whole(..) | Queued::Large(_)) | None => None,
        }
    }

    /// What is written next, if it is part of a transaction in one pass.
    pub(super) fn pop_chunk(&mut self) -> Option<Box<Chunk>> {
        self.next_chunk()?;
        let Some(Queued::Chunk(chunk)) = self.whole.pop_front() else {
            return None;
        };
        self.rows -= chunk.transaction.changes.len();
        self.bytes -= chunk.transaction.bytes;
        Some(chunk)
    }

    /// A transaction can't go in one pass, and nothing of it has gone: it takes the way over the disk.
    ///
    /// # Errors
    /// When that has no room.
    pub(in crate::flows::forward) fn take_back(&mut self, first: Box<Chunk>) -> Result<(), Fault> {
        self.attempts.take_back();
        let mut spill = Box::<Spill>::default();
        let mut next = Some(first);
        while let Some(chunk) = next {
            for change in &chunk.transaction.changes {
                let put = spill.push(change, &self.tables);
                put.map_err(|error| no_room(&error))?;
            }
            if chunk.is_last {
                spill.finish(chunk.transaction);
                self.whole.push_front(Queued::Large(spill));
                self.large += 1;
                self.since.get_or_insert_with(Instant::now);
                return Ok(());
            }
            next = self.pop_chunk();
        }
        (self.way, self.spill) = (Way::Disk, Some(spill));
        Ok(())
    }
}

fn without_changes(transaction: &Transaction) -> Transaction {
    Transaction {
        xid: transaction.xid,
        commit: transaction.commit,
        end: transaction.commit,
        committed_at: transaction.committed_at,
        changes: Vec::new(),
        marks: Vec::new(),
        bytes: 0,
    }
}

/// Changes that hold `bytes`, in pieces of about `most`.
fn cut(changes: Vec<Change>, bytes: usize, most: usize) -> Vec<(Vec<Change>, usize)> {
    let mut pieces = Vec::new();
    let (mut piece, mut held, mut left) = (Vec::new(), 0, bytes);
    for change in changes {
        held += cost(&change);
        piece.push(change);
        if held >= most {
            let counted = held.min(left);
            left -= counted;
            pieces.push((std::mem::take(&mut piece), counted));
            held = 0;
        }
    }
    if !piece.is_empty() || pieces.is_empty() {
        pieces.push((piece, 0));
    }
    // What else was counted is given back with the last one.
    if let Some((_, counted)) = pieces.last_mut() {
        *counted += left;
    }
    pieces
}

fn cost(change: &Change) -> usize {
    let tuples = match &change.operation {
        Operation::Insert(new) => new.bytes(),
        Operation::Update { old, new } => {
            new.bytes() + old.as_ref().map_or(0, |old| old.tuple.bytes())
        }
        Operation::Delete(old) => old.tuple.bytes(),
        Operation::Truncate => 0,
    };
    tuples + limits::MESSAGE_OVERHEAD
}
