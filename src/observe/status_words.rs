//! What a status comes to, as people say it, and what to do next.

use super::reload::ReloadOutcome;
use super::status::{Status, TableStatus, Verdict};
use crate::model::TableState;

impl TableStatus {
    /// It goes on; a swap that was refused says nothing of the stream.
    pub fn is_live(&self) -> bool {
        self.state.is(TableState::is_live)
    }
}

impl Status {
    /// The verdict in words.
    pub fn headline(&self) -> String {
        let needing = self.tables.iter().filter(|table| table.needs_you()).count();
        match (self.verdict, needing) {
            (Verdict::CaughtUp, _) => "caught up".to_owned(),
            (Verdict::CatchingUp, _) => "catching up".to_owned(),
            (Verdict::NeedsYou, 0) if self.has_bad_settings() => {
                "running, its settings file needs you".to_owned()
            }
            (Verdict::NeedsYou, 0) if self.only_alerts_fail() => {
                "running, alerts do not arrive".to_owned()
            }
            (Verdict::NeedsYou, 0) => "running, a statement of the office's needs you".to_owned(),
            (Verdict::NeedsYou, 1) => "running, one table needs you".to_owned(),
            (Verdict::NeedsYou, tables) => format!("running, {tables} tables need you"),
            (Verdict::Stalled, _) => "STALLED: it runs, but the cloud does not move".to_owned(),
            (Verdict::Stopped, _) => "STOPPED".to_owned(),
            (Verdict::Down, _) => "not running".to_owned(),
        }
    }

    /// The next command; none where nothing has to be done.
    pub fn next(&self) -> Option<&'static str> {
        let any = |state| self.tables.iter().any(|table| table.state == state);
        let (refused, stopped) = (any(TableState::SwapRefused), any(TableState::Stopped));
        let parked = self.tables.iter().any(|table| table.parked > 0);
        let says_next =
            { self.service.last_words.as_ref() }.is_some_and(|words| words.contains("next: "));
        match self.verdict {
            Verdict::Stopped if says_next => None,
            Verdict::Down if self.forward.cloud_lsn.is_none() => {
                Some("tandem doctor, then tandem bootstrap")
            }
            Verdict::Stopped | Verdict::Down => Some("tandem run"),
            Verdict::NeedsYou if stopped && parked => {
                Some("tandem doctor shows what mends a table; tandem quarantine list")
            }
            Verdict::NeedsYou if stopped => Some("tandem doctor shows what mends it"),
            Verdict::NeedsYou if parked => Some("tandem quarantine list"),
            Verdict::NeedsYou if refused => Some("tandem swap TABLE --plan"),
            Verdict::NeedsYou if { self.verified.as_ref() }.is_some_and(|last| !last.equal) => {
                Some("tandem repair")
            }
            Verdict::NeedsYou if self.has_bad_settings() => {
                Some("tandem config check, then tandem reload")
            }
            Verdict::NeedsYou if self.only_alerts_fail() => Some("tandem alert test"),
            Verdict::NeedsYou => {
                Some("mend what stands there, then: tandem bootstrap --table TABLE")
            }
            Verdict::Stalled => Some("tandem lag"),
            Verdict::CaughtUp | Verdict::CatchingUp => None,
        }
    }

    /// The settings that were read last can't be taken up.
    pub fn has_bad_settings(&self) -> bool {
        let outcome = self.settings.as_ref().map(|settings| settings.outcome);
        outcome == Some(ReloadOutcome::Bad)
    }

    /// Nothing is wrong but that nobody hears of it.
    fn only_alerts_fail(&self) -> bool {
        let failed = { self.refills.iter() }.any(|refill| refill.failed.is_some())
            || { self.then.as_ref() }.is_some_and(|then| then.failed.is_some())
            || { self.verified.as_ref() }.is_some_and(|last| !last.equal);
        let fails = { self.alert.as_ref() }.is_some_and(|alert| alert.broken().next().is_some());
        fails && !failed && !self.tables.iter().any(TableStatus::needs_you)
    }
}

/// A number of bytes in the unit that fits.
pub fn bytes(count: Option<u64>) -> String {
    match count {
        None => "unknown".to_owned(),
        Some(count) if count < 10 << 10 => format!("{count} B"),
        Some(count) if count < 10 << 20 => format!("{} kB", count >> 10),
        Some(count) => format!("{} MB", count >> 20),
    }
}
