//! What a session does before its stream starts: it looks at what both sides remember, publishes, makes the slot, notes
//! which tables wait or have stopped, and fills those that must be filled.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio_postgres::types::{ToSql, Type};

use super::around::Around;
use super::lineage::no_checkpoint;
use super::schema_drift::{note_misfits, say_stopped, take_up_reverse};
use super::session::Session;
use super::session_plan::Remembered;
use crate::apply::{Advance, Applier, LeaseState, Script, advance, assert_lease, clear_staging};
use crate::catalog::{self, Footprint};
use crate::failpoint;
use crate::fault::{Fault, Side};
use crate::flows::{
    Agenda, CopyRequest, InitialCopy, bind, check_keys_again, fill, not_applied, parked, set_state,
};
use crate::fold::StreamState;
use crate::install::{ensure_publication, published_besides, unpublish, watch};
use crate::limits;
use crate::model::{Committed, Lsn, Statement, TableId, TableState, listed};
use crate::plan::{TransactionSettings, opening, table_state};

/// What a stream starts with.
pub(super) struct Ready {
    pub(super) checkpoint: Option<Committed>,
    pub(super) book: StreamState,
    pub(super) agenda: Agenda,
    /// The word that our own writes from the cloud carry in the desktop's log.
    pub(super) nonce: String,
    /// What the cloud's tables are.
    pub(super) prints: BTreeMap<TableId, Footprint>,
}

impl Session<'_> {
    /// Publishes, makes the slot, fills; says where the stream starts.
    pub(super) async fn set_up(
        &self,
        taken: &LeaseState,
        remembered: &HashMap<String, Remembered>,
        applier: &mut Applier,
        opening: &TransactionSettings,
    ) -> Result<Ready, Fault> {
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
        let (new, stopped) = self.check_new_keys(&mut ready.agenda.wanted).await?;
        let every = { self.tables.iter() }.map(|table| table.id);
        let doubtful: BTreeSet<TableId> = match first {
            true => every.collect(),
            false => { new.iter().map(|new| new.table) }
                .chain(stopped.iter().map(|(table, _)| *table))
                .chain(around.anew.iter().copied())
                .collect(),
        };
        self.publish_exactly().await?;
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
        // None of them streams before it is copied.
        for new in &new {
            ready.book.stop(new.table);
        }
        say_stopped({ stopped.iter() }.map(|(table, why)| (why, &self.tables.get(*table).name)));
        for (table, _) in &stopped {
            ready.book.stop(*table);
        }
        let noted = self.first_notes(opening, &new, &stopped, &around);
        let done = applier.run(Script::staying(noted)).await;
        done.map_err(not_applied)?;
        ready.prints = around.prints;
        if !first {
            // Only now is it known for good that they are to be copied.
            self.remember_published(&doubtful).await?;
        }
        if let Some(slot) = slot {
            self.fill_from(slot, &new, (applier, opening), &mut ready)
                .await?;
        }
        let replicator = &self.lease.replicator;
        ready.book.parking = parked(&self.cloud.client, replicator, self.tables).await?;
        ready.book.forget_stopped();
        Ok(ready)
    }

    /// Of what is `wanted`: tables that are copied before they stream, and those whose key doesn't hold, which are not
    /// wanted any more, with the reason.
    async fn check_new_keys(
        &self,
        wanted: &mut Vec<CopyRequest>,
    ) -> Result<(Vec<CopyRequest>, Vec<(TableId, String)>), Fault> {
        let new = |wanted: &&CopyRequest| !wanted.how.is_swap();
        let mut new: Vec<_> = wanted.iter().filter(new).cloned().collect();
        let ambiguous = match self.measured {
            true => BTreeMap::new(),
            false => {
                let tables: Vec<_> = new.iter().map(|new| self.tables.get(new.table)).collect();
                let sides = (&self.desktop.client, &self.cloud.client);
                check_keys_again(&tables, &[], sides, &self.served).await?
            }
        };
        let why = |wanted: &CopyRequest| ambiguous.get(&self.tables.get(wanted.table).name);
        let stopped: Vec<_> = { new.iter() }
            .filter_map(|wanted| Some((wanted.table, why(wanted)?.clone())))
            .collect();
        new.retain(|wanted| why(wanted).is_none());
        wanted.retain(|wanted| why(wanted).is_none());
        Ok((new, stopped))
    }

    /// The publication has the tables that stream, and no others: tables that left the settings, and partitions that
    /// are gone.
    async fn publish_exactly(&self) -> Result<(), Fault> {
        let (desktop, publication) = (&self.desktop.client, &self.settings.forward.publication);
        let replicator = &self.lease.replicator;
        ensure_publication(desktop, publication, replicator).await?;
        self.publish(publication).await?;
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
        Ok(())
    }

    /// What the cloud notes before anything streams: which tables wait, which have stopped, and what they are.
    fn first_notes(
        &self,
        settings: &TransactionSettings,
        new: &[CopyRequest],
        stopped: &[(TableId, String)],
        around: &Around,
    ) -> Vec<Statement> {
        let state = |table: TableId, state, why| {
            set_state(&self.lease.replicator, self.tables.get(table), state, why)
        };
        let mut statements = opening(settings);
        statements.push(assert_lease(&self.lease));
        // Also if we end before they are copied.
        statements.extend({ new.iter() }.map(|new| state(new.table, TableState::Waiting, None)));
        let stopped = stopped.iter();
        statements.extend(
            stopped.map(|(table, why)| state(*table, TableState::Stopped, Some(why.as_str()))),
        );
        statements.extend(self.remember_prints(around));
        // What earlier sessions left.
        statements.push(clear_staging(&self.lease, true));
        statements
    }

    /// Fills the tables from the slot's snapshot.
    async fn fill_from(
        &self,
        slot: catalog::Slot,
        new: &[CopyRequest],
        (applier, opening): (&mut Applier, &TransactionSettings),
        ready: &mut Ready,
    ) -> Result<(), Fault> {
        // From here on an interrupted fill goes on with the tables that are missing.
        let first = self.first_checkpoint(slot.consistent, applier, opening);
        ready.checkpoint = Some(first.await?);
        failpoint::reach("checkpoint_made");
        ready.agenda.wanted.clear();
        ready.book = StreamState::default();
        for table in self.fill(&slot, new, applier, opening).await? {
            ready.book.stop(table);
        }
        slot.close().await;
        Ok(())
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

    async fn first_checkpoint(
        &self,
        at: Lsn,
        applier: &mut Applier,
        settings: &TransactionSettings,
    ) -> Result<Committed, Fault> {
        let step = Advance {
            lease: &self.lease,
            from: None,
            to: at,
            committed_at: None,
            settings,
            at_once: false,
        };
        let statements = advance(&step, None, self.tables);
        let done = applier
            .run(Script::moving(statements, at))
            .await
            .map_err(not_applied)?;
        done.committed.ok_or_else(no_checkpoint)
    }
}
