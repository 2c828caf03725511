//! What the cloud lacks for a piece of a table, in words. Pure.

use super::shape::{Collation, Ground, Kind, Object, Piece, Sequence, Structure};
use crate::plan::quote;

/// Both sides.
#[derive(Clone, Copy)]
pub(super) struct Sides<'a> {
    pub(super) desk: &'a Structure,
    pub(super) ground: &'a Ground,
}

impl<'a> Sides<'a> {
    /// Why the cloud can't have a definition; none where it can.
    pub(super) fn lacks(&self, piece: &Piece) -> Option<String> {
        if piece.text.is_none() {
            return Some("its text on the desktop is not UTF-8".to_owned());
        }
        if piece.version > self.ground.version {
            return Some(format!(
                "that needs PostgreSQL {}, and the cloud is {}",
                piece.version, self.ground.version
            ));
        }
        let mut needs = piece.needs.iter();
        needs.find_map(|(sort, oid)| self.lacks_one(sort, *oid))
    }

    fn lacks_one(&self, sort: &str, oid: u32) -> Option<String> {
        match sort {
            "type" => self.lacks_type(oid),
            "relation" => self.lacks_relation(oid),
            "collation" if self.made_collation(oid).is_some() => None,
            _ => match self.object(sort, oid) {
                Some(object) if self.has(object) => None,
                Some(object) => Some(self.missing(object)),
                None => Some(format!(
                    "it needs {} that was not found on the desktop",
                    a(sort)
                )),
            },
        }
    }

    fn lacks_relation(&self, oid: u32) -> Option<String> {
        let Some(sequence) = self.sequence(oid) else {
            return Some("it refers to a table or view by its name".to_owned());
        };
        match self.taken(&sequence.schema, &sequence.name) {
            None | Some("S") => None,
            Some(_) => Some(format!(
                "the cloud has something else that is called {}",
                sequence.quoted()
            )),
        }
    }

    /// Why a type can't be there; none where it is, or can be made.
    pub(super) fn lacks_type(&self, oid: u32) -> Option<String> {
        let object = self.object("type", oid)?;
        if object.schema == "pg_catalog" || self.has(object) {
            return None;
        }
        let Some(kind) = self.kind(oid).filter(|_| object.extension.is_none()) else {
            return Some(self.missing(object));
        };
        if self.taken(&kind.schema, &kind.name).is_some() {
            return Some(format!(
                "the cloud has something else that is called {}",
                kind.quoted()
            ));
        }
        let unreadable = || format!("type {} has a part that is not UTF-8", kind.quoted());
        match kind.sort.as_str() {
            "e" => (kind.labels.iter().any(Option::is_none)).then(unreadable),
            "d" => self.lacks_type(kind.base),
            "c" if kind.row => Some(format!(
                "type {} is the row of a table; make it in the cloud first",
                kind.quoted()
            )),
            "c" if kind.attributes.iter().any(|part| part.name.is_none()) => Some(unreadable()),
            "c" => kind
                .attributes
                .iter()
                .find_map(|part| self.lacks_type(part.kind)),
            _ => Some(self.missing(object)),
        }
    }

    fn missing(&self, object: &Object) -> String {
        let Object {
            sort,
            schema,
            name,
            extension,
            ..
        } = object;
        let place = match self.ground.schemas.contains("extensions") {
            true => " SCHEMA extensions",
            false => "",
        };
        match extension {
            Some(extension) => format!(
                "{sort} {name} is of extension {extension}, which the cloud lacks; in the cloud: CREATE EXTENSION IF NOT EXISTS {}{place}; then this again",
                quote::ident(extension)
            ),
            None if schema == "pg_catalog" => format!(
                "the cloud's PostgreSQL {} has no {sort} {name}",
                self.ground.version
            ),
            None => format!(
                "the cloud has no {sort} {schema}.{name}; make it there first, then this again"
            ),
        }
    }

    /// The cloud has it.
    pub(super) fn has(&self, object: &Object) -> bool {
        self.ground.objects.contains_key(&object.key)
    }

    pub(super) fn object(&self, sort: &str, oid: u32) -> Option<&'a Object> {
        self.desk.objects.get(&(sort.to_owned(), oid))
    }

    pub(super) fn sequence(&self, oid: u32) -> Option<&'a Sequence> {
        self.desk.sequences.iter().find(|one| one.oid == oid)
    }

    pub(super) fn kind(&self, oid: u32) -> Option<&'a Kind> {
        self.desk.types.iter().find(|kind| kind.oid == oid)
    }

    /// A collation that has to be made, and can be: the server's own and those of the operating system can't.
    pub(super) fn made_collation(&self, oid: u32) -> Option<&'a Collation> {
        let object = self.object("collation", oid)?;
        let made = self.desk.collations.iter().find(|one| one.oid == oid);
        made.filter(|one| {
            !self.has(object)
                && object.extension.is_none()
                && one.provider == "i"
                && one.locale.is_some()
                && (one.rules.is_none() || self.ground.version >= 16)
        })
    }

    /// What the cloud has of this name.
    pub(super) fn taken(&self, schema: &str, name: &str) -> Option<&'a str> {
        let found = self.ground.taken.get(&(schema.to_owned(), name.to_owned()));
        found.map(String::as_str)
    }
}

fn a(sort: &str) -> String {
    let article = match sort.starts_with(['a', 'o']) {
        true => "an",
        false => "a",
    };
    format!("{article} {sort}")
}
