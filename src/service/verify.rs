//! Both sides compared, table by table, in both directions.

use std::collections::BTreeSet;
use std::time::Instant;

use serde::Serialize;
use tokio::time::sleep;
use tokio_postgres::types::{ToSql, Type};

use super::misfits::served;
use super::observe::Onlooker;
use crate::config::Settings;
use crate::fault::{Fault, Side};
use crate::flows::{Bad, Verified, agree_again, verify};
use crate::install::is_installed;
use crate::limits;
use crate::model::Tables;
use crate::plan::verify::{Comparison, homeward, mending, outward};

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
    /// The key's columns and values; none of a table without a key (P16).
    pub key: Vec<(String, Option<String>)>,
    /// The statement that would mend it in the cloud.
    #[serde(skip)]
    pub statement: Option<String>,
}

impl TableVerified {
    /// Nothing differs but what is known.
    pub fn is_equal(&self) -> bool {
        self.missing + self.extra + self.different <= self.known
    }
}

impl Onlooker {
    /// Compares these tables, or all; says each as soon as it is done.
    ///
    /// # Errors
    /// When a side can't be asked.
    pub async fn verify(
        &self,
        settings: &Settings,
        names: &[&str],
        say: &(dyn Fn(&TableVerified) + Sync),
    ) -> Result<Vec<TableVerified>, Fault> {
        let (desktop, cloud) = (&self.desktop.client, &self.cloud.client);
        let installed = is_installed(cloud, Side::Cloud).await?;
        let served = match installed {
            true => served(cloud, &self.replicator).await?,
            false => BTreeSet::new(),
        };
        let tables = agree_again(settings, desktop, cloud, &served).await?;
        let mut all = Vec::new();
        for wanted in &settings.tables {
            let asked = names.is_empty() || names.contains(&wanted.name.as_str());
            if !asked
                || tables
                    .misfits()
                    .iter()
                    .any(|misfit| misfit.name == wanted.name)
            {
                continue;
            }
            let mut sum = TableVerified {
                table: wanted.name.clone(),
                ..TableVerified::default()
            };
            let out = tables.iter().find(|table| table.name == wanted.name);
            let home = tables.home(&wanted.name).and_then(homeward);
            for what in out.map(outward).into_iter().chain(home) {
                let catch_up = async || self.catch_up(settings, what.homeward).await;
                let verified = verify(desktop, cloud, &what, &catch_up).await?;
                self.add(&mut sum, &what, verified, &tables, installed)
                    .await?;
            }
            say(&sum);
            all.push(sum);
        }
        Ok(all)
    }

    /// Waits until the receiving side has what the other one has now; not for a service that doesn't run, nor without end.
    async fn catch_up(&self, settings: &Settings, home: bool) -> Result<(), Fault> {
        let since = Instant::now();
        if !is_installed(&self.cloud.client, Side::Cloud).await? {
            return Ok(());
        }
        let marker = self.mark().await?;
        let waiting = match home {
            true => self.waiting_home().await?,
            false => Vec::new(),
        };
        while since.elapsed() < limits::VERIFY_WAIT_MAX {
            let seen = self.checkpoint().await?.unwrap_or_default();
            let left = match waiting.is_empty() {
                true => 0,
                false => self.still_waiting(&waiting).await?,
            };
            if seen.has(marker) && left == 0 || !self.is_running(settings, &seen).await? {
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
        let parked = match installed && !verified.bad.is_empty() {
            true => self.known(what).await?,
            false => Vec::new(),
        };
        let mut uncounted = match what.keyed {
            true => 0,
            false => parked.iter().map(|(_, copies)| copies.unsigned_abs()).sum(),
        };
        for bad in verified.bad.values() {
            let (desktop_only, cloud_only, different) = bad.counts(what.keyed);
            let (missing, extra) = match what.homeward {
                true => (cloud_only, desktop_only),
                false => (desktop_only, cloud_only),
            };
            let all = missing + extra + different;
            sum.missing += missing;
            sum.extra += extra;
            sum.different += different;
            let is_parked = what.keyed && parked.iter().any(|(key, _)| is_part(key, &bad.key));
            let kept = what.homeward && !is_parked && self.is_kept(what, bad).await?;
            let known = match what.keyed {
                true if is_parked || kept => all,
                true => 0,
                false => all.min(uncounted),
            };
            if !what.keyed {
                uncounted -= known;
            }
            sum.known += known;
            if known < all {
                sum.rows.extend(rows(what, bad, (missing, extra), tables));
            }
        }
        Ok(())
    }

    /// Keys of rows that wait in the quarantine, or that the desktop changed although they are the phone's.
    async fn known(&self, what: &Comparison) -> Result<Vec<(Vec<Option<String>>, i64)>, Fault> {
        let sql = "select key, copies from tandem.quarantine where replicator = $1 and \"table\" = $2 and direction = $3 \
            union all select key, 1 from tandem.conflict where replicator = $1 and \"table\" = $2 and $3 = 'reverse' and kind = 'mobile'";
        let direction = if what.homeward { "reverse" } else { "forward" };
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&self.replicator, Type::TEXT),
            (&what.table, Type::TEXT),
            (&direction, Type::TEXT),
        ];
        let rows = self.cloud.client.query_typed(sql, &params).await;
        let rows = rows.map_err(Fault::at(Side::Cloud))?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Whether the settings keep the desktop's version of a row that the phone has otherwise.
    async fn is_kept(&self, what: &Comparison, bad: &Bad) -> Result<bool, Fault> {
        let desktop = &self.desktop.client;
        if bad.key.is_empty() || !is_installed(desktop, Side::Desktop).await? {
            return Ok(false);
        }
        let sql = "select exists (select from tandem.ledger where key_hash = md5(concat($1::text, '/', $2::text, '/', $3::text[])) and state is not null)";
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&self.replicator, Type::TEXT),
            (&what.table, Type::TEXT),
            (&bad.key, Type::TEXT_ARRAY),
        ];
        let rows = desktop.query_typed(sql, &params).await;
        let rows = rows.map_err(Fault::at(Side::Desktop))?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }
}

/// Whether a parked key's values are among these, in order: what the settings set has no place in it.
fn is_part(parked: &[Option<String>], key: &[Option<String>]) -> bool {
    let mut rest = key.iter();
    !key.is_empty() && parked.iter().all(|value| rest.any(|other| other == value))
}

fn rows(
    what: &Comparison,
    bad: &Bad,
    (missing, extra): (u64, u64),
    tables: &Tables,
) -> Vec<BadRow> {
    let named = what.key.iter().cloned().zip(bad.key.iter().cloned());
    let row = |word: &'static str, values: Option<&[Option<String>]>, there: bool| BadRow {
        what: word,
        homeward: what.homeward,
        key: match what.keyed {
            true => named.clone().collect(),
            false => Vec::new(),
        },
        statement: { tables.iter() }
            .find(|table| table.name == what.table && !what.homeward && !bad.key.is_empty())
            .map(|table| mending(table, &bad.key, values, there)),
    };
    if what.keyed && missing + extra == 0 {
        return vec![row("different", bad.values.as_deref(), true)];
    }
    let missing = (0..missing).map(|_| row("missing", bad.values.as_deref(), false));
    let extra = (0..extra).map(|_| row("extra", None, true));
    missing.chain(extra).take(limits::VERIFY_NAMED).collect()
}
