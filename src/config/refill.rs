//! `[refill]`, and `[[refill]]`, of which there may be several: the parts of the office's refill.

use std::ops::Range;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::check;
use super::complaint::{Checked, Complaint};
use super::layers::{Known, Reader};
use super::mapping::Table;
use super::problem::{Problem, nearest};
use super::section::Section;
use super::units::Limits;

/// A statement run on the desktop again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refill {
    /// What it is called: by its `name`, its first table or its function; `refill` where nothing says so and there is one.
    pub name: String,
    /// The statement.
    pub sql: String,
    /// Time between two runs, also where nothing seems to have changed.
    pub every: Duration,
    /// What else makes it run.
    pub when: When,
    /// It rests at least so long between two runs.
    pub min_every: Duration,
    /// The tables and views whose changes count; empty: those that the statement reads.
    pub watch: Vec<String>,
    /// The tables that it fills, by their names in the settings; empty: any may be.
    pub tables: Vec<String>,
}

/// What makes the refill run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The clock alone.
    Clock,
    /// Also a change of what it reads.
    Changed,
}

impl Refill {
    /// It may fill the table of this name.
    pub fn fills(&self, table: &str) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|filled| filled == table)
    }
}

const EVERY: Limits<Duration> = Limits {
    range: Duration::from_secs(1)..=Duration::from_secs(30 * 86_400),
    why: "a refill takes the desktop's time",
};
const REST: Limits<Duration> = Limits {
    range: Duration::from_secs(1)..=Duration::from_secs(86_400),
    why: "a refill takes the desktop's time",
};
/// The one refill that has no name.
const ALONE: &str = "refill";
/// Scalars, which no variable can give where there are several parts.
const SCALARS: [&str; 6] = ["name", "sql", "every", "when", "min_every", "shared"];

/// A part with the places of what has to agree with others.
pub(super) struct Part {
    refill: Refill,
    /// Its tables may be another part's, too.
    shared: bool,
    name_at: Range<usize>,
    tables_at: Vec<Range<usize>>,
}

/// `[refill]`, none without a statement; or each `[[refill]]`, in the file's order.
pub(super) fn refills(reader: &mut Reader<'_>) -> Vec<Part> {
    let document = reader.document;
    let mut entries = document.root.iter();
    let found = entries.find(|(key, _)| key.get_ref() == "refill");
    let Some((key, DeValue::Array(array))) = found.map(|(key, value)| (key, value.get_ref()))
    else {
        let at = found.map_or(0..0, |(key, _)| key.span());
        let section = reader.section("refill");
        return read(section, at, ALONE).into_iter().collect();
    };
    for key in SCALARS {
        let key = format!("refill.{key}");
        reader.known.push(Known {
            key,
            layered: false,
        });
    }
    let mut parts = Vec::new();
    for (n, entry) in array.iter().enumerate() {
        let Some(table) = entry.get_ref().as_table() else {
            let says = "refill is a section, written [refill], or a list, each part written under its own [[refill]]";
            reader.problems.push(document.problem(&key.span(), says));
            continue;
        };
        let title = title(table).unwrap_or_else(|| format!("{ALONE} {}", n + 1));
        let section = reader.refill(&title, table);
        let problems = section.reader.problems.len();
        match read(section, entry.span(), &title) {
            Some(part) => parts.push(part),
            None if reader.problems.len() == problems => {
                let problem = document.problem(&entry.span(), "this [[refill]] has no sql");
                let hint = "sql = \"select fill_prices()\", or whatever fills its tables";
                reader.problems.push(problem.hint(hint));
            }
            None => {}
        }
    }
    parts
}

/// What a part is called in the file as it stands there.
fn title(table: &DeTable<'_>) -> Option<String> {
    let value = |wanted: &str| {
        let mut entries = table.iter();
        let found = entries.find(|(key, _)| key.get_ref() == wanted);
        found.map(|(_, value)| value.get_ref())
    };
    let first = || match value("tables")? {
        DeValue::Array(tables) => tables.iter().next()?.get_ref().as_str(),
        _ => None,
    };
    let named = value("name").and_then(|name| name.as_str());
    let named = named.or_else(first).map(str::to_owned);
    named.or_else(|| function(value("sql")?.as_str()?))
}

/// The function that a statement calls, where that is all it does.
fn function(sql: &str) -> Option<String> {
    let (word, rest) = sql.trim_start().split_once(char::is_whitespace)?;
    let calls = ["select", "call"];
    let name = rest.split_once('(')?.0.trim();
    let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '"');
    let fits = { calls.iter() }.any(|call| word.eq_ignore_ascii_case(call));
    (fits && !name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
}

