//! What both sides say of themselves: samples, status, quarantine, swaps and comparisons, for whoever looks. The service
//! needn't run for it.

mod curve;
mod details;
mod filled;
mod fleet;
mod half;
mod observer;
mod on_desktop;
mod peek;
mod quarantine;
mod refills;
mod reload;
mod reverse;
mod sample;
mod schemas;
mod status;
mod status_in_cloud;
mod status_words;
mod steps;
mod swaps;
mod verify;

pub use curve::{Curve, Seen};
pub use details::{Details, ParkedReason, SwapDone};
pub use filled::Filled;
pub use fleet::{Fleet, FleetObserver, QuarantineCounts, Replicator, StoppedTable};
pub use half::{CloudHalf, DesktopHalf, KeptSlot};
pub use observer::{CheckpointView, Observer, refuse_newer_schema};
pub(crate) use on_desktop::{OnDesktop, failing, on_desktop};
pub use quarantine::ParkedRow;
pub use refills::RefillStatus;
pub use reload::{ReloadCaller, ReloadOutcome, Reloaded, SettingsStatus};
pub(crate) use reverse::forget_on_schedule;
pub use reverse::{Conflict, ReverseCounts, ReverseSample, ThenStatus};
pub use sample::{Sample, State};
pub use schemas::{SchemaStatus, SchemasStatus};
pub use status::{Service, Status, TableStatus, Verdict, VerifiedStatus};
pub use status_words::bytes;
pub use steps::Step;
pub use swaps::Swapped;
pub(crate) use verify::verify_on_schedule;
pub use verify::{BadRow, TableVerified};
