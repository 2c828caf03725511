//! Tables that are copied while the others stream: swaps by the clock or because somebody asked, and copies of tables
//! that are new or had stopped. One group at a time: read in one snapshot, staged beside the stream, and merged at a
//! moment when nothing else is on its way.

use std::mem::take;
use std::sync::Arc;
use std::time::Instant;

use super::batcher::Batcher;
use super::sender::Sender;
use crate::apply::Lease;
use crate::capture::SnapshotPoint;
use crate::config::{self, Refill, Settings};
use crate::fault::{Fault, Kind};
use crate::flows::copy::{
    Agenda, ChangeTracker, Checks, Copied, CopyRequest, Ends, Event, How, Order, Progress, Reading,
    Reads, Ready, Refusal, Scheduled, Watched,
};
use crate::limits;
use crate::model::{Recovery, TableId, Tables, listed};
use crate::plan::TransactionSettings;
use crate::spill::Spill;

/// Copies beside the stream.
pub(super) struct Copies {
    ends: Ends,
    agenda: Agenda,
    /// Nothing is begun before.
    not_before: Instant,
    tries: u32,
    group: Option<Group>,
}

/// Tables that are copied together.
struct Group {
    wanted: Vec<CopyRequest>,
    /// Copies, no swaps, that were merged or come to nothing.
    decided: Vec<TableId>,
    phase: Phase,
    reading: Reading,
}

enum Phase {
    /// Both sides are being connected.
    TransactionSettings,
    /// It can look when the stream pauses.
    Ready,
    /// The stream pauses while a snapshot is taken.
    Looking,
    /// The tables are read.
    Reading(SnapshotPoint),
    /// They are staged, and are merged once the cloud has all that the copy has...
    Staged(SnapshotPoint, Reads),
    /// ...and the stream pauses until they are.
    Settling(SnapshotPoint, Reads),
    /// They are being merged; then these changes are written.
    Merging(Option<Box<Spill>>),
    /// What had waited is being written.
    Replaying,
}

impl Copies {
    pub(super) fn new(
        settings: &Settings,
        (opening, lease): (&TransactionSettings, &Lease),
        (tables, progress): (&Arc<Tables>, Arc<Progress>),
        agenda: Agenda,
    ) -> Copies {
        Copies {
            ends: Ends {
                desktop: settings.desktop.endpoint.clone(),
                cloud: settings.cloud.endpoint.clone(),
                opening: opening.clone(),
                lease: lease.clone(),
                memory_max: settings.forward.memory_max,
                tables: tables.clone(),
                progress,
                checks: Checks::of_settings(settings),
            },
            agenda,
            not_before: Instant::now(),
            tries: 0,
            group: None,
        }
    }

    /// Nothing is to be copied, now.
    pub(super) fn are_done(&self) -> bool {
        self.group.is_none() && self.agenda.wanted.is_empty()
    }

    /// A copy of the table is on its way, or on the agenda.
    pub(super) fn has(&self, table: TableId) -> bool {
        let begun = self.group.iter().flat_map(|group| &group.wanted);
        { begun.chain(&self.agenda.wanted) }.any(|wanted| wanted.table == table)
    }

    /// The stream pauses: nothing more is taken from it.
    pub(super) fn pause_stream(&self) -> bool {
        self.group.as_ref().is_some_and(|group| {
            !matches!(
                group.phase,
                Phase::TransactionSettings | Phase::Ready | Phase::Reading(_) | Phase::Staged(..)
            )
        })
    }

    /// One more table to copy.
    pub(super) fn want(&mut self, wanted: CopyRequest) {
        let known = self.agenda.wanted.iter_mut();
        match { known }.find(|known| known.table == wanted.table) {
            Some(known) => {
                known.asked.extend(wanted.asked);
                match (&mut known.how, wanted.how) {
                    (
                        How::Swap {
                            allow_shrink: known,
                        }
                        | How::Again {
                            allow_shrink: known,
                        },
                        How::Swap { allow_shrink },
                    ) => *known |= allow_shrink,
                    // A swap doesn't fill a table that isn't whole.
                    (known @ How::Swap { .. }, how) => *known = how,
                    (How::Adopt { .. } | How::Again { .. }, _) => {}
                }
            }
            None => self.agenda.wanted.push(wanted),
        }
    }

