//! What the cloud would not take: the latest version of each such row, by key.
//!
//! The quarantine itself stands in the cloud. Here is what the fold needs of it: a later change of a
//! parked row takes the parked version's place, and what was not sent of it stands there.

use std::collections::HashMap;

use super::names::{image, key, put};
use crate::limits;
use crate::model::{Cell, Key, Layout, StepKind, Table, TableId, Tuple};

/// One row that waits in the quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedRow {
    /// How the row should look, laid out as [`Table::own_layout`] says; none when it should be gone, or is not kept here.
    pub tuple: Option<Tuple>,
    /// Arriving columns that were not sent.
    pub unsent: Vec<usize>,
    /// In a table without a key: how many such rows are missing; less than none when so many are still to go.
    pub copies: i64,
    /// What could not be done with it.
    pub work: StepKind,
    /// It is parked for its size: what is unsent of it is nowhere but on the desktop, and trying again is in vain.
    pub too_large: bool,
    /// It is parked because a value can't be read: trying again is in vain.
    pub unreadable: bool,
}

impl QuarantinedRow {
    /// What a later version lacks can't be filled in from this one.
    pub(super) fn lacks_values(&self) -> bool {
        self.too_large || !self.work.removes() && self.tuple.is_none()
    }
}

/// The parked rows of one table, by key.
pub type ParkedRows = HashMap<Vec<u8>, QuarantinedRow>;

/// The parked rows of all tables.
#[derive(Clone, Debug, Default)]
pub struct Quarantine {
    tables: HashMap<TableId, ParkedRows>,
    /// What the kept tuples hold.
    bytes: usize,
}

/// The name under which a row is parked: its key, or for tables without one the whole row.
pub fn parking_name(table: &Table, layout: &Layout, tuple: &Tuple) -> Option<Vec<u8>> {
    match table.key {
        Key::Columns(_) => key(layout, tuple),
        Key::Multiset => Some(image(layout, tuple)),
    }
}

impl Quarantine {
    /// The parked rows of a table, if there are any.
    pub fn of(&self, table: TableId) -> Option<&ParkedRows> {
        self.tables.get(&table).filter(|rows| !rows.is_empty())
    }

    /// How many rows of a table are parked.
    pub fn rows(&self, table: TableId) -> usize {
        self.of(table).map_or(0, HashMap::len)
    }

    /// Tables with parked rows.
    pub fn tables(&self) -> impl Iterator<Item = (TableId, &ParkedRows)> {
        let tables = self.tables.iter().filter(|(_, rows)| !rows.is_empty());
        tables.map(|(table, rows)| (*table, rows))
    }

    /// Parks a row, in place of an earlier version of it. Its values are kept only while there is room (P12).
    pub fn park(&mut self, table: TableId, name: Vec<u8>, mut row: QuarantinedRow) {
        self.leave(table, &name);
        let bytes = size(&row);
        if self.bytes + bytes > limits::PARKED_KEPT_BYTES {
            row.tuple = None;
        } else {
            self.bytes += bytes;
        }
        self.tables.entry(table).or_default().insert(name, row);
    }

    /// The row has found its place.
    pub fn leave(&mut self, table: TableId, name: &[u8]) {
        let rows = self.tables.get_mut(&table);
        if let Some(gone) = rows.and_then(|rows| rows.remove(name)) {
            self.bytes -= size(&gone);
        }
    }

    /// A new copy of the table starts without parked rows.
    pub fn clear(&mut self, table: TableId) {
        let rows = self.tables.remove(&table).unwrap_or_default();
        self.bytes -= rows.values().map(size).sum::<usize>();
    }
}

fn size(row: &QuarantinedRow) -> usize {
    row.tuple.as_ref().map_or(0, Tuple::bytes)
}

/// The name under which a row with these key cells is parked.
pub fn name_of_cells<'a>(cells: impl Iterator<Item = Option<&'a str>>) -> Vec<u8> {
    let mut name = Vec::new();
    for cell in cells {
        let cell = cell.map_or(Cell::Null, |text| Cell::Text(text.as_bytes()));
        let _ = put(&mut name, cell);
    }
    name
}
