//! One pgoutput message. Source: PostgreSQL documentation, "Logical Replication Message Formats";
//! `src/backend/replication/logical/proto.c`.

use std::sync::Arc;

use bytes::Bytes;

use super::reader::{Damage, Reader};
use crate::model::{
    Charset, Identity, LogicalMessage, Lsn, Oid, Old, Relation, RelationColumn, Timestamp, Tuple,
};

/// A message of protocol version 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A transaction starts.
    Begin {
        /// Where its commit record starts.
        commit: Lsn,
        /// When it committed.
        committed_at: Timestamp,
        /// Its identifier.
        xid: u32,
    },
    /// The transaction is complete.
    Commit {
        /// Where its commit record starts.
        commit: Lsn,
        /// Where the record after it starts.
        end: Lsn,
        /// When it committed.
        committed_at: Timestamp,
    },
    /// The transaction came from another node.
    Origin {
        /// Its name.
        name: String,
    },
    /// Describes a table before its first change, and again after it was altered.
    Relation(Arc<Relation>),
    /// Describes a type that isn't built in.
    Type {
        /// Its identifier.
        oid: Oid,
        /// Its qualified name.
        name: String,
    },
    /// A new row.
    Insert {
        /// The table.
        relation: Oid,
        /// The row.
        new: Tuple,
    },
    /// A changed row.
    Update {
        /// The table.
        relation: Oid,
        /// The row before, where the identity sends it.
        old: Option<Old>,
        /// The row after.
        new: Tuple,
    },
    /// A row that is gone.
    Delete {
        /// The table.
        relation: Oid,
        /// The row before.
        old: Old,
    },
    /// Tables that were emptied.
    Truncate {
        /// The tables.
        relations: Vec<Oid>,
    },
    /// A logical message.
    LogicalMessage {
        /// Belongs to the transaction, instead of standing for itself.
        transactional: bool,
        /// What it says.
        mark: LogicalMessage,
    },
}

/// Reads one message.
///
/// # Errors
/// Offset and tag of what can't be read; tags of protocol 2 and later are refused by name.
pub fn message(bytes: &Bytes) -> Result<Message, Damage> {
    message_in(bytes, None)
}

/// The same with text that is not UTF-8 where the desktop's database is none: values that can't be read stand for
/// themselves ([`crate::model::is_unreadable`]).
///
/// # Errors
/// As [`message`].
pub fn message_in(bytes: &Bytes, charset: Option<Charset>) -> Result<Message, Damage> {
    let (tag, mut fields) = Reader::new(bytes, charset)?;
    let message = match tag {
        b'I' => insert(&mut fields)?,
        b'U' => update(&mut fields)?,
        b'D' => delete(&mut fields)?,
        b'B' => begin(&mut fields)?,
        b'C' => commit(&mut fields)?,
        b'R' => relation(&mut fields)?,
        b'Y' => type_name(&mut fields)?,
        b'O' => origin(&mut fields)?,
        b'T' => truncate(&mut fields)?,
        b'M' => mark(&mut fields)?,
        b'S' | b'E' | b'c' | b'A' => {
            return Err(fields.damage("part of a streamed transaction, which was not asked for"));
        }
        b'b' | b'P' | b'K' | b'r' | b'p' => {
            return Err(fields.damage("part of a prepared transaction, which was not asked for"));
        }
        _ => return Err(fields.damage("an unknown message")),
    };
    fields.end()?;
    Ok(message)
}

/// What an empty schema name stands for. Source: `proto.c`, `logicalrep_write_namespace`.
const CATALOG: &str = "pg_catalog";

fn begin(fields: &mut Reader<'_>) -> Result<Message, Damage> {
    Ok(Message::Begin {
        commit: fields.lsn("cut off in the final position")?,
        committed_at: fields.time("cut off in the commit time")?,
        xid: fields.u32("cut off in the transaction's id")?,
    })
}

fn commit(fields: &mut Reader<'_>) -> Result<Message, Damage> {
    let flags = fields.u8("cut off in the flags")?;
    if flags != 0 {
        return Err(fields.damage("unknown commit flags"));
    }
    Ok(Message::Commit {
        commit: fields.lsn("cut off in the commit position")?,
        end: fields.lsn("cut off in the end position")?,
        committed_at: fields.time("cut off in the commit time")?,
    })
}

