//! What the desktop committed: transactions of row changes, in commit order.

use std::sync::Arc;

use bytes::Bytes;

use super::{Lsn, Tuple};

/// Object identifier of a relation or type on the desktop.
pub type Oid = u32;

/// Microseconds since 2000-01-01 00:00 UTC, PostgreSQL's `TimestampTz`, by the desktop's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Microseconds since 1970-01-01 00:00 UTC.
    pub fn unix_micros(self) -> i64 {
        self.0.saturating_add(946_684_800_000_000)
    }
}

/// Which columns of the old row a table's replica identity sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The primary key.
    Default,
    /// Nothing: updates and deletes can't be matched.
    Nothing,
    /// The whole row.
    Full,
    /// The columns of a chosen unique index.
    Index,
}

/// A published table as a RELATION message described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Its identifier on the desktop.
    pub oid: Oid,
    /// Its schema; pgoutput sends an empty name for `pg_catalog`.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its replica identity.
    pub identity: Identity,
    /// Its published columns, in the order in which tuples carry them.
    pub columns: Vec<RelationColumn>,
}

/// One column of a [`Relation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationColumn {
    /// Part of the replica identity.
    pub in_identity: bool,
    /// Its name.
    pub name: String,
    /// Its type on the desktop.
    pub type_oid: Oid,
    /// Its type's modifier, -1 for none.
    pub modifier: i32,
}

/// The old row of an update or delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Old {
    /// The whole row (`O`), or the identity's columns with NULL elsewhere (`K`).
    pub whole: bool,
    /// Its cells.
    pub tuple: Tuple,
}

/// What happened to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new row.
    Insert(Tuple),
    /// A changed row; `old` is sent when the identity is FULL or its columns changed.
    Update {
        /// The row before.
        old: Option<Old>,
        /// The row after.
        new: Tuple,
    },
    /// A row that is gone.
    Delete(Old),
    /// All rows are gone.
    Truncate,
}

/// By whom a change was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChangeOrigin {
    /// By the office program, or whoever writes there.
    #[default]
    Desktop,
    /// In a transaction of ours, by a trigger or of a row that was not named.
    OwnTransaction,
    /// In a transaction of ours that gave rows what the cloud owns of them, exactly as the cloud had it.
    Leveled,
    /// By us, exactly so: it came from the cloud.
    Echo,
}

/// One change of one table.
#[derive(Clone, Debug)]
pub struct Change {
    /// The table, as it was described before this change.
    pub relation: Arc<Relation>,
    /// What happened.
    pub operation: Operation,
    /// By whom.
    pub hand: ChangeOrigin,
    /// The row had so many bytes that it could not be kept: its large values are left out, as if they were unsent.
    pub too_large: Option<u64>,
}

/// A message that somebody put into the log with `pg_logical_emit_message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalMessage {
    /// Says whose message it is.
    pub prefix: String,
    /// What it says.
    pub content: Bytes,
}

impl LogicalMessage {
    /// The prefix by which a transaction of ours that writes what came from the cloud is known.
    pub const REVERSE: &str = "tandem.reverse";
    /// The line of such a message which says that rows got what the cloud owns of them, exactly so.
    pub const LEVELED: &str = "=";
}

/// A whole committed transaction.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Its identifier on the desktop.
    pub xid: u32,
    /// Where its commit record starts.
    pub commit: Lsn,
    /// Where the record after its commit record starts: what a checkpoint stores.
    pub end: Lsn,
    /// When it committed.
    pub committed_at: Timestamp,
    /// Its row changes in order.
    pub changes: Vec<Change>,
    /// Its logical messages in order.
    pub marks: Vec<LogicalMessage>,
    /// Bytes of the frames it came in: what it costs to keep.
    pub bytes: usize,
}
