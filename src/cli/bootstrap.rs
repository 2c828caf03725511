//! `tandem bootstrap`

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::plan::Sides;
use super::{Common, all_named, show, swap};
use crate::config::Settings;
use crate::fault::{Exit, Fault, Kind};
use crate::flows::Progress;
use crate::service::{self, Goal, Onlooker};

/// Set up both sides, then copy all tables from one snapshot; repeat it to resume.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem bootstrap --plan              what would happen; changes nothing
  tandem bootstrap                     all tables, from one moment of the desktop
  tandem bootstrap --table jobtasks    one table anew, while the others stream
  tandem bootstrap --restart           everything anew, when the slot is lost")]
pub(super) struct Options {
    /// Only this table, anew; repeat it for more
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
    /// Say what would happen, with SQL that can be pasted, and change nothing
    #[arg(long)]
    plan: bool,
    /// Tables that are read at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    jobs: u8,
    /// Forget how far the cloud is, and copy everything from a new slot
    #[arg(long, conflicts_with = "tables")]
    restart: bool,
    /// Delete the desktop's rows in the cloud that the desktop doesn't have; without it they stay, are listed, and the
    /// command ends with 1
    #[arg(long)]
    yes: bool,
    /// With --plan: one document on standard output
    #[arg(long, requires = "plan")]
    json: bool,
}

pub(super) async fn bootstrap(
    common: &Common,
    options: &Options,
    settings: &Settings,
) -> Result<Exit, Fault> {
    let _logging = common.log_to_people()?;
    let tables = all_named(settings, &options.tables)?;
    if options.plan {
        return plan(options, settings, &tables).await;
    }
    let seen = match Onlooker::connect(settings).await {
        Ok(onlooker) => onlooker.checkpoint().await?.map(|seen| (onlooker, seen)),
        Err(fault) => return Err(fault),
    };
    let copied = seen.as_ref().is_some_and(|(_, seen)| seen.lsn.is_some());
    if let Some((onlooker, seen)) = &seen
        && onlooker.is_running(settings, seen).await?
        && tables.is_empty()
    {
        return Err(Fault::new(Kind::LeaseHeld, "tandem is running for this replicator, and copies what is missing by itself")
            .hint("nothing was changed; one table is copied anew with --table, everything when the service is stopped")
            .next("tandem status"));
    }
    if let Some((onlooker, _)) = seen.filter(|_| copied && !tables.is_empty() && !options.restart) {
        return again(&onlooker, settings, &tables, options.yes).await;
    }
    if !tables.is_empty() {
        return Err(Fault::new(
            Kind::Input,
            "nothing was copied yet, so one table can't be copied anew",
        )
        .hint("nothing was changed")
        .next("tandem bootstrap"));
    }
    fill(options, settings).await
}

/// Copies tables anew; of those that come home, all of the phone's rows come once more.
async fn again(
    onlooker: &Onlooker,
    settings: &Settings,
    tables: &[&str],
    yes: bool,
) -> Result<Exit, Fault> {
    let home = onlooker.bring_home_again(settings, tables).await?;
    if home > 0 {
        show::result("the phones' rows are queued, and come home once more");
    }
    let forward: Vec<_> = { tables.iter() }
        .filter(|name| swap::goes_out(settings, name))
        .copied()
        .collect();
    if forward.is_empty() {
        return Ok(Exit::Fine);
    }
    let copied = swap::carry_out(onlooker, settings, &forward, yes).await?;
    swap::say(&copied, false, ("", "were"));
    Ok(match copied.iter().any(|copied| copied.refused.is_some()) {
        true => Exit::BadNews,
        false => Exit::Fine,
    })
}

/// Copies everything that is missing, and says how far it is.
async fn fill(options: &Options, settings: &Settings) -> Result<Exit, Fault> {
    let progress = Arc::new(Progress::default());
    let goal = Goal {
        restart: options.restart,
        remove_extras: options.yes,
        jobs: usize::from(options.jobs),
        progress: progress.clone(),
        ..Goal::copies()
    };
    let since = Instant::now();
    let stop = CancellationToken::new();
    let filled = service::run(settings, goal, &stop);
    tokio::select! {
        filled = filled => filled?,
        never = tell(&progress, since) => match never {},
    }
    let onlooker = Onlooker::connect(settings).await?;
    let status = onlooker.status(settings).await?;
    let mut exit = Exit::Fine;
    for table in status
        .tables
        .iter()
        .filter(|table| table.state != "removed")
    {
        let extras = match table.extras {
            0 => String::new(),
            extras => format!("; {extras} rows that only the cloud has stay: --yes deletes them"),
        };
        let parked = match table.parked {
            0 => String::new(),
            rows => format!("; {rows} in quarantine"),
        };
        let why = table
            .why
            .as_ref()
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        show::result(&format!(
            "{:<20} {:<10} {} rows{extras}{parked}{why}",
            table.table, table.state, table.copied
        ));
        if table.needs_you() || table.extras > 0 {
            exit = Exit::BadNews;
        }
    }
    if progress.tables.load(Ordering::Relaxed) > 0 {
        show::progress(&line(&progress, since));
    }
    show::progress("next: tandem run");
    Ok(exit)
}

/// A line now and then; on a terminal the same line again and again.
async fn tell(progress: &Progress, since: Instant) -> std::convert::Infallible {
    let every = if show::progress_is_seen() {
        SEEN
    } else {
        LOGGED
    };
    let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        show::progress_again(&line(progress, since));
    }
}

/// How often progress is shown on a terminal.
const SEEN: Duration = Duration::from_millis(250);
/// How often a line of it is written elsewhere.
const LOGGED: Duration = Duration::from_secs(10);

fn line(progress: &Progress, since: Instant) -> String {
    let (rows, bytes) = (
        progress.rows.load(Ordering::Relaxed),
        progress.bytes.load(Ordering::Relaxed),
    );
    let (done, tables) = (
        progress.done.load(Ordering::Relaxed),
        progress.tables.load(Ordering::Relaxed),
    );
    let expected = progress.expected.load(Ordering::Relaxed).max(rows);
    let seconds = since.elapsed().as_secs_f64().max(0.001);
    let rate = rows as f64 / seconds;
    let left = match rate {
        rate if rate > 0.0 && expected > rows => {
            format!(", about {:.0} s left", (expected - rows) as f64 / rate)
        }
        _ => String::new(),
    };
    format!(
        "{done} of {tables} tables, {rows} rows, {} in {seconds:.1} s, {rate:.0} rows/s{left}",
        show::bytes(Some(bytes))
    )
}

async fn plan(options: &Options, settings: &Settings, tables: &[&str]) -> Result<Exit, Fault> {
    let sides = Sides::open(settings).await?;
    let names = (!tables.is_empty()).then_some(tables);
    let removes = options.yes.then_some(true);
    let counts = sides.counts(names, removes).await?;
    let sets_up = !options.json && tables.is_empty();
    if sets_up {
        show::result("-- what the first copy would do, from one snapshot:");
    }
    let lead = if sets_up { "-- " } else { "" };
    swap::say(&counts, options.json, (lead, "would be"));
    if sets_up {
        show::result("-- before that, once, by run or by whoever pastes it:");
        sides.say_set_up(settings).await?;
    }
    let extras = counts
        .iter()
        .any(|table| table.extras.is_some_and(|extras| extras > 0));
    Ok(if extras { Exit::BadNews } else { Exit::Fine })
}
