//! Messages to whole transactions.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::message::{Message, message_in};
use super::reader::Damage;
use crate::limits;
use crate::model::{
    Change, ChangeOrigin, Charset, LogicalMessage, Oid, Operation, Relation, Timestamp, Transaction,
};

/// Messages that are readable but don't follow one another as the protocol says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disorder {
    /// A message can't be read.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// A change of a table that was never described.
    #[error("a change of table {0} before its description")]
    UnknownRelation(Oid),
    /// A change, COMMIT or ORIGIN outside a transaction, or BEGIN inside one.
    #[error("{0} out of place")]
    OutOfPlace(&'static str),
    /// COMMIT names another transaction than BEGIN.
    #[error("COMMIT does not belong to the transaction that began")]
    WrongCommit,
}

/// Joins messages into transactions; one for each replication session, since the server describes
/// every table anew in each session.
#[derive(Default)]
pub struct Assembler {
    relations: HashMap<Oid, Arc<Relation>>,
    open: Option<Transaction>,
    charset: Option<Charset>,
}

impl Assembler {
    /// For messages with text that is not UTF-8, where `charset` says what it means.
    pub fn reading(charset: Option<Charset>) -> Assembler {
        Assembler {
            charset,
            ..Assembler::default()
        }
    }

    /// The logical messages of the open transaction so far.
    pub fn open_marks(&self) -> &[LogicalMessage] {
        self.open.as_ref().map_or(&[], |open| &open.marks)
    }

    /// Takes one message and returns the transaction that it completes.
    ///
    /// # Errors
    /// When the message is damaged or out of place; the session can't go on then.
    pub fn push(&mut self, bytes: &Bytes) -> Result<Option<Transaction>, Disorder> {
        let message = message_in(bytes, self.charset)?;
        if let Some(open) = &mut self.open {
            open.bytes += cost(bytes);
        }
        match message {
            Message::Insert { relation, new } => self.change(relation, Operation::Insert(new))?,
            Message::Update { relation, old, new } => {
                self.change(relation, Operation::Update { old, new })?
            }
            Message::Delete { relation, old } => self.change(relation, Operation::Delete(old))?,
            Message::Truncate { relations } => {
                for relation in relations {
                    self.change(relation, Operation::Truncate)?;
                }
            }
            Message::Relation(relation) => {
                self.relations.insert(relation.oid, relation);
            }
            Message::Begin {
                commit,
                committed_at,
                xid,
            } => {
                if self.open.is_some() {
                    return Err(Disorder::OutOfPlace("BEGIN"));
                }
                let bytes = cost(bytes);
                let (changes, marks) = (Vec::new(), Vec::new());
                self.open = Some(Transaction {
                    xid,
                    commit,
                    end: commit,
                    committed_at,
                    changes,
                    marks,
                    bytes,
                });
            }
            Message::Commit { commit, end, .. } => {
                let mut transaction = self.open.take().ok_or(Disorder::OutOfPlace("COMMIT"))?;
                if transaction.commit != commit || end < commit {
                    return Err(Disorder::WrongCommit);
                }
                transaction.end = end;
                return Ok(Some(transaction));
            }
            Message::LogicalMessage {
                transactional: true,
                mark,
            } => {
                self.open
                    .as_mut()
                    .ok_or(Disorder::OutOfPlace("MESSAGE"))?
                    .marks
                    .push(mark);
            }
            Message::Origin { .. } if self.open.is_none() => {
                return Err(Disorder::OutOfPlace("ORIGIN"));
            }
            // A message outside transactions proves nothing (it isn't even flushed when it is sent);
            // types are described by name only, and values travel as text.
            Message::LogicalMessage { .. } | Message::Origin { .. } | Message::Type { .. } => {}
        }
        Ok(None)
    }

    /// The change that was pushed last had so many bytes that its large values were left out.
    pub fn was_too_large(&mut self, bytes: u64) {
        if let Some(change) = self.open.as_mut().and_then(|open| open.changes.last_mut()) {
            change.too_large = Some(bytes);
        }
    }

    /// The transaction that has begun and not ended, without the changes that were taken already.
    pub fn open(&self) -> Option<&Transaction> {
        self.open.as_ref()
    }

    /// The number of the transaction that has begun and not ended.
    pub fn open_xid(&self) -> Option<u32> {
        self.open.as_ref().map(|open| open.xid)
    }

    /// When the transaction that has begun and not ended committed.
    pub fn open_committed_at(&self) -> Option<Timestamp> {
        self.open.as_ref().map(|open| open.committed_at)
    }

    /// Takes the changes so far of the transaction that has begun and not ended; it keeps the rest of itself.
    pub fn take_open(&mut self) -> Vec<Change> {
        let Some(open) = &mut self.open else {
            return Vec::new();
        };
        open.bytes = 0;
        std::mem::take(&mut open.changes)
    }

    /// Bytes of the transaction that has begun and not ended.
    pub fn open_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.bytes)
    }

    fn change(&mut self, relation: Oid, operation: Operation) -> Result<(), Disorder> {
        let relation = self
            .relations
            .get(&relation)
            .ok_or(Disorder::UnknownRelation(relation))?;
        let open = self
            .open
            .as_mut()
            .ok_or(Disorder::OutOfPlace("a row change"))?;
        open.changes.push(Change {
            hand: ChangeOrigin::Desktop,
            relation: relation.clone(),
            operation,
            too_large: None,
        });
        Ok(())
    }
}

/// What it costs to keep a message, in bytes.
fn cost(message: &Bytes) -> usize {
    message.len() + limits::MESSAGE_OVERHEAD
}
