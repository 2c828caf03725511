//! What is known of a table while its columns are matched: both sides of it, and the columns found so far.

use super::super::relation::{ColumnFacts, RelationFacts};
use crate::config::{Settings, Table as Wanted};
use crate::model::{Arriving, Column, Reads, Source};
use crate::plan::quote;

pub(super) struct Resolver<'a> {
    pub(super) settings: &'a Settings,
    pub(super) all: &'a [Pair<'a>],
    pub(super) wanted: &'a Wanted,
}

/// What is known of both sides of a table that exists on both.
#[derive(Clone, Copy)]
pub(super) struct Sides<'a> {
    pub(super) desktop: &'a RelationFacts,
    pub(super) cloud: &'a RelationFacts,
}

/// Columns as they are found.
#[derive(Default)]
pub(super) struct Mapping {
    pub(super) arriving: Vec<Arriving>,
    pub(super) columns: Vec<Column>,
}

impl Mapping {
    /// The number of a desktop column that travels; it does from now on.
    pub(super) fn arrives(&mut self, from: &ColumnFacts) -> usize {
        let known = self
            .arriving
            .iter()
            .position(|known| known.name == from.name);
        known.unwrap_or_else(|| {
            self.arriving.push(Arriving {
                name: from.name.clone(),
                base_type: from.base_type.clone(),
            });
            self.arriving.len() - 1
        })
    }

    pub(super) fn fills(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name)
    }
}

/// A cloud column, whatever fills it.
pub(super) fn column(to: &ColumnFacts, from: Source) -> Column {
    let item = to.item();
    let shaped = item.as_ref().unwrap_or(to).type_name.as_str();
    let normalised = matches!(
        shaped,
        "numeric" | "timestamp" | "timestamptz" | "time" | "timetz" | "interval"
    ) || item.is_some() && shaped == "bpchar";
    let compare_type = match to.type_name.as_str() {
        "bpchar" => "pg_catalog.text".to_owned(),
        _ if normalised && to.modifier >= 0 => to.full_type.clone(),
        _ => to.base_type.clone(),
    };
    // These have no equality that a join could use.
    let comparable = to.category != 'G'
        && !matches!(
            to.type_name.as_str(),
            "json" | "xml" | "jsonpath" | "pg_snapshot" | "txid_snapshot"
        );
    let converted = matches!(from, Source::Converted { .. });
    Column {
        cloud_owned: false,
        name: to.name.clone(),
        from,
        base_type: to.base_type.clone(),
        compare_type,
        narrower: None,
        reads: Reads::Plain,
        parents: Vec::new(),
        exact: !converted && type_is_exact(to),
        not_null: to.not_null && comparable,
    }
}

/// Types whose equal values are always written alike.
fn type_is_exact(to: &ColumnFacts) -> bool {
    match to.type_name.as_str() {
        "numeric" => to.modifier >= 0,
        "bpchar" | "citext" | "interval" | "float4" | "float8" => false,
        _ => true,
    }
}

/// A desktop column's name as SQL writes it.
pub(super) fn written(from: &ColumnFacts) -> String {
    quote::ident(&from.name)
}

/// A table of the settings with what both catalogs say about it.
pub struct Pair<'a> {
    /// The settings.
    pub wanted: &'a Wanted,
    /// The desktop's table, if it exists.
    pub desktop: Option<&'a RelationFacts>,
    /// The cloud's table, if it exists.
    pub cloud: Option<&'a RelationFacts>,
}
