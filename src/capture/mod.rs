//! Bytes off the replication socket, and positions back to it.
//!
//! One task owns the socket. It hands frames on as long as the memory budget lasts, and reports
//! positions on its own timer however busy the rest is. What to say and when is the pulse's
//! decision; this module only carries it out.

mod frame;
mod lines;
mod pulse;
mod stream;
mod table;
mod trim;

pub use frame::{BadFrame, Frame};
pub use lines::{array, values};
pub use pulse::{Due, Pulse};
pub use stream::{Capture, Delivery, Piece, Start, budget};
pub use table::{Line, Sight, TableReader};
