//! One connection: messages out, messages in.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{Header, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

use super::socket::Stream;
use super::{ServerError, WireError};
use crate::limits;
use crate::model::Charset;

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// SQL.
    Ordinary,
    /// SQL by the simple protocol and replication commands (`replication=database`).
    Replication,
}

/// What comes next when large messages are taken in pieces.
pub enum Incoming {
    /// A message.
    Message(Message),
    /// COPY data of so many bytes, to be read with [`Session::piece`].
    Large(usize),
}

/// A connection that is logged in.
pub struct Session {
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    inbox: BytesMut,
    /// Bytes still to come of a message that is passed over.
    passing: usize,
    outbox: BytesMut,
    /// The password exchange was bound to the TLS channel.
    pub(super) bound: bool,
    /// The server's process, as whoever answered our log-in said.
    process: Option<i32>,
    /// The database's encoding, as the server said at log-in.
    server_encoding: Option<String>,
    /// What the bytes mean that come as they are.
    pub(super) charset: Option<Charset>,
}

impl Session {
    /// The database's encoding, as the server said at log-in.
    pub fn server_encoding(&self) -> Option<&str> {
        self.server_encoding.as_deref()
    }

    /// What the bytes mean that come as they are; none where all text is UTF-8.
    pub fn charset(&self) -> Option<Charset> {
        self.charset
    }

    pub(super) fn over(stream: Stream) -> Session {
        let (reader, writer) = split(stream);
        Session {
            reader,
            writer,
            inbox: BytesMut::new(),
            passing: 0,
            outbox: BytesMut::new(),
            bound: false,
            process: None,
            server_encoding: None,
            charset: None,
        }
    }

    /// Whether the password exchange was bound to the TLS channel.
    pub fn is_channel_bound(&self) -> bool {
        self.bound
    }

    /// The number of the server's process, as it was told at log-in; a pooler tells one of its own.
    pub fn process(&self) -> Option<i32> {
        self.process
    }

    /// Whether nobody stands between us and the server, who would tell a process number of his own.
    ///
    /// # Errors
    /// As [`Session::row`].
    pub async fn is_direct(&mut self) -> Result<bool, WireError> {
        let told = self.process.map(|process| process.to_string());
        let row = self.row("select pg_backend_pid()").await?;
        Ok(told.is_some() && row.and_then(|row| row.into_iter().next()).flatten() == told)
    }

    /// Where messages are put before [`Session::flush`].
    pub fn out(&mut self) -> &mut BytesMut {
        &mut self.outbox
    }

