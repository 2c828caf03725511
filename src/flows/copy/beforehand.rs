//! What is known of a table before its rows are staged.

use std::sync::Arc;

use crate::plan::verify::{InRanges, Stretch};

/// What is known of a table before it is staged: what was filled of it by pieces, and what has been asked for that.
#[derive(Debug, Default)]
pub(super) struct Filled {
    /// Rows that were written and told of.
    pub(super) rows: u64,
    /// How many pages the desktop's table has.
    pub(super) pages: Option<u64>,
    /// Those of them whose rows are in the cloud.
    pub(super) done: Option<Vec<Stretch>>,
}

/// What is known of a table's rows before they are read.
#[derive(Clone, Debug)]
pub(in crate::flows) struct Sifted {
    /// Rows that are read.
    pub(super) within: Arc<InRanges>,
    /// How many others both sides have alike.
    pub(super) equal: u64,
    /// The pages that are compared, where an interrupted copy left off: rows on others are missing.
    pub(super) done: Option<Vec<Stretch>>,
}

impl Sifted {
    /// The desktop's rows `t` that are read.
    pub(super) fn sent(&self) -> String {
        self.within.sent(self.done.as_deref())
    }
}
