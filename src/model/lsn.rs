//! Positions in the desktop's write-ahead log, and what each one proves.

use std::fmt;
use std::str::FromStr;

/// A byte position in the write-ahead log, as PostgreSQL's `pg_lsn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

impl Lsn {
    /// PostgreSQL's `InvalidXLogRecPtr`: no position at all.
    pub const ZERO: Lsn = Lsn(0);

    /// Bytes from `earlier` to here; 0 when `earlier` is ahead.
    pub fn bytes_since(self, earlier: Lsn) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// The text isn't `XXXXXXXX/XXXXXXXX`.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a log position")]
pub struct NotAnLsn(String);

impl FromStr for Lsn {
    type Err = NotAnLsn;

    fn from_str(text: &str) -> Result<Self, NotAnLsn> {
        let parsed = text.split_once('/').and_then(|(high, low)| {
            let high = u32::from_str_radix(high, 16).ok()?;
            let low = u32::from_str_radix(low, 16).ok()?;
            Some(Lsn(u64::from(high) << 32 | u64::from(low)))
        });
        parsed.ok_or_else(|| NotAnLsn(text.to_owned()))
    }
}

/// Everything before this position has arrived here. It proves nothing about the cloud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Received(pub Lsn);

/// Every transaction that ends at or before this position is in the cloud, for good (P2).
///
/// Only a cloud transaction that waited for its disk and whose COMMIT was answered with the tag `COMMIT` makes one, of
/// the checkpoint that it moved, or read under lock; `tests/docs/tidy.rs` keeps the constructor inside `apply`. What was
/// committed without waiting for the disk is only *reached*, an [`Lsn`]: a crash of the cloud may take it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Committed(Lsn);

impl Committed {
    /// For `apply` alone: the cloud has the checkpoint `lsn` on its disk.
    pub(crate) fn proven(lsn: Lsn) -> Self {
        Committed(lsn)
    }

    /// The position itself.
    pub fn lsn(self) -> Lsn {
        self.0
    }
}

/// The desktop was told that it may forget everything before this position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Confirmed(Committed);

impl From<Committed> for Confirmed {
    fn from(committed: Committed) -> Self {
        Confirmed(committed)
    }
}

impl Confirmed {
    /// The position itself.
    pub fn lsn(self) -> Lsn {
        self.0.lsn()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for (text, value) in [
            ("0/0", 0),
            ("16/B374D848", 0x16_B374_D848),
            ("FFFFFFFF/FFFFFFFF", u64::MAX),
        ] {
            assert_eq!(text.parse::<Lsn>().unwrap(), Lsn(value));
            assert_eq!(Lsn(value).to_string(), text);
        }
        for bad in ["", "0", "/", "0/", "g/0", "0/100000000", "-1/0"] {
            assert!(bad.parse::<Lsn>().is_err(), "{bad}");
        }
    }
}
