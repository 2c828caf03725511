//! Running unattended: one session after the other, with pauses between, until told to stop.

mod alerts;
mod around;
mod background;
mod dial;
mod lease;
mod lifesign;
mod lineage;
mod log;
mod ready;
mod reload;
mod remembered;
mod run_mode;
mod schema_drift;
mod session;
mod session_context;
mod session_plan;
mod set_up;
mod supervise;
mod telling;
mod upgrade;
mod wal_limit;

pub use lifesign::SessionHealth;
pub use log::{Logging, start_log, start_log_to};
pub use run_mode::{Opened, RunMode};
pub use schema_drift::TakenUp;
pub use supervise::run;
