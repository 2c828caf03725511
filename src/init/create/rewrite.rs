//! Names in definitions that have another schema, or another name, in the cloud.

use std::collections::BTreeMap;

use crate::model::Name;
use crate::plan::quote;

/// The text with these names in the place of others. Only names that stand behind their schema are looked at, as the server
/// writes all that aren't its own; strings stay as they are.
pub(super) fn rewritten(text: &str, renamed: &BTreeMap<Name, Name>) -> String {
    if renamed.is_empty() {
        return text.to_owned();
    }
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let length = token(rest);
        let (first, behind) = rest.split_at(length);
        let second = behind
            .strip_prefix('.')
            .map(|behind| (behind, part(behind)));
        let name = word(first)
            .zip(second)
            .and_then(|(schema, (behind, length))| {
                let relation =
                    word(&behind[..length]).unwrap_or_else(|| behind[..length].to_owned());
                let found = renamed.get(&Name { schema, relation })?;
                Some((found, &behind[..length], &behind[length..]))
            });
        match name {
            Some((to, written, after)) => {
                made.push_str(&quote::ident(&to.schema));
                made.push('.');
                match word(written) {
                    Some(_) => made.push_str(&quote::ident(&to.relation)),
                    None => made.push_str(&to.relation),
                }
                rest = after;
            }
            None => {
                made.push_str(first);
                rest = behind;
            }
        }
    }
    made
}

/// The bytes of what stands first: a string, a name, or one character.
fn token(text: &str) -> usize {
    let mut letters = text.chars();
    match letters.next() {
        Some('\'') => string(text, false),
        Some('E' | 'e') if text[1..].starts_with('\'') => 1 + string(&text[1..], true),
        Some('"') => string(text, false),
        Some(letter) if starts_name(letter) => name(text),
        Some(letter) => letter.len_utf8(),
        None => 0,
    }
}

/// What stands behind a schema's dot: a name, or an operator up to its bracket.
fn part(text: &str) -> usize {
    match text.chars().next() {
        Some('"') => string(text, false),
        Some(letter) if starts_name(letter) => name(text),
        Some(_) => text.find(')').unwrap_or(text.len()),
        None => 0,
    }
}

fn starts_name(letter: char) -> bool {
    letter.is_alphabetic() || letter == '_' || !letter.is_ascii()
}

fn name(text: &str) -> usize {
    let goes_on = |letter: char| starts_name(letter) || letter.is_ascii_digit() || letter == '$';
    text.find(|letter| !goes_on(letter)).unwrap_or(text.len())
}

/// The bytes of something in quotes, which stand doubled inside.
fn string(text: &str, escapes: bool) -> usize {
    let quote = text.as_bytes()[0];
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            found if found == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            found if found == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// A name as the catalog has it.
fn word(written: &str) -> Option<String> {
    match written.strip_prefix('"') {
        Some(inside) => Some(inside.strip_suffix('"')?.replace("\"\"", "\"")),
        None if written.chars().next().is_some_and(starts_name) => Some(written.to_owned()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_move_and_strings_stay() {
        let name = |schema: &str, relation: &str| Name {
            schema: schema.to_owned(),
            relation: relation.to_owned(),
        };
        let renamed = BTreeMap::from([
            (name("public", "citext"), name("extensions", "citext")),
            (name("public", "="), name("extensions", "=")),
            (name("My Schema", "f\"x"), name("extensions", "f\"x")),
            (name("public", "old"), name("app", "New")),
        ]);
        for (text, wanted) in [
            ("public.citext(10)[]", "\"extensions\".\"citext\"(10)[]"),
            (
                "(a OPERATOR(public.=) 'public.citext'::public.citext)",
                "(a OPERATOR(\"extensions\".=) 'public.citext'::\"extensions\".\"citext\")",
            ),
            (
                "\"My Schema\".\"f\"\"x\"(E'it\\'s public.old', \"public.old\")",
                "\"extensions\".\"f\"\"x\"(E'it\\'s public.old', \"public.old\")",
            ),
            (
                "REFERENCES public.old(id) + public.older(1.5)",
                "REFERENCES \"app\".\"New\"(id) + public.older(1.5)",
            ),
            ("größe.citext 'it''s' || x", "größe.citext 'it''s' || x"),
            ("'open public.old", "'open public.old"),
        ] {
            assert_eq!(rewritten(text, &renamed), wanted);
        }
    }
}
