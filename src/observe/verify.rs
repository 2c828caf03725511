//! Both sides compared, table by table, in both directions.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::sleep;
use tokio_postgres::types::{ToSql, Type};

use super::observer::Observer;
use crate::config::Settings;
use crate::fault::{Fault, Kind, Side};
use crate::flows::{Bad, Reloads, Verified, agree_again, known_tables, verify};
use crate::install::is_installed;
use crate::limits;
use crate::model::Tables;
use crate::plan::verify::{
    Comparison, Mending, Sort, differing, differing_in, following, homeward, looked_up, mending,
    outward, owned, queueing,
};

/// One table of the `verify` document; source: the contract.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TableVerified {
    /// Its name in the settings.
    pub table: String,
    /// The desktop's rows.
    pub desktop_rows: u64,
    /// The cloud's.
    pub cloud_rows: u64,
    /// Rows that the receiving side doesn't have.
    pub missing: u64,
    /// Rows that only the receiving side has.
    pub extra: u64,
    /// Rows that it has otherwise.
    pub different: u64,
    /// Rows among all these that wait in the quarantine, or where the settings keep the other side's version.
    pub known: u64,
    /// Why it can't be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// The rows that aren't known, as far as they are named.
    #[serde(skip)]
    pub rows: Vec<BadRow>,
}

/// A row that differs.
#[derive(Clone, Debug, Serialize)]
pub struct BadRow {
    /// `missing`, `extra`, `different`.
    pub what: &'static str,
    /// It comes home; else it goes out.
    pub homeward: bool,
    /// The key's columns and values; of a table without a key those of the whole row.
    pub key: Vec<(String, Option<String>)>,
    /// It differs in columns of the cloud's own alone, which come home.
    #[serde(skip)]
    pub owned: bool,
    /// The columns in which it differs, where it is known.
    pub columns: Vec<String>,
    /// The statement that would mend it in the cloud, where its values were asked for.
    #[serde(skip)]
    pub statement: Option<String>,
}

/// Rows of which it is known why they differ.
#[derive(Default)]
struct Known {
    keys: BTreeSet<Vec<Option<String>>>,
    /// So many rows, where none has a key.
    copies: u64,
}

impl TableVerified {
    /// Nothing differs but what is known.
    pub fn is_equal(&self) -> bool {
        self.failed.is_none() && self.missing + self.extra + self.different <= self.known
    }
}

impl Observer {
    /// Compares these tables, or all; says each as soon as it is done. Of so many rows of each table the values are read,
    /// too.
    ///
    /// # Errors
    /// When a side can't be asked.
    pub async fn verify(
        &self,
        settings: &Settings,
        names: &[&str],
        valued: usize,
        say: &(dyn Fn(&TableVerified) + Sync),
    ) -> Result<Vec<TableVerified>, Fault> {
        let (desktop, cloud) = (&self.desktop.client, &self.cloud.client);
        let installed = is_installed(cloud, Side::Cloud).await?;
        let served = match installed {
            true => known_tables(cloud, &self.replicator).await?,
            false => BTreeSet::new(),
        };
        let tables = agree_again(settings, desktop, cloud, &served).await?;
        let mut all = Vec::new();
        for wanted in &settings.tables {
            if !names.is_empty() && !names.contains(&wanted.name.as_str()) {
                continue;
            }
            let misfit = { tables.misfits().iter() }.find(|misfit| misfit.name == wanted.name);
            let mut sum = TableVerified {
                table: wanted.name.clone(),
                failed: misfit.map(|misfit| misfit.why.clone()),
                ..TableVerified::default()
            };
            let out = tables.iter().find(|table| table.name == wanted.name);
            let reverse = tables.reverse_table(&wanted.name);
            let rows = out
                .map(outward)
                .into_iter()
                .chain(reverse.and_then(homeward));
            let beside = { reverse.and_then(owned).into_iter() }.chain(out.and_then(looked_up));
            for what in rows.chain(beside) {
                let catch_up = async || match installed {
                    true => self.catch_up(settings, what.homeward()).await,
                    false => Ok(()),
                };
                match verify(desktop, cloud, &what, &catch_up, valued).await {
                    Ok(verified) => {
                        self.add(&mut sum, &what, verified, &tables, installed)
                            .await?;
                    }
                    // What the settings convert needs functions that only one side has.
                    Err(fault) if matches!(fault.kind, Kind::Unknown | Kind::Refused(_)) => {
                        sum.failed = Some(fault.to_string());
                    }
                    Err(fault) => return Err(fault),
                }
            }
            say(&sum);
            all.push(sum);
        }
        Ok(all)
    }

