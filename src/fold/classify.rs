//! Whose row is it, and which table's? The first question about every change.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::quarantine::Quarantine;
use crate::model::{
    Change, ChangeOrigin, Counts, Key, Layout, Name, Oid, Old, Operation, Recovery, Relation,
    TableId, TableStop, Tables, Tuple,
};

/// What is known of the tables while the stream runs: which have stopped, and which of their rows wait.
#[derive(Clone, Default)]
pub struct StreamState {
    stopped: BTreeSet<TableId>,
    /// Tables that stop with the batch at hand, once it is sent.
    stopping: BTreeSet<TableId>,
    /// Rows in the quarantine.
    pub parking: Quarantine,
}

/// Sorts changes by table; it remembers how each table's tuples are laid out.
#[derive(Default)]
pub struct Classifier {
    known: HashMap<Oid, (Arc<Relation>, Known)>,
}

#[derive(Clone)]
enum Known {
    /// Published, but not one of ours.
    Foreign,
    Ours(TableId, Arc<Layout>),
    /// The desktop's table is no longer the one that was mapped.
    Misfit(TableStop),
}

/// What a change is to us, whatever has become of its table.
pub enum Classified {
    /// No table of ours.
    Foreign,
    /// The desktop's table doesn't fit any more.
    Misfit(TableStop),
    /// All rows are gone.
    Emptied(TableId),
    /// A row that isn't ours to send, before and after.
    RuledOut(TableId),
    /// A row of ours.
    Effect(TableId, Effect),
}

/// A change of a row that is ours.
#[derive(Clone, Debug)]
pub struct Effect {
    /// Where the columns of its tuples are.
    pub layout: Arc<Layout>,
    /// The row before.
    pub before: Before,
    /// The row after the change; none when it is gone.
    pub after: Option<Tuple>,
    /// It was too large to be kept: so many bytes, and what is unsent of it is not what the cloud has.
    pub too_large: Option<u64>,
    /// The row is the phone's, before and after.
    pub mobile: bool,
    /// By whom it was made.
    pub hand: ChangeOrigin,
    /// Which transaction of the batch it belongs to: whatever is decided from images is decided transaction by
    /// transaction, so that it doesn't matter which of them a batch gathers (P17).
    pub transaction: u32,
}

/// The row before a change.
#[derive(Clone, Debug)]
pub enum Before {
    /// There was none.
    Absent,
    /// Not sent: its key is the new row's.
    Unsent,
    /// Sent: the whole row, or its identity.
    Sent(Old),
}

impl StreamState {
    /// The table stops with the batch at hand: until that is sent or put back, its changes count as missed.
    pub fn stop_for_now(&mut self, table: TableId) {
        self.stopping.insert(table);
    }

    /// The batch at hand is sent: its tables stop with it.
    pub fn stop_for_good(&mut self) {
        for table in std::mem::take(&mut self.stopping) {
            self.stop(table);
        }
    }

    /// The batch at hand waits, and is looked at again.
    pub fn look_again(&mut self) {
        self.stopping.clear();
    }

    /// From now on changes of this table are only counted as missed.
    pub fn stop(&mut self, table: TableId) {
        self.stopped.insert(table);
        self.parking.clear(table);
    }

    /// From now on changes of this table are written (again): the cloud has a copy of it.
    pub fn resume(&mut self, table: TableId) {
        self.stopped.remove(&table);
    }

    /// Parked rows of tables that have stopped don't wait: a new copy will have them.
    pub fn forget_stopped(&mut self) {
        for table in &self.stopped {
            self.parking.clear(*table);
        }
    }

    /// The tables that were stopped.
    pub fn stopped(&self) -> &BTreeSet<TableId> {
        &self.stopped
    }

    /// Whether the table was stopped.
    pub fn is_stopped(&self, table: TableId) -> bool {
        self.stopped.contains(&table) || self.stopping.contains(&table)
    }

    /// Adds what became of a number of messages, if the table streams, which is the answer. A table that has
    /// stopped misses them.
    pub fn streams(&self, table: TableId, counts: &Counts, sum: &mut Counts) -> bool {
        let streams = !self.is_stopped(table);
        if streams {
            sum.add(*counts);
        } else {
            sum.missed += counts.received;
        }
        streams
    }

    /// Counts a change that does nothing; says whether it has to be folded instead.
    pub(super) fn counts(&self, table: TableId, counts: &mut Counts) -> bool {
        let streams = !self.is_stopped(table);
        if !streams {
            counts.missed += 1;
        }
        streams
    }
}

impl Classified {
    /// The same, as a change of this transaction of the batch.
    pub fn of_transaction(mut self, transaction: u32) -> Classified {
        if let Classified::Effect(_, effect) = &mut self {
            effect.transaction = transaction;
        }
        self
    }
}

