//! The connection to the cloud, and what is on its way there: batches behind one another, or one errand that needs
//! the connection for itself.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::large_transaction::JobError;
use super::machine::attempt::{BatchJob, ExclusiveJob, LargeJob};
use super::machine::pacing::Pace;
use crate::apply::{Applied, Applier, ApplyError, Pipe, Script};
use crate::fault::{Fault, Kind, Side};
use crate::flows::copy::Merged;
use crate::flows::counters::Counters;

/// What is on its way.
pub(super) struct InFlight {
    hand: Link,
    flights: VecDeque<SentBatch>,
    /// What goes with the session: a transaction that nobody waits for would hold its locks against the next one.
    errand: Option<(ExclusiveJob, AbortOnDropHandle<Returned>)>,
    pace: Pace,
    meter: Arc<Counters>,
}

type Returned = (Applier, Result<JobResult, JobError>);

/// Who has the connection.
enum Link {
    Idle(Applier),
    Pipe(Pipe),
    /// The errand.
    Away,
}

/// A batch that was sent.
struct SentBatch {
    job: BatchJob,
    sent: Instant,
    /// Nothing may follow it before it is answered.
    alone: bool,
}

/// What an errand came to.
pub(super) enum JobResult {
    /// A script was carried out.
    Applied(Applied),
    /// A large transaction is in the staging table.
    Staged(Box<LargeJob>),
    /// Copies are merged.
    Merged(Merged),
}

/// Something was answered.
pub(super) enum Completion {
    /// A batch is in the cloud.
    Batch(BatchJob, Applied),
    /// A batch isn't, and so are none of those that were sent behind it.
    NotBatch(BatchJob, ApplyError, VecDeque<BatchJob>),
    /// An errand.
    ExclusiveJob(ExclusiveJob, Result<JobResult, JobError>),
    /// The task that carried it out is gone.
    Lost(JoinError),
}

impl super::Sender {
    /// No batch waits longer than this for others from now on.
    pub(in crate::flows::forward) fn limit_pauses(&mut self, most: Duration) {
        self.line.pace.limit(most);
    }
}

impl InFlight {
    pub(super) fn new(
        applier: Applier,
        (round_trip, longest_pause): (Duration, Duration),
        meter: Arc<Counters>,
    ) -> InFlight {
        InFlight {
            hand: Link::Idle(applier),
            flights: VecDeque::new(),
            errand: None,
            pace: Pace::new(Instant::now(), round_trip, longest_pause),
            meter,
        }
    }

    /// Nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.errand.is_none()
    }

    /// A batch that others may follow can be sent.
    pub(super) fn has_room(&self) -> bool {
        let room = match &self.hand {
            Link::Idle(_) => true,
            // Nothing would come that could wake us, so what became void and still waits there doesn't count.
            Link::Pipe(_) if self.flights.is_empty() => true,
            Link::Pipe(pipe) => pipe.has_room() && self.flights.len() < self.pace.depth(),
            Link::Away => false,
        };
        room && self.flights.iter().all(|flight| !flight.alone)
    }

    /// When it should be, while others are on their way.
    pub(super) fn next(&self) -> Instant {
        self.pace.next()
    }

    /// Sends a batch. `alone`: nothing else is on its way, and nothing may follow before it is answered.
    pub(super) fn send(&mut self, job: BatchJob, script: Script, alone: bool) {
        let pipe = match std::mem::replace(&mut self.hand, Link::Away) {
            Link::Idle(applier) => Pipe::over(applier),
            Link::Pipe(pipe) => pipe,
            Link::Away => return,
        };
        pipe.send(script);
        self.hand = Link::Pipe(pipe);
        let sent = Instant::now();
        self.pace.sent(sent);
        self.flights.push_back(SentBatch { job, sent, alone });
    }

    /// Goes on an errand, while nothing else is on its way.
    pub(super) fn go<F>(
        &mut self,
        errand: ExclusiveJob,
        how: impl FnOnce(Applier) -> F + Send + 'static,
    ) where
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
        self.errand = Some((errand, AbortOnDropHandle::new(task)));
    }

    /// The next answer. Safe to cancel.
    pub(super) async fn landing(&mut self) -> Completion {
        if let Some((_, task)) = &mut self.errand {
            let returned = task.await;
            let Some((errand, _)) = self.errand.take() else {
                return pending().await;
            };
            return match returned {
                Ok((applier, landed)) => {
                    self.hand = Link::Idle(applier);
                    Completion::ExclusiveJob(errand, landed)
                }
                Err(lost) => Completion::Lost(lost),
            };
        }
        let Link::Pipe(pipe) = &mut self.hand else {
            return pending().await;
        };
        if self.flights.is_empty() {
            return pending().await;
        }
        let answer = pipe.answer().await;
        let Some(SentBatch { job, sent, .. }) = self.flights.pop_front() else {
            return pending().await;
        };
        self.pace.answered(sent, Instant::now());
        match answer {
            Ok(done) => {
                self.meter.batch(sent.elapsed(), job.changes());
                Completion::Batch(job, done)
            }
            Err(error) => {
                let void = self.flights.drain(..).map(|flight| flight.job);
                Completion::NotBatch(job, error, void.collect())
            }
        }
    }

    /// Gives up an errand of which nothing is in its tables yet.
    pub(super) fn give_up_staging(&mut self) {
        if let Some((ExclusiveJob::Stage, task)) = &self.errand {
            task.abort();
            self.errand = None;
        }
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
