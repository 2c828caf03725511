//! What is wrong with an office, in words that may leave the house: names of tables, counts and what servers say of them, no
//! values of rows (P16). Pure.

use crate::alert::{Condition, Trouble, Way};
use crate::config::Settings;
use crate::fault::Fault;
use crate::limits;
use crate::model::{TableState, sqlstate};
use crate::observe::{State, Status, TableStatus, Verdict};

/// Rows that wait, of one table, one direction and one reason.
pub(super) struct Refused {
    pub(super) table: String,
    pub(super) direction: String,
    pub(super) sqlstate: String,
    pub(super) rows: i64,
}

/// As `status` has it; `refused` are the rows that wait.
pub(super) fn of_status(status: &Status, refused: &[Refused], settings: &Settings) -> Condition {
    let mut troubles = Vec::new();
    let verdict = word(status.verdict);
    match status.verdict {
        Verdict::CaughtUp | Verdict::CatchingUp | Verdict::NeedsYou => {}
        Verdict::Stalled if status.forward.state == State::SlotLost => troubles.push(trouble(
            "slot lost",
            "the slot is lost: the desktop no longer keeps what is missing in the cloud",
        )),
        Verdict::Stalled => troubles.push(trouble(
            "stalled",
            format!(
                "tandem runs, but the cloud takes nothing; it has everything up to {}",
                up_to(status)
            ),
        )),
        Verdict::Down | Verdict::Stopped => troubles.push(trouble(
            "no lease",
            format!(
                "tandem runs, but can't say so in the cloud, which has everything up to {}",
                up_to(status)
            ),
        )),
    }
    for table in &status.tables {
        of_table(table, refused, &mut troubles);
    }
    of_statements(status, &mut troubles);
    of_limits(status, settings, &mut troubles);
    let broken = status.alert.iter().flat_map(|alert| alert.broken());
    let broken: Vec<Way> = broken.map(|way| way.way).collect();
    // Who hears of it by no other way isn't told.
    if broken.len() < crate::alert::ways(&settings.alert).len() {
        troubles.extend(broken.iter().map(|way| {
            let way = way.word();
            trouble(
                format!("alert {way}"),
                format!("alerts by {way} don't arrive"),
            )
        }));
    }
    bound(&mut troubles);
    let lag = status.forward.lag_ms.map(i64::unsigned_abs);
    let near = lag.is_some_and(|lag| u128::from(lag) <= limits::READY_LAG_MAX.as_millis());
    let well = match status.verdict {
        Verdict::CaughtUp => true,
        Verdict::CatchingUp => near && status.forward.state != State::Bootstrapping,
        // Only what isn't told of is wrong then: alerts themselves.
        Verdict::NeedsYou => true,
        Verdict::Stalled | Verdict::Stopped | Verdict::Down => false,
    };
    Condition {
        verdict: verdict.to_owned(),
        headline: status.headline(),
        well: well && troubles.is_empty(),
        safe: safe(status).to_owned(),
        next: next(status, &troubles),
        facts: facts(status),
        troubles,
    }
}

/// A side can't be asked; `other` is what the other one tells.
pub(super) fn of_fault(fault: &Fault, other: Option<String>) -> Condition {
    let mut next: Vec<String> = fault.next.iter().cloned().collect();
    next.push("tandem status".to_owned());
    let mut words = fault.to_string();
    if let Some(hint) = &fault.hint {
        words.push_str(&format!("; {hint}"));
    }
    let mut reasons = vec![words];
    reasons.extend(other);
    Condition {
        verdict: "unknown".to_owned(),
        headline: format!("unknown: {}", fault.what),
        troubles: vec![trouble("unknown", reasons.join("; "))],
        well: false,
        safe: "nothing is lost: the desktop keeps what the cloud doesn't have, phones' work waits in the cloud, and both go on by themselves when the other side answers".to_owned(),
        next,
        facts: Vec::new(),
    }
}

