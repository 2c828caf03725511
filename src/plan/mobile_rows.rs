//! What the desktop did to rows of the phone's, and to columns that the cloud owns.

use super::compare::output;
use super::guard::Guard;
use super::kept::{Counted, UPDATE};
use super::quote::{ident, literal, table as qualified};
use super::source::{Rows, all, changeable, differs, image, key, source};
use super::write::{delete_found, matches, sent, update_differing};
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
                " where exists (select from {} as t where {} and {} and {} *<> {})",
                qualified(&table.cloud),
                matches(table, &mixed),
                Guard::of(table).owned(),
                image("t", &owned),
                image("src", &owned),
            )
        }
    };
    format!(
        "with {} insert into tandem.outbox (replicator, \"table\", key, op) \
         select distinct current_setting('tandem.replicator'), {}, {}, 'R' from src{differs}",
        source(table, &columns, rows, &[]),
        literal(&table.name),
        outbox_key(table),
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
        let cast = format!("::{}", column.compare_type);
        output(&format!("src.{}", ident(&column.name)), &cast)
    });
    format!("array[{}]::text[]", cells.collect::<Vec<_>>().join(", "))
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

/// The desktop's row, as far as it was sent.
fn on_desktop(table: &Table, shape: &StepShape, rows: &Rows) -> String {
    let cells = { table.arriving.iter().enumerate() }
        .filter(|(index, _)| !shape.unsent.contains(index))
        .map(|(index, column)| format!("{} as {}", rows.cell(index), ident(&column.name)));
    format!(
        "(select to_jsonb(r) from (select {}) as r) as \"tandem desktop\"",
        cells.collect::<Vec<_>>().join(", ")
    )
}

/// A CTE, behind a comma, that tells the way home how the desktop has rows of the phone's which `found` finds: what the phone does
/// to them from here on is no conflict with that.
fn told(table: &Table, found: &str, image: &str) -> String {
    if !table.both_ways {
        return String::new();
    }
    format!(
        ", told as (insert into tandem.outbox (replicator, \"table\", key, op, told) \
         select current_setting('tandem.replicator'), {}, {}, 'A', {image} from src where exists (select from {} as t where {found}))",
        literal(&table.name),
        outbox_key(table),
        qualified(&table.cloud),
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
        "{} and {}",
        matches(table, shape),
        Guard::of_mobile(table).owned()
    );
    let different = format!(
        "(select count(*) from {} as t where exists (select from src where {found} and {}))",
        qualified(&table.cloud),
        differs(&unowned, &changing)
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
    let found = format!("{} and {}", matches(table, shape), guard.deletable());
    let told = told(table, &found, "null::jsonb");
    delete_found(table, shape, rows, (&guard, &told), "false")
}
