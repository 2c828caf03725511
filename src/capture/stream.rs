//! The task that owns the replication socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::frame::{Frame, status};
use super::pulse::{Due, Pulse};
use crate::config::Endpoint;
use crate::limits;
use crate::model::Committed;
use crate::wire::{Mode, PINNED, Session, WireError};

/// Where and how to start streaming.
#[derive(Clone, Debug)]
pub struct Start {
    /// The slot.
    pub slot: String,
    /// The publication.
    pub publication: String,
    /// The checkpoint: everything before it is in the cloud.
    pub from: Committed,
    /// The desktop's `wal_sender_timeout`.
    pub sender_timeout: Duration,
    /// Bytes that may wait here and behind, until their batch is committed.
    pub memory_max: u64,
}

/// Messages in the order in which they came, and the memory that they hold.
pub struct Delivery {
    /// Messages of the output plugin.
    pub messages: Vec<Bytes>,
    /// Given back when the batch is committed and this is dropped.
    pub memory: OwnedSemaphorePermit,
}

/// A running replication session.
pub struct Capture {
    deliveries: mpsc::UnboundedReceiver<Result<Delivery, WireError>>,
    committed: watch::Sender<Committed>,
    /// Bytes that wait for room.
    wanted: Arc<AtomicU64>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Capture {
    /// Connects and starts streaming.
    ///
    /// # Errors
    /// As [`Session::connect`], and what the server says to START_REPLICATION.
    pub async fn start(endpoint: &Endpoint, start: &Start) -> Result<Capture, WireError> {
        let mut session = Session::connect(endpoint, Mode::Replication, PINNED).await?;
        session.start_copy_both(&start_replication(start)).await?;
        let (to_flow, deliveries) = mpsc::unbounded_channel();
        let (committed, changes) = watch::channel(start.from);
        let stop = CancellationToken::new();
        let wanted = Arc::new(AtomicU64::new(0));
        let pump = Pump {
            session,
            pulse: Pulse::new(Instant::now(), start.from, start.sender_timeout),
            budget: Arc::new(Semaphore::new(
                start.memory_max.min(Semaphore::MAX_PERMITS as u64) as usize,
            )),
            memory_max: start.memory_max,
            to_flow,
            committed: changes,
            wanted: wanted.clone(),
            stop: stop.clone(),
        };
        let task = tokio::spawn(pump.run());
        Ok(Capture {
            deliveries,
            committed,
            wanted,
            stop,
            task,
        })
    }
}

impl Capture {
    /// The next messages; none once the stream has ended. Safe to cancel.
    ///
    /// # Errors
    /// Why the stream ended.
    pub async fn next(&mut self) -> Option<Result<Delivery, WireError>> {
        self.deliveries.recv().await
    }

    /// Bytes that have arrived and find no room, once everything before them was taken.
    pub fn starved_of(&self) -> u64 {
        let wanted = self.wanted.load(Ordering::Acquire);
        if self.deliveries.is_empty() {
            wanted
        } else {
            0
        }
    }

    /// The cloud has committed up to here: tell the desktop.
    pub fn confirm(&self, committed: Committed) {
        self.committed.send_replace(committed);
    }

    /// Ends the stream in order: last feedback, CopyDone, drain, Terminate.
    pub async fn finish(self) {
        self.stop.cancel();
        let _ = timeout(limits::GOODBYE_MAX * 3, self.task).await;
    }

