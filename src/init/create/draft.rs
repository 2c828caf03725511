//! Which statements make the tables that the cloud lacks, and what can't be made there. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::fits::Sides;
use super::rewrite::rewritten;
use super::shape::{Column, Constraint, Ground, Index, Structure, Table, qualified};
use super::write;
use crate::model::Name;
use crate::plan::quote;

/// What the person wants besides.
#[derive(Default)]
pub(super) struct Wishes {
    /// The owner's column, and the word for rows of phones.
    pub(super) owner: (String, String),
    /// Tables that shall bring phones' rows home.
    pub(super) homeward: BTreeSet<Name>,
    /// Desktop tables that have their partner in the cloud: both names.
    pub(super) pairs: BTreeMap<u32, (Name, Name)>,
}

/// Statements that belong together, with remarks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) remarks: Vec<String>,
    pub(super) statements: Vec<String>,
}

/// The whole of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) parts: Vec<Part>,
    pub(super) made: Vec<Name>,
    /// Those of them with the owner's column and a key, by which rows come home.
    pub(super) homeward: Vec<Name>,
    /// Desktop tables that can't be made.
    pub(super) left: usize,
}

/// Decides.
pub(super) fn draft(desk: &Structure, ground: &Ground, wishes: &Wishes) -> Draft {
    let mut drafter = Drafter {
        sides: Sides { desk, ground },
        wishes,
        renamed: renamed(desk, ground),
        made: BTreeSet::new(),
        columns: BTreeSet::new(),
        indexes: BTreeSet::new(),
        known: BTreeSet::new(),
        schemas: ground.schemas.clone(),
        before: Part::default(),
        parts: Vec::new(),
        names: Vec::new(),
        homeward: Vec::new(),
        behind: Vec::new(),
    };
    let mut left = 0;
    for table in &desk.tables {
        match drafter.hindrance(table) {
            None => {
                drafter.made.insert(table.oid);
            }
            Some(why) => {
                left += 1;
                let remarks = vec![format!("{} is not made: {why}", table.name().bare())];
                drafter.parts.push(Part {
                    remarks,
                    statements: Vec::new(),
                });
            }
        }
    }
    for table in &desk.tables {
        if drafter.made.contains(&table.oid) {
            drafter.table(table);
        }
    }
    for table in &desk.tables {
        if drafter.made.contains(&table.oid) {
            drafter.foreign_keys(table);
        }
    }
    drafter.end(left)
}

/// An extension's objects that stand in another schema in the cloud.
fn renamed(desk: &Structure, ground: &Ground) -> BTreeMap<Name, Name> {
    let moved = desk.objects.values().filter_map(|object| {
        let there = ground.objects.get(&object.key)?;
        let name = |schema: &str| Name {
            schema: schema.to_owned(),
            relation: object.name.clone(),
        };
        (*there != object.schema).then(|| (name(&object.schema), name(there)))
    });
    moved.collect()
}

/// The work, as far as it is done.
pub(super) struct Drafter<'a> {
    pub(super) sides: Sides<'a>,
    pub(super) wishes: &'a Wishes,
    pub(super) renamed: BTreeMap<Name, Name>,
    /// Tables, columns and unique indexes that will be there.
    pub(super) made: BTreeSet<u32>,
    pub(super) columns: BTreeSet<(u32, i16)>,
    pub(super) indexes: BTreeSet<u32>,
    /// Types, collations and sequences that were looked at.
    pub(super) known: BTreeSet<u32>,
    pub(super) schemas: BTreeSet<String>,
    /// Schemas, collations and types.
    pub(super) before: Part,
    pub(super) parts: Vec<Part>,
    pub(super) names: Vec<Name>,
    pub(super) homeward: Vec<Name>,
    /// What can be said when all tables are there.
    pub(super) behind: Vec<String>,
}

