//! One session: connect both sides, agree, set up, fill what must be filled, stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::lease::acquire;
use super::lineage::{check_slot_is_free, no_checkpoint};
use super::reload::{look_for_reloads, or_superseded};
use super::schema_drift::{mended, unfit};
use super::session_plan::RunMode;
use super::set_up::Ready;
use super::telling::telling;
use super::upgrade::{install_schemas, look_at_schemas};
use super::wal_limit::is_given_up;
use crate::apply::{Applier, Lease, LeaseState, release};
use crate::catalog::{Facts, facts, replicator_name};
use crate::config::Settings;
use crate::fault::{Decision, Fault, Side};
use crate::flows::{
    Forward, LastRefill, Reverse, Sides, StoppedTables, agree_again, check_keys, known_tables,
    last_refills,
};
use crate::install::is_installed;
use crate::limits;
use crate::model::{Committed, Tables};
use crate::plan::TransactionSettings;
use crate::wire::WireError;
use crate::wire::control::Control;

/// Runs until the stream ends, or the goal is reached.
///
/// # Errors
/// Why it ended.
pub(super) async fn session(
    settings: &Settings,
    stop: &CancellationToken,
    goal: &mut RunMode,
) -> Result<(), Fault> {
    let Some(connected) = stop.run_until_cancelled(connect(settings)).await else {
        return Ok(());
    };
    let (cloud, desktop, identity, cloud_identity) = connected?;
    let replicator = replicator_name(settings, &identity);
    look_at_schemas(&desktop, &cloud, &goal.migrations).await?;
    let unknown = !is_installed(&cloud.client, Side::Cloud).await?;
    let served = match unknown || goal.ends {
        true => BTreeSet::new(),
        false => known_tables(&cloud.client, &replicator).await?,
    };
    let agreeing = agree_again(settings, &desktop.client, &cloud.client, &served);
    let Some(tables) = stop.run_until_cancelled(agreeing).await else {
        return Ok(());
    };
    let tables = Arc::new(tables?);
    let given_up = !unknown
        && is_installed(&desktop.client, Side::Desktop).await?
        && is_given_up(&desktop.client, &replicator, &settings.forward.slot).await?;
    // Where tandem never was, a key that doesn't hold is found before anything is changed.
    let measured = unknown || goal.restart;
    if measured {
        check_all_keys(&tables, &desktop.client, &cloud.client).await?;
    }
    install_schemas(&desktop, &cloud, &goal.migrations).await?;
    if goal.restart && !unknown {
        check_slot_is_free(&desktop.client, &settings.forward.slot).await?;
    }
    let taken = acquire(settings, (&replicator, &identity), &cloud, goal, stop).await;
    let sides = taken.is_ok().then_some((&identity, &cloud_identity));
    let first = goal.reloads.leads(sides);
    let mut taken = taken?;
    look_for_reloads(&cloud.client, &replicator, (goal, first)).await?;
    let lease = Lease {
        replicator,
        slot: settings.forward.slot.clone(),
        epoch: taken.epoch,
    };
    let run = Session {
        settings,
        desktop: &desktop,
        cloud: &cloud,
        identity: &identity,
        cloud_identity: &cloud_identity,
        tables: &tables,
        lease: lease.clone(),
        goal: goal.clone(),
        served,
        measured,
        given_up,
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
async fn connect(settings: &Settings) -> Result<(Control, Control, Facts, Facts), Fault> {
    // The cloud first: no stream is opened while it is away.
    let cloud = Side::Cloud.connect(&settings.cloud.endpoint).await?;
    let cloud_identity = facts(&cloud.client, Side::Cloud).await?;
    let desktop = Side::Desktop.connect(&settings.desktop.endpoint).await?;
    let identity = facts(&desktop.client, Side::Desktop).await?;
    identity.is_not(&cloud_identity)?;
    identity.can_publish()?;
    Ok((cloud, desktop, identity, cloud_identity))
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

pub(super) struct Session<'a> {
    pub(super) settings: &'a Settings,
    pub(super) desktop: &'a Control,
    pub(super) cloud: &'a Control,
    pub(super) identity: &'a Facts,
    pub(super) cloud_identity: &'a Facts,
    pub(super) tables: &'a Arc<Tables>,
    pub(super) lease: Lease,
    pub(super) goal: RunMode,
    /// Tables that were served before: where they don't fit any more they stop alone.
    pub(super) served: BTreeSet<String>,
    /// All keys were measured a moment ago.
    pub(super) measured: bool,
    /// The slot was given up, since the desktop kept too much WAL for it (P10).
    pub(super) given_up: bool,
}

impl Session<'_> {
    async fn run(
        &self,
        taken: &mut LeaseState,
        stop: &CancellationToken,
        goal: &mut RunMode,
    ) -> Result<(), Fault> {
        self.take_up(taken, stop, goal).await?;
        let remembered = self.remembered().await?;
        let statement_timeout = self.settings.cloud.statement_timeout * (1 << self.goal.slower);
        let opening = TransactionSettings::cloud(statement_timeout, self.tables.are_confined());
        let mut applier = Applier::connect(&self.settings.cloud.endpoint, statement_timeout)
            .await
            .map_err(Fault::at(Side::Cloud))?;
        let setup = self.set_up(taken, &remembered, &mut applier, &opening);
        let setup = telling(&self.goal, setup);
        let Some(ready) = stop.run_until_cancelled(setup).await else {
            return Ok(());
        };
        let ready = ready?;
        let Some(checkpoint) = ready.checkpoint else {
            return Err(no_checkpoint());
        };
        // The next session goes on with what this one has begun.
        goal.fresh = false;
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
