//! Who copies what in a first fill: tables whose parents are finished, the largest first; large ones piece by piece.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::flows::CopyRequest;
use crate::flows::copy::copied::Copied;
use crate::flows::copy::together::References;
use crate::limits;
use crate::model::{Table, TableId, Tables};
use crate::plan::Pages;

/// What is to be done, and what is done.
pub(super) struct CopyQueue {
    state: Mutex<State>,
    /// A table is finished, or there are new pieces.
    news: Notify,
}

struct State {
    /// Not begun, the largest first; each with the tables that it needs.
    waiting: Vec<(CopyRequest, BTreeSet<TableId>)>,
    /// Pieces of tables that are filled piece by piece.
    pieces: Vec<(CopyRequest, Pages)>,
    /// Pieces that are not finished, the rows of those that are, and whether one couldn't be filled.
    open_pieces: BTreeMap<TableId, (usize, u64, bool)>,
    pages: BTreeMap<TableId, u64>,
    /// Foreign keys of such tables that are checked together.
    references: BTreeMap<TableId, Arc<References>>,
    /// Neither finished nor stopped.
    open: BTreeSet<TableId>,
    /// Staged, and not merged before all are that they are tied to.
    held: Vec<Copied>,
    outcome: Outcome,
}

/// What came of it.
#[derive(Clone, Default)]
pub(super) struct Outcome {
    /// Tables that the cloud refuses.
    pub(super) stopped: BTreeSet<TableId>,
    /// Copies of which what is surplus is still to be removed.
    pub(super) surplus: Vec<Copied>,
    /// Filled whole by COPY.
    poured: BTreeSet<TableId>,
}

/// The next thing to do.
pub(super) enum Work {
    /// A table.
    Table(CopyRequest),
    /// A piece of one.
    Piece(CopyRequest, Pages),
}

/// What became of the last piece of a table.
pub(super) enum Pieces {
    /// It wasn't the last.
    Open,
    /// All are there: so many rows.
    Whole(u64),
    /// Some couldn't be filled; the others have so many rows.
    Broken(u64),
}

impl CopyQueue {
    pub(super) fn new(
        wanted: &[CopyRequest],
        tables: &Tables,
        pages: BTreeMap<TableId, u64>,
    ) -> CopyQueue {
        let with_parents = |wanted: &CopyRequest| {
            let parents = parents(tables.get(wanted.table), tables);
            (wanted.clone(), parents)
        };
        let mut waiting: Vec<_> = wanted.iter().map(with_parents).collect();
        waiting.sort_by_key(|(wanted, _)| {
            let pages = pages.get(&wanted.table).copied().unwrap_or_default();
            (std::cmp::Reverse(pages), wanted.table)
        });
        CopyQueue {
            state: Mutex::new(State {
                waiting,
                pieces: Vec::new(),
                open_pieces: BTreeMap::new(),
                pages,
                references: BTreeMap::new(),
                open: wanted.iter().map(|wanted| wanted.table).collect(),
                held: Vec::new(),
                outcome: Outcome::default(),
            }),
            news: Notify::new(),
        }
    }

    /// Tables that have to be filled before a table, and are not yet.
    pub(super) fn needs(&self, table: TableId) -> BTreeSet<TableId> {
        let State { waiting, open, .. } = &*self.state();
        let waiting = { waiting.iter() }.find(|(wanted, _)| wanted.table == table);
        waiting.map_or_else(BTreeSet::new, |(_, needs)| needs & open)
    }

    /// Somebody else fills these; true where there are others.
    pub(super) fn take(&self, these: &[CopyRequest]) -> bool {
        let waiting = &mut self.state().waiting;
        waiting.retain(|(wanted, _)| these.iter().all(|this| this.table != wanted.table));
        !waiting.is_empty()
    }

    /// They are to be filled like the others after all.
    pub(super) fn give_back(&self, these: Vec<CopyRequest>, tables: &Tables) {
        let these = these.into_iter().map(|wanted| {
            let parents = parents(tables.get(wanted.table), tables);
            (wanted, parents)
        });
        self.state().waiting.extend(these);
        self.news.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next work that can be done; none when there won't be any.
    pub(super) async fn next(&self) -> Option<Work> {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if let Some(work) = self.state().next() {
                return work;
            }
            news.await;
        }
    }

    /// How many pages a table has, as far as is known.
    pub(super) fn pages(&self, table: TableId) -> u64 {
        let state = self.state();
        state.pages.get(&table).copied().unwrap_or_default()
    }

    /// Splits a table into pieces, where that pays: between those who copy, and so that an interrupted copy has little to send again.
    pub(super) fn pieces(&self, table: &Table, jobs: usize) -> Vec<Pages> {
        let pages = self.pages(table.id);
        let parts = (pages / limits::PIECE_PAGES_MIN).min(jobs as u64);
        let parts = parts.max(pages.div_ceil(limits::PIECE_PAGES_MAX));
        if parts < 2 || table.leaves.is_some() {
            return Vec::new();
        }
        let edge = |part: u64| pages * part / parts;
        let piece = |part| (edge(part), (part + 1 < parts).then(|| edge(part + 1)));
        (0..parts).map(piece).collect()
    }

