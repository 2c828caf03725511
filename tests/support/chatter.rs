//! A server that talks in between: a notice, a parameter report or a notification before each of its messages.

use std::sync::atomic::{AtomicU8, Ordering};

/// What the client has asked for first.
const UNKNOWN: u8 = 0;
const TLS: u8 = 1;
const PLAIN: u8 = 2;

/// The request for TLS: its length and its number. Source: PostgreSQL documentation, "Message Formats".
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// How a connection began, as its client's direction has seen it.
#[derive(Default)]
pub struct Beginning(AtomicU8);

impl Beginning {
    /// Sees what the client sends; only its first bytes matter.
    pub fn see(&self, bytes: &[u8]) {
        if self.0.load(Ordering::Acquire) == UNKNOWN && !bytes.is_empty() {
            let first = match bytes.starts_with(&SSL_REQUEST) {
                true => TLS,
                false => PLAIN,
            };
            self.0.store(first, Ordering::Release);
        }
    }
}

enum State {
    /// Nothing has come yet.
    Start,
    /// The first bytes of a message: its tag and its length.
    Header(Vec<u8>),
    /// So many bytes of a message are to come.
    Body(usize),
    /// Encrypted.
    Secret,
}

/// Puts asynchronous messages before each message of a server.
pub struct Chatter {
    state: State,
    said: usize,
}

impl Default for Chatter {
    fn default() -> Chatter {
        Chatter {
            state: State::Start,
            said: 0,
        }
    }
}

impl Chatter {
    /// What is passed on for these bytes.
    pub fn pass(&mut self, beginning: &Beginning, mut bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() * 2);
        while !bytes.is_empty() {
            match &mut self.state {
                State::Start if beginning.0.load(Ordering::Acquire) == TLS => {
                    self.state = match bytes[0] {
                        b'S' => State::Secret,
                        _ => State::Header(Vec::new()),
                    };
                    out.push(bytes[0]);
                    bytes = &bytes[1..];
                }
                State::Start => self.state = State::Header(Vec::new()),
                State::Header(header) => {
                    header.push(bytes[0]);
                    bytes = &bytes[1..];
                    if let [_, length @ ..] = header.as_slice()
                        && let Ok(length) = <[u8; 4]>::try_from(length)
                    {
                        let header = std::mem::take(header);
                        self.say(&mut out);
                        out.extend(header);
                        self.state = State::body(u32::from_be_bytes(length) as usize - 4);
                    }
                }
                State::Body(left) => {
                    let part = bytes.len().min(*left);
                    let left = *left - part;
                    out.extend_from_slice(&bytes[..part]);
                    bytes = &bytes[part..];
                    self.state = State::body(left);
                }
                State::Secret => {
                    out.extend_from_slice(bytes);
                    bytes = &[];
                }
            }
        }
        out
    }

    fn say(&mut self, out: &mut Vec<u8>) {
        let (tag, body): (u8, &[u8]) = match self.said % 4 {
            0 => (
                b'N',
                b"SDEBUG\0VDEBUG\0C00000\0Msomething that nobody asked for\0\0",
            ),
            1 => (b'S', b"application_name\0somebody else\0"),
            2 => (b'A', b"\0\0\0\x07channel\0a payload\0"),
            // A server without an encoding may say anything.
            _ => (b'N', b"SLOG\0VLOG\0C00000\0Mcaf\xe9\0\0"),
        };
        self.said += 1;
        out.push(tag);
        out.extend((body.len() as u32 + 4).to_be_bytes());
        out.extend_from_slice(body);
    }
}

impl State {
    fn body(left: usize) -> State {
        match left {
            0 => State::Header(Vec::new()),
            left => State::Body(left),
        }
    }
}
