//! Foreign keys that are checked for all rows of a transaction at once, where somebody asks for it and the cloud allows it: COPY
//! runs as if it were a replica's, for which the server checks none, and the values of each are looked up together before the commit.
//!
//! What is checked is what the server checks for each row, and parents stay until the commit just as they do then. Where a value
//! has no parent, the transaction fails, and the table goes the way of those with such rows.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;

use super::state::not_applied;
use crate::apply::{Applier, ApplyError, Script};
use crate::capture::plain;
use crate::config::{CheckForeignKeys, Settings};
use crate::fault::{Fault, blames_table};
use crate::limits;
use crate::model::{Param, Statement, Table, sqlstate};
use crate::plan::{Direct, TransactionSettings, opening, quote};

/// Whether foreign keys are checked together. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub(in crate::flows) struct Checks {
    asked_for: bool,
    /// It was said that the cloud doesn't allow it.
    refused: Arc<AtomicBool>,
}

/// The foreign keys of a table that are checked together.
#[derive(Debug)]
pub(super) struct References {
    keys: Vec<Reference>,
    /// Fails where the table has others by now, or a trigger.
    still: Statement,
}

#[derive(Debug)]
struct Reference {
    /// Its number in the cloud.
    key: i64,
    /// Where its columns stand in a line of the COPY.
    places: Vec<usize>,
}

/// As the cloud tells of one.
#[derive(Deserialize)]
struct Told {
    key: i64,
    columns: Vec<String>,
    /// Those that get a value where none is given.
    filled: Vec<String>,
}

/// Values that were written.
pub(super) struct Values<'a> {
    references: &'a References,
    /// Of each key, as they stand in the lines.
    seen: Vec<HashSet<Box<[u8]>>>,
    bytes: usize,
    key: Vec<u8>,
}

impl Checks {
    /// As somebody asked for.
    pub(in crate::flows) fn of_settings(settings: &Settings) -> Checks {
        let manner = settings.copy.check_foreign_keys;
        Checks {
            asked_for: manner == CheckForeignKeys::Together,
            refused: Arc::default(),
        }
    }

    /// The foreign keys of a table, where all of them may be checked together.
    ///
    /// # Errors
    /// When the connection fails.
    pub(super) async fn of(
        &self,
        (applier, settings): (&mut Applier, &TransactionSettings),
        table: &Table,
        halves: &Direct,
    ) -> Result<Option<Arc<References>>, Fault> {
        if !self.asked_for || self.refused.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let target = quote::literal(&quote::table(&table.cloud));
        let asked = format!("select tandem.checked_together({target}::regclass)::text");
        let mut statements = opening(settings);
        statements.push(Statement::bookkeeping(AS_REPLICA, Vec::new()));
        statements.push(Statement::bookkeeping(asked, Vec::new()));
        let told = match applier.run(Script::looking(statements)).await {
            Ok(asked) => {
                let row = asked.answers.into_iter().next_back();
                let row = row.and_then(|answer| answer.row);
                row.and_then(|row| row.into_iter().next().flatten())
            }
            Err(ApplyError::Refused { error, .. })
                if error.code == sqlstate::INSUFFICIENT_PRIVILEGE || blames_table(&error) =>
            {
                if !self.refused.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the cloud does not let us check foreign keys together; it checks them row by row: {GRANT}");
                }
                return Ok(None);
            }
            Err(error) => return Err(not_applied(error)),
        };
        let references = told.and_then(|json| {
            let told = serde_json::from_slice::<Vec<Told>>(&json).ok()?;
            let keys = References::keys(&told, halves)?;
            let still =
                format!("select tandem.still_together({target}::regclass, $1::text::jsonb)");
            let told = vec![Param::string(String::from_utf8_lossy(&json).into_owned())];
            let still = Statement::bookkeeping(still, told);
            Some(References { keys, still })
        });
        let how = match references {
            Some(_) => "together",
            None => "row by row",
        };
        tracing::debug!(table = %table.name, "foreign keys are checked {how}");
        Ok(references.map(Arc::new))
    }
}

const AS_REPLICA: &str = "set local session_replication_role = replica";
const GRANT: &str = "a superuser can allow it from PostgreSQL 15 on, GRANT SET ON PARAMETER session_replication_role TO tandem's user";

