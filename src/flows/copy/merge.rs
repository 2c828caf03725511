//! Staged tables are made the cloud's owned rows, by a diff. Without a swap what is surplus goes last, children first.

use std::collections::BTreeSet;

use super::copied::{Copied, How};
use super::stage::{guarded, measure, too_large, unstage_table};
use super::state::{not_applied, refusal, stop_state, way_of};
use crate::apply::{Applier, ApplyError, Lease, Script, StagedRow, Stager, clear_staging};
use crate::failpoint;
use crate::fault::{Fault, Side};
use crate::flows::refusal_words::{is_of_rule, lies_in_rows, words};
use crate::limits;
use crate::model::{Key, Lsn, Recovery, Statement, Table, TableId, Tables, Tuple, sqlstate};
use crate::plan::reverse::queue_differing;
use crate::plan::{
    COPY_STEP, Diff, TOO_LARGE_STEP, TOUCHED_STEP, TransactionSettings, UNREADABLE_STEP,
    WriteContext, are_there, cap_parked, diff, diff_of, follow_all, follow_own, forget_pieces,
    hash_joins, park_too_large, park_unreadable, so_far, table_state, void_parked, void_untouched,
};
use crate::wire::ServerError;

/// What merging needs. Nothing else writes to the tables meanwhile.
pub(in crate::flows) struct Merge<'a> {
    /// The connection to the cloud.
    pub applier: &'a mut Applier,
    /// Settings of each transaction.
    pub opening: &'a TransactionSettings,
    /// Who writes.
    pub lease: &'a Lease,
    /// All tables.
    pub tables: &'a Tables,
    /// Those that nothing is written to.
    pub stopped: BTreeSet<TableId>,
    /// All that the copies have was committed before this position.
    pub before: Lsn,
    /// The transactions that they have, for the record of swaps.
    pub snapshot: Option<String>,
    /// Changes of copied tables wait until the copies are merged: the tables don't stream before those are written.
    pub pending: bool,
    /// No other transaction of ours is open meanwhile.
    pub alone: bool,
    /// Tables that have stopped until both sides fit.
    pub unfit: BTreeSet<TableId>,
}

/// What became of a staged table.
pub(super) enum Merging {
    /// All its rows are there; surplus ones are still to be removed.
    Rows,
    /// It is finished: rows that were refused are parked.
    Settled,
    /// The cloud refuses it.
    Refused(String),
}

/// What became of all.
#[derive(Debug)]
pub(in crate::flows) struct Merged {
    /// Tables that nothing is written to.
    pub stopped: BTreeSet<TableId>,
    /// Those of them that go on when both sides fit.
    pub unfit: BTreeSet<TableId>,
}

