//! `tandem lag`

use std::collections::VecDeque;
use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use super::common::duration;
use super::show;
use crate::config::Settings;
use crate::fault::{Exit, Fault};
use crate::observe::{Observer, Sample, State};

/// Shows how far the cloud is behind, hop by hop.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem lag                 once
  tandem lag --watch         every two seconds
  tandem lag --max 30s       a check: exit 1 when it is later than that")]
pub(super) struct Options {
    /// One document on standard output
    #[arg(long)]
    json: bool,
    /// A sample every two seconds until interrupted: redrawn on a terminal, else a line for each
    #[arg(long)]
    watch: bool,
    /// Exit 1 when the lag is longer than this
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    max: Option<Duration>,
}

/// Samples that are drawn.
const HISTORY: usize = 60;
/// Between two samples.
pub(super) const WATCH_EVERY: Duration = Duration::from_secs(2);

pub(super) async fn lag(options: &Options, settings: &Settings) -> Result<Exit, Fault> {
    let observer = Observer::connect(settings).await?;
    let mut lags = VecDeque::new();
    loop {
        let sample = observer.sample(settings).await?.aged();
        match (options.json, options.watch) {
            (true, _) => show::document(&sample),
            (false, true) if show::result_is_seen() => {
                lags.push_back(sample.lag_ms.unwrap_or_default().unsigned_abs());
                if lags.len() > HISTORY {
                    lags.pop_front();
                }
                show::clear();
                show::lag(&sample);
                show::spark(lags.make_contiguous());
            }
            (false, true) => show::result(&show::lag_line(&sample)),
            (false, false) => show::lag(&sample),
        }
        if !options.watch {
            return Ok(verdict(&sample, options.max));
        }
        sleep(WATCH_EVERY).await;
    }
}

fn verdict(sample: &Sample, max: Option<Duration>) -> Exit {
    let late = max.is_some_and(|max| {
        // What isn't known isn't known to be short.
        let lag = sample
            .lag_ms
            .map(|lag| lag.unsigned_abs() + sample.measured_age_ms);
        lag.is_none_or(|lag| Duration::from_millis(lag) > max)
    });
    match sample.state {
        State::Down => Exit::NotRunning,
        State::Stalled | State::SlotLost => Exit::BadNews,
        State::Bootstrapping | State::Streaming | State::CatchingUp if late => Exit::BadNews,
        State::Bootstrapping | State::Streaming | State::CatchingUp => Exit::Fine,
    }
}
