//! Which rows are parked when a session begins.

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::machine::{PARKED, read_parked};
use crate::fault::{Fault, Side};
use crate::fold::Quarantine;
use crate::limits;
use crate::model::Tables;

/// All parked rows of a replicator, as the cloud has them.
///
/// # Errors
/// When the query fails.
pub async fn parked(
    cloud: &Client,
    replicator: &str,
    tables: &Tables,
) -> Result<Quarantine, Fault> {
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&replicator, Type::TEXT),
        (&None::<&str>, Type::TEXT),
        (&(limits::PARKED_KEPT_BYTES as i64), Type::INT8),
    ];
    let rows = Side::Cloud.query(cloud, PARKED, &params).await?;
    let json: String = rows.first().map(|row| row.get(0)).unwrap_or_default();
    read_parked(json.as_bytes(), tables)
}
