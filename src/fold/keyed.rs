//! Many changes of one key become one.

use std::collections::HashMap;
use std::sync::Arc;

use super::admit::{Before, Effect};
use crate::model::{
    Batch, Cell, Counts, Halt, Key, Layout, Old, Row, Shape, Step, Table, TableId, Tuple, Work,
};

/// What a batch does to the rows of one table, by key.
#[derive(Default)]
pub(super) struct Nets {
    index: HashMap<Vec<u8>, usize>,
    nets: Vec<Net>,
    needs_order: bool,
    unsent_key: bool,
}

/// What a batch does to one key.
struct Net {
    /// Whether the row existed before the batch, and how it looked, where that was sent.
    existed: bool,
    image: Option<Tuple>,
    /// The rows that have the key now: at most one once the batch is whole.
    live: Live,
    /// A tuple that holds the key's values.
    witness: Tuple,
    layout: Arc<Layout>,
    messages: u64,
}

impl Nets {
    pub(super) fn push(&mut self, table: &Table, effect: Effect) {
        let Effect {
            layout,
            before,
            after,
        } = effect;
        let new_key = after.as_ref().and_then(|new| key(table, &layout, new));
        match (before, after) {
            (Before::Absent, Some(new)) => {
                let net = self.net(new_key, false, None, &new, &layout);
                net.messages += 1;
                net.live.push(new);
            }
            (Before::Sent(old), None) => {
                let key = key(table, &layout, &old.tuple);
                let net = self.existing(key, &old, &layout);
                net.messages += 1;
                net.remove(&old);
            }
            (Before::Unsent, Some(new)) => self.update_in_place(new_key, None, new, &layout),
            (Before::Sent(old), Some(new)) => {
                let old_key = key(table, &layout, &old.tuple);
                if old_key == new_key {
                    self.update_in_place(new_key, Some(old), new, &layout);
                } else {
                    self.needs_order |= unsent(&layout, &new);
                    self.existing(old_key, &old, &layout).remove(&old);
                    let net = self.net(new_key, false, None, &new, &layout);
                    net.messages += 1;
                    net.live.push(new);
                }
            }
            (Before::Absent | Before::Unsent, None) => {}
        }
    }

    fn update_in_place(
        &mut self,
        key: Option<Vec<u8>>,
        old: Option<Old>,
        new: Tuple,
        layout: &Arc<Layout>,
    ) {
        let net = match &old {
            Some(old) => self.existing(key, old, layout),
            None => self.net(key, true, None, &new, layout),
        };
        net.messages += 1;
        let mut apart = false;
        match net.position(old.as_ref()) {
            Some(at) => {
                // What was not sent stands in an image of another layout: the cloud has to merge them.
                let same_layout = net.layout == *layout;
                apart = !same_layout && unsent(layout, &new);
                let row = net.live.at(at);
                *row = if same_layout { new.over(row) } else { new };
            }
            None => net.live.push(new),
        }
        net.layout = layout.clone();
        self.needs_order |= apart;
    }

    /// The net of a row that was there when the change came.
    fn existing(&mut self, key: Option<Vec<u8>>, old: &Old, layout: &Arc<Layout>) -> &mut Net {
        let image = old.whole.then(|| old.tuple.clone());
        self.net(key, true, image, &old.tuple, layout)
    }

    fn net(
        &mut self,
        key: Option<Vec<u8>>,
        existed: bool,
        image: Option<Tuple>,
        witness: &Tuple,
        layout: &Arc<Layout>,
    ) -> &mut Net {
        self.unsent_key |= key.is_none();
        let at = *self
            .index
            .entry(key.unwrap_or_default())
            .or_insert_with(|| {
                let live = Live {
                    one: image.clone(),
                    more: Vec::new(),
                };
                let (witness, layout) = (witness.clone(), layout.clone());
                self.nets.push(Net {
                    existed,
                    image,
                    live,
                    witness,
                    layout,
                    messages: 0,
                });
                self.nets.len() - 1
            });
        &mut self.nets[at]
    }

