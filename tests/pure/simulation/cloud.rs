//! A cloud that carries out what the sender asks for, all of a transaction or nothing: with unique codes, a foreign key, a
//! check that some rows don't pass, and a quarantine.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tandem::apply::{Answer, ApplyError};
use tandem::flows::machine::{Done, Outgoing, OutgoingChunk};
use tandem::model::{Cell, Lsn, Recovery, Step, StepKind, TableId, Tables, sqlstate};
use tandem::wire::ServerError;

use super::desktop::{POISON, Row, Rows};

/// What a step says of a row: none where it wasn't sent.
type Cells = Vec<Option<u8>>;

/// A row that was refused.
#[derive(Clone, Debug)]
struct Parked {
    work: StepKind,
    cells: Cells,
    copies: i64,
    code: &'static str,
}

#[derive(Clone, Default)]
pub struct State {
    pub rows: Rows,
    parked: [BTreeMap<Vec<u8>, Parked>; 3],
    pub checkpoint: u64,
    pub stopped: [Option<Recovery>; 3],
    /// Messages of each table that are accounted for.
    pub counted: [u64; 3],
}

pub struct Cloud {
    pub state: State,
    /// What is on its disk of that.
    durable: State,
    /// What the desktop was told that it may forget.
    pub confirmed: Lsn,
    /// What a transaction that goes in one pass has done so far; nobody else sees it.
    pub open: Option<State>,
    /// Who has the lease.
    pub epoch: u64,
    /// It has the check.
    pub strict: bool,
    /// We have no right to these tables.
    pub broken: [bool; 3],
    /// The foreign key waits for COMMIT.
    pub deferred: bool,
    /// Nothing happens that would be a reason to refuse a row for good, or a table.
    pub is_peaceful: bool,
    /// Tables that have a reason to stop until somebody comes.
    pub may_stop: [bool; 3],
    /// Tables of which a step was refused since the checkpoint moved last.
    pub refused: BTreeSet<TableId>,
    /// How often something was refused since then.
    pub vain: u32,
    /// How often what happened.
    pub seen: BTreeMap<&'static str, u64>,
    tables: Tables,
}

/// The constraints at hand.
#[derive(Clone, Copy)]
struct Law {
    strict: bool,
    deferred: bool,
}

fn value(cell: Cell<'_>) -> Option<u8> {
    match cell {
        Cell::Text(text) => Some(std::str::from_utf8(text).unwrap().parse().unwrap()),
        Cell::Null => Some(0),
        Cell::Unchanged => None,
    }
}

fn refused(table: Option<TableId>, step: Option<usize>, code: &str) -> ApplyError {
    let error = ServerError {
        severity: "ERROR".to_owned(),
        code: code.to_owned(),
        message: "the model refuses it".to_owned(),
        ..ServerError::default()
    };
    ApplyError::Refused {
        table,
        step,
        error: Box::new(error),
    }
}

/// Passes by itself, or a cut: the session ends.
pub fn weather() -> ApplyError {
    refused(None, None, sqlstate::SERIALIZATION_FAILURE)
}

fn answer(table: Option<TableId>, step: Option<usize>, json: Option<Value>) -> Answer {
    Answer {
        table,
        step,
        row: json.map(|json| vec![Some(json.to_string().into())]),
        rows: 1,
    }
}

