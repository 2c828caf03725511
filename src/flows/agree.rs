//! Settings and both catalogs agree on the tables, or everything that doesn't fit is said at once.

use tokio_postgres::Client;

use crate::catalog::{
    Ambiguous, Mismatch, Pair, RelationFacts, measure, parents_first, relation, resolve, unpathed,
};
use crate::config::Settings;
use crate::fault::{Fault, Kind, Side};
use crate::model::{Name, Table, Tables};
use crate::wire::WireError;

/// Reads both catalogs and resolves every table of the settings.
///
/// # Errors
/// All mismatches of all tables in one fault, before a row moves.
pub async fn agree(settings: &Settings, desktop: &Client, cloud: &Client) -> Result<Tables, Fault> {
    if settings.tables.is_empty() {
        return Err(Fault::new(Kind::Input, "no table is configured")
            .hint("add a [[table]] with its name to the settings"));
    }
    let desktop_names = settings.tables.iter().map(|table| Name {
        schema: table.schema.clone(),
        relation: table.relation.clone(),
    });
    let cloud_names = settings.tables.iter().map(|table| Name {
        schema: table.cloud.schema.clone(),
        relation: table.cloud.relation.clone(),
    });
    let on_desktop = look(desktop, Side::Desktop, desktop_names).await?;
    let in_cloud = look(cloud, Side::Cloud, cloud_names).await?;
    let (mut tables, mut mismatches, mut ties) = (Vec::new(), Vec::new(), Vec::new());
    for (wanted, (desktop, cloud)) in settings.tables.iter().zip(on_desktop.iter().zip(&in_cloud)) {
        match resolve(
            settings,
            &Pair {
                wanted,
                desktop: desktop.as_ref(),
                cloud: cloud.as_ref(),
            },
        ) {
            Ok(table) => {
                tables.push(table);
                ties.push(
                    cloud
                        .as_ref()
                        .map_or((0, Vec::new()), |cloud| (cloud.oid, cloud.parents.clone())),
                );
            }
            Err(found) => mismatches.extend(found),
        }
    }
    if mismatches.is_empty() {
        let order = parents_first(&ties);
        return Ok(Tables::new(
            order.into_iter().map(|at| tables[at].clone()).collect(),
        ));
    }
    // All at once: what the other tables' keys are like is asked too.
    let others: Vec<_> = tables.iter().collect();
    for found in ambiguous(&others, desktop, cloud).await? {
        mismatches.push(Mismatch {
            what: found.words(),
            table: found.table,
        });
    }
    let lines: Vec<_> = mismatches
        .iter()
        .map(|found| format!("  {}: {}", found.table, found.what))
        .collect();
    let what = format!(
        "{} things in the settings and the two databases do not fit together\n{}",
        lines.len(),
        lines.join("\n")
    );
    Err(Fault::new(Kind::Input, what).hint("nothing was changed and no row was moved"))
}

/// A declared key that isn't unique is refused before anything is changed.
///
/// # Errors
/// All such keys of all tables, on both sides, with counts.
pub async fn check_keys(tables: &[&Table], desktop: &Client, cloud: &Client) -> Result<(), Fault> {
    let refused = ambiguous(tables, desktop, cloud).await?;
    if refused.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = refused
        .iter()
        .map(|found| format!("  {}: {}", found.table, found.words()))
        .collect();
    let what = format!(
        "{} keys do not name one row\n{}",
        refused.len(),
        lines.join("\n")
    );
    Err(Fault::new(Kind::Input, what).hint("no row was moved"))
}

async fn ambiguous(
    tables: &[&Table],
    desktop: &Client,
    cloud: &Client,
) -> Result<Vec<Ambiguous>, Fault> {
    let mut refused = Vec::new();
    for table in tables {
        for (client, side) in [(desktop, Side::Desktop), (cloud, Side::Cloud)] {
            refused.extend(
                measure(client, table, side)
                    .await
                    .map_err(|error| Fault::wire(side, &error))?,
            );
        }
    }
    Ok(refused)
}

async fn look(
    client: &Client,
    side: Side,
    names: impl Iterator<Item = Name>,
) -> Result<Vec<Option<RelationFacts>>, Fault> {
    let wire = |error: &WireError| Fault::wire(side, error);
    unpathed(client).await.map_err(|error| wire(&error))?;
    let mut found = Vec::new();
    for name in names {
        found.push(
            relation(client, &name)
                .await
                .map_err(|error| wire(&error))?,
        );
    }
    client
        .batch_execute("commit")
        .await
        .map_err(|error| wire(&error.into()))?;
    Ok(found)
}
