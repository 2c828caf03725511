//! `tandem doctor`

use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::show;
use crate::config::{Endpoint, Host, Settings};
use crate::fault::{Exit, Fault};
use crate::platform;
use crate::service::{Check, CheckOutcome, NOT_REACHED, doctor as examine};

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
        for (side, place) in [
            ("desktop", address(&settings.desktop.endpoint)),
            ("cloud", address(&settings.cloud.endpoint)),
            ("both", String::new()),
        ] {
            let of: Vec<_> = checks.iter().filter(|check| check.side == side).collect();
            section(side, &place, &of, options.report);
        }
        show::result(&format!(
            "{failed} failed, {}, {} passed, {} skipped in {:.1} s; nothing was changed; tandem doctor --report lists all",
            match count(CheckOutcome::Warn) {
                1 => "1 warning".to_owned(),
                many => format!("{many} warnings"),
            },
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

/// A side's checks: the problems, unless all are asked for.
fn section(side: &str, place: &str, checks: &[&Check], all: bool) {
    let title = if side == "both" { "both sides" } else { side };
    let fine = checks
        .iter()
        .filter(|check| check.outcome == CheckOutcome::Ok);
    show::result(&format!("{title:<10} {place}{} passed", fine.count()));
    let mut hidden = 0;
    for check in checks {
        match check.outcome {
            CheckOutcome::Ok if !all => {}
            CheckOutcome::Skipped if !all && check.what == NOT_REACHED => hidden += 1,
            _ => line(check, all),
        }
    }
    if hidden > 0 {
        show::result(&format!("  -     {hidden} {NOT_REACHED}"));
    }
    show::result("");
}

/// Where a side is, as a person would say it.
fn address(endpoint: &Endpoint) -> String {
    let place = match &endpoint.host {
        Host::Tcp(host) => format!("{host}:{}", endpoint.port),
        Host::Unix(folder) => folder.display().to_string(),
    };
    format!("{place}/{} as {}, ", endpoint.database, endpoint.user)
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
