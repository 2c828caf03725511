//! What became of rows that came home.

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The desktop's row changed.
    Applied,
    /// The desktop's row got the cloud's values again.
    Rewritten,
    /// It was as it should be.
    Folded,
    /// It doesn't come home: it isn't the phone's, or the settings keep the desktop's version.
    RuledOut,
    /// The desktop refuses it.
    QuarantinedRow {
        /// The SQLSTATE.
        code: String,
        /// In words.
        why: String,
    },
}

impl Outcome {
    /// The word for it in the cloud.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Rewritten => "rewritten",
            Outcome::Folded => "folded",
            Outcome::RuledOut => "ruled out",
            Outcome::QuarantinedRow { .. } => "parked",
        }
    }

    /// Why it was refused.
    pub(super) fn refusal(&self) -> Option<(&str, &str)> {
        match self {
            Outcome::QuarantinedRow { code, why } => Some((code, why)),
            _ => None,
        }
    }

    /// Refused, and why.
    pub(super) fn parked(code: &str, why: impl Into<String>) -> Outcome {
        Outcome::QuarantinedRow {
            code: code.to_owned(),
            why: why.into(),
        }
    }
}

/// A row with what became of it.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) key: String,
    pub(super) entries: Vec<i64>,
    pub(super) new: u64,
    pub(super) cells: Vec<Option<String>>,
    pub(super) outcome: Outcome,
}
