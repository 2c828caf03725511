//! A file of statements: each under its name, broken where a reader would break it, with what its parameters hold.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use tandem::model::{Param, Statement, oid};

/// What has been written of one file.
pub struct Page {
    name: String,
    text: String,
}

impl Page {
    pub fn new(name: &str, about: &str) -> Page {
        let text = format!("-- {about}\n");
        Page {
            name: format!("{name}.sql"),
            text,
        }
    }

    /// A statement as text.
    pub fn text(&mut self, title: &str, sql: &str) {
        let (laid, end) = (laid_out(sql), if sql.ends_with(';') { "" } else { ";" });
        self.text.push_str(&format!("\n-- {title}\n{laid}{end}\n"));
    }

    /// A predicate, or another part of a statement.
    pub fn part(&mut self, title: &str, sql: &str) {
        self.text
            .push_str(&format!("\n-- {title}\n{}\n", laid_out(sql)));
    }

    /// A statement with its parameters.
    pub fn statement(&mut self, title: &str, statement: &Statement) {
        self.text(title, &statement.sql);
        for (at, param) in statement.params.iter().enumerate() {
            self.text.push_str(&shown(at + 1, param, statement.is_lone));
        }
    }

    /// Several, one after the other.
    pub fn statements<'s>(
        &mut self,
        title: &str,
        statements: impl IntoIterator<Item = &'s Statement>,
    ) {
        let all: Vec<_> = statements.into_iter().collect();
        if all.is_empty() {
            self.text.push_str(&format!("\n-- {title}: nothing\n"));
        }
        for (at, statement) in all.iter().enumerate() {
            let nth = if all.len() == 1 {
                String::new()
            } else {
                format!(", {} of {}", at + 1, all.len())
            };
            self.statement(&format!("{title}{nth}"), statement);
        }
    }
}

/// Compares all pages with the files that are kept, or writes these. A file that no page is of is of statements that are gone.
pub fn compare(pages: Vec<Page>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sql");
    let kept = fs::read_dir(&folder).into_iter().flatten();
    let mut kept: BTreeSet<_> = kept
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let blesses = std::env::var_os("TANDEM_TEST_BLESS").is_some();
    let mut wrong = Vec::new();
    for Page { name, text } in pages {
        kept.remove(&name);
        let file = folder.join(&name);
        if blesses {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&file, &text).unwrap();
            continue;
        }
        let old = fs::read_to_string(&file).unwrap_or_default();
        if old != text {
            let mut lines = old.lines().zip(text.lines()).enumerate();
            let differ = lines.find(|(_, (kept, now))| kept != now);
            wrong.push(format!("tests/sql/{name}: {} lines are kept, {} are made; the first that differs: {differ:#?}", old.lines().count(), text.lines().count()));
        }
    }
    for name in kept {
        match blesses {
            true => fs::remove_file(folder.join(name)).unwrap(),
            false => wrong.push(format!("tests/sql/{name} is of nothing that is made")),
        }
    }
    assert!(
        wrong.is_empty(),
        "\n{}\nTANDEM_TEST_BLESS=1 writes them anew\n",
        wrong.join("\n")
    );
}

/// A parameter on lines of remarks.
fn shown(number: usize, param: &Param, is_lone: bool) -> String {
    let Some(value) = &param.value else {
        return format!("--   ${number}: null\n");
    };
    if param.binary && param.type_oid == oid::TEXT {
        return format!("--   ${number}: {}\n", String::from_utf8_lossy(value));
    }
    if param.binary && is_lone {
        let (of, value) = (param.type_oid, hex(value));
        return format!("--   ${number}: of type {of} {value}\n");
    }
    if param.binary {
        return format!("--   ${number}: {}\n", array(param, value));
    }
    let text = std::str::from_utf8(value).unwrap();
    let Ok(serde_json::Value::Array(parts)) = serde_json::from_str(text) else {
        return remark(&format!("${number}: "), text);
    };
    let mut lines = String::new();
    for (at, part) in parts.iter().enumerate() {
        for (name, value) in part.as_object().into_iter().flatten() {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            lines.push_str(&remark(&format!("${number}[{at}].{name}: "), &value));
        }
    }
    lines
}

fn remark(lead: &str, value: &str) -> String {
    let laid = laid_out(value);
    let mut lines = laid.lines();
    let first = format!("--   {lead}{}\n", lines.next().unwrap_or_default());
    lines.fold(first, |text, line| text + &format!("--     {line}\n"))
}

