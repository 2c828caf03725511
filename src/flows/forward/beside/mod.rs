//! What goes on beside a stream, in the same session: each waits for its own moment, and whoever waits for it may be called
//! away and comes back.

mod counters;
mod heartbeat;
mod lag_report;
mod lookout;
mod refill;
mod renewal;
mod sight;
mod swap_requests;
mod watch;

pub(super) use heartbeat::{Heartbeat, HeartbeatOf};
pub(super) use lag_report::LagReporter;
pub use lookout::Known;
pub(super) use lookout::Lookout;
pub(super) use refill::Refiller;
pub use refill::{LastRefill, last_refills};
pub(super) use renewal::Renewal;
pub(super) use swap_requests::SwapRequests;
