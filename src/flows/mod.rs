//! What tandem does from start to finish, a story each.

mod agree;
mod alive;
mod compare;
mod copy;
mod counters;
mod forward;
mod refusal_words;
mod reloads;
mod resumable;
mod reverse;
mod verify;

pub use agree::{agree, agree_again, check_keys, check_keys_again, examine, known_tables};
pub use alive::Alive;
pub use compare::{Compared, compare, only_look};
pub use copy::{
    Agenda, AtWork, CopyRequest, Copying, How, InitialCopy, Progress, Scheduled, SwapRequest,
    asked, fill, last_swaps, not_applied, refuse, set_state,
};
pub use counters::{BUCKETS_MS, CounterSnapshot, Counters};
pub use forward::{
    Attempts, Forward, Known, LastRefill, Sides, StoppedTables, last_refills, machine, parked,
};
pub use reloads::{News, Reloads, Tried};
pub use reverse::{Reverse, bind};
pub use verify::{Bad, Verified, verify};
