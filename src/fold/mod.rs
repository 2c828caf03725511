//! A run of whole transactions to the rows that have to be written. Pure.
//!
//! [`StreamState`] decides whose a row is (the table's mapping, the owner, the tenant); [`Folder`] lets many
//! changes of one key become one, and [`fold`] does so for a batch. Tables whose folded form the cloud's other
//! constraints refuse are kept in source order.

mod classify;
mod echo;
mod keyed;
mod mobile;
mod multiset;
mod names;
mod net;
mod order;
mod quarantine;
mod steps;
mod track;

use std::collections::{BTreeMap, BTreeSet};

pub use classify::{Before, Classified, Classifier, Effect, StreamState};
pub use echo::Echoes;
pub use names::key;
pub use quarantine::{ParkedRows, Quarantine, QuarantinedRow, name_of_cells, parking_name};

use crate::model::{
    Batch, Counts, Key, Recovery, Step, StepKind, Table, TableId, TableStop, Tables, Transaction,
};

/// The desktop's heartbeat carries this prefix.
pub const HEARTBEAT: &str = "tandem.heartbeat";
/// Whoever wants parked rows to be tried again at once writes this prefix into the desktop's log.
pub const RETRY: &str = "tandem.retry";
/// The content of such a mark where rows were too long for a column, which may be wider now: both sides are looked at anew.
pub const REFIT: &str = "refit";
/// Whoever has asked for a swap, in the cloud, writes this prefix into the desktop's log.
pub const SWAP: &str = "tandem.swap";
/// Whoever has asked, in the cloud, that the settings are read again, writes this prefix into the desktop's log.
pub const RELOAD: &str = "tandem.reload";

/// Folds a run of transactions. Changes of the tables in `ordered` are not folded: each is a write of its own, in
/// source order.
pub fn fold(
    transactions: &[Transaction],
    tables: &Tables,
    sorter: &mut Classifier,
    book: &mut StreamState,
    ordered: &BTreeSet<TableId>,
) -> Batch {
    let mut folder = Folder::default();
    let mut halts = Vec::new();
    let mut runs = order::Runs::default();
    for (number, transaction) in (0..).zip(transactions) {
        let mut in_order = Vec::new();
        for change in &transaction.changes {
            let sorted = sorter.sort(change, tables).of_transaction(number);
            if let Classified::Effect(table, effect) = &sorted
                && !effect.mobile
                && ordered.contains(table)
                && !book.is_stopped(*table)
            {
                in_order.push((*table, effect.clone()));
            }
            if let Err(halt) = folder.take(sorted, tables, book) {
                book.stop_for_now(halt.table);
                halts.push(halt);
            }
        }
        runs.push_all(in_order, tables, &book.parking);
    }
    let mut batch = folder.finish(tables, &book.parking);
    for table in ordered {
        in_order(&mut batch, *table, runs.finish(*table));
    }
    batch.halts.splice(..0, halts);
    finish(batch, transactions, book)
}

/// Puts a table's changes in source order in the place of its folded ones.
fn in_order(batch: &mut Batch, table: TableId, steps: Vec<Step>) {
    batch.needs_order.retain(|needs| *needs != table);
    batch
        .steps
        .retain(|step| step.table != table || step.work.only_notes() || step.shape.mobile);
    let place = (1, i32::from(table.0), false);
    let at = batch
        .steps
        .partition_point(|step| write_order(step) < place);
    batch.steps.splice(at..at, steps);
    let counts = batch
        .counts
        .iter_mut()
        .filter(|(counted, _)| *counted == table);
    for (_, counts) in counts {
        counts.applied += counts.folded;
        counts.folded = 0;
    }
}

/// Changes gathered by table and key.
#[derive(Default)]
pub struct Folder {
    keyed: BTreeMap<TableId, keyed::Nets>,
    /// Changes of the phone's rows.
    mobile: BTreeMap<TableId, mobile::Mobile>,
    multisets: BTreeMap<TableId, multiset::Bag>,
    counts: BTreeMap<TableId, Counts>,
}

impl Folder {
    /// Takes a change by what it is and what has become of its table.
    ///
    /// # Errors
    /// The table can't go on.
    pub fn take(
        &mut self,
        sorted: Classified,
        tables: &Tables,
        book: &StreamState,
    ) -> Result<(), TableStop> {
        let (table, effect) = match sorted {
            Classified::Foreign => return Ok(()),
            // Without all its values such a row has no name.
            Classified::Effect(table, effect)
                if effect.too_large.is_some() && tables.get(table).key == Key::Multiset =>
            {
                let why = format!(
                    "a row of {} bytes is larger than half of forward.memory_max, and without a key it can't be put aside; raise forward.memory_max",
                    effect.too_large.unwrap_or_default()
                );
                let way = Recovery::Operator;
                let streams = self.counts(table, book);
                return if streams {
                    Err(TableStop { table, why, way })
                } else {
                    Ok(())
                };
            }
            Classified::Effect(table, effect) => (table, Some(effect)),
            Classified::RuledOut(table) => (table, None),
            Classified::Misfit(TableStop { table, why, way }) => {
                let streams = self.counts(table, book);
                return if streams {
                    Err(TableStop { table, why, way })
                } else {
                    Ok(())
                };
            }
            // A transaction with a TRUNCATE is staged; here it can only come for a table that has stopped.
            Classified::Emptied(table) => {
                let why = "the desktop's table was emptied; it is copied anew".to_owned();
                let streams = self.counts(table, book);
                let halt = TableStop {
                    table,
                    why,
                    way: Recovery::Recopy,
                };
                return if streams { Err(halt) } else { Ok(()) };
            }
        };
        if self.counts(table, book) {
            match effect {
                Some(effect) => self.push(tables.get(table), effect),
                None => self.rule_out(table),
            }
        }
        Ok(())
    }

