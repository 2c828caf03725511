//! Messages as lines, without what differs from run to run: xids, positions, times and OIDs become names.

use std::collections::HashMap;
use std::fmt::Write;

use bytes::Bytes;
use tandem::decode::{Message, message};
use tandem::model::{Cell, Old, Tuple};

/// OIDs from here on were given at run time. Source: `src/include/access/transam.h`, `FirstNormalObjectId`.
const FIRST_NORMAL_OID: u32 = 16_384;

/// One line for each message.
pub fn summary(messages: &[Bytes]) -> String {
    let mut names = Names::default();
    let mut out = String::new();
    for bytes in messages {
        let read = message(bytes).unwrap_or_else(|damage| panic!("{damage}"));
        writeln!(out, "{}", names.line(&read)).unwrap();
    }
    out
}

/// What OIDs were called when they were described.
#[derive(Default)]
pub struct Names {
    names: HashMap<u32, String>,
}

impl Names {
    /// One message.
    pub fn line(&mut self, message: &Message) -> String {
        match message {
            Message::Begin { .. } => "begin".to_owned(),
            Message::Commit { .. } => "commit".to_owned(),
            Message::Origin { name } => format!("origin {name:?}"),
            Message::Type { oid, name } => {
                // A domain is described by the type below it, so types are told apart by their order.
                let nth = self.names.len();
                self.names.insert(*oid, format!("type {nth}"));
                format!("type {nth} {name:?}")
            }
            Message::Relation(relation) => {
                self.names.insert(relation.oid, relation.name.clone());
                let mut line = format!(
                    "relation {:?}.{:?} {:?}:",
                    relation.schema, relation.name, relation.identity
                );
                for column in &relation.columns {
                    let key = if column.in_identity { "*" } else { "" };
                    let kind = self.name(column.type_oid);
                    write!(line, " {key}{:?} {kind} {}", column.name, column.modifier).unwrap();
                }
                line
            }
            Message::Insert { relation, new } => {
                format!("insert {}: {}", self.name(*relation), cells(new))
            }
            Message::Update { relation, old, new } => {
                let old = old.as_ref().map_or("no old".to_owned(), before);
                format!("update {}: {old} -> {}", self.name(*relation), cells(new))
            }
            Message::Delete { relation, old } => {
                format!("delete {}: {}", self.name(*relation), before(old))
            }
            Message::Truncate { relations } => {
                let names: Vec<_> = relations
                    .iter()
                    .map(|relation| self.name(*relation))
                    .collect();
                format!("truncate {}", names.join(" "))
            }
            Message::LogicalMessage {
                transactional,
                mark,
            } => {
                let place = if *transactional { "in" } else { "out" };
                format!("mark {place} {:?}: {}", mark.prefix, shown(&mark.content))
            }
        }
    }

    fn name(&self, oid: u32) -> String {
        let known = || {
            self.names
                .get(&oid)
                .map_or("?".to_owned(), |name| format!("<{name}>"))
        };
        // An array of a user's type isn't described, and has an OID of its own.
        if oid < FIRST_NORMAL_OID {
            oid.to_string()
        } else {
            known()
        }
    }
}

fn before(old: &Old) -> String {
    format!(
        "old {} {}",
        if old.whole { "O" } else { "K" },
        cells(&old.tuple)
    )
}

fn cells(tuple: &Tuple) -> String {
    let cells = tuple.cells().map(|cell| match cell {
        Cell::Null => "null".to_owned(),
        Cell::Unchanged => "unchanged".to_owned(),
        Cell::Text(text) => shown(text),
    });
    cells.collect::<Vec<_>>().join(", ")
}

/// A value; a long one by its length and both ends.
fn shown(value: &[u8]) -> String {
    let whole = |part: &[u8]| format!("\"{}\"", part.escape_ascii());
    match std::str::from_utf8(value) {
        Ok(text) if value.len() <= 100 => format!("{text:?}"),
        _ if value.len() <= 100 => whole(value),
        _ => format!(
            "{} bytes {} ... {}",
            value.len(),
            whole(&value[..20]),
            whole(&value[value.len() - 20..])
        ),
    }
}
