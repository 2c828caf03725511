//! When the next batch goes out while others are on their way. Pure.
//!
//! Sent at once, a lone row is in the cloud after half a round trip. But many small batches cost the cloud more than
//! few large ones: so while it works, the next goes out when it should be done with the last, and what has come
//! until then goes with it.

use std::time::{Duration, Instant};

use crate::limits;

/// What the answers say about the way and the work.
#[derive(Debug)]
pub(super) struct Pace {
    sent: Instant,
    answered: Instant,
    /// The way there and back, without any work.
    trip: Duration,
    /// What the cloud works on one batch.
    work: Duration,
    /// The longest pause.
    most: Duration,
}

impl Pace {
    pub(super) fn new(now: Instant, trip: Duration, most: Duration) -> Pace {
        Pace {
            sent: now,
            answered: now,
            trip,
            work: Duration::ZERO,
            most,
        }
    }

    /// No pause is longer from now on.
    pub(super) fn limit(&mut self, most: Duration) {
        self.most = most;
    }

    /// A batch goes out.
    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = now;
    }

    /// The answer to the batch that went out at `sent` came.
    pub(super) fn answered(&mut self, sent: Instant, now: Instant) {
        let whole = now.saturating_duration_since(sent);
        self.trip = self.trip.min(whole);
        let behind = now.saturating_duration_since(self.answered);
        // Behind another batch it is the time since that one's answer, alone all but the way.
        self.work = behind.min(whole.saturating_sub(self.trip));
        self.answered = now;
    }

    /// How many batches may be on their way: one that the cloud works on, two that wait there, and as many as it could
    /// work off while an answer comes and the next batch goes.
    pub(super) fn depth(&self) -> usize {
        let work = self.work.max(limits::BATCH_PAUSE_MIN);
        let on_the_way = self.trip.as_micros() / work.as_micros().max(1);
        usize::try_from(on_the_way)
            .unwrap_or(limits::IN_FLIGHT_MAX)
            .saturating_add(3)
            .min(limits::IN_FLIGHT_MAX)
    }

    /// When the next batch may go out, while others are on their way.
    pub(super) fn next(&self) -> Instant {
        let least = limits::BATCH_PAUSE_MIN.min(self.most);
        self.sent + self.work.clamp(least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn distance_alone_holds_nothing_back_and_work_does() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 80 * MS, 50 * MS);
        // 80 ms away, hardly any work: three on their way, 20 ms apart.
        for (sent, answered) in [(0, 81), (20, 101), (40, 121)] {
            pace.answered(start + sent * MS, start + answered * MS);
        }
        pace.sent(start + 200 * MS);
        assert!(pace.next() <= start + 203 * MS, "{:?}", pace.work);
        assert_eq!(pace.depth(), limits::IN_FLIGHT_MAX);
        // Close by, 30 ms of work each.
        let mut pace = Pace::new(start, MS, 50 * MS);
        pace.answered(start, start + MS);
        pace.answered(start + 10 * MS, start + 41 * MS);
        pace.sent(start + 41 * MS);
        let next = pace.next().saturating_duration_since(start + 41 * MS);
        assert!(next >= 28 * MS && next <= 31 * MS, "{next:?}");
        assert_eq!(pace.depth(), 3);
        // And never longer than the settings say.
        pace.answered(start + 100 * MS, start + 900 * MS);
        pace.sent(start + 1000 * MS);
        assert_eq!(pace.next(), start + 1050 * MS);
    }
}
