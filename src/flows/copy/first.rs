//! The first fill: all tables from the snapshot that came with the slot, several at once, before the stream starts there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::direct::{Poured, pour};
use super::merge::{Copied, How, Merge};
use super::stage::{Progress, Staging, measure, run};
use super::state::{not_applied, set_state};
use crate::apply::{Applier, Lease};
use crate::capture::TableReader;
use crate::config::Settings;
use crate::fault::{Fault, Kind, Side};
use crate::flows::Wanted;
use crate::limits;
use crate::model::{Lsn, Table, TableId, Tables};
use crate::plan::Opening;

/// What the first fill needs.
pub struct First<'a> {
    /// Both sides.
    pub settings: &'a Settings,
    /// A connection to the cloud.
    pub applier: &'a mut Applier,
    /// Settings of each transaction.
    pub opening: &'a Opening,
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
pub async fn fill(with: First<'_>, wanted: &[Wanted]) -> Result<BTreeSet<TableId>, Fault> {
    let connected = TableReader::connect(&with.settings.desktop.endpoint).await;
    let mut reader = connected.map_err(Fault::at(Side::Desktop))?;
    let sizes = sizes(&mut reader, with.tables).await?;
    reader.close().await;
    let (expected, tables): (u64, _) = (sizes.values().map(|(rows, _)| rows).sum(), wanted.len());
    with.progress.expected.store(expected, Ordering::Relaxed);
    with.progress.tables.store(tables as u64, Ordering::Relaxed);
    let board = Arc::new(Board::new(wanted, with.tables, &sizes));
    let mut workers = JoinSet::new();
    for _ in 0..with.jobs.min(wanted.len()) {
        let worker = Worker {
            settings: with.settings.clone(),
            opening: with.opening.clone(),
            lease: with.lease.clone(),
            snapshot: with.snapshot.to_owned(),
            consistent: with.consistent,
            tables: with.tables.clone(),
            board: board.clone(),
            progress: with.progress.clone(),
        };
        workers.spawn(async move { worker.work().await });
    }
    let mut renewals = interval(limits::RENEW_EVERY);
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
    let board = board.state.lock().unwrap_or_else(PoisonError::into_inner);
    let (surplus, stopped) = (board.surplus.clone(), board.stopped.clone());
    drop(board);
    let mut merge = Merge {
        applier: with.applier,
        opening: with.opening,
        lease: with.lease,
        tables: with.tables,
        stopped,
        before: with.consistent,
        snapshot: None,
        pending: false,
    };
    merge.remove_surplus(&surplus).await?;
    merge.clear().await
}

/// Rows and pages of each table, as the desktop's statistics have them.
async fn sizes(
    reader: &mut TableReader,
    tables: &Tables,
) -> Result<BTreeMap<TableId, (u64, u64)>, Fault> {
    let mut sizes = BTreeMap::new();
    for table in tables.iter() {
        let leaves = table.leaves.iter().flatten().map(|(_, oid)| *oid);
        let oids: Vec<_> = leaves.chain([table.desktop_oid]).collect();
        let size = reader.size(&oids).await;
        sizes.insert(table.id, size.map_err(Fault::at(Side::Desktop))?);
    }
    Ok(sizes)
}

/// Who copies what.
struct Board {
    state: Mutex<State>,
    /// A table is finished.
    news: Notify,
}

struct State {
    /// Not begun, the largest first; each with the tables that it needs.
    waiting: Vec<(Wanted, BTreeSet<TableId>)>,
    /// Neither finished nor stopped.
    open: BTreeSet<TableId>,
    stopped: BTreeSet<TableId>,
    /// Filled whole by COPY.
    poured: BTreeSet<TableId>,
    surplus: Vec<Copied>,
}

impl Board {
    fn new(wanted: &[Wanted], tables: &Tables, sizes: &BTreeMap<TableId, (u64, u64)>) -> Board {
        let mut waiting: Vec<_> = wanted
            .iter()
            .map(|wanted| (wanted.clone(), parents(tables.get(wanted.table), tables)))
            .collect();
        waiting.sort_by_key(|(wanted, _)| {
            let pages = sizes.get(&wanted.table).map_or(0, |(_, pages)| *pages);
            (std::cmp::Reverse(pages), wanted.table)
        });
        Board {
            state: Mutex::new(State {
                waiting,
                open: wanted.iter().map(|wanted| wanted.table).collect(),
                stopped: BTreeSet::new(),
                poured: BTreeSet::new(),
                surplus: Vec::new(),
            }),
            news: Notify::new(),
        }
    }