/// The service ends, and says why.
pub(super) fn of_end(fault: &Fault) -> Condition {
    let mut words = fault.to_string();
    if let Some(hint) = &fault.hint {
        words.push_str(&format!("; {hint}"));
    }
    let mut next: Vec<String> = fault.next.iter().cloned().collect();
    next.push("tandem doctor".to_owned());
    next.push("tandem run, or start the service, when that is mended".to_owned());
    next.dedup();
    Condition {
        verdict: "stopped".to_owned(),
        headline: format!("STOPPED: {}", fault.what),
        troubles: vec![trouble("stopped", words)],
        well: false,
        safe: "tandem has stopped so that nothing wrong is written; the desktop keeps what the cloud doesn't have for as long as its disk allows".to_owned(),
        next,
        facts: Vec::new(),
    }
}

fn trouble(name: impl Into<String>, words: impl Into<String>) -> Trouble {
    let words: String = words.into();
    let words = words.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    Trouble {
        name: name.into(),
        words: words.chars().take(limits::ALERT_WORDS).collect(),
    }
}

/// Of very many only that they are many is told apart.
fn bound(troubles: &mut Vec<Trouble>) {
    if troubles.len() > limits::ALERT_TROUBLES {
        let more = troubles.len() - limits::ALERT_TROUBLES;
        troubles.truncate(limits::ALERT_TROUBLES);
        troubles.push(trouble("more", format!("and {more} more")));
    }
}

fn of_table(table: &TableStatus, refused: &[Refused], troubles: &mut Vec<Trouble>) {
    let name = &table.table;
    if table.waits_for_person() {
        let why = table.why.as_deref().unwrap_or("tandem status says more");
        let (state, since) = (&table.state, &table.since);
        let words = format!(
            "{name}: {} since {since}: {why}",
            state.to_string().replace('_', " ")
        );
        troubles.push(trouble(format!("table {name} {state}"), words));
    }
    if table.parked == 0 {
        return;
    }
    let mut reasons = Vec::new();
    for refused in refused.iter().filter(|refused| refused.table == *name) {
        let way = match refused.direction.as_str() {
            "reverse" => "the desktop",
            _ => "the cloud",
        };
        let (rows, why, code) = (refused.rows, because(&refused.sqlstate), &refused.sqlstate);
        reasons.push(format!("{rows} that {way} refuses: {why} ({code})"));
    }
    let rows = match table.parked {
        1 => "1 row waits".to_owned(),
        rows => format!("{rows} rows wait"),
    };
    let words = format!("{name}: {rows} in quarantine: {}", reasons.join("; "));
    troubles.push(trouble(format!("quarantine {name}"), words));
}

fn of_statements(status: &Status, troubles: &mut Vec<Trouble>) {
    for refill in &status.refills {
        if let Some(why) = &refill.failed {
            let title = refill.title();
            let words = format!("the office's {title} fails: {why}");
            troubles.push(trouble(title, words));
        }
    }
    if let Some(why) = status.then.as_ref().and_then(|then| then.failed.as_ref()) {
        let words = format!("the statement behind a poll (reverse.then) fails: {why}");
        troubles.push(trouble("then", words));
    }
    if let Some(last) = status.verified.as_ref().filter(|last| !last.equal) {
        let (ended, tables) = (&last.ended, last.different.join(", "));
        let words = format!("the comparison of {ended} found both sides different in {tables}");
        troubles.push(trouble("different", words));
    }
}

fn of_limits(status: &Status, settings: &Settings, troubles: &mut Vec<Trouble>) {
    let forward = &status.forward;
    let held = forward.wal_held_bytes.unwrap_or_default();
    if held > forward.wal_held_bytes_max {
        let (held, most) = (held >> 20, forward.wal_held_bytes_max >> 20);
        let words = format!(
            "the desktop keeps {held} MB of WAL for us, more than the {most} MB of forward.wal_held_max: its disk fills up"
        );
        troubles.push(trouble("wal held", words));
    }
    if let Some(when) = &status.slot_given_up {
        let words = format!(
            "the slot was given up at {when} to save the desktop's disk; tandem compares all tables and makes them equal"
        );
        troubles.push(trouble("slot given up", words));
    }
    let late = forward
        .lag_ms
        .filter(|_| forward.state == State::CatchingUp);
    if let (Some(lag), Some(most)) = (late, settings.alert.lag)
        && u128::from(lag.unsigned_abs()) > most.as_millis()
    {
        let words = format!("the cloud is {} min behind and catching up", lag / 60_000);
        troubles.push(trouble("late", words));
    }
}

fn up_to(status: &Status) -> &str {
    status.up_to.as_deref().unwrap_or("an unknown time")
}

