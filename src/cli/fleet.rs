//! `tandem fleet`

use std::collections::BTreeMap;
use std::net::SocketAddr;

use clap::Args;
use ratatui::crossterm::terminal;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::common::{Common, load, sources};
use super::{lag, show};
use crate::config::{self, Endpoint};
use crate::fault::{Decision, Exit, Fault, Kind};
use crate::http::FleetPage;
use crate::observe::{Fleet, FleetObserver, Replicator, Verdict};
use crate::platform;

/// Shows every replicator of a cloud, one line each, those with trouble first. Needs nothing but the cloud, and reads only.
#[derive(Args)]
#[command(after_help = "Examples:
  tandem fleet --cloud 'postgres://watcher@db.x.supabase.co:5432/postgres?sslmode=require'
  tandem fleet --watch       the cloud of the settings, again and again
  tandem fleet --json        for scripts; exit 0 all fine, 1 somebody is needed, 4 cannot tell
  tandem fleet --cloud URL --listen 127.0.0.1:9188        a page, and /metrics by replicator

A password in the URL is seen by whoever lists this computer's processes. Let it stand there as
${NAME} of the environment, or in TANDEM_CLOUD_PASSWORD or PGPASSFILE.")]
pub(super) struct Options {
    /// The cloud's database [default: that of the settings]
    #[arg(long, value_name = "URL")]
    cloud: Option<String>,
    /// One document on standard output
    #[arg(long)]
    json: bool,
    /// Again and again: redrawn on a terminal, else a line for each change
    #[arg(long)]
    watch: bool,
    /// Serve a page and metrics there until told to stop; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["json", "watch"])]
    listen: Option<SocketAddr>,
}

pub(super) async fn fleet(common: &Common, options: &Options) -> Result<Exit, Fault> {
    let cloud = match &options.cloud {
        Some(url) => at(url, common)?,
        None => match load(common) {
            Ok(settings) => settings.cloud.endpoint,
            Err(problems) => {
                show::problems(&problems);
                return Ok(Exit::Input);
            }
        },
    };
    let observer = FleetObserver::connect(&cloud).await?;
    match options.listen {
        Some(address) => serve(address, cloud, observer).await,
        None if options.watch => watch(options, &cloud, observer).await,
        None => {
            let fleet = observer.look().await?;
            match options.json {
                true => show::document(&fleet),
                false => screen(&fleet, None),
            }
            Ok(match fleet.replicators.iter().all(Replicator::is_fine) {
                true => Exit::Fine,
                false => Exit::BadNews,
            })
        }
    }
}

/// The cloud of the flag, whose mistakes have no place in a file.
fn at(url: &str, common: &Common) -> Result<Endpoint, Fault> {
    match config::cloud_at(url, &sources(common)) {
        Ok((side, warnings)) => {
            { warnings.iter() }.for_each(|warning| show::progress(warning));
            Ok(side.endpoint)
        }
        Err(problems) => {
            let first = problems.items().first();
            let what = first.map_or_else(String::new, |problem| match problem.line {
                0 => problem.message.clone(),
                _ => format!("--cloud: {}", problem.message),
            });
            let fault = Fault::new(Kind::Input, what);
            Err(match first.and_then(|problem| problem.hint.clone()) {
                Some(hint) => fault.hint(hint),
                None => fault,
            })
        }
    }
}

/// Until somebody ends it, which is no mistake.
async fn serve(
    address: SocketAddr,
    cloud: Endpoint,
    observer: FleetObserver,
) -> Result<Exit, Fault> {
    let page = FleetPage::bind(address, cloud, observer).await?;
    if let Some(address) = page.address() {
        show::result(&format!(
            "http://{address}/ for a browser, http://{address}/metrics for Prometheus"
        ));
    }
    let (stop, now) = (CancellationToken::new(), CancellationToken::new());
    let signals = tokio::spawn(platform::watch_signals(stop.clone(), now));
    stop.run_until_cancelled(Box::pin(page.serve())).await;
    signals.abort();
    Ok(Exit::Fine)
}

