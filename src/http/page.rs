//! The page of an office, as it is now. Pure; made here and not in the browser, so that it says something without a script, too.

use std::fmt::Write;
use std::time::Duration;

use super::drawn::{curve, escaped};
use super::known::Known;
use crate::limits;
use crate::observe::{
    Curve, Details, ParkedReason, Sample, State, Status, SwapDone, TableStatus, Verdict, bytes,
};

const FRAME: &str = include_str!("page.html");

/// What is shown.
pub(super) struct Shown<'a> {
    pub(super) known: &'a Known,
    pub(super) details: &'a Details,
    pub(super) curve: &'a Curve,
    /// Since the curve's beginning.
    pub(super) at: Duration,
}

/// The whole page.
pub(super) fn office(shown: &Shown<'_>) -> String {
    let mut main = String::new();
    let known = shown.known;
    let status = known.status.as_ref().map(|(status, age)| (&**status, *age));
    let (word, color) = match (&known.failed, status) {
        (Some(why), _) => (format!("unknown: {why}"), "bad"),
        (None, Some((status, _))) => (status.headline(), color(status.verdict)),
        (None, None) => ("not known yet".to_owned(), "busy"),
    };
    let old = match known.failed.is_some() && status.is_some() {
        true => " old",
        false => "",
    };
    let _ = write!(
        main,
        "<body class=\"{color}{old}\">\n<main>\n<h1 id=\"verdict\" data-part>{}</h1>\n",
        escaped(&word)
    );
    // The same parts in the same order, whatever there is to say: the script finds each again.
    let told = |what: &dyn Fn(&Status) -> String| {
        status.map_or_else(String::new, |(status, _)| what(status))
    };
    part(&mut main, "next", &told(&next));
    main.push_str("<p id=\"said\" class=\"quiet\" role=\"status\"></p>\n");
    part(&mut main, "ways", &told(&|status| ways(status, shown)));
    part(&mut main, "facts", &told(&facts));
    part(
        &mut main,
        "tables",
        &told(&|status| tables(status, shown.details)),
    );
    part(&mut main, "quarantine", &quarantine(shown.details));
    part(
        &mut main,
        "lately",
        &told(&|status| lately(status, shown.details)),
    );
    let age = match (status, known.failed.is_some()) {
        (Some((status, age)), failed) => {
            let ago = Duration::from_millis(status.forward.measured_age_ms) + age;
            let then = if failed {
                "; what stands here was true then"
            } else {
                ""
            };
            format!("measured {:.1} s ago{then}", ago.as_secs_f64())
        }
        (None, _) => String::new(),
    };
    let _ = writeln!(main, "<footer id=\"age\" data-part>{age}</footer>\n</main>");
    FRAME.replacen("<!--body-->", &main, 1)
}

fn part(main: &mut String, id: &str, inside: &str) {
    let _ = writeln!(main, "<section id=\"{id}\" data-part>{inside}</section>");
}

fn color(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::CaughtUp => "fine",
        Verdict::CatchingUp | Verdict::NeedsYou => "busy",
        Verdict::Stalled | Verdict::Stopped | Verdict::Down => "bad",
    }
}

fn next(status: &Status) -> String {
    let steps = status.steps();
    if steps.is_empty() {
        return String::new();
    }
    let steps = steps.iter().map(|step| {
        let command = escaped(&step.command);
        format!(
            "<li><code>{command}</code><button type=\"button\" data-copy=\"{command}\" aria-label=\"copy {command}\">copy</button><span class=\"quiet\">{}</span></li>",
            escaped(step.what)
        )
    });
    format!("<h2>next</h2><ol>{}</ol>", steps.collect::<String>())
}

fn ways(status: &Status, shown: &Shown<'_>) -> String {
    let (forward, reverse) = (&status.forward, &status.reverse);
    let waits = reverse.pending.map_or_else(
        || "nothing is known".to_owned(),
        |waits| format!("{waits} waiting"),
    );
    let said = [
        format!(
            "{}, {} behind, {} missing",
            moves(forward),
            seconds(forward.lag_ms),
            bytes(forward.lag_bytes)
        ),
        format!("{waits}, {} behind", seconds(reverse.lag_ms)),
    ];
    let names = ["forward: desktop to cloud", "reverse: phones to desktop"];
    let mut both = String::from("<div class=\"ways\">");
    for (direction, (name, said)) in names.iter().zip(said).enumerate() {
        let lag = shown.curve.lag_ms(direction, shown.at);
        let rows = shown.curve.rows_per_s(direction, shown.at);
        let _ = write!(
            both,
            "<div class=\"way\"><h2>{name}</h2><p>{said}</p>{}{}</div>",
            curve(("lag", "behind"), &lag, 1_000.0, |ms| seconds(Some(
                ms as i64
            ))),
            curve(("rows", "rows/s"), &rows, 1.0, |rate| format!("{rate:.1}"))
        );
    }
    both + "</div>"
}

