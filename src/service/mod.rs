//! Running unattended: one session after the other, with pauses between, until told to stop.

mod alerts;
mod around;
mod background;
mod lease;
mod lifesign;
mod lineage;
mod log;
mod reload;
mod schema_drift;
mod session;
mod session_plan;
mod set_up;
mod supervise;
mod telling;
mod upgrade;
mod wal_limit;

pub use lifesign::SessionHealth;
pub use log::{Logging, start_log, start_log_to};
pub use schema_drift::TakenUp;
pub use session_plan::{Opened, RunMode};
pub use supervise::run;
