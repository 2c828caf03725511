//! Who has been told what. It decides when a message is due, and has neither a clock nor a socket.
//!
//! Something wrong has a name (`table item stopped`). A name that has been there for `after` and that nobody was told of makes a
//! message; so an office in which something has been waiting for weeks still hears of what comes on top. Its end is told after
//! `after` as well: what comes and goes makes one message, not many. Each way has at most one message that waits for it, the
//! newest: an older one says nothing that it doesn't.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::message::{About, Event, Message, iso};
use super::way::{Way, ways};
use crate::config::Alert;
use crate::limits;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Its name, the same at each look while it lasts.
    pub name: String,
    /// What people read; may change, such as a count.
    pub words: String,
}

/// How the office is at one look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The word of `status`.
    pub verdict: String,
    /// The same as people say it.
    pub headline: String,
    /// What is wrong; nothing where it is well, or on its way there.
    pub troubles: Vec<Trouble>,
    /// Nothing is wrong, and it isn't late either.
    pub well: bool,
    /// What is safe.
    pub safe: String,
    /// The next commands.
    pub next: Vec<String>,
    /// What a day's summary says of it.
    pub facts: Vec<String>,
}

/// Milliseconds since 1970.
type Millis = i64;

/// Who has been told what. Kept in both databases, so that a restart neither tells it again nor forgets it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Grows with each change that is kept: of two that were kept the newer one counts.
    pub version: u64,
    /// What is wrong, and since when. Not kept: what people don't know of has to last while somebody looks.
    #[serde(skip)]
    present: BTreeMap<String, Millis>,
    /// What people know of, and since when it is no longer so.
    told: BTreeMap<String, Option<Millis>>,
    /// What people were told last of something that isn't over.
    open: Option<Open>,
    /// Since when all is well.
    #[serde(skip)]
    well_since: Option<Millis>,
    /// When the last messages were made.
    made: Vec<Millis>,
    /// The day of the last summary.
    summary_of: Option<String>,
    /// Numbers messages.
    serial: u64,
    /// What each way still has to carry.
    ways: BTreeMap<Way, Delivery>,
    /// The last look.
    #[serde(skip)]
    looked: Option<Millis>,
}

/// Something that is wrong, and that people know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    since: Millis,
    at: Millis,
    message: Message,
}

/// What a way still has to carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Delivery {
    waiting: Option<(u64, Message)>,
    summary: Option<(u64, Message)>,
    failed: Option<String>,
    failed_since: Option<Millis>,
    tries: u32,
    again: Millis,
    arrived: Option<Millis>,
}

impl Memory {
    /// Takes up what was kept: what people don't know of yet has to last from now on, whatever was before.
    pub fn resume(&mut self, ways: &[Way]) {
        self.ways.retain(|way, _| ways.contains(way));
        (self.looked, self.well_since) = (None, None);
        self.present.clear();
        // Whatever kept a message from going may have been mended.
        for delivery in self.ways.values_mut() {
            delivery.again = 0;
        }
    }

    /// Looks at the office, and makes the message that is due. Says whether there is one.
    pub fn look(
        &mut self,
        now: Millis,
        condition: &Condition,
        (alert, about): (&Alert, &About),
    ) -> bool {
        self.pause(now, alert);
        let after = millis(alert.after);
        if condition.troubles.is_empty() {
            self.present.clear();
            self.forget_told(now, after);
            return self.look_well(now, condition, (alert, about));
        }
        self.well_since = None;
        let names: Vec<_> = condition
            .troubles
            .iter()
            .map(|trouble| &trouble.name)
            .collect();
        self.present.retain(|name, _| names.contains(&name));
        for name in names {
            self.present.entry(name.clone()).or_insert(now);
            if let Some(gone) = self.told.get_mut(name) {
                *gone = None;
            }
        }
        self.forget_told(now, after);
        let told = &self.told;
        let news = self
            .present
            .iter()
            .filter(|(name, since)| now - **since >= after && !told.contains_key(*name));
        let first = news.map(|(_, since)| *since).min();
        let event = match (first, &self.open) {
            (Some(_), _) => Event::Alert,
            (None, Some(open)) if is_over(alert.repeat, now - open.at) => Event::Reminder,
            _ => return false,
        };
        if !self.has_room(now) {
            return false;
        }
        let since = self
            .open
            .as_ref()
            .map(|open| open.since)
            .or(first)
            .unwrap_or(now);
        self.told = self
            .present
            .keys()
            .map(|name| (name.clone(), None))
            .collect();
        let message = Message {
            event,
            reasons: listed(
                condition
                    .troubles
                    .iter()
                    .map(|trouble| trouble.words.as_str()),
            ),
            ..told_of(condition, about, now, Some(since))
        };
        self.open = Some(Open {
            since,
            at: now,
            message: message.clone(),
        });
        self.queue(now, &message, alert);
        true
    }

