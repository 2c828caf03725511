//! A settings file to which something is added: what is new goes between what stands there, of which every byte stays. The tree
//! only says where. Pure.

use toml_edit::{Array, Document, InlineTable, Item, Table, Value};

use super::super::written::list;
use crate::config::as_text;
use crate::fault::{Fault, Kind};

const BOM: &str = "\u{feff}";

/// A settings file, and what is to be put where.
#[derive(Clone)]
pub(super) struct Splice {
    text: String,
    has_mark: bool,
    added: Vec<Piece>,
}

/// Something new, and the offset that it comes before.
#[derive(Clone)]
struct Piece {
    at: usize,
    text: String,
    /// It begins a line of its own.
    is_line: bool,
}

impl Splice {
    /// Takes a file's text.
    pub(super) fn new(text: &str) -> Splice {
        let bare = text.strip_prefix(BOM);
        Splice {
            text: bare.unwrap_or(text).to_owned(),
            has_mark: bare.is_some(),
            added: Vec::new(),
        }
    }

    /// The text that was there.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether nothing was added.
    pub(super) fn is_same(&self) -> bool {
        self.added.is_empty()
    }

    /// Adds lines at the end, behind an empty one.
    pub(super) fn append(&mut self, lines: &str) {
        let is_first = { self.added.iter() }.all(|piece| piece.at < self.text.len());
        let last = self.text.lines().next_back().unwrap_or_default();
        let gap = if is_first && last.trim().is_empty() {
            ""
        } else {
            "\n"
        };
        self.put_lines(self.text.len(), format!("{gap}{}\n", lines.trim_end()));
    }

    /// Adds `[[table]]`s at the end.
    ///
    /// # Errors
    /// When the file's tables stand in one list, behind which none can.
    pub(super) fn append_tables(&mut self, tables: &str) -> Result<(), Fault> {
        let tree = tree(&self.text)?;
        if tree.get("table").is_some_and(Item::is_value) {
            return Err(Fault::new(
                Kind::Input,
                "the file has its tables in one list (table = [...]), to which init can't add",
            )
            .hint(format!(
                "write each under its own [[table]], or add these by hand; the file was not touched:\n{}",
                tables.trim_end()
            )));
        }
        self.append(tables);
        Ok(())
    }

    /// Adds names to a list of the table with this number among the file's: to `skip`, or to that of `reverse`. The remarks come
    /// under the table's last line.
    ///
    /// # Errors
    /// When the file has no such table.
    pub(super) fn name(
        &mut self,
        table: usize,
        inside: Option<&str>,
        names: &[String],
        remarks: &[String],
    ) -> Result<(), Fault> {
        let tree = tree(&self.text)?;
        let found = match tree.get("table") {
            Some(Item::ArrayOfTables(tables)) => tables.get(table).map(|table| match inside {
                None => self.in_table(table, "", names, remarks),
                Some(key) => self.in_inner(table, key, names, remarks),
            }),
            Some(Item::Value(Value::Array(tables))) => { tables.get(table) }
                .and_then(Value::as_inline_table)
                .map(|table| match inside.and_then(|key| table.get(key)) {
                    Some(Value::InlineTable(inner)) => vec![in_inline(inner, "", names)],
                    _ => {
                        let path = inside.map(|key| format!("{key}.")).unwrap_or_default();
                        vec![in_inline(table, &path, names)]
                    }
                }),
            _ => None,
        };
        let pieces = found.ok_or_else(|| lost(&"a table of the settings is not in the file"))?;
        self.added.extend(pieces);
        Ok(())
    }

    /// Into `reverse`, in whichever way it is written.
    fn in_inner(
        &self,
        table: &Table,
        key: &str,
        names: &[String],
        remarks: &[String],
    ) -> Vec<Piece> {
        match table.get(key) {
            Some(Item::Table(inner)) if !inner.is_dotted() && !inner.is_implicit() => {
                self.in_table(inner, "", names, remarks)
            }
            Some(Item::Table(inner)) => match inner.get("skip") {
                Some(Item::Value(Value::Array(array))) => {
                    self.in_array(array, table, names, remarks)
                }
                _ => self.in_table(table, &format!("{key}."), names, remarks),
            },
            Some(Item::Value(Value::InlineTable(inner))) => {
                let mut pieces = vec![in_inline(inner, "", names)];
                pieces.extend(self.under(table, remarks));
                pieces
            }
            _ => self.in_table(table, &format!("{key}."), names, remarks),
        }
    }

