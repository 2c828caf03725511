//! The schema `tandem` on both sides: created from the files of `sql/`, versioned.

use tokio_postgres::Client;

use super::publish::all_statements;
use crate::config::Settings;
use crate::failpoint;
use crate::fault::{Fault, Kind, Side};
use crate::model::Tables;
use crate::wire::WireError;

const DESKTOP: &str = include_str!("../../sql/desktop/001_state.sql");
const CLOUD: &str = include_str!("../../sql/cloud/001_state.sql");

/// Installs the schema where it is missing, and refuses one that this program is too old for.
///
/// # Errors
/// When a statement fails, or the schema was made for newer programs.
pub async fn ensure_schema(client: &Client, side: Side) -> Result<(), Fault> {
    let wire = Fault::at::<tokio_postgres::Error>(side);
    if !is_installed(client, side).await? {
        let sql = match side {
            Side::Desktop => DESKTOP,
            Side::Cloud => CLOUD,
        };
        // One simple query, so that a transaction pooler keeps it on one server connection.
        let made = client
            .batch_execute(&format!("begin; {sql}\n; commit"))
            .await;
        if let Err(error) = made {
            let _ = client.batch_execute("rollback").await;
            // Another program may have been faster, by little (23505) or by more (42P06); then the schema is there now.
            return match is_installed(client, side).await? {
                true => check_version(client, side).await,
                false => Err(wire(error)),
            };
        }
        failpoint::reach("schema_made");
        tracing::info!(%side, "installed the schema tandem");
    }
    check_version(client, side).await
}

/// What set-up does on a side, for reading and pasting: the schema where it is missing, then what is published or watched.
pub fn planned_statements(
    side: Side,
    installed: bool,
    settings: &Settings,
    replicator: &str,
    tables: &Tables,
) -> Vec<String> {
    let schema = match side {
        Side::Desktop => DESKTOP,
        Side::Cloud => CLOUD,
    };
    let schema = (!installed).then(|| schema.trim_end().to_owned());
    let published = match side {
        Side::Desktop => all_statements(&settings.forward.publication, replicator, tables),
        Side::Cloud => super::watch::all_statements(replicator, tables),
    };
    schema.into_iter().chain(published).collect()
}

/// Whether the schema is there.
///
/// # Errors
/// When the query fails.
pub async fn is_installed(client: &Client, side: Side) -> Result<bool, Fault> {
    let found = client
        .query_typed("select to_regclass('tandem.version') is not null", &[])
        .await;
    let found = found.map_err(|error| Fault::wire(side, &WireError::from(error)))?;
    Ok(found.first().is_some_and(|row| row.get(0)))
}

/// What a side's schema says of itself.
pub struct InstalledVersion {
    /// The version of its state.
    pub state: i32,
    /// The oldest program that may work with it.
    pub oldest_binary: String,
}

impl InstalledVersion {
    /// This program is too old for it.
    pub fn is_for_newer(&self) -> bool {
        version(&self.oldest_binary) > version(env!("CARGO_PKG_VERSION"))
    }
}

/// Asks the schema, which is there, for its version; none where it doesn't say.
///
/// # Errors
/// When the query fails.
pub async fn installed_version(
    client: &Client,
    side: Side,
) -> Result<Option<InstalledVersion>, Fault> {
    let asked = client.query_typed("select version, oldest_binary from tandem.version", &[]);
    let rows = asked.await.map_err(Fault::at(side))?;
    Ok(rows.first().map(|row| InstalledVersion {
        state: row.get(0),
        oldest_binary: row.get(1),
    }))
}

async fn check_version(client: &Client, side: Side) -> Result<(), Fault> {
    let found = installed_version(client, side).await?;
    if let Some(found) = found.filter(InstalledVersion::is_for_newer) {
        let oldest = found.oldest_binary;
        let what = format!("the schema tandem on the {side} needs tandem {oldest} or newer");
        return Err(
            Fault::new(Kind::Lineage, what).hint("install the newer program; nothing was changed")
        );
    }
    Ok(())
}

fn version(text: &str) -> Vec<u32> {
    text.split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}
