//! What makes rows wait for one another: constraints that look at several rows at once.

/// Constraints of the receiver's that a set of rows may satisfy which no row alone does: unique values that are
/// exchanged, rows that refer to each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knot {
    /// Tables with the same number refer to each other in a circle.
    pub circle: usize,
    /// Columns that may be NULL for a moment, which loosens such a constraint: these of the table's columns.
    pub loose: Vec<usize>,
    /// Columns of unique constraints that no NULL loosens: there a row that changes makes way by going.
    pub stiff: Vec<usize>,
    /// Why a row must not go and come again; none where nobody else would notice.
    pub rooted: Option<String>,
}

impl Knot {
    /// Whether its rows exchange unique values only in the order of whoever did it: no NULL loosens them, and none may go and
    /// come again.
    pub fn is_unbending(&self) -> bool {
        !self.stiff.is_empty() && self.rooted.is_some()
    }
}
