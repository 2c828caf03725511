//! One change as it stands in a part.

use std::io;

use bytes::{Buf, Bytes};

use crate::fold::{Before, Effect};
use crate::model::{ChangeOrigin, Old, TableId, Tuple};

/// The row leaves its name for another one, and is not deleted.
pub(super) const LEAVES: u8 = 1;

/// The row is the phone's.
pub(super) const MOBILE: u8 = 2;
/// The change was made in a transaction of ours.
const OURS: u8 = 4;
/// The change was made in a transaction of ours that gave rows what the cloud had.
const LEVELED: u8 = 8;

const ABSENT: u8 = 0;
const UNSENT: u8 = 1;
const IDENTITY: u8 = 2;
const WHOLE: u8 = 3;

/// What a change is, beside its rows.
pub(super) struct Record {
    /// Its place in the transaction.
    pub(super) number: u64,
    /// Which transaction it belongs to.
    pub(super) transaction: u32,
    pub(super) table: TableId,
    /// Where its layout stands.
    pub(super) layout: u32,
    pub(super) flags: u8,
    /// The row's bytes, where it was too large to be kept; else 0.
    pub(super) too_large: u64,
}

/// What a record says of a change beside its rows.
pub(super) fn flags(effect: &Effect) -> u8 {
    let mobile = if effect.mobile { MOBILE } else { 0 };
    let hand = match effect.hand {
        ChangeOrigin::Desktop | ChangeOrigin::Echo => 0,
        ChangeOrigin::OwnTransaction => OURS,
        ChangeOrigin::Leveled => LEVELED,
    };
    mobile | hand
}

impl Record {
    /// By whom the change was made.
    pub(super) fn hand(&self) -> ChangeOrigin {
        match self.flags {
            flags if flags & LEVELED != 0 => ChangeOrigin::Leveled,
            flags if flags & OURS != 0 => ChangeOrigin::OwnTransaction,
            _ => ChangeOrigin::Desktop,
        }
    }

    /// Writes the record.
    pub(super) fn put(&self, before: &Before, after: Option<&Tuple>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.transaction.to_be_bytes());
        out.extend_from_slice(&self.table.0.to_be_bytes());
        out.extend_from_slice(&self.layout.to_be_bytes());
        out.push(self.flags);
        out.extend_from_slice(&self.too_large.to_be_bytes());
        match before {
            Before::Absent => out.push(ABSENT),
            Before::Unsent => out.push(UNSENT),
            Before::Sent(old) => {
                out.push(if old.whole { WHOLE } else { IDENTITY });
                old.tuple.put(out);
            }
        }
        out.push(u8::from(after.is_some()));
        if let Some(after) = after {
            after.put(out);
        }
    }

    /// Reads what [`Record::put`] wrote.
    pub(super) fn take(bytes: &Bytes) -> io::Result<(Record, Before, Option<Tuple>)> {
        let mut rest = bytes.clone();
        if rest.len() < 8 + 4 + 2 + 4 + 1 + 8 + 1 {
            return Err(damaged());
        }
        let record = Record {
            number: rest.get_u64(),
            transaction: rest.get_u32(),
            table: TableId(rest.get_u16()),
            layout: rest.get_u32(),
            flags: rest.get_u8(),
            too_large: rest.get_u64(),
        };
        let before = match rest.get_u8() {
            ABSENT => Before::Absent,
            UNSENT => Before::Unsent,
            kind => Before::Sent(Old {
                whole: kind == WHOLE,
                tuple: tuple(&mut rest)?,
            }),
        };
        let after = match rest.try_get_u8() {
            Ok(0) => None,
            Ok(_) => Some(tuple(&mut rest)?),
            Err(_) => return Err(damaged()),
        };
        Ok((record, before, after))
    }
}

fn tuple(rest: &mut Bytes) -> io::Result<Tuple> {
    let (tuple, taken) = Tuple::take(rest).map_err(|_| damaged())?;
    rest.advance(taken);
    Ok(tuple)
}

fn damaged() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a record of a spilled transaction is damaged",
    )
}
