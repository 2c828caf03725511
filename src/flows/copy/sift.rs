//! Which rows of a large table a copy has to read, where it is copied once more or an interrupted copy goes on: both
//! sides sum theirs up by ranges, each on its own, and only rows in ranges that differ cross the network, or wait for
//! anybody.
//!
//! The desktop's sums are of the snapshot that the copy reads, the cloud's of a moment after that. A range that is
//! equal holds what the copy would write there. What comes to it later is the stream's: changes that the snapshot has
//! seen, which bring its rows to what they are already, and changes that it hasn't, whose rows a merge leaves alone.
//! What comes before that moment makes the range differ, and then its rows are read for nothing; no more.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::beforehand::{Filled, Sifted};
use super::not_applied;
use super::stage::Staging;
use crate::apply::{ApplyError, Script};
use crate::capture::TableReader;
use crate::failpoint;
use crate::fault::{Fault, Side, blames_table};
use crate::limits;
use crate::model::{Statement, Table, sqlstate};
use crate::plan::opening;
use crate::plan::verify::{RangeSum, Sieve, owned_rows};

impl Staging<'_> {
    /// Finds out which rows differ; none where the table has to be read whole, or that is cheaper.
    ///
    /// # Errors
    /// When a connection fails.
    pub(super) async fn sift(
        &mut self,
        reader: &mut TableReader,
        table: &Table,
        filled: &Filled,
    ) -> Result<Option<Sifted>, Fault> {
        let desktop = Fault::at(Side::Desktop);
        let leaves = table.leaves.iter().flatten().map(|(_, oid)| *oid);
        let oids: Vec<_> = leaves.chain([table.desktop_oid]).collect();
        let pages = match filled.pages {
            Some(pages) => pages,
            None => reader.size(&oids).await.map_err(&desktop)?.pages,
        };
        let always = failpoint::sifts_always();
        let pays = always || pages >= limits::SIEVE_PAGES_MIN;
        let Some(sieve) = Sieve::of(table, pages).filter(|_| pays) else {
            return Ok(None);
        };
        let done = match &filled.done {
            Some(done) => done.clone(),
            None => self.pieces_done(table).await?,
        };
        let done = Some(done).filter(|done| !done.is_empty());
        // In an empty table all is missing.
        if self.asks(owned_rows(table)).await?.is_none() {
            return Ok(None);
        }
        let read = reader
            .numbers(&sieve.sums(done.as_deref()))
            .await
            .map_err(&desktop)?;
        let Some(sums) = read.and_then(|lines| {
            { lines.iter() }
                .map(|line| sum(line))
                .collect::<Option<Vec<_>>>()
        }) else {
            return Ok(None);
        };
        let Some(differing) = self.asks(sieve.differing(&sums)).await? else {
            return Ok(None);
        };
        let ranges = differing.split(',').filter_map(|range| range.parse().ok());
        let ranges: BTreeSet<u32> = ranges.collect();
        let many = !always && ranges.len() * limits::RANGES_SHARE > sieve.ranges();
        let equal = { sums.iter() }
            .filter(|(range, ..)| !ranges.contains(range))
            .map(|(_, rows, _)| rows);
        let equal: u64 = equal.sum();
        tracing::debug!(table = %table.name, rows = equal, "compared by ranges: so many rows are equal");
        Ok((!many).then(|| Sifted {
            within: Arc::new(sieve.within(&ranges)),
            equal,
            done,
        }))
    }

    /// What the cloud answers, by reading alone; none where it refuses, or has no row to answer with.
    pub(super) async fn asks(&mut self, question: Statement) -> Result<Option<String>, Fault> {
        let mut statements = opening(self.opening);
        statements.push(question);
        match self.applier.run(Script::looking(statements)).await {
            Ok(asked) => {
                let row = asked.answers.into_iter().next_back();
                let row = row.and_then(|answer| answer.row);
                let cell = row.and_then(|row| row.into_iter().next());
                let text = |cell: bytes::Bytes| String::from_utf8_lossy(&cell).into_owned();
                Ok(cell.map(|cell| cell.map_or(String::new(), text)))
            }
            Err(ApplyError::Refused { error, .. })
                if blames_table(&error) || error.code == sqlstate::QUERY_CANCELED =>
            {
                tracing::debug!(%error, "not by ranges");
                Ok(None)
            }
            Err(error) => Err(not_applied(error)),
        }
    }
}

/// A line of sums.
fn sum(line: &[String]) -> Option<RangeSum> {
    let [range, rows, sum] = line else {
        return None;
    };
    Some((range.parse().ok()?, rows.parse().ok()?, sum.clone()))
}
