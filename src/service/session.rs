//! One session: connect both sides, agree, set up, fill what must be filled, stream.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_util::sync::CancellationToken;

use super::lease::acquire;
use super::lineage::{check_slot_is_free, no_checkpoint};
use super::reload::{look_for_reloads, or_superseded};
use super::schema_drift::{mended, note_misfits, say_stopped, take_up_reverse, unfit};
use super::session_plan::{Remembered, RunMode};
use super::telling::telling;
use super::upgrade::{install_schemas, look_at_schemas};
use super::wal_limit::is_given_up;
use crate::apply::{
    Advance, Applier, Lease, LeaseState, Script, advance, assert_lease, clear_staging, release,
};
use crate::catalog::{self, Facts, Footprint, facts, replicator_name};
use crate::config::Settings;
use crate::failpoint;
use crate::fault::{Decision, Fault, Side};
use crate::flows::{
    Agenda, CopyRequest, Forward, InitialCopy, LastRefill, Reverse, Sides, agree_again, bind,
    check_keys, check_keys_again, fill, known_tables, last_refills, not_applied, parked, set_state,
};
use crate::fold::StreamState;
use crate::install::{ensure_publication, is_installed, published_besides, unpublish, watch};
use crate::limits;
use crate::model::{Committed, Lsn, TableId, TableState, Tables, listed};
use crate::plan::{TransactionSettings, opening, table_state};
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
    let connect = async {
        // The cloud first: no stream is opened while it is away.
        let cloud = Side::Cloud.connect(&settings.cloud.endpoint).await?;
        let cloud_identity = facts(&cloud.client, Side::Cloud).await?;
        let desktop = Side::Desktop.connect(&settings.desktop.endpoint).await?;
        let identity = facts(&desktop.client, Side::Desktop).await?;
        identity.is_not(&cloud_identity)?;
        identity.can_publish()?;
        Ok::<_, Fault>((cloud, desktop, identity, cloud_identity))
    };
    let Some(connected) = stop.run_until_cancelled(connect).await else {
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
        let all: Vec<_> = tables.iter().collect();
        let reverse_tables: Vec<_> = tables.reverse_tables().iter().collect();
        check_keys(&all, &reverse_tables, &desktop.client, &cloud.client).await?;
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
    let last_words = ended.as_ref().err().map(|fault| match &fault.next {
        Some(next) => format!("{fault}; next: {next}"),
        None => fault.to_string(),
    });
    let comes_back = |fault: &Fault| {
        let goes_on = matches!(fault.decision(), Decision::Retry | Decision::Again);
        goes_on || goal.reloads.can_go_back()
    };
    if ended.as_ref().is_err_and(comes_back) && !stop.is_cancelled() {
        // We come back at once, and are still the one that runs.
        return ended;
    }
    // The next program need not wait; if this fails, the lease ends by itself.
    let _ = timeout(
        limits::GOODBYE_MAX,
        release(&cloud.client, &lease, last_words.as_deref()),
    )
    .await;
    ended
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

/// What a stream starts with.
pub(super) struct Ready {
    pub(super) checkpoint: Option<Committed>,
    pub(super) book: StreamState,
    pub(super) agenda: Agenda,
    /// The word that our own writes from the cloud carry in the desktop's log.
    pub(super) nonce: String,
    /// What the cloud's tables are.
    prints: BTreeMap<TableId, Footprint>,
}

impl Session<'_> {
    async fn run(
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
        let Ready {
            checkpoint,
            book,
            agenda,
            nonce,
            prints,
        } = ready?;
        let Some(checkpoint) = checkpoint else {
            return Err(no_checkpoint());
        };
        // The next session goes on with what this one has begun.
        goal.fresh = false;
        let (settings, desktop, lease) = (self.settings, self.desktop, self.lease.clone());
        let stopped = unfit(&self.cloud.client, &self.lease.replicator).await?;
        let (tell, halted) = watch::channel(stopped);
        let sides = Sides {
            settings,
            desktop,
            cloud: self.cloud,
            applier,
            opening,
            lease,
            agenda,
            refilled: self.refilled().await?,
            nonce,
            known: (self.cloud_identity.clone(), prints),
            ends: self.goal.ends,
            progress: self.goal.progress.clone(),
            meter: self.goal.meter.clone(),
            halted: tell.clone(),
            reloads: self.goal.reloads.clone(),
        };
        let forward = Forward::start(
            sides,
            self.tables.clone(),
            book,
            checkpoint,
            self.identity.sender_timeout,
        )
        .await?;
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
        let mended = mended(settings, &self.lease, tables, halted);
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

    /// Publishes, makes the slot, fills; says where the stream starts.
    async fn set_up(
        &self,
        taken: &LeaseState,
        remembered: &HashMap<String, Remembered>,
        applier: &mut Applier,
        opening: &TransactionSettings,
    ) -> Result<Ready, Fault> {
        let desktop = &self.desktop.client;
        let mut ready = Ready {
            agenda: self.scheduled().await?,
            book: StreamState::default(),
            checkpoint: taken.checkpoint,
            nonce: self.prepare_homes().await?,
            prints: BTreeMap::new(),
        };
        self.remove_forgotten().await?;
        let misfits = self.tables.misfits().iter();
        note_misfits(&self.cloud.client, &self.lease, misfits).await?;
        let first = taken.checkpoint.is_none();
        let around = self.look_around(remembered, !first).await?;
        self.put_on_agenda(remembered, (first, &around), &mut ready)
            .await?;
        let new = |wanted: &&CopyRequest| !wanted.how.is_swap();
        let mut new: Vec<_> = ready.agenda.wanted.iter().filter(new).cloned().collect();
        let ambiguous = match self.measured {
            true => BTreeMap::new(),
            false => {
                let tables: Vec<_> = new.iter().map(|new| self.tables.get(new.table)).collect();
                let sides = (desktop, &self.cloud.client);
                check_keys_again(&tables, &[], sides, &self.served).await?
            }
        };
        let why = |wanted: &CopyRequest| ambiguous.get(&self.tables.get(wanted.table).name);
        let stopped: Vec<_> = { new.iter() }
            .filter_map(|wanted| Some((wanted.table, why(wanted)?)))
            .collect();
        new.retain(|wanted| why(wanted).is_none());
        ready.agenda.wanted.retain(|wanted| why(wanted).is_none());
        let every = { self.tables.iter() }.map(|table| table.id);
        let doubtful: BTreeSet<TableId> = match first {
            true => every.collect(),
            false => { new.iter().map(|new| new.table) }
                .chain(stopped.iter().map(|(table, _)| *table))
                .chain(around.anew.iter().copied())
                .collect(),
        };
        let publication = &self.settings.forward.publication;
        ensure_publication(desktop, publication, &self.lease.replicator).await?;
        self.publish(publication).await?;
        // Tables that left the settings, and partitions that are gone.
        let replicator = &self.lease.replicator;
        let left = published_besides(desktop, publication, replicator, self.tables).await?;
        for name in &left {
            unpublish(desktop, publication, replicator, name).await?;
            tracing::debug!(table = %name, "left the publication");
        }
        if !left.is_empty() {
            let names = listed(left.iter().map(ToString::to_string), limits::NAMES_SHOWN);
            tracing::info!(
                tables = names,
                "left the publication; the rows in the cloud stay"
            );
        }
        if let Some(checkpoint) = taken.checkpoint {
            self.check_slot(checkpoint).await?;
        }
        let slot = match taken.checkpoint {
            Some(_) => None,
            None => {
                self.remember_published(&doubtful).await?;
                Some(self.first_slot().await?)
            }
        };
        // They don't stream before they are copied, also if we end before that.
        let waiting = new.iter().map(|new| {
            ready.book.stop(new.table);
            set_state(
                replicator,
                self.tables.get(new.table),
                TableState::Waiting,
                None,
            )
        });
        let mut statements = self::opening(opening);
        statements.push(assert_lease(&self.lease));
        statements.extend(waiting);
        say_stopped(
            stopped
                .iter()
                .map(|(table, why)| (*why, &self.tables.get(*table).name)),
        );
        for (table, why) in stopped {
            ready.book.stop(table);
            let table = self.tables.get(table);
            statements.push(set_state(replicator, table, TableState::Stopped, Some(why)));
        }
        statements.extend(self.remember_prints(&around));
        // What earlier sessions left.
        statements.push(clear_staging(&self.lease, true));
        let done = applier.run(Script::staying(statements)).await;
        done.map_err(not_applied)?;
        ready.prints = around.prints;
        if !first {
            // Only now is it known for good that they are to be copied.
            self.remember_published(&doubtful).await?;
        }
        if let Some(slot) = slot {
            // From here on an interrupted fill goes on with the tables that are missing.
            let first = self.first_checkpoint(slot.consistent, applier, opening);
            ready.checkpoint = Some(first.await?);
            failpoint::reach("checkpoint_made");
            ready.agenda.wanted.clear();
            ready.book = StreamState::default();
            for table in self.fill(&slot, &new, applier, opening).await? {
                ready.book.stop(table);
            }
            slot.close().await;
        }
        ready.book.parking = parked(&self.cloud.client, replicator, self.tables).await?;
        ready.book.forget_stopped();
        Ok(ready)
    }

    /// From here on the outbox notes what is to come home, and the desktop knows our writes.
    async fn prepare_homes(&self) -> Result<String, Fault> {
        let (cloud, replicator) = (&self.cloud.client, &self.lease.replicator);
        let nonce = bind(self.desktop, replicator, self.cloud_identity).await?;
        watch(cloud, replicator, self.tables).await?;
        take_up_reverse(cloud, replicator, self.tables).await?;
        let only_home = { self.tables.reverse_tables().iter() }
            .filter(|reverse| self.tables.iter().all(|table| table.name != reverse.name));
        for reverse in only_home {
            let in_cloud = reverse.cloud.to_string();
            let params: [(&(dyn ToSql + Sync), Type); 6] = [
                (replicator, Type::TEXT),
                (&reverse.name, Type::TEXT),
                (&in_cloud, Type::TEXT),
                (&reverse.fingerprint, Type::TEXT),
                (&TableState::Streaming.word(), Type::TEXT),
                (&None::<&str>, Type::TEXT),
            ];
            Side::Cloud.query(cloud, table_state::PUT, &params).await?;
        }
        Ok(nonce)
    }

    /// Tables that left the settings: their rows stay, and if they come back they are copied anew.
    async fn remove_forgotten(&self) -> Result<(), Fault> {
        let names: Vec<&str> = self.tables.names().into_iter().collect();
        let params: [(&(dyn ToSql + Sync), Type); 2] = [
            (&self.lease.replicator, Type::TEXT),
            (&names, Type::TEXT_ARRAY),
        ];
        Side::Cloud
            .query(&self.cloud.client, &table_state::remove_others(), &params)
            .await
            .map(drop)
    }

    async fn fill(
        &self,
        slot: &catalog::Slot,
        wanted: &[CopyRequest],
        applier: &mut Applier,
        opening: &TransactionSettings,
    ) -> Result<BTreeSet<TableId>, Fault> {
        let with = InitialCopy {
            settings: self.settings,
            applier,
            opening,
            lease: &self.lease,
            snapshot: &slot.snapshot,
            consistent: slot.consistent,
            tables: self.tables,
            jobs: self.goal.jobs,
            progress: self.goal.progress.clone(),
        };
        fill(with, wanted).await
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

    async fn first_checkpoint(
        &self,
        at: Lsn,
        applier: &mut Applier,
        settings: &TransactionSettings,
    ) -> Result<Committed, Fault> {
        let mut statements = opening(settings);
        let step = Advance {
            lease: &self.lease,
            from: None,
            to: at,
            committed_at: None,
        };
        statements.push(advance(&step, None, self.tables));
        let done = applier
            .run(Script::moving(statements, at))
            .await
            .map_err(not_applied)?;
        done.committed.ok_or_else(no_checkpoint)
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
