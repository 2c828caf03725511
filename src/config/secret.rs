//! A value that can be used but not shown, and the search for secrets in text that is about to be shown.

use std::fmt;
use std::ops::Range;

/// A password. It has no `Display`, and its `Debug` prints `***`; only [`Secret::expose`] gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text as it is, without trimming.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The password itself, for the authentication exchange only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a key is called when its value is nobody's business, also when it is mistyped.
const TELLING: [&str; 5] = ["pass", "pasw", "pwd", "secret", "token"];

/// The sections that have no secrets. Everywhere else, also under a mistyped head, values are hidden.
const OPEN_SECTIONS: [&str; 10] = [
    "tenant",
    "owner",
    "forward",
    "reverse",
    "refill",
    "heartbeat",
    "verify",
    "listen",
    "log",
    "table",
];

/// The keys outside those sections whose values may be seen.
const OPEN_KEYS: [&str; 13] = [
    "replicator",
    "encoding",
    "time_zone",
    "statement_timeout",
    "password_file",
    "after",
    "lag",
    "repeat",
    "daily",
    "port",
    "tls",
    "format",
    "ca",
];

/// The byte ranges of a settings file that may hold a secret. It doesn't need valid TOML, and rather hides too much.
pub(super) fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut open = false;
    for line in text.split_inclusive('\n') {
        let end = start + line.trim_end().len();
        let visible = text.get(start..end).unwrap_or_default();
        if let Some(head) = visible.trim_start().strip_prefix('[') {
            open = is_open(head);
            let rest = visible.find(']').map_or(start, |at| start + at + 1);
            found.extend((!open).then_some(rest..end));
        } else {
            let hidden = if open {
                in_open_section(visible)
            } else {
                in_closed_section(visible)
            };
            if let Some((from, whole)) = hidden {
                let until = if whole {
                    value_end(text, start + from.start, end)
                } else {
                    start + from.end
                };
                found.push(start + from.start..until);
            }
            let parameter = after_password(visible).filter(|_| !open);
            found.extend(parameter.map(|from| start + from..end));
            let behind = behind_url(visible).filter(|_| !open);
            found.extend(behind.map(|from| start + from..end));
            let query = visible
                .find("://")
                .and_then(|at| Some(at + visible.get(at..)?.find('?')?));
            found.extend(query.filter(|_| !open).map(|at| start + at + 1..end));
        }
        start += line.len();
    }
    found
}

/// Whether a head, without its first bracket, opens a section that has no secrets.
fn is_open(head: &str) -> bool {
    let name = head.trim_start_matches(['[', ' ']);
    let name = name.split([']', '.', ' ']).next().unwrap_or_default();
    OPEN_SECTIONS.contains(&name)
}

/// What is hidden of a line where secrets don't belong but may stand, and whether it is a value to its end.
fn in_open_section(line: &str) -> Option<(Range<usize>, bool)> {
    let value = after_password(line).or_else(|| after_telling_key(line));
    value
        .map(|from| (from..line.len(), true))
        .or_else(|| url_credentials(line).map(|inner| (inner, false)))
}

/// What is hidden of a line where secrets belong, and whether it is a value to its end.
fn in_closed_section(line: &str) -> Option<(Range<usize>, bool)> {
    let (key, value) = line.split_once('=').unwrap_or((line, ""));
    let (key, value) = (key.trim(), value.trim_start());
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    if !line.contains('=') || !key.chars().all(bare) {
        return Some((0..line.len(), false));
    }
    if OPEN_KEYS.contains(&key) {
        return None;
    }
    let is_url = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| value.trim_start_matches(['"', '\'']).starts_with(scheme));
    if key == "url" && is_url {
        return url_credentials(line).map(|inner| (inner, false));
    }
    Some((line.len() - value.len()..line.len(), true))
}

/// What stands behind a URL in its line, but for a comment: where a line break is lost, it is the next line's secret.
fn behind_url(line: &str) -> Option<usize> {
    let start = line.find("://")?;
    let end = start + line.get(start..)?.find(['"', '\'', ' ', '\t'])?;
    let quote = line.get(end..)?.chars().next()?.len_utf8();
    let behind = line.get(end + quote..)?.trim_start();
    (!behind.is_empty() && !behind.starts_with('#')).then_some(end + quote)
}

/// Where the value after a `password` in this line begins, also inside an inline table or a URL's parameters.
fn after_password(line: &str) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    lower.match_indices("password").find_map(|(at, word)| {
        let from = at + word.len();
        let rest = line.get(from..)?;
        let sign = rest.trim_start_matches(['"', '\'', ' ', '\t']);
        let skipped = rest.len() - sign.len();
        let assigned = sign.starts_with(['=', ':']);
        let value = sign
            .strip_prefix(['=', ':'])
            .unwrap_or(sign)
            .trim_start_matches(' ');
        (assigned || (at == 0 && skipped > 0)).then_some(line.len() - value.len())
    })
}

