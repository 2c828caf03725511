//! The stream: desktop WAL -> capture -> decode -> fold -> plan -> apply -> capture.
//!
//! One place waits ([`Forward::run`]). Transactions gather while the cloud works; what has come when it should be done
//! with the last batch is the next one, and is sent without waiting for the answer ([`crate::apply::Pipe`]).

mod backlog;
mod batcher;
mod beside;
mod copies;
mod sender;

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::apply::{Applier, Lease};
use crate::capture::{Capture, Delivery, Start};
use crate::catalog::{of_stream, released};
use crate::config::Settings;
use crate::fault::{Fault, Kind, Side};
use crate::flows::copy::{Agenda, Progress};
use crate::flows::counters::Counters;
use crate::flows::reloads::Reloads;
use crate::fold::StreamState;
use crate::limits;
use crate::model::{Committed, Recovery, TableStop, Tables, sqlstate};
use crate::plan::TransactionSettings;
use crate::wire::WireError;
use crate::wire::control::{Control, End};

pub use batcher::Attempts;
use batcher::Batcher;
use beside::{Heartbeat, HeartbeatOf, LagReporter, Lookout, Refiller, Renewal, SwapRequests};
pub use beside::{Known, LastRefill, last_refills};
use copies::Copies;
use sender::{Outcome, Sender, silent};
pub use sender::{machine, parked};

/// The names of tables that stop until they fit again, each with what it waits for.
pub type StoppedTables = BTreeMap<String, Recovery>;

/// The connections that a stream uses, and who writes.
pub struct Sides<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// Watched: a desktop that shuts down tells its ordinary clients at once.
    pub desktop: &'a Control,
    /// The cloud, for questions.
    pub cloud: &'a Control,
    /// The connection to the cloud.
    pub applier: Applier,
    /// Settings of each cloud transaction.
    pub opening: TransactionSettings,
    /// Our turn to write.
    pub lease: Lease,
    /// Tables to copy while the others stream.
    pub agenda: Agenda,
    /// When each part of the refill was run.
    pub refilled: BTreeMap<String, LastRefill>,
    /// The word that our own writes from the cloud carry in the desktop's log.
    pub nonce: String,
    /// Which transactions have begun to go in one pass.
    pub attempts: Attempts,
    /// What the cloud's tables are.
    pub known: Known,
    /// The stream ends when everything is copied.
    pub ends: bool,
    /// How far copies are.
    pub progress: Arc<Progress>,
    /// What is counted for the metrics.
    pub meter: Arc<Counters>,
    /// Takes the tables that stop until they fit again.
    pub halted: watch::Sender<StoppedTables>,
    /// Settings that are read again.
    pub reloads: Reloads,
}

/// A stream from a checkpoint on.
pub struct Forward<'a> {
    sides: &'a Settings,
    desktop: &'a Control,
    replicator: String,
    tables: Arc<Tables>,
    sender: Sender,
    batcher: Batcher,
    copies: Copies,
    asking: SwapRequests<'a>,
    lookout: Lookout<'a>,
    refiller: Refiller,
    renewal: Renewal<'a>,
    /// It ends when everything is copied.
    ends: bool,
    capture: Option<Capture>,
    /// Since when a batch has been waiting for the cloud's answer.
    busy_since: Option<Instant>,
    /// What the writer had done of a large transaction then.
    progress: u64,
    halted: watch::Sender<StoppedTables>,
    reloads: Reloads,
}

