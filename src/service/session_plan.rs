//! What a session begins with: which tables have to be copied, and when which one is swapped.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use super::around::Around;
use super::lifesign::SessionHealth;
use super::schema_drift::TakenUp;
use super::session::Session;
use super::set_up::Ready;
use crate::catalog::Footprint;
use crate::fault::{Fault, Kind, Side};
use crate::flows::{
    Agenda, CopyRequest, Counters, How, Progress, Reloads, Scheduled, SwapRequest, last_swaps,
};
use crate::install::Migrations;
use crate::limits;
use crate::model::{Lsn, Table, TableState};
use crate::observe::Observer;
use crate::plan::table_state;

/// What a session is for.
#[derive(Clone, Debug)]
pub struct RunMode {
    /// The program has just started: stopped tables get another try.
    pub fresh: bool,
    /// It ends when everything that is asked for is copied; else it serves until it is told to stop.
    pub ends: bool,
    /// All tables are copied anew, from a new slot.
    pub restart: bool,
    /// It waits for the lease while another has it.
    pub standby: bool,
    /// So many times the cloud's statements took longer than they may: each doubles `statement_timeout`.
    pub slower: u32,
    /// Rows that the cloud had before us and the desktop doesn't have go.
    pub remove_extras: bool,
    /// Tables that the first fill reads at once.
    pub jobs: usize,
    /// How far the first fill is.
    pub progress: Arc<Progress>,
    /// What is counted for the metrics.
    pub meter: Arc<Counters>,
    /// How its sessions are.
    pub health: SessionHealth,
    /// Tables that were taken up because they fitted again.
    pub taken_up: TakenUp,
    /// The settings, which may be read again.
    pub reloads: Reloads,
    /// To what both sides' schemas are brought.
    pub migrations: Arc<Migrations>,
    /// Connections that are there already, for the first session.
    pub opened: Opened,
}

/// Both sides, where somebody has connected them.
#[derive(Clone, Default)]
pub struct Opened(pub Option<Arc<Observer>>);

/// Of connections there is nothing to show.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Opened").field(&self.0.is_some()).finish()
    }
}

impl RunMode {
    /// Serve.
    pub fn service() -> RunMode {
        RunMode {
            fresh: true,
            ends: false,
            restart: false,
            standby: false,
            slower: 0,
            remove_extras: false,
            jobs: limits::FILL_JOBS,
            progress: Arc::default(),
            meter: Arc::default(),
            health: SessionHealth::default(),
            taken_up: TakenUp::default(),
            reloads: Reloads::default(),
            migrations: Arc::new(Migrations::embedded()),
            opened: Opened::default(),
        }
    }

    /// Copy what is missing or asked for.
    pub fn copies() -> RunMode {
        RunMode {
            ends: true,
            ..RunMode::service()
        }
    }
}

/// What the cloud remembers of a table.
pub(super) struct Remembered {
    state: TableState,
    fingerprint: String,
    copied_at: Option<Lsn>,
    /// Rows that were in the cloud before us and that the desktop doesn't have.
    extras: i64,
    /// What the cloud's table was.
    pub(super) seen: Option<Footprint>,
}

impl Remembered {
    /// It is copied as the settings have it now.
    fn is_whole(&self, table: &Table) -> bool {
        self.state == TableState::whole(table.stream) && self.fingerprint == table.fingerprint
    }

    /// It stood in the settings when a session began last.
    pub(super) fn is_served(&self) -> bool {
        self.state != TableState::Removed
    }

    /// It doesn't go on before somebody has mended or allowed something.
    fn waits_for_person(&self, table: &Table) -> bool {
        matches!(self.state, TableState::Stopped | TableState::Held)
            && self.fingerprint == table.fingerprint
    }

    /// All owned rows of the table are known to be ours: what is surplus may be removed.
    fn is_ours(&self) -> bool {
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

    /// Tables that have to be copied, and those that are asked for. `again`: all have to.
    pub(super) fn put_on_agenda(
        &self,
        remembered: &HashMap<String, Remembered>,
        asked: &[SwapRequest],
        (again, around): (bool, &Around),
        ready: &mut Ready,
    ) {
        for table in self.tables.iter() {
            let known = remembered.get(&table.name);
            let (anew, replaced) = (&around.anew, &around.replaced);
            let asked = asked.iter().filter(|asked| asked.table == table.name);
            let asked: Vec<_> = asked.collect();
            let allow_shrink = asked.iter().any(|asked| asked.allow_shrink);
            let ids = asked.iter().map(|asked| asked.id).collect();
            let how = match known {
                // The yes that they may go.
                Some(known) if known.extras > 0 && self.goal.remove_extras => {
                    Some(How::Adopt { remove: true })
                }
                Some(known) if !again && known.is_whole(table) && !anew.contains(&table.id) => {
                    (!asked.is_empty()).then_some(How::Swap { allow_shrink })
                }
                Some(known)
                    if !again
                        && known.waits_for_person(table)
                        && !self.goal.fresh
                        && asked.is_empty() =>
                {
                    ready.book.stop(table.id);
                    None
                }
                Some(known) if known.is_ours() && !replaced.contains(&table.id) => {
                    Some(How::Again { allow_shrink })
                }
                _ => Some(How::Adopt {
                    remove: self.goal.remove_extras,
                }),
            };
            if let Some(how) = how {
                let table = table.id;
                ready.agenda.wanted.push(CopyRequest {
                    table,
                    how,
                    asked: ids,
                });
            }
        }
    }

    /// Tables that are swapped again and again, each when it is due.
    pub(super) async fn scheduled(&self) -> Result<Agenda, Fault> {
        let last = last_swaps(&self.cloud.client, &self.lease.replicator).await?;
        let now = Instant::now();
        let wanted = self.settings.tables.iter();
        let scheduled = wanted.filter_map(|wanted| {
            let every = wanted.swap?;
            let table = self.tables.iter().find(|table| table.name == wanted.name)?;
            let ago = last.iter().find(|(name, _)| *name == table.name);
            let ago = ago.map_or(Duration::ZERO, |(_, ago)| *ago);
            Some(Scheduled {
                table: table.id,
                every,
                due: now + every.saturating_sub(ago),
            })
        });
        Ok(Agenda {
            scheduled: scheduled.collect(),
            wanted: Vec::new(),
        })
    }
}

/// What is done with a table depends on it, so it isn't guessed.
fn unreadable(table: &str, state: &str) -> Fault {
    let what = format!("what the cloud remembers of table {table} can't be read: state {state}");
    Fault::new(Kind::Damaged, what)
        .hint("nothing was changed; does another version of tandem work for this replicator?")
        .next("tandem status")
}
