//! How columns are read from what arrived, written, and compared.

use super::as_text::output;
use super::element::has_array;
pub(super) use super::looked_up::{looked_up, parents};
use super::quote::{ident, literal, table as qualified};
use crate::model::{Arriving, Column, Key, Reads, Source, Table};

/// Where arrived rows stand.
#[derive(Clone, Debug)]
pub(super) enum Rows {
    /// In array parameters, one for each of these arriving columns, then one for each of these names.
    Arrays(Vec<usize>, Vec<String>),
    /// One row, whose arriving columns are a parameter each: no estimate of the server's hangs on what they hold.
    Lone(Vec<usize>),
    /// In the staging table, under replicator `$1`, epoch `$2`, table `$3` and step `$4`.
    Staged,
    /// In the staging table, the rows of `$1 tid[]`.
    Chosen,
    /// In the staging table, under `$1`, `$2`, `$3` and this step.
    Beside(usize),
    /// Rows that were written without their parents, those of `$1 tid[]`: what names them, and what they refer to.
    Orphans,
}

impl Rows {
    /// The FROM item.
    pub(super) fn from(&self) -> String {
        match self {
            Rows::Arrays(arriving, extra) => {
                let (numbers, names) = sent_along(arriving, extra);
                format!("unnest({numbers}) as u({names})")
            }
            Rows::Lone(arriving) => {
                let (numbers, names) = sent_along(arriving, &[]);
                format!("(values ({numbers})) as u({names})")
            }
            Rows::Staged => "tandem.staging as u \
                where u.replicator = $1 and u.epoch = $2 and u.\"table\" = $3 and u.step = $4"
                .to_owned(),
            Rows::Beside(step) => format!(
                "tandem.staging as u \
                 where u.replicator = $1 and u.epoch = $2 and u.\"table\" = $3 and u.step = {step}"
            ),
            Rows::Orphans => "tandem.orphan as u where u.ctid = any($1)".to_owned(),
            Rows::Chosen => "tandem.staging as u where u.ctid = any($1)".to_owned(),
        }
    }

    /// How many there are in `src`.
    pub(super) fn count(&self) -> &'static str {
        match self {
            // Nobody has to read them for that.
            Rows::Arrays(..) => "cardinality($1)",
            Rows::Lone(_) => "1",
            Rows::Staged | Rows::Chosen | Rows::Beside(_) | Rows::Orphans => {
                "(select count(*) from src)"
            }
        }
    }

    /// The text of an arriving column.
    pub(super) fn cell(&self, arriving: usize) -> String {
        match self {
            Rows::Arrays(..) | Rows::Lone(_) => format!("u.c{arriving}"),
            Rows::Staged | Rows::Chosen | Rows::Beside(_) | Rows::Orphans => {
                format!("u.cells[{number}]", number = arriving + 1)
            }
        }
    }

    /// The text of an arriving column of the row under its old key.
    pub(super) fn origin(&self, arriving: usize) -> String {
        match self {
            Rows::Arrays(..) | Rows::Lone(_) => format!("u.k{arriving}"),
            Rows::Staged | Rows::Chosen | Rows::Beside(_) | Rows::Orphans => {
                format!("u.origin[{number}]", number = arriving + 1)
            }
        }
    }

    /// They come in the statement's own parameters.
    pub(super) fn are_sent_along(&self) -> bool {
        matches!(self, Rows::Arrays(..) | Rows::Lone(_))
    }
}

/// The parameters that rows come in, and what they are called.
fn sent_along(arriving: &[usize], extra: &[String]) -> (String, String) {
    let names = arriving.iter().map(|index| format!("c{index}"));
    let names: Vec<_> = names.chain(extra.iter().cloned()).collect();
    let numbers: Vec<_> = (1..=names.len()).map(|at| format!("${at}")).collect();
    (numbers.join(", "), names.join(", "))
}

