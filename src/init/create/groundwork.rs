//! What tables stand on: schemas, collations, types and sequences, each before the first that needs it. Pure.

use super::draft::{Drafter, Part};
use super::rewrite::rewritten;
use super::shape::{Kind, Piece, Sequence, qualified};
use super::write;
use crate::plan::quote;

impl Drafter<'_> {
    /// Everything that a definition needs and that can be made.
    pub(super) fn needed(&mut self, piece: &Piece, part: &mut Part) {
        for (sort, oid) in &piece.needs {
            match sort.as_str() {
                "type" => self.type_of(*oid),
                // Whether the cloud can have it was asked before.
                "collation" => drop(self.collated(*oid)),
                "relation" => self.sequence(*oid, part),
                _ => {}
            }
        }
    }

    /// The same before all tables.
    pub(super) fn needed_before(&mut self, piece: &Piece) {
        let mut part = Part::default();
        self.needed(piece, &mut part);
        self.before.statements.append(&mut part.statements);
    }

    pub(super) fn schema(&mut self, name: &str) {
        if self.schemas.insert(name.to_owned()) {
            let statement = format!("CREATE SCHEMA {}", quote::ident(name));
            self.before.statements.push(statement);
        }
    }

    /// The words behind a column's type, or why the cloud can't sort like that.
    pub(super) fn collated(&mut self, oid: u32) -> Result<String, String> {
        let Some(object) = self.sides.object("collation", oid) else {
            return Ok(String::new());
        };
        let name = qualified(&object.schema, &object.name);
        let written = format!(" COLLATE {name}");
        if self.sides.has(object) {
            return Ok(self.moved(&written));
        }
        let Some(made) = self.sides.made_collation(oid) else {
            return Err(format!("it has no {name}"));
        };
        if self.known.insert(oid) {
            self.schema(&made.schema);
            self.before.statements.push(write::collation(made));
        }
        Ok(written)
    }

    /// Makes a type and what it is made of, unless the cloud has it.
    pub(super) fn type_of(&mut self, oid: u32) {
        let sides = self.sides;
        let (Some(object), Some(kind)) = (sides.object("type", oid), sides.kind(oid)) else {
            return;
        };
        if sides.has(object) || object.extension.is_some() || !self.known.insert(oid) {
            return;
        }
        self.schema(&kind.schema);
        let statement = match kind.sort.as_str() {
            "e" => enumeration(kind),
            "d" => self.domain(kind),
            _ => self.composite(kind),
        };
        self.before.statements.push(statement);
        let word = if kind.sort == "d" { "DOMAIN" } else { "TYPE" };
        let comment = kind.comment.as_ref();
        let comment =
            comment.map(|text| write::comment(&format!("{word} {}", kind.quoted()), text));
        self.before.statements.extend(comment);
    }

    fn domain(&mut self, kind: &Kind) -> String {
        self.type_of(kind.base);
        let mut text = format!(
            "CREATE DOMAIN {} AS {}",
            kind.quoted(),
            self.moved(&kind.written)
        );
        match self.collated(kind.collation) {
            Ok(written) => text.push_str(&written),
            Err(why) => self.say(kind, &format!("has the cloud's own collation: {why}")),
        }
        if let Some(default) = &kind.default {
            match self.sides.lacks(default) {
                Some(why) => self.say(kind, &format!("has no default: {why}")),
                None => {
                    self.needed_before(default);
                    let written = default.text.as_deref().unwrap_or_default();
                    text.push_str(&format!(" DEFAULT {}", self.moved(written)));
                }
            }
        }
        if kind.not_null {
            text.push_str(" NOT NULL");
        }
        for check in &kind.checks {
            let name = check.name.as_deref().unwrap_or_default();
            let why = match check.valid {
                true => self.sides.lacks(&check.piece),
                false => Some("it is NOT VALID on the desktop".to_owned()),
            };
            if let Some(why) = why {
                self.say(kind, &format!("goes without constraint {name}: {why}"));
                continue;
            }
            self.needed_before(&check.piece);
            let written = check.piece.text.as_deref().unwrap_or_default();
            text.push_str(&format!(
                " CONSTRAINT {} {}",
                quote::ident(name),
                self.moved(written)
            ));
        }
        text
    }

    fn composite(&mut self, kind: &Kind) -> String {
        let mut parts = Vec::new();
        for part in &kind.attributes {
            self.type_of(part.kind);
            let collated = self.collated(part.collation).unwrap_or_default();
            parts.push(format!(
                "{} {}{collated}",
                quote::ident(part.name.as_deref().unwrap_or_default()),
                self.moved(&part.written)
            ));
        }
        format!("CREATE TYPE {} AS ({})", kind.quoted(), parts.join(", "))
    }

    fn say(&mut self, kind: &Kind, what: &str) {
        self.before
            .remarks
            .push(format!("type {}.{} {what}", kind.schema, kind.name));
    }

    /// A sequence by which a default counts, and whose it is.
    fn sequence(&mut self, oid: u32, part: &mut Part) {
        let sides = self.sides;
        let Some(sequence) = sides.sequence(oid) else {
            return;
        };
        if !self.known.insert(oid) || sides.taken(&sequence.schema, &sequence.name).is_some() {
            return;
        }
        self.schema(&sequence.schema);
        part.statements.push(write::sequence(sequence));
        if let Some(owner) = self.owner(sequence) {
            let sequence = sequence.quoted();
            self.behind
                .push(format!("ALTER SEQUENCE {sequence} OWNED BY {owner}"));
        }
    }

    fn owner(&self, sequence: &Sequence) -> Option<String> {
        let (oid, number) = sequence.owner?;
        let table = self
            .sides
            .desk
            .tables
            .iter()
            .find(|table| table.oid == oid)?;
        let column = table
            .columns
            .iter()
            .find(|column| column.number == number)?;
        let name = column
            .name
            .as_deref()
            .filter(|_| self.made.contains(&oid))?;
        Some(format!("{}.{}", table.quoted(), quote::ident(name)))
    }

    /// A definition with the names that its objects have in the cloud.
    pub(super) fn moved(&self, text: &str) -> String {
        rewritten(text, &self.renamed)
    }
}

fn enumeration(kind: &Kind) -> String {
    let labels = kind
        .labels
        .iter()
        .flatten()
        .map(|label| quote::literal(label));
    let labels: Vec<_> = labels.collect();
    format!(
        "CREATE TYPE {} AS ENUM ({})",
        kind.quoted(),
        labels.join(", ")
    )
}
