//! The first fill: all tables from the snapshot that came with the slot, several at once, before the stream starts there.

mod queue;
mod together;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

use crate::apply::{Applier, Lease, clear_staging};
use crate::capture::{TableReader, TableSize};
use crate::config::Settings;
use crate::failpoint;
use crate::fault::{Fault, Kind, Side};
use crate::flows::CopyRequest;
use crate::flows::copy::beforehand::Filled;
use crate::flows::copy::copied::{Copied, How};
use crate::flows::copy::merge::Merge;
use crate::flows::copy::pour::{Pour, Poured, whole};
use crate::flows::copy::progress::{Copying, Progress};
use crate::flows::copy::sequences::set_past_keys;
use crate::flows::copy::stage::{Staging, measure, run};
use crate::flows::copy::state::{not_applied, set_state, stop_state};
use crate::flows::copy::together::{Checks, References};
use crate::limits;
use crate::model::{Lsn, Statement, Table, TableId, TableState, Tables};
use crate::plan::{Direct, Pages, TransactionSettings, direct};
use queue::{CopyQueue, Pieces, Work};
use together::{Together, small};

/// What the first fill needs.
pub struct InitialCopy<'a> {
    /// Both sides.
    pub settings: &'a Settings,
    /// A connection to the cloud.
    pub applier: &'a mut Applier,
    /// Settings of each transaction.
    pub opening: &'a TransactionSettings,
    /// Who writes.
    pub lease: &'a Lease,
    /// The snapshot to read in.
    pub snapshot: &'a str,
    /// Where the stream takes over: the snapshot has everything before it.
    pub consistent: Lsn,
    /// All tables.
    pub tables: &'a Arc<Tables>,
    /// Tables that are read at once.
    pub jobs: usize,
    /// How far it is.
    pub progress: Arc<Progress>,
}

/// Fills tables; returns those that are stopped now.
///
/// # Errors
/// When a connection fails or the lease is lost; no table is half-filled then, and those that are whole stay so.
pub async fn fill(
    mut with: InitialCopy<'_>,
    wanted: &[CopyRequest],
) -> Result<BTreeSet<TableId>, Fault> {
    let connected = TableReader::connect(&with.settings.desktop.endpoint).await;
    let mut reader = connected.map_err(Fault::at(Side::Desktop))?;
    let sizes = sizes(&mut reader, with.tables).await?;
    with.progress.want(wanted.iter().map(|wanted| {
        let expected = sizes.get(&wanted.table).map_or(0, |size| size.rows);
        (with.tables.get(wanted.table).name.as_str(), expected)
    }));
    let pages = sizes.iter().map(|(table, size)| (*table, size.pages));
    let board = Arc::new(CopyQueue::new(wanted, with.tables, pages.collect()));
    let small = small(wanted, with.tables, &board, &sizes);
    let mut workers = JoinSet::new();
    // They connect meanwhile; where there is nothing for them they needn't.
    let are_others = board.take(&small);
    if are_others {
        begin(&with, &board, &mut workers);
    }
    let all = fill_together(&mut with, &board, reader, small).await?;
    if !all && !are_others {
        begin(&with, &board, &mut workers);
    }
    let mut renewals = interval_at(Instant::now() + limits::RENEW_EVERY, limits::RENEW_EVERY);
    loop {
        tokio::select! {
            ended = workers.join_next() => match ended {
                None => break,
                Some(Ok(ended)) => ended?,
                Some(Err(lost)) => return Err(Fault::new(Kind::Internal, "internal check failed: a task that copies ended").cause(lost)),
            },
            _ = renewals.tick() => {
                let renewed = run(with.applier, with.opening, with.lease, []).await;
                renewed.map_err(not_applied)?;
            }
        }
    }
    let outcome = board.outcome();
    let mut merge = Merge {
        applier: with.applier,
        opening: with.opening,
        lease: with.lease,
        tables: with.tables,
        stopped: outcome.stopped,
        before: with.consistent,
        snapshot: None,
        pending: false,
        alone: true,
        unfit: BTreeSet::new(),
    };
    merge.remove_surplus(&outcome.surplus).await?;
    let stopped = merge.stopped;
    let clear = clear_staging(with.lease, true);
    set_past_keys(with.applier, (with.opening, with.lease), with.tables, clear).await?;
    for table in &stopped {
        with.progress.end(&with.tables.get(*table).name, true);
    }
    if !wanted.is_empty() {
        let Copying {
            tables,
            rows,
            refused,
            ..
        } = with.progress.look();
        tracing::info!(tables, read = rows, refused, "the first copy is finished");
    }
    Ok(stopped)
}

