//! Settings and both catalogs agree on the tables, or everything that doesn't fit is said at once.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::catalog::{
    Ambiguous, Mismatch, Pair, RelationFacts, Sort, Tie, begin_with_empty_search_path, fleeting,
    knot, measure, measure_reverse, narrowed, parents_first, publication, publish_whole, relations,
    resolve, ties, try_conversions,
};
use crate::config::{self, Settings};
use crate::fault::{Fault, Kind, Side};
use crate::limits;
use crate::model::{Name, ReverseTable, SchemaMismatch, Source, Table, Tables, alike, listed};
use crate::plan::table_state;
use crate::wire::WireError;

/// Reads both catalogs and resolves every table of the settings.
///
/// # Errors
/// All mismatches of all tables in one fault, before a row moves.
pub async fn agree(settings: &Settings, desktop: &Client, cloud: &Client) -> Result<Tables, Fault> {
    agree_again(settings, desktop, cloud, &BTreeSet::new()).await
}

/// The same where some tables have been `served` before: those of them that no longer fit are set aside, and the others go
/// on (P8).
///
/// # Errors
/// All mismatches of the other tables in one fault.
pub async fn agree_again(
    settings: &Settings,
    desktop: &Client,
    cloud: &Client,
    served: &BTreeSet<String>,
) -> Result<Tables, Fault> {
    let agreed = weigh(settings, (desktop, cloud), served, true).await?;
    agreed.map_err(|mismatches| {
        let found = mismatches.iter();
        let lines = said(found.map(|found| (found.what.as_str(), found.table.as_str())));
        let what = match mismatches.len() {
            1 => "one thing in the settings and the two databases does not fit together".to_owned(),
            many => {
                format!("{many} things in the settings and the two databases do not fit together")
            }
        };
        let what = format!("{what}\n{lines}");
        Fault::new(Kind::Input, what).hint("nothing was changed and no row was moved")
    })
}

/// The same; what doesn't fit is answered one by one.
///
/// # Errors
/// When a side can't be asked, or no table is configured.
pub async fn examine(
    settings: &Settings,
    desktop: &Client,
    cloud: &Client,
    served: &BTreeSet<String>,
) -> Result<Result<Tables, Vec<Mismatch>>, Fault> {
    weigh(settings, (desktop, cloud), served, false).await
}

/// The same; also what of the tables another's publication leaves out, where `published` asks for it.
async fn weigh(
    settings: &Settings,
    (desktop, cloud): (&Client, &Client),
    served: &BTreeSet<String>,
    published: bool,
) -> Result<Result<Tables, Vec<Mismatch>>, Fault> {
    if settings.tables.is_empty() {
        return Err(Fault::new(Kind::Input, "no table is configured")
            .hint("add a [[table]] with its name to the settings"));
    }
    let desktop_names = settings.tables.iter().map(config::Table::desktop_name);
    let cloud_names = settings.tables.iter().map(config::Table::cloud_name);
    let (on_desktop, in_cloud) = tokio::try_join!(
        look(desktop, Side::Desktop, desktop_names),
        look(cloud, Side::Cloud, cloud_names)
    )?;
    let sides = settings.tables.iter().zip(on_desktop.iter().zip(&in_cloud));
    let pairs = sides.map(|(wanted, (desktop, cloud))| Pair {
        wanted,
        desktop: desktop.as_ref(),
        cloud: cloud.as_ref(),
    });
    let pairs: Vec<_> = pairs.collect();
    let (mut tables, mut reverse_tables, mut mismatches) = resolve_each(settings, &pairs);
    mismatches.extend(unconvertible((&tables, cloud), (&reverse_tables, desktop)).await?);
    mismatches.extend(mark_looked_up(&mut tables));
    mismatches.extend(unknown_zone(settings, desktop, cloud).await?);
    let found = fleeting(desktop, &tables).await;
    mismatches.extend(found.map_err(|error| Fault::wire(Side::Desktop, &error))?);
    if published {
        mismatches.extend(unsent(settings, desktop, &tables).await?);
    }
    if mismatches.iter().all(|found| served.contains(&found.table)) {
        let misfits = set_aside(settings, &mismatches);
        let fits = |name: &str| misfits.iter().all(|misfit| misfit.name != name);
        tables.retain(|table| fits(&table.name));
        reverse_tables.retain(|reverse| fits(&reverse.name));
        let tables = Tables::new(in_order(tables, &pairs)).with_reverse_tables(reverse_tables);
        return Ok(Ok(tables.with_misfits(misfits)));
    }
    // All at once: what the other tables' keys are like is asked too.
    let (others, reverse): (Vec<_>, Vec<_>) =
        (tables.iter().collect(), reverse_tables.iter().collect());
    for found in ambiguous(&others, &reverse, desktop, cloud).await? {
        mismatches.push(Mismatch::new(&found.table, Sort::Key, found.words()));
    }
    Ok(Err(mismatches))
}