    /// The foreign keys that are checked together of a table that is filled by pieces.
    pub(super) fn references(&self, table: TableId) -> Option<Arc<References>> {
        self.state().references.get(&table).cloned()
    }

    /// The table is filled by these pieces.
    pub(super) fn split(
        &self,
        wanted: &CopyRequest,
        pieces: &[Pages],
        references: Option<Arc<References>>,
    ) {
        let mut state = self.state();
        let references = references.map(|references| (wanted.table, references));
        state.references.extend(references);
        let open = (pieces.len(), 0, false);
        state.open_pieces.insert(wanted.table, open);
        let pieces = pieces.iter().map(|pages| (wanted.clone(), *pages));
        state.pieces.extend(pieces);
        drop(state);
        self.news.notify_waiters();
    }

    /// A piece is there, with so many rows, or can't be filled.
    pub(super) fn piece(&self, table: TableId, rows: Option<u64>) -> Pieces {
        let mut state = self.state();
        let Some((open, sum, broken)) = state.open_pieces.get_mut(&table) else {
            return Pieces::Open;
        };
        *open -= 1;
        *sum += rows.unwrap_or_default();
        *broken |= rows.is_none();
        match (*open, *broken) {
            (0, true) => Pieces::Broken(*sum),
            (0, false) => Pieces::Whole(*sum),
            (_, _) => Pieces::Open,
        }
    }

    /// The table refers to others that are copied too, and they to it: none is whole without the others.
    pub(super) fn is_tied(&self, table: &Table, tables: &Tables) -> bool {
        let open = &self.state().open;
        let mut others = open.iter().filter(|other| **other != table.id);
        others.any(|other| tables.get(*other).is_tied_to(table))
    }

    /// A table is staged.
    pub(super) fn assert_lease(&self, copy: Copied) {
        self.state().held.push(copy);
    }

    /// Copies that can be merged now, parents first: each with those that it is tied to.
    pub(super) fn ready(&self, tables: &Tables) -> Option<Vec<Copied>> {
        let State { open, held, .. } = &mut *self.state();
        let is_held = |table: TableId| held.iter().any(|copy| copy.staged.table() == table);
        let tied = |one: TableId, other: TableId| {
            one == other || tables.get(one).is_tied_to(tables.get(other))
        };
        let is_ready = |copy: &&Copied| {
            let table = copy.staged.table();
            let mut needs = open.iter().filter(|other| tied(table, **other));
            needs.all(|other| is_held(*other))
        };
        let first = held.iter().find(is_ready)?.staged.table();
        let mut ready: Vec<_> = held
            .extract_if(.., |copy| tied(first, copy.staged.table()))
            .collect();
        ready.sort_by_key(|copy| copy.staged.table());
        Some(ready)
    }

    /// Whether the table was filled whole by COPY.
    pub(super) fn was_poured(&self, table: TableId) -> bool {
        self.state().outcome.poured.contains(&table)
    }

    /// The table is filled whole by COPY.
    pub(super) fn poured(&self, table: TableId) {
        self.state().outcome.poured.insert(table);
        self.finished(table, false, None);
    }

    /// Nothing more is to be done for the table, but to remove what is surplus.
    pub(super) fn finished(&self, table: TableId, stopped: bool, surplus: Option<Copied>) {
        let mut state = self.state();
        state.open.remove(&table);
        if stopped {
            state.outcome.stopped.insert(table);
        }
        state.outcome.surplus.extend(surplus);
        state
            .outcome
            .surplus
            .sort_by_key(|copy| copy.staged.table());
        drop(state);
        self.news.notify_waiters();
    }

    /// What came of all.
    pub(super) fn outcome(&self) -> Outcome {
        self.state().outcome.clone()
    }
}

impl State {
    /// Work that can be done now; `Some(None)` when there won't be any more.
    fn next(&mut self) -> Option<Option<Work>> {
        if let Some((wanted, pages)) = self.pieces.pop() {
            return Some(Some(Work::Piece(wanted, pages)));
        }
        let State { waiting, open, .. } = self;
        let free = waiting
            .iter()
            .position(|(_, needs)| needs.is_disjoint(open));
        match free {
            Some(free) => Some(Some(Work::Table(waiting.remove(free).0))),
            // Whoever fills the last ones may split them.
            None if self.open.is_empty() => Some(None),
            None => None,
        }
    }
}

/// Tables that have to be filled before a table: those that it refers to, looks something up in, or belongs to. Those that
/// it is tied to are filled with it.
fn parents(table: &Table, tables: &Tables) -> BTreeSet<TableId> {
    let needs = |other: &&Table| {
        let refers = other.reaches.iter().any(|reach| reach.child == table.cloud);
        let asks = { table.lookups.iter() }.any(|lookup| lookup.parent == other.cloud);
        let belongs = { table.tenant.via.iter() }.any(|via| via.parent == other.cloud);
        (refers || asks || belongs) && other.id < table.id && !other.is_tied_to(table)
    };
    tables.iter().filter(needs).map(|other| other.id).collect()
}
