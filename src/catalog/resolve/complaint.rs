//! What stands in the way of a table, in plain words, with the statement that would mend it where there is one.

/// What a mismatch is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A table isn't there, or is none.
    Table,
    /// A column has no place on the other side.
    Column,
    /// Types that have no values in common, or mean different things by them.
    Type,
    /// The receiving column can hold less.
    Length,
    /// A receiving column refuses NULL, and nothing fills it.
    Unfilled,
    /// What names a row.
    Key,
    /// Anything else that the settings say.
    Settings,
}

/// Something that doesn't fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The table's name in the settings.
    pub table: String,
    /// What it is about.
    pub sort: Sort,
    /// What is wrong, and what would mend it.
    pub what: String,
    /// The statement that mends it, where one does without a choice, and on which side.
    pub fix: Option<String>,
}

impl Mismatch {
    /// One that no statement mends without a choice.
    pub fn new(table: &str, sort: Sort, what: impl Into<String>) -> Mismatch {
        Mismatch {
            table: table.to_owned(),
            sort,
            what: what.into(),
            fix: None,
        }
    }
}

/// Everything that is found of one table.
pub(super) struct Complaints {
    table: String,
    found: Vec<Mismatch>,
}

impl Complaints {
    pub(super) fn of(table: &str) -> Complaints {
        Complaints {
            table: table.to_owned(),
            found: Vec::new(),
        }
    }

    /// The settings say something that can't be.
    pub(super) fn push(&mut self, what: String) {
        self.add(Sort::Settings, what);
    }

    pub(super) fn add(&mut self, sort: Sort, what: String) {
        self.found.push(Mismatch::new(&self.table, sort, what));
    }

    /// The same with the statement that mends it.
    pub(super) fn mended_by(&mut self, sort: Sort, what: String, fix: String) {
        self.add(sort, what);
        if let Some(last) = self.found.last_mut() {
            last.fix = Some(fix);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    pub(super) fn all(self) -> Vec<Mismatch> {
        self.found
    }
}
