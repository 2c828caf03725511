//! A table read whole into the staging table.

use std::sync::Arc;

use crate::apply::{Applier, ApplyError, Lease, Script, StagedRow, Stager, assert_lease};
use crate::capture::{Line, TableReader, array};
use crate::failpoint;
use crate::fault::{Fault, Side, blames_table};
use crate::limits;
use crate::model::{Cell, Key, Param, Recovery, Statement, Table, TableId};
use crate::plan::{
    COPY_STEP, TOO_LARGE_STEP, TransactionSettings, UNREADABLE_STEP, Which, copy_out_of, opening,
    quote,
};

use super::beforehand::{Filled, Sifted};
use super::progress::{Course, Progress};
use super::together::Checks;
use super::{not_applied, way_of};
use crate::wire::WireError;

/// The connection to the staging table.
pub(in crate::flows) struct Staging<'a> {
    /// The connection.
    pub applier: &'a mut Applier,
    /// Settings of each transaction.
    pub opening: &'a TransactionSettings,
    /// Who writes.
    pub lease: &'a Lease,
    /// Half of it is the most that one row may have, in bytes.
    pub memory_max: u64,
    /// How far it is.
    pub progress: Arc<Progress>,
    /// Whether foreign keys are checked together where rows go straight into a table.
    pub checks: Checks,
}

/// A table that is in the staging table, whole, but for rows that are known to be equal: only a reading that came to its end makes
/// one, so that a part can't be taken for the table.
#[derive(Clone, Debug)]
pub(in crate::flows) struct Staged {
    table: TableId,
    rows: u64,
    too_large: u64,
    unreadable: u64,
    /// None where all rows are there.
    sifted: Option<Sifted>,
}

impl Staged {
    /// The table.
    pub(in crate::flows) fn table(&self) -> TableId {
        self.table
    }

    /// Rows that are there.
    pub(in crate::flows) fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows of which only the key is there.
    pub(in crate::flows) fn too_large(&self) -> u64 {
        self.too_large
    }

    /// Rows with a value that can't be read.
    pub(in crate::flows) fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Rows that were not read, since the cloud has them.
    pub(in crate::flows) fn equal(&self) -> u64 {
        self.sifted.as_ref().map_or(0, |sifted| sifted.equal)
    }

    /// Which rows of the cloud it is about, as a predicate on `t`; none where it is about all.
    pub(in crate::flows) fn which(&self) -> Option<&str> {
        self.sifted.as_ref().map(|sifted| sifted.within.stored())
    }

    /// All that the desktop has.
    pub(in crate::flows) fn read(&self) -> u64 {
        self.rows + self.too_large + self.unreadable + self.equal()
    }

    /// The same without what can't be read.
    pub(in crate::flows) fn readable(&self) -> u64 {
        self.read() - self.unreadable
    }
}

/// What a table that a server refuses waits for, and why.
pub(in crate::flows) type Refusal = (Recovery, String);

/// Why a table was not read.
enum Unread {
    /// What the desktop says of the table.
    Refused(Refusal),
    Fault(Fault),
}

impl From<Fault> for Unread {
    fn from(fault: Fault) -> Self {
        Unread::Fault(fault)
    }
}

fn unread(error: WireError) -> Unread {
    match error {
        WireError::Server(error) if blames_table(&error) => {
            let why = format!("the desktop doesn't let us read it: {error}");
            Unread::Refused((way_of(&error), why))
        }
        error => Unread::Fault(Fault::wire(Side::Desktop, &error)),
    }
}

