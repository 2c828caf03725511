//! A copy that is to be merged, and what it is for.

use super::stage::Staged;

/// A copy to merge.
#[derive(Clone, Debug)]
pub(in crate::flows) struct Copied {
    /// It is in the staging table.
    pub staged: Staged,
    /// What it is for.
    pub how: How,
    /// Rows of `tandem.swap` that asked for it.
    pub asked: Vec<i64>,
    /// Names of rows that the stream has changed since are staged beside it.
    pub touched: bool,
}

impl Copied {
    /// Whatever is surplus in it was there before us.
    pub(super) fn is_new(&self) -> bool {
        self.how == How::Adopt { remove: false }
    }

    pub(super) fn done(&self) -> &'static str {
        match self.how.is_swap() {
            true => "swapped",
            false => "copied",
        }
    }

    pub(super) fn refused(&self) -> &'static str {
        match self.how.is_swap() {
            true => "swap refused; nothing of it was changed",
            false => "stopped",
        }
    }
}

/// What a copy is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// The table is new to us: rows that the desktop doesn't have were there before us. They are counted and stay, or
    /// go where a person said so.
    Adopt {
        /// A person said so.
        remove: bool,
    },
    /// All owned rows are known to be ours: surplus ones go, unless they are too many.
    Again {
        /// However many rows go.
        allow_shrink: bool,
    },
    /// The table is whole, and is made equal once more.
    Swap {
        /// However many rows go.
        allow_shrink: bool,
    },
}

impl How {
    /// It leaves the table whole, whatever comes of it.
    pub fn is_swap(&self) -> bool {
        matches!(self, How::Swap { .. })
    }
}
