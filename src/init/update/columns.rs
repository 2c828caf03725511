//! New columns of a table that the file has.

use super::super::decide::rename;
use super::super::question::Decisions;
use super::outcome::Update;
use super::splice::Splice;
use crate::catalog::{Pair, RelationFacts, resolve};
use crate::config::{Flow, Settings, Table};
use crate::fault::Fault;

/// New columns for which the file has to say that they don't travel.
pub(super) fn columns(
    settings: &Settings,
    pairs: &[Pair<'_>],
    at: usize,
    (merged, splice, update): (&mut Settings, &mut Splice, &mut Update),
) -> Result<(), Fault> {
    let Pair {
        wanted,
        desktop: Some(from),
        cloud: Some(to),
    } = &pairs[at]
    else {
        return Ok(());
    };
    let complaints = |table: &Table| complaints(settings, pairs, at, table);
    let mut table = (*wanted).clone();
    let skip = skipped_forward(&mut table, (from, to), &complaints);
    let stay = skipped_home(&mut table, (from, to), &complaints);
    if !skip.is_empty() {
        let remarks = may_be_renamed((from, to), &table, &skip, settings);
        splice.name(at, None, &skip, &remarks)?;
        update
            .added
            .push(format!("{}: skip names {}", wanted.name, skip.join(", ")));
    }
    if !stay.is_empty() {
        splice.name(at, Some("reverse"), &stay, &[])?;
        update.added.push(format!(
            "{}: reverse.skip names {}",
            wanted.name,
            stay.join(", ")
        ));
    }
    merged.tables[at] = table;
    Ok(())
}

/// How much is wrong with a table, if it stood at this place of the file.
fn complaints(settings: &Settings, pairs: &[Pair<'_>], at: usize, table: &Table) -> usize {
    let others = pairs.iter().enumerate().map(|(n, pair)| Pair {
        wanted: if n == at { table } else { pair.wanted },
        ..*pair
    });
    let others: Vec<_> = others.collect();
    resolve(settings, &others, at)
        .err()
        .map_or(0, |found| found.len())
}

/// Columns that help when they are skipped, and have no place in the cloud. The table skips them then.
fn skipped_forward(
    table: &mut Table,
    (from, to): (&RelationFacts, &RelationFacts),
    complaints: &dyn Fn(&Table) -> usize,
) -> Vec<String> {
    let mut skip = Vec::new();
    for column in &from.columns {
        let renamed = { table.rename.iter() }.find(|(name, _)| *name == column.name);
        let other = renamed.map_or(&column.name, |(_, other)| other);
        let takes = to.column(other).is_some_and(|to| !to.refuses_values());
        if table.flow == Flow::Reverse || takes && !column.computed {
            continue;
        }
        let mut with = table.clone();
        with.skip.push(column.name.clone());
        if complaints(&with) < complaints(table) {
            skip.push(column.name.clone());
            *table = with;
        }
    }
    skip
}

/// The same of columns that only the cloud has, on the way home.
fn skipped_home(
    table: &mut Table,
    (from, to): (&RelationFacts, &RelationFacts),
    complaints: &dyn Fn(&Table) -> usize,
) -> Vec<String> {
    let mut stay = Vec::new();
    for column in &to.columns {
        if from.column(&column.name).is_some() {
            continue;
        }
        let mut with = table.clone();
        with.reverse.skip.push(column.name.clone());
        if complaints(&with) < complaints(table) {
            stay.push(column.name.clone());
            *table = with;
        }
    }
    stay
}

/// The choices that there are for columns that only the desktop has.
fn may_be_renamed(
    (from, to): (&RelationFacts, &RelationFacts),
    table: &Table,
    skip: &[String],
    settings: &Settings,
) -> Vec<String> {
    let filled = |name: &String| {
        let pairs = { table.rename.iter() }.any(|(_, other)| other == name);
        let set = { table.set.iter().chain(&table.convert) }.any(|(other, _)| other == name);
        pairs || set || table.lookup.iter().any(|lookup| lookup.column == *name)
    };
    let unfilled = { to.columns.iter() }
        .filter(|column| from.column(&column.name).is_none() && !column.refuses_values())
        .map(|column| column.name.clone());
    let unfilled: Vec<_> = unfilled
        .filter(|name| !filled(name) && *name != settings.owner.column)
        .filter(|name| settings.tenant.iter().all(|(tenant, _)| tenant != name))
        .collect();
    let lines = { skip.iter() }
        .filter(|name| to.column(name).is_none())
        .flat_map(|name| rename(&mut Decisions::default(), (from, to), name, &unfilled).1);
    lines.collect()
}
