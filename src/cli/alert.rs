//! `tandem alert`

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::show;
use crate::alert::{self, Event, Message};
use crate::config::Settings;
use crate::fault::{Exit, Fault, Kind};
use crate::platform;

/// Whether people hear of what is wrong (`[alert]` in the settings).
#[derive(Args)]
#[command(after_help = "Examples:
  tandem alert test          exit 0: all arrived; 1: one did not; 2: nobody is to be told")]
pub(super) struct Options {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Send a test by every configured way, and say for each whether it arrived
    Test(Test),
}

/// Sends a test by every way that the settings have, and says of each whether it arrived. Neither database is asked.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem alert test          exit 0: all arrived; 1: one did not; 2: nobody is to be told")]
struct Test {
    /// One document on standard output
    #[arg(long)]
    json: bool,
}

pub(super) async fn alert(options: &Options, settings: &Settings) -> Result<Exit, Fault> {
    let What::Test(options) = &options.command;
    let alert = &settings.alert;
    let ways = alert::ways(alert);
    if ways.is_empty() {
        return Err(Fault::new(Kind::Input, "the settings have nobody to tell")
            .hint("set host, from and to under [alert.mail], or url under [alert.webhook]"));
    }
    let message = test(settings);
    // All at once: one that hangs doesn't keep the others waiting.
    let sent = futures_util::future::join_all(ways.into_iter().map(async |way| {
        let sent = alert::send(way, alert, &message).await;
        (way, alert::place(way, alert), sent)
    }));
    let sent = sent.await;
    if options.json {
        let way = |(way, place, sent): &(alert::Way, String, Result<(), String>)| serde_json::json!({"way": way.word(), "to": place, "arrived": sent.is_ok(), "why": sent.as_ref().err()});
        let ways: Vec<_> = sent.iter().map(way).collect();
        show::document(&serde_json::json!({"schema": 1, "ways": ways}));
    } else {
        for (way, place, sent) in &sent {
            let (mark, words) = match sent {
                Ok(()) => (show::Mark::Fine, "arrived".to_owned()),
                Err(why) => (show::Mark::Bad, format!("DID NOT ARRIVE: {why}")),
            };
            show::verdict(mark, &format!("{:<8} to {place}: {words}", way.word()));
        }
    }
    Ok(match sent.iter().all(|(_, _, sent)| sent.is_ok()) {
        true => Exit::Fine,
        false => Exit::BadNews,
    })
}

fn test(settings: &Settings) -> Message {
    let database = &settings.desktop.endpoint.database;
    Message {
        event: Event::Test,
        replicator: { settings.replicator.clone() }.unwrap_or_else(|| database.clone()),
        computer: platform::name(),
        verdict: "unknown".to_owned(),
        headline: "this is a test, by tandem alert test".to_owned(),
        since: None,
        at: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        reasons: vec![
            "somebody wanted to see whether alerts arrive here; nothing is wrong".to_owned(),
        ],
        safe: String::new(),
        next: Vec::new(),
    }
}
