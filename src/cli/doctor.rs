//! `tandem doctor`

use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::show;
use crate::config::{Endpoint, Host, Settings};
use crate::doctor::{Check, CheckOutcome, NOT_REACHED, doctor as examine};
use crate::fault::{Exit, Fault};
use crate::model::{alike, listed};
use crate::{limits, platform};

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
    let mut said = Vec::new();
    for (at, check) in checks.iter().enumerate() {
        match check.outcome {
            CheckOutcome::Ok if !all => {}
            CheckOutcome::Skipped if !all && check.what == NOT_REACHED => hidden += 1,
            // The same of many tables is said once; a report lists all.
            _ => {
                let same = check.around().filter(|_| !all);
                let same = same.map(|words| (check.id, check.outcome, words));
                said.push((same.ok_or(at), *check));
            }
        }
    }
    alike(said).iter().for_each(|(_, group)| line(group, all));
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

/// One check, or several of which the same is true.
fn line(group: &[&Check], all: bool) {
    let check = group[0];
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
    let what = match check.around().filter(|_| group.len() > 1) {
        None => check.what.clone(),
        Some((before, behind)) => {
            let names = group.iter().filter_map(|check| check.of.as_deref());
            format!("{before}{}{behind}", listed(names, limits::NAMES_SHOWN))
        }
    };
    show::result(&format!("  {mark}  {what}{id}"));
    if let Some(why) = &check.why {
        show::result(&format!("          why   {why}"));
    }
    if let Some(fix) = &check.fix {
        let others = group.iter().filter(|other| other.fix != check.fix);
        let others = match others.count() {
            0 => String::new(),
            many => format!(
                "\n          and so for the other {many}: tandem doctor --report shows each"
            ),
        };
        show::result(&format!("          fix   {fix}{others}"));
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
