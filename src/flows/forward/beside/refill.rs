//! The office's refill, by the clock: a statement of the desktop that fills tables from views. Tables that don't stream
//! are swapped behind it. What the cloud owns of their rows stays as it is: it is given back in the same transaction.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::config::{Endpoint, Refill};
use crate::failpoint;
use crate::fault::{Fault, Side};
use crate::limits;
use crate::model::Tables;
use crate::plan::reverse::{alone, keep, mark_text, restore};
use crate::wire::control;

/// Runs it again and again, never twice at once.
pub(in crate::flows::forward) struct Refiller {
    desktop: Endpoint,
    replicator: String,
    refill: Option<Refill>,
    tables: Arc<Tables>,
    due: Instant,
    /// A run that has begun: whoever waits for it may be called away, and comes back.
    running: Option<Running>,
}

type Running = Pin<Box<dyn Future<Output = Result<Ran, Fault>>>>;

/// What became of a run.
enum Ran {
    /// It took so long.
    Well(Duration),
    /// The desktop says why not.
    Failed(String),
    /// Another session has the lock.
    Elsewhere,
}

/// So long ago it was run for the last time; none when it never was.
///
/// # Errors
/// When the desktop can't be asked.
pub async fn last_refill(desktop: &Client, replicator: &str) -> Result<Option<Duration>, Fault> {
    let sql = "select (greatest(0, extract(epoch from clock_timestamp() - started_at)) * 1000)::bigint from tandem.refill where replicator = $1";
    let rows = desktop.query_typed(sql, &[(&replicator, Type::TEXT)]).await;
    let rows = rows.map_err(Fault::at(Side::Desktop))?;
    let ago =
        |row: &tokio_postgres::Row| Duration::from_millis(row.get::<_, i64>(0).unsigned_abs());
    Ok(rows.first().map(ago))
}

impl Refiller {
    /// `ago`: when it was run for the last time.
    pub(in crate::flows::forward) fn new(
        desktop: &Endpoint,
        replicator: &str,
        (refill, tables): (Option<Refill>, Arc<Tables>),
        ago: Option<Duration>,
    ) -> Refiller {
        let every = refill
            .as_ref()
            .map_or(Duration::ZERO, |refill| refill.every);
        let wait = ago.map_or(Duration::ZERO, |ago| every.saturating_sub(ago));
        Refiller {
            desktop: desktop.clone(),
            replicator: replicator.to_owned(),
            refill,
            tables,
            due: Instant::now() + wait,
            running: None,
        }
    }

    /// Waits until it was run; never without a `[refill]`. Says whether it filled the tables. Safe to cancel.
    ///
    /// # Errors
    /// When the desktop can't be reached.
    pub(in crate::flows::forward) async fn run(&mut self) -> Result<bool, Fault> {
        let Some(refill) = &self.refill else {
            return std::future::pending().await;
        };
        if self.running.is_none() {
            sleep_until(self.due.into()).await;
            self.due = Instant::now() + refill.every;
            let work = work(
                self.desktop.clone(),
                self.replicator.clone(),
                refill.clone(),
                self.tables.clone(),
            );
            self.running = Some(Box::pin(work));
        }
        let Some(running) = &mut self.running else {
            return Ok(false);
        };
        let ran = running.await;
        self.running = None;
        match ran {
            Ok(Ran::Well(took)) => {
                tracing::info!(ms = took.as_millis() as u64, "refilled");
                Ok(true)
            }
            Ok(Ran::Failed(why)) => {
                tracing::error!(why, "the refill failed; it is run again when it is due");
                Ok(false)
            }
            Ok(Ran::Elsewhere) => {
                tracing::info!("another session runs the refill; this turn is left out");
                Ok(false)
            }
            Err(fault) => Err(fault),
        }
    }
}

/// Runs it once, in a session of its own.
async fn work(
    desktop: Endpoint,
    replicator: String,
    refill: Refill,
    tables: Arc<Tables>,
) -> Result<Ran, Fault> {
    let control = control::connect(&desktop).await;
    let control = control.map_err(Fault::at(Side::Desktop))?;
    let client = &control.client;
    // The lock goes with the session.
    let lock = "select pg_try_advisory_lock(hashtext('tandem.refill'))";
    let rows = client.query_typed(lock, &[]).await;
    let rows = rows.map_err(Fault::at(Side::Desktop))?;
    if !rows.first().is_some_and(|row| row.get(0)) {
        return Ok(Ran::Elsewhere);
    }
    let begins = "insert into tandem.refill (replicator, started_at) values ($1, clock_timestamp()) \
        on conflict (replicator) do update set started_at = excluded.started_at, ended_at = null, failed = null";
    let done = client
        .query_typed(begins, &[(&replicator, Type::TEXT)])
        .await;
    done.map_err(Fault::at(Side::Desktop))?;
    // One that takes longer than its period would run for ever.
    failpoint::reach("refill_began");
    let limit = refill.every.max(limits::REFILL_MIN);
    let since = Instant::now();
    let bounded = format!("set statement_timeout = {}", limit.as_millis());
    let set = client.batch_execute(&bounded).await;
    set.map_err(Fault::at(Side::Desktop))?;
    let ran = fill(client, &replicator, &refill.sql, &tables);
    let ran = timeout(limit + limits::ANSWER_SLACK, ran).await;
    let failed = match ran {
        Ok(Ok(())) => None,
        Ok(Err(error)) => match error.as_db_error() {
            Some(said) => Some(format!("{} ({})", said.message(), said.code().code())),
            None => return Err(Fault::at(Side::Desktop)(error)),
        },
        Err(_) => Some(format!("no answer in {} s", limit.as_secs())),
    };
    let took = since.elapsed();
    let ends = "update tandem.refill set ended_at = clock_timestamp(), failed = $2, runs = runs + 1 where replicator = $1";
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&replicator, Type::TEXT), (&failed, Type::TEXT)];
    let reset = client
        .batch_execute("rollback; reset statement_timeout")
        .await;
    reset.map_err(Fault::at(Side::Desktop))?;
    let done = client.query_typed(ends, &params).await;
    done.map_err(Fault::at(Side::Desktop))?;
    Ok(failed.map_or(Ran::Well(took), Ran::Failed))
}

/// The statement; where the cloud owns columns of what it fills, between keeping them and giving them back.
async fn fill(
    client: &Client,
    replicator: &str,
    sql: &str,
    tables: &Tables,
) -> Result<(), tokio_postgres::Error> {
    let owned = tables
        .reverse_tables()
        .iter()
        .filter(|reverse| !reverse.owned.is_empty());
    let owned: Vec<_> = owned.enumerate().collect();
    if owned.is_empty() {
        return client.batch_execute(sql).await;
    }
    let kept = owned.iter().map(|(at, reverse)| keep(reverse, *at));
    let before: Vec<_> = ["begin".to_owned(), alone(replicator), mark_text(replicator)]
        .into_iter()
        .chain(kept)
        .collect();
    client.batch_execute(&before.join("; ")).await?;
    failpoint::reach("refill_kept");
    client.batch_execute(sql).await?;
    failpoint::reach("refill_ran");
    for (at, reverse) in owned {
        let rows = client.query_typed(&restore(reverse, at), &[]).await?;
        let rows: i64 = rows.first().map_or(0, |row| row.get(0));
        if rows > 0 {
            tracing::info!(table = %reverse.name, rows, "kept what the cloud owns");
        }
    }
    client.batch_execute("commit").await
}
