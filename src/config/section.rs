//! One section of the settings: asks the layers for a key, notes its row, and reports the keys nobody asked for.

use toml::de::DeTable;

use super::complaint::Complaint;
use super::document::{self, Value};
use super::layers::{Found, Input, Known, Origin, Reader, join, variable};
use super::problem::{Problem, nearest};
use super::show::{self, Row};

/// One table of the file, or one section with its variables and flags.
pub(super) struct Section<'r, 'd> {
    pub(super) reader: &'r mut Reader<'d>,
    /// Its name in rows and variables: `forward`, `table.visits`; empty for the top.
    pub(super) path: String,
    /// Which kind of section it is: `forward`, `table`, `table.reverse`; empty for the top.
    pub(super) kind: &'static str,
    pub(super) table: Option<&'d DeTable<'d>>,
    pub(super) layered: bool,
    pub(super) asked: Vec<String>,
}

impl<'d> Reader<'d> {
    /// The top of the file, whose keys are `replicator` and the sections.
    pub(super) fn top<'r>(&'r mut self) -> Section<'r, 'd> {
        let table = Some(&self.document.root);
        Section {
            reader: self,
            path: String::new(),
            kind: "",
            table,
            layered: true,
            asked: Vec::new(),
        }
    }

    /// A section that the environment and flags can speak for.
    pub(super) fn section<'r>(&'r mut self, name: &'static str) -> Section<'r, 'd> {
        let table = match self
            .document
            .root
            .iter()
            .find(|(key, _)| key.get_ref() == name)
        {
            None => None,
            Some((_, value)) if value.get_ref().is_table() => value.get_ref().as_table(),
            Some((key, _)) => {
                let says = format!("{name} is a section, written [{name}]");
                self.problems.push(self.document.problem(&key.span(), says));
                None
            }
        };
        Section {
            reader: self,
            path: name.to_owned(),
            kind: name,
            table,
            layered: true,
            asked: Vec::new(),
        }
    }

    /// One `[[table]]`, whose settings stand in the file only.
    pub(super) fn table<'r>(&'r mut self, name: &str, table: &'d DeTable<'d>) -> Section<'r, 'd> {
        let path = format!("table.{name}");
        Section {
            reader: self,
            path,
            kind: "table",
            table: Some(table),
            layered: false,
            asked: Vec::new(),
        }
    }

    /// One `[[refill]]`, whose settings stand in the file only.
    pub(super) fn refill<'r>(&'r mut self, name: &str, table: &'d DeTable<'d>) -> Section<'r, 'd> {
        Section {
            kind: "refill",
            path: format!("refill.{name}"),
            ..self.table(name, table)
        }
    }
}

