//! Rows gathered by what one statement needs them to have in common.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{
    Cell, Key, Layout, Row, Source, Step, StepKind, StepShape, Table, TableId, Tuple,
};

/// What rows that one statement can serve have in common.
pub(super) fn shape(table: &Table, row: &Row, work: StepKind) -> StepShape {
    let mut shape = StepShape::default();
    if work != StepKind::Delete {
        for (slot, cell) in row.layout.slots.iter().zip(row.tuple.cells()) {
            if let (Some(slot), Cell::Unchanged) = (slot, cell) {
                shape.unsent.push(usize::from(*slot));
            }
        }
        shape.unsent.sort_unstable();
        shape.unreadable = row.layout.is_unreadable(&row.tuple);
    }
    if let Key::Columns(key) = &table.key {
        let is_null = |column: &&usize| {
            let Source::Arriving(arriving) = table.columns[**column].from else {
                return false;
            };
            let at = row.layout.attribute(arriving);
            at.is_some_and(|at| row.tuple.cells().nth(at) == Some(Cell::Null))
        };
        shape.null_keys = key.iter().filter(is_null).copied().collect();
    }
    shape
}

/// Rows gathered into steps by what they have in common.
pub(super) struct Steps {
    table: TableId,
    pub(super) list: Vec<Step>,
    index: HashMap<(StepKind, StepShape), usize>,
}

impl Steps {
    pub(super) fn new(table: TableId) -> Self {
        Steps {
            table,
            list: Vec::new(),
            index: HashMap::new(),
        }
    }

    pub(super) fn removes_and_writes(&self) -> bool {
        let removes = |step: &Step| step.work == StepKind::Delete;
        self.list.iter().any(removes) && !self.list.iter().all(removes)
    }

    /// What the desktop has in columns that are the cloud's own is compared with what the cloud has.
    pub(super) fn recall(&mut self, table: &Table, layout: Arc<Layout>, tuple: Tuple) {
        let row = Row {
            layout,
            tuple,
            old: None,
            count: 1,
            messages: 0,
        };
        let unsent = shape(table, &row, StepKind::Requeue).unsent;
        let shape = StepShape {
            unsent,
            ..StepShape::default()
        };
        self.push(StepKind::Requeue, row, shape);
    }

    pub(super) fn push(&mut self, work: StepKind, row: Row, shape: StepShape) {
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