    /// Sends what was put out. Reads meanwhile, so that two full pipes can't wait for each other.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn flush(&mut self) -> Result<(), WireError> {
        while !self.outbox.is_empty() {
            self.inbox.reserve(limits::READ_BYTES / 16);
            tokio::select! {
                biased;
                written = self.writer.write_buf(&mut self.outbox) => {
                    if written? == 0 {
                        return Err(WireError::Closed);
                    }
                }
                read = self.reader.read_buf(&mut self.inbox) => {
                    if read? == 0 {
                        return Err(self.last_words());
                    }
                }
            }
        }
        if self.outbox.capacity() > 4 * limits::WRITE_BYTES {
            self.outbox = BytesMut::new();
        }
        Ok(self.writer.flush().await?)
    }

    /// Sends what was put out once it is worth a system call.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn flush_much(&mut self) -> Result<(), WireError> {
        if self.outbox.len() >= limits::WRITE_BYTES {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// A server that hangs up while we write may have said why.
    fn last_words(&mut self) -> WireError {
        loop {
            match self.buffered() {
                Ok(Some(_)) => {}
                Err(said @ WireError::Server(_)) => return said,
                Ok(None) | Err(_) => return WireError::Closed,
            }
        }
    }

    /// Drops the notices, parameter reports and notifications that stand first in the inbox, and gives the header of
    /// what comes then: a server may send them between any two messages, whatever the session is doing. They aren't
    /// gathered: a notice may be as long as a statement.
    /// Source: PostgreSQL documentation, "Asynchronous Operations".
    fn header(&mut self) -> Result<Option<Header>, WireError> {
        loop {
            let passed = self.passing.min(self.inbox.len());
            self.inbox.advance(passed);
            self.passing -= passed;
            if self.passing > 0 {
                return Ok(None);
            }
            let header = Header::parse(&self.inbox)
                .map_err(|error| WireError::Protocol(error.to_string()))?;
            match header {
                Some(header) if header.tag() == PARAMETER_STATUS => {
                    if !self.reported()? {
                        return Ok(None);
                    }
                }
                Some(header) if is_asynchronous(header.tag()) => {
                    self.passing = 1 + header.len() as usize;
                }
                header => return Ok(header),
            }
        }
    }

    /// Notes what the parameter report that stands first in the inbox says, once it is there.
    fn reported(&mut self) -> Result<bool, WireError> {
        let parsed = Message::parse(&mut self.inbox)
            .map_err(|error| WireError::Protocol(error.to_string()))?;
        if let Some(Message::ParameterStatus(body)) = &parsed
            && let (Ok("server_encoding"), Ok(encoding)) = (body.name(), body.value())
        {
            self.server_encoding = Some(encoding.to_owned());
        }
        Ok(parsed.is_some())
    }

    /// The next message; errors of the server become [`WireError::Server`], notices and parameter
    /// reports are passed over. Safe to cancel: a half-read message stays in the inbox.
    ///
    /// # Errors
    /// When the socket fails, the server reports an error, or a frame is impossible.
    pub async fn next(&mut self) -> Result<Message, WireError> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(message);
            }
            self.fill().await?;
        }
    }

    /// The next message that has already arrived.
    ///
    /// # Errors
    /// As [`Session::next`].
    pub fn buffered(&mut self) -> Result<Option<Message>, WireError> {
        let Some(header) = self.header()? else {
            return Ok(None);
        };
        if header.len() as usize > limits::FRAME_BYTES_MAX {
            let text = format!("a message of {} bytes", header.len());
            return Err(WireError::Protocol(text));
        }
        let parsed = Message::parse(&mut self.inbox)
            .map_err(|error| WireError::Protocol(error.to_string()))?;
        match parsed {
            Some(Message::ErrorResponse(body)) => {
                let error = ServerError::read(body.fields())?;
                Err(WireError::Server(Box::new(error)))
            }
            message => Ok(message),
        }
    }

    /// As [`Session::next`], but COPY data of more than `limit` bytes is only announced, and not gathered.
    ///
    /// # Errors
    /// As [`Session::next`].
    pub async fn next_within(&mut self, limit: usize) -> Result<Incoming, WireError> {
        loop {
            if let Some(incoming) = self.buffered_within(limit)? {
                return Ok(incoming);
            }
            self.fill().await?;
        }
    }

    /// What of it has already arrived.
    ///
    /// # Errors
    /// As [`Session::next`].
    pub fn buffered_within(&mut self, limit: usize) -> Result<Option<Incoming>, WireError> {
        const COPY_DATA: u8 = b'd';
        const LENGTH: usize = 4;
        if let Some(header) = self.header()?.filter(|header| header.tag() == COPY_DATA)
            && header.len() as usize > limit + LENGTH
        {
            self.inbox.advance(1 + LENGTH);
            return Ok(Some(Incoming::Large(header.len() as usize - LENGTH)));
        }
        Ok(self.buffered()?.map(Incoming::Message))
    }

    /// The next bytes of a large message, at most `most`. Safe to cancel.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn piece(&mut self, most: usize) -> Result<Bytes, WireError> {
        if self.inbox.is_empty() {
            self.fill().await?;
        }
        let length = self.inbox.len().min(most);
        Ok(self.inbox.split_to(length).freeze())
    }

    async fn fill(&mut self) -> Result<(), WireError> {
        // Messages share the inbox's memory for as long as they are kept: fill it before another is begun.
        if self.inbox.capacity() - self.inbox.len() < limits::READ_BYTES / 16 {
            let header = Header::parse(&self.inbox).ok().flatten();
            match header.map(|header| header.len() as usize + 1) {
                // A large one has memory to itself, and no more than it takes.
                Some(frame) if frame > limits::READ_BYTES && frame <= limits::FRAME_BYTES_MAX => {
                    let mut own = BytesMut::with_capacity(frame + limits::READ_BYTES / 16);
                    own.extend_from_slice(&self.inbox);
                    self.inbox = own;
                }
                _ => self.inbox.reserve(limits::READ_BYTES),
            }
        }
        if self.reader.read_buf(&mut self.inbox).await? == 0 {
            return Err(WireError::Closed);
        }
        Ok(())
    }

    /// Reads up to ReadyForQuery and says whether a transaction is open (`I`, `T` or `E`).
    ///
    /// # Errors
    /// The first error on the way, after the answer has been read to its end.
    pub async fn wait_until_ready(&mut self) -> Result<u8, WireError> {
        let mut first = None;
        loop {
            match self.next().await {
                Ok(Message::ReadyForQuery(body)) => return first.map_or(Ok(body.status()), Err),
                Ok(Message::BackendKeyData(body)) => self.process = Some(body.process_id()),
                Ok(_) => {}
                // A fatal error has no ReadyForQuery behind it.
                Err(WireError::Server(error)) if error.severity == "ERROR" => {
                    first.get_or_insert(WireError::Server(error));
                }
                Err(error) => return Err(first.unwrap_or(error)),
            }
        }
    }

    /// Runs SQL by the simple protocol, ignoring rows.
    ///
    /// # Errors
    /// The first error of the script.
    pub async fn run(&mut self, sql: &str) -> Result<(), WireError> {
        self.query(sql).await?;
        self.wait_until_ready().await.map(drop)
    }

    /// Runs SQL by the simple protocol and gives the last row of its answers as text; none without any row.
    ///
    /// # Errors
    /// The first error of the script.
    pub async fn row(&mut self, sql: &str) -> Result<Option<Vec<Option<String>>>, WireError> {
        self.query(sql).await?;
        let mut row = None;
        loop {
            match self.next().await {
                Ok(Message::DataRow(body)) => {
                    let text = |range: Option<std::ops::Range<usize>>| {
                        range.map(|range| {
                            String::from_utf8_lossy(&body.buffer()[range]).into_owned()
                        })
                    };
                    row = Some(FallibleIterator::collect(
                        body.ranges().map(|range| Ok(text(range))),
                    )?);
                }
                Ok(Message::ReadyForQuery(_)) => return Ok(row),
                Ok(_) => {}
                Err(error) => return Err(self.read_to_end(error).await),
            }
        }
    }

    /// Reads what follows an error: what is sent next must not take its end for its own answer. Gives the error, or
    /// what went wrong on the way.
    pub async fn read_to_end(&mut self, error: WireError) -> WireError {
        // A fatal error has nothing behind it.
        match &error {
            WireError::Server(said) if said.severity == "ERROR" => {
                self.wait_until_ready().await.err().unwrap_or(error)
            }
            _ => error,
        }
    }

    /// Sends SQL by the simple protocol without waiting for an answer.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn query(&mut self, sql: &str) -> Result<(), WireError> {
        frontend::query(sql, &mut self.outbox)?;
        self.flush().await
    }

    /// Runs a command that turns the session into a stream in both directions. `postgres-protocol`
    /// has no CopyBothResponse (`W`), so it is recognised here.
    ///
    /// # Errors
    /// What the server says instead.
    pub async fn start_copy_both(&mut self, command: &str) -> Result<(), WireError> {
        self.query(command).await?;
        const COPY_BOTH: u8 = b'W';
        loop {
            match self.header()? {
                Some(header) if header.tag() == COPY_BOTH => {
                    let length = 1 + header.len() as usize;
                    if self.inbox.len() < length {
                        self.fill().await?;
                        continue;
                    }
                    self.inbox.advance(length);
                    return Ok(());
                }
                Some(_) if self.buffered()?.is_some() => {
                    let text = "the command did not start a stream";
                    return Err(WireError::Protocol(text.to_owned()));
                }
                _ => {}
            }
            self.fill().await?;
        }
    }

    /// Ends the group of statements that were [`put`](Session::put).
    pub fn sync(&mut self) {
        frontend::sync(&mut self.outbox);
    }

    /// Puts one piece of COPY data out.
    pub fn put_copy(&mut self, data: &[u8]) {
        self.outbox.put_u8(b'd');
        self.outbox.put_u32(data.len() as u32 + 4);
        self.outbox.put_slice(data);
    }

    /// Says goodbye; a server that is gone already is fine.
    pub async fn terminate(mut self) {
        frontend::terminate(&mut self.outbox);
        let _ = timeout(limits::GOODBYE_MAX, self.flush()).await;
        let _ = timeout(limits::GOODBYE_MAX, self.writer.shutdown()).await;
    }
}

/// ParameterStatus.
const PARAMETER_STATUS: u8 = b'S';

/// NoticeResponse, ParameterStatus, NotificationResponse.
pub(super) fn is_asynchronous(tag: u8) -> bool {
    matches!(tag, b'N' | PARAMETER_STATUS | b'A')
}
