//! What only the page and the full screen show: the quarantine by reason, and the last swap of each table. It isn't part of a status, so that
//! a status doesn't become dearer by it.

use tokio_postgres::types::{ToSql, Type};

use super::observer::Observer;
use crate::fault::{Fault, Side};
use crate::install::is_installed;
use crate::limits;

/// Rows in quarantine for one reason.
#[derive(Clone, Debug)]
pub struct ParkedReason {
    /// The table's name in the settings.
    pub table: String,
    /// The way they were going: `forward` or `reverse`.
    pub direction: String,
    /// The SQLSTATE that the receiving side gave.
    pub sqlstate: String,
    /// What it said of the first of them.
    pub why: String,
    /// How many there are.
    pub rows: i64,
    /// Since when the first of them waits, in ISO 8601.
    pub since: String,
}

/// A swap that ended.
#[derive(Clone, Debug)]
pub struct SwapDone {
    /// The table's name in the settings.
    pub table: String,
    /// When it ended, in ISO 8601.
    pub ended: String,
    /// Rows that were missing, that differed, and that the desktop didn't have.
    pub wrote: [Option<i64>; 3],
    /// Why nothing was done.
    pub refused: Option<String>,
}

/// Both.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// The reasons, those with most rows first.
    pub reasons: Vec<ParkedReason>,
    /// How many reasons are not among them.
    pub more_reasons: i64,
    /// The last swap of each table, newest first.
    pub swaps: Vec<SwapDone>,
}

/// Rows that wait, by table, direction and reason.
const QUARANTINED: &str = r#"select "table", direction, sqlstate,
    (array_agg(left(why, $3) order by id))[1],
        count(*),
        to_char(min(since) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        count(*) over ()
      from tandem.quarantine
      where replicator = $1
      group by 1, 2, 3
      order by 5 desc, 1, 2, 3
      limit $2"#;

/// Each table's last swap.
const SWAPPED: &str = r#"select w."table",
      to_char(w.ended_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), w.inserted,
      w.updated, w.deleted, left(w.refused, $3)
    from unnest($4::text[]) as t(name)
    cross join lateral (
      select *
      from tandem.swap as l
      where l.replicator = $1 and l."table" = t.name and l.ended_at is not null
      order by l.ended_at desc
      limit 1
    ) as w
    order by w.ended_at desc, 1
    limit $2"#;

impl Observer {
    /// The quarantine by reason, if `parked` says that there is one, and the last swap of each of these tables.
    ///
    /// # Errors
    /// When the cloud can't be asked.
    pub async fn details(&self, parked: bool, tables: &[&str]) -> Result<Details, Fault> {
        let mut details = Details::default();
        if !is_installed(&self.cloud.client, Side::Cloud).await? {
            return Ok(details);
        }
        let most = i64::try_from(limits::DETAILS_ROWS).unwrap_or(i64::MAX);
        if parked {
            let longest = i32::try_from(limits::DETAILS_REASON_MAX).unwrap_or(i32::MAX);
            let params: [(&(dyn ToSql + Sync), Type); 3] = [
                (&self.replicator, Type::TEXT),
                (&most, Type::INT8),
                (&longest, Type::INT4),
            ];
            let rows = self.cloud.client.query_typed(QUARANTINED, &params).await;
            let rows = rows.map_err(Fault::at(Side::Cloud))?;
            let all = rows.first().map_or(0, |row| row.get::<_, i64>(6));
            details.more_reasons = (all - most).max(0);
            details.reasons = { rows.iter() }
                .map(|row| ParkedReason {
                    table: row.get(0),
                    direction: row.get(1),
                    sqlstate: row.get(2),
                    why: row.get(3),
                    rows: row.get(4),
                    since: row.get(5),
                })
                .collect();
        }
        // By the index: the last one of each table.
        let longest = i32::try_from(limits::DETAILS_REASON_MAX).unwrap_or(i32::MAX);
        let params: [(&(dyn ToSql + Sync), Type); 4] = [
            (&self.replicator, Type::TEXT),
            (&most, Type::INT8),
            (&longest, Type::INT4),
            (&tables, Type::TEXT_ARRAY),
        ];
        let rows = self.cloud.client.query_typed(SWAPPED, &params).await;
        let rows = rows.map_err(Fault::at(Side::Cloud))?;
        details.swaps = { rows.iter() }
            .map(|row| SwapDone {
                table: row.get(0),
                ended: row.get(1),
                wrote: [row.get(2), row.get(3), row.get(4)],
                refused: row.get(5),
            })
            .collect();
        Ok(details)
    }
}
