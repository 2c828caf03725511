//! Settings that are read again while sessions run: what counts now, and who has to hear of it.
//!
//! Schedules and limits go to the session that streams ([`News`]). All else begins a new session, and until that one has
//! streamed the settings before it are kept, to go back to: a bad file never stops a good service.

use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{Notify, watch};

use crate::catalog::Facts;
use crate::config::{Settings, Sources};

/// The settings that count, shared by everything that runs. Clones are one and the same.
#[derive(Clone)]
pub struct Reloads(Arc<Shared>);

struct Shared {
    current: watch::Sender<Option<Current>>,
    /// From where they are read again.
    sources: OnceLock<Sources>,
    /// Somebody on this computer wants them read again.
    told: Notify,
    /// Somebody asked for it in the cloud.
    asked: Notify,
    /// The number of settings that the session at hand began with.
    serving: AtomicU64,
    leads: AtomicBool,
    /// It led before.
    led: AtomicBool,
    streams: AtomicBool,
    /// The stream has something that the cloud doesn't have: who asks may be behind it.
    behind: AtomicBool,
    /// The desktop and the cloud that are served.
    sides: Mutex<Option<(Facts, Facts)>>,
}

#[derive(Clone)]
struct Current {
    settings: Arc<Settings>,
    /// A session that began with another number has to end.
    number: u64,
    /// To these it goes back if no session can begin; none once one has streamed.
    before: Option<Arc<Settings>>,
    /// Why the last ones were given up.
    refused: Option<String>,
}

/// What became of settings that wanted a new session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It streams.
    Streams,
    /// It could not begin, and the settings before are back.
    Refused(String),
}

impl Default for Reloads {
    fn default() -> Reloads {
        Reloads(Arc::new(Shared {
            current: watch::channel(None).0,
            sources: OnceLock::new(),
            told: Notify::new(),
            asked: Notify::new(),
            serving: AtomicU64::new(0),
            leads: AtomicBool::new(false),
            led: AtomicBool::new(false),
            streams: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            sides: Mutex::new(None),
        }))
    }
}

/// The sources hold the whole environment.
impl fmt::Debug for Reloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloads").finish_non_exhaustive()
    }
}

impl Reloads {
    /// Settings that are read again from there when somebody wants it.
    pub fn reading(sources: Sources) -> Reloads {
        let reloads = Reloads::default();
        let _ = reloads.0.sources.set(sources);
        reloads
    }

    /// From where they are read again; none where nobody may.
    pub fn sources(&self) -> Option<&Sources> {
        self.0.sources.get()
    }

    /// The settings at the start.
    pub fn begin(&self, settings: &Settings) {
        self.0.current.send_replace(Some(Current {
            settings: Arc::new(settings.clone()),
            number: 0,
            before: None,
            refused: None,
        }));
    }

    /// Schedules and limits changed: the session goes on.
    pub fn adjust(&self, settings: Arc<Settings>) {
        self.change(|current| current.settings = settings);
    }

    /// A new session takes them up. Answers by which number [`Reloads::tried`] knows them.
    pub fn renew(&self, settings: Arc<Settings>) -> u64 {
        let mut number = 0;
        self.change(|current| {
            let before = std::mem::replace(&mut current.settings, settings);
            current.before.get_or_insert(before);
            current.number += 1;
            current.refused = None;
            number = current.number;
        });
        number
    }

    /// No session can begin with them, so those before count again; false where there are none.
    pub fn go_back(&self, why: &str) -> bool {
        let mut went = false;
        self.change(|current| {
            if let Some(before) = current.before.take() {
                current.settings = before;
                current.number += 1;
                current.refused = Some(why.to_owned());
                went = true;
            }
        });
        went
    }

    /// Whether a session that can't begin is no reason to stop.
    pub fn can_go_back(&self) -> bool {
        let current = self.0.current.borrow();
        { current.as_ref() }.is_some_and(|current| current.before.is_some())
    }

    fn change(&self, how: impl FnOnce(&mut Current)) {
        self.0.current.send_modify(|current| {
            if let Some(current) = current {
                how(current);
            }
        });
    }

    /// The settings that count now; none before the start.
    pub fn settings(&self) -> Option<Arc<Settings>> {
        let current = self.0.current.borrow();
        current.as_ref().map(|current| current.settings.clone())
    }

    /// The settings for a session that begins now.
    pub fn take_up(&self) -> Option<Arc<Settings>> {
        let current = self.0.current.borrow();
        let current = current.as_ref()?;
        self.0.serving.store(current.number, Ordering::Relaxed);
        Some(current.settings.clone())
    }

    /// Returns when the session at hand has to end, since there are others for the next one. Safe to cancel.
    pub async fn outdated(&self) {
        let mut news = self.0.current.subscribe();
        let other = |current: &Option<Current>| {
            let serving = self.0.serving.load(Ordering::Relaxed);
            { current.as_ref() }.is_some_and(|current| current.number != serving)
        };
        if news.wait_for(other).await.is_err() {
            pending().await
        }
    }

    /// Whether it has to.
    pub fn is_outdated(&self) -> bool {
        let serving = self.0.serving.load(Ordering::Relaxed);
        let current = self.0.current.borrow();
        { current.as_ref() }.is_some_and(|current| current.number != serving)
    }

    /// The session at hand streams: there is no way back from its settings.
    pub fn streams(&self) {
        self.0.streams.store(true, Ordering::Relaxed);
        let serving = self.0.serving.load(Ordering::Relaxed);
        self.change(|current| {
            if current.number == serving {
                current.before = None;
            }
        });
    }

