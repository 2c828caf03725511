//! One line for `systemctl status`: the verdict of the sample that the listener and the page show, as `tandem status` would say it first.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::serve::HttpState;
use crate::limits;
use crate::observe::{Status, Verdict};
use crate::platform::systemd;

/// Says it again and again, as long as it is polled; where nobody listens, both sides aren't asked for it.
pub(crate) async fn tell(office: Arc<HttpState>) {
    if !systemd::listens() {
        return;
    }
    let mut ticks = interval(limits::STATUS_LINE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = String::new();
    loop {
        ticks.tick().await;
        let known = office.look().await;
        let line = match (&known.failed, &known.status) {
            (Some(why), _) => format!("cannot tell: {why}"),
            (None, Some((status, _))) => line(status),
            (None, None) => continue,
        };
        if line != last {
            systemd::status(&line);
            last = line;
        }
    }
}

fn line(status: &Status) -> String {
    let lag = status.forward.lag_ms.map(i64::unsigned_abs);
    let behind = lag.map(|lag| Duration::from_millis(lag).as_secs());
    let waiting = status.tables.iter().filter(|table| table.needs_you());
    match status.verdict {
        Verdict::CaughtUp => "caught up".to_owned(),
        Verdict::CatchingUp => match behind {
            Some(seconds) => format!("catching up, {seconds} s behind"),
            None => "catching up".to_owned(),
        },
        Verdict::NeedsYou => match waiting.count() {
            0 => "running, needs you: tandem status says what for".to_owned(),
            tables => format!(
                "running, {tables} of {} tables need you: tandem status says what for",
                status.tables.len()
            ),
        },
        Verdict::Stalled => {
            "STALLED: it runs, but the cloud does not move; tandem status says why".to_owned()
        }
        Verdict::Stopped | Verdict::Down => "not streaming (yet)".to_owned(),
    }
}
