//! A desktop with three tables: clients, whose rows others refer to, their items, and tallies, which have no key. It says what
//! it does as PostgreSQL would, message by message.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use tandem::model::{Key, TableId, Tables};

use super::Dice;
use super::wire::{relation, text, text_table};

pub const CLIENTS: TableId = TableId(0);
pub const ITEMS: TableId = TableId(1);
pub const TALLIES: TableId = TableId(2);
const NAMES: [&str; 3] = ["client", "item", "tally"];
const COLUMNS: [&[&str]; 3] = [
    &["id", "body", "code", "client"],
    &["id", "body", "code", "client"],
    &["word", "body"],
];
const OID: u32 = 16_500;

/// `body` of rows that the cloud's check doesn't allow.
pub const POISON: u8 = 3;

/// A row of clients or items. A code of 0 is NULL, and so is a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub body: u8,
    pub code: u8,
    pub client: u8,
}

/// What a database has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Clients and items, by key.
    pub keyed: [BTreeMap<u8, Row>; 2],
    /// How many tallies look like this.
    pub tallies: BTreeMap<(u8, u8), i64>,
}

impl Rows {
    /// Another row of this table has the code.
    pub fn has_code(&self, table: usize, but: u8, code: u8) -> bool {
        let mut rows = self.keyed[table].iter();
        code != 0 && rows.any(|(id, row)| *id != but && row.code == code)
    }

    pub fn is_referred(&self, client: u8) -> bool {
        self.keyed[1].values().any(|item| item.client == client)
    }

    pub fn lacks_client(&self, client: u8) -> bool {
        client != 0 && !self.keyed[0].contains_key(&client)
    }
}

pub fn tables() -> Tables {
    let table = |at: usize| {
        let key = match at {
            2 => Key::Multiset,
            _ => Key::Columns(vec![0]),
        };
        text_table(NAMES[at], OID + at as u32, COLUMNS[at], key)
    };
    Tables::new((0..3).map(table).collect())
}

/// One transaction in the desktop's log, and what the desktop looks like behind it.
pub struct Logged {
    pub end: u64,
    pub messages: Vec<Bytes>,
    /// Row messages of each table.
    pub changes: [u64; 3],
    pub after: Rows,
}

/// What the desktop says of a row.
fn tuple(out: &mut BytesMut, cells: &[Option<u8>]) {
    out.put_u16(cells.len() as u16);
    for (at, cell) in cells.iter().enumerate() {
        match cell {
            None => out.put_u8(b'u'),
            Some(0) if at > 1 => out.put_u8(b'n'),
            Some(value) => text(out, *value),
        }
    }
}

fn message(kind: u8, table: usize) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u8(kind);
    out.put_u32(OID + table as u32);
    out
}

fn key(out: &mut BytesMut, id: u8) {
    out.put_u8(b'K');
    out.put_u16(4);
    text(out, id);
    out.put_slice(b"nnn");
}

fn new(out: &mut BytesMut, id: u8, row: Row, same_body: bool) {
    out.put_u8(b'N');
    let body = (!same_body).then_some(row.body);
    tuple(out, &[Some(id), body, Some(row.code), Some(row.client)]);
}

pub fn relations() -> Vec<Bytes> {
    let relation = |at: usize| {
        let (identity, keys) = match at {
            2 => (b'f', COLUMNS[at].len()),
            _ => (b'd', 1),
        };
        relation(OID + at as u32, NAMES[at], (identity, keys), COLUMNS[at])
    };
    (0..3).map(relation).collect()
}

/// One change that the desktop's own constraints allow; none if the dice want another one.
fn change(rows: &mut Rows, dice: &mut Dice, is_peaceful: bool) -> Option<(usize, Bytes)> {
    let at = [0, 0, 1, 1, 2][dice.below(5) as usize];
    let body = match !is_peaceful && dice.once_in(6) {
        true => POISON,
        false => dice.below(3) as u8,
    };
    if at == 2 {
        return tally(rows, dice, body).map(|bytes| (2, bytes));
    }
    let id = 1 + dice.below(5) as u8;
    let row = Row {
        body,
        code: dice.below(4) as u8,
        client: match at == 1 && !is_peaceful {
            true => dice.below(6) as u8,
            false => 0,
        },
    };
    if rows.has_code(at, id, row.code) || rows.lacks_client(row.client) {
        return None;
    }
    let is_parent = at == 0 && rows.is_referred(id);
    let was = rows.keyed[at].get(&id).copied();
    let mut out;
    match (was, dice.below(6)) {
        (None, _) => {
            rows.keyed[at].insert(id, row);
            out = message(b'I', at);
            new(&mut out, id, row, false);
        }
        (Some(_), 0) if !is_parent => {
            rows.keyed[at].remove(&id);
            out = message(b'D', at);
            key(&mut out, id);
        }
        // It takes a new key.
        (Some(was), 1) if !is_parent => {
            let other = 1 + dice.below(5) as u8;
            if rows.keyed[at].contains_key(&other) {
                return None;
            }
            let row = Row {
                body: was.body,
                ..row
            };
            rows.keyed[at].remove(&id);
            rows.keyed[at].insert(other, row);
            out = message(b'U', at);
            key(&mut out, id);
            new(&mut out, other, row, dice.once_in(2));
        }
        (Some(was), _) => {
            rows.keyed[at].insert(id, row);
            out = message(b'U', at);
            new(&mut out, id, row, row.body == was.body && !dice.once_in(3));
        }
    }
    Some((at, out.freeze()))
}

fn tally(rows: &mut Rows, dice: &mut Dice, body: u8) -> Option<Bytes> {
    let look = (dice.below(3) as u8, body);
    let there = rows.tallies.iter().find(|(_, copies)| **copies > 0);
    let old = there.map(|(look, _)| *look).filter(|_| dice.once_in(2));
    let cells = |(word, body): (u8, u8)| [Some(word), Some(body)];
    let kind = match old {
        None => b'I',
        Some(_) if dice.once_in(2) => b'D',
        Some(_) => b'U',
    };
    let mut out = message(kind, 2);
    if let Some(old) = old {
        *rows.tallies.get_mut(&old)? -= 1;
        out.put_u8(b'O');
        tuple(&mut out, &cells(old));
    }
    if kind != b'D' {
        *rows.tallies.entry(look).or_default() += 1;
        out.put_u8(b'N');
        tuple(&mut out, &cells(look));
    }
    rows.tallies.retain(|_, copies| *copies > 0);
    Some(out.freeze())
}

/// A history of transactions. In a peaceful one nothing is that the cloud could have anything against.
pub fn history(dice: &mut Dice, is_peaceful: bool) -> Vec<Logged> {
    let mut rows = Rows::default();
    let transactions = 4 + dice.below(24);
    let logged = (0..transactions).map(|at| {
        let end = 1_000 + 100 * at;
        let mut begin = BytesMut::new();
        begin.put_u8(b'B');
        begin.put_u64(end - 10);
        begin.put_i64(7);
        begin.put_u32(at as u32 + 3);
        let mut commit = BytesMut::new();
        commit.put_slice(b"C\0");
        commit.put_u64(end - 10);
        commit.put_u64(end);
        commit.put_i64(7);
        let (mut messages, mut changes) = (vec![begin.freeze()], [0; 3]);
        for _ in 0..1 + dice.below(5) {
            if let Some((table, bytes)) = change(&mut rows, dice, is_peaceful) {
                messages.push(bytes);
                changes[table] += 1;
            }
        }
        messages.push(commit.freeze());
        Logged {
            end,
            messages,
            changes,
            after: rows.clone(),
        }
    });
    logged.collect()
}
