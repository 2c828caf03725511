//! The way home: what is read of the outbox and its rows in the cloud, and how the desktop takes it. Pure.
//!
//! Both sides get values as text and parse them as the base type of the column that they go to, as forward does.

mod adopt;
mod claim;
mod cloud_owned;
mod read;
mod rows;
mod verdict;
mod watch;

pub use adopt::{Told, adopt};
pub use claim::{bare_mark, claim, mark, mark_text};
pub use cloud_owned::{alone, keep, level, restore};
pub use read::{Budget, Found, read, waits};
pub use rows::{fill, put, remember, remove};
pub use verdict::Verdict;
pub use watch::{Watching, phones_in_cloud, queue_all, queue_differing, watching};

use super::array::TextArray;
use super::guard::equals;
use super::quote::{ident, literal, table as qualified};
use super::source::{self, Rows, value};
use crate::model::{Cell, Column, Param, ReverseTable, SaidBy, Source, Statement, oid};

/// A row on its way home, or what names one that is gone.
#[derive(Clone, Debug)]
pub struct Coming {
    /// The last of its entries.
    pub entry: u64,
    /// What names it, as an array constant.
    pub key: String,
    /// The cloud's values, one for each of [`ReverseTable::arriving`]; of a row that is gone only those that name it.
    pub cells: Vec<Option<String>>,
    /// In a table without a key, so many rows look like this.
    pub copies: u64,
}

/// Beside a row's cells.
const EXTRAS: [&str; 3] = ["key", "entry", "copies"];

/// The rows of `src` whose entry is the last that the ledger knows.
const MINE: &str = r#"mine as materialized (
      select src.*, l.hash as "tandem last", l.state as "tandem state"
      from src
      join tandem.ledger as l on l.key_hash = src."tandem hash" and l.entry = src."tandem entry"
    )"#;

/// A statement over rows in arrays: those of `taken`, then [`EXTRAS`], then what else it takes.
struct Over<'a> {
    reverse: &'a ReverseTable,
    taken: Vec<usize>,
}

