//! What one side alone tells, where the other one is away.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;

use super::observer::{CheckpointView, InCloud, Observer, found_in_cloud};
use super::reverse::ReverseSample;
use super::status::{Service, TableStatus, VerifiedStatus};
use crate::config::Settings;
use crate::fault::{Fault, Side};
use crate::platform;

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
    /// All tables that tandem knows of, by name.
    pub tables: Vec<TableStatus>,
}

impl Observer {
    /// What the desktop alone can tell, where the cloud is away: whether somebody reads our slot, and how much WAL is kept
    /// for it; none of that where the slot is lost.
    ///
    /// # Errors
    /// When it can't be reached or asked either.
    pub async fn half(settings: &Settings) -> Result<Option<(bool, Option<u64>)>, Fault> {
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
        Ok(rows.first().map(|row| (row.get(0), held(row.get(1)))))
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
            tables: there.tables(conflicts).await?,
            seen,
        }))
    }
}
