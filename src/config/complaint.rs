//! What is wrong with one value.

/// What is wrong with a value: the words after `key = value`, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) says: String,
    pub(super) hint: Option<String>,
}

impl Complaint {
    pub(super) fn new(says: impl Into<String>) -> Self {
        Self {
            says: says.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

pub(super) type Checked<T> = Result<T, Complaint>;
