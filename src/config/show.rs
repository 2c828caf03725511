//! What `config show` prints: every setting, its value and where it came from.

/// One setting as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `forward.slot`, `table.visits.flow`.
    pub key: String,
    /// The value in the file's words, on one line; empty when there is none. Secrets are `***`.
    pub value: String,
    /// `default`, `file tandem.toml:12`, `environment TANDEM_FORWARD_SLOT` or `flag`; a password may also come from
    /// `password_file …`, `url` or `password file …`.
    pub from: String,
    /// The environment variable that sets it; none for lists and for `[[table]]`.
    pub variable: Option<String>,
}

/// A value on one line, without characters that a terminal would obey.
pub(super) fn line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A text as the file would write it, so that it is read as it is: without escapes where it goes.
pub fn as_text(text: &str) -> String {
    // A name of the environment would be looked up.
    let text = text.replace("${", "$${");
    let plain = !text.contains('\'') && !text.contains(char::is_control);
    match plain && text.contains(['"', '\\']) {
        true => format!("'{text}'"),
        false => quoted(&text),
    }
}

/// A key as the file would write it, or a text in which names of the environment are looked up: in quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            control if control.is_control() => {
                out.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// A list as the file would write it.
pub(super) fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

/// A table as the file would write it.
pub(super) fn pairs(pairs: &[(String, String)]) -> String {
    if pairs.is_empty() {
        return "{}".to_owned();
    }
    let written: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{} = {}", bare_or_quoted(key), quoted(value)))
        .collect();
    format!("{{ {} }}", written.join(", "))
}

/// A key as TOML takes it: only plain letters go without quotes.
fn bare_or_quoted(key: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    match !key.is_empty() && key.chars().all(plain) {
        true => key.to_owned(),
        false => quoted(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_it_was() {
        for (text, written) in [
            ("jobs", r#""jobs""#),
            ("\"a.b\"", r#"'"a.b"'"#),
            ("it's \"a\"", r#""it's \"a\"""#),
            ("a\nb", r#""a\u000Ab""#),
            ("${A}", r#""$${A}""#),
            ("c:\\x", r"'c:\x'"),
        ] {
            assert_eq!(as_text(text), written);
        }
        assert_eq!(quoted("${A}\u{7f}"), r#""${A}\u007F""#);
    }

    #[test]
    fn compounds_are_written_as_in_the_file() {
        assert_eq!(list(&["a".into(), "b\"c".into()]), r#"["a", "b\"c"]"#);
        assert_eq!(pairs(&[("a".into(), "b".into())]), r#"{ a = "b" }"#);
        assert_eq!((list(&[]), pairs(&[])), ("[]".into(), "{}".into()));
        assert_eq!(line("a\nb\u{1b}[1m"), "a b [1m");
    }
}
