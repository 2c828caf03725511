//! Whether checkpoint, slot and desktop belong together (P2, P13), and new slots.

use tokio_postgres::types::Type;

use super::session::Session;
use crate::apply::Taken;
use crate::catalog;
use crate::fault::{Fault, Kind, Side};
use crate::model::Committed;

impl Session<'_> {
    /// The checkpoint must belong to this desktop and this slot (P13).
    pub(super) fn check_lineage(&self, taken: &Taken) -> Result<(), Fault> {
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

    /// The slot must still be there, and not be ahead of what the cloud has (P2).
    pub(super) async fn check_slot(&self, checkpoint: Committed) -> Result<(), Fault> {
        let name = &self.settings.forward.slot;
        let end = self.identity.wal_end;
        if end < checkpoint.lsn() {
            return Err(Fault::new(Kind::Lineage, "the desktop's history is older than what the cloud has; stopping")
                .cause(format!("the desktop has written up to {end}, the cloud has {}", checkpoint.lsn()))
                .hint("the desktop was restored from a backup or an image; nothing was written after this was noticed"));
        }
        let lost = |what: String| {
            Err(Fault::new(Kind::Lineage, what)
                .hint(format!("the cloud has everything up to {}; changes after it may be gone from the desktop's WAL, so the tables must be copied anew", checkpoint.lsn()))
                .next("tandem bootstrap --restart"))
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
                    .hint("another program reads the slot, or the cloud was restored from a backup; nothing was written after this was noticed"))
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
        let ours = !desktop
            .query_typed(ours, &params)
            .await
            .map_err(Fault::at(Side::Desktop))?
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
        let note =
            "insert into tandem.slot (replicator, slot) values ($1, $2) on conflict do nothing";
        desktop
            .query_typed(note, &params)
            .await
            .map_err(Fault::at(Side::Desktop))?;
        self.tell_who_is_waited_for().await?;
        catalog::create(&self.settings.desktop.endpoint, name)
            .await
            .map_err(Fault::at(Side::Desktop))
    }

    /// Making a slot waits for every open transaction of the server.
    async fn tell_who_is_waited_for(&self) -> Result<(), Fault> {
        let sql = "select pid, coalesce(usename::text, ''), coalesce(application_name, ''), extract(epoch from clock_timestamp() - xact_start)::bigint \
                   from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid() and xact_start < clock_timestamp() - interval '1 s'";
        let rows = self
            .desktop
            .client
            .query_typed(sql, &[])
            .await
            .map_err(Fault::at(Side::Desktop))?;
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
