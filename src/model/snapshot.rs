//! Which of the desktop's transactions a read saw.

use std::fmt;
use std::str::FromStr;

/// PostgreSQL's `pg_snapshot`: the value of `pg_current_snapshot()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    xmin: u64,
    xmax: u64,
    /// Between them, those that were still open, in order.
    open: Vec<u64>,
}

impl Snapshot {
    /// Whether a transaction that has committed by now was seen. The log carries transaction numbers without their
    /// epoch, so `xid` is taken for the one of its name that is nearest to the snapshot.
    pub fn sees(&self, xid: u32) -> bool {
        let xid = self.whole(xid);
        xid < self.xmin || xid < self.xmax && self.open.binary_search(&xid).is_err()
    }

    fn whole(&self, xid: u32) -> u64 {
        const EPOCH: u64 = 1 << 32;
        let here = self.xmax & !(EPOCH - 1) | u64::from(xid);
        if here > self.xmax + EPOCH / 2 {
            here.saturating_sub(EPOCH)
        } else if here + EPOCH / 2 < self.xmax {
            here + EPOCH
        } else {
            here
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        for (at, xid) in self.open.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{xid}")?;
        }
        Ok(())
    }
}

/// The text isn't `xmin:xmax:xid,xid,...`.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a snapshot")]
pub struct NotASnapshot(String);

impl FromStr for Snapshot {
    type Err = NotASnapshot;

    fn from_str(text: &str) -> Result<Self, NotASnapshot> {
        let parsed = || {
            let mut parts = text.splitn(3, ':');
            let (xmin, xmax) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let open = parts.next()?.split(',').filter(|xid| !xid.is_empty());
            let open: Result<Vec<u64>, _> = open.map(str::parse).collect();
            let mut open = open.ok()?;
            open.sort_unstable();
            Some(Snapshot { xmin, xmax, open })
        };
        parsed().ok_or_else(|| NotASnapshot(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for text in [
            "10:20:10,14,15",
            "10:10:",
            "4294967300:4294967310:4294967301",
        ] {
            assert_eq!(text.parse::<Snapshot>().unwrap().to_string(), text);
        }
        for bad in ["", "1", "1:2", "a:2:", "1:2:x"] {
            assert!(bad.parse::<Snapshot>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_open_or_came_later_was_not_seen() {
        let snapshot: Snapshot = "10:20:10,14".parse().unwrap();
        let seen: Vec<_> = (8..23).filter(|xid| snapshot.sees(*xid)).collect();
        assert_eq!(seen, [8, 9, 11, 12, 13, 15, 16, 17, 18, 19]);
    }

    #[test]
    fn numbers_that_begin_anew_keep_their_order() {
        let epoch = 1u64 << 32;
        let text = format!("{}:{}:{}", epoch - 3, epoch + 5, epoch + 1);
        let snapshot: Snapshot = text.parse().unwrap();
        for (xid, seen) in [
            (u32::MAX - 9, true),
            (u32::MAX, true),
            (0, true),
            (1, false),
            (4, true),
            (5, false),
            (900, false),
        ] {
            assert_eq!(snapshot.sees(xid), seen, "{xid}");
        }
        // And shortly before they do.
        let snapshot: Snapshot = format!("{}:{}:", epoch - 9, epoch - 9).parse().unwrap();
        assert!(snapshot.sees(u32::MAX - 20) && !snapshot.sees(u32::MAX) && !snapshot.sees(3));
    }
}
