//! One question at a time where a pooler may stand between.
//!
//! `tokio-postgres` sends what is asked at the same time without waiting. A pooler gives the server's connection to somebody
//! else as soon as an answer says that no transaction is open: what had been sent behind it is answered to others, or by
//! nobody. So what follows a question waits here for its answer, unless it is known that the server itself is at the other end.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::task::{Context, Waker};

use bytes::Buf;

/// What a connection's two ends share.
#[derive(Debug, Default)]
pub(super) struct Gate {
    open: AtomicBool,
    process: AtomicI32,
}

impl Gate {
    /// Nothing waits any more: nobody stands between.
    pub(super) fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    /// The number of the server's process, as whoever answered our log-in said.
    pub(super) fn process(&self) -> i32 {
        self.process.load(Ordering::Relaxed)
    }

    pub(super) fn is_process(&self, process: i32) {
        self.process.store(process, Ordering::Relaxed);
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }
}

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Log-in is over: from then on our messages begin with their kind.
    logged_in: bool,
    /// A question was sent, and its answer hasn't ended.
    owed: bool,
    outgoing: Outgoing,
    /// Who would like to send.
    waits: Option<Waker>,
}

impl Turns {
    /// How many of these bytes may go now; none: it is the server's turn.
    pub(super) fn allowed(&mut self, gate: &Gate, bytes: &[u8], cx: &Context<'_>) -> usize {
        if gate.is_open() || !self.logged_in {
            return bytes.len();
        }
        // Whoever leaves need not wait.
        let leaves = self.outgoing.have == 0 && bytes.first() == Some(&b'X');
        if self.owed && !leaves {
            self.waits = Some(cx.waker().clone());
            return 0;
        }
        self.outgoing.clone().take(bytes).0
    }

    /// These bytes went.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        if self.logged_in {
            self.owed |= self.outgoing.take(bytes).1;
        }
    }

    /// A message of this kind begins to arrive.
    pub(super) fn heard(&mut self, tag: u8) {
        const READY: u8 = b'Z';
        // Data that we are asked for is part of the answer.
        const COPY_IN: u8 = b'G';
        const COPY_BOTH: u8 = b'W';
        self.logged_in |= tag == READY;
        if matches!(tag, READY | COPY_IN | COPY_BOTH) {
            self.owed = false;
            self.waits.take().into_iter().for_each(Waker::wake);
        }
    }
}

/// Where in our messages we are.
#[derive(Clone, Debug, Default)]
struct Outgoing {
    header: [u8; HEADER],
    /// How much of it there is.
    have: usize,
    /// Bytes of the message that are still to come behind it.
    rest: usize,
}

/// A message's kind and length.
pub(super) const HEADER: usize = 5;

impl Outgoing {
    /// Takes bytes up to the end of the next message that ends a question (Sync, Query): how many these were, and whether it
    /// has ended.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut left = bytes;
        while !left.is_empty() {
            if self.have < HEADER {
                self.header[self.have] = left[0];
                self.have += 1;
                left.advance(1);
                if self.have < HEADER {
                    continue;
                }
                let length = (&self.header[1..]).get_u32() as usize;
                self.rest = length.saturating_sub(HEADER - 1);
            }
            let passed = self.rest.min(left.len());
            left.advance(passed);
            self.rest -= passed;
            if self.rest == 0 {
                self.have = 0;
                if matches!(self.header[0], b'S' | b'Q') {
                    return (bytes.len() - left.len(), true);
                }
            }
        }
        (bytes.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parse, Sync, Query with a body.
    const SENT: &[u8] = b"P\0\0\0\x07abcS\0\0\0\x04Q\0\0\0\x06x\0";

    fn all(turns: &mut Turns, bytes: &[u8]) -> usize {
        let cx = Context::from_waker(Waker::noop());
        let allowed = turns.allowed(&Gate::default(), bytes, &cx);
        turns.sent(&bytes[..allowed]);
        allowed
    }

    #[test]
    fn what_follows_a_question_waits_for_its_answer() {
        let mut turns = Turns::default();
        assert_eq!(all(&mut turns, b"\0\0\0\x08log-in"), 10);
        turns.heard(b'R');
        assert_eq!(all(&mut turns, b"p\0\0\0\x04"), 5);
        turns.heard(b'Z');
        assert_eq!(all(&mut turns, SENT), 13);
        assert_eq!(all(&mut turns, &SENT[13..]), 0);
        turns.heard(b'C');
        assert_eq!(all(&mut turns, &SENT[13..]), 0);
        assert_eq!(all(&mut turns, b"X\0\0\0\x04"), 5);
        turns.heard(b'Z');
        assert_eq!(all(&mut turns, &SENT[13..]), 7);
        turns.heard(b'G');
        assert_eq!(all(&mut turns, b"d\0\0\0\x05xd\0\0\0\x05x"), 12);
    }

    #[test]
    fn a_message_may_go_byte_by_byte() {
        let mut turns = Turns::default();
        turns.heard(b'Z');
        for at in 0..13 {
            assert_eq!(all(&mut turns, &SENT[at..=at]), 1, "{at}");
        }
        assert_eq!(all(&mut turns, &SENT[13..14]), 0);
    }

    #[test]
    fn to_the_server_itself_nothing_waits() {
        let (mut turns, gate) = (Turns::default(), Gate::default());
        turns.heard(b'Z');
        gate.open();
        let cx = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            assert_eq!(turns.allowed(&gate, SENT, &cx), SENT.len());
        }
    }
}
