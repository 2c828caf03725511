//! Tables that no longer fit stop alone (P8): set aside when a session begins, taken up again when they fit.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::config::Settings;
use crate::fault::{Fault, Kind, Side};
use crate::flows::agree_again;
use crate::limits;
use crate::model::{Misfit, Tables};
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
    misfits: impl Iterator<Item = &Misfit>,
) -> Result<(), Fault> {
    let sql = "update tandem.table_state set state = 'stopped', fingerprint = '', why = $3, \
        since = case when state = 'stopped' then since else now() end where replicator = $1 and \"table\" = $2 \
        and (state, fingerprint, why) is distinct from ('stopped', '', $3) returning true";
    for misfit in misfits {
        let why = format!(
            "it does not fit any more: {}; it goes on by itself when that is mended",
            misfit.why
        );
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&replicator, Type::TEXT),
            (&misfit.name, Type::TEXT),
            (&why, Type::TEXT),
        ];
        let done = cloud.query_typed(sql, &params).await;
        // The next session doesn't say it again.
        if !done.map_err(Fault::at(Side::Cloud))?.is_empty() {
            tracing::error!(table = %misfit.name, "stopped, the other tables go on: {why}");
        }
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

/// Looks now and then whether a table fits again that didn't: when the session began, or when it was looked at as soon as it
/// was `halted`. Ends when one does, so that a new session takes it up. One that was halted and fits all the same waits for
/// a person: taken up, it would only be halted again.
pub(super) async fn mended(
    settings: &Settings,
    replicator: &str,
    tables: &Arc<Tables>,
    mut halted: watch::Receiver<BTreeSet<String>>,
) -> Fault {
    let began = tables.misfits().iter().map(|misfit| misfit.name.clone());
    let mut unfit: BTreeSet<String> = began.collect();
    let all: BTreeSet<String> = tables.names().into_iter().map(str::to_owned).collect();
    let mut known = BTreeSet::new();
    loop {
        if unfit.is_empty() {
            if halted.changed().await.is_err() {
                // Nobody is left who could tell.
                return pending().await;
            }
        } else {
            // The teller may be gone before we are.
            if let Ok(Err(_)) = timeout(limits::MISFITS_EVERY, halted.changed()).await {
                sleep(limits::MISFITS_EVERY).await;
            }
        }
        let new: BTreeSet<_> = halted
            .borrow_and_update()
            .difference(&known)
            .cloned()
            .collect();
        match look(settings, replicator, &all, &unfit, &new).await {
            Ok(Looked::Fits(name)) => {
                let what = format!("{name} fits again and is taken up");
                return Fault::new(Kind::Planned, what);
            }
            Ok(Looked::Unfit(names)) => {
                unfit.extend(names);
                known.extend(new);
            }
            Err(fault) => {
                tracing::debug!("{fault}");
                sleep(limits::MISFITS_EVERY).await;
            }
        }
    }
}

/// What a look came to.
enum Looked {
    /// One that didn't fit does.
    Fits(String),
    /// None does; these were not known.
    Unfit(BTreeSet<String>),
}

/// Which one fits: it is copied anew by the next session, as one that didn't fit when a session began. Over connections
/// of its own: the session's may be in the middle of something.
async fn look(
    settings: &Settings,
    replicator: &str,
    all: &BTreeSet<String>,
    unfit: &BTreeSet<String>,
    halted: &BTreeSet<String>,
) -> Result<Looked, Fault> {
    let desktop = control::connect(&settings.desktop.endpoint).await;
    let desktop = desktop.map_err(Fault::at(Side::Desktop))?;
    let cloud = control::connect(&settings.cloud.endpoint).await;
    let cloud = cloud.map_err(Fault::at(Side::Cloud))?.client;
    let now = agree_again(settings, &desktop.client, &cloud, all).await?;
    let names: BTreeSet<_> = now.misfits().iter().map(|misfit| &misfit.name).collect();
    if let Some(name) = unfit.iter().find(|name| !names.contains(name)) {
        let sql = "update tandem.table_state set fingerprint = '' where replicator = $1 and \"table\" = $2 and state = 'stopped'";
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&replicator, Type::TEXT), (name, Type::TEXT)];
        let done = cloud.query_typed(sql, &params).await;
        done.map_err(Fault::at(Side::Cloud))?;
        return Ok(Looked::Fits(name.clone()));
    }
    // Why it doesn't fit is said anew: one thing may be mended, and another one be left.
    let ours = |name: &String| unfit.contains(name) || halted.contains(name);
    let still = now.misfits().iter().filter(|misfit| ours(&misfit.name));
    note_misfits(&cloud, replicator, still).await?;
    let new = halted.iter().filter(|name| names.contains(name));
    Ok(Looked::Unfit(new.cloned().collect()))
}