fn named(text: &str) -> Checked<String> {
    match text.contains(char::is_control) {
        true => Err(Complaint::new("has a character that can't be shown")),
        false => check::filled(text).and_then(|text| check::identifier(text.trim())),
    }
}

/// None without a statement.
fn read(mut section: Section<'_, '_>, at: Range<usize>, title: &str) -> Option<Part> {
    let name_at = section.entry("name").map_or(at, |(_, value)| value.span());
    let tables_at = match section.entry("tables").map(|(_, value)| value.get_ref()) {
        Some(DeValue::Array(tables)) => tables.iter().map(|table| table.span()).collect(),
        _ => Vec::new(),
    };
    let name = section.checked_text("name", named);
    let sql = section.text("sql");
    let every = section.duration("every", Duration::from_secs(900), &EVERY);
    let whens = [("clock", When::Clock), ("changed", When::Changed)];
    let when = section.choice("when", When::Clock, &whens);
    let min_every = section.duration("min_every", Duration::from_secs(2), &REST);
    let watch = tables_of(&mut section, "watch");
    let tables = tables_of(&mut section, "tables");
    let shared = section.switch("shared", false);
    section.finish();
    let refill = Refill {
        name: name.unwrap_or_else(|| title.to_owned()),
        sql: sql?,
        every,
        when,
        min_every,
        watch,
        tables,
    };
    Some(Part {
        refill,
        shared,
        name_at,
        tables_at,
    })
}

fn tables_of(section: &mut Section<'_, '_>, key: &str) -> Vec<String> {
    let named = section.names(key, |text| check::table(text).map(|_| text.to_owned()));
    named.unwrap_or_else(|| {
        section.row(key, super::show::list(&[]), None);
        Vec::new()
    })
}

/// The parts as they count, each with a name of its own and with tables that are there and no other part's.
pub(super) fn agreed(reader: &mut Reader<'_>, parts: Vec<Part>, tables: &[Table]) -> Vec<Refill> {
    let written = reader
        .document
        .root
        .iter()
        .find(|(key, _)| key.get_ref() == "table");
    let written = written.and_then(|(_, value)| value.get_ref().as_array());
    // One that has problems isn't among them.
    let all_read = written.map_or(0, |tables| tables.len()) == tables.len();
    let mut agreed: Vec<Part> = Vec::new();
    for mut part in parts {
        let document = reader.document;
        if agreed
            .iter()
            .any(|other| other.refill.name == part.refill.name)
        {
            let says = format!("another [[refill]] is called {}, too", part.refill.name);
            let problem = document.problem(&part.name_at, says);
            let hint = "give each a name of its own: name = \"prices\"";
            reader.problems.push(problem.hint(hint));
        }
        for (at, named) in part.refill.tables.iter_mut().enumerate() {
            let place = part.tables_at.get(at).unwrap_or(&part.name_at);
            let Some(table) = table(named, tables) else {
                if all_read {
                    let problem =
                        document.problem(place, format!("no [[table]] is called {named}"));
                    reader.problems.push(unknown(problem, named, tables));
                }
                continue;
            };
            named.clone_from(&table.name);
            let others = agreed
                .iter()
                .filter(|other| other.refill.tables.contains(named));
            if let Some(other) = others
                .clone()
                .next()
                .filter(|other| !(other.shared && part.shared))
            {
                let says = format!("{named} is filled by {} already", other.refill.name);
                let problem = document.problem(place, says);
                let hint = "a table belongs to one part; where two fill different rows of it, both say shared = true";
                reader.problems.push(problem.hint(hint));
            }
        }
        agreed.push(part);
    }
    agreed.into_iter().map(|part| part.refill).collect()
}

/// A table by its name, or by its name in the cloud.
fn table<'t>(named: &str, tables: &'t [Table]) -> Option<&'t Table> {
    let by_name = tables.iter().find(|table| table.name == named);
    by_name.or_else(|| {
        let name = check::table(named).ok()?;
        let is_meant = |table: &&Table| {
            (&table.schema, &table.relation) == (&name.schema, &name.relation)
                || (&table.cloud.schema, &table.cloud.relation) == (&name.schema, &name.relation)
        };
        tables.iter().find(is_meant)
    })
}

fn unknown(problem: Problem, named: &str, tables: &[Table]) -> Problem {
    let near = nearest(named, tables.iter().map(|table| table.name.as_str()));
    problem.hint(match near {
        Some(near) => format!("did you mean {near}?"),
        None => "tables names those of [[table]] that this part fills".to_owned(),
    })
}
