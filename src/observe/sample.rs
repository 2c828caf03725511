//! One sample of both sides that every view renders; works when the service is down, since both
//! databases can be asked.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_postgres::types::Type;

use super::observer::{CheckpointView, Observer, one};
use super::on_desktop::on_desktop;
use super::peek::Missing;
use super::reverse::ReverseSample;
use crate::config::Settings;
use crate::fault::{Fault, Side};
use crate::limits;
use crate::model::{Lsn, Timestamp};
use crate::plan::table_state;
use crate::platform;
use crate::wire::WireError;

/// In which state the forward direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The tables are being filled for the first time.
    Bootstrapping,
    /// All that was committed when the sample began is in the cloud.
    Streaming,
    /// The cloud moves, but has not everything yet.
    CatchingUp,
    /// The service runs, but the cloud doesn't move.
    Stalled,
    /// The service doesn't run.
    Down,
    /// The desktop no longer keeps what is missing in the cloud.
    SlotLost,
}

impl State {
    /// The word for it in documents, and in the cloud.
    pub(crate) fn word(self) -> Option<String> {
        let word = serde_json::to_value(self).ok()?;
        word.as_str().map(str::to_owned)
    }
}

/// The `lag` document; source: the contract. Unknown numbers are null.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// The document's version.
    pub schema: u32,
    /// The state.
    pub state: State,
    /// How long the oldest missing transaction has been waiting, in milliseconds.
    pub lag_ms: Option<i64>,
    /// WAL between the cloud's position and the desktop's; 0 when nothing is missing.
    pub lag_bytes: Option<u64>,
    /// How old the numbers are.
    pub measured_age_ms: u64,
    /// How far the desktop has written.
    pub desktop_lsn: Option<String>,
    /// How far we have received.
    pub received_lsn: Option<String>,
    /// How far the cloud has committed.
    pub cloud_lsn: Option<String>,
    /// How far the desktop may forget.
    pub confirmed_lsn: Option<String>,
    /// WAL that the desktop keeps for us.
    pub wal_held_bytes: Option<u64>,
    /// The settings' limit for it.
    pub wal_held_bytes_max: u64,
    /// The way home.
    pub reverse: ReverseSample,
    /// When the numbers were taken.
    #[serde(skip)]
    pub taken: Option<Instant>,
}

impl Observer {
    /// Writes a marker into the desktop's log and says where it stands: whatever was committed
    /// before stands before it. Its transaction is flushed when this returns.
    ///
    /// # Errors
    /// When the desktop refuses.
    pub async fn mark(&self) -> Result<Lsn, Fault> {
        let sql = "select set_config('synchronous_commit', 'on', true),
              pg_logical_emit_message(true, 'tandem.mark', '')::text";
        let row = one(&self.desktop.client, Side::Desktop, sql, &[]).await?;
        let lsn = row.and_then(|row| row.get::<_, String>(1).parse().ok());
        lsn.ok_or_else(|| {
            Fault::wire(
                Side::Desktop,
                &WireError::Protocol("no position for our marker".to_owned()),
            )
        })
    }

    /// Whether the service runs: the lease was renewed in time, else the slot is active; not where the holder of the
    /// lease is known to be gone.
    ///
    /// # Errors
    /// When a query fails.
    pub async fn is_running(
        &self,
        settings: &Settings,
        seen: &CheckpointView,
    ) -> Result<bool, Fault> {
        if seen.holder.as_deref().is_some_and(platform::is_gone) {
            return Ok(false);
        }
        if seen.leased {
            return Ok(true);
        }
        self.streams(settings).await
    }

