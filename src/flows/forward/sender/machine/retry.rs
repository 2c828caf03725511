//! Parked rows are tried again, and staged ones cleared away, while no batch waits.

use std::time::Instant;

use super::attempt::{ExclusiveJob, manner};
use super::command::Errand;
use super::event::{Done, Outcome};
use super::quarantine as parking;
use super::state::Machine;
use crate::apply::{Script, assert_lease, clear_staging};
use crate::fault::{Fault, Kind};
use crate::fold::Quarantine;
use crate::limits;
use crate::model::{Table, TableId};
use crate::plan::{WriteContext, follow_all, heal, opening, retry, widened};

impl Machine {
    /// When [`Machine::try_parked`] has something to do; none while nothing is parked.
    pub fn parked_due(&self) -> Option<Instant> {
        self.retry_due().filter(|_| !self.is_busy())
    }

    /// When parked rows are tried again; none while nothing is parked.
    fn retry_due(&self) -> Option<Instant> {
        let waits = self.book.parking.tables().next().is_some();
        waits.then_some(self.retry_at)
    }

    /// It is time: no more batches are sent, until those on their way are through and parked rows have had their turn.
    /// Otherwise they would never have one where a far cloud is never idle.
    pub(super) fn wants_quiet(&self, now: Instant) -> bool {
        self.retry_due().is_some_and(|due| due <= now)
    }

    /// Tries parked rows again, one table in a transaction: what is wrong with one must not keep the others.
    pub fn try_parked(&mut self, now: Instant) {
        if self.retrying.is_empty() {
            self.retrying = self.book.parking.tables().map(|(table, _)| table).collect();
        }
        let Some(id) = self.retrying.pop_front() else {
            return;
        };
        let table = self.tables.get(id);
        // Those that may wait for its rows, and it for theirs.
        let tied = |other: &&Table| other.id == id || other.is_tied_to(table);
        let parked = |table: &TableId| self.book.parking.of(*table).is_some();
        let tied: Vec<_> = { self.tables.iter() }.filter(tied).collect();
        let ids = tied.iter().map(|table| table.id).filter(parked);
        let ids: Vec<_> = ids.collect();
        if ids.is_empty() {
            return;
        }
        self.retrying.retain(|waiting| !ids.contains(waiting));
        self.retry_at = now;
        if self.retrying.is_empty() {
            // Nothing came meanwhile that they could wait for: each try takes locks and sequence values for nothing.
            self.retry_at += self.retry_pause;
            self.retry_pause = (self.retry_pause * 2).min(limits::PARKED_RETRY_MAX);
        } else {
            // Batches go on between two tables.
            self.retry_at += limits::PARKED_RETRY_NEXT;
        }
        let mut statements = opening(&self.opening);
        statements.push(assert_lease(&self.lease));
        let manner = WriteContext {
            again: true,
            ..manner(&self.lease, self.checkpoint)
        };
        let (mut kinds, mut followers) = (Vec::new(), Vec::new());
        let stopped = |table| self.book.is_stopped(table);
        for id in &ids {
            let table = self.tables.get(*id);
            let of_table = self.book.parking.of(*id).map(parking::kinds);
            let of_table = of_table.into_iter().flatten();
            kinds.extend(of_table.map(|(work, unsent)| (table, work, unsent)));
            followers.extend(follow_all(table, &self.tables, &stopped));
        }
        statements.extend(retry(&kinds, &manner));
        statements.extend(followers);
        let only = (ids.len() == 1).then(|| self.tables.get(ids[0]));
        statements.push(parking::question(&self.lease.replicator, only));
        let errand = Errand::Retry(ids.clone());
        self.run(
            ExclusiveJob::Retry(ids),
            errand,
            Script::staying(statements),
        );
    }

    /// With each heartbeat, while nothing else is on its way: a column may be wider now than when the session began.
    pub fn see_what_is_wider(&mut self, now: Instant) {
        if self.is_busy() || self.wants_quiet(now) {
            return;
        }
        if self.heal_at <= now && self.heal_orphans(now) {
            return;
        }
        let parked = self.book.parking.tables();
        let parked = parked.map(|(table, _)| self.tables.get(table));
        if let Some(asked) = widened(parked) {
            let mut statements = opening(&self.opening);
            statements.extend(asked);
            self.run(
                ExclusiveJob::Widened,
                Errand::Widened,
                Script::staying(statements),
            );
        }
    }

