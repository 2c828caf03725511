//! What the desktop did to rows of the phone's, and to columns that the cloud owns.

use super::compare::output;
use super::guard::Guard;
use super::quote::{ident, literal, table as qualified};
use super::source::{Rows, all, changeable, key, source};
use super::write::{delete_found, matches, sent, update_differing};
use crate::model::{Key, Shape, Source, Table};

/// Entries for the outbox: the desktop changed what the cloud owns of these rows, and gets it again.
pub(super) fn recall(table: &Table, rows: &Rows) -> String {
    format!(
        "with {} insert into tandem.outbox (replicator, \"table\", key, op) \
         select distinct current_setting('tandem.replicator'), {}, {}, 'R' from src",
        source(table, &key(table), rows, &[]),
        literal(&table.name),
        outbox_key(table),
    )
}

/// What an outbox entry names an arrived row `src` by.
pub(super) fn outbox_key(table: &Table) -> String {
    // A constant is equal in all rows, and the desktop has none.
    let named = key(table).into_iter().filter(|(_, column)| {
        table.key != Key::Multiset || !matches!(column.from, Source::Constant(_))
    });
    let cells = named.map(|(_, column)| {
        let cast = format!("::{}", column.compare_type);
        output(&format!("src.{}", ident(&column.name)), &cast)
    });
    format!("array[{}]::text[]", cells.collect::<Vec<_>>().join(", "))
}

/// Notes that the desktop changed rows of the phone's, or removed them: nothing of it is written, and both images are kept.
pub(super) fn note(table: &Table, shape: &Shape, rows: &Rows, gone: bool) -> String {
    let cells = { table.arriving.iter().enumerate() }
        .filter(|(index, _)| !shape.unsent.contains(index))
        .map(|(index, column)| format!("{} as {}", rows.cell(index), ident(&column.name)));
    let image = match gone {
        true => "null::jsonb".to_owned(),
        false => format!(
            "(select to_jsonb(r) from (select {}) as r)",
            cells.collect::<Vec<_>>().join(", ")
        ),
    };
    let extra = [format!("{image} as \"tandem desktop\"")];
    let mixed = Shape {
        mixed_keys: true,
        ..Shape::default()
    };
    format!(
        "with {} insert into tandem.conflict (replicator, \"table\", kind, key, kept, desktop, cloud) \
         select current_setting('tandem.replicator'), {}, 'mobile', {}, 'cloud', src.\"tandem desktop\", to_jsonb(t) \
         from src left join {} as t on {} and {}",
        source(table, &key(table), rows, &extra),
        literal(&table.name),
        outbox_key(table),
        qualified(&table.cloud),
        matches(table, &mixed),
        Guard::of_mobile(table).owned(),
    )
}

/// Changes rows of the phone's as the desktop did; one that the phone deleted stays deleted.
pub(super) fn change_mobile(table: &Table, shape: &Shape, rows: &Rows) -> String {
    let changing = sent(table, changeable(table), shape);
    if changing.is_empty() {
        return "select".to_owned();
    }
    // It stays the phone's.
    let unowned = Table {
        owner: None,
        ..table.clone()
    };
    let columns = sent(table, all(table), shape);
    let found = format!(
        "{} and {}",
        matches(table, shape),
        Guard::of_mobile(table).owned()
    );
    format!(
        "with {} {}",
        source(table, &columns, rows, &[]),
        update_differing(&unowned, &changing, "src", &found)
    )
}

/// Removes rows of the phone's as the desktop did.
pub(super) fn remove_mobile(table: &Table, shape: &Shape, rows: &Rows) -> String {
    delete_found(table, shape, rows, &Guard::of_mobile(table), "false")
}