    /// Whether somebody streams from the slot; who only peeks at it makes it active, too.
    async fn streams(&self, settings: &Settings) -> Result<bool, Fault> {
        let sql = "select exists (
              select
              from pg_replication_slots as s
              join pg_stat_replication as r on r.pid = s.active_pid
              where s.slot_name = $1
            )";
        let slot = &settings.forward.slot;
        let row = one(
            &self.desktop.client,
            Side::Desktop,
            sql,
            &[(slot, Type::TEXT)],
        )
        .await?;
        Ok(row.is_some_and(|row| row.get(0)))
    }

    /// Tables that don't go on, or of which rows wait in the quarantine, with the reason.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn troubled(&self) -> Result<Vec<(String, String, String)>, Fault> {
        let rows = Side::Cloud
            .query(
                &self.cloud.client,
                &table_state::troubled(),
                &[(&self.replicator, Type::TEXT)],
            )
            .await?;
        Ok(rows
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect())
    }

    /// Takes a sample. While the service runs, a marker is sent through the whole way: if it arrives
    /// in time, nothing that was committed before it is missing, and its way took the lag.
    ///
    /// # Errors
    /// When a side can't be asked.
    pub async fn sample(&self, settings: &Settings) -> Result<Sample, Fault> {
        match self.measured(settings).await {
            Ok(sample) => Ok(sample),
            Err(fault) => Err(self.unless_migrated(fault).await),
        }
    }

    async fn measured(&self, settings: &Settings) -> Result<Sample, Fault> {
        let Some(first) = self.checkpoint().await? else {
            return self
                .finish(settings, State::Down, &CheckpointView::default(), None)
                .await;
        };
        if !self.is_running(settings, &first).await? {
            return self.finish(settings, State::Down, &first, None).await;
        }
        let streams = self.streams(settings).await?;
        if first.lsn.is_none() || first.copying && !streams {
            return self
                .finish(settings, State::Bootstrapping, &first, None)
                .await;
        }
        let marker = self.mark().await?;
        let sent = Instant::now();
        let mut seen = first.clone();
        while sent.elapsed() < limits::PROBE_MAX {
            seen = self.checkpoint().await?.unwrap_or_default();
            if seen.has(marker) {
                let lag = i64::try_from(sent.elapsed().as_millis()).unwrap_or(i64::MAX);
                return self
                    .finish(settings, State::Streaming, &seen, Some(lag))
                    .await;
            }
            sleep(limits::PROBE_EVERY).await;
        }
        let quiet = seen.age > (settings.heartbeat.every * 2).max(limits::STALLED_AFTER);
        let state = if seen.lsn == first.lsn && quiet {
            State::Stalled
        } else {
            State::CatchingUp
        };
        self.finish(settings, state, &seen, None).await
    }

    async fn finish(
        &self,
        settings: &Settings,
        state: State,
        seen: &CheckpointView,
        lag_ms: Option<i64>,
    ) -> Result<Sample, Fault> {
        let found = on_desktop(&self.desktop.client, &settings.forward.slot).await?;
        let missing = seen
            .lsn
            .zip(found.lsn.parse::<Lsn>().ok())
            .map(|(cloud, desktop)| desktop.bytes_since(cloud));
        let lost = seen.lsn.is_some() && found.is_lost;
        let mut caught_up = state == State::Streaming;
        // The oldest missing transaction isn't older than the last one that isn't missing.
        let mut since = seen.committed_at;
        let told = found.oldest_missing;
        since = since.max(told.map(Timestamp::unix_micros));
        // Between two sessions, and without a service, nobody tells.
        if let (false, None, Some(checkpoint)) = (caught_up, told, seen.lsn) {
            match self.peek(settings, checkpoint).await {
                Missing::Unknown => {}
                Missing::Nothing => caught_up = !seen.copying,
                Missing::Since(committed) => since = Some(committed.unix_micros()),
            }
        }
        let state = match state {
            _ if lost => State::SlotLost,
            State::Stalled if found.is_working => State::CatchingUp,
            state => state,
        };
        let waiting = since.map(|since| (found.now.unix_micros() - since).max(0) / 1000);
        Ok(Sample {
            schema: 1,
            state,
            lag_ms: if caught_up {
                lag_ms.or(Some(0))
            } else {
                waiting
            },
            lag_bytes: if caught_up { Some(0) } else { missing },
            measured_age_ms: 0,
            received_lsn: found.received,
            desktop_lsn: Some(found.lsn),
            cloud_lsn: seen.lsn.map(|lsn| lsn.to_string()),
            confirmed_lsn: found.confirmed,
            wal_held_bytes: found.wal_held.map(i64::unsigned_abs),
            wal_held_bytes_max: settings.forward.wal_held_max,
            reverse: self.in_cloud().reverse().await?,
            taken: Some(Instant::now()),
        })
    }
}

impl Sample {
    /// The sample as it is now: its age moves on.
    pub fn aged(mut self) -> Sample {
        let age = self.taken.map(|taken| taken.elapsed().as_millis());
        self.measured_age_ms = age
            .and_then(|age| u64::try_from(age).ok())
            .unwrap_or_default();
        self
    }
}