/// Looks again and again. A cloud that goes away is waited for: the screen is left on for days.
async fn watch(
    options: &Options,
    cloud: &Endpoint,
    observer: FleetObserver,
) -> Result<Exit, Fault> {
    let mut observer = Some(observer);
    let mut told = BTreeMap::new();
    let mut is_away = false;
    loop {
        let looked = async {
            let observer = match observer.take() {
                Some(observer) => observer,
                None => FleetObserver::connect(cloud).await?,
            };
            let fleet = observer.look().await?;
            Ok::<_, Fault>((observer, fleet))
        };
        match looked.await {
            Ok((same, fleet)) => {
                observer = Some(same);
                is_away = false;
                if options.json {
                    show::document(&fleet);
                } else if show::result_is_seen() {
                    show::clear();
                    let height = terminal::size().ok().map(|(_, height)| height);
                    screen(&fleet, height);
                } else {
                    changes(&fleet, &mut told);
                }
            }
            Err(fault) if fault.decision() == Decision::Retry => {
                if show::result_is_seen() {
                    show::clear();
                }
                // Where lines stay, an outage is one.
                if show::result_is_seen() || !is_away {
                    show::fault(&fault);
                    show::progress("trying again");
                }
                is_away = true;
            }
            Err(fault) => return Err(fault),
        }
        sleep(lag::WATCH_EVERY).await;
    }
}

/// A line for each replicator that is otherwise than it was, the first time for all of them.
fn changes(fleet: &Fleet, told: &mut BTreeMap<String, (String, Option<String>)>) {
    let before = std::mem::take(told);
    for one in &fleet.replicators {
        // How long it has been so is no news.
        let now = (one.word(), one.why.clone().filter(|_| one.lives()));
        if before.get(&one.replicator) != Some(&now) {
            show::result(&line(one));
        }
        told.insert(one.replicator.clone(), now);
    }
    let gone = before.keys().filter(|name| !told.contains_key(*name));
    gone.for_each(|name| show::result(&format!("replicator={name} verdict=removed")));
}

fn line(one: &Replicator) -> String {
    let number = |value: Option<i64>| value.map_or("unknown".to_owned(), |value| value.to_string());
    let why = { one.why.as_ref() }.map_or(String::new(), |why| format!(" why={why:?}"));
    format!(
        "replicator={} verdict={} lag_ms={} reverse_pending={} quarantined={} stopped={} wal_held_bytes={} last_seen={}{why}",
        one.replicator,
        one.word(),
        number(one.lag_ms),
        number(
            one.reverse
                .pending
                .and_then(|waits| i64::try_from(waits).ok())
        ),
        one.quarantined.forward + one.quarantined.reverse,
        one.stopped.len(),
        number(one.wal_held_bytes),
        one.last_seen.as_deref().unwrap_or("never"),
    )
}

/// All of them; where there is no more than `height`, those without trouble that don't fit are counted.
fn screen(fleet: &Fleet, height: Option<u16>) {
    let all = &fleet.replicators;
    let needy = all.iter().filter(|one| !one.is_fine()).count();
    let bad = |one: &Replicator| !one.is_fine() && one.verdict != Some(Verdict::NeedsYou);
    let mark = match needy {
        0 => show::Mark::Fine,
        _ if all.iter().any(bad) => show::Mark::Bad,
        _ => show::Mark::Needs,
    };
    let head = match (all.len(), needy) {
        (0, _) => "no replicator has ever been at work with this cloud".to_owned(),
        (1, 0) => "one replicator, and it is fine".to_owned(),
        (count, 0) => format!("{count} replicators, all fine"),
        (1, _) => "the only replicator needs somebody".to_owned(),
        (count, 1) => format!("one of {count} replicators needs somebody"),
        (count, needy) => format!("{needy} of {count} replicators need somebody"),
    };
    show::verdict(mark, &head);
    if all.is_empty() {
        return show::result(
            "  an office appears here when its bootstrap or run has begun; until then look there",
        );
    }
    show::result("");
    let width = show::result_is_seen().then(|| terminal::size().map_or(80, |(width, _)| width));
    let rows: Vec<_> = all.iter().map(cells).collect();
    // The heads, the column's names, and a line for what comes below.
    let room = height.map_or(usize::MAX, |height| usize::from(height).saturating_sub(5));
    let room = if rows.len() <= room.saturating_add(1) {
        rows.len()
    } else {
        room
    };
    for line in table(&rows[..room], width.map(usize::from)) {
        show::result(&line);
    }
    if let Some(left @ 1..) = rows.len().checked_sub(room) {
        let needy = all[room..].iter().filter(|one| !one.is_fine()).count();
        show::result(&match needy {
            0 => format!("  and {left} more, all fine"),
            needy => format!("  and {left} more, {needy} of them need somebody"),
        });
    }
}

