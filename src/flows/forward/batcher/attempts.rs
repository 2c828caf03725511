//! Which large transactions may go in one pass: one that came to nothing goes over the disk, and where that happens again and
//! again, so do the next ones. An office whose refills all end in a delete would have each of them read twice otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits;
use crate::model::Lsn;

/// What became of large transactions so far, for all sessions of a service. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<Tries>);

#[derive(Debug, Default)]
struct Tries {
    /// Where the one commits that has begun to go in one pass, and isn't known to be in the cloud.
    begun: AtomicU64,
    /// Where the one commits that goes over the disk.
    refused: AtomicU64,
    /// Behind one another so many came to nothing.
    failures: AtomicU64,
    /// So many more go over the disk at once.
    spared: AtomicU64,
    /// How many have begun.
    count: AtomicU64,
}

fn get(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

fn set(number: &AtomicU64, value: u64) {
    number.store(value, Ordering::Relaxed);
}

impl Attempts {
    /// How many have begun so far. Each does so once, so a session that ends for one has done something new.
    pub fn count(&self) -> u64 {
        get(&self.0.count)
    }

    /// Whether the transaction that commits there may go in one pass; if so, it begins.
    pub(super) fn may_begin(&self, commit: Lsn) -> bool {
        let tries = &*self.0;
        if get(&tries.begun) == commit.0 {
            // It is read again: it came to nothing.
            set(&tries.begun, 0);
            set(&tries.refused, commit.0);
            let failures = get(&tries.failures) + 1;
            set(&tries.failures, failures);
            let spared = 1_u64.checked_shl(u32::try_from(failures).unwrap_or(u32::MAX));
            let most = limits::ONE_PASS_SPARED_MAX;
            set(
                &tries.spared,
                spared.map_or(most, |spared| (spared - 1).min(most)),
            );
        }
        if get(&tries.refused) == commit.0 {
            return false;
        }
        let spared = get(&tries.spared);
        if spared > 0 {
            set(&tries.spared, spared - 1);
            set(&tries.refused, commit.0);
            return false;
        }
        set(&tries.begun, commit.0);
        set(&tries.count, get(&tries.count) + 1);
        true
    }

    /// The one that has begun goes over the disk, and nothing of it had gone.
    pub(super) fn take_back(&self) {
        let begun = self.0.begun.swap(0, Ordering::Relaxed);
        set(&self.0.refused, begun);
    }

    /// The cloud has everything up to there.
    pub(super) fn committed(&self, checkpoint: Lsn) {
        let tries = &*self.0;
        let begun = get(&tries.begun);
        if begun > 0 && begun < checkpoint.0 {
            set(&tries.begun, 0);
            set(&tries.failures, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries large transactions one after the other; those for which `fails` is true come to nothing. Gives those that were tried.
    fn tried(attempts: &Attempts, commits: std::ops::Range<u64>, fails: bool) -> Vec<u64> {
        let mut tried = Vec::new();
        for commit in commits {
            if attempts.may_begin(Lsn(commit)) {
                tried.push(commit);
                if fails {
                    assert!(!attempts.may_begin(Lsn(commit)), "it was tried before");
                }
            }
            // However often it is read.
            attempts.committed(Lsn(commit + 1));
        }
        tried
    }

    #[test]
    fn what_comes_to_nothing_again_and_again_is_tried_seldom() {
        let attempts = Attempts::default();
        assert_eq!(tried(&attempts, 1..4, false), [1, 2, 3]);
        assert_eq!(tried(&attempts, 10..40, true), [10, 12, 16, 24]);
        // What gets through clears it of its past.
        assert_eq!(tried(&attempts, 40..44, false), [40, 41, 42, 43]);
        assert_eq!(tried(&attempts, 50..54, true), [50, 52]);
        assert_eq!(attempts.count(), 13);
    }

    #[test]
    fn one_that_is_spared_is_spared_also_when_it_is_read_again() {
        let attempts = Attempts::default();
        assert_eq!(tried(&attempts, 1..2, true), [1]);
        assert!(!attempts.may_begin(Lsn(5)));
        assert!(!attempts.may_begin(Lsn(5)));
        assert!(attempts.may_begin(Lsn(6)));
        // Nor does it count that one was taken back at once.
        attempts.take_back();
        assert!(!attempts.may_begin(Lsn(6)));
        attempts.committed(Lsn(7));
        assert!(attempts.may_begin(Lsn(8)));
        assert!(!attempts.may_begin(Lsn(8)));
        assert_eq!(tried(&attempts, 9..13, false), [12]);
    }
}