impl<'d> Section<'_, 'd> {
    /// A table inside this one, such as `[table.reverse]`; what isn't a table was recorded.
    pub(super) fn inner<'s>(
        &'s mut self,
        name: &str,
        kind: &'static str,
        table: &'d DeTable<'d>,
    ) -> Section<'s, 'd> {
        let path = join(&self.path, name);
        Section {
            reader: self.reader,
            path,
            kind,
            table: Some(table),
            layered: false,
            asked: Vec::new(),
        }
    }

    /// Notes that the file may have this key, without reading it.
    pub(super) fn expect(&mut self, key: &str) {
        self.asked.push(key.to_owned());
        self.reader.keys.insert(join(self.kind, key));
    }

    /// The entry of the file alone, whatever the other layers say.
    pub(super) fn entry(&self, key: &str) -> Option<(&'d document::Key<'d>, &'d Value<'d>)> {
        self.table?.iter().find(|(found, _)| found.get_ref() == key)
    }

    /// The strongest layer's value of a scalar. A weaker layer's isn't looked at.
    pub(super) fn scalar(&mut self, key: &str, url: bool) -> Option<Found<'d>> {
        self.expect(key);
        let full = join(&self.path, key);
        if self.layered {
            self.reader.known.push(Known {
                key: full.clone(),
                layered: true,
            });
            if let Some((_, word)) = self
                .reader
                .flags
                .iter()
                .rev()
                .find(|(flag, _)| *flag == full)
            {
                return Some(Found {
                    origin: Origin::Flag,
                    input: Input::Word(word.clone()),
                });
            }
            let name = variable(&full);
            if let Some(word) = self.reader.names.env.get(&name) {
                return Some(Found {
                    origin: Origin::Environment(name),
                    input: Input::Word(word.clone()),
                });
            }
        }
        let (_, value) = self.entry(key)?;
        let input = self.reader.input(value, url)?;
        Some(Found {
            origin: Origin::File(value.span()),
            input,
        })
    }

    /// The file's value of a list or a table.
    pub(super) fn compound(&mut self, key: &str) -> Option<Found<'d>> {
        self.expect(key);
        if self.layered {
            self.reader.known.push(Known {
                key: join(&self.path, key),
                layered: false,
            });
        }
        let (name, value) = self.entry(key)?;
        // A table written with dotted keys has no span of its own that a person would recognise.
        let place = if value.get_ref().is_table() {
            name.span()
        } else {
            value.span()
        };
        let input = self.reader.input(value, false)?;
        Some(Found {
            origin: Origin::File(place),
            input,
        })
    }

    /// Records what is wrong with a value.
    pub(super) fn wrong(
        &mut self,
        key: &str,
        found: &Found<'d>,
        complaint: Complaint,
        quoted: bool,
    ) {
        let problem = self.reader.wrong(key, &self.path, found, complaint, quoted);
        self.reader.problems.push(problem);
    }

    /// Adds a row for `config show`; without a place the value is the default.
    pub(super) fn row(&mut self, key: &str, value: String, origin: Option<&Origin>) {
        let from = origin.map_or_else(|| "default".to_owned(), |origin| self.reader.from(origin));
        self.row_from(key, value, from);
    }

    /// Adds a row whose origin is more than a layer, such as a password file.
    pub(super) fn row_from(&mut self, key: &str, value: String, from: String) {
        let key = join(&self.path, key);
        let has_variable = self.layered
            && self
                .reader
                .known
                .iter()
                .any(|known| known.layered && known.key == key);
        let variable = has_variable.then(|| variable(&key));
        self.reader.rows.push(Row {
            key,
            value: show::line(&value),
            from,
            variable,
        });
    }

    /// Records the keys that nobody asked for.
    pub(super) fn finish(self) {
        let Some(table) = self.table else { return };
        for (key, _) in document::entries(table) {
            let name = key.get_ref().as_ref();
            if self.asked.iter().any(|asked| asked == name) {
                continue;
            }
            let problem = self
                .reader
                .document
                .problem(&key.span(), format!("unknown setting {name}"))
                .label(&format!("not a setting of {}", self.title()))
                .hint_if(self.meant(name));
            self.reader.problems.push(problem);
        }
    }

    fn title(&self) -> String {
        match self.kind {
            "" => "the top of the file".to_owned(),
            "table" => "[[table]]".to_owned(),
            "refill" if !self.layered => "[[refill]]".to_owned(),
            kind => format!("[{kind}]"),
        }
    }

    /// What an unknown key may stand for: a neighbour, or a setting of another section.
    fn meant(&self, name: &str) -> Option<String> {
        if let Some(near) = nearest(name, self.asked.iter().map(String::as_str)) {
            return Some(format!("did you mean {near}?"));
        }
        let elsewhere = self.reader.known.iter().find_map(|known| {
            let (section, key) = known.key.split_once('.')?;
            (key == name).then_some(section)
        })?;
        Some(format!("{name} is a setting of [{elsewhere}]"))
    }
}

/// A setting that has to be there and isn't, said at its section's head where there is one.
pub(super) fn missing(section: &mut Section<'_, '_>, key: &str, hint: &str) {
    let name = section.path.clone();
    let says = format!("{name}.{key} is missing");
    let reader = &mut section.reader;
    let head = reader
        .document
        .root
        .keys()
        .find(|found| found.get_ref() == name.as_str());
    let problem = match head {
        Some(head) => reader.document.problem(&head.span(), says),
        None => Problem::new(says),
    };
    reader.problems.push(problem.hint(hint));
}
