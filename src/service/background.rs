//! What goes on beside the sessions, on a thread of its own, so that it answers however busy they are: the HTTP listener,
//! comparisons of both sides, and forgetting old conflicts.

use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Settings;
use crate::flows::Counters;
use crate::http::serve;
use crate::observe::{forget_on_schedule, verify_on_schedule};
use crate::wire::control;

/// Ends it when dropped.
pub(super) struct Background {
    _stop: DropGuard,
}

/// Starts it. Without it all else goes on.
pub(super) fn start(settings: &Settings, meter: &Arc<Counters>) -> Option<Background> {
    let stop = CancellationToken::new();
    let (settings, meter, stopped) = (settings.clone(), meter.clone(), stop.clone());
    let work = move || {
        let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
            return;
        };
        let both = async {
            tokio::join!(
                serve(settings.clone(), meter.clone()),
                verify_on_schedule(settings.clone()),
                forget_on_schedule(settings, meter)
            );
        };
        let both = async {
            stopped.run_until_cancelled(Box::pin(both)).await;
            control::goodbyes().await;
        };
        LocalSet::new().block_on(&runtime, Box::pin(both));
    };
    let thread = std::thread::Builder::new().name("beside".to_owned());
    match thread.spawn(work) {
        Ok(_) => Some(Background {
            _stop: stop.drop_guard(),
        }),
        Err(error) => {
            tracing::warn!("neither metrics nor comparisons: {error}");
            None
        }
    }
}