/// The value of a line whose key sounds like a secret, such as `pasword`; all after the key when there is no `=`.
fn after_telling_key(line: &str) -> Option<usize> {
    let equals = line.find('=');
    let key = line
        .get(..equals.unwrap_or(line.len()))?
        .to_ascii_lowercase();
    if key.trim_end().ends_with("_file") || key.contains(['[', '#']) {
        return None;
    }
    let said = TELLING
        .iter()
        .find_map(|word| key.find(word).map(|at| at + word.len()))?;
    Some(equals.map_or(said, |at| at + 1))
}

/// The end of a secret value that starts at `from`: its line's end, or where an open quotation ends, if ever.
fn value_end(text: &str, from: usize, line_end: usize) -> usize {
    let value = text.get(from..).unwrap_or_default();
    let body = value.trim_start_matches([' ', '\t']);
    let at = from + value.len() - body.len();
    for triple in ["\"\"\"", "'''"] {
        if body.starts_with(triple) {
            let close = body.get(3..).and_then(|inside| inside.find(triple));
            return close.map_or(text.len(), |close| (at + close + 6).max(line_end));
        }
    }
    let Some(quote) = body.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return line_end.max(from);
    };
    let rest_of_line = text.get(at + 1..line_end).unwrap_or_default();
    if rest_of_line.contains(quote) {
        line_end
    } else {
        text.len()
    }
}

/// User and password of the first URL in a line; all of it from a colon on that no port follows.
fn url_credentials(line: &str) -> Option<Range<usize>> {
    let start = line.find("://")? + 3;
    let rest = line.get(start..)?;
    if let Some(at) = rest.rfind('@') {
        return Some(start..start + at);
    }
    let open = if rest.starts_with('[') {
        rest.find(']')?
    } else {
        0
    };
    let colon = open + rest.get(open..)?.find(':')? + 1;
    let port = rest.get(colon..)?;
    let digits = port.chars().take_while(char::is_ascii_digit).count();
    let ends = port
        .get(digits..)?
        .chars()
        .next()
        .is_none_or(|c| matches!(c, '/' | '?' | '"' | '\''));
    (!ends).then_some(start + colon..line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let hidden = ranges(text);
        let keep = |i: usize| !hidden.iter().any(|r| r.contains(&i));
        text.char_indices()
            .filter(|(i, _)| keep(*i))
            .map(|(_, c)| c)
            .collect()
    }

    #[test]
    fn debug_is_stars() {
        assert_eq!(format!("{:?}", Some(Secret::new("canary"))), "Some(***)");
    }

    #[test]
    fn secrets_are_found_in_broken_text_too() {
        for text in [
            "password = \"canary\"",
            "password = canary",
            "password: canary",
            "password canary",
            "\"password\" = 'canary'",
            "pasword = \"canary\"",
            "passwd = \"canary\"",
            "desktop = { user = 1, password = \"canary\" }",
            "password = \"\"\"\ncanary\n\"\"\"",
            "password = \"x\ncanary\"\n",
            "url = \"postgres://u:canary@host/db\"",
            "url = \"postgres://u:ca/n@canary@host/db\"",
            "url = \"postgres://u:canary",
            "url = \"postgres://h/db?password=canary\"",
            "url = \"postgres://h/db?user=a&password=canary&x=y\"",
        ] {
            assert!(!shown(text).contains("canary"), "{text} -> {}", shown(text));
        }
    }

    #[test]
    fn a_mistyped_head_or_key_hides_too() {
        for text in [
            "[desktp]\ngeheim = \"canary\"",
            "[desktop\npas/word = \"canary\"",
            "[desktop]\nurl = \"postgres:/u:canary@h\"",
            "[cloud]\nurl = \"postgres://h/d?p asword=canary\"",
            "[cloud]\nx canary",
            "canary",
            "[forward]\npwd = \"canary\"",
            "[log]\nurl = \"postgres://u:canary@h\"",
        ] {
            assert!(!shown(text).contains("canary"), "{text} -> {}", shown(text));
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "password_file = \"secret.txt\"",
            "url = \"postgres://localhost:5433/db\"",
            "url = \"postgres://[::1]:5433/db\"",
            "[forward]\nskip = [\"password_hash\"]",
            "[forward]\nbatch_rows = 5",
            "[[table]]\nset = { a = \"b\" }",
        ] {
            assert_eq!(shown(text), text);
        }
    }
}
