//! Tables that no longer fit stop alone (P8): set aside when a session begins, taken up again when they fit.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::apply::Lease;
use crate::config::Settings;
use crate::fault::{Fault, Kind, Side};
use crate::flows::{StoppedTables, agree_again};
use crate::limits;
use crate::model::{Recovery, SchemaMismatch, Tables, alike, listed};
use crate::plan::table_state;

/// Tables that have stopped until both sides fit, as far as the cloud knows.
pub(super) async fn unfit(cloud: &Client, replicator: &str) -> Result<StoppedTables, Fault> {
    let sql = table_state::unfit();
    let rows = Side::Cloud
        .query(cloud, &sql, &[(&replicator, Type::TEXT)])
        .await?;
    let names = rows.iter().map(|row| (row.get(0), Recovery::WhenAccepted));
    Ok(names.collect())
}

/// They are said to be stopped, and are copied anew as soon as they fit: what happened meanwhile is found by the diff.
pub(super) async fn note_misfits(
    cloud: &Client,
    lease: &Lease,
    misfits: impl Iterator<Item = &SchemaMismatch>,
) -> Result<(), Fault> {
    let sql = table_state::stop_until_it_fits();
    let epoch = i64::try_from(lease.epoch).unwrap_or(i64::MAX);
    let mut new = Vec::new();
    for misfit in misfits {
        let why = format!(
            "it does not fit any more: {}; it goes on by itself when that is mended",
            misfit.why
        );
        let params: [(&(dyn ToSql + Sync), Type); 4] = [
            (&lease.replicator, Type::TEXT),
            (&misfit.name, Type::TEXT),
            (&epoch, Type::INT8),
            (&why, Type::TEXT),
        ];
        let done = cloud.query_typed(&sql, &params).await;
        // The next session doesn't say it again.
        if !done.map_err(Fault::at(Side::Cloud))?.is_empty() {
            new.push((why, &misfit.name));
        }
    }
    say_stopped(new);
    Ok(())
}

/// Says which tables have stopped, those that have for the same reason in one line.
pub(super) fn say_stopped<'t, Why: AsRef<str> + PartialEq>(
    stopped: impl IntoIterator<Item = (Why, &'t String)>,
) {
    for (why, names) in alike(stopped) {
        let why = why.as_ref();
        match &names[..] {
            [one] => tracing::error!(table = %one, "stopped, the other tables go on: {why}"),
            all => {
                let names = listed(all, limits::NAMES_SHOWN);
                tracing::error!(
                    tables = names,
                    count = all.len(),
                    "stopped, the other tables go on: {why}"
                );
            }
        }
    }
}

/// What fits comes home again, whatever had stopped it; but for what was emptied, which says nothing of single rows.
pub(super) async fn take_up_reverse(
    cloud: &Client,
    replicator: &str,
    tables: &Tables,
) -> Result<(), Fault> {
    let sql = r#"update tandem.reverse_state as s
        set why = null
        where s.replicator = $1
          and s."table" = any ($2)
          and s.why is not null
          and not exists (
            select
            from tandem.outbox as o
            where o.replicator = s.replicator and o."table" = s."table" and o.op = 'T'
          )"#;
    let names: Vec<&str> = { tables.reverse_tables().iter() }
        .map(|reverse| reverse.name.as_str())
        .collect();
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&replicator, Type::TEXT), (&names, Type::TEXT_ARRAY)];
    Side::Cloud.query(cloud, sql, &params).await.map(drop)
}