    /// Into the list of a table, or as a list of its own.
    fn in_table(
        &self,
        table: &Table,
        path: &str,
        names: &[String],
        remarks: &[String],
    ) -> Vec<Piece> {
        let array = table.get("skip").filter(|_| path.is_empty());
        if let Some(Item::Value(Value::Array(array))) = array {
            return self.in_array(array, table, names, remarks);
        }
        let line = format!("{path}skip = {}", list(names));
        let lines: Vec<_> = std::iter::once(line)
            .chain(remarks.iter().cloned())
            .collect();
        self.under(table, &lines).into_iter().collect()
    }

    fn in_array(
        &self,
        array: &Array,
        table: &Table,
        names: &[String],
        remarks: &[String],
    ) -> Vec<Piece> {
        let mut pieces = vec![in_array(array, names)];
        pieces.extend(self.under(table, remarks));
        pieces
    }

    /// Lines under the last of a table's own.
    fn under(&self, table: &Table, lines: &[String]) -> Option<Piece> {
        let end = end_of_values(table).max(table.span().map_or(0, |header| header.end));
        let rest = self.text.get(end..).unwrap_or_default();
        let at = rest
            .find('\n')
            .map_or(self.text.len(), |line| end + line + 1);
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        (!lines.is_empty()).then_some(Piece {
            at,
            text,
            is_line: true,
        })
    }

    fn put_lines(&mut self, at: usize, text: String) {
        self.added.push(Piece {
            at,
            text,
            is_line: true,
        });
    }

    /// The file with all that is new, its lines ended as the others are.
    pub(super) fn done(mut self) -> String {
        let ends = match self.text.find('\n') {
            Some(at) if self.text[..at].ends_with('\r') => "\r\n",
            _ => "\n",
        };
        self.added.sort_by_key(|piece| piece.at);
        let mut out = String::from(if self.has_mark { BOM } else { "" });
        let bare = out.len();
        let mut from = 0;
        for piece in &self.added {
            out.push_str(&self.text[from..piece.at]);
            from = piece.at;
            if piece.is_line && out.len() > bare && !out.ends_with('\n') {
                out.push_str(ends);
            }
            out.push_str(&piece.text.replace('\n', ends));
        }
        out.push_str(&self.text[from..]);
        out
    }
}

/// Behind the last value of a list.
fn in_array(array: &Array, names: &[String]) -> Piece {
    let names: Vec<_> = names.iter().map(|name| as_text(name)).collect();
    let names = names.join(", ");
    let last = array
        .iter()
        .filter_map(Value::span)
        .map(|place| place.end)
        .max();
    let (at, text) = match last {
        Some(end) => (end, format!(", {names}")),
        None => (array.span().map_or(0, |place| place.start + 1), names),
    };
    Piece {
        at,
        text,
        is_line: false,
    }
}

/// Into a table between braces.
fn in_inline(table: &InlineTable, path: &str, names: &[String]) -> Piece {
    let mut inside = Some(table);
    for key in path.split('.').filter(|key| !key.is_empty()) {
        inside = inside.and_then(|table| table.get(key)?.as_inline_table());
    }
    if let Some(Value::Array(array)) = inside.and_then(|table| table.get("skip")) {
        return in_array(array, names);
    }
    let line = format!("{path}skip = {}", list(names));
    let (at, text) = match end_of_inline(table) {
        Some(end) => (end, format!(", {line}")),
        None => (
            table.span().map_or(0, |place| place.start + 1),
            format!(" {line} "),
        ),
    };
    Piece {
        at,
        text,
        is_line: false,
    }
}

/// Where the last value ends that stands under the table's own header; 0 when there is none.
fn end_of_values(table: &Table) -> usize {
    let ends = table.iter().map(|(_, item)| match item {
        Item::Value(value) => end_of(value),
        Item::Table(inner) if inner.is_dotted() => end_of_values(inner),
        _ => 0,
    });
    ends.max().unwrap_or(0)
}

/// A dotted key's value makes a table that has no place of its own.
fn end_of(value: &Value) -> usize {
    let inside = value.as_inline_table().and_then(end_of_inline);
    value
        .span()
        .map_or(0, |place| place.end)
        .max(inside.unwrap_or(0))
}

fn end_of_inline(table: &InlineTable) -> Option<usize> {
    table.iter().map(|(_, value)| end_of(value)).max()
}

