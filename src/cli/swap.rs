//! `tandem swap`

use clap::Args;
use serde::Serialize;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::common::Common;
use super::plan::Sides;
use super::show;
use crate::config::{Flow, Settings};
use crate::fault::{Exit, Fault, Kind};
use crate::observe::{Observer, Swapped};
use crate::service::RunMode;
use crate::{limits, platform, service};

/// A staging swap now: a table is read whole, and the cloud's rows of the desktop made equal to it by a diff.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem swap                          all tables that the settings swap
  tandem swap jobtasks --plan          what it would change
  tandem swap jobtasks --allow-shrink  however many rows go")]
pub(super) struct Options {
    /// Tables [default: those with `swap` or `stream = false`]
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
    /// Say what would change, and change nothing
    #[arg(long)]
    plan: bool,
    /// However many rows go: without it a swap that removes more than max_shrink, or all, is refused
    #[arg(long)]
    allow_shrink: bool,
    /// One document on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
pub(super) struct Document {
    schema: u32,
    tables: Vec<Swapped>,
}

pub(super) async fn swap(
    common: &Common,
    options: &Options,
    settings: &Settings,
) -> Result<Exit, Fault> {
    let _logging = common.log_to_people()?;
    let tables = chosen(&options.tables, settings)?;
    if options.plan {
        let planned = {
            let sides = Sides::open(settings).await?;
            sides
                .counts(Some(&tables), Some(options.allow_shrink))
                .await?
        };
        say(&planned, options.json, ("", "would be"));
        return Ok(exit(&planned));
    }
    let observer = Observer::connect(settings).await?;
    if observer
        .checkpoint()
        .await?
        .is_none_or(|seen| seen.lsn.is_none())
    {
        return Err(Fault::new(
            Kind::Input,
            "the tables were never copied, so there is nothing to swap",
        )
        .hint("nothing was changed")
        .next("tandem bootstrap"));
    }
    let swapped = carry_out(&observer, settings, &tables, options.allow_shrink).await?;
    say(&swapped, options.json, ("", "were"));
    Ok(exit(&swapped))
}

/// A guard that refuses protects data; anything else that stands in the way is bad news.
fn exit(tables: &[Swapped]) -> Exit {
    match tables.iter().any(|table| table.guarded) {
        true => Exit::Protected,
        false if tables.iter().any(|table| table.refused.is_some()) => Exit::BadNews,
        false => Exit::Fine,
    }
}

/// Has tables swapped, by the service if it runs, else by ourselves.
pub(super) async fn carry_out(
    observer: &Observer,
    settings: &Settings,
    tables: &[&str],
    allow_shrink: bool,
) -> Result<Vec<Swapped>, Fault> {
    let seen = observer.checkpoint().await?.unwrap_or_default();
    let running = observer.is_running(settings, &seen).await?;
    let who = platform::in_words(&platform::holder());
    let ids = observer.ask_for_swaps(tables, (&who, allow_shrink)).await?;
    if running {
        observer.stir().await?;
    } else {
        service::run(settings, RunMode::copies(), &CancellationToken::new()).await?;
    }
    loop {
        let (swapped, open) = observer.swapped(&ids).await?;
        if open == 0 {
            return Ok(swapped);
        }
        let seen = observer.checkpoint().await?.unwrap_or_default();
        if !observer.is_running(settings, &seen).await? {
            return Err(Fault::new(
                Kind::Transient(crate::fault::Side::Cloud),
                "the service stopped before it had swapped the tables",
            )
            .hint("nothing is half-done; ask again")
            .next("tandem status"));
        }
        sleep(limits::WAIT_EVERY).await;
    }
}

/// The tables' names in the settings: those that were named, or all that are swapped.
pub(super) fn chosen<'s>(names: &[String], settings: &'s Settings) -> Result<Vec<&'s str>, Fault> {
    if !names.is_empty() {
        let named = names.iter().map(|name| {
            let name = super::common::named(settings, name)?;
            match goes_out(settings, name) {
                true => Ok(name),
                false => Err(Fault::new(
                    Kind::Input,
                    format!("{name} only comes home, so there is nothing to swap"),
                )
                .hint("nothing was changed; its rows come home once more with bootstrap --table")
                .next(format!(
                    "tandem bootstrap --table {}",
                    platform::typed(name)
                ))),
            }
        });
        return named.collect();
    }
    let swaps = settings
        .tables
        .iter()
        .filter(|table| !table.stream || table.swap.is_some());
    let swaps: Vec<_> = swaps.map(|table| table.name.as_str()).collect();
    if swaps.is_empty() {
        return Err(Fault::new(
            Kind::Input,
            "no table of the settings is swapped by itself; name one",
        )
        .hint("nothing was changed")
        .next("tandem swap TABLE"));
    }
    Ok(swaps)
}

/// Whether forward sends a table.
pub(super) fn goes_out(settings: &Settings, name: &str) -> bool {
    let mut tables = settings.tables.iter();
    tables.any(|table| table.name == name && table.flow != Flow::Reverse)
}

/// A line for each table, as a remark where SQL follows; or the document.
pub(super) fn say(tables: &[Swapped], json: bool, (lead, were): (&str, &str)) {
    if json {
        show::document(&Document {
            schema: 1,
            tables: tables.to_vec(),
        });
        return;
    }
    for table in tables {
        show::result(&match &table.refused {
            Some(why) => format!("{lead}{:<20} refused: {why}", table.table),
            None => format!(
                "{lead}{:<20} {} rows read; {were} inserted {}, updated {}, deleted {}, unchanged {}{}{}",
                table.table,
                number(table.read),
                number(table.insert),
                number(table.update),
                number(table.delete),
                number(table.unchanged),
                match table.extras {
                    None | Some(0) => String::new(),
                    Some(extras) => format!("; {extras} that only the cloud has stay"),
                },
                match (table.quarantined, &table.waits) {
                    (None, _) => String::new(),
                    (Some(rows), None) => format!("; {rows} in quarantine"),
                    (Some(rows), Some(why)) => format!("; {rows} in quarantine: {why}"),
                },
            ),
        });
    }
}

fn number(number: Option<i64>) -> String {
    number.map_or_else(|| "?".to_owned(), |number| number.to_string())
}
