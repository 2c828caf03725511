//! What the desktop says became of a row on its way home.

use serde::Deserialize;

/// The words with which [`super::put`], [`super::remove`] and [`super::level`] answer. Another word is nobody's: it must not
/// pass for "as it should be", since what is done with a row's entries depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The desktop's row is as it should be.
    Same,
    /// The row was made.
    Insert,
    /// The row was changed.
    Update,
    /// The desktop had changed the row since.
    Changed,
    /// The desktop had removed the row since.
    Removed,
    /// The row was removed.
    Delete,
    /// The row goes in the cloud, and the desktop had changed it since.
    Deleted,
    /// The row is gone in the cloud, and the settings keep it on the desktop.
    Keep,
    /// The desktop has a row of its own with this key.
    Taken,
    /// A row with this key was kept; this is another one.
    Reused,
}