/// An arriving value with the column's type, before it is assigned. Parsing as the type without its
/// modifier and assigning then lets nothing be shortened in silence (P11).
pub(super) fn value(
    arriving: &[Arriving],
    column: &Column,
    cell: &dyn Fn(usize) -> String,
) -> String {
    let base = &column.base_type;
    match &column.from {
        Source::Arriving(index) => match &column.narrower {
            // The cast from `text` to `regclass` is a function of its own that knows no `-` and no number; from
            // `bpchar` there is none, so the input function is taken.
            None if base == "regclass" => format!("{cell}::bpchar::{base}", cell = cell(*index)),
            None => match &column.reads {
                Reads::Through(types) => format!("{cell}::{types}::{base}", cell = cell(*index)),
                Reads::Plain | Reads::Spelled => format!("{cell}::{base}", cell = cell(*index)),
            },
            Some(narrow) if column.reads == Reads::Spelled => {
                let text = cell(*index);
                let kept = output(&format!("{text}::{narrow}"), "");
                let name = literal(&column.name);
                format!("tandem.fit({text}, {kept}, {name})::{base}")
            }
            Some(narrow) => {
                let sent = &arriving[*index].base_type;
                let text = cell(*index);
                format!(
                    "tandem.fit({text}::{sent}, {text}::{sent}::{narrow}::{sent}, {column})::{base}",
                    column = literal(&column.name)
                )
            }
        },
        Source::Constant(value) => format!("{value}::{base}", value = literal(value)),
        Source::Converted { sql, uses } => {
            let names = uses.iter().map(|index| {
                let sent = &arriving[*index];
                format!(
                    "{cell}::{base_type} as {sent}",
                    cell = cell(*index),
                    base_type = sent.base_type,
                    sent = ident(&sent.name)
                )
            });
            let names: Vec<_> = names.collect();
            format!(
                "(select ({sql}\n) from (select {names}) as arriving)::{base}",
                names = names.join(", ")
            )
        }
        // Filled in by `source`, once the columns that it depends on are there.
        Source::LookedUp(_) => format!("null::{base}"),
    }
}

/// The same for a column of the cloud; one that refers to a parent is NULL where there is none, if the settings want that. Where
/// the reference has columns that aren't at hand (`columns` are) it stays, and the cloud says what it thinks of it.
pub(super) fn value_or_null(
    table: &Table,
    columns: &[(usize, &Column)],
    column: &Column,
    cell: &dyn Fn(usize) -> String,
) -> String {
    let plain = value(&table.arriving, column, cell);
    let other = |name: &String| {
        let found = columns.iter().find(|(_, other)| other.name == *name);
        let found = found.filter(|(_, other)| !matches!(other.from, Source::LookedUp(_)));
        found.map(|(_, other)| value(&table.arriving, other, cell))
    };
    let exists = column.parents.iter().filter_map(|parent| {
        let (mut tests, mut nulls) = (Vec::new(), Vec::new());
        for (own, named) in &parent.on {
            let (own, named) = match *own == column.name {
                true => ("child.v".to_owned(), ident(named)),
                false => (other(own)?, ident(named)),
            };
            if own != "child.v" {
                nulls.push(format!("({own}) is null or "));
            }
            tests.push(format!("p.{named} = {own}"));
        }
        Some(format!(
            "({nulls}exists (select from {table} as p where {tests}))",
            nulls = nulls.concat(),
            table = qualified(&parent.table),
            tests = tests.join(" and ")
        ))
    });
    let exists: Vec<_> = exists.collect();
    match exists.is_empty() {
        true => plain,
        false => format!(
            "(select child.v from (select {plain}) as child(v) where {exists})",
            exists = exists.join(" and ")
        ),
    }
}

/// The CTEs that end in `src`: the arrived rows with their types, under their cloud names.
pub(super) fn source(
    table: &Table,
    columns: &[(usize, &Column)],
    rows: &Rows,
    extra: &[String],
) -> String {
    let plain = columns
        .iter()
        .filter(|(_, column)| !matches!(column.from, Source::LookedUp(_)));
    let list = plain.map(|(_, column)| {
        let value = value_or_null(table, columns, column, &|index| rows.cell(index));
        format!("{value} as {column}", column = ident(&column.name))
    });
    let list: Vec<_> = list.chain(extra.iter().cloned()).collect();
    let select = format!(
        "select {list} from {from}",
        list = list.join(", "),
        from = rows.from()
    );
    // Nothing is made of the values where they are read: then they are read from the parameters each time, instead of
    // being copied first.
    let ready = |(_, column): &(usize, &Column)| is_ready(column);
    let as_they_are = rows.are_sent_along() && extra.is_empty();
    match as_they_are && columns.iter().all(ready) {
        true => format!("src as not materialized ({select})"),
        false => looked_up(table, columns, &select),
    }
}

/// The value stands in an array of its type.
fn is_ready(column: &Column) -> bool {
    match &column.from {
        Source::Arriving(_) => {
            let plain = column.narrower.is_none() && column.parents.is_empty();
            plain && !matches!(column.reads, Reads::Through(_)) && has_array(&column.base_type)
        }
        Source::Constant(_) => true,
        Source::Converted { .. } | Source::LookedUp(_) => false,
    }
}

