//! What a session does before its stream starts: it looks at what both sides remember, publishes, makes the slot, notes
//! which tables wait or have stopped, and fills those that must be filled.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::try_join_all;
use tokio_postgres::types::{ToSql, Type};

use super::around::Around;
use super::dial::{Dialed, dialed_up};
use super::lineage::no_checkpoint;
use super::ready::Ready;
use super::remembered::Remembered;
use super::schema_drift::{note_misfits, say_stopped, take_up_reverse};
use super::session_context::Session;
use crate::apply::{Advance, Applier, LeaseState, Script, advance, assert_lease, clear_staging};
use crate::catalog;
use crate::failpoint;
use crate::fault::{Fault, Side};
use crate::flows::{
    CopyRequest, InitialCopy, asked, bind, check_keys_again, fill, not_applied, parked, set_state,
};
use crate::fold::StreamState;
use crate::install::{ensure_publication, published_besides, unpublish, watch};
use crate::limits;
use crate::model::{Committed, Lsn, Statement, TableId, TableState, listed};
use crate::plan::{TransactionSettings, opening as open_with, table_state};

impl Session<'_> {
    /// Publishes, makes the slot, fills; says where the stream starts, and gives the connection that was `dialed`.
    pub(super) async fn set_up(
        &self,
        taken: &LeaseState,
        remembered: &HashMap<String, Remembered>,
        dialed: Dialed,
        opening: &TransactionSettings,
    ) -> Result<(Ready, Applier), Fault> {
        let first = taken.checkpoint.is_none();
        let (cloud, lease) = (&self.cloud.client, &self.lease);
        let misfits = self.tables.misfits().iter();
        // None of them has to do with the others: a distant cloud is waited for once.
        let (agenda, asked, nonce, around, ..) = tokio::try_join!(
            self.scheduled(),
            asked(cloud, &lease.replicator),
            self.prepare_homes(),
            self.look_around(remembered, !first),
            self.remove_forgotten(),
            note_misfits(cloud, lease, misfits),
        )?;
        let mut ready = Ready {
            agenda,
            book: StreamState::default(),
            checkpoint: taken.checkpoint,
            nonce,
            prints: BTreeMap::new(),
            filled: false,
        };
        self.put_on_agenda(remembered, &asked, (first, &around), &mut ready);
        let (new, stopped) = self.check_new_keys(&mut ready.agenda.wanted).await?;
        let doubtful = self.doubtful(first, &new, &stopped, &around);
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
        self.stop_for_now(&new, &stopped, &mut ready.book);
        let noted = self.first_notes(&new, &stopped, &around);
        ready.prints = around.prints;
        let mut applier = dialed_up(dialed).await?;
        match slot {
            Some(slot) => {
                self.fill_from(slot, (noted, &new), (&mut applier, opening), &mut ready)
                    .await?;
            }
            None => {
                let noted = open_with(opening).into_iter().chain(noted);
                let done = applier.run(Script::staying(noted)).await;
                done.map_err(not_applied)?;
                // Only now is it known for good that they are to be copied.
                self.remember_published(&doubtful).await?;
            }
        }
        if !(self.goal.ends && ready.filled) {
            let replicator = &self.lease.replicator;
            ready.book.parking = parked(cloud, replicator, self.tables).await?;
        }
        ready.book.forget_stopped();
        Ok((ready, applier))
    }

    /// None of them streams before it is copied, or somebody has looked.
    fn stop_for_now(
        &self,
        new: &[CopyRequest],
        stopped: &[(TableId, String)],
        book: &mut StreamState,
    ) {
        for new in new {
            book.stop(new.table);
        }
        say_stopped({ stopped.iter() }.map(|(table, why)| (why, &self.tables.get(*table).name)));
        for (table, _) in stopped {
            book.stop(*table);
        }
    }

    /// Tables of which something may be missing, so that they are not known to be whole.
    fn doubtful(
        &self,
        first: bool,
        new: &[CopyRequest],
        stopped: &[(TableId, String)],
        around: &Around,
    ) -> BTreeSet<TableId> {
        let every = { self.tables.iter() }.map(|table| table.id);
        match first {
            true => every.collect(),
            false => { new.iter().map(|new| new.table) }
                .chain(stopped.iter().map(|(table, _)| *table))
                .chain(around.anew.iter().copied())
                .collect(),
        }
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
        new: &[CopyRequest],
        stopped: &[(TableId, String)],
        around: &Around,
    ) -> Vec<Statement> {
        let state = |table: TableId, state, why| {
            set_state(&self.lease.replicator, self.tables.get(table), state, why)
        };
        let mut statements = vec![assert_lease(&self.lease)];
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

    /// Fills the tables from the slot's snapshot. What is `noted` before comes with the first checkpoint.
    async fn fill_from(
        &self,
        slot: catalog::Slot,
        (noted, new): (Vec<Statement>, &[CopyRequest]),
        (applier, opening): (&mut Applier, &TransactionSettings),
        ready: &mut Ready,
    ) -> Result<(), Fault> {
        // From here on an interrupted fill goes on with the tables that are missing.
        let first = self.first_checkpoint(slot.consistent, applier, opening, noted);
        ready.checkpoint = Some(first.await?);
        failpoint::reach("checkpoint_made");
        ready.agenda.wanted.clear();
        ready.book = StreamState::default();
        for table in self.fill(&slot, new, applier, opening).await? {
            ready.book.stop(table);
        }
        ready.filled = true;
        slot.close().await;
        Ok(())
    }

    /// From here on the outbox notes what is to come home, and the desktop knows our writes.
    async fn prepare_homes(&self) -> Result<String, Fault> {
        let (cloud, replicator) = (&self.cloud.client, &self.lease.replicator);
        let only_home = { self.tables.reverse_tables().iter() }
            .filter(|reverse| self.tables.iter().all(|table| table.name != reverse.name));
        let noted = try_join_all(only_home.map(async |reverse| {
            let in_cloud = reverse.cloud.to_string();
            let params: [(&(dyn ToSql + Sync), Type); 6] = [
                (replicator, Type::TEXT),
                (&reverse.name, Type::TEXT),
                (&in_cloud, Type::TEXT),
                (&reverse.fingerprint, Type::TEXT),
                (&TableState::Streaming.word(), Type::TEXT),
                (&None::<&str>, Type::TEXT),
            ];
            Side::Cloud.query(cloud, table_state::PUT, &params).await
        }));
        let (nonce, ..) = tokio::try_join!(
            bind(self.desktop, replicator, self.cloud_identity),
            watch(cloud, replicator, self.tables),
            take_up_reverse(cloud, replicator, self.tables),
            noted
        )?;
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
        noted: Vec<Statement>,
    ) -> Result<Committed, Fault> {
        let step = Advance {
            lease: &self.lease,
            from: None,
            to: at,
            committed_at: None,
            settings,
            at_once: false,
        };
        let statements = advance(&step, None, self.tables).into_iter();
        let done = applier
            .run(Script::moving(statements.chain(noted), at))
            .await
            .map_err(not_applied)?;
        done.committed.ok_or_else(no_checkpoint)
    }
}