/// The tables of both ways as far as they fit, and what doesn't.
fn resolve_each(
    settings: &Settings,
    pairs: &[Pair<'_>],
) -> (Vec<Table>, Vec<ReverseTable>, Vec<Mismatch>) {
    let (mut tables, mut reverse_tables, mut mismatches) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..pairs.len() {
        match resolve(settings, pairs, at) {
            Ok(resolved) => {
                tables.extend(resolved.table);
                reverse_tables.extend(resolved.reverse);
            }
            Err(found) => mismatches.extend(found),
        }
    }
    (tables, reverse_tables, mismatches)
}

/// Values that can't become what the column is to which they come, on either way.
async fn unconvertible(
    (tables, cloud): (&[Table], &Client),
    (reverse_tables, desktop): (&[ReverseTable], &Client),
) -> Result<Vec<Mismatch>, Fault> {
    let outward = tables.iter().map(|table| {
        (
            &table.name,
            (cloud, Side::Cloud),
            &table.arriving,
            &table.columns,
        )
    });
    let homeward = reverse_tables.iter().map(|reverse| {
        (
            &reverse.name,
            (desktop, Side::Desktop),
            &reverse.arriving,
            &reverse.columns,
        )
    });
    let mut mismatches = Vec::new();
    for (name, side, arriving, columns) in outward.chain(homeward) {
        let wrong = try_conversions(side, arriving, columns).await?;
        let wrong = wrong.into_iter();
        mismatches.extend(wrong.map(|what| Mismatch::new(name, Sort::Settings, what)));
    }
    Ok(mismatches)
}

/// Each table with all that doesn't fit of it.
fn set_aside(settings: &Settings, mismatches: &[Mismatch]) -> Vec<SchemaMismatch> {
    let misfit = |table: &config::Table| {
        let own = mismatches.iter().filter(|found| found.table == table.name);
        let why: Vec<_> = own.map(|found| found.what.as_str()).collect();
        (!why.is_empty()).then(|| SchemaMismatch {
            name: table.name.clone(),
            desktop: table.desktop_name(),
            why: why.join("; "),
        })
    };
    settings.tables.iter().filter_map(misfit).collect()
}

/// What a publication that isn't ours leaves out; what somebody changed of ours is put right.
async fn unsent(
    settings: &Settings,
    desktop: &Client,
    tables: &[Table],
) -> Result<Vec<Mismatch>, Fault> {
    let (name, wire) = (&settings.forward.publication, Fault::at(Side::Desktop));
    let found = publication(desktop, name).await.map_err(&wire)?;
    let Some(found) = found.filter(|found| !found.ours && !found.all_tables) else {
        return Ok(Vec::new());
    };
    let narrowed = narrowed(desktop, name).await.map_err(&wire)?;
    let unsent = |table: &Table| {
        let leaves = table.leaves.iter().flatten().map(|(name, _)| name);
        let part = |relation: &Name| {
            let (_, part) = narrowed.iter().find(|(narrow, _)| narrow == relation)?;
            let fix = publish_whole(name, relation);
            Some(format!(
                "publication {name} has {part} of {relation}; {fix}"
            ))
        };
        let options = found.leaves_out(table);
        let options = options.map(|what| format!("{what}; {}", found.mend()));
        options.or_else(|| leaves.chain([&table.desktop]).find_map(part))
    };
    let streams = tables.iter().filter(|table| table.stream);
    let told = streams.filter_map(|table| Some((table, unsent(table)?)));
    let told = told.map(|(table, what)| Mismatch::new(&table.name, Sort::Settings, what));
    Ok(told.collect())
}

/// The settings' time zone has to be known on both sides.
async fn unknown_zone(
    settings: &Settings,
    desktop: &Client,
    cloud: &Client,
) -> Result<Option<Mismatch>, Fault> {
    let Some(zone) = &settings.desktop.time_zone else {
        return Ok(None);
    };
    for (client, side) in [(desktop, Side::Desktop), (cloud, Side::Cloud)] {
        let asked = client
            .query_typed("select now() at time zone $1", &[(zone, Type::TEXT)])
            .await;
        match asked.map_err(WireError::from) {
            Ok(_) => {}
            Err(WireError::Server(error)) if error.class() == "22" => {
                let what = format!("{} on the {side}", error.message);
                return Ok(Some(Mismatch::new(
                    "desktop.time_zone",
                    Sort::Settings,
                    what,
                )));
            }
            Err(error) => return Err(Fault::wire(side, &error)),
        }
    }
    Ok(None)
}

/// Parents of lookups are known as such; what a lookup asks of them has to arrive there.
fn mark_looked_up(tables: &mut [Table]) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    let lookups: Vec<_> = tables
        .iter()
        .flat_map(|table| {
            table
                .lookups
                .iter()
                .map(|lookup| (table.name.clone(), lookup.clone()))
        })
        .collect();
    for (child, lookup) in lookups {
        let Some(parent) = tables.iter_mut().find(|table| table.cloud == lookup.parent) else {
            continue;
        };
        parent.is_looked_up = true;
        for (_, named, _) in &lookup.on {
            let arrives = |column: &&crate::model::Column| {
                column.name == *named && matches!(column.from, Source::Arriving(_))
            };
            if parent.columns.iter().find(arrives).is_none() {
                let what = format!(
                    "lookup asks {name} by {named}, which doesn't come from the desktop as it is, so its later changes can't be followed",
                    name = parent.name
                );
                mismatches.push(Mismatch::new(&child, Sort::Settings, what));
            }
        }
    }
    mismatches
}