fn safe(status: &Status) -> &'static str {
    match (status.verdict, status.forward.state) {
        (_, State::SlotLost) => {
            "what the cloud has stays; the desktop has everything, and all tables are compared with it and made equal by tandem bootstrap"
        }
        (Verdict::Stalled | Verdict::Down | Verdict::Stopped, _) => {
            "nothing is lost: the desktop keeps what the cloud doesn't have, and it is sent when the cloud takes it again"
        }
        _ => {
            "nothing is lost: all other rows and tables go on, and what waits is kept and tried again when its cause is gone"
        }
    }
}

fn next(status: &Status, troubles: &[Trouble]) -> Vec<String> {
    let has = |name: &str| troubles.iter().any(|trouble| trouble.name == name);
    let mut next: Vec<String> = status.next().map(str::to_owned).into_iter().collect();
    if has("late") || has("wal held") {
        next.push("tandem lag".to_owned());
    }
    if { troubles.iter() }.any(|trouble| trouble.name.starts_with("alert ")) {
        next.push("tandem alert test".to_owned());
    }
    if !troubles.is_empty() {
        next.push("tandem status".to_owned());
    }
    next
}

/// A day's summary.
fn facts(status: &Status) -> Vec<String> {
    let of = |count: i64, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    };
    let live = { status.tables.iter() }
        .filter(|table| table.is_live())
        .count();
    let known = { status.tables.iter() }
        .filter(|table| table.state != TableState::Removed)
        .count();
    let mut facts = vec![format!("{live} of {known} tables stream")];
    if let Some(lag) = status.forward.lag_ms {
        facts.push(format!("the cloud is {:.1} s behind", lag as f64 / 1000.0));
    }
    if let Some(when) = &status.up_to {
        facts.push(format!("it has everything up to {when}"));
    }
    if let Some(waits) = status.reverse.pending {
        facts.push(format!(
            "{} of phones to come home",
            of(waits.cast_signed(), "change waits", "changes wait")
        ));
    }
    facts.push(of(
        status.parked.0 + status.parked.1,
        "row waits in quarantine",
        "rows wait in quarantine",
    ));
    let conflicts: i64 = status.tables.iter().map(|table| table.conflicts).sum();
    if conflicts > 0 {
        facts.push(of(conflicts, "conflict noted", "conflicts noted"));
    }
    if let Some(last) = status.verified.as_ref().filter(|last| last.equal) {
        facts.push(format!("compared at {}: both sides are equal", last.ended));
    }
    if let Some(held) = status.forward.wal_held_bytes {
        facts.push(format!("the desktop keeps {} MB of WAL for us", held >> 20));
    }
    facts
}

/// The word of `status`.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::CaughtUp => "caught_up",
        Verdict::CatchingUp => "catching_up",
        Verdict::NeedsYou => "needs_you",
        Verdict::Stalled => "stalled",
        Verdict::Stopped => "stopped",
        Verdict::Down => "down",
    }
}

/// Why a row is refused, without the server's own words, which may hold a value of the row.
fn because(code: &str) -> &'static str {
    match code {
        sqlstate::FOREIGN_KEY_VIOLATION | sqlstate::NO_PARENT => {
            "the row it belongs to isn't there"
        }
        sqlstate::UNIQUE_VIOLATION | sqlstate::KEY_TAKEN | sqlstate::KEY_REUSED => {
            "another row has its key"
        }
        sqlstate::CHECK_VIOLATION => "a check doesn't allow it",
        sqlstate::NOT_NULL_VIOLATION => "a value is missing",
        sqlstate::EXCLUSION_VIOLATION => "it overlaps another row",
        sqlstate::DOES_NOT_FIT => "a value doesn't fit into its column",
        sqlstate::TOO_LARGE => "it is too large",
        sqlstate::KEPT_OUT => "a trigger, a rule or row security keeps it out",
        sqlstate::CHARACTER_NOT_IN_REPERTOIRE => "a text has bytes without a meaning",
        sqlstate::REACHES_OTHERS => "deleting it would change rows of others",
        sqlstate::INSUFFICIENT_PRIVILEGE => "tandem's user may not write it",
        _ if code.starts_with("22") => "a value doesn't fit",
        _ if code.starts_with("23") => "a constraint doesn't allow it",
        _ => "tandem quarantine list says why",
    }
}
