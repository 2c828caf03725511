//! Alerts of a running service: looks at the office again and again, remembers what people were told, and carries messages to
//! them, each way on its own, so that none holds up another or the looking. It works beside the sessions, and they never wait
//! for it.

mod assess;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Zoned;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_postgres::types::Type;

use crate::alert::{About, Condition, Keeper, Loaded, Memory, Way, send, ways};
use crate::config::{Settings, TimeOfDay};
use crate::fault::{Fault, Kind, Side};
use crate::flows::{News, Reloads};
use crate::limits;
use crate::observe::{KeptSlot, Observer, Status};
use crate::platform;

/// The service ends for a reason that doesn't pass; whoever sends it waits for the answer.
pub(super) struct LastWords {
    /// What people are told.
    what: Condition,
    /// Told as far as that goes.
    done: oneshot::Sender<()>,
}

/// Tells people that the service ends, if they are to be told. Waits for that, but not for long.
pub(super) async fn say_last_words(to: oneshot::Sender<LastWords>, fault: &Fault) {
    // Another one works on: nothing has stopped.
    if matches!(
        fault.kind,
        Kind::LeaseHeld | Kind::LeaseLost | Kind::Interrupted
    ) {
        return;
    }
    let (done, told) = oneshot::channel();
    let what = assess::of_end(fault);
    if to.send(LastWords { what, done }).is_ok() {
        let _ = timeout(limits::ALERT_LAST_MAX, told).await;
    }
}

/// Watches as long as it is polled, while the settings have anybody to tell. `leads`: this program isn't one that stands by.
pub(super) async fn watch(
    reloads: &Reloads,
    mut leads: bool,
    mut last_words: oneshot::Receiver<LastWords>,
) {
    let mut news = reloads.news();
    let mut settings = news.next().await;
    let mut memory = Memory::default();
    loop {
        let by = Settings::clone(&settings);
        let mut watch = Watch::new(&by, leads, std::mem::take(&mut memory));
        tokio::select! {
            () = watch.work(&mut last_words) => return,
            now = others(&mut news, &settings) => settings = now,
        }
        // What is on its way arrives, and isn't sent again.
        watch.land().await;
        (leads, memory) = (watch.leads, std::mem::take(&mut watch.memory));
    }
}

/// Settings that aren't those of now: what else is told of a session changes nothing here.
async fn others(news: &mut News, now: &Arc<Settings>) -> Arc<Settings> {
    loop {
        let next = news.next().await;
        if !Arc::ptr_eq(&next, now) {
            return next;
        }
    }
}

/// What came of carrying a message.
struct Carried {
    way: Way,
    number: u64,
    how: Result<(), String>,
}

struct Watch<'s> {
    settings: &'s Settings,
    ways: Vec<Way>,
    about: About,
    memory: Memory,
    keeper: Option<Keeper<'s>>,
    /// It was read from the databases.
    loaded: bool,
    /// Something of it isn't kept yet.
    unkept: bool,
    /// It is this program that does the work, not one for which it stands by.
    leads: bool,
    observer: Option<Observer>,
    /// Ways that carry something.
    busy: BTreeSet<Way>,
    carrying: JoinSet<Carried>,
}

