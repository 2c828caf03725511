//! Which COMMITs wait for the cloud's disk.
//!
//! A disk takes as long to write a batch of one row as one of a thousand. While more comes behind it, a batch's COMMIT doesn't
//! wait for that: everybody sees its rows, but a crash of the cloud may take them back, its checkpoint with them. The desktop
//! keeps them until then, since only what is there for good is confirmed to it (P2): now and then a COMMIT waits, the last one
//! of a backlog always, and all before it is on the disk with it.

use std::time::Instant;

use super::attempt::BatchJob;
use crate::limits;
use crate::model::Lsn;

/// How much of what the cloud has is there for good.
#[derive(Debug)]
pub(super) struct Flushes {
    /// The checkpoint that is.
    pub(super) durable: Lsn,
    /// When the last COMMIT went out that waits.
    pub(super) sent: Instant,
}

impl Flushes {
    /// All that the cloud has is there for good.
    pub(super) fn new(checkpoint: Lsn, now: Instant) -> Flushes {
        Flushes {
            durable: checkpoint,
            sent: now,
        }
    }

    /// Whether the COMMIT of the batch that goes out now waits. `alone`: nothing goes behind it before it is answered.
    pub(super) fn takes(&mut self, job: &BatchJob, alone: bool, now: Instant) -> bool {
        let waits = alone || !job.is_followed() || now >= self.due();
        if waits {
            self.sent = now;
        }
        waits
    }

    /// A COMMIT that waited was answered.
    pub(super) fn reached(&mut self, checkpoint: Lsn) {
        self.durable = checkpoint;
    }

    /// When the next one waits that would not otherwise.
    pub(super) fn due(&self) -> Instant {
        self.sent + limits::FLUSH_EVERY
    }
}
