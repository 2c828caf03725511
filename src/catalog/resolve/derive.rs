//! Columns that are made of what arrives: conversions and time zones.

use super::super::mention::mentions;
use super::super::relation::{ColumnFacts, RelationFacts};
use super::complaint::Complaints;
use super::{Mapping, Resolver, Sides, column, written};
use crate::model::{Charset, Owner, Source};
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
