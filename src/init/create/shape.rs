//! What the desktop's catalog says of tables that the cloud lacks, and what the cloud has. Plain values.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::model::Name;
use crate::plan::quote;

/// Something in a schema, as SQL writes its name.
pub(super) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quote::ident(schema), quote::ident(name))
}

/// The desktop's side of it.
#[derive(Default)]
pub(super) struct Structure {
    pub(super) tables: Vec<Table>,
    pub(super) types: Vec<Kind>,
    pub(super) sequences: Vec<Sequence>,
    pub(super) collations: Vec<Collation>,
    /// Whatever expressions, columns and indexes need, by sort and identifier.
    pub(super) objects: BTreeMap<(String, u32), Object>,
}

/// A definition as the server writes it, and what it can't do without.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Piece {
    /// None: it can't be read as UTF-8.
    pub(super) text: Option<String>,
    pub(super) needs: Vec<(String, u32)>,
    /// The oldest major version that has its syntax; 0: any.
    pub(super) version: u32,
}

/// A table.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Table {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) relation: String,
    /// `pg_class.relkind`.
    pub(super) kind: String,
    /// `pg_class.relpersistence`.
    pub(super) persistence: String,
    /// Tables that it inherits from.
    pub(super) inherits: Vec<String>,
    pub(super) comment: Option<String>,
    #[serde(skip)]
    pub(super) columns: Vec<Column>,
    #[serde(skip)]
    pub(super) constraints: Vec<Constraint>,
    #[serde(skip)]
    pub(super) indexes: Vec<Index>,
}

impl Table {
    pub(super) fn name(&self) -> Name {
        Name {
            schema: self.schema.clone(),
            relation: self.relation.clone(),
        }
    }

    pub(super) fn quoted(&self) -> String {
        qualified(&self.schema, &self.relation)
    }
}

/// A column.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Column {
    pub(super) table: u32,
    pub(super) number: i16,
    /// None: it can't be read as UTF-8.
    pub(super) name: Option<String>,
    pub(super) written: String,
    /// Its type, or the type of an array's elements.
    pub(super) kind: u32,
    /// A collation that isn't its type's, or 0.
    pub(super) collation: u32,
    pub(super) not_null: bool,
    /// NOT NULL counts for new rows only: NOT VALID.
    pub(super) unproven: bool,
    pub(super) default: Option<Piece>,
    /// `pg_attribute.attgenerated`.
    pub(super) generated: String,
    /// `pg_attribute.attidentity`.
    pub(super) identity: String,
    /// The identity's sequence, or 0.
    pub(super) sequence: u32,
    pub(super) comment: Option<String>,
}

/// A constraint.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Constraint {
    pub(super) table: u32,
    pub(super) name: Option<String>,
    /// `pg_constraint.contype`.
    pub(super) sort: String,
    pub(super) columns: Vec<i16>,
    pub(super) piece: Piece,
    /// Not so: NOT VALID.
    pub(super) valid: bool,
    /// The table that a foreign key refers to, or 0.
    pub(super) parent: u32,
    pub(super) parent_name: Option<String>,
    /// Its index, or that of the parent.
    pub(super) index: u32,
    pub(super) comment: Option<String>,
}

/// An index that isn't a constraint's.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Index {
    pub(super) oid: u32,
    pub(super) table: u32,
    pub(super) name: Option<String>,
    /// As the server writes it.
    pub(super) written: Option<String>,
    pub(super) columns: Vec<i16>,
    pub(super) piece: Piece,
    pub(super) comment: Option<String>,
}

/// A type that isn't the server's own.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Kind {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    /// `pg_type.typtype`.
    pub(super) sort: String,
    /// It is a table's row.
    pub(super) row: bool,
    /// An enum's, in order.
    pub(super) labels: Vec<Option<String>>,
    /// A domain's base, and the base's identifier.
    pub(super) written: String,
    pub(super) base: u32,
    pub(super) collation: u32,
    pub(super) not_null: bool,
    pub(super) default: Option<Piece>,
    pub(super) checks: Vec<Check>,
    /// A composite type's.
    pub(super) attributes: Vec<Attribute>,
    pub(super) comment: Option<String>,
}

impl Kind {
    pub(super) fn quoted(&self) -> String {
        qualified(&self.schema, &self.name)
    }
}

/// A domain's constraint.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Check {
    pub(super) name: Option<String>,
    pub(super) piece: Piece,
    pub(super) valid: bool,
}

/// A composite type's column.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Attribute {
    pub(super) name: Option<String>,
    pub(super) written: String,
    pub(super) kind: u32,
    pub(super) collation: u32,
}

/// A sequence.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Sequence {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) written: String,
    pub(super) start: i64,
    pub(super) step: i64,
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) cache: i64,
    pub(super) cycle: bool,
    /// The table and column that it goes with.
    pub(super) owner: Option<(u32, i16)>,
}

impl Sequence {
    pub(super) fn quoted(&self) -> String {
        qualified(&self.schema, &self.name)
    }
}

/// A collation of the database's own.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Collation {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    /// `pg_collation.collprovider`.
    pub(super) provider: String,
    pub(super) deterministic: bool,
    pub(super) locale: Option<String>,
    pub(super) rules: Option<String>,
}

/// Something that both sides may have under one name.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Object {
    pub(super) sort: String,
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) extension: Option<String>,
    /// Equal on both sides for what is the same; an extension's objects may be in another schema.
    pub(super) key: String,
}

/// The cloud's side of it.
#[derive(Default)]
pub(super) struct Ground {
    /// The major version.
    pub(super) version: u32,
    pub(super) schemas: BTreeSet<String>,
    /// Relations with their `relkind`, and types with a `t`.
    pub(super) taken: BTreeMap<(String, String), String>,
    /// What it has of the desktop's objects, by key: the schema.
    pub(super) objects: BTreeMap<String, String>,
}
