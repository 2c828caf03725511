//! An empty table is filled by COPY: in one transaction, so that nobody sees a part of it, or, where it is large, in
//! several at once; then a reader sees it grow, and its state says `copying` until it is whole.

use std::sync::Arc;

use super::progress::Course;
use super::stage::{Staging, run};
use super::state::{is_ours, not_applied};
use super::together::{References, Values};
use crate::apply::{ApplyError, CopyIn, Lease, assert_lease};
use crate::capture::{Line, TableReader, values};
use crate::fault::{Fault, Side, blames_table};
use crate::model::{Lsn, Statement, Table, sqlstate};
use crate::plan::{
    Direct, Pages, TransactionSettings, forget_pieces, opening, piece_done, table_state,
    void_parked,
};
use crate::wire::{ServerError, WireError};

/// What became of rows.
pub(super) enum Poured {
    /// All are there: so many.
    Whole(u64),
    /// None is: the table has rows already, or some of these don't fit as they are.
    NotThis,
}

/// What is poured.
pub(super) struct Pour<'a> {
    /// The table.
    pub(super) table: &'a Table,
    /// How.
    pub(super) halves: &'a Direct,
    /// Only these of the desktop's pages, into a table that is claimed; else all, into one that is empty.
    pub(super) pages: Option<Pages>,
    /// How many pages the table has.
    pub(super) last: u64,
    /// It streams from there on.
    pub(super) before: Lsn,
    /// Foreign keys that are checked together; none where the cloud checks them row by row.
    pub(super) references: Option<Arc<References>>,
}

impl Pour<'_> {
    /// Fills the table.
    ///
    /// # Errors
    /// When a connection fails or the lease is lost.
    pub(super) async fn pour(
        &self,
        staging: &mut Staging<'_>,
        reader: &mut TableReader,
    ) -> Result<Poured, Fault> {
        if let Some(references) = &self.references
            && let Some(poured) = self.try_pour(staging, reader, Some(references)).await?
        {
            return Ok(poured);
        }
        let poured = self.try_pour(staging, reader, None).await?;
        Ok(poured.unwrap_or(Poured::NotThis))
    }

    /// None where there are too many values to check them together.
    async fn try_pour(
        &self,
        staging: &mut Staging<'_>,
        reader: &mut TableReader,
        references: Option<&Arc<References>>,
    ) -> Result<Option<Poured>, Fault> {
        let Pour { table, halves, .. } = self;
        let references = references.map(Arc::as_ref);
        let mut course = staging.progress.read(&table.name);
        let begin = self.begin(staging.opening, references);
        let mut filling = match CopyIn::begin(staging.applier, &begin).await {
            Ok(filling) => filling,
            Err(refused) => return not_this(refused, table).map(Some),
        };
        let limit = usize::try_from(staging.memory_max / 2).unwrap_or(usize::MAX);
        let out = halves.out(self.pages);
        let mut values = references.map(References::values);
        let to = To::Cloud(&mut filling, values.as_mut());
        let Some(rows) = pass_on((reader, limit), &out, to, &mut course).await? else {
            let are_many = values.is_some_and(|values| values.are_too_many());
            let given_up = given_up(filling, &mut course).await?;
            return Ok((!are_many).then_some(given_up));
        };
        let checks = values.iter().flat_map(Values::checks);
        let end = checks.chain(self.end(staging.lease, rows)).collect();
        match filling.commit(rows, end).await {
            Ok(true) => Ok(Some(Poured::Whole(rows))),
            Ok(false) => {
                course.undo();
                Ok(Some(Poured::NotThis))
            }
            Err(refused) => {
                course.undo();
                not_this(refused, table).map(Some)
            }
        }
    }

    /// Opens the transaction, and the COPY in it.
    fn begin(&self, settings: &TransactionSettings, references: Option<&References>) -> String {
        let begin = opening(settings).into_iter();
        let mut begin: Vec<_> = begin.map(|statement| statement.sql.to_string()).collect();
        // However long the desktop takes to read it: the COPY is one statement.
        begin.push("set local statement_timeout = 0".to_owned());
        if self.pages.is_none() {
            begin.push(self.halves.taken.clone());
        }
        begin.extend(references.map(References::begin));
        format!("{}; {}", begin.join("; "), self.halves.into)
    }

    /// Notes in the same transaction that the rows are there.
    fn end(&self, lease: &Lease, rows: u64) -> Vec<Statement> {
        let mut end = Vec::new();
        let (replicator, table) = (&lease.replicator, self.table);
        match self.pages {
            None => end.extend(whole(replicator, table, rows, self.before)),
            Some((from, to)) => {
                end.push(piece_done(
                    replicator,
                    table,
                    (from, to.unwrap_or(self.last)),
                ));
            }
        }
        end.push(assert_lease(lease));
        end
    }

    /// Makes sure that the table is empty, and notes that all owned rows in it are ours from now on: it is filled piece
    /// by piece.
    ///
    /// # Errors
    /// When the connection fails or the lease is lost.
    pub(super) async fn claim(&self, staging: &mut Staging<'_>) -> Result<bool, Fault> {
        let replicator = &staging.lease.replicator;
        let claim = [
            Statement::bookkeeping(self.halves.taken.clone(), Vec::new()),
            table_state::claimed(replicator, self.table, self.before),
            forget_pieces(replicator, self.table),
        ];
        let claimed = run(staging.applier, staging.opening, staging.lease, claim).await;
        match claimed {
            Ok(()) => Ok(true),
            Err(refused) => not_this(refused, self.table).map(|_| false),
        }
    }
}

