//! Settings are read again while the service runs: because of a signal, or because somebody asked in the cloud.
//!
//! The file is read with the environment of the start. What is wrong in it, or doesn't work with both sides, is said and
//! changes nothing. Schedules and limits go to the session that streams; all else begins a new one, once it is known that it
//! can begin.

mod note;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::run_mode::RunMode;
use crate::catalog::{Facts, facts};
use crate::config::{self, Changes, Settings, Sources};
use crate::fault::{Decision, Fault, Kind, Side};
use crate::flows::{Reloads, Tried, agree_again, check_keys, known_tables};
use crate::limits;
use crate::model::listed;
use crate::observe::{Observer, ReloadOutcome, Reloaded};

use note::Desk;
pub(super) use note::look_for_reloads;

/// Reads the settings again whenever somebody wants it; never ends.
pub(super) async fn reload_when_wanted(reloads: &Reloads) -> Infallible {
    let Some(sources) = reloads.sources() else {
        return pending().await;
    };
    let mut reader = Reader {
        reloads,
        sources,
        unsaid: None,
        missed: false,
        again: None,
        behind: 0,
    };
    let mut ticks = interval(limits::RELOAD_LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = reloads.told() => reader.told().await,
            () = reloads.asked() => reader.asked().await,
            _ = ticks.tick() => reader.look().await,
        }
    }
}

/// Ends when a session has to make room for one with other settings, or for the reason that `mended` has. A copy beside the
/// stream is waited for: else it would begin anew.
pub(super) async fn or_superseded(mended: impl Future<Output = Fault>, goal: &RunMode) -> Fault {
    let superseded = async {
        goal.reloads.outdated().await;
        while !goal.progress.look().is_over() {
            sleep(limits::WAIT_EVERY).await;
        }
        let what = "the settings were read again, and a new session takes them up";
        Fault::new(Kind::Planned, what)
    };
    tokio::select! {
        fault = mended => fault,
        fault = superseded => fault,
    }
}

struct Reader<'r> {
    reloads: &'r Reloads,
    sources: &'r Sources,
    /// The last answer, and whose questions it answers, while the cloud doesn't have it.
    unsaid: Option<(Vec<i64>, Reloaded)>,
    /// Somebody asked, and the cloud was away.
    missed: bool,
    /// What came of a signal whose settings could not be checked: nobody is there who would ask again, so we do.
    again: Option<Reloaded>,
    /// Looks that were due while the stream was behind.
    behind: u32,
}

impl Reader<'_> {
    /// Somebody on this computer wants it.
    async fn told(&mut self) {
        let answer = self.read_again().await;
        let before = match answer.outcome {
            ReloadOutcome::Unreachable => self.again.replace(answer.clone()),
            _ => self.again.take(),
        };
        if before.as_ref() != Some(&answer) {
            log(&answer);
            self.unsaid = Some((Vec::new(), answer));
            self.say().await;
        }
    }

    /// While no session streams, and nobody hears who asks, the cloud is looked into now and then; more seldom while the
    /// stream is behind, and would hear of it late.
    async fn look(&mut self) {
        if self.again.is_some() {
            self.told().await;
        }
        if !self.reloads.is_leading() {
            return;
        }
        if self.unsaid.is_some() {
            self.say().await;
        }
        self.behind = match self.reloads.is_behind() {
            true => self.behind + 1,
            false => 0,
        };
        let behind = self.behind >= limits::RELOAD_LOOKS_BEHIND;
        if self.missed || behind || !self.reloads.is_streaming() {
            self.behind = 0;
            self.asked().await;
        }
    }

    /// Somebody asked in the cloud: all who did before the file is read get the same answer.
    async fn asked(&mut self) {
        if !self.reloads.is_leading() {
            return;
        }
        let asked = async { self.desk().await?.asked().await }.await;
        match asked {
            Ok(asked) => {
                self.missed = false;
                if !asked.is_empty() {
                    let answer = self.read_again().await;
                    log(&answer);
                    self.unsaid = Some((asked, answer));
                    self.say().await;
                }
            }
            Err(fault) => {
                self.missed = true;
                tracing::debug!("who wants the settings to be read can't be asked: {fault}");
            }
        }
    }

    /// Tells the cloud what came of it; later where that fails.
    async fn say(&mut self) {
        let Some((asked, answer)) = self.unsaid.take() else {
            return;
        };
        let told = async { self.desk().await?.tell(&asked, &answer).await }.await;
        if let Err(fault) = told {
            tracing::debug!("the cloud doesn't know yet that the settings were read: {fault}");
            self.unsaid = Some((asked, answer));
        }
    }

    /// Where the cloud has who asks, by the settings that count.
    async fn desk(&self) -> Result<Desk, Fault> {
        let (settings, sides) = (self.reloads.settings(), self.reloads.sides());
        let (Some(settings), Some((desktop, _))) = (settings, sides) else {
            let what = "both sides were never reached yet";
            return Err(Fault::new(Kind::Transient(Side::Cloud), what));
        };
        Desk::open(&settings, &desktop).await
    }

    async fn read_again(&self) -> Reloaded {
        let sources = self.sources.clone();
        let read = tokio::task::spawn_blocking(move || config::load(&sources)).await;
        match read {
            Ok(Ok(later)) => self.take_up(later).await,
            Ok(Err(problems)) => Reloaded::bad(problems.to_string()),
            Err(error) => Reloaded::bad(format!("the settings could not be read: {error}")),
        }
    }

    async fn take_up(&self, later: Settings) -> Reloaded {
        let Some(now) = self.reloads.settings() else {
            return Reloaded::bad("the service is only starting".to_owned());
        };
        let changes = now.changes(&later);
        for warning in &later.warnings {
            tracing::warn!("{warning}");
        }
        let later = Arc::new(later.holding(&now));
        if !changes.by_session.is_empty() {
            return self.renew(&now, later, &changes).await;
        }
        if !changes.at_once.is_empty() {
            if now.heartbeat != later.heartbeat
                && self.reloads.is_leading()
                && let Err(fault) = self.set_term(&later).await
            {
                return Reloaded::unreachable(&fault);
            }
            self.reloads.adjust(later);
        }
        Reloaded::of(&changes, None)
    }

    /// The lease must not end between two heartbeats.
    async fn set_term(&self, later: &Settings) -> Result<(), Fault> {
        self.desk().await?.set_term(super::lease::term(later)).await
    }

    /// Begins a new session with other settings, if one can begin.
    async fn renew(&self, now: &Settings, later: Arc<Settings>, changes: &Changes) -> Reloaded {
        let mut waits = None;
        if self.reloads.is_leading() {
            let checked = can_begin(now, &later, self.reloads.sides());
            let late = |_| {
                Err(Fault::new(
                    Kind::Transient(Side::Cloud),
                    "a side does not answer in time",
                ))
            };
            let checked = timeout(limits::RELOAD_CHECK_MAX, Box::pin(checked)).await;
            match checked.unwrap_or_else(late) {
                Ok(()) => {}
                // There is no session that could be lost.
                Err(fault) if is_away(&fault) && !self.reloads.is_streaming() => {
                    waits = Some(format!("they could not be checked, since {fault}"));
                }
                Err(fault) if is_away(&fault) => return Reloaded::unreachable(&fault),
                Err(fault) => return Reloaded::bad(in_full(&fault)),
            }
        }
        let was_streaming = self.reloads.is_streaming();
        let number = self.reloads.renew(later);
        if !was_streaming {
            let why = "no session streams at the moment; the next one begins with them".to_owned();
            let why = waits.map_or(why.clone(), |waits| format!("{why}; {waits}"));
            return Reloaded::of(changes, Some(why));
        }
        match timeout(limits::RELOAD_PROOF_MAX, self.reloads.tried(number)).await {
            Ok(Tried::Streams) => Reloaded::of(changes, None),
            Ok(Tried::Refused(why)) => Reloaded::bad(why),
            Err(_) => {
                let why = "the session that takes them up has not begun to stream yet: it waits for a copy, or for a side";
                Reloaded::of(changes, Some(why.to_owned()))
            }
        }
    }
}

