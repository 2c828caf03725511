//! Both sides and the settings checked, in order of dependency; nothing is changed. What can't be known because something
//! before it failed is skipped.

mod between;
mod cloud;
mod desktop;
mod disk;
mod encoding;
mod office;
mod publication;
mod role;
mod schema;
mod slots;
mod way;

use serde::Serialize;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use crate::config::Settings;
use crate::fault::{Fault, Side};
use crate::plan::quote::table as qualified;
use crate::wire::control::{self, Control};

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
struct Report {
    checks: Vec<Check>,
}

/// Something that is wrong with one thing: what, and what mends it.
struct Wrong {
    what: String,
    fix: Option<String>,
    /// The thing, where the same may be wrong with many.
    of: Option<String>,
}

impl Wrong {
    fn new(what: impl Into<String>, fix: impl Into<String>) -> Wrong {
        Wrong {
            what: what.into(),
            fix: Some(fix.into()),
            of: None,
        }
    }

    /// What there is to say where nothing is wrong.
    fn nothing(what: String) -> Wrong {
        Wrong {
            what,
            fix: None,
            of: None,
        }
    }

    /// The same may be wrong with others, and is said once then. `name` stands in the words.
    fn of(self, name: &str) -> Wrong {
        let of = Some(name.to_owned());
        Wrong { of, ..self }
    }
}

impl Report {
    fn push(&mut self, id: &'static str, outcome: CheckOutcome, wrong: Wrong, why: Option<&str>) {
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

    fn ok(&mut self, id: &'static str, what: impl Into<String>) {
        self.push(id, CheckOutcome::Ok, Wrong::nothing(what.into()), None);
    }

    fn warn(&mut self, id: &'static str, why: &str, wrong: Wrong) {
        self.push(id, CheckOutcome::Warn, wrong, Some(why));
    }

    fn fail(&mut self, id: &'static str, why: &str, wrong: Wrong) {
        self.push(id, CheckOutcome::Fail, wrong, Some(why));
    }

    /// One check for each thing that is wrong; one that is fine where none is.
    fn each(
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

    fn has(&self, id: &str) -> bool {
        self.checks.iter().any(|check| check.id == id)
    }

    /// What can't be known from here.
    fn skip(&mut self, id: &'static str, what: String) {
        self.push(id, CheckOutcome::Skipped, Wrong::nothing(what), None);
    }

    /// Everything that wasn't reached.
    fn skip_the_rest(&mut self) {
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
fn place(id: &str) -> usize {
    let known = CHECK_IDS.iter().position(|known| *known == id);
    known.unwrap_or_default()
}

/// Checks everything. What a server refuses to tell is a failed check, no error.
pub async fn doctor(settings: &Settings) -> Vec<Check> {
    let mut report = Report::default();
    let desktop = connect(settings, Side::Desktop, &mut report).await;
    if let Some(desktop) = &desktop {
        let checked = desktop::check(settings, &desktop.client, &mut report).await;
        note(checked, &mut report, "desktop_version");
    }
    let cloud = connect(settings, Side::Cloud, &mut report).await;
    if let Some(cloud) = &cloud {
        let checked = cloud::check(settings, &cloud.client, &mut report).await;
        note(checked, &mut report, "cloud_version");
        way::check(settings, &mut report).await;
    }
    if let (Some(desktop), Some(cloud)) = (&desktop, &cloud) {
        let checked = between::check(settings, (&desktop.client, &cloud.client), &mut report).await;
        note(checked, &mut report, "mapping");
    }
    report.skip_the_rest();
    report.checks.sort_by_key(|check| place(check.id));
    report.checks
}

async fn connect(settings: &Settings, side: Side, report: &mut Report) -> Option<Control> {
    let (endpoint, id) = match side {
        Side::Desktop => (&settings.desktop.endpoint, "desktop_reachable"),
        Side::Cloud => (&settings.cloud.endpoint, "cloud_reachable"),
    };
    let since = std::time::Instant::now();
    match control::connect(endpoint).await {
        Ok(control) => {
            report.ok(
                id,
                format!(
                    "the {side} is reachable, {} ms",
                    since.elapsed().as_millis()
                ),
            );
            Some(control)
        }
        Err(error) => {
            let fault = Fault::wire(side, &error);
            let why = format!("nothing of the {side} can be checked");
            let fix = fault.hint.clone().unwrap_or_else(|| {
                format!("check {side}.url and {side}.password, and that the server runs")
            });
            report.fail(id, &why, Wrong::new(fault.to_string(), fix));
            None
        }
    }
}

async fn rows(
    (client, side): (&Client, Side),
    sql: &str,
    params: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Vec<Row>, Fault> {
    side.query(client, sql, params).await
}

/// Tables that a crash empties: the desktop's log doesn't carry them, and the cloud would lose what it had.
async fn logged(
    on: (&Client, Side),
    id: &'static str,
    tables: &[String],
    report: &mut Report,
) -> Result<(), Fault> {
    let sql = "select w.name
        from unnest($1::text[]) as w(name)
        join pg_class c on c.oid = to_regclass(w.name)
        where c.relpersistence = 'u'";
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&tables, Type::TEXT_ARRAY)];
    let found = rows(on, sql, &params).await?;
    let unlogged = found.iter().map(|row| {
        let name: String = row.get(0);
        let fix = format!("ALTER TABLE {name} SET LOGGED;");
        Wrong::new(format!("{name} is unlogged on the {}", on.1), fix).of(&name)
    });
    let (why, outcome) = match on.1 {
        Side::Desktop => (
            "its changes don't stand in the log, so they can't be read",
            CheckOutcome::Fail,
        ),
        Side::Cloud => (
            "a crash of the cloud empties it, and nobody notices before the next comparison",
            CheckOutcome::Warn,
        ),
    };
    report.each(
        id,
        "all tables survive a crash",
        why,
        outcome,
        unlogged.collect(),
    );
    Ok(())
}

/// The settings' tables on the desktop, quoted.
fn desktop_tables(settings: &Settings) -> Vec<String> {
    let tables = settings.tables.iter();
    tables
        .map(|table| qualified(&table.desktop_name()))
        .collect()
}

/// The settings' tables in the cloud, quoted.
fn cloud_tables(settings: &Settings) -> Vec<String> {
    let tables = settings.tables.iter();
    tables.map(|table| qualified(&table.cloud_name())).collect()
}

/// A query that failed ends the checks of its side.
fn note(checked: Result<(), Fault>, report: &mut Report, id: &'static str) {
    if let Err(fault) = checked {
        let wrong = Wrong {
            what: fault.to_string(),
            fix: fault.hint.clone(),
            of: None,
        };
        report.fail(id, "the checks behind this one could not be made", wrong);
    }
}
