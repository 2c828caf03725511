//! What the refill reads, and whether it has changed: the server's own counters of those tables, looked at every second in one
//! statement on a connection that stays open.
//!
//! The refill may write what it reads. So its own session says, at the end of its transaction, how many rows it wrote of each
//! table; and what counts as seen is what had been counted before it began, and these. Whatever is counted beyond that was
//! somebody else's, also while it ran. A session reports its counts some time after its commit, but at the latest when it ends:
//! until the refill's session is gone nothing is compared. Small tables that it doesn't write are asked themselves ([`super::sight`]).

use std::collections::BTreeSet;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio::time::{sleep_until, timeout};
use tokio_postgres::Client;

use super::counters::{Counts, Own, count, ids};
use super::sight::{self, Sight};
use crate::catalog::{Sources, sources};
use crate::config::{Endpoint, Refill};
use crate::fault::{Decision, Fault, Side};
use crate::limits;
use crate::wire::WireError;
use crate::wire::control::{self, Control};

/// Why the refill runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It is time.
    Clock,
    /// These tables have changed.
    Changed(Vec<String>),
    /// It failed.
    Again,
    /// Nobody knows what has changed before.
    Start,
}

impl Why {
    /// As `tandem.refill` has it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Why::Clock => "clock",
            Why::Changed(_) => "changed",
            Why::Again => "again",
            Why::Start => "start",
        }
    }

    /// The tables that had changed.
    pub(super) fn changed(&self) -> Option<&[String]> {
        match self {
            Why::Changed(tables) => Some(tables),
            Why::Clock | Why::Again | Why::Start => None,
        }
    }
}

/// What has been taken into account.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Taken {
    counts: Counts,
    /// The rows before the run.
    sight: Option<Sight>,
    /// Tables that the run itself wrote: only their counters tell whose a row is.
    own: BTreeSet<u32>,
}

/// What a run begins with.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    counts: Counts,
    sight: Option<Sight>,
}

/// Watches the tables that a refill reads.
pub(super) struct Watch {
    desktop: Endpoint,
    refill: Refill,
    control: Option<Control>,
    sources: Option<Sources>,
    /// What has been taken into account; none: nobody knows.
    seen: Option<Taken>,
    /// Tables whose rows have changed since.
    pending: BTreeSet<u32>,
    /// Their rows aren't looked at again before that, unless the counters say so.
    sight_at: Instant,
    /// What a run without a transaction of its own began with: what it wrote is learned when its session is gone.
    begun: Option<Counts>,
    /// The session of our own last run, until it is gone.
    session: Option<i32>,
    /// Looks in which it was still there, and those since.
    waited: u32,
    gone: u32,
    looks: u32,
    told: Option<String>,
}

impl Watch {
    /// `seen`: the counters behind the last run, as they were noted then.
    pub(super) fn new(desktop: &Endpoint, refill: &Refill, seen: Option<&str>) -> Watch {
        Watch {
            desktop: desktop.clone(),
            refill: refill.clone(),
            control: None,
            sources: None,
            // What can't be read is not known.
            seen: seen.and_then(|seen| serde_json::from_str(seen).ok()),
            pending: BTreeSet::new(),
            sight_at: Instant::now(),
            begun: None,
            session: None,
            waited: 0,
            gone: 0,
            looks: 0,
            told: None,
        }
    }

    /// Waits until something has changed, but not before `rest`; or until `clock`.
    ///
    /// # Errors
    /// When the desktop is away.
    pub(super) async fn wait(
        &mut self,
        clock: Instant,
        rest: Instant,
    ) -> Result<(Why, Before), Fault> {
        loop {
            let counts = self.look_or_tell().await?;
            let now = Instant::now();
            let mut next = now + limits::WATCH_EVERY;
            if self.session.is_none() {
                if now >= clock {
                    return Ok((Why::Clock, self.before(counts.unwrap_or_default()).await?));
                }
                next = next.min(clock);
                let why = counts.as_ref().and_then(|counts| self.why(counts));
                if let (Some(why), Some(counts)) = (why, counts) {
                    if now >= rest {
                        return Ok((why, self.before(counts).await?));
                    }
                    next = next.min(rest);
                }
            }
            sleep_until(next.into()).await;
        }
    }

