//! Some changes of a large transaction that goes to the cloud as it comes, and which transactions have begun to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OwnedSemaphorePermit;

use crate::fault::{Fault, Kind};
use crate::model::{Lsn, Transaction};

/// Some changes of one transaction.
pub struct Chunk {
    /// What it is; where it ends and what it says beside its changes only in the last one.
    pub(in crate::flows::forward) transaction: Transaction,
    /// Nothing of it came before.
    pub(in crate::flows::forward) is_first: bool,
    /// Nothing of it comes after.
    pub(in crate::flows::forward) is_last: bool,
    /// Given back when the cloud has it.
    pub(in crate::flows::forward) memory: HeldMemory,
}

/// What a chunk holds of the stream's memory, until this is dropped.
#[derive(Default)]
pub(in crate::flows::forward) struct HeldMemory {
    pub(super) _permit: Option<OwnedSemaphorePermit>,
}

impl Chunk {
    /// Changes whose memory nobody counts. `is_first`: nothing came before them; `is_last`: nothing comes after.
    pub fn of(transaction: Transaction, is_first: bool, is_last: bool) -> Chunk {
        Chunk {
            transaction,
            is_first,
            is_last,
            memory: HeldMemory::default(),
        }
    }

    /// Nothing of the transaction came before.
    pub fn is_first(&self) -> bool {
        self.is_first
    }

    /// What it is part of, with its changes.
    pub fn into_transaction(self) -> Transaction {
        self.transaction
    }
}

/// Which transaction has begun to go in one pass: where that comes to nothing, the next session must not try it again.
#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<AtomicU64>);

impl Attempts {
    /// The transaction that commits there begins.
    pub(super) fn begin(&self, commit: Lsn) {
        self.0.store(commit.0, Ordering::Relaxed);
    }

    /// It has begun before.
    pub(super) fn has(&self, commit: Lsn) -> bool {
        self.0.load(Ordering::Relaxed) == commit.0
    }
}

/// How the open transaction goes, once it is too large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    /// It isn't.
    #[default]
    Undecided,
    /// As it comes, and nothing has been cut off yet.
    Beginning,
    /// As it comes.
    OnePass,
    /// Through the disk.
    Disk,
}

impl Way {
    pub(super) fn is_one_pass(self) -> bool {
        matches!(self, Way::Beginning | Way::OnePass)
    }
}

/// Why a transaction that began in one pass doesn't go on so. Nothing of it is in the cloud, and the next session has it again.
pub(in crate::flows::forward) fn not_in_one_pass(why: &str) -> Fault {
    let what = format!("a large transaction can't go to the cloud as it comes: {why}");
    Fault::new(
        Kind::Planned,
        format!("{what}; it is read again, and staged first"),
    )
}