    /// Closes the socket now: the server is shutting down, or its positions don't move.
    pub async fn abandon(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Source: PostgreSQL documentation, "Logical Streaming Replication Parameters". Names are quoted
/// as SQL identifiers, inside a quoted option.
fn start_replication(start: &Start) -> String {
    let slot = format!("\"{}\"", start.slot.replace('"', "\"\""));
    let publication = format!("\"{}\"", start.publication.replace('"', "\"\"")).replace('\'', "''");
    let from = start.from.lsn();
    format!(
        "START_REPLICATION SLOT {slot} LOGICAL {from} (proto_version '1', publication_names '{publication}', messages 'true')"
    )
}

struct Pump {
    session: Session,
    pulse: Pulse,
    budget: Arc<Semaphore>,
    memory_max: u64,
    to_flow: mpsc::UnboundedSender<Result<Delivery, WireError>>,
    committed: watch::Receiver<Committed>,
    wanted: Arc<AtomicU64>,
    stop: CancellationToken,
}

impl Pump {
    async fn run(mut self) {
        let stop = self.stop.clone();
        let ended = self.pump(&stop).await;
        match ended {
            Ok(()) => self.goodbye().await,
            Err(error) => drop(self.to_flow.send(Err(error))),
        }
    }

    /// Everything that waits, waits here.
    async fn pump(&mut self, stop: &CancellationToken) -> Result<(), WireError> {
        let mut waiting: Vec<Bytes> = Vec::new();
        loop {
            let wake = match self.pulse.due(Instant::now()) {
                Due::Report { ask } => {
                    self.report(ask).await?;
                    continue;
                }
                Due::Silent => return Err(WireError::Timeout(limits::SILENCE_MAX.as_secs())),
                Due::At(when) => when,
            };
            let size = permits(&waiting, self.memory_max);
            self.wanted.store(u64::from(size), Ordering::Release);
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                changed = self.committed.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let committed = *self.committed.borrow_and_update();
                    self.pulse.committed(committed);
                }
                memory = self.budget.clone().acquire_many_owned(size), if !waiting.is_empty() => {
                    let Ok(memory) = memory else { return Ok(()) };
                    self.pulse.heard(Instant::now());
                    let delivery = Delivery { messages: std::mem::take(&mut waiting), memory };
                    // The channel itself has no bound: the permits bound the bytes in it.
                    if self.to_flow.send(Ok(delivery)).is_err() {
                        return Ok(());
                    }
                }
                message = self.session.next(), if waiting.is_empty() => {
                    self.take(message?, &mut waiting)?;
                    self.take_buffered(&mut waiting)?;
                }
                () = sleep_until(wake.into()) => {
                    if !waiting.is_empty() {
                        // We don't read while memory is full: the server's silence is our doing.
                        self.pulse.heard(Instant::now());
                    }
                }
            }
        }
    }

    /// What has arrived with the same read.
    fn take_buffered(&mut self, waiting: &mut Vec<Bytes>) -> Result<(), WireError> {
        while let Some(message) = self.session.buffered()? {
            self.take(message, waiting)?;
        }
        Ok(())
    }

    fn take(&mut self, message: Message, waiting: &mut Vec<Bytes>) -> Result<(), WireError> {
        match message {
            Message::CopyData(body) => {
                let frame = Frame::read(body.into_bytes())
                    .map_err(|bad| WireError::Protocol(bad.to_string()))?;
                self.pulse.frame(Instant::now(), &frame);
                if let Frame::Data { message, .. } = frame {
                    waiting.push(message);
                }
                Ok(())
            }
            // The server ends the stream by itself when it shuts down.
            Message::CopyDone | Message::CommandComplete(_) | Message::ReadyForQuery(_) => {
                Err(WireError::Closed)
            }
            _ => Err(WireError::Protocol(
                "an unexpected message in the stream".to_owned(),
            )),
        }
    }

    async fn report(&mut self, ask: bool) -> Result<(), WireError> {
        let committed = *self.committed.borrow_and_update();
        self.pulse.committed(committed);
        let (received, committed) = self.pulse.positions();
        let mut message = BytesMut::new();
        status(&mut message, received, committed, postgres_clock(), ask);
        self.session.put_copy(&message);
        timeout(limits::SILENCE_MAX, self.session.flush())
            .await
            .map_err(|_| WireError::Timeout(limits::SILENCE_MAX.as_secs()))?
    }

    /// Last feedback, CopyDone, drain, Terminate.
    async fn goodbye(mut self) {
        let drained = async {
            self.report(false).await?;
            frontend::copy_done(self.session.out());
            self.session.flush().await?;
            while !matches!(self.session.next().await?, Message::ReadyForQuery(_)) {}
            Ok::<_, WireError>(())
        };
        let _ = timeout(limits::GOODBYE_MAX, drained).await;
        self.session.terminate().await;
    }
}

/// What a delivery costs: its bytes, but never more than the whole budget, which would wait for ever.
fn permits(messages: &[Bytes], memory_max: u64) -> u32 {
    let bytes: u64 = messages
        .iter()
        .map(|message| (message.len() + limits::MESSAGE_OVERHEAD) as u64)
        .sum();
    u32::try_from(bytes.min(memory_max)).unwrap_or(u32::MAX)
}

/// Microseconds since 2000, as the protocol wants; only the server's statistics use it.
fn postgres_clock() -> i64 {
    const UNIX_TO_2000: Duration = Duration::from_secs(946_684_800);
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH + UNIX_TO_2000)
        .unwrap_or_default();
    since.as_micros() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Lsn;

    #[test]
    fn names_are_quoted_in_the_command() {
        let start = Start {
            slot: "tandem".to_owned(),
            publication: "o'da\"x".to_owned(),
            from: Committed::proven(Lsn(0x1_0000_0010)),
            sender_timeout: Duration::ZERO,
            memory_max: 1,
        };
        let want = "START_REPLICATION SLOT \"tandem\" LOGICAL 1/10 (proto_version '1', publication_names '\"o''da\"\"x\"', messages 'true')";
        assert_eq!(start_replication(&start), want);
    }
}
