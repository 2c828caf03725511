//! What the cloud says of one replicator for its status: sums and tables.

use std::collections::BTreeMap;

use super::observer::InCloud;
use super::status::{Sums, TableStatus, VerifiedStatus};
use crate::fault::{Fault, Side};
use crate::install::is_installed;
use crate::model::StateWord;
use crate::plan::table_state;

impl InCloud<'_> {
    pub(super) async fn sums(&self) -> Result<Sums, Fault> {
        let cloud = self.client;
        if !is_installed(cloud, Side::Cloud).await? {
            return Ok(Sums::default());
        }
        let sql = r#"select extract(epoch from c.applied_at)::float8, c.transactions,
              (
                select count(*)
                from tandem.quarantine as q
                where q.replicator = $1 and q.direction = 'forward'
              ),
              (
                select count(*)
                from tandem.quarantine as q
                where q.replicator = $1 and q.direction = 'reverse'
              ),
              to_char(v.ended_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), v.different,
              v.unknown,
              to_char(c.committed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
            from tandem.checkpoint as c
            left join tandem.verified as v using (replicator)
            where c.replicator = $1"#;
        let rows = self.ours(sql).await?;
        let Some(row) = rows.first() else {
            return Ok(Sums::default());
        };
        let verified = row.get::<_, Option<String>>(4).map(|ended| {
            let different: Vec<String> = row.get(5);
            VerifiedStatus {
                ended,
                equal: different.is_empty(),
                different,
                unknown: row.get(6),
            }
        });
        Ok(Sums {
            last_commit: row.get(0),
            up_to: row.get(7),
            transactions: row.get(1),
            parked: (row.get(2), row.get(3)),
            verified,
        })
    }

    /// All tables; `conflicts` are those of each.
    pub(super) async fn tables(
        &self,
        mut conflicts: BTreeMap<String, i64>,
    ) -> Result<Vec<TableStatus>, Fault> {
        let shown = table_state::shown();
        let (mut reverse, rows) = tokio::try_join!(self.reverse_counts(), self.ours(&shown))?;
        let table = |row: &tokio_postgres::Row| TableStatus {
            reverse: reverse.remove(row.get::<_, &str>(0)),
            conflicts: conflicts.remove(row.get::<_, &str>(0)).unwrap_or_default(),
            table: row.get(0),
            state: StateWord::read(row.get(1)),
            since: row.get(2),
            why: row.get(3),
            copied: row.get(4),
            received: row.get(5),
            applied: row.get(6),
            folded: row.get(7),
            ruled_out: row.get(8),
            quarantined: row.get(9),
            parked: row.get(10),
            extras: row.get(12),
            last_swap: row.get(11),
        };
        Ok(rows.iter().map(table).collect())
    }
}
