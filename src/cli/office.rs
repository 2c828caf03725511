//! What `status` says of the office's own statements: the refill, and the one behind a poll.

use super::show;
use crate::limits;
use crate::model::listed;
use crate::observe::{RefillStatus, Status, ThenStatus};

pub(super) fn statements(status: &Status) {
    let is_one = status.refills.len() == 1;
    for refill in &status.refills {
        let name = match is_one {
            true => String::new(),
            false => format!("{}: ", refill.name),
        };
        show::result(&format!(
            "  refill    {name}of {}   {}",
            refill.started,
            refilled(refill)
        ));
        if let Some(trouble) = &refill.trouble {
            show::result(&format!(
                "            only the clock sees everything: {trouble}"
            ));
        }
    }
    if let Some(then) = &status.then {
        then_ran(then);
    }
}

/// Why it ran, how long, what it wrote, or why it failed.
fn refilled(refill: &RefillStatus) -> String {
    let why = match (refill.why.as_deref(), &refill.changed) {
        (Some("changed"), Some(tables)) => {
            format!(", since {} changed", listed(tables, limits::NAMES_SHOWN))
        }
        (Some("again"), _) => ", again, since it had failed".to_owned(),
        (Some("start"), _) => ", since nobody knew what had changed before".to_owned(),
        _ => String::new(),
    };
    match (&refill.failed, refill.took_ms) {
        (Some(failed), _) => format!("FAILED: {failed}"),
        (None, None) => format!("is running{why}"),
        (None, Some(took)) => {
            let wrote = match refill.wrote {
                Some(1) => ", wrote 1 row".to_owned(),
                Some(rows) => format!(", wrote {rows} rows"),
                None => String::new(),
            };
            format!("took {}{wrote}{why}", show::seconds(Some(took)))
        }
    }
}

fn then_ran(then: &ThenStatus) {
    let ran = then.ran.as_deref().unwrap_or("unknown");
    let tables = then.tables.iter().flatten().cloned().collect::<Vec<_>>();
    show::result(&match (&then.failed, then.took_ms) {
        (Some(why), _) => format!("  then      FAILED: {why}"),
        (None, Some(took)) => {
            let took = show::seconds(Some(took));
            format!(
                "  then      of {ran}   took {took}, for {}",
                tables.join(", ")
            )
        }
        (None, None) => format!("  then      of {ran}"),
    });
}