/// An array as the wire has it: its elements, and their type where that isn't text.
fn array(param: &Param, mut value: &[u8]) -> String {
    let number = |from: &mut &[u8]| {
        let (head, rest) = from.split_at(4);
        *from = rest;
        i32::from_be_bytes(head.try_into().unwrap())
    };
    let (dimensions, _, of) = (number(&mut value), number(&mut value), number(&mut value));
    let is_text = param.type_oid == oid::TEXT_ARRAY;
    if dimensions == 0 {
        return "{}".to_owned();
    }
    let (count, _) = (number(&mut value), number(&mut value));
    let mut elements = Vec::new();
    for _ in 0..count.min(3) {
        let length = number(&mut value);
        let Ok(length) = usize::try_from(length) else {
            elements.push("null".to_owned());
            continue;
        };
        let (element, rest) = value.split_at(length);
        value = rest;
        elements.push(match is_text {
            true => String::from_utf8_lossy(element).into_owned(),
            false => hex(element),
        });
    }
    if count > 3 {
        elements.push(format!("... {count} in all"));
    }
    let lead = if is_text {
        String::new()
    } else {
        format!("of type {of} ")
    };
    format!("{lead}{{{}}}", elements.join(", "))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What begins a line of its own.
const BREAKS: [&str; 17] = [
    "select ",
    "from ",
    "join ",
    "left join ",
    "cross join ",
    "where ",
    "group by ",
    "order by ",
    "union all ",
    "returning ",
    "set ",
    "values ",
    "on conflict ",
    "limit ",
    "insert into ",
    "update ",
    "delete from ",
];
/// What these words go on with does not.
const PAIRED: [&str; 8] = [
    "left", "cross", "delete", " do", " for", "distinct", "conflict", "or",
];
/// What a query in parentheses begins with.
const QUERIES: [&str; 5] = [
    "select ",
    "with ",
    "insert into ",
    "update ",
    "delete from ",
];
const SHORT: usize = 60;
/// What does in a long line.
const SOFT_BREAKS: [&str; 4] = ["and ", "or ", "when ", "else "];
/// Stands where the statement itself ends a line, which keeps a remark in a conversion from hiding what follows.
const LINE_ENDS: &str = " /* the line ends */";
const LONG: usize = 70;
const VERY_LONG: usize = 110;

/// Breaks a statement at fixed places: before clauses, behind a parenthesis that opens a query, before a CTE; in long lines before
/// `and`, and in very long ones behind a comma. Not a sign is changed beside these blanks.
fn laid_out(sql: &str) -> String {
    let sql = on_one_line(sql);
    let sql = sql.as_str();
    let (mut text, mut depth, mut length) = (String::new(), 0_usize, 0);
    // Inside a short query, up to this depth, nothing is broken.
    let mut short = None;
    let mut rest = sql;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        let begins = |words: &[&str]| words.iter().any(|word| rest.starts_with(word));
        let continues = || PAIRED.iter().any(|word| text.ends_with(word));
        let comma = text.ends_with(',');
        let breaks = match letter {
            '\n' => true,
            _ if short.is_some() => false,
            ' ' => {
                begins(&BREAKS) && !continues()
                    || length > LONG && begins(&SOFT_BREAKS)
                    || comma && (length > VERY_LONG || is_cte(rest))
            }
            '(' if begins(&QUERIES) => {
                let is_short = up_to_close(rest) <= SHORT;
                short = is_short.then_some(depth);
                !is_short
            }
            _ => false,
        };
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '\n' => text.push_str(LINE_ENDS),
            _ => {}
        }
        if short.is_some_and(|outside| letter == ')' && depth <= outside) {
            short = None;
        }
        if !breaks || letter == '(' {
            text.push(letter);
            length += 1;
        }
        if breaks {
            text.push('\n');
            text.push_str(&"  ".repeat(depth));
            length = 2 * depth;
        }
    }
    assert_eq!(closed_up(&text), sql, "nothing but blanks is changed");
    text
}

/// Without the line breaks and indentation that a statement has in its source: whoever lays a statement out anew changes no file
/// here. A line that ends where the next one isn't indented was meant to end.
fn on_one_line(sql: &str) -> String {
    let mut lines = sql.split('\n');
    let mut text = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        let part = line.trim_start_matches(' ');
        if part.len() == line.len() {
            text.push('\n');
        } else if !text.ends_with(['(', '[']) && !part.starts_with([')', ']']) {
            text.push(' ');
        }
        text.push_str(part);
    }
    text
}

/// `name as (...)` behind a comma.
fn is_cte(rest: &str) -> bool {
    let name = rest.split(' ').next().unwrap_or_default();
    let after = rest[name.len()..].trim_start();
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && (after.starts_with("as (") || after.starts_with("as materialized ("))
}

/// How long it is until the parenthesis closes that has just been opened.
fn up_to_close(rest: &str) -> usize {
    let mut open = 1;
    let close = rest.bytes().position(|byte| {
        open += i32::from(byte == b'(') - i32::from(byte == b')');
        open == 0
    });
    close.unwrap_or(rest.len())
}

fn closed_up(text: &str) -> String {
    let mut lines = text.split('\n');
    let first = lines.next().unwrap_or_default().to_owned();
    lines
        .fold(first, |mut whole, line| {
            if !whole.ends_with('(') {
                whole.push(' ');
            }
            whole + line.trim_start_matches(' ')
        })
        .replace(&format!("{LINE_ENDS} "), "\n")
}

#[test]
fn a_statement_is_broken_where_a_reader_would() {
    let long = "x".repeat(SHORT);
    let sql = format!(
        "with a as (select {long} from b), c as (select 2 from d) select * from a, c where (x or y)"
    );
    let laid = format!(
        "with a as (\n  select {long}\n  from b),\nc as (select 2 from d)\nselect *\nfrom a, c\nwhere (x or y)"
    );
    assert_eq!(laid_out(&sql), laid);
    assert_eq!(
        laid_out(&laid.replace('\n', "\n  ")),
        laid,
        "however it is laid out where it is made"
    );
}
