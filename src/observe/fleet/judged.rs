//! What one replicator's state in the cloud comes to. Pure, but for asking whether a process of this computer is gone.

use std::time::Duration;

use serde::Deserialize;

use super::replicator::{QuarantineCounts, Replicator, StoppedTable};
use crate::limits;
use crate::model::listed;
use crate::observe::reverse::ReverseSample;
use crate::observe::sample::State;
use crate::observe::status::{Verdict, verdict_of};
use crate::platform;

/// What the cloud has of one, before anything is made of it.
pub(super) struct Seen {
    pub(super) replicator: String,
    pub(super) database: String,
    /// The tables were copied once.
    pub(super) began: bool,
    pub(super) last_words: Option<String>,
    pub(super) holder: Option<String>,
    pub(super) version: Option<String>,
    /// It has said goodbye.
    pub(super) released: bool,
    pub(super) term_ms: i64,
    /// Since its lease was renewed.
    pub(super) renewed_age_ms: i64,
    pub(super) held_since: Option<String>,
    pub(super) last_seen: Option<String>,
    pub(super) up_to: Option<String>,
    pub(super) said: Option<Said>,
    pub(super) tables: i64,
    pub(super) copying: bool,
    pub(super) quarantined: QuarantineCounts,
    pub(super) reverse: ReverseSample,
    pub(super) different: Vec<String>,
    pub(super) stopped: Vec<StoppedTable>,
}

/// What it said of itself last.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) age_ms: i64,
    pub(super) holder: String,
    pub(super) version: String,
    pub(super) state: Option<String>,
    pub(super) why: Option<String>,
    pub(super) failing: Option<String>,
    pub(super) lag_ms: Option<i64>,
    pub(super) missing_bytes: Option<i64>,
    pub(super) wal_held_bytes: Option<i64>,
    pub(super) wal_held_bytes_max: i64,
}

impl Seen {
    /// Since its last sign of life: a renewed lease, or a heartbeat.
    fn age_ms(&self) -> i64 {
        let said = self.said.as_ref().map_or(i64::MAX, |said| said.age_ms);
        self.renewed_age_ms.min(said)
    }

    /// What it said, if that is of these heartbeats and not another process's, from before this one took the lease.
    fn heard(&self) -> Option<&Said> {
        let leads = !self.released && self.renewed_age_ms < self.term_ms;
        { self.said.as_ref() }.filter(|said| {
            said.age_ms < self.term_ms && (!leads || Some(&said.holder) == self.holder.as_ref())
        })
    }

    /// Who it is now, or was last.
    fn speaker(&self) -> Option<&String> {
        let heard = self.heard().map(|said| &said.holder);
        heard.or(self.holder.as_ref())
    }

    /// It gave a sign of life in time, and hasn't said goodbye; not where the process is known to be gone.
    fn lives(&self) -> bool {
        let gone = { self.speaker() }.is_some_and(|holder| platform::is_gone(holder));
        !self.released && !gone && self.age_ms() < self.term_ms
    }

    /// How the forward direction is; none where it said something that we don't know.
    fn state(&self) -> Option<State> {
        let said = match self.heard().and_then(|said| said.state.as_deref()) {
            // A lease that is renewed comes from batches.
            None => State::Streaming,
            Some(word) => State::read(word)?,
        };
        let limit = Duration::from_millis((self.term_ms * 2 / 3).unsigned_abs());
        let limit = limit.max(limits::STALLED_AFTER).as_millis();
        let quiet = u128::from(self.renewed_age_ms.unsigned_abs()) > limit;
        Some(match said {
            State::Stalled => State::Stalled,
            _ if !self.began => State::Bootstrapping,
            State::Streaming | State::CatchingUp if quiet => State::Stalled,
            State::Streaming if self.copying => State::CatchingUp,
            said => said,
        })
    }

    /// The verdict, and what stands beside it.
    pub(super) fn judged(self) -> Replicator {
        let lives = self.lives();
        let state = self.state();
        let heard = self.heard().filter(|_| lives).cloned();
        let failing = heard.as_ref().and_then(|said| said.failing.as_deref());
        let waits = self.quarantined.forward + self.quarantined.reverse;
        let broken = failing.is_some() || waits > 0;
        let broken = broken || !self.stopped.is_empty() || !self.different.is_empty();
        let verdict = match state {
            None if lives => None,
            state => {
                let state = state.unwrap_or(State::Down);
                let has_last_words = self.last_words.is_some();
                Some(verdict_of(lives, has_last_words, state, broken))
            }
        };
        let (lag_ms, lag_bytes) = match &heard {
            Some(said) if said.lag_ms == Some(0) && state == Some(State::Streaming) => {
                (Some(0), Some(0))
            }
            Some(said) => (
                // What waits has gone on waiting.
                { said.lag_ms }
                    .filter(|lag| *lag > 0)
                    .map(|lag| lag + said.age_ms),
                said.missing_bytes,
            ),
            None => (None, None),
        };
        Replicator {
            why: self.why(verdict, state, failing),
            verdict,
            since: match lives {
                true => self.held_since.clone(),
                false => self.last_seen.clone(),
            },
            last_seen_age_ms: self.last_seen.is_some().then(|| self.age_ms()),
            lag_ms,
            lag_bytes,
            wal_held_bytes: heard.as_ref().and_then(|said| said.wal_held_bytes),
            wal_held_bytes_max: heard.as_ref().map(|said| said.wal_held_bytes_max),
            holder: { self.speaker() }.map(|holder| platform::in_words(holder)),
            version: heard.map(|said| said.version).or(self.version),
            last_seen: self.last_seen,
            up_to: self.up_to,
            quarantined: self.quarantined,
            tables: self.tables,
            database: self.database,
            replicator: self.replicator,
            reverse: self.reverse,
            stopped: self.stopped,
        }
    }

