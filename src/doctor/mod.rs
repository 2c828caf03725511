//! Both sides and the settings checked, in order of dependency; nothing is changed. What can't be known because something
//! before it failed is skipped.

mod between;
mod cloud;
mod desktop;
mod disk;
mod encoding;
mod office;
mod publication;
mod report;
mod role;
mod schema;
mod slots;
mod tables;
mod way;

pub use report::{CHECK_IDS, Check, CheckOutcome, NOT_REACHED};
use report::{Report, Wrong, place};

use crate::config::Settings;
use crate::fault::{Fault, Side};
use crate::wire::control::{self, Control};

/// Checks everything. What a server refuses to tell is a failed check, no error.
pub async fn doctor(settings: &Settings) -> Vec<Check> {
    let mut report = Report::default();
    let desktop = connect(settings, Side::Desktop, &mut report).await;
    if let Some(desktop) = &desktop {
        let checked = desktop::check(settings, &desktop.client, &mut report).await;
        note(checked, &mut report, "desktop_version");
    }
    let cloud = connect(settings, Side::Cloud, &mut report).await;
    if let Some(cloud) = &cloud {
        let checked = cloud::check(settings, &cloud.client, &mut report).await;
        note(checked, &mut report, "cloud_version");
        way::check(settings, &mut report).await;
    }
    if let (Some(desktop), Some(cloud)) = (&desktop, &cloud) {
        let checked = between::check(settings, (&desktop.client, &cloud.client), &mut report).await;
        note(checked, &mut report, "mapping");
    }
    report.skip_the_rest();
    report.checks.sort_by_key(|check| place(check.id));
    report.checks
}

async fn connect(settings: &Settings, side: Side, report: &mut Report) -> Option<Control> {
    let (endpoint, id) = match side {
        Side::Desktop => (&settings.desktop.endpoint, "desktop_reachable"),
        Side::Cloud => (&settings.cloud.endpoint, "cloud_reachable"),
    };
    let since = std::time::Instant::now();
    match control::connect(endpoint).await {
        Ok(control) => {
            report.ok(
                id,
                format!(
                    "the {side} is reachable, {} ms",
                    since.elapsed().as_millis()
                ),
            );
            Some(control)
        }
        Err(error) => {
            let fault = Fault::wire(side, &error);
            let why = format!("nothing of the {side} can be checked");
            let fix = fault.hint.clone().unwrap_or_else(|| {
                format!("check {side}.url and {side}.password, and that the server runs")
            });
            report.fail(id, &why, Wrong::new(fault.to_string(), fix));
            None
        }
    }
}

/// A query that failed ends the checks of its side.
fn note(checked: Result<(), Fault>, report: &mut Report, id: &'static str) {
    if let Err(fault) = checked {
        let wrong = Wrong {
            what: fault.to_string(),
            fix: fault.hint.clone(),
            of: None,
        };
        report.fail(id, "the checks behind this one could not be made", wrong);
    }
}