impl<'a> Forward<'a> {
    /// Starts streaming at the checkpoint.
    ///
    /// # Errors
    /// When the desktop doesn't let us.
    pub async fn start(
        mut sides: Sides<'a>,
        tables: Arc<Tables>,
        book: StreamState,
        from: Committed,
        sender_timeout: Duration,
    ) -> Result<Forward<'a>, Fault> {
        let round_trip = sides.applier.round_trip().await;
        let round_trip = round_trip.map_err(|error| Fault::wire(Side::Cloud, &error))?;
        let forward = &sides.settings.forward;
        let distance = machine::Distance {
            round_trip,
            longest_pause: forward.batch_wait,
            direct: sides.applier.is_direct(),
        };
        let capture = capture_from(&sides, from, sender_timeout).await?;
        let asked = { sides.agenda.wanted.iter() }.flat_map(|wanted| wanted.asked.iter().copied());
        let replicator = &sides.lease.replicator;
        let asking = SwapRequests::new(&sides.cloud.client, replicator, tables.clone(), asked);
        let (cloud, every) = (&sides.cloud.client, sides.settings.heartbeat.every);
        let lookout = Lookout::start(cloud, replicator, every, tables.clone(), sides.known);
        // Who only copies runs nothing of the office's.
        let refills = match sides.ends {
            true => Vec::new(),
            false => sides.settings.refills.clone(),
        };
        let refiller = Refiller::new(
            &sides.settings.desktop.endpoint,
            replicator,
            (refills, tables.clone()),
            &sides.refilled,
        );
        let copies = Copies::new(
            sides.settings,
            (&sides.opening, &sides.lease),
            (&tables, sides.progress),
            sides.agenda,
        );
        Ok(Forward {
            copies,
            asking,
            lookout,
            refiller,
            renewal: Renewal::new(&sides.cloud.client, &sides.lease),
            ends: sides.ends,
            sides: sides.settings,
            desktop: sides.desktop,
            replicator: sides.lease.replicator.clone(),
            tables: tables.clone(),
            batcher: Batcher::new(
                forward,
                tables.clone(),
                (sides.nonce, sides.attempts),
                capture.charset(),
            ),
            sender: Sender::new(
                sides.applier,
                (sides.opening, sides.lease),
                tables,
                book,
                from,
                (distance, sides.meter),
            ),
            capture: Some(capture),
            busy_since: None,
            progress: 0,
            halted: sides.halted,
            reloads: sides.reloads,
        })
    }

    /// Streams until told to stop. Then: finish the batch, send the last feedback, say goodbye.
    ///
    /// # Errors
    /// Why the stream ended.
    pub async fn run(mut self, stop: &CancellationToken) -> Result<(), Fault> {
        let settings = self.sides;
        let replicator = self.replicator.clone();
        let of = HeartbeatOf {
            replicator: &replicator,
            slot: &settings.forward.slot,
            publication: &settings.forward.publication,
        };
        let every = settings.heartbeat.every;
        let mut heartbeat = Heartbeat::start(&self.desktop.client, every, of, self.tables.clone());
        // Somebody may have asked while nobody listened.
        self.asking.look();
        let mut overdue = LagReporter::new(&self.desktop.client, of.slot);
        let ended = self.stream(stop, &mut heartbeat, &mut overdue).await;
        // A question of theirs that nobody reads the answer of any more would hold up those behind it.
        drop((heartbeat, overdue));
        let Some(capture) = self.capture.take() else {
            return ended;
        };
        if let Err(fault) = &ended {
            if matches!(fault.kind, Kind::Planned | Kind::NoRoom) {
                // Both servers are well: the slot is free when the next session asks for it.
                let released = async {
                    capture.finish().await;
                    released(&self.desktop.client, of.slot).await
                };
                tokio::select! {
                    _ = timeout(limits::SILENCE_MAX, released) => {}
                    _ = self.desktop.ended() => {}
                }
            } else {
                // The server may be shutting down and must not wait for us (P10).
                capture.abandon().await;
            }
            return ended;
        }
        tokio::select! {
            last = self.sender.finish() => {
                if let Ok(last) = last {
                    capture.confirm(last);
                }
                capture.finish().await;
                last?;
            }
            // A computer that shuts down tells all its programs at once, and the cloud may be silent.
            _ = self.desktop.ended() => {
                capture.abandon().await;
                self.sender.finish().await?;
            }
        }
        self.sender.close().await;
        Ok(())
    }

    /// Everything that waits, waits here.
    async fn stream(
        &mut self,
        stop: &CancellationToken,
        heartbeat: &mut Heartbeat<'_>,
        overdue: &mut LagReporter<'_>,
    ) -> Result<(), Fault> {
        let mut news = self.reloads.news();
        loop {
            if self.batcher.was_asked() {
                self.asking.look();
            }
            if self.batcher.was_told_to_reload() {
                self.reloads.ask();
            }
            self.copies.begin(&self.sender)?;
            self.copies.go_on(&mut self.batcher, &mut self.sender);
            // Behind what ends the last copy: nothing else would wake us before the next heartbeat.
            if self.ends && self.copies.are_done() && !self.sender.is_busy() {
                return Ok(());
            }
            let due = self.write_next()?;
            let (parked, unflushed) = (self.sender.parked_due(), self.sender.flush_due());
            let (oldest, progress) = (self.batcher.oldest(), self.sender.progress());
            self.reloads.note_behind(oldest.is_some());
            let (copy_due, pauses) = (self.copies.due(), self.copies.pause_stream());
            let (is_full, passing) = (self.batcher.is_full() || pauses, self.sender.is_passing());
            if let Some(capture) = &self.capture {
                capture.pause(self.batcher.has_enough() || pauses);
            }
            let impatient = self
                .busy_since
                .filter(|_| self.capture.is_some())
                .map(|since| since + limits::UNCONFIRMED_MAX);
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                end = self.desktop.ended() => return Err(went_away(end)),
                outcome = self.sender.outcome() => self.written(outcome?).await?,
                delivery = next(&mut self.capture), if !is_full => self.gather(delivery)?,
                event = self.copies.event() => {
                    if self.copies.take(event, &mut self.batcher, &self.sender)? {
                        heartbeat.beat_soon();
                    }
                }
                asked = self.asking.answer() => {
                    self.asking.take(asked?, &mut self.copies, &self.sender).await?;
                }
                refilled = self.refiller.run() => {
                    if let Some(refill) = refilled? {
                        self.copies.swap_what_does_not_stream(&refill);
                    }
                }
                renewed = self.renewal.keep(passing) => renewed?,
                drifted = heartbeat.beat() => {
                    self.halt(drifted?, heartbeat);
                    self.sender.see_what_is_wider();
                }
                changed = self.lookout.look() => self.halt(changed?, heartbeat),
                settings = news.next() => self.adjust(&settings, heartbeat),
                () = overdue.tell(oldest, progress) => {}
                () = at(parked) => self.sender.try_parked(),
                () = at(unflushed) => self.sender.flush(),
                () = at(due) => {}
                () = at(copy_due) => {}
                () = at(impatient) => self.leave_unless_it_moves().await,
            }
        }
    }

    /// What the desktop has sent, if it goes on sending.
    fn gather(&mut self, delivery: Option<Result<Delivery, WireError>>) -> Result<(), Fault> {
        match delivery {
            Some(Ok(delivery)) => self.batcher.take(delivery),
            Some(Err(error)) => Err(of_desktop(&error, &self.sides.forward.publication)),
            None => Err(Fault::new(
                Kind::Transient(Side::Desktop),
                "the stream ended",
            )),
        }
    }

    /// A cloud that has been silent for long may be at work on a large transaction; else the stream is left.
    async fn leave_unless_it_moves(&mut self) {
        let progress = self.sender.progress();
        if progress != self.progress {
            (self.progress, self.busy_since) = (progress, Some(Instant::now()));
            return;
        }
        // The slot's position doesn't move, so a shutdown of the desktop would wait for us.
        tracing::warn!("{}; leaving the stream until it answers", silent());
        if let Some(capture) = self.capture.take() {
            capture.abandon().await;
        }
    }

    /// Schedules and limits that changed count at once; all else needs a new session.
    fn adjust(&mut self, settings: &Settings, heartbeat: &mut Heartbeat<'_>) {
        heartbeat.beat_every(settings.heartbeat.every);
        self.lookout.look_every(settings.heartbeat.every);
        self.batcher.limit(&settings.forward);
        self.sender.limit_pauses(settings.forward.batch_wait);
        if !self.ends {
            self.refiller.adjust(settings.refills.clone());
            self.copies.reschedule(&settings.tables);
        }
    }

    /// They stop with the next batch, which comes soon.
    fn halt(&mut self, halts: Vec<TableStop>, heartbeat: &mut Heartbeat<'_>) {
        if self.sender.halt_later(halts) {
            heartbeat.beat_soon();
        }
    }

    /// Sends what has gathered, as far as it is time for it; says when it is time for the rest.
    fn write_next(&mut self) -> Result<Option<Instant>, Fault> {
        loop {
            let idle = !self.sender.is_busy();
            let next = (!idle).then(|| self.sender.next());
            let room = match self.batcher.next_chunk() {
                Some(first) => self.sender.takes_chunk(first),
                None => self.sender.has_room(),
            };
            match self.batcher.due(next) {
                Some(_) if !room => return Ok(None),
                Some(due) if due > Instant::now() => return Ok(Some(due)),
                Some(_) => {}
                None => {
                    if !self.sender.is_owed() {
                        let wanted = self.capture.as_ref().map_or(0, Capture::starved_of);
                        self.batcher.make_room(wanted)?;
                        if self.batcher.next_chunk().is_some() {
                            continue;
                        }
                    }
                    return Ok(None);
                }
            }
            let Some(unit) = self.batcher.next() else {
                return Ok(None);
            };
            if let Some(chunk) = self.sender.write(unit)? {
                self.batcher.take_back(chunk)?;
                continue;
            }
            self.busy_since.get_or_insert_with(Instant::now);
        }
    }

    async fn written(&mut self, outcome: Outcome) -> Result<(), Fault> {
        let halted = self.sender.take_halted();
        if !halted.is_empty() {
            self.halted.send_modify(|names| names.extend(halted));
        }
        let copy = match outcome {
            Outcome::Again if self.capture.is_none() && self.sender.is_passing() => {
                return Err(answered_late());
            }
            Outcome::Again => {
                self.busy_since = self.sender.is_owed().then(Instant::now);
                return Ok(());
            }
            Outcome::Committed => None,
            Outcome::CopyAgain(why) => Some(why),
        };
        self.busy_since = self.sender.is_owed().then(Instant::now);
        self.batcher.committed(self.sender.checkpoint());
        match (&self.capture, copy) {
            (_, Some(why)) => Err(Fault::new(Kind::Planned, why)),
            (Some(capture), None) => {
                capture.confirm(self.sender.durable());
                Ok(())
            }
            (None, None) => Err(answered_late()),
        }
    }
}