    /// Swaps by another clock: each table's next one comes when it would have come by that.
    pub(super) fn reschedule(&mut self, wanted: &[config::Table]) {
        let now = Instant::now();
        let scheduled = &mut self.agenda.scheduled;
        for table in self.ends.tables.iter() {
            let every = { wanted.iter() }.find(|wanted| wanted.name == table.name);
            let every = every.and_then(|wanted| wanted.swap);
            let known = scheduled.iter_mut().find(|known| known.table == table.id);
            match (known, every) {
                (Some(known), Some(every)) if known.every != every => {
                    let last = known.due.checked_sub(known.every).unwrap_or(now);
                    (known.every, known.due) = (every, (last + every).max(now));
                }
                (None, Some(every)) => scheduled.push(Scheduled {
                    table: table.id,
                    every,
                    due: now + every,
                }),
                (Some(_), None) => scheduled.retain(|known| known.table != table.id),
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
    }

    /// Tables that don't stream were filled anew, as far as this may fill them.
    pub(super) fn swap_what_does_not_stream(&mut self, refill: &Refill) {
        let tables = self.ends.tables.clone();
        let its = { tables.iter() }.filter(|table| !table.stream && refill.fills(&table.name));
        for table in its {
            self.want(CopyRequest::swap(table.id));
        }
    }

    /// When something is to be begun that nothing else wakes us for.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.group.is_some() {
            return None;
        }
        let now = { !self.agenda.wanted.is_empty() }.then_some(self.not_before);
        let scheduled = self.agenda.scheduled.iter().map(|scheduled| scheduled.due);
        now.into_iter().chain(scheduled).min()
    }

