//! The state of everything, for one screen: the lag's sample, the tables, and what it comes to.

use std::time::Duration;

use serde::{Serialize, Serializer};
use tokio_postgres::types::Type;

use super::observer::{CheckpointView, Observer};
use super::refills::RefillStatus;
use super::reload::{ReloadOutcome, SettingsStatus, settings_status};
use super::reverse::{ReverseCounts, ReverseSample, ThenStatus};
use super::sample::{Sample, State};
use super::schemas::SchemasStatus;
use crate::alert::{self, AlertStatus};
use crate::config::Settings;
use crate::fault::{Fault, Side};
use crate::install::is_installed;
use crate::limits;
use crate::model::{Lsn, StateWord};

/// What it all comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The cloud has everything.
    CaughtUp,
    /// It moves, but has not everything yet.
    CatchingUp,
    /// It runs, and something waits for a person.
    NeedsYou,
    /// It runs, but nothing moves.
    Stalled,
    /// It ended, and said why.
    Stopped,
    /// It isn't running.
    Down,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Verdict; 6] = [
        Verdict::CaughtUp,
        Verdict::CatchingUp,
        Verdict::NeedsYou,
        Verdict::Stalled,
        Verdict::Stopped,
        Verdict::Down,
    ];

    /// The word for it in documents.
    pub fn word(self) -> String {
        let word = serde_json::to_value(self).ok();
        let word = word.as_ref().and_then(|word| word.as_str());
        word.unwrap_or_default().to_owned()
    }
}

/// The `status` document; source: the contract. Unknown numbers are null.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The document's version.
    pub schema: u32,
    /// What it all comes to.
    pub verdict: Verdict,
    /// As `lag` says it.
    pub forward: Sample,
    /// The way home.
    pub reverse: ReverseSample,
    /// The office's statement behind a poll; null where it never ran.
    pub then: Option<ThenStatus>,
    /// The service.
    pub service: Service,
    /// Settings that the running service read again and that don't count; null where all do.
    pub settings: Option<SettingsStatus>,
    /// The office's refill, where tandem runs it; the first of its parts, where there are several.
    pub refill: Option<RefillStatus>,
    /// All of its parts, in the order of the settings; empty where tandem runs none.
    pub refills: Vec<RefillStatus>,
    /// When the slot was given up, since the desktop kept too much WAL for it, in ISO 8601; null where it wasn't.
    pub slot_given_up: Option<String>,
    /// While the service is down: in how many seconds the WAL held reaches its limit, as it has grown since; null where
    /// it doesn't grow, or nobody knows.
    pub wal_limit_in_s: Option<u64>,
    /// How long a copy has been holding a snapshot of the desktop, in milliseconds: nothing that was deleted since can
    /// be cleared away there. Null while none is read.
    pub snapshot_held_ms: Option<i64>,
    /// The last comparison of both sides that the service made; null where it made none.
    pub verified: Option<VerifiedStatus>,
    /// Whether people hear of what is wrong; null where nobody is to be told.
    pub alert: Option<AlertStatus>,
    /// What both sides' schemas are, and what would become of them.
    pub schemas: SchemasStatus,
    /// When the cloud committed our last transaction, in seconds since 1970.
    #[serde(skip)]
    pub last_commit: Option<f64>,
    /// When the last transaction that is in the cloud committed on the desktop, in ISO 8601.
    pub up_to: Option<String>,
    /// Transactions of the desktop that are in the cloud.
    pub transactions: Option<i64>,
    /// Rows in quarantine on their way out, and on their way home.
    #[serde(skip)]
    pub parked: (i64, i64),
    /// All tables that tandem knows of, by name.
    pub tables: Vec<TableStatus>,
}

/// A comparison of both sides.
#[derive(Clone, Debug, Serialize)]
pub struct VerifiedStatus {
    /// When it ended, in ISO 8601.
    pub ended: String,
    /// Nothing differed but what is known.
    pub equal: bool,
    /// The tables in which something did.
    pub different: Vec<String>,
    /// Tables that could not be compared.
    pub unknown: Vec<String>,
}

/// What stands beside the checkpoint; nothing where tandem never ran.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) last_commit: Option<f64>,
    pub(super) up_to: Option<String>,
    pub(super) transactions: Option<i64>,
    /// Out, and home.
    pub(super) parked: (i64, i64),
    pub(super) verified: Option<VerifiedStatus>,
}