/// A stored value in the form in which stored and arriving values are comparable.
pub(super) fn stored(alias: &str, column: &Column) -> String {
    format!(
        "{alias}.{column}::{compare_type}",
        column = ident(&column.name),
        compare_type = column.compare_type
    )
}

/// The same where it is held against what the sender has ([`sent`]).
pub(super) fn held(arriving: &[Arriving], alias: &str, column: &Column) -> String {
    let value = format!("{alias}.{column}", column = ident(&column.name));
    common(arriving, column, &value).unwrap_or_else(|| stored(alias, column))
}

/// A value where it comes from, in the table `t`: as it is there, whether or not it fits at the receiver.
pub(super) fn sent(arriving: &[Arriving], column: &Column) -> String {
    let cell = |index: usize| format!("t.{column}", column = ident(&arriving[index].name));
    let Source::Arriving(index) = column.from else {
        let value = value(arriving, column, &cell);
        return format!(
            "({value})::{compare_type}",
            compare_type = column.compare_type
        );
    };
    let cell = cell(index);
    let plain = Column {
        narrower: None,
        ..column.clone()
    };
    let made = |cell: &str| {
        let value = value(arriving, &plain, &|_| cell.to_owned());
        format!(
            "({value})::{compare_type}",
            compare_type = column.compare_type
        )
    };
    match &column.reads {
        _ if column.narrower.is_some() => {
            common(arriving, column, &cell).unwrap_or_else(|| made(&cell))
        }
        // A cast need not make what the receiver reads in the text.
        Reads::Plain | Reads::Spelled if arriving[index].base_type != column.base_type => {
            made(&output(&cell, ""))
        }
        _ => made(&cell),
    }
}

/// The same of a text that arrived.
pub(super) fn arrived(
    arriving: &[Arriving],
    column: &Column,
    cell: &dyn Fn(usize) -> String,
) -> String {
    let common = match column.from {
        Source::Arriving(index) => common(arriving, column, &cell(index)),
        _ => None,
    };
    let plain = Column {
        narrower: None,
        ..column.clone()
    };
    common.unwrap_or_else(|| {
        format!(
            "({value})::{compare_type}",
            value = value(arriving, &plain, cell),
            compare_type = column.compare_type
        )
    })
}

/// Where the receiver can hold less, what either side has as the sender sees it: a value that doesn't fit is no error. None where
/// the receiver can hold all.
fn common(arriving: &[Arriving], column: &Column, value: &str) -> Option<String> {
    column.narrower.as_ref()?;
    let Source::Arriving(index) = column.from else {
        return None;
    };
    let written = output(value, "");
    let sent = &arriving[index].base_type;
    Some(match sent.as_str() {
        // Its own type says how many digits it has.
        "numeric[]" => return None,
        _ if column.reads == Reads::Spelled => written,
        "character" | "bpchar" => format!("({value})::pg_catalog.bpchar::text"),
        "money" => format!("({written})::money"),
        _ if column.base_type == "money" => format!("trim_scale(({value})::numeric)"),
        _ if sent == "numeric" || column.base_type == "numeric" => {
            format!("trim_scale(({written})::numeric)")
        }
        // Blanks that fill a receiver's `char(n)` up are none of the value's.
        "text" | "character varying" | "name" => format!("({value})::text"),
        "text[]" | "character varying[]" => format!("({value})::text[]"),
        _ => format!("({written})::{sent}"),
    })
}

/// The row as its binary image, in the form in which stored and arriving values are comparable:
/// `*<>` sees every difference, NULL equals NULL, and no type needs an equality operator.
pub(super) fn image(alias: &str, columns: &[(usize, &Column)]) -> String {
    let cells = columns.iter().map(|(_, column)| stored(alias, column));
    // The cast keeps the parser from comparing two row constructors cell by cell.
    format!(
        "row({cells})::record",
        cells = cells.collect::<Vec<_>>().join(", ")
    )
}

/// Equal for their type's `=`, its values are alike to the bit.
fn is_compared_as_it_is(column: &Column) -> bool {
    const TYPES: [&str; 11] = [
        "boolean",
        "smallint",
        "integer",
        "bigint",
        "uuid",
        "bytea",
        "date",
        "timestamp without time zone",
        "timestamp with time zone",
        "text",
        "character varying",
    ];
    column.exact && TYPES.contains(&column.base_type.as_str())
}