    fn look_well(
        &mut self,
        now: Millis,
        condition: &Condition,
        (alert, about): (&Alert, &About),
    ) -> bool {
        if !condition.well {
            self.well_since = None;
            return false;
        }
        let since = *self.well_since.get_or_insert(now);
        if self.open.is_none() || now - since < millis(alert.after) || !self.has_room(now) {
            return false;
        }
        let Some(open) = self.open.take() else {
            return false;
        };
        self.told.clear();
        let message = Message {
            event: Event::Recovered,
            verdict: condition.verdict.clone(),
            at: iso(now),
            safe: String::new(),
            next: Vec::new(),
            replicator: about.replicator.clone(),
            computer: about.computer.clone(),
            ..open.message
        };
        self.queue(now, &message, alert);
        true
    }

    /// The summary of a day, where its time has come; `today` and `time` by this computer's clock.
    pub fn summarize(
        &mut self,
        now: Millis,
        (today, time): (&str, crate::config::TimeOfDay),
        condition: &Condition,
        (alert, about): (&Alert, &About),
    ) -> bool {
        let due = alert.daily.is_some_and(|daily| time >= daily);
        if !due || self.summary_of.as_deref() == Some(today) {
            return false;
        }
        self.summary_of = Some(today.to_owned());
        let troubles = condition
            .troubles
            .iter()
            .map(|trouble| trouble.words.as_str());
        let facts = condition.facts.iter().map(String::as_str);
        let message = Message {
            event: Event::Daily,
            reasons: listed(troubles.chain(facts)),
            ..told_of(
                condition,
                about,
                now,
                self.open.as_ref().map(|open| open.since),
            )
        };
        self.serial += 1;
        for way in ways(alert) {
            self.ways.entry(way).or_default().summary = Some((self.serial, message.clone()));
        }
        true
    }

    /// The service ends for a reason that doesn't pass: whoever doesn't know of it is told at once.
    pub fn stopped(
        &mut self,
        now: Millis,
        condition: &Condition,
        (alert, about): (&Alert, &About),
    ) -> bool {
        let known =
            { condition.troubles.iter() }.all(|trouble| self.told.contains_key(&trouble.name));
        if known
            && !self
                .open
                .as_ref()
                .is_some_and(|open| is_over(alert.repeat, now - open.at))
        {
            return false;
        }
        let at_once = Alert {
            after: std::time::Duration::ZERO,
            ..alert.clone()
        };
        self.look(now, condition, (&at_once, about))
    }

    /// The next message that a way has to carry now.
    pub fn due(&self, way: Way, now: Millis) -> Option<(u64, Message)> {
        let delivery = self.ways.get(&way)?;
        let next = delivery.waiting.as_ref().or(delivery.summary.as_ref())?;
        // A clock that was set back must not keep it for long.
        let waits = delivery.again > now && delivery.again - now <= millis(limits::ALERT_RETRY_MAX);
        (!waits).then(|| next.clone())
    }

    /// Whether there is more to keep than in an earlier version.
    pub fn differs(&self, before: &Memory) -> bool {
        let (now, then) = (self.kept(), before.kept());
        now != then
    }

    /// What is worth being written.
    fn kept(&self) -> impl PartialEq {
        (
            self.told.clone(),
            self.open.clone(),
            self.summary_of.clone(),
            self.ways.clone(),
        )
    }

    /// It arrived.
    pub fn arrived(&mut self, way: Way, number: u64, now: Millis) {
        let Some(delivery) = self.ways.get_mut(&way) else {
            return;
        };
        for queued in [&mut delivery.waiting, &mut delivery.summary] {
            if queued.as_ref().is_some_and(|(known, _)| *known == number) {
                *queued = None;
            }
        }
        let waiting = (delivery.waiting.take(), delivery.summary.take());
        *delivery = Delivery {
            waiting: waiting.0,
            summary: waiting.1,
            arrived: Some(now),
            ..Delivery::default()
        };
    }

    /// It did not arrive: it is tried again, later each time. Says when, in milliseconds from now.
    pub fn failed(&mut self, way: Way, why: &str, now: Millis) -> Millis {
        let delivery = self.ways.entry(way).or_default();
        let first = millis(limits::ALERT_RETRY_FIRST);
        let pause = first.saturating_mul(1 << delivery.tries.min(20));
        let pause = pause.min(millis(limits::ALERT_RETRY_MAX));
        delivery.tries = delivery.tries.saturating_add(1);
        delivery.failed = Some(why.to_owned());
        delivery.failed_since.get_or_insert(now);
        delivery.again = now + pause;
        pause
    }