    /// It has ended.
    pub fn rests(&self) {
        self.0.streams.store(false, Ordering::Relaxed);
    }

    /// Whether it is ours to answer who asks in the cloud, and who is served; none: it isn't. True for the first time that it
    /// is.
    pub fn leads(&self, sides: Option<(&Facts, &Facts)>) -> bool {
        self.0.leads.store(sides.is_some(), Ordering::Relaxed);
        let Some((desktop, cloud)) = sides else {
            return false;
        };
        let mut known = self.0.sides.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((desktop.clone(), cloud.clone()));
        !self.0.led.swap(true, Ordering::Relaxed)
    }

    /// Whether the stream has something that the cloud doesn't have.
    pub fn note_behind(&self, behind: bool) {
        self.0.behind.store(behind, Ordering::Relaxed);
    }

    /// Whether it had when it said so last.
    pub fn is_behind(&self) -> bool {
        self.0.behind.load(Ordering::Relaxed)
    }

    /// Whether a session streams, which hears of who asks.
    pub fn is_streaming(&self) -> bool {
        self.0.streams.load(Ordering::Relaxed)
    }

    /// Whether the lease is ours.
    pub fn is_leading(&self) -> bool {
        self.0.leads.load(Ordering::Relaxed)
    }

    /// The desktop and the cloud that were served last.
    pub fn sides(&self) -> Option<(Facts, Facts)> {
        let sides = self.0.sides.lock();
        sides.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What became of the settings with this number. Safe to cancel.
    pub async fn tried(&self, number: u64) -> Tried {
        let mut news = self.0.current.subscribe();
        let decided = |current: &Option<Current>| {
            { current.as_ref() }
                .is_some_and(|current| current.number != number || current.before.is_none())
        };
        let Ok(current) = news.wait_for(decided).await else {
            return pending().await;
        };
        match current.as_ref().and_then(|current| current.refused.clone()) {
            Some(why) => Tried::Refused(why),
            None => Tried::Streams,
        }
    }

    /// Wants them read again, for whoever is on this computer: a signal, a service manager.
    pub fn tell(&self) {
        self.0.told.notify_one();
    }

    /// Somebody has asked for it in the cloud.
    pub fn ask(&self) {
        self.0.asked.notify_one();
    }

    /// Waits until somebody on this computer wants it. Safe to cancel; what comes meanwhile is one more time.
    pub async fn told(&self) {
        self.0.told.notified().await;
    }

    /// Waits until somebody asked in the cloud, as [`Reloads::told`].
    pub async fn asked(&self) {
        self.0.asked.notified().await;
    }

    /// What changes from now on, and what counts already.
    pub fn news(&self) -> News {
        let mut current = self.0.current.subscribe();
        current.mark_changed();
        News(current)
    }
}

/// Settings as they change, for what goes on with them.
pub struct News(watch::Receiver<Option<Current>>);

impl News {
    /// The settings that count, first those of now. Safe to cancel.
    pub async fn next(&mut self) -> Arc<Settings> {
        loop {
            if self.0.changed().await.is_err() {
                return pending().await;
            }
            let current = self.0.borrow_and_update();
            if let Some(current) = current.as_ref() {
                return current.settings.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &std::path::Path, rows: u32) -> Settings {
        let text = format!(
            "[desktop]\nurl = \"postgres://a@d/x\"\n[cloud]\nurl = \"postgres://a@c/x\"\n[forward]\nbatch_rows = {rows}\n"
        );
        let file = folder.join(format!("tandem-reloads-{}-{rows}.toml", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let read = crate::config::load(&Sources {
            file: Some(file.clone()),
            ..Sources::default()
        });
        std::fs::remove_file(file).unwrap();
        read.unwrap()
    }

    #[tokio::test]
    async fn settings_that_no_session_can_begin_with_give_way_to_those_before() {
        let folder = std::env::temp_dir();
        let [one, two, three] = [1, 2, 3].map(|rows| settings(&folder, rows));
        let reloads = Reloads::default();
        reloads.begin(&one);
        let rows = |reloads: &Reloads| reloads.settings().unwrap().forward.batch_rows;
        reloads.take_up();
        reloads.streams();
        assert!(!reloads.is_outdated() && !reloads.go_back("the first ones are all there is"));
        // Two that nobody could begin with, one after the other: it goes back to what streamed.
        let first = reloads.renew(Arc::new(two.clone()));
        let second = reloads.renew(Arc::new(three.clone()));
        assert_ne!(first, second);
        reloads.outdated().await;
        assert_eq!(reloads.take_up().unwrap().forward.batch_rows, 3);
        assert!(!reloads.is_outdated() && reloads.can_go_back());
        assert!(reloads.go_back("no"));
        assert_eq!(reloads.tried(second).await, Tried::Refused("no".to_owned()));
        assert_eq!(rows(&reloads), 1);
        assert!(reloads.is_outdated() && !reloads.can_go_back());
        // One that streams.
        let third = reloads.renew(Arc::new(two));
        reloads.streams();
        assert!(
            reloads.can_go_back(),
            "it was the session before that streamed"
        );
        reloads.take_up();
        reloads.streams();
        assert_eq!(reloads.tried(third).await, Tried::Streams);
        assert!(!reloads.can_go_back());
        // What changes beside goes to whoever listens, once.
        let mut news = reloads.news();
        assert_eq!(news.next().await.forward.batch_rows, 2);
        reloads.adjust(Arc::new(three));
        assert_eq!(news.next().await.forward.batch_rows, 3);
        assert!(!reloads.is_outdated());
    }
}
