//! Changes in source order, as few steps as that allows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::classify::{Before, Effect};
use super::names::{key, unsent};
use super::quarantine::{Quarantine, QuarantinedRow};
use super::steps::shape;
use crate::model::{Layout, Row, Step, StepKind, StepShape, Table, TableId, Tables, Tuple};

/// Neighbouring changes of tables with a key that one statement can carry out together.
#[derive(Default)]
pub(super) struct Runs {
    steps: Vec<Step>,
    /// Keys of each table's last step: a statement must not meet a row twice.
    keys: HashMap<TableId, HashSet<Vec<u8>>>,
    /// The change at hand was too large to be kept.
    too_large: Option<u64>,
    /// Rows as this batch leaves them: what is not sent of a later change stands here, wherever the row is.
    images: HashMap<(TableId, Vec<u8>), Image>,
}

/// A row as the batch leaves it.
struct Image {
    tuple: Tuple,
    /// It was too large: what is unsent of it is not what the cloud has.
    lacks_values: bool,
}

/// What is known of a row before a change.
struct Past {
    /// How it looks, laid out as [`Table::own_layout`] says.
    image: Option<Tuple>,
    /// An earlier version of it is parked...
    parked: bool,
    /// ...without its values.
    lacks_values: bool,
}

impl Runs {
    /// Takes the changes of one transaction.
    pub(super) fn push_all(
        &mut self,
        effects: Vec<(TableId, Effect)>,
        tables: &Tables,
        parking: &Quarantine,
    ) {
        // A row that goes and comes again within a transaction is the same row: what the cloud owns of it stays. One that is
        // made in it is inserted with what the transaction leaves there.
        let mut last: HashMap<(TableId, Vec<u8>), (usize, Tuple)> = HashMap::new();
        for (at, (table, effect)) in effects.iter().enumerate() {
            let arrives = effect.after.as_ref().filter(|_| effect.layout.looks());
            let arrives = arrives.and_then(|new| Some((key(&effect.layout, new)?, new)));
            if let Some((name, new)) = arrives {
                last.insert((*table, name), (at, new.clone()));
            }
        }
        for (at, (table, mut effect)) in effects.into_iter().enumerate() {
            let layout = effect.layout.clone();
            let last = |tuple: &Tuple| last.get(&(table, key(&layout, tuple)?));
            let comes_again = match &effect.before {
                Before::Sent(old) if layout.looks() => {
                    last(&old.tuple).is_some_and(|(last, _)| *last > at)
                }
                _ => false,
            };
            if layout.looks() {
                effect.after = effect.after.map(|new| match last(&new) {
                    Some((_, left)) => layout.with_look_of(new, left),
                    None => new,
                });
            }
            self.push(tables.get(table), effect, (parking, comes_again));
        }
    }

    /// `comes_again`: a later change of the same transaction makes a row with the key that this one takes away.
    fn push(&mut self, table: &Table, effect: Effect, (parking, comes_again): (&Quarantine, bool)) {
        let Effect {
            layout,
            before,
            after,
            too_large,
            ..
        } = effect;
        let row = |tuple: Tuple, old: Option<Tuple>, messages: u64| Row {
            layout: Arc::<Layout>::clone(&layout),
            tuple,
            old,
            count: 1,
            messages,
        };
        self.too_large = too_large;
        match (before, after) {
            (Before::Sent(_), None) if comes_again => {}
            (Before::Sent(old), None) => {
                self.add(
                    table,
                    StepKind::Delete,
                    row(old.tuple, None, 1),
                    (parking, false),
                );
            }
            (Before::Sent(old), Some(new)) if key(&layout, &old.tuple) != key(&layout, &new) => {
                let past = self.past(table, &layout, &old.tuple, parking);
                let own = table.own_layout();
                let new = match &past.image {
                    Some(image) => layout.merge(new, image, &own),
                    None => new,
                };
                if unsent(&layout, &new) {
                    let row = row(new, Some(old.tuple), 1);
                    self.add(table, StepKind::Rekey, row, (parking, past.parked));
                } else {
                    if !comes_again {
                        let gone = row(old.tuple, None, 0);
                        self.add(table, StepKind::Delete, gone, (parking, false));
                    }
                    self.add(table, StepKind::Upsert, row(new, None, 1), (parking, false));
                }
            }
            (Before::Sent(old), Some(new)) => {
                let image = Some(old.tuple).filter(|_| old.whole && table.is_looked_up);
                self.add(
                    table,
                    StepKind::Upsert,
                    row(new, image, 1),
                    (parking, false),
                );
            }
            (_, Some(new)) => {
                self.add(table, StepKind::Upsert, row(new, None, 1), (parking, false))
            }
            (Before::Absent | Before::Unsent, None) => {}
        }
    }

    /// `parked`: it is parked under its old key.
    fn add(
        &mut self,
        table: &Table,
        work: StepKind,
        mut row: Row,
        (parking, parked): (&Quarantine, bool),
    ) {
        let past = self.past(table, &row.layout, &row.tuple, parking);
        let own = table.own_layout();
        if let (Some(image), StepKind::Upsert, None) = (&past.image, work, self.too_large) {
            row.tuple = row.layout.merge(row.tuple, image, &own);
        }
        let name = key(&row.layout, &row.tuple).unwrap_or_default();
        let lacks = work == StepKind::Upsert && unsent(&row.layout, &row.tuple);
        let too_large = self.too_large.or(past.lacks_values.then_some(0));
        let too_large = too_large.filter(|_| lacks);
        if work == StepKind::Upsert {
            let now = Image {
                tuple: own.adopt(&row.tuple, &row.layout),
                lacks_values: too_large.is_some(),
            };
            self.images.insert((table.id, name.clone()), now);
        } else {
            self.images.remove(&(table.id, name.clone()));
        }
        let shape = StepShape {
            parked: past.parked || parked,
            too_large,
            ..shape(table, &row, work)
        };
        let last = self
            .steps
            .iter_mut()
            .rev()
            .find(|step| step.table == table.id);
        let last =
            last.filter(|last| last.work == work && last.shape == shape && work != StepKind::Rekey);
        let keys = self.keys.entry(table.id).or_default();
        if let Some(last) = last
            && keys.insert(name.clone())
        {
            last.rows.push(row);
            return;
        }
        *keys = HashSet::from([name]);
        self.steps.push(Step {
            table: table.id,
            work,
            shape,
            rows: vec![row],
        });
    }

    fn past(&self, table: &Table, layout: &Layout, tuple: &Tuple, parking: &Quarantine) -> Past {
        let name = key(layout, tuple).unwrap_or_default();
        let parked = parking.of(table.id).and_then(|rows| rows.get(&name));
        let image = self.images.get(&(table.id, name));
        Past {
            image: match image {
                Some(image) => Some(image.tuple.clone()),
                None => parked.and_then(|parked| parked.tuple.clone()),
            },
            parked: parked.is_some(),
            lacks_values: match image {
                Some(image) => image.lacks_values,
                None => parked.is_some_and(QuarantinedRow::lacks_values),
            },
        }
    }

    /// The steps of one table.
    pub(super) fn finish(&mut self, table: TableId) -> Vec<Step> {
        let (its, others) = std::mem::take(&mut self.steps)
            .into_iter()
            .partition(|step| step.table == table);
        self.steps = others;
        its
    }
}
