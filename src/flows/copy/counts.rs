//! What a copy came to: rows that are in the cloud, and rows that wait in the quarantine.

use super::copied::Copied;
use super::merge::Merge;
use super::state::not_applied;
use crate::apply::Script;
use crate::fault::Fault;
use crate::model::{Statement, Table};
use crate::plan::{also_equal, opening, try_whole, waiting, weigh, weighed};

impl Merge<'_> {
    /// The rows one by one, with their counts.
    pub(super) fn tried(&self, copies: &[&Copied]) -> Vec<Statement> {
        let manner = self.manner();
        let tables = { copies.iter() }
            .map(|copy| (self.tables.get(copy.staged.table()), copy.staged.which()));
        let tables: Vec<(&Table, Option<&str>)> = tables.collect();
        // Those that were not staged can't be counted there.
        let equal = copies.iter().map(|copy| copy.staged.equal()).sum();
        let before = tables.iter().map(|(table, _)| weigh(table, &manner));
        let after = tables.iter().map(|(table, _)| weighed(table, &manner));
        let tried = before.chain(try_whole(&tables, &manner));
        let tried = tried.chain(after);
        tried
            .chain((equal > 0).then(|| also_equal(equal)))
            .collect()
    }

    /// Says what is in the cloud, and what isn't and why.
    pub(super) async fn tell(&mut self, copy: &Copied) -> Result<(), Fault> {
        let table = self.tables.get(copy.staged.table());
        let mut statements = opening(self.opening);
        statements.push(waiting(&self.lease.replicator, table));
        let asked = self.applier.run(Script::staying(statements)).await;
        let asked = asked.map_err(not_applied)?;
        let row = asked.answers.last().and_then(|answer| answer.row.as_ref());
        let text = |at: usize| {
            let cell = row.and_then(|row| row.get(at)?.as_ref());
            cell.map(|cell| String::from_utf8_lossy(cell).into_owned())
        };
        let quarantined: u64 = text(0)
            .and_then(|count| count.parse().ok())
            .unwrap_or_default();
        let rows = copy.staged.readable();
        let rows = rows.saturating_sub(quarantined);
        match quarantined {
            // Hundreds of tables are copied at once, and what is said of them all is enough.
            0 if !copy.how.is_swap() => tracing::debug!(table = %table.name, rows, "copied"),
            0 => tracing::info!(table = %table.name, rows, "swapped"),
            quarantined => tracing::warn!(
                table = %table.name,
                rows,
                quarantined,
                sqlstate = text(1),
                why = text(2),
                "{}, but for rows that the cloud refuses",
                copy.done()
            ),
        }
        Ok(())
    }
}
