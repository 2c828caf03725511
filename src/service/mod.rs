//! Running unattended: one session after the other, with pauses between, until told to stop.

mod agenda;
mod alerts;
mod around;
mod beside;
mod budget;
mod lease;
mod lineage;
mod log;
mod misfits;
mod session;
mod supervise;
mod telling;

pub use agenda::Goal;
pub use log::{Logging, start_log, start_log_to};
pub use misfits::TakenUp;
pub use supervise::run;
