//! What all steps of a session have at hand, once it has the lease.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::run_mode::RunMode;
use crate::apply::Lease;
use crate::catalog::Facts;
use crate::config::Settings;
use crate::model::Tables;
use crate::wire::control::Control;

pub(super) struct Session<'a> {
    pub(super) settings: &'a Settings,
    pub(super) desktop: &'a Control,
    pub(super) cloud: &'a Control,
    pub(super) identity: &'a Facts,
    pub(super) cloud_identity: &'a Facts,
    pub(super) tables: &'a Arc<Tables>,
    pub(super) lease: Lease,
    pub(super) goal: RunMode,
    /// Tables that were served before: where they don't fit any more they stop alone.
    pub(super) served: BTreeSet<String>,
    /// All keys were measured a moment ago.
    pub(super) measured: bool,
    /// The slot was given up, since the desktop kept too much WAL for it (P10).
    pub(super) given_up: bool,
    /// A schema lacks steps of this program.
    pub(super) lacks: bool,
}