/// Fills small tables; false where some have to go the way of the others.
async fn fill_together(
    with: &mut InitialCopy<'_>,
    board: &CopyQueue,
    mut reader: TableReader,
    small: Vec<CopyRequest>,
) -> Result<bool, Fault> {
    let adopted = reader.adopt(with.snapshot).await;
    adopted.map_err(Fault::at(Side::Desktop))?;
    let row_max = usize::try_from(with.settings.forward.memory_max / 2).unwrap_or(usize::MAX);
    let together = Together {
        opening: with.opening,
        lease: with.lease,
        before: with.consistent,
        row_max,
        tables: with.tables,
        board,
        progress: &with.progress,
    };
    let all = together.fill((&mut reader, with.applier), small).await?;
    reader.close().await;
    Ok(all)
}

/// Lets several copy at once.
fn begin(with: &InitialCopy<'_>, board: &Arc<CopyQueue>, workers: &mut JoinSet<Result<(), Fault>>) {
    let checks = Checks::of_settings(with.settings);
    for _ in 0..with.jobs {
        let worker = Worker::new(with, board, &checks);
        workers.spawn(async move { worker.work().await });
    }
}

/// How large each table is.
async fn sizes(
    reader: &mut TableReader,
    tables: &Tables,
) -> Result<BTreeMap<TableId, TableSize>, Fault> {
    let groups = tables.iter().map(|table| {
        let leaves = table.leaves.iter().flatten().map(|(_, oid)| *oid);
        leaves.chain([table.desktop_oid]).collect()
    });
    let groups: Vec<_> = groups.collect();
    let sizes = reader.sizes(&groups).await;
    let sizes = sizes.map_err(Fault::at(Side::Desktop))?;
    Ok({ tables.iter() }.map(|table| table.id).zip(sizes).collect())
}

/// Copies one table after the other.
struct Worker {
    settings: Settings,
    opening: TransactionSettings,
    lease: Lease,
    snapshot: String,
    consistent: Lsn,
    jobs: usize,
    tables: Arc<Tables>,
    board: Arc<CopyQueue>,
    progress: Arc<Progress>,
    checks: Checks,
}

impl Worker {
    fn new(with: &InitialCopy<'_>, board: &Arc<CopyQueue>, checks: &Checks) -> Worker {
        Worker {
            settings: with.settings.clone(),
            opening: with.opening.clone(),
            lease: with.lease.clone(),
            snapshot: with.snapshot.to_owned(),
            consistent: with.consistent,
            jobs: with.jobs,
            tables: with.tables.clone(),
            board: board.clone(),
            progress: with.progress.clone(),
            checks: checks.clone(),
        }
    }

    async fn work(&self) -> Result<(), Fault> {
        let (desktop, cloud) = (Fault::at(Side::Desktop), Fault::at(Side::Cloud));
        let settings = &self.settings;
        let connected = TableReader::connect(&settings.desktop.endpoint).await;
        let mut reader = connected.map_err(&desktop)?;
        self.adopt(&mut reader).await?;
        let timeout = self.opening.statement_timeout;
        let connected = Applier::connect(&settings.cloud.endpoint, timeout).await;
        let mut applier = connected.map_err(&cloud)?;
        while let Some(work) = self.board.next().await {
            match work {
                Work::Table(wanted) => self.table(&wanted, &mut reader, &mut applier).await?,
                Work::Piece(wanted, pages) => {
                    self.piece(&wanted, pages, &mut reader, &mut applier)
                        .await?;
                }
            }
        }
        reader.close().await;
        applier.close().await;
        Ok(())
    }

    fn staging<'a>(&'a self, applier: &'a mut Applier) -> Staging<'a> {
        Staging {
            applier,
            opening: &self.opening,
            lease: &self.lease,
            memory_max: self.settings.forward.memory_max,
            progress: self.progress.clone(),
            checks: self.checks.clone(),
        }
    }

    /// Sees what the slot's snapshot sees.
    async fn adopt(&self, reader: &mut TableReader) -> Result<(), Fault> {
        let adopted = reader.adopt(&self.snapshot).await;
        adopted.map_err(Fault::at(Side::Desktop))
    }

    async fn run<const N: usize>(
        &self,
        applier: &mut Applier,
        statements: [Statement; N],
    ) -> Result<(), Fault> {
        let done = run(applier, &self.opening, &self.lease, statements).await;
        done.map_err(not_applied)
    }