/// Writes one row as a statement would.
fn write(
    rows: &mut Rows,
    table: usize,
    work: StepKind,
    (cells, old, copies): (&Cells, Option<u8>, i64),
    law: Law,
) -> Result<(), &'static str> {
    let sent = |at: usize| cells[at].expect("a column of the key was not sent");
    if table == 2 {
        let look = (sent(0), sent(1));
        if work == StepKind::AddCopies && law.strict && look.1 == POISON && copies > 0 {
            return Err(sqlstate::CHECK_VIOLATION);
        }
        let there = rows.tallies.entry(look).or_default();
        match work {
            StepKind::AddCopies => *there += copies,
            StepKind::RemoveCopies => *there = (*there - copies).max(0),
            other => panic!("{other:?} of a row without a key"),
        }
        rows.tallies.retain(|_, copies| *copies > 0);
        return Ok(());
    }
    let id = sent(0);
    let leaves = |rows: &Rows, id: u8| match table == 0 && rows.is_referred(id) && !law.deferred {
        true => Err(sqlstate::FOREIGN_KEY_VIOLATION),
        false => Ok(()),
    };
    let under = match work {
        StepKind::Delete => {
            leaves(rows, id)?;
            rows.keyed[table].remove(&id);
            return Ok(());
        }
        StepKind::Rekey => {
            let old = old.expect("a row that moves says from where");
            leaves(rows, old)?;
            let moved = rows.keyed[table].remove(&old);
            if rows.keyed[table].contains_key(&id) {
                return Err(sqlstate::UNIQUE_VIOLATION);
            }
            Some(moved.expect("a row moves that isn't there"))
        }
        StepKind::Upsert => rows.keyed[table].get(&id).copied(),
        other => panic!("{other:?} of a row with a key"),
    };
    let cell =
        |at: usize, under: Option<u8>| cells[at].or(under).expect("a value that nobody sent");
    let row = Row {
        body: cell(1, under.map(|row| row.body)),
        code: cell(2, under.map(|row| row.code)),
        client: cell(3, under.map(|row| row.client)),
    };
    if law.strict && row.body == POISON {
        return Err(sqlstate::CHECK_VIOLATION);
    }
    if rows.has_code(table, id, row.code) {
        return Err(sqlstate::UNIQUE_VIOLATION);
    }
    if rows.lacks_client(row.client) && !law.deferred {
        return Err(sqlstate::FOREIGN_KEY_VIOLATION);
    }
    rows.keyed[table].insert(id, row);
    Ok(())
}

impl State {
    fn name(table: usize, cells: &Cells) -> Vec<u8> {
        let naming = if table == 2 { 2 } else { 1 };
        cells[..naming].iter().map(|cell| cell.unwrap()).collect()
    }

    /// Writes one row; where it is refused it waits.
    fn try_row(&mut self, table: usize, parked: Parked, law: Law) -> Option<Value> {
        let name = State::name(table, &parked.cells);
        let mut rows = self.rows.clone();
        let what = (&parked.cells, None, parked.copies);
        match write(&mut rows, table, parked.work, what, law) {
            Ok(()) => {
                self.rows = rows;
                self.parked[table].remove(&name);
                None
            }
            Err(code) => {
                let parked = Parked { code, ..parked };
                let said = say(&name, &parked);
                self.parked[table].insert(name, parked);
                Some(said)
            }
        }
    }
}

/// A parked row as the cloud's functions answer it.
fn say(name: &[u8], parked: &Parked) -> Value {
    let text = |at: usize, cell: u8| match cell {
        0 if at > 1 => Value::Null,
        cell => Value::String(cell.to_string()),
    };
    let cells = parked.cells.iter().enumerate();
    let cells: Vec<_> = cells
        .map(|(at, cell)| cell.map_or(Value::Null, |cell| text(at, cell)))
        .collect();
    let unsent = parked.cells.iter().enumerate();
    let unsent: Vec<_> = unsent
        .filter(|(_, cell)| cell.is_none() && !parked.work.removes())
        .map(|(at, _)| at + 1)
        .collect();
    let key: Vec<_> = name.iter().map(u8::to_string).collect();
    json!({
        "key": key, "cells": cells, "unsent": unsent, "copies": parked.copies, "work": parked.work.word(),
        "sqlstate": parked.code, "why": "the model refuses it",
    })
}

impl Cloud {
    pub fn new(is_peaceful: bool, deferred: bool, tables: Tables) -> Cloud {
        Cloud {
            state: State::default(),
            durable: State::default(),
            confirmed: Lsn::ZERO,
            open: None,
            epoch: 0,
            strict: true,
            broken: [false; 3],
            deferred,
            is_peaceful,
            may_stop: [false; 3],
            refused: BTreeSet::new(),
            vain: 0,
            seen: BTreeMap::new(),
            tables,
        }
    }

    pub fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn law(&self, deferred: bool) -> Law {
        Law {
            strict: self.strict,
            deferred: self.deferred && deferred,
        }
    }