/// All columns with their numbers.
pub(super) fn all(table: &Table) -> Vec<(usize, &Column)> {
    table.columns.iter().enumerate().collect()
}

/// The key's columns; for a multiset, all that aren't looked up, which follow from the others, and aren't the cloud's own.
pub(super) fn key(table: &Table) -> Vec<(usize, &Column)> {
    match &table.key {
        Key::Multiset => {
            let mut columns = all(table);
            columns.retain(|(_, column)| {
                !matches!(column.from, Source::LookedUp(_)) && !column.cloud_owned
            });
            columns
        }
        Key::Columns(key) => key
            .iter()
            .map(|index| (*index, &table.columns[*index]))
            .collect(),
    }
}

/// Columns that are not in the key, and not the cloud's own: what a row that is there takes on.
pub(super) fn rest(table: &Table) -> Vec<(usize, &Column)> {
    let key = key(table);
    all(table)
        .into_iter()
        .filter(|(index, column)| {
            !column.cloud_owned && key.iter().all(|(in_key, _)| in_key != index)
        })
        .collect()
}

/// Columns that an upsert sets in a row that is there: all but the key's, and of these those that can be spelled in
/// more than one way.
pub(super) fn changeable(table: &Table) -> Vec<(usize, &Column)> {
    let mut columns = rest(table);
    if table.key != Key::Multiset {
        columns.extend(key(table).into_iter().filter(|(_, column)| !column.exact));
    }
    columns
}

/// `"a" = src."a", ...` and the owner; empty when there is nothing to set.
pub(super) fn assignments(table: &Table, columns: &[(usize, &Column)]) -> String {
    let mut list: Vec<_> = columns
        .iter()
        .map(|(_, column)| format!("{column} = src.{column}", column = ident(&column.name)))
        .collect();
    if let Some(owner) = &table.owner {
        list.push(format!(
            "{column} = {desktop}",
            column = ident(&owner.column),
            desktop = literal(&owner.desktop)
        ));
    }
    list.join(", ")
}

/// True for a stored row that doesn't look as it should (P9: no change, no write). Where values that are equal for their type
/// look alike, they are compared as they are, which costs less than to make an image of either row.
pub(super) fn differs(table: &Table, columns: &[(usize, &Column)]) -> String {
    let (alike, others): (Vec<_>, Vec<_>) =
        { columns.iter().copied() }.partition(|(_, column)| is_compared_as_it_is(column));
    let mut tests: Vec<_> = { alike.iter() }
        .map(|(_, column)| {
            // No collation of the cloud's decides what is equal.
            let bytewise = match column.base_type.as_str() {
                "text" | "character varying" => " collate \"C\"",
                _ => "",
            };
            format!(
                "{stored}{bytewise} is distinct from {wanted}",
                stored = stored("t", column),
                wanted = stored("src", column)
            )
        })
        .collect();
    if !others.is_empty() {
        tests.push(format!(
            "{stored} *<> {wanted}",
            stored = image("t", &others),
            wanted = image("src", &others)
        ));
    }
    if let Some(owner) = &table.owner {
        tests.push(format!("t.{column} is null", column = ident(&owner.column)));
    }
    if tests.is_empty() {
        "false".to_owned()
    } else {
        format!("({tests})", tests = tests.join(" or "))
    }
}

/// `("a", ..., "source")`, with the words that insist on the values where the cloud would generate some, and
/// `src."a", ..., 'D'`.
pub(super) fn insertion(table: &Table, columns: &[(usize, &Column)]) -> (String, String) {
    insertion_but(table, columns, &[])
}

/// The same with NULL in some columns.
pub(super) fn insertion_but(
    table: &Table,
    columns: &[(usize, &Column)],
    null: &[usize],
) -> (String, String) {
    let mut names: Vec<_> = columns
        .iter()
        .map(|(_, column)| ident(&column.name))
        .collect();
    let value = |(at, column): &(usize, &Column)| match null.contains(at) {
        true => format!("null::{base_type}", base_type = column.base_type),
        false => format!("src.{column}", column = ident(&column.name)),
    };
    let mut values: Vec<_> = columns.iter().map(value).collect();
    if let Some(owner) = &table.owner {
        names.push(ident(&owner.column));
        values.push(literal(&owner.desktop));
    }
    let insists = match table.fixed_key {
        true => " overriding system value",
        false => "",
    };
    (
        format!("({names}){insists}", names = names.join(", ")),
        values.join(", "),
    )
}
