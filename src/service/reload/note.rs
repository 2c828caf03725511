//! What stands in the cloud of settings that are read again: who asked, and what came of it.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::super::run_mode::RunMode;
use crate::catalog::{Facts, replicator_name};
use crate::config::Settings;
use crate::fault::{Fault, Side};
use crate::observe::Reloaded;
use crate::platform;
use crate::wire::control::{self, Control};

/// A connection of its own: the session's may be in the middle of something, or gone.
pub(super) struct Desk {
    cloud: Control,
    replicator: String,
}

impl Desk {
    pub(super) async fn open(settings: &Settings, desktop: &Facts) -> Result<Desk, Fault> {
        let cloud = control::connect(&settings.cloud.endpoint).await;
        Ok(Desk {
            cloud: cloud.map_err(Fault::at(Side::Cloud))?,
            replicator: replicator_name(settings, desktop),
        })
    }

    /// Who waits for an answer.
    pub(super) async fn asked(&self) -> Result<Vec<i64>, Fault> {
        let sql =
            "select id from tandem.reload where replicator = $1 and ended_at is null order by id";
        let params = [(&self.replicator as _, Type::TEXT)];
        let rows = Side::Cloud.query(&self.cloud.client, sql, &params).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Answers them; where nobody asked in the cloud it is noted all the same. The last ones are kept.
    pub(super) async fn tell(&self, asked: &[i64], answer: &Reloaded) -> Result<(), Fault> {
        let outcome = serde_json::to_value(answer.outcome).unwrap_or_default();
        let outcome = outcome.as_str().unwrap_or_default();
        let text = serde_json::to_string(answer).unwrap_or_default();
        let by = platform::in_words(&platform::holder());
        let sql = "with told as (
              update tandem.reload
              set ended_at = clock_timestamp(), outcome = $3, answer = $4::jsonb
              where replicator = $1 and id = any ($2) and ended_at is null
            ),
            noted as (
              insert into tandem.reload (replicator, asked_by, ended_at, outcome, answer)
              select $1, $5, clock_timestamp(), $3, $4::jsonb
              where cardinality($2) = 0
            )
            delete from tandem.reload
            where replicator = $1
              and ended_at is not null
              and id not in (
                select id
                from tandem.reload
                where replicator = $1
                order by id desc
                limit 20
              )";
        let params: [(&(dyn ToSql + Sync), Type); 5] = [
            (&self.replicator, Type::TEXT),
            (&asked, Type::INT8_ARRAY),
            (&outcome, Type::TEXT),
            (&text, Type::TEXT),
            (&by, Type::TEXT),
        ];
        Side::Cloud
            .query(&self.cloud.client, sql, &params)
            .await
            .map(drop)
    }

    /// From now on the lease lasts that long where it isn't renewed.
    pub(super) async fn set_term(&self, term: Duration) -> Result<(), Fault> {
        let sql = "update tandem.checkpoint
            set term = $2::interval
            where replicator = $1 and holder = $3";
        let term = format!("{} milliseconds", term.as_millis());
        let holder = platform::holder();
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&self.replicator, Type::TEXT),
            (&term, Type::TEXT),
            (&holder, Type::TEXT),
        ];
        Side::Cloud
            .query(&self.cloud.client, sql, &params)
            .await
            .map(drop)
    }
}

/// Somebody may have asked while nobody listened. What came of settings that an earlier program read is over: this one has
/// read them at its start.
pub(in crate::service) async fn look_for_reloads(
    cloud: &Client,
    replicator: &str,
    (goal, first): (&RunMode, bool),
) -> Result<(), Fault> {
    if goal.ends {
        return Ok(());
    }
    let sql = match first {
        true => {
            "with over as (
               delete from tandem.reload
               where replicator = $1 and ended_at is not null
             )
             select exists (
               select
               from tandem.reload
               where replicator = $1 and ended_at is null
             )"
        }
        false => {
            "select exists (select from tandem.reload where replicator = $1 and ended_at is null)"
        }
    };
    let rows = Side::Cloud
        .query(cloud, sql, &[(&replicator, Type::TEXT)])
        .await?;
    if rows.first().is_some_and(|row| row.get(0)) {
        goal.reloads.ask();
    }
    Ok(())
}
