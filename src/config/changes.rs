//! What differs between two readings of the settings, and what a running service needs for it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Settings, Table};

/// The settings that differ, by their keys, in the order of the contract; a table that came or went by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// They count at once, in the session that streams.
    pub at_once: Vec<String>,
    /// They count for the next session, which may begin at any time.
    pub by_session: Vec<String>,
    /// They count when the program is started anew: it has what they name in its hands, or is known by it.
    pub by_restart: Vec<String>,
}

/// Schedules and limits, which nothing depends on that a session has begun.
const AT_ONCE: [&str; 10] = [
    "forward.batch_rows",
    "forward.batch_bytes",
    "forward.batch_wait",
    "forward.wal_held_max",
    "forward.wal_held_drop",
    "reverse.every",
    "reverse.then",
    "heartbeat.every",
    "verify.every",
    "listen.http",
];
/// Who we are to both databases, and a log that is open.
const BY_RESTART: [&str; 6] = [
    "replicator",
    "forward.slot",
    "forward.publication",
    "log.format",
    "log.file",
    "log.keep",
];

impl Changes {
    /// Nothing differs.
    pub fn is_empty(&self) -> bool {
        self.at_once.is_empty() && self.by_session.is_empty() && self.by_restart.is_empty()
    }

    /// What doesn't need the program to be started anew.
    pub fn taken_up(&self) -> Vec<String> {
        let all = self.at_once.iter().chain(&self.by_session);
        all.cloned().collect()
    }

    fn add(&mut self, key: &str) {
        let list = match key {
            key if AT_ONCE.contains(&key) => &mut self.at_once,
            key if key.starts_with("alert.") || key.starts_with("refill.") => &mut self.at_once,
            key if BY_RESTART.contains(&key) => &mut self.by_restart,
            // Also what nobody thought of here.
            _ => &mut self.by_session,
        };
        list.push(key.to_owned());
    }
}

impl Settings {
    /// What differs in a later reading.
    pub fn changes(&self, later: &Settings) -> Changes {
        let mut changes = Changes::default();
        let of_table = |key: &str| key.starts_with("table.");
        let parts = refill_parts(self, later);
        let of_part = |key: &str| parts.iter().any(|(prefix, _)| key.starts_with(prefix));
        let keys = differing(self, later).into_iter();
        for key in keys.filter(|key| !of_table(key) && !of_part(key)) {
            changes.add(&key);
        }
        for (_, said) in &parts {
            changes.add(said);
        }
        // What no row shows: a password, or the file in which it stood.
        for (name, differs) in [
            ("desktop", self.desktop != later.desktop),
            ("cloud", self.cloud != later.cloud),
        ] {
            let section = format!("{name}.");
            let said = |keys: &[String]| keys.iter().any(|key| key.starts_with(&section));
            if differs && !said(&changes.by_session) {
                changes.add(&format!("{name}.password"));
            }
        }
        let (was, now) = (&self.alert, &later.alert);
        for (key, section, differs) in [
            ("alert.mail.password", "alert.mail.", was.mail != now.mail),
            (
                "alert.webhook.url",
                "alert.webhook.",
                was.webhook != now.webhook,
            ),
        ] {
            let said = changes.at_once.iter().any(|said| said.starts_with(section));
            if differs && !said {
                changes.add(key);
            }
        }
        self.tables_changed(later, &mut changes);
        changes
    }

    fn tables_changed(&self, later: &Settings, changes: &mut Changes) {
        let all = differing(self, later);
        for table in &later.tables {
            let Some(was) = self.table(&table.name) else {
                changes
                    .by_session
                    .push(format!("table.{} (new)", table.name));
                continue;
            };
            if is_same(was, table) {
                continue;
            }
            let swap_alone = Table {
                swap: table.swap,
                ..was.clone()
            };
            if is_same(&swap_alone, table) {
                changes.at_once.push(format!("table.{}.swap", table.name));
                continue;
            }
            let prefix = format!("table.{}.", table.name);
            let its = all.iter().filter(|key| key.starts_with(&prefix));
            let before = changes.by_session.len();
            changes.by_session.extend(its.cloned());
            if changes.by_session.len() == before {
                changes.by_session.push(format!("table.{}", table.name));
            }
        }
        let gone = { self.tables.iter() }.filter(|table| later.table(&table.name).is_none());
        let gone = gone.map(|table| format!("table.{} (removed)", table.name));
        changes.by_session.extend(gone);
        let mut seen = BTreeSet::new();
        changes.by_session.retain(|key| seen.insert(key.clone()));
    }

    /// A table by its name.
    fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// This reading as far as it counts without a new start of the program that began with `first`.
    #[must_use]
    pub fn holding(mut self, first: &Settings) -> Settings {
        self.replicator.clone_from(&first.replicator);
        self.forward.slot.clone_from(&first.forward.slot);
        self.forward
            .publication
            .clone_from(&first.forward.publication);
        self.log.clone_from(&first.log);
        // Asked the next time, they still differ.
        let held = |key: &str| BY_RESTART.contains(&key);
        for row in self.rows.iter_mut().filter(|row| held(&row.key)) {
            if let Some(first) = first.rows.iter().find(|first| first.key == row.key) {
                row.clone_from(first);
            }
        }
        self
    }
}

/// The keys whose values differ, in the order of the later reading; then those that it doesn't have.
fn differing(before: &Settings, later: &Settings) -> Vec<String> {
    let values = |settings: &Settings| -> BTreeMap<String, String> {
        let rows = settings.rows.iter();
        rows.map(|row| (row.key.clone(), row.value.clone()))
            .collect()
    };
    let (old, new) = (values(before), values(later));
    let changed = { later.rows.iter() }
        .filter(|row| old.get(&row.key) != Some(&row.value))
        .map(|row| row.key.clone());
    let gone = { before.rows.iter() }
        .filter(|row| !new.contains_key(&row.key))
        .map(|row| row.key.clone());
    changed.chain(gone).collect()
}

/// The parts of the refill that only one of the readings has: how their keys begin, and what is said of them at once.
fn refill_parts(before: &Settings, later: &Settings) -> Vec<(String, String)> {
    let of = |settings: &Settings| -> BTreeSet<String> {
        let rows = settings.rows.iter();
        let key = |key: &str| {
            Some(
                key.strip_prefix("refill.")?
                    .strip_suffix(".sql")?
                    .to_owned(),
            )
        };
        rows.filter_map(|row| key(&row.key)).collect()
    };
    let (old, new) = (of(before), of(later));
    let came = new.difference(&old).map(|name| (name, "new"));
    let gone = old.difference(&new).map(|name| (name, "removed"));
    let said = |(name, what): (&String, &str)| {
        (format!("refill.{name}."), format!("refill.{name} ({what})"))
    };
    came.chain(gone).map(said).collect()
}

/// Wherever it stands in the file.
fn is_same(one: &Table, other: &Table) -> bool {
    let here = Table {
        line: one.line,
        ..other.clone()
    };
    *one == here
}
