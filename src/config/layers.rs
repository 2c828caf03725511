//! The layers in which a setting can be given (flag > environment > file > default), and what nobody asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::de::DeValue;

use super::complaint::Complaint;
use super::document::{Document, Value};
use super::expand::{Failure, Names};
use super::problem::{Problem, nearest};
use super::show::Row;

/// The variables with our prefix that aren't settings.
const OTHER_VARIABLES: [&str; 4] = [
    "TANDEM_CONFIG",
    "TANDEM_PG_BIN",
    "TANDEM_PG_TMP",
    "TANDEM_CACHE",
];
/// The prefix of our variables.
const PREFIX: &str = "TANDEM_";
/// The prefix of variables that belong to the tests.
const TEST_PREFIX: &str = "TANDEM_TEST_";

/// Reads one setting after the other, and remembers what was asked for, what was wrong, and where values came from.
pub(super) struct Reader<'d> {
    pub(super) document: &'d Document<'d>,
    pub(super) names: Names<'d>,
    pub(super) flags: &'d [(String, String)],
    pub(super) problems: Vec<Problem>,
    pub(super) rows: Vec<Row>,
    pub(super) known: Vec<Known>,
    /// Every key that was asked for, by the kind of its section: `forward.slot`, `table.swap`.
    pub(super) keys: BTreeSet<String>,
}

/// A setting that exists.
pub(super) struct Known {
    pub(super) key: String,
    /// Whether the environment and flags can give it: a scalar outside `[[table]]`.
    pub(super) layered: bool,
}

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    File(Range<usize>),
    Environment(String),
    Flag,
}

/// A value before its type is checked.
#[derive(Debug)]
pub(super) enum Input<'d> {
    /// A string of the file, expanded.
    Text(String),
    /// The environment's or a flag's text, which may stand for any type.
    Word(String),
    /// Anything else of the file.
    Other(&'d DeValue<'d>),
}

/// The value of the strongest layer that gives one.
pub(super) struct Found<'d> {
    pub(super) origin: Origin,
    pub(super) input: Input<'d>,
}

impl<'d> Reader<'d> {
    pub(super) fn new(
        document: &'d Document<'d>,
        names: Names<'d>,
        flags: &'d [(String, String)],
    ) -> Self {
        Self {
            document,
            names,
            flags,
            problems: Vec::new(),
            rows: Vec::new(),
            known: Vec::new(),
            keys: BTreeSet::new(),
        }
    }

    /// The text or other value of a file's value, with `${NAME}` put in. None when that failed, which was recorded.
    pub(super) fn input(&mut self, value: &'d Value<'d>, url: bool) -> Option<Input<'d>> {
        let DeValue::String(text) = value.get_ref() else {
            return Some(Input::Other(value.get_ref()));
        };
        match self.names.expand(text, url) {
            Ok(text) => Some(Input::Text(text)),
            Err(failure) => {
                let problem = self.unexpanded(&value.span(), failure);
                self.problems.push(problem);
                None
            }
        }
    }

    fn unexpanded(&self, place: &Range<usize>, failure: Failure) -> Problem {
        let Failure::Unset(name) = failure else {
            return self
                .document
                .problem(place, "a ${ isn't followed by a name and a }")
                .hint("write $${ for the two characters themselves");
        };
        let at = self
            .document
            .slice(place)
            .find(&format!("${{{name}}}"))
            .map(|at| place.start + at);
        let exact = at.map_or(place.clone(), |at| at..at + name.len() + 3);
        let hint = match &self.names.dotenv.complaint {
            Some(complaint) => format!("a line of .env could not be read, {complaint}"),
            None => "set it in the environment, or in a file .env beside the settings".to_owned(),
        };
        self.document
            .problem(
                &exact,
                format!("{name} is set neither in the environment nor in .env"),
            )
            .label("not set")
            .hint(hint)
    }

    /// The problem of a value that was given here. `quoted` is false where the value is nobody's business.
    pub(super) fn wrong(
        &self,
        key: &str,
        path: &str,
        found: &Found<'d>,
        complaint: Complaint,
        quoted: bool,
    ) -> Problem {
        let Complaint { says, hint } = complaint;
        let word = match &found.input {
            Input::Word(text) if quoted => format!(" = \"{text}\""),
            _ => String::new(),
        };
        let problem = match &found.origin {
            Origin::File(place) => {
                let raw = self.document.slice(place);
                let scalar = !matches!(
                    &found.input,
                    Input::Other(DeValue::Table(_) | DeValue::Array(_))
                );
                let raw = if quoted && scalar && !raw.contains('\n') {
                    format!(" = {raw}")
                } else {
                    String::new()
                };
                self.document.problem(place, format!("{key}{raw} {says}"))
            }
            Origin::Environment(name) => Problem::new(format!("{name}{word} {says} (environment)")),
            Origin::Flag => Problem::new(format!("{}{word} {says} (flag)", join(path, key))),
        };
        problem.hint_if(hint)
    }

    /// Where a value came from, for `config show`.
    pub(super) fn from(&self, origin: &Origin) -> String {
        match origin {
            Origin::File(place) => format!(
                "file {}:{}",
                self.document.name(),
                self.document.line(place.start)
            ),
            Origin::Environment(name) => format!("environment {name}"),
            Origin::Flag => "flag".to_owned(),
        }
    }

    /// Records the variables and flags that match no setting. Comes last, when all settings were asked for.
    pub(super) fn finish(&mut self) {
        for name in self.names.env.keys().filter(|name| is_ours(name)) {
            let matches = |known: &&Known| variable(&known.key) == *name;
            let problem = match self.known.iter().find(matches) {
                Some(known) if known.layered => continue,
                Some(known) => {
                    Problem::new(format!("{name} can't be set: {} is a list", known.key))
                        .hint(format!("set {} in the settings file", known.key))
                }
                None => {
                    let all: Vec<String> = self.layered_keys().map(variable).collect();
                    Problem::new(format!("unknown environment variable {name}")).hint_if(
                        nearest(name, all.iter().map(String::as_str))
                            .map(|n| format!("did you mean {n}?")),
                    )
                }
            };
            self.problems.push(problem);
        }
        for (key, _) in self.flags {
            if !self.layered_keys().any(|known| known == key) {
                let hint =
                    nearest(key, self.layered_keys()).map(|near| format!("did you mean {near}?"));
                self.problems
                    .push(Problem::new(format!("unknown setting {key} (flag)")).hint_if(hint));
            }
        }
    }

    fn layered_keys(&self) -> impl Iterator<Item = &str> {
        self.known
            .iter()
            .filter(|known| known.layered)
            .map(|known| known.key.as_str())
    }
}

/// `section.key`, or the key alone at the top.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The variable of a setting: `forward.batch_rows` has `TANDEM_FORWARD_BATCH_ROWS`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) && !name.starts_with(TEST_PREFIX) && !OTHER_VARIABLES.contains(&name)
}

/// The columns that variables such as `TANDEM_TENANT_ORG_ID` name in a section of free keys, in lower case.
pub(super) fn named_by_variables(env: &BTreeMap<String, String>, section: &str) -> Vec<String> {
    let prefix = format!("{}_", variable(section));
    env.keys()
        .filter_map(|name| name.strip_prefix(&prefix))
        .map(str::to_lowercase)
        .collect()
}
