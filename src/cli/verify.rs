//! `tandem verify`

use clap::Args;
use serde::Serialize;

use super::{all_named, show};
use crate::config::Settings;
use crate::fault::{Exit, Fault};
use crate::service::{BadRow, Onlooker, TableVerified};

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
    let onlooker = Onlooker::connect(settings).await?;
    let say = |table: &TableVerified| {
        if !options.json {
            line(table, options.keys);
        } else if show::progress_is_seen() {
            show::progress(&format!("{} compared", table.table));
        }
    };
    let verified = onlooker.verify(settings, &names, &say).await?;
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
    } else if equal {
        show::result("both sides are equal");
    } else {
        show::result("both sides differ; next: tandem repair");
    }
    Ok(match equal {
        true => Exit::Fine,
        false if verified.iter().any(|table| table.failed.is_some()) => Exit::CannotTell,
        false => Exit::BadNews,
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
        show::result(&format!("    {}{way}  {}", row.what, key.join(", ")));
    }
}
