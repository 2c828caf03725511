//! Moments at which dying would be worst, by name. A debug build that is told to dies there, as if it were killed; a release
//! build knows nothing of it. The crash matrix (`tests/faults/matrix.rs`) kills at each of them.
//!
//! It can also be told to cut transactions into batches by dice, where else the machine's load decides (P17), and to compare
//! tables by ranges that are too small for that to pay.

use std::time::Duration;

/// All of them, in the order of a life.
pub const ALL: [&str; 37] = [
    // Set-up.
    "schema_made",
    "lease_asked",
    "lease_taken",
    "table_watched",
    "phones_rows_queued",
    "publication_made",
    "table_published",
    "slot_noted",
    "slot_made",
    "checkpoint_made",
    "table_poured",
    // Copies.
    "staging_emptied",
    "table_staged",
    "touched_noted",
    "copy_sent",
    "copy_merged",
    // The stream.
    "stream_started",
    "batch_sent",
    "batch_committed",
    "feedback_due",
    "feedback_sent",
    "beat_due",
    "beat_written",
    "chunk_sent",
    "large_emptied",
    "large_staged",
    "large_sent",
    "large_committed",
    // The way home.
    "outbox_read",
    "reverse_sent",
    "reverse_written",
    "outbox_settled",
    "parked_queued",
    "then_ran",
    // The office's refill.
    "refill_began",
    "refill_kept",
    "refill_ran",
];

/// Those that only a first start passes.
pub const SET_UP: usize = 11;

/// From now on the program dies at this moment: `name`, or `name:3` for the third time that it is passed.
pub fn arm(what: Option<&str>) {
    #[cfg(debug_assertions)]
    armed::arm(what);
    #[cfg(not(debug_assertions))]
    let _ = what;
}

/// From now on batches are cut by dice that begin with this number.
pub fn arm_cuts(seed: Option<&str>) {
    #[cfg(debug_assertions)]
    armed::arm_cuts(seed);
    #[cfg(not(debug_assertions))]
    let _ = seed;
}

/// How many transactions the next batch has, and how long it waits for them; none where the settings decide.
pub fn cut() -> Option<(usize, Duration)> {
    #[cfg(debug_assertions)]
    return armed::cut();
    #[cfg(not(debug_assertions))]
    None
}

/// From now on tables of any size are compared by ranges before they are copied once more.
pub fn arm_sieve(always: bool) {
    #[cfg(debug_assertions)]
    armed::arm_sieve(always);
    #[cfg(not(debug_assertions))]
    let _ = always;
}

/// Whether small tables are compared by ranges, too.
pub fn sifts_always() -> bool {
    #[cfg(debug_assertions)]
    return armed::sifts_always();
    #[cfg(not(debug_assertions))]
    false
}

/// Dies here if that is what was asked for.
pub fn reach(name: &str) {
    #[cfg(debug_assertions)]
    armed::reach(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
    use std::time::Duration;

    static ARMED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    static CUTS: OnceLock<AtomicU64> = OnceLock::new();

    static SIFTS: AtomicBool = AtomicBool::new(false);

    pub(super) fn arm_sieve(always: bool) {
        SIFTS.store(always, Ordering::Relaxed);
    }

    pub(super) fn sifts_always() -> bool {
        SIFTS.load(Ordering::Relaxed)
    }

    pub(super) fn arm_cuts(seed: Option<&str>) {
        if let Some(seed) = seed.and_then(|seed| seed.parse().ok()) {
            let _ = CUTS.set(AtomicU64::new(seed));
        }
    }

    pub(super) fn cut() -> Option<(usize, Duration)> {
        // The golden ratio's steps visit all numbers; the high bits of their product are as good as dice.
        let step = CUTS
            .get()?
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let drawn = (step ^ (step >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33;
        // Often one alone, else all that comes within a while.
        let (most, patience) = match drawn % 3 {
            0 => (1, 0),
            1 => (2 + drawn / 3 % 6, 300),
            _ => (1 << 20, drawn / 3 % 700),
        };
        Some((most as usize, Duration::from_millis(patience)))
    }

    pub(super) fn arm(what: Option<&str>) {
        let parsed = what.and_then(|what| {
            let (name, times) = what.split_once(':').unwrap_or((what, "1"));
            Some((name.to_owned(), AtomicU32::new(times.parse().ok()?)))
        });
        let _ = ARMED.set(parsed);
    }

    pub(super) fn reach(name: &str) {
        let Some(Some((armed, times))) = ARMED.get() else {
            return;
        };
        if armed == name && times.fetch_sub(1, Ordering::SeqCst) == 1 {
            // No destructor runs, no goodbye is said.
            std::process::abort();
        }
    }
}
