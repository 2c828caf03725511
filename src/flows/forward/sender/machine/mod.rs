//! What is sent to the cloud, in what form, and what its answers come to.

pub(super) mod attempt;
pub(super) mod pacing;
pub(super) mod quarantine;
pub(super) mod refusal;
pub(super) mod retry;
