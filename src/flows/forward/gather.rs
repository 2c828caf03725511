//! Messages become transactions, transactions become batches; each keeps the memory that it holds.

use std::collections::VecDeque;

use tokio::sync::OwnedSemaphorePermit;

use crate::capture::Delivery;
use crate::config;
use crate::decode::Assembler;
use crate::fault::{Fault, Kind};
use crate::limits;
use crate::model::Transaction;

/// A run of whole transactions, and the memory that they hold until they are committed.
pub(super) struct Gathered {
    pub(super) transactions: Vec<Transaction>,
    pub(super) memory: Option<OwnedSemaphorePermit>,
}

/// What has come and wasn't sent yet.
pub(super) struct Gather {
    assembler: Assembler,
    whole: VecDeque<(Transaction, Option<OwnedSemaphorePermit>)>,
    /// Memory of messages whose transaction isn't whole yet.
    open: Option<OwnedSemaphorePermit>,
    rows_max: usize,
    bytes_max: usize,
}

impl Gather {
    pub(super) fn new(forward: &config::Forward) -> Gather {
        Gather {
            assembler: Assembler::default(),
            whole: VecDeque::new(),
            open: None,
            rows_max: forward.batch_rows as usize,
            bytes_max: usize::try_from(forward.batch_bytes).unwrap_or(usize::MAX),
        }
    }

    /// Takes what the desktop sent.
    ///
    /// # Errors
    /// When it can't be: the session ends, and nothing of the transaction was written.
    pub(super) fn take(&mut self, delivery: Delivery) -> Result<(), Fault> {
        match &mut self.open {
            Some(open) => open.merge(delivery.memory),
            None => self.open = Some(delivery.memory),
        }
        for message in &delivery.messages {
            let whole = self.assembler.push(message).map_err(|disorder| {
                Fault::new(
                    Kind::Damaged,
                    "the desktop sent something that can't be read",
                )
                .cause(disorder)
                .hint("nothing of this transaction was written")
            })?;
            if let Some(transaction) = whole {
                let memory = self
                    .open
                    .as_mut()
                    .and_then(|open| open.split(transaction.bytes.min(open.num_permits())));
                self.whole.push_back((transaction, memory));
            }
        }
        if self.assembler.open_bytes() == 0 {
            self.open = None;
        }
        Ok(())
    }

    /// The next batch: whole transactions up to the settings' limits, at least one if there is one.
    pub(super) fn batch(&mut self) -> Option<Gathered> {
        let (mut transactions, mut memory) = (Vec::new(), None::<OwnedSemaphorePermit>);
        let (mut rows, mut bytes) = (0, 0);
        while rows < self.rows_max && bytes < self.bytes_max {
            let Some((transaction, held)) = self.whole.pop_front() else {
                break;
            };
            rows += transaction.changes.len();
            bytes += transaction.bytes;
            transactions.push(transaction);
            match (&mut memory, held) {
                (Some(memory), Some(held)) => memory.merge(held),
                (None, held) => memory = held,
                (Some(_), None) => {}
            }
        }
        (!transactions.is_empty()).then_some(Gathered {
            transactions,
            memory,
        })
    }

    /// Nothing waits but one transaction that fills all memory: it would wait for ever.
    ///
    /// # Errors
    /// That transaction is too large for this version.
    pub(super) fn check_room(&self, memory_max: u64, starved_of: u64) -> Result<(), Fault> {
        let open = self.assembler.open_bytes() as u64;
        if open + starved_of.max(2 * limits::READ_BYTES as u64) <= memory_max {
            return Ok(());
        }
        let what = format!(
            "a transaction of the desktop is larger than forward.memory_max ({} MB)",
            memory_max >> 20
        );
        Err(Fault::new(Kind::TooLarge, what)
            .hint("raise forward.memory_max beyond the transaction's size; nothing is lost, the desktop keeps it"))
    }
}
