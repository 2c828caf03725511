//! The office's statement behind a poll that wrote rows: `[reverse] then`. It never blocks the poll, and is tried again until
//! it succeeds. It can read in `current_setting('tandem.tables')` which tables brought rows.

use std::collections::BTreeSet;
use std::future::pending;
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout};
use tokio_postgres::types::{ToSql, Type};

use crate::config::{Endpoint, Settings};
use crate::failpoint;
use crate::flows::resumable::Resumable;
use crate::limits;
use crate::model::Tables;
use crate::wire::control;

pub(super) struct Then {
    desktop: Endpoint,
    replicator: String,
    sql: Option<String>,
    /// When it runs next; rows that were written before the program started may wait for it.
    due: Option<Instant>,
    /// The tables that brought rows since it ran last.
    tables: BTreeSet<String>,
    /// Since when there are some that nobody was asked to run for.
    since: Option<Instant>,
    running: Resumable<'static, (Vec<String>, Result<Duration, String>)>,
}

impl Then {
    pub(super) fn new(settings: &Settings, replicator: &str, tables: &Tables) -> Then {
        let reverses = tables.reverse_tables().iter();
        Then {
            desktop: settings.desktop.endpoint.clone(),
            replicator: replicator.to_owned(),
            sql: settings.reverse.then.clone(),
            due: Some(Instant::now()),
            // Any of them may have brought rows before a program ended.
            tables: reverses.map(|reverse| reverse.name.clone()).collect(),
            since: None,
            running: Resumable::idle(),
        }
    }

    /// Another statement counts from now on, or none; one that runs ends as it is.
    pub(super) fn take_up(&mut self, settings: &Settings) {
        self.sql.clone_from(&settings.reverse.then);
    }

    /// This table brought rows.
    pub(super) fn note(&mut self, table: &str) {
        self.tables.insert(table.to_owned());
        self.since.get_or_insert_with(Instant::now);
    }

    /// A poll is done, and there may be more: it runs once for a burst, but none is waited for without end.
    pub(super) fn ask(&mut self, more: bool) {
        let is_time = |since: Instant| !more || since.elapsed() >= limits::THEN_WAITS_MAX;
        if self.since.take_if(|since| is_time(*since)).is_some() {
            self.due = Some(Instant::now());
        }
    }

    /// Waits until it is due, and runs it; never without a statement. Safe to cancel.
    pub(super) async fn run(&mut self) {
        if self.running.is_idle() {
            let (Some(sql), Some(due)) = (&self.sql, self.due) else {
                return pending().await;
            };
            sleep_until(due.into()).await;
            self.due = None;
            let tables: Vec<_> = std::mem::take(&mut self.tables).into_iter().collect();
            let (desktop, replicator) = (self.desktop.clone(), self.replicator.clone());
            let sql = sql.clone();
            self.running.begin(async move {
                let ran = work(&desktop, &replicator, &sql, &tables).await;
                (tables, ran)
            });
        }
        let (tables, ran) = self.running.end().await;
        match ran {
            Ok(took) => {
                let tables = tables.join(", ");
                tracing::info!(ms = took.as_millis() as u64, tables, "ran reverse.then");
            }
            Err(why) => {
                tracing::error!(why, "reverse.then failed; it is run again");
                self.tables.extend(tables);
                self.due.get_or_insert(Instant::now() + limits::THEN_AGAIN);
            }
        }
    }
}

/// Runs it once, in a session of its own, and notes what became of it.
async fn work(
    desktop: &Endpoint,
    replicator: &str,
    sql: &str,
    tables: &[String],
) -> Result<Duration, String> {
    let control = control::connect(desktop).await;
    let control = control.map_err(|error| error.to_string())?;
    let client = &control.client;
    let limit = limits::REFILL_MIN;
    let bounded = format!("set statement_timeout = {}", limit.as_millis());
    let set = client.batch_execute(&bounded).await;
    set.map_err(|error| error.to_string())?;
    let told = "select set_config('tandem.tables', $1, false)";
    let names = tables.join(",");
    let told = client.query_typed(told, &[(&names, Type::TEXT)]).await;
    told.map_err(|error| error.to_string())?;
    let since = Instant::now();
    let ran = timeout(limit + limits::ANSWER_SLACK, client.batch_execute(sql)).await;
    let failed = match ran {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(match error.as_db_error() {
            Some(said) => format!("{} ({})", said.message(), said.code().code()),
            None => error.to_string(),
        }),
        Err(_) => Some(format!("no answer in {} s", limit.as_secs())),
    };
    failpoint::reach("then_ran");
    let took = since.elapsed();
    let noted = "update tandem.reverse
        set then_at = clock_timestamp(), then_failed = $2, then_ms = $3, then_tables = $4
        where replicator = $1";
    let ms = i64::try_from(took.as_millis()).ok();
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&replicator, Type::TEXT),
        (&failed, Type::TEXT),
        (&ms, Type::INT8),
        (&tables, Type::TEXT_ARRAY),
    ];
    let reset = client
        .batch_execute("rollback; reset statement_timeout")
        .await;
    let note = client.query_typed(noted, &params).await;
    reset
        .and(note.map(drop))
        .map_err(|error| error.to_string())?;
    failed.map_or(Ok(took), Err)
}
