//! Tables filled from one snapshot of the desktop: stage whole, then make the cloud's owned rows
//! equal by a diff, parents before children. What is surplus goes last, children first.

use std::collections::BTreeSet;
use std::time::Instant;

use super::refusal::{lies_in_rows, words};
use crate::apply::{Applier, Lease, NotApplied, Script, Stager, hold, unstage};
use crate::capture::{Line, TableReader};
use crate::config::Endpoint;
use crate::fault::{Fault, Side, blames_table};
use crate::limits;
use crate::model::{Key, Lsn, Param, Statement, Table, TableId, Tables, WayBack, oid};
use crate::plan::{
    Diff, Manner, Opening, TOO_LARGE_STEP, Which, are_there, copy_out, diff, follow_all, opening,
    park_too_large, quote, try_whole, void_parked,
};
use crate::wire::ServerError;

/// What a fill needs.
pub struct Fill<'a> {
    /// The desktop.
    pub desktop: &'a Endpoint,
    /// The connection to the cloud.
    pub applier: &'a mut Applier,
    /// Settings of each transaction.
    pub opening: &'a Opening,
    /// Who writes.
    pub lease: &'a Lease,
    /// The snapshot to read in.
    pub snapshot: &'a str,
    /// Where the stream takes over: the snapshot has everything before it.
    pub consistent: Lsn,
    /// Half of it is the most that one row may have, in bytes.
    pub memory_max: u64,
    /// All tables.
    pub tables: &'a Tables,
    /// Those that nothing is written to.
    pub stopped: BTreeSet<TableId>,
}

/// One table to fill.
pub struct Filled<'a> {
    /// The table.
    pub table: &'a Table,
    /// It was filled before: rows that the desktop no longer has are known to be ours to remove.
    pub again: bool,
}

/// Fills tables, given parents first. Rows that the cloud refuses are parked; a table that it refuses is
/// stopped with the reason; the others go on. Returns the tables that are stopped now.
///
/// # Errors
/// When a connection fails or the lease is lost; nothing is half-filled then.
pub async fn fill(mut with: Fill<'_>, wanted: &[Filled<'_>]) -> Result<BTreeSet<TableId>, Fault> {
    let mut reader = TableReader::open(with.desktop, with.snapshot)
        .await
        .map_err(Fault::at(Side::Desktop))?;
    let mut filled = Vec::new();
    // Until a table is filled nothing in it follows its parents: then it looks everything up.
    for wanted in wanted {
        with.stopped.insert(wanted.table.id);
    }
    for wanted in wanted {
        let started = Instant::now();
        let staged = with.stage(&mut reader, wanted.table).await?;
        let rows = staged.rows;
        match with.merge(wanted, staged).await? {
            Merged::Refused(why) => {
                tracing::error!(table = %wanted.table.name, why, "stopped");
                continue;
            }
            Merged::Whole if wanted.again => filled.push((wanted, rows)),
            Merged::Whole | Merged::Settled => {}
        }
        with.stopped.remove(&wanted.table.id);
        tracing::info!(table = %wanted.table.name, rows, ms = started.elapsed().as_millis() as u64, "copied");
        with.measure(wanted.table, rows).await?;
    }
    reader.close().await;
    for (wanted, rows) in filled.into_iter().rev() {
        if let Some(why) = with.tidy(wanted, rows).await? {
            tracing::error!(table = %wanted.table.name, why, "stopped");
            with.stopped.insert(wanted.table.id);
        }
    }
    with.run([unstage(with.lease)]).await.map_err(not_applied)?;
    Ok(with.stopped)
}

/// A table in the staging table.
#[derive(Clone, Copy)]
struct Staged {
    rows: u64,
    /// Rows of which only the key is there.
    too_large: u64,
}

/// What became of a staged table.
enum Merged {
    /// All its rows are there; surplus ones are still to be removed.
    Whole,
    /// It is finished: rows that were refused are parked.
    Settled,
    /// The cloud refuses it.
    Refused(String),
}

