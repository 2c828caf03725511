//! One transaction that is too large for memory, on disk by key: folded part by part, so that memory has a
//! bound whatever its size (P12), and only what differs goes to the cloud (P9).
//!
//! All changes of a key are in one part, in their order, so that folding the parts one by one is folding the
//! whole. Files have no name: they are gone with the process. A transaction that emptied a table goes the
//! same way whatever its size, in memory as long as it is small.

#[cfg(test)]
mod cuts;
mod part;
mod record;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;

use part::Part;
use record::{Record, flags};

use crate::fold::{Before, Classified, Classifier, Effect, Folder, StreamState, parking_name};
use crate::limits;
use crate::model::{
    Change, Counts, Key, Layout, LogicalMessage, Lsn, Recovery, TableId, TableStop, Tables,
    Timestamp, Transaction, Tuple,
};

/// A row by its table and its key.
type RowName = (TableId, Vec<u8>);

/// What a spilled transaction may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Parts that the keys are spread over at once.
    pub parts: usize,
    /// A part that costs more bytes than this to fold is spread again.
    pub fold_bytes: usize,
    /// Rows that may take a new key while a column was not sent.
    pub moved_rows: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            parts: limits::SPILL_PARTS,
            fold_bytes: limits::FOLD_BYTES_MAX,
            moved_rows: limits::MOVED_ROWS_MAX,
        }
    }
}

/// A transaction by key.
pub struct Spill {
    bounds: Bounds,
    parts: Vec<(u32, Part)>,
    layouts: Vec<Arc<Layout>>,
    /// Where rows that moved with unsent columns go on: with what is known of them.
    moved: HashMap<RowName, usize>,
    /// Tables that were emptied, and after how many records.
    emptied: BTreeMap<TableId, (u64, Counts)>,
    /// What needs no row: changes of rows that aren't ours.
    ruled_out: BTreeMap<TableId, u64>,
    misfits: BTreeMap<TableId, (TableStop, u64)>,
    /// Tables with rows that took a new key: the old and the new one may be in different parts.
    rekeyed: BTreeSet<TableId>,
    records: u64,
    /// The transaction at hand, by its identifier and its number among those that are kept together.
    transaction: (u32, u32),
    buffer: Vec<u8>,
    sorter: Classifier,
    /// What the transaction is, once it is whole.
    pub facts: Facts,
}

/// What a transaction is, apart from its rows.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Where it ends.
    pub end: Lsn,
    /// When it committed.
    pub committed_at: Timestamp,
    /// Its logical messages.
    pub marks: Vec<LogicalMessage>,
    /// How many transactions it is: one, but for the changes that waited for a copy, which are counted already.
    pub transactions: u64,
    /// Tables that stream once it is written.
    pub settles: Vec<TableId>,
}

/// What a spilled transaction comes to, apart from its rows.
#[derive(Debug, Default)]
pub struct Remainder {
    /// What became of messages that no part holds.
    pub counts: BTreeMap<TableId, Counts>,
    /// Tables that can't go on.
    pub halts: Vec<TableStop>,
    /// Tables whose rows are all those that the transaction left.
    pub emptied: Vec<TableId>,
    /// Tables in which one key may have a row in one part and none in another: what is written counts.
    pub rekeyed: BTreeSet<TableId>,
}

impl Spill {
    /// An empty one.
    pub fn new(bounds: Bounds) -> Spill {
        let part = |_| (0, Part::new());
        Spill {
            bounds,
            parts: (0..bounds.parts).map(part).collect(),
            layouts: Vec::new(),
            moved: HashMap::new(),
            emptied: BTreeMap::new(),
            ruled_out: BTreeMap::new(),
            misfits: BTreeMap::new(),
            rekeyed: BTreeSet::new(),
            records: 0,
            transaction: (0, 0),
            buffer: Vec::new(),
            sorter: Classifier::default(),
            facts: Facts::default(),
        }
    }

    /// A transaction that was whole already.
    ///
    /// # Errors
    /// As [`Spill::push`].
    pub fn of(transaction: Transaction, tables: &Tables) -> io::Result<Spill> {
        let mut spill = Spill::default();
        for change in &transaction.changes {
            spill.push(change, tables)?;
        }
        spill.finish(transaction);
        Ok(spill)
    }

    /// Whether nothing has been pushed.
    pub fn is_empty(&self) -> bool {
        self.records == 0
            && self.emptied.is_empty()
            && self.ruled_out.is_empty()
            && self.misfits.is_empty()
    }

    /// Notes what the transaction is.
    pub fn finish(&mut self, transaction: Transaction) {
        let Transaction {
            end,
            committed_at,
            marks,
            ..
        } = transaction;
        self.facts = Facts {
            end,
            committed_at,
            marks,
            transactions: 1,
            settles: Vec::new(),
        };
    }

    /// What comes next belongs to this transaction: changes of several that waited for a copy are kept together.
    pub fn begin(&mut self, xid: u32) {
        let (known, number) = self.transaction;
        if known != xid {
            self.transaction = (xid, number + 1);
        }
    }

