//! The `.env` file beside the settings: `NAME=value` lines, quoted as in a shell, without expansion.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// What a `.env` file says.
#[derive(Default)]
pub(super) struct Dotenv {
    /// The values; of a name that stands there twice the last one, as in a shell.
    pub(super) values: BTreeMap<String, String>,
    /// The first line that could not be read and why, without its content. It matters only when a name is missed.
    pub(super) complaint: Option<String>,
}

impl Dotenv {
    /// Reads the text of a `.env` file. A line that isn't `NAME=value` is remembered and passed over.
    pub(super) fn parse(text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let mut read = Self::default();
        let mut rest = text.as_str();
        let mut line = 1;
        while !rest.is_empty() {
            let (entry, after) = entry(rest);
            match entry {
                Ok(Some((name, value))) => drop(read.values.insert(name, value)),
                Ok(None) => {}
                Err(why) => {
                    read.complaint.get_or_insert(format!(".env:{line}: {why}"));
                }
            }
            line += rest.matches('\n').count() - after.matches('\n').count();
            rest = after;
        }
        read
    }
}

type Entry = Result<Option<(String, String)>, &'static str>;

/// One entry at the start of `text`, and the text after it.
fn entry(text: &str) -> (Entry, &str) {
    let (line, next) = text.split_once('\n').unwrap_or((text, ""));
    let trimmed = line.trim_start();
    if trimmed.trim_end().is_empty() || trimmed.starts_with('#') {
        return (Ok(None), next);
    }
    let Some(equals) = line.find('=') else {
        return (Err("no = in it"), next);
    };
    let (before, after) = text.split_at(equals);
    let name = before.trim();
    let name = name
        .strip_prefix("export")
        .filter(|n| n.starts_with([' ', '\t']))
        .map_or(name, str::trim);
    if !is_name(name) {
        return (Err("what stands before the = isn't a name"), next);
    }
    let mut chars = after.chars();
    chars.next();
    let mut chars = chars
        .as_str()
        .trim_start_matches([' ', '\t'])
        .chars()
        .peekable();
    match value(&mut chars) {
        Ok(value) => {
            let consumed = text.len() - chars.map(char::len_utf8).sum::<usize>();
            (
                Ok(Some((name.to_owned(), value))),
                text.get(consumed..).unwrap_or_default(),
            )
        }
        Err(why) => (Err(why), next),
    }
}

/// A value up to the end of its line or its comment; a quotation may hold line breaks.
fn value(chars: &mut Peekable<Chars<'_>>) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut blanks = String::new();
    let mut started = false;
    while let Some(c) = chars.next() {
        match c {
            '\n' => break,
            ' ' | '\t' => blanks.push(c),
            '#' if !started || !blanks.is_empty() => {
                for _ in chars.by_ref().take_while(|c| *c != '\n') {}
                break;
            }
            other => {
                value.push_str(&blanks);
                blanks.clear();
                started = true;
                match other {
                    '\'' => single(chars, &mut value)?,
                    '"' => double(chars, &mut value)?,
                    plain => value.push(plain),
                }
            }
        }
    }
    Ok(value)
}

/// The rest of a single quotation: everything is itself.
fn single(chars: &mut Peekable<Chars<'_>>, value: &mut String) -> Result<(), &'static str> {
    for c in chars.by_ref() {
        if c == '\'' {
            return Ok(());
        }
        value.push(c);
    }
    Err("a ' isn't closed")
}

/// The rest of a double quotation: a backslash escapes `"`, `\`, `$` and a back-tick, and joins lines.
fn double(chars: &mut Peekable<Chars<'_>>, value: &mut String) -> Result<(), &'static str> {
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('"', _) => return Ok(()),
            ('\\', Some('"' | '\\' | '$' | '`')) => value.extend(chars.next()),
            ('\\', Some('\n')) => drop(chars.next()),
            (plain, _) => value.push(plain),
        }
    }
    Err("a \" isn't closed")
}

/// A name as the shell has them: letters, digits and underscores, not starting with a digit.
pub(super) fn is_name(text: &str) -> bool {
    let rest_fits = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    rest_fits && text.chars().next().is_some_and(|c| !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, value) in [
            ("A=b", "b"),
            ("A=b\n", "b"),
            ("\u{feff}A=b\r\nB=c\r\n", "b"),
            ("export A=b", "b"),
            ("export\tA=b", "b"),
            ("  A = b  ", "b"),
            ("A=", ""),
            ("A=\nB=c", ""),
            ("A='b c'", "b c"),
            ("A='$x \\n \"'", "$x \\n \""),
            ("A=\"b c\"", "b c"),
            (r#"A="a\"b\\c\$d\`e\nf""#, r#"a"b\c$d`e\nf"#),
            ("A=\"${B} $C\"", "${B} $C"),
            ("A='it'\"'\"'s'", "it's"),
            ("A=b # comment", "b"),
            ("A=b#c", "b#c"),
            ("A='b' # c", "b"),
            ("A=\"b # c\"", "b # c"),
            ("A=# nothing", ""),
            ("# A=x\n\nA=b", "b"),
            ("A=x\nA=b", "b"),
            ("A=b=c==", "b=c=="),
            ("A=b c", "b c"),
            ("A=C:\\dir", "C:\\dir"),
            ("A='x\ny'\nB=1", "x\ny"),
            ("A=\"x\\\ny\"", "xy"),
            ("A=ä'ö'", "äö"),
        ] {
            let read = Dotenv::parse(text);
            assert_eq!(
                read.values.get("A").map(String::as_str),
                Some(value),
                "{text:?}"
            );
            assert_eq!(read.complaint, None, "{text:?}");
        }
    }

    #[test]
    fn what_follows_is_read_too() {
        let read = Dotenv::parse("A='x\ny' # c\nB=\"1\"\r\nexport C=2#\n");
        let all: Vec<_> = read
            .values
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        assert_eq!(all, ["A=x\ny", "B=1", "C=2#"]);
    }

    #[test]
    fn a_bad_line_is_named_by_number_and_passed_over() {
        for (text, complaint) in [
            ("A=1\nnonsense\nB=2", ".env:2: no = in it"),
            (
                "A=1\n1X=canary\nB=2",
                ".env:2: what stands before the = isn't a name",
            ),
            ("A=1\n\nX='canary\nB=2", ".env:3: a ' isn't closed"),
            ("A=1\nX=\"canary\nB=2", ".env:2: a \" isn't closed"),
        ] {
            let read = Dotenv::parse(text);
            assert_eq!(read.complaint.as_deref(), Some(complaint));
            assert_eq!(
                read.values.get("B").map(String::as_str),
                Some("2"),
                "{text:?}"
            );
        }
    }
}
