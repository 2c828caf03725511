//! `tandem status`

use clap::Args;

use super::{office, show};
use crate::alert::AlertStatus;
use crate::config::Settings;
use crate::fault::{Exit, Fault};
use crate::model::{TableState, listed};
use crate::observe::{
    CloudHalf, DesktopHalf, KeptSlot, Observer, ReloadOutcome, Sample, SchemasStatus, Service,
    SettingsStatus, State, Status, TableStatus, Verdict, VerifiedStatus,
};
use crate::{limits, platform};

/// One screen: is it running, is it caught up, what needs you. Works when the service is down.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem status              the verdict first, then what needs you
  tandem status --all        every table
  tandem status --json       for scripts; exit 0 fine, 1 bad news, 3 not running, 4 cannot tell")]
pub(super) struct Options {
    /// One document on standard output
    #[arg(long)]
    json: bool,
    /// All tables, not only those that need you
    #[arg(long)]
    all: bool,
}

pub(super) async fn status(options: &Options, settings: &Settings) -> Result<Exit, Fault> {
    let asked = async {
        let observer = Observer::connect(settings).await?;
        observer.status(settings).await
    };
    let status = match asked.await {
        Ok(status) => status,
        Err(fault) => {
            unknown(options, settings, &fault).await;
            return Err(fault);
        }
    };
    if options.json {
        show::document(&status);
    } else {
        screen(&status, settings, options.all);
    }
    Ok(match status.verdict {
        Verdict::CaughtUp | Verdict::CatchingUp => Exit::Fine,
        Verdict::NeedsYou | Verdict::Stalled => Exit::BadNews,
        Verdict::Stopped | Verdict::Down => Exit::NotRunning,
    })
}

/// A side is away: what the other one tells.
async fn unknown(options: &Options, settings: &Settings, fault: &Fault) {
    let (desktop, cloud) = tokio::join!(
        Observer::desktop_half(settings),
        Observer::cloud_half(settings)
    );
    if options.json {
        let known = cloud.ok().flatten();
        let known = known.as_ref();
        let desktop = desktop.ok();
        // Both remember it; what the desktop has is the newer, if the cloud is away.
        let alert = { desktop.as_ref() }
            .and_then(|half| half.alert.as_ref())
            .or(known.and_then(|known| known.alert.as_ref()));
        return show::document(&serde_json::json!({
            "schema": 1, "verdict": "unknown", "why": fault.to_string(),
            "forward": null,
            "cloud_lsn": known.and_then(|known| known.seen.lsn).map(|lsn| lsn.to_string()),
            "up_to": known.and_then(|known| known.up_to.clone()),
            "reverse": known.map(|known| &known.reverse),
            "service": known.map(|known| &known.service),
            "verified": known.and_then(|known| known.verified.as_ref()),
            "alert": alert,
            "tables": known.map_or(&[][..], |known| &known.tables),
        }));
    }
    show::verdict(show::Mark::Bad, &format!("unknown: {}", fault.what));
    show::result("");
    match (desktop, cloud) {
        (Ok(half), _) => desktop_tells(&half, settings),
        (Err(_), Ok(half)) => cloud_tells(half, options.all),
        (Err(_), Err(_)) => show::result("  neither side answers"),
    }
}

/// What the desktop knows without the cloud.
fn desktop_tells(half: &DesktopHalf, settings: &Settings) {
    match half.slot {
        None => show::result("  the desktop answers; it has no slot for us"),
        Some(KeptSlot { held: None, .. }) => show::result(
            "  the desktop answers; SLOT LOST: it no longer keeps what is missing in the cloud",
        ),
        Some(KeptSlot {
            is_read,
            held: held @ Some(_),
        }) => {
            let reads = match is_read {
                true => "tandem reads its log",
                false => "nobody reads its log at the moment",
            };
            let most = Some(settings.forward.wal_held_max);
            show::result(&format!("  the desktop answers; {reads}"));
            show::result(&format!(
                "  it keeps {} of WAL for us, limit {}; nothing is lost",
                show::bytes(held),
                show::bytes(most)
            ));
        }
    }
    if let Some(alert) = &half.alert {
        alerts(alert);
    }
}

