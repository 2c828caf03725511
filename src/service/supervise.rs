//! Errors are decisions: wait and try again, or stop and say why.

use std::time::Instant;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

use super::background;
use super::session::session;
use super::session_plan::RunMode;
use super::wal_limit::{exceeded, give_up};
use crate::config::Settings;
use crate::fault::{Decision, Fault, Kind};
use crate::limits;

/// Runs sessions until the goal is reached, until told to stop, or until one ends for a reason that doesn't pass.
///
/// # Errors
/// The fault that stopped the service.
pub async fn run(
    settings: &Settings,
    mut goal: RunMode,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    // It ends with us.
    let _beside = match goal.ends {
        true => None,
        false => background::start(settings, &goal.meter),
    };
    let mut watches = !goal.ends && !goal.standby;
    loop {
        let bytes = tokio::select! {
            ended = sessions(settings, &mut goal, stop) => return ended,
            bytes = exceeded(settings), if watches => bytes,
        };
        match give_up(settings, bytes).await {
            Ok(ours) => watches = ours,
            Err(fault) => tracing::error!("the slot can't be given up: {fault}; trying again"),
        }
    }
}

/// One session after the other.
async fn sessions(
    settings: &Settings,
    goal: &mut RunMode,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(limits::RETRY_FIRST)
        .with_max_delay(limits::RETRY_MAX)
        .with_jitter()
        .without_max_times();
    let mut pause = pauses.build();
    let mut attempt = 0u32;
    // A session that ended on purpose is followed by the next one at once, but for one that does so again and again.
    let mut planned = false;
    loop {
        let started = Instant::now();
        let fault = match Box::pin(session(settings, stop, goal)).await {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        // Who stands by waits for the lease as long as it takes.
        let waits = goal.standby && matches!(fault.kind, Kind::LeaseHeld | Kind::LeaseLost);
        let decision = fault.decision();
        if matches!(decision, Decision::Stop(_)) && !waits {
            return Err(fault);
        }
        if stop.is_cancelled() {
            return Ok(());
        }
        if started.elapsed() >= limits::RETRY_RESET_AFTER {
            (pause, attempt, planned) = (pauses.build(), 0, false);
        }
        if decision == Decision::Again && !std::mem::replace(&mut planned, true) {
            tracing::info!("{fault}");
            continue;
        }
        if let Kind::Transient(side) | Kind::Slow(side) = fault.kind {
            goal.meter.reconnect(side);
        }
        if let Kind::Slow(side) = fault.kind {
            goal.slower = (goal.slower + 1).min(limits::SLOWER_MAX);
            tracing::warn!(%side, times = 1 << goal.slower, "statements there may take longer from now on");
        }
        attempt += 1;
        let wait = pause.next().unwrap_or(limits::RETRY_MAX);
        let next_ms = wait.as_millis() as u64;
        match decision {
            Decision::Again => tracing::info!(next_ms, "{fault}"),
            Decision::Retry | Decision::Stop(_) => {
                let hint = fault.hint.as_deref();
                tracing::warn!(
                    attempt,
                    next_ms,
                    hint,
                    "{fault}; nothing is lost, trying again"
                );
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
    }
}