    /// What the run begins with; its rows are looked at before it, so that nothing is missed.
    async fn before(&self, counts: Counts) -> Result<Before, Fault> {
        let (Some(control), Some(found)) = (&self.control, &self.sources) else {
            return Ok(Before {
                counts,
                sight: None,
            });
        };
        let seen = sight::look(&control.client, &ids(found), None).await;
        let seen = seen.map_err(Fault::at(Side::Desktop))?;
        let sight = seen.map(|seen| seen.sight);
        Ok(Before { counts, sight })
    }

    /// What is to be said of it: the tables' names, and why not all changes are seen.
    pub(super) fn state(&self) -> (Vec<String>, Option<&str>) {
        let tables = self.sources.iter().flat_map(|found| &found.tables);
        let names = tables.map(|table| table.name.to_string()).collect();
        (names, self.told.as_deref())
    }

    /// The counters behind a run, to be noted.
    pub(super) fn noted(&self) -> Option<String> {
        let seen = self.seen.as_ref().filter(|_| self.begun.is_none())?;
        serde_json::to_string(seen).ok()
    }

    /// It ran, in this session, which ends now. `own` is none where it had no transaction of its own.
    pub(super) fn ran(&mut self, session: i32, before: Before, own: Option<Own>) {
        (self.session, self.waited, self.gone) = (Some(session), 0, 0);
        self.pending.clear();
        let Before { counts, sight } = before;
        let written = |own: &Own| {
            let wrote = own.counts.members.iter().filter(|member| member.rows > 0);
            wrote
                .map(|member| member.oid)
                .chain(own.held.iter().copied())
                .collect()
        };
        (self.seen, self.begun) = match &own {
            Some(own) => {
                let (counts, own) = (own.behind(&counts), written(own));
                (Some(Taken { counts, sight, own }), None)
            }
            // What it wrote is learned when its session is gone.
            None => {
                let (behind, own) = (Counts::default(), BTreeSet::new());
                let taken = Taken {
                    counts: behind,
                    sight,
                    own,
                };
                (Some(taken), Some(counts))
            }
        };
        match own {
            Some(own) => self.found(own.sources),
            None => self.looks = 0,
        }
    }

    /// It failed: what had changed is still to be done.
    pub(super) fn failed(&mut self, session: i32) {
        (self.session, self.waited, self.gone) = (Some(session), 0, 0);
        (self.seen, self.begun, self.sources) = (None, None, None);
        self.pending.clear();
    }

    /// Why it is to run.
    fn why(&self, counts: &Counts) -> Option<Why> {
        let Some(Taken { counts: seen, .. }) = &self.seen else {
            return Some(Why::Start);
        };
        if seen.reset != counts.reset {
            return Some(Why::Changed(vec![
                "(the counters were set back)".to_owned(),
            ]));
        }
        if seen.definitions != counts.definitions {
            return Some(Why::Changed(vec!["(a function or a view)".to_owned()]));
        }
        let mut roots = seen.unlike(counts);
        roots.extend(&self.pending);
        let tables = self.sources.iter().flat_map(|found| &found.tables);
        let names: Vec<_> = tables
            .filter(|table| roots.contains(&table.oid))
            .map(|table| table.name.to_string())
            .collect();
        (!names.is_empty()).then_some(Why::Changed(names))
    }

    /// Looks at the counters once; where the desktop refuses, the clock alone makes it run.
    async fn look_or_tell(&mut self) -> Result<Option<Counts>, Fault> {
        let error = match self.look().await {
            Ok(counts) => return Ok(counts),
            Err(error) => error,
        };
        let fault = Fault::wire(Side::Desktop, &error);
        if fault.decision() == Decision::Again || !matches!(error, WireError::Server(_)) {
            return Err(fault);
        }
        self.tell(Some(format!("what it reads can't be looked at: {error}")));
        self.sources = Some(Sources::default());
        self.session = None;
        Ok(None)
    }

