//! What names a row, and what tells a mapping from an earlier one.

use super::super::relation::RelationFacts;
use super::complaint::{Complaints, Sort};
use crate::config::Table as Wanted;
use crate::model::{Column, Key, Source, Table};

pub(super) fn key(
    wanted: &Wanted,
    cloud: &RelationFacts,
    columns: &[Column],
    complaints: &mut Complaints,
) -> Key {
    let names = match &wanted.key {
        Some(names) if names.is_empty() => return Key::Multiset,
        Some(names) => names,
        None if cloud.primary_key.is_empty() => {
            complaints.add(Sort::Key, "the cloud's table has no primary key; say key = [...] with columns that name a row, or key = [] to count equal rows".to_owned());
            return Key::Multiset;
        }
        None => &cloud.primary_key,
    };
    let mut key = Vec::new();
    for name in names {
        match columns.iter().position(|column| column.name == *name) {
            Some(at) if matches!(columns[at].from, Source::LookedUp(_)) => complaints.add(Sort::Key, format!(
                "key column {name} is looked up, so it can't name a row; choose another key, or key = []"
            )),
            Some(at) if columns[at].cloud_owned => complaints.add(Sort::Key, format!(
                "key column {name} is cloud_owned, so it can't name a row; choose another key, or key = []"
            )),
            Some(at) => key.push(at),
            None if cloud.column(name).is_none() => {
                complaints.add(Sort::Key, format!(
                    "key column {name} does not exist in the cloud's table"
                ));
            }
            None => complaints.add(Sort::Key, format!(
                "key column {name} is not filled by forward; choose another key, or key = []"
            )),
        }
    }
    Key::Columns(key)
}

/// Whether a unique index of the cloud finds a row by its key alone. NULLs are beside it: those that a conversion may
/// make are not seen before.
pub(super) fn is_indexed(table: &Table, cloud: &RelationFacts) -> bool {
    let Key::Columns(key) = &table.key else {
        return false;
    };
    let known =
        |column: &Column| column.not_null || !matches!(column.from, Source::Converted { .. });
    let named = |name: &String| {
        let mut columns = key.iter().map(|at| &table.columns[*at]);
        columns.any(|column| column.name == *name && known(column))
    };
    cloud.unique.iter().any(|index| index.iter().all(named))
}

/// A text that changes when key or mapping do.
pub(super) fn fingerprint(table: &Table) -> String {
    let text = format!(
        "{}|{}|{:?}|{}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}",
        table.desktop,
        table.desktop_oid,
        table.leaves,
        table.cloud,
        table.key,
        table.arriving,
        table.columns,
        table.lookups,
        table.owner,
        table.tenant
    );
    // What a desktop's bytes mean is part of how they are mapped; most have nothing to say of it.
    match table.charset {
        Some(charset) => digest(&format!("{text}|{charset:?}")),
        None => digest(&text),
    }
}

pub(super) fn digest(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest
        .as_ref()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
