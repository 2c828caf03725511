//! What is to be copied, and when.

use std::time::{Duration, Instant};

use super::concurrent_changes::ChangedKeys;
use super::copied::{Copied, How};
use super::stage::Refusal;
use crate::capture::SnapshotPoint;
use crate::model::TableId;

/// A table to copy.
#[derive(Clone, Debug)]
pub struct CopyRequest {
    /// The table.
    pub table: TableId,
    /// What for.
    pub how: How,
    /// Rows of `tandem.swap` that asked for it.
    pub asked: Vec<i64>,
}

impl CopyRequest {
    /// By the clock.
    pub(in crate::flows) fn swap(table: TableId) -> CopyRequest {
        CopyRequest {
            table,
            how: How::Swap {
                allow_shrink: false,
            },
            asked: Vec::new(),
        }
    }
}

/// A table that is swapped again and again.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// The table.
    pub table: TableId,
    /// How often.
    pub every: Duration,
    /// When it is due next.
    pub due: Instant,
}

/// What is to be copied, now and later.
#[derive(Clone, Debug, Default)]
pub struct Agenda {
    /// Now.
    pub wanted: Vec<CopyRequest>,
    /// Again and again.
    pub scheduled: Vec<Scheduled>,
}

/// Copies that are ready, for the writer.
pub(in crate::flows) struct Ready {
    pub(in crate::flows) copies: Vec<Copied>,
    /// Tables whose copies come to nothing, and why.
    pub(in crate::flows) unread: Vec<(CopyRequest, Refusal)>,
    pub(in crate::flows) touched: ChangedKeys,
    pub(in crate::flows) sight: SnapshotPoint,
    /// Changes wait until they are merged.
    pub(in crate::flows) pending: bool,
}