fn origin(fields: &mut Reader<'_>) -> Result<Message, Damage> {
    fields.lsn("cut off in the origin's position")?;
    Ok(Message::Origin {
        name: fields.string("an origin's name without its end")?,
    })
}

fn relation(fields: &mut Reader<'_>) -> Result<Message, Damage> {
    let oid = fields.u32("cut off in the table's id")?;
    let schema = fields.string("a schema's name without its end")?;
    let name = fields.string("a table's name without its end")?;
    let identity = match fields.u8("cut off in the replica identity")? {
        b'd' => Identity::Default,
        b'n' => Identity::Nothing,
        b'f' => Identity::Full,
        b'i' => Identity::Index,
        _ => return Err(fields.damage("an unknown replica identity")),
    };
    let count = fields.u16("cut off in the number of columns")?;
    let columns = (0..count)
        .map(|_| relation_column(fields))
        .collect::<Result<_, _>>()?;
    let schema = if schema.is_empty() {
        CATALOG.to_owned()
    } else {
        schema
    };
    Ok(Message::Relation(Arc::new(Relation {
        oid,
        schema,
        name,
        identity,
        columns,
    })))
}

fn relation_column(fields: &mut Reader<'_>) -> Result<RelationColumn, Damage> {
    Ok(RelationColumn {
        in_identity: fields.u8("cut off in a column's flags")? & 1 == 1,
        name: fields.string("a column's name without its end")?,
        type_oid: fields.u32("cut off in a column's type")?,
        modifier: fields.i32("cut off in a column's modifier")?,
    })
}

fn type_name(fields: &mut Reader<'_>) -> Result<Message, Damage> {
    let oid = fields.u32("cut off in the type's id")?;
    let schema = fields.string("a type's schema without its end")?;
    let name = fields.string("a type's name without its end")?;
    let schema = if schema.is_empty() { CATALOG } else { &schema };
    Ok(Message::Type {
        oid,
        name: format!("{schema}.{name}"),
    })
}

fn insert(fields: &mut Reader<'_>) -> Result<Message, Damage> {
    let relation = fields.u32("cut off in the table's id")?;
    match fields.u8("cut off before the new row")? {
        b'N' => Ok(Message::Insert {
            relation,
            new: fields.tuple()?,
        }),
        _ => Err(fields.damage("an insert without its new row")),
    }
}

fn update(fields: &mut Reader<'_>) -> Result<Message, Damage> {
    let relation = fields.u32("cut off in the table's id")?;
    let mut kind = fields.u8("cut off before the rows")?;
    let mut old = None;
    if matches!(kind, b'K' | b'O') {
        old = Some(Old {
            whole: kind == b'O',
            tuple: fields.tuple()?,
        });
        kind = fields.u8("cut off before the new row")?;
    }
    match kind {
        b'N' => Ok(Message::Update {
            relation,
            old,
            new: fields.tuple()?,
        }),
        _ => Err(fields.damage("an update without its new row")),
    }
}

fn delete(fields: &mut Reader<'_>) -> Result<Message, Damage> {
    let relation = fields.u32("cut off in the table's id")?;
    let kind = fields.u8("cut off before the old row")?;
    if !matches!(kind, b'K' | b'O') {
        return Err(fields.damage("a delete without its old row"));
    }
    Ok(Message::Delete {
        relation,
        old: Old {
            whole: kind == b'O',
            tuple: fields.tuple()?,
        },
    })
}

fn truncate(fields: &mut Reader<'_>) -> Result<Message, Damage> {
    let count = fields.u32("cut off in the number of tables")?;
    // Bit 1 is CASCADE, bit 2 RESTART IDENTITY: the tables are listed either way.
    fields.u8("cut off in the options")?;
    let mut relations = Vec::new();
    for _ in 0..count {
        relations.push(fields.u32("cut off in a table's id")?);
    }
    Ok(Message::Truncate { relations })
}

fn mark(fields: &mut Reader<'_>) -> Result<Message, Damage> {
    let transactional = fields.u8("cut off in the flags")? & 1 == 1;
    fields.lsn("cut off in the message's position")?;
    let prefix = fields.string("a prefix without its end")?;
    let length = fields.u32("cut off in the content's length")? as usize;
    let content = fields.bytes(length, "content longer than its message")?;
    Ok(Message::LogicalMessage {
        transactional,
        mark: LogicalMessage { prefix, content },
    })
}
