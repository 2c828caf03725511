//! Asking for swaps and new copies, and what came of them.

use serde::Serialize;
use tokio_postgres::types::{ToSql, Type};

use super::observer::Observer;
use crate::fault::{Fault, Side};
use crate::fold::SWAP;
use crate::plan::table_state;

/// What came of a swap. Unknown numbers are null.
#[derive(Clone, Debug, Serialize)]
pub struct Swapped {
    /// The table's name in the settings.
    pub table: String,
    /// Rows that the desktop has.
    pub read: Option<i64>,
    /// Rows that were missing.
    pub insert: Option<i64>,
    /// Rows that differed.
    pub update: Option<i64>,
    /// Rows that the desktop doesn't have.
    pub delete: Option<i64>,
    /// Rows that were left alone.
    pub unchanged: Option<i64>,
    /// Rows that the desktop doesn't have either, and that stay.
    pub extras: Option<i64>,
    /// Why nothing was done.
    pub refused: Option<String>,
    /// Rows that the cloud refuses and that wait in the quarantine; left out where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<i64>,
    /// Why the first of them does.
    #[serde(skip)]
    pub waits: Option<String>,
    /// It would have removed more than it may without a yes.
    #[serde(skip)]
    pub guarded: bool,
}

impl Observer {
    /// Asks for swaps of tables by their names; returns their numbers. The service has to be told by
    /// [`Observer::stir`] if it runs.
    ///
    /// # Errors
    /// When the cloud can't be asked.
    pub async fn ask_for_swaps(
        &self,
        tables: &[&str],
        (who, allow_shrink): (&str, bool),
    ) -> Result<Vec<i64>, Fault> {
        let sql = r#"insert into tandem.swap (replicator, "table", asked_by, allow_shrink)
            select $1, t.name, $3, $4
            from unnest($2::text[]) as t(name)
            returning id"#;
        let params: [(&(dyn ToSql + Sync), Type); 4] = [
            (&self.replicator, Type::TEXT),
            (&tables, Type::TEXT_ARRAY),
            (&who, Type::TEXT),
            (&allow_shrink, Type::BOOL),
        ];
        let rows = Side::Cloud.query(&self.cloud.client, sql, &params).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Tells the running service that something was asked for.
    ///
    /// # Errors
    /// When the desktop can't be asked.
    pub async fn stir(&self) -> Result<(), Fault> {
        let sql = "select pg_logical_emit_message(true, $1, '')::text";
        let params: [(&(dyn ToSql + Sync), Type); 1] = [(&SWAP, Type::TEXT)];
        Side::Desktop
            .query(&self.desktop.client, sql, &params)
            .await
            .map(drop)
    }

    /// What came of the swaps with these numbers, and how many are not done yet.
    ///
    /// # Errors
    /// When the cloud can't be asked.
    pub async fn swapped(&self, ids: &[i64]) -> Result<(Vec<Swapped>, usize), Fault> {
        let sql = format!(
            r#"select w."table", w.read, w.inserted, w.updated, w.deleted,
                 w.read - w.inserted - w.updated - w.quarantined, s.extras, w.refused,
                 w.ended_at is null, w.guarded, nullif(w.quarantined, 0),
                 (
                   select q.sqlstate || ' ' || q.why
                   from tandem.quarantine as q
                   where q.replicator = w.replicator
                     and q."table" = w."table"
                     and q.direction = 'forward'
                     and q.work in ('upsert', 'add')
                   order by q.id
                   limit 1
                 )
               from tandem.swap as w {beside}
               where w.id = any ($1)
               order by w.id"#,
            beside = table_state::BESIDE
        );
        let params: [(&(dyn ToSql + Sync), Type); 1] = [(&ids, Type::INT8_ARRAY)];
        let rows = Side::Cloud.query(&self.cloud.client, &sql, &params).await?;
        let open = rows.iter().filter(|row| row.get(8)).count();
        let swapped = |row: &tokio_postgres::Row| Swapped {
            table: row.get(0),
            read: row.get(1),
            insert: row.get(2),
            update: row.get(3),
            delete: row.get(4),
            unchanged: row.get(5),
            extras: row.get(6),
            refused: row.get(7),
            guarded: row.get(9),
            quarantined: row.get(10),
            waits: row.get(11),
        };
        Ok((rows.iter().map(swapped).collect(), open))
    }
}
