//! The way home as an onlooker sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::time::sleep;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::observer::{InCloud, Observer};
use crate::config::Settings;
use crate::fault::{Fault, Kind, Side};
use crate::flows::{Counters, Reloads, agree_again, known_tables};
use crate::install::{is_installed, queue_again};
use crate::limits;

/// The reverse part of a sample.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReverseSample {
    /// Entries that wait.
    pub pending: Option<u64>,
    /// How long the oldest has been waiting.
    pub lag_ms: Option<i64>,
    /// When the last poll was.
    pub last_poll_age_ms: Option<u64>,
}

/// What became of a table's outbox entries: `received = applied + folded + ruled_out + quarantined` (P7).
#[derive(Clone, Debug, Serialize)]
pub struct ReverseCounts {
    /// Entries that were read.
    pub received: i64,
    /// Those that changed the desktop.
    pub applied: i64,
    /// Those that another one made unnecessary, or that changed nothing.
    pub folded: i64,
    /// Those of rows that don't come home, or where the desktop's version stays.
    pub ruled_out: i64,
    /// Those of rows that wait in the quarantine.
    pub quarantined: i64,
    /// Rows of the desktop that got the cloud's own columns again, because something there had changed them.
    pub rewritten: i64,
}

/// The office's statement behind a poll.
#[derive(Clone, Debug, Serialize)]
pub struct ThenStatus {
    /// When it ran for the last time, in ISO 8601.
    pub ran: Option<String>,
    /// Why it failed.
    pub failed: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: Option<i64>,
    /// The tables that had brought rows.
    pub tables: Option<Vec<String>>,
}

/// What both sides wanted otherwise; the images stay in `tandem.conflict` (P16).
#[derive(Clone, Debug, Serialize)]
pub struct Conflict {
    /// The side whose log has it.
    pub side: &'static str,
    /// The table's name in the settings.
    pub table: String,
    /// `taken`, `reused`, `changed`, `removed`, `deleted`, `mobile`.
    pub kind: String,
    /// The key's values.
    pub key: Vec<Option<String>>,
    /// Whose version stayed.
    pub kept: String,
    /// When, in ISO 8601.
    pub noticed: String,
}

const TIME: &str = "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'";

