//! What goes on beside the sessions, on a thread of its own, so that it answers however busy they are: the HTTP listener,
//! comparisons of both sides, the sign of life in the cloud, forgetting old conflicts, and alerts.

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::alerts;
use super::lifesign::speak;
use super::session_plan::RunMode;
use crate::config::Settings;
use crate::fault::Fault;
use crate::http::serve;
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
pub(super) fn start(settings: &Settings, goal: &RunMode) -> Option<Background> {
    let stop = CancellationToken::new();
    let (last_words, heard) = oneshot::channel();
    let (settings, meter, stopped) = (settings.clone(), goal.meter.clone(), stop.clone());
    let (health, stands_by) = (goal.health.clone(), goal.standby);
    let work = move || {
        let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
            return;
        };
        let all = async {
            tokio::join!(
                speak(settings.clone(), health, stands_by, meter.clone()),
                serve(settings.clone(), meter.clone()),
                verify_on_schedule(settings.clone()),
                forget_on_schedule(settings.clone(), meter),
                alerts::watch(settings, !stands_by, heard)
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
