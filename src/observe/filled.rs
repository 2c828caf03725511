//! What a first copy came to, asked of the cloud itself: rows that are there, rows that wait, and tables that need somebody.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use serde::Serialize;

use super::observer::Observer;
use super::status::TableStatus;
use crate::config::Settings;
use crate::fault::Fault;
use crate::flows::{agree_again, known_tables};
use crate::model::{StateWord, TableState, Tables};
use crate::plan::owned_count;

/// A table behind a first copy.
#[derive(Clone, Debug, Serialize)]
pub struct Filled {
    /// Its name in the settings.
    pub table: String,
    /// As in `status`.
    pub state: StateWord,
    /// Why it waits for somebody.
    pub why: Option<String>,
    /// The desktop's rows that are in the cloud, counted there; null where that can't be told.
    pub cloud_rows: Option<i64>,
    /// Rows that wait in the quarantine.
    pub quarantined: i64,
    /// Why the first of them does.
    pub quarantined_why: Option<String>,
    /// Rows that only the cloud has, and that stay.
    pub extras: i64,
    /// Somebody has to look.
    #[serde(skip)]
    pub needs_you: bool,
}

impl Filled {
    /// It isn't whole, whoever has to do something about that.
    pub fn has_trouble(&self) -> bool {
        self.needs_you || self.extras > 0 || !self.state.is(TableState::is_whole)
    }
}

impl Observer {
    /// All tables of the settings, those with trouble first, then the largest.
    ///
    /// # Errors
    /// When the cloud can't be asked.
    pub async fn filled(&self, settings: &Settings) -> Result<Vec<Filled>, Fault> {
        let in_cloud = self.in_cloud();
        let (counts, tables, reasons) = tokio::join!(
            self.counts(settings),
            in_cloud.tables(BTreeMap::new()),
            self.reasons()
        );
        let (tables, reasons) = (tables?, reasons?);
        let known = tables
            .into_iter()
            .filter(|table| table.state != TableState::Removed);
        let filled = known.map(|table| Filled {
            needs_you: TableStatus::needs_you(&table),
            cloud_rows: counts.get(&table.table).copied(),
            quarantined_why: reasons.get(&table.table).cloned(),
            quarantined: table.parked,
            extras: table.extras,
            why: table.why,
            state: table.state,
            table: table.table,
        });
        let mut filled: Vec<_> = filled.collect();
        filled.sort_by_key(|table| {
            let rows = std::cmp::Reverse(table.cloud_rows);
            (!table.has_trouble(), rows, table.table.clone())
        });
        Ok(filled)
    }

    /// Rows in the cloud, by table; what can't be counted is left out.
    async fn counts(&self, settings: &Settings) -> BTreeMap<String, i64> {
        let cloud = &self.cloud.client;
        let Some(tables) = self.tables(settings).await else {
            return BTreeMap::new();
        };
        // Behind one another on one connection: a distant cloud is waited for once.
        let counted = join_all(tables.iter().map(async |table| {
            let rows = cloud.query_typed(&owned_count(table), &[]).await.ok()?;
            Some((table.name.clone(), rows.first()?.get(0)))
        }));
        counted.await.into_iter().flatten().collect()
    }

    /// The tables as the session has them that filled them, or as they are now.
    async fn tables(&self, settings: &Settings) -> Option<Arc<Tables>> {
        if let Some(agreed) = self.agreed.get() {
            return Some(agreed.clone());
        }
        let (desktop, cloud) = (&self.desktop.client, &self.cloud.client);
        let served = known_tables(cloud, &self.replicator).await.ok()?;
        let tables = agree_again(settings, desktop, cloud, &served).await.ok()?;
        Some(Arc::new(tables))
    }

    /// Why the first row of each table waits that the cloud refused.
    async fn reasons(&self) -> Result<BTreeMap<String, String>, Fault> {
        let sql = r#"select distinct on ("table") "table", sqlstate || ' ' || why
            from tandem.quarantine
            where replicator = $1
            order by "table", id"#;
        let rows = self.in_cloud().ours(sql).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}
