//! Since when the oldest transaction that the cloud doesn't have has been waiting, told to whoever looks.
//!
//! An onlooker sees both databases, but not what lies between them: the desktop's log has no index by time. The stream
//! knows. It says so in the name of its own connection to the desktop: that costs the log nothing, needs no privilege, is
//! seen at once, and ends with the connection, so that nobody is told by the dead.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::limits;
use crate::model::{Lsn, Timestamp, Transaction};

/// What has come and isn't in the cloud.
#[derive(Default)]
pub(super) struct Missing {
    /// Where transactions that carry rows end, and when they committed.
    rows: VecDeque<(Lsn, Timestamp)>,
    /// The others: heartbeats, marks, and what comes from the cloud itself. They count where nothing else waits.
    others: VecDeque<(Lsn, Timestamp)>,
}

impl Missing {
    /// This one has come.
    pub(super) fn came(&mut self, transaction: &Transaction, carries_rows: bool) {
        let queue = match carries_rows {
            true => &mut self.rows,
            false => &mut self.others,
        };
        queue.push_back((transaction.end, transaction.committed_at));
    }

    /// The cloud has everything up to here.
    pub(super) fn committed(&mut self, checkpoint: Lsn) {
        for queue in [&mut self.rows, &mut self.others] {
            while queue.front().is_some_and(|(end, _)| *end <= checkpoint) {
                queue.pop_front();
            }
        }
    }

    /// When the oldest committed; `open` did, and has not come whole yet.
    pub(super) fn oldest(&self, open: Option<Timestamp>) -> Option<Timestamp> {
        let first = |queue: &VecDeque<(Lsn, Timestamp)>| queue.front().map(|(_, at)| *at);
        first(&self.rows).or(open).or_else(|| first(&self.others))
    }
}

/// Tells it.
pub(super) struct Overdue<'a> {
    desktop: &'a Client,
    slot: &'a str,
    ticks: Interval,
    /// The oldest at the last tick.
    seen: Option<Timestamp>,
    told: Option<Told>,
    /// What was done of a large transaction at the last tick, and when that changed.
    progress: (u64, Option<Instant>),
    /// The telling: whoever waits for it may be called away, and comes back.
    telling: Option<Telling<'a>>,
}

/// When the oldest committed, and whether the cloud is taking it piece by piece.
type Told = (Timestamp, bool);

type Telling<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

impl<'a> Overdue<'a> {
    pub(super) fn new(desktop: &'a Client, slot: &'a str) -> Overdue<'a> {
        let mut ticks = interval(limits::TELL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Overdue {
            desktop,
            slot,
            ticks,
            seen: None,
            told: None,
            progress: (0, None),
            telling: None,
        }
    }

    /// Waits for the next moment to tell, and tells what has waited for longer than one; in a stream that flows that is
    /// nothing, and nothing is said. `progress` changes while the cloud takes a large transaction. Safe to cancel.
    pub(super) async fn tell(&mut self, oldest: Option<Timestamp>, progress: u64) {
        if self.telling.is_none() {
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
            let moved = { self.progress.1 }.is_some_and(|at| at.elapsed() < limits::STALLED_AFTER);
            let told = waits.map(|since| (since, moved));
            if told == self.told {
                return;
            }
            self.told = told;
            self.telling = Some(Box::pin(tell(self.desktop, self.slot, told)));
        }
        if let Some(telling) = &mut self.telling {
            telling.await;
            self.telling = None;
        }
    }
}

async fn tell(desktop: &Client, slot: &str, told: Option<Told>) {
    let sql = "select set_config('application_name', coalesce('tandem ' || hashtext($1) || $2, \
        (select reset_val from pg_settings where name = 'application_name')), false)";
    let words = told.map(|(Timestamp(micros), moves)| match moves {
        true => format!(" works since {micros}"),
        false => format!(" waits since {micros}"),
    });
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&slot, Type::TEXT), (&words, Type::TEXT)];
    if let Err(error) = desktop.query_typed(sql, &params).await {
        // The stream notices the connection's end itself, and the rest is a number that stays less exact.
        tracing::debug!(%error, "not told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(end: u64, at: i64) -> Transaction {
        Transaction {
            xid: 1,
            commit: Lsn(end - 1),
            end: Lsn(end),
            committed_at: Timestamp(at),
            changes: Vec::new(),
            marks: Vec::new(),
            bytes: 0,
        }
    }

    #[test]
    fn p15_the_oldest_that_carries_rows_counts_and_a_heartbeat_only_where_nothing_else_waits() {
        let mut missing = Missing::default();
        assert_eq!(missing.oldest(None), None);
        missing.came(&transaction(10, 1), false);
        assert_eq!(missing.oldest(None), Some(Timestamp(1)));
        missing.came(&transaction(20, 2), true);
        missing.came(&transaction(30, 3), true);
        assert_eq!(missing.oldest(Some(Timestamp(4))), Some(Timestamp(2)));
        missing.committed(Lsn(20));
        assert_eq!(missing.oldest(Some(Timestamp(4))), Some(Timestamp(3)));
        missing.committed(Lsn(30));
        assert_eq!(missing.oldest(Some(Timestamp(4))), Some(Timestamp(4)));
        assert_eq!(missing.oldest(None), None);
    }
}
