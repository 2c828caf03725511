//! Copies of tables that refer to each other are merged together: none of them can be whole before the others are.

use super::copied::Copied;
use super::merge::{Merge, Merging, of_table};
use super::stage::too_large;
use super::state::{not_applied, refusal};
use crate::apply::ApplyError;
use crate::fault::Fault;
use crate::flows::refusal_words::lies_in_rows;
use crate::model::{Recovery, Statement, Table};
use crate::plan::{loosen_whole, table_state};

impl Merge<'_> {
    /// Merges them in one transaction; says what became of each. One that the cloud refuses stops, and the others go on.
    pub(super) async fn circle(&mut self, copies: &[Copied]) -> Result<Vec<Merging>, Fault> {
        let mut refused: Vec<Option<String>> = vec![None; copies.len()];
        for (copy, refused) in copies.iter().zip(&mut refused) {
            if let Some(why) = too_large(self.tables.get(copy.staged.table()), &copy.staged) {
                *refused = Some(self.stop_copy(copy, (Recovery::Operator, why)).await?);
            }
        }
        let mut by_row = false;
        loop {
            let left = copies.iter().zip(&refused);
            let left = left.filter(|(_, refused)| refused.is_none());
            let left: Vec<_> = left.map(|(copy, _)| copy).collect();
            let tables: Vec<_> = { left.iter() }
                .map(|copy| self.tables.get(copy.staged.table()))
                .collect();
            if left.is_empty() {
                break;
            }
            let statements = self.together(&left, &tables, by_row);
            let whole = { left.iter() }.filter(|copy| by_row || copy.is_new());
            let end = whole.flat_map(|copy| self.settled(copy)).collect();
            let outcome = self.settle(&tables, statements, end).await?;
            let (Err(ApplyError::Refused { table: blamed, .. }), Some(error)) =
                (&outcome, refusal(&outcome))
            else {
                outcome.map_err(not_applied)?;
                break;
            };
            if lies_in_rows(error) && !by_row {
                by_row = true;
                continue;
            }
            let is_blamed = |copy: &&Copied| Some(copy.staged.table()) == *blamed;
            let at = copies.iter().position(|copy| is_blamed(&copy));
            let Some(at) = at.filter(|at| refused[*at].is_none()) else {
                outcome.map_err(not_applied)?;
                break;
            };
            let why = of_table(error);
            refused[at] = Some(self.stop_copy(&copies[at], why).await?);
        }
        let became = copies.iter().zip(refused);
        let became = became.map(|(copy, refused)| match refused {
            Some(why) => Merging::Refused(why),
            None if by_row || copy.is_new() => Merging::Settled,
            None => Merging::Rows,
        });
        Ok(became.collect())
    }

    /// The rows of all: first what lets others be written, then what differs and what is missing; or row by row.
    fn together(&self, copies: &[&Copied], tables: &[&Table], by_row: bool) -> Vec<Statement> {
        let mut statements: Vec<_> = copies.iter().flat_map(|copy| self.start(copy)).collect();
        let manner = self.manner();
        if !by_row {
            statements.extend(
                tables
                    .iter()
                    .filter_map(|table| loosen_whole(table, &manner)),
            );
            for copy in copies {
                let diff = self.diff(copy);
                statements.extend(diff.update.into_iter().chain([diff.insert]));
            }
        }
        for copy in copies.iter().rev() {
            match copy.is_new() {
                true => statements.push(self.diff(copy).extras),
                // What is surplus goes first, since trying takes the rows out of the staging table.
                false if by_row => statements.extend(self.removal(copy)),
                false => {}
            }
        }
        if by_row {
            statements.extend(self.tried(copies));
        }
        statements.extend(copies.iter().flat_map(|copy| self.follows(copy)));
        statements.extend(copies.iter().map(|copy| {
            let table = self.tables.get(copy.staged.table());
            let rows = copy.staged.rows() + copy.staged.equal();
            table_state::count_copied(&self.lease.replicator, table, rows)
        }));
        statements
    }
}
