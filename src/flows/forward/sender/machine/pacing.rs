//! When the next batch goes out while others are on their way. Pure.
//!
//! Sent at once, a lone row is in the cloud after half a round trip. But many small batches cost the cloud more than
//! few large ones: so while it works, the next goes out when it should be done with the last, and what has come
//! until then goes with it.

use std::time::{Duration, Instant};

use crate::limits;

/// How far away the cloud is, and how long a batch waits at most for others.
#[derive(Clone, Copy, Debug)]
pub struct Distance {
    /// The way there and back, without any work.
    pub round_trip: Duration,
    /// The longest pause between two batches.
    pub longest_pause: Duration,
    /// Nobody stands between: a batch may be sent before the last one is answered.
    pub direct: bool,
}

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
    /// Nobody stands between.
    direct: bool,
}

impl Pace {
    pub(super) fn new(now: Instant, distance: &Distance) -> Pace {
        Pace {
            sent: now,
            answered: now,
            trip: distance.round_trip,
            work: Duration::ZERO,
            most: distance.longest_pause,
            direct: distance.direct,
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
    /// work off while an answer comes and the next batch goes. Behind a pooler it is one ([`crate::apply::Pipe`]).
    pub(super) fn depth(&self) -> usize {
        if !self.direct {
            return 1;
        }
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

    fn pace(start: Instant, trip: Duration, direct: bool) -> Pace {
        let distance = Distance {
            round_trip: trip,
            longest_pause: 50 * MS,
            direct,
        };
        Pace::new(start, &distance)
    }

    #[test]
    fn behind_a_pooler_nothing_is_sent_before_the_answer() {
        let start = Instant::now();
        let mut pace = pace(start, 80 * MS, false);
        pace.answered(start, start + 81 * MS);
        assert_eq!(pace.depth(), 1);
    }

    #[test]
    fn distance_alone_holds_nothing_back_and_work_does() {
        let start = Instant::now();
        let mut pace = pace(start, 80 * MS, true);
        // 80 ms away, hardly any work: three on their way, 20 ms apart.
        for (sent, answered) in [(0, 81), (20, 101), (40, 121)] {
            pace.answered(start + sent * MS, start + answered * MS);
        }
        pace.sent(start + 200 * MS);
        assert!(pace.next() <= start + 203 * MS, "{:?}", pace.work);
        assert_eq!(pace.depth(), limits::IN_FLIGHT_MAX);
        // Close by, 30 ms of work each.
        let mut near = self::pace(start, MS, true);
        near.answered(start, start + MS);
        near.answered(start + 10 * MS, start + 41 * MS);
        near.sent(start + 41 * MS);
        let next = near.next().saturating_duration_since(start + 41 * MS);
        assert!(next >= 28 * MS && next <= 31 * MS, "{next:?}");
        assert_eq!(near.depth(), 3);
        // And never longer than the settings say.
        near.answered(start + 100 * MS, start + 900 * MS);
        near.sent(start + 1000 * MS);
        assert_eq!(near.next(), start + 1050 * MS);
    }
}