    /// Writes steps, counts and halts.
    pub(super) fn finish(
        self,
        table: &Table,
        counts: &mut Counts,
        batch: &mut Batch,
        halted: &mut Vec<Halt>,
    ) {
        if self.unsent_key {
            let why = "a column of the key was not sent (a stored-apart value that did not change); choose a key without it";
            halted.push(Halt {
                table: table.id,
                why: why.to_owned(),
            });
            return;
        }
        batch.needs_order |= self.needs_order;
        let mut steps = Steps::new(table.id);
        for mut net in self.nets {
            if net.live.rows() > 1 {
                halted.push(Halt {
                    table: table.id,
                    why: not_unique(table, &net),
                });
                return;
            }
            let row = net.live.one.take();
            let unchanged = match (&net.image, &row) {
                (Some(before), Some(after)) => {
                    net.existed && same_content(&net.layout, before, after)
                }
                (_, None) => !net.existed,
                (None, Some(_)) => false,
            };
            if unchanged {
                counts.folded += net.messages;
                continue;
            }
            let written = net.messages.min(1);
            counts.applied += written;
            counts.folded += net.messages - written;
            let work = if row.is_some() {
                Work::Upsert
            } else {
                Work::Delete
            };
            let tuple = row.unwrap_or(net.witness);
            steps.push(
                table,
                work,
                Row {
                    layout: net.layout,
                    tuple,
                    old: None,
                    count: 1,
                },
            );
        }
        // A delete of one spelling of a key must not follow the insert of another.
        batch.needs_order |= !table.has_exact_key() && steps.removes_and_writes();
        batch.steps.extend(steps.list);
    }
}

impl Net {
    fn remove(&mut self, old: &Old) {
        if let Some(at) = self.position(Some(old)) {
            self.live.remove(at);
        }
    }

    /// Which of the live rows a change means: the one that looks like its old image, else the first.
    /// An old image that was never inserted in this batch is the row that was there before: a new
    /// version may be inserted before the old one is deleted.
    fn position(&mut self, old: Option<&Old>) -> Option<usize> {
        if let Some(old) = old.filter(|old| old.whole) {
            let equal = self
                .live
                .iter()
                .position(|row| same_content(&self.layout, row, &old.tuple));
            if equal.is_none() && !self.existed {
                self.existed = true;
                self.image = Some(old.tuple.clone());
                return None;
            }
            if equal.is_some() {
                return equal;
            }
        }
        if self.live.one.is_none() {
            None
        } else {
            Some(0)
        }
    }
}

/// Rows of one key; nearly always one or none, and then nothing is allocated for them.
#[derive(Default)]
struct Live {
    one: Option<Tuple>,
    /// Further rows; empty while there is no first.
    more: Vec<Tuple>,
}

impl Live {
    fn rows(&self) -> usize {
        usize::from(self.one.is_some()) + self.more.len()
    }

    fn iter(&self) -> impl Iterator<Item = &Tuple> {
        self.one.iter().chain(&self.more)
    }

    fn push(&mut self, row: Tuple) {
        match self.one {
            None => self.one = Some(row),
            Some(_) => self.more.push(row),
        }
    }

    /// The row at a place that [`Net::position`] gave.
    fn at(&mut self, at: usize) -> &mut Tuple {
        match at.checked_sub(1) {
            Some(further) => &mut self.more[further],
            None => self.one.get_or_insert_with(|| Tuple::from_cells([])),
        }
    }

    fn remove(&mut self, at: usize) {
        match at.checked_sub(1) {
            Some(further) => drop(self.more.remove(further)),
            None => self.one = self.more.pop(),
        }
    }
}