impl<'a> Over<'a> {
    /// All that travels.
    fn all(reverse: &'a ReverseTable) -> Over<'a> {
        let taken = (0..reverse.arriving.len()).collect();
        Over { reverse, taken }
    }

    /// What names a row.
    fn names(reverse: &'a ReverseTable) -> Over<'a> {
        let taken = reverse.names.iter().map(|named| named.arriving).collect();
        Over { reverse, taken }
    }

    fn rows(&self) -> Rows {
        Rows::Arrays(self.taken.clone(), EXTRAS.map(str::to_owned).to_vec())
    }

    /// `src`: the rows with their types under the desktop's names, as far as they are known.
    fn source(&self) -> String {
        let rows = self.rows();
        let known = |column: &&Column| {
            let mut uses = column.from.uses().iter();
            uses.all(|index| self.taken.contains(index))
        };
        let columns = self.reverse.columns.iter().filter(known);
        let list = columns.map(|column| {
            let value = match &column.from {
                Source::Constant(value) => {
                    format!(
                        "{office}::{base_type}",
                        office = self.office(&literal(value)),
                        base_type = column.base_type
                    )
                }
                _ => value(&self.reverse.arriving, column, &|index| {
                    self.office(&rows.cell(index))
                }),
            };
            format!("{value} as {column}", column = ident(&column.name))
        });
        let cloud = self.taken.iter().map(|index| {
            let name = ident(&self.reverse.arriving[*index].name);
            format!("{cell} as {name}", cell = rows.cell(*index))
        });
        let cloud: Vec<_> = cloud.collect();
        let own = [
            "u.key as \"tandem key\"".to_owned(),
            "u.entry::bigint as \"tandem entry\"".to_owned(),
            "u.copies::bigint as \"tandem copies\"".to_owned(),
            format!(
                "{ledger_key} as \"tandem hash\"",
                ledger_key = self.ledger_key()
            ),
            format!(
                "(select to_jsonb(c) from (select {cloud}) as c) as \"tandem cloud\"",
                cloud = cloud.join(", ")
            ),
        ];
        let list: Vec<_> = list.chain(own).collect();
        format!(
            "src as materialized (select {list} from {from})",
            list = list.join(", "),
            from = rows.from()
        )
    }

    /// A text as the desktop has it.
    fn office(&self, text: &str) -> String {
        match self
            .reverse
            .charset
            .filter(|charset| charset.said_by == SaidBy::Setting)
        {
            Some(charset) => {
                let encoding = literal(charset.encoding.name());
                format!("tandem.to_office({text}, {encoding})")
            }
            None => text.to_owned(),
        }
    }

    /// The row's name in the ledger: one column, so that the server knows how few rows it finds.
    fn ledger_key(&self) -> String {
        let (replicator, table) = self.whose();
        format!("md5(concat({replicator}, '/', {table}, '/', u.key))")
    }

    /// The parameters that say whose rows they are.
    fn whose(&self) -> (String, String) {
        let first = self.taken.len() + EXTRAS.len() + 1;
        (
            format!("${first}"),
            format!("${second}", second = first + 1),
        )
    }

    fn statement(&self, replicator: &str, rows: &[Coming], sql: String) -> Statement {
        let mut arrays: Vec<_> = { self.taken.iter() }.map(|_| TextArray::new()).collect();
        let (mut keys, mut entries, mut copies) =
            (TextArray::new(), TextArray::new(), TextArray::new());
        for row in rows {
            for (array, index) in arrays.iter_mut().zip(&self.taken) {
                let cell = row.cells[*index].as_ref();
                array.push(cell.map_or(Cell::Null, |text| Cell::Text(text.as_bytes())));
            }
            keys.push(Cell::Text(row.key.as_bytes()));
            entries.push(Cell::Text(row.entry.to_string().as_bytes()));
            copies.push(Cell::Text(row.copies.to_string().as_bytes()));
        }
        arrays.extend([keys, entries, copies]);
        let mut params: Vec<_> = arrays.into_iter().map(TextArray::finish).collect();
        params.push(Param::text(oid::TEXT, replicator));
        params.push(Param::text(oid::TEXT, &*self.reverse.name));
        Statement::bookkeeping(sql, params)
    }
}

/// The desktop's table. The children of an ordinary one are tables of their own.
pub fn target(reverse: &ReverseTable) -> String {
    let only = if reverse.partitioned { "" } else { "only " };
    format!("{only}{desktop}", desktop = qualified(&reverse.desktop))
}

/// Refuses what a trigger of the desktop's keeps out without an error, and what somebody replaced between our look and our
/// write: fewer rows were written than had to be.
fn all_there(reverse: &ReverseTable, does: u8, done: &str, wanted: &str) -> String {
    format!(
        " where case
           when {done} < {wanted} then not tandem.kept_out(
             {target}::regclass, {does}, {done}, {wanted}
           )
           else true
         end",
        target = literal(&qualified(&reverse.desktop))
    )
}

fn columns(reverse: &ReverseTable, which: impl Iterator<Item = usize>) -> Vec<(usize, &Column)> {
    which.map(|at| (at, &reverse.columns[at])).collect()
}

fn key_columns(reverse: &ReverseTable) -> Vec<(usize, &Column)> {
    columns(reverse, reverse.key.iter().copied())
}

/// A row's look, in the form in which stored and arriving values are comparable.
fn look(row: &str, columns: &[(usize, &Column)]) -> String {
    format!("{image}::text", image = source::image(row, columns))
}

/// A short form of all that comes home of a row.
fn hash(reverse: &ReverseTable, row: &str) -> String {
    let all = columns(reverse, 0..reverse.columns.len());
    format!("md5({look})", look = look(row, &all))
}

/// True for a stored row `t` that has the key of `row`. An index of the desktop's can serve it where no part of the key is
/// NULL.
fn same_key(reverse: &ReverseTable, row: &str, rows: &[Coming]) -> String {
    let has_null = { rows.iter() }.any(|coming| {
        let mut names = reverse.names.iter();
        names.any(|named| coming.cells[named.arriving].is_none())
    });
    let key = key_columns(reverse);
    let plain = |column: &Column| matches!(column.from, Source::Arriving(_));
    if has_null || !key.iter().all(|(_, column)| plain(column)) {
        let (stored, wanted) = (look("t", &key), look(row, &key));
        return format!("{stored} = {wanted}");
    }
    let tests = key.iter().map(|(_, column)| {
        let name = ident(&column.name);
        format!("t.{name} = {row}.{name}")
    });
    tests.collect::<Vec<_>>().join(" and ")
}

/// The rows of the desktop's table that came from a phone, as a predicate on `t`; all, where it doesn't say so.
pub fn phones_on_desktop(reverse: &ReverseTable) -> String {
    is_mobile(reverse, "''")
}

/// True for a stored row `t` that came from a phone. Where the desktop doesn't say so, one that we wrote did.
fn is_mobile(reverse: &ReverseTable, last: &str) -> String {
    match (&reverse.desktop_owner, &reverse.owner) {
        (Some((column, base)), Some(owner)) => {
            format!(
                "coalesce({equals}, false)",
                equals = equals("t", column, &owner.mobile, base)
            )
        }
        _ => format!("{last} is not null"),
    }
}

/// True for a stored row `t` that the desktop made.
pub(super) fn is_desktops(reverse: &ReverseTable) -> String {
    match &reverse.desktop_owner {
        Some(_) => format!("not {is_mobile}", is_mobile = is_mobile(reverse, "null")),
        None => "true".to_owned(),
    }
}
