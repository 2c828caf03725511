//! `${NAME}` in a string of the file: from the environment, else from `.env`.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::dotenv::{Dotenv, is_name};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where names are looked up.
pub(super) struct Names<'e> {
    pub(super) env: &'e BTreeMap<String, String>,
    pub(super) dotenv: Dotenv,
}

/// Why a string can't be expanded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Neither the environment nor `.env` has this name.
    Unset(String),
    /// `${` without a name and a closing brace.
    Malformed,
}

impl Names<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.env
            .get(name)
            .or_else(|| self.dotenv.values.get(name))
            .map(String::as_str)
    }

    /// Puts the values in. `$${` stays `${`, a lone `$` is itself, and what was put in isn't looked at again. In a
    /// URL the value is percent-encoded, except where it is the whole URL.
    ///
    /// Fails on the first name that isn't set or isn't a name.
    pub(super) fn expand(&self, text: &str, url: bool) -> Result<String, Failure> {
        let whole =
            text.matches("${").count() == 1 && text.starts_with("${") && text.ends_with('}');
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            if let Some(after) = from.strip_prefix("$${") {
                out.push_str("${");
                rest = after;
            } else if let Some(after) = from.strip_prefix("${") {
                let (name, after) = after.split_once('}').ok_or(Failure::Malformed)?;
                if !is_name(name) {
                    return Err(Failure::Malformed);
                }
                let value = self
                    .get(name)
                    .ok_or_else(|| Failure::Unset(name.to_owned()))?;
                if url && !whole {
                    out.extend(utf8_percent_encode(value, RESERVED))
                } else {
                    out.push_str(value)
                }
                rest = after;
            } else {
                out.push('$');
                rest = from.get(1..).unwrap_or_default();
            }
        }
        out.push_str(rest);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let env = BTreeMap::from([
            ("A".to_owned(), "a@b".to_owned()),
            ("E".to_owned(), String::new()),
        ]);
        let dotenv = Dotenv::parse("A=shadowed\nB='${A}'\nU=postgres://u:p@h/d");
        let names = Names { env: &env, dotenv };
        let unset = |name: &str| Err(Failure::Unset(name.to_owned()));
        for (text, url, expected) in [
            ("plain", false, Ok("plain".to_owned())),
            ("${A}", false, Ok("a@b".into())),
            ("x${A}y${A}", false, Ok("xa@bya@b".into())),
            ("x${A}", true, Ok("xa%40b".into())),
            ("${B}", false, Ok("${A}".into())),
            ("${E}", false, Ok(String::new())),
            ("$${A}", false, Ok("${A}".into())),
            ("$$${A}", false, Ok("$${A}".into())),
            ("$${A}${A}", false, Ok("${A}a@b".into())),
            ("$", false, Ok("$".into())),
            ("5$ $x $$", false, Ok("5$ $x $$".into())),
            ("${U}", true, Ok("postgres://u:p@h/d".into())),
            ("${N}", false, unset("N")),
            ("x${A}${N}", true, unset("N")),
            ("${A", false, Err(Failure::Malformed)),
            ("${}", false, Err(Failure::Malformed)),
            ("${A-x}", false, Err(Failure::Malformed)),
        ] {
            assert_eq!(names.expand(text, url), expected, "{text}");
        }
    }
}
