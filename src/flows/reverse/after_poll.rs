//! The office's statement behind a poll that wrote rows: `[reverse] then`. It never blocks the poll, and is tried again until
//! it succeeds.

use std::future::pending;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout};
use tokio_postgres::types::{ToSql, Type};

use crate::config::{Endpoint, Settings};
use crate::failpoint;
use crate::limits;
use crate::wire::control;

pub(super) struct Then {
    desktop: Endpoint,
    replicator: String,
    sql: Option<String>,
    /// When it runs next; rows that were written before the program started may wait for it.
    due: Option<Instant>,
    running: Option<Running>,
}

type Running = Pin<Box<dyn Future<Output = Result<Duration, String>>>>;

impl Then {
    pub(super) fn new(settings: &Settings, replicator: &str) -> Then {
        Then {
            desktop: settings.desktop.endpoint.clone(),
            replicator: replicator.to_owned(),
            sql: settings.reverse.then.clone(),
            due: Some(Instant::now()),
            running: None,
        }
    }

    /// Rows were written.
    pub(super) fn ask(&mut self) {
        self.due = Some(Instant::now());
    }

    /// Waits until it is due, and runs it; never without a statement. Safe to cancel.
    pub(super) async fn run(&mut self) {
        let (Some(sql), Some(due)) = (&self.sql, self.due) else {
            if self.running.is_none() {
                return pending().await;
            }
            return self.finish().await;
        };
        if self.running.is_none() {
            sleep_until(due.into()).await;
            self.due = None;
            let work = work(self.desktop.clone(), self.replicator.clone(), sql.clone());
            self.running = Some(Box::pin(work));
        }
        self.finish().await;
    }

    async fn finish(&mut self) {
        let Some(running) = &mut self.running else {
            return;
        };
        let ran = running.await;
        self.running = None;
        match ran {
            Ok(took) => tracing::info!(ms = took.as_millis() as u64, "ran reverse.then"),
            Err(why) => {
                tracing::error!(why, "reverse.then failed; it is run again");
                self.due.get_or_insert(Instant::now() + limits::THEN_AGAIN);
            }
        }
    }
}

/// Runs it once, in a session of its own, and notes what became of it.
async fn work(desktop: Endpoint, replicator: String, sql: String) -> Result<Duration, String> {
    let control = control::connect(&desktop).await;
    let control = control.map_err(|error| error.to_string())?;
    let client = &control.client;
    let limit = limits::REFILL_MIN;
    let bounded = format!("set statement_timeout = {}", limit.as_millis());
    let set = client.batch_execute(&bounded).await;
    set.map_err(|error| error.to_string())?;
    let since = Instant::now();
    let ran = timeout(limit + limits::ANSWER_SLACK, client.batch_execute(&sql)).await;
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
    let noted = "update tandem.reverse set then_at = clock_timestamp(), then_failed = $2 where replicator = $1";
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&replicator, Type::TEXT), (&failed, Type::TEXT)];
    let reset = client
        .batch_execute("rollback; reset statement_timeout")
        .await;
    let note = client.query_typed(noted, &params).await;
    reset
        .and(note.map(drop))
        .map_err(|error| error.to_string())?;
    failed.map_or(Ok(took), Err)
}
