//! What the comparison of a table's rows leaves out: columns of the cloud's own, as they come home, and columns that follow a
//! parent's. Only rows that both sides have count here.

use super::super::guard::Guard;
use super::super::quote::{ident, literal, table as qualified};
use super::super::reverse::is_desktops;
use super::super::source::parents;
use super::{Comparison, Look, Sort, abroad, all_sent, all_stored, found_by, names};
use crate::model::{Column, Key, ReverseTable, Source, Table};

/// The columns of the cloud's own, in the desktop's types: whether the desktop has what the cloud says. None where none comes home.
pub fn owned(reverse: &ReverseTable) -> Option<Comparison> {
    if reverse.owned.is_empty() {
        return None;
    }
    let of = |which: &[usize]| -> Vec<&Column> {
        which.iter().map(|at| &reverse.columns[*at]).collect()
    };
    let (named, own) = (of(&reverse.key), of(&reverse.owned));
    let columns: Vec<_> = named.iter().chain(&own).copied().collect();
    let outbox: Vec<_> = { reverse.names.iter() }
        .map(|named| reverse.arriving[named.arriving].name.clone())
        .collect();
    Some(Comparison {
        table: reverse.name.clone(),
        sort: Sort::Owned,
        keyed: !reverse.counted,
        extras: false,
        desktop: Look {
            charset: reverse.charset,
            versions: true,
            ..Look::new(
                super::super::reverse::target(reverse),
                is_desktops(reverse),
                all_stored(&reverse.arriving, &columns),
                all_stored(&reverse.arriving, &named),
            )
        },
        cloud: Look {
            versions: true,
            names: { outbox.iter() }
                .map(|name| format!("t.{name}", name = ident(name)))
                .collect(),
            ..Look::new(
                qualified(&reverse.cloud),
                Guard::of_reverse(reverse).owned(),
                all_sent(&reverse.arriving, &columns),
                all_sent(&reverse.arriving, &named),
            )
        },
        sent: outbox.iter().map(|_| true).collect(),
        key: outbox,
        abroad: abroad(reverse, &columns, &named),
        columns: columns.iter().map(|column| column.name.clone()).collect(),
    })
}

/// The columns that follow a parent's: what stands in the cloud against what its parents there say. Both looks are the cloud's.
/// None where nothing is looked up.
pub fn looked_up(table: &Table) -> Option<Comparison> {
    let followers = followers(table);
    if followers.is_empty() {
        return None;
    }
    let named = names(table);
    let all: Vec<_> = { named.iter().copied() }
        .chain(followers.iter().map(|(column, _)| *column))
        .collect();
    let said = { followers.iter().enumerate() }.map(|(nth, (column, _))| {
        format!(
            "t.{says}::{compare_type}",
            says = ident(&says(nth)),
            compare_type = column.compare_type
        )
    });
    let said = all_stored(&table.arriving, &named)
        .into_iter()
        .chain(said)
        .collect();
    let look = |from: String, cells: Vec<String>| {
        Look::new(
            from,
            Guard::of(table).owned(),
            cells,
            all_stored(&table.arriving, &named),
        )
    };
    Some(Comparison {
        table: table.name.clone(),
        sort: Sort::LookedUp,
        keyed: table.key != Key::Multiset,
        extras: false,
        desktop: look(with_parents(table, &followers), said),
        cloud: look(qualified(&table.cloud), all_stored(&table.arriving, &all)),
        sent: { named.iter() }
            .map(|column| !matches!(column.from, Source::Constant(_)))
            .collect(),
        key: named.iter().map(|column| column.name.clone()).collect(),
        columns: all.iter().map(|column| column.name.clone()).collect(),
        // The cloud has all of it.
        abroad: None,
    })
}

/// The cloud's rows with what their parents say beside them, as a FROM item.
fn with_parents(table: &Table, followers: &[(&Column, usize)]) -> String {
    let target = qualified(&table.cloud);
    let (mut found, mut wanted, mut joins) = (Vec::new(), Vec::new(), Vec::new());
    for (nth, (column, at)) in followers.iter().enumerate() {
        let lookup = &table.lookups[*at];
        let own = |(own, ..): &(String, String, String)| format!("t.{own}", own = ident(own));
        let on: Vec<_> = lookup.on.iter().map(own).collect();
        let those = format!("select {on} from {target} as t", on = on.join(", "));
        found.push(format!(
            "found{nth} as ({parents})",
            parents = parents(lookup, column, &those)
        ));
        // Where something has to stand, what stood there stays when no parent says anything.
        let value = match column.not_null {
            true => format!(
                "coalesce(found{nth}.value, t.{column})",
                column = ident(&column.name)
            ),
            false => format!("found{nth}.value"),
        };
        wanted.push(format!("{value} as {says}", says = ident(&says(nth))));
        let on = { on.iter().enumerate() }.map(|(at, own)| format!("found{nth}.k{at} = {own}"));
        joins.push(format!(
            "left join found{nth} on {on}",
            on = on.collect::<Vec<_>>().join(" and ")
        ));
    }
    format!(
        "(with {found} select t.*, {wanted} from {target} as t {joins})",
        found = found.join(", "),
        wanted = wanted.join(", "),
        joins = joins.join(" ")
    )
}

/// What a lookup's parents say, as a column beside the table's own.
fn says(nth: usize) -> String {
    format!("tandem says {nth}")
}

/// Columns that follow a parent's, with their lookups: not those that the cloud owns.
fn followers(table: &Table) -> Vec<(&Column, usize)> {
    let columns = table.columns.iter().filter(|column| !column.cloud_owned);
    let followers = columns.filter_map(|column| match column.from {
        Source::LookedUp(at) => Some((column, at)),
        _ => None,
    });
    followers.collect()
}

/// The columns in which both sides' values differ, of those that are compared.
pub fn differing_in(
    what: &Comparison,
    wanted: Option<&[Option<String>]>,
    stored: Option<&[Option<String>]>,
) -> Vec<String> {
    let pairs = { wanted.into_iter().flatten() }.zip(stored.into_iter().flatten());
    let columns = what.columns.iter().zip(pairs);
    let columns = columns.filter(|(_, (here, there))| here != there);
    columns.map(|(name, _)| name.clone()).collect()
}

/// The statement that sends a row's columns of the cloud's own on their way home once more.
pub fn queueing(replicator: &str, table: &str, key: &[Option<String>]) -> String {
    let key = { key.iter() }.map(|value| value.as_deref().map_or("NULL".to_owned(), literal));
    format!(
        r#"insert into tandem.outbox (replicator, "table", key, op)
           values ({replicator}, {table}, array[{key}]::text[], 'R');"#,
        replicator = literal(replicator),
        table = literal(table),
        key = key.collect::<Vec<_>>().join(", ")
    )
}

/// The statement that writes what a row's parents say into the columns that follow them.
pub fn following(table: &Table, key: &[Option<String>], wanted: &[Option<String>]) -> String {
    let mut tests = found_by(&names(table), key);
    let guard = Guard::of(table).owned();
    tests.extend((guard != "true").then_some(guard));
    let said = &wanted[names(table).len().min(wanted.len())..];
    let set = followers(table).into_iter().zip(said);
    let set = set.map(|((column, _), value)| {
        let value = value.as_deref().map_or("NULL".to_owned(), literal);
        format!("{column} = {value}", column = ident(&column.name))
    });
    format!(
        "update {target} as t set {set} where {tests};",
        target = qualified(&table.cloud),
        set = set.collect::<Vec<_>>().join(", "),
        tests = tests.join(" and ")
    )
}
