//! What goes on beside the sessions, on a thread of its own, so that it answers however busy they are: the HTTP listener,
//! comparisons of both sides, the sign of life in the cloud, forgetting old conflicts, and alerts.

use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::alerts;
use super::lifesign::{SessionHealth, speak};
use super::run_mode::RunMode;
use crate::config::Settings;
use crate::fault::Fault;
use crate::flows::{Counters, Reloads};
use crate::http::{HttpState, remember, serve, tell};
use crate::observe::{forget_on_schedule, verify_on_schedule};
use crate::wire::control;

/// Ends it when dropped.
pub(super) struct Background {
    _stop: DropGuard,
    last_words: oneshot::Sender<alerts::LastWords>,
}

impl Background {
    /// Ends it; people are told first why the service ends, if they are to be told.
    pub(super) async fn end(self, why: &Fault) {
        alerts::say_last_words(self.last_words, why).await;
    }
}

/// Starts it. Without it all else goes on.
pub(super) fn start(goal: &RunMode) -> Option<Background> {
    let stop = CancellationToken::new();
    let (last_words, heard) = oneshot::channel();
    let (reloads, meter, stopped) = (goal.reloads.clone(), goal.meter.clone(), stop.clone());
    let (health, stands_by) = (goal.health.clone(), goal.standby);
    let work = move || {
        let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
            return;
        };
        let shown = HttpState::new(reloads.clone(), meter.clone());
        let all = async {
            tokio::join!(
                speak_always(&reloads, health, stands_by, meter.clone()),
                serve(shown.clone()),
                remember(&reloads, shown.clone()),
                tell(shown),
                verify_on_schedule(&reloads),
                forget_on_schedule(&reloads, meter),
                alerts::watch(&reloads, !stands_by, heard)
            );
        };
        let all = async {
            stopped.run_until_cancelled(Box::pin(all)).await;
            control::goodbyes().await;
        };
        LocalSet::new().block_on(&runtime, Box::pin(all));
    };
    let thread = std::thread::Builder::new().name("beside".to_owned());
    match thread.spawn(work) {
        Ok(_) => Some(Background {
            _stop: stop.drop_guard(),
            last_words,
        }),
        Err(error) => {
            tracing::warn!(
                "neither metrics nor comparisons nor alerts nor a sign of life: {error}"
            );
            None
        }
    }
}

/// The sign of life, by the settings that count.
async fn speak_always(
    reloads: &Reloads,
    health: SessionHealth,
    stands_by: bool,
    meter: Arc<Counters>,
) {
    let mut news = reloads.news();
    let mut settings = news.next().await;
    loop {
        let by = Settings::clone(&settings);
        tokio::select! {
            () = speak(by, health.clone(), stands_by, meter.clone()) => return,
            now = news.next() => settings = now,
        }
    }
}
