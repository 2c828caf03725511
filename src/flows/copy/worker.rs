//! The task that reads tables and stages them, beside the stream.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use super::beforehand::Filled;
use super::progress::Progress;
use super::schedule::CopyRequest;
use super::stage::{Refusal, Staged, Staging, guarded};
use super::state::{not_applied, set_state};
use super::together::Checks;
use crate::apply::{Applier, Lease, Script};
use crate::capture::{SnapshotPoint, TableReader};
use crate::config::Endpoint;
use crate::fault::{Fault, Side};
use crate::limits;
use crate::model::{Lsn, TableId, TableState, Tables};
use crate::plan::TransactionSettings;

/// What reading and staging needs.
#[derive(Clone)]
pub(in crate::flows) struct Ends {
    pub(in crate::flows) desktop: Endpoint,
    pub(in crate::flows) cloud: Endpoint,
    pub(in crate::flows) opening: TransactionSettings,
    pub(in crate::flows) lease: Lease,
    pub(in crate::flows) memory_max: u64,
    pub(in crate::flows) tables: Arc<Tables>,
    pub(in crate::flows) progress: Arc<Progress>,
    pub(in crate::flows) checks: Checks,
}

/// The task that reads and stages.
pub(in crate::flows) struct Reading {
    pub(in crate::flows) events: mpsc::Receiver<Event>,
    pub(in crate::flows) orders: mpsc::Sender<Order>,
    _task: AbortOnDropHandle<()>,
}

/// Whole copies; and one that the desktop doesn't let us read, and why: those after it were not tried.
pub(in crate::flows) type Reads = (Vec<Staged>, Option<(TableId, Refusal)>);

/// What the task says.
pub(in crate::flows) enum Event {
    Ready,
    Seen(SnapshotPoint),
    Staged(Reads),
    Failed(Fault),
}

/// What the task is told.
pub(in crate::flows) enum Order {
    /// Take a snapshot.
    Look,
    /// Read the tables in the last one.
    Read,
}

impl Ends {
    /// Reads and stages tables in a task of its own.
    pub(in crate::flows) fn read(self, wanted: &[CopyRequest]) -> Reading {
        let (events, to_us) = mpsc::channel(1);
        let (to_it, orders) = mpsc::channel(1);
        let (new, all): (Vec<_>, Vec<_>) = {
            let copied = wanted.iter().filter(|wanted| !wanted.how.is_swap());
            let all = wanted.iter().map(|wanted| wanted.table);
            (copied.map(|wanted| wanted.table).collect(), all.collect())
        };
        let task: JoinHandle<()> = tokio::spawn(async move {
            if let Err(fault) = self.work((&new, &all), &events, orders).await {
                let _ = events.send(Event::Failed(fault)).await;
            }
        });
        Reading {
            events: to_us,
            orders: to_it,
            _task: AbortOnDropHandle::new(task),
        }
    }

    async fn work(
        &self,
        (new, all): (&[TableId], &[TableId]),
        events: &mpsc::Sender<Event>,
        mut orders: mpsc::Receiver<Order>,
    ) -> Result<(), Fault> {
        let (desktop, cloud) = (Fault::at(Side::Desktop), Fault::at(Side::Cloud));
        let mut reader = TableReader::connect(&self.desktop)
            .await
            .map_err(&desktop)?;
        let timeout = self.opening.statement_timeout;
        let mut applier = Applier::connect(&self.cloud, timeout)
            .await
            .map_err(&cloud)?;
        let copying = new.iter().map(|table| {
            let table = self.tables.get(*table);
            set_state(&self.lease.replicator, table, TableState::Copying, None)
        });
        let copying: Vec<_> = copying.collect();
        if !copying.is_empty() {
            // The lease's row first, as the stream has it.
            let copying = guarded(&self.opening, &self.lease, true, copying);
            let done = applier.run(Script::staying(copying)).await.map(drop);
            done.map_err(not_applied)?;
        }
        let mut said = events.send(Event::Ready).await;
        let (mut looked, mut before) = (false, Lsn::default());
        while said.is_ok() {
            match orders.recv().await {
                Some(Order::Look) => {
                    if std::mem::replace(&mut looked, true) {
                        tokio::time::sleep(limits::LOOK_AGAIN_AFTER).await;
                    }
                    let sight = reader.look().await.map_err(&desktop)?;
                    before = sight.before;
                    said = events.send(Event::Seen(sight)).await;
                }
                Some(Order::Read) => {
                    let reads = self.stage((new, all), before, &mut reader, &mut applier);
                    let reads = reads.await?;
                    // If nobody waits for it any more, the rows are removed with the next that are staged.
                    let _ = events.send(Event::Staged(reads)).await;
                    break;
                }
                None => break,
            }
        }
        reader.close().await;
        applier.close().await;
        Ok(())
    }

    async fn stage(
        &self,
        (new, all): (&[TableId], &[TableId]),
        before: Lsn,
        reader: &mut TableReader,
        applier: &mut Applier,
    ) -> Result<Reads, Fault> {
        let mut staging = Staging {
            applier,
            opening: &self.opening,
            lease: &self.lease,
            memory_max: self.memory_max,
            progress: self.progress.clone(),
            checks: self.checks.clone(),
        };
        let mut staged = Vec::new();
        for table in all {
            let found = self.tables.get(*table);
            let filled = match new.contains(table) {
                true => {
                    let beside = (&*self.tables, new);
                    staging.pour_pieces(reader, found, beside, before).await?
                }
                false => Filled::default(),
            };
            match staging.stage(reader, found, &filled).await? {
                Ok(whole) => staged.push(whole),
                Err(why) => return Ok((staged, Some((*table, why)))),
            }
        }
        Ok((staged, None))
    }
}