    /// Takes a change of a transaction that was kept aside. `voided`: the table was emptied after it; `moves`: the
    /// row goes because it has another name now.
    pub fn replay(
        &mut self,
        (table, effect): (TableId, Effect),
        (voided, moves): (bool, bool),
        (tables, book): (&Tables, &StreamState),
    ) {
        if moves && voided {
            return;
        }
        // The message is counted where the row arrives.
        if moves {
            if !book.is_stopped(table) {
                self.leave(tables.get(table), effect);
            }
            return;
        }
        if !self.counts(table, book) {
            return;
        }
        if voided {
            let counts = self.counts.entry(table).or_default();
            counts.received += 1;
            counts.folded += 1;
        } else {
            self.push(tables.get(table), effect);
        }
    }

    /// A row leaves its name: its message is counted where it arrives.
    fn leave(&mut self, table: &Table, effect: Effect) {
        match table.key {
            _ if effect.mobile => self.mobile.entry(table.id).or_default().leave(effect),
            Key::Multiset => self.multisets.entry(table.id).or_default().leave(effect),
            Key::Columns(_) => self.keyed.entry(table.id).or_default().leave(effect),
        }
    }

    fn counts(&mut self, table: TableId, book: &StreamState) -> bool {
        book.counts(table, self.counts.entry(table).or_default())
    }

    /// Takes a change of a row that is ours.
    fn push(&mut self, table: &Table, effect: Effect) {
        self.counts.entry(table.id).or_default().received += 1;
        match table.key {
            _ if effect.mobile => self.mobile.entry(table.id).or_default().push(effect),
            Key::Multiset => self.multisets.entry(table.id).or_default().push(effect),
            Key::Columns(_) => self.keyed.entry(table.id).or_default().push(effect),
        }
    }

    /// Counts a change of a row that isn't ours.
    fn rule_out(&mut self, table: TableId) {
        let counts = self.counts.entry(table).or_default();
        counts.received += 1;
        counts.ruled_out += 1;
    }

    /// What keeping it costs, in bytes.
    pub fn bytes(&self) -> usize {
        let keyed = self.keyed.values().map(keyed::Nets::bytes);
        let mobile = self.mobile.values().map(mobile::Mobile::bytes);
        let multisets = self.multisets.values().map(multiset::Bag::bytes);
        keyed.chain(mobile).chain(multisets).sum()
    }

    /// The rows that have to be written, in writing order, and what became of the messages.
    pub fn finish(mut self, tables: &Tables, parking: &Quarantine) -> Batch {
        let mut batch = Batch::default();
        for (table, nets) in self.keyed {
            let counts = self.counts.entry(table).or_default();
            match nets.finish(tables.get(table), parking.of(table), counts) {
                Ok(finished) => {
                    batch
                        .needs_order
                        .extend(finished.needs_order.then_some(table));
                    batch.steps.extend(finished.steps);
                }
                Err(halt) => batch.halts.push(halt),
            }
        }
        for (table, mobile) in self.mobile {
            let counts = self.counts.entry(table).or_default();
            batch.steps.extend(mobile.finish(tables.get(table), counts));
        }
        for (table, bag) in self.multisets {
            let counts = self.counts.entry(table).or_default();
            batch
                .steps
                .extend(bag.finish(table, parking.of(table), counts));
        }
        batch.steps.sort_by_key(write_order);
        batch.counts = self.counts.into_iter().collect();
        batch
    }
}

fn finish(mut batch: Batch, transactions: &[Transaction], book: &mut StreamState) -> Batch {
    if let Some(last) = transactions.last() {
        batch.end = last.end;
        batch.committed_at = last.committed_at;
    }
    batch.transactions = transactions.len() as u64;
    let marks = transactions
        .iter()
        .rev()
        .flat_map(|transaction| transaction.marks.iter().rev());
    batch.heartbeat = marks
        .filter(|mark| mark.prefix == HEARTBEAT)
        .find_map(|mark| String::from_utf8(mark.content.to_vec()).ok());
    for halt in &batch.halts {
        book.stop_for_now(halt.table);
    }
    batch
}

/// Parents before children on the way in, children first on the way out; copies are removed before
/// others are added, and rows that were there change before new ones take what they had.
pub fn write_order(step: &Step) -> (u8, i32, bool) {
    let table = i32::from(step.table.0);
    match step.work {
        StepKind::RemoveCopies => (0, -table, false),
        StepKind::Rekey | StepKind::Upsert | StepKind::AddCopies => (1, table, step.shape.fresh),
        StepKind::Delete => (2, -table, false),
        StepKind::Requeue | StepKind::RecordChange | StepKind::RecordDelete => (3, table, false),
    }
}

#[cfg(test)]
pub(crate) mod tests;
