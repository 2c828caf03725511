//! `init` once more: what is new since the file was written is added to it, and the rest stays, to the byte.

mod columns;
mod compare;
mod known;
mod outcome;
mod replace;
mod splice;

use std::collections::BTreeMap;

use tokio_postgres::Client;

use super::open::connected;
use super::question::{Asker, Decisions};
use super::written::{aside, list, maybe_one, written};
use super::{Entry, Others, broken, entry, look, matched, read, unfit, whole};
use crate::catalog::{Pair, RelationFacts, begin_with_empty_search_path, relation};
use crate::config::{self, Settings, Sources, Table};
use crate::fault::{Fault, Kind, Side};
use crate::model::Name;
use crate::wire::control::Control;
use columns::columns;
use known::Known;
pub use outcome::Update;
use replace::Found;
use splice::Splice;

/// Adds to the settings' file what both databases have and it doesn't say. Where a decision is needed, `ask` is asked, or else the
/// best answer taken.
///
/// # Errors
/// When a side can't be reached, there is no answer, or the file can't be replaced; it is as it was then.
pub async fn update(
    settings: &Settings,
    sources: &Sources,
    mut ask: Option<&mut Asker<'_>>,
) -> Result<Update, Fault> {
    let none = || Fault::new(Kind::Input, "no settings file was read");
    let found = Found::read(settings.file.as_deref().ok_or_else(none)?)?;
    let mut decisions = Decisions::default();
    loop {
        let (mut update, splice, tables) = draft(settings, sources, &found, &mut decisions).await?;
        if let Some(ask) = &mut ask
            && decisions.ask(ask)?
        {
            continue;
        }
        update.decisions = decisions.len();
        if !splice.is_same() {
            write(&found, &splice.done(), sources, tables)?;
            update.written = true;
        }
        return Ok(update);
    }
}

/// The new text has to read as settings with so many tables, beside the old one, where names in it mean the same.
fn write(found: &Found, text: &str, sources: &Sources, tables: usize) -> Result<(), Fault> {
    let by = found.beside(text)?;
    let sources = Sources {
        file: Some(by.path().to_owned()),
        ..sources.clone()
    };
    let settings = config::load(&sources).map_err(|problems| broken(&problems))?;
    if settings.tables.len() != tables {
        return Err(broken("tables are missing"));
    }
    found.replace(by)
}

/// What would be added with the answers that there are, and the number of tables that the file has then.
async fn draft(
    settings: &Settings,
    sources: &Sources,
    found: &Found,
    decisions: &mut Decisions,
) -> Result<(Update, Splice, usize), Fault> {
    let (desktop, cloud) = connected(settings, Fault::wire).await?;
    let clients = (&desktop.client, &cloud.client);
    let tables = &settings.tables;
    let names = tables.iter().map(Table::desktop_name);
    let here = all(&desktop, Side::Desktop, names).await?;
    let names = tables.iter().map(Table::cloud_name);
    let there = all(&cloud, Side::Cloud, names).await?;
    let pairs = paired(tables, &here, &there);
    let (mut update, mut splice) = (Update::default(), Splice::new(found.text()?));
    let known = Known::of(splice.text());
    let mut merged = settings.clone();
    for at in 0..pairs.len() {
        columns(
            settings,
            &pairs,
            at,
            (&mut merged, &mut splice, &mut update),
        )?;
    }
    // What the file doesn't have yet.
    let (here, there) = (
        without(&here, tables, Table::desktop_name),
        without(&there, tables, Table::cloud_name),
    );
    let mut fresh = matched(&here, &there);
    let others = whole::together(decisions, (&here, &there), &mut fresh, &|from, to| {
        known.has(from, to)
    });
    let (left_out, fresh): (Vec<_>, Vec<_>) = { fresh.into_iter() }
        .partition(|(from, to)| known.has(&from.name.to_string(), &to.name.to_string()));
    let mut entries = Vec::new();
    for sides in fresh {
        entries.push(entry(sides, (settings, zone_of(settings)), clients, decisions).await?);
    }
    let text: String = entries.iter().map(written).collect();
    merged
        .tables
        .extend(parsed(&text, settings, sources)?.map_err(|error| broken(&error))?);
    let misfits = unfit(&merged, &entries, clients).await?;
    add_tables(
        &entries,
        &misfits,
        &others.alike,
        (&mut splice, &mut update),
    )?;
    update.alone = alone(&others, &known);
    update.otherwise = fit_by_now(left_out, &merged, (settings, sources), clients).await?;
    for (pair, table) in pairs.iter().zip(&merged.tables) {
        let why = misfits.get(&pair.wanted.name);
        let seen = again(pair, (table, why), (settings, sources), clients).await?;
        update.misfits.extend(seen.misfits);
        update.otherwise.extend(seen.otherwise);
        update.gone.extend(compare::gone(pair));
    }
    let active = entries
        .iter()
        .filter(|entry| !misfits.contains_key(&entry.name));
    Ok((update, splice, tables.len() + active.count()))
}

/// The file's tables with what both sides have of them.
fn paired<'a>(
    tables: &'a [Table],
    here: &'a [RelationFacts],
    there: &'a [RelationFacts],
) -> Vec<Pair<'a>> {
    let of = |all: &'a [RelationFacts], name: Name| all.iter().find(|facts| facts.name == name);
    let pairs = tables.iter().map(|wanted| Pair {
        wanted,
        desktop: of(here, wanted.desktop_name()),
        cloud: of(there, wanted.cloud_name()),
    });
    pairs.collect()
}

