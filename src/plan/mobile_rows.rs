//! What the desktop did to rows of the phone's, and to columns that the cloud owns.

use super::as_text::output;
use super::clauses::{matches, sent, update_differing};
use super::delete::delete_found;
use super::guard::Guard;
use super::kept::{Counted, UPDATE};
use super::quote::{ident, literal, table as qualified};
use super::source::{Rows, all, changeable, differs, image, key, source};
use crate::model::{Column, Key, Source, StepShape, Table};

/// Entries for the outbox: the desktop has something else in columns that are the cloud's own, and gets the cloud's again. Equal
/// rows of a table without a key can't be told apart, so whether these agree is asked when the entry is read.
pub(super) fn recall(table: &Table, shape: &StepShape, rows: &Rows) -> String {
    let mut columns = key(table);
    let differs = match table.key {
        Key::Multiset => String::new(),
        Key::Columns(_) => {
            let owned = compared(table, shape);
            columns.extend(owned.iter().copied());
            let mixed = StepShape {
                mixed_keys: true,
                ..StepShape::default()
            };
            format!(
                " where exists (\
                   select \
                   from {target} as t \
                   where {matches} and {owned} and {stored} *<> {wanted}\
                 )",
                target = qualified(&table.cloud),
                matches = matches(table, &mixed),
                owned = Guard::of(table).owned(),
                stored = image("t", &owned),
                wanted = image("src", &owned)
            )
        }
    };
    format!(
        "with {source} \
         insert into tandem.outbox (replicator, \"table\", key, op) \
         select distinct current_setting('tandem.replicator'), {name}, {outbox_key}, 'R' \
         from src{differs}",
        source = source(table, &columns, rows, &[]),
        name = literal(&table.name),
        outbox_key = outbox_key(table)
    )
}

/// Columns of the cloud's own that a recalled row says.
fn compared<'a>(table: &'a Table, shape: &StepShape) -> Vec<(usize, &'a Column)> {
    let mut owned = all(table);
    owned.retain(|(_, column)| column.cloud_owned);
    sent(table, owned, shape)
}

/// The arriving columns that a recalled row is named by, and compared by.
pub(super) fn recalled(table: &Table, shape: &StepShape) -> Vec<usize> {
    let mut taken = table.naming();
    if table.key != Key::Multiset {
        let owned = compared(table, shape);
        taken.extend(owned.iter().flat_map(|(_, column)| column.from.uses()));
        taken.sort_unstable();
        taken.dedup();
    }
    taken
}

/// What an outbox entry names an arrived row `src` by.
pub(super) fn outbox_key(table: &Table) -> String {
    // A constant is equal in all rows, and the desktop has none.
    let named = key(table).into_iter().filter(|(_, column)| {
        table.key != Key::Multiset || !matches!(column.from, Source::Constant(_))
    });
    let cells = named.map(|(_, column)| {
        let cast = format!("::{compare_type}", compare_type = column.compare_type);
        output(
            &format!("src.{column}", column = ident(&column.name)),
            &cast,
        )
    });
    format!(
        "array[{cells}]::text[]",
        cells = cells.collect::<Vec<_>>().join(", ")
    )
}

/// Notes that the desktop changed rows of the phone's, or removed them: nothing of it is written, and both images are kept.
pub(super) fn note(table: &Table, shape: &StepShape, rows: &Rows, gone: bool) -> String {
    let image = match gone {
        true => "null::jsonb as \"tandem desktop\"".to_owned(),
        false => on_desktop(table, shape, rows),
    };
    let extra = [image];
    let mixed = StepShape {
        mixed_keys: true,
        ..StepShape::default()
    };
    format!(
        "with {source} \
         insert into tandem.conflict (replicator, \"table\", kind, key, kept, desktop, cloud) \
         select current_setting('tandem.replicator'), {name}, 'mobile', {outbox_key}, 'cloud', \
           src.\"tandem desktop\", to_jsonb(t) \
         from src \
         left join {target} as t on {matches} and {owned}",
        source = source(table, &key(table), rows, &extra),
        name = literal(&table.name),
        outbox_key = outbox_key(table),
        target = qualified(&table.cloud),
        matches = matches(table, &mixed),
        owned = Guard::of_mobile(table).owned()
    )
}

/// The desktop's row, as far as it was sent.
fn on_desktop(table: &Table, shape: &StepShape, rows: &Rows) -> String {
    let cells = { table.arriving.iter().enumerate() }
        .filter(|(index, _)| !shape.unsent.contains(index))
        .map(|(index, column)| {
            format!(
                "{cell} as {column}",
                cell = rows.cell(index),
                column = ident(&column.name)
            )
        });
    format!(
        "(select to_jsonb(r) from (select {cells}) as r) as \"tandem desktop\"",
        cells = cells.collect::<Vec<_>>().join(", ")
    )
}

/// A CTE, behind a comma, that tells the way home how the desktop has rows of the phone's which `found` finds: what the phone does
/// to them from here on is no conflict with that.
fn told(table: &Table, found: &str, image: &str) -> String {
    if !table.both_ways {
        return String::new();
    }
    format!(
        ", told as (\
           insert into tandem.outbox (replicator, \"table\", key, op, told) \
           select current_setting('tandem.replicator'), {name}, {outbox_key}, 'A', {image} \
           from src \
           where exists (select from {target} as t where {found})\
         )",
        name = literal(&table.name),
        outbox_key = outbox_key(table),
        target = qualified(&table.cloud)
    )
}

/// Changes rows of the phone's as the desktop did; one that the phone deleted stays deleted.
pub(super) fn change_mobile(table: &Table, shape: &StepShape, rows: &Rows) -> String {
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
        "{matches} and {owned}",
        matches = matches(table, shape),
        owned = Guard::of_mobile(table).owned()
    );
    let different = format!(
        "(\
           select count(*) \
           from {target} as t \
           where exists (select from src where {found} and {differs})\
         )",
        target = qualified(&table.cloud),
        differs = differs(&unowned, &changing)
    );
    let counted = Counted {
        table,
        does: UPDATE,
        ctes: source(table, &columns, rows, &[on_desktop(table, shape, rows)]),
        besides: told(table, &found, "src.\"tandem desktop\""),
        parts: vec![(
            "changed",
            update_differing(&unowned, &changing, "src", &found),
        )],
        most: "(select count(*) from src)".to_owned(),
        still: Some(different.clone()),
        wanted: different,
    };
    counted.text(rows)
}

/// Removes rows of the phone's as the desktop did.
pub(super) fn remove_mobile(table: &Table, shape: &StepShape, rows: &Rows) -> String {
    let guard = Guard::of_mobile(table);
    let found = format!(
        "{matches} and {deletable}",
        matches = matches(table, shape),
        deletable = guard.deletable()
    );
    let told = told(table, &found, "null::jsonb");
    delete_found(table, shape, rows, (&guard, &told), "false")
}
