//! Small tables are filled together: read one after the other, written in one transaction and one flush, so that a distant
//! cloud is waited for once for all of them. Where it refuses any of that, nothing of it is there, and each is copied alone.

use std::collections::{BTreeMap, BTreeSet};

use super::queue::CopyQueue;
use crate::apply::{Applier, ApplyError, Lease, copy_together};
use crate::capture::{TableReader, TableSize};
use crate::failpoint;
use crate::fault::Fault;
use crate::flows::CopyRequest;
use crate::flows::copy::copied::How;
use crate::flows::copy::pour::{To, is_not_this, pass_on, whole};
use crate::flows::copy::progress::{Course, Progress};
use crate::flows::copy::stage::guarded;
use crate::flows::copy::state::not_applied;
use crate::limits;
use crate::model::{Lsn, Statement, Table, TableId, Tables};
use crate::plan::{Direct, TransactionSettings, direct, quote};

/// What filling them needs.
pub(super) struct Together<'a> {
    /// Settings of each transaction.
    pub(super) opening: &'a TransactionSettings,
    /// Who writes.
    pub(super) lease: &'a Lease,
    /// They stream from there on.
    pub(super) before: Lsn,
    /// The most that one row may have, in bytes.
    pub(super) row_max: usize,
    /// All tables.
    pub(super) tables: &'a Tables,
    /// Who copies what.
    pub(super) board: &'a CopyQueue,
    /// How far it is.
    pub(super) progress: &'a Progress,
}

/// A table whose rows were read.
struct Gathered<'t> {
    wanted: CopyRequest,
    table: &'t Table,
    halves: Direct,
    rows: u64,
    data: Vec<u8>,
    course: Course,
}

impl Together<'_> {
    /// Fills tables, given parents first, as many at once as fit. Those that can't be filled so are given back; then it says false.
    ///
    /// # Errors
    /// When a connection fails or the lease is lost.
    pub(super) async fn fill(
        self,
        (reader, applier): (&mut TableReader, &mut Applier),
        small: Vec<CopyRequest>,
    ) -> Result<bool, Fault> {
        let mut left = small.into_iter().peekable();
        while left.peek().is_some() {
            let (gathered, unfit) = self.gather(reader, &mut left).await?;
            let refused = self.write(applier, gathered).await?;
            if unfit.is_some() || !refused.is_empty() {
                // Whatever refers to them waits for them.
                let back = refused.into_iter().chain(unfit).chain(left);
                self.board.give_back(back.collect(), self.tables);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads what fits into one flush; and one of which something can't be sent as it is, behind which nothing is read.
    async fn gather(
        &self,
        reader: &mut TableReader,
        left: &mut impl Iterator<Item = CopyRequest>,
    ) -> Result<(Vec<Gathered<'_>>, Option<CopyRequest>), Fault> {
        let (mut gathered, mut bytes): (Vec<Gathered<'_>>, usize) = (Vec::new(), 0);
        while bytes < limits::TOGETHER_BYTES
            && let Some(wanted) = left.next()
        {
            let table = self.tables.get(wanted.table);
            let read: BTreeSet<_> = gathered.iter().map(|read| read.table.id).collect();
            let filled = |parent| read.contains(&parent) || self.board.was_poured(parent);
            let Some(halves) = direct(table, self.tables, &filled) else {
                return Ok((gathered, Some(wanted)));
            };
            let mut course = self.progress.read(&table.name);
            let mut data = Vec::new();
            let out = halves.out(None);
            let to = To::Memory(&mut data, limits::TOGETHER_BYTES);
            let rows = pass_on((reader, self.row_max), &out, to, &mut course).await?;
            let Some(rows) = rows else {
                course.undo();
                return Ok((gathered, Some(wanted)));
            };
            bytes += data.len();
            gathered.push(Gathered {
                wanted,
                table,
                halves,
                rows,
                data,
                course,
            });
        }
        Ok((gathered, None))
    }

    /// Writes them in one transaction; gives them back where the cloud refuses that.
    async fn write(
        &self,
        applier: &mut Applier,
        gathered: Vec<Gathered<'_>>,
    ) -> Result<Vec<CopyRequest>, Fault> {
        if gathered.is_empty() {
            return Ok(Vec::new());
        }
        let replicator = &self.lease.replicator;
        let notes = gathered.iter().flat_map(|read| {
            let taken = Statement::bookkeeping(read.halves.taken.clone(), Vec::new());
            [taken]
                .into_iter()
                .chain(whole(replicator, read.table, read.rows, self.before))
        });
        let notes = guarded(self.opening, self.lease, true, notes);
        let counted = gathered.iter().map(|read| read.halves.all_in(read.rows));
        let measured = { gathered.iter() }
            .filter(|read| read.rows >= limits::ANALYZE_ROWS_MIN)
            .map(|read| format!("analyze {}", quote::table(&read.table.cloud)));
        let end: Vec<_> = counted.chain(measured).collect();
        let rows =
            { gathered.iter() }.map(|read| (read.halves.into.as_str(), read.data.as_slice()));
        let rows: Vec<_> = rows.collect();
        let written = copy_together(applier, &notes, &rows, &end).await;
        match written {
            Ok(()) => {
                for read in gathered {
                    failpoint::reach("table_poured");
                    tracing::debug!(table = %read.table.name, rows = read.rows, "copied");
                    self.progress.end(&read.table.name, false);
                    self.board.poured(read.table.id);
                }
                Ok(Vec::new())
            }
            Err(ApplyError::Refused { error, .. }) if is_not_this(&error) => {
                tracing::debug!(%error, "not together");
                let back = gathered.into_iter().map(|mut read| {
                    read.course.undo();
                    read.wanted
                });
                Ok(back.collect())
            }
            Err(error) => Err(not_applied(error)),
        }
    }
}

/// Tables that are filled together, parents first: small ones that are new, all of whose parents are among them.
pub(super) fn small(
    wanted: &[CopyRequest],
    tables: &Tables,
    board: &CopyQueue,
    sizes: &BTreeMap<TableId, TableSize>,
) -> Vec<CopyRequest> {
    let mut small: Vec<CopyRequest> = Vec::new();
    let mut wanted: Vec<_> = wanted.iter().collect();
    wanted.sort_by_key(|wanted| wanted.table);
    for wanted in wanted {
        let table = tables.get(wanted.table);
        let is_small = { sizes.get(&table.id) }
            .is_some_and(|size| size.bytes <= limits::TOGETHER_BYTES as u64);
        let among = |parent: TableId| small.iter().any(|small| small.table == parent);
        if is_small
            && matches!(wanted.how, How::Adopt { .. })
            && !board.is_tied(table, tables)
            && board.needs(table.id).iter().all(|parent| among(*parent))
            && direct(table, tables, &among).is_some()
        {
            small.push(wanted.clone());
        }
    }
    small
}
