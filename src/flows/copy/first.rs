//! The first fill: all tables from the snapshot that came with the slot, before the stream starts there.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::merge::{Copied, Merge};
use super::stage::{Progress, Staging, run};
use super::state::{not_applied, set_state};
use crate::apply::{Applier, Lease};
use crate::capture::TableReader;
use crate::config::Endpoint;
use crate::fault::{Fault, Kind, Side};
use crate::flows::Wanted;
use crate::model::{Lsn, TableId, Tables};
use crate::plan::Opening;

/// What the first fill needs.
pub struct First<'a> {
    /// The desktop.
    pub desktop: &'a Endpoint,
    /// The connection to the cloud.
    pub applier: &'a mut Applier,
    /// Settings of each transaction.
    pub opening: &'a Opening,
    /// Who writes.
    pub lease: &'a Lease,
    /// The snapshot to read in.
    pub snapshot: &'a str,
    /// Where the stream takes over: the snapshot has everything before it.
    pub consistent: Lsn,
    /// Half of it is the most that one row may have, in bytes.
    pub memory_max: u64,
    /// All tables.
    pub tables: &'a Tables,
    /// Tables that are read at once.
    pub jobs: usize,
    /// How far it is.
    pub progress: Arc<Progress>,
}

/// Fills tables, given parents first; returns those that are stopped now.
///
/// # Errors
/// When a connection fails or the lease is lost; nothing is half-filled then.
pub async fn fill(with: First<'_>, wanted: &[Wanted]) -> Result<BTreeSet<TableId>, Fault> {
    let desktop = Fault::at(Side::Desktop);
    let mut reader = TableReader::connect(with.desktop).await.map_err(&desktop)?;
    reader.adopt(with.snapshot).await.map_err(&desktop)?;
    let mut staging = Staging {
        applier: with.applier,
        opening: with.opening,
        lease: with.lease,
        memory_max: with.memory_max,
        progress: with.progress,
    };
    let mut copies = Vec::new();
    for wanted in wanted {
        let table = with.tables.get(wanted.table);
        let copying = set_state(&with.lease.replicator, table, "copying", None);
        let done = run(staging.applier, with.opening, with.lease, [copying]).await;
        done.map_err(not_applied)?;
        let staged = staging.stage(&mut reader, table).await?;
        let unread =
            |why| Fault::new(Kind::Input, format!("table {} can't be read", table.name)).cause(why);
        copies.push(Copied {
            staged: staged.map_err(unread)?,
            how: wanted.how.clone(),
            asked: wanted.asked.clone(),
            touched: false,
        });
    }
    reader.close().await;
    let merge = Merge {
        applier: staging.applier,
        opening: with.opening,
        lease: with.lease,
        tables: with.tables,
        stopped: BTreeSet::new(),
        before: with.consistent,
        snapshot: None,
        pending: false,
    };
    Ok(merge.all(&copies).await?.stopped)
}
