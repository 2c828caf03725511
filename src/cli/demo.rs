//! `tandem demo`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::show;
use crate::demo::own::{Own, demo_schema};
use crate::demo::story::{Script, demo as play};
use crate::fault::{Exit, Fault, Kind};
use crate::platform;

/// Starts two throw-away servers with PowerCA's tables, or with yours, lets an office and a phone work, kills tandem in the middle, and compares both sides at the end.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem demo
  tandem demo --scale 0.1 --keep     smaller, and left running
  tandem demo --schema shop.sql      your own tables: a file of pg_dump, or any SQL

A schema goes to both sides, its rows to the desktop only; tables without rows get some. Lines with a mark alone
(-- both, -- desktop, -- cloud, -- data, -- changes, -- phones) say for whom the statements below them are.")]
pub(super) struct Options {
    /// How long the live traffic lasts
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Size of the office; 1 is PowerCA's 93,000 rows
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = scale, conflicts_with = "schema")]
    scale: f64,
    /// Your own tables instead of PowerCA's
    #[arg(long, value_name = "FILE.sql")]
    schema: Option<PathBuf>,
    /// Leave everything running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Folder of PostgreSQL's server programs
    #[arg(long, value_name = "DIR")]
    pg_bin: Option<PathBuf>,
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if (0.001..=100.0).contains(&scale) => Ok(scale),
        _ => Err("a number from 0.001 to 100".to_owned()),
    }
}

pub(super) async fn demo(options: &Options) -> Result<Exit, Fault> {
    let program = std::env::current_exe().map_err(|error| {
        Fault::new(Kind::Internal, "the program does not know where it is").cause(error)
    })?;
    let traffic = Duration::from_secs(options.seconds);
    let (keep, binaries) = (options.keep, options.pg_bin.clone());
    let (stop, now) = (CancellationToken::new(), CancellationToken::new());
    let signals = tokio::spawn(platform::watch_signals(stop.clone(), now.clone()));
    let say = |text: &str| show::result(text);
    let played = async {
        let Some(schema) = options.schema.clone() else {
            let script = Script {
                traffic,
                scale: options.scale,
                keep,
                binaries,
                program,
            };
            return play(&script, &say, &stop).await;
        };
        let own = Own {
            schema,
            traffic,
            keep,
            binaries,
            program,
        };
        demo_schema(&own, &say, &stop).await
    };
    let equal = tokio::select! {
        equal = played => equal?,
        () = now.cancelled() => return Err(Fault::new(Kind::Interrupted, "interrupted")),
    };
    signals.abort();
    show::result(if equal {
        "both sides are equal"
    } else {
        "the two sides differ"
    });
    Ok(if equal { Exit::Fine } else { Exit::BadNews })
}