impl Drafter<'_> {
    /// Why a table can't be made at all.
    fn hindrance(&self, table: &Table) -> Option<String> {
        if self.sides.taken(&table.schema, &table.relation).is_some() {
            return Some(format!(
                "the cloud has something else that is called {}, and it stays as it is; rename that, or name it in the settings with cloud = ...",
                table.quoted()
            ));
        }
        table.columns.iter().find_map(|column| {
            let name = column.name.as_deref()?;
            let why = self.sides.lacks_type(column.kind)?;
            Some(format!("column {name}: {why}"))
        })
    }

    fn table(&mut self, table: &Table) {
        let mut part = Part::default();
        let name = table.name().bare();
        self.schema(&table.schema);
        part.remarks
            .extend(peculiar(table).iter().map(|what| format!("{name}: {what}")));
        let mut lines = Vec::new();
        for column in &table.columns {
            self.type_of(column.kind);
            match self.column(table, column, &mut part) {
                Ok(line) => {
                    self.columns.insert((table.oid, column.number));
                    lines.push(line);
                }
                Err(why) => part.remarks.push(format!("{name}: {why}")),
            }
        }
        lines.extend(self.source(table));
        for constraint in { table.constraints.iter() }.filter(|one| one.sort != "f") {
            match self.constraint(table, constraint) {
                Ok(line) => {
                    self.indexes.insert(constraint.index);
                    lines.push(line);
                    self.comment_of(table, constraint);
                }
                Err(why) => part.remarks.push(format!("{name}: {why}")),
            }
        }
        let keyless = !{ table.constraints.iter() }
            .any(|one| one.sort == "p" && self.indexes.contains(&one.index));
        if self.wishes.homeward.contains(&table.name()) {
            match keyless {
                false => self.homeward.push(table.name()),
                true => part.remarks.push(format!(
                    "{name}: phones' rows can't come home without a primary key"
                )),
            }
        }
        if keyless {
            part.remarks.push(format!("{name}: it has no primary key; its rows are told apart by a unique index, or counted (key = [])"));
        }
        let target = table.quoted();
        part.statements.push(match lines.is_empty() {
            true => format!("CREATE TABLE {target} ()"),
            false => format!("CREATE TABLE {target} (\n    {}\n)", lines.join(",\n    ")),
        });
        part.statements
            .push(format!("ALTER TABLE {target} ENABLE ROW LEVEL SECURITY"));
        self.comments(table, &mut part);
        for index in &table.indexes {
            match self.index(table, index) {
                Ok(statement) => {
                    self.indexes.insert(index.oid);
                    part.statements.push(statement);
                    self.comment_on_index(table, index, &mut part);
                }
                Err(why) => part.remarks.push(format!("{name}: {why}")),
            }
        }
        self.names.push(table.name());
        self.parts.push(part);
    }

    /// A column's line, or why it is left out.
    fn column(
        &mut self,
        table: &Table,
        column: &Column,
        part: &mut Part,
    ) -> Result<String, String> {
        let Some(name) = &column.name else {
            return Err(
                "a column is left out: its name is not UTF-8; rename it on the desktop".to_owned(),
            );
        };
        let mut line = format!("{} {}", quote::ident(name), self.moved(&column.written));
        let mut say = |what: String| {
            part.remarks
                .push(format!("{}: column {name} {what}", table.name().bare()));
        };
        match self.collated(column.collation) {
            Ok(written) => line.push_str(&written),
            Err(why) => say(format!(
                "has the cloud's own collation: {why}; only the order of sorting differs"
            )),
        }
        let default = { column.default.as_ref() }.filter(|_| !self.is_owners(table, name));
        let usable = default.map(|piece| (piece, self.sides.lacks(piece)));
        if !column.identity.is_empty() {
            let sequence = self.sides.sequence(column.sequence);
            let free =
                sequence.is_some_and(|one| self.sides.taken(&one.schema, &one.name).is_none());
            line.push(' ');
            line.push_str(&write::identity(&column.identity, sequence, free));
        }
        match usable {
            Some((_, Some(why))) if !column.generated.is_empty() => {
                return Err(format!(
                    "column {name} is left out: the desktop computes it, and {why}"
                ));
            }
            Some((_, Some(why))) => say(format!(
                "has no default: {why}; rows of the desktop bring their values"
            )),
            Some((piece, None)) => {
                self.needed(piece, part);
                let text = self.moved(piece.text.as_deref().unwrap_or_default());
                line.push_str(&match column.generated.as_str() {
                    "" => format!(" DEFAULT {text}"),
                    "v" if self.sides.ground.version >= 18 => {
                        format!(" GENERATED ALWAYS AS ({text}) VIRTUAL")
                    }
                    _ => format!(" GENERATED ALWAYS AS ({text}) STORED"),
                });
            }
            None => {}
        }
        if self.is_owners(table, name) {
            line.push_str(&format!(
                " DEFAULT {}",
                quote::literal(&self.wishes.owner.1)
            ));
        }
        if column.unproven {
            part.remarks.push(format!("{}: column {name} takes NULL: NOT NULL is NOT VALID on the desktop, so old rows may have it", table.name().bare()));
        }
        if column.not_null {
            line.push_str(" NOT NULL");
        }
        Ok(line)
    }

    /// The owner's column, where the desktop has none. Whoever adds a row in the cloud without it is a phone: tandem always says who.
    fn source(&self, table: &Table) -> Option<String> {
        let (column, mobile) = &self.wishes.owner;
        let has = { table.columns.iter() }.any(|own| own.name.as_ref() == Some(column));
        let wanted = self.wishes.homeward.contains(&table.name()) && !has;
        wanted.then(|| {
            format!(
                "{} text DEFAULT {}",
                quote::ident(column),
                quote::literal(mobile)
            )
        })
    }

    /// The column is the owner's, of a table whose rows shall come home.
    fn is_owners(&self, table: &Table, column: &str) -> bool {
        self.wishes.homeward.contains(&table.name()) && column == self.wishes.owner.0
    }

    /// A constraint's line, or why it is left out.
    fn constraint(&mut self, table: &Table, constraint: &Constraint) -> Result<String, String> {
        let called = constraint.name.clone().unwrap_or_default();
        let left = |why: &str| format!("constraint {called} is left out: {why}");
        if !constraint.valid {
            return Err(left(
                "it is NOT VALID on the desktop, so rows there may break it, and the cloud would refuse them",
            ));
        }
        self.has_columns(table, &constraint.columns)
            .map_err(|why| left(&why))?;
        if let Some(why) = self.sides.lacks(&constraint.piece) {
            return Err(left(&why));
        }
        self.needed_before(&constraint.piece);
        let text = constraint.piece.text.as_deref().unwrap_or_default();
        let free = constraint.sort == "c"
            || constraint.sort == "f"
            || self.sides.taken(&table.schema, &called).is_none();
        let text = match constraint.sort.as_str() {
            "f" => text.to_owned(),
            _ => self.moved(text),
        };
        match constraint.name.as_deref().filter(|_| free) {
            Some(name) => Ok(format!("CONSTRAINT {} {text}", quote::ident(name))),
            None => Ok(text),
        }
    }

    fn index(&mut self, table: &Table, index: &Index) -> Result<String, String> {
        let called = index.name.clone().unwrap_or_default();
        let left = |why: &str| format!("index {called} is left out: {why}");
        self.has_columns(table, &index.columns)
            .map_err(|why| left(&why))?;
        if let Some(why) = self.sides.lacks(&index.piece) {
            return Err(left(&why));
        }
        self.needed_before(&index.piece);
        let free = self.sides.taken(&table.schema, &called).is_none();
        let text = index.piece.text.as_deref().unwrap_or_default();
        let statement = write::index(index, text, free);
        let statement = statement.ok_or_else(|| left("its definition can't be read"))?;
        Ok(self.moved(&statement))
    }

    fn has_columns(&self, table: &Table, numbers: &[i16]) -> Result<(), String> {
        let missing = { numbers.iter() }
            .find(|number| **number > 0 && !self.columns.contains(&(table.oid, **number)));
        let Some(number) = missing else {
            return Ok(());
        };
        let column = table.columns.iter().find(|column| column.number == *number);
        let name = column
            .and_then(|column| column.name.as_deref())
            .unwrap_or("?");
        Err(format!("its column {name} is left out too"))
    }

    fn foreign_keys(&mut self, table: &Table) {
        let mut part = Part::default();
        for constraint in { table.constraints.iter() }.filter(|one| one.sort == "f") {
            let name = table.name().bare();
            match self.foreign_key(table, constraint) {
                Ok(statement) => {
                    part.statements.push(statement);
                    self.comment_of(table, constraint);
                }
                Err(why) => part.remarks.push(format!("{name}: {why}")),
            }
        }
        if part != Part::default() {
            self.parts.push(part);
        }
    }

    fn foreign_key(&mut self, table: &Table, constraint: &Constraint) -> Result<String, String> {
        let line = self.constraint(table, constraint)?;
        let add = |line: &str| format!("ALTER TABLE {} ADD {line}", table.quoted());
        let called = constraint.name.as_deref().unwrap_or_default();
        let parent = constraint.parent_name.as_deref().unwrap_or_default();
        if let Some((from, to)) = self.wishes.pairs.get(&constraint.parent) {
            let renamed = BTreeMap::from([(from.clone(), to.clone())]);
            return Err(format!(
                "foreign key {called} is left out: the cloud has {} already, and rows of that could no longer be deleted while rows here refer to them; where you want it: {};",
                to.bare(),
                add(&rewritten(&line, &renamed))
            ));
        }
        if !self.made.contains(&constraint.parent) {
            return Err(format!(
                "foreign key {called} is left out: {parent} is not made"
            ));
        }
        if !self.indexes.contains(&constraint.index) {
            return Err(format!(
                "foreign key {called} is left out: the unique index of {parent} that it needs is left out too"
            ));
        }
        Ok(add(&line))
    }

    fn comments(&mut self, table: &Table, part: &mut Part) {
        let target = table.quoted();
        let own = table.comment.iter();
        let own = own.map(|text| write::comment(&format!("TABLE {target}"), text));
        let columns = { table.columns.iter() }
            .filter(|column| self.columns.contains(&(table.oid, column.number)))
            .filter_map(|column| {
                let what = format!("COLUMN {target}.{}", quote::ident(column.name.as_deref()?));
                Some(write::comment(&what, column.comment.as_deref()?))
            });
        part.statements.extend(own.chain(columns));
    }

    fn comment_of(&mut self, table: &Table, constraint: &Constraint) {
        let free = self
            .sides
            .taken(
                &table.schema,
                constraint.name.as_deref().unwrap_or_default(),
            )
            .is_none();
        if let (Some(name), Some(text), true) = (&constraint.name, &constraint.comment, free) {
            let what = format!("CONSTRAINT {} ON {}", quote::ident(name), table.quoted());
            self.behind.push(write::comment(&what, text));
        }
    }

    fn comment_on_index(&self, table: &Table, index: &Index, part: &mut Part) {
        let free = self
            .sides
            .taken(&table.schema, index.name.as_deref().unwrap_or_default())
            .is_none();
        if let (Some(name), Some(text), true) = (&index.name, &index.comment, free) {
            let what = format!("INDEX {}", qualified(&table.schema, name));
            part.statements.push(write::comment(&what, text));
        }
    }

    /// What comes before all tables, the tables, and what comes behind them.
    fn end(self, left: usize) -> Draft {
        let behind = Part {
            remarks: Vec::new(),
            statements: self.behind,
        };
        let parts = std::iter::once(self.before)
            .chain(self.parts)
            .chain([behind]);
        Draft {
            parts: parts.filter(|part| *part != Part::default()).collect(),
            made: self.names,
            homeward: self.homeward,
            left,
        }
    }
}

/// What of a table is another in the cloud.
fn peculiar(table: &Table) -> Vec<String> {
    let mut all = Vec::new();
    if table.kind == "p" {
        all.push("partitioned on the desktop, one plain table here: rows of partitions that the desktop adds later arrive without a step in the cloud".to_owned());
    }
    if !table.inherits.is_empty() {
        all.push(format!(
            "inherits from {} on the desktop, a table of its own here: who reads the parent in the cloud doesn't see its rows",
            table.inherits.join(", ")
        ));
    }
    if table.persistence == "u" {
        all.push("unlogged on the desktop, so its changes are in no log and only swaps bring them; here it is logged".to_owned());
    }
    all
}