fn moves(forward: &Sample) -> &'static str {
    match forward.state {
        State::Bootstrapping => "first copy",
        State::Streaming => "streaming",
        State::CatchingUp => "catching up",
        State::Stalled => "STALLED",
        State::Down => "not streaming",
        State::SlotLost => "SLOT LOST",
    }
}

fn facts(status: &Status) -> String {
    let mut facts = String::from("<dl>");
    let mut fact = |name: &str, value: &str| {
        let _ = write!(
            facts,
            "<dt>{}</dt><dd>{}</dd>",
            escaped(name),
            escaped(value)
        );
    };
    let held = format!(
        "{} of WAL on the desktop, limit {}",
        bytes(status.forward.wal_held_bytes),
        bytes(Some(status.forward.wal_held_bytes_max))
    );
    fact("kept for us", &held);
    let service = &status.service;
    let version = service.version.as_deref().unwrap_or_default();
    match (service.running, &service.since) {
        (true, Some(since)) => fact("service", &format!("running since {since}, {version}")),
        (true, None) => fact("service", &format!("running, {version}")),
        (false, _) => fact("service", "not running"),
    }
    if let Some(words) = &service.last_words {
        fact("last words", words);
    }
    for refill in &status.refills {
        let how = match (&refill.failed, &refill.trouble) {
            (Some(why), _) => format!("FAILED: {why}"),
            (None, Some(trouble)) => format!("went well, but {trouble}"),
            (None, None) => "went well".to_owned(),
        };
        fact(&refill.title(), &format!("{}: {how}", refill.started));
    }
    if let Some(failed) = { status.then.as_ref() }.and_then(|then| then.failed.as_ref()) {
        fact("then", &format!("FAILED: {failed}"));
    }
    if let Some(why) = { status.settings.as_ref() }.and_then(|settings| settings.why.as_ref()) {
        fact("settings", why);
    }
    if let Some(when) = &status.slot_given_up {
        fact(
            "slot",
            &format!("GIVEN UP {when}, the desktop kept too much WAL"),
        );
    }
    for way in status.alert.iter().flat_map(|alert| alert.broken()) {
        let why = way.failed.as_deref().unwrap_or_default();
        fact(
            "alerts",
            &format!("{} do not arrive: {why}", way.way.word()),
        );
    }
    facts + "</dl>"
}

fn tables(status: &Status, details: &Details) -> String {
    let rows = status.trouble_first();
    let rows: String = { rows.into_iter() }
        .map(|one| table(one, details))
        .collect();
    format!(
        "<h2>tables</h2><table><thead><tr><th>table</th><th>state</th><th class=\"number\">applied</th><th class=\"number\">came home</th>\
         <th class=\"number\">in quarantine</th><th>why</th></tr></thead><tbody>{rows}</tbody></table>"
    )
}

fn table(table: &TableStatus, details: &Details) -> String {
    let kind = match (table.waits_for_person(), table.needs_you()) {
        (true, _) => "needs stuck",
        (false, true) => "needs",
        (false, false) => "",
    };
    let home = { table.reverse.as_ref() }.map_or_else(String::new, |home| home.applied.to_string());
    format!(
        "<tr class=\"{kind}\"><td>{}</td><td>{}</td><td class=\"number\" data-of=\"applied\" title=\"{} copied, {} changes since\">{}</td>\
         <td class=\"number\" data-of=\"came home\">{home}</td><td class=\"number\" data-of=\"in quarantine\">{}</td><td class=\"why\">{}</td></tr>",
        escaped(&table.table),
        escaped(&table.state.to_string().replace('_', " ")),
        table.copied,
        table.applied,
        table.written(),
        table.parked,
        why(table, details)
    )
}

