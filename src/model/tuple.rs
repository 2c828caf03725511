//! One row image as the desktop sent it: `TupleData` of pgoutput, kept as the bytes on the wire.
//!
//! A tuple is checked once, when it is decoded; afterwards its cells are found by walking lengths.
//! Nothing is copied or allocated per column, which is most of what makes decoding cheap.
//! Source: PostgreSQL documentation, "Logical Replication Message Formats", TupleData.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Charset, is_unreadable};

/// One column of a row image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// SQL NULL.
    Null,
    /// A TOASTed value that did not change and was not sent: the receiver keeps what it has.
    Unchanged,
    /// The value as the type's output function wrote it.
    Text(&'a [u8]),
}

impl Cell<'_> {
    /// The value's bytes have no meaning.
    pub fn is_unreadable(self) -> bool {
        matches!(self, Cell::Text(text) if is_unreadable(text))
    }
}

/// A row image. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// The columns one after another, without the leading count.
    cells: Bytes,
    columns: u16,
}

/// Where and why a tuple can't be read.
#[derive(Debug, PartialEq, Eq)]
pub struct BadTuple {
    /// Offset from the tuple's start, in bytes.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl Tuple {
    /// Takes one tuple off the front of `bytes` (count first) and says how many bytes it took.
    ///
    /// # Errors
    /// When a length points outside `bytes` or a cell has a kind that text mode never sends.
    pub fn take(bytes: &Bytes) -> Result<(Tuple, usize), BadTuple> {
        let count = bytes.get(..2).ok_or(BadTuple {
            offset: 0,
            what: "cut off in the column count",
        })?;
        let columns = u16::from_be_bytes([count[0], count[1]]);
        let mut at = 2;
        for _ in 0..columns {
            at = skip_cell(bytes, at)?;
        }
        Ok((
            Tuple {
                cells: bytes.slice(2..at),
                columns,
            },
            at,
        ))
    }

    /// Builds a tuple from cells; for rows that were put together here.
    pub fn from_cells<'a>(cells: impl IntoIterator<Item = Cell<'a>>) -> Tuple {
        let cells: Vec<_> = cells.into_iter().collect();
        let bytes = cells.iter().map(|cell| match cell {
            Cell::Null | Cell::Unchanged => 1,
            Cell::Text(text) => 5 + text.len(),
        });
        // A large row that grows would take up to twice its bytes.
        let mut out = BytesMut::with_capacity(bytes.sum());
        let mut columns = 0;
        for cell in cells {
            columns += 1;
            match cell {
                Cell::Null => out.put_u8(b'n'),
                Cell::Unchanged => out.put_u8(b'u'),
                Cell::Text(text) => {
                    out.put_u8(b't');
                    out.put_u32(text.len() as u32);
                    out.put_slice(text);
                }
            }
        }
        Tuple {
            cells: out.freeze(),
            columns,
        }
    }

    /// Writes it in the form that [`Tuple::take`] reads.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.columns.to_be_bytes());
        out.extend_from_slice(&self.cells);
    }

    /// The same with each value in UTF-8, or what stands for it where it can't be read.
    pub fn read_as(self, charset: Charset) -> Tuple {
        let plain = |cell: Cell<'_>| match cell {
            Cell::Text(text) => text.is_ascii(),
            Cell::Null | Cell::Unchanged => true,
        };
        if self.cells().all(plain) {
            return self;
        }
        let read = self.cells().map(|cell| match cell {
            Cell::Text(text) => Some(charset.read(text)),
            Cell::Null | Cell::Unchanged => None,
        });
        let read: Vec<_> = read.collect();
        let cells = self.cells().zip(&read);
        Tuple::from_cells(cells.map(|(cell, read)| match read {
            Some(text) => Cell::Text(text),
            None => cell,
        }))
    }

    /// Whether some column's value could not be read.
    pub fn is_unreadable(&self) -> bool {
        self.cells().any(Cell::is_unreadable)
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        usize::from(self.columns)
    }

    /// Bytes that the image keeps alive.
    pub fn bytes(&self) -> usize {
        self.cells.len()
    }

    /// The columns in order.
    pub fn cells(&self) -> Cells<'_> {
        Cells { rest: &self.cells }
    }

    /// A value of [`Tuple::cells`] that outlives the tuple, without a copy.
    ///
    /// # Panics
    /// When it is no part of this tuple.
    pub fn share(&self, text: &[u8]) -> Bytes {
        self.cells.slice_ref(text)
    }

    /// Whether some column's value was not sent.
    pub fn has_unchanged(&self) -> bool {
        self.cells().any(|cell| cell == Cell::Unchanged)
    }

    /// This image with every unchanged column taken from `under`, an earlier image of the same row.
    pub fn over(self, under: &Tuple) -> Tuple {
        if !self.has_unchanged() || under.columns != self.columns {
            return self;
        }
        let merged = self.cells().zip(under.cells()).map(|(new, old)| match new {
            Cell::Unchanged => old,
            sent => sent,
        });
        Tuple::from_cells(merged)
    }
}

/// Moves past the cell at `at`.
fn skip_cell(bytes: &Bytes, at: usize) -> Result<usize, BadTuple> {
    let bad = |what| BadTuple { offset: at, what };
    match bytes.get(at) {
        Some(b'n' | b'u') => Ok(at + 1),
        Some(b't') => {
            let length = bytes
                .get(at + 1..at + 5)
                .ok_or(bad("cut off in a value's length"))?;
            let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
            let end = at + 5 + length;
            if end > bytes.len() {
                Err(bad("a value longer than its message"))
            } else {
                Ok(end)
            }
        }
        Some(b'b') => Err(bad("a binary value, which was not asked for")),
        Some(_) => Err(bad("an unknown kind of column value")),
        None => Err(bad("cut off before a column")),
    }
}

/// Walks a tuple's columns.
pub struct Cells<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    #[inline]
    fn next(&mut self) -> Option<Cell<'a>> {
        let (&kind, rest) = self.rest.split_first()?;
        match kind {
            b'n' => {
                self.rest = rest;
                Some(Cell::Null)
            }
            b'u' => {
                self.rest = rest;
                Some(Cell::Unchanged)
            }
            _ => {
                // `take` has checked every length, so nothing here can be out of bounds.
                let (length, rest) = rest.split_at(4);
                let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
                let (text, rest) = rest.split_at(length as usize);
                self.rest = rest;
                Some(Cell::Text(text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_back_as_they_were_put() {
        let cells = [
            Cell::Text(b"1"),
            Cell::Null,
            Cell::Unchanged,
            Cell::Text(b""),
        ];
        let tuple = Tuple::from_cells(cells);
        assert_eq!(tuple.cells().collect::<Vec<_>>(), cells);
        assert_eq!(tuple.columns(), 4);
    }

    #[test]
    fn unchanged_columns_come_from_the_earlier_image() {
        let under = Tuple::from_cells([Cell::Text(b"a"), Cell::Text(b"big"), Cell::Null]);
        let over =
            Tuple::from_cells([Cell::Text(b"b"), Cell::Unchanged, Cell::Text(b"c")]).over(&under);
        assert_eq!(
            over,
            Tuple::from_cells([Cell::Text(b"b"), Cell::Text(b"big"), Cell::Text(b"c")])
        );
    }
}
