//! What each part of the refill reads, and whether it has changed: the server's own counters of those tables, looked at every
//! second in one statement for all parts, on a connection that stays open.
//!
//! The refill may write what it reads. So its own session says, at the end of its transaction, how many rows it wrote of each
//! table; and what counts as seen is what had been counted before it began, and these. Whatever is counted beyond that was
//! somebody else's, also while it ran. A session reports its counts some time after its commit, but at the latest when it ends:
//! until the refill's session is gone nothing is compared. Small tables that it doesn't write are asked themselves ([`super::sight`]).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;
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

/// Looks at what the parts of a refill read.
pub(super) struct Eye {
    desktop: Endpoint,
    control: Option<Control>,
    /// The session of the last run, until it is gone, and since when it is waited for.
    session: Option<(i32, Instant)>,
    /// Looks since then in which it wasn't there.
    gone: u32,
    version: i32,
}

/// What one part of a refill reads.
pub(super) struct Watch {
    refill: Refill,
    sources: Option<Sources>,
    /// What has been taken into account; none: nobody knows.
    seen: Option<Taken>,
    /// What is counted now; none where nothing can be seen, or was looked at since it ran.
    now: Option<Counts>,
    /// Tables whose rows have changed since.
    pending: BTreeSet<u32>,
    /// Their rows aren't looked at again before that, unless the counters say so.
    sight_at: Instant,
    /// What a run without a transaction of its own began with: what it wrote is learned when its session is gone.
    begun: Option<Counts>,
    looks: u32,
    told: Option<String>,
}

impl Eye {
    pub(super) fn new(desktop: &Endpoint) -> Eye {
        Eye {
            desktop: desktop.clone(),
            control: None,
            session: None,
            gone: 0,
            version: 0,
        }
    }

    /// A run has ended, in this session, which ends now: until it is gone nothing is compared.
    pub(super) fn ran_in(&mut self, session: i32) {
        (self.session, self.gone) = (Some((session, Instant::now())), 0);
    }

    /// Nothing is compared any more.
    pub(super) fn forget(&mut self) {
        (self.session, self.control) = (None, None);
    }

    /// All that the last run did is counted.
    pub(super) fn is_settled(&self) -> bool {
        self.session.is_none()
    }

    /// So much later it looks again.
    pub(super) fn pause(&self) -> Duration {
        match self.session {
            Some(_) if self.version >= 150_000 => limits::WATCH_SETTLES_EVERY,
            _ => limits::WATCH_EVERY,
        }
    }

    /// What a run begins with; its rows are looked at before it, so that nothing is missed.
    pub(super) async fn before(&self, watch: &Watch) -> Result<Before, Fault> {
        let counts = watch.now.clone().unwrap_or_default();
        let (Some(control), Some(found)) = (&self.control, &watch.sources) else {
            return Ok(Before {
                counts,
                sight: None,
            });
        };
        let seen = sight::look(&control.client, &ids([found]), None).await;
        let seen = seen.map_err(Fault::at(Side::Desktop))?;
        let sight = seen.map(|seen| seen.sight);
        Ok(Before { counts, sight })
    }

    /// Looks at the counters once; where the desktop refuses, the clock alone makes the parts run.
    ///
    /// # Errors
    /// When the desktop is away.
    pub(super) async fn look(&mut self, mut watches: Vec<&mut Watch>) -> Result<(), Fault> {
        let Err(error) = self.look_within(&mut watches).await else {
            return Ok(());
        };
        let error = refused(error).map_err(|error| Fault::wire(Side::Desktop, &error))?;
        watches.iter_mut().for_each(|watch| watch.blind(&error));
        self.session = None;
        Ok(())
    }

    async fn look_within(&mut self, watches: &mut [&mut Watch]) -> Result<(), WireError> {
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
        let look = self.look_with(&control.client, watches);
        let looked = timeout(limits::SILENCE_MAX, look).await;
        self.control = Some(control);
        looked.map_err(|_| WireError::Timeout(limits::SILENCE_MAX.as_secs()))?
    }

    async fn look_with(
        &mut self,
        client: &Client,
        watches: &mut [&mut Watch],
    ) -> Result<(), WireError> {
        for watch in watches.iter_mut() {
            match watch.find(client).await {
                Ok(()) => {}
                Err(error) => watch.blind(&refused(error)?),
            }
        }
        let found = { watches.iter() }.filter_map(|watch| watch.countable());
        let found: Vec<_> = found.cloned().collect();
        let Some(first) = found.first() else {
            self.session = None;
            return Ok(());
        };
        self.version = first.version;
        let session = self.session.map_or(0, |(session, _)| session);
        let (all, is_there) = count(client, &found, session).await?;
        self.settle(is_there, watches, &all);
        if self.session.is_some() {
            return Ok(());
        }
        let parts = u32::try_from(watches.len()).unwrap_or(u32::MAX);
        for watch in watches.iter_mut() {
            let Some(found) = watch.countable() else {
                watch.now = None;
                continue;
            };
            let counts = all.of(found);
            match watch.look_at_rows(client, &counts, parts).await {
                Ok(()) => watch.take(counts),
                Err(error) => watch.blind(&refused(error)?),
            }
        }
        Ok(())
    }

