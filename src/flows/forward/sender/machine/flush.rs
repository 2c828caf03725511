//! What nothing came behind after all is written to the cloud's disk.

use std::time::Instant;

use super::attempt::ExclusiveJob;
use super::command::Errand;
use super::state::Machine;
use crate::apply::{Script, assert_lease};
use crate::model::Lsn;
use crate::plan::opening;

impl Machine {
    /// What of the cloud's checkpoint is there for good.
    pub fn durable(&self) -> Lsn {
        self.flushes.durable
    }

    /// When [`Machine::flush`] has something to do, since nothing came behind a batch after all; none while all is there for good,
    /// or while batches are on their way.
    pub fn flush_due(&self) -> Option<Instant> {
        let waits = self.flushes.durable < self.checkpoint && !self.is_busy();
        waits.then(|| self.flushes.due())
    }

    /// What the cloud has is written to its disk.
    pub fn flush(&mut self, now: Instant) {
        self.flushes.sent = now;
        let mut statements = opening(&self.opening);
        statements.push(assert_lease(&self.lease));
        let script = Script::moving(statements, self.checkpoint);
        self.run(ExclusiveJob::Flush, Errand::Flush, script);
    }
}
