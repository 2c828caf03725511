//! A cursor over one message that knows where it is, so that every error can say so.

use bytes::Bytes;

use crate::model::{Charset, Lsn, Timestamp, Tuple};

/// A message that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("damaged message {tag:?} at byte {offset}: {what}")]
pub struct Damage {
    /// The message's tag, or NUL for an empty message.
    pub tag: char,
    /// Offset in the message, the tag being byte 0.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// Reads the fields of one message in order.
pub(super) struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
    tag: char,
    /// What the bytes of text mean; none: UTF-8.
    charset: Option<Charset>,
}

impl<'a> Reader<'a> {
    /// Starts behind the tag.
    pub(super) fn new(
        bytes: &'a Bytes,
        charset: Option<Charset>,
    ) -> Result<(u8, Reader<'a>), Damage> {
        let Some(&tag) = bytes.first() else {
            return Err(Damage {
                tag: '\0',
                offset: 0,
                what: "an empty message",
            });
        };
        Ok((
            tag,
            Reader {
                bytes,
                at: 1,
                tag: tag as char,
                charset,
            },
        ))
    }

    pub(super) fn damage(&self, what: &'static str) -> Damage {
        Damage {
            tag: self.tag,
            offset: self.at,
            what,
        }
    }

    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Damage> {
        let field = self
            .bytes
            .get(self.at..self.at + N)
            .ok_or_else(|| self.damage(what))?;
        self.at += N;
        field.try_into().map_err(|_| self.damage(what))
    }

    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, Damage> {
        self.take::<1>(what).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, Damage> {
        self.take(what).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, Damage> {
        self.take(what).map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self, what: &'static str) -> Result<i32, Damage> {
        self.take(what).map(i32::from_be_bytes)
    }

    pub(super) fn lsn(&mut self, what: &'static str) -> Result<Lsn, Damage> {
        self.take(what).map(|bytes| Lsn(u64::from_be_bytes(bytes)))
    }

    pub(super) fn time(&mut self, what: &'static str) -> Result<Timestamp, Damage> {
        self.take(what)
            .map(|bytes| Timestamp(i64::from_be_bytes(bytes)))
    }

    /// A NUL-terminated string: in UTF-8, which the pinned client encoding guarantees, unless text comes as it is.
    pub(super) fn string(&mut self, what: &'static str) -> Result<String, Damage> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = memchr::memchr(0, rest).ok_or_else(|| self.damage(what))?;
        let text = match self.charset {
            Some(charset) => charset.name(&rest[..length]),
            None => std::str::from_utf8(&rest[..length])
                .map_err(|_| self.damage("a name that isn't UTF-8"))?
                .to_owned(),
        };
        self.at += length + 1;
        Ok(text)
    }

    /// The next `length` bytes, shared.
    pub(super) fn bytes(&mut self, length: usize, what: &'static str) -> Result<Bytes, Damage> {
        if self.bytes.len() - self.at < length {
            return Err(self.damage(what));
        }
        let slice = self.bytes.slice(self.at..self.at + length);
        self.at += length;
        Ok(slice)
    }

    pub(super) fn tuple(&mut self) -> Result<Tuple, Damage> {
        let rest = self.bytes.slice(self.at..);
        let (tuple, taken) = Tuple::take(&rest).map_err(|bad| Damage {
            tag: self.tag,
            offset: self.at + bad.offset,
            what: bad.what,
        })?;
        self.at += taken;
        Ok(match self.charset {
            Some(charset) => tuple.read_as(charset),
            None => tuple,
        })
    }

    /// Nothing may follow the last field.
    pub(super) fn end(self) -> Result<(), Damage> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.damage("bytes behind the message's end"))
        }
    }
}
