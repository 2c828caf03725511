//! Tables that no longer fit stop alone (P8): set aside when a session begins, taken up again when they fit.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::sleep;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::config::Settings;
use crate::fault::{Fault, Kind, Side};
use crate::flows::agree_again;
use crate::limits;
use crate::model::Tables;
use crate::wire::control;

/// The names of tables that were served before, or whose first copy has begun.
pub(super) async fn served(cloud: &Client, replicator: &str) -> Result<BTreeSet<String>, Fault> {
    let sql = "select \"table\" from tandem.table_state where replicator = $1 and state not in ('waiting', 'removed')";
    let rows = cloud.query_typed(sql, &[(&replicator, Type::TEXT)]).await;
    let rows = rows.map_err(Fault::at(Side::Cloud))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// They are said to be stopped, and are copied anew as soon as they fit: what happened meanwhile is found by the diff.
pub(super) async fn note_misfits(
    cloud: &Client,
    replicator: &str,
    tables: &Tables,
) -> Result<(), Fault> {
    let sql = "update tandem.table_state set state = 'stopped', fingerprint = '', why = $3, \
        since = case when state = 'stopped' then since else now() end where replicator = $1 and \"table\" = $2";
    for misfit in tables.misfits() {
        let why = format!(
            "it does not fit any more: {}; it goes on by itself when that is mended",
            misfit.why
        );
        tracing::error!(table = %misfit.name, "stopped, the other tables go on: {why}");
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&replicator, Type::TEXT),
            (&misfit.name, Type::TEXT),
            (&why, Type::TEXT),
        ];
        let done = cloud.query_typed(sql, &params).await;
        done.map_err(Fault::at(Side::Cloud))?;
    }
    Ok(())
}

/// What fits comes home again, whatever had stopped it; but for what was emptied, which says nothing of single rows.
pub(super) async fn take_up_homes(
    cloud: &Client,
    replicator: &str,
    tables: &Tables,
) -> Result<(), Fault> {
    let sql = "update tandem.reverse_state as s set why = null where s.replicator = $1 and s.\"table\" = any ($2) and s.why is not null \
        and not exists (select from tandem.outbox as o where o.replicator = s.replicator and o.\"table\" = s.\"table\" and o.op = 'T')";
    let names: Vec<&str> = { tables.homes().iter() }
        .map(|home| home.name.as_str())
        .collect();
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&replicator, Type::TEXT), (&names, Type::TEXT_ARRAY)];
    let done = cloud.query_typed(sql, &params).await;
    done.map(drop).map_err(Fault::at(Side::Cloud))
}

/// Looks now and then whether one of them fits again; ends when it does, so that a new session takes it up.
pub(super) async fn mended(settings: &Settings, tables: &Arc<Tables>) -> Fault {
    let misfits: BTreeSet<_> = { tables.misfits().iter() }
        .map(|misfit| misfit.name.clone())
        .collect();
    loop {
        sleep(limits::MISFITS_EVERY).await;
        let now = match look(settings, &misfits).await {
            Ok(now) => now,
            Err(fault) => {
                tracing::debug!("{fault}");
                continue;
            }
        };
        let fits = |name: &&String| now.misfits().iter().all(|misfit| misfit.name != **name);
        if let Some(name) = misfits.iter().find(fits) {
            return Fault::new(
                Kind::Weather(Side::Cloud),
                format!("{name} fits again and is taken up"),
            );
        }
    }
}

/// Over connections of its own: the session's may be in the middle of something.
async fn look(settings: &Settings, misfits: &BTreeSet<String>) -> Result<Tables, Fault> {
    let desktop = control::connect(&settings.desktop.endpoint).await;
    let desktop = desktop.map_err(Fault::at(Side::Desktop))?;
    let cloud = control::connect(&settings.cloud.endpoint).await;
    let cloud = cloud.map_err(Fault::at(Side::Cloud))?;
    agree_again(settings, &desktop.client, &cloud.client, misfits).await
}
