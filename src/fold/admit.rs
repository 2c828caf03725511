//! Whose row is it, and which table's? The first question about every change.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::model::{
    Change, Counts, Halt, Layout, Lsn, Oid, Old, Operation, Relation, TableId, Tables, Transaction,
    Tuple,
};

/// What is known of the tables while the stream runs: how their tuples are laid out, which have
/// stopped, and from which position on each one's changes count.
#[derive(Default)]
pub struct Book {
    known: HashMap<Oid, (Arc<Relation>, Known)>,
    stopped: HashSet<TableId>,
    copied_at: HashMap<TableId, Lsn>,
}

#[derive(Clone)]
enum Known {
    /// Published, but not one of ours.
    Foreign,
    Ours(TableId, Arc<Layout>),
    /// The desktop's table is no longer the one that was mapped, and why.
    Misfit(TableId, String),
}

/// A change of a row that is ours.
pub(super) struct Effect {
    pub(super) layout: Arc<Layout>,
    pub(super) before: Before,
    /// The row after the change; none when it is gone.
    pub(super) after: Option<Tuple>,
}

/// The row before a change.
pub(super) enum Before {
    /// There was none.
    Absent,
    /// Not sent: its key is the new row's.
    Unsent,
    /// Sent: the whole row, or its identity.
    Sent(Old),
}

impl Book {
    /// Changes committed before `at` are in the table's copy already.
    pub fn copied_at(&mut self, table: TableId, at: Lsn) {
        self.copied_at.insert(table, at);
    }

    /// From now on changes of this table are only counted as missed.
    pub fn stop(&mut self, table: TableId) {
        self.stopped.insert(table);
    }

    /// Whether the table was stopped.
    pub fn is_stopped(&self, table: TableId) -> bool {
        self.stopped.contains(&table)
    }

    /// Sorts one change: into an effect on a row of ours, or into a count.
    pub(super) fn admit(
        &mut self,
        change: &Change,
        transaction: &Transaction,
        tables: &Tables,
        counts: &mut BTreeMap<TableId, Counts>,
    ) -> Result<Option<(TableId, Effect)>, Halt> {
        let (table, layout) = match self.look_up(&change.relation, tables) {
            Known::Foreign => return Ok(None),
            Known::Ours(table, layout) => (table, layout),
            Known::Misfit(table, why) if !self.is_stopped(table) => {
                self.stop(table);
                return Err(Halt { table, why });
            }
            Known::Misfit(table, _) => {
                counts.entry(table).or_default().missed += 1;
                return Ok(None);
            }
        };
        if self
            .copied_at
            .get(&table)
            .is_some_and(|at| transaction.commit < *at)
        {
            return Ok(None);
        }
        let counts = counts.entry(table).or_default();
        if self.is_stopped(table) {
            counts.missed += 1;
            return Ok(None);
        }
        if change.operation == Operation::Truncate {
            self.stop(table);
            let why = "the desktop's table was emptied with TRUNCATE, which this version does not carry over".to_owned();
            return Err(Halt { table, why });
        }
        counts.received += 1;
        let effect = effect(&change.operation, layout);
        counts.ruled_out += u64::from(effect.is_none());
        Ok(effect.map(|effect| (table, effect)))
    }

    fn look_up(&mut self, relation: &Arc<Relation>, tables: &Tables) -> Known {
        if let Some((seen, known)) = self.known.get(&relation.oid)
            && Arc::ptr_eq(seen, relation)
        {
            return known.clone();
        }
        let known = match (tables.of(relation), tables.with_oid(relation.oid)) {
            (None, None) => Known::Foreign,
            (None, Some(table)) => {
                let why = format!(
                    "the desktop's table was renamed to {}.{}",
                    relation.schema, relation.name
                );
                Known::Misfit(table.id, why)
            }
            (Some(table), _) if table.desktop_oid != relation.oid => {
                let why =
                    "the desktop's table was dropped and made again; a restart copies it anew";
                Known::Misfit(table.id, why.to_owned())
            }
            (Some(table), _) => match table.layout(relation) {
                Ok(layout) => Known::Ours(table.id, Arc::new(layout)),
                Err(column) => {
                    let why = format!(
                        "column {column} is gone from the desktop's table; the settings still map it"
                    );
                    Known::Misfit(table.id, why)
                }
            },
        };
        self.known
            .insert(relation.oid, (relation.clone(), known.clone()));
        known
    }
}

/// The effect on rows of ours; none when neither the old nor the new row is.
fn effect(operation: &Operation, layout: Arc<Layout>) -> Option<Effect> {
    let (before, after) = match operation {
        Operation::Insert(new) => (Before::Absent, Some(new.clone())),
        Operation::Delete(old) => (Before::Sent(old.clone()), None),
        Operation::Update { old: None, new } => (Before::Unsent, Some(new.clone())),
        Operation::Update {
            old: Some(old),
            new,
        } => {
            let new = if old.whole {
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
        // The identity's columns alone don't say whose the row was; the statement's own guard does.
        Before::Sent(old) if !old.whole => after.as_ref().is_none_or(|new| layout.admits(new)),
        Before::Sent(old) => layout.admits(&old.tuple),
    };
    let is_ours = after.as_ref().is_some_and(|new| layout.admits(new));
    match (was_ours, is_ours) {
        (false, false) => None,
        (true, true) => Some(Effect {
            layout,
            before,
            after,
        }),
        (true, false) => Some(Effect {
            layout,
            before,
            after: None,
        }),
        (false, true) => Some(Effect {
            layout,
            before: Before::Absent,
            after,
        }),
    }
}
