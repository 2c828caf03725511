//! SQL in the house can be read: it is as wide as code, and says by names what is put in.

use std::path::Path;

use super::page::root;
use super::tidy::sources;

/// As wide as the rest of the code.
const WIDTH_MAX: usize = 100;

/// What no sentence for people has, and nearly every statement or piece of one.
const SQL: [&str; 7] = [
    "select ",
    "select\n",
    "insert into ",
    "delete from ",
    " join ",
    "exists (",
    "group by ",
];

/// Files in which something only looks like SQL.
const OTHERS: [&str; 2] = [
    // The words that a name may not be.
    "src/catalog/remedy.rs",
    // A file of settings.
    "src/init/written.rs",
];

/// Rooms in which every text that is put together is SQL, however short.
const ALL_SQL: [&str; 1] = ["src/plan"];

/// What only quotes, and has nothing to name.
const QUOTING: [&str; 2] = ["src/plan/quote.rs", "src/plan/row_by_row.rs"];

/// A string of the source: where it begins and ends, behind the quotation marks.
struct Text<'s> {
    start: usize,
    end: usize,
    /// What stands before it.
    before: &'s str,
    text: &'s str,
}

impl Text<'_> {
    /// Whether values are put into it.
    fn is_format(&self) -> bool {
        let before = self.before.trim_end();
        ["format!(", "write!(", "writeln!("]
            .iter()
            .any(|name| before.ends_with(name))
    }

    /// Whether a value has no name.
    fn has_positions(&self) -> bool {
        let plain = self.text.replace("{{", "").replace("}}", "");
        let mut places = plain.split('{').skip(1);
        places.any(|place| {
            place.starts_with(|sign: char| sign == '}' || sign == ':' || sign.is_ascii_digit())
        })
    }
}

/// All strings of a source, without its tests and remarks.
fn texts(source: &str) -> Vec<Text<'_>> {
    let code = &source[..source.find("#[cfg(test)]").unwrap_or(source.len())];
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(rest) = code.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some(length) = letter(rest) {
            at += length;
        } else if let Some((open, close)) = opened(code, at) {
            let start = at + open;
            let end = start + length_of(&code[start..], &close);
            found.push(Text {
                start,
                end,
                before: &code[..at],
                text: &code[start..end],
            });
            at = end + close.len();
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    found
}

/// How long a literal of one letter is, which may be a quotation mark.
fn letter(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let mut letters = inside.char_indices();
    let (_, first) = letters.next()?;
    if first == '\\' {
        letters.next();
    }
    let (end, close) = letters.next()?;
    (close == '\'').then_some(end + 2)
}

/// The length of what opens a string here, and what closes it.
fn opened(code: &str, at: usize) -> Option<(usize, String)> {
    let rest = &code[at..];
    if rest.starts_with('"') {
        return Some((1, "\"".to_owned()));
    }
    let follows_name =
        code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
    let raw = rest.strip_prefix('r').filter(|_| !follows_name)?;
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    raw[hashes..]
        .starts_with('"')
        .then(|| (hashes + 2, format!("\"{}", "#".repeat(hashes))))
}

fn length_of(inside: &str, close: &str) -> usize {
    if close.len() > 1 {
        return inside.find(close).unwrap();
    }
    let mut escaped = false;
    inside
        .char_indices()
        .find(|(_, sign)| {
            let ends = *sign == '"' && !escaped;
            escaped = *sign == '\\' && !escaped;
            ends
        })
        .unwrap()
        .0
}

fn is_sql(text: &str) -> bool {
    SQL.iter().any(|word| text.contains(word))
}

/// Each source by its path in the house.
fn by_path() -> impl Iterator<Item = (String, String)> {
    let name = |path: &Path| {
        let inside = path.strip_prefix(root()).unwrap();
        inside.to_string_lossy().replace('\\', "/")
    };
    let all = sources().into_iter();
    all.map(move |(path, text)| (name(&path), text))
        .filter(|(name, _)| !OTHERS.contains(&name.as_str()))
}

#[test]
fn no_line_of_sql_is_wider_than_code() {
    let mut wrong = Vec::new();
    for (path, source) in by_path() {
        for text in texts(&source).iter().filter(|text| is_sql(text.text)) {
            let from = source[..text.start].rfind('\n').map_or(0, |at| at + 1);
            let to = source[text.end..]
                .find('\n')
                .map_or(source.len(), |at| text.end + at);
            let first = source[..from].matches('\n').count() + 1;
            for (nth, line) in source[from..to].lines().enumerate() {
                let width = line.chars().count();
                if width > WIDTH_MAX {
                    wrong.push(format!("{path}:{}: {width} columns", first + nth));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a clause or a CTE a line, at most {WIDTH_MAX} columns:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn what_is_put_into_sql_has_a_name() {
    let mut wrong = Vec::new();
    for (path, source) in by_path() {
        let all =
            ALL_SQL.iter().any(|room| path.starts_with(room)) && !QUOTING.contains(&path.as_str());
        for text in texts(&source) {
            if (all || is_sql(text.text)) && text.is_format() && text.has_positions() {
                let line = source[..text.start].matches('\n').count() + 1;
                wrong.push(format!("{path}:{line}: {}", text.text));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{{name}} instead of {{}}:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn strings_are_found_in_a_source() {
    let source = "let a = 'x'; // \"no\"\nformat!(\"b \\\"{}\\\"\", '\"'); r#\"c \"d\" {name}\"# '\\'' \"e\"";
    let found = texts(source);
    let seen: Vec<_> = found
        .iter()
        .map(|text| (text.text, text.is_format(), text.has_positions()))
        .collect();
    assert_eq!(
        seen,
        [
            ("b \\\"{}\\\"", true, true),
            ("c \"d\" {name}", false, false),
            ("e", false, false)
        ]
    );
}
