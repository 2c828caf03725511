//! The last hour in memory: how far each direction was behind, and how many rows it wrote a second. Pure: it is told what was
//! seen and when, and never asks.

use std::collections::VecDeque;
use std::time::Duration;

use super::status::Status;
use crate::limits;

/// What a look at both sides adds to the curves; forward first, then reverse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How far each direction is behind, in milliseconds.
    pub lag_ms: [Option<u64>; 2],
    /// Row changes that were written there, ever.
    pub applied: [u64; 2],
    /// Rows that were copied to the cloud.
    pub copied: u64,
}

impl Seen {
    /// What a status says of it.
    pub fn of(status: &Status) -> Seen {
        let lag = |lag: Option<i64>| lag.map(|lag| lag.max(0).unsigned_abs());
        let count = |count: i64| count.max(0).unsigned_abs();
        let mut seen = Seen {
            lag_ms: [lag(status.forward.lag_ms), lag(status.reverse.lag_ms)],
            ..Seen::default()
        };
        for table in &status.tables {
            seen.applied[0] += count(table.applied);
            seen.copied += count(table.copied);
            seen.applied[1] += { table.reverse.as_ref() }.map_or(0, |home| count(home.applied));
        }
        seen
    }

    /// Rows written since an earlier look. A count that fell was begun anew, or its table is gone: nobody knows what it hides.
    fn rows_since(&self, before: &Seen) -> [f64; 2] {
        let forward = self.applied[0].saturating_sub(before.applied[0]);
        let copied = self.copied.saturating_sub(before.copied);
        let reverse = self.applied[1].saturating_sub(before.applied[1]);
        [(forward + copied) as f64, reverse as f64]
    }
}

/// One point's time.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The worst that was seen.
    lag_ms: [Option<u64>; 2],
    rows: [f64; 2],
    /// Seconds of it that the rows are known of.
    known: f64,
}

/// A ring of [`limits::CURVE_POINTS`] points, each of [`limits::CURVE_EVERY`].
#[derive(Debug, Default)]
pub struct Curve {
    slots: VecDeque<Slot>,
    /// The number of the newest slot since the beginning.
    newest: u64,
    last: Option<(Duration, Seen)>,
}

impl Curve {
    /// Takes in what was seen `at` so long after the beginning.
    pub fn note(&mut self, at: Duration, seen: Seen) {
        self.reach(at);
        if let Some(slot) = self.slots.back_mut() {
            for (worst, now) in slot.lag_ms.iter_mut().zip(seen.lag_ms) {
                *worst = (*worst).max(now);
            }
        }
        if let Some((from, before)) = self.last {
            self.spread(from, at, seen.rows_since(&before));
        }
        self.last = Some((at, seen));
    }

    /// How far this direction (0 forward, 1 reverse) was behind, in milliseconds, oldest first, up to the moment `at`; none
    /// where nobody looked, or it couldn't be told.
    pub fn lag_ms(&self, direction: usize, at: Duration) -> Vec<Option<f64>> {
        self.points(at, |slot| slot.lag_ms[direction].map(|lag| lag as f64))
    }

    /// Rows a second in the same way.
    pub fn rows_per_s(&self, direction: usize, at: Duration) -> Vec<Option<f64>> {
        self.points(at, |slot| {
            (slot.known > 0.0).then(|| slot.rows[direction] / slot.known)
        })
    }

    fn points(&self, at: Duration, value: impl Fn(&Slot) -> Option<f64>) -> Vec<Option<f64>> {
        let now = number(at).max(self.newest);
        let oldest = self.newest + 1 - self.slots.len().max(1) as u64;
        let point = |back: u64| {
            let index = now.checked_sub(back)?.checked_sub(oldest)?;
            let slot = self.slots.get(usize::try_from(index).ok()?)?;
            value(slot)
        };
        (0..limits::CURVE_POINTS as u64).rev().map(point).collect()
    }

    /// Has a slot for this moment, and forgets what is too old.
    fn reach(&mut self, at: Duration) {
        let now = number(at);
        if self.slots.is_empty() || now >= self.newest + limits::CURVE_POINTS as u64 {
            self.slots.clear();
            self.slots.push_back(Slot::default());
            self.newest = now;
        }
        while self.newest < now {
            self.slots.push_back(Slot::default());
            self.newest += 1;
        }
        let over = self.slots.len().saturating_sub(limits::CURVE_POINTS);
        self.slots.drain(..over);
    }