/// Whether a session could begin with other settings: both sides are those that are served, and let us in, and every table
/// that goes on fits as it fitted.
async fn can_begin(
    now: &Settings,
    later: &Settings,
    known: Option<(Facts, Facts)>,
) -> Result<(), Fault> {
    let there = Observer::connect(later).await?;
    let (desktop, cloud) = (&there.desktop.client, &there.cloud.client);
    let cloud_identity = facts(cloud, Side::Cloud).await?;
    there.identity.is_not(&cloud_identity)?;
    there.identity.can_publish()?;
    let Some((known_desktop, known_cloud)) = known else {
        return Ok(());
    };
    for (side, known, is) in [
        (Side::Desktop, &known_desktop, &there.identity),
        (Side::Cloud, &known_cloud, &cloud_identity),
    ] {
        if (&known.system_id, &known.database) != (&is.system_id, &is.database) {
            let what = format!("{side}.url leads to another database than the one that is served");
            return Err(Fault::new(Kind::Input, what)
                .hint("another database is another beginning: stop the service, and start it with these settings"));
        }
    }
    let served = known_tables(cloud, &there.replicator).await?;
    let before = agree_again(now, desktop, cloud, &served).await?;
    // What doesn't fit now needn't fit then; but nothing that goes on may stop.
    let misfits = before.misfits().iter().map(|misfit| misfit.name.clone());
    let misfits: BTreeSet<_> = misfits.collect();
    let after = agree_again(later, desktop, cloud, &misfits).await?;
    // Keys of what is copied anew, which would stop it.
    let fingerprint = |name: &str| {
        let mut tables = before.iter();
        let table = tables.find(|table| table.name == name);
        table.map(|table| &table.fingerprint)
    };
    let tables =
        { after.iter() }.filter(|table| fingerprint(&table.name) != Some(&table.fingerprint));
    let homes =
        { after.reverse_tables().iter() }.filter(|home| before.reverse_table(&home.name).is_none());
    let (tables, homes): (Vec<_>, Vec<_>) = (tables.collect(), homes.collect());
    check_keys(&tables, &homes, desktop, cloud).await
}

fn is_away(fault: &Fault) -> bool {
    fault.decision() == Decision::Retry
}

/// With what to do about it.
fn in_full(fault: &Fault) -> String {
    match &fault.hint {
        Some(hint) => format!("{fault}\nhint: {hint}"),
        None => fault.to_string(),
    }
}

fn log(answer: &Reloaded) {
    let names = |keys: &[String]| listed(keys, limits::NAMES_SHOWN);
    let (taken_up, restart) = (names(&answer.taken_up), names(&answer.restart));
    let why = answer.why.as_deref();
    match answer.outcome {
        ReloadOutcome::Unchanged => {
            tracing::info!("the settings were read again, and nothing has changed");
        }
        ReloadOutcome::TakenUp => {
            tracing::info!(taken_up, why, "the settings were read again");
        }
        ReloadOutcome::Restart => tracing::warn!(
            taken_up,
            restart,
            why,
            "the settings were read again; what needs a restart stays as it was"
        ),
        ReloadOutcome::Bad => tracing::error!(
            why,
            "the settings were read again and can't be taken up; all goes on with those before"
        ),
        ReloadOutcome::Unreachable => tracing::warn!(
            why,
            "the settings were read again and could not be checked; all goes on with those before"
        ),
    }
}
