//! `tandem bootstrap`

use std::convert::Infallible;
use std::sync::Arc;

use clap::Args;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::common::{Common, all_named};
use super::plan::Sides;
use super::screen::{self, Pace, Screen};
use super::{filled, show, swap};
use crate::config::Settings;
use crate::fault::{Exit, Fault, Kind};
use crate::flows::Progress;
use crate::observe::{Filled, Observer};
use crate::service::{self, Opened, RunMode};
use crate::{limits, platform};

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
    /// One document on standard output
    #[arg(long)]
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
    let observer = Arc::new(Observer::connect(settings).await?);
    let seen = match observer.installed {
        (_, true) => observer.checkpoint().await?,
        (_, false) => None,
    };
    let copied = seen.as_ref().is_some_and(|seen| seen.lsn.is_some());
    if let Some(seen) = &seen
        && observer.is_running(settings, seen).await?
        && tables.is_empty()
    {
        return Err(Fault::new(Kind::LeaseHeld, "tandem is running for this replicator, and copies what is missing by itself")
            .hint("nothing was changed; one table is copied anew with --table, everything when the service is stopped")
            .next("tandem status"));
    }
    if copied && !tables.is_empty() && !options.restart {
        return again(&observer, settings, &tables, options).await;
    }
    if !tables.is_empty() {
        return Err(Fault::new(
            Kind::Input,
            "nothing was copied yet, so one table can't be copied anew",
        )
        .hint("nothing was changed")
        .next("tandem bootstrap"));
    }
    fill(common, options, settings, &observer).await
}

/// Copies tables anew; of those that come home, all of the phone's rows come once more.
async fn again(
    observer: &Observer,
    settings: &Settings,
    tables: &[&str],
    options: &Options,
) -> Result<Exit, Fault> {
    let home = observer.bring_home_again(settings, tables).await?;
    if home > 0 {
        let queued = "the phones' rows are queued, and come home once more";
        match options.json {
            true => show::progress(queued),
            false => show::result(queued),
        }
    }
    let forward: Vec<_> = { tables.iter() }
        .filter(|name| swap::goes_out(settings, name))
        .copied()
        .collect();
    if forward.is_empty() {
        if options.json {
            swap::say(&[], true, ("", "were"));
        }
        return Ok(Exit::Fine);
    }
    let copied = swap::carry_out(observer, settings, &forward, options.yes).await?;
    swap::say(&copied, options.json, ("", "were"));
    Ok(match copied.iter().any(|copied| copied.refused.is_some()) {
        true => Exit::BadNews,
        false => Exit::Fine,
    })
}

/// Copies everything that is missing, and says how far it is.
async fn fill(
    common: &Common,
    options: &Options,
    settings: &Settings,
    observer: &Arc<Observer>,
) -> Result<Exit, Fault> {
    let progress = Arc::new(Progress::default());
    let goal = RunMode {
        restart: options.restart,
        remove_extras: options.yes,
        jobs: usize::from(options.jobs),
        progress: progress.clone(),
        opened: Opened(Some(observer.clone())),
        ..RunMode::copies()
    };
    let stop = CancellationToken::new();
    let mut pace = Pace::default();
    let mut filling = Box::pin(service::run(settings, goal, &stop));
    let ended = tokio::select! {
        ended = &mut filling => Some(ended),
        () = platform::interrupted() => None,
        never = tell(&progress, &mut pace, common.quiet) => match never {},
    };
    let say = |text: &str| (!common.quiet).then(|| show::progress(text));
    match ended {
        Some(ended) => ended?,
        None => {
            say("ending; tables that are whole stay, and the same command goes on with the others");
            stop.cancel();
            tokio::select! {
                _ = filling => {}
                // Whoever insists.
                () = platform::interrupted() => {}
            }
            return Ok(Exit::Interrupted);
        }
    }
    let copied = progress.look();
    if copied.tables > 0 {
        say(&screen::words(&copied, &mut pace));
    }
    // Its connections may have ended since.
    let filled = match observer.filled(settings).await {
        Ok(filled) => filled,
        Err(_) => Observer::connect(settings).await?.filled(settings).await?,
    };
    filled::say(&filled, options.json, common.verbose > 0);
    say("next: tandem run");
    Ok(match filled.iter().any(Filled::has_trouble) {
        true => Exit::BadNews,
        false => Exit::Fine,
    })
}

/// Says how far it is: on a terminal it is drawn, elsewhere a line comes now and then, and nothing where all is to be quiet.
async fn tell(progress: &Progress, pace: &mut Pace, quiet: bool) -> Infallible {
    if quiet {
        return std::future::pending().await;
    }
    let mut screen = Screen::open();
    let every = match screen {
        Some(_) => limits::PROGRESS_DRAWN_EVERY,
        None => limits::PROGRESS_EVERY,
    };
    let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = progress.look();
        match &mut screen {
            Some(screen) => screen.draw(&now, pace),
            None => show::progress(&screen::words(&now, pace)),
        }
    }
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