    /// Takes the next change.
    ///
    /// # Errors
    /// When the disk has no room, or fails.
    pub fn push(&mut self, change: &Change, tables: &Tables) -> io::Result<()> {
        match self.sorter.sort(change, tables) {
            Classified::Foreign => Ok(()),
            Classified::RuledOut(table) => {
                *self.ruled_out.entry(table).or_default() += 1;
                Ok(())
            }
            Classified::Misfit(halt) => {
                self.misfits.entry(halt.table).or_insert((halt, 0)).1 += 1;
                Ok(())
            }
            Classified::Emptied(table) => {
                let entry = self.emptied.entry(table).or_default();
                entry.0 = self.records;
                entry.1.truncated += 1;
                Ok(())
            }
            Classified::Effect(table, effect)
                if effect.too_large.is_some() && tables.get(table).key == Key::Multiset =>
            {
                let why = "a row is larger than half of forward.memory_max, and without a key it can't be put aside; raise forward.memory_max";
                let halt = TableStop {
                    table,
                    why: why.to_owned(),
                    way: Recovery::Operator,
                };
                self.misfits.entry(table).or_insert((halt, 0)).1 += 1;
                Ok(())
            }
            Classified::Effect(table, effect) => self.put(table, effect, tables),
        }
    }

    fn put(&mut self, table: TableId, effect: Effect, tables: &Tables) -> io::Result<()> {
        let columns = tables.get(table);
        let name = |tuple: &Tuple| {
            let name = parking_name(columns, &effect.layout, tuple);
            (table, shortened(name.unwrap_or_default()))
        };
        let is_multiset = columns.key == Key::Multiset;
        let old = match &effect.before {
            Before::Sent(old) => Some(name(&old.tuple)),
            Before::Absent | Before::Unsent => None,
        };
        let new = effect.after.as_ref().map(&name);
        match (old, new) {
            (Some(old), Some(new)) if old != new => {
                if !is_multiset {
                    self.rekeyed.insert(table);
                }
                let unsent = effect.after.as_ref().is_some_and(Tuple::has_unchanged);
                if unsent && !is_multiset && effect.too_large.is_none() {
                    // What was not sent stands in the old row: the new one follows it.
                    let part = self.route(&old);
                    if self.moved.len() >= self.bounds.moved_rows {
                        return self.too_many_moves(table);
                    }
                    self.moved.insert(new, part);
                    return self.write(part, table, &effect);
                }
                self.split(table, effect, (&old, &new))
            }
            (Some(name), _) | (None, Some(name)) => {
                let part = self.route(&name);
                self.write(part, table, &effect)
            }
            (None, None) => Ok(()),
        }
    }

    /// A row under two names: it leaves the one and arrives under the other. Two records, even where one part has
    /// both names: when that part is spread again, each goes with its own name.
    fn split(
        &mut self,
        table: TableId,
        effect: Effect,
        (old, new): (&RowName, &RowName),
    ) -> io::Result<()> {
        let (leaves, arrives) = (self.route(old), self.route(new));
        let flags = flags(&effect);
        let Effect {
            layout,
            before,
            after,
            too_large,
            ..
        } = effect;
        let leaving = (flags | record::LEAVES, None);
        self.write_as(leaves, table, &layout, (&before, None), leaving)?;
        let arriving = (&Before::Absent, after.as_ref());
        self.write_as(arrives, table, &layout, arriving, (flags, too_large))
    }

    fn too_many_moves(&mut self, table: TableId) -> io::Result<()> {
        let why = format!(
            "more than {} rows took a new key in one transaction while a large value was not sent; give the desktop's table REPLICA IDENTITY FULL",
            self.bounds.moved_rows
        );
        let halt = TableStop {
            table,
            why,
            way: Recovery::Recopy,
        };
        self.misfits.entry(table).or_insert((halt, 0)).1 += 1;
        Ok(())
    }

    fn route(&self, name: &RowName) -> usize {
        match self.moved.get(name) {
            Some(part) => *part,
            None => spread(name, 0, self.bounds.parts),
        }
    }

    fn write(&mut self, part: usize, table: TableId, effect: &Effect) -> io::Result<()> {
        let rows = (&effect.before, effect.after.as_ref());
        let flags = flags(effect);
        self.write_as(part, table, &effect.layout, rows, (flags, effect.too_large))
    }

    fn write_as(
        &mut self,
        part: usize,
        table: TableId,
        layout: &Arc<Layout>,
        (before, after): (&Before, Option<&Tuple>),
        (flags, too_large): (u8, Option<u64>),
    ) -> io::Result<()> {
        let layout = match self
            .layouts
            .iter()
            .rposition(|known| Arc::ptr_eq(known, layout))
        {
            Some(at) => at,
            None => {
                self.layouts.push(layout.clone());
                self.layouts.len() - 1
            }
        };
        self.records += 1;
        self.buffer.clear();
        let record = Record {
            number: self.records,
            transaction: self.transaction.1,
            table,
            layout: layout as u32,
            flags,
            too_large: too_large.unwrap_or_default(),
        };
        record.put(before, after, &mut self.buffer);
        let written = self.parts[part].1.write(&self.buffer);
        if self.buffer.capacity() > limits::STATEMENT_BYTES {
            self.buffer = Vec::new();
        }
        written
    }

