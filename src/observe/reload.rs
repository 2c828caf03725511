//! Settings that the running service reads again: asking it to, from wherever the cloud can be reached, and what came of it.

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use tokio_postgres::types::{ToSql, Type};

use super::observer::{InCloud, Observer, found_in_cloud};
use crate::config::{Changes, Settings};
use crate::fault::{Fault, Kind, Side};
use crate::fold::RELOAD;
use crate::install::is_installed;
use crate::wire::control::Control;
use crate::{limits, platform};

/// What came of settings that were read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// They are as they were.
    Unchanged,
    /// What changed counts.
    TakenUp,
    /// Something that changed counts only when the program is started anew.
    Restart,
    /// They can't be taken up.
    Bad,
    /// It isn't known whether they could be, since a side is away.
    Unreachable,
}

/// The `reload` document, as the service tells it; source: the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What came of it.
    pub outcome: ReloadOutcome,
    /// The keys that changed and count.
    pub taken_up: Vec<String>,
    /// The keys that changed and need the program to be started anew.
    pub restart: Vec<String>,
    /// What is wrong, with its place, or what it waits for.
    pub why: Option<String>,
}

/// Settings that were read again and don't count, for `status`.
#[derive(Clone, Debug, Serialize)]
pub struct SettingsStatus {
    /// What came of it.
    pub outcome: ReloadOutcome,
    /// When they were read, in ISO 8601.
    pub read: String,
    /// The keys that need the program to be started anew.
    pub restart: Vec<String>,
    /// What is wrong, with its place.
    pub why: Option<String>,
}

impl Reloaded {
    /// What came of changes that could be taken up, and what those wait for.
    pub fn of(changes: &Changes, why: Option<String>) -> Reloaded {
        let outcome = match changes.is_empty() {
            true => ReloadOutcome::Unchanged,
            false if changes.by_restart.is_empty() => ReloadOutcome::TakenUp,
            false => ReloadOutcome::Restart,
        };
        Reloaded {
            outcome,
            taken_up: changes.taken_up(),
            restart: changes.by_restart.clone(),
            why,
        }
    }

    /// Settings that can't be.
    pub fn bad(why: String) -> Reloaded {
        Reloaded {
            outcome: ReloadOutcome::Bad,
            taken_up: Vec::new(),
            restart: Vec::new(),
            why: Some(why),
        }
    }

    /// Settings of which that isn't known.
    pub fn unreachable(fault: &Fault) -> Reloaded {
        Reloaded {
            outcome: ReloadOutcome::Unreachable,
            ..Reloaded::bad(fault.to_string())
        }
    }
}