impl Staging<'_> {
    /// Stages a table whole, but for rows that are known to be equal; rows beyond half of the memory by their keys alone, to be
    /// parked. What was `filled` before is told of. Where the desktop doesn't let us read it, why; its transaction is over then.
    ///
    /// # Errors
    /// When a connection fails or the lease is lost.
    pub(in crate::flows) async fn stage(
        &mut self,
        reader: &mut TableReader,
        table: &Table,
        filled: &Filled,
    ) -> Result<Result<Staged, Refusal>, Fault> {
        let staged = self.stage_whole(reader, table, filled).await;
        failpoint::reach("table_staged");
        match staged {
            Ok(staged) => Ok(Ok(staged)),
            Err(Unread::Refused(why)) => Ok(Err(why)),
            Err(Unread::Fault(fault)) => Err(fault),
        }
    }

    async fn stage_whole(
        &mut self,
        reader: &mut TableReader,
        table: &Table,
        filled: &Filled,
    ) -> Result<Staged, Unread> {
        self.run([self.clear_staging(table)]).await?;
        failpoint::reach("staging_emptied");
        let limit = self.memory_max / 2;
        let mut course = self.progress.read(&table.name);
        let sifted = self.sift(reader, table, filled).await?;
        let these = sifted.as_ref().map(Sifted::sent);
        let these = these.as_deref();
        let staged = |(rows, unreadable), too_large| Staged {
            table: table.id,
            rows,
            too_large,
            unreadable,
            sifted: sifted.clone(),
        };
        course.are_there(
            sifted.as_ref().map_or(0, |sifted| sifted.equal),
            filled.rows,
        );
        let all = copy_out_of(table, Which::All, these);
        if let Some(read) = self
            .read(reader, table, (COPY_STEP, limit, &all), &mut course)
            .await?
        {
            return Ok(staged(read, 0));
        }
        course.undo();
        self.run([self.clear_staging(table)]).await?;
        // Escapes may double a line.
        let line = 2 * limit + 1024;
        let up_to = copy_out_of(table, Which::UpTo(limit), these);
        let read = self
            .read(reader, table, (COPY_STEP, line, &up_to), &mut course)
            .await?;
        let beyond = copy_out_of(table, Which::Beyond(limit), these);
        let too_large = self
            .read(reader, table, (TOO_LARGE_STEP, limit, &beyond), &mut course)
            .await?;
        Ok(staged(
            read.unwrap_or_default(),
            too_large.unwrap_or_default().0,
        ))
    }

    /// Reads rows into the staging table and says how many, those apart that can't be read; none when one was too large
    /// to be kept.
    async fn read(
        &mut self,
        reader: &mut TableReader,
        table: &Table,
        (step, limit, copy): (usize, u64, &str),
        course: &mut Course,
    ) -> Result<Option<(u64, u64)>, Unread> {
        reader.start(copy).await.map_err(unread)?;
        let mut stager = Stager::new(self.applier, self.lease);
        let (mut rows, mut unreadable, mut passed_over) = (0, 0, 0);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        while let Some(line) = reader.line(limit).await.map_err(unread)? {
            match line {
                Line::Row(line) => {
                    let read = match reader.charset().filter(|_| !line.is_ascii()) {
                        Some(charset) => {
                            let cells = array(&line, charset);
                            let bad = step == COPY_STEP && is_bad(&cells);
                            let step = if bad { UNREADABLE_STEP } else { step };
                            let cells: Vec<_> = cells.iter().map(cell).collect();
                            let staged = StagedRow {
                                table: &table.name,
                                step,
                                cells: &cells,
                                copies: 1,
                                messages: 0,
                                origin: None,
                            };
                            stager.row(&staged).await.map(|()| bad)
                        }
                        None => stager.line(&table.name, step, &line).await.map(|()| false),
                    };
                    match read.map_err(Fault::at(Side::Cloud))? {
                        true => unreadable += 1,
                        false => rows += 1,
                    }
                    course.row(line.len() as u64);
                }
                Line::TooLarge => passed_over += 1,
            }
        }
        stager.finish().await.map_err(Fault::at(Side::Cloud))?;
        Ok((passed_over == 0).then_some((rows, unreadable)))
    }

    /// Without the lease's row, which the stream may hold for long: staged rows count only in its epoch.
    async fn run<const N: usize>(&mut self, statements: [Statement; N]) -> Result<(), Fault> {
        let mut all = opening(self.opening);
        all.extend(statements);
        let done = self.applier.run(Script::staying(all)).await;
        done.map(drop).map_err(not_applied)
    }

    fn clear_staging(&self, table: &Table) -> Statement {
        unstage_table(self.lease, table)
    }
}

fn cell(text: &Option<Vec<u8>>) -> Cell<'_> {
    text.as_deref().map_or(Cell::Null, Cell::Text)
}

fn is_bad(cells: &[Option<Vec<u8>>]) -> bool {
    cells.iter().any(|text| cell(text).is_unreadable())
}

/// Rows that are too large have no name in a table without a key.
pub(super) fn too_large(table: &Table, staged: &Staged) -> Option<String> {
    (staged.too_large() > 0 && table.key == Key::Multiset).then(|| {
        format!(
            "{} rows are larger than half of forward.memory_max, and without a key they can't be put aside; raise forward.memory_max",
            staged.too_large()
        )
    })
}

/// BEGIN, settings, the statements, and the lease's fence. It comes last where several copies go at once, since each holds
/// the lease's row until its transaction ends; one that is `alone` has it first too, and keeps others off meanwhile.
pub(in crate::flows) fn guarded(
    settings: &TransactionSettings,
    lease: &Lease,
    alone: bool,
    statements: impl IntoIterator<Item = Statement>,
) -> Vec<Statement> {
    let mut all = opening(settings);
    // The fence says whose transaction it is, too.
    all.push(match alone {
        true => assert_lease(lease),
        false => Statement::bookkeeping(
            "select set_config('tandem.replicator', $1, true)",
            vec![Param::string(&*lease.replicator)],
        ),
    });
    all.extend(statements);
    all.push(assert_lease(lease));
    all
}

/// Takes a table's copy out of the staging table.
pub(super) fn unstage_table(lease: &Lease, table: &Table) -> Statement {
    let sql = format!(
        r#"delete from tandem.staging
           where replicator = $1 and "table" = $2 and step >= {COPY_STEP} and epoch <= $3"#
    );
    let params = vec![
        Param::string(&lease.replicator),
        Param::string(&table.name),
        Param::int8(lease.epoch),
    ];
    Statement::bookkeeping(sql, params)
}

/// Runs a transaction of its own.
pub(super) async fn run(
    applier: &mut Applier,
    settings: &TransactionSettings,
    lease: &Lease,
    statements: impl IntoIterator<Item = Statement>,
) -> Result<(), ApplyError> {
    let all = guarded(settings, lease, false, statements);
    applier.run(Script::staying(all)).await.map(drop)
}

/// Statistics for the stream's statements: without them a plan may take a full table for empty.
///
/// # Errors
/// When the connection fails.
pub(super) async fn measure(
    applier: &mut Applier,
    settings: &TransactionSettings,
    table: &Table,
    rows: u64,
) -> Result<(), Fault> {
    if rows < limits::ANALYZE_ROWS_MIN {
        return Ok(());
    }
    let analyze = format!("analyze {}", quote::table(&table.cloud));
    let mut statements = opening(settings);
    statements.push(Statement::bookkeeping(analyze, Vec::new()));
    match applier.run(Script::staying(statements)).await {
        // Not everybody may; autovacuum does it a little later.
        Ok(_) | Err(ApplyError::Refused { .. }) => Ok(()),
        Err(error) => Err(not_applied(error)),
    }
}