/// What the cloud knows without the desktop.
fn cloud_tells(half: Option<CloudHalf>, all: bool) {
    let Some(half) = half else {
        return show::result(
            "  the cloud answers; it has nothing of this replicator, or of several that may be meant: name one by replicator in the settings",
        );
    };
    let seen = &half.seen;
    show::result(&match (&seen.lsn, &half.up_to) {
        (None, _) => "  the cloud answers; the tables have not been copied yet".to_owned(),
        (Some(lsn), None) => format!("  the cloud answers; it has everything up to {lsn}"),
        (Some(lsn), Some(when)) => {
            format!("  the cloud answers; it has everything up to {when} ({lsn})")
        }
    });
    show::result("  what the desktop has committed since can't be told");
    let service = &half.service;
    match (&service.holder, &service.last_words) {
        (Some(holder), _) => show::result(&running(service, holder)),
        (None, Some(words)) => show::result(&format!("  not running; last words: {words}")),
        (None, None) => show::result("  not running"),
    }
    if let Some(waits) = half.reverse.pending {
        show::result(&format!("  reverse   {waits} waiting"));
    }
    tables(&half.tables, all);
    if let Some(verified) = &half.verified {
        compared(verified);
    }
    if let Some(alert) = &half.alert {
        alerts(alert);
    }
}

fn running(service: &Service, holder: &str) -> String {
    let since = match &service.since {
        Some(since) => format!("since {since}, "),
        None => String::new(),
    };
    format!(
        "  service   running        {since}{}",
        platform::in_words(holder)
    )
}

/// Settings that were read again and don't count.
fn settings_told(settings: &SettingsStatus) {
    let why = settings.why.as_deref().unwrap_or_default();
    let how = match settings.outcome {
        ReloadOutcome::Bad => format!("BAD, those before go on: {why}"),
        ReloadOutcome::Unreachable => format!("could not be checked, those before go on: {why}"),
        _ => format!(
            "{} {} a restart",
            listed(&settings.restart, limits::NAMES_SHOWN),
            if settings.restart.len() == 1 {
                "needs"
            } else {
                "need"
            }
        ),
    };
    // A mistake and its place; `config check` shows all of them.
    let lines: Vec<_> = how.lines().map(str::trim).collect();
    let place = lines.iter().find_map(|line| line.strip_prefix("--> "));
    show::result(&format!(
        "  settings  of {}   {}{}",
        settings.read,
        lines.first().unwrap_or(&"").replace("error: ", ""),
        place.map_or(String::new(), |place| format!(", {place}"))
    ));
}

fn compared(verified: &VerifiedStatus) {
    let how = match verified.equal {
        true if verified.unknown.is_empty() => "both sides are equal".to_owned(),
        true => format!(
            "equal, but for {}, which can't be compared",
            verified.unknown.join(", ")
        ),
        false => format!("DIFFERENT in {}", verified.different.join(", ")),
    };
    show::result(&format!("  compared  at {}   {how}", verified.ended));
}

fn screen(status: &Status, settings: &Settings, all: bool) {
    verdict(status, settings);
    show::result("");
    match status.service.running {
        true => at_work(status),
        false => at_rest(status),
    }
    if let Some(when) = &status.slot_given_up {
        show::result(&format!(
            "  the slot was given up at {when} to save the desktop's disk; all tables are compared and made equal by run"
        ));
    }
    tables(&status.tables, all);
    if let Some(settings) = &status.settings {
        settings_told(settings);
    }
    office::statements(status);
    if let Some(verified) = &status.verified {
        compared(verified);
    }
    if let Some(alert) = &status.alert {
        alerts(alert);
    }
    conflicts(&status.tables);
    if let Some(held) = status.snapshot_held_ms {
        let held = show::seconds(Some(held));
        show::result(&format!("  a copy has been reading the desktop for {held}"));
    }
    schemas(&status.schemas, all);
    held(&status.forward);
    show::result(&format!(
        "  measured {:.1} s ago",
        status.forward.measured_age_ms as f64 / 1000.0
    ));
    if let Some(next) = status.next() {
        show::result(&format!("  next: {next}"));
    }
}

/// The first line: how it is, and between which databases.
fn verdict(status: &Status, settings: &Settings) {
    let (desktop, cloud) = (&settings.desktop.endpoint, &settings.cloud.endpoint);
    let ways = format!("desktop {} -> cloud {}", desktop.database, cloud.database);
    let mark = match status.verdict {
        Verdict::CaughtUp | Verdict::CatchingUp => show::Mark::Fine,
        Verdict::NeedsYou => show::Mark::Needs,
        Verdict::Stalled | Verdict::Stopped | Verdict::Down => show::Mark::Bad,
    };
    show::verdict(mark, &format!("{:<46} {ways}", status.headline()));
}

/// Both directions, while the service runs.
fn at_work(status: &Status) {
    let (forward, service) = (&status.forward, &status.service);
    show::result(&format!(
        "  forward   {:<14} {} behind, {} missing",
        show::word(forward.state),
        show::seconds(forward.lag_ms),
        show::bytes(forward.lag_bytes)
    ));
    let reverse = &status.reverse;
    let waits = reverse
        .pending
        .map_or("unknown".to_owned(), |waits| waits.to_string());
    show::result(&format!(
        "  reverse   {:<14} {} behind, {waits} waiting",
        polled(status),
        show::seconds(reverse.lag_ms)
    ));
    let holder = service
        .holder
        .as_deref()
        .unwrap_or("its holder is not known");
    show::result(&running(service, holder));
}

