//! `tandem quarantine`

use std::time::Duration;

use clap::{Args, Subcommand};

use super::show;
use crate::config::Settings;
use crate::fault::{Exit, Fault, Kind};
use crate::observe::{Conflict, Observer, ParkedRow};
use crate::platform;

/// Rows that one side refused, and why. tandem tries them again by itself: after each batch, and now and then.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem quarantine list
  tandem quarantine retry --table visits      after mending what they missed
  tandem quarantine drop --id 7               the cloud keeps what it has
  tandem quarantine drop --conflicts          you have taken note of them")]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The rows that wait; exit 1 when there are any
    List(List),
    /// Have the service try them now; exit 1 when some are still refused
    Retry(Choice),
    /// Give rows up: they count as ruled out, and stay as the cloud has them until they change again
    Drop(Drop),
}

#[derive(Args)]
struct Choice {
    /// Only this table
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Only this row
    #[arg(long, value_name = "N")]
    id: Option<i64>,
}

#[derive(Args)]
struct Drop {
    #[command(flatten)]
    choice: Choice,
    /// Not rows, but conflicts: you have taken note of them; both versions stay in tandem.conflict
    #[arg(long, conflicts_with = "id")]
    conflicts: bool,
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    choice: Choice,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// How long the service may take to try rows again.
const PATIENCE: Duration = Duration::from_secs(30);

/// The `quarantine list` document; source: the contract.
#[derive(serde::Serialize)]
struct Document {
    schema: u32,
    rows: Vec<ParkedRow>,
    /// The last of what both sides wanted otherwise; no rows that wait.
    conflicts: Vec<Conflict>,
}

/// So many conflicts are listed.
const CONFLICTS: usize = 50;

pub(super) async fn quarantine(options: &Options, settings: &Settings) -> Result<Exit, Fault> {
    let choice = match &options.what {
        What::List(list) => &list.choice,
        What::Retry(choice) => choice,
        What::Drop(drop) => &drop.choice,
    };
    let table = choice
        .table
        .as_deref()
        .map(|name| super::common::named(settings, name));
    let table = table.transpose()?;
    let observer = Observer::connect(settings).await?;
    let mut rows = observer.parked(settings).await?;
    rows.retain(|row| {
        table.as_ref().is_none_or(|table| row.table == *table)
            && choice.id.is_none_or(|id| row.id == id)
    });
    match &options.what {
        What::List(list) => {
            let mut conflicts = observer.conflicts(CONFLICTS).await?;
            conflicts.retain(|conflict| {
                choice.id.is_none() && table.as_ref().is_none_or(|table| conflict.table == *table)
            });
            Ok(say(rows, conflicts, list.json))
        }
        What::Retry(_) => retry(&observer, settings, &rows).await,
        What::Drop(drop) if drop.conflicts => {
            let noted = observer.take_note(table).await?;
            show::result(&format!(
                "{noted} conflicts are no longer said; both versions stay in tandem.conflict"
            ));
            Ok(Exit::Fine)
        }
        What::Drop(drop) => drop_rows(&observer, &drop.choice, &rows).await,
    }
}

fn say(rows: Vec<ParkedRow>, conflicts: Vec<Conflict>, json: bool) -> Exit {
    let exit = if rows.is_empty() {
        Exit::Fine
    } else {
        Exit::BadNews
    };
    if json {
        show::document(&Document {
            schema: 1,
            rows,
            conflicts,
        });
        return exit;
    }
    for row in &rows {
        let key = row.key.iter().map(|(name, value)| {
            let value = value.as_deref().unwrap_or("NULL");
            format!("{name} = {value}")
        });
        let key: Vec<_> = key.collect();
        show::result(&format!(
            "{}   {}{}   {}   {} {}   since {}, tried {}",
            row.id,
            match row.direction.as_str() {
                "forward" => String::new(),
                "reverse" => "coming home: ".to_owned(),
                other => format!("{other}: "),
            },
            row.table,
            key.join(", "),
            row.sqlstate,
            row.why,
            row.since,
            times(row.tries)
        ));
    }
    match (rows.is_empty(), conflicts.len()) {
        (true, 0) => show::result("nothing is in quarantine"),
        (true, noted) => show::result(&format!(
            "no row waits in quarantine; {noted} times both sides wanted something else, which was decided and noted:"
        )),
        (false, _) => {}
    }
    for conflict in &conflicts {
        let key = conflict.key.iter();
        let key: Vec<_> = key
            .map(|value| value.as_deref().unwrap_or("NULL"))
            .collect();
        show::result(&format!(
            "conflict   {}   {}   {}: the {}'s version stayed   {}, both versions in tandem.conflict on the {}",
            conflict.table,
            key.join(", "),
            conflict.kind,
            conflict.kept,
            conflict.noticed,
            conflict.side
        ));
    }
    exit
}

fn times(tries: i64) -> String {
    match tries {
        1 => "once".to_owned(),
        tries => format!("{tries} times"),
    }
}

fn counted(rows: usize) -> String {
    match rows {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    }
}

async fn retry(
    observer: &Observer,
    settings: &Settings,
    rows: &[ParkedRow],
) -> Result<Exit, Fault> {
    if rows.is_empty() {
        show::result("nothing of that is in quarantine");
        return Ok(Exit::Fine);
    }
    let seen = observer.checkpoint().await?.unwrap_or_default();
    if !observer.is_running(settings, &seen).await? {
        show::progress("the service is not running; it tries them when it starts");
        show::progress("next: tandem run");
        return Ok(Exit::NotRunning);
    }
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let left = observer.try_again(&ids, PATIENCE).await?;
    show::result(&format!(
        "{} got through, {} still in quarantine",
        counted(ids.len() - left.len()),
        counted(left.len())
    ));
    Ok(if left.is_empty() {
        Exit::Fine
    } else {
        Exit::BadNews
    })
}

async fn drop_rows(
    observer: &Observer,
    choice: &Choice,
    rows: &[ParkedRow],
) -> Result<Exit, Fault> {
    if choice.table.is_none() && choice.id.is_none() {
        return Err(
            Fault::new(Kind::Input, "drop needs --id or --table: it gives rows up")
                .hint("nothing was changed")
                .next("tandem quarantine list"),
        );
    }
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let dropped = observer.drop_parked(&ids, &platform::holder()).await?;
    let dropped = usize::try_from(dropped).unwrap_or_default();
    show::result(&format!(
        "{} given up; both sides keep what they have until they change again",
        counted(dropped)
    ));
    Ok(Exit::Fine)
}
