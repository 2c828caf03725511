//! The heartbeat: a message of our own in the desktop's log. It comes back through the stream, moves
//! the checkpoint and then the slot, so that an idle desktop keeps no WAL for us (P2, P10).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::catalog::drift;
use crate::fault::{Fault, Side};
use crate::fold::HEARTBEAT;
use crate::limits;
use crate::model::{Halt, Tables};
use crate::wire::WireError;

pub(super) struct Heart {
    ticks: Interval,
    beats: u64,
    publication: String,
    tables: Arc<Tables>,
}

impl Heart {
    pub(super) fn start(every: Duration, publication: &str, tables: Arc<Tables>) -> Heart {
        // The first beat comes at once: it shows that the whole way works.
        let mut ticks = interval_at(Instant::now(), every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Heart {
            ticks,
            beats: 0,
            publication: publication.to_owned(),
            tables,
        }
    }

    /// Waits for the next beat and writes it, then looks whether all tables are still published, and says which
    /// are not. Cancelling it loses at most that one beat.
    pub(super) async fn beat(&mut self, desktop: &Client) -> Result<Vec<Halt>, Fault> {
        self.ticks.tick().await;
        self.beats += 1;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        // Which beat it was tells apart two histories that went different ways (P13).
        let beat = format!("{}-{:x}-{}", std::process::id(), now.as_nanos(), self.beats);
        let sql = "select pg_logical_emit_message(true, $1, $2)";
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&HEARTBEAT, Type::TEXT), (&beat, Type::TEXT)];
        let beats = async {
            desktop.query_typed(sql, &params).await?;
            drift(desktop, &self.publication, &self.tables).await
        };
        let silent = |_| WireError::Timeout(limits::SILENCE_MAX.as_secs());
        let beaten = timeout(limits::SILENCE_MAX, beats).await;
        let beaten = beaten.map_err(silent).and_then(|beaten| beaten);
        beaten.map_err(|error| Fault::wire(Side::Desktop, &error))
    }
}
