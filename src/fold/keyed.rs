//! Many changes of one key become one.

use std::collections::HashMap;
use std::sync::Arc;

use super::classify::{Before, Effect};
use super::names::{key, unsent};
use super::net::{Net, Version};
use super::quarantine::ParkedRows;
use super::steps::Steps;
use super::track::Moment;
use crate::limits;
use crate::model::{Cell, Counts, Layout, Old, Recovery, Step, StepKind, Table, TableStop, Tuple};

/// What a batch does to the rows of one table, by key.
#[derive(Default)]
pub(super) struct Nets {
    index: HashMap<Vec<u8>, usize>,
    nets: Vec<Net>,
    /// A row changed its key while a column was not sent.
    moves_unsent: bool,
    unsent_key: bool,
    /// The change at hand, where it matters when and by whom it was made.
    moment: Option<Moment>,
    /// What keeping all this costs, in bytes.
    bytes: usize,
}

impl Nets {
    pub(super) fn push(&mut self, effect: Effect) {
        self.moment = Moment::of(&effect);
        let Effect {
            layout,
            before,
            after,
            too_large,
            ..
        } = effect;
        let new_key = after.as_ref().and_then(|new| key(&layout, new));
        if let (Some(bytes), Some(new)) = (too_large, &after) {
            // What is missing of it must not be taken from an earlier version.
            let net = self.net(new_key.clone(), false, None, new, &layout);
            net.too_large = Some(bytes);
        }
        match (before, after) {
            (Before::Absent, Some(new)) => self.arrives(new_key, new.into(), &layout),
            (Before::Sent(old), None) => {
                let net = self.existing(key(&layout, &old.tuple), &old, &layout);
                net.messages += 1;
                net.deleted = true;
                net.remove(&old);
            }
            (Before::Unsent, Some(new)) => {
                self.update_in_place(new_key, None, new, &layout, too_large.is_some());
            }
            (Before::Sent(old), Some(new)) => {
                let old_key = key(&layout, &old.tuple);
                if old_key == new_key {
                    self.update_in_place(new_key, Some(old), new, &layout, too_large.is_some());
                } else {
                    let moved = self.leaves(old_key, old, new, &layout, too_large.is_some());
                    self.arrives(new_key, moved, &layout);
                }
            }
            (Before::Absent | Before::Unsent, None) => {}
        }
    }

    /// A row whose other half stands elsewhere leaves its key.
    pub(super) fn leave(&mut self, effect: Effect) {
        self.moment = Moment::of(&effect);
        if let Before::Sent(old) = effect.before {
            let net = self.existing(key(&effect.layout, &old.tuple), &old, &effect.layout);
            net.deleted = false;
            net.remove(&old);
        }
    }

    fn arrives(&mut self, key: Option<Vec<u8>>, row: Version, layout: &Arc<Layout>) {
        self.bytes += row.tuple.bytes();
        let net = self.net(key, false, None, &row.tuple, layout);
        net.messages += 1;
        net.live.push(row);
    }

    /// A row leaves its key; what was not sent of the new one stands in what the batch knew of it.
    fn leaves(
        &mut self,
        key: Option<Vec<u8>>,
        old: Old,
        new: Tuple,
        layout: &Arc<Layout>,
        trimmed: bool,
    ) -> Version {
        let net = self.existing(key, &old, layout);
        net.deleted = false;
        let left = net.remove(&old);
        let (tuple, origin) = match left {
            Some(version) if !trimmed => (new.over(&version.tuple), version.origin),
            _ => (new, None),
        };
        if trimmed {
            return tuple.into();
        }
        let origin = unsent(layout, &tuple).then(|| origin.unwrap_or_else(|| Box::new(old.tuple)));
        self.moves_unsent |= origin.is_some();
        Version { tuple, origin }
    }

    fn update_in_place(
        &mut self,
        key: Option<Vec<u8>>,
        old: Option<Old>,
        new: Tuple,
        layout: &Arc<Layout>,
        trimmed: bool,
    ) {
        self.bytes += new.bytes();
        let net = match &old {
            Some(old) => self.existing(key, old, layout),
            None => self.net(key, true, None, &new, layout),
        };
        net.messages += 1;
        let at = net.position(old.as_ref());
        match at.and_then(|at| net.live.at(at)) {
            // What was left out of it is in no earlier version.
            Some(version) if trimmed => version.tuple = new,
            Some(version) => version.tuple = new.over(&version.tuple),
            None => net.live.push(new.into()),
        }
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
                self.bytes += limits::NET_OVERHEAD + witness.bytes();
                let net = Net::new(existed, image.clone(), witness.clone(), layout.clone());
                self.nets.push(net);
                self.nets.len() - 1
            });
        let net = &mut self.nets[at];
        if !Arc::ptr_eq(&net.layout, layout) {
            net.lay_out(layout);
        }
        if let Some(moment) = self.moment {
            net.enter(moment, existed, image);
        }
        net
    }

    /// What keeping it costs, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The nets, in the order in which their keys came.
    pub(super) fn list(self) -> Vec<Net> {
        self.nets
    }

    /// The rows that have to be written, and what became of the messages.
    ///
    /// # Errors
    /// The key doesn't name one row, or wasn't sent.
    pub(super) fn finish(
        self,
        table: &Table,
        parked: Option<&ParkedRows>,
        counts: &mut Counts,
    ) -> Result<Finished, TableStop> {
        let halt = |why: String| TableStop {
            table: table.id,
            why,
            way: Recovery::Operator,
        };
        if self.unsent_key {
            return Err(halt("a column of the key was not sent (a stored-apart value that did not change); choose a key without it".to_owned()));
        }
        let own = table.own_layout();
        let mut steps = Steps::new(table.id);
        let mut tally = Counts::default();
        for mut net in self.nets {
            if net.live.rows() > 1 {
                return Err(halt(not_unique(table, &net)));
            }
            let parked = parked.and_then(|rows| rows.get(&key(&net.layout, &net.witness)?));
            let tracked = net.tracked();
            for compared in tracked.iter().flat_map(|tracked| &tracked.compared) {
                steps.recall(table, net.layout.clone(), compared.clone());
            }
            let (messages, deleted) = (net.messages, net.deleted);
            match net.settle(table, (parked, tracked.as_ref()), &own) {
                None => tally.folded += messages,
                Some((work, row, shape)) => {
                    tally.applied += row.messages;
                    tally.folded += messages - row.messages;
                    tally.deletes += i64::from(deleted && work == StepKind::Delete);
                    steps.push(work, row, shape);
                }
            }
        }
        counts.add(tally);
        // A delete of one spelling of a key must not follow the insert of another.
        let spelled = !table.has_exact_key() && steps.removes_and_writes();
        Ok(Finished {
            needs_order: self.moves_unsent || spelled,
            steps: steps.list,
        })
    }
}

/// What [`Nets`] come to.
pub(super) struct Finished {
    pub(super) steps: Vec<Step>,
    /// The folded form is not what the source did: it has to be written in source order.
    pub(super) needs_order: bool,
}

fn not_unique(table: &Table, net: &Net) -> String {
    let names: Vec<_> = table.key_names().collect();
    let cells: Vec<_> = net.witness.cells().collect();
    let values = net.layout.key().iter().map(|at| match cells[*at] {
        Cell::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Cell::Null | Cell::Unchanged => "NULL".to_owned(),
    });
    let values: Vec<_> = values.collect();
    let (names, values, rows) = (names.join(", "), values.join(", "), net.live.rows());
    format!(
        "the key ({names}) = ({values}) names {rows} rows on the desktop; choose a longer key, or key = [] to count equal rows"
    )
}
