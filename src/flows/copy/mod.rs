//! Whole tables: read in one snapshot of the desktop into the staging table, and the cloud's owned rows made equal to
//! that by a diff, parents before children. Bootstrap, swaps and new copies are this one operation.

mod beforehand;
mod circle;
mod concurrent_changes;
mod copied;
mod counts;
mod initial;
mod merge;
mod piecewise;
mod pour;
mod progress;
mod requests;
mod schedule;
mod sequences;
mod sift;
mod stage;
mod state;
mod swap;
mod together;
mod worker;

pub(super) use concurrent_changes::{ChangeTracker, Watched};
pub(super) use copied::Copied;
pub use copied::How;
pub use initial::{InitialCopy, fill};
pub(super) use merge::{Merge, Merged};
pub use progress::{AtWork, Copying, Progress};
pub use requests::{SwapRequest, asked, last_swaps, refuse};
pub(super) use schedule::Ready;
pub use schedule::{Agenda, CopyRequest, Scheduled};
pub(super) use stage::Refusal;
pub(super) use state::{is_ours, not_applied_on, stop_state, way_of};
pub use state::{not_applied, set_state};
pub(super) use together::Checks;
pub(super) use worker::{Ends, Event, Order, Reading, Reads};