/// Parents first; and what ties rows to others is known.
fn in_order(mut tables: Vec<Table>, pairs: &[Pair<'_>]) -> Vec<Table> {
    let facts = |name: &Name| {
        let mut clouds = pairs.iter().filter_map(|pair| pair.cloud);
        clouds.find(|cloud| cloud.name == *name)
    };
    let tie = |table: &Table| {
        let asked = table.lookups.iter().map(|lookup| &lookup.parent);
        let asked = asked.chain(table.tenant.via.iter().map(|via| &via.parent));
        let asked = asked.filter_map(|name| facts(name).map(|cloud| cloud.oid));
        facts(&table.cloud).map_or(Tie::default(), |cloud| ties(table, cloud, asked))
    };
    let tied: Vec<_> = tables.iter().map(tie).collect();
    let mut ordered = Vec::new();
    for (circle, members) in parents_first(&tied).into_iter().enumerate() {
        let oids: Vec<_> = members.iter().map(|at| tied[*at].oid).collect();
        for at in members {
            let mut table = std::mem::take(&mut tables[at]);
            let cloud = facts(&table.cloud);
            table.knot = cloud.and_then(|cloud| knot(&table, cloud, (circle, &oids)));
            ordered.push(table);
        }
    }
    ordered
}

/// A declared key that isn't unique is refused before anything is changed.
///
/// # Errors
/// All such keys of all tables, on both sides, with counts.
pub async fn check_keys(
    tables: &[&Table],
    reverse_tables: &[&ReverseTable],
    desktop: &Client,
    cloud: &Client,
) -> Result<(), Fault> {
    check_keys_again(tables, reverse_tables, (desktop, cloud), &BTreeSet::new())
        .await
        .map(drop)
}

/// The same where some tables have been `served` before: of them it is answered which keys don't hold, and why (P8).
///
/// # Errors
/// All such keys of the other tables.
pub async fn check_keys_again(
    tables: &[&Table],
    reverse_tables: &[&ReverseTable],
    (desktop, cloud): (&Client, &Client),
    served: &BTreeSet<String>,
) -> Result<BTreeMap<String, String>, Fault> {
    let found = ambiguous(tables, reverse_tables, desktop, cloud).await?;
    let (known, refused): (Vec<_>, Vec<_>) =
        { found.into_iter() }.partition(|found| served.contains(&found.table));
    if refused.is_empty() {
        let known = { known.into_iter() }.map(|found| (found.table.clone(), found.words()));
        return Ok(known.collect());
    }
    let found = { refused.iter() }.map(|found| (found.words(), found.table.as_str()));
    let what = format!(
        "{} keys do not name one row\n{}",
        refused.len(),
        said(found)
    );
    Err(Fault::new(Kind::Input, what).hint("no row was moved"))
}

/// A line for each thing that is wrong, with the tables in which it is.
fn said<'t>(wrong: impl Iterator<Item = (impl AsRef<str> + PartialEq, &'t str)>) -> String {
    let lines = alike(wrong).into_iter().map(|(words, tables)| {
        let tables = listed(tables, limits::NAMES_SHOWN);
        format!("  {tables}: {}", words.as_ref())
    });
    lines.collect::<Vec<_>>().join("\n")
}

