//! The schemas `tandem` of both sides: their versions, and what a start of this program would make of them.

use serde::Serialize;

use super::observer::Observer;
use crate::fault::{Fault, Kind, Side};
use crate::install::{Migrations, version_of};
use crate::wire::control::Control;

/// Both of them; null where tandem was never set up.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SchemasStatus {
    /// The desktop's.
    pub desktop: Option<SchemaStatus>,
    /// The cloud's.
    pub cloud: Option<SchemaStatus>,
}

/// One of them.
#[derive(Clone, Debug, Serialize)]
pub struct SchemaStatus {
    /// Its version.
    pub version: i32,
    /// The version that this program knows; the schema may have a later one.
    pub newest: i32,
    /// The oldest program that may work with it.
    pub oldest_binary: String,
    /// The steps that the next start of this program's service takes, by name.
    pub migrates: Vec<String>,
}

impl SchemasStatus {
    /// Each that is there.
    pub fn sides(&self) -> impl Iterator<Item = (Side, &SchemaStatus)> {
        let desktop = { self.desktop.iter() }.map(|schema| (Side::Desktop, schema));
        desktop.chain(self.cloud.iter().map(|schema| (Side::Cloud, schema)))
    }
}

impl Observer {
    /// The schemas of both sides.
    ///
    /// # Errors
    /// When a side can't be asked.
    pub async fn schemas(&self) -> Result<SchemasStatus, Fault> {
        Ok(SchemasStatus {
            desktop: schema(&self.desktop, Side::Desktop).await?,
            cloud: schema(&self.cloud, Side::Cloud).await?,
        })
    }

    /// A question that an older schema can't answer yet is no riddle.
    pub(super) async fn unless_migrated(&self, fault: Fault) -> Fault {
        let Kind::Unknown = fault.kind else {
            return fault;
        };
        let Ok(schemas) = self.schemas().await else {
            return fault;
        };
        let Some((side, old)) = schemas.sides().find(|(_, old)| !old.migrates.is_empty()) else {
            return fault;
        };
        let what = format!(
            "the schema tandem on the {side} has version {}, and this program asks for what comes with {}: {fault}",
            old.version, old.newest
        );
        Fault::new(Kind::Input, what)
            .hint("nothing was changed; the next start of the service brings the schema to this program's version, until then ask with the program that runs")
            .next("tandem run")
    }
}

async fn schema(control: &Control, side: Side) -> Result<Option<SchemaStatus>, Fault> {
    let migrations = Migrations::embedded();
    let found = version_of(&control.client, side).await?;
    Ok(found.map(|found| SchemaStatus {
        version: found.state,
        newest: migrations.newest(side),
        migrates: { migrations.since(side, found.state) }
            .map(|step| step.name.to_string())
            .collect(),
        oldest_binary: found.oldest_binary,
    }))
}