fn not_unique(table: &Table, net: &Net) -> String {
    let Key::Columns(columns) = &table.key else {
        return String::new();
    };
    let names: Vec<_> = columns
        .iter()
        .map(|column| table.columns[*column].cloud.as_str())
        .collect();
    let values = key_cells(table, &net.layout, &net.witness).map(|cell| match cell {
        Cell::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Cell::Null | Cell::Unchanged => "NULL".to_owned(),
    });
    let values: Vec<_> = values.collect();
    let (names, values, rows) = (names.join(", "), values.join(", "), net.live.rows());
    format!(
        "the key ({names}) = ({values}) names {rows} rows on the desktop; choose a longer key, or key = [] to count equal rows"
    )
}

/// The key's cells, in the key's order.
fn key_cells<'a>(
    table: &'a Table,
    layout: &'a Layout,
    tuple: &'a Tuple,
) -> impl Iterator<Item = Cell<'a>> {
    let cells: Vec<_> = tuple.cells().collect();
    let columns: &[usize] = match &table.key {
        Key::Columns(columns) => columns,
        Key::Multiset => &[],
    };
    // A constant in the key is equal in all rows: it names nothing.
    columns
        .iter()
        .filter_map(move |column| layout.attribute(*column).map(|at| cells[at]))
}

/// The key's values as comparable bytes; none when one of them was not sent.
pub(super) fn key(table: &Table, layout: &Layout, tuple: &Tuple) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(24);
    for cell in key_cells(table, layout, tuple) {
        match cell {
            Cell::Null => key.push(0),
            Cell::Unchanged => return None,
            Cell::Text(text) => {
                key.push(1);
                key.extend_from_slice(&(text.len() as u32).to_be_bytes());
                key.extend_from_slice(text);
            }
        }
    }
    Some(key)
}

fn same_content(layout: &Layout, before: &Tuple, after: &Tuple) -> bool {
    let cells = layout.slots.iter().zip(before.cells().zip(after.cells()));
    before.columns() == after.columns()
        && cells
            .filter(|(slot, _)| slot.is_some())
            .all(|(_, (a, b))| a == b)
}

/// Whether a mapped column was not sent.
pub(super) fn unsent(layout: &Layout, tuple: &Tuple) -> bool {
    layout
        .slots
        .iter()
        .zip(tuple.cells())
        .any(|(slot, cell)| slot.is_some() && cell == Cell::Unchanged)
}

/// What rows that one statement can serve have in common.
pub(super) fn shape(table: &Table, row: &Row, work: Work) -> Shape {
    let mut shape = Shape::default();
    for (slot, cell) in row.layout.slots.iter().zip(row.tuple.cells()) {
        let Some(column) = slot.map(usize::from) else {
            continue;
        };
        match (cell, &table.key) {
            (Cell::Unchanged, _) if work != Work::Delete => shape.unsent.push(column),
            (Cell::Null, Key::Columns(key)) if key.contains(&column) => {
                shape.null_keys.push(column)
            }
            _ => {}
        }
    }
    shape
}

/// Rows gathered into steps by what they have in common.
pub(super) struct Steps {
    table: TableId,
    list: Vec<Step>,
    index: HashMap<(Work, Shape), usize>,
}

impl Steps {
    pub(super) fn new(table: TableId) -> Self {
        Steps {
            table,
            list: Vec::new(),
            index: HashMap::new(),
        }
    }

    fn removes_and_writes(&self) -> bool {
        let removes = |step: &Step| step.work == Work::Delete;
        self.list.iter().any(removes) && !self.list.iter().all(removes)
    }

    fn push(&mut self, table: &Table, work: Work, row: Row) {
        let shape = shape(table, &row, work);
        let at = *self
            .index
            .entry((work, shape))
            .or_insert_with_key(|(work, shape)| {
                self.list.push(Step {
                    table: self.table,
                    work: *work,
                    shape: shape.clone(),
                    rows: Vec::new(),
                });
                self.list.len() - 1
            });
        self.list[at].rows.push(row);
    }
}
