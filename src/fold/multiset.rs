//! Tables without a key: rows are counted, not named.

use std::collections::HashMap;

use super::admit::{Before, Effect};
use crate::model::{Batch, Cell, Counts, Layout, Row, Shape, Step, TableId, Tuple, Work};

/// How many copies of each row a batch adds or removes.
#[derive(Default)]
pub(super) struct Bag {
    index: HashMap<Vec<u8>, usize>,
    entries: Vec<Entry>,
}

struct Entry {
    row: Row,
    copies: i64,
    messages: u64,
}

impl Bag {
    pub(super) fn push(&mut self, effect: Effect) {
        let Effect {
            layout,
            before,
            after,
        } = effect;
        let mut message = 1;
        if let Some(new) = after {
            let row = Row {
                layout: layout.clone(),
                tuple: new,
                old: None,
                count: 0,
            };
            self.count(row, 1, message);
            message = 0;
        }
        if let Before::Sent(old) = before {
            self.count(
                Row {
                    layout,
                    tuple: old.tuple,
                    old: None,
                    count: 0,
                },
                -1,
                message,
            );
        }
    }

    fn count(&mut self, row: Row, copies: i64, messages: u64) {
        let at = *self
            .index
            .entry(image(&row.layout, &row.tuple))
            .or_insert_with(|| {
                self.entries.push(Entry {
                    row,
                    copies: 0,
                    messages: 0,
                });
                self.entries.len() - 1
            });
        self.entries[at].copies += copies;
        self.entries[at].messages += messages;
    }

    pub(super) fn finish(self, table: TableId, counts: &mut Counts, batch: &mut Batch) {
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        for Entry {
            mut row,
            copies,
            messages,
        } in self.entries
        {
            row.count = copies.unsigned_abs();
            let written = messages.min(row.count);
            counts.applied += written;
            counts.folded += messages - written;
            match copies {
                0 => {}
                1.. => new.push(row),
                _ => gone.push(row),
            }
        }
        for (work, rows) in [(Work::RemoveCopies, gone), (Work::AddCopies, new)] {
            if !rows.is_empty() {
                batch.steps.push(Step {
                    table,
                    work,
                    shape: Shape::default(),
                    rows,
                });
            }
        }
    }
}

/// The mapped columns as comparable bytes.
pub(super) fn image(layout: &Layout, tuple: &Tuple) -> Vec<u8> {
    let mut image = Vec::with_capacity(tuple.bytes());
    for (slot, cell) in layout.slots.iter().zip(tuple.cells()) {
        match (slot, cell) {
            (None, _) => {}
            (Some(_), Cell::Null | Cell::Unchanged) => image.push(0),
            (Some(_), Cell::Text(text)) => {
                image.push(1);
                image.extend_from_slice(&(text.len() as u32).to_be_bytes());
                image.extend_from_slice(text);
            }
        }
    }
    image
}
