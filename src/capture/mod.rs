//! Bytes off the replication socket, and positions back to it.
//!
//! One task owns the socket. It hands frames on as long as the memory budget lasts, and reports
//! positions on its own timer however busy the rest is. What to say and when is the pulse's
//! decision; this module only carries it out.

mod feedback;
mod frame;
mod lines;
mod oversized_row;
mod stream;
mod table;

pub use feedback::{Action, FeedbackTimer};
pub use frame::{BadFrame, Frame};
pub use lines::{array, plain, values};
pub use stream::{Capture, Delivery, Piece, Start, budget};
pub use table::{Line, SnapshotPoint, TableReader, TableSize};