    /// None where nothing can be seen.
    async fn look(&mut self) -> Result<Option<Counts>, WireError> {
        if self.looks.is_multiple_of(limits::WATCH_FINDS_EVERY) {
            self.sources = None;
        }
        self.looks = self.looks.wrapping_add(1);
        let control = match self.control.take() {
            Some(control) => control,
            None => {
                let control = control::connect(&self.desktop).await?;
                // What somebody has locked isn't waited for.
                let bounded = format!("set lock_timeout = {}", limits::SIGHT_LOCK.as_millis());
                control.client.batch_execute(&bounded).await?;
                control
            }
        };
        let looked = timeout(limits::SILENCE_MAX, self.look_with(&control.client)).await;
        self.control = Some(control);
        looked.map_err(|_| WireError::Timeout(limits::SILENCE_MAX.as_secs()))?
    }

    async fn look_with(&mut self, client: &Client) -> Result<Option<Counts>, WireError> {
        if self.sources.is_none() {
            let found = sources(client, &self.refill.sql, &self.refill.watch).await?;
            self.found(found);
        }
        let found = self.sources.clone().unwrap_or_default();
        if !found.counted || found.tables.is_empty() {
            self.session = None;
            return Ok(None);
        }
        let (counts, is_there) = count(client, &found, self.session.unwrap_or_default()).await?;
        if self.session.is_some() {
            self.settle(is_there, &found, &counts);
        }
        if self.session.is_none() {
            self.look_at_rows(client, &found, &counts).await?;
        }
        let other = |seen: &Taken| {
            let seen = &seen.counts;
            seen.definitions != counts.definitions || !seen.has_shapes_of(&counts)
        };
        if self.seen.as_ref().is_some_and(other) {
            // What it reads now may be something else; the next look finds out.
            self.looks = 0;
        }
        Ok(Some(counts))
    }

    /// The session of the last run is gone: all that it did is counted.
    fn settle(&mut self, is_there: bool, found: &Sources, counts: &Counts) {
        match is_there {
            true => self.waited += 1,
            false => self.gone += 1,
        }
        // Before version 15 counts go through a collector, which may be behind for a moment.
        let gone = if found.version < 150_000 { 2 } else { 1 };
        if self.gone < gone && self.waited < limits::WATCH_SETTLES_MAX {
            return;
        }
        self.session = None;
        if let Some(before) = self.begun.take() {
            let written = |root: u32| {
                found
                    .tables
                    .iter()
                    .any(|table| table.oid == root && table.written)
            };
            if let Some(seen) = &mut self.seen {
                seen.counts = counts.but_of(&before, written);
                let written = counts.members.iter().filter(|member| written(member.root));
                seen.own = written.map(|member| member.oid).collect();
            }
        }
    }

    /// Asks small tables themselves where the counters have moved, or any transaction has ended since they were looked at.
    async fn look_at_rows(
        &mut self,
        client: &Client,
        found: &Sources,
        counts: &Counts,
    ) -> Result<(), WireError> {
        let Some(Taken {
            counts: known,
            sight: Some(before),
            own,
        }) = &mut self.seen
        else {
            return Ok(());
        };
        let moved = !known.unlike(counts).is_empty();
        let began = Instant::now();
        if !moved && (before.snapshot == counts.snapshot || began < self.sight_at) {
            return Ok(());
        }
        let Some(seen) = sight::look(client, &ids(found), Some(before)).await? else {
            self.sight_at = began + limits::SIGHT_AGAIN;
            return Ok(());
        };
        self.sight_at = began + began.elapsed() * limits::SIGHT_SHARE;
        for member in &counts.members {
            let looked_at = |sight: &Sight| sight.rows.contains_key(&member.oid);
            if own.contains(&member.oid) || !looked_at(before) || !looked_at(&seen.sight) {
                continue;
            }
            match seen.changed.contains(&member.oid) {
                true => drop(self.pending.insert(member.root)),
                false => known.account(member),
            }
        }
        before.clone_from(&seen.sight);
        Ok(())
    }

    fn found(&mut self, found: Sources) {
        self.tell(found.trouble());
        self.sources = Some(found);
    }

    /// Says once why not all changes are seen.
    fn tell(&mut self, trouble: Option<String>) {
        if let Some(why) = &trouble
            && self.told != trouble
        {
            tracing::warn!(
                why,
                "the refill doesn't see all changes of what it reads; the clock makes it run all the same"
            );
        }
        self.told = trouble;
    }
}
