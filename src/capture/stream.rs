//! The task that owns the replication socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::feedback::{Action, FeedbackTimer};
use super::frame::{Frame, status};
use super::oversized_row::OversizedRow;
use crate::config::Endpoint;
use crate::failpoint;
use crate::limits;
use crate::model::{Charset, Committed};
use crate::wire::{Incoming, Mode, PINNED, Session, WireError};

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

/// A message of the output plugin.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The message; without its large values where it was too large.
    pub message: Bytes,
    /// How many bytes it had, where it was too large to be kept whole.
    pub too_large: Option<u64>,
}

/// Messages in the order in which they came, and the memory that they hold.
pub struct Delivery {
    /// Messages of the output plugin.
    pub messages: Vec<Piece>,
    /// Given back when the batch is committed and this is dropped.
    pub memory: OwnedSemaphorePermit,
    /// They come from a backlog: more is there already.
    pub backlog: bool,
}

/// A running replication session.
pub struct Capture {
    deliveries: mpsc::UnboundedReceiver<Result<Delivery, WireError>>,
    committed: watch::Sender<Committed>,
    /// Enough has come for now.
    enough: watch::Sender<bool>,
    /// Bytes that wait for room.
    wanted: Arc<AtomicU64>,
    stop: CancellationToken,
    abandon: CancellationToken,
    /// Told when the socket is closed.
    closed: oneshot::Receiver<()>,
    charset: Option<Charset>,
}

impl Capture {
    /// Connects and starts streaming.
    ///
    /// The socket has a thread to itself: while a backlog is read, it sleeps between two reads, and a thread that
    /// waited for events instead would be woken by each message of the server, and stop it each time.
    ///
    /// # Errors
    /// As [`Session::connect`], and what the server says to START_REPLICATION.
    pub async fn start(endpoint: &Endpoint, start: &Start) -> Result<Capture, WireError> {
        let (to_flow, deliveries) = mpsc::unbounded_channel();
        let (committed, changes) = watch::channel(start.from);
        let (enough, sated) = watch::channel(false);
        let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
        let wanted = Arc::new(AtomicU64::new(0));
        let (started, begins) = oneshot::channel();
        let (closing, closed) = oneshot::channel::<()>();
        let (endpoint, start) = (endpoint.clone(), start.clone());
        let (ends, stopped, waits) = (abandon.clone(), stop.clone(), wanted.clone());
        let pumping = async move {
            let session = match connect(&endpoint, &start).await {
                Ok(session) => session,
                Err(error) => return drop(started.send(Err(error))),
            };
            if started.send(Ok(session.charset())).is_err() {
                return;
            }
            let pump = Pump {
                session,
                pulse: FeedbackTimer::new(Instant::now(), start.from, start.sender_timeout),
                budget: Arc::new(Semaphore::new(
                    budget(start.memory_max).min(Semaphore::MAX_PERMITS as u64) as usize,
                )),
                memory_max: start.memory_max,
                trimming: None,
                to_flow,
                committed: changes,
                enough: sated,
                wanted: waits,
                stop: stopped,
            };
            tokio::select! {
                () = ends.cancelled() => {}
                () = pump.run() => {}
            }
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("capture".to_owned());
        thread.spawn(move || {
            // Dropped with the thread: whoever waits for it learns that the socket is closed.
            let _closing = closing;
            runtime.block_on(pumping);
        })?;
        let charset = begins.await.unwrap_or(Err(WireError::Closed))?;
        Ok(Capture {
            deliveries,
            committed,
            enough,
            wanted,
            stop,
            abandon,
            closed,
            charset,
        })
    }
}

async fn connect(endpoint: &Endpoint, start: &Start) -> Result<Session, WireError> {
    let mut session = Session::connect_as_is(endpoint, Mode::Replication, PINNED).await?;
    let command = start_replication(start);
    // A link that went silent just now would be waited for without end.
    timeout(limits::SILENCE_MAX, session.start_copy_both(&command))
        .await
        .map_err(|_| WireError::Timeout(limits::SILENCE_MAX.as_secs()))??;
    failpoint::reach("stream_started");
    Ok(session)
}

impl Capture {
    /// The next messages; none once the stream has ended. Safe to cancel.
    ///
    /// # Errors
    /// Why the stream ended.
    pub async fn next(&mut self) -> Option<Result<Delivery, WireError>> {
        self.deliveries.recv().await
    }