    /// Compares all tables and notes what came of it, for `status`.
    ///
    /// # Errors
    /// When a side can't be asked.
    pub(super) async fn verify_and_note(&self, settings: &Settings) -> Result<(), Fault> {
        let verified = self.verify(settings, &[], 0, &|_| {}).await?;
        for table in &verified {
            if let Some(why) = &table.failed {
                tracing::warn!(table = %table.table, why, "can't be compared");
            }
        }
        let different =
            { verified.iter() }.filter(|table| !table.is_equal() && table.failed.is_none());
        let different: Vec<_> = different.map(|table| table.table.as_str()).collect();
        let unknown = verified.iter().filter(|table| table.failed.is_some());
        let unknown: Vec<_> = unknown.map(|table| table.table.as_str()).collect();
        match different.is_empty() {
            true => tracing::info!(not_compared = ?unknown, "compared: both sides are equal"),
            false => {
                tracing::error!(tables = ?different, "compared: both sides DIFFER; next: tandem repair")
            }
        }
        let sql = "insert into tandem.verified as v (replicator, ended_at, different, unknown)
            values ($1, clock_timestamp(), $2, $3)
            on conflict (replicator) do update
            set ended_at = excluded.ended_at, different = excluded.different,
              unknown = excluded.unknown";
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&self.replicator, Type::TEXT),
            (&different, Type::TEXT_ARRAY),
            (&unknown, Type::TEXT_ARRAY),
        ];
        Side::Cloud
            .query(&self.cloud.client, sql, &params)
            .await
            .map(drop)
    }

    /// How long ago the last comparison was; none where none was made.
    pub(super) async fn last_verified(&self) -> Result<Option<Duration>, Fault> {
        if !is_installed(&self.cloud.client, Side::Cloud).await? {
            return Ok(None);
        }
        let sql = "select (
              greatest(0, extract(epoch from clock_timestamp() - ended_at)) * 1000
            )::bigint
            from tandem.verified
            where replicator = $1";
        let rows = Side::Cloud
            .query(&self.cloud.client, sql, &[(&self.replicator, Type::TEXT)])
            .await?;
        Ok(rows
            .first()
            .map(|row| Duration::from_millis(row.get::<_, i64>(0).unsigned_abs())))
    }

    /// Waits until the receiving side has what the other one has now; not for a service that doesn't run, nor without end.
    async fn catch_up(&self, settings: &Settings, reverse: bool) -> Result<(), Fault> {
        let since = Instant::now();
        let marker = self.mark().await?;
        let mut waiting = None;
        while since.elapsed() < limits::VERIFY_WAIT_MAX {
            let seen = self.checkpoint().await?.unwrap_or_default();
            if seen.has(marker) {
                // What the desktop did to the cloud's own columns was queued by the stream, so that is asked behind it.
                let ids = match waiting.take() {
                    None if reverse => self.waiting_reverse().await?,
                    ids => ids.unwrap_or_default(),
                };
                if ids.is_empty() || self.still_waiting(&ids).await? == 0 {
                    break;
                }
                waiting = Some(ids);
            }
            if !self.is_running(settings, &seen).await? {
                break;
            }
            sleep(limits::WAIT_EVERY).await;
        }
        Ok(())
    }

    async fn add(
        &self,
        sum: &mut TableVerified,
        what: &Comparison,
        verified: Verified,
        tables: &Tables,
        installed: bool,
    ) -> Result<(), Fault> {
        sum.desktop_rows += verified.desktop_rows;
        sum.cloud_rows += verified.cloud_rows;
        let differs = !verified.bad.is_empty();
        let parked = match installed && differs {
            true => self.known(what).await?,
            false => Known::default(),
        };
        let may_be_kept = differs
            && what.sort == Sort::ReverseTable
            && is_installed(&self.desktop.client, Side::Desktop).await?;
        let mut uncounted = parked.copies;
        // Rows that both sides have are named, with a key or without.
        let named = what.keyed || what.shared();
        for bad in verified.bad.values() {
            let (desktop_only, cloud_only, different) = bad.counts(what);
            let (missing, extra) = match what.homeward() {
                true => (cloud_only, desktop_only),
                false => (desktop_only, cloud_only),
            };
            let all = missing + extra + different;
            sum.missing += missing;
            sum.extra += extra;
            sum.different += different;
            let sent = sent_part(what, &bad.key);
            let is_parked = named && parked.keys.contains(&sent);
            let kept = may_be_kept && !is_parked && self.is_kept(what, bad).await?;
            let known = match named {
                true if is_parked || kept => all,
                true => 0,
                false => all.min(uncounted),
            };
            if !named {
                uncounted -= known;
            }
            sum.known += known;
            if known < all {
                let counts = (missing, extra);
                let replicator = &self.replicator;
                sum.rows.extend(rows(what, bad, counts, tables, replicator));
            }
        }
        Ok(())
    }

    /// Keys of rows that wait in the quarantine, or that the desktop changed although they are the phone's.
    async fn known(&self, what: &Comparison) -> Result<Known, Fault> {
        let sql = r#"select key, copies
            from tandem.quarantine
            where replicator = $1 and "table" = $2 and direction = any ($3)
            union all
            select key, 1
            from tandem.conflict
            where replicator = $1 and "table" = $2 and 'reverse' = any ($3) and kind = 'mobile'"#;
        // What the desktop did to the cloud's own columns of a row that waits waits with it.
        let direction = match what.sort {
            Sort::Out | Sort::LookedUp => &["forward"][..],
            Sort::ReverseTable => &["reverse"],
            Sort::Owned => &["reverse", "forward"],
        };
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&self.replicator, Type::TEXT),
            (&what.table, Type::TEXT),
            (&direction, Type::TEXT_ARRAY),
        ];
        let rows = Side::Cloud.query(&self.cloud.client, sql, &params).await?;
        let copies = rows.iter().map(|row| row.get::<_, i64>(1).unsigned_abs());
        Ok(Known {
            copies: copies.sum(),
            keys: rows.iter().map(|row| row.get(0)).collect(),
        })
    }

    /// Whether the settings keep the desktop's version of a row that the phone has otherwise.
    async fn is_kept(&self, what: &Comparison, bad: &Bad) -> Result<bool, Fault> {
        if bad.key.is_empty() {
            return Ok(false);
        }
        let sql = "select exists (
              select
              from tandem.ledger
              where key_hash = md5(concat($1::text, '/', $2::text, '/', $3::text[]))
                and state is not null
            )";
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&self.replicator, Type::TEXT),
            (&what.table, Type::TEXT),
            (&bad.key, Type::TEXT_ARRAY),
        ];
        let rows = Side::Desktop
            .query(&self.desktop.client, sql, &params)
            .await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }
}

