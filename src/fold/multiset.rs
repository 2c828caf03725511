//! Tables without a key: rows are counted, not named.

use std::collections::{BTreeMap, HashMap};

use super::admit::{Before, Effect};
use super::keyed::put;
use super::park::ParkedRows;
use crate::limits;
use crate::model::{Cell, Counts, Layout, Row, Shape, Step, TableId, Tuple, Work};

/// How many copies of each row a batch adds or removes.
#[derive(Default)]
pub(super) struct Bag {
    index: HashMap<Vec<u8>, usize>,
    entries: Vec<Entry>,
    bytes: usize,
}

struct Entry {
    row: Row,
    copies: i64,
    messages: u64,
    /// How many of them came and went with each look in the cloud's own columns, where these come home.
    looks: HashMap<Vec<u8>, i64>,
}

impl Bag {
    pub(super) fn push(&mut self, effect: Effect) {
        let Effect {
            layout,
            before,
            after,
            ours,
            ..
        } = effect;
        let row = |tuple: Tuple| Row {
            layout: layout.clone(),
            tuple,
            old: None,
            count: 0,
            messages: 0,
        };
        let mut message = 1;
        if let Some(new) = after {
            self.count(row(new), 1, message, ours);
            message = 0;
        }
        if let Before::Sent(old) = before {
            self.count(row(old.tuple), -1, message, ours);
        }
    }

    /// A row whose other half stands elsewhere goes.
    pub(super) fn leave(&mut self, effect: Effect) {
        if let Before::Sent(old) = effect.before {
            let row = Row {
                layout: effect.layout,
                tuple: old.tuple,
                old: None,
                count: 0,
                messages: 0,
            };
            self.count(row, -1, 0, effect.ours);
        }
    }

    fn count(&mut self, row: Row, copies: i64, messages: u64, ours: bool) {
        let name = image(&row.layout, &row.tuple);
        let cost = limits::NET_OVERHEAD + name.len() + row.tuple.bytes();
        let at = match self.index.get(&name) {
            Some(at) => *at,
            None => {
                self.bytes += cost;
                self.index.insert(name, self.entries.len());
                self.entries.push(Entry {
                    row: row.clone(),
                    copies: 0,
                    messages: 0,
                    looks: HashMap::new(),
                });
                self.entries.len() - 1
            }
        };
        let entry = &mut self.entries[at];
        let look = row.layout.look(&row.tuple);
        if !ours && !look.is_empty() {
            *entry.looks.entry(bytes_of(&look)).or_default() += copies;
        }
        // What the cloud owns is as the desktop's latest new row has it: what came home is in the cloud already, and may have
        // been given to a row that isn't, since equal rows are interchangeable.
        if copies > 0 && !ours {
            self.bytes += row.tuple.bytes();
            entry.row = row;
        }
        entry.copies += copies;
        entry.messages += messages;
    }

    /// What keeping it costs, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn finish(
        self,
        table: TableId,
        parked: Option<&ParkedRows>,
        counts: &mut Counts,
    ) -> Vec<Step> {
        let mut steps: BTreeMap<(Work, bool), Vec<Row>> = BTreeMap::new();
        for entry in self.entries {
            if entry.lost_look() {
                let name = Row {
                    count: 1,
                    messages: 0,
                    ..entry.row.clone()
                };
                let recalled = steps.entry((Work::Recall, false)).or_default();
                recalled.push(name);
            }
            let Entry {
                mut row,
                copies,
                messages,
                ..
            } = entry;
            let written = messages.min(copies.unsigned_abs());
            counts.applied += written;
            counts.folded += messages - written;
            counts.deletes -= copies;
            // Copies that wait in the quarantine are not in the cloud yet, or still there: they come or go with the
            // new ones, or make these unnecessary.
            let waiting = parked.and_then(|rows| rows.get(&image(&row.layout, &row.tuple)));
            let waiting_copies = waiting.map_or(0, |parked| parked.copies);
            let total = copies.saturating_add(waiting_copies);
            if copies == 0 {
                continue;
            }
            row.count = total.unsigned_abs();
            row.messages = written;
            let work = if total < 0 {
                Work::RemoveCopies
            } else {
                Work::AddCopies
            };
            steps
                .entry((work, waiting.is_some()))
                .or_default()
                .push(row);
        }
        let step = |((work, parked), rows): ((Work, bool), Vec<Row>)| Step {
            table,
            work,
            shape: Shape {
                parked,
                ..Shape::default()
            },
            rows,
        };
        steps.into_iter().map(step).collect()
    }
}

impl Entry {
    /// Rows that stay, or of which some stay, may look otherwise on the desktop now than in the cloud. So may those that were
    /// there when new ones come: what came home before them could not tell the new ones from the others.
    fn lost_look(&self) -> bool {
        let gone = self.looks.values().any(|copies| *copies < 0);
        let come = self.looks.values().filter(|copies| **copies > 0).count();
        gone || come > 1 || come > 0 && self.copies > 0
    }
}

/// The columns by which a row is told from others, as comparable bytes.
pub(super) fn image(layout: &Layout, tuple: &Tuple) -> Vec<u8> {
    bytes_of(&layout.naming(tuple))
}

fn bytes_of(cells: &[Cell<'_>]) -> Vec<u8> {
    let mut image = Vec::with_capacity(16 * cells.len());
    for cell in cells {
        if put(&mut image, *cell).is_none() {
            image.push(0);
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::super::tests::{change_of, fold_all, row, table, transactions};
    use super::*;
    use crate::model::{Hand, Key, Old, Operation, Table, Tables};

    /// `note` is the cloud's own, and comes home.
    fn ticking() -> Tables {
        let mut table: Table = table(Key::Multiset).get(TableId(0)).clone();
        table.columns[2].cloud_owned = true;
        table.returns = true;
        Tables::new(vec![table])
    }

    #[test]
    fn u08_what_came_home_to_a_row_on_its_way_is_not_sent_back_and_asked_for_again() {
        let (unticked, ticked) = (row(1, (0, 0), 9), row(1, (0, 1), 9));
        let insert = change_of(Operation::Insert(unticked.clone()), Hand::Theirs);
        let leveled = Operation::Update {
            old: Some(Old {
                tuple: unticked.clone(),
                whole: true,
            }),
            new: ticked,
        };
        let changes = vec![insert, change_of(leveled, Hand::Ours)];
        let batch = fold_all(&transactions(changes, 1), &ticking(), &[]);
        let [recall, add] = &batch.steps[..] else {
            panic!("{:?}", batch.steps)
        };
        let (recall, add) = match recall.work {
            Work::Recall => (recall, add),
            _ => (add, recall),
        };
        assert_eq!((recall.work, add.work), (Work::Recall, Work::AddCopies));
        assert_eq!((add.rows[0].count, &add.rows[0].tuple), (1, &unticked));
    }
}
