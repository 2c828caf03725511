//! Since when the oldest transaction that the cloud doesn't have has been waiting, told to whoever looks.
//!
//! An onlooker sees both databases, but not what lies between them: the desktop's log has no index by time. The stream
//! knows. It says so in the name of its own connection to the desktop: that costs the log nothing, needs no privilege, is
//! seen at once, and ends with the connection, so that nobody is told by the dead.

use std::future::pending;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::flows::resumable::Resumable;
use crate::limits;
use crate::model::{LagNotice, Timestamp};

/// Tells it.
pub(in crate::flows::forward) struct LagReporter<'a> {
    desktop: &'a Client,
    slot: &'a str,
    ticks: Interval,
    /// The oldest at the last tick.
    seen: Option<Timestamp>,
    told: Option<LagNotice>,
    /// What was done of a large transaction at the last tick, and when that changed.
    progress: (u64, Option<Instant>),
    /// A telling that has begun.
    telling: Resumable<'a, ()>,
}

impl<'a> LagReporter<'a> {
    pub(in crate::flows::forward) fn new(desktop: &'a Client, slot: &'a str) -> LagReporter<'a> {
        let mut ticks = interval(limits::TELL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        LagReporter {
            desktop,
            slot,
            ticks,
            seen: None,
            told: None,
            progress: (0, None),
            telling: Resumable::idle(),
        }
    }

    /// Waits for the next moment to tell, and tells what has waited for longer than one; in a stream that flows that is
    /// nothing, and nothing is said. `progress` changes while the cloud takes a large transaction. Safe to cancel.
    pub(in crate::flows::forward) async fn tell(
        &mut self,
        oldest: Option<Timestamp>,
        progress: u64,
    ) {
        if self.telling.is_idle() {
            if oldest.is_none() && self.told.is_none() {
                self.seen = None;
                return pending().await;
            }
            self.ticks.tick().await;
            let waits = oldest.filter(|_| oldest == self.seen);
            self.seen = oldest;
            if progress != self.progress.0 {
                self.progress = (progress, Some(Instant::now()));
            }
            let moves = { self.progress.1 }.is_some_and(|at| at.elapsed() < limits::STALLED_AFTER);
            let told = waits.map(|since| LagNotice { since, moves });
            if told == self.told {
                return;
            }
            self.told = told;
            self.telling.begin(tell(self.desktop, self.slot, told));
        }
        self.telling.end().await;
    }
}

async fn tell(desktop: &Client, slot: &str, told: Option<LagNotice>) {
    let sql = format!(
        "select set_config(
           'application_name',
           coalesce(
             {speaker} || $2,
             (select reset_val from pg_settings where name = 'application_name')
           ),
           false
         )",
        speaker = LagNotice::SPEAKER
    );
    let words = told.map(|told| told.to_string());
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&slot, Type::TEXT), (&words, Type::TEXT)];
    if let Err(error) = desktop.query_typed(&sql, &params).await {
        // The stream notices the connection's end itself, and the rest is a number that stays less exact.
        tracing::debug!(%error, "not told");
    }
}