/// The service, as both databases see it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Service {
    /// It renewed its lease in time, or reads the slot.
    pub running: bool,
    /// Since when it reads the slot, or, while it doesn't, has the lease, in ISO 8601.
    pub since: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Who has the lease: computer and process.
    pub holder: Option<String>,
    /// What it said when it stopped.
    pub last_words: Option<String>,
}

/// One table.
#[derive(Clone, Debug, Serialize)]
pub struct TableStatus {
    /// Its name in the settings.
    pub table: String,
    /// Its state.
    pub state: StateWord,
    /// Since when it has that, in ISO 8601.
    pub since: String,
    /// Why it doesn't go on.
    pub why: Option<String>,
    /// Rows of its last copy.
    pub copied: i64,
    /// Row messages that arrived.
    pub received: i64,
    /// Those whose effect was written.
    pub applied: i64,
    /// Those that another one made unnecessary.
    pub folded: i64,
    /// Those of rows that aren't ours to send.
    pub ruled_out: i64,
    /// Those of rows that wait in the quarantine.
    pub quarantined: i64,
    /// Rows that wait in the quarantine.
    pub parked: i64,
    /// Rows that the cloud had before us and the desktop doesn't have.
    pub extras: i64,
    /// When it was swapped for the last time, in ISO 8601.
    pub last_swap: Option<String>,
    /// What came home of it; null where nothing does.
    pub reverse: Option<ReverseCounts>,
    /// What both sides wanted otherwise, as far as the logs have it.
    pub conflicts: i64,
}

impl Serialize for StateWord {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl TableStatus {
    /// It waits for a person.
    pub fn needs_you(&self) -> bool {
        self.waits_for_person() || self.parked > 0
    }

    /// It waits for a person itself, not only rows of it.
    pub fn waits_for_person(&self) -> bool {
        self.state.waits_for_person()
    }
}

impl Observer {
    /// Takes a sample of everything.
    ///
    /// # Errors
    /// When a side can't be asked.
    pub async fn status(&self, settings: &Settings) -> Result<Status, Fault> {
        let told = self.whole_status(settings).await;
        match told {
            Ok(status) => Ok(status),
            Err(fault) => Err(self.unless_migrated(fault).await),
        }
    }

    async fn whole_status(&self, settings: &Settings) -> Result<Status, Fault> {
        let forward = self.sample(settings).await?;
        let seen = self.checkpoint().await?;
        let age = seen.as_ref().map(|seen| seen.age).unwrap_or_default();
        let (tables, service) = match seen {
            Some(seen) => {
                let conflicts = self.conflicts_by_table().await?;
                let tables = self.in_cloud().tables(conflicts).await?;
                (tables, self.service(settings, &seen).await?)
            }
            // It never ran here.
            None => (Vec::new(), Service::default()),
        };
        let running = service.running;
        let refills = self.refills(settings).await?;
        let then = self.then().await?;
        let failed = then.as_ref().is_some_and(|then| then.failed.is_some());
        let sums = self.in_cloud().sums().await?;
        let differs = sums
            .verified
            .as_ref()
            .is_some_and(|verified| !verified.equal);
        let remembers = (&self.desktop.client, Side::Desktop);
        let alert = alert::status(&settings.alert, remembers, &self.replicator).await?;
        let silent = { alert.as_ref() }.is_some_and(|alert| alert.broken().next().is_some());
        let unread = match running {
            true => settings_status(&self.in_cloud()).await?,
            false => None,
        };
        let bad = |unread: &SettingsStatus| unread.outcome == ReloadOutcome::Bad;
        let broken =
            failed || differs || unread.as_ref().is_some_and(bad) || silent || { refills.iter() }
                .any(|refill| refill.failed.is_some());
        let broken = broken || tables.iter().any(TableStatus::needs_you);
        let verdict = verdict_of(running, service.last_words.is_some(), forward.state, broken);
        Ok(Status {
            schema: 1,
            verdict,
            reverse: forward.reverse.clone(),
            slot_given_up: self.given_up(settings).await?,
            wal_limit_in_s: (!running).then(|| limit_in(&forward, age)).flatten(),
            forward: forward.aged(),
            then,
            service,
            settings: unread,
            refill: refills.first().cloned(),
            refills,
            snapshot_held_ms: self.snapshot_held().await?,
            verified: sums.verified,
            alert,
            schemas: self.schemas().await?,
            last_commit: sums.last_commit,
            up_to: sums.up_to,
            transactions: sums.transactions,
            parked: sums.parked,
            tables,
        })
    }

