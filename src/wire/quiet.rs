//! A server's stream without what it says in between: notices, parameter reports, notifications.
//!
//! `tokio-postgres` takes them between answers, but not during the log-in, and ends a connection over a notice whose
//! text isn't UTF-8. We have no use for any of them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use postgres_protocol::message::backend::Header;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::session::is_asynchronous;
use super::turns::{Gate, HEADER, Turns};

/// Read at once, as `tokio-postgres` does.
const CHUNK_BYTES: usize = 8 * 1024;

/// BackendKeyData.
const KEY_DATA: u8 = b'K';

/// Passes everything on but asynchronous messages, and what we send when it is its turn.
pub(super) struct Quiet<S> {
    stream: S,
    gate: Arc<Gate>,
    turns: Turns,
    /// The next byte is the answer to a request for TLS, and no message's beginning.
    answer: bool,
    inbox: BytesMut,
    /// Bytes of a message that are to be passed on.
    keeping: usize,
    /// Bytes of a message that are to be dropped.
    passing: usize,
}

impl<S> Quiet<S> {
    /// Over a stream on which TLS is asked for first, or not.
    pub(super) fn over(stream: S, asks_for_tls: bool, gate: Arc<Gate>) -> Quiet<S> {
        Quiet {
            stream,
            gate,
            turns: Turns::default(),
            answer: asks_for_tls,
            inbox: BytesMut::new(),
            keeping: 0,
            passing: 0,
        }
    }

    /// The stream itself, of which nothing but the answer has been read.
    pub(super) fn into_inner(self) -> S {
        debug_assert!(self.inbox.is_empty(), "bytes before the encryption");
        self.stream
    }

    /// The stream itself.
    pub(super) fn inner(&self) -> &S {
        &self.stream
    }

    /// How many bytes at the inbox's beginning may be passed on.
    fn kept(&mut self) -> io::Result<usize> {
        loop {
            if self.keeping > 0 {
                return Ok(self.keeping.min(self.inbox.len()));
            }
            let passed = self.passing.min(self.inbox.len());
            self.inbox.advance(passed);
            self.passing -= passed;
            if self.passing > 0 {
                return Ok(0);
            }
            let Some(header) = Header::parse(&self.inbox)? else {
                return Ok(0);
            };
            let length = 1 + header.len() as usize;
            if header.tag() == KEY_DATA {
                let Some(mut process) = self.inbox.get(HEADER..HEADER + 4) else {
                    return Ok(0);
                };
                self.gate.is_process(process.get_i32());
            }
            self.turns.heard(header.tag());
            match is_asynchronous(header.tag()) {
                true => self.passing = length,
                false => self.keeping = length,
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Quiet<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.answer {
            // Not a byte more: what follows may be encrypted.
            let mut byte = [0];
            let mut one = ReadBuf::new(&mut byte);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut one))?;
            self.answer = false;
            buf.put_slice(one.filled());
            return Poll::Ready(Ok(()));
        }
        loop {
            let kept = self.kept()?.min(buf.remaining());
            if kept > 0 {
                buf.put_slice(&self.inbox[..kept]);
                self.inbox.advance(kept);
                self.keeping -= kept;
                return Poll::Ready(Ok(()));
            }
            let Quiet { stream, inbox, .. } = &mut *self;
            let mut chunk = [0; CHUNK_BYTES];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(stream).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            inbox.extend_from_slice(chunk.filled());
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Quiet<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Quiet {
            stream,
            gate,
            turns,
            ..
        } = &mut *self;
        let allowed = turns.allowed(gate, buf, cx);
        if allowed == 0 && !buf.is_empty() {
            return Poll::Pending;
        }
        let written = ready!(Pin::new(stream).poll_write(cx, &buf[..allowed]))?;
        turns.sent(&buf[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