    fn pour<'a>(
        &self,
        table: &'a Table,
        halves: &'a Direct,
        pages: Option<Pages>,
        references: Option<Arc<References>>,
    ) -> Pour<'a> {
        Pour {
            table,
            halves,
            pages,
            last: self.board.pages(table.id),
            before: self.consistent,
            references,
        }
    }

    /// How the table is filled by COPY, if it can be.
    fn halves(&self, table: &Table) -> Option<Direct> {
        let filled = |parent| self.board.was_poured(parent);
        direct(table, &self.tables, &filled)
    }

    async fn table(
        &self,
        wanted: &CopyRequest,
        reader: &mut TableReader,
        applier: &mut Applier,
    ) -> Result<(), Fault> {
        let table = self.tables.get(wanted.table);
        let new =
            matches!(wanted.how, How::Adopt { .. }) && !self.board.is_tied(table, &self.tables);
        if let Some(halves) = self.halves(table).filter(|_| new) {
            let mut staging = self.staging(applier);
            let cloud = (&mut *staging.applier, staging.opening);
            let references = self.checks.of(cloud, table, &halves).await?;
            let pour = self.pour(table, &halves, None, references.clone());
            let pieces = self.board.pieces(table, self.jobs);
            if pieces.is_empty() {
                if let Poured::Whole(rows) = pour.pour(&mut staging, reader).await? {
                    return self.poured(table, rows, applier).await;
                }
            } else if pour.claim(&mut staging).await? {
                self.board.split(wanted, &pieces, references);
                return Ok(());
            }
        }
        self.copy(wanted, &Filled::default(), reader, applier).await
    }

    /// A piece of a table; whoever has the last one finishes the table.
    async fn piece(
        &self,
        wanted: &CopyRequest,
        pages: Pages,
        reader: &mut TableReader,
        applier: &mut Applier,
    ) -> Result<(), Fault> {
        let table = self.tables.get(wanted.table);
        let poured = match self.halves(table) {
            Some(halves) => {
                let references = self.board.references(table.id);
                let pour = self.pour(table, &halves, Some(pages), references);
                pour.pour(&mut self.staging(applier), reader).await?
            }
            None => Poured::NotThis,
        };
        let rows = match poured {
            Poured::Whole(rows) => Some(rows),
            Poured::NotThis => {
                // The desktop may have ended the transaction.
                self.adopt(reader).await?;
                None
            }
        };
        match self.board.piece(table.id, rows) {
            Pieces::Open => Ok(()),
            Pieces::Whole(rows) => {
                let end = whole(&self.lease.replicator, table, rows, self.consistent);
                self.run(applier, end).await?;
                self.poured(table, rows, applier).await
            }
            Pieces::Broken(rows) => {
                let filled = Filled {
                    rows,
                    ..Filled::default()
                };
                let wanted = CopyRequest {
                    how: How::Again {
                        allow_shrink: false,
                    },
                    ..wanted.clone()
                };
                self.copy(&wanted, &filled, reader, applier).await
            }
        }
    }

    async fn poured(&self, table: &Table, rows: u64, applier: &mut Applier) -> Result<(), Fault> {
        failpoint::reach("table_poured");
        tracing::debug!(table = %table.name, rows, "copied");
        measure(applier, &self.opening, table, rows).await?;
        self.progress.end(&table.name, false);
        self.board.poured(table.id);
        Ok(())
    }

    /// Through the staging table, as a diff with what was `filled`.
    async fn copy(
        &self,
        wanted: &CopyRequest,
        filled: &Filled,
        reader: &mut TableReader,
        applier: &mut Applier,
    ) -> Result<(), Fault> {
        let table = self.tables.get(wanted.table);
        let copying = set_state(&self.lease.replicator, table, TableState::Copying, None);
        self.run(applier, [copying]).await?;
        // What was tried before may have ended the transaction.
        self.adopt(reader).await?;
        let staged = match self.staging(applier).stage(reader, table, filled).await? {
            Ok(staged) => staged,
            Err((way, why)) => {
                tracing::error!(table = %table.name, why, "stopped");
                let stopped = stop_state(&self.lease.replicator, table, way, &why);
                self.run(applier, [stopped]).await?;
                self.adopt(reader).await?;
                self.progress.end(&table.name, true);
                self.board.finished(table.id, true, None);
                return self.merge(applier).await;
            }
        };
        let copy = Copied {
            staged,
            how: wanted.how.clone(),
            asked: wanted.asked.clone(),
            touched: false,
        };
        self.board.assert_lease(copy);
        self.merge(applier).await
    }

    /// Merges what is staged and waits for nothing.
    async fn merge(&self, applier: &mut Applier) -> Result<(), Fault> {
        while let Some(copies) = self.board.ready(&self.tables) {
            let mut merge = Merge {
                applier,
                opening: &self.opening,
                lease: &self.lease,
                tables: &self.tables,
                // Nothing follows these tables yet: what looks something up in them is filled later.
                stopped: self.tables.iter().map(|table| table.id).collect(),
                before: self.consistent,
                snapshot: None,
                pending: false,
                alone: false,
                unfit: BTreeSet::new(),
            };
            let name = |copy: &Copied| self.tables.get(copy.staged.table()).name.as_str();
            { copies.iter() }.for_each(|copy| self.progress.merge(name(copy)));
            let mut surplus = merge.rows(&copies).await?;
            for copy in copies {
                let table = copy.staged.table();
                let stopped = merge.stopped.contains(&table);
                self.progress.end(name(&copy), stopped);
                let rest = surplus.iter().position(|rest| rest.staged.table() == table);
                let rest = rest.map(|at| surplus.swap_remove(at));
                self.board.finished(table, stopped, rest);
            }
        }
        Ok(())
    }
}
