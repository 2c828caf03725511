//! One session: connect both sides, agree, set up, fill what must be filled, stream.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::lease::acquire;
use super::lineage::{check_slot_is_free, no_checkpoint};
use super::ready::Ready;
use super::reload::{look_for_reloads, or_superseded};
use super::run_mode::RunMode;
use super::schema_drift::{mended, unfit};
use super::session_context::Session;
use super::telling::telling;
use super::upgrade::{install_schemas, look_at_schemas};
use super::wal_limit::is_given_up;
use crate::apply::{Applier, Lease, LeaseState, release};
use crate::config::Settings;
use crate::fault::{Decision, Fault, Side};
use crate::flows::{
    Forward, LastRefill, Reverse, Sides, StoppedTables, agree_again, check_keys, known_tables,
    last_refills,
};
use crate::limits;
use crate::model::{Committed, Tables};
use crate::observe::Observer;
use crate::plan::TransactionSettings;
use crate::wire::WireError;

/// Runs until the stream ends, or the goal is reached.
///
/// # Errors
/// Why it ended.
pub(super) async fn session(
    settings: &Settings,
    stop: &CancellationToken,
    goal: &mut RunMode,
) -> Result<(), Fault> {
    let Some(sides) = stop.run_until_cancelled(connect(settings, goal)).await else {
        return Ok(());
    };
    let sides = sides?;
    let (desktop, cloud, identity) = (&sides.desktop, &sides.cloud, &sides.identity);
    let replicator = sides.replicator.clone();
    let (on_desktop, in_cloud) = sides.installed;
    let (lacks, served) = look(&sides, goal).await?;
    let agreeing = agree_again(settings, &desktop.client, &cloud.client, &served);
    let Some(tables) = stop.run_until_cancelled(agreeing).await else {
        return Ok(());
    };
    let tables = Arc::new(tables?);
    let _ = sides.agreed.set(tables.clone());
    let slot = &settings.forward.slot;
    let given_up =
        in_cloud && on_desktop && is_given_up(&desktop.client, &replicator, slot).await?;
    // Where tandem never was, a key that doesn't hold is found before anything is changed.
    let measured = !in_cloud || goal.restart;
    if measured {
        check_all_keys(&tables, &desktop.client, &cloud.client).await?;
    }
    install_schemas(&sides, &goal.migrations).await?;
    if goal.restart && in_cloud {
        check_slot_is_free(&desktop.client, slot).await?;
    }
    let taken = acquire(settings, (&replicator, identity), cloud, goal, stop).await;
    let led = taken.is_ok().then_some((identity, &sides.cloud_identity));
    let first = goal.reloads.leads(led);
    let mut taken = taken?;
    look_for_reloads(&cloud.client, &replicator, (goal, first)).await?;
    let lease = Lease {
        replicator,
        slot: settings.forward.slot.clone(),
        epoch: taken.epoch,
    };
    let run = Session {
        settings,
        desktop,
        cloud,
        identity,
        cloud_identity: &sides.cloud_identity,
        tables: &tables,
        lease: lease.clone(),
        goal: goal.clone(),
        served,
        measured,
        given_up,
        lacks,
    };
    let ended = Box::pin(run.run(&mut taken, stop, goal)).await;
    goal.reloads.rests();
    let comes_back = |fault: &Fault| {
        let goes_on = matches!(fault.decision(), Decision::Retry | Decision::Again);
        goes_on || goal.reloads.can_go_back()
    };
    if ended.as_ref().is_err_and(comes_back) && !stop.is_cancelled() {
        // We come back at once, and are still the one that runs.
        return ended;
    }
    give_back(&cloud.client, &lease, ended.as_ref().err()).await;
    ended
}

/// Both sides, and who they are.
async fn connect(settings: &Settings, goal: &mut RunMode) -> Result<Arc<Observer>, Fault> {
    let sides = match goal.opened.0.take() {
        Some(sides) => sides,
        None => Arc::new(Observer::open(settings).await?),
    };
    sides.identity.is_not(&sides.cloud_identity)?;
    sides.identity.can_publish()?;
    Ok(sides)
}

/// Whether a schema lacks steps, and which tables were served before.
async fn look(sides: &Observer, goal: &RunMode) -> Result<(bool, BTreeSet<String>), Fault> {
    let (_, in_cloud) = sides.installed;
    let (lacks, served) = tokio::join!(look_at_schemas(sides, &goal.migrations), async {
        match in_cloud && !goal.ends {
            true => known_tables(&sides.cloud.client, &sides.replicator).await,
            false => Ok(BTreeSet::new()),
        }
    });
    Ok((lacks?, served?))
}

async fn check_all_keys(tables: &Tables, desktop: &Client, cloud: &Client) -> Result<(), Fault> {
    let all: Vec<_> = tables.iter().collect();
    let reverse_tables: Vec<_> = tables.reverse_tables().iter().collect();
    check_keys(&all, &reverse_tables, desktop, cloud).await
}

/// The next program need not wait for the lease; if this fails, it ends by itself.
async fn give_back(cloud: &Client, lease: &Lease, why: Option<&Fault>) {
    let last_words = why.map(|fault| match &fault.next {
        Some(next) => format!("{fault}; next: {next}"),
        None => fault.to_string(),
    });
    let released = release(cloud, lease, last_words.as_deref());
    let _ = timeout(limits::GOODBYE_MAX, released).await;
}

