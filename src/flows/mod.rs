//! What tandem does from start to finish, a story each.

mod agree;
mod compare;
mod copy;
mod forward;
mod meter;
mod refusal_words;
mod reverse;
mod verify;

pub use agree::{agree, agree_again, check_keys, check_keys_again, examine, known_tables};
pub use compare::{Compared, compare, only_look};
pub use copy::{
    Agenda, Asked, AtWork, Copying, First, How, Progress, Scheduled, Wanted, asked, fill,
    last_swaps, not_applied, refuse, set_state,
};
pub use forward::{Forward, Halted, Known, Sides, last_refill, parked};
pub use meter::{BUCKETS_MS, Meter, Reading};
pub use reverse::{Reverse, bind};
pub use verify::{Bad, Verified, verify};
