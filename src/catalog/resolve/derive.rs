//! Columns that are made of what arrives: conversions and time zones.

use super::super::narrow::is_text;
use super::super::relation::{ColumnFacts, RelationFacts};
use super::super::sql_identifiers::mentions;
use super::complaint::Complaints;
use super::mapping::{Mapping, Resolver, Sides, column, written};
use crate::model::{Charset, Column, Owner, Reads, Source};
use crate::plan::quote;

impl Resolver<'_> {
    /// Some conversion uses the desktop's column.
    pub(super) fn is_converted(&self, from: &ColumnFacts, desktop: &RelationFacts) -> bool {
        let names = || desktop.columns.iter().map(|column| column.name.as_str());
        let of = desktop
            .columns
            .iter()
            .position(|column| column.name == from.name);
        let mut conversions = self.wanted.convert.iter();
        of.is_some_and(|of| conversions.any(|(_, sql)| mentions(sql, names()).contains(&of)))
    }

    /// Columns that are SQL over the arriving row.
    pub(super) fn converted(
        &self,
        sides: &Sides<'_>,
        mapping: &mut Mapping,
        complaints: &mut Complaints,
    ) {
        for (name, sql) in &self.wanted.convert {
            let Some(to) = sides.cloud.column(name) else {
                complaints.push(format!(
                    "convert names column {name}, which the cloud's table does not have"
                ));
                continue;
            };
            if to.refuses_values() {
                complaints.push(format!(
                    "column {name} is generated in the cloud and can't be written"
                ));
            }
            let names = sides
                .desktop
                .columns
                .iter()
                .map(|column| column.name.as_str());
            let used = mentions(sql, names)
                .into_iter()
                .map(|at| &sides.desktop.columns[at]);
            let mut uses = Vec::new();
            for from in used {
                if !from.sent && self.wanted.stream {
                    complaints.push(format!(
                        "convert of {name} uses {}, which is computed on the desktop and not sent",
                        from.name
                    ));
                }
                uses.push(mapping.arrives(from));
            }
            let from = Source::Converted {
                sql: sql.clone(),
                uses,
            };
            mapping.columns.push(column(to, from));
        }
    }
}

/// A column that takes the value of another one, perhaps of another type.
pub(super) fn taking(from: &ColumnFacts, to: &ColumnFacts, index: usize) -> Column {
    let mut column = column(to, Source::Arriving(index));
    column.reads = reads(from, to);
    column.exact &= writes_alike(from, to);
    // What is equal for the one is not written alike for the other.
    if (from.type_name.as_str(), to.type_name.as_str()) == ("jsonb", "json") {
        "pg_catalog.jsonb".clone_into(&mut column.compare_type);
    }
    column
}

/// How the text of the one type becomes a value of the other.
fn reads(from: &ColumnFacts, to: &ColumnFacts) -> Reads {
    let items = from.item().zip(to.item());
    let (one, other) = items
        .as_ref()
        .map_or((from, to), |(one, other)| (one, other));
    let many = if items.is_some() { "[]" } else { "" };
    let through = |types: &[&str]| {
        let types: Vec<_> = types.iter().map(|name| format!("{name}{many}")).collect();
        Reads::Through(types.join("::"))
    };
    match (one.type_name.as_str(), other.type_name.as_str()) {
        (one, other) if one == other => Reads::Plain,
        // Blanks fill `char(n)` up to its length and belong to no value.
        ("bpchar", _) if is_text(other) => through(&["pg_catalog.bpchar"]),
        ("bool", _) if is_text(other) => through(&["boolean"]),
        ("bool", "int2" | "int4" | "int8" | "numeric" | "float4" | "float8") => {
            through(&["boolean", "integer"])
        }
        ("money", "numeric") => through(&["money"]),
        _ if is_text(one) && is_text(other) => Reads::Plain,
        _ if is_text(one) || is_text(other) => Reads::Spelled,
        _ if one.category == 'E' => Reads::Spelled,
        _ => Reads::Plain,
    }
}

/// Values that are written differently by the one type are different for the other, and written there as they were.
fn writes_alike(from: &ColumnFacts, to: &ColumnFacts) -> bool {
    let is_whole = |facts: &ColumnFacts| match facts.type_name.as_str() {
        "int2" | "int4" | "int8" => true,
        "numeric" => facts.modifier >= 0 && facts.full_type.ends_with(",0)"),
        _ => false,
    };
    let padded = |facts: &ColumnFacts| facts.type_name == "bpchar";
    let texts = is_text(from) && is_text(to) && !padded(from);
    from.type_name == to.type_name
        && (from.modifier == to.modifier || !padded(from) && from.type_name != "numeric")
        || texts
        || is_whole(from) && is_whole(to)
        || from.category == 'E' && (to.category == 'E' || is_text(to))
        || from.type_name == "uuid" && is_text(to)
}

/// A value with a time zone of one without, or the other way round: the desktop's zone is meant.
pub(super) fn zoned(from: &ColumnFacts, index: usize, zone: &str) -> Source {
    let name = written(from);
    let value = if from.type_name == "date" {
        format!("{name}::timestamp")
    } else {
        name
    };
    Source::Converted {
        sql: format!("{value} at time zone {}", quote::literal(zone)),
        uses: vec![index],
    }
}

impl Resolver<'_> {
    /// What the desktop's bytes mean.
    pub(super) fn charset(&self, desktop: &RelationFacts) -> Option<Charset> {
        let setting = self.settings.desktop.endpoint.encoding;
        Charset::of(&desktop.encoding, setting)
    }

    /// How the cloud's rows say who made them.
    pub(super) fn owner(&self, cloud: &RelationFacts) -> Option<Owner> {
        let settings = &self.settings.owner;
        cloud.column(&settings.column).map(|column| Owner {
            column: column.name.clone(),
            base_type: column.base_type.clone(),
            desktop: settings.desktop.clone(),
            mobile: settings.mobile.clone(),
        })
    }
}
