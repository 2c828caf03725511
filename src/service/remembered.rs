//! What the cloud remembers of each table from one session to the next.

use std::collections::HashMap;

use tokio_postgres::types::Type;

use super::session_context::Session;
use crate::catalog::Footprint;
use crate::fault::{Fault, Kind, Side};
use crate::model::{Lsn, Table, TableState};
use crate::plan::table_state;

/// What the cloud remembers of a table.
pub(super) struct Remembered {
    pub(super) state: TableState,
    fingerprint: String,
    copied_at: Option<Lsn>,
    /// Rows that were in the cloud before us and that the desktop doesn't have.
    pub(super) extras: i64,
    /// What the cloud's table was.
    pub(super) seen: Option<Footprint>,
}

impl Remembered {
    /// It is copied as the settings have it now.
    pub(super) fn is_whole(&self, table: &Table) -> bool {
        self.state == TableState::whole(table.stream) && self.fingerprint == table.fingerprint
    }

    /// It stood in the settings when a session began last.
    pub(super) fn is_served(&self) -> bool {
        self.state != TableState::Removed
    }

    /// It doesn't go on before somebody has mended or allowed something.
    pub(super) fn waits_for_person(&self, table: &Table) -> bool {
        matches!(self.state, TableState::Stopped | TableState::Held)
            && self.fingerprint == table.fingerprint
    }

    /// All owned rows of the table are known to be ours: what is surplus may be removed.
    pub(super) fn is_ours(&self) -> bool {
        self.copied_at.is_some() && self.extras == 0
    }
}

impl Session<'_> {
    pub(super) async fn remembered(&self) -> Result<HashMap<String, Remembered>, Fault> {
        let params = [(&self.lease.replicator as _, Type::TEXT)];
        let rows = Side::Cloud
            .query(&self.cloud.client, table_state::REMEMBERED, &params)
            .await?;
        let remembered = rows.iter().map(|row| {
            let (name, state): (String, String) = (row.get(0), row.get(1));
            let copied_at: Option<String> = row.get(3);
            let copied_at = copied_at.map(|text| text.parse()).transpose();
            let (Some(known), Ok(copied_at)) = (TableState::read(&state), copied_at) else {
                return Err(unreadable(&name, &state));
            };
            let remembered = Remembered {
                state: known,
                fingerprint: row.get(2),
                copied_at,
                extras: row.get(4),
                seen: { row.get::<_, Option<&str>>(5) }.and_then(Footprint::parse),
            };
            Ok((name, remembered))
        });
        remembered.collect()
    }
}

/// What is done with a table depends on it, so it isn't guessed.
fn unreadable(table: &str, state: &str) -> Fault {
    let what = format!("what the cloud remembers of table {table} can't be read: state {state}");
    Fault::new(Kind::Damaged, what)
        .hint("nothing was changed; does another version of tandem work for this replicator?")
        .next("tandem status")
}
