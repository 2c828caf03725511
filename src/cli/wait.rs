//! `tandem wait`

use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::sleep;

use super::common::duration;
use super::show;
use crate::config::Settings;
use crate::fault::{Exit, Fault};
use crate::limits;
use crate::observe::Observer;

/// Returns when the cloud has all that the desktop had committed when the command started.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem wait --timeout 30s  the cloud has what the desktop has now
  tandem wait --reverse      the desktop has what phones have done by now")]
pub(super) struct Options {
    /// Give up after this long, with exit 1
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// Wait as well until what phones had done when the command started has come home
    #[arg(long)]
    reverse: bool,
}

pub(super) async fn wait(options: &Options, settings: &Settings) -> Result<Exit, Fault> {
    let started = Instant::now();
    let observer = Observer::connect(settings).await?;
    let marker = observer.mark().await?;
    let home = match options.reverse {
        true => observer.waiting_reverse().await?,
        false => Vec::new(),
    };
    loop {
        let seen = observer.checkpoint().await?.unwrap_or_default();
        let waiting = match home.is_empty() {
            true => 0,
            false => observer.still_waiting(&home).await?,
        };
        if seen.has(marker) && waiting == 0 {
            return say_who_is_left_out(&observer).await;
        }
        let running = observer.is_running(settings, &seen).await?;
        // A service that has just been started takes a moment until it can be seen.
        let most = limits::STARTING_MAX;
        let patience = options.timeout.map_or(most, |timeout| timeout.min(most));
        if !running && started.elapsed() < patience {
            sleep(limits::WAIT_EVERY).await;
            continue;
        }
        if !running {
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
            if options.reverse {
                show::progress(&format!("{waiting} entries have not come home"));
            }
            return Ok(Exit::BadNews);
        }
        sleep(limits::WAIT_EVERY).await;
    }
}

/// The checkpoint has come, but rows of stopped tables haven't.
async fn say_who_is_left_out(observer: &Observer) -> Result<Exit, Fault> {
    let troubled = observer.troubled().await?;
    for (table, state, why) in &troubled {
        show::result(&format!("{table}   {state}   {why}"));
    }
    Ok(if troubled.is_empty() {
        Exit::Fine
    } else {
        Exit::BadNews
    })
}
