//! What one side alone tells, where the other one is away.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;

use super::observer::{CheckpointView, InCloud, Observer, found_in_cloud};
use super::reverse::ReverseSample;
use super::status::{Service, TableStatus, VerifiedStatus};
use crate::alert::{self, AlertStatus};
use crate::catalog::{facts, replicator_name};
use crate::config::Settings;
use crate::fault::{Fault, Side};
use crate::platform;

/// What the desktop alone tells: what it keeps, and whether people have been told.
pub struct DesktopHalf {
    /// Our slot; none where it has none for us.
    pub slot: Option<KeptSlot>,
    /// Whether people hear of what is wrong; none where nobody is to be told.
    pub alert: Option<AlertStatus>,
}

/// Our slot, as the desktop has it.
pub struct KeptSlot {
    /// Somebody reads it.
    pub is_read: bool,
    /// How much WAL is kept for it, in bytes; none where the slot is lost.
    pub held: Option<u64>,
}

/// What the cloud alone tells: all but what is missing there.
pub struct CloudHalf {
    /// The checkpoint.
    pub seen: CheckpointView,
    /// When the last transaction that is in the cloud committed on the desktop, in ISO 8601.
    pub up_to: Option<String>,
    /// The service, as its lease has it.
    pub service: Service,
    /// What waits to come home.
    pub reverse: ReverseSample,
    /// The last comparison of both sides that the service made.
    pub verified: Option<VerifiedStatus>,
    /// Whether people hear of what is wrong; none where nobody is to be told.
    pub alert: Option<AlertStatus>,
    /// All tables that tandem knows of, by name.
    pub tables: Vec<TableStatus>,
}

impl Observer {
    /// What the desktop alone can tell, where the cloud is away.
    ///
    /// # Errors
    /// When it can't be reached or asked either.
    pub async fn desktop_half(settings: &Settings) -> Result<DesktopHalf, Fault> {
        let desktop = Side::Desktop.connect(&settings.desktop.endpoint).await?;
        let sql = "select exists (
              select
              from pg_stat_replication as r
              where r.pid = s.active_pid
            ), case
              when s.wal_status <> 'lost' then pg_wal_lsn_diff(
                pg_current_wal_insert_lsn(), s.restart_lsn
              )::bigint
            end
            from pg_replication_slots as s
            where s.slot_name = $1";
        let params = [(&settings.forward.slot as _, Type::TEXT)];
        let rows = Side::Desktop.query(&desktop.client, sql, &params).await?;
        let held = |bytes: Option<i64>| bytes.map(|bytes| bytes.max(0).unsigned_abs());
        let alert = match settings.alert.is_on() {
            false => None,
            true => {
                let identity = facts(&desktop.client, Side::Desktop).await?;
                let replicator = replicator_name(settings, &identity);
                let remembers = (&desktop.client, Side::Desktop);
                alert::status(&settings.alert, remembers, &replicator).await?
            }
        };
        Ok(DesktopHalf {
            slot: rows.first().map(|row| KeptSlot {
                is_read: row.get(0),
                held: held(row.get(1)),
            }),
            alert,
        })
    }

    /// What the cloud alone can tell, where the desktop is away; none where tandem never ran, or where it isn't known which
    /// of several replicators is meant: a name that nobody chose is made of what the desktop says.
    ///
    /// # Errors
    /// When it can't be reached or asked either.
    pub async fn cloud_half(settings: &Settings) -> Result<Option<CloudHalf>, Fault> {
        let Some((cloud, replicator)) = found_in_cloud(settings).await? else {
            return Ok(None);
        };
        let there = InCloud {
            client: &cloud.client,
            replicator: &replicator,
        };
        let Some(seen) = there.checkpoint().await? else {
            return Ok(None);
        };
        let sums = there.sums().await?;
        let mut conflicts = BTreeMap::new();
        let sql = r#"select "table", count(*)
            from tandem.conflict
            where replicator = $1 and seen_at is null
            group by 1"#;
        for row in there.ours(sql).await? {
            conflicts.insert(row.get(0), row.get(1));
        }
        let gone = seen.holder.as_deref().is_some_and(platform::is_gone);
        Ok(Some(CloudHalf {
            up_to: sums.up_to,
            service: Service::of(seen.leased && !gone, None, &seen),
            reverse: there.reverse().await?,
            verified: sums.verified,
            alert: alert::status(&settings.alert, (&cloud.client, Side::Cloud), &replicator)
                .await?,
            tables: there.tables(conflicts).await?,
            seen,
        }))
    }
}