/// Compares both sides again and again, as the settings want; what can't be asked now is asked later.
pub(crate) async fn verify_on_schedule(reloads: &Reloads) {
    let mut news = reloads.news();
    let mut settings = news.next().await;
    let mut pause = None;
    loop {
        let Some(every) = settings.verify.every else {
            settings = news.next().await;
            continue;
        };
        let first = limits::VERIFY_FIRST.min(every);
        tokio::select! {
            () = sleep(pause.take().unwrap_or(first)) => {}
            now = news.next() => {
                settings = now;
                continue;
            }
        }
        let verified = async {
            let observer = Observer::connect(&settings).await?;
            let seen = observer.checkpoint().await?.unwrap_or_default();
            let since = observer.last_verified().await?;
            let due = since.is_none_or(|since| since >= every);
            if due && seen.lsn.is_some() && !seen.copying {
                observer.verify_and_note(&settings).await?;
                return Ok(Some(every));
            }
            Ok::<_, Fault>(since.map(|since| every.saturating_sub(since)))
        };
        match verified.await {
            Ok(Some(left)) => pause = Some(left.max(first)),
            Ok(None) => {}
            Err(fault) => {
                tracing::warn!("both sides could not be compared, tried again soon: {fault}")
            }
        }
    }
}

/// The values of a key that are sent: what the settings set has no place in a parked one.
fn sent_part(what: &Comparison, key: &[Option<String>]) -> Vec<Option<String>> {
    let cells = key.iter().zip(&what.sent);
    cells
        .filter(|(_, sent)| **sent)
        .map(|(value, _)| value.clone())
        .collect()
}

fn rows(
    what: &Comparison,
    bad: &Bad,
    (missing, extra): (u64, u64),
    tables: &Tables,
    replicator: &str,
) -> Vec<BadRow> {
    let named = what.key.iter().cloned().zip(bad.key.iter().cloned());
    let of = { tables.iter() }.find(|table| table.name == what.table && !what.homeward());
    let (values, in_cloud) = (bad.values.as_deref(), bad.cloud_values.as_deref());
    let columns = |word: &str| match (what.sort, of, word) {
        (Sort::Out, Some(table), "different") => differing(table, values, in_cloud),
        (Sort::Owned | Sort::LookedUp, ..) => differing_in(what, values, in_cloud),
        _ => Vec::new(),
    };
    // What wasn't read isn't guessed.
    let statement = |word: &str| match (what.sort, of, word) {
        _ if bad.key.is_empty() => None,
        (Sort::Owned, ..) => Some(queueing(replicator, &what.table, &bad.key)),
        (Sort::LookedUp, Some(table), _) => values.map(|values| following(table, &bad.key, values)),
        (_, Some(table), "extra") => Some(mending(table, &bad.key, Mending::Extra)),
        (_, Some(table), "missing") => {
            values.map(|values| mending(table, &bad.key, Mending::Missing(values)))
        }
        (_, Some(table), _) => {
            values.map(|values| mending(table, &bad.key, Mending::Different(values, in_cloud)))
        }
        (_, None, _) => None,
    };
    let row = |word: &'static str| BadRow {
        what: word,
        homeward: what.homeward(),
        key: named.clone().collect(),
        owned: what.sort == Sort::Owned,
        columns: columns(word),
        statement: statement(word),
    };
    if missing + extra == 0 {
        return vec![row("different")];
    }
    let missing = (0..missing).map(|_| row("missing"));
    let extra = (0..extra).map(|_| row("extra"));
    missing.chain(extra).take(limits::VERIFY_NAMED).collect()
}