/// How far it came, and how long the desktop can wait, while no service runs.
fn at_rest(status: &Status) {
    let forward = &status.forward;
    let missing = show::bytes(forward.lag_bytes);
    show::result(&match &forward.cloud_lsn {
        Some(lsn) => {
            let when = status.up_to.as_deref().unwrap_or("unknown");
            format!("  the cloud has everything up to {when} ({lsn}); {missing} missing")
        }
        None => "  the tables have not been copied yet".to_owned(),
    });
    if forward.state == State::SlotLost {
        show::result("  SLOT LOST: the desktop no longer keeps what is missing in the cloud");
    }
    if let Some(seconds) = status.wal_limit_in_s {
        show::result(&format!(
            "  at this rate the limit for WAL is reached in about {}",
            rough(seconds)
        ));
    }
    if let Some(words) = &status.service.last_words {
        show::result(&format!("  last words: {words}"));
    }
}

/// Rows of which both sides had a version.
fn conflicts(tables: &[TableStatus]) {
    let conflicts: i64 = tables.iter().map(|table| table.conflicts).sum();
    if conflicts > 0 {
        show::result(&format!(
            "  {conflicts} conflicts noted, both versions are in tandem.conflict: tandem quarantine list; drop --conflicts when you have taken note"
        ));
    }
}

/// Whether people hear of what is wrong.
fn alerts(alert: &AlertStatus) {
    for way in alert.broken() {
        let (since, why) = (way.failed_since.as_deref(), way.failed.as_deref());
        show::result(&format!(
            "  alerts    by {} DO NOT ARRIVE since {}: {}",
            way.way.word(),
            since.unwrap_or("unknown"),
            why.unwrap_or("unknown")
        ));
    }
    if let (Some(since), Some(told)) = (&alert.open_since, &alert.told_at) {
        show::result(&format!(
            "  alerts    something is wrong since {since}; people were told of it at {told}"
        ));
    }
}

/// The schemas' versions, where somebody wants to know all, or where the next start changes them.
fn schemas(schemas: &SchemasStatus, all: bool) {
    let pending = schemas.sides().any(|(_, one)| !one.migrates.is_empty());
    let told = schemas.sides().map(|(side, one)| {
        let next = match one.migrates.is_empty() {
            true => String::new(),
            false => format!(
                ", the next start brings it to {} ({})",
                one.newest,
                one.migrates.join(", ")
            ),
        };
        format!("{side} version {}{next}", one.version)
    });
    let told: Vec<_> = told.collect();
    if !told.is_empty() && (all || pending) {
        show::result(&format!("  schema    {}", told.join("; ")));
    }
}

/// A long time, as people say it.
fn rough(seconds: u64) -> String {
    match seconds {
        0..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// When somebody looked into the outbox for the last time.
fn polled(status: &Status) -> String {
    let comes_home = { status.tables.iter() }.any(|table| table.reverse.is_some());
    match status.reverse.last_poll_age_ms {
        Some(age) => format!("{:.0} s ago", age as f64 / 1000.0),
        None if comes_home || status.reverse.pending > Some(0) => "not looked yet".to_owned(),
        None => "nothing comes".to_owned(),
    }
}

fn tables(tables: &[TableStatus], all: bool) {
    let live = { tables.iter() }.filter(|table| table.is_live());
    let (live, known) = (
        live.count(),
        tables
            .iter()
            .filter(|table| table.state != TableState::Removed),
    );
    if !tables.is_empty() {
        show::result(&format!("  {live} of {} tables stream", known.count()));
    }
    for table in tables.iter().filter(|table| all || table.needs_you()) {
        let why = match (&table.why, table.parked) {
            (Some(why), _) => format!("  {why}"),
            (None, 0) => String::new(),
            (None, 1) => "  one row in quarantine".to_owned(),
            (None, rows) => format!("  {rows} rows in quarantine"),
        };
        show::result(&format!(
            "    {:<20} {:<12} since {}{why}",
            table.table, table.state, table.since
        ));
    }
}

fn held(forward: &Sample) {
    if forward.wal_held_bytes.is_none() {
        return;
    }
    let (held, most) = (forward.wal_held_bytes, forward.wal_held_bytes_max);
    let over = match held.is_some_and(|held| held > most) {
        true => ": OVER THE LIMIT, the desktop's disk fills up",
        false => "",
    };
    show::result(&format!(
        "  the desktop keeps {} of WAL for us, limit {}{over}",
        show::bytes(held),
        show::bytes(Some(most))
    ));
}
