//! Whose turn it is to write (P14).

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::apply::{Request, Taken, take};
use crate::catalog::Facts;
use crate::config::Settings;
use crate::fault::{Fault, Kind, Side};
use crate::wire::control::Control;
use crate::{limits, platform};

/// The replicator's name: the settings', else made of the desktop's identity.
pub fn name_of(settings: &Settings, desktop: &Facts) -> String {
    let made = || {
        format!(
            "{}-{}-{}",
            desktop.system_id, desktop.database, settings.forward.slot
        )
    };
    settings.replicator.clone().unwrap_or_else(made)
}

/// Takes the lease. One whose holder is known to be dead is taken at once; another one is waited for
/// as long as its term lasts, and if it was renewed by then, its holder lives.
///
/// # Errors
/// That another holds it, by name; or that the cloud failed.
pub(super) async fn acquire(
    settings: &Settings,
    replicator: &str,
    desktop: &Facts,
    cloud: &Control,
    stop: &CancellationToken,
) -> Result<Taken, Fault> {
    let term = (settings.heartbeat.every * limits::LEASE_HEARTBEATS).max(limits::LEASE_TERM_MIN);
    let holder = platform::holder();
    let request = Request {
        replicator,
        system_id: &desktop.system_id,
        timeline: desktop.timeline,
        database: &desktop.database,
        slot: &settings.forward.slot,
        holder: &holder,
        term,
    };
    let wire = |error| Fault::wire(Side::Cloud, &error);
    let first = take(&cloud.client, &request, false).await.map_err(wire)?;
    if first.taken {
        return Ok(first);
    }
    let other = first.holder.clone().unwrap_or_default();
    if platform::is_gone(&other) {
        tracing::info!(holder = %other, "the last holder of the lease is gone; taking over");
        return take(&cloud.client, &request, true).await.map_err(wire);
    }
    if is_here(&other) {
        return Err(held(&other));
    }
    tracing::info!(holder = %other, wait_ms = first.wait.as_millis() as u64, "another tandem has the lease; waiting for its end");
    tokio::select! {
        // The service ends cleanly: it was told to stop before its turn came.
        () = stop.cancelled() => return Err(Fault::new(Kind::Weather(Side::Cloud), "stopped while waiting for the lease")),
        () = sleep(first.wait + Duration::from_millis(100)) => {}
    }
    let second = take(&cloud.client, &request, false).await.map_err(wire)?;
    if second.taken {
        Ok(second)
    } else {
        Err(held(&other))
    }
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
