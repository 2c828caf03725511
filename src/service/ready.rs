//! What a stream starts with.

use std::collections::BTreeMap;

use crate::catalog::Footprint;
use crate::flows::Agenda;
use crate::fold::StreamState;
use crate::model::{Committed, TableId};

/// What a stream starts with.
pub(super) struct Ready {
    pub(super) checkpoint: Option<Committed>,
    pub(super) book: StreamState,
    pub(super) agenda: Agenda,
    /// The word that our own writes from the cloud carry in the desktop's log.
    pub(super) nonce: String,
    /// What the cloud's tables are.
    pub(super) prints: BTreeMap<TableId, Footprint>,
    /// All tables were filled just now.
    pub(super) filled: bool,
}
