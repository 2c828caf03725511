//! `tandem verify`

use clap::Args;
use serde::Serialize;

use super::common::all_named;
use super::show;
use crate::config::Settings;
use crate::fault::{Exit, Fault};
use crate::limits;
use crate::observe::{BadRow, Observer, TableVerified};

/// Compare both sides row by row; changes nothing. What differs is looked at again after the cloud has caught up.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem verify                      all tables; exit 1 when rows differ
  tandem verify --table visits --keys   which rows they are")]
pub(super) struct Options {
    /// Only this table; repeat it for more
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
    /// Name the rows that differ, by their keys
    #[arg(long)]
    keys: bool,
    /// One document on standard output
    #[arg(long)]
    json: bool,
}

/// The `verify` document; source: the contract.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    equal: bool,
    tables: Vec<Table<'a>>,
}

#[derive(Serialize)]
struct Table<'a> {
    #[serde(flatten)]
    verified: &'a TableVerified,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rows: Vec<&'a BadRow>,
}

pub(super) async fn verify(options: &Options, settings: &Settings) -> Result<Exit, Fault> {
    let names = all_named(settings, &options.tables)?;
    let observer = Observer::connect(settings).await?;
    let say = |table: &TableVerified| {
        if !options.json {
            line(table, options.keys);
        } else if show::progress_is_seen() {
            show::progress(&format!("{} compared", table.table));
        }
    };
    let valued = if options.keys {
        limits::VERIFY_NAMED
    } else {
        0
    };
    let verified = observer.verify(settings, &names, valued, &say).await?;
    let equal = verified.iter().all(TableVerified::is_equal);
    if options.json {
        let tables = verified.iter().map(|table| Table {
            verified: table,
            rows: match options.keys {
                true => table.rows.iter().collect(),
                false => Vec::new(),
            },
        });
        show::document(&Document {
            schema: 1,
            equal,
            tables: tables.collect(),
        });
    } else {
        show::result(&closing(&observer, settings, &verified).await?);
    }
    Ok(match equal {
        true => Exit::Fine,
        false if verified.iter().any(|table| table.failed.is_some()) => Exit::CannotTell,
        false => Exit::BadNews,
    })
}

/// What it comes to, and what to do.
async fn closing(
    observer: &Observer,
    settings: &Settings,
    verified: &[TableVerified],
) -> Result<String, Fault> {
    let failed = verified.iter().filter(|table| table.failed.is_some());
    let failed = failed.count();
    let others = verified.iter().filter(|table| table.failed.is_none());
    if others.clone().all(TableVerified::is_equal) {
        let known: u64 = others.map(|table| table.known).sum();
        let but = match known {
            0 => String::new(),
            rows => format!(" but for {rows} rows in quarantine or kept by the settings"),
        };
        return Ok(match failed {
            0 => format!("both sides are equal{but}"),
            _ => format!(
                "{failed} tables can't be compared, the others are equal{but}; next: tandem doctor"
            ),
        });
    }
    let seen = observer.checkpoint().await?.unwrap_or_default();
    Ok(match observer.is_running(settings, &seen).await? {
        true => "both sides differ; next: tandem repair".to_owned(),
        false => "both sides differ, and tandem is not running: what was changed since it stopped has not travelled; next: tandem run".to_owned(),
    })
}

fn line(table: &TableVerified, keys: bool) {
    if let Some(why) = &table.failed {
        return show::result(&format!("{:<20} can't be compared: {why}", table.table));
    }
    let known = match table.known {
        0 => String::new(),
        rows => format!(", {rows} of them known"),
    };
    let verdict = match (
        table.missing + table.extra + table.different,
        table.is_equal(),
    ) {
        (0, _) => "equal".to_owned(),
        (_, equal) => format!(
            "{}: {} missing, {} extra, {} different{known}",
            if equal {
                "equal but for what is known"
            } else {
                "DIFFERENT"
            },
            table.missing,
            table.extra,
            table.different
        ),
    };
    show::result(&format!(
        "{:<20} {:>9} rows on the desktop {:>9} in the cloud   {verdict}",
        table.table, table.desktop_rows, table.cloud_rows
    ));
    for row in table.rows.iter().filter(|_| keys) {
        let key = row
            .key
            .iter()
            .map(|(name, value)| format!("{name} = {}", value.as_deref().unwrap_or("NULL")));
        let key: Vec<_> = key.collect();
        let way = if row.homeward {
            " on the desktop"
        } else {
            " in the cloud"
        };
        let columns = match row.columns.is_empty() {
            true => String::new(),
            false => format!("   in {}", row.columns.join(", ")),
        };
        show::result(&format!(
            "    {}{way}  {}{columns}",
            row.what,
            key.join(", ")
        ));
    }
}