impl Session<'_> {
    async fn run(
        &self,
        taken: &mut LeaseState,
        stop: &CancellationToken,
        goal: &mut RunMode,
    ) -> Result<(), Fault> {
        let statement_timeout = self.settings.cloud.statement_timeout * (1 << self.goal.slower);
        let opening = TransactionSettings::cloud(statement_timeout, self.tables.are_confined());
        let dialed = self.dial(statement_timeout);
        // Asked together, unless the schema is still an older one.
        let (taken_up, early) = match self.lacks {
            false => tokio::join!(self.take_up(taken, stop, goal), self.remembered()),
            true => (self.take_up(taken, stop, goal).await, Ok(HashMap::new())),
        };
        taken_up?;
        let remembered = match self.lacks {
            false => early?,
            true => self.remembered().await?,
        };
        let setup = self.set_up(taken, &remembered, dialed, &opening);
        let setup = Box::pin(telling(&self.goal, setup));
        let Some(ready) = stop.run_until_cancelled(setup).await else {
            return Ok(());
        };
        let (ready, applier) = ready?;
        let Some(checkpoint) = ready.checkpoint else {
            return Err(no_checkpoint());
        };
        // The next session goes on with what this one has begun.
        goal.fresh = false;
        if self.goal.ends && ready.filled && ready.agenda.wanted.is_empty() {
            // The slot stands where the tables were read, and nothing else is asked for.
            applier.close().await;
            return Ok(());
        }
        let stopped = unfit(&self.cloud.client, &self.lease.replicator).await?;
        let (tell, halted) = watch::channel(stopped);
        let cloud = (applier, opening);
        let forward = self.forward(ready, checkpoint, cloud, tell.clone()).await?;
        let reverse = match self.goal.ends {
            true => None,
            false => {
                let told = (tell, self.goal.reloads.news());
                Reverse::start(self.settings, self.tables, &self.lease, told).await?
            }
        };
        self.goal.reloads.streams();
        tracing::info!(checkpoint = %checkpoint.lsn(), tables = self.tables.names().len(), epoch = self.lease.epoch, "streaming");
        let ending = stop.child_token();
        let tables = (self.tables, &self.goal.taken_up);
        let mended = mended(self.settings, &self.lease, tables, halted);
        let mut both = Box::pin(telling(&self.goal, both_ways(forward, reverse, &ending)));
        tokio::select! {
            ended = &mut both => ended,
            fault = or_superseded(mended, &self.goal) => {
                // The slot is free when the next session asks for it.
                ending.cancel();
                both.await.and(Err(fault))
            }
        }
    }

    /// The cloud's checkpoint is one that this desktop can go on from, or nothing is known any more of how far the
    /// cloud is.
    async fn take_up(
        &self,
        taken: &mut LeaseState,
        stop: &CancellationToken,
        goal: &mut RunMode,
    ) -> Result<(), Fault> {
        if !goal.restart {
            self.check_lineage(taken)?;
        }
        self.migrate(stop).await?;
        if !goal.restart {
            self.check_timeline(taken).await?;
            self.check_history(taken).await?;
        }
        // What nobody asked for happens only where the desktop's history is the one that the cloud has.
        if goal.restart || self.given_up {
            self.forget(taken).await?;
            goal.restart = false;
        }
        Ok(())
    }

    /// Opens the stream.
    async fn forward(
        &self,
        ready: Ready,
        checkpoint: Committed,
        (applier, opening): (Applier, TransactionSettings),
        halted: watch::Sender<StoppedTables>,
    ) -> Result<Forward<'_>, Fault> {
        let sides = Sides {
            settings: self.settings,
            desktop: self.desktop,
            cloud: self.cloud,
            applier,
            opening,
            lease: self.lease.clone(),
            agenda: ready.agenda,
            refilled: self.refilled().await?,
            nonce: ready.nonce,
            known: (self.cloud_identity.clone(), ready.prints),
            ends: self.goal.ends,
            progress: self.goal.progress.clone(),
            attempts: self.goal.attempts.clone(),
            meter: self.goal.meter.clone(),
            halted,
            reloads: self.goal.reloads.clone(),
        };
        let (tables, timeout) = (self.tables.clone(), self.identity.sender_timeout);
        Forward::start(sides, tables, ready.book, checkpoint, timeout).await
    }

    /// When each part of the refill was run.
    async fn refilled(&self) -> Result<BTreeMap<String, LastRefill>, Fault> {
        if self.goal.ends {
            return Ok(BTreeMap::new());
        }
        let (desktop, refills) = (&self.desktop.client, &self.settings.refills);
        let asked = last_refills(desktop, &self.lease.replicator, refills);
        let silent = |_| {
            Fault::wire(
                Side::Desktop,
                &WireError::Timeout(limits::SILENCE_MAX.as_secs()),
            )
        };
        timeout(limits::SILENCE_MAX, asked).await.map_err(silent)?
    }
}

/// Both directions until told to stop, or until one of them ends; then the other one ends cleanly.
async fn both_ways(
    forward: Forward<'_>,
    reverse: Option<Reverse>,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    let Some(reverse) = reverse else {
        return forward.run(stop).await;
    };
    let ending = stop.child_token();
    let (out, reverse) = tokio::join!(
        async {
            let ended = Box::pin(forward.run(&ending)).await;
            ending.cancel();
            ended
        },
        async {
            let ended = Box::pin(reverse.run(&ending)).await;
            ending.cancel();
            ended
        }
    );
    out.and(reverse)
}
