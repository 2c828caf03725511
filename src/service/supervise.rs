//! Errors are decisions: wait and try again, or stop and say why.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

use super::background;
use super::reload::reload_when_wanted;
use super::run_mode::RunMode;
use super::session::session;
use super::wal_limit::{exceeded, give_up};
use crate::config::Settings;
use crate::fault::{Decision, Fault, Kind};
use crate::limits;
use crate::platform::systemd;

/// Runs sessions until the goal is reached, until told to stop, or until one ends for a reason that doesn't pass.
///
/// # Errors
/// The fault that stopped the service.
pub async fn run(
    settings: &Settings,
    goal: RunMode,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    goal.reloads.begin(settings);
    let reloads = goal.reloads.clone();
    tokio::select! {
        ended = serve(settings, goal, stop) => ended,
        never = reload_when_wanted(&reloads) => match never {},
    }
}

async fn serve(
    settings: &Settings,
    mut goal: RunMode,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    let reloads = goal.reloads.clone();
    // It ends with us.
    let background = match goal.ends {
        true => None,
        false => background::start(&goal),
    };
    let mut watches = !goal.ends && !goal.standby;
    let meter = goal.meter.clone();
    let ended = loop {
        let bytes = tokio::select! {
            ended = sessions(settings, &mut goal, stop) => break ended,
            never = meter.alive.show(show_every(), systemd::alive) => match never {},
            bytes = exceeded(&reloads), if watches => bytes,
        };
        let now = reloads.settings();
        match give_up(now.as_deref().unwrap_or(settings), bytes).await {
            Ok(ours) => watches = ours,
            Err(fault) => tracing::error!("the slot can't be given up: {fault}; trying again"),
        }
    };
    if let (Err(fault), Some(background)) = (&ended, background) {
        background.end(fault).await;
    }
    ended
}

/// Often enough for whoever watches, also when one sign comes late.
fn show_every() -> Duration {
    let watched = systemd::silence_max().map(|longest| longest / 3);
    watched.map_or(limits::ALIVE_EVERY, |every| every.min(limits::ALIVE_EVERY))
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
        let passes = goal.attempts.count();
        let now = goal.reloads.take_up();
        let settings = now.as_deref().unwrap_or(settings);
        let fault = match Box::pin(session(settings, stop, goal)).await {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        // Who stands by waits for the lease as long as it takes.
        let waits = goal.standby && matches!(fault.kind, Kind::LeaseHeld | Kind::LeaseLost);
        let decision = fault.decision();
        if matches!(decision, Decision::Stop(_)) && !waits {
            if stop.is_cancelled() || !goal.reloads.go_back(&fault.to_string()) {
                return Err(fault);
            }
            let hint = fault.hint.as_deref();
            tracing::error!(
                hint,
                "the settings that were read again don't work, those before count again: {fault}"
            );
            continue;
        }
        if stop.is_cancelled() {
            if decision == Decision::Retry {
                tracing::warn!("{fault}; nothing is lost, stopping");
            }
            return Ok(());
        }
        if goal.reloads.is_outdated() {
            // Others are there, which a person waits for.
            tracing::info!("{fault}");
            continue;
        }
        if started.elapsed() >= limits::RETRY_RESET_AFTER {
            (pause, attempt, planned) = (pauses.build(), 0, false);
        }
        // Each large transaction is tried in one pass only once: where another one was, there is nothing to be calm about.
        let is_new = passes != goal.attempts.count();
        if decision == Decision::Again && (is_new || !std::mem::replace(&mut planned, true)) {
            tracing::info!("{fault}");
            continue;
        }
        note(&fault, decision, goal);
        attempt += 1;
        let wait = pause.next().unwrap_or(limits::RETRY_MAX);
        say_when(&fault, decision, (attempt, wait));
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
            () = goal.reloads.outdated() => {}
        }
    }
}

/// What a session's end means for the next one and for whoever watches.
fn note(fault: &Fault, decision: Decision, goal: &mut RunMode) {
    if let Kind::Transient(side) | Kind::Slow(side) = fault.kind {
        goal.meter.reconnect(side);
    }
    if let Kind::Slow(side) = fault.kind {
        goal.slower = (goal.slower + 1).min(limits::SLOWER_MAX);
        tracing::warn!(%side, times = 1 << goal.slower, "statements there may take longer from now on");
    }
    if decision != Decision::Again {
        goal.health.failed(fault, &goal.meter);
    }
}

/// Says why a session ended, and when the next one begins.
fn say_when(fault: &Fault, decision: Decision, (attempt, wait): (u32, Duration)) {
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
}
