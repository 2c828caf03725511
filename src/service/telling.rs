//! What a session says while tables are copied, where nobody draws it: a line now and then, not one for each table.

use std::future::Future;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::run_mode::RunMode;
use super::session_context::Session;
use crate::fault::Fault;
use crate::flows::Copying;
use crate::install::publish;
use crate::limits;

/// Carries out `work`, and says now and then how far the copying is. Who copies and ends is watched by whoever started it.
pub(super) async fn telling<T>(goal: &RunMode, work: impl Future<Output = T>) -> T {
    if goal.ends {
        return work.await;
    }
    tokio::pin!(work);
    let every = limits::PROGRESS_EVERY;
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Copying::default();
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = ticks.tick() => {
                let now = goal.progress.look();
                if now != last {
                    tell(&now);
                }
                last = now;
            }
        }
    }
}

fn tell(now: &Copying) {
    if now.tables == 0 {
        let (done, tables) = now.published;
        if done < tables {
            tracing::info!(done, tables, "publishing the tables on the desktop");
        }
        return;
    }
    if now.is_over() {
        return;
    }
    let at_work: Vec<_> = { now.at_work.iter() }
        .map(|work| work.table.as_str())
        .collect();
    tracing::info!(
        done = now.done,
        tables = now.tables,
        refused = now.refused,
        rows = now.rows,
        expected = now.expected,
        bytes = now.bytes,
        at_work = at_work.join(", "),
        "copying"
    );
}

impl Session<'_> {
    /// Publishes the tables that stream.
    pub(super) async fn publish(&self, publication: &str) -> Result<(), Fault> {
        let streaming: Vec<_> = { self.tables.iter() }
            .filter(|table| table.stream)
            .collect();
        let all = streaming.len() as u64;
        let of = (publication, self.lease.replicator.as_str());
        let publishing = |done| self.goal.progress.publishing(done, all);
        let new = publish(&self.desktop.client, of, &streaming, publishing).await?;
        publishing(all);
        if new > 0 {
            tracing::info!(tables = new, "published");
        }
        Ok(())
    }
}
