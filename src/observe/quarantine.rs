//! The quarantine as people see it: list, try again, drop.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::sleep;
use tokio_postgres::types::{ToSql, Type};

use super::observer::{Observer, one};
use crate::config::Settings;
use crate::fault::{Fault, Side};
use crate::flows::{agree_again, known_tables};
use crate::fold::{REFIT, RETRY};
use crate::install::is_installed;
use crate::limits;
use crate::model::{Source, shown, sqlstate};

/// A row in the quarantine, as people see it: its key, not its other values (P16).
#[derive(Clone, Debug, Serialize)]
pub struct ParkedRow {
    /// Its number.
    pub id: i64,
    /// The way it was going.
    pub direction: String,
    /// The table's name in the settings.
    pub table: String,
    /// The key's columns and values; empty for a table without a key.
    pub key: BTreeMap<String, Option<String>>,
    /// What the receiving side said.
    pub why: String,
    /// Its SQLSTATE.
    pub sqlstate: String,
    /// Since when, in ISO 8601.
    pub since: String,
    /// How often it was tried.
    pub tries: i64,
}

impl Observer {
    /// Rows that wait in the quarantine.
    ///
    /// # Errors
    /// When a query fails.
    pub async fn parked(&self, settings: &Settings) -> Result<Vec<ParkedRow>, Fault> {
        let sql = r#"select id, direction, "table", key, why, sqlstate,
              to_char(since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), tries
            from tandem.quarantine
            where replicator = $1
            order by id"#;
        let installed = is_installed(&self.cloud.client, Side::Cloud).await?;
        if !installed {
            return Ok(Vec::new());
        }
        let rows = Side::Cloud
            .query(&self.cloud.client, sql, &[(&self.replicator, Type::TEXT)])
            .await?;
        let keys = self.keys(settings).await;
        let row = |row: &tokio_postgres::Row| {
            let table: String = row.get(2);
            let values: Vec<Option<String>> = row.get(3);
            let values = values.into_iter();
            let values = values.map(|value| value.map(|text| shown(&text).to_owned()));
            let direction: String = row.get(1);
            let names = keys.get(&(direction.clone(), table.clone()));
            let names = names.cloned().unwrap_or_default();
            ParkedRow {
                id: row.get(0),
                direction,
                key: names.into_iter().zip(values).collect(),
                table,
                why: row.get(4),
                sqlstate: row.get(5),
                since: row.get(6),
                tries: row.get(7),
            }
        };
        Ok(rows.iter().map(row).collect())
    }

    /// Asks the running service to try these rows again: they come first, and a mark of ours makes it look. Returns
    /// those that are still parked once it has, or `patience` is over.
    ///
    /// # Errors
    /// When a query fails.
    pub async fn try_again(&self, ids: &[i64], patience: Duration) -> Result<Vec<i64>, Fault> {
        let asked = "update tandem.quarantine
            set tried_at = 'epoch'
            where replicator = $1 and id = any($2)";
        self.on_parked(asked, ids).await?;
        let reverse = "select tandem.queue_parked($1, interval '10 years')";
        one(
            &self.cloud.client,
            Side::Cloud,
            reverse,
            &[(&self.replicator, Type::TEXT)],
        )
        .await?;
        let long = format!(
            "select id
             from tandem.quarantine
             where replicator = $1 and id = any($2) and sqlstate = '{does_not_fit}'",
            does_not_fit = sqlstate::DOES_NOT_FIT
        );
        let long = !self.on_parked(&long, ids).await?.is_empty();
        let what = if long { REFIT } else { "" };
        let stir = "select pg_logical_emit_message(true, $1, $2)::text";
        let params: [(&(dyn ToSql + Sync), Type); 2] = [(&RETRY, Type::TEXT), (&what, Type::TEXT)];
        one(&self.desktop.client, Side::Desktop, stir, &params).await?;
        let since = Instant::now();
        loop {
            let waits = "select id
                from tandem.quarantine
                where replicator = $1 and id = any($2) and tried_at = 'epoch'";
            let tried = self.on_parked(waits, ids).await?.is_empty();
            if tried || since.elapsed() >= patience {
                let left =
                    "select id from tandem.quarantine where replicator = $1 and id = any($2)";
                let left = self.on_parked(left, ids).await?;
                return Ok(left.iter().map(|row| row.get(0)).collect());
            }
            sleep(limits::WAIT_EVERY).await;
        }
    }

    /// Takes rows out of the quarantine for good, and notes who did it. Says how many.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn drop_parked(&self, ids: &[i64], who: &str) -> Result<i64, Fault> {
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&self.replicator, Type::TEXT),
            (&ids, Type::INT8_ARRAY),
            (&who, Type::TEXT),
        ];
        let sql = "select tandem.drop_parked($1, $2, $3)";
        let row = one(&self.cloud.client, Side::Cloud, sql, &params).await?;
        Ok(row.map_or(0, |row| row.get(0)))
    }

    async fn on_parked(&self, sql: &str, ids: &[i64]) -> Result<Vec<tokio_postgres::Row>, Fault> {
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&self.replicator, Type::TEXT), (&ids, Type::INT8_ARRAY)];
        Side::Cloud.query(&self.cloud.client, sql, &params).await
    }

    /// The names of the columns under which each table's rows are parked, by direction and table: the cloud's where it has
    /// them, else the desktop's. Tables that no longer fit have none.
    async fn keys(&self, settings: &Settings) -> BTreeMap<(String, String), Vec<String>> {
        let (desktop, cloud) = (&self.desktop.client, &self.cloud.client);
        let Ok(served) = known_tables(cloud, &self.replicator).await else {
            return BTreeMap::new();
        };
        let Ok(tables) = agree_again(settings, desktop, cloud, &served).await else {
            return BTreeMap::new();
        };
        let out = tables.iter().map(|table| {
            let names = table.key_arriving().into_iter().map(|index| {
                let mut columns = table.columns.iter();
                let cloud = columns.find(|column| column.from == Source::Arriving(index));
                let cloud = cloud.map(|column| column.name.clone());
                cloud.unwrap_or_else(|| table.arriving[index].name.clone())
            });
            (("forward".to_owned(), table.name.clone()), names.collect())
        });
        let reverse = tables
            .reverse_tables()
            .iter()
            .filter(|reverse| !reverse.counted)
            .map(|reverse| {
                let names = { reverse.names.iter() }
                    .map(|named| reverse.arriving[named.arriving].name.clone());
                (
                    ("reverse".to_owned(), reverse.name.clone()),
                    names.collect(),
                )
            });
        out.chain(reverse).collect()
    }
}