async fn capture_from(
    sides: &Sides<'_>,
    from: Committed,
    sender_timeout: Duration,
) -> Result<Capture, Fault> {
    let (desktop, forward) = (&sides.settings.desktop, &sides.settings.forward);
    let start = Start {
        slot: forward.slot.clone(),
        publication: forward.publication.clone(),
        from,
        sender_timeout,
        memory_max: forward.memory_max,
    };
    let mut begun = Capture::start(&desktop.endpoint, &start).await;
    if begun.as_ref().is_err_and(is_taken) {
        // Whoever looks at what waits in the slot (`observe`) has it for a moment.
        let free = released(&sides.desktop.client, &forward.slot);
        let _ = timeout(limits::SILENCE_MAX, free).await;
        begun = Capture::start(&desktop.endpoint, &start).await;
    }
    begun.map_err(|error| of_desktop(&error, &forward.publication))
}

/// Somebody reads the slot.
fn is_taken(error: &WireError) -> bool {
    matches!(error, WireError::Server(said) if said.code == sqlstate::OBJECT_IN_USE)
}

/// An error of the stream.
fn of_desktop(error: &WireError, publication: &str) -> Fault {
    of_stream(error, publication).unwrap_or_else(|| Fault::wire(Side::Desktop, error))
}

/// The stream was left before the cloud answered.
fn answered_late() -> Fault {
    Fault::new(Kind::Transient(Side::Cloud), "the cloud answered late")
}

/// The connection to the desktop ended.
fn went_away(end: End) -> Fault {
    let words = { end.server }.map_or("the connection ended".to_owned(), |error| error.to_string());
    Fault::new(Kind::Transient(Side::Desktop), "the desktop went away").cause(words)
}

async fn next(capture: &mut Option<Capture>) -> Option<Result<Delivery, WireError>> {
    match capture {
        Some(capture) => capture.next().await,
        None => pending().await,
    }
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when.into()).await,
        None => pending().await,
    }
}
