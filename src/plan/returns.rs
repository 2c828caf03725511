//! What the desktop did to rows of the phone's, and to columns that the cloud owns.

use super::guard::{Change, Guard, spares};
use super::quote::{ident, literal, table as qualified};
use super::source::{Rows, changeable, image, key, source};
use super::write::{and, matches, sent};
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
        let name = ident(&column.name);
        format!(
            "case when src.{name} is distinct from null then concat(src.{name}::{}) end",
            column.compare_type
        )
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
    let columns = sent(table, super::source::all(table), shape);
    let src = source(table, &columns, rows, &[]);
    if changing.is_empty() {
        return "select".to_owned();
    }
    let when = format!(
        "{} and {} and {} *<> {}",
        matches(table, shape),
        Guard::of_mobile(table).owned(),
        image("t", &changing),
        image("src", &changing)
    );
    let names: Vec<_> = changing
        .iter()
        .map(|(_, column)| column.name.clone())
        .collect();
    let set: Vec<_> = names
        .iter()
        .map(|name| format!("{0} = src.{0}", ident(name)))
        .collect();
    let spared = and(spares(table, &when, Change::Looks(&names)));
    format!(
        "with {src} update {} as t set {} from src where {when}{spared}",
        qualified(&table.cloud),
        set.join(", "),
    )
}

/// Removes rows of the phone's as the desktop did.
pub(super) fn remove_mobile(table: &Table, shape: &Shape, rows: &Rows) -> String {
    let found = format!(
        "{} and {}",
        matches(table, shape),
        Guard::of_mobile(table).owned()
    );
    let spared = and(spares(table, &found, Change::Goes("false")));
    format!(
        "with {} delete from {} as t using src where {found}{spared}",
        source(table, &key(table), rows, &[]),
        qualified(&table.cloud),
    )
}
