//! When to report, when to ask, when to give up: the replication session as a state machine.
//!
//! Pure: frames, committed positions and `now` in; the next thing due out.

use std::time::{Duration, Instant};

use super::frame::Frame;
use crate::limits;
use crate::model::{Committed, Received};

/// What a session knows about its two ends.
#[derive(Debug)]
pub struct FeedbackTimer {
    received: Received,
    committed: Committed,
    every: Duration,
    last_frame: Instant,
    last_report: Instant,
    /// Something must be said at once: a reply was requested.
    owed: bool,
    /// A position was committed and not told yet.
    news: bool,
    asked: bool,
}

/// The next thing to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Report positions; `ask` for a reply.
    Report {
        /// Nothing has come for a while.
        ask: bool,
    },
    /// The server has said nothing for too long.
    Silent,
    /// Nothing before then.
    At(Instant),
}

impl FeedbackTimer {
    /// Starts at a checkpoint. `sender_timeout` is the server's `wal_sender_timeout`, zero for none.
    pub fn new(now: Instant, start: Committed, sender_timeout: Duration) -> FeedbackTimer {
        let third = if sender_timeout.is_zero() {
            limits::FEEDBACK_EVERY
        } else {
            sender_timeout / 3
        };
        FeedbackTimer {
            received: Received(start.lsn()),
            committed: start,
            every: limits::FEEDBACK_EVERY.min(third),
            last_frame: now,
            last_report: now,
            owed: true,
            news: false,
            asked: false,
        }
    }

    /// A frame came.
    pub fn frame(&mut self, now: Instant, frame: &Frame) {
        self.heard(now);
        let at = match frame {
            Frame::Data { at, .. } => *at,
            Frame::Keepalive { end, reply } => {
                self.owed |= reply;
                *end
            }
        };
        self.received = self.received.max(Received(at));
    }

    /// We were not listening until now, so silence means nothing.
    pub fn heard(&mut self, now: Instant) {
        self.last_frame = now;
        self.asked = false;
    }

    /// The cloud has committed.
    pub fn committed(&mut self, committed: Committed) {
        if committed > self.committed {
            self.committed = committed;
            self.news = true;
        }
    }

    /// What is due now. Asking for it does it: the answer is carried out by the caller.
    pub fn due(&mut self, now: Instant) -> Action {
        let silent = now.saturating_duration_since(self.last_frame);
        if silent >= limits::SILENCE_MAX {
            return Action::Silent;
        }
        let ask = silent >= limits::SILENCE_BEFORE_ASKING && !self.asked;
        let every = match self.news {
            true => self.every.min(limits::NEWS_EVERY),
            false => self.every,
        };
        if self.owed || ask || now.saturating_duration_since(self.last_report) >= every {
            self.owed = false;
            self.news = false;
            self.asked |= ask;
            self.last_report = now;
            return Action::Report { ask };
        }
        let ask_at = if self.asked {
            limits::SILENCE_MAX
        } else {
            limits::SILENCE_BEFORE_ASKING
        };
        Action::At((self.last_report + every).min(self.last_frame + ask_at))
    }

    /// What has arrived and what is in the cloud.
    pub fn positions(&self) -> (Received, Committed) {
        (self.received, self.committed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Lsn;

    fn at(seconds: u64, start: Instant) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn pulse(start: Instant) -> FeedbackTimer {
        let mut pulse =
            FeedbackTimer::new(start, Committed::proven(Lsn(100)), Duration::from_secs(60));
        assert_eq!(pulse.due(start), Action::Report { ask: false });
        pulse
    }

    #[test]
    fn p2_only_a_committed_position_is_confirmed() {
        let start = Instant::now();
        let mut pulse = pulse(start);
        pulse.frame(
            start,
            &Frame::Keepalive {
                end: Lsn(900),
                reply: false,
            },
        );
        assert_eq!(
            pulse.positions(),
            (Received(Lsn(900)), Committed::proven(Lsn(100)))
        );
        pulse.committed(Committed::proven(Lsn(500)));
        let soon = start + limits::NEWS_EVERY;
        assert_eq!(pulse.due(start), Action::At(soon), "not for each batch");
        assert_eq!(pulse.due(soon), Action::Report { ask: false });
        pulse.committed(Committed::proven(Lsn(400)));
        assert_eq!(
            pulse.positions().1,
            Committed::proven(Lsn(500)),
            "a position never goes back"
        );
    }

    #[test]
    fn p13_silence_is_asked_about_then_ends_the_session_within_30_s() {
        let start = Instant::now();
        let mut pulse = pulse(start);
        assert_eq!(pulse.due(at(1, start)), Action::At(at(10, start)));
        assert_eq!(pulse.due(at(10, start)), Action::Report { ask: true });
        assert_eq!(pulse.due(at(20, start)), Action::Report { ask: false });
        assert_eq!(pulse.due(at(21, start)), Action::At(at(25, start)));
        assert_eq!(pulse.due(at(25, start)), Action::Silent);
        pulse.frame(
            at(26, start),
            &Frame::Keepalive {
                end: Lsn(1),
                reply: true,
            },
        );
        assert_eq!(
            pulse.due(at(26, start)),
            Action::Report { ask: false },
            "a requested reply is sent at once"
        );
    }

    #[test]
    fn reports_come_three_times_within_a_short_sender_timeout() {
        let start = Instant::now();
        let mut pulse =
            FeedbackTimer::new(start, Committed::proven(Lsn(1)), Duration::from_secs(3));
        assert_eq!(pulse.due(start), Action::Report { ask: false });
        assert_eq!(pulse.due(start), Action::At(at(1, start)));
    }
}