    /// The next table whose parents are finished; none when there is nothing more to begin.
    async fn next(&self) -> Option<Wanted> {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.waiting.is_empty() {
                    return None;
                }
                let State { waiting, open, .. } = &mut *state;
                let free = waiting
                    .iter()
                    .position(|(_, needs)| needs.is_disjoint(open));
                if let Some(free) = free {
                    return Some(waiting.remove(free).0);
                }
            }
            news.await;
        }
    }

    fn was_poured(&self, table: TableId) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.poured.contains(&table)
    }

    fn poured(&self, table: TableId) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.poured.insert(table);
    }

    fn finished(&self, table: TableId, stopped: bool, surplus: Option<Copied>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open.remove(&table);
        if stopped {
            state.stopped.insert(table);
        }
        state.surplus.extend(surplus);
        state.surplus.sort_by_key(|copy| copy.staged.table());
        drop(state);
        self.news.notify_waiters();
    }
}

/// Tables that have to be filled before a table: those that it refers to, looks something up in, or belongs to.
fn parents(table: &Table, tables: &Tables) -> BTreeSet<TableId> {
    let needs = |other: &&Table| {
        let refers = other.reaches.iter().any(|reach| reach.child == table.cloud);
        let asks = table
            .lookups
            .iter()
            .any(|lookup| lookup.parent == other.cloud);
        let belongs = { table.tenant.via.iter() }.any(|via| via.parent == other.cloud);
        (refers || asks || belongs) && other.id < table.id
    };
    tables.iter().filter(needs).map(|other| other.id).collect()
}

/// Copies one table after the other.
struct Worker {
    settings: Settings,
    opening: Opening,
    lease: Lease,
    snapshot: String,
    consistent: Lsn,
    tables: Arc<Tables>,
    board: Arc<Board>,
    progress: Arc<Progress>,
}

impl Worker {
    async fn work(&self) -> Result<(), Fault> {
        let (desktop, cloud) = (Fault::at(Side::Desktop), Fault::at(Side::Cloud));
        let settings = &self.settings;
        let connected = TableReader::connect(&settings.desktop.endpoint).await;
        let mut reader = connected.map_err(&desktop)?;
        reader.adopt(&self.snapshot).await.map_err(&desktop)?;
        let timeout = self.opening.statement_timeout;
        let connected = Applier::connect(&settings.cloud.endpoint, timeout).await;
        let mut applier = connected.map_err(&cloud)?;
        while let Some(wanted) = self.board.next().await {
            self.copy(&wanted, &mut reader, &mut applier).await?;
            self.progress.done.fetch_add(1, Ordering::Relaxed);
        }
        reader.close().await;
        applier.close().await;
        Ok(())
    }

    async fn copy(
        &self,
        wanted: &Wanted,
        reader: &mut TableReader,
        applier: &mut Applier,
    ) -> Result<(), Fault> {
        let table = self.tables.get(wanted.table);
        let mut staging = Staging {
            applier,
            opening: &self.opening,
            lease: &self.lease,
            memory_max: self.settings.forward.memory_max,
            progress: self.progress.clone(),
        };
        if let How::Adopt { .. } = wanted.how
            && let Poured::Whole(rows) = {
                let filled = |parent| self.board.was_poured(parent);
                let tables = (table, &*self.tables);
                pour(&mut staging, reader, tables, &filled, self.consistent).await?
            }
        {
            tracing::info!(table = %table.name, rows, "copied");
            measure(applier, &self.opening, table, rows).await?;
            self.board.poured(table.id);
            self.board.finished(table.id, false, None);
            return Ok(());
        }
        let copying = set_state(&self.lease.replicator, table, "copying", None);
        let done = run(staging.applier, &self.opening, &self.lease, [copying]).await;
        done.map_err(not_applied)?;
        let staged = staging.stage(reader, table).await?;
        let unread = |why: String| {
            Fault::new(Kind::Input, format!("table {} can't be read", table.name))
                .cause(why)
                .hint("the tables that were copied stay; repeat the command to go on")
        };
        let copy = Copied {
            staged: staged.map_err(unread)?,
            how: wanted.how.clone(),
            asked: wanted.asked.clone(),
            touched: false,
        };
        let mut merge = Merge {
            applier,
            opening: &self.opening,
            lease: &self.lease,
            tables: &self.tables,
            // Nothing follows this table yet: what looks something up in it is filled later.
            stopped: self.tables.iter().map(|table| table.id).collect(),
            before: self.consistent,
            snapshot: None,
            pending: false,
        };
        let surplus = merge.rows(std::slice::from_ref(&copy)).await?;
        let stopped = merge.stopped.contains(&table.id);
        self.board
            .finished(table.id, stopped, surplus.into_iter().next());
        Ok(())
    }
}