/// The reason beside a table; one with rows in quarantine is never without.
fn why(table: &TableStatus, details: &Details) -> String {
    let ours = { details.reasons.iter() }.filter(|reason| reason.table == table.table);
    let mut all: Vec<String> = table.why.clone().into_iter().collect();
    if table.parked > 0 {
        let rows = waiting(table.parked);
        let mut reasons = ours.map(|reason| format!("{} {}", reason.sqlstate, reason.why));
        all.push(match (reasons.next(), reasons.count()) {
            (None, _) => rows,
            (Some(why), 0) => format!("{rows}: {why}"),
            (Some(why), more) => format!("{rows}: {why} (and {more} more reasons)"),
        });
    }
    escaped(&all.join("; "))
}

fn waiting(rows: i64) -> String {
    match rows {
        1 => "1 row waits in quarantine".to_owned(),
        rows => format!("{rows} rows wait in quarantine"),
    }
}

fn quarantine(details: &Details) -> String {
    if details.reasons.is_empty() {
        return String::new();
    }
    let reason = |reason: &ParkedReason| {
        let way = match reason.direction.as_str() {
            "reverse" => "on its way home",
            _ => "on its way to the cloud",
        };
        format!(
            "<tr><td>{}</td><td class=\"number\" data-of=\"rows\">{}</td><td>{way}, since {}</td><td class=\"why\">{} {}</td></tr>",
            escaped(&reason.table),
            reason.rows,
            escaped(&reason.since),
            escaped(&reason.sqlstate),
            escaped(&reason.why)
        )
    };
    let rows: String = details.reasons.iter().map(reason).collect();
    let more = match details.more_reasons {
        0 => String::new(),
        more => format!("<p class=\"quiet\">and {more} more reasons: tandem quarantine list</p>"),
    };
    format!(
        "<h2>quarantine by reason</h2><table><thead><tr><th>table</th><th class=\"number\">rows</th><th>where, since</th><th>why, said of the first</th></tr></thead>\
         <tbody>{rows}</tbody></table>{more}"
    )
}

/// Swaps, copies and comparisons, as far as the databases remember them: the last of each table.
fn lately(status: &Status, details: &Details) -> String {
    let mut all: Vec<(&str, String)> = details.swaps.iter().map(swapped).collect();
    let live = status
        .tables
        .iter()
        .filter(|table| table.is_live() && table.copied > 0);
    all.extend(live.map(|table| {
        let said = format!(
            "{} has its copy of {} rows and goes on",
            table.table, table.copied
        );
        (table.since.as_str(), said)
    }));
    if let Some(verified) = &status.verified {
        let mut said = match verified.equal {
            true => "compared: equal".to_owned(),
            false => format!("compared: DIFFERENT in {}", verified.different.join(", ")),
        };
        if !verified.unknown.is_empty() {
            let _ = write!(said, "; not compared: {}", verified.unknown.join(", "));
        }
        all.push((&verified.ended, said));
    }
    // ISO 8601 of one zone: as text is as in time.
    all.sort_by(|one, other| other.0.cmp(one.0));
    all.truncate(limits::DETAILS_ROWS);
    if all.is_empty() {
        return String::new();
    }
    let line = |(when, said): &(&str, String)| {
        format!("<dt>{}</dt><dd>{}</dd>", escaped(when), escaped(said))
    };
    let lines: String = all.iter().map(line).collect();
    format!("<h2>last swaps, copies and comparisons</h2><dl>{lines}</dl>")
}

fn swapped(swap: &SwapDone) -> (&str, String) {
    let said = match (&swap.refused, swap.wrote) {
        (Some(why), _) => format!("{} swap REFUSED: {why}", swap.table),
        (None, wrote) => {
            let [added, changed, removed] = wrote.map(Option::unwrap_or_default);
            let name = &swap.table;
            format!("{name} swapped: {added} added, {changed} changed, {removed} removed")
        }
    };
    (&swap.ended, said)
}

fn seconds(ms: Option<i64>) -> String {
    ms.map_or_else(
        || "unknown".to_owned(),
        |ms| match ms {
            i64::MIN..120_000 => format!("{:.1} s", ms as f64 / 1_000.0),
            120_000..7_200_000 => format!("{} min", ms / 60_000),
            _ => format!("{} h", ms / 3_600_000),
        },
    )
}
