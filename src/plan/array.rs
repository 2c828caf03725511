//! `text[]` in PostgreSQL's binary format, built column by column without copying rows around.
//! Source: `array_send` and `array_recv` in `src/backend/utils/adt/arrayfuncs.c`.

use bytes::{BufMut, BytesMut};

use crate::model::{Cell, Param, oid};

/// Flags stand at byte 4, the number of elements at byte 12.
const FLAGS: usize = 4;
const LENGTH: usize = 12;

/// One column's values.
pub(super) struct TextArray {
    bytes: BytesMut,
    length: u32,
    has_null: bool,
}

impl TextArray {
    pub(super) fn new() -> TextArray {
        let mut bytes = BytesMut::with_capacity(256);
        for field in [1, 0, oid::TEXT as i32, 0, 1] {
            bytes.put_i32(field);
        }
        TextArray {
            bytes,
            length: 0,
            has_null: false,
        }
    }

    pub(super) fn push(&mut self, cell: Cell<'_>) {
        self.length += 1;
        match cell {
            Cell::Text(text) => {
                self.bytes.put_u32(text.len() as u32);
                self.bytes.put_slice(text);
            }
            Cell::Null | Cell::Unchanged => {
                self.has_null = true;
                self.bytes.put_i32(-1);
            }
        }
    }

    pub(super) fn finish(mut self) -> Param {
        self.bytes[FLAGS..FLAGS + 4].copy_from_slice(&i32::from(self.has_null).to_be_bytes());
        self.bytes[LENGTH..LENGTH + 4].copy_from_slice(&self.length.to_be_bytes());
        Param::text_array(self.bytes)
    }
}