async fn ambiguous(
    tables: &[&Table],
    reverse_tables: &[&ReverseTable],
    desktop: &Client,
    cloud: &Client,
) -> Result<Vec<Ambiguous>, Fault> {
    let sides = [(desktop, Side::Desktop), (cloud, Side::Cloud)];
    let out = tables.iter().flat_map(|table| {
        sides.map(|(client, side)| async move {
            let measured = measure(client, table, side).await;
            measured.map_err(|error| Fault::wire(side, &error))
        })
    });
    let reverse = reverse_tables.iter().flat_map(|reverse| {
        sides.map(|(client, side)| async move {
            let measured = measure_reverse(client, reverse, side).await;
            measured.map_err(|error| Fault::wire(side, &error))
        })
    });
    let (out, reverse) = tokio::try_join!(try_join_all(out), try_join_all(reverse))?;
    Ok(out.into_iter().chain(reverse).flatten().collect())
}

async fn look(
    client: &Client,
    side: Side,
    names: impl Iterator<Item = Name>,
) -> Result<Vec<Option<RelationFacts>>, Fault> {
    let wire = |error: WireError| Fault::wire(side, &error);
    let names: Vec<_> = names.collect();
    // Sent in this order, and answered in it: a distant server is waited for once.
    let (begun, found, ended) = tokio::join!(
        begin_with_empty_search_path(client),
        relations(client, &names),
        client.batch_execute("commit")
    );
    begun.map_err(wire)?;
    let found = found.map_err(wire)?;
    ended.map_err(|error| wire(error.into()))?;
    Ok(found)
}

/// The names of tables that were served before, or whose first copy has begun.
pub async fn known_tables(cloud: &Client, replicator: &str) -> Result<BTreeSet<String>, Fault> {
    // One that was copied before and waits for a new copy is known, too: it must not end what the others go on with.
    let sql = table_state::known();
    let rows = Side::Cloud
        .query(cloud, &sql, &[(&replicator, Type::TEXT)])
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