/// All pieces of a table are there.
pub(super) fn whole(replicator: &str, table: &Table, rows: u64, before: Lsn) -> [Statement; 4] {
    [
        void_parked(table, replicator),
        table_state::count_filled(replicator, table, rows),
        table_state::settled(replicator, table, before, false),
        forget_pieces(replicator, table),
    ]
}

/// Where rows are passed on to.
pub(super) enum To<'a, 'b> {
    /// Into the table, and the values of foreign keys into memory.
    Cloud(&'a mut CopyIn<'b>, Option<&'a mut Values<'b>>),
    /// Into memory, up to so many bytes.
    Memory(&'a mut Vec<u8>, usize),
}

impl To<'_, '_> {
    /// Takes a line; false where it has no room for it.
    async fn take(&mut self, line: &[u8]) -> Result<bool, Fault> {
        match self {
            To::Cloud(filling, values) => {
                let taken = filling.line(line).await;
                taken.map_err(Fault::at(Side::Cloud))?;
                Ok(values.as_mut().is_none_or(|values| values.take(line)))
            }
            To::Memory(data, most) => {
                let fits = data.len() + line.len() <= *most;
                if fits {
                    data.extend_from_slice(line);
                }
                Ok(fits)
            }
        }
    }
}

/// Reads what `out` gives and passes it on, line by line; says how many rows. None when some of them don't fit as they are, or the
/// desktop refuses to give them.
pub(super) async fn pass_on(
    (reader, limit): (&mut TableReader, usize),
    out: &str,
    mut to: To<'_, '_>,
    course: &mut Course,
) -> Result<Option<u64>, Fault> {
    let desktop = Fault::at(Side::Desktop);
    match reader.start(out).await {
        Ok(()) => {}
        Err(WireError::Server(error)) if blames_table(&error) => return Ok(None),
        Err(error) => return Err(desktop(error)),
    }
    let (mut rows, mut unfit) = (0, false);
    loop {
        let line = match reader.line(limit).await {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(WireError::Server(error)) if blames_table(&error) => return Ok(None),
            Err(error) => return Err(desktop(error)),
        };
        // One that can't be read goes the long way as well.
        let line = match (line, reader.charset()) {
            (Line::Row(line), Some(charset)) => {
                values(&line, charset).map_or(Line::TooLarge, Line::Row)
            }
            (line, _) => line,
        };
        match line {
            Line::Row(line) if !unfit => {
                rows += 1;
                unfit = !to.take(&line).await?;
                course.row(line.len() as u64);
            }
            Line::Row(_) => {}
            Line::TooLarge => unfit = true,
        }
    }
    Ok((!unfit).then_some(rows))
}

/// Leaves the table as it was.
async fn given_up(filling: CopyIn<'_>, course: &mut Course) -> Result<Poured, Fault> {
    course.undo();
    let given_up = filling.give_up().await;
    given_up.map_err(Fault::at(Side::Cloud))?;
    Ok(Poured::NotThis)
}

/// The table has rows already, or is refused for what it is or has.
pub(super) fn is_not_this(error: &ServerError) -> bool {
    error.code == sqlstate::NOT_EMPTY || blames_table(error) || is_ours(error)
}

/// What is wrong with single rows is found out another way.
fn not_this(refused: ApplyError, table: &Table) -> Result<Poured, Fault> {
    match &refused {
        ApplyError::Refused { error, .. } if is_not_this(error) => {
            tracing::debug!(table = %table.name, %error, "not by COPY");
            Ok(Poured::NotThis)
        }
        _ => Err(not_applied(refused)),
    }
}
