//! A look at the cloud's tables with each heartbeat: whether they are still those that we fill, and whether what notes the
//! phones' work is still there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::catalog::{Facts, Footprint, Footprints, footprints_unless};
use crate::fault::{Fault, Kind, Side};
use crate::flows::resumable::Resumable;
use crate::limits;
use crate::model::{Recovery, TableId, TableStop, Tables};
use crate::plan::quote;
use crate::wire::WireError;

/// What the cloud's tables were when the session began, and on which server.
pub type Known = (Facts, BTreeMap<TableId, Footprint>);

pub(in crate::flows::forward) struct Lookout<'a> {
    cloud: &'a Client,
    replicator: String,
    tables: Arc<Tables>,
    identity: Facts,
    prints: BTreeMap<TableId, Footprint>,
    /// What they were at the last look, and a mark of it: as long as that stays, only it crosses the network.
    last: Option<(String, Footprints)>,
    /// Tables whose way home was watched at the first look.
    watched: Option<BTreeSet<String>>,
    ticks: Interval,
    /// A look that has begun.
    looking: Resumable<'a, Result<Seen, WireError>>,
}

/// What a look finds.
struct Seen {
    /// None where they are as they were at the last look.
    prints: Option<(String, Footprints)>,
    watched: BTreeSet<String>,
}

impl<'a> Lookout<'a> {
    pub(in crate::flows::forward) fn start(
        cloud: &'a Client,
        replicator: &str,
        every: Duration,
        tables: Arc<Tables>,
        (identity, prints): Known,
    ) -> Lookout<'a> {
        let mut ticks = interval_at(Instant::now(), every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Lookout {
            cloud,
            replicator: replicator.to_owned(),
            tables,
            identity,
            prints,
            last: None,
            watched: None,
            ticks,
            looking: Resumable::idle(),
        }
    }

    /// Looks as often as that from now on.
    pub(in crate::flows::forward) fn look_every(&mut self, every: Duration) {
        if self.ticks.period() != every {
            self.ticks = interval_at(Instant::now(), every);
            self.ticks
                .set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
    }

    /// Waits until it is time, looks, and says which tables can't go on. Safe to cancel.
    ///
    /// # Errors
    /// When the cloud can't be asked, or what notes the phones' work is gone: the next session sees to it.
    pub(in crate::flows::forward) async fn look(&mut self) -> Result<Vec<TableStop>, Fault> {
        if self.looking.is_idle() {
            self.ticks.tick().await;
            let look = look(
                self.cloud,
                self.replicator.clone(),
                self.identity.clone(),
                self.tables.clone(),
                self.last.as_ref().map(|(mark, _)| mark.clone()),
            );
            self.looking.begin(look);
        }
        let seen = self.looking.end().await;
        let seen = seen.map_err(|error| Fault::wire(Side::Cloud, &error))?;
        self.is_watched(seen.watched)?;
        self.last = seen.prints.or(self.last.take());
        Ok(self.changed())
    }

    /// A table that was made anew has lost our triggers.
    fn is_watched(&mut self, now: BTreeSet<String>) -> Result<(), Fault> {
        let known = self.watched.get_or_insert_with(|| now.clone());
        let Some(lost) = known.difference(&now).next() else {
            return Ok(());
        };
        let what = format!(
            "what notes the phones' work on table {lost} in the cloud was taken away; it is put back, and all their rows are looked at"
        );
        Err(Fault::new(Kind::Planned, what))
    }

    fn changed(&self) -> Vec<TableStop> {
        let mut halts = Vec::new();
        let now = self.last.iter().flat_map(|(_, prints)| prints);
        for (&table, print) in now {
            let (why, way) = match (print, self.prints.get(&table)) {
                (None, Some(_)) => {
                    let why = "the cloud's table was dropped or renamed".to_owned();
                    (why, Recovery::WhenSchemaFits)
                }
                (Some(print), Some(known)) => match print.since(known) {
                    Some(changed) => (changed.words(), Recovery::Recopy),
                    None => continue,
                },
                (_, None) => continue,
            };
            halts.push(TableStop { table, why, way });
        }
        halts
    }
}

async fn look(
    cloud: &Client,
    replicator: String,
    identity: Facts,
    tables: Arc<Tables>,
    known: Option<String>,
) -> Result<Seen, WireError> {
    let looks = async {
        let prints = footprints_unless(cloud, &identity, &tables, known.as_deref()).await?;
        let watched = watched(cloud, &replicator, &tables).await?;
        Ok(Seen { prints, watched })
    };
    let silent = |_| WireError::Timeout(limits::LOOK_MAX.as_secs());
    let looked = timeout(limits::LOOK_MAX, looks).await;
    looked.map_err(silent).and_then(|looked| looked)
}

/// Tables whose way home has its triggers.
async fn watched(
    cloud: &Client,
    replicator: &str,
    tables: &Tables,
) -> Result<BTreeSet<String>, WireError> {
    if tables.reverse_tables().is_empty() {
        return Ok(BTreeSet::new());
    }
    let names: Vec<_> = { tables.reverse_tables().iter() }
        .map(|reverse| reverse.name.as_str())
        .collect();
    let clouds: Vec<_> = { tables.reverse_tables().iter() }
        .map(|reverse| quote::table(&reverse.cloud))
        .collect();
    let sql = r#"select w.name
        from unnest($2::text[], $3::text[]) as w(name, cloud)
        join tandem.reverse_state s on s.replicator = $1 and s."table" = w.name
        where tandem.is_watched($1, w.name, to_regclass(w.cloud), s.fingerprint)"#;
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&replicator, Type::TEXT),
        (&names, Type::TEXT_ARRAY),
        (&clouds, Type::TEXT_ARRAY),
    ];
    let rows = cloud.query_typed(sql, &params).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
