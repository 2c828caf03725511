//! All replicators of a cloud, by what it has of them. Nothing but the cloud is asked, and nothing is written: rights to read
//! the tables of the schema `tandem` are enough.

mod judged;
mod replicator;

use std::collections::BTreeMap;

use serde::Serialize;
use tokio_postgres::Row;

use judged::{Said, Seen};
pub use replicator::{QuarantineCounts, Replicator, StoppedTable};

use super::reverse::ReverseSample;
use crate::config::Endpoint;
use crate::fault::{Fault, Kind, Side};
use crate::install::{installed_version, is_installed};
use crate::model::StateWord;
use crate::plan::table_state;
use crate::wire::WireError;
use crate::wire::control::{self, Control};

/// The `fleet` document; source: the contract. Unknown numbers are null.
#[derive(Clone, Debug, Serialize)]
pub struct Fleet {
    /// The document's version.
    pub schema: u32,
    /// Those with trouble first, then by name.
    pub replicators: Vec<Replicator>,
}

/// A cloud, connected for looking at all of its replicators.
pub struct FleetObserver {
    cloud: Control,
}

impl FleetObserver {
    /// Connects, and makes sure that there is something to look at.
    ///
    /// # Errors
    /// When the cloud can't be reached, has no schema `tandem`, has one of another version, or doesn't let us read it.
    pub async fn connect(cloud: &Endpoint) -> Result<FleetObserver, Fault> {
        let cloud = control::connect(cloud)
            .await
            .map_err(|error| no_way_in(&error))?;
        if !is_installed(&cloud.client, Side::Cloud)
            .await
            .map_err(may_not)?
        {
            return Err(Fault::new(Kind::Input, "this cloud has no schema tandem: no replicator was ever set up here")
                .hint("look whether it is the right database; an office's first bootstrap or run makes the schema"));
        }
        let version = installed_version(&cloud.client, Side::Cloud)
            .await
            .map_err(may_not)?;
        let program = env!("CARGO_PKG_VERSION");
        if let Some(fault) = version.and_then(|found| found.refusal(Side::Cloud, program)) {
            let kind = Kind::Input;
            return Err(Fault { kind, ..fault });
        }
        let sql = "select to_regclass('tandem.lifesign') is not null
              and exists (
                select
                from pg_attribute
                where attrelid = to_regclass('tandem.checkpoint')
                  and attname = 'released_at'
                  and not attisdropped
              )";
        let known = cloud.client.query_typed(sql, &[]).await;
        let known = known.map_err(Fault::at(Side::Cloud)).map_err(may_not)?;
        if !known.first().is_some_and(|row| row.get(0)) {
            return Err(Fault::new(Kind::Input, "the schema tandem on the cloud was made by an older tandem, whose replicators don't say how they are")
                .hint("update tandem in the offices; nothing was changed"));
        }
        Ok(FleetObserver { cloud })
    }

    /// All replicators as they are now.
    ///
    /// # Errors
    /// When the cloud can't be asked.
    pub async fn look(&self) -> Result<Fleet, Fault> {
        let ask = async |sql: &str| {
            Side::Cloud
                .query(&self.cloud.client, sql, &[])
                .await
                .map_err(may_not)
        };
        let mut stopped: BTreeMap<String, Vec<StoppedTable>> = BTreeMap::new();
        for row in ask(&table_state::waiting_for_person()).await? {
            let tables = stopped.entry(row.get(0)).or_default();
            tables.push(StoppedTable {
                table: row.get(1),
                state: StateWord::read(row.get(2)),
                why: row.get(3),
            });
        }
        let read = |row: &Row| {
            let tables = stopped.remove(row.get::<_, &str>(0)).unwrap_or_default();
            Seen::of(row, tables).judged()
        };
        let mut replicators: Vec<_> = ask(&all()).await?.iter().map(read).collect();
        replicators.sort_by(|a, b| (a.is_fine(), &a.replicator).cmp(&(b.is_fine(), &b.replicator)));
        Ok(Fleet {
            schema: 1,
            replicators,
        })
    }
}