    /// Begins what is due.
    pub(super) fn begin(&mut self, sender: &Sender) -> Result<(), Fault> {
        let now = Instant::now();
        if self.group.is_some() {
            return Ok(());
        }
        self.want_what_is_due(now);
        if self.agenda.wanted.is_empty() || self.not_before > now {
            return Ok(());
        }
        let (mut wanted, stopped): (Vec<_>, Vec<_>) = take(&mut self.agenda.wanted)
            .into_iter()
            .partition(|wanted| !wanted.how.is_swap() || !sender.is_stopped(wanted.table));
        // A table that has stopped is copied when it goes on.
        if let Some(asked) = stopped.iter().find(|wanted| !wanted.asked.is_empty()) {
            return Err(copy_anew(&self.ends.tables.get(asked.table).name));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        wanted.sort_by_key(|wanted| wanted.table);
        self.tell_of(&wanted);
        let reading = self.ends.clone().read(&wanted);
        self.group = Some(Group {
            wanted,
            decided: Vec::new(),
            phase: Phase::TransactionSettings,
            reading,
        });
        Ok(())
    }

    /// Copies are shown; swaps come and go. Those that wait for a turn of their own are among them.
    fn tell_of(&self, wanted: &[CopyRequest]) {
        let copies = wanted.iter().filter(|wanted| !wanted.how.is_swap());
        let names = copies.map(|wanted| (self.ends.tables.get(wanted.table).name.as_str(), 0));
        let names: Vec<_> = names.collect();
        if !names.is_empty() {
            self.ends.progress.want(names.into_iter());
        }
    }

    fn want_what_is_due(&mut self, now: Instant) {
        let mut due = Vec::new();
        for scheduled in &mut self.agenda.scheduled {
            if scheduled.due <= now {
                scheduled.due = now + scheduled.every;
                due.push(scheduled.table);
            }
        }
        due.into_iter()
            .for_each(|table| self.want(CopyRequest::swap(table)));
    }

    /// What the reading task says next; never without one. Safe to cancel.
    pub(super) async fn event(&mut self) -> Event {
        match &mut self.group {
            Some(group) => match group.reading.events.recv().await {
                Some(event) => event,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }

    /// Takes what the task said. Says whether a heartbeat is wanted, so that the cloud soon has all that the copy has.
    ///
    /// # Errors
    /// When a connection failed.
    pub(super) fn take(
        &mut self,
        event: Event,
        batcher: &mut Batcher,
        sender: &Sender,
    ) -> Result<bool, Fault> {
        let Some(group) = &mut self.group else {
            return Ok(false);
        };
        match event {
            Event::Ready => group.phase = Phase::Ready,
            Event::Seen(sight) if !batcher.is_seen(&sight.snapshot) => {
                tracing::debug!(snapshot = %sight.snapshot, "a transaction of the log is not visible yet; looking again");
                group.phase = Phase::Ready;
            }
            Event::Seen(sight) => {
                let tables = group.wanted.iter().map(|wanted| wanted.table);
                let tables = tables.filter(|table| self.ends.tables.get(*table).stream);
                let tables = tables.map(|table| (table, !sender.is_stopped(table)));
                batcher.watch(ChangeTracker::new(sight.snapshot.clone(), tables.collect()));
                group.order(Order::Read);
                group.phase = Phase::Reading(sight);
                return Ok(true);
            }
            Event::Staged(reads) => {
                if let Phase::Reading(sight) = &group.phase {
                    group.phase = Phase::Staged(sight.clone(), reads);
                }
            }
            Event::Failed(fault) => return Err(fault),
        }
        Ok(false)
    }

    /// Goes on as far as the stream allows.
    pub(super) fn go_on(&mut self, batcher: &mut Batcher, sender: &mut Sender) {
        let Some(group) = &mut self.group else {
            return;
        };
        let quiet = batcher.is_empty() && !sender.is_busy();
        group.phase = match std::mem::replace(&mut group.phase, Phase::TransactionSettings) {
            Phase::Ready if batcher.is_calm() => {
                group.order(Order::Look);
                Phase::Looking
            }
            Phase::Staged(sight, staged)
                if sender.checkpoint() >= sight.before && batcher.is_calm() =>
            {
                Phase::Settling(sight, staged)
            }
            phase => phase,
        };
        if quiet {
            self.settle(batcher, sender);
        }
    }

    /// Nothing else is on its way.
    fn settle(&mut self, batcher: &mut Batcher, sender: &mut Sender) {
        let Some(group) = &mut self.group else {
            return;
        };
        group.phase = match std::mem::replace(&mut group.phase, Phase::TransactionSettings) {
            Phase::Settling(sight, reads) => {
                let Some(watch) = batcher.unwatch() else {
                    self.group = None;
                    return;
                };
                let mut watched = watch.end(sender.checkpoint());
                let wanted = take(&mut group.wanted);
                let (copies, unread) = self.sort_out(wanted, reads, &watched, sender);
                let merged = copies.iter().filter(|copy| !copy.how.is_swap());
                let merged = merged.map(|copy| copy.staged.table());
                let refused = unread.iter().filter(|(wanted, _)| !wanted.how.is_swap());
                let refused = refused.map(|(wanted, _)| wanted.table);
                let decided: Vec<_> = merged.chain(refused).collect();
                let tables = &self.ends.tables;
                { decided.iter() }
                    .for_each(|table| self.ends.progress.merge(&tables.get(*table).name));
                if let Some(held) = &mut watched.held {
                    let whole = copies.iter().map(|copy| copy.staged.table());
                    let settles = whole.filter(|table| sender.is_stopped(*table));
                    held.facts.settles = settles.collect();
                }
                sender.merge(Ready {
                    copies,
                    unread,
                    touched: watched.touched,
                    sight,
                    pending: watched.held.is_some(),
                });
                if let Some(group) = &mut self.group {
                    group.phase = Phase::Merging(watched.held);
                    group.decided = decided;
                }
                return;
            }
            Phase::Merging(Some(held)) => {
                sender.replay(held);
                Phase::Replaying
            }
            Phase::Merging(None) | Phase::Replaying => {
                let decided = take(&mut group.decided);
                self.group = None;
                return self.tell_end(&decided, sender);
            }
            phase => phase,
        };
    }

    /// Says what came of copies. One line for all of them: each table that needs somebody has had its own.
    fn tell_end(&self, decided: &[TableId], sender: &Sender) {
        let is_stopped = |table: &&TableId| sender.is_stopped(**table);
        for table in decided {
            let name = &self.ends.tables.get(*table).name;
            self.ends.progress.end(name, is_stopped(&table));
        }
        let stopped = decided.iter().filter(is_stopped).count();
        let names = decided.iter().filter(|table| !is_stopped(table));
        let names = names.map(|table| self.ends.tables.get(*table).name.as_str());
        if stopped < decided.len() {
            tracing::info!(tables = listed(names, limits::NAMES_SHOWN), "copied");
        }
    }

    /// What can be merged, and which copies come to nothing; the others are on the agenda again.
    fn sort_out(
        &mut self,
        wanted: Vec<CopyRequest>,
        (staged, refused): Reads,
        watched: &Watched,
        sender: &Sender,
    ) -> (Vec<Copied>, Vec<(CopyRequest, Refusal)>) {
        let (mut copies, mut unread, mut spoiled) = (Vec::new(), Vec::new(), Vec::new());
        for wanted in wanted {
            let table = wanted.table;
            let whole = staged.iter().find(|staged| staged.table() == table);
            let swaps = wanted.how.is_swap();
            match (whole, &refused) {
                // What it has missed since is not in the copy.
                _ if swaps && sender.is_stopped(table) => {
                    let why = "the table stopped meanwhile".to_owned();
                    unread.push((wanted, (Recovery::Operator, why)));
                }
                _ if watched.spoiled.contains(&table) && self.tries >= limits::SWAP_TRIES => {
                    let why = "too much of it changed while it was read, again and again";
                    unread.push((wanted, (Recovery::Operator, why.to_owned())));
                }
                _ if watched.spoiled.contains(&table) => spoiled.push(wanted),
                (Some(staged), _) => copies.push(Copied {
                    staged: staged.clone(),
                    how: wanted.how,
                    asked: wanted.asked,
                    touched: watched.touched.of(table).next().is_some(),
                }),
                (None, Some((refused, why))) if *refused == table => {
                    unread.push((wanted, why.clone()));
                }
                // Nobody came so far.
                (None, _) => self.want(wanted),
            }
        }
        self.again(spoiled);
        (copies, unread)
    }

    /// Tables of which too much changed meanwhile have another try.
    fn again(&mut self, spoiled: Vec<CopyRequest>) {
        if spoiled.is_empty() {
            self.tries = 0;
            return;
        }
        self.tries += 1;
        self.not_before =
            Instant::now() + limits::SWAP_AGAIN_AFTER * self.tries.min(limits::SWAP_TRIES);
        for wanted in spoiled {
            let table = &self.ends.tables.get(wanted.table).name;
            tracing::info!(table = %table, "too much of it changed while it was read; it is read again");
            self.want(wanted);
        }
    }
}

impl Group {
    fn order(&self, order: Order) {
        // If it is gone, it has said why.
        let _ = self.reading.orders.try_send(order);
    }
}

/// A table that has stopped is looked at anew, both sides of it, by the next session.
pub(super) fn copy_anew(table: &str) -> Fault {
    let what = format!("somebody asked for a new copy of table {table}");
    Fault::new(Kind::Planned, what)
}
