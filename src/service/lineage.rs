//! Whether checkpoint, slot and desktop belong together (P2, P13), and new slots.

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::session_context::Session;
use crate::apply::LeaseState;
use crate::catalog::{self, WAY_BACK, facts};
use crate::failpoint;
use crate::fault::{Fault, Kind, Side};
use crate::model::Committed;

impl Session<'_> {
    /// The checkpoint must belong to this desktop and this slot (P13).
    pub(super) fn check_lineage(&self, taken: &LeaseState) -> Result<(), Fault> {
        let differs = |what: &str, had: &str, has: &str| {
            Err(Fault::new(Kind::Lineage, format!("the cloud's checkpoint belongs to another {what}"))
                .cause(format!("the checkpoint says {had}, the settings lead to {has}"))
                .hint("nothing was written; check desktop.url and forward.slot, or set another replicator"))
        };
        if taken.system_id != self.identity.system_id {
            return differs("desktop server", &taken.system_id, &self.identity.system_id);
        }
        if taken.database != self.identity.database {
            return differs("desktop database", &taken.database, &self.identity.database);
        }
        if taken.slot != self.settings.forward.slot {
            return differs("slot", &taken.slot, &self.settings.forward.slot);
        }
        Ok(())
    }

    /// A later timeline is one and the same history where it began at or after the checkpoint.
    pub(super) async fn check_timeline(&self, taken: &LeaseState) -> Result<(), Fault> {
        let (had, has) = (taken.timeline, self.identity.timeline);
        let Some(checkpoint) = taken.checkpoint.filter(|_| had != has) else {
            return Ok(());
        };
        let began = match has > had {
            true => catalog::switch_point(&self.settings.desktop.endpoint, had, has)
                .await
                .map_err(Fault::at(Side::Desktop))?,
            false => None,
        };
        if began.is_none_or(|began| began < checkpoint.lsn()) {
            let since = began.map_or("unknown".to_owned(), |lsn| lsn.to_string());
            return Err(Fault::new(Kind::Lineage, "the desktop's history is not the one that the cloud has; stopping")
                .cause(format!("the cloud has timeline {had} up to {}; the desktop is on timeline {has} and left that one at {since}", checkpoint.lsn()))
                .hint("the desktop was restored from a backup, or a standby took over that had not everything; nothing was written after this was noticed")
                .next(WAY_BACK));
        }
        tracing::warn!(
            from = had,
            to = has,
            "the desktop is on a later timeline, which has all that the cloud has"
        );
        let sql = "update tandem.checkpoint set timeline = $3 where replicator = $1 and epoch = $2";
        let epoch = i64::try_from(taken.epoch).unwrap_or(i64::MAX);
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&self.lease.replicator, Type::TEXT),
            (&epoch, Type::INT8),
            (&has, Type::INT4),
        ];
        Side::Cloud
            .query(&self.cloud.client, sql, &params)
            .await
            .map(drop)
    }

    /// The heartbeat that the cloud knows last was written by this desktop: one that was restored from an image has the same
    /// names and numbers, but not that.
    async fn check_beat(&self, heartbeat: Option<&str>) -> Result<(), Fault> {
        let Some(heartbeat) = heartbeat else {
            return Ok(());
        };
        let sql =
            "select exists (select from tandem.heartbeat where replicator = $1 and name = $2)";
        let params: [(&(dyn ToSql + Sync), Type); 2] = [
            (&self.lease.replicator, Type::TEXT),
            (&heartbeat, Type::TEXT),
        ];
        let rows = Side::Desktop
            .query(&self.desktop.client, sql, &params)
            .await?;
        if rows.first().is_some_and(|row| row.get(0)) {
            return Ok(());
        }
        Err(Fault::new(Kind::Lineage, "the desktop's history is not the one that the cloud has; stopping")
            .cause(format!("the cloud knows heartbeat {heartbeat}, which this desktop has not written"))
            .hint("the desktop was restored from a backup or an image; nothing was written after this was noticed")
            .next(WAY_BACK))
    }

    /// The desktop has all that the cloud has, and wrote it itself.
    pub(super) async fn check_history(&self, taken: &LeaseState) -> Result<(), Fault> {
        let Some(checkpoint) = taken.checkpoint else {
            return Ok(());
        };
        // Asked anew: who had the lease before us may have written since we came.
        let end = facts(&self.desktop.client, Side::Desktop).await?.wal_end;
        if end < checkpoint.lsn() {
            return Err(Fault::new(Kind::Lineage, "the desktop's history is older than what the cloud has; stopping")
                .cause(format!("the desktop has written up to {end}, the cloud has {}", checkpoint.lsn()))
                .hint("the desktop was restored from a backup or an image; nothing was written after this was noticed")
                .next(WAY_BACK));
        }
        self.check_beat(taken.heartbeat.as_deref()).await
    }

    /// Forgets how far the cloud is, so that everything is copied anew; the state then belongs to the desktop and the slot
    /// of the settings.
    pub(super) async fn forget(&self, taken: &mut LeaseState) -> Result<(), Fault> {
        let (identity, slot) = (self.identity, &self.settings.forward.slot);
        let sql = "update tandem.checkpoint
            set lsn = null, beat = null, committed_at = null, system_id = $3, timeline = $4,
              database = $5, slot = $6
            where replicator = $1 and epoch = $2";
        let epoch = i64::try_from(taken.epoch).unwrap_or(i64::MAX);
        let params: [(&(dyn ToSql + Sync), Type); 6] = [
            (&self.lease.replicator, Type::TEXT),
            (&epoch, Type::INT8),
            (&identity.system_id, Type::TEXT),
            (&identity.timeline, Type::INT4),
            (&identity.database, Type::TEXT),
            (slot, Type::TEXT),
        ];
        Side::Cloud.query(&self.cloud.client, sql, &params).await?;
        taken.checkpoint = None;
        taken.system_id.clone_from(&identity.system_id);
        taken.database.clone_from(&identity.database);
        taken.slot.clone_from(slot);
        Ok(())
    }

    /// The slot must still be there, and not be ahead of what the cloud has (P2).
    pub(super) async fn check_slot(&self, checkpoint: Committed) -> Result<(), Fault> {
        let name = &self.settings.forward.slot;
        let lost = |what: String| {
            Err(Fault::new(Kind::Lineage, what)
                .hint(format!("the cloud has everything up to {lsn}; changes after it may be gone from the desktop's WAL, so the tables must be copied anew", lsn = checkpoint.lsn()))
                .next(WAY_BACK))
        };
        let found = catalog::slot(&self.desktop.client, name)
            .await
            .map_err(Fault::at(Side::Desktop))?;
        let Some(slot) = found else {
            return lost(format!(
                "slot {name} does not exist on the desktop any more"
            ));
        };
        if slot.lost {
            return lost(format!(
                "slot {name} is lost: the desktop has dropped WAL that was kept for us"
            ));
        }
        if slot.plugin != "pgoutput" || slot.database != self.identity.database {
            return lost(format!(
                "slot {name} belongs to another program ({} on {})",
                slot.plugin, slot.database
            ));
        }
        match slot.confirmed {
            Some(confirmed) if confirmed > checkpoint.lsn() => {
                Err(Fault::new(Kind::Lineage, "the slot is ahead of what the cloud has; stopping")
                    .cause(format!("the cloud has committed up to {}; slot {name} confirms {confirmed}", checkpoint.lsn()))
                    .hint("another program reads the slot, or the cloud was restored from a backup; nothing was written after this was noticed")
                    .next(WAY_BACK))
            }
            _ => Ok(()),
        }
    }

    /// The slot for the first fill. One that an interrupted first fill left behind is ours to drop.
    pub(super) async fn first_slot(&self) -> Result<catalog::Slot, Fault> {
        let (desktop, name) = (&self.desktop.client, &self.settings.forward.slot);
        let ours = "select from tandem.slot where replicator = $1 and slot = $2";
        let params = [
            (&self.lease.replicator as _, Type::TEXT),
            (name as _, Type::TEXT),
        ];
        let ours = !Side::Desktop
            .query(desktop, ours, &params)
            .await?
            .is_empty();
        if catalog::slot(desktop, name)
            .await
            .map_err(Fault::at(Side::Desktop))?
            .is_some()
        {
            if !ours {
                return Err(Fault::new(
                    Kind::Input,
                    format!("slot {name} exists on the desktop and tandem did not make it"),
                )
                .hint("give forward.slot another name, or drop that slot if nobody needs it"));
            }
            catalog::drop_slot(desktop, name)
                .await
                .map_err(Fault::at(Side::Desktop))?;
        }
        let note = "insert into tandem.slot (replicator, slot)
            values ($1, $2)
            on conflict (replicator, slot) do update
            set given_up_at = null, given_up_bytes = null";
        Side::Desktop.query(desktop, note, &params).await?;
        failpoint::reach("slot_noted");
        self.tell_who_is_waited_for().await?;
        let slot = catalog::create(&self.settings.desktop.endpoint, name).await;
        failpoint::reach("slot_made");
        slot.map_err(Fault::at(Side::Desktop))
    }

    /// Making a slot waits for every open transaction of the server.
    async fn tell_who_is_waited_for(&self) -> Result<(), Fault> {
        let sql = "select pid, coalesce(usename::text, ''), coalesce(application_name, ''),
              extract(epoch from clock_timestamp() - xact_start)::bigint
            from pg_stat_activity
            where backend_xid is not null
              and pid <> pg_backend_pid()
              and xact_start < clock_timestamp() - interval '1 s'";
        let rows = Side::Desktop.query(&self.desktop.client, sql, &[]).await?;
        for row in rows {
            let (pid, user, program, seconds): (i32, String, String, i64) =
                (row.get(0), row.get(1), row.get(2), row.get(3));
            tracing::warn!(
                pid,
                user,
                program,
                seconds,
                "the copy starts when this open transaction of the desktop ends"
            );
        }
        Ok(())
    }
}

/// A slot that somebody reads can't be made anew.
pub(super) async fn check_slot_is_free(desktop: &Client, name: &str) -> Result<(), Fault> {
    let slot = catalog::slot(desktop, name).await;
    let slot = slot.map_err(Fault::at(Side::Desktop))?;
    let reader = slot.and_then(|slot| slot.active_pid);
    reader.map_or(Ok(()), |pid| {
        let what = format!("slot {name} is read by process {pid} of the desktop's server");
        Err(Fault::new(Kind::Input, what)
            .hint("nothing was changed; stop whatever reads it, and try again"))
    })
}

/// It should have been written a moment ago.
pub(super) fn no_checkpoint() -> Fault {
    Fault::new(
        Kind::Internal,
        "internal check failed: the first checkpoint is missing",
    )
}
