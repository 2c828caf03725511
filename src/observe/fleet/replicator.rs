//! One replicator of the `fleet` document. Source: the contract. Unknown numbers are null.

use serde::{Serialize, Serializer};

use crate::model::StateWord;
use crate::observe::reverse::ReverseSample;
use crate::observe::status::Verdict;

/// One replicator as the cloud has it.
#[derive(Clone, Debug, Serialize)]
pub struct Replicator {
    /// Its name.
    pub replicator: String,
    /// What it all comes to; none, `unknown` in the document, where a newer program said something that this one doesn't know.
    #[serde(serialize_with = "word")]
    pub verdict: Option<Verdict>,
    /// Why it isn't fine; null where it is.
    pub why: Option<String>,
    /// Since when it runs, or, where it is down, since when nothing was heard of it, in ISO 8601.
    pub since: Option<String>,
    /// When it gave its last sign of life, in ISO 8601.
    pub last_seen: Option<String>,
    /// How long ago that was, by the cloud's clock.
    pub last_seen_age_ms: Option<i64>,
    /// How long the oldest transaction that the cloud doesn't have has been waiting.
    pub lag_ms: Option<i64>,
    /// WAL between the cloud's position and the desktop's; 0 when nothing is missing.
    pub lag_bytes: Option<i64>,
    /// When the last transaction that is in the cloud committed on the desktop, in ISO 8601.
    pub up_to: Option<String>,
    /// The way home.
    pub reverse: ReverseSample,
    /// Rows that wait in the quarantine.
    pub quarantined: QuarantineCounts,
    /// Tables that it carries.
    pub tables: i64,
    /// Those of them that wait for a person.
    pub stopped: Vec<StoppedTable>,
    /// WAL that the desktop keeps for it.
    pub wal_held_bytes: Option<i64>,
    /// The settings' limit for that.
    pub wal_held_bytes_max: Option<i64>,
    /// The version of its program.
    pub version: Option<String>,
    /// The computer and the process that it is, or was last.
    pub holder: Option<String>,
    /// The database of its desktop.
    pub database: String,
}

/// Rows that wait in the quarantine, by where they are going.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct QuarantineCounts {
    /// Into the cloud.
    pub forward: i64,
    /// Home.
    pub reverse: i64,
}

/// A table that waits for a person.
#[derive(Clone, Debug, Serialize)]
pub struct StoppedTable {
    /// Its name in the settings.
    pub table: String,
    /// Its state.
    pub state: StateWord,
    /// Why it doesn't go on.
    pub why: Option<String>,
}

impl Replicator {
    /// Nobody has to do anything.
    pub fn is_fine(&self) -> bool {
        matches!(self.verdict, Some(Verdict::CaughtUp | Verdict::CatchingUp))
    }

    /// It gave a sign of life in time.
    pub fn lives(&self) -> bool {
        !matches!(self.verdict, Some(Verdict::Down | Verdict::Stopped))
    }

    /// The verdict's word.
    pub fn word(&self) -> String {
        self.verdict.map_or("unknown".to_owned(), Verdict::word)
    }
}

fn word<S: Serializer>(verdict: &Option<Verdict>, to: S) -> Result<S::Ok, S::Error> {
    match verdict {
        Some(verdict) => verdict.serialize(to),
        None => to.serialize_str("unknown"),
    }
}