    /// Commits a batch of whoever has had the lease at `epoch`, or does nothing.
    pub fn commit(&mut self, outgoing: &Outgoing, epoch: u64) -> Result<Done, ApplyError> {
        if epoch != self.epoch {
            return Err(refused(None, None, sqlstate::LEASE_LOST));
        }
        if self.state.checkpoint != outgoing.from.0 {
            return Err(refused(None, None, "TD001"));
        }
        self.form_has_reasons(outgoing);
        self.vain += 1;
        assert!(
            self.vain < 40,
            "it is sent again and again, and no form helps"
        );
        let mut state = self.state.clone();
        let mut answers = vec![answer(None, None, None)];
        for (number, step) in outgoing.batch.steps.iter().enumerate() {
            let (id, table) = (step.table, usize::from(step.table.0));
            assert!(
                state.stopped[table].is_none(),
                "table {table} has stopped, and is written to"
            );
            if self.broken[table] {
                self.saw("a table is refused");
                self.may_stop[table] = true;
                self.refused.insert(id);
                let code = sqlstate::INSUFFICIENT_PRIVILEGE;
                return Err(refused(Some(id), Some(number), code));
            }
            if outgoing.row_by_row.contains(&number) {
                let said = self.try_step(&mut state, step);
                answers.push(answer(Some(id), Some(number), Some(said)));
            } else {
                assert!(!step.shape.moved && !step.shape.parked && !step.shape.waits());
                let law = self.law(!outgoing.at_once);
                if let Err(code) = write_step(&mut state.rows, step, law) {
                    self.saw("a step is refused");
                    self.refused.insert(id);
                    return Err(refused(Some(id), Some(number), code));
                }
                answers.push(answer(Some(id), Some(number), None));
            }
        }
        self.at_commit(&state.rows)?;
        for stop in &outgoing.stops {
            self.saw("a table stops");
            state.stopped[usize::from(stop.table.0)] = Some(stop.way);
        }
        for (table, counts) in &outgoing.batch.counts {
            let sum = counts.applied + counts.folded + counts.ruled_out;
            assert_eq!(counts.received, sum, "P7");
            state.counted[usize::from(table.0)] += counts.received + counts.missed;
        }
        self.refused.clear();
        self.vain = 0;
        state.checkpoint = outgoing.batch.end.0;
        self.state = state;
        if outgoing.flush {
            self.flush();
        }
        Ok(Done {
            checkpoint: Some(outgoing.batch.end),
            answers,
        })
    }

    /// All that it has is on its disk.
    pub fn flush(&mut self) {
        self.durable = self.state.clone();
    }

    /// It has what is on its disk, and no connection.
    pub fn crash(&mut self) {
        if self.durable.checkpoint < self.state.checkpoint {
            self.saw("a crash takes a batch back");
        }
        self.state = self.durable.clone();
        let kept = Lsn(self.durable.checkpoint);
        assert!(
            self.confirmed <= kept,
            "P2: the desktop may have forgotten it"
        );
    }

    /// Takes part of a transaction that goes in one pass, on the connection that has it open.
    pub fn take_chunk(&mut self, chunk: &OutgoingChunk, epoch: u64) -> Result<Done, ApplyError> {
        let taken = self.try_chunk(chunk, epoch);
        if taken.is_err() {
            self.open = None;
        }
        taken
    }

    fn try_chunk(&mut self, chunk: &OutgoingChunk, epoch: u64) -> Result<Done, ApplyError> {
        let mut state = match (chunk.begins, self.open.take()) {
            (true, None) => self.state.clone(),
            (false, Some(state)) => state,
            (true, Some(_)) => panic!("it begins while another is open"),
            (false, None) => return Err(refused(None, None, sqlstate::STAGING_EMPTIED)),
        };
        let mut answers = Vec::new();
        for (number, step) in chunk.steps.iter().enumerate() {
            let (id, table) = (step.table, usize::from(step.table.0));
            assert!(state.stopped[table].is_none(), "table {table} has stopped");
            assert_eq!(step.work, StepKind::Upsert);
            if self.broken[table] {
                let code = sqlstate::INSUFFICIENT_PRIVILEGE;
                return Err(refused(Some(id), Some(number), code));
            }
            if let Err(code) = write_step(&mut state.rows, step, self.law(true)) {
                self.saw("part of a transaction is refused");
                return Err(refused(Some(id), Some(number), code));
            }
            answers.push(answer(Some(id), Some(number), None));
        }
        let Some((from, batch)) = &chunk.end else {
            self.open = Some(state);
            return Ok(Done {
                checkpoint: None,
                answers,
            });
        };
        if epoch != self.epoch {
            return Err(refused(None, None, sqlstate::LEASE_LOST));
        }
        assert_eq!(state.checkpoint, from.0, "P3: for another checkpoint");
        self.at_commit(&state.rows)?;
        for (table, counts) in &batch.counts {
            let sum = counts.applied + counts.folded + counts.ruled_out;
            assert_eq!(counts.received, sum, "P7");
            state.counted[usize::from(table.0)] += counts.received + counts.missed;
        }
        self.saw("a transaction went in one pass");
        state.checkpoint = batch.end.0;
        self.state = state;
        self.flush();
        Ok(Done {
            checkpoint: Some(batch.end),
            answers,
        })
    }

