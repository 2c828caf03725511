//! What the cloud says of parked rows.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::attempt::Attempt;
use super::event::Done;
use super::notes::Note;
use super::state::Machine;
use crate::fault::{Fault, Kind};
use crate::fold::{ParkedRows, Quarantine, QuarantinedRow, name_of_cells};
use crate::limits;
use crate::model::{
    Cell, Key, Param, Statement, StepKind, Table, Tables, Tuple, is_unreadable, oid, shown,
    sqlstate,
};

/// Asks for the parked rows of a replicator, of a table or of all, with values of so many bytes.
pub(in crate::flows::forward::sender) const PARKED: &str = "select tandem.parked($1, $2, $3)::text";

/// A parked row, as `tandem.try_rows` and `tandem.parked` answer it.
#[derive(Deserialize)]
struct Said {
    /// Its table; left out where that is known.
    table: Option<String>,
    key: Vec<Option<String>>,
    /// None when they are too large to be kept here.
    cells: Option<Vec<Option<String>>>,
    /// Arriving columns that were not sent, counted from 1.
    unsent: Vec<usize>,
    copies: u64,
    work: Waits,
    #[serde(default)]
    sqlstate: String,
    #[serde(default)]
    why: String,
}

/// What a parked row waits for. No other word is understood: done otherwise, it would be done wrong.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Waits {
    Upsert,
    Delete,
    Remove,
    Add,
}

impl Waits {
    fn work(self) -> StepKind {
        match self {
            Waits::Upsert => StepKind::Upsert,
            Waits::Delete => StepKind::Delete,
            Waits::Remove => StepKind::RemoveCopies,
            Waits::Add => StepKind::AddCopies,
        }
    }
}

impl Said {
    fn parked(&self) -> QuarantinedRow {
        let work = self.work.work();
        let cell = |(at, cell): (usize, &'_ Option<String>)| match cell {
            _ if self.unsent.contains(&(at + 1)) => None,
            cell => Some(cell.clone()),
        };
        let tuple = |cells: &Vec<Option<String>>| {
            let cells: Vec<_> = cells.iter().enumerate().map(cell).collect();
            Tuple::from_cells(cells.iter().map(|cell| match cell {
                None => Cell::Unchanged,
                Some(None) => Cell::Null,
                Some(Some(text)) => Cell::Text(text.as_bytes()),
            }))
        };
        let copies = self.copies.cast_signed();
        QuarantinedRow {
            tuple: self.cells.as_ref().filter(|_| !work.removes()).map(tuple),
            unsent: self.unsent.iter().map(|column| column - 1).collect(),
            copies: match work {
                StepKind::AddCopies => copies,
                StepKind::RemoveCopies => -copies,
                StepKind::Upsert
                | StepKind::Rekey
                | StepKind::Delete
                | StepKind::Requeue
                | StepKind::RecordChange
                | StepKind::RecordDelete => 0,
            },
            work,
            too_large: self.sqlstate == sqlstate::TOO_LARGE,
            unreadable: self.is_unreadable(),
        }
    }

    /// Its values tell, unless they are too large to be kept here; the cloud's function knows then.
    fn is_unreadable(&self) -> bool {
        let bad = |cell: &Option<String>| {
            let text = cell.as_ref();
            text.is_some_and(|text| is_unreadable(text.as_bytes()))
        };
        let cells = self.cells.iter().flatten();
        self.sqlstate == sqlstate::CHARACTER_NOT_IN_REPERTOIRE && cells.chain(&self.key).any(bad)
    }

    fn name(&self) -> Vec<u8> {
        name_of_cells(self.key.iter().map(Option::as_deref))
    }
}

/// The question for one table's parked rows, or for all.
pub(super) fn question(replicator: &str, table: Option<&Table>) -> Statement {
    let table = table.map_or(Param::null(oid::TEXT), |table| Param::string(&table.name));
    let params = vec![
        Param::string(replicator),
        table,
        Param::int8(limits::PARKED_KEPT_BYTES as u64),
    ];
    Statement::bookkeeping(PARKED, params)
}