/// Looks again and again whether a table fits that didn't: when the session began, or since it was `halted`. Ends when one
/// does, so that a new session takes it up. One that a server refuses although both sides fit is tried again after a long
/// while: taken up at once, it would only be refused again.
pub(super) async fn mended(
    settings: &Settings,
    lease: &Lease,
    (tables, taken_up): (&Arc<Tables>, &TakenUp),
    mut halted: watch::Receiver<StoppedTables>,
) -> Fault {
    let began = tables.misfits().iter();
    let mut waiting: Waiting = { began.map(|misfit| (misfit.name.clone(), None)) }.collect();
    let all: BTreeSet<String> = tables.names().into_iter().map(str::to_owned).collect();
    let every = limits::MISFITS_EVERY.min(settings.heartbeat.every);
    let mut known = BTreeSet::new();
    // What had stopped before the session began is looked at, too.
    halted.mark_changed();
    loop {
        if waiting.is_empty() {
            if halted.changed().await.is_err() {
                // Nobody is left who could tell.
                return pending().await;
            }
        } else {
            // The teller may be gone before we are.
            if let Ok(Err(_)) = timeout(every, halted.changed()).await {
                sleep(every).await;
            }
        }
        let new = halted.borrow_and_update().clone();
        for (name, way) in new {
            if known.insert(name.clone()) {
                let again = match way {
                    Recovery::WhenAccepted => Some(Instant::now() + limits::REFUSED_AGAIN_EVERY),
                    _ => taken_up.again(&name),
                };
                waiting.entry(name).or_insert(again);
            }
        }
        match look(settings, lease, &all, &mut waiting).await {
            Ok(Some(name)) => {
                taken_up.note(&name);
                let what = format!("{name} fits again and is taken up");
                return Fault::new(Kind::Planned, what);
            }
            Ok(None) => {}
            Err(fault) => {
                tracing::debug!("{fault}");
                sleep(limits::MISFITS_EVERY).await;
            }
        }
    }
}

/// How often tables were taken up, over all sessions. One that fits by all that we see and stops again and again must not
/// end one session after the other.
#[derive(Clone, Debug, Default)]
pub struct TakenUp(Arc<Mutex<BTreeMap<String, (u32, Instant)>>>);

impl TakenUp {
    fn note(&self, name: &str) {
        if let Ok(mut taken) = self.0.lock() {
            let now = Instant::now();
            let (times, last) = taken.entry(name.to_owned()).or_insert((0, now));
            if last.elapsed() > 2 * limits::REFUSED_AGAIN_EVERY {
                *times = 0;
            }
            (*times, *last) = (*times + 1, now);
        }
    }

    /// When it may be taken up again; none: at once.
    fn again(&self, name: &str) -> Option<Instant> {
        let taken = self.0.lock().ok()?;
        let (times, last) = taken.get(name)?;
        let pause = limits::MISFITS_EVERY * 2u32.saturating_pow(*times);
        Some(*last + pause.min(limits::REFUSED_AGAIN_EVERY))
    }
}

/// Tables that wait until they fit; those that did when they were refused, until then.
type Waiting = BTreeMap<String, Option<Instant>>;

/// Which one can go on: it is copied anew by the next session, as one that didn't fit when a session began. Over connections
/// of its own: the session's may be in the middle of something.
async fn look(
    settings: &Settings,
    lease: &Lease,
    all: &BTreeSet<String>,
    waiting: &mut Waiting,
) -> Result<Option<String>, Fault> {
    let desktop = Side::Desktop.connect(&settings.desktop.endpoint).await?;
    let cloud = Side::Cloud.connect(&settings.cloud.endpoint).await?.client;
    let now = agree_again(settings, &desktop.client, &cloud, all).await?;
    let misfits = now.misfits().iter();
    let misfits = misfits.filter(|misfit| waiting.contains_key(&misfit.name));
    // Why it doesn't fit is said anew: one thing may be mended, and another one be left.
    note_misfits(&cloud, lease, misfits.clone()).await?;
    let names: BTreeSet<_> = misfits.map(|misfit| misfit.name.clone()).collect();
    for name in &names {
        waiting.insert(name.clone(), None);
    }
    let is_over = |again: &Option<Instant>| again.is_none_or(|again| again <= Instant::now());
    let fits = { waiting.iter() }.find(|(name, again)| !names.contains(*name) && is_over(again));
    let Some((name, _)) = fits else {
        return Ok(None);
    };
    let sql = table_state::take_up();
    let epoch = i64::try_from(lease.epoch).unwrap_or(i64::MAX);
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&lease.replicator, Type::TEXT),
        (name, Type::TEXT),
        (&epoch, Type::INT8),
    ];
    Side::Cloud.query(&cloud, &sql, &params).await?;
    Ok(Some(name.clone()))
}