    /// The same over the connections that are left from the last time, or over new ones; none are left where it failed.
    ///
    /// # Errors
    /// When a side can't be reached or asked.
    pub async fn status_over(
        left: &mut Option<Observer>,
        settings: &Settings,
    ) -> Result<Status, Fault> {
        let observer = match left.take() {
            Some(observer) => observer,
            None => Observer::connect(settings).await?,
        };
        let status = observer.status(settings).await?;
        *left = Some(observer);
        Ok(status)
    }

    async fn given_up(&self, settings: &Settings) -> Result<Option<String>, Fault> {
        let desktop = &self.desktop.client;
        if !is_installed(desktop, Side::Desktop).await? {
            return Ok(None);
        }
        let sql = r#"select to_char(t.given_up_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            from tandem.slot as t
            where t.replicator = $1
              and t.slot = $2
              and not exists (select from pg_replication_slots as s where s.slot_name = t.slot)"#;
        let params = [
            (&self.replicator as _, Type::TEXT),
            (&settings.forward.slot as _, Type::TEXT),
        ];
        let rows = Side::Desktop.query(desktop, sql, &params).await?;
        Ok(rows.first().and_then(|row| row.get(0)))
    }

    async fn snapshot_held(&self) -> Result<Option<i64>, Fault> {
        let sql = "select (extract(epoch from max(clock_timestamp() - xact_start)) * 1000)::bigint
            from pg_stat_activity
            where datname = current_database()
              and usename = current_user
              and state <> 'idle'
              and query like 'copy (select %'
              and backend_xmin is not null";
        let rows = Side::Desktop.query(&self.desktop.client, sql, &[]).await?;
        Ok(rows.first().and_then(|row| row.get(0)))
    }

    async fn service(&self, settings: &Settings, seen: &CheckpointView) -> Result<Service, Fault> {
        let running = self.is_running(settings, seen).await?;
        let sql = r#"select
              to_char(r.backend_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            from pg_replication_slots s
            join pg_stat_replication r on r.pid = s.active_pid
            where s.slot_name = $1"#;
        let params = [(&settings.forward.slot as _, Type::TEXT)];
        let rows = Side::Desktop
            .query(&self.desktop.client, sql, &params)
            .await?;
        let streams = rows.first().and_then(|row| row.get(0));
        Ok(Service::of(running, streams, seen))
    }
}

impl Service {
    /// As its lease has it, and the desktop where it reads the slot.
    pub(super) fn of(running: bool, streams: Option<String>, seen: &CheckpointView) -> Service {
        Service {
            running,
            since: streams.or_else(|| seen.since.clone().filter(|_| running)),
            version: seen.version.clone().filter(|_| running),
            holder: seen.holder.clone().filter(|_| running),
            last_words: seen.last_words.clone().filter(|_| !running),
        }
    }
}

/// What it all comes to, of one office or of each of many.
pub(super) fn verdict_of(
    is_running: bool,
    has_last_words: bool,
    state: State,
    is_broken: bool,
) -> Verdict {
    match state {
        _ if !is_running && has_last_words => Verdict::Stopped,
        _ if !is_running => Verdict::Down,
        State::Down => Verdict::CatchingUp,
        State::Stalled | State::SlotLost => Verdict::Stalled,
        _ if is_broken => Verdict::NeedsYou,
        State::Bootstrapping | State::CatchingUp => Verdict::CatchingUp,
        State::Streaming => Verdict::CaughtUp,
    }
}

/// When the WAL held reaches its limit, if it goes on growing as it has for `since`.
fn limit_in(forward: &Sample, since: Duration) -> Option<u64> {
    let at = |lsn: &Option<String>| lsn.as_ref()?.parse::<Lsn>().ok();
    let grown = at(&forward.desktop_lsn)?.bytes_since(at(&forward.cloud_lsn)?);
    let left = forward
        .wal_held_bytes_max
        .checked_sub(forward.wal_held_bytes?)?;
    // What a few seconds bring says nothing of a night.
    if since < limits::RATE_AFTER {
        return None;
    }
    let seconds = (u128::from(left) * u128::from(since.as_secs())).checked_div(grown.into())?;
    u64::try_from(seconds).ok()
}
