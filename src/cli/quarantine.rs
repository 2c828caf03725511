//! `tandem quarantine`

use clap::{Args, Subcommand};

use super::show;
use crate::config::Settings;
use crate::fault::{Exit, Fault, Kind};
use crate::service::{Onlooker, ParkedRow};

/// Rows that the cloud refused, and why; tandem tries them again by itself.
#[derive(Args)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The rows that wait; exit 1 when there are any
    List(List),
}

#[derive(Args)]
struct List {
    /// Only this table
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Only this row
    #[arg(long, value_name = "N")]
    id: Option<i64>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// The `quarantine list` document; source: the contract.
#[derive(serde::Serialize)]
struct Document {
    schema: u32,
    rows: Vec<ParkedRow>,
}

pub(super) async fn quarantine(options: &Options, settings: &Settings) -> Result<Exit, Fault> {
    let What::List(list) = &options.what;
    let table = list
        .table
        .as_deref()
        .map(|name| named(settings, name))
        .transpose()?;
    let onlooker = Onlooker::connect(settings).await?;
    let mut rows = onlooker.parked(settings).await?;
    rows.retain(|row| {
        table.as_ref().is_none_or(|table| row.table == *table)
            && list.id.is_none_or(|id| row.id == id)
    });
    let exit = if rows.is_empty() {
        Exit::Fine
    } else {
        Exit::BadNews
    };
    if list.json {
        show::document(&Document { schema: 1, rows });
        return Ok(exit);
    }
    for row in &rows {
        let key = row
            .key
            .iter()
            .map(|(name, value)| format!("{name} = {}", value.as_deref().unwrap_or("NULL")));
        let key: Vec<_> = key.collect();
        show::result(&format!(
            "{}   {}   {}   {} {}   since {}, tried {} times",
            row.id,
            row.table,
            key.join(", "),
            row.sqlstate,
            row.why,
            row.since,
            row.tries
        ));
    }
    if rows.is_empty() {
        show::result("nothing is in quarantine");
    }
    Ok(exit)
}

/// The table's name in the settings; the cloud's name is accepted.
fn named(settings: &Settings, name: &str) -> Result<String, Fault> {
    let cloud = |table: &&crate::config::Table| {
        let cloud = &table.cloud;
        name == cloud.relation && cloud.schema == "public"
            || name == format!("{}.{}", cloud.schema, cloud.relation)
    };
    let tables = &settings.tables;
    let found = tables
        .iter()
        .find(|table| table.name == name)
        .or_else(|| tables.iter().find(cloud));
    found.map(|table| table.name.clone()).ok_or_else(|| {
        let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
        Fault::new(Kind::Input, format!("no table {name} in the settings"))
            .hint(format!("there are {}", names.join(", ")))
    })
}
