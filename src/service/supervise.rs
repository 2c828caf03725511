//! Errors are decisions: wait and try again, or stop and say why.

use std::time::Instant;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

use super::agenda::Goal;
use super::session::session;
use crate::config::Settings;
use crate::fault::{Decision, Fault};
use crate::limits;

/// Runs sessions until the goal is reached, until told to stop, or until one ends for a reason that doesn't pass.
///
/// # Errors
/// The fault that stopped the service.
pub async fn run(
    settings: &Settings,
    mut goal: Goal,
    stop: &CancellationToken,
) -> Result<(), Fault> {
    let pauses = ExponentialBuilder::default()
        .with_min_delay(limits::RETRY_FIRST)
        .with_max_delay(limits::RETRY_MAX)
        .with_jitter()
        .without_max_times();
    let mut pause = pauses.build();
    let mut attempt = 0u32;
    loop {
        let started = Instant::now();
        let fault = match Box::pin(session(settings, stop, &mut goal)).await {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        if fault.decision() != Decision::Retry {
            return Err(fault);
        }
        if stop.is_cancelled() {
            return Ok(());
        }
        if started.elapsed() >= limits::RETRY_RESET_AFTER {
            (pause, attempt) = (pauses.build(), 0);
        }
        attempt += 1;
        let wait = pause.next().unwrap_or(limits::RETRY_MAX);
        tracing::warn!(
            attempt,
            next_ms = wait.as_millis() as u64,
            "{fault}; nothing is lost, trying again"
        );
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => {}
        }
    }
}