/// What of the settings doesn't count, since they were read last; none where all does.
pub(super) async fn settings_status(cloud: &InCloud<'_>) -> Result<Option<SettingsStatus>, Fault> {
    let sql = r#"select answer::text,
              to_char(ended_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        from tandem.reload
        where replicator = $1 and answer is not null
        order by ended_at desc, id desc
        limit 1"#;
    let rows = cloud.ours(sql).await?;
    let last = rows.first().and_then(|row| {
        let answer: Reloaded = serde_json::from_str(row.get(0)).ok()?;
        Some((answer, row.get::<_, String>(1)))
    });
    Ok(last.and_then(|(answer, read)| match answer.outcome {
        ReloadOutcome::Unchanged | ReloadOutcome::TakenUp => None,
        ReloadOutcome::Restart | ReloadOutcome::Bad | ReloadOutcome::Unreachable => {
            Some(SettingsStatus {
                outcome: answer.outcome,
                read,
                restart: answer.restart,
                why: answer.why,
            })
        }
    }))
}

/// Whoever asks. The desktop may be away: the service is then asked all the same, and hears of it a little later.
pub struct ReloadCaller {
    cloud: Control,
    replicator: String,
    desktop: Option<Control>,
    /// Who is at work, in words; none: nobody, or only a command that ends by itself.
    service: Option<String>,
}

impl ReloadCaller {
    /// Finds the service.
    ///
    /// # Errors
    /// When the cloud can't be asked.
    pub async fn find(settings: &Settings) -> Result<Option<ReloadCaller>, Fault> {
        let at_work = |holder: Option<&String>| {
            let holder = holder.filter(|holder| !platform::is_passing(holder));
            holder.map(|holder| platform::in_words(holder))
        };
        match Observer::connect(settings).await {
            Ok(mut both) => {
                if both.checkpoint().await?.is_none() {
                    match named_before(&both).await? {
                        Some(replicator) => both.replicator = replicator,
                        None => return Ok(None),
                    }
                }
                let seen = both.checkpoint().await?.unwrap_or_default();
                let runs = both.is_running(settings, &seen).await?;
                Ok(Some(ReloadCaller {
                    cloud: both.cloud,
                    replicator: both.replicator,
                    desktop: Some(both.desktop),
                    service: at_work(seen.holder.as_ref()).filter(|_| runs),
                }))
            }
            Err(fault) if matches!(fault.kind, Kind::Transient(Side::Desktop)) => {
                let Some((cloud, replicator)) = found_in_cloud(settings).await? else {
                    return Err(fault);
                };
                let there = InCloud {
                    client: &cloud.client,
                    replicator: &replicator,
                };
                let seen = there.checkpoint().await?.unwrap_or_default();
                let gone = seen.holder.as_deref().is_some_and(platform::is_gone);
                let service = at_work(seen.holder.as_ref()).filter(|_| seen.leased && !gone);
                if service.is_none() {
                    // It may read the slot all the same.
                    return Err(fault);
                }
                Ok(Some(ReloadCaller {
                    cloud,
                    replicator,
                    desktop: None,
                    service,
                }))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Who is at work, in words; none where the service isn't running.
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// Asks, and waits for the answer; none where the service gives none in time.
    ///
    /// # Errors
    /// When the cloud can't be asked.
    pub async fn ask(&self) -> Result<Option<Reloaded>, Fault> {
        let cloud = &self.cloud.client;
        let who = platform::in_words(&platform::holder());
        let sql = "insert into tandem.reload (replicator, asked_by) values ($1, $2) returning id";
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&self.replicator, Type::TEXT), (&who, Type::TEXT)];
        let rows = Side::Cloud.query(cloud, sql, &params).await?;
        let id: i64 = rows.first().map_or(0, |row| row.get(0));
        self.stir().await;
        let id: [(&(dyn ToSql + Sync), Type); 1] = [(&id, Type::INT8)];
        let (since, mut heard) = (Instant::now(), false);
        while since.elapsed() < limits::RELOAD_HEARD_MAX
            || heard && since.elapsed() < limits::RELOAD_ANSWER_MAX
        {
            let sql = "select answer::text, begun_at is not null from tandem.reload where id = $1";
            let rows = Side::Cloud.query(cloud, sql, &id).await?;
            let Some(row) = rows.first() else {
                break;
            };
            heard = row.get(1);
            if let Some(answer) = row.get::<_, Option<&str>>(0) {
                let answer = serde_json::from_str(answer).map_err(|error| {
                    let what = "the service's answer can't be read; is it another version?";
                    Fault::new(Kind::Transient(Side::Cloud), what).cause(error)
                })?;
                return Ok(Some(answer));
            }
            sleep(limits::WAIT_EVERY).await;
        }
        // Nobody waits for it any more.
        let sql = "delete from tandem.reload where id = $1 and ended_at is null";
        Side::Cloud.query(cloud, sql, &id).await?;
        Ok(None)
    }

    /// The service hears of it at once where the desktop can be reached; else it looks by itself.
    async fn stir(&self) {
        let Some(desktop) = &self.desktop else {
            return;
        };
        let sql = "select pg_logical_emit_message(true, $1, '')::text";
        let params: [(&(dyn ToSql + Sync), Type); 1] = [(&RELOAD, Type::TEXT)];
        if let Err(error) = desktop.client.query_typed(sql, &params).await {
            tracing::debug!("the desktop carries no message: {error}");
        }
    }
}

/// The file names a replicator that the cloud doesn't know: it may have been renamed, or its slot. Then the one service of this
/// desktop is meant, which says that this needs a restart.
async fn named_before(both: &Observer) -> Result<Option<String>, Fault> {
    let cloud = &both.cloud.client;
    if !is_installed(cloud, Side::Cloud).await? {
        return Ok(None);
    }
    let sql = "select replicator
        from tandem.checkpoint
        where system_id = $1 and database = $2 and held_until > clock_timestamp()";
    let params: [(&(dyn ToSql + Sync), Type); 2] = [
        (&both.identity.system_id, Type::TEXT),
        (&both.identity.database, Type::TEXT),
    ];
    let rows = Side::Cloud.query(cloud, sql, &params).await?;
    Ok(match rows.as_slice() {
        [one] => Some(one.get(0)),
        _ => None,
    })
}