fn tree(text: &str) -> Result<Document<&str>, Fault> {
    Document::parse(text).map_err(|error| lost(&error))
}

/// The settings were read from it a moment ago.
fn lost(why: &dyn std::fmt::Display) -> Fault {
    Fault::new(
        Kind::Internal,
        "internal check failed: the settings file reads differently a second time",
    )
    .cause(why)
    .hint("the file was not touched")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// What is written by whom, and what it becomes with `n` named in the second table's skip, and `h` in the one of its way home.
    const WRITTEN: &[(&str, &str)] = &[
        (
            "[[table]]\nname='a'\n\n[[table]] # two\nname   =  'b'   # b\n# end",
            "[[table]]\nname='a'\n\n[[table]] # two\nname   =  'b'   # b\nskip = [\"n\"]\n# why\nreverse.skip = [\"h\"]\n# end",
        ),
        (
            "[[table]]\nname='a'\n[[table]]\nname='b'",
            "[[table]]\nname='a'\n[[table]]\nname='b'\nskip = [\"n\"]\n# why\nreverse.skip = [\"h\"]\n",
        ),
        (
            "[[table]]\r\nname='a'\r\n[[table]]\r\nskip=[]\r\nname='b'\r\n[table.reverse]\r\n# mine\r\n\r\n[listen]\r\n",
            "[[table]]\r\nname='a'\r\n[[table]]\r\nskip=[\"n\"]\r\nname='b'\r\n# why\r\n[table.reverse]\r\nskip = [\"h\"]\r\n# mine\r\n\r\n[listen]\r\n",
        ),
        (
            "\u{feff}[[table]]\nname='a'\n[[table]]\nname='b'\nskip = [ # mine\n\t'x', # an x\n\t'y' ,\n]\nreverse = { skip = ['z',], convert = {} }\n",
            "\u{feff}[[table]]\nname='a'\n[[table]]\nname='b'\nskip = [ # mine\n\t'x', # an x\n\t'y', \"n\" ,\n]\nreverse = { skip = ['z', \"h\",], convert = {} }\n# why\n",
        ),
        (
            "[[table]]\nname='a'\n[[table]]\nname='b'\nlookup.c = {from='a', on={x='y'}, take='z'}\nreverse.skip = ['q']\n[table.rename]\nx='y'\n[[table]]\nname='c'",
            "[[table]]\nname='a'\n[[table]]\nname='b'\nlookup.c = {from='a', on={x='y'}, take='z'}\nreverse.skip = ['q', \"h\"]\nskip = [\"n\"]\n# why\n[table.rename]\nx='y'\n[[table]]\nname='c'",
        ),
        (
            "[[table]]\nname='a'\n[[table]]\nname='b'\n[table.reverse.convert]\nx='y'\n",
            "[[table]]\nname='a'\n[[table]]\nname='b'\nskip = [\"n\"]\n# why\nreverse.skip = [\"h\"]\n[table.reverse.convert]\nx='y'\n",
        ),
        (
            "table = [{name='a'}, { name = 'b' , reverse={ }}, ] # odd\n",
            "table = [{name='a'}, { name = 'b' , reverse={ skip = [\"h\"]  }, skip = [\"n\"]}, ] # odd\n",
        ),
        (
            "[[table]]\nname='a'\n[[table]]\nname='''\nb'''\nskip=[[1],'''\n[[table]]''']\n",
            "[[table]]\nname='a'\n[[table]]\nname='''\nb'''\nskip=[[1],'''\n[[table]]''', \"n\"]\n# why\nreverse.skip = [\"h\"]\n",
        ),
    ];

    #[test]
    fn what_is_new_goes_where_it_belongs_and_the_rest_stays() {
        for (before, after) in WRITTEN {
            let mut splice = Splice::new(before);
            let why = names(&["# why"]);
            splice.name(1, None, &names(&["n"]), &why).unwrap();
            splice
                .name(1, Some("reverse"), &names(&["h"]), &[])
                .unwrap();
            let done = splice.done();
            assert_eq!(&done, after);
            tree(done.trim_start_matches(BOM)).unwrap();
        }
    }

    #[test]
    fn tables_come_last_and_a_list_of_them_is_refused() {
        for (before, after) in [
            ("", "[[table]]\n"),
            ("\u{feff}", "\u{feff}[[table]]\n"),
            ("a = 1", "a = 1\n\n[[table]]\n"),
            ("a = 1\r\n\r\n", "a = 1\r\n\r\n[[table]]\r\n"),
        ] {
            let mut splice = Splice::new(before);
            splice.append_tables("[[table]]\n").unwrap();
            assert_eq!(splice.done(), after);
        }
        let mut splice = Splice::new("table = []");
        assert!(splice.append_tables("[[table]]\n").is_err() && splice.is_same());
    }

    /// Pieces of a table as people write them.
    fn statement() -> impl Strategy<Value = String> {
        let space = prop_oneof![Just(""), Just(" "), Just("\t  ")];
        let comment = prop_oneof![Just(""), Just(" # ]]}, \"x\" = ['"), Just("#")];
        let value = prop_oneof![
            Just("key = []"),
            Just("key=['a' , \"b\",\n # no\n]"),
            Just("skip = ['p', # p\n 'q',]"),
            Just("skip=[  ]"),
            Just("set.\"x y\" = '#'"),
            Just("convert = { \"a.b\" = 'x', c = \"\\\"\" }"),
            Just("lookup.c = { from = 'a', on = { b = 'c' }, take = 'd' }"),
            Just("reverse.skip = []"),
            Just("reverse = { }"),
            Just("cloud = \"\"\"\n[[table]]\nskip = []\"\"\""),
        ];
        (space.clone(), value, space, comment).prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}"))
    }

    fn file() -> impl Strategy<Value = (String, usize)> {
        let gap = prop_oneof![Just(""), Just("\n"), Just("  # between\n\n")];
        let inner = prop_oneof![
            Just(""),
            Just("[table.reverse] # home\n"),
            Just("[ table . reverse ]\nskip = [ 'r' ]\n"),
            Just("[table.reverse.convert]\nx = 'y'\n")
        ];
        let table = (proptest::collection::vec(statement(), 0..4), gap, inner);
        let tables = proptest::collection::vec(table, 1..4);
        (tables, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(tables, crlf, mark, end)| {
                let mut text = String::from("# mine\n[forward]\nskip = []\n");
                let count = tables.len();
                for (statements, gap, inner) in tables {
                    text.push_str(gap);
                    text.push_str("[[table]]\n");
                    for statement in statements {
                        // What stands twice isn't TOML.
                        let mut more = format!("{text}{statement}\n{inner}");
                        if tree(&more).is_ok() {
                            more.truncate(more.len() - inner.len());
                            text = more;
                        }
                    }
                    text.push_str(inner);
                }
                if !end {
                    text.truncate(text.trim_end_matches('\n').len());
                }
                if crlf {
                    text = text.replace('\n', "\r\n");
                }
                (format!("{}{text}", if mark { BOM } else { "" }), count)
            },
        )
    }

    /// The names of a table's lists: its own, and that of the way home.
    fn skipped(text: &str, table: usize) -> [Vec<String>; 2] {
        let text = text.trim_start_matches(BOM);
        let tree = tree(text).unwrap();
        let list = |item: Option<&Item>| -> Vec<String> {
            let names = item.and_then(Item::as_array).into_iter().flatten();
            names
                .map(|name| name.as_str().unwrap().to_owned())
                .collect()
        };
        let table = tree["table"]
            .as_array_of_tables()
            .unwrap()
            .get(table)
            .unwrap();
        let home = table.get("reverse").and_then(|inner| inner.get("skip"));
        [list(table.get("skip")), list(home)]
    }

    proptest! {
        #[test]
        fn every_byte_that_stood_there_stands_there_in_its_order((text, count) in file(), table in 0usize..4, home: bool, more: bool) {
            let table = table % count;
            let (inside, which) = if home { (Some("reverse"), 1) } else { (None, 0) };
            let mut splice = Splice::new(&text);
            splice.name(table, inside, &names(&["n", "o\"o"]), &names(&["# why"])).unwrap();
            if more {
                splice.append_tables("[[table]]\nname = \"new\"\n").unwrap();
            }
            let done = splice.clone().done();
            let mut rest = done.bytes();
            prop_assert!(text.bytes().all(|byte| rest.any(|other| other == byte)));
            prop_assert!(!done.replace("\r\n", "").contains('\n') || !text.contains("\r\n"));
            for other in 0..count {
                let (before, mut after) = (skipped(&text, other), skipped(&done, other));
                if other == table {
                    let kept = after[which].len() - 2;
                    prop_assert_eq!(&after[which][kept..], ["n", "o\"o"]);
                    after[which].truncate(kept);
                }
                prop_assert_eq!(before, after);
            }
        }
    }
}
