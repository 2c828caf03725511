//! What has come from the desktop and isn't in the cloud yet.

use std::collections::VecDeque;

use crate::model::{Lsn, Timestamp, Transaction};

/// What has come and isn't in the cloud.
#[derive(Default)]
pub(super) struct Backlog {
    /// Where transactions that carry rows end, and when they committed.
    rows: VecDeque<(Lsn, Timestamp)>,
    /// The others: heartbeats, marks, and what comes from the cloud itself. They count where nothing else waits.
    others: VecDeque<(Lsn, Timestamp)>,
}

impl Backlog {
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
        let mut missing = Backlog::default();
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
