//! `tandem doctor`

use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::show;
use crate::config::Settings;
use crate::fault::{Exit, Fault};
use crate::platform;
use crate::service::{Check, CheckOutcome, doctor as examine};

/// Check both sides and the settings; each problem comes with what mends it. Changes nothing.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem doctor
  tandem doctor --report > report.txt    what a bug report needs, without secrets")]
pub(super) struct Options {
    /// One document on standard output
    #[arg(long)]
    json: bool,
    /// What a bug report needs: versions, settings without secrets, all checks
    #[arg(long, conflicts_with = "json")]
    report: bool,
}

/// The `doctor` document; source: the contract.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    checks: &'a [Check],
}

pub(super) async fn doctor(options: &Options, settings: &Settings) -> Result<Exit, Fault> {
    let since = Instant::now();
    let checks = examine(settings).await;
    let count = |outcome| {
        checks
            .iter()
            .filter(|check| check.outcome == outcome)
            .count()
    };
    let failed = count(CheckOutcome::Fail);
    if options.json {
        show::document(&Document {
            schema: 1,
            checks: &checks,
        });
    } else {
        if options.report {
            about(settings);
        }
        for side in ["desktop", "cloud", "both"] {
            show::result(match side {
                "both" => "both sides",
                side => side,
            });
            for check in checks.iter().filter(|check| check.side == side) {
                line(check, options.report);
            }
            show::result("");
        }
        show::result(&format!(
            "{failed} failed, {} warnings, {} passed, {} skipped; {:.1} s; nothing was changed",
            count(CheckOutcome::Warn),
            count(CheckOutcome::Ok),
            count(CheckOutcome::Skipped),
            since.elapsed().as_secs_f64()
        ));
    }
    let unreachable = { checks.iter() }
        .any(|check| check.id.ends_with("_reachable") && check.outcome == CheckOutcome::Fail);
    Ok(match failed {
        0 => Exit::Fine,
        _ if unreachable => Exit::CannotTell,
        _ => Exit::BadNews,
    })
}

fn line(check: &Check, all: bool) {
    let mark = match check.outcome {
        CheckOutcome::Ok => "ok  ",
        CheckOutcome::Warn => "warn",
        CheckOutcome::Fail => "FAIL",
        CheckOutcome::Skipped => "-   ",
    };
    let id = if all {
        format!("  [{}]", check.id)
    } else {
        String::new()
    };
    show::result(&format!("  {mark}  {}{id}", check.what));
    if let Some(why) = &check.why {
        show::result(&format!("          why   {why}"));
    }
    if let Some(fix) = &check.fix {
        show::result(&format!("          fix   {fix}"));
    }
}

/// Versions, and the settings without secrets.
fn about(settings: &Settings) {
    show::result(&format!(
        "tandem {} on {}, {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        platform::in_words(&platform::holder())
    ));
    for row in settings.rows() {
        show::result(&format!("  {} = {}", row.key, row.value));
    }
    show::result("");
}
