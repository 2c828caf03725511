//! Arrays in PostgreSQL's binary format, built column by column without copying rows around.
//! Source: `array_send` and `array_recv` in `src/backend/utils/adt/arrayfuncs.c`.

use bytes::{BufMut, BytesMut};

use super::element::Element;
use crate::model::{Cell, Param};

/// Flags stand at byte 4, the elements' type at byte 8, their number at byte 12.
const FLAGS: usize = 4;
const LENGTH: usize = 12;

/// One column's values.
pub(super) struct TextArray {
    bytes: BytesMut,
    length: u32,
    has_null: bool,
    element: Element,
    /// A value came that its element's type may read in another way than we do.
    is_odd: bool,
}

impl TextArray {
    /// A `text[]`.
    pub(super) fn new() -> TextArray {
        TextArray::of(Element::Text)
    }

    /// An array of another type.
    pub(super) fn of(element: Element) -> TextArray {
        let mut bytes = BytesMut::with_capacity(256);
        for field in [1, 0, element.oid() as i32, 0, 1] {
            bytes.put_i32(field);
        }
        TextArray {
            bytes,
            length: 0,
            has_null: false,
            element,
            is_odd: false,
        }
    }

    pub(super) fn push(&mut self, cell: Cell<'_>) {
        self.length += 1;
        match cell {
            Cell::Text(text) if self.element == Element::Text => {
                self.bytes.put_u32(text.len() as u32);
                self.bytes.put_slice(text);
            }
            Cell::Text(_) if self.is_odd => {}
            Cell::Text(text) => self.is_odd = self.element.put(text, &mut self.bytes).is_none(),
            Cell::Null | Cell::Unchanged => {
                self.has_null = true;
                self.bytes.put_i32(-1);
            }
        }
    }

    /// It has to be made again as a `text[]`: what its values mean, and what is wrong with them, the server says.
    pub(super) fn is_odd(&self) -> bool {
        self.is_odd
    }

    pub(super) fn finish(mut self) -> Param {
        self.bytes[FLAGS..FLAGS + 4].copy_from_slice(&i32::from(self.has_null).to_be_bytes());
        self.bytes[LENGTH..LENGTH + 4].copy_from_slice(&self.length.to_be_bytes());
        Param {
            type_oid: self.element.array_oid(),
            value: Some(self.bytes.freeze()),
            binary: true,
        }
    }
}
