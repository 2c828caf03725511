//! What the desktop did to rows of the phone's: noted transaction by transaction, or, where the settings want that, written.

use std::collections::HashMap;

use super::classify::Effect;
use super::keyed::Nets;
use super::names::key;
use super::steps::{Steps, shape};
use crate::model::{ChangeOrigin, Counts, Row, Step, StepKind, StepShape, Table};

/// Changes of the phone's rows of one table, by transaction and key: a change that a later one takes back is noted all the
/// same, whether or not both are in one batch (P17).
#[derive(Default)]
pub(super) struct Mobile {
    transactions: Vec<Part>,
}

/// What one transaction did.
struct Part {
    transaction: u32,
    /// It is ours: rows that were not there before are those that we brought, and that a trigger altered.
    ours: bool,
    nets: Nets,
}

impl Mobile {
    pub(super) fn push(&mut self, effect: Effect) {
        self.part(&effect).push(effect);
    }

    /// A row whose other half stands elsewhere leaves its key.
    pub(super) fn leave(&mut self, effect: Effect) {
        self.part(&effect).leave(effect);
    }

    fn part(&mut self, effect: &Effect) -> &mut Nets {
        let known = self.transactions.last();
        if known.is_none_or(|part| part.transaction != effect.transaction) {
            self.transactions.push(Part {
                transaction: effect.transaction,
                ours: effect.hand != ChangeOrigin::Desktop,
                nets: Nets::default(),
            });
        }
        let last = self.transactions.len() - 1;
        &mut self.transactions[last].nets
    }

    /// What keeping it costs, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.transactions.iter().map(|part| part.nets.bytes()).sum()
    }

    /// The rows that have to be noted or written, and what became of the messages.
    pub(super) fn finish(self, table: &Table, counts: &mut Counts) -> Vec<Step> {
        match table.changes_mobile {
            true => self.written(table, counts),
            false => self.noted(table, counts),
        }
    }

    fn noted(self, table: &Table, counts: &mut Counts) -> Vec<Step> {
        let own = table.own_layout();
        let mut steps = Steps::new(table.id);
        for part in self.transactions {
            for net in part.nets.list() {
                counts.ruled_out += net.messages;
                // One that was never there before was not changed either, unless we wrote it.
                let known = (net.existed || part.ours) && net.live.rows() <= 1;
                let settled = net.settle(table, (None, None), &own);
                let Some((work, mut row, _)) = settled.filter(|_| known) else {
                    continue;
                };
                row.messages = 0;
                let work = match work {
                    StepKind::Delete => StepKind::RecordDelete,
                    _ => StepKind::RecordChange,
                };
                steps.push(work, row, StepShape::default());
            }
        }
        steps.list
    }

    /// The phone's rows are changed where they are, and never made: what comes after one is gone does nothing.
    fn written(self, table: &Table, counts: &mut Counts) -> Vec<Step> {
        let own = table.own_layout();
        let mut index: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut rows: Vec<(StepKind, Row)> = Vec::new();
        for part in self.transactions {
            for net in part.nets.list() {
                let known = (net.existed || part.ours) && net.live.rows() <= 1;
                let (messages, name) = (net.messages, key(&net.layout, &net.witness));
                let settled = net.settle(table, (None, None), &own);
                let (Some((work, row, _)), Some(name)) = (settled.filter(|_| known), name) else {
                    counts.ruled_out += messages;
                    continue;
                };
                counts.folded += messages;
                match index.get(&name) {
                    None => {
                        index.insert(name, rows.len());
                        rows.push((work, row));
                    }
                    Some(at) => follow(&mut rows[*at], (work, row)),
                }
            }
        }
        let mut steps = Steps::new(table.id);
        for (work, row) in rows {
            counts.applied += row.messages;
            counts.folded -= row.messages;
            let shape = StepShape {
                mobile: true,
                ..shape(table, &row, work)
            };
            steps.push(work, row, shape);
        }
        steps.list
    }
}

/// A later transaction's effect on the same row.
fn follow(before: &mut (StepKind, Row), (work, mut row): (StepKind, Row)) {
    match (before.0, work) {
        (StepKind::Delete, _) => {}
        (_, StepKind::Delete) => *before = (work, row),
        _ => {
            row.tuple = row
                .layout
                .merge(row.tuple, &before.1.tuple, &before.1.layout);
            *before = (work, row);
        }
    }
}