    /// P8: no table stops, and no row is tried alone, but for a reason.
    fn form_has_reasons(&self, outgoing: &Outgoing) {
        for stop in &outgoing.stops {
            let table = usize::from(stop.table.0);
            let until_somebody_comes = stop.way != Recovery::Recopy;
            assert!(
                self.may_stop[table] || !until_somebody_comes,
                "{stop:?}: for no reason"
            );
        }
        let steps = &outgoing.batch.steps;
        // What a row does in source order may build on what is parked of it.
        let waits = steps.iter().filter(|step| step.shape.parked);
        let waits: BTreeSet<_> = waits.map(|step| step.table).collect();
        for number in &outgoing.row_by_row {
            let table = steps[*number].table;
            assert!(
                waits.contains(&table) || self.refused.contains(&table),
                "step {number} is tried row by row for no reason"
            );
        }
    }

    fn try_step(&mut self, state: &mut State, step: &Step) -> Value {
        let law = self.law(false);
        let mut said = Vec::new();
        for row in &step.rows {
            let cells = row.layout.arriving(&row.tuple).into_iter();
            let parked = Parked {
                work: step.work,
                cells: cells.map(value).collect(),
                copies: row.count.cast_signed(),
                code: "",
            };
            said.extend(state.try_row(usize::from(step.table.0), parked, law));
        }
        if !said.is_empty() {
            self.saw("rows are quarantined");
        }
        Value::Array(said)
    }

    /// What waits for COMMIT: its error names the table, and no statement.
    fn at_commit(&mut self, rows: &Rows) -> Result<(), ApplyError> {
        let mut items = rows.keyed[1].values();
        if items.all(|item| !rows.lacks_client(item.client)) {
            return Ok(());
        }
        self.saw("refused at COMMIT");
        let late = refused(None, None, sqlstate::FOREIGN_KEY_VIOLATION);
        let ApplyError::Refused { mut error, .. } = late else {
            unreachable!()
        };
        error.schema = Some("public".to_owned());
        error.table = Some("item".to_owned());
        Err(ApplyError::Refused {
            table: None,
            step: None,
            error,
        })
    }

    /// Tries the parked rows of a table again.
    pub fn retry(&mut self, tables: &[TableId]) -> Result<Done, ApplyError> {
        let law = self.law(false);
        for id in tables {
            let table = usize::from(id.0);
            if self.broken[table] {
                let code = sqlstate::INSUFFICIENT_PRIVILEGE;
                return Err(refused(Some(*id), None, code));
            }
            for parked in self.state.parked[table].clone().into_values() {
                if self.state.try_row(table, parked, law).is_none() {
                    self.saw("a parked row got through");
                }
            }
        }
        self.flush();
        Ok(Done {
            checkpoint: None,
            answers: vec![answer(None, None, Some(self.parked(tables)))],
        })
    }

    /// The parked rows of these tables.
    pub fn parked(&self, tables: &[TableId]) -> Value {
        let rows = tables.iter().flat_map(|id| {
            let name = &self.tables.get(*id).name;
            let rows = self.state.parked[usize::from(id.0)].iter();
            rows.map(move |(key, parked)| {
                let mut said = say(key, parked);
                said["table"] = Value::String(name.clone());
                said
            })
        });
        Value::Array(rows.collect())
    }

    /// The names of a table's parked rows.
    pub fn names(&self, table: TableId) -> impl Iterator<Item = Vec<u8>> {
        let names = self.state.parked[usize::from(table.0)].keys();
        names.map(|name| {
            let texts: Vec<_> = name.iter().map(u8::to_string).collect();
            tandem::fold::name_of_cells(texts.iter().map(|text| Some(text.as_str())))
        })
    }