impl Fill<'_> {
    /// Stages a table whole; rows beyond half of the memory by their keys alone, to be parked.
    async fn stage(&mut self, reader: &mut TableReader, table: &Table) -> Result<Staged, Fault> {
        let started = [self.state(table, "copying", None), self.unstage(table)];
        self.run(started).await.map_err(not_applied)?;
        let limit = self.memory_max / 2;
        if let Some(rows) = self.read(reader, table, Which::All, limit).await? {
            return Ok(Staged { rows, too_large: 0 });
        }
        self.run([self.unstage(table)]).await.map_err(not_applied)?;
        // Escapes may double a line.
        let rows = self
            .read(reader, table, Which::UpTo(limit), 2 * limit + 1024)
            .await?;
        let too_large = self
            .read(reader, table, Which::Beyond(limit), limit)
            .await?;
        Ok(Staged {
            rows: rows.unwrap_or_default(),
            too_large: too_large.unwrap_or_default(),
        })
    }

    /// Reads rows into the staging table and says how many; none when one was too large to be kept.
    async fn read(
        &mut self,
        reader: &mut TableReader,
        table: &Table,
        which: Which,
        limit: u64,
    ) -> Result<Option<u64>, Fault> {
        let step = match which {
            Which::All | Which::UpTo(_) => 0,
            Which::Beyond(_) => TOO_LARGE_STEP,
        };
        let start = reader.start(&copy_out(table, which)).await;
        start.map_err(Fault::at(Side::Desktop))?;
        let mut stager = Stager::new(self.applier, self.lease);
        let (mut rows, mut passed_over) = (0, 0);
        let mut renewed = Instant::now();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        while let Some(line) = reader.line(limit).await.map_err(Fault::at(Side::Desktop))? {
            match line {
                Line::Row(line) => {
                    let staged = stager.line(&table.name, step, &line).await;
                    staged.map_err(Fault::at(Side::Cloud))?;
                    rows += 1;
                    if rows % 256 == 0 && renewed.elapsed() >= limits::RENEW_EVERY {
                        let applier = stager.pause().await.map_err(Fault::at(Side::Cloud))?;
                        let mut renews = opening(self.opening);
                        renews.push(hold(self.lease));
                        let done = applier.run(Script::staying(renews)).await;
                        done.map_err(not_applied)?;
                        renewed = Instant::now();
                    }
                }
                Line::TooLarge => passed_over += 1,
            }
        }
        stager.finish().await.map_err(Fault::at(Side::Cloud))?;
        Ok((passed_over == 0).then_some(rows))
    }

    /// Updates what differs and inserts what is missing. A table that is filled for the first time is finished
    /// with that, in one transaction: whatever is surplus was there before us, and is counted. A later try can
    /// tell it from our own rows.
    async fn merge(&mut self, wanted: &Filled<'_>, staged: Staged) -> Result<Merged, Fault> {
        let (table, Staged { rows, too_large }) = (wanted.table, staged);
        if too_large > 0 && table.key == Key::Multiset {
            let why = format!(
                "{too_large} rows are larger than half of forward.memory_max, and without a key they can't be put aside; raise forward.memory_max"
            );
            let stopped = [
                self.state(table, "stopped", Some(&why)),
                self.unstage(table),
            ];
            self.run(stopped).await.map_err(not_applied)?;
            return Ok(Merged::Refused(why));
        }
        let Diff {
            update,
            insert,
            extras,
            ..
        } = self.diff(table);
        let copied = self.set(table, "copied = $3::bigint", &rows.to_string());
        let parks = (too_large > 0).then(|| park_too_large(table, &self.manner()));
        let whole = [
            self.parked_void(table),
            hash_joins(),
            self.whole(table, rows),
        ];
        let whole = whole.into_iter().chain(parks);
        let rows_in = whole.clone().chain(update).chain([insert, copied.clone()]);
        let mut plain: Vec<_> = rows_in.collect();
        let outcome = match wanted.again {
            true => self.run(plain).await,
            false => {
                plain.push(extras.clone());
                self.settle(table, plain).await?
            }
        };
        let Some(error) = refusal(&outcome).cloned() else {
            outcome.map_err(not_applied)?;
            return Ok(Merged::Whole);
        };
        if !lies_in_rows(&error) {
            return self.stop(table, &error).await.map(Merged::Refused);
        }
        // Row by row; what is surplus goes first, since trying takes the rows out of the staging table.
        let before: Vec<_> = if wanted.again {
            self.removal(table)
        } else {
            vec![extras]
        };
        let tried = try_whole(table, &self.manner());
        let statements = whole.chain(before).chain(tried).chain([copied]).collect();
        let outcome = self.settle(table, statements).await?;
        Ok(match self.judge(table, outcome).await? {
            None => Merged::Settled,
            Some(why) => Merged::Refused(why),
        })
    }

    /// Removes what is surplus in a table that was filled before.
    async fn tidy(&mut self, wanted: &Filled<'_>, rows: u64) -> Result<Option<String>, Fault> {
        let table = wanted.table;
        let mut statements = vec![hash_joins(), self.whole(table, rows)];
        statements.extend(self.removal(table));
        let outcome = self.settle(table, statements).await?;
        self.judge(table, outcome).await
    }

    fn removal(&self, table: &Table) -> Vec<Statement> {
        let Diff {
            shrink,
            referred,
            remove,
            ..
        } = self.diff(table);
        [shrink]
            .into_iter()
            .chain(referred)
            .chain([remove])
            .collect()
    }

    fn diff(&self, table: &Table) -> Diff {
        diff(table, &self.lease.replicator, self.lease.epoch, 0)
    }

    fn manner(&self) -> Manner<'_> {
        Manner {
            replicator: &self.lease.replicator,
            epoch: self.lease.epoch,
            end: self.consistent,
            patience: limits::TRY_LONG_MAX,
            again: false,
        }
    }

    fn parked_void(&self, table: &Table) -> Statement {
        void_parked(table, &self.lease.replicator)
    }

    /// Statistics for the stream's statements: without them a plan may take a full table for empty.
    async fn measure(&mut self, table: &Table, rows: u64) -> Result<(), Fault> {
        if rows < limits::ANALYZE_ROWS_MIN {
            return Ok(());
        }
        let analyze = format!("analyze {}", quote::table(&table.cloud));
        let analyzed = self
            .run([Statement::bookkeeping(analyze, Vec::new())])
            .await;
        match analyzed {
            // Not everybody may; autovacuum does it a little later.
            Ok(()) | Err(NotApplied::Refused { .. }) => Ok(()),
            Err(error) => Err(not_applied(error)),
        }
    }

    /// Finishes a table by these statements: it streams from then on, and what others look up in it follows, all in
    /// one transaction. Another table that the cloud doesn't let follow stops alone.
    async fn settle(
        &mut self,
        table: &Table,
        statements: Vec<Statement>,
    ) -> Result<Result<(), NotApplied>, Fault> {
        loop {
            let stopped = |table| self.stopped.contains(&table);
            let followers = follow_all(table, self.tables, &stopped);
            let all = statements
                .iter()
                .cloned()
                .chain(self.settled(table))
                .chain(followers);
            let outcome = self.run(all.collect::<Vec<_>>()).await;
            let follower = match &outcome {
                Err(NotApplied::Refused {
                    table: Some(of), ..
                }) if *of != table.id => *of,
                _ => return Ok(outcome),
            };
            let Some(error) = refusal(&outcome) else {
                return Ok(outcome);
            };
            let follower = self.tables.get(follower);
            let why = self.stop(follower, error).await?;
            tracing::error!(table = %follower.name, why, "stopped");
            self.stopped.insert(follower.id);
        }
    }

    /// From now on the table streams.
    fn settled(&self, table: &Table) -> [Statement; 2] {
        let what = "copied_at = $3::pg_lsn, state = 'streaming', since = now(), why = null";
        let at = self.consistent.to_string();
        [self.set(table, what, &at), self.unstage(table)]
    }

    /// A refusal that lies in the table stops it; anything else is a fault.
    async fn judge(
        &mut self,
        table: &Table,
        outcome: Result<(), NotApplied>,
    ) -> Result<Option<String>, Fault> {
        match refusal(&outcome).cloned() {
            Some(error) => self.stop(table, &error).await.map(Some),
            None => outcome.map(|()| None).map_err(not_applied),
        }
    }

    /// Stops the table, or holds it where it would lose too many rows.
    async fn stop(&mut self, table: &Table, error: &ServerError) -> Result<String, Fault> {
        let why = words(error);
        let way = match error.code.as_str() {
            "TD004" => WayBack::Allow,
            _ => WayBack::Mend,
        };
        let stopped = [
            self.state(table, way.state(), Some(&why)),
            self.unstage(table),
        ];
        self.run(stopped).await.map_err(not_applied)?;
        Ok(why)
    }

    async fn run(
        &mut self,
        statements: impl IntoIterator<Item = Statement>,
    ) -> Result<(), NotApplied> {
        let statements = self.guarded(statements);
        self.applier
            .run(Script::staying(statements))
            .await
            .map(drop)
    }

    /// BEGIN, settings, the lease's fence, then the statements.
    fn guarded(&self, statements: impl IntoIterator<Item = Statement>) -> Vec<Statement> {
        let mut all = opening(self.opening);
        all.push(hold(self.lease));
        all.extend(statements);
        all
    }

    /// Fails unless all rows that were staged are still there: a crash of the cloud empties the
    /// staging table, and a pooler hides the crash.
    fn whole(&self, table: &Table, rows: u64) -> Statement {
        are_there(table, 0, rows, &self.manner())
    }

    fn unstage(&self, table: &Table) -> Statement {
        let sql = "delete from tandem.staging where replicator = $1 and \"table\" = $2";
        Statement::bookkeeping(
            sql,
            vec![
                Param::string(&self.lease.replicator),
                Param::string(&table.name),
            ],
        )
    }

    fn set(&self, table: &Table, what: &str, value: &str) -> Statement {
        let sql = format!(
            "update tandem.table_state set {what} where replicator = $1 and \"table\" = $2"
        );
        Statement::bookkeeping(
            sql,
            vec![
                Param::string(&self.lease.replicator),
                Param::string(&table.name),
                Param::string(value),
            ],
        )
    }

    fn state(&self, table: &Table, state: &str, why: Option<&str>) -> Statement {
        set_state(&self.lease.replicator, table, state, why)
    }
}

