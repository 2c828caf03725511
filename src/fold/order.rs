//! Changes in source order, as few steps as that allows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::admit::{Before, Effect};
use super::keyed::{key, unsent};
use super::park::{Parked, Parking};
use super::steps::shape;
use crate::model::{Layout, Row, Shape, Step, Table, TableId, Tuple, Work};

/// Neighbouring changes of tables with a key that one statement can carry out together.
#[derive(Default)]
pub(super) struct Runs {
    steps: Vec<Step>,
    /// Keys of each table's last step: a statement must not meet a row twice.
    keys: HashMap<TableId, HashSet<Vec<u8>>>,
    /// The change at hand was too large to be kept.
    too_large: Option<u64>,
    /// Parked rows as this batch leaves them.
    parked: HashMap<(TableId, Vec<u8>), Tuple>,
}

impl Runs {
    pub(super) fn push(&mut self, table: &Table, effect: Effect, parking: &Parking) {
        let Effect {
            layout,
            before,
            after,
            too_large,
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
            (Before::Sent(old), None) => {
                self.add(table, Work::Delete, row(old.tuple, None, 1), parking);
            }
            (Before::Sent(old), Some(new)) if key(&layout, &old.tuple) != key(&layout, &new) => {
                // A parked row has nothing in the cloud that could be moved.
                let parked = self
                    .parked_image(table, &layout, &old.tuple, parking)
                    .flatten();
                let own = table.own_layout();
                let new = match parked {
                    Some(image) => layout.merge(new, &image, &own),
                    None => new,
                };
                if unsent(&layout, &new) {
                    self.add(table, Work::Rekey, row(new, Some(old.tuple), 1), parking);
                } else {
                    self.add(table, Work::Delete, row(old.tuple, None, 0), parking);
                    self.add(table, Work::Upsert, row(new, None, 1), parking);
                }
            }
            (Before::Sent(old), Some(new)) => {
                let image = Some(old.tuple).filter(|_| old.whole && table.is_looked_up);
                self.add(table, Work::Upsert, row(new, image, 1), parking);
            }
            (_, Some(new)) => self.add(table, Work::Upsert, row(new, None, 1), parking),
            (Before::Absent | Before::Unsent, None) => {}
        }
    }

    fn add(&mut self, table: &Table, work: Work, mut row: Row, parking: &Parking) {
        let parked = self.parked_image(table, &row.layout, &row.tuple, parking);
        if let (Some(Some(image)), Work::Upsert) = (&parked, work) {
            let own = table.own_layout();
            row.tuple = row.layout.merge(row.tuple, image, &own);
            let name = key(&row.layout, &row.tuple).unwrap_or_default();
            let now = own.adopt(&row.tuple, &row.layout);
            self.parked.insert((table.id, name), now);
        }
        let shape = Shape {
            parked: parked.is_some(),
            too_large: self
                .too_large
                .filter(|_| work == Work::Upsert && unsent(&row.layout, &row.tuple)),
            ..shape(table, &row, work)
        };
        let name = key(&row.layout, &row.tuple).unwrap_or_default();
        let last = self
            .steps
            .iter_mut()
            .rev()
            .find(|step| step.table == table.id);
        let last =
            last.filter(|last| last.work == work && last.shape == shape && work != Work::Rekey);
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

    /// How the parked version of a row looks at this point, if there is one.
    fn parked_image(
        &self,
        table: &Table,
        layout: &Layout,
        tuple: &Tuple,
        parking: &Parking,
    ) -> Option<Option<Tuple>> {
        let rows = parking.of(table.id)?;
        let name = key(layout, tuple)?;
        if let Some(tuple) = self.parked.get(&(table.id, name.clone())) {
            return Some(Some(tuple.clone()));
        }
        rows.get(&name).map(|Parked { tuple, .. }| tuple.clone())
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