    /// What was written between two looks belongs to the whole time between them.
    fn spread(&mut self, from: Duration, to: Duration, rows: [f64; 2]) {
        let took = to.saturating_sub(from).as_secs_f64();
        if took <= 0.0 {
            return;
        }
        let each = limits::CURVE_EVERY.as_secs_f64();
        let slots = self.slots.iter_mut().rev();
        for (slot, number) in slots.zip((0..=self.newest).rev()) {
            let begins = number as f64 * each;
            let inside = to.as_secs_f64().min(begins + each) - from.as_secs_f64().max(begins);
            if begins + each <= from.as_secs_f64() {
                break;
            }
            // It begins with the look itself.
            if inside <= 0.0 {
                continue;
            }
            slot.known += inside;
            for (sum, rows) in slot.rows.iter_mut().zip(rows) {
                *sum += rows * inside / took;
            }
        }
    }
}

/// The slot of a moment.
fn number(at: Duration) -> u64 {
    at.as_secs() / limits::CURVE_EVERY.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn seen(lag: u64, applied: u64, copied: u64, home: u64) -> Seen {
        Seen {
            lag_ms: [Some(lag), None],
            applied: [applied, home],
            copied,
        }
    }

    fn last(points: &[Option<f64>], count: usize) -> &[Option<f64>] {
        &points[points.len() - count..]
    }

    #[test]
    fn the_worst_lag_of_a_point_stays_and_what_nobody_saw_is_a_gap() {
        let mut curve = Curve::default();
        for (second, lag) in [(0, 5), (10, 900), (20, 7), (95, 11)] {
            curve.note(at(second), seen(lag, 0, 0, 0));
        }
        let lag = curve.lag_ms(0, at(95));
        assert_eq!(lag.len(), limits::CURVE_POINTS);
        assert_eq!(last(&lag, 4), [Some(900.0), None, None, Some(11.0)]);
        assert_eq!(lag[0], None);
        assert!(curve.lag_ms(1, at(95)).iter().all(Option::is_none));
        // Time goes on although nobody can look.
        assert_eq!(last(&curve.lag_ms(0, at(155)), 3), [Some(11.0), None, None]);
    }

    #[test]
    fn rows_are_spread_over_the_time_between_two_looks_with_what_was_copied() {
        let mut curve = Curve::default();
        curve.note(at(15), seen(0, 100, 1_000, 4));
        assert!(curve.rows_per_s(0, at(15)).iter().all(Option::is_none));
        curve.note(at(75), seen(0, 160, 1_060, 64));
        assert_eq!(last(&curve.rows_per_s(0, at(75)), 3), [Some(2.0); 3]);
        assert_eq!(last(&curve.rows_per_s(1, at(75)), 3), [Some(1.0); 3]);
        // Counts that begin anew are no rows.
        curve.note(at(90), seen(0, 0, 0, 0));
        let rates = curve.rows_per_s(0, at(90));
        assert_eq!(last(&rates, 2), [Some(1.0), None]);
    }

    #[test]
    fn it_holds_an_hour_and_no_more() {
        let mut curve = Curve::default();
        for second in (0..20_000).step_by(10) {
            curve.note(at(second), seen(second, second, 0, 0));
        }
        assert_eq!(curve.slots.len(), limits::CURVE_POINTS);
        let lag = curve.lag_ms(0, at(19_990));
        assert_eq!(last(&lag, 1), [Some(19_990.0)]);
        assert!(lag.iter().all(Option::is_some));
        let rates = curve.rows_per_s(0, at(19_990));
        assert!(rates.iter().flatten().all(|rate| (rate - 1.0).abs() < 1e-9));
        // A night's sleep of the computer.
        curve.note(at(90_000), seen(1, 30_000, 0, 0));
        let lag = curve.lag_ms(0, at(90_000));
        assert_eq!(lag.iter().flatten().count(), 1);
        assert_eq!(curve.slots.len(), 1);
        assert!(curve.lag_ms(0, at(900_000)).iter().all(Option::is_none));
    }
}