impl Classifier {
    /// Sorts one change.
    pub fn sort(&mut self, change: &Change, tables: &Tables) -> Classified {
        let (table, layout) = match self.look_up(&change.relation, tables) {
            Known::Foreign => return Classified::Foreign,
            Known::Misfit(halt) => return Classified::Misfit(halt),
            Known::Ours(table, layout) => (table, layout),
        };
        if change.operation == Operation::Truncate {
            return match &tables.get(table).leaves {
                None => Classified::Emptied(table),
                // What of it was left can't be told from one partition.
                Some(_) => {
                    let why = "a partition of the desktop's table was emptied; it is copied anew";
                    Classified::Misfit(TableStop {
                        table,
                        why: why.to_owned(),
                        way: Recovery::Recopy,
                    })
                }
            };
        }
        if change.hand == ChangeOrigin::Echo {
            return Classified::RuledOut(table);
        }
        let keyed = tables.get(table).key != Key::Multiset;
        let effect = effect(&change.operation, layout, change.too_large.is_some());
        match effect.filter(|effect| keyed || !effect.mobile) {
            Some(effect) => {
                // What was left out of an old row is not missed.
                let too_large = change
                    .too_large
                    .filter(|_| effect.after.as_ref().is_some_and(Tuple::has_unchanged));
                Classified::Effect(
                    table,
                    Effect {
                        too_large,
                        hand: change.hand,
                        ..effect
                    },
                )
            }
            None => Classified::RuledOut(table),
        }
    }

    fn look_up(&mut self, relation: &Arc<Relation>, tables: &Tables) -> Known {
        if let Some((seen, known)) = self.known.get(&relation.oid)
            && Arc::ptr_eq(seen, relation)
        {
            return known.clone();
        }
        let by_name = tables.named(&relation.schema, &relation.name);
        let misfit = |table: TableId, why: String, way: Recovery| {
            Known::Misfit(TableStop { table, why, way })
        };
        let known = match (by_name, tables.with_oid(relation.oid)) {
            (None, None) => Known::Foreign,
            (None, Some(table)) if table.desktop_oid == relation.oid => {
                let now = Name {
                    schema: relation.schema.clone(),
                    relation: relation.name.clone(),
                };
                let why = format!("the desktop's table was renamed to {}", now.in_full());
                misfit(table.id, why, Recovery::WhenSchemaFits)
            }
            (Some(table), _) if table.desktop_oid != relation.oid => {
                let why = "the desktop's table was dropped and made again; it is copied anew";
                misfit(table.id, why.to_owned(), Recovery::Recopy)
            }
            (_, Some(table)) | (Some(table), None) => match table.layout(relation) {
                Ok(layout) => Known::Ours(table.id, Arc::new(layout)),
                Err(why) => misfit(table.id, why, Recovery::WhenSchemaFits),
            },
        };
        self.known
            .insert(relation.oid, (relation.clone(), known.clone()));
        known
    }
}

/// The effect on rows of ours; none when neither the old nor the new row is. Of a `trimmed` row large values were left
/// out, which the old row doesn't have.
fn effect(operation: &Operation, layout: Arc<Layout>, trimmed: bool) -> Option<Effect> {
    let (before, after) = match operation {
        Operation::Insert(new) => (Before::Absent, Some(new.clone())),
        Operation::Delete(old) => (Before::Sent(old.clone()), None),
        Operation::Update { old: None, new } => (Before::Unsent, Some(new.clone())),
        Operation::Update {
            old: Some(old),
            new,
        } => {
            let new = if old.whole && !trimmed {
                new.clone().over(&old.tuple)
            } else {
                new.clone()
            };
            (Before::Sent(old.clone()), Some(new))
        }
        Operation::Truncate => return None,
    };
    let was_ours = match &before {
        Before::Absent => false,
        Before::Unsent => after.as_ref().is_some_and(|new| layout.admits(new)),
        // The identity's columns alone may not say whose the row was; the statement's own guard knows.
        Before::Sent(old) if !old.whole => layout.may_admit(&old.tuple),
        Before::Sent(old) => layout.admits(&old.tuple),
    };
    let is_ours = after.as_ref().is_some_and(|new| layout.admits(new));
    let is_mobile = after.as_ref().is_some_and(|new| layout.is_mobile(new));
    let was_mobile = match &before {
        Before::Absent => false,
        Before::Unsent => is_mobile,
        Before::Sent(old) => layout.is_mobile(&old.tuple),
    };
    let (before, after) = match (was_ours, is_ours) {
        (false, false) if !was_mobile && !is_mobile => return None,
        (false, false) if !was_mobile => (Before::Absent, after),
        (false, false) if !is_mobile => (before, None),
        (true, true) | (false, false) => (before, after),
        (true, false) => (before, None),
        (false, true) => (Before::Absent, after),
    };
    Some(Effect {
        layout,
        before,
        after,
        too_large: None,
        mobile: !was_ours && !is_ours,
        hand: ChangeOrigin::Desktop,
        transaction: 0,
    })
}
