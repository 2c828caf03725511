//! A transaction too large for memory: folded part by part into the staging table, in short transactions.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::machine::{Attempt, LargeJob};
use crate::apply::{
    Applier, ApplyError, Lease, Script, StagedRow, Stager, assert_lease, clear_staging,
};
use crate::failpoint;
use crate::fault::Fault;
use crate::fold::{Folder, StreamState, parking_name};
use crate::limits;
use crate::model::{Counts, Key, Statement, Step, StepKind, StepShape, TableId, Tables};
use crate::plan::{StagedStep, TransactionSettings, opening};
use crate::spill::{Remainder, Spill};
use crate::wire::WireError;

/// Why a flight failed.
pub(super) enum JobError {
    /// The cloud, or the way to it.
    Apply(ApplyError),
    /// The disk that holds a large transaction.
    Disk(io::Error),
    /// What ended a merge.
    Fault(Fault),
}

impl From<ApplyError> for JobError {
    fn from(error: ApplyError) -> Self {
        JobError::Apply(error)
    }
}

impl From<WireError> for JobError {
    fn from(error: WireError) -> Self {
        JobError::Apply(error.into())
    }
}

impl From<io::Error> for JobError {
    fn from(error: io::Error) -> Self {
        JobError::Disk(error)
    }
}

/// Steps by number, and how to find them.
struct Steps {
    list: Vec<StagedStep>,
    index: HashMap<(TableId, StepKind, StepShape), usize>,
    /// Names of rows that were parked before.
    names: HashMap<usize, Vec<Vec<u8>>>,
}

/// Stages a transaction; `progress` counts its parts. Nothing of it is in its tables when this fails.
pub(super) async fn stage(
    applier: &mut Applier,
    mut spill: Box<Spill>,
    tables: &Tables,
    book: &StreamState,
    (settings, lease): (&TransactionSettings, &Lease),
    progress: &AtomicU64,
) -> Result<LargeJob, JobError> {
    run(applier, settings, lease, [clear_staging(lease, false)]).await?;
    failpoint::reach("large_emptied");
    let Remainder {
        mut counts,
        mut halts,
        emptied,
        rekeyed,
    } = spill.remainder(book);
    let mut steps = Steps::new(&emptied, tables);
    let mut stager = Stager::new(applier, lease);
    let mut renewed = Instant::now();
    while let Some(folder) = tokio::task::block_in_place(|| spill.next_part(tables, book))? {
        let batch = fold_part(folder, tables, book, &mut counts);
        halts.extend(batch.halts);
        for step in batch.steps {
            steps.stage(step, tables, &mut stager).await?;
        }
        progress.fetch_add(1, Ordering::Relaxed);
        if renewed.elapsed() >= limits::RENEW_EVERY {
            run(stager.pause().await?, settings, lease, []).await?;
            renewed = Instant::now();
        }
    }
    stager.finish().await?;
    failpoint::reach("large_staged");
    if steps.list.iter().any(|step| step.rows > 0) {
        // The planner knows nothing of these rows otherwise.
        let analyze = Statement::bookkeeping("analyze tandem.staging", Vec::new());
        run(applier, settings, lease, [analyze]).await?;
    }
    halts.sort_by_key(|halt| halt.table);
    halts.dedup_by_key(|halt| halt.table);
    Ok(LargeJob {
        facts: std::mem::take(&mut spill.facts),
        steps: steps.list,
        rekeyed,
        counts,
        form: Attempt {
            halts,
            names: steps.names,
            wakes_quarantine: true,
            ..Attempt::default()
        },
    })
}

fn fold_part(
    folder: Folder,
    tables: &Tables,
    book: &StreamState,
    counts: &mut std::collections::BTreeMap<TableId, Counts>,
) -> crate::model::Batch {
    let batch = folder.finish(tables, &book.parking);
    for (table, part) in &batch.counts {
        counts.entry(*table).or_default().add(*part);
    }
    batch
}

async fn run<const N: usize>(
    applier: &mut Applier,
    settings: &TransactionSettings,
    lease: &Lease,
    statements: [Statement; N],
) -> Result<(), ApplyError> {
    let mut all = opening(settings);
    all.push(assert_lease(lease));
    all.extend(statements);
    applier.run(Script::staying(all)).await.map(drop)
}

impl Steps {
    fn new(emptied: &[TableId], tables: &Tables) -> Steps {
        let mut steps = Steps {
            list: Vec::new(),
            index: HashMap::new(),
            names: HashMap::new(),
        };
        for table in emptied {
            let work = match tables.get(*table).key {
                Key::Multiset => StepKind::AddCopies,
                Key::Columns(_) => StepKind::Upsert,
            };
            let shape = StepShape {
                mixed_keys: true,
                ..StepShape::default()
            };
            let number = steps.number(*table, work, &shape);
            steps.list[number].whole = true;
        }
        steps
    }

    fn number(&mut self, table: TableId, work: StepKind, shape: &StepShape) -> usize {
        let name = (table, work, shape.clone());
        *self.index.entry(name).or_insert_with(|| {
            self.list.push(StagedStep {
                table,
                work,
                shape: shape.clone(),
                rows: 0,
                whole: false,
            });
            self.list.len() - 1
        })
    }

    /// The step of an emptied table: all its rows are of one kind.
    fn whole(&self, table: TableId) -> Option<usize> {
        self.list
            .iter()
            .position(|step| step.table == table && step.whole)
    }

    async fn stage(
        &mut self,
        step: Step,
        tables: &Tables,
        stager: &mut Stager<'_>,
    ) -> Result<(), WireError> {
        let table = tables.get(step.table);
        // Rows of which only the key is known, or that can't be read, are parked: they are no part of what the table has now.
        let whole = self.whole(step.table);
        let whole = whole.filter(|_| !step.shape.waits());
        // What an emptied table had before is gone already.
        if whole.is_some() && (step.work.removes() || step.work.only_notes()) {
            return Ok(());
        }
        let shape = StepShape {
            fresh: false,
            ..step.shape.clone()
        };
        let number = match whole {
            Some(number) => number,
            None => self.number(step.table, step.work, &shape),
        };
        let own = table.own_layout();
        for row in &step.rows {
            let cells = row.layout.arriving(&row.tuple);
            let origin = row.old.as_ref().filter(|_| step.shape.moved);
            let origin = origin.map(|old| row.layout.arriving(old));
            // The diff of a whole table counts rows, not copies.
            let (times, copies) = match whole {
                Some(_) => (row.count, 1),
                None => (1, row.count),
            };
            for time in 0..times {
                let staged = StagedRow {
                    table: &table.name,
                    step: number,
                    cells: &cells,
                    copies,
                    messages: if time == 0 { row.messages } else { 0 },
                    origin: origin.as_deref(),
                };
                stager.row(&staged).await?;
            }
            self.list[number].rows += times;
            if step.shape.parked {
                let tuple = own.adopt(&row.tuple, &row.layout);
                let name = parking_name(table, &own, &tuple).unwrap_or_default();
                self.names.entry(number).or_default().push(name);
            }
        }
        Ok(())
    }
}