    /// What a person wants to know first.
    fn why(
        &self,
        verdict: Option<Verdict>,
        state: Option<State>,
        failing: Option<&str>,
    ) -> Option<String> {
        let since = self.last_seen.as_deref().unwrap_or("unknown");
        Some(match verdict {
            Some(Verdict::CaughtUp | Verdict::CatchingUp) => return None,
            None => "a newer tandem says something that this one doesn't know; update this one"
                .to_owned(),
            Some(Verdict::Stopped) => { self.last_words.clone() }.unwrap_or_default(),
            Some(Verdict::Down) if self.released => format!("was stopped at {since}"),
            Some(Verdict::Down) => format!("silent since {since}"),
            Some(Verdict::Stalled) if state == Some(State::SlotLost) => {
                "the desktop no longer keeps what is missing in the cloud".to_owned()
            }
            Some(Verdict::Stalled) => { self.heard().and_then(|said| said.why.clone()) }
                .unwrap_or_else(|| {
                    let seconds = self.renewed_age_ms / 1_000;
                    format!("the cloud has committed nothing for {seconds} s")
                }),
            Some(Verdict::NeedsYou) => self.needs(failing),
        })
    }

    fn needs(&self, failing: Option<&str>) -> String {
        let mut all = Vec::new();
        let names = { self.stopped.iter() }.map(|table| &table.table);
        match &self.stopped[..] {
            [] => {}
            [one] => {
                let why = one.why.as_deref().unwrap_or("status there says why");
                all.push(format!(
                    "{} {}: {why}",
                    one.table,
                    one.state.to_string().replace('_', " ")
                ));
            }
            many => all.push(format!(
                "{} tables wait: {}",
                many.len(),
                listed(names, limits::NAMES_SHOWN)
            )),
        }
        match self.quarantined.forward + self.quarantined.reverse {
            0 => {}
            1 => all.push("one row in quarantine".to_owned()),
            rows => all.push(format!("{rows} rows in quarantine")),
        }
        all.extend(failing.map(str::to_owned));
        if !self.different.is_empty() {
            let names = listed(&self.different, limits::NAMES_SHOWN);
            all.push(format!("both sides differ in {names}"));
        }
        all.join("; ")
    }
}