/// Staged rows have no statistics: a nested loop over two whole tables must not look cheap.
fn hash_joins() -> Statement {
    Statement::bookkeeping(
        "select set_config('enable_nestloop', 'off', true)",
        Vec::new(),
    )
}

/// Writes a table's state; makes its row where there is none.
pub(super) fn set_state(
    replicator: &str,
    table: &Table,
    state: &str,
    why: Option<&str>,
) -> Statement {
    let sql = "insert into tandem.table_state as s (replicator, \"table\", cloud, fingerprint, state, why) values ($1, $2, $3, $4, $5, $6) \
        on conflict (replicator, \"table\") do update set cloud = excluded.cloud, fingerprint = excluded.fingerprint, \
        since = case when s.state = excluded.state then s.since else now() end, state = excluded.state, why = excluded.why";
    let why = why.map_or(Param::null(oid::TEXT), Param::string);
    let cloud = table.cloud.to_string();
    Statement::bookkeeping(
        sql,
        vec![
            Param::string(replicator),
            Param::string(&table.name),
            Param::string(&cloud),
            Param::string(&table.fingerprint),
            Param::string(state),
            why,
        ],
    )
}

/// The error that lies in the table's own rows or definition.
fn refusal(outcome: &Result<(), NotApplied>) -> Option<&ServerError> {
    match outcome {
        Err(NotApplied::Refused { error, .. }) if blames_table(error) || is_ours(error) => {
            Some(error)
        }
        _ => None,
    }
}

/// Our own conditions on rows and tables.
pub(super) fn is_ours(error: &ServerError) -> bool {
    matches!(
        error.code.as_str(),
        "TD003" | "TD004" | "TD005" | "TD006" | "TD008"
    )
}

/// A transaction that failed for a reason that no table is to blame for.
pub fn not_applied(error: NotApplied) -> Fault {
    match error {
        NotApplied::Wire(error) => Fault::wire(Side::Cloud, &error),
        NotApplied::Refused { error, .. } => Fault::server(Side::Cloud, &error),
        NotApplied::Undone => Fault::new(
            crate::fault::Kind::Weather(Side::Cloud),
            "the cloud undid a transaction without saying why",
        ),
    }
}