    /// What needs no part.
    pub fn remainder(&self, book: &StreamState) -> Remainder {
        let mut remainder = Remainder::default();
        let mut add = |table: TableId, counts: Counts| {
            let mut folder = Counts::default();
            let streams = book.streams(table, &counts, &mut folder);
            remainder.counts.entry(table).or_default().add(folder);
            streams
        };
        for (table, rows) in &self.ruled_out {
            let counts = Counts {
                received: *rows,
                ruled_out: *rows,
                ..Counts::default()
            };
            add(*table, counts);
        }
        let mut halts = Vec::new();
        for (table, (halt, changes)) in &self.misfits {
            let counts = Counts {
                received: *changes,
                ..Counts::default()
            };
            if add(*table, counts) {
                halts.push(halt.clone());
            }
        }
        let mut emptied = Vec::new();
        for (table, (_, counts)) in &self.emptied {
            if add(*table, *counts) {
                emptied.push(*table);
            }
        }
        remainder.halts = halts;
        remainder.emptied = emptied;
        remainder.rekeyed = self.rekeyed.clone();
        remainder
    }

    /// Folds the next part; none when all are done.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn next_part(&mut self, tables: &Tables, book: &StreamState) -> io::Result<Option<Folder>> {
        while let Some((depth, mut part)) = self.parts.pop() {
            if part.is_empty() {
                continue;
            }
            let mut folder = Folder::default();
            let mut reader = part.read()?;
            let mut whole = true;
            while let Some(bytes) = reader.next()? {
                let (record, before, after) = Record::take(&bytes)?;
                self.fold(&mut folder, &record, (before, after), tables, book);
                if folder.bytes() > self.bounds.fold_bytes && depth < limits::SPILL_DEPTH_MAX {
                    whole = false;
                    break;
                }
            }
            if whole {
                return Ok(Some(folder));
            }
            self.split_part(depth, part, tables)?;
        }
        Ok(None)
    }

    fn fold(
        &self,
        folder: &mut Folder,
        record: &Record,
        (before, after): (Before, Option<Tuple>),
        tables: &Tables,
        book: &StreamState,
    ) {
        let effect = Effect {
            layout: self.layouts[record.layout as usize].clone(),
            before,
            after,
            too_large: (record.too_large > 0).then_some(record.too_large),
            mobile: record.flags & record::MOBILE != 0,
            hand: record.hand(),
            transaction: record.transaction,
        };
        let since = self
            .emptied
            .get(&record.table)
            .map_or(0, |(since, _)| *since);
        let is_move = record.flags & record::LEAVES != 0;
        folder.replay(
            (record.table, effect),
            (record.number <= since, is_move),
            (tables, book),
        );
    }

    /// Spreads a part over more parts.
    fn split_part(&mut self, depth: u32, mut part: Part, tables: &Tables) -> io::Result<()> {
        let first = self.parts.len();
        self.parts
            .extend((0..self.bounds.parts).map(|_| (depth + 1, Part::new())));
        let mut reader = part.read()?;
        // Rows that moved stay with what is known of them, wherever that is.
        let mut moved: HashMap<RowName, usize> = HashMap::new();
        while let Some(bytes) = reader.next()? {
            let (record, before, after) = Record::take(&bytes)?;
            let layout = &self.layouts[record.layout as usize];
            let table = tables.get(record.table);
            let name = |tuple: &Tuple| {
                let name = parking_name(table, layout, tuple).unwrap_or_default();
                (record.table, shortened(name))
            };
            let place = |name: &RowName, moved: &HashMap<_, usize>| {
                let spread = || spread(name, depth + 1, self.bounds.parts);
                moved.get(name).copied().unwrap_or_else(spread)
            };
            let old = match &before {
                Before::Sent(old) => Some(name(&old.tuple)),
                Before::Absent | Before::Unsent => None,
            };
            let new = after.as_ref().map(&name);
            let at = match (&old, &new) {
                (Some(name), _) | (None, Some(name)) => place(name, &moved),
                (None, None) => 0,
            };
            if let (Some(old), Some(new)) = (old, new)
                && old != new
            {
                moved.insert(new, at);
            }
            self.parts[first + at].1.write(&bytes)?;
        }
        Ok(())
    }
}

impl Default for Spill {
    fn default() -> Self {
        Spill::new(Bounds::default())
    }
}

/// In a table without a key a row's name is the row: a hash tells large ones apart too, and isn't kept beside them.
fn shortened(name: Vec<u8>) -> Vec<u8> {
    match name.len() > limits::NAME_BYTES_MAX {
        true => ring::digest::digest(&ring::digest::SHA256, &name)
            .as_ref()
            .to_vec(),
        false => name,
    }
}

/// The part of a name at some depth.
fn spread(name: &RowName, depth: u32, parts: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    (depth, name).hash(&mut hasher);
    (hasher.finish() % parts as u64) as usize
}