impl State {
    /// The state that a word stands for.
    fn read(word: &str) -> Option<State> {
        let word = serde_json::Value::String(word.to_owned());
        State::deserialize(word).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{StateWord, TableState};

    /// It streams, and said so a second ago.
    fn fine() -> Seen {
        Seen {
            replicator: "office-1".to_owned(),
            database: "enterprise_db".to_owned(),
            began: true,
            last_words: None,
            holder: Some("elsewhere/7/1".to_owned()),
            version: Some("0.1.0".to_owned()),
            released: false,
            term_ms: 30_000,
            renewed_age_ms: 2_000,
            held_since: Some("2026-01-01T00:00:00Z".to_owned()),
            last_seen: Some("2026-01-02T00:00:00Z".to_owned()),
            up_to: None,
            said: Some(Said {
                age_ms: 1_000,
                holder: "elsewhere/7/1".to_owned(),
                version: "0.1.0".to_owned(),
                state: Some("streaming".to_owned()),
                why: None,
                failing: None,
                lag_ms: Some(0),
                missing_bytes: Some(99),
                wal_held_bytes: Some(16),
                wal_held_bytes_max: 64,
            }),
            tables: 1,
            copying: false,
            quarantined: QuarantineCounts::default(),
            reverse: ReverseSample::default(),
            different: Vec::new(),
            stopped: Vec::new(),
        }
    }

    /// As it is after a change of what it said.
    fn said(change: impl Fn(&mut Said)) -> Replicator {
        seen(|seen| seen.said.iter_mut().for_each(&change))
    }

    fn seen(change: impl Fn(&mut Seen)) -> Replicator {
        let mut seen = fine();
        change(&mut seen);
        seen.judged()
    }

    fn word(word: &str) -> Option<String> {
        Some(word.to_owned())
    }

    #[test]
    fn p15_who_streams_is_caught_up_and_nothing_is_missing() {
        let fine = fine().judged();
        assert_eq!(fine.word(), "caught_up");
        assert_eq!((fine.lag_ms, fine.lag_bytes), (Some(0), Some(0)));
        assert_eq!(fine.why, None);
        let late = said(|said| {
            said.state = word("catching_up");
            said.lag_ms = Some(5_000);
        });
        assert_eq!(late.word(), "catching_up");
        assert_eq!((late.lag_ms, late.lag_bytes), (Some(6_000), Some(99)));
        let filling = seen(|seen| seen.copying = true);
        assert_eq!(filling.word(), "catching_up");
        assert_eq!(seen(|seen| seen.began = false).word(), "catching_up");
    }

    #[test]
    fn p15_who_fell_silent_is_down_whatever_it_said_last() {
        let silent = |seen: &mut Seen| {
            seen.renewed_age_ms = 40_000;
            seen.said.iter_mut().for_each(|said| said.age_ms = 31_000);
        };
        let down = seen(silent);
        assert_eq!((down.word().as_str(), down.lives()), ("down", false));
        assert_eq!(down.since, down.last_seen);
        assert_eq!(down.last_seen_age_ms, Some(31_000));
        let why = down.why.unwrap_or_default();
        assert!(why.contains("silent since 2026-01-02"), "{why}");
        assert_eq!((down.lag_ms, down.wal_held_bytes), (None, None));
        let needy = seen(|seen| {
            silent(seen);
            seen.quarantined.forward = 3;
            { seen.said.iter_mut() }.for_each(|said| said.state = word("stalled"));
        });
        assert_eq!(needy.word(), "down");
        // One sign of life is enough: of the lease, or of the process.
        assert!(seen(|seen| seen.renewed_age_ms = 40_000).lives());
        assert!(said(|said| said.age_ms = 31_000).lives());
    }

    #[test]
    fn p15_who_said_goodbye_is_down_at_once_and_says_why() {
        let left = seen(|seen| seen.released = true);
        assert_eq!(left.word(), "down");
        assert!(left.why.is_some_and(|why| why.contains("was stopped at")));
        let fell = seen(|seen| {
            seen.released = true;
            seen.last_words = word("the slot is gone; next: tandem doctor");
        });
        assert_eq!(fell.word(), "stopped");
        assert!(fell.why.is_some_and(|why| why.contains("the slot is gone")));
    }

    #[test]
    fn p15_who_runs_in_trouble_says_which() {
        let away = said(|said| {
            said.state = word("stalled");
            said.why = word("the desktop cannot be reached");
        });
        assert_eq!(away.word(), "stalled");
        assert_eq!(away.why.as_deref(), Some("the desktop cannot be reached"));
        // The process lives, and nothing is committed.
        let quiet = seen(|seen| seen.renewed_age_ms = 25_000);
        assert_eq!(quiet.word(), "stalled");
        let why = quiet.why.unwrap_or_default();
        assert!(why.contains("nothing for 25 s"), "{why}");
        let lost = said(|said| said.state = word("slot_lost"));
        assert_eq!(lost.word(), "stalled");
        assert!(lost.why.is_some_and(|why| why.contains("no longer keeps")));
        let parked = seen(|seen| seen.quarantined.reverse = 1);
        assert_eq!(parked.word(), "needs_you");
        assert_eq!(parked.why.as_deref(), Some("one row in quarantine"));
        let stopped = seen(|seen| {
            seen.stopped = vec![StoppedTable {
                table: "jobs".to_owned(),
                state: StateWord::Known(TableState::SwapRefused),
                why: word("too few rows"),
            }];
        });
        let why = stopped.why.unwrap_or_default();
        assert_eq!(why, "jobs swap refused: too few rows");
        let failing = said(|said| said.failing = word("the refill fails: no such function"));
        assert_eq!(failing.word(), "needs_you");
        let unequal = seen(|seen| seen.different = vec!["jobs".to_owned()]);
        assert_eq!(unequal.why.as_deref(), Some("both sides differ in jobs"));
    }

    #[test]
    fn p15_what_isn_t_known_is_said_to_be_unknown() {
        let newer = said(|said| said.state = word("thinking"));
        assert_eq!(newer.word(), "unknown");
        assert!(!newer.is_fine());
        // It has just taken over: what its predecessor said is not what it says.
        let after = seen(|seen| {
            seen.holder = word("elsewhere/8/1");
            { seen.said.iter_mut() }.for_each(|said| said.state = word("stalled"));
        });
        assert_eq!(after.word(), "caught_up");
        assert_eq!(after.lag_ms, None);
        assert_eq!(after.holder.as_deref(), Some("process 8 on elsewhere"));
    }
}
