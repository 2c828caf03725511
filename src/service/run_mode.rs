//! What a session is for: to serve, or to copy something and end.

use std::fmt;
use std::sync::Arc;

use super::lifesign::SessionHealth;
use super::schema_drift::TakenUp;
use crate::flows::{Attempts, Counters, Progress, Reloads};
use crate::install::Migrations;
use crate::limits;
use crate::observe::Observer;

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
    /// Which large transactions have begun to go in one pass.
    pub attempts: Attempts,
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
            attempts: Attempts::default(),
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
