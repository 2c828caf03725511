//! What rows are called, and when two are the same. Pure.

use crate::model::{Cell, Layout, Tuple};

/// The key's values as comparable bytes; none when one of them was not sent.
pub fn key(layout: &Layout, tuple: &Tuple) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(24);
    if let [only] = layout.key() {
        put(&mut key, tuple.cells().nth(*only)?)?;
        return Some(key);
    }
    let cells: Vec<_> = tuple.cells().collect();
    for at in layout.key() {
        put(&mut key, *cells.get(*at)?)?;
    }
    Some(key)
}

/// A value of a name; none where it was not sent.
pub(super) fn put(key: &mut Vec<u8>, cell: Cell<'_>) -> Option<()> {
    match cell {
        Cell::Null => key.push(0),
        Cell::Unchanged => return None,
        Cell::Text(text) => {
            key.push(1);
            key.extend_from_slice(&(text.len() as u32).to_be_bytes());
            key.extend_from_slice(text);
        }
    }
    Some(())
}

/// All arriving columns are the same.
pub(super) fn same_content(layout: &Layout, before: &Tuple, after: &Tuple) -> bool {
    let cells = layout.slots.iter().zip(before.cells().zip(after.cells()));
    before.columns() == after.columns()
        && cells
            .filter(|(slot, _)| slot.is_some())
            .all(|(_, (a, b))| a == b)
}

/// Whether an arriving column was not sent.
pub(super) fn unsent(layout: &Layout, tuple: &Tuple) -> bool {
    layout
        .slots
        .iter()
        .zip(tuple.cells())
        .any(|(slot, cell)| slot.is_some() && cell == Cell::Unchanged)
}

/// The columns by which a row is told from others, as comparable bytes.
pub(super) fn image(layout: &Layout, tuple: &Tuple) -> Vec<u8> {
    bytes_of(&layout.naming(tuple))
}

/// The cells as comparable bytes.
pub(super) fn bytes_of(cells: &[Cell<'_>]) -> Vec<u8> {
    let mut image = Vec::with_capacity(16 * cells.len());
    for cell in cells {
        if put(&mut image, *cell).is_none() {
            image.push(0);
        }
    }
    image
}
