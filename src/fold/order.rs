//! Changes in source order, as few steps as that allows.

use std::collections::HashSet;

use super::admit::{Before, Effect};
use super::keyed::{key, shape, unsent};
use super::multiset::image;
use crate::model::{Key, Row, Step, Table, Tuple, Work};

/// Neighbouring changes that one statement can carry out together.
#[derive(Default)]
pub(super) struct Runs {
    steps: Vec<Step>,
    /// Keys of the last step: a statement must not meet a row twice.
    keys: HashSet<Vec<u8>>,
}

impl Runs {
    pub(super) fn push(&mut self, table: &Table, effect: Effect) {
        let Effect {
            layout,
            before,
            after,
        } = effect;
        let row = |tuple: Tuple, old| Row {
            layout: layout.clone(),
            tuple,
            old,
            count: 1,
        };
        let multiset = table.key == Key::Multiset;
        match (before, after) {
            (Before::Sent(old), None) if multiset => {
                self.add(table, Work::RemoveCopies, row(old.tuple, None))
            }
            (Before::Sent(old), Some(new)) if multiset => {
                self.add(table, Work::RemoveCopies, row(old.tuple, None));
                self.add(table, Work::AddCopies, row(new, None));
            }
            (_, Some(new)) if multiset => self.add(table, Work::AddCopies, row(new, None)),
            (Before::Sent(old), None) => self.add(table, Work::Delete, row(old.tuple, None)),
            (Before::Sent(old), Some(new))
                if key(table, &layout, &old.tuple) != key(table, &layout, &new) =>
            {
                if unsent(&layout, &new) {
                    self.add(table, Work::Rekey, row(new, Some(old.tuple)));
                } else {
                    self.add(table, Work::Delete, row(old.tuple, None));
                    self.add(table, Work::Upsert, row(new, None));
                }
            }
            (_, Some(new)) => self.add(table, Work::Upsert, row(new, None)),
            (Before::Absent | Before::Unsent, None) => {}
        }
    }

    fn add(&mut self, table: &Table, work: Work, row: Row) {
        let shape = shape(table, &row, work);
        let name = match &table.key {
            Key::Multiset => image(&row.layout, &row.tuple),
            Key::Columns(_) => key(table, &row.layout, &row.tuple).unwrap_or_default(),
        };
        let fits = self.steps.last().is_some_and(|last| {
            last.table == table.id
                && last.work == work
                && last.shape == shape
                && work != Work::Rekey
        });
        if fits && self.keys.insert(name.clone()) {
            if let Some(last) = self.steps.last_mut() {
                last.rows.push(row);
            }
            return;
        }
        self.keys = HashSet::from([name]);
        self.steps.push(Step {
            table: table.id,
            work,
            shape,
            rows: vec![row],
        });
    }

    pub(super) fn finish(self) -> Vec<Step> {
        self.steps
    }
}
