//! Moments at which dying would be worst, by name. A debug build that is told to dies there, as if it were killed; a release
//! build knows nothing of it. The crash matrix (`tests/matrix.rs`) kills at each of them.

/// All of them, in the order of a life.
pub const ALL: [&str; 36] = [
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
    "large_emptied",
    "large_staged",
    "large_sent",
    "large_committed",
    // The way home.
    "outbox_read",
    "home_sent",
    "home_written",
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
    use std::sync::atomic::{AtomicU32, Ordering};

    static ARMED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();

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
