//! What is wrong with the settings, said so that a person can go to the place and mend it.

use std::fmt;

use super::show::line;
use crate::limits::NAMES_SHOWN as PLACES_SHOWN;
use crate::model::{alike, listed};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The settings file as the user would write it; none for a problem of the environment or of a flag.
    pub file: Option<String>,
    /// The line, from 1; 0 when the problem has no place in the file.
    pub line: usize,
    /// The column in characters, from 1; 0 when the problem has no place in the file.
    pub column: usize,
    /// What is wrong, in one line, without secrets.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    excerpt: Option<Excerpt>,
}

/// A line of the file, its secrets hidden, with the part that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// The line as it may be shown.
    pub(super) text: String,
    /// Characters before the part that is meant.
    pub(super) start: usize,
    /// Characters of the part that is meant, at least 1.
    pub(super) width: usize,
    /// A word on it, beside the carets.
    pub(super) label: String,
}

impl Problem {
    /// A problem without a place in the file.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            file: None,
            line: 0,
            column: 0,
            message: line(&message.into()),
            hint: None,
            excerpt: None,
        }
    }

    /// Gives it its place; `line` and `column` count from 1.
    pub(super) fn at(mut self, file: &str, line: usize, column: usize, excerpt: Excerpt) -> Self {
        self.file = Some(file.to_owned());
        (self.line, self.column, self.excerpt) = (line, column, Some(excerpt));
        self
    }

    /// Adds what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(line(&hint.into()));
        self
    }

    /// Adds what to do about it, where that is known.
    pub(super) fn hint_if(mut self, hint: Option<String>) -> Self {
        self.hint = hint.map(|hint| line(&hint)).or(self.hint);
        self
    }

    /// Adds a word beside the carets.
    pub(super) fn label(mut self, label: &str) -> Self {
        if let Some(excerpt) = &mut self.excerpt {
            label.clone_into(&mut excerpt.label);
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if let (Some(file), Some(excerpt)) = (&self.file, &self.excerpt) {
            let gutter = " ".repeat(self.line.to_string().len().max(2));
            write!(f, "\n{gutter} --> {file}:{}:{}\n", self.line, self.column)?;
            write!(
                f,
                " {gutter} |\n {:>2} | {}\n {gutter} | ",
                self.line, excerpt.text
            )?;
            write!(
                f,
                "{}{}",
                " ".repeat(excerpt.start),
                "^".repeat(excerpt.width)
            )?;
            if !excerpt.label.is_empty() {
                write!(f, " {}", excerpt.label)?;
            }
        }
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong: first what has a place in the file, in its order, then the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    items: Vec<Problem>,
}

impl Problems {
    /// Sorts the problems; two words on one place become one.
    pub(super) fn new(mut items: Vec<Problem>) -> Self {
        items.sort_by_key(|item| (item.line == 0, item.line, item.column));
        items.dedup_by(|a, b| a.line == b.line && a.column == b.column && a.message == b.message);
        Self { items }
    }

    /// The problems, in order; never empty.
    pub fn items(&self) -> &[Problem] {
        &self.items
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One mistake in many sections is said once, with its places.
        let said = self.items.iter().enumerate().map(|(at, item)| {
            let same = (&item.message, &item.hint, &item.file);
            (if item.line == 0 { Err(at) } else { Ok(same) }, item)
        });
        for (nth, (_, group)) in alike(said).iter().enumerate() {
            let gap = if nth == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{}", group[0])?;
            if group.len() > 1 {
                let lines = group[1..].iter().map(|item| item.line.to_string());
                write!(f, "\n\nthe same in lines {}", listed(lines, PLACES_SHOWN))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The candidate that was probably meant by `word`: at most a third of its letters differ.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(far, _)| *far <= allowed)
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// Letters to change, add, drop or swap with their neighbour to make `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_looks_like_the_compilers() {
        let excerpt = Excerpt {
            text: "bach_rows = 5000".into(),
            start: 0,
            width: 9,
            label: "not a setting of [forward]".into(),
        };
        let problem = Problem::new("unknown setting bach_rows")
            .at("tandem.toml", 14, 1, excerpt)
            .hint("did you mean batch_rows?");
        let expected = "error: unknown setting bach_rows\n   --> tandem.toml:14:1\n    |\n 14 | bach_rows = 5000\n    | \
                        ^^^^^^^^^ not a setting of [forward]\n\nhint: did you mean batch_rows?";
        assert_eq!(problem.to_string(), expected);
    }

    #[test]
    fn one_mistake_in_many_sections_is_said_once_with_its_places() {
        let excerpt = || Excerpt {
            text: "kye = []".into(),
            start: 0,
            width: 3,
            label: String::new(),
        };
        let problem =
            |line| Problem::new("unknown setting kye").at("tandem.toml", line, 1, excerpt());
        let many = (1..=30)
            .map(|nth| problem(nth * 4))
            .chain([Problem::new("another")]);
        let said = Problems::new(many.collect()).to_string();
        assert_eq!(said.matches("unknown setting kye").count(), 1, "{said}");
        assert!(
            said.contains("the same in lines 8, 12, 16, 20, 24, 28, 32, 36, 40, 44 and 19 more"),
            "{said}"
        );
        assert!(said.ends_with("error: another"), "{said}");
    }

    #[test]
    fn the_nearest_word_is_meant() {
        let words = ["batch_rows", "batch_bytes", "slot", "skip"];
        for (typed, meant) in [
            ("bach_rows", Some("batch_rows")),
            ("batch_byts", Some("batch_bytes")),
            ("solt", Some("slot")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, words), meant, "{typed}");
        }
    }
}