    /// Ways by which nothing arrives, and why.
    pub fn broken(&self) -> impl Iterator<Item = (Way, &str)> {
        self.ways
            .iter()
            .filter_map(|(way, delivery)| Some((*way, delivery.failed.as_deref()?)))
    }

    /// What `status` shows of it, for these ways.
    pub fn status(&self, ways: &[Way]) -> AlertStatus {
        let way = |way: &Way| {
            let none = Delivery::default();
            let delivery = self.ways.get(way).unwrap_or(&none);
            WayStatus {
                way: *way,
                waiting: delivery.waiting.is_some() || delivery.summary.is_some(),
                failed: delivery.failed.clone(),
                failed_since: delivery.failed_since.map(iso),
                tries: delivery.tries,
                arrived: delivery.arrived.map(iso),
            }
        };
        AlertStatus {
            open_since: self.open.as_ref().map(|open| iso(open.since)),
            told_at: self.open.as_ref().map(|open| iso(open.at)),
            ways: ways.iter().map(way).collect(),
        }
    }

    fn queue(&mut self, now: Millis, message: &Message, alert: &Alert) {
        self.made.push(now);
        self.serial += 1;
        for way in ways(alert) {
            self.ways.entry(way).or_default().waiting = Some((self.serial, message.clone()));
        }
    }

    /// Whether one more may be made in this hour.
    fn has_room(&mut self, now: Millis) -> bool {
        let hour = millis(limits::ALERT_HOUR);
        self.made.retain(|made| (0..hour).contains(&(now - *made)));
        self.made.len() < limits::ALERTS_IN_HOUR
    }

    /// What has been over for long enough is news when it comes again.
    fn forget_told(&mut self, now: Millis, after: Millis) {
        let present = &self.present;
        self.told.retain(|name, gone| {
            if present.contains_key(name) {
                return true;
            }
            now - *gone.get_or_insert(now) < after.max(1)
        });
    }

    /// Nobody looked for a while, or the clock was set: nothing is known of what was meanwhile.
    fn pause(&mut self, now: Millis, alert: &Alert) {
        let gap = self.looked.map(|looked| now - looked);
        let most = millis(limits::ALERT_GAP_MAX);
        if gap.is_some_and(|gap| !(0..most).contains(&gap)) {
            self.resume(&ways(alert));
        }
        self.looked = Some(now);
    }
}

fn millis(span: std::time::Duration) -> Millis {
    Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX)
}

fn is_over(span: Option<std::time::Duration>, elapsed: Millis) -> bool {
    span.is_some_and(|span| elapsed >= millis(span))
}

fn told_of(condition: &Condition, about: &About, now: Millis, since: Option<Millis>) -> Message {
    Message {
        event: Event::Alert,
        replicator: about.replicator.clone(),
        computer: about.computer.clone(),
        verdict: condition.verdict.clone(),
        headline: condition.headline.clone(),
        since: since.map(iso),
        at: iso(now),
        reasons: Vec::new(),
        safe: condition.safe.clone(),
        next: condition.next.clone(),
    }
}

/// The first lines, and how many more there are.
fn listed<'t>(lines: impl Iterator<Item = &'t str>) -> Vec<String> {
    let all: Vec<&str> = lines.collect();
    let shown = { all.iter() }.take(limits::ALERT_REASONS);
    let mut listed: Vec<String> = shown.map(|line| (*line).to_owned()).collect();
    if let more @ 1.. = all.len().saturating_sub(limits::ALERT_REASONS) {
        listed.push(format!("and {more} more"));
    }
    listed
}

/// What `status` shows of alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertStatus {
    /// Since when something is wrong that people were told of, in ISO 8601; null while nothing is.
    pub open_since: Option<String>,
    /// When they were told last.
    pub told_at: Option<String>,
    /// One for each way that the settings have.
    pub ways: Vec<WayStatus>,
}

/// One way to people, as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WayStatus {
    /// Which.
    pub way: Way,
    /// A message waits for it.
    pub waiting: bool,
    /// Why the last one did not arrive; null where it did.
    pub failed: Option<String>,
    /// Since when none does, in ISO 8601.
    pub failed_since: Option<String>,
    /// How often it was tried since.
    pub tries: u32,
    /// When the last one arrived, in ISO 8601.
    pub arrived: Option<String>,
}

impl AlertStatus {
    /// Ways by which nothing arrives.
    pub fn broken(&self) -> impl Iterator<Item = &WayStatus> {
        self.ways.iter().filter(|way| way.failed.is_some())
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