impl Merge<'_> {
    /// Merges copies, given parents first. Rows that the cloud refuses are parked; a table that it refuses is stopped
    /// with the reason; the others go on.
    ///
    /// # Errors
    /// When the connection fails or the lease is lost: each table is as it was or as it should be.
    pub(in crate::flows) async fn all(mut self, copies: &[Copied]) -> Result<Merged, Fault> {
        let surplus = self.rows(copies).await?;
        self.remove_surplus(&surplus).await?;
        let unfit = std::mem::take(&mut self.unfit);
        let stopped = self.clear().await?;
        Ok(Merged { stopped, unfit })
    }

    /// Merges copies, given parents first; returns those in which what is surplus is still to be removed.
    ///
    /// # Errors
    /// As [`Merge::all`].
    pub(super) async fn rows(&mut self, copies: &[Copied]) -> Result<Vec<Copied>, Fault> {
        let mut surplus = Vec::new();
        // Until a table is filled nothing in it follows its parents: then it looks everything up.
        for copy in copies.iter().filter(|copy| !copy.how.is_swap()) {
            self.stopped.insert(copy.staged.table());
        }
        let tied = |one: &Copied, next: &Copied| {
            let table = |copy: &Copied| self.tables.get(copy.staged.table());
            let swap = one.how.is_swap() || next.how.is_swap();
            !swap && table(one).is_tied_to(table(next))
        };
        let groups: Vec<_> = copies.chunk_by(tied).collect();
        for group in groups {
            let merged = match group {
                [copy] => vec![match &copy.how {
                    How::Swap { allow_shrink } => self.swap(copy, *allow_shrink).await?,
                    How::Adopt { .. } | How::Again { .. } => self.merge(copy).await?,
                }],
                _ => self.circle(group).await?,
            };
            for (copy, merging) in group.iter().zip(merged) {
                if self.merged(copy, &merging).await? {
                    surplus.push(copy.clone());
                }
            }
        }
        Ok(surplus)
    }

    /// Says what became of a copy; true where what is surplus is still to be removed.
    async fn merged(&mut self, copy: &Copied, merging: &Merging) -> Result<bool, Fault> {
        let (table, rows) = (self.tables.get(copy.staged.table()), copy.staged.rows());
        if let Merging::Refused(why) = merging {
            tracing::error!(table = %table.name, why, "{}", copy.refused());
            return Ok(false);
        }
        self.stopped.remove(&table.id);
        self.tell(copy).await?;
        // A swap changes too little for that.
        if !copy.how.is_swap() {
            measure(self.applier, self.opening, table, rows).await?;
        }
        Ok(matches!(merging, Merging::Rows))
    }

    /// Removes what is surplus, children first.
    ///
    /// # Errors
    /// As [`Merge::all`].
    pub(super) async fn remove_surplus(&mut self, surplus: &[Copied]) -> Result<(), Fault> {
        for copy in surplus.iter().rev() {
            if let Some(why) = self.tidy(copy).await? {
                let table = self.tables.get(copy.staged.table());
                tracing::error!(table = %table.name, why, "stopped");
                self.stopped.insert(table.id);
            }
        }
        Ok(())
    }

    /// Empties the staging table; says which tables nothing is written to.
    ///
    /// # Errors
    /// As [`Merge::all`].
    pub(super) async fn clear(mut self) -> Result<BTreeSet<TableId>, Fault> {
        let clear = [clear_staging(self.lease, true)];
        self.run(clear).await.map_err(not_applied)?;
        Ok(self.stopped)
    }

    /// Updates what differs and inserts what is missing. A table that is new is finished with that, in one
    /// transaction: whatever is surplus was there before us. A later try can tell it from our own rows.
    async fn merge(&mut self, copy: &Copied) -> Result<Merging, Fault> {
        let (table, staged) = (self.tables.get(copy.staged.table()), &copy.staged);
        if let Some(why) = too_large(table, staged) {
            return self
                .stop_copy(copy, (Recovery::Operator, why))
                .await
                .map(Merging::Refused);
        }
        let Diff {
            update,
            insert,
            extras,
            ..
        } = self.diff(copy);
        let read = staged.readable();
        let count = table_state::count_copied_but_waiting(&self.lease.replicator, table, read);
        let copied: Vec<_> = self.follows(copy).into_iter().chain([count]).collect();
        let whole = self.start(copy);
        let rows_in = whole.iter().cloned().chain(update).chain([insert]);
        let so_far = (!copy.asked.is_empty()).then(|| so_far(&self.lease.replicator, &copy.asked));
        let mut plain: Vec<_> = rows_in.chain(copied.clone()).chain(so_far).collect();
        let new = copy.is_new();
        let outcome = match new {
            false => self.run(plain).await,
            true => {
                plain.push(extras.clone());
                self.settle(&[table], plain, self.settled(copy)).await?
            }
        };
        let Some(error) = refusal(&outcome).cloned() else {
            outcome.map_err(not_applied)?;
            return Ok(if new { Merging::Settled } else { Merging::Rows });
        };
        if !lies_in_rows(&error) && !is_of_rule(&error) {
            return self
                .stop_copy(copy, of_table(&error))
                .await
                .map(Merging::Refused);
        }
        // Row by row; what is surplus goes first, since trying takes the rows out of the staging table.
        let before = if new {
            vec![extras]
        } else {
            self.removal(copy)
        };
        let tried = self.tried(&[copy]);
        let statements = { whole.into_iter() }.chain(before).chain(tried);
        let statements = statements.chain(copied).collect();
        let settled = self.settled(copy);
        let outcome = self.settle(&[table], statements, settled).await?;
        Ok(match self.judge(copy, outcome).await? {
            None => Merging::Settled,
            Some(why) => Merging::Refused(why),
        })
    }

    /// What is looked up in a table whose copy was sifted, which nothing has followed since: staged rows look it up anew, and here
    /// those do that were not staged.
    pub(super) fn follows(&self, copy: &Copied) -> Vec<Statement> {
        match copy.staged.equal() {
            0 => Vec::new(),
            _ => follow_own(self.tables.get(copy.staged.table())),
        }
    }

    /// Removes what is surplus in a table whose other rows are there.
    async fn tidy(&mut self, copy: &Copied) -> Result<Option<String>, Fault> {
        let table = self.tables.get(copy.staged.table());
        let mut statements = vec![hash_joins(), self.are_there(copy)];
        statements.extend(self.removal(copy));
        let settled = self.settled(copy);
        let outcome = self.settle(&[table], statements, settled).await?;
        self.judge(copy, outcome).await
    }

    /// Stages the names of rows that the stream has changed since a table was read.
    ///
    /// # Errors
    /// When the connection fails.
    pub(in crate::flows) async fn note_touched<'t>(
        &mut self,
        copy: &Copied,
        names: impl Iterator<Item = &'t Tuple>,
    ) -> Result<(), Fault> {
        let table = self.tables.get(copy.staged.table());
        let mut stager = Stager::new(self.applier, self.lease);
        for name in names {
            let cells: Vec<_> = name.cells().collect();
            let staged = StagedRow {
                table: &table.name,
                step: TOUCHED_STEP,
                cells: &cells,
                copies: 1,
                messages: 0,
                origin: None,
            };
            stager.row(&staged).await.map_err(Fault::at(Side::Cloud))?;
        }
        stager.finish().await.map_err(Fault::at(Side::Cloud))?;
        failpoint::reach("touched_noted");
        Ok(())
    }

    /// All that comes before the diff: nothing waits of what the copy has, all staged rows are there, and those that
    /// changed since are left out.
    pub(super) fn start(&self, copy: &Copied) -> Vec<Statement> {
        let (table, manner) = (self.tables.get(copy.staged.table()), self.manner());
        let void = match copy.touched {
            true => void_untouched(table, &manner),
            false => void_parked(table, manner.replicator),
        };
        let mut start = vec![void, hash_joins(), self.are_there(copy)];
        start.extend(self.diff(copy).leave_out);
        if copy.staged.too_large() > 0 {
            start.extend(diff(table, &manner, TOO_LARGE_STEP, copy.touched).leave_out);
            start.push(park_too_large(table, &manner));
        }
        if copy.staged.unreadable() > 0 {
            start.extend(diff(table, &manner, UNREADABLE_STEP, copy.touched).leave_out);
            start.push(park_unreadable(table, &manner));
            start.push(cap_parked(table, manner.replicator));
        }
        // What the cloud owns stays there, and the desktop gets it where it has something else. Which of equal rows go decides how
        // those look that are left, so that this is asked behind their removal, where there is one.
        let removes = table.key == Key::Multiset && !copy.is_new();
        if table.returns && !removes {
            start.push(queue_differing(table, &manner, COPY_STEP));
        }
        start
    }

    /// Removes what is surplus, and notes that nothing of it was left where rows were there before us.
    pub(super) fn removal(&self, copy: &Copied) -> Vec<Statement> {
        let table = self.tables.get(copy.staged.table());
        let Diff {
            shrink,
            referred,
            remove,
            kept,
            ..
        } = self.diff(copy);
        let guarded = How::Again {
            allow_shrink: false,
        };
        let guard = (copy.how == guarded).then_some(shrink);
        let adopted = copy.how == How::Adopt { remove: true };
        let none = adopted.then(|| table_state::no_extras(&self.lease.replicator, table));
        let removed = { guard.into_iter() }.chain(referred).chain([remove]);
        // See [`Merge::start`].
        let left = (table.returns && table.key == Key::Multiset)
            .then(|| queue_differing(table, &self.manner(), COPY_STEP));
        removed.chain(kept).chain(none).chain(left).collect()
    }

    pub(super) fn diff(&self, copy: &Copied) -> Diff {
        let table = self.tables.get(copy.staged.table());
        let which = copy.staged.which();
        diff_of(table, &self.manner(), COPY_STEP, copy.touched, which)
    }

    pub(super) fn manner(&self) -> WriteContext<'_> {
        WriteContext {
            replicator: &self.lease.replicator,
            epoch: self.lease.epoch,
            end: self.before,
            patience: limits::TRY_LONG_MAX,
            again: false,
        }
    }

    /// Carries out `statements` and `end`, and what others look up in the tables that were `written` follows, all in one transaction.
    /// Another table that the cloud doesn't let follow stops alone.
    pub(super) async fn settle(
        &mut self,
        written: &[&Table],
        statements: Vec<Statement>,
        end: Vec<Statement>,
    ) -> Result<Result<(), ApplyError>, Fault> {
        loop {
            let stopped = |table| self.stopped.contains(&table);
            let followers =
                { written.iter() }.flat_map(|table| follow_all(table, self.tables, &stopped));
            let counted = written.iter().filter(|table| table.key == Key::Multiset);
            let own = counted.flat_map(|table| follow_own(table));
            let all = { statements.iter().chain(&end) }.cloned();
            let all = all.chain(own).chain(followers);
            failpoint::reach("copy_sent");
            let outcome = self.run(all.collect::<Vec<_>>()).await;
            failpoint::reach("copy_merged");
            let follower = match &outcome {
                Err(ApplyError::Refused {
                    table: Some(of), ..
                }) if written.iter().all(|table| table.id != *of) => *of,
                _ => return Ok(outcome),
            };
            let Some(error) = refusal(&outcome) else {
                return Ok(outcome);
            };
            let follower = self.tables.get(follower);
            let why = self.stop(follower, of_table(error), None).await?;
            tracing::error!(table = %follower.name, why, "stopped");
            self.stopped.insert(follower.id);
        }
    }

    /// The table is as it should be.
    pub(super) fn settled(&self, copy: &Copied) -> Vec<Statement> {
        let table = self.tables.get(copy.staged.table());
        let replicator = &self.lease.replicator;
        let settled = table_state::settled(replicator, table, self.before, self.pending);
        let forgotten = forget_pieces(replicator, table);
        let mut settled = vec![settled, forgotten, self.clear_staging(table)];
        if !copy.asked.is_empty() {
            settled.push(self.swapped(copy, None));
        }
        settled
    }

    /// A refusal that lies in the table stops it; anything else is a fault.
    pub(super) async fn judge(
        &mut self,
        copy: &Copied,
        outcome: Result<(), ApplyError>,
    ) -> Result<Option<String>, Fault> {
        match refusal(&outcome).cloned() {
            Some(error) => self.stop_copy(copy, of_table(&error)).await.map(Some),
            None => outcome.map(|()| None).map_err(not_applied),
        }
    }

    /// Stops the table, or holds it where it would lose too many rows.
    pub(super) async fn stop_copy(
        &mut self,
        copy: &Copied,
        why: (Recovery, String),
    ) -> Result<String, Fault> {
        let asked = !copy.asked.is_empty();
        let noted = asked.then(|| self.swapped(copy, Some((why.0, &why.1))));
        let table = self.tables.get(copy.staged.table());
        self.stop(table, why, noted).await
    }

    pub(super) async fn stop(
        &mut self,
        table: &Table,
        (way, why): (Recovery, String),
        noted: Option<Statement>,
    ) -> Result<String, Fault> {
        let stopped = [
            stop_state(&self.lease.replicator, table, way, &why),
            self.clear_staging(table),
        ];
        let stopped = stopped.into_iter().chain(noted);
        self.run(stopped).await.map_err(not_applied)?;
        if way.is_fitting() {
            self.unfit.insert(table.id);
        }
        Ok(why)
    }

    pub(super) async fn run(
        &mut self,
        statements: impl IntoIterator<Item = Statement>,
    ) -> Result<(), ApplyError> {
        let all = guarded(self.opening, self.lease, self.alone, statements);
        self.applier.run(Script::staying(all)).await.map(drop)
    }

    /// Fails unless all rows that were staged are still there: a crash of the cloud empties the
    /// staging table, and a pooler hides the crash.
    fn are_there(&self, copy: &Copied) -> Statement {
        let table = self.tables.get(copy.staged.table());
        are_there(table, COPY_STEP, copy.staged.rows(), &self.manner())
    }

    pub(super) fn clear_staging(&self, table: &Table) -> Statement {
        unstage_table(self.lease, table)
    }
}

/// What a table that the cloud refuses waits for, and why. What a copy has no time for, the next one hasn't either.
pub(super) fn of_table(error: &ServerError) -> (Recovery, String) {
    match error.code.as_str() {
        sqlstate::NO_TIME => (Recovery::Operator, words(error)),
        _ => (way_of(error), words(error)),
    }
}
