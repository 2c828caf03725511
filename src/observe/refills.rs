//! The office's refill and its parts, as the desktop has them.

use serde::Serialize;
use tokio_postgres::types::Type;

use super::Observer;
use crate::config::{Refill, Settings};
use crate::fault::{Fault, Side};
use crate::install::is_installed;

/// The office's refill, or a part of it.
#[derive(Clone, Debug, Serialize)]
pub struct RefillStatus {
    /// What it is called in the settings; `refill` where there is only one, without a name.
    pub name: String,
    /// When it began for the last time, in ISO 8601.
    pub started: String,
    /// How long it took, in milliseconds; null while it runs.
    pub took_ms: Option<i64>,
    /// Why it failed, until it goes well again.
    pub failed: Option<String>,
    /// Why it ran: `clock`, `changed`, `again` behind a failure, `start` where nobody knew what had changed before.
    pub why: Option<String>,
    /// The tables whose change made it run; null where none did.
    pub changed: Option<Vec<String>>,
    /// Rows that it inserted, changed and deleted; null where that can't be known.
    pub wrote: Option<i64>,
    /// How often it has run.
    pub runs: i64,
    /// The tables whose changes make it run; null where only the clock does.
    pub watched: Option<Vec<String>>,
    /// Why not all changes are seen.
    pub trouble: Option<String>,
    /// The tables that it fills, as the settings name them; empty where they don't.
    pub tables: Vec<String>,
}

impl RefillStatus {
    /// What it is called before others: the refill, or this part of it.
    pub fn title(&self) -> String {
        match self.name.as_str() {
            "refill" => "refill".to_owned(),
            name => format!("refill {name}"),
        }
    }
}

impl Observer {
    /// In the order of the settings; without what those don't have any more.
    pub(super) async fn refills(&self, settings: &Settings) -> Result<Vec<RefillStatus>, Fault> {
        let desktop = &self.desktop.client;
        if !is_installed(desktop, Side::Desktop).await? {
            return Ok(Vec::new());
        }
        let sql = r#"select to_char(started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
              (extract(epoch from ended_at - started_at) * 1000)::bigint, failed, why, changed,
              wrote, runs, watched, trouble, name
            from tandem.refill
            where replicator = $1"#;
        let params = [(&self.replicator as _, Type::TEXT)];
        let rows = Side::Desktop.query(desktop, sql, &params).await?;
        let status = |part: &Refill| {
            let row = rows.iter().find(|row| row.get::<_, &str>(9) == part.name)?;
            Some(RefillStatus {
                name: part.name.clone(),
                started: row.get(0),
                took_ms: row.get(1),
                failed: row.get(2),
                why: row.get(3),
                changed: row.get(4),
                wrote: row.get(5),
                runs: row.get(6),
                watched: row.get(7),
                trouble: row.get(8),
                tables: part.tables.clone(),
            })
        };
        Ok(settings.refills.iter().filter_map(status).collect())
    }
}
