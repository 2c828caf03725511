//! What was refused gets another form: in source order, row by row, or without the table that is to blame.

use super::attempt::{Attempt, BatchJob, LargeJob};
use super::notes::Note;
use super::state::Machine;
use crate::apply::ApplyError;
use crate::fault::{Fault, blames_table};
use crate::flows::copy::{is_ours, not_applied, way_of};
use crate::flows::refusal_words::{is_of_rule, lies_in_rows, words};
use crate::limits;
use crate::model::{Key, Knot, Recovery, Table, TableId, TableStop, Tables, sqlstate};
use crate::wire::ServerError;

impl Machine {
    /// The table that an error lies in.
    fn find_blame(
        &mut self,
        table: Option<TableId>,
        step: Option<usize>,
        error: &ServerError,
    ) -> Result<TableId, Fault> {
        self.notes.push(Note::Refused {
            step,
            error: Box::new(error.clone()),
        });
        let table = table.or_else(|| self.named(error));
        match table.filter(|_| blames_table(error) || is_ours(error)) {
            Some(table) => Ok(table),
            None => {
                let error = Box::new(error.clone());
                Err(not_applied(ApplyError::Refused { table, step, error }))
            }
        }
    }

    /// A table whose folded form meets a constraint between its rows is tried in source order. A step whose rows are
    /// refused is tried row by row, and those that are refused alone are parked; what is tried with it stands in source order
    /// before, where only that lets its rows exchange unique values. Where the table itself is refused it stops, and the
    /// others go on.
    ///
    /// # Errors
    /// When no table is to blame.
    pub(super) fn reform_batch(
        &mut self,
        mut job: BatchJob,
        (table, step): (Option<TableId>, Option<usize>),
        error: &ServerError,
    ) -> Result<(), Fault> {
        if job.form.ask_at_once(table, error) {
            self.queue.push_front(job);
            return Ok(());
        }
        let table = self.find_blame(table, step, error)?;
        if error.code == sqlstate::KEPT_OUT {
            self.planner.count(table);
        }
        let few = job.changes() <= limits::IN_ORDER_MAX;
        let form = &mut job.form;
        let rekey_steps = step.is_some_and(|step| form.rekey_steps.contains(&step));
        if meets_another(error) && few && form.put_in_order(self.tables.get(table)) {
            form.row_by_row.clear();
        } else if lies_in_rows(error) && rekey_steps {
            self.halt(form, copy_moved(table, &words(error)));
        } else if lies_in_rows(error)
            && few
            && form.put_unbending_in_order(step, table, &self.tables)
        {
            form.row_by_row.clear();
        } else if !form.try_carefully(step, error) {
            let halt = self.why(table, error);
            self.halt(form, halt);
        }
        self.queue.push_front(job);
        Ok(())
    }

    /// The same for a staged transaction.
    ///
    /// # Errors
    /// As [`Machine::reform_batch`].
    pub(super) fn reform_large(
        &mut self,
        mut job: Box<LargeJob>,
        (table, step): (Option<TableId>, Option<usize>),
        error: &ServerError,
    ) -> Result<(), Fault> {
        if job.form.ask_at_once(table, error) {
            self.send_large(job);
            return Ok(());
        }
        let table = self.find_blame(table, step, error)?;
        let meets = meets_another(error) && job.form.source_order.is_empty() && !job.is_whole(step);
        if meets {
            job.form.source_order.insert(table);
        } else if lies_in_rows(error) && job.is_moved(step) {
            job.form.halts.push(copy_moved(table, &words(error)));
        } else if !job.form.try_carefully(step, error) {
            job.form.halts.push(self.why(table, error));
        }
        self.send_large(job);
        Ok(())
    }

    /// Why a table stops.
    pub(super) fn why(&self, table: TableId, error: &ServerError) -> TableStop {
        TableStop {
            table,
            why: words(error),
            way: way_of(error),
        }
    }

    /// The table that an error at COMMIT names: a deferred constraint doesn't say whose statement it was.
    fn named(&self, error: &ServerError) -> Option<TableId> {
        let (schema, relation) = (error.schema.as_ref()?, error.table.as_ref()?);
        let found = self
            .tables
            .iter()
            .find(|table| table.cloud.schema == *schema && table.cloud.relation == *relation);
        found.map(|table| table.id)
    }
}

impl Attempt {
    /// Says that constraints are asked with each statement, where an error came only at COMMIT; false where they are already.
    fn ask_at_once(&mut self, table: Option<TableId>, error: &ServerError) -> bool {
        let late = table.is_none() && blames_table(error) && lies_in_rows(error);
        late && !std::mem::replace(&mut self.at_once, true)
    }

    /// Puts a table's changes in source order; false where they are already, or where its rows are equal and have none.
    fn put_in_order(&mut self, table: &Table) -> bool {
        table.key != Key::Multiset && self.source_order.insert(table.id)
    }

    /// Does so for all tables whose rows are going to be tried with this step and can exchange unique values in no other way
    /// than the one in which it was done; false where there are none any more.
    fn put_unbending_in_order(
        &mut self,
        step: Option<usize>,
        table: TableId,
        all: &Tables,
    ) -> bool {
        let table = all.get(table);
        let tied = all
            .iter()
            .filter(|other| step.is_some() && other.is_tied_to(table));
        let unbending = tied.filter(|other| other.knot.as_ref().is_some_and(Knot::is_unbending));
        let mut any = false;
        for other in unbending {
            any |= self.put_in_order(other);
        }
        any
    }

    /// Says that a step is to be tried row by row; false where that wouldn't help.
    fn try_carefully(&mut self, step: Option<usize>, error: &ServerError) -> bool {
        match step {
            Some(step) => {
                (lies_in_rows(error) || is_of_rule(error)) && self.row_by_row.insert(step)
            }
            None => false,
        }
    }
}

/// A row can't stand beside another one of its table, which may have made way by then: it is equal to it in what is unique, or
/// overlaps it.
fn meets_another(error: &ServerError) -> bool {
    matches!(
        error.code.as_str(),
        sqlstate::UNIQUE_VIOLATION | sqlstate::EXCLUSION_VIOLATION
    )
}

/// A row took a new key while a value was not sent, and can't be written: without that value it can't be parked.
pub(super) fn copy_moved(table: TableId, why: &str) -> TableStop {
    TableStop {
        table,
        why: format!("a row took a new key while a large value was not sent, but {why}"),
        way: Recovery::Recopy,
    }
}
