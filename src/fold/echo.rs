//! Which changes of a transaction are our own writes from the cloud, come back through the desktop's log (P5).
//!
//! Such a transaction begins with messages that name, by hashes, each row that we wrote and how it looks. A named row whose
//! last image in the transaction looks so is an echo. A row that a trigger derived isn't named, and one that a trigger altered
//! looks otherwise: both are the desktop's.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::model::{
    Cell, Change, ChangeOrigin, Column, LogicalMessage, Operation, Relation, Table, TableId,
    Tables, Tuple,
};

/// A row by the hash of its key.
type RowName = (TableId, String);

/// What one transaction of ours names.
pub struct Echoes {
    /// How each row looks; none for one that is gone.
    rows: HashMap<RowName, Option<String>>,
    /// Rows got what the cloud owns of them, and no trigger made anything else of that.
    leveled: bool,
}

impl Echoes {
    /// What the transaction names, if it is one of ours: anybody may write such a message, but nobody else knows the nonce.
    pub fn of(marks: &[LogicalMessage], nonce: &str, tables: &Tables) -> Option<Echoes> {
        let texts = marks
            .iter()
            .filter(|mark| mark.prefix == LogicalMessage::REVERSE);
        let texts = texts.filter_map(|mark| std::str::from_utf8(&mark.content).ok());
        let mut rows = HashMap::new();
        let (mut ours, mut leveled) = (false, false);
        for text in texts {
            let mut lines = text.split('\n');
            if nonce.is_empty() || lines.next() != Some(nonce) {
                continue;
            }
            ours = true;
            for line in lines {
                leveled |= line == LogicalMessage::LEVELED;
                let mut words = line.splitn(3, ' ');
                let (Some(key), Some(look), Some(name)) =
                    (words.next(), words.next(), words.next())
                else {
                    continue;
                };
                if let Some(table) = tables.iter().find(|table| in_line(&table.name) == name) {
                    let look = (look != "-").then(|| look.to_owned());
                    rows.insert((table.id, key.to_owned()), look);
                }
            }
        }
        ours.then_some(Echoes { rows, leveled })
    }

    /// Whether a change is of a named row, so that all of the transaction has to be known before it can be judged.
    pub fn names(&self, change: &Change, tables: &Tables) -> bool {
        let seen = Seen::of(change, tables);
        seen.is_some_and(|seen| seen.names().any(|name| self.rows.contains_key(&name)))
    }

    /// By whom the changes of rows were made that aren't named.
    fn others(&self) -> ChangeOrigin {
        match self.leveled {
            true => ChangeOrigin::Leveled,
            false => ChangeOrigin::OwnTransaction,
        }
    }

    /// Says of each change of a transaction by whom it was made. All changes of named rows have to be among them.
    pub fn judge(&self, changes: &mut [Change], tables: &Tables) {
        let seen: Vec<_> = { changes.iter() }
            .map(|change| Seen::of(change, tables))
            .collect();
        let mut last: HashMap<RowName, Option<String>> = HashMap::new();
        for seen in seen.iter().flatten() {
            if let Some(old) = &seen.old {
                last.insert((seen.table, old.clone()), None);
            }
            if let Some((key, look)) = &seen.new {
                last.insert((seen.table, key.clone()), Some(look.clone()));
            }
        }
        let is_echo = |name: RowName| {
            let named = self.rows.get(&name);
            named.is_some_and(|look| last.get(&name) == Some(look))
        };
        for (change, seen) in changes.iter_mut().zip(seen) {
            let echo = seen.is_some_and(|seen| seen.names().all(is_echo));
            change.hand = match echo {
                true => ChangeOrigin::Echo,
                false => self.others(),
            };
        }
    }
}

/// A table's name as the mark's line has it.
fn in_line(name: &str) -> Cow<'_, str> {
    match name.contains('\n') {
        true => Cow::Owned(name.replace('\n', " ")),
        false => Cow::Borrowed(name),
    }
}

/// A change of a table that goes both ways, by hashes.
struct Seen {
    table: TableId,
    old: Option<String>,
    /// Key and look.
    new: Option<(String, String)>,
}

impl Seen {
    fn of(change: &Change, tables: &Tables) -> Option<Seen> {
        let relation = &change.relation;
        let table: &Table = tables
            .named(&relation.schema, &relation.name)
            .or_else(|| tables.with_oid(relation.oid))?;
        let reverse = tables
            .reverse_table(&table.name)
            .filter(|reverse| reverse.rows)?;
        let (old, new) = match &change.operation {
            Operation::Insert(new) => (None, Some(new.clone())),
            Operation::Delete(old) => (Some(&old.tuple), None),
            Operation::Update { old, new } => {
                let whole = old.as_ref().filter(|old| old.whole);
                let new = match whole {
                    Some(old) => new.clone().over(&old.tuple),
                    None => new.clone(),
                };
                (old.as_ref().map(|old| &old.tuple), Some(new))
            }
            Operation::Truncate => return None,
        };
        let key: Vec<_> = reverse.key.iter().map(|at| &reverse.columns[*at]).collect();
        let all: Vec<_> = reverse.columns.iter().collect();
        let new = new.map(|new| (hash(&new, relation, &key), hash(&new, relation, &all)));
        let new = match new {
            Some((key, look)) => Some((key?, look?)),
            None => None,
        };
        let old = match old {
            Some(old) => Some(hash(old, relation, &key)?),
            None => None,
        };
        // A row that stays where it is doesn't go.
        let old = old.filter(|old| new.as_ref().is_none_or(|(key, _)| key != old));
        Some(Seen {
            table: table.id,
            old,
            new,
        })
    }

    fn names(&self) -> impl Iterator<Item = RowName> {
        let new = self.new.as_ref().map(|(key, _)| key);
        let both = self.old.iter().chain(new);
        both.map(|key| (self.table, key.clone()))
    }
}

/// The same that the message's statement makes of the row (`plan::reverse::mark`); none where a value was not sent.
fn hash(tuple: &Tuple, relation: &Relation, columns: &[&Column]) -> Option<String> {
    let cells: Vec<_> = tuple.cells().collect();
    let mut text = Vec::new();
    for column in columns {
        let mut names = relation.columns.iter();
        let at = names.position(|known| known.name == column.name)?;
        match cells.get(at)? {
            Cell::Unchanged => return None,
            Cell::Null => text.push(b'n'),
            Cell::Text(cell) => {
                // `char(n)` is compared without its blanks.
                let cell = match column.compare_type.as_str() {
                    "pg_catalog.text" => {
                        let blanks = cell.iter().rev().take_while(|byte| **byte == b' ');
                        &cell[..cell.len() - blanks.count()]
                    }
                    _ => cell,
                };
                text.extend_from_slice(format!("v{}:", cell.len()).as_bytes());
                text.extend_from_slice(cell);
            }
        }
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, &text);
    Some(
        digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    )
}

#[cfg(test)]
mod tests;
