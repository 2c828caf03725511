//! The first statements of every transaction of ours, on either side.

use std::time::Duration;

use super::quote;
use crate::limits;
use crate::model::{Param, Statement, oid};
use crate::wire::PINNED;

/// What all transactions of a session share.
#[derive(Clone, Debug)]
pub struct TransactionSettings {
    /// The longest that a statement may take: `[cloud] statement_timeout`.
    pub statement_timeout: Duration,
    /// The longest that it may wait for a lock.
    pub lock_timeout: Duration,
    /// Policies let us see our tenant's rows, and no others.
    pub confined: bool,
    /// COMMIT is answered when the server's disk has it, not before.
    pub flush: bool,
}

impl TransactionSettings {
    /// In the cloud.
    pub fn cloud(statement_timeout: Duration, confined: bool) -> TransactionSettings {
        TransactionSettings {
            statement_timeout,
            lock_timeout: limits::CLOUD_LOCK_TIMEOUT,
            confined,
            flush: true,
        }
    }

    /// On the desktop, which must not wait for us.
    pub fn desktop() -> TransactionSettings {
        TransactionSettings {
            statement_timeout: limits::REVERSE_STATEMENT_MAX,
            lock_timeout: limits::REVERSE_LOCK_TIMEOUT,
            confined: false,
            flush: true,
        }
    }
}

/// BEGIN, and the settings. Poolers hand the connection to others between two transactions, so the
/// settings are local to each. `tandem.apply` names this transaction, and so can neither be forged
/// nor leak: triggers that look for it see only our own writes as ours.
pub fn opening(opening: &TransactionSettings) -> Vec<Statement> {
    let calls = pinned(opening).into_iter().map(|(name, value)| {
        format!(
            "set_config({name}, {value}, true)",
            name = quote::literal(name),
            value = quote::literal(&value)
        )
    });
    let calls: Vec<_> = calls.collect();
    let apply = "set_config('tandem.apply', pg_current_xact_id()::text, true)";
    vec![
        begin(),
        Statement::bookkeeping(
            format!("select {apply}, {calls}", calls = calls.join(", ")),
            Vec::new(),
        ),
        // Whatever the order in which rows are written, it is their end that counts.
        Statement::bookkeeping("set constraints all deferred", Vec::new()),
    ]
}

/// BEGIN. What moves the checkpoint sets the rest itself (`tandem.advance`): a call costs the cloud a fifth of what
/// these statements do.
pub fn begin() -> Statement {
    let sql = "begin isolation level read committed read write";
    Statement::bookkeeping(sql, Vec::new())
}

/// The settings as an array: the name of each, then its value.
pub fn settings(opening: &TransactionSettings) -> Param {
    let all = pinned(opening).into_iter();
    let all = all.flat_map(|(name, value)| [name.to_owned(), value]);
    Param::text(oid::TEXT_ARRAY, quote::array(all))
}

fn pinned(opening: &TransactionSettings) -> Vec<(&'static str, String)> {
    let own = [
        ("statement_timeout", milliseconds(opening.statement_timeout)),
        ("lock_timeout", milliseconds(opening.lock_timeout)),
        (
            "idle_in_transaction_session_timeout",
            milliseconds(limits::CLOUD_IDLE_TIMEOUT),
        ),
        (
            "synchronous_commit",
            if opening.flush { "on" } else { "off" }.to_owned(),
        ),
        // Each text is run for a moment: to compile it takes a quarter of a large update, and is paid back by none.
        ("jit", "off".to_owned()),
        // A policy that hides rows would make our writes do nothing without a word: an error instead.
        (
            "row_security",
            if opening.confined { "on" } else { "off" }.to_owned(),
        ),
    ];
    // `client_encoding` belongs to the session, and poolers carry it over themselves.
    let pinned = PINNED.iter().filter(|(name, _)| *name != "client_encoding");
    let pinned = pinned.filter(|(name, _)| own.iter().all(|(mine, _)| mine != name));
    let pinned = pinned.map(|(name, value)| (*name, (*value).to_owned()));
    pinned.chain(own.iter().cloned()).collect()
}

/// Constraints that could wait for COMMIT, which doesn't say whose row it was, are asked with each statement.
pub fn at_once() -> Statement {
    Statement::bookkeeping("set constraints all immediate", Vec::new())
}

fn milliseconds(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// Staged rows have no statistics: a nested loop over two whole tables must not look cheap.
pub fn hash_joins() -> Statement {
    Statement::bookkeeping(
        "select set_config('enable_nestloop', 'off', true)",
        Vec::new(),
    )
}
