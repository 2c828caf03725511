//! Whose turn it is to write (P14).

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::run_mode::RunMode;
use crate::apply::{LeaseState, Request, take};
use crate::catalog::Facts;
use crate::config::Settings;
use crate::fault::{Fault, Kind, Side};
use crate::wire::control::Control;
use crate::{limits, platform};

/// How long a lease lasts that isn't renewed.
pub(super) fn term(settings: &Settings) -> Duration {
    (settings.heartbeat.every * limits::LEASE_HEARTBEATS).max(limits::LEASE_TERM_MIN)
}

/// Takes the lease. One whose holder is known to be dead is taken at once; another one is waited for
/// as long as its term lasts, and if it was renewed by then, its holder lives; whoever stands by waits without end.
///
/// # Errors
/// That another holds it, by name; that the cloud failed; or that it was waited for: then it is ours, and what is known of
/// both sides is old.
pub(super) async fn acquire(
    settings: &Settings,
    (replicator, desktop): (&str, &Facts),
    cloud: &Control,
    goal: &RunMode,
    stop: &CancellationToken,
) -> Result<LeaseState, Fault> {
    let holder = match goal.ends {
        true => platform::passing_holder(),
        false => platform::holder(),
    };
    let request = Request {
        replicator,
        system_id: &desktop.system_id,
        timeline: desktop.timeline,
        database: &desktop.database,
        slot: &settings.forward.slot,
        holder: &holder,
        term: term(settings),
    };
    let wire = |error| Fault::wire(Side::Cloud, &error);
    let first = take(&cloud.client, &request, false).await.map_err(wire)?;
    if first.taken {
        goal.health.leads(replicator);
        return Ok(first);
    }
    let other = first.holder.clone().unwrap_or_default();
    if platform::is_gone(&other) {
        tracing::info!(holder = %other, "the last holder of the lease is gone; taking over");
        let forced = take(&cloud.client, &request, true).await.map_err(wire)?;
        goal.health.leads(replicator);
        return Ok(forced);
    }
    // A command that copies something ends by itself, and the service must not stay away for it.
    if goal.standby || !goal.ends && platform::is_passing(&other) {
        return Err(stand_by(&request, &other, cloud, stop).await);
    }
    if is_here(&other) {
        return Err(held(&other));
    }
    tracing::info!(holder = %other, wait_ms = first.wait.as_millis() as u64, "another tandem has the lease; waiting for its end");
    tokio::select! {
        () = stop.cancelled() => return Err(stopped()),
        () = sleep(first.wait + Duration::from_millis(100)) => {}
    }
    let second = take(&cloud.client, &request, false).await.map_err(wire)?;
    Err(if second.taken { waited() } else { held(&other) })
}

/// Waits until the holder gives the lease back, dies, or lets it end; as long as that takes. Says why the session ends.
async fn stand_by(
    request: &Request<'_>,
    holder: &str,
    cloud: &Control,
    stop: &CancellationToken,
) -> Fault {
    tracing::info!(holder, "another tandem is at work; standing by");
    let mut holder = holder.to_owned();
    loop {
        tokio::select! {
            () = stop.cancelled() => return stopped(),
            () = sleep(limits::STANDBY_EVERY) => {}
        }
        let gone = platform::is_gone(&holder);
        match take(&cloud.client, request, gone).await {
            Ok(taken) if taken.taken => return waited(),
            Ok(taken) => holder = taken.holder.unwrap_or_default(),
            Err(error) => return Fault::wire(Side::Cloud, &error),
        }
    }
}

/// The other one may have written until a moment ago.
fn waited() -> Fault {
    let what = "the lease is ours now; both sides are looked at again";
    Fault::new(Kind::Planned, what)
}

/// The service ends cleanly: it was told to stop before its turn came.
fn stopped() -> Fault {
    Fault::new(Kind::Planned, "stopped while waiting for the lease")
}

/// The holder lives on this computer: waiting would be in vain.
fn is_here(holder: &str) -> bool {
    let host = |text: &str| text.rsplitn(3, '/').nth(2).map(str::to_owned);
    cfg!(target_os = "linux") && host(holder) == host(&platform::holder())
}

fn held(holder: &str) -> Fault {
    Fault::new(
        Kind::LeaseHeld,
        format!(
            "another tandem is running for this replicator: {}",
            platform::in_words(holder)
        ),
    )
    .hint("stop it first, or give this one another replicator and slot; nothing was changed")
    .next("tandem lag")
}
