//! The heartbeat: a message of our own in the desktop's log. It comes back through the stream, moves
//! the checkpoint and then the slot, so that an idle desktop keeps no WAL for us (P2, P10).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::catalog::{Drift, drift, publication_gone};
use crate::failpoint;
use crate::fault::{Fault, Side};
use crate::flows::resumable::Resumable;
use crate::fold::HEARTBEAT;
use crate::limits;
use crate::model::{TableStop, Tables};
use crate::wire::WireError;

pub(in crate::flows::forward) struct Heartbeat<'a> {
    desktop: &'a Client,
    of: HeartbeatOf<'a>,
    tables: Arc<Tables>,
    ticks: Interval,
    beats: u64,
    /// A beat that has begun.
    beating: Resumable<'a, Result<Vec<TableStop>, Fault>>,
}

/// Whose heart it is.
#[derive(Clone, Copy)]
pub(in crate::flows::forward) struct HeartbeatOf<'a> {
    pub(in crate::flows::forward) replicator: &'a str,
    pub(in crate::flows::forward) slot: &'a str,
    pub(in crate::flows::forward) publication: &'a str,
}

impl<'a> Heartbeat<'a> {
    pub(in crate::flows::forward) fn start(
        desktop: &'a Client,
        every: Duration,
        of: HeartbeatOf<'a>,
        tables: Arc<Tables>,
    ) -> Heartbeat<'a> {
        // The first beat comes at once: it shows that the whole way works.
        let mut ticks = interval_at(Instant::now(), every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Heartbeat {
            desktop,
            of,
            tables,
            ticks,
            beats: 0,
            beating: Resumable::idle(),
        }
    }

    /// The next beat comes at once.
    pub(in crate::flows::forward) fn beat_soon(&mut self) {
        self.ticks.reset_immediately();
    }

    /// Beats as often as that from now on, for the first time at once.
    pub(in crate::flows::forward) fn beat_every(&mut self, every: Duration) {
        if self.ticks.period() != every {
            self.ticks = interval_at(Instant::now(), every);
            self.ticks
                .set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
    }

    /// Waits for the next beat and writes it, then looks whether all tables are still published, and says which
    /// are not. Safe to cancel.
    pub(in crate::flows::forward) async fn beat(&mut self) -> Result<Vec<TableStop>, Fault> {
        if self.beating.is_idle() {
            self.ticks.tick().await;
            self.beats += 1;
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            // Which beat it was tells apart two histories that went different ways (P13).
            let name = format!("{}-{:x}-{}", std::process::id(), now.as_nanos(), self.beats);
            let beat = beat(self.desktop, name, self.of, self.tables.clone());
            self.beating.begin(beat);
        }
        self.beating.end().await
    }
}

async fn beat(
    desktop: &Client,
    name: String,
    of: HeartbeatOf<'_>,
    tables: Arc<Tables>,
) -> Result<Vec<TableStop>, Fault> {
    let beats = async {
        let sql = "select tandem.heartbeat($1, $2, $3, $4)";
        let params: [(&(dyn ToSql + Sync), Type); 4] = [
            (&of.replicator, Type::TEXT),
            (&name, Type::TEXT),
            (&HEARTBEAT, Type::TEXT),
            (&of.slot, Type::TEXT),
        ];
        failpoint::reach("beat_due");
        desktop.query_typed(sql, &params).await?;
        failpoint::reach("beat_written");
        drift(desktop, of.replicator, of.publication, &tables).await
    };
    let silent = |_| WireError::Timeout(limits::SILENCE_MAX.as_secs());
    let beaten = timeout(limits::SILENCE_MAX, beats).await;
    let beaten = beaten.map_err(silent).and_then(|beaten| beaten);
    match beaten.map_err(|error| Fault::wire(Side::Desktop, &error))? {
        Drift::Halts(halts) => Ok(halts),
        Drift::Gone => Err(publication_gone(of.publication)),
    }
}
