//! What the last look at the office found.

use std::sync::Arc;
use std::time::Duration;

use crate::observe::Status;

/// What is known now.
pub(super) struct Known {
    pub(super) status: Option<(Arc<Status>, Duration)>,
    /// Why it isn't of this moment.
    pub(super) failed: Option<String>,
}
