//! Decisions that are about all tables: whose rows they are, what their times and letters mean.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use super::pairs::{Others, alike};
use super::question::{Decisions, Question};
use super::written::Entry;
use crate::catalog::RelationFacts;
use crate::config::as_text;
use crate::fault::{Fault, Side};
use crate::plan::quote;

/// Columns by which firms are told apart, by custom.
const TENANTS: [&str; 5] = [
    "org_id",
    "tenant_id",
    "organization_id",
    "company_id",
    "firm_id",
];
/// So many tables are asked which firms they have...
const TABLES_ASKED: usize = 5;
/// ...and so many firms are offered.
const FIRMS_ASKED: usize = 5;

/// Pairs of tables that belong together, with what somebody said of those that only their columns bring together; and the rest.
pub(super) fn together<'a>(
    decisions: &mut Decisions,
    (here, there): (&'a [RelationFacts], &'a [RelationFacts]),
    pairs: &mut Vec<(&'a RelationFacts, &'a RelationFacts)>,
    is_known: &dyn Fn(&str, &str) -> bool,
) -> Others {
    let mut others = rest(here, there, pairs);
    let of = |all: &'a [RelationFacts], name: &str| {
        all.iter().find(|facts| facts.name.to_string() == name)
    };
    let mut apart = Vec::new();
    for (from, to) in alike(here, there, &others) {
        if is_known(&from, &to) {
            continue;
        }
        let question = Question::new(
            format!("alike {from} {to}"),
            format!("{from} (desktop), {to} (cloud)"),
            "only one side has each, and most of their columns are the same. Are they one table?"
                .to_owned(),
            &["no", "yes, under two names"],
        );
        let (chosen, _) = decisions.choose(&from, question);
        match of(here, &from).zip(of(there, &to)).filter(|_| chosen == 1) {
            Some(pair) => pairs.push(pair),
            None => apart.push((from, to)),
        }
    }
    others = rest(here, there, pairs);
    others.alike = apart;
    // The file says them in this order.
    pairs.sort_by_key(|(from, _)| from.name.to_string());
    others
}

fn rest(
    here: &[RelationFacts],
    there: &[RelationFacts],
    pairs: &[(&RelationFacts, &RelationFacts)],
) -> Others {
    let alone = |all: &[RelationFacts], known: BTreeSet<u32>| -> Vec<String> {
        let others = all.iter().filter(|facts| !known.contains(&facts.oid));
        others.map(|facts| facts.name.to_string()).collect()
    };
    Others {
        desktop: alone(here, pairs.iter().map(|(from, _)| from.oid).collect()),
        cloud: alone(there, pairs.iter().map(|(_, to)| to.oid).collect()),
        alike: Vec::new(),
    }
}

