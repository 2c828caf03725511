//! The only socket: bytes, TLS, authentication, messages, COPY, pipelining, for both ends.
//!
//! `tokio-postgres` has no replication mode, and it prepares named statements and waits between the
//! steps of a batch, which neither a transaction pooler nor a distant cloud forgives. So one small
//! [`Session`] of our own, over the message types of `postgres-protocol`, carries the replication
//! stream, the batches and the copies. [`control`] opens ordinary `tokio-postgres` clients for
//! catalog queries through the same sockets and the same TLS.

pub mod control;
mod dial;
mod error;
mod http;
mod login;
mod quiet;
mod session;
mod socket;
mod statement;
mod tls;
mod turns;

pub use dial::{Dialed, dial};
pub use error::{ServerError, WireError};
pub use http::get;
pub use session::{Incoming, Mode, Session};
pub use statement::Naming;

/// Session settings under which values are written and read as text, on both sides (P11). A direct
/// connection takes them in its start-up packet; through a pooler they are `SET LOCAL`.
pub const PINNED: &[(&str, &str)] = &[
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("timezone", "UTC"),
    ("lc_monetary", "C"),
    // Off, an array's NULL is read as the word; rows travel as arrays.
    ("array_nulls", "on"),
    // `document` refuses what `content` takes.
    ("xmloption", "content"),
    // A server's defaults for these must not end a long copy or a quiet stream.
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
];
