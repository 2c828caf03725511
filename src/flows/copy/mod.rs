//! Whole tables: read in one snapshot of the desktop into the staging table, and the cloud's owned rows made equal to
//! that by a diff, parents before children. Bootstrap, swaps and new copies are this one operation.

mod asked;
mod board;
mod circle;
mod counts;
mod direct;
mod first;
mod merge;
mod progress;
mod sequences;
mod stage;
mod state;
mod swap;

pub use asked::{Asked, asked, last_swaps, refuse};
pub use first::{First, fill};
pub use merge::How;
pub(super) use merge::{Copied, Merge, Merged};
pub use progress::{AtWork, Copying, Progress};
pub(super) use stage::{Refusal, Staged, Staging, guarded};
pub(super) use state::{is_ours, not_applied_on, settle_states, stop_state, way_of};
pub use state::{not_applied, set_state};
