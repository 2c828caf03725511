//! What the stream does to tables while they are being copied. A transaction is in a copy if and only if the snapshot
//! sees it, so its changes are passed over; later changes of a table that streams are written as ever, and their rows
//! left out of the diff; those of a table that doesn't stream wait, on disk if need be, until the copy is merged.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;

use crate::decode::Assembler;
use crate::fold::{Before, Classified, Classifier, Effect};
use crate::limits;
use crate::model::{
    Cell, Change, Lsn, Snapshot, Table, TableId, Tables, Timestamp, Transaction, Tuple,
};
use crate::spill::{Facts, Spill};

/// Changes of tables that are being copied.
pub(in crate::flows) struct ChangeTracker {
    snapshot: Snapshot,
    /// Each table, and whether it streams meanwhile.
    tables: BTreeMap<TableId, bool>,
    sorter: Classifier,
    touched: ChangedKeys,
    held: Box<Spill>,
    /// When the last transaction with held changes committed.
    committed_at: Timestamp,
    /// Tables whose copies are of no use any more.
    spoiled: BTreeSet<TableId>,
}

/// Names of rows: their keys' arriving cells, or all cells, and NULL elsewhere.
#[derive(Default)]
pub(in crate::flows) struct ChangedKeys {
    names: HashSet<(TableId, Tuple)>,
    bytes: usize,
}

/// What has come of it when the copies are merged.
pub(in crate::flows) struct Watched {
    pub(in crate::flows) touched: ChangedKeys,
    /// None where nothing waits.
    pub(in crate::flows) held: Option<Box<Spill>>,
    pub(in crate::flows) spoiled: BTreeSet<TableId>,
}

impl ChangeTracker {
    pub(in crate::flows) fn new(
        snapshot: Snapshot,
        tables: BTreeMap<TableId, bool>,
    ) -> ChangeTracker {
        ChangeTracker {
            snapshot,
            tables,
            sorter: Classifier::default(),
            touched: ChangedKeys::default(),
            held: Box::default(),
            committed_at: Timestamp::default(),
            spoiled: BTreeSet::new(),
        }
    }

    /// Looks through a transaction that is whole now.
    ///
    /// # Errors
    /// When the disk has no room.
    pub(in crate::flows) fn look(
        &mut self,
        transaction: &mut Transaction,
        tables: &Tables,
    ) -> io::Result<()> {
        self.committed_at = transaction.committed_at;
        self.pick(transaction.xid, &mut transaction.changes, tables)
    }

    /// Looks through some changes of a transaction that has begun.
    ///
    /// # Errors
    /// When the disk has no room.
    pub(in crate::flows) fn look_at_part(
        &mut self,
        assembler: &Assembler,
        changes: &mut Vec<Change>,
        tables: &Tables,
    ) -> io::Result<()> {
        match assembler.open_xid() {
            Some(xid) => self.pick(xid, changes, tables),
            None => Ok(()),
        }
    }

    fn pick(&mut self, xid: u32, changes: &mut Vec<Change>, tables: &Tables) -> io::Result<()> {
        let in_copy = self.snapshot.sees(xid);
        self.held.begin(xid);
        let mut failed = Ok(());
        changes.retain(|change| {
            let sorted = self.sorter.sort(change, tables);
            let Some((table, streams)) = self.of(&sorted) else {
                return true;
            };
            if streams {
                if !in_copy {
                    self.note(tables.get(table), sorted);
                }
                return true;
            }
            if !in_copy && failed.is_ok() {
                failed = self.held.push(change, tables);
            }
            false
        });
        failed
    }

    fn of(&self, sorted: &Classified) -> Option<(TableId, bool)> {
        let table = match sorted {
            Classified::Foreign => return None,
            Classified::Misfit(halt) => halt.table,
            Classified::Emptied(table)
            | Classified::RuledOut(table)
            | Classified::Effect(table, _) => *table,
        };
        self.tables.get(&table).map(|streams| (table, *streams))
    }

    fn note(&mut self, table: &Table, sorted: Classified) {
        match sorted {
            Classified::Effect(_, effect) => self.touched.add(table, &effect),
            Classified::Misfit(_) | Classified::Emptied(_) => {
                self.spoiled.insert(table.id);
            }
            Classified::Foreign | Classified::RuledOut(_) => {}
        }
        if self.touched.bytes > limits::TOUCHED_BYTES_MAX {
            let streaming = self.tables.iter().filter(|(_, streams)| **streams);
            self.spoiled.extend(streaming.map(|(table, _)| *table));
            self.touched = ChangedKeys::default();
        }
    }

    /// What has come of it, when the cloud is at `end`.
    pub(in crate::flows) fn end(self, end: Lsn) -> Watched {
        let mut held = self.held;
        held.facts = Facts {
            end,
            committed_at: self.committed_at,
            ..Facts::default()
        };
        Watched {
            touched: self.touched,
            held: (!held.is_empty()).then_some(held),
            spoiled: self.spoiled,
        }
    }
}

impl ChangedKeys {
    fn add(&mut self, table: &Table, effect: &Effect) {
        let before = match &effect.before {
            Before::Sent(old) => Some(&old.tuple),
            Before::Absent | Before::Unsent => None,
        };
        let naming = table.naming();
        let named = |at: usize| naming.contains(&at);
        for tuple in before.into_iter().chain(&effect.after) {
            let cells = effect.layout.arriving(tuple).into_iter().enumerate();
            let cells = cells.map(|(at, cell)| match cell {
                Cell::Text(text) if named(at) => Cell::Text(text),
                _ => Cell::Null,
            });
            let name = Tuple::from_cells(cells);
            let bytes = name.bytes() + limits::TOUCHED_OVERHEAD;
            if self.names.insert((table.id, name)) {
                self.bytes += bytes;
            }
        }
    }

    /// The names of one table's rows.
    pub(in crate::flows) fn of(&self, table: TableId) -> impl Iterator<Item = &Tuple> {
        let names = self.names.iter().filter(move |(of, _)| *of == table);
        names.map(|(_, name)| name)
    }
}