impl Observer {
    /// The entries that wait now.
    ///
    /// # Errors
    /// When the cloud can't be asked.
    pub async fn waiting_reverse(&self) -> Result<Vec<i64>, Fault> {
        let cloud = &self.cloud.client;
        if !is_installed(cloud, Side::Cloud).await? {
            return Ok(Vec::new());
        }
        let sql = "select id from tandem.outbox where replicator = $1";
        let rows = self.ours(cloud, Side::Cloud, sql).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Those of them that still do; not those of tables whose way home has stopped.
    ///
    /// # Errors
    /// When the cloud can't be asked.
    pub async fn still_waiting(&self, ids: &[i64]) -> Result<usize, Fault> {
        let sql = r#"select count(*)
            from tandem.outbox as o
            join tandem.reverse_state as s using (replicator, "table")
            where o.replicator = $1 and o.id = any ($2) and s.why is null"#;
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&self.replicator, Type::TEXT), (&ids, Type::INT8_ARRAY)];
        let rows = Side::Cloud.query(&self.cloud.client, sql, &params).await?;
        let count = rows.first().map_or(0, |row| row.get::<_, i64>(0));
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// Queues all of the phone's rows of these tables once more, where they come home at all. Answers how many tables.
    ///
    /// # Errors
    /// When a side can't be asked, or settings and databases don't fit.
    pub async fn bring_home_again(
        &self,
        settings: &Settings,
        names: &[&str],
    ) -> Result<usize, Fault> {
        let (desktop, cloud) = (&self.desktop.client, &self.cloud.client);
        let served = known_tables(cloud, &self.replicator).await?;
        let tables = agree_again(settings, desktop, cloud, &served).await?;
        let misfits = tables.misfits().iter();
        if let Some(misfit) = { misfits }.find(|misfit| names.contains(&misfit.name.as_str())) {
            let what = format!("{} does not fit any more: {}", misfit.name, misfit.why);
            return Err(Fault::new(Kind::Input, what)
                .hint("nothing was changed; it goes on by itself when that is mended"));
        }
        let reverse_tables = tables.reverse_tables().iter();
        let reverse_tables: Vec<_> = reverse_tables
            .filter(|reverse| reverse.rows && names.contains(&reverse.name.as_str()))
            .collect();
        for reverse in &reverse_tables {
            let sql = r#"select exists (
                  select
                  from tandem.reverse_state
                  where replicator = $1 and "table" = $2
                )"#;
            let params: [(&(dyn ToSql + Sync), Type); 2] =
                [(&self.replicator, Type::TEXT), (&reverse.name, Type::TEXT)];
            let rows = Side::Cloud.query(&self.cloud.client, sql, &params).await?;
            if !rows.first().is_some_and(|row| row.get(0)) {
                let what = format!(
                    "{} is not watched yet, so nothing of it comes home",
                    reverse.name
                );
                return Err(Fault::new(Kind::Input, what)
                    .hint("nothing was changed; the service sees to it when it starts")
                    .next("tandem run"));
            }
            queue_again(&self.cloud.client, &self.replicator, reverse).await?;
        }
        Ok(reverse_tables.len())
    }

    /// Has rows of the phone's that only the desktop has removed there, as if the phone had deleted them.
    ///
    /// # Errors
    /// When the cloud can't be asked.
    pub async fn remove_reverse(
        &self,
        table: &str,
        keys: &[Vec<Option<String>>],
    ) -> Result<(), Fault> {
        self.queue(table, keys, "D").await
    }

    /// Has the desktop's rows get what the cloud has in its own columns.
    ///
    /// # Errors
    /// When the cloud can't be asked.
    pub async fn give_again(&self, table: &str, keys: &[Vec<Option<String>>]) -> Result<(), Fault> {
        self.queue(table, keys, "R").await
    }

    async fn queue(
        &self,
        table: &str,
        keys: &[Vec<Option<String>>],
        op: &str,
    ) -> Result<(), Fault> {
        let sql =
            "insert into tandem.outbox (replicator, \"table\", key, op) values ($1, $2, $3, $4)";
        for key in keys {
            let params: [(&(dyn ToSql + Sync), Type); 4] = [
                (&self.replicator, Type::TEXT),
                (&table, Type::TEXT),
                (&key, Type::TEXT_ARRAY),
                (&op, Type::TEXT),
            ];
            Side::Cloud.query(&self.cloud.client, sql, &params).await?;
        }
        Ok(())
    }

    /// What became of the statement behind the polls; none where it never ran.
    pub(super) async fn then(&self) -> Result<Option<ThenStatus>, Fault> {
        let desktop = &self.desktop.client;
        if !is_installed(desktop, Side::Desktop).await? {
            return Ok(None);
        }
        let sql = format!(
            "select to_char(then_at at time zone 'UTC', {TIME}), then_failed, then_ms,
               then_tables
             from tandem.reverse
             where replicator = $1 and then_at is not null"
        );
        let rows = self.ours(desktop, Side::Desktop, &sql).await?;
        Ok(rows.first().map(|row| ThenStatus {
            ran: row.get(0),
            failed: row.get(1),
            took_ms: row.get(2),
            tables: row.get(3),
        }))
    }

    /// How many conflicts each table has in the logs of both sides.
    pub(super) async fn conflicts_by_table(&self) -> Result<BTreeMap<String, i64>, Fault> {
        let mut counts = BTreeMap::new();
        let sql = r#"select "table", count(*)
            from tandem.conflict
            where replicator = $1 and seen_at is null
            group by 1"#;
        for (client, side) in self.logs() {
            if !is_installed(client, side).await? {
                continue;
            }
            for row in self.ours(client, side, sql).await? {
                *counts.entry(row.get(0)).or_default() += row.get::<_, i64>(1);
            }
        }
        Ok(counts)
    }

    /// The last conflicts of both sides' logs, the newest first.
    ///
    /// # Errors
    /// When a side can't be asked.
    pub async fn conflicts(&self, most: usize) -> Result<Vec<Conflict>, Fault> {
        let mut all = Vec::new();
        let sql = format!(
            r#"select "table", kind, key, kept, to_char(noticed_at at time zone 'UTC', {TIME})
               from tandem.conflict
               where replicator = $1 and seen_at is null
               order by id desc
               limit {most}"#
        );
        for (client, side) in self.logs() {
            if !is_installed(client, side).await? {
                continue;
            }
            let rows = self.ours(client, side, &sql).await?;
            all.extend(rows.iter().map(|row| Conflict {
                side: match side {
                    Side::Desktop => "desktop",
                    Side::Cloud => "cloud",
                },
                table: row.get(0),
                kind: row.get(1),
                key: row.get(2),
                kept: row.get(3),
                noticed: row.get(4),
            }));
        }
        all.sort_by(|a, b| b.noticed.cmp(&a.noticed));
        all.truncate(most);
        Ok(all)
    }

    /// Somebody has taken note of the conflicts of this table, or of all: they are kept and no longer said. Says how many.
    ///
    /// # Errors
    /// When a side can't be asked.
    pub async fn take_note(&self, table: Option<&str>) -> Result<u64, Fault> {
        let sql = r#"update tandem.conflict
            set seen_at = now()
            where replicator = $1 and seen_at is null and "table" = coalesce($2, "table")
            returning true"#;
        let mut noted = 0;
        for (client, side) in self.logs() {
            if !is_installed(client, side).await? {
                continue;
            }
            let params: [(&(dyn ToSql + Sync), Type); 2] =
                [(&self.replicator, Type::TEXT), (&table, Type::TEXT)];
            let rows = client.query_typed(sql, &params).await;
            noted += rows.map_err(Fault::at(side))?.len() as u64;
        }
        Ok(noted)
    }

    /// Conflicts past their time go, but for the last of each row of the phone's that the desktop has otherwise: a comparison asks
    /// for these. Says how many; none where a side knows no conflicts yet.
    ///
    /// # Errors
    /// When a side can't be asked.
    pub(super) async fn forget_conflicts(&self) -> Result<Option<u64>, Fault> {
        let sql = r#"delete from tandem.conflict as c
            where c.replicator = $1
              and (c.seen_at < now() - $2::interval or c.noticed_at < now() - $3::interval)
              and (
                c.kind <> 'mobile'
                or exists (
                  select
                  from tandem.conflict as n
                  where n.replicator = c.replicator
                    and n."table" = c."table"
                    and n.kind = c.kind
                    and n.key = c.key
                    and n.id > c.id
                )
              )
            returning true"#;
        let seconds = |kept: std::time::Duration| format!("{} seconds", kept.as_secs());
        let (seen, kept) = (
            seconds(limits::CONFLICTS_SEEN_KEPT),
            seconds(limits::CONFLICTS_KEPT),
        );
        let mut gone = 0;
        for (client, side) in self.logs() {
            if !is_installed(client, side).await? {
                return Ok(None);
            }
            let params: [(&(dyn ToSql + Sync), Type); 3] = [
                (&self.replicator, Type::TEXT),
                (&seen, Type::TEXT),
                (&kept, Type::TEXT),
            ];
            let rows = client.query_typed(sql, &params).await;
            gone += rows.map_err(Fault::at(side))?.len() as u64;
        }
        Ok(Some(gone))
    }

    fn logs(&self) -> [(&Client, Side); 2] {
        [
            (&self.desktop.client, Side::Desktop),
            (&self.cloud.client, Side::Cloud),
        ]
    }

    /// Rows of this replicator, which is `$1`.
    async fn ours(&self, client: &Client, side: Side, sql: &str) -> Result<Vec<Row>, Fault> {
        side.query(client, sql, &[(&self.replicator, Type::TEXT)])
            .await
    }
}

