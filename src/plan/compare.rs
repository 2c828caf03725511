//! Rows of the desktop against the cloud's owned rows, by reading alone: what a copy would change.

use super::array::TextArray;
use super::as_text::as_it_is;
use super::desktop_rows::{admitted, cell, from};
use super::guard::Guard;
use super::quote::{ident, table as qualified};
use super::source::{Rows, all, differs, image, key, rest, source};
use crate::model::{Cell, Key, Param, Reads, Source, Statement, Table};

/// Reads a table's arriving columns as one `text[]` per row, and how many rows look like that.
pub fn rows_out(table: &Table) -> String {
    let (from, ours) = (from(table), admitted(table));
    let cells = table.arriving.iter();
    let cells = cells.map(|column| shown(table, &column.name));
    let cells = format!(
        "array[{cells}]::text[]",
        cells = cells.collect::<Vec<_>>().join(", ")
    );
    match table.key {
        Key::Multiset => {
            // What the cloud owns tells no rows apart.
            let naming = table.naming();
            let all = table.arriving.iter().enumerate();
            let cells = all.map(|(index, column)| match naming.contains(&index) {
                true => shown(table, &column.name),
                false => format!("min({shown})", shown = shown(table, &column.name)),
            });
            let names = naming
                .iter()
                .map(|index| cell(&table.arriving[*index].name));
            let names: Vec<_> = names.collect();
            format!(
                "select array[{cells}]::text[] as cells, count(*) as n \
                 from {from} as t \
                 where {ours} \
                 group by {names}",
                cells = cells.collect::<Vec<_>>().join(", "),
                names = names.join(", ")
            )
        }
        Key::Columns(_) => {
            format!("select {cells} as cells, 1::bigint as n from {from} as t where {ours}")
        }
    }
}

/// The same for a reader that takes text in UTF-8: digits, where the desktop has another (`Table::charset`).
fn shown(table: &Table, name: &str) -> String {
    let cell = cell(name);
    match table.charset {
        Some(_) => as_it_is(&cell),
        None => cell,
    }
}

/// How many of these rows are missing in the cloud, how many differ there, and how many of the desktop's rows there they
/// account for.
pub fn compared(table: &Table, rows: &[(Vec<Option<String>>, i64)]) -> Statement {
    let mut arrays: Vec<_> = table.arriving.iter().map(|_| TextArray::new()).collect();
    let mut counts = TextArray::new();
    for (cells, n) in rows {
        for (array, cell) in arrays.iter_mut().zip(cells) {
            array.push(
                cell.as_ref()
                    .map_or(Cell::Null, |text| Cell::Text(text.as_bytes())),
            );
        }
        counts.push(Cell::Text(n.to_string().as_bytes()));
    }
    arrays.push(counts);
    let params: Vec<Param> = arrays.into_iter().map(TextArray::finish).collect();
    Statement::bookkeeping(comparison(table), params)
}

/// How many rows of the desktop the cloud has.
pub fn deletable_count(table: &Table) -> String {
    let (target, guard) = (qualified(&table.cloud), Guard::of(table));
    format!(
        "select count(*) from {target} as t where {deletable}",
        deletable = guard.deletable()
    )
}

/// How many rows the cloud has that are the desktop's, or nobody's.
pub fn owned_count(table: &Table) -> String {
    let (target, guard) = (qualified(&table.cloud), Guard::of(table));
    let owned = guard.owned();
    format!("select count(*) from {target} as t where {owned}")
}

fn comparison(table: &Table) -> String {
    let table = &as_sent(table);
    let rows = Rows::Arrays((0..table.arriving.len()).collect(), vec!["n".to_owned()]);
    let source = source(
        table,
        &all(table),
        &rows,
        &["u.n::bigint as \"tandem n\"".to_owned()],
    );
    match table.key {
        Key::Columns(_) => one_by_one(table, &source),
        Key::Multiset => by_number(table, &source),
    }
}

/// Whether a value fits into a narrower column is seen when it is written; here it is only read as what was sent.
fn as_sent(table: &Table) -> Table {
    let mut table = table.clone();
    for column in &mut table.columns {
        if let (Some(_), Source::Arriving(at)) = (column.narrower.take(), &column.from) {
            let (sql, uses) = (ident(&table.arriving[*at].name), vec![*at]);
            let sent = &table.arriving[*at].base_type;
            let seen = match (&column.reads, sent.as_str()) {
                (Reads::Spelled, _) => Some("text"),
                (_, "numeric" | "money" | "character" | "bpchar") => None,
                (_, sent) => (*sent != column.base_type).then_some(sent),
            };
            if let Some(seen) = seen {
                seen.clone_into(&mut column.base_type);
                seen.clone_into(&mut column.compare_type);
            }
            column.from = Source::Converted { sql, uses };
        }
    }
    table
}

/// What names a row, as text.
fn name(alias: &str, table: &Table) -> String {
    format!("{image}::text", image = image(alias, &key(table)))
}

/// Rows that a key tells apart.
fn one_by_one(table: &Table, source: &str) -> String {
    let guard = Guard::of(table);
    format!(
        "with {source} \
         select count(*) filter (where t.ctid is null), \
           count(*) filter (where t.ctid is not null and {differs}), \
           count(*) filter (where t.ctid is not null and {deletable}) \
         from src \
         left join {target} as t on {stored} = {wanted} and {owned}",
        differs = differs(table, &rest(table)),
        deletable = guard.deletable(),
        target = qualified(&table.cloud),
        stored = name("t", table),
        wanted = name("src", table),
        owned = guard.owned()
    )
}

/// Rows of which only the number counts.
fn by_number(table: &Table, source: &str) -> String {
    let guard = Guard::of(table);
    let unclaimed = match &table.owner {
        Some(owner) => {
            format!(
                "count(*) filter (where t.{column} is null)",
                column = ident(&owner.column)
            )
        }
        None => "0".to_owned(),
    };
    format!(
        "with {source}, \
         have as (\
           select {stored} as name, count(*) as copies, \
             count(*) filter (where {deletable}) as mine, {unclaimed} as unclaimed \
           from {target} as t \
           where {owned} \
           group by 1\
         ) \
         select coalesce(\
           sum(greatest(0, src.\"tandem n\" - coalesce(have.copies, 0))), 0\
         )::bigint, \
           coalesce(sum(have.unclaimed), 0)::bigint, \
           coalesce(sum(least(coalesce(have.mine, 0), src.\"tandem n\")), 0)::bigint \
         from src \
         left join have on have.name = {wanted}",
        stored = name("t", table),
        deletable = guard.deletable(),
        target = qualified(&table.cloud),
        owned = guard.owned(),
        wanted = name("src", table)
    )
}
