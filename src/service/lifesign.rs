//! The replicator's sign of life: what it says of itself in the cloud with each heartbeat, so that whoever looks after many
//! offices sees all of them there.
//!
//! It comes from beside the sessions, over connections of its own, so that it is said in trouble, too: while the desktop is
//! away, a session fails again and again, or the cloud's tables are locked. It is one small write that waits for no flush,
//! moves no checkpoint and renews no lease.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_postgres::types::{ToSql, Type};

use crate::config::{Endpoint, Settings};
use crate::fault::{Fault, Side};
use crate::flows::Counters;
use crate::limits;
use crate::model::Timestamp;
use crate::observe::{OnDesktop, State, failing, on_desktop};
use crate::platform;
use crate::wire::control::{self, Control};

/// How the sessions are, for who speaks of them.
#[derive(Clone, Debug, Default)]
pub struct SessionHealth(Arc<watch::Sender<Health>>);

#[derive(Clone, Debug, Default)]
struct Health {
    /// Whose lease the program has or had.
    replicator: Option<String>,
    /// Why the last session ended, and how many batches were committed by then.
    trouble: Option<(String, u64)>,
}

impl SessionHealth {
    /// A session has taken the lease.
    pub(super) fn leads(&self, replicator: &str) {
        self.0.send_modify(|known| {
            known.replicator = Some(replicator.to_owned());
        });
    }

    /// A session ended, and will be tried again.
    pub(super) fn failed(&self, fault: &Fault, meter: &Counters) {
        let trouble = Some((fault.to_string(), meter.read().batches));
        self.0.send_modify(|known| known.trouble = trouble);
    }
}

impl Health {
    /// What is said of them: nothing before it is known whether it concerns the cloud at all. A name that nobody chose is
    /// made of what the desktop says, and who stands by has nothing to say.
    fn replicator(&self, settings: &Settings, stands_by: bool) -> Option<String> {
        let chosen = || settings.replicator.clone().filter(|_| !stands_by);
        let failed = self.trouble.is_some();
        { self.replicator.clone() }.or_else(|| chosen().filter(|_| failed))
    }

    /// Why the last session ended, if nothing was committed since.
    fn trouble(&self, meter: &Counters) -> Option<&str> {
        let (why, batches) = self.trouble.as_ref()?;
        (meter.read().batches == *batches).then_some(why)
    }
}

/// Speaks with each heartbeat, as long as it is polled. What can't be said now is said with the next one.
pub(super) async fn speak(
    settings: Settings,
    health: SessionHealth,
    stands_by: bool,
    meter: Arc<Counters>,
) {
    let mut changes = health.0.subscribe();
    let every = settings.heartbeat.every.max(limits::LIFESIGN_EVERY_MIN);
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut links = Links::default();
    loop {
        let known = changes.wait_for(|known| known.replicator(&settings, stands_by).is_some());
        let Ok(known) = known.await.map(|known| known.clone()) else {
            return;
        };
        ticks.tick().await;
        let Some(replicator) = known.replicator(&settings, stands_by) else {
            continue;
        };
        let known = changes.borrow().clone();
        let said = links.say(&settings, &replicator, known.trouble(&meter));
        match timeout(limits::LIFESIGN_MAX, said).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => {
                tracing::debug!("no sign of life: {fault}");
                links.cloud = None;
            }
            Err(_) => {
                tracing::debug!("no sign of life: the cloud does not answer");
                links.cloud = None;
            }
        }
    }
}

/// Connections of its own: those of a session may be in the middle of a transaction.
#[derive(Default)]
struct Links {
    desktop: Option<Control>,
    cloud: Option<Control>,
}

/// What is said.
struct Words {
    state: Option<State>,
    why: Option<String>,
    failing: Option<String>,
    lag_ms: Option<i64>,
    desktop_lsn: Option<String>,
    wal_held: Option<i64>,
}

impl Links {
    async fn say(
        &mut self,
        settings: &Settings,
        replicator: &str,
        trouble: Option<&str>,
    ) -> Result<(), Fault> {
        let asked = timeout(
            limits::LIFESIGN_DESKTOP_MAX,
            self.ask_desktop(settings, replicator),
        );
        let words = match asked.await {
            Ok(Ok((found, failing))) => words(found, failing, trouble),
            Ok(Err(_)) | Err(_) => {
                self.desktop = None;
                untold(trouble)
            }
        };
        let cloud = connected(&mut self.cloud, &settings.cloud.endpoint, Side::Cloud).await?;
        let state = words.state.and_then(State::word);
        let limit = i64::try_from(settings.forward.wal_held_max).unwrap_or(i64::MAX);
        let params: [(&(dyn ToSql + Sync), Type); 10] = [
            (&replicator, Type::TEXT),
            (&platform::holder(), Type::TEXT),
            (&env!("CARGO_PKG_VERSION"), Type::TEXT),
            (&state, Type::TEXT),
            (&words.why, Type::TEXT),
            (&words.failing, Type::TEXT),
            (&words.lag_ms, Type::INT8),
            (&words.desktop_lsn, Type::TEXT),
            (&words.wal_held, Type::INT8),
            (&limit, Type::INT8),
        ];
        Side::Cloud
            .query(&cloud.client, SAY, &params)
            .await
            .map(drop)
    }

