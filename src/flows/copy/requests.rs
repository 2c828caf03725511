//! Swaps that people asked for, in the cloud.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::fault::{Fault, Side};
use crate::limits;
use crate::plan::table_state;

/// A row of `tandem.swap` that nothing has come of yet.
#[derive(Clone, Debug)]
pub struct SwapRequest {
    /// Its number.
    pub id: i64,
    /// The table's name in the settings.
    pub table: String,
    /// However many rows go.
    pub allow_shrink: bool,
}

/// What is asked for, the oldest first. What nobody waits for any more is refused.
///
/// # Errors
/// When the cloud can't be asked.
pub async fn asked(cloud: &Client, replicator: &str) -> Result<Vec<SwapRequest>, Fault> {
    let patience = format!("{} seconds", limits::SWAP_ASKED_MAX.as_secs());
    let late = "update tandem.swap
        set ended_at = now(), refused = 'nobody waited for it any more'
        where replicator = $1 and ended_at is null and asked_at < now() - $2::interval";
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&replicator, Type::TEXT), (&patience, Type::TEXT)];
    let open = r#"select id, "table", allow_shrink
        from tandem.swap
        where replicator = $1 and ended_at is null
        order by id"#;
    let (_, rows) = tokio::try_join!(
        Side::Cloud.query(cloud, late, &params),
        Side::Cloud.query(cloud, open, &params[..1])
    )?;
    let asked = rows.iter().map(|row| SwapRequest {
        id: row.get(0),
        table: row.get(1),
        allow_shrink: row.get(2),
    });
    Ok(asked.collect())
}

/// Refuses one without a try.
///
/// # Errors
/// When the cloud can't be asked.
pub async fn refuse(cloud: &Client, id: i64, why: &str) -> Result<(), Fault> {
    let sql =
        "update tandem.swap set ended_at = now(), refused = $2 where id = $1 and ended_at is null";
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&id, Type::INT8), (&why, Type::TEXT)];
    Side::Cloud.query(cloud, sql, &params).await.map(drop)
}

/// How long ago each table was swapped for the last time, or copied.
///
/// # Errors
/// When the cloud can't be asked.
pub async fn last_swaps(
    cloud: &Client,
    replicator: &str,
) -> Result<Vec<(String, Duration)>, Fault> {
    let sql = table_state::last_swaps();
    let rows = Side::Cloud
        .query(cloud, &sql, &[(&replicator, Type::TEXT)])
        .await?;
    let ago = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    Ok(rows
        .iter()
        .map(|row| (row.get(0), ago(row.get(1))))
        .collect())
}