    /// A table is copied anew, as it is on the desktop; what is refused alone waits.
    pub fn copy(&mut self, table: usize, desktop: &Rows) {
        self.saw("a table is copied anew");
        let law = self.law(false);
        let state = &mut self.state;
        state.stopped[table] = None;
        state.parked[table].clear();
        let parked = |work: StepKind, cells: Vec<u8>, copies: i64| Parked {
            work,
            cells: cells.into_iter().map(Some).collect(),
            copies,
            code: "",
        };
        if table == 2 {
            state.rows.tallies.clear();
            for ((word, body), copies) in &desktop.tallies {
                let row = parked(StepKind::AddCopies, vec![*word, *body], *copies);
                state.try_row(table, row, law);
            }
            return;
        }
        let there: Vec<_> = state.rows.keyed[table].keys().copied().collect();
        for id in there {
            if !desktop.keyed[table].contains_key(&id) {
                let row = parked(StepKind::Delete, vec![id, 0, 0, 0], 1);
                state.try_row(table, row, law);
            }
        }
        for (id, row) in &desktop.keyed[table] {
            let cells = vec![*id, row.body, row.code, row.client];
            state.try_row(table, parked(StepKind::Upsert, cells, 1), law);
        }
    }

    /// P1, P3 and P8: at its checkpoint the cloud has what the desktop had there, to the row; but for rows that wait in the
    /// quarantine, each as the desktop had it.
    pub fn holds(&self, desktop: &Rows) {
        let state = &self.state;
        assert!(!self.is_peaceful || self.waiting() == 0, "P8: rows wait");
        let going = |table: &usize| state.stopped[*table].is_none();
        for table in (0..2).filter(going) {
            for id in 0..10 {
                let (want, have) = (
                    desktop.keyed[table].get(&id),
                    state.rows.keyed[table].get(&id),
                );
                let Some(parked) = state.parked[table].get(&[id][..]) else {
                    assert_eq!(have, want, "row {id} of table {table}");
                    continue;
                };
                let cell = |at: usize, under: Option<u8>| parked.cells[at].or(under);
                let waits = (parked.work == StepKind::Upsert).then(|| Row {
                    body: cell(1, have.map(|row| row.body)).unwrap(),
                    code: cell(2, have.map(|row| row.code)).unwrap(),
                    client: cell(3, have.map(|row| row.client)).unwrap(),
                });
                assert_eq!(waits.as_ref(), want, "parked row {id} of table {table}");
            }
        }
        if going(&2) {
            let mut tallies = state.rows.tallies.clone();
            for (name, parked) in &state.parked[2] {
                let sign = if parked.work.removes() { -1 } else { 1 };
                *tallies.entry((name[0], name[1])).or_default() += sign * parked.copies;
            }
            tallies.retain(|_, copies| *copies != 0);
            assert_eq!(tallies, desktop.tallies);
        }
    }

    /// P8: each row that still waits is refused alone.
    pub fn each_parked_row_is_refused_alone(&self) {
        for table in 0..3 {
            if self.state.stopped[table].is_some() {
                continue;
            }
            for parked in self.state.parked[table].values() {
                let (mut state, row) = (self.state.clone(), parked.clone());
                let again = state.try_row(table, row, self.law(false));
                assert!(again.is_some(), "{parked:?} of table {table} could go on");
            }
        }
    }

    /// How many rows wait.
    pub fn waiting(&self) -> usize {
        self.state.parked.iter().map(BTreeMap::len).sum()
    }

    pub fn checkpoint(&self) -> Lsn {
        Lsn(self.state.checkpoint)
    }
}

fn write_step(rows: &mut Rows, step: &Step, law: Law) -> Result<(), &'static str> {
    let table = usize::from(step.table.0);
    for row in &step.rows {
        let cells = row.layout.arriving(&row.tuple).into_iter();
        let cells: Cells = cells.map(value).collect();
        let old = row.old.as_ref().and_then(|old| old.cells().next());
        let old = old.and_then(value);
        if step.shape.fresh && rows.keyed[table].contains_key(&cells[0].unwrap()) {
            return Err(sqlstate::UNIQUE_VIOLATION);
        }
        let what = (&cells, old, row.count.cast_signed());
        write(rows, table, step.work, what, law)?;
    }
    Ok(())
}