/// The parked rows that the cloud's answer tells of.
///
/// # Errors
/// When it can't be read.
pub fn read_parked(json: &[u8], tables: &Tables) -> Result<Quarantine, Fault> {
    let mut parking = Quarantine::default();
    take_parked(&mut parking, json, tables)?;
    Ok(parking)
}

/// Takes the answer over.
///
/// # Errors
/// When it can't be read: parked rows that nobody remembers would be overtaken by later changes.
pub(super) fn take_parked(
    parking: &mut Quarantine,
    json: &[u8],
    tables: &Tables,
) -> Result<(), Fault> {
    for said in said(json)? {
        let named = tables
            .iter()
            .find(|table| Some(&table.name) == said.table.as_ref());
        if let Some(table) = named {
            parking.park(table.id, said.name(), said.parked());
        }
    }
    Ok(())
}

fn said(json: &[u8]) -> Result<Vec<Said>, Fault> {
    let read = serde_json::from_slice(json);
    read.map_err(|error| {
        let what = "the cloud's answer about parked rows can't be read";
        Fault::new(Kind::Damaged, what)
            .cause(error)
            .hint("nothing was tried again and nothing is lost; does another version of tandem work for this replicator?")
            .next("tandem quarantine list")
    })
}

impl Machine {
    /// After a batch: rows that got through leave, rows that were refused are parked.
    ///
    /// # Errors
    /// When the cloud's answer can't be read.
    pub(super) fn settle(&mut self, form: &Attempt, done: &Done) -> Result<(), Fault> {
        let parking = &mut self.book.parking;
        for answer in &done.answers {
            let (Some(id), Some(step), Some(row)) = (answer.table, answer.step, &answer.row) else {
                continue;
            };
            for name in form.names.get(&step).into_iter().flatten() {
                parking.leave(id, name);
            }
            let Some(Some(json)) = row.first() else {
                continue;
            };
            let refused = said(json)?;
            let table = self.tables.get(id);
            self.notes
                .extend(refused.first().map(|first| Note::Quarantined {
                    table: id,
                    rows: refused.len(),
                    key: key_words(table, first),
                    sqlstate: first.sqlstate.clone(),
                    why: first.why.clone(),
                }));
            for said in refused {
                parking.park(id, said.name(), said.parked());
            }
        }
        Ok(())
    }
}

/// The key for a person; nothing of a row without a key, which may be personal.
fn key_words(table: &Table, said: &Said) -> String {
    match table.key {
        Key::Multiset => String::new(),
        Key::Columns(_) => {
            let values = said
                .key
                .iter()
                .map(|cell| cell.as_deref().map_or("NULL", shown));
            values.collect::<Vec<_>>().join(", ")
        }
    }
}

/// The kinds of parked rows that one statement each can try again.
pub(super) fn kinds(rows: &ParkedRows) -> BTreeSet<(StepKind, Vec<usize>)> {
    rows.values()
        .filter(|row| !row.too_large && !row.unreadable)
        .map(|row| (row.work, row.unsent.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p7_work_that_nobody_knows_is_not_taken_for_an_upsert() {
        let json = |work: &str| {
            format!(
                r#"[{{"table": "t", "key": ["1"], "cells": ["1"], "unsent": [], "copies": 1, "work": "{work}"}}]"#
            )
        };
        for (word, work) in [
            ("upsert", StepKind::Upsert),
            ("delete", StepKind::Delete),
            ("remove", StepKind::RemoveCopies),
            ("add", StepKind::AddCopies),
        ] {
            let read = said(json(word).as_bytes()).unwrap();
            assert_eq!(read[0].parked().work, work);
            assert_eq!(work.word(), word, "as it is written");
        }
        for word in ["rekey", "recall", "note", "merge", "UPSERT", ""] {
            let fault = said(json(word).as_bytes()).err().unwrap();
            assert!(fault.to_string().contains("can't be read"), "{fault}");
        }
    }
}
