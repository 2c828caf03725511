//! The connection to the cloud: batches behind one another go through a pipe, and whatever needs the connection for itself
//! takes it along and brings it back.

use std::future::pending;

use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::large_transaction::JobError;
use super::machine::LargeJob;
use crate::apply::{Applied, Applier, ApplyError, Pipe, Script};
use crate::fault::{Fault, Kind, Side};
use crate::flows::copy::Merged;

/// What is on its way.
pub(super) struct InFlight {
    hand: Link,
    /// What goes with the session: a transaction that nobody waits for would hold its locks against the next one.
    task: Option<AbortOnDropHandle<Returned>>,
}

type Returned = (Applier, Result<TaskResult, JobError>);

/// Who has the connection.
enum Link {
    Idle(Applier),
    Pipe(Pipe),
    /// The task.
    Away,
}

/// What a task came to that took the connection along.
pub(super) enum TaskResult {
    /// A script was carried out.
    Applied(Applied),
    /// A large transaction is in the staging table.
    Staged(Box<LargeJob>),
    /// Copies are merged.
    Merged(Merged),
}

/// Something was answered.
pub(super) enum Completion {
    /// The batch that was sent first; where it failed none behind it is in the cloud either.
    Batch(Result<Applied, ApplyError>),
    /// The task that had the connection.
    Task(Result<TaskResult, JobError>),
    /// The task is gone.
    Lost(JoinError),
}

impl InFlight {
    pub(super) fn new(applier: Applier) -> InFlight {
        InFlight {
            hand: Link::Idle(applier),
            task: None,
        }
    }

    /// The connection takes another batch behind those that are on their way.
    pub(super) fn has_room(&self) -> bool {
        match &self.hand {
            Link::Idle(_) => true,
            Link::Pipe(pipe) => pipe.has_room(),
            Link::Away => false,
        }
    }

    /// Sends a batch.
    pub(super) fn send(&mut self, script: Script) {
        let pipe = match std::mem::replace(&mut self.hand, Link::Away) {
            Link::Idle(applier) => Pipe::over(applier),
            Link::Pipe(pipe) => pipe,
            Link::Away => return,
        };
        pipe.send(script);
        self.hand = Link::Pipe(pipe);
    }

    /// Lends the connection to a task, while nothing else is on its way.
    pub(super) fn go<F>(&mut self, how: impl FnOnce(Applier) -> F + Send + 'static)
    where
        F: Future<Output = Returned> + Send + 'static,
    {
        let hand = std::mem::replace(&mut self.hand, Link::Away);
        let task = tokio::spawn(async move {
            let applier = match hand {
                Link::Idle(applier) => applier,
                Link::Pipe(pipe) => match pipe.close().await {
                    Ok(applier) => applier,
                    Err(lost) => match lost.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        // The whole program ends.
                        Err(_) => return pending().await,
                    },
                },
                Link::Away => return pending().await,
            };
            how(applier).await
        });
        self.task = Some(AbortOnDropHandle::new(task));
    }

    /// The next answer; never, where no batch is awaited and no task has the connection. Safe to cancel.
    pub(super) async fn landing(&mut self, awaits_batch: bool) -> Completion {
        if let Some(task) = &mut self.task {
            let returned = task.await;
            self.task = None;
            return match returned {
                Ok((applier, landed)) => {
                    self.hand = Link::Idle(applier);
                    Completion::Task(landed)
                }
                Err(lost) => Completion::Lost(lost),
            };
        }
        match &mut self.hand {
            Link::Pipe(pipe) if awaits_batch => Completion::Batch(pipe.answer().await),
            Link::Pipe(_) | Link::Idle(_) | Link::Away => pending().await,
        }
    }

    /// Gives up a task, or a transaction that is open, of which nothing is in its tables yet.
    pub(super) fn give_up(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        // With the connection goes what it began.
        self.hand = Link::Away;
    }

    /// Says goodbye to the cloud.
    pub(super) async fn close(self) {
        let applier = match self.hand {
            Link::Idle(applier) => Some(applier),
            Link::Pipe(pipe) => pipe.close().await.ok(),
            Link::Away => None,
        };
        if let Some(applier) = applier {
            applier.close().await;
        }
    }
}

/// The task that had the connection is gone.
pub(super) fn lost(error: JoinError) -> Fault {
    Fault::new(
        Kind::Internal,
        "internal check failed: the task that writes to the cloud ended",
    )
    .cause(error)
    .hint(format!(
        "nothing unfinished was committed to the {}; a restart goes on from the checkpoint",
        Side::Cloud
    ))
}