impl<'s> Watch<'s> {
    fn new(settings: &'s Settings, leads: bool, memory: Memory) -> Watch<'s> {
        let database = &settings.desktop.endpoint.database;
        Watch {
            settings,
            ways: ways(&settings.alert),
            about: About {
                replicator: { settings.replicator.clone() }.unwrap_or_else(|| database.clone()),
                computer: platform::name(),
            },
            memory,
            keeper: None,
            loaded: false,
            unkept: false,
            leads,
            observer: None,
            busy: BTreeSet::new(),
            carrying: JoinSet::new(),
        }
    }

    async fn work(&mut self, last_words: &mut oneshot::Receiver<LastWords>) {
        let every = self.settings.alert.after / 4;
        let every = every.clamp(limits::ALERT_LOOK_MIN, limits::ALERT_LOOK_MAX);
        let mut looks = interval(every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watches = self.settings.alert.is_on();
        loop {
            tokio::select! {
                // Who would send them is gone with the service.
                last = &mut *last_words => match last {
                    Ok(last) => return self.stop(last).await,
                    Err(_) => return,
                },
                Some(carried) = self.carrying.join_next() => {
                    if let Ok(carried) = carried {
                        self.note(&carried);
                    }
                }
                _ = looks.tick(), if watches => self.look().await,
            }
            self.keep().await;
            self.carry();
        }
    }

    async fn look(&mut self) {
        let led = self.leads;
        let condition = self.condition().await;
        // Who took over takes up what the other one has told.
        if self.leads && (!self.loaded || !led) {
            self.load().await;
        }
        if !self.leads {
            return;
        }
        let (now, alert) = (now(), (&self.settings.alert, &self.about));
        let before = self.memory.clone();
        if self.memory.look(now, &condition, alert) {
            tracing::info!(
                verdict = condition.verdict,
                "people are told: {}",
                condition.headline
            );
        }
        let clock = Zoned::now();
        let today = clock.date().to_string();
        let time = TimeOfDay {
            hour: clock.hour(),
            minute: clock.minute(),
        };
        self.memory
            .summarize(now, (&today, time), &condition, alert);
        self.changed_since(&before);
    }

    /// How the office is.
    async fn condition(&mut self) -> Condition {
        let asked = async {
            let status = Observer::status_over(&mut self.observer, self.settings).await?;
            let refused = match &self.observer {
                Some(observer) => refused(observer).await?,
                None => Vec::new(),
            };
            Ok::<_, Fault>((status, refused))
        };
        let fault = match timeout(limits::ALERT_LOOK_PATIENCE, asked).await {
            Ok(Ok((mut status, refused))) => {
                self.recognize(&status);
                // What is known here is newer than what was kept.
                status.alert = Some(self.memory.status(&self.ways));
                return assess::of_status(&status, &refused, self.settings);
            }
            Ok(Err(fault)) => fault,
            Err(_) => Fault::new(Kind::Internal, "a side does not answer").next("tandem doctor"),
        };
        self.observer = None;
        let other = timeout(limits::ALERT_LOOK_PATIENCE, other_side(self.settings)).await;
        assess::of_fault(&fault, other.ok().flatten())
    }

    /// Learns whose state it is, and who does the work.
    fn recognize(&mut self, status: &Status) {
        if let Some(observer) = &self.observer {
            self.about.replicator = observer.replicator.clone();
        }
        if let Some(holder) = &status.service.holder {
            self.leads = *holder == platform::holder();
        }
    }

    async fn load(&mut self) {
        // A name that nobody chose is made of what the desktop says; until it does, nothing can be found.
        if self.settings.replicator.is_none() && self.observer.is_none() && self.keeper.is_none() {
            let connected = Observer::connect(self.settings);
            let Ok(Ok(observer)) = timeout(limits::ALERT_KEEP_MAX, connected).await else {
                return;
            };
            self.about.replicator = observer.replicator.clone();
            self.observer = Some(observer);
        }
        let name = self.about.replicator.clone();
        let keeper = self.keeper.insert(Keeper::new(self.settings, name));
        let Loaded { found, answered } = keeper.load().await;
        if let Some(found) = found.filter(|found| found.version >= self.memory.version) {
            self.memory = found;
            self.memory.resume(&self.ways);
        }
        // Where neither side answers it is tried again; where one does, the other one may lack what it has.
        self.loaded = answered > 0;
        self.unkept = answered < 2;
    }

    async fn keep(&mut self) {
        if let Some(keeper) = self.keeper.as_mut().filter(|_| self.unkept && self.leads) {
            self.unkept = !keeper.save(&self.memory).await;
        }
    }

    fn changed_since(&mut self, before: &Memory) {
        if self.memory.differs(before) {
            self.memory.version += 1;
            self.unkept = true;
        }
    }

    /// Starts carrying what is due, one message by each way at a time.
    fn carry(&mut self) {
        if !self.leads {
            return;
        }
        for way in self.ways.clone() {
            let Some((number, message)) = self.memory.due(way, now()) else {
                continue;
            };
            if !self.busy.insert(way) {
                continue;
            }
            let alert = self.settings.alert.clone();
            self.carrying.spawn(async move {
                let how = send(way, &alert, &message).await;
                Carried { way, number, how }
            });
        }
    }

    fn note(&mut self, carried: &Carried) {
        let before = self.memory.clone();
        let Carried { way, number, how } = carried;
        let way_word = way.word();
        self.busy.remove(way);
        match how {
            Ok(()) => {
                tracing::info!(way = way_word, "the message has arrived");
                self.memory.arrived(*way, *number, now());
            }
            Err(why) => {
                let next_ms = self.memory.failed(*way, why, now());
                tracing::error!(
                    way = way_word,
                    why,
                    next_ms,
                    "a message to people did not arrive; it is tried again; tandem alert test shows when it works"
                );
            }
        }
        self.changed_since(&before);
    }

    /// Tells people that the service ends, once by every way.
    async fn stop(&mut self, last: LastWords) {
        if self.leads && self.settings.alert.is_on() {
            if !self.loaded {
                self.load().await;
            }
            let before = self.memory.clone();
            self.memory
                .stopped(now(), &last.what, (&self.settings.alert, &self.about));
            self.changed_since(&before);
            self.keep().await;
            self.carry();
            self.land().await;
        }
        let _ = last.done.send(());
    }

    /// Waits for what is on its way, and keeps what came of it.
    async fn land(&mut self) {
        while let Some(carried) = self.carrying.join_next().await {
            if let Ok(carried) = carried {
                self.note(&carried);
            }
        }
        self.keep().await;
    }
}

/// Rows that wait in the quarantine, by what keeps them there.
async fn refused(observer: &Observer) -> Result<Vec<assess::Refused>, Fault> {
    let sql = r#"select "table", direction, sqlstate, count(*)
        from tandem.quarantine
        where replicator = $1
        group by 1, 2, 3
        order by 4 desc, 1, 2, 3"#;
    let client = &observer.cloud.client;
    if !crate::install::is_installed(client, Side::Cloud).await? {
        return Ok(Vec::new());
    }
    let rows = Side::Cloud
        .query(client, sql, &[(&observer.replicator, Type::TEXT)])
        .await?;
    let row = |row: &tokio_postgres::Row| assess::Refused {
        table: row.get(0),
        direction: row.get(1),
        sqlstate: row.get(2),
        rows: row.get(3),
    };
    Ok(rows.iter().map(row).collect())
}

/// What the side tells that answers.
async fn other_side(settings: &Settings) -> Option<String> {
    let (desktop, cloud) = tokio::join!(
        Observer::desktop_half(settings),
        Observer::cloud_half(settings)
    );
    match (desktop.map(|half| half.slot), cloud) {
        (Ok(Some(KeptSlot { held: Some(held), .. })), _) => Some(format!(
            "the desktop answers, and keeps {} MB of WAL for us",
            held >> 20
        )),
        (Ok(Some(KeptSlot { held: None, .. })), _) => Some(
            "the desktop answers; it no longer keeps what is missing in the cloud: the slot is lost".to_owned(),
        ),
        (Ok(None), _) => Some("the desktop answers; it has no slot for us".to_owned()),
        (Err(_), Ok(half)) => {
            let up_to = half.and_then(|half| half.up_to);
            let up_to = up_to.unwrap_or_else(|| "an unknown time".to_owned());
            Some(format!("the cloud answers, and has everything up to {up_to}"))
        }
        (Err(_), Err(_)) => Some("neither side answers".to_owned()),
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or(Duration::ZERO).as_millis();
    i64::try_from(since).unwrap_or(i64::MAX)
}
