//! What tandem does from start to finish, a story each.

mod agree;
mod fill;
mod forward;
mod refusal;

pub use agree::{agree, check_keys};
pub use fill::{Fill, Filled, fill, not_applied};
pub use forward::{Forward, Sides, parked};