const HEADS: [&str; 9] = [
    "REPLICATOR",
    "VERDICT",
    "BEHIND",
    "TO COME HOME",
    "QUARANTINE",
    "STOPPED",
    "WAL HELD",
    "VERSION",
    "SEEN",
];
/// Where numbers stand.
const NUMBERS: std::ops::RangeInclusive<usize> = 2..=6;
/// No name is made shorter than this.
const NAME_MIN: usize = 12;

struct Cells {
    all: [String; 9],
    why: String,
}

fn cells(one: &Replicator) -> Cells {
    let span = |ms: Option<i64>| ms.map_or("unknown".to_owned(), span);
    Cells {
        all: [
            one.replicator.clone(),
            one.word().replace('_', " "),
            span(one.lag_ms),
            { one.reverse.pending }.map_or("unknown".to_owned(), |waits| waits.to_string()),
            (one.quarantined.forward + one.quarantined.reverse).to_string(),
            format!("{} of {}", one.stopped.len(), one.tables),
            show::bytes(one.wal_held_bytes.map(i64::unsigned_abs)),
            one.version.clone().unwrap_or_else(|| "unknown".to_owned()),
            { one.last_seen_age_ms }
                .map_or("never".to_owned(), |ms| format!("{} ago", self::span(ms))),
        ],
        why: one.why.clone().unwrap_or_default().replace('\n', " "),
    }
}

/// The rows below their heads; not wider than the terminal: there names are cut, and then the reasons.
fn table(rows: &[Cells], width: Option<usize>) -> Vec<String> {
    let letters = |text: &str| text.chars().count();
    let mut widths = HEADS.map(letters);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(&row.all) {
            *width = letters(cell).max(*width);
        }
    }
    let others: usize = widths[1..].iter().map(|width| width + 2).sum();
    if let Some(width) = width {
        widths[0] = widths[0].min(width.saturating_sub(others + 2).max(NAME_MIN));
    }
    let line = |cells: &[String; 9], why: &str| {
        let mut line = String::from(" ");
        for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let cell = cut(cell, width);
            line.push_str(&match NUMBERS.contains(&at) {
                true => format!(" {cell:>width$} "),
                false => format!(" {cell:<width$} "),
            });
        }
        line.push_str(&format!(" {why}"));
        let line = line.trim_end();
        width.map_or(line.to_owned(), |width| cut(line, width))
    };
    let heads = HEADS.map(str::to_owned);
    let rows = rows.iter().map(|row| line(&row.all, &row.why));
    std::iter::once(line(&heads, "")).chain(rows).collect()
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let sign = if show::is_utf8() { "\u{2026}" } else { "~" };
    let kept = text.chars().take(width.saturating_sub(1));
    kept.collect::<String>() + sign
}

/// A time as people say it.
fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1_000;
    match seconds {
        0..10 => format!("{:.1} s", ms.max(0) as f64 / 1_000.0),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, why: &str) -> Cells {
        let cells = [
            name,
            "caught up",
            "0.0 s",
            "0",
            "0",
            "0 of 3",
            "16 MB",
            "0.1.0",
            "1.0 s ago",
        ];
        Cells {
            all: cells.map(str::to_owned),
            why: why.to_owned(),
        }
    }

    #[test]
    fn a_list_of_long_names_and_reasons_fits_a_terminal() {
        let rows = [
            row(
                "7391857192837465012-enterprise_db-tandem",
                "silent since the day before yesterday",
            ),
            row("b", ""),
        ];
        for width in [80, 100, 132] {
            let lines = table(&rows, Some(width));
            let longest = lines.iter().map(|line| line.chars().count()).max();
            assert!(longest <= Some(width), "{lines:#?}");
        }
        let whole = table(&rows, None).join("\n");
        assert!(
            whole.contains("-enterprise_db-tandem") && whole.ends_with("1.0 s ago"),
            "{whole}"
        );
        assert!(whole.contains("the day before yesterday"));
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        let said = [0, 9_900, 10_000, 119_000, 120_000, 7_200_000, 172_800_000].map(span);
        assert_eq!(
            said,
            ["0.0 s", "9.9 s", "10 s", "119 s", "2 min", "2 h", "2 days"]
        );
        assert_eq!(span(-5), "0.0 s");
    }
}
