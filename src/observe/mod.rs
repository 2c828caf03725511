//! What both sides say of themselves: samples, status, quarantine, swaps and comparisons, for whoever looks. The service
//! needn't run for it.

mod filled;
mod half;
mod peek;
mod quarantine;
mod reverse;
mod sample;
mod status;
mod swaps;
mod verify;

pub use filled::Filled;
pub use half::CloudHalf;
pub use quarantine::ParkedRow;
pub(crate) use reverse::forget_on_schedule;
pub use reverse::{Conflict, ReverseCounts, ReverseSample, ThenStatus};
pub use sample::{CheckpointView, Observer, Sample, State};
pub use status::{RefillStatus, Service, Status, TableStatus, Verdict, VerifiedStatus};
pub use swaps::Swapped;
pub(crate) use verify::verify_on_schedule;
pub use verify::{BadRow, TableVerified};
