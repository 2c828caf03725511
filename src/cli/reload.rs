//! `tandem reload`

use clap::Args;
use serde::Serialize;

use super::common::Common;
use super::show;
use crate::fault::{Exit, Fault, Kind, Side};
use crate::limits;
use crate::model::listed;
use crate::observe::{ReloadCaller, ReloadOutcome, Reloaded};

/// Makes the running service read its settings again: its file, the .env file and the password files. What changed counts at
/// once, or in a new session that goes on where the last one was; what needs a restart is named. A file with a mistake changes
/// nothing.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem config check && tandem reload
  kill -HUP PID              the same, where the service runs; the answer is in its log

Exit status:
  0 all that changed counts  1 something needs a restart  2 the settings are bad, those before go on
  3 not running  4 no answer, or a side could not be reached")]
pub(super) struct Options {
    /// One document on standard output
    #[arg(long)]
    json: bool,
}

/// The `reload` document; source: the contract.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    #[serde(flatten)]
    answer: &'a Reloaded,
}

pub(super) async fn reload(common: &Common, options: &Options) -> Result<Exit, Fault> {
    let settings = match super::common::load(common) {
        Ok(settings) => settings,
        Err(problems) => {
            show::problems(&problems);
            show::progress("\nthe service was not asked: it goes on with the settings that it has");
            return Ok(Exit::Input);
        }
    };
    let caller = ReloadCaller::find(&settings).await?;
    let service = { caller.as_ref() }.and_then(|caller| Some((caller, caller.service()?)));
    let Some((caller, service)) = service else {
        show::progress("the service is not running; it reads its settings when it starts");
        show::progress(
            "one that began with another cloud or replicator than this file names can't be found by it: send it SIGHUP, or restart it",
        );
        show::progress("next: tandem run");
        return Ok(Exit::NotRunning);
    };
    let Some(answer) = caller.ask().await? else {
        let what = format!("the service ({service}) gives no answer");
        return Err(Fault::new(Kind::Transient(Side::Cloud), what)
            .hint(
                "it goes on with the settings that it has, or takes up the new ones a little later",
            )
            .next("tandem status"));
    };
    match options.json {
        true => show::document(&Document {
            schema: 1,
            answer: &answer,
        }),
        false => say(&answer, service),
    }
    Ok(match answer.outcome {
        ReloadOutcome::Unchanged | ReloadOutcome::TakenUp => Exit::Fine,
        ReloadOutcome::Restart => Exit::BadNews,
        ReloadOutcome::Bad => Exit::Input,
        ReloadOutcome::Unreachable => Exit::CannotTell,
    })
}

fn say(answer: &Reloaded, service: &str) {
    let names = |keys: &[String]| listed(keys, limits::NAMES_SHOWN);
    match answer.outcome {
        ReloadOutcome::Unchanged => show::result("nothing has changed"),
        ReloadOutcome::TakenUp | ReloadOutcome::Restart => {}
        ReloadOutcome::Bad => show::result(
            "the settings can't be taken up; the service goes on with those that it has",
        ),
        ReloadOutcome::Unreachable => show::result(
            "the settings could not be checked; the service goes on with those that it has",
        ),
    }
    if !answer.taken_up.is_empty() {
        show::result(&format!("taken up: {}", names(&answer.taken_up)));
    }
    if !answer.restart.is_empty() {
        show::result(&format!("needs a restart: {}", names(&answer.restart)));
    }
    if let Some(why) = &answer.why {
        show::result(why);
    }
    show::progress(&format!("answered by {service}"));
}
