//! The settings file as a tree in which every key and value knows its place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::problem::{Excerpt, Problem};
use super::secret;

/// The longest part of a line that is quoted, in characters.
const EXCERPT_MAX: usize = 160;

/// A key of the tree.
pub(super) type Key<'d> = Spanned<DeString<'d>>;
/// A value of the tree.
pub(super) type Value<'d> = Spanned<DeValue<'d>>;

/// A settings file that was read.
pub(super) struct Document<'d> {
    name: String,
    text: &'d str,
    secrets: Vec<Range<usize>>,
    /// Everything in it that could be read.
    pub(super) root: DeTable<'d>,
    /// Where TOML itself first broke; what is said about later places can't be believed.
    pub(super) broken_from: Option<usize>,
}

impl<'d> Document<'d> {
    /// Reads `text`; `name` is the file's name in messages. What isn't TOML is returned as problems.
    pub(super) fn parse(name: String, text: &'d str) -> (Self, Vec<Problem>) {
        let (root, mut errors) = DeTable::parse_recoverable(text);
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        let secrets = secret::ranges(text);
        let mut document = Self {
            name,
            text,
            secrets,
            root: root.into_inner(),
            broken_from: None,
        };
        let mut problems = Vec::new();
        let mut last_line = 0;
        for error in errors {
            let span = error.span().unwrap_or_default();
            if error.message() == "duplicate key" {
                problems.push(
                    document
                        .problem(&span, "this key stands here a second time")
                        .label("duplicate"),
                );
                continue;
            }
            document.broken_from = Some(
                document
                    .broken_from
                    .map_or(span.start, |first| first.min(span.start)),
            );
            let problem = document.problem(&span, format!("this isn't TOML: {}", error.message()));
            let problem = match error.message().contains("unquoted key") {
                true => problem.hint("a name with other letters than a to z, digits, _ and - stands in quotes: \"stra\u{df}e\""),
                false => problem,
            };
            if problem.line != last_line {
                last_line = problem.line;
                problems.push(problem);
            }
        }
        (document, problems)
    }

    /// The file's name in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The characters of a place.
    pub(super) fn slice(&self, place: &Range<usize>) -> &'d str {
        self.text.get(place.clone()).unwrap_or_default()
    }

    /// The line of an offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.text
            .get(..offset)
            .unwrap_or(self.text)
            .matches('\n')
            .count()
            + 1
    }

    /// A problem with a place; the excerpt hides what may be a secret.
    pub(super) fn problem(&self, place: &Range<usize>, message: impl Into<String>) -> Problem {
        let start = place.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let excerpt = self.excerpt(line_start, start..place.end.max(start));
        Problem::new(message).at(&self.name, self.line(start), column, excerpt)
    }

    /// The line that starts at `line_start`, and where `marked` is in what is shown of it.
    fn excerpt(&self, line_start: usize, marked: Range<usize>) -> Excerpt {
        let rest = self.text.get(line_start..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default().trim_end();
        let mut shown = String::new();
        let (mut length, mut start, mut end) = (0, None, 0);
        let mut hidden = false;
        for (offset, c) in line.char_indices().map(|(at, c)| (line_start + at, c)) {
            if offset >= marked.start {
                start.get_or_insert(length);
            }
            let secret = self.secrets.iter().any(|range| range.contains(&offset));
            let piece = match (secret, hidden) {
                (true, true) => String::new(),
                (true, false) => "***".to_owned(),
                _ if c.is_control() => " ".to_owned(),
                _ => c.to_string(),
            };
            hidden = secret;
            length += piece.chars().count();
            shown.push_str(&piece);
            if offset < marked.end {
                end = length;
            }
        }
        let start = start.unwrap_or(length).min(EXCERPT_MAX);
        let width = end.min(EXCERPT_MAX).saturating_sub(start).max(1);
        Excerpt {
            text: shown.chars().take(EXCERPT_MAX).collect(),
            start,
            width,
            label: String::new(),
        }
    }
}

/// A table's entries in the order of the file.
pub(super) fn entries<'t, 'd>(table: &'t DeTable<'d>) -> Vec<(&'t Key<'d>, &'t Value<'d>)> {
    let mut all: Vec<_> = table.iter().collect();
    all.sort_by_key(|(key, _)| key.span().start);
    all
}

/// What a value is, in words.
pub(super) fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_break_is_reported_with_its_place() {
        let text = "a = 1\nb = \n[x]\nc = 2\nc = 3\nd 4\n";
        let (document, problems) = Document::parse("t.toml".into(), text);
        let places: Vec<_> = problems.iter().map(|p| (p.line, p.column)).collect();
        assert_eq!(places, [(2, 5), (5, 1), (6, 3)], "{problems:#?}");
        assert_eq!(document.broken_from, Some(10));
    }

    #[test]
    fn columns_count_characters_and_secrets_are_hidden() {
        let text = "[log]\n\"ä\" = 1\n[cloud]\nurl = \"postgres://a:canary@h/d\"  x\n";
        let (document, problems) = Document::parse("t.toml".into(), text);
        let place = document.problem(&(13..14), "m").to_string();
        assert!(
            place.contains("t.toml:2:7\n") && place.contains("| \"ä\" = 1\n    |       ^"),
            "{place}"
        );
        let all = problems.iter().map(ToString::to_string).collect::<String>();
        assert!(
            all.contains("postgres://***@h/d\"") && !all.contains("canary"),
            "{all}"
        );
    }
}
