//! A row too large to be kept (P12): its frame is read in pieces, and of the row only small values stay, so that
//! its key can be told. Pure.

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits;

/// Offsets in a frame of the stream: its own header, then the message's tag and the table.
const FRAME_HEADER: usize = 1 + 8 + 8 + 8;
const MESSAGE_HEADER: usize = 1 + 4;

/// Takes a frame piece by piece.
pub(super) struct OversizedRow {
    /// Bytes of the frame that are still to come.
    remaining: usize,
    whole: usize,
    fixed: Vec<u8>,
    state: State,
    columns: u16,
    out: BytesMut,
}

enum State {
    /// A field of so many bytes is being gathered.
    Field(usize, Field),
    /// So many bytes are kept, or passed over.
    Value { left: usize, keep: bool },
    /// Nothing of the rest is of interest.
    Rest,
}

#[derive(Clone, Copy)]
enum Field {
    Header,
    Row,
    Columns,
    Cell,
    Length,
}

impl OversizedRow {
    /// For a frame of so many bytes.
    pub(super) fn new(length: usize) -> OversizedRow {
        OversizedRow {
            remaining: length,
            whole: length,
            fixed: Vec::new(),
            state: State::Field(FRAME_HEADER + MESSAGE_HEADER, Field::Header),
            columns: 0,
            out: BytesMut::new(),
        }
    }

    /// Bytes of the frame that are still to come.
    pub(super) fn remaining(&self) -> usize {
        self.remaining
    }

    /// How many bytes the frame has.
    pub(super) fn whole(&self) -> u64 {
        self.whole as u64
    }

    /// Takes the next bytes of the frame.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        self.remaining = self.remaining.saturating_sub(bytes.len());
        while !bytes.is_empty() {
            match &mut self.state {
                State::Rest => return,
                State::Value { left, keep } => {
                    let (now, later) = bytes.split_at(bytes.len().min(*left));
                    if *keep {
                        self.out.put_slice(now);
                    }
                    *left -= now.len();
                    bytes = later;
                    if *left == 0 {
                        self.next_cell();
                    }
                }
                State::Field(want, field) => {
                    let (want, field) = (*want, *field);
                    let (now, later) = bytes.split_at(bytes.len().min(want - self.fixed.len()));
                    self.fixed.extend_from_slice(now);
                    bytes = later;
                    if self.fixed.len() == want {
                        let gathered = std::mem::take(&mut self.fixed);
                        self.field(field, &gathered);
                    }
                }
            }
        }
    }

    fn field(&mut self, field: Field, bytes: &[u8]) {
        match field {
            Field::Header => {
                self.out.put_slice(bytes);
                let is_row = matches!(bytes[FRAME_HEADER], b'I' | b'U' | b'D');
                self.state = if is_row {
                    State::Field(1, Field::Row)
                } else {
                    State::Rest
                };
            }
            Field::Row => {
                self.out.put_slice(bytes);
                self.state = State::Field(2, Field::Columns);
            }
            Field::Columns => {
                self.out.put_slice(bytes);
                self.columns = u16::from_be_bytes([bytes[0], bytes[1]]);
                self.next_cell();
            }
            Field::Cell if bytes[0] == b't' => self.state = State::Field(4, Field::Length),
            Field::Cell => {
                self.out.put_slice(bytes);
                self.next_cell();
            }
            Field::Length => {
                let left = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
                let keep = left <= limits::KEPT_VALUE_BYTES;
                if keep {
                    self.out.put_u8(b't');
                    self.out.put_slice(bytes);
                } else {
                    self.out.put_u8(b'u');
                }
                self.state = State::Value { left, keep };
                if left == 0 {
                    self.next_cell();
                }
            }
        }
    }

    fn next_cell(&mut self) {
        self.state = match self.columns.checked_sub(1) {
            Some(left) => {
                self.columns = left;
                State::Field(1, Field::Cell)
            }
            // Another row may follow: the new one behind the old one.
            None => State::Field(1, Field::Row),
        };
    }

    /// The frame with its large values left out; none when it held no row.
    pub(super) fn finish(self) -> Option<Bytes> {
        let is_row = !matches!(self.state, State::Rest) && self.fixed.is_empty();
        is_row.then(|| self.out.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Frame;
    use crate::decode::{Message, message};
    use crate::model::Cell;
    use proptest::prelude::*;

    fn frame(large: usize) -> Vec<u8> {
        let mut frame = vec![b'w'];
        frame.extend([0; 24]);
        frame.extend(b"U\0\0\0\x07O\0\x03t\0\0\0\x021ant\0\0\0\x04kept");
        // The old row's third column, then the new row.
        frame.extend(b"N\0\x03t\0\0\0\x0212t");
        frame.extend((large as u32).to_be_bytes());
        frame.extend(vec![b'x'; large]);
        frame.extend(b"u");
        frame
    }

    proptest! {
        #[test]
        fn a_large_row_keeps_its_small_values_however_it_is_cut(large in limits::KEPT_VALUE_BYTES + 1..3 * limits::KEPT_VALUE_BYTES, piece in 1..5000usize) {
            let whole = frame(large);
            let mut trimmer = OversizedRow::new(whole.len());
            for part in whole.chunks(piece) {
                trimmer.feed(part);
            }
            prop_assert_eq!(trimmer.remaining(), 0);
            let Frame::Data { message: bytes, .. } = Frame::read(trimmer.finish().unwrap()).unwrap() else { panic!() };
            let Message::Update { relation, old, new } = message(&bytes).unwrap() else { panic!() };
            prop_assert_eq!(relation, 7);
            let old = old.unwrap();
            prop_assert_eq!(old.tuple.cells().collect::<Vec<_>>(), [Cell::Text(b"1a"), Cell::Null, Cell::Text(b"kept")]);
            prop_assert_eq!(new.cells().collect::<Vec<_>>(), [Cell::Text(b"12"), Cell::Unchanged, Cell::Unchanged]);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut trimmer = OversizedRow::new(bytes.len());
            trimmer.feed(&bytes);
            let _ = trimmer.finish();
        }
    }
}
