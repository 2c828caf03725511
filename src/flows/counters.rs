//! What the running service counts for its metrics; what must outlive it stands in the databases.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::alive::Alive;
use crate::fault::Side;

/// Upper bounds of the buckets of a batch's time, in milliseconds.
pub const BUCKETS_MS: [u64; 10] = [5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 30_000];

/// Counts since the program started.
#[derive(Debug, Default)]
pub struct Counters {
    buckets: [AtomicU64; BUCKETS_MS.len()],
    batches: AtomicU64,
    batch_micros: AtomicU64,
    batch_rows: AtomicU64,
    reconnects: [AtomicU64; 2],
    /// Whether the service works.
    pub alive: Alive,
}

/// What they are now.
#[derive(Clone, Debug, Default)]
pub struct CounterSnapshot {
    /// For each of [`BUCKETS_MS`] how many batches took no longer.
    pub buckets: Vec<u64>,
    /// Batches that the cloud committed.
    pub batches: u64,
    /// How long they took, from being sent to being committed.
    pub batch_time: Duration,
    /// Row changes in them.
    pub batch_rows: u64,
    /// Sessions that ended because the desktop was away.
    pub desktop_reconnects: u64,
    /// The same for the cloud.
    pub cloud_reconnects: u64,
}

impl Counters {
    /// The cloud has committed a batch.
    pub fn batch(&self, took: Duration, rows: usize) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        for (bucket, bound) in self.buckets.iter().zip(BUCKETS_MS) {
            if micros <= bound * 1_000 {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.batch_micros.fetch_add(micros, Ordering::Relaxed);
        self.batch_rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// A session ended because this side was away.
    pub fn reconnect(&self, side: Side) {
        let at = usize::from(side == Side::Cloud);
        self.reconnects[at].fetch_add(1, Ordering::Relaxed);
    }

    /// All counts.
    pub fn read(&self) -> CounterSnapshot {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CounterSnapshot {
            buckets: self.buckets.iter().map(load).collect(),
            batches: load(&self.batches),
            batch_time: Duration::from_micros(load(&self.batch_micros)),
            batch_rows: load(&self.batch_rows),
            desktop_reconnects: load(&self.reconnects[0]),
            cloud_reconnects: load(&self.reconnects[1]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_stands_in_all_buckets_that_hold_it() {
        let meter = Counters::default();
        meter.batch(Duration::from_millis(20), 3);
        meter.batch(Duration::from_secs(60), 4);
        meter.reconnect(Side::Cloud);
        let reading = meter.read();
        assert_eq!(reading.buckets, [0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!((reading.batches, reading.batch_rows), (2, 7));
        assert_eq!(
            (reading.desktop_reconnects, reading.cloud_reconnects),
            (0, 1)
        );
    }
}
