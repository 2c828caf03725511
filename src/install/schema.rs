//! The schema `tandem` on both sides: what is there, which programs it is for, and its first installation.

use tokio_postgres::Client;

use super::migrations::Migrations;
use super::publish::all_statements;
use crate::config::Settings;
use crate::failpoint;
use crate::fault::{Fault, Kind, Side};
use crate::limits;
use crate::model::Tables;
use crate::plan::quote::literal;
use crate::wire::WireError;

/// Installs the schema, which is missing, with all steps in one transaction.
///
/// # Errors
/// When a statement fails, or another program was faster and made the schema for newer programs.
pub async fn install_schema(
    client: &Client,
    side: Side,
    migrations: &Migrations,
) -> Result<(), Fault> {
    let wire = Fault::at::<tokio_postgres::Error>(side);
    // One simple query, so that a transaction pooler keeps it on one server connection.
    let made = client
        .batch_execute(&format!(
            "begin; set local tandem.program = {}; {}\n; commit",
            literal(migrations.program()),
            text(migrations, side, 0)
        ))
        .await;
    if let Err(error) = made {
        let _ = client.batch_execute("rollback").await;
        // Another program may have been faster, by little (23505) or by more (42P06); then the schema is there now.
        return match is_installed(client, side).await? {
            true => refuse_newer(client, side, migrations).await.map(drop),
            false => Err(wire(error)),
        };
    }
    failpoint::reach("schema_made");
    tracing::info!(%side, "installed the schema tandem");
    Ok(())
}

/// The steps that a schema of this version lacks, one behind the other.
pub(super) fn text(migrations: &Migrations, side: Side, version: i32) -> String {
    let steps = migrations.since(side, version);
    let steps: Vec<_> = steps.map(|step| step.sql.trim_end()).collect();
    steps.join("\n\n")
}

/// What set-up does on a side, for reading and pasting: the steps that its schema lacks, then what is published or watched.
/// `installed`: the version of the schema that is there.
pub fn planned_statements(
    side: Side,
    installed: Option<i32>,
    settings: &Settings,
    replicator: &str,
    tables: &Tables,
) -> Vec<String> {
    let migrations = Migrations::embedded();
    let published = match side {
        Side::Desktop => all_statements(&settings.forward.publication, replicator, tables),
        Side::Cloud => super::watch::all_statements(replicator, tables),
    };
    let schema = planned_steps(&migrations, side, installed, replicator);
    schema.into_iter().chain(published).collect()
}

/// The steps that a side's schema lacks, as they can be pasted; none where it lacks none.
pub fn planned_steps(
    migrations: &Migrations,
    side: Side,
    installed: Option<i32>,
    replicator: &str,
) -> Option<String> {
    let steps = text(migrations, side, installed.unwrap_or_default());
    match installed {
        _ if steps.is_empty() => None,
        None => Some(steps),
        Some(_) => Some(format!(
            "begin;\nset local lock_timeout = '{}ms';\nset local tandem.program = {};\nset local tandem.replicator = {};\n{steps}\ncommit;",
            limits::SETUP_LOCK_TIMEOUT.as_millis(),
            literal(migrations.program()),
            literal(replicator),
        )),
    }
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
#[derive(Clone, Debug)]
pub struct InstalledVersion {
    /// The version of its state.
    pub state: i32,
    /// The oldest program that may work with it.
    pub oldest_binary: String,
}

impl InstalledVersion {
    /// This program is too old for it.
    pub fn is_for_newer(&self) -> bool {
        self.is_newer_than(env!("CARGO_PKG_VERSION"))
    }

    fn is_newer_than(&self, program: &str) -> bool {
        version(&self.oldest_binary) > version(program)
    }

    /// That a program is too old for it; none where it isn't.
    pub fn refusal(&self, side: Side, program: &str) -> Option<Fault> {
        let what = format!(
            "the schema tandem on the {side} needs tandem {} or newer, and this is {program}",
            self.oldest_binary
        );
        let fault = Fault::new(Kind::Lineage, what);
        let fault = fault.hint("install the newer program; nothing was changed");
        self.is_newer_than(program).then_some(fault)
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

/// A side's version; none where nothing is installed.
///
/// # Errors
/// When the query fails, or nobody can tell.
pub async fn version_of(client: &Client, side: Side) -> Result<Option<InstalledVersion>, Fault> {
    match is_installed(client, side).await? {
        true => version_there(client, side).await.map(Some),
        false => Ok(None),
    }
}

/// The version of a side's schema, which is there.
async fn version_there(client: &Client, side: Side) -> Result<InstalledVersion, Fault> {
    let found = installed_version(client, side).await?;
    let what = format!(
        "nobody can tell which version the schema tandem on the {side} has: tandem.version is empty"
    );
    let nobody = || {
        Fault::new(Kind::Lineage, what)
            .hint("nothing was changed")
            .next("tandem doctor")
    };
    found.ok_or_else(nobody)
}

/// A side's version; one that the program is too old for is refused.
///
/// # Errors
/// That it is, or that the query failed.
async fn refuse_newer(
    client: &Client,
    side: Side,
    migrations: &Migrations,
) -> Result<Option<InstalledVersion>, Fault> {
    match is_installed(client, side).await? {
        true => { refuse_newer_there(client, side, migrations).await }.map(Some),
        false => Ok(None),
    }
}

/// The same of a schema that is there.
///
/// # Errors
/// That, or that the query failed.
pub async fn refuse_newer_there(
    client: &Client,
    side: Side,
    migrations: &Migrations,
) -> Result<InstalledVersion, Fault> {
    let found = version_there(client, side).await?;
    let refusal = found.refusal(side, migrations.program());
    refusal.map_or(Ok(found), Err)
}

fn version(text: &str) -> Vec<u32> {
    text.split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}