/// `[tenant]`, as a remark or as it counts; empty where nothing looks like one.
pub(super) async fn tenant(
    decisions: &mut Decisions,
    entries: &[Entry],
    (here, there): (&[RelationFacts], &[RelationFacts]),
    (desktop, cloud): (&Client, &Client),
) -> Result<String, Fault> {
    let most = |name: &&str| {
        let with = entries.iter().filter(|entry| entry.columns.contains(*name));
        with.count() * 2 > entries.len() && !entries.is_empty()
    };
    let Some(column) = TENANTS.into_iter().find(most) else {
        return Ok(String::new());
    };
    let on_desktop = firms(
        column,
        { entries.iter() }.map(|entry| &entry.desktop),
        here,
        desktop,
        Side::Desktop,
    )
    .await?;
    let in_cloud = firms(
        column,
        { entries.iter() }.map(|entry| &entry.cloud),
        there,
        cloud,
        Side::Cloud,
    )
    .await?;
    let firms: BTreeSet<_> = match on_desktop.is_empty() {
        true => in_cloud.iter().collect(),
        false => on_desktop.iter().collect(),
    };
    let is_number = there
        .iter()
        .filter_map(|facts| facts.column(column))
        .all(|column| column.category == 'N');
    let says = |firm: &str| match is_number {
        true => format!("{column} = {firm}"),
        false => format!("{column} = {}", as_text(firm)),
    };
    let lines: Vec<_> = firms.iter().map(|firm| says(firm)).collect();
    let shown = lines.first().cloned().unwrap_or_else(|| says("1"));
    let head = "# Where several firms share the cloud, each is limited to its own rows:\n";
    if lines.is_empty() {
        return Ok(format!("{head}# [tenant]\n# {shown}\n\n"));
    }
    let mut choices = vec!["all rows are ours".to_owned()];
    choices.extend(lines.iter().map(|line| format!("[tenant] {line}")));
    let choices: Vec<_> = choices.iter().map(String::as_str).collect();
    // Others' rows are there, and the desktop has one firm's only.
    let shared = in_cloud.len() > 1 && on_desktop.len() == 1;
    let asks = format!(
        "do several firms share the cloud, told apart by {column}? Each is limited to its own rows."
    );
    let question = Question::new("tenant".to_owned(), column.to_owned(), asks, &choices);
    let (chosen, said) = decisions.choose("[tenant]", question.best(usize::from(shared)));
    let said = said.join("\n");
    Ok(match chosen {
        0 => format!("{head}# [tenant]\n# {shown}\n{said}\n\n"),
        at => format!("{said}\n[tenant]\n{}\n\n", lines[at - 1]),
    })
}

/// The values that some of the tables have in the column.
async fn firms(
    column: &str,
    names: impl Iterator<Item = &crate::model::Name>,
    all: &[RelationFacts],
    client: &Client,
    side: Side,
) -> Result<BTreeSet<String>, Fault> {
    let facts = names.filter_map(|name| all.iter().find(|facts| facts.name == *name));
    let with = facts.filter(|facts| facts.column(column).is_some());
    let column = quote::ident(column);
    let each: Vec<_> = with
        .take(TABLES_ASKED)
        .map(|facts| {
            format!(
                "select t.{column}::text as firm from {rows} as t",
                rows = facts.rows()
            )
        })
        .collect();
    if each.is_empty() {
        return Ok(BTreeSet::new());
    }
    let sql = format!(
        "select distinct firm from ({each}) as found where firm is not null limit {FIRMS_ASKED}",
        each = each.join(" union all ")
    );
    let rows = { client.query_typed(&sql, &[]).await }.map_err(Fault::at(side))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What times without a zone mean where they meet times with one.
pub(super) fn zone(decisions: &mut Decisions, own: String, meets: bool) -> (String, Vec<String>) {
    let utc = ["UTC", "Etc/UTC", "GMT"].contains(&own.as_str());
    if !meets || utc || own.is_empty() {
        return (own, Vec::new());
    }
    let question = Question::new(
        "zone".to_owned(),
        "times without a zone".to_owned(),
        "they meet times with a zone. Which zone's are they?".to_owned(),
        &[&format!("the desktop server's: {own}"), "UTC"],
    );
    let (chosen, lines) = decisions.choose("time_zone", question);
    match chosen {
        0 => (own, lines),
        _ => ("UTC".to_owned(), lines),
    }
}

/// What the bytes of a desktop without an encoding mean, where some can't be UTF-8.
pub(super) fn encoding(
    decisions: &mut Decisions,
    found: &[String],
) -> (Option<String>, Vec<String>) {
    if found.is_empty() {
        return (None, Vec::new());
    }
    let names = ["WIN1252", "WIN1250", "WIN1251"];
    let question = Question::new(
        "encoding".to_owned(),
        found.join(", "),
        "the desktop's database has no encoding (SQL_ASCII). What does the office's program write?"
            .to_owned(),
        &[
            "not known yet: rows that can't be read as UTF-8 wait in quarantine",
            "WIN1252 (western Europe)",
            "WIN1250 (central Europe)",
            "WIN1251 (Cyrillic)",
        ],
    );
    let (chosen, lines) = decisions.choose("encoding", question);
    let name = chosen.checked_sub(1).map(|at| names[at].to_owned());
    (name, lines)
}