impl References {
    /// None where one has a value that is not in the lines.
    fn keys(told: &[Told], halves: &Direct) -> Option<Vec<Reference>> {
        let mut keys = Vec::new();
        for told in told {
            let places: Vec<_> = { told.columns.iter() }
                .map(|column| halves.place(column))
                .collect();
            let missing = told.columns.iter().zip(&places);
            let mut missing = missing.filter(|(_, place)| place.is_none()).peekable();
            if missing.peek().is_none() {
                keys.push(Reference {
                    key: told.key,
                    places: places.into_iter().flatten().collect(),
                });
            } else if missing.all(|(column, _)| told.filled.contains(column)) {
                return None;
            }
            // Else one of its columns is NULL, and the row needs no parent.
        }
        Some(keys)
    }

    /// Before the COPY.
    pub(super) fn begin(&self) -> String {
        AS_REPLICA.to_owned()
    }

    /// No values yet.
    pub(super) fn values(&self) -> Values<'_> {
        Values {
            references: self,
            seen: self.keys.iter().map(|_| HashSet::new()).collect(),
            bytes: 0,
            key: Vec::new(),
        }
    }
}

impl Values<'_> {
    /// Takes those of a line, with its newline; false where they are too many.
    pub(super) fn take(&mut self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        for (reference, seen) in self.references.keys.iter().zip(&mut self.seen) {
            self.key.clear();
            let mut is_null = false;
            for place in &reference.places {
                let cell = cell(line, *place);
                is_null |= cell == b"\\N";
                self.key.extend_from_slice(cell);
                self.key.push(b'\t');
            }
            if !is_null && !seen.contains(self.key.as_slice()) {
                self.bytes += self.key.len() + limits::REFERENCE_OVERHEAD;
                seen.insert(self.key.as_slice().into());
            }
        }
        !self.are_too_many()
    }

    /// They are not taken any more.
    pub(super) fn are_too_many(&self) -> bool {
        self.bytes > limits::REFERENCE_BYTES
    }

    /// Behind the COPY: fails unless all of them have their parents, and nothing was passed over that has come since it was asked
    /// what there is: pieces of a large table are filled for as long as that takes.
    pub(super) fn checks(&self) -> Vec<Statement> {
        let origin = "set local session_replication_role = origin";
        let checks = self.references.keys.iter().zip(&self.seen);
        let checks = checks.filter(|(_, seen)| !seen.is_empty());
        let checks = checks.map(|(reference, seen)| {
            let values = seen.iter().map(|key| {
                let key = key.strip_suffix(b"\t").unwrap_or(key);
                let cells = key.split(|byte| *byte == b'\t').map(plain);
                let cells = cells.map(|cell| String::from_utf8_lossy(&cell).into_owned());
                cells.collect::<Vec<_>>()
            });
            let values = serde_json::json!(values.collect::<Vec<_>>());
            let params = vec![
                Param::int8(reference.key.unsigned_abs()),
                Param::string(values.to_string()),
            ];
            Statement::bookkeeping("select tandem.check_together($1, $2::text::jsonb)", params)
        });
        let origin = Statement::bookkeeping(origin, Vec::new());
        let still = self.references.still.clone();
        [origin, still].into_iter().chain(checks).collect()
    }
}

/// The cell of a line of COPY that stands there; empty beyond its end.
fn cell(line: &[u8], place: usize) -> &[u8] {
    let mut rest = line;
    for _ in 0..place {
        let Some(tab) = memchr::memchr(b'\t', rest) else {
            return &[];
        };
        rest = &rest[tab + 1..];
    }
    let end = memchr::memchr(b'\t', rest).unwrap_or(rest.len());
    &rest[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_lines_are_taken_once_and_without_nulls() {
        let references = References {
            still: Statement::bookkeeping("select", Vec::new()),
            keys: vec![
                Reference {
                    key: 7,
                    places: vec![2, 0],
                },
                Reference {
                    key: 8,
                    places: vec![1],
                },
            ],
        };
        let mut values = references.values();
        for line in ["a\\tb\tx\t1\n", "a\\tb\ty\t1\n", "c\t\\N\t\\N\n"] {
            assert!(values.take(line.as_bytes()));
        }
        let checks = values.checks();
        let told = |at: usize| {
            let value = checks[at + 1].params[1].value.clone().unwrap();
            let mut told: Vec<Vec<String>> = serde_json::from_slice(&value).unwrap();
            told.sort();
            told
        };
        assert_eq!(checks.len(), 4);
        assert_eq!(told(1), [["1", "a\tb"]]);
        assert_eq!(told(2), [["x"], ["y"]]);
    }
}