    /// What the bytes of its messages mean; none where they are UTF-8.
    pub fn charset(&self) -> Option<Charset> {
        self.charset
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

    /// Reads no further while there is enough to do. What the server sends then waits in the socket, where it goes on
    /// in large pieces, and the server has time for others.
    pub fn pause(&self, enough: bool) {
        self.enough
            .send_if_modified(|was| std::mem::replace(was, enough) != enough);
    }

    /// The cloud has committed up to here: tell the desktop.
    pub fn confirm(&self, committed: Committed) {
        self.committed.send_replace(committed);
    }

    /// Ends the stream in order: last feedback, CopyDone, drain, Terminate.
    pub async fn finish(self) {
        self.stop.cancel();
        let _ = timeout(limits::GOODBYE_MAX * 3, self.closed).await;
    }

    /// Closes the socket now: the server is shutting down, or its positions don't move.
    pub async fn abandon(self) {
        self.abandon.cancel();
        let _ = self.closed.await;
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
    pulse: FeedbackTimer,
    budget: Arc<Semaphore>,
    memory_max: u64,
    /// A row that is too large and still arriving.
    trimming: Option<OversizedRow>,
    to_flow: mpsc::UnboundedSender<Result<Delivery, WireError>>,
    committed: watch::Receiver<Committed>,
    enough: watch::Receiver<bool>,
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
        let mut waiting: Vec<Piece> = Vec::new();
        // One row beyond half of the memory is not kept (P12).
        let row_max = usize::try_from(self.memory_max / 2).unwrap_or(usize::MAX);
        let (mut reads, mut last_read) = (0, Instant::now());
        loop {
            let wake = match self.pulse.due(Instant::now()) {
                Action::Report { ask } => {
                    self.report(ask).await?;
                    continue;
                }
                Action::Silent => return Err(WireError::Timeout(limits::SILENCE_MAX.as_secs())),
                Action::At(when) => when,
            };
            let rest = self.trimming.as_ref().map(OversizedRow::remaining);
            let size = permits(&waiting, budget(self.memory_max));
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
                    let bytes: usize = waiting.iter().map(|piece| piece.message.len()).sum();
                    let backlog = reads > limits::BACKLOG_READS && bytes >= limits::BACKLOG_BYTES;
                    let delivery = Delivery { messages: std::mem::take(&mut waiting), memory, backlog };
                    // The channel itself has no bound: the permits bound the bytes in it.
                    if self.to_flow.send(Ok(delivery)).is_err() {
                        return Ok(());
                    }
                }
                changed = self.enough.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    self.pulse.heard(Instant::now());
                }
                arrived = arrive(&mut self.session, rest, row_max), if waiting.is_empty() && !*self.enough.borrow() => {
                    match arrived? {
                        Arrived::Whole(incoming) => self.take_incoming(incoming, &mut waiting)?,
                        Arrived::Part(bytes) => self.trim(&bytes, &mut waiting)?,
                    }
                    self.take_buffered(&mut waiting, row_max)?;
                    let now = Instant::now();
                    let in_a_row = now.saturating_duration_since(last_read) < 3 * limits::BACKLOG_PAUSE;
                    reads = if in_a_row { reads + 1 } else { 0 };
                    last_read = now;
                    if reads >= limits::BACKLOG_READS {
                        // The thread has nothing else to do: see `Capture::start`.
                        std::thread::sleep(limits::BACKLOG_PAUSE);
                    }
                }
                () = sleep_until(wake.into()) => {
                    if !waiting.is_empty() || *self.enough.borrow() {
                        // We don't read while memory is full: the server's silence is our doing.
                        self.pulse.heard(Instant::now());
                    }
                }
            }
        }
    }

    /// What has arrived with the same read.
    fn take_buffered(&mut self, waiting: &mut Vec<Piece>, row_max: usize) -> Result<(), WireError> {
        while self.trimming.is_none()
            && let Some(incoming) = self.session.buffered_within(row_max)?
        {
            self.take_incoming(incoming, waiting)?;
        }
        Ok(())
    }

    fn take_incoming(
        &mut self,
        incoming: Incoming,
        waiting: &mut Vec<Piece>,
    ) -> Result<(), WireError> {
        match incoming {
            Incoming::Message(message) => self.take(message, waiting),
            Incoming::Large(length) => {
                self.trimming = Some(OversizedRow::new(length));
                Ok(())
            }
        }
    }

    /// Takes the next bytes of a row that is too large.
    fn trim(&mut self, bytes: &[u8], waiting: &mut Vec<Piece>) -> Result<(), WireError> {
        self.pulse.heard(Instant::now());
        let Some(trimmer) = &mut self.trimming else {
            return Ok(());
        };
        trimmer.feed(bytes);
        if trimmer.remaining() > 0 {
            return Ok(());
        }
        let too_large = Some(trimmer.whole());
        if let Some(frame) = self.trimming.take().and_then(OversizedRow::finish) {
            self.take_frame(frame, too_large, waiting)?;
        }
        Ok(())
    }

    fn take_frame(
        &mut self,
        bytes: Bytes,
        too_large: Option<u64>,
        waiting: &mut Vec<Piece>,
    ) -> Result<(), WireError> {
        let frame = Frame::read(bytes).map_err(|bad| WireError::Protocol(bad.to_string()))?;
        self.pulse.frame(Instant::now(), &frame);
        if let Frame::Data { message, .. } = frame {
            waiting.push(Piece { message, too_large });
        }
        Ok(())
    }

    fn take(&mut self, message: Message, waiting: &mut Vec<Piece>) -> Result<(), WireError> {
        match message {
            Message::CopyData(body) => self.take_frame(body.into_bytes(), None, waiting),
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
        failpoint::reach("feedback_due");
        let sent = timeout(limits::SILENCE_MAX, self.session.flush()).await;
        failpoint::reach("feedback_sent");
        sent.map_err(|_| WireError::Timeout(limits::SILENCE_MAX.as_secs()))?
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

/// What comes off the socket.
enum Arrived {
    Whole(Incoming),
    /// Some bytes of a row that is too large.
    Part(Bytes),
}

/// The next message, or more of a row that is too large and has `rest` bytes to come. Safe to cancel.
async fn arrive(
    session: &mut Session,
    rest: Option<usize>,
    row_max: usize,
) -> Result<Arrived, WireError> {
    match rest {
        Some(rest) => session.piece(rest).await.map(Arrived::Part),
        None => session.next_within(row_max).await.map(Arrived::Whole),
    }
}

/// What the stream's messages may hold of `memory_max`: one that has come and finds no room waits beside them, and it may be
/// as large as a row can be.
pub fn budget(memory_max: u64) -> u64 {
    memory_max - memory_max / limits::WAITING_SHARE
}

/// What a delivery costs: its bytes, but never more than the whole budget, which would wait for ever.
fn permits(messages: &[Piece], budget: u64) -> u32 {
    let bytes: u64 = messages
        .iter()
        .map(|message| (message.message.len() + limits::MESSAGE_OVERHEAD) as u64)
        .sum();
    u32::try_from(bytes.min(budget)).unwrap_or(u32::MAX)
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
