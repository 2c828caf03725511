//! A table of the settings beside both databases, and beside what a new proposal would say. Pure.

use crate::catalog::{Pair, RelationFacts};
use crate::config::{Flow, Settings, Table};

/// What the settings name and is not there (any more).
pub(super) fn gone(pair: &Pair<'_>) -> Vec<String> {
    let table = pair.wanted;
    let mut gone = Vec::new();
    match pair.desktop {
        None => gone.push(format!(
            "{}: table {} on the desktop",
            table.name,
            table.desktop_name()
        )),
        Some(facts) => {
            let renamed = table.rename.iter().map(|(from, _)| from);
            let made = table.reverse.convert.iter().map(|(name, _)| name);
            let names = table.skip.iter().chain(renamed).chain(made);
            gone.extend(columns(table, facts, "desktop", names));
        }
    }
    match pair.cloud {
        None => gone.push(format!(
            "{}: table {} in the cloud",
            table.name,
            table.cloud_name()
        )),
        Some(facts) => {
            let renamed = table.rename.iter().map(|(_, to)| to);
            let made = table.set.iter().chain(&table.convert).map(|(name, _)| name);
            let looked_up = table.lookup.iter().map(|lookup| &lookup.column);
            let names = { table.key.iter().flatten() }
                .chain(&table.cloud_owned)
                .chain(&table.reverse.skip);
            let names = names.chain(renamed).chain(made).chain(looked_up);
            gone.extend(columns(table, facts, "cloud", names));
        }
    }
    gone
}

fn columns<'a>(
    table: &Table,
    facts: &RelationFacts,
    side: &str,
    names: impl Iterator<Item = &'a String>,
) -> Vec<String> {
    let mut names: Vec<_> = names.filter(|name| facts.column(name).is_none()).collect();
    names.sort_unstable();
    names.dedup();
    let place = if side == "cloud" {
        "in the cloud"
    } else {
        "on the desktop"
    };
    let said = names
        .iter()
        .map(|name| format!("{}: column {name} {place}", table.name));
    said.collect()
}

/// What a new proposal says otherwise. What it says less of may well be right: it doesn't know what people want.
pub(super) fn otherwise(
    (from, to): (&RelationFacts, &RelationFacts),
    (table, again): (&Table, &Table),
    settings: &Settings,
) -> Vec<String> {
    let mut found = Vec::new();
    let name = &table.name;
    if table.flow != again.flow {
        found.push(format!(
            "{name}: flow is {} in the file, init would write {}",
            word(table.flow),
            word(again.flow)
        ));
        return found;
    }
    if table.flow == Flow::Reverse {
        return found;
    }
    let key = |table: &Table| table.key.clone().unwrap_or_else(|| to.primary_key.clone());
    if key(table) != key(again) {
        found.push(format!(
            "{name}: key is [{}] in the file, init would write [{}]",
            key(table).join(", "),
            key(again).join(", ")
        ));
    }
    let mapped = |column: &&String| {
        let renamed = { table.rename.iter() }.any(|(name, _)| name == *column);
        let made = { table.set.iter().chain(&table.convert) }.any(|(name, _)| name == *column);
        renamed || made || table.lookup.iter().any(|lookup| lookup.column == **column)
    };
    let more = again
        .skip
        .iter()
        .filter(|column| !table.skip.contains(column));
    let more = more.filter(|column| !settings.forward.skip.contains(column));
    let more: Vec<_> = more
        .filter(|column| !mapped(column))
        .map(String::as_str)
        .collect();
    if !more.is_empty() {
        found.push(format!(
            "{name}: {} travels, init would name it in skip",
            more.join(", ")
        ));
    }
    let both = |column: &&String| from.column(column).is_some() && to.column(column).is_some();
    let less = table
        .skip
        .iter()
        .filter(|column| !again.skip.contains(column));
    let less: Vec<_> = less.filter(both).map(String::as_str).collect();
    if !less.is_empty() {
        found.push(format!(
            "{name}: {} is in skip, init would let it travel",
            less.join(", ")
        ));
    }
    if table.swap.is_none() && again.swap.is_some() {
        found.push(format!("{name}: it has no swap, init would write one"));
    }
    found
}

fn word(flow: Flow) -> &'static str {
    match flow {
        Flow::Forward => "forward",
        Flow::Reverse => "reverse",
        Flow::Both => "both",
    }
}