    /// Rows whose parents came in another way than through us, or while they had stopped, get their references. Says whether
    /// there is any table with such rows.
    fn heal_orphans(&mut self, now: Instant) -> bool {
        self.heal_at = now + limits::PARKED_RETRY_MAX;
        let stopped = |table: &&Table| self.book.is_stopped(table.id);
        let tables = self.tables.iter().filter(|table| !stopped(table));
        let healed: Vec<_> = tables.filter_map(heal).collect();
        if healed.is_empty() {
            return false;
        }
        let mut statements = opening(&self.opening);
        statements.push(assert_lease(&self.lease));
        statements.extend(healed);
        statements.push(parking::question(&self.lease.replicator, None));
        self.run(
            ExclusiveJob::Retry(Vec::new()),
            Errand::Heal,
            Script::staying(statements),
        );
        true
    }

    /// Where there was no time for all rows whose parents came, the others follow with the next heartbeat.
    pub(super) fn note_late(&mut self, done: &Done, now: Instant) {
        let late = done.answers.iter().any(|answer| {
            let said = answer.row.as_ref().and_then(|row| row.first()?.as_ref());
            let is_heal = answer.table.is_some() && answer.step.is_none();
            is_heal && said.is_some_and(|said| &said[..] == b"true")
        });
        if late {
            self.heal_at = now;
        }
    }

    /// What came of [`Machine::try_parked`]: whoever waits for rows that got through has another try soon.
    pub(super) fn tried(
        &mut self,
        tables: &[TableId],
        done: &Done,
        now: Instant,
    ) -> Result<(), Fault> {
        let rows = |machine: &Machine| -> usize {
            let parking = &machine.book.parking;
            tables.iter().map(|table| parking.rows(*table)).sum()
        };
        let waited = rows(self);
        let only = tables.first().filter(|_| tables.len() == 1);
        self.reload(only.copied(), done)?;
        self.note_late(done, now);
        if rows(self) < waited {
            self.retry_soon(now);
        }
        Ok(())
    }

    /// Something was written that parked rows may wait for.
    pub(super) fn retry_soon(&mut self, now: Instant) {
        self.retry_at = { self.retry_at }.min(now + limits::PARKED_RETRY_SOON);
        self.retry_pause = limits::PARKED_RETRY_EVERY;
    }

    /// Takes over what the cloud says of the parked rows of one table, or of all.
    pub(super) fn reload(&mut self, table: Option<TableId>, done: &Done) -> Result<(), Fault> {
        let last = done.answers.last().and_then(|answer| answer.row.as_ref());
        let json = last.and_then(|row| row.first()?.as_ref());
        let parking = &mut self.book.parking;
        match table {
            Some(table) => parking.clear(table),
            None => *parking = Quarantine::default(),
        }
        // No answer is none that can be read.
        parking::take_parked(parking, json.map_or(&[], |json| &json[..]), &self.tables)?;
        self.book.forget_stopped();
        Ok(())
    }

    /// Empties the staging table behind a large transaction, which may have parked rows that it found only there.
    pub(super) fn clear_staging(&mut self) {
        let mut statements = opening(&self.opening);
        statements.push(assert_lease(&self.lease));
        let parked = parking::question(&self.lease.replicator, None);
        statements.extend([clear_staging(&self.lease, false), parked]);
        self.run(
            ExclusiveJob::Unstage,
            Errand::Unstage,
            Script::staying(statements),
        );
    }
}

/// What came of [`Machine::see_what_is_wider`]: a new session knows what columns hold now.
pub(super) fn none_is_wider(done: &Done) -> Result<Outcome, Fault> {
    let last = done.answers.last().and_then(|answer| answer.row.as_ref());
    match last.and_then(|row| row.first()) {
        Some(Some(answer)) if &answer[..] == b"true" => {
            let what = "a column is wider now; rows that did not fit are tried again";
            Err(Fault::new(Kind::Planned, what))
        }
        _ => Ok(Outcome::Again),
    }
}