/// No settings are there that a hint could name.
fn no_way_in(error: &WireError) -> Fault {
    let fault = Fault::wire(Side::Cloud, error);
    match fault.kind {
        Kind::Refused(_) if matches!(error, WireError::Tls(_)) => {
            fault.hint("check sslmode and sslrootcert in the cloud's URL")
        }
        Kind::Refused(_) => fault.hint(
            "check the user in the cloud's URL; the password may stand there as ${NAME}, in TANDEM_CLOUD_PASSWORD or in PGPASSFILE",
        ),
        _ => Fault { next: None, ..fault },
    }
}

/// Reading is all that is asked for.
fn may_not(fault: Fault) -> Fault {
    match fault.kind {
        Kind::Refused(_) => fault.hint(
            "whoever looks after all offices needs USAGE on the schema tandem and SELECT on its tables: sql/cloud/fleet.sql",
        ),
        // There may be no settings that another command could go by.
        _ => Fault {
            next: None,
            ..fault
        },
    }
}

/// `l.renewed`: when the lease was renewed last, or given back. What is said counts beside it.
fn all() -> String {
    format!(
        r#"select c.replicator, c.database, c.lsn is not null, c.last_words, c.holder,
             c.version,
             c.released_at is not null
               and not coalesce(h.at > c.released_at and h.holder <> c.holder, false),
             (extract(epoch from c.term) * 1000)::bigint,
             (extract(epoch from now() - l.renewed) * 1000)::bigint,
             (extract(epoch from now() - h.at) * 1000)::bigint,
             to_char(c.held_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
             to_char(
               greatest(l.renewed, h.at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'
             ),
             to_char(c.committed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), h.holder,
             h.version, h.state, h.why, h.failing, h.lag_ms, (h.desktop_lsn - c.lsn)::bigint,
             h.wal_held_bytes, h.wal_held_bytes_max, t.tables, coalesce(t.copying, false),
             q.forward, q.reverse, o.pending, o.lag_ms,
             (
               select greatest(0, extract(epoch from now() - p.polled_at) * 1000)::bigint
               from tandem.poll as p
               where p.replicator = c.replicator
             ),
             (select v.different from tandem.verified as v where v.replicator = c.replicator)
           from tandem.checkpoint as c
           left join tandem.lifesign as h on h.replicator = c.replicator,
           lateral (select coalesce(c.released_at, c.held_until - c.term) as renewed) as l,
           lateral ({census}) as t,
           lateral (
             select count(*) filter (where w.direction = 'forward') as forward,
               count(*) filter (where w.direction = 'reverse') as reverse
             from tandem.quarantine as w
             where w.replicator = c.replicator
           ) as q,
           lateral (
             select count(*) as pending,
               coalesce(
                 greatest(0, extract(epoch from now() - min(e.made_at))) * 1000, 0
               )::bigint as lag_ms
             from tandem.outbox as e
             where e.replicator = c.replicator
           ) as o"#,
        census = table_state::census()
    )
}

impl Said {
    fn of(row: &Row) -> Option<Said> {
        Some(Said {
            age_ms: row.get::<_, Option<i64>>(9)?.max(0),
            holder: row.get(13),
            version: row.get(14),
            state: row.get(15),
            why: row.get(16),
            failing: row.get(17),
            lag_ms: row.get(18),
            missing_bytes: row.get::<_, Option<i64>>(19).map(|bytes| bytes.max(0)),
            wal_held_bytes: row.get(20),
            wal_held_bytes_max: row.get(21),
        })
    }
}

impl Seen {
    fn of(row: &Row, stopped: Vec<StoppedTable>) -> Seen {
        Seen {
            replicator: row.get(0),
            database: row.get(1),
            began: row.get(2),
            last_words: row.get(3),
            holder: row.get(4),
            version: row.get(5),
            released: row.get(6),
            term_ms: row.get(7),
            renewed_age_ms: row.get::<_, i64>(8).max(0),
            held_since: row.get(10),
            last_seen: row.get(11),
            up_to: row.get(12),
            said: Said::of(row),
            tables: row.get(22),
            copying: row.get(23),
            quarantined: QuarantineCounts {
                forward: row.get(24),
                reverse: row.get(25),
            },
            reverse: ReverseSample {
                pending: Some(row.get::<_, i64>(26).unsigned_abs()),
                lag_ms: Some(row.get(27)),
                last_poll_age_ms: row.get::<_, Option<i64>>(28).map(i64::unsigned_abs),
            },
            different: row.get::<_, Option<Vec<String>>>(29).unwrap_or_default(),
            stopped,
        }
    }
}