impl InCloud<'_> {
    /// What waits to come home.
    pub(super) async fn reverse(&self) -> Result<ReverseSample, Fault> {
        if !is_installed(self.client, Side::Cloud).await? {
            return Ok(ReverseSample::default());
        }
        let sql = "select count(*),
              coalesce(
                greatest(0, extract(epoch from clock_timestamp() - min(made_at))) * 1000, 0
              )::bigint,
              (
                select greatest(
                  0, extract(epoch from clock_timestamp() - p.polled_at) * 1000
                )::bigint
                from tandem.poll as p
                where p.replicator = $1
              )
            from tandem.outbox
            where replicator = $1";
        let rows = self.ours(sql).await?;
        Ok(rows
            .first()
            .map_or_else(ReverseSample::default, |row| ReverseSample {
                pending: Some(row.get::<_, i64>(0).unsigned_abs()),
                lag_ms: Some(row.get(1)),
                last_poll_age_ms: row.get::<_, Option<i64>>(2).map(i64::unsigned_abs),
            }))
    }

    /// What became of each table's entries.
    pub(super) async fn reverse_counts(&self) -> Result<BTreeMap<String, ReverseCounts>, Fault> {
        let sql = r#"select "table", received, applied, folded, ruled_out, quarantined, rewritten
            from tandem.reverse_state
            where replicator = $1"#;
        let rows = self.ours(sql).await?;
        let counts = |row: &Row| ReverseCounts {
            received: row.get(1),
            applied: row.get(2),
            folded: row.get(3),
            ruled_out: row.get(4),
            quarantined: row.get(5),
            rewritten: row.get(6),
        };
        Ok(rows.iter().map(|row| (row.get(0), counts(row))).collect())
    }
}

/// Lets old conflicts go, now and then; what can't be asked now is asked later. Until something streams the sessions say
/// what is wrong with a side, and nobody else knocks there.
pub(crate) async fn forget_on_schedule(reloads: &Reloads, meter: Arc<Counters>) {
    let mut news = reloads.news();
    while meter.read().batches == 0 {
        sleep(limits::CONFLICTS_BEGIN).await;
    }
    let mut settings = news.next().await;
    loop {
        let gone = async {
            let observer = Observer::connect(&settings).await?;
            observer.forget_conflicts().await
        };
        let pause = match gone.await {
            Ok(Some(gone)) => {
                if gone > 0 {
                    tracing::info!(conflicts = gone, "let old conflicts go");
                }
                limits::CONFLICTS_EVERY
            }
            Ok(None) => limits::VERIFY_FIRST,
            Err(fault) => {
                tracing::debug!("old conflicts stay for now: {fault}");
                limits::VERIFY_FIRST
            }
        };
        sleep(pause).await;
        settings = reloads.settings().unwrap_or(settings);
    }
}