/// A side's tables but for those of the file, which it calls by `name`.
fn without(
    all: &[RelationFacts],
    tables: &[Table],
    name: fn(&Table) -> Name,
) -> Vec<RelationFacts> {
    all.iter()
        .filter(|facts| !tables.iter().any(|table| name(table) == facts.name))
        .cloned()
        .collect()
}

/// Tables of one side only that the file says nothing of.
fn alone(others: &Others, known: &Known) -> Vec<String> {
    let mut alone = Vec::new();
    for (side, names, said) in [
        ("desktop", &others.desktop, &known.desktop),
        ("cloud", &others.cloud, &known.cloud),
    ] {
        let news = { names.iter() }.filter(|name| !said.contains(*name) && !known.names(name));
        let news: Vec<_> = news.map(String::as_str).collect();
        let news = (!news.is_empty()).then(|| format!("only on the {side}: {}", news.join(", ")));
        alone.extend(news);
    }
    alone
}

/// Tables that the file has as remarks, and that would work as they are proposed today.
async fn fit_by_now(
    left_out: Vec<(&RelationFacts, &RelationFacts)>,
    merged: &Settings,
    (settings, sources): (&Settings, &Sources),
    clients: (&Client, &Client),
) -> Result<Vec<String>, Fault> {
    let mut fit = Vec::new();
    for sides in left_out {
        let again = entry(
            sides,
            (settings, zone_of(settings)),
            clients,
            &mut Decisions::default(),
        )
        .await?;
        fit.extend(fits(again, merged, (settings, sources), clients).await?);
    }
    Ok(fit)
}

/// What is to be said of a table that the file has.
async fn again(
    pair: &Pair<'_>,
    (table, why): (&Table, Option<&String>),
    (settings, sources): (&Settings, &Sources),
    clients: (&Client, &Client),
) -> Result<Update, Fault> {
    let mut seen = Update::default();
    let Some(sides) = pair.desktop.zip(pair.cloud) else {
        return Ok(seen);
    };
    if let Some(why) = why {
        let each = why.split("; ").map(|why| format!("{}: {why}", table.name));
        seen.misfits.extend(each);
        return Ok(seen);
    }
    let again = entry(
        sides,
        (settings, zone_of(settings)),
        clients,
        &mut Decisions::default(),
    )
    .await?;
    // What can't be read back can't be compared.
    if let Ok(again) = parsed(&written(&again), settings, sources)?
        && let Some(again) = again.first()
    {
        seen.otherwise = compare::otherwise(sides, (table, again), settings);
    }
    Ok(seen)
}

/// A table that the file has as a remark: whether it would work as it is proposed today.
async fn fits(
    again: Entry,
    merged: &Settings,
    (settings, sources): (&Settings, &Sources),
    clients: (&Client, &Client),
) -> Result<Option<String>, Fault> {
    let Ok(tables) = parsed(&written(&again), settings, sources)? else {
        return Ok(None);
    };
    let mut merged = merged.clone();
    merged.tables.extend(tables);
    let misfits = unfit(&merged, std::slice::from_ref(&again), clients).await?;
    let fits = !misfits.contains_key(&again.name);
    Ok(fits.then(|| format!("{}: it is a remark in the file, and fits", again.name)))
}

/// All tables of a side, also those that only the settings would name.
async fn all(
    control: &Control,
    side: Side,
    names: impl Iterator<Item = Name>,
) -> Result<Vec<RelationFacts>, Fault> {
    let mut all = look(control, side).await?;
    let missed: Vec<_> = { names }
        .filter(|name| all.iter().all(|facts| facts.name != *name))
        .collect();
    let wire = |error| Fault::wire(side, &error);
    begin_with_empty_search_path(&control.client)
        .await
        .map_err(wire)?;
    for name in missed {
        all.extend(relation(&control.client, &name).await.map_err(wire)?);
    }
    let ended = control.client.batch_execute("commit").await;
    ended.map_err(Fault::at(side))?;
    Ok(all)
}

/// The tables that a text makes under the settings.
fn parsed(
    text: &str,
    settings: &Settings,
    sources: &Sources,
) -> Result<Result<Vec<Table>, config::Problems>, Fault> {
    let whole = format!(
        "[desktop]\nurl = \"postgres://u@h/d\"\n[cloud]\nurl = \"postgres://u@h/d\"\n[forward]\nskip = {}\n{text}",
        list(&settings.forward.skip)
    );
    Ok(read(&whole, sources)?.map(|settings| settings.tables))
}

/// New tables come last: those that fit, those that don't, and those that may be one.
fn add_tables(
    entries: &[Entry],
    misfits: &BTreeMap<String, String>,
    alike: &[(String, String)],
    (splice, update): (&mut Splice, &mut Update),
) -> Result<(), Fault> {
    let mut active = Vec::new();
    for entry in entries {
        match misfits.get(&entry.name) {
            None => {
                active.push(written(entry));
                update.added.push(format!("table {}", entry.name));
            }
            Some(why) => update.set_aside.push(format!("{}: {why}", entry.name)),
        }
    }
    if !active.is_empty() {
        splice.append_tables(&active.concat())?;
    }
    for entry in entries {
        if let Some(why) = misfits.get(&entry.name) {
            let remark = aside(entry, why);
            splice.append(remark.strip_suffix("#\n").unwrap_or(&remark));
        }
    }
    for (desktop, cloud) in alike {
        update.set_aside.push(format!(
            "{desktop} and {cloud} have most columns in common: one table under two names?"
        ));
        splice.append(&maybe_one(desktop, cloud));
    }
    Ok(())
}

/// What times without a zone mean, as the file says it.
fn zone_of(settings: &Settings) -> &str {
    settings.desktop.time_zone.as_deref().unwrap_or("UTC")
}
