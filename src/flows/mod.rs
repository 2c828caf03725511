//! What tandem does from start to finish, a story each.

mod agree;
mod compare;
mod copy;
mod forward;
mod meter;
mod refusal;
mod reverse;
mod verify;

pub use agree::{agree, agree_again, check_keys, check_keys_again, examine};
pub use compare::{Compared, compare, only_look};
pub use copy::{
    Asked, AtWork, Copying, First, How, Progress, asked, fill, last_swaps, not_applied, refuse,
    set_state,
};
pub use forward::{Agenda, Forward, Halted, Known, Scheduled, Sides, Wanted, last_refill, parked};
pub use meter::{BUCKETS_MS, Meter, Reading};
pub use reverse::{Reverse, bind};
pub use verify::{Bad, Verified, verify};
