//! The office's refill: statements of the desktop that fill tables from views, each run by the clock, or also when what it
//! reads has changed. One runs at a time, in the order of the settings where several are due, so that they never wait for one
//! another's rows. Tables that don't stream are swapped behind them. What the cloud owns of their rows stays as it is: it is
//! given back in the same transaction.

mod run;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch as settings;
use tokio::time::sleep_until;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::watch::{Before, Eye, Watch, Why};
use crate::config::{Endpoint, Refill, When};
use crate::fault::{Fault, Side};
use crate::flows::resumable::Resumable;
use crate::limits;
use crate::model::Tables;

/// Runs its parts again and again, never two at once.
pub(in crate::flows::forward) struct Refiller {
    /// Tells the turn that waits of other settings.
    settings: settings::Sender<Vec<Refill>>,
    /// What runs next; none while it waits or runs.
    turn: Option<Box<Turn>>,
    /// A turn that has begun.
    running: Resumable<'static, Turned>,
}

/// A part that was run, and what became of it.
type Done = (Refill, Ran);
/// A turn behind what it waited for.
type Turned = (Box<Turn>, Result<Option<Done>, Fault>);

/// What became of a run.
enum Ran {
    /// It took so long, and wrote so many rows, where that can be known.
    Well {
        why: Why,
        took: Duration,
        wrote: Option<i64>,
    },
    /// The desktop says why not.
    Failed(String),
    /// Another session has the lock.
    Elsewhere,
}

/// When a part ran last, and what was seen then.
#[derive(Clone, Debug, Default)]
pub struct LastRefill {
    /// So long ago; none when it never was.
    pub ago: Option<Duration>,
    /// The counters behind it, as the refiller wrote them.
    pub seen: Option<String>,
}

/// When each part ran for the last time, by its name; what is noted of others is forgotten.
///
/// # Errors
/// When the desktop can't be asked.
pub async fn last_refills(
    desktop: &Client,
    replicator: &str,
    refills: &[Refill],
) -> Result<BTreeMap<String, LastRefill>, Fault> {
    let names: Vec<_> = refills.iter().map(|refill| refill.name.as_str()).collect();
    let sql = "with gone as (delete from tandem.refill where replicator = $1 and name <> all ($2))
        select (greatest(0, extract(epoch from clock_timestamp() - started_at)) * 1000)::bigint,
          seen::text, name
        from tandem.refill
        where replicator = $1 and name = any ($2)";
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&replicator, Type::TEXT), (&names, Type::TEXT_ARRAY)];
    let rows = Side::Desktop.query(desktop, sql, &params).await?;
    let last = |row: &tokio_postgres::Row| LastRefill {
        ago: Some(Duration::from_millis(row.get::<_, i64>(0).unsigned_abs())),
        seen: row.get(1),
    };
    Ok(rows.iter().map(|row| (row.get(2), last(row))).collect())
}

impl Refiller {
    /// `last`: when each part was run for the last time.
    pub(in crate::flows::forward) fn new(
        desktop: &Endpoint,
        replicator: &str,
        (refills, tables): (Vec<Refill>, Arc<Tables>),
        last: &BTreeMap<String, LastRefill>,
    ) -> Refiller {
        let none = LastRefill::default();
        let parts = refills.iter();
        let parts = parts.map(|refill| Part::new(refill, last.get(&refill.name).unwrap_or(&none)));
        let parts = parts.collect();
        let settings = settings::Sender::new(refills);
        let turn = Turn {
            eye: Eye::new(desktop),
            desktop: desktop.clone(),
            replicator: replicator.to_owned(),
            settings: settings.subscribe(),
            tables,
            parts,
            next: 0,
        };
        Refiller {
            settings,
            turn: Some(Box::new(turn)),
            running: Resumable::idle(),
        }
    }

    /// Takes up other settings; a run that has begun ends as it is.
    pub(in crate::flows::forward) fn adjust(&self, refills: Vec<Refill>) {
        self.settings.send_replace(refills);
    }

    /// Waits until a part was run; never without one. Says which tables it may have filled, all where none is named; none
    /// where it filled nothing. Safe to cancel.
    ///
    /// # Errors
    /// When the desktop can't be reached.
    pub(in crate::flows::forward) async fn run(&mut self) -> Result<Option<Refill>, Fault> {
        loop {
            if self.running.is_idle() {
                let Some(mut turn) = self.turn.take() else {
                    return std::future::pending().await;
                };
                self.running.begin(async move {
                    let ran = turn.once().await;
                    (turn, ran)
                });
            }
            let (turn, ran) = self.running.end().await;
            self.turn = Some(turn);
            // None: there were other settings.
            if let Some((refill, ran)) = ran? {
                return Ok(tell(&refill, ran).then_some(refill));
            }
        }
    }
}

/// Says what became of a run; true where it filled something.
fn tell(refill: &Refill, ran: Ran) -> bool {
    let name = refill.name.as_str();
    match ran {
        Ran::Well { why, took, wrote } => {
            let tables = why.changed().map(|tables| tables.join(", "));
            tracing::info!(
                refill = name,
                ms = took.as_millis() as u64,
                rows = wrote,
                why = why.word(),
                tables,
                "refilled"
            );
            // By the clock also what others wrote there goes to the cloud.
            matches!(why, Why::Clock) || wrote != Some(0)
        }
        Ran::Failed(why) => {
            tracing::error!(
                refill = name,
                why,
                "the refill failed; it is run again when it is due"
            );
            false
        }
        Ran::Elsewhere => {
            tracing::info!(
                refill = name,
                "another session runs the refill; this turn is left out"
            );
            false
        }
    }
}

