//! Some changes of a large transaction that goes to the cloud as it comes.

use tokio::sync::OwnedSemaphorePermit;

use crate::fault::{Fault, Kind};
use crate::model::Transaction;

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
