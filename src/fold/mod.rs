//! A run of whole transactions to the rows that have to be written. Pure.
//!
//! [`Book`] decides whose a row is (the table's mapping, the owner, the tenant); [`fold`] lets many
//! changes of one key become one; [`in_order`] keeps them apart, for batches whose folded form the
//! cloud's other constraints refuse.

mod admit;
mod keyed;
mod multiset;
mod order;

use std::collections::BTreeMap;

pub use admit::Book;

use crate::model::{Batch, Counts, Halt, Key, Step, TableId, Tables, Transaction, Work};

/// The desktop's heartbeat carries this prefix.
pub const HEARTBEAT: &str = "tandem.heartbeat";

/// Folds a run of transactions.
pub fn fold(transactions: &[Transaction], tables: &Tables, book: &mut Book) -> Batch {
    let mut batch = Batch::default();
    let mut counts = BTreeMap::new();
    let mut keyed: BTreeMap<TableId, keyed::Nets> = BTreeMap::new();
    let mut multisets: BTreeMap<TableId, multiset::Bag> = BTreeMap::new();
    let mut halted = Vec::new();
    for transaction in transactions {
        for change in &transaction.changes {
            let (table, effect) = match book.admit(change, transaction, tables, &mut counts) {
                Ok(Some(admitted)) => admitted,
                Ok(None) => continue,
                Err(halt) => {
                    halted.push(halt);
                    continue;
                }
            };
            if tables.get(table).key == Key::Multiset {
                multisets.entry(table).or_default().push(effect);
            } else {
                keyed
                    .entry(table)
                    .or_default()
                    .push(tables.get(table), effect);
            }
        }
    }
    for (table, nets) in keyed {
        let counts = counts.entry(table).or_default();
        nets.finish(tables.get(table), counts, &mut batch, &mut halted);
    }
    for (table, bag) in multisets {
        bag.finish(table, counts.entry(table).or_default(), &mut batch);
    }
    batch.steps.sort_by_key(write_order);
    finish(batch, transactions, counts, halted, book)
}

/// The same run without folding: each change is a write of its own, in source order.
pub fn in_order(transactions: &[Transaction], tables: &Tables, book: &mut Book) -> Batch {
    let mut counts = BTreeMap::new();
    let mut halted = Vec::new();
    let mut runs = order::Runs::default();
    for transaction in transactions {
        for change in &transaction.changes {
            match book.admit(change, transaction, tables, &mut counts) {
                Ok(Some((table, effect))) => {
                    counts.entry(table).or_default().applied += 1;
                    runs.push(tables.get(table), effect);
                }
                Ok(None) => {}
                Err(halt) => halted.push(halt),
            }
        }
    }
    let batch = Batch {
        steps: runs.finish(),
        ..Batch::default()
    };
    finish(batch, transactions, counts, halted, book)
}

fn finish(
    mut batch: Batch,
    transactions: &[Transaction],
    counts: BTreeMap<TableId, Counts>,
    halted: Vec<Halt>,
    book: &mut Book,
) -> Batch {
    if let Some(last) = transactions.last() {
        batch.end = last.end;
        batch.committed_at = last.committed_at;
    }
    batch.transactions = transactions.len() as u64;
    let marks = transactions
        .iter()
        .rev()
        .flat_map(|transaction| transaction.marks.iter().rev());
    batch.beat = marks
        .filter(|mark| mark.prefix == HEARTBEAT)
        .find_map(|mark| String::from_utf8(mark.content.to_vec()).ok());
    batch.counts = counts.into_iter().collect();
    batch.halts = halted;
    for halt in &batch.halts {
        book.stop(halt.table);
    }
    batch
}

/// Parents before children on the way in, children first on the way out; copies are removed before
/// others are added.
fn write_order(step: &Step) -> (u8, i32) {
    let table = i32::from(step.table.0);
    match step.work {
        Work::RemoveCopies => (0, -table),
        Work::Rekey | Work::Upsert | Work::AddCopies => (1, table),
        Work::Delete => (2, -table),
    }
}

#[cfg(test)]
mod tests;
