//! Which columns an SQL expression mentions, and which names stand in the text of a statement or a function.

use std::collections::BTreeSet;

/// The columns, by number, whose names stand in the expression outside of string constants. A name that means
/// something else there is no harm: the column then arrives and isn't used.
pub(super) fn mentions<'a>(sql: &str, columns: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let words = words(sql);
    columns
        .enumerate()
        .filter(|(_, name)| words.iter().any(|word| word == name))
        .map(|(at, _)| at)
        .collect()
}

/// The names in the text of a statement or a function, also inside of its strings: there stands what it builds and runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Mentioned {
    /// All of them.
    pub(super) all: BTreeSet<String>,
    /// Those that stand somewhere else than where a statement names what it writes.
    pub(super) read: BTreeSet<String>,
    /// Those that stand where a statement names what it writes.
    pub(super) written: BTreeSet<String>,
}

/// Names have at most so many bytes; a quote without another one within them is none.
const NAME_MAX: usize = 63;

impl Mentioned {
    /// Adds the names of one more text. Rather one too many than one too few: a word that names no table is no harm.
    pub(super) fn add(&mut self, text: &str) {
        let (mut before, mut last) = (String::new(), String::new());
        let (mut target, mut dotted) = (false, false);
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (word, length) = match first {
                '"' => name(rest),
                letter if letter.is_alphabetic() || letter == '_' => {
                    let length = rest
                        .find(|next: char| !(next.is_alphanumeric() || next == '_'))
                        .unwrap_or(rest.len());
                    (Some(rest[..length].to_lowercase()), length)
                }
                other => (None, other.len_utf8()),
            };
            rest = &rest[length..];
            let Some(word) = word else {
                if first == '.' && dotted {
                    target = true;
                }
                if !first.is_whitespace() {
                    (before, last, dotted) = (String::new(), String::new(), false);
                }
                continue;
            };
            let is_bare = first != '"';
            self.all.insert(word.clone());
            if target && is_bare && matches!(word.as_str(), "only" | "table" | "concurrently") {
                continue;
            }
            dotted = std::mem::take(&mut target);
            if dotted {
                self.written.insert(word.clone());
            } else {
                self.read.insert(word.clone());
                target = is_bare && names_target(&before, &last, &word);
            }
            before = std::mem::replace(&mut last, word);
        }
    }
}

/// Whether what is written comes next.
fn names_target(before: &str, last: &str, word: &str) -> bool {
    match word {
        "into" => matches!(last, "insert" | "merge"),
        "from" => last == "delete",
        "view" => (before, last) == ("refresh", "materialized"),
        "update" => !matches!(last, "for" | "on" | "do" | "key" | "then"),
        "truncate" => true,
        _ => false,
    }
}

/// A name in quotes and its bytes, or a quote that is none.
fn name(rest: &str) -> (Option<String>, usize) {
    let (word, length) = quoted(rest, '"');
    match word.len() <= NAME_MAX && length > 2 && !word.contains('\n') {
        true => (Some(word), length),
        false => (None, 1),
    }
}

/// The identifiers of an expression: bare ones in lower case, quoted ones as they are.
fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '\'' => quoted(rest, '\'').1,
            '"' => {
                let (word, length) = quoted(rest, '"');
                words.push(word);
                length
            }
            '$' => dollar(rest),
            letter if letter.is_alphabetic() || letter == '_' => {
                let length = rest
                    .find(|next: char| !(next.is_alphanumeric() || next == '_' || next == '$'))
                    .unwrap_or(rest.len());
                words.push(rest[..length].to_lowercase());
                length
            }
            other => other.len_utf8(),
        };
        rest = &rest[skipped..];
    }
    words
}

/// What stands between quotes, and how many bytes that takes with them.
fn quoted(text: &str, quote: char) -> (String, usize) {
    let mut word = String::new();
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != quote {
            word.push(letter);
        } else if letters.next_if(|(_, next)| *next == quote).is_some() {
            word.push(quote);
        } else {
            return (word, at + quote.len_utf8());
        }
    }
    (word, text.len())
}

/// The bytes of `$tag$ ... $tag$`, or of a single dollar sign.
fn dollar(text: &str) -> usize {
    let Some(end) = text[1..].find('$') else {
        return 1;
    };
    let tag = &text[..end + 2];
    if !tag[1..tag.len() - 1]
        .chars()
        .all(|letter| letter.is_alphanumeric() || letter == '_')
    {
        return 1;
    }
    let body = &text[tag.len()..];
    body.find(tag)
        .map_or(text.len(), |at| tag.len() + at + tag.len())
}

#[cfg(test)]
mod tests {
    use super::{Mentioned, mentions};

    #[test]
    fn a_text_reads_what_stands_anywhere_but_where_it_names_what_it_writes() {
        let mut text = Mentioned::default();
        text.add(
            "delete from copy_a where x; insert into app.copy_b (c) select c from V_Jobs j join only app.\"My Job\" on true; \
             truncate table copy_c; refresh materialized view concurrently sums; update copy_d set a = (select 1 from copy_e for update); \
             perform refill_quietly('public.copy_f', $q$select * from v_tasks$q$) -- 5\" wide, don't\n; merge into copy_g using copy_a on true",
        );
        let read = |name: &str| text.read.contains(name);
        for name in ["v_jobs", "My Job", "copy_e", "copy_f", "v_tasks", "copy_a"] {
            assert!(read(name), "{name} is read: {:?}", text.read);
        }
        for name in ["copy_b", "copy_c", "sums", "copy_d", "copy_g"] {
            assert!(
                !read(name) && text.written.contains(name),
                "{name} is only written: {:?}",
                text.read
            );
        }
        assert!(text.written.contains("copy_a") && text.all.contains("app"));
    }

    #[test]
    fn columns_are_found_by_name_outside_of_strings() {
        let columns = ["date", "timefrom", "Odd \"name\"", "left", "größe"];
        let found = |sql: &str| mentions(sql, columns.into_iter());
        assert_eq!(found("date + timefrom"), [0, 1]);
        assert_eq!(found("DATE"), [0]);
        assert_eq!(
            found("'date' || $$timefrom$$ || $x$ date $x$"),
            [] as [usize; 0]
        );
        assert_eq!(found("upper(\"Odd \"\"name\"\"\")"), [2]);
        assert_eq!(found("left(größe, 15)"), [3, 4]);
        assert_eq!(found("'it''s' || date || E'\\''"), [0]);
        assert_eq!(found("\"Date\" || dates || $1"), [] as [usize; 0]);
    }
}
