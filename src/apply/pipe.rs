//! Transactions behind one another on one connection: the next one is sent before the last one is answered, so that
//! distance costs latency and not throughput.
//!
//! Each is one Sync group that begins with the raising compare-and-set on the checkpoint that the one before it
//! leaves. So when one fails, none behind it commits: the pipe is emptied, and what was in it has to be sent again.
//!
//! Behind a pooler each waits for the answer to the one before it. A pooler gives the server's connection to somebody else
//! as soon as an answer says that no transaction is open, and what had come of the next one by then stays there: others
//! read its answers and end its transaction, and its rest goes to another server. PgBouncer 1.18 does so wherever the
//! Sync of the next one has not come by then, Supavisor always.

use std::collections::VecDeque;
use std::future::pending;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{sleep_until, timeout};

use super::told::Told;
use super::transaction::{Applied, Applier, ApplyError, Group, Script};
use crate::failpoint;
use crate::limits;
use crate::wire::WireError;

/// A connection with several transactions on their way.
pub struct Pipe {
    scripts: mpsc::Sender<Numbered>,
    answers: mpsc::UnboundedReceiver<Result<Applied, ApplyError>>,
    task: JoinHandle<Applier>,
    /// Failures so far: what was sent before the last one is void.
    failures: u64,
}

struct Numbered {
    script: Script,
    failures: u64,
}

impl Pipe {
    /// Takes a connection on which nothing is outstanding.
    pub fn over(applier: Applier) -> Pipe {
        // What became void may still stand in it when others are sent again.
        let (scripts, orders) = mpsc::channel(2 * limits::IN_FLIGHT_MAX);
        let (to_flow, answers) = mpsc::unbounded_channel();
        let pump = Pump {
            applier,
            sent: VecDeque::new(),
            failures: 0,
            answered: Instant::now(),
        };
        Pipe {
            scripts,
            answers,
            task: tokio::spawn(pump.run(orders, to_flow)),
            failures: 0,
        }
    }

    /// No more than one script waits while another is being sent: more would only take memory.
    pub fn has_room(&self) -> bool {
        self.scripts.max_capacity() - self.scripts.capacity() <= 1
    }

    /// Sends a transaction behind the others, of which there may be [`limits::IN_FLIGHT_MAX`].
    pub fn send(&self, script: Script) {
        let failures = self.failures;
        let _ = self.scripts.try_send(Numbered { script, failures });
    }

    /// What became of the oldest transaction that is outstanding. After [`ApplyError::Refused`] and
    /// [`ApplyError::Undone`] all that were sent behind it are void and get no answer; after
    /// [`ApplyError::Wire`] the connection is gone. Safe to cancel.
    ///
    /// # Errors
    /// As [`ApplyError`] says.
    pub async fn answer(&mut self) -> Result<Applied, ApplyError> {
        let answer = self.answers.recv().await;
        let answer = answer.unwrap_or(Err(WireError::Closed.into()));
        if answer.is_err() {
            self.failures += 1;
        }
        answer
    }

    /// Gives the connection back once everything is answered.
    ///
    /// # Errors
    /// When the task that has it failed.
    pub async fn close(self) -> Result<Applier, JoinError> {
        drop(self.scripts);
        self.task.await
    }
}

struct Pump {
    applier: Applier,
    sent: VecDeque<Group>,
    failures: u64,
    /// When the last answer came.
    answered: Instant,
}

impl Pump {
    async fn run(
        mut self,
        mut orders: mpsc::Receiver<Numbered>,
        answers: mpsc::UnboundedSender<Result<Applied, ApplyError>>,
    ) -> Applier {
        loop {
            let most = match self.applier.is_direct() {
                true => limits::IN_FLIGHT_MAX,
                false => 1,
            };
            let room = self.sent.len() < most;
            let patience = self.applier.patience();
            let late = self
                .sent
                .front()
                .map(|group| group.since.max(self.answered) + patience);
            let outcome = tokio::select! {
                biased;
                answer = front(&mut self.applier, &mut self.sent) => self.take(answer).await,
                order = orders.recv(), if room => match order {
                    // What was sent before a failure was formed for another checkpoint.
                    Some(order) if order.failures < self.failures => continue,
                    Some(order) => match timeout(patience, self.applier.put(order.script, Told::way)).await {
                        Ok(Ok(group)) => {
                            failpoint::reach("batch_sent");
                            self.sent.push_back(group);
                            continue;
                        }
                        Ok(Err(error)) => Err(error.into()),
                        Err(_) => Err(WireError::Timeout(patience.as_secs()).into()),
                    },
                    None if self.sent.is_empty() => return self.applier,
                    None => {
                        // Nothing more comes: only answers are awaited from here on.
                        let answer = front(&mut self.applier, &mut self.sent).await;
                        self.take(answer).await
                    }
                },
                () = sleep_until(late.unwrap_or(self.answered).into()), if late.is_some() => Err(WireError::Timeout(patience.as_secs()).into()),
            };
            let gone = matches!(outcome, Err(ApplyError::Wire(_)));
            if answers.send(outcome).is_err() || gone {
                return self.applier;
            }
        }
    }

    /// Takes the front's answer; a failure empties the pipe.
    async fn take(&mut self, answer: Result<Applied, ApplyError>) -> Result<Applied, ApplyError> {
        self.answered = Instant::now();
        let outstanding = match &answer {
            Ok(_) => {
                failpoint::reach("batch_committed");
                self.sent.pop_front();
                return answer;
            }
            Err(ApplyError::Wire(_)) => return answer,
            Err(ApplyError::Refused { .. }) => self.sent.len(),
            // Its own answer was read to the end.
            Err(ApplyError::Undone) => self.sent.len() - 1,
        };
        self.sent.clear();
        self.failures += 1;
        self.applier.empty(outstanding).await?;
        answer
    }
}

/// The answer to what was sent first; never, when nothing is outstanding. Safe to cancel.
async fn front(applier: &mut Applier, sent: &mut VecDeque<Group>) -> Result<Applied, ApplyError> {
    match sent.front_mut() {
        Some(group) => applier.answer(group).await,
        None => pending().await,
    }
}
