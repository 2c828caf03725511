//! What CopyData holds while replication runs.
//! Source: PostgreSQL documentation, "Streaming Replication Protocol".

use bytes::{BufMut, Bytes, BytesMut};

use crate::model::{Committed, Lsn, Received};

/// One frame of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A piece of the stream: one message of the output plugin.
    Data {
        /// Where in the log it stands.
        at: Lsn,
        /// The message.
        message: Bytes,
    },
    /// The server is alive.
    Keepalive {
        /// How far the server has read its log.
        end: Lsn,
        /// It wants to hear from us at once.
        reply: bool,
    },
}

/// A frame that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("damaged replication frame {0:?}")]
pub struct BadFrame(Option<u8>);

const DATA_HEADER: usize = 1 + 8 + 8 + 8;
const KEEPALIVE: usize = 1 + 8 + 8 + 1;

impl Frame {
    /// Reads a frame; the message is shared, not copied.
    ///
    /// # Errors
    /// When it is too short or of an unknown kind.
    pub fn read(bytes: Bytes) -> Result<Frame, BadFrame> {
        let position = |at: usize| {
            let field = bytes
                .get(at..at + 8)
                .and_then(|field| field.try_into().ok());
            field.map(|field| Lsn(u64::from_be_bytes(field)))
        };
        let bad = BadFrame(bytes.first().copied());
        match (bytes.first(), position(1)) {
            (Some(b'w'), Some(at)) if bytes.len() >= DATA_HEADER => Ok(Frame::Data {
                at,
                message: bytes.slice(DATA_HEADER..),
            }),
            (Some(b'k'), Some(end)) if bytes.len() == KEEPALIVE => Ok(Frame::Keepalive {
                end,
                reply: bytes[KEEPALIVE - 1] == 1,
            }),
            _ => Err(bad),
        }
    }
}

/// Writes a standby status update: write = received, flush = apply = in the cloud.
pub(super) fn status(
    out: &mut BytesMut,
    received: Received,
    committed: Committed,
    clock: i64,
    ask: bool,
) {
    let committed = committed.lsn();
    out.put_u8(b'r');
    out.put_u64(received.0.max(committed).0);
    out.put_u64(committed.0);
    out.put_u64(committed.0);
    out.put_i64(clock);
    out.put_u8(u8::from(ask));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn foreign_bytes_are_an_error_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Frame::read(Bytes::from(bytes));
        }
    }

    #[test]
    fn what_is_damaged_in_the_corpus_is_refused() {
        let corpus = include_str!("../../tests/corpus/frames.txt");
        for line in corpus.lines().filter(|line| !line.starts_with("# ")) {
            let (digits, what) = line.split_once(" # ").unwrap();
            let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            let bytes: Bytes = (0..digits.len()).step_by(2).map(pair).collect();
            assert!(Frame::read(bytes).is_err(), "{what}: taken");
        }
    }

    #[test]
    fn a_status_says_received_and_committed() {
        let mut out = BytesMut::new();
        status(
            &mut out,
            Received(Lsn(9)),
            Committed::proven(Lsn(7)),
            5,
            true,
        );
        let want = [
            &[b'r'][..],
            &9u64.to_be_bytes(),
            &7u64.to_be_bytes(),
            &7u64.to_be_bytes(),
            &5i64.to_be_bytes(),
            &[1],
        ];
        assert_eq!(out[..], want.concat());
    }
}
