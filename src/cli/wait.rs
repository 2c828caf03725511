//! `tandem wait`

use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::sleep;

use super::{duration, show};
use crate::config::Settings;
use crate::fault::{Exit, Fault, Kind};
use crate::limits;
use crate::service::Onlooker;

/// Returns when the cloud has all that the desktop had committed when the command started.
#[derive(Args)]
pub(super) struct Options {
    /// Give up after this long, with exit 1
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Wait for the way home as well
    #[arg(long)]
    reverse: bool,
}

pub(super) async fn wait(options: &Options, settings: &Settings) -> Result<Exit, Fault> {
    if options.reverse {
        return Err(Fault::new(
            Kind::Input,
            "--reverse waits for the way home, which this version does not have yet",
        ));
    }
    let started = Instant::now();
    let onlooker = Onlooker::connect(settings).await?;
    let marker = onlooker.mark().await?;
    loop {
        let seen = onlooker.checkpoint().await?.unwrap_or_default();
        if seen.has(marker) {
            return say_who_is_left_out(&onlooker).await;
        }
        if !onlooker.is_running(settings, &seen).await? {
            show::progress("the service is not running, so nothing is on its way");
            if let Some(words) = seen.last_words {
                show::progress(&format!("its last words: {words}"));
            }
            show::progress("next: tandem run");
            return Ok(Exit::NotRunning);
        }
        if options
            .timeout
            .is_some_and(|limit| started.elapsed() >= limit)
        {
            let has = seen
                .lsn
                .map_or("nothing yet".to_owned(), |lsn| lsn.to_string());
            show::progress(&format!(
                "time-out: the cloud has {has}, the desktop had {marker}"
            ));
            return Ok(Exit::BadNews);
        }
        sleep(limits::WAIT_EVERY).await;
    }
}

/// The checkpoint has come, but rows of stopped tables haven't.
async fn say_who_is_left_out(onlooker: &Onlooker) -> Result<Exit, Fault> {
    let troubled = onlooker.troubled().await?;
    for (table, state, why) in &troubled {
        show::result(&format!("{table}   {state}   {why}"));
    }
    Ok(if troubled.is_empty() {
        Exit::Fine
    } else {
        Exit::BadNews
    })
}