/// One run after the other.
struct Turn {
    desktop: Endpoint,
    replicator: String,
    /// Tells of other ones.
    settings: settings::Receiver<Vec<Refill>>,
    tables: Arc<Tables>,
    eye: Eye,
    parts: Vec<Part>,
    /// The part behind the one that ran last: from it on the first that is due is the next, so that none waits for ever.
    next: usize,
}

/// One statement of several.
struct Part {
    refill: Refill,
    /// What it reads, where a change makes it run.
    watch: Option<Watch>,
    /// It runs then by the clock...
    due: Instant,
    /// ...and not before that because of a change.
    rest: Instant,
    /// It failed so often since it last went well.
    failures: u32,
    /// The statement ends its own transactions.
    ends_itself: bool,
}

impl Part {
    fn new(refill: &Refill, last: &LastRefill) -> Part {
        let ago = last.ago;
        let wait = ago.map_or(Duration::ZERO, |ago| refill.every.saturating_sub(ago));
        let now = Instant::now();
        Part {
            refill: refill.clone(),
            watch: watch(refill, last.seen.as_deref()),
            due: now + wait,
            rest: now,
            failures: 0,
            ends_itself: false,
        }
    }

    /// The same part with what the settings say now.
    fn adjust(&mut self, refill: &Refill) {
        let was = std::mem::replace(&mut self.refill, refill.clone());
        let is = &self.refill;
        if was.every != is.every {
            let now = Instant::now();
            let last = self.due.checked_sub(was.every).unwrap_or(now);
            self.due = (last + is.every).max(now);
        }
        if (&was.sql, was.when, &was.watch) != (&is.sql, is.when, &is.watch) {
            self.watch = watch(is, None);
        }
    }

    /// Why it is to run now.
    fn due(&self, now: Instant) -> Option<Why> {
        if now >= self.due {
            return Some(Why::Clock);
        }
        let why = self.watch.as_ref()?.why()?;
        (now >= self.rest).then_some(match why {
            Why::Start if self.failures > 0 => Why::Again,
            why => why,
        })
    }

    /// When it may be due, as far as that is known.
    fn wakes(&self) -> Instant {
        let changed = self
            .watch
            .as_ref()
            .is_some_and(|watch| watch.why().is_some());
        if changed {
            self.due.min(self.rest)
        } else {
            self.due
        }
    }

    /// It ran, from `began` until now.
    fn ran(&mut self, began: Instant, ran: &Ran) {
        let took = began.elapsed();
        self.failures = match ran {
            Ran::Failed(_) => (self.failures + 1).min(limits::REFILL_DOUBLES),
            Ran::Well { .. } => 0,
            Ran::Elsewhere => self.failures,
        };
        // The desktop's time is the office's: it rests as long as it worked.
        let rest = self.refill.min_every.max(took) * (1 << self.failures);
        self.rest = Instant::now() + rest.min(self.refill.every);
    }
}

/// What it reads, where a change is to make it run.
fn watch(refill: &Refill, seen: Option<&str>) -> Option<Watch> {
    (refill.when == When::Changed).then(|| Watch::new(refill, seen))
}

impl Turn {
    /// Takes up what the settings say now: parts are known by their names.
    fn adjust(&mut self) {
        let refills = self.settings.borrow_and_update().clone();
        let mut had = std::mem::take(&mut self.parts);
        for refill in &refills {
            let at = had.iter().position(|part| part.refill.name == refill.name);
            self.parts.push(match at.map(|at| had.swap_remove(at)) {
                Some(mut part) => {
                    part.adjust(refill);
                    part
                }
                None => Part::new(refill, &LastRefill::default()),
            });
        }
        self.next = 0;
    }

    /// Waits for the moment, and runs one part once; none where there are other settings.
    async fn once(&mut self) -> Result<Option<Done>, Fault> {
        let mut settings = self.settings.clone();
        let (at, why, before) = tokio::select! {
            biased;
            // Whoever would say so may be gone: then the same settings go on.
            Ok(()) = settings.changed() => {
                self.adjust();
                return Ok(None);
            }
            next = self.wait() => next?,
        };
        self.next = at + 1;
        let began = Instant::now();
        let ran = self.work(at, &why, before).await?;
        let part = &mut self.parts[at];
        part.due = began + part.refill.every;
        part.ran(began, &ran);
        Ok(Some((part.refill.clone(), ran)))
    }

    /// Waits until a part is due: says which, why, and with what it begins.
    async fn wait(&mut self) -> Result<(usize, Why, Before), Fault> {
        loop {
            let watches: Vec<_> = { self.parts.iter_mut() }
                .filter_map(|part| part.watch.as_mut())
                .collect();
            let looks = !watches.is_empty();
            if looks {
                self.eye.look(watches).await?;
            } else {
                self.eye.forget();
            }
            let now = Instant::now();
            let mut next = looks.then(|| now + self.eye.pause());
            if self.eye.is_settled() {
                let parts = self.parts.iter().enumerate();
                let mut parts: Vec<_> = parts.collect();
                let last = self.next.min(parts.len());
                parts.rotate_left(last);
                let due = parts
                    .iter()
                    .find_map(|(at, part)| Some((*at, part.due(now)?)));
                if let Some((at, why)) = due {
                    let before = match &self.parts[at].watch {
                        Some(watch) => self.eye.before(watch).await?,
                        None => Before::default(),
                    };
                    return Ok((at, why, before));
                }
                let wakes = self.parts.iter().map(Part::wakes);
                next = wakes.chain(next).min();
            }
            match next {
                Some(next) => sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        }
    }
}
