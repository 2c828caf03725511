//! What was checked, and what came of it.

use serde::Serialize;

/// All checks, in the order in which they are made.
pub const CHECK_IDS: [&str; 69] = [
    // The desktop's server.
    "desktop_reachable",
    "desktop_version",
    "desktop_is_primary",
    "desktop_is_writable",
    "desktop_encoding",
    "wal_level",
    "may_replicate",
    "slot",
    "slots_free",
    "senders_free",
    "wal_limit",
    "wal_limit_size",
    "slot_timeout",
    "sender_timeout",
    "wal_held",
    "other_slots",
    "long_transaction",
    "fsync",
    "desktop_timeouts",
    "desktop_disk",
    "desktop_may_create",
    "desktop_state",
    "publication",
    "update_would_fail",
    "publication_filter",
    // The desktop's tables.
    "desktop_may_read",
    "desktop_may_publish",
    "desktop_row_security",
    "desktop_logged",
    "home_may_write",
    // What the settings let it run.
    "refill_statement",
    "then_statement",
    "refill_watch",
    "loud_refill",
    // The cloud's server.
    "cloud_reachable",
    "cloud_version",
    "cloud_is_writable",
    "cloud_encoding",
    "cloud_address",
    "tls",
    "pooler",
    "pooler_pipelines",
    "cloud_timeouts",
    "cloud_connections",
    "cloud_may_create",
    "cloud_state",
    "schema_exposed",
    // The cloud's tables.
    "cloud_may_write",
    "cloud_may_use_sequence",
    "cloud_may_trigger",
    "cloud_row_security",
    "cloud_logged",
    "rewriting_trigger",
    "watch_disabled",
    "fk_action",
    // Between them.
    "clock_skew",
    "cloud_disk",
    "tables_exist",
    "columns_fit",
    "types_fit",
    "lengths_fit",
    "empty_refused",
    "keys_exist",
    "mapping",
    "key_unique",
    "key_index",
    "parent_not_configured",
    "orphans",
    "quarantine",
];

/// What is said of a check that something before it kept from being made.
pub const NOT_REACHED: &str = "not checked: something before it failed";

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// Fine.
    Ok,
    /// It works, but somebody should know.
    Warn,
    /// It doesn't work.
    Fail,
    /// Something before it failed.
    Skipped,
}

/// One check of the `doctor` document; source: the contract.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// One of [`CHECK_IDS`].
    pub id: &'static str,
    /// `desktop`, `cloud` or `both`.
    pub side: &'static str,
    /// What it came to.
    pub outcome: CheckOutcome,
    /// What was found.
    pub what: String,
    /// Why that matters.
    pub why: Option<String>,
    /// A statement to paste, or a command.
    pub fix: Option<String>,
    /// What it is about, where the same may be true of many: its name stands in `what`.
    #[serde(skip)]
    pub of: Option<String>,
}

impl Check {
    /// The words around the name of what it is about, so that the same can be said of several at once.
    pub fn around(&self) -> Option<(&str, &str)> {
        self.what.split_once(self.of.as_deref()?)
    }
}

/// Checks, as they are made.
#[derive(Default)]
pub(super) struct Report {
    pub(super) checks: Vec<Check>,
}

/// Something that is wrong with one thing: what, and what mends it.
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) fix: Option<String>,
    /// The thing, where the same may be wrong with many.
    pub(super) of: Option<String>,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, fix: impl Into<String>) -> Wrong {
        Wrong {
            what: what.into(),
            fix: Some(fix.into()),
            of: None,
        }
    }

    /// What there is to say where nothing is wrong.
    pub(super) fn nothing(what: String) -> Wrong {
        Wrong {
            what,
            fix: None,
            of: None,
        }
    }

    /// The same may be wrong with others, and is said once then. `name` stands in the words.
    pub(super) fn of(self, name: &str) -> Wrong {
        let of = Some(name.to_owned());
        Wrong { of, ..self }
    }
}

impl Report {
    pub(super) fn push(
        &mut self,
        id: &'static str,
        outcome: CheckOutcome,
        wrong: Wrong,
        why: Option<&str>,
    ) {
        debug_assert!(CHECK_IDS.contains(&id), "{id}");
        self.checks.push(Check {
            id,
            side: side_of(id),
            outcome,
            what: wrong.what,
            why: why.map(str::to_owned),
            fix: wrong.fix,
            of: wrong.of,
        });
    }

    pub(super) fn ok(&mut self, id: &'static str, what: impl Into<String>) {
        self.push(id, CheckOutcome::Ok, Wrong::nothing(what.into()), None);
    }

    pub(super) fn warn(&mut self, id: &'static str, why: &str, wrong: Wrong) {
        self.push(id, CheckOutcome::Warn, wrong, Some(why));
    }

    pub(super) fn fail(&mut self, id: &'static str, why: &str, wrong: Wrong) {
        self.push(id, CheckOutcome::Fail, wrong, Some(why));
    }

    /// One check for each thing that is wrong; one that is fine where none is.
    pub(super) fn each(
        &mut self,
        id: &'static str,
        fine: &str,
        why: &str,
        outcome: CheckOutcome,
        wrong: Vec<Wrong>,
    ) {
        if wrong.is_empty() {
            self.ok(id, fine);
        }
        for wrong in wrong {
            self.push(id, outcome, wrong, Some(why));
        }
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.checks.iter().any(|check| check.id == id)
    }

    /// What can't be known from here.
    pub(super) fn skip(&mut self, id: &'static str, what: String) {
        self.push(id, CheckOutcome::Skipped, Wrong::nothing(what), None);
    }

    /// Everything that wasn't reached.
    pub(super) fn skip_the_rest(&mut self) {
        let left: Vec<_> = { CHECK_IDS.iter() }.filter(|id| !self.has(id)).collect();
        for id in left {
            let what = NOT_REACHED.to_owned();
            self.skip(id, what);
        }
    }
}

fn side_of(id: &str) -> &'static str {
    match place(id) {
        at if at < place("cloud_reachable") => "desktop",
        at if at < place("clock_skew") => "cloud",
        _ => "both",
    }
}

/// Where a check stands among all.
pub(super) fn place(id: &str) -> usize {
    let known = CHECK_IDS.iter().position(|known| *known == id);
    known.unwrap_or_default()
}
