//! How one side's rows are looked at, and what is asked of it.

use super::super::as_text::{as_it_is, output};
use super::super::quote::literal;
use crate::model::Charset;

/// How one side's rows are looked at.
#[derive(Clone, Debug)]
pub struct Look {
    pub(super) from: String,
    pub(super) which: String,
    /// The columns that are compared, as the receiving side writes them.
    pub(super) cells: Vec<String>,
    /// Those that name a row; all, where none do.
    pub(super) key: Vec<String>,
    /// The same for people, and as the quarantine and the outbox have them.
    pub(super) names: Vec<String>,
    /// Whether rows that were written meanwhile are other ones, although they look the same.
    pub(super) versions: bool,
    /// The number of the parameter that says which rows are meant.
    pub(super) param: usize,
    /// What the side's bytes mean, where it doesn't speak UTF-8: its texts come as they are, in hexadecimal digits.
    pub charset: Option<Charset>,
}

/// What is asked of a side.
#[derive(Clone, Copy, Debug)]
pub enum Reading {
    /// `range, count, sum` for each of so many ranges of hashes, a power of two.
    Ranges(u32),
    /// `key, row, copies, version` by hashes, in some of so many ranges.
    RowsIn(u32),
    /// The same for some keys.
    RowsOf,
    /// `key, key's values, nothing` as text, for some keys.
    NamesOf,
    /// `key, key's values, all values` as text, for some keys.
    ValuesOf,
}

impl Look {
    /// The key's names are the key itself.
    pub(super) fn new(from: String, which: String, cells: Vec<String>, key: Vec<String>) -> Look {
        Look {
            from,
            which,
            cells,
            names: key.clone(),
            key,
            versions: false,
            param: 1,
            charset: None,
        }
    }

    /// The same on both sides, whatever the databases' encodings.
    fn hash(&self, cells: &[String]) -> String {
        let row = format!("row({cells})::text", cells = cells.join(", "));
        let bytes = match self.charset {
            Some(charset) => format!(
                "tandem.utf8({row}, {encoding})",
                encoding = literal(charset.encoding.name())
            ),
            None => format!("convert_to({row}, 'UTF8')"),
        };
        format!("('x' || left(md5({bytes}), 16))::bit(64)::bigint")
    }

    pub(super) fn named(&self) -> String {
        self.hash(&self.key)
    }

    fn whole(&self) -> String {
        self.hash(&self.cells)
    }

    /// Counts them.
    pub fn count(&self) -> String {
        format!(
            "select count(*) from {from} as t where {which}",
            from = self.from,
            which = self.which
        )
    }

    /// Answers nothing, but fails where the side lacks what names a row, or what all that is compared is made of.
    pub fn trial(&self, all: bool) -> String {
        let cells = if all { self.whole() } else { self.named() };
        format!(
            "select {cells} from {from} as t where false",
            from = self.from
        )
    }

    /// The statement that answers it.
    pub fn read(&self, reading: Reading) -> String {
        let of = self.among(reading).unwrap_or_default();
        match reading {
            Reading::Ranges(ranges) => self.ranges(ranges),
            Reading::RowsIn(_) | Reading::RowsOf => self.rows(&of),
            Reading::NamesOf => self.texts(&[], &of),
            Reading::ValuesOf => self.texts(&self.cells, &of),
        }
    }

    /// The rows that are asked for; none where all are.
    pub(super) fn among(&self, reading: Reading) -> Option<String> {
        let (named, at) = (self.named(), self.param);
        match reading {
            Reading::Ranges(_) => None,
            Reading::RowsIn(ranges) => Some(format!(
                "({named} & {mask})::int = any (${at})",
                mask = ranges - 1
            )),
            Reading::RowsOf | Reading::NamesOf | Reading::ValuesOf => {
                Some(format!("{named} = any (${at})"))
            }
        }
    }

    pub(super) fn ranges(&self, ranges: u32) -> String {
        format!(
            "select ({named} & {mask})::int, count(*), sum({whole})::text
             from {from} as t
             where {which}
             group by 1",
            named = self.named(),
            mask = ranges - 1,
            whole = self.whole(),
            from = self.from,
            which = self.which
        )
    }

    fn rows(&self, of: &str) -> String {
        let version = match self.versions {
            true => "md5(string_agg(t.xmin::text, ' ' order by t.xmin::text))",
            false => "''",
        };
        format!(
            "select {named}, {whole}, count(*), {version}
             from {from} as t
             where {which} and {of}
             group by 1, 2",
            named = self.named(),
            whole = self.whole(),
            from = self.from,
            which = self.which
        )
    }

    fn texts(&self, cells: &[String], of: &str) -> String {
        let texts = |cells: &[String]| {
            let cells = cells.iter().map(|cell| output(cell, ""));
            let cells: Vec<_> = match self.charset {
                Some(_) => cells.map(|cell| as_it_is(&cell)).collect(),
                None => cells.collect(),
            };
            format!("array[{cells}]::text[]", cells = cells.join(", "))
        };
        format!(
            "select {named}, {names}, {cells} from {from} as t where {which} and {of}",
            named = self.named(),
            names = texts(&self.names),
            cells = texts(cells),
            from = self.from,
            which = self.which
        )
    }
}