    /// The session of the last run is gone: all that it did is counted.
    fn settle(&mut self, is_there: bool, watches: &mut [&mut Watch], all: &Counts) {
        let Some((_, since)) = self.session else {
            return;
        };
        self.gone += u32::from(!is_there);
        // Before version 15 counts go through a collector, which may be behind for a moment.
        let gone = if self.version < 150_000 { 2 } else { 1 };
        if self.gone < gone && since.elapsed() < limits::WATCH_SETTLES_MAX {
            return;
        }
        self.session = None;
        watches.iter_mut().for_each(|watch| watch.settle(all));
    }
}

/// What the desktop says where it refuses; an error where it is away.
fn refused(error: WireError) -> Result<WireError, WireError> {
    let is_away = Fault::wire(Side::Desktop, &error).decision() == Decision::Again;
    match is_away || !matches!(error, WireError::Server(_)) {
        true => Err(error),
        false => Ok(error),
    }
}

impl Watch {
    /// `seen`: the counters behind the last run, as they were noted then.
    pub(super) fn new(refill: &Refill, seen: Option<&str>) -> Watch {
        Watch {
            refill: refill.clone(),
            sources: None,
            // What can't be read is not known.
            seen: seen.and_then(|seen| serde_json::from_str(seen).ok()),
            now: None,
            pending: BTreeSet::new(),
            sight_at: Instant::now(),
            begun: None,
            looks: 0,
            told: None,
        }
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

    /// It ran. `own` is none where it had no transaction of its own.
    pub(super) fn ran(&mut self, before: Before, own: Option<Own>) {
        self.now = None;
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
    pub(super) fn failed(&mut self) {
        (self.seen, self.begun, self.sources, self.now) = (None, None, None, None);
        self.pending.clear();
    }

    /// Why it is to run, by what was seen last.
    pub(super) fn why(&self) -> Option<Why> {
        let counts = self.now.as_ref()?;
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

    /// Finds out what it reads, where that isn't known or has been for a while.
    async fn find(&mut self, client: &Client) -> Result<(), WireError> {
        if self.looks.is_multiple_of(limits::WATCH_FINDS_EVERY) {
            self.sources = None;
        }
        self.looks = self.looks.wrapping_add(1);
        if self.sources.is_none() {
            let found = sources(client, &self.refill.sql, &self.refill.watch).await?;
            self.found(found);
        }
        Ok(())
    }

    /// What it reads, where that is counted.
    fn countable(&self) -> Option<&Sources> {
        let counted = |found: &&Sources| found.counted && !found.tables.is_empty();
        self.sources.as_ref().filter(counted)
    }

    /// The desktop refuses to say what it reads, or how that is.
    fn blind(&mut self, error: &WireError) {
        self.tell(Some(format!("what it reads can't be looked at: {error}")));
        (self.sources, self.now) = (Some(Sources::default()), None);
    }

    /// Compares with these from now on.
    fn take(&mut self, counts: Counts) {
        let other = |seen: &Taken| {
            let seen = &seen.counts;
            seen.definitions != counts.definitions || !seen.has_shapes_of(&counts)
        };
        if self.seen.as_ref().is_some_and(other) {
            // What it reads now may be something else; the next look finds out.
            self.looks = 0;
        }
        self.now = Some(counts);
    }

    /// The session of its last run is gone: what it wrote there is counted.
    fn settle(&mut self, all: &Counts) {
        let Some(before) = self.begun.take() else {
            return;
        };
        let Some(found) = &self.sources else {
            return;
        };
        let written = |root: u32| {
            let mut tables = found.tables.iter();
            tables.any(|table| table.oid == root && table.written)
        };
        if let Some(seen) = &mut self.seen {
            let counts = all.of(found);
            seen.counts = counts.but_of(&before, written);
            let written = counts.members.iter().filter(|member| written(member.root));
            seen.own = written.map(|member| member.oid).collect();
        }
    }

    /// Asks small tables themselves where the counters have moved, or any transaction has ended since they were looked at.
    async fn look_at_rows(
        &mut self,
        client: &Client,
        counts: &Counts,
        parts: u32,
    ) -> Result<(), WireError> {
        let Some(found) = &self.sources else {
            return Ok(());
        };
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
        let Some(seen) = sight::look(client, &ids([found]), Some(before)).await? else {
            self.sight_at = began + limits::SIGHT_AGAIN;
            return Ok(());
        };
        self.sight_at = began + began.elapsed() * limits::SIGHT_SHARE * parts;
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
                refill = self.refill.name,
                why,
                "the refill doesn't see all changes of what it reads; the clock makes it run all the same"
            );
        }
        self.told = trouble;
    }
}