    async fn ask_desktop(
        &mut self,
        settings: &Settings,
        replicator: &str,
    ) -> Result<(OnDesktop, Option<String>), Fault> {
        let endpoint = &settings.desktop.endpoint;
        let desktop = connected(&mut self.desktop, endpoint, Side::Desktop).await?;
        let found = on_desktop(&desktop.client, &settings.forward.slot).await?;
        Ok((found, failing(&desktop.client, replicator).await?))
    }
}

/// Only who has the lease speaks, or, where nobody has it, who would like to.
const SAY: &str = "with quiet as (select set_config('synchronous_commit', 'off', true))
    insert into tandem.lifesign (
      replicator, at, holder, version, state, why, failing, lag_ms, desktop_lsn, wal_held_bytes,
      wal_held_bytes_max
    )
    select c.replicator, clock_timestamp(), $2, $3, $4, $5, $6, $7, $8::pg_lsn, $9, $10
    from tandem.checkpoint as c, quiet
    where c.replicator = $1 and (c.holder = $2 or c.held_until <= clock_timestamp())
    on conflict (replicator) do update
    set at = excluded.at, holder = excluded.holder, version = excluded.version,
      state = excluded.state, why = excluded.why, failing = excluded.failing,
      lag_ms = excluded.lag_ms, desktop_lsn = excluded.desktop_lsn,
      wal_held_bytes = excluded.wal_held_bytes, wal_held_bytes_max = excluded.wal_held_bytes_max";

async fn connected<'c>(
    link: &'c mut Option<Control>,
    endpoint: &Endpoint,
    side: Side,
) -> Result<&'c Control, Fault> {
    let open = link.take().filter(|link| !link.client.is_closed());
    let open = match open {
        Some(open) => open,
        None => {
            let made = control::connect(endpoint).await;
            made.map_err(Fault::at(side))?
        }
    };
    Ok(link.insert(open))
}

/// As both the desktop and the sessions have it.
fn words(found: OnDesktop, failing: Option<String>, trouble: Option<&str>) -> Words {
    let waits = { found.oldest_missing }
        .map(|Timestamp(micros)| (found.now.0.saturating_sub(micros)).max(0) / 1_000);
    let (state, why) = match trouble {
        _ if found.is_lost => (State::SlotLost, None),
        Some(why) => (State::Stalled, Some(why.to_owned())),
        None if !found.is_streaming => (State::Bootstrapping, None),
        None if waits.is_some() => (State::CatchingUp, None),
        None => (State::Streaming, None),
    };
    let lag_ms = match state {
        State::Streaming => Some(0),
        _ => waits,
    };
    Words {
        state: Some(state),
        why,
        failing,
        lag_ms,
        desktop_lsn: Some(found.lsn),
        wal_held: found.wal_held,
    }
}

/// Without the desktop: what a session has found out, or nothing.
fn untold(trouble: Option<&str>) -> Words {
    Words {
        state: trouble.map(|_| State::Stalled),
        why: trouble.map(str::to_owned),
        failing: None,
        lag_ms: None,
        desktop_lsn: None,
        wal_held: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn found() -> OnDesktop {
        OnDesktop {
            lsn: "0/10".to_owned(),
            confirmed: None,
            wal_held: Some(7),
            received: None,
            now: Timestamp(5_000_000),
            is_lost: false,
            oldest_missing: None,
            is_working: false,
            is_streaming: true,
        }
    }

    #[test]
    fn p15_what_is_said_is_what_is_known() {
        let said = |found, trouble| {
            let words = words(found, None, trouble);
            (words.state.and_then(State::word), words.lag_ms)
        };
        let word = |text: &str| Some(text.to_owned());
        assert_eq!(said(found(), None), (word("streaming"), Some(0)));
        let waits = || OnDesktop {
            oldest_missing: Some(Timestamp(2_000_000)),
            ..found()
        };
        assert_eq!(said(waits(), None), (word("catching_up"), Some(3_000)));
        // A session that failed is trouble, whatever the desktop shows.
        assert_eq!(said(waits(), Some("away")), (word("stalled"), Some(3_000)));
        let lost = OnDesktop {
            is_lost: true,
            ..found()
        };
        assert_eq!(said(lost, None), (word("slot_lost"), None));
        let between = OnDesktop {
            is_streaming: false,
            ..found()
        };
        assert_eq!(said(between, None), (word("bootstrapping"), None));
        let untold = untold(Some("the desktop cannot be reached"));
        assert_eq!(untold.state, Some(State::Stalled));
        assert_eq!((untold.lag_ms, untold.wal_held), (None, None));
    }

    #[test]
    fn trouble_is_over_with_the_next_batch() {
        let (meter, health) = (Counters::default(), SessionHealth::default());
        health.failed(&Fault::new(crate::fault::Kind::Planned, "gone"), &meter);
        let known = health.0.borrow().clone();
        assert_eq!(known.trouble(&meter), Some("gone"));
        meter.batch(Duration::ZERO, 1);
        assert_eq!(known.trouble(&meter), None);
    }
}
