//! Running unattended: one session after the other, with pauses between, until told to stop.

mod agenda;
mod alerts;
mod around;
mod beside;
mod budget;
mod doctor;
mod filled;
mod half;
mod homeward;
mod init;
mod lease;
mod lineage;
mod log;
mod metrics;
mod misfits;
mod observe;
mod parked;
mod peek;
mod session;
mod status;
mod status_words;
mod supervise;
mod swaps;
mod telling;
mod verify;
mod web;

pub use agenda::Goal;
pub use doctor::{Check, CheckOutcome, IDS as CHECK_IDS, NOT_REACHED, doctor};
pub use filled::Filled;
pub use half::CloudHalf;
pub use homeward::{Conflict, ReverseCounts, ReverseSample, ThenStatus};
pub use init::{
    Asker, Creation, Homeward, Proposal, Question, Update, bring_home, create, missing, propose,
    update, write_new,
};
pub use lease::name_of;
pub use log::{Logging, start_log, start_log_to};
pub use misfits::TakenUp;
pub use observe::{Onlooker, Sample, Seen, State};
pub use parked::ParkedRow;
pub use status::{RefillStatus, Service, Status, TableStatus, Verdict, VerifiedStatus};
pub use supervise::run;
pub use swaps::Swapped;
pub use verify::{BadRow, TableVerified};
