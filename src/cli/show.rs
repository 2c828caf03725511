//! What people see. Results go to standard output, everything else to standard error.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use clap::ColorChoice;

use crate::config::Problems;
use crate::fault::Fault;
use crate::model::Lsn;
pub(super) use crate::observe::bytes;
use crate::observe::{Sample, State};

/// What `--color` says, for what goes to standard output.
static COLORS: OnceLock<ColorChoice> = OnceLock::new();

/// Once, when the command line is read.
pub(super) fn choose_colors(choice: ColorChoice) {
    let _ = COLORS.set(choice);
}

/// Whether standard error gets colours.
pub(super) fn colors(choice: ColorChoice) -> bool {
    wanted(choice, std::io::stderr().is_terminal())
}

fn wanted(choice: ColorChoice, is_seen: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()) && is_seen
        }
    }
}

/// How it stands: the first thing on a screen, by its shape, and by its colour where colours are wanted.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    /// Nothing is to be done.
    Fine,
    /// Somebody has to do something.
    Needs,
    /// It doesn't work.
    Bad,
}

/// A line of a result with its mark, which only people get.
pub(super) fn verdict(mark: Mark, text: &str) {
    let choice = COLORS.get().copied().unwrap_or(ColorChoice::Auto);
    if !result_is_seen() && choice != ColorChoice::Always {
        return result(text);
    }
    let (color, sign, plain) = match mark {
        Mark::Fine => (32, '\u{25cf}', '*'),
        Mark::Needs => (33, '\u{25b2}', '!'),
        Mark::Bad => (31, '\u{2716}', 'x'),
    };
    let sign = if is_utf8() { sign } else { plain };
    let sign = match wanted(choice, result_is_seen()) {
        true => format!("\x1b[{color}m{sign}\x1b[0m"),
        false => sign.to_string(),
    };
    let _ = writeln!(std::io::stdout(), "{sign} {}", clean(text));
}

/// Whether the console knows more letters than ASCII has.
pub(super) fn is_utf8() -> bool {
    let variables = ["LC_ALL", "LC_CTYPE", "LANG"].map(std::env::var_os);
    let set = variables.into_iter().flatten().find(|set| !set.is_empty());
    set.is_some_and(|set| {
        let set = set.to_string_lossy().to_lowercase();
        set.contains("utf-8") || set.contains("utf8")
    })
}

/// What is wrong, the original text, what to do, the next command.
pub(super) fn fault(fault: &Fault) {
    eprintln!("error: {}", clean(&fault.what));
    if let Some(cause) = &fault.cause {
        eprintln!("cause: {}", clean(cause));
    }
    if let Some(hint) = &fault.hint {
        eprintln!("hint: {}", clean(hint));
    }
    if let Some(next) = &fault.next {
        eprintln!("next: {}", clean(next));
    }
}

/// Everything that is wrong with the settings.
pub(super) fn problems(problems: &Problems) {
    eprintln!("{problems}");
}

/// A line of a result.
pub(super) fn result(text: &str) {
    // A reader that has seen enough (`| head`) is no error.
    let _ = writeln!(std::io::stdout(), "{}", clean(text));
}

/// A script for another program, as it is.
pub(super) fn script(text: &[u8]) {
    let _ = std::io::stdout().write_all(text);
}

/// A line about what is going on.
pub(super) fn progress(text: &str) {
    eprintln!("{}", clean(text));
}

/// A question, whose answer comes on the same line.
pub(super) fn prompt(text: &str) {
    eprint!("{}", clean(text));
    let _ = std::io::stderr().flush();
}

/// Whether somebody watches the progress.
pub(super) fn progress_is_seen() -> bool {
    std::io::stderr().is_terminal()
}

/// A document.
pub(super) fn document(document: &impl serde::Serialize) {
    if let Ok(text) = serde_json::to_string(document) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

/// Text from databases must not steer the terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_control() && letter != '\n' {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}

/// The state in a word.
pub(super) fn word(state: State) -> &'static str {
    match state {
        State::Bootstrapping => "bootstrapping",
        State::Streaming => "streaming",
        State::CatchingUp => "catching up",
        State::Stalled => "STALLED",
        State::Down => "not running",
        State::SlotLost => "SLOT LOST",
    }
}

/// The hops, one under the other.
pub(super) fn lag(sample: &Sample) {
    let position = |lsn: &Option<String>| lsn.clone().unwrap_or_else(|| "unknown".to_owned());
    result(&format!(
        "{}   {} behind, {} missing",
        word(sample.state),
        seconds(sample.lag_ms),
        bytes(sample.lag_bytes)
    ));
    result(&format!(
        "  desktop wrote      {}",
        position(&sample.desktop_lsn)
    ));
    result(&format!(
        "  we received        {}",
        position(&sample.received_lsn)
    ));
    result(&format!(
        "  cloud has          {}",
        position(&sample.cloud_lsn)
    ));
    let (held, limit) = (
        bytes(sample.wal_held_bytes),
        bytes(Some(sample.wal_held_bytes_max)),
    );
    result(&format!(
        "  desktop may drop   {}   keeps {held} of WAL for us, limit {limit}",
        position(&sample.confirmed_lsn)
    ));
    if sample.lag_bytes != Some(0)
        && let Some(hops) = hops(sample)
        && let Some((what, most)) = hops.iter().max_by_key(|(_, bytes)| *bytes)
        && *most > 0
    {
        result(&format!(
            "  longest            {}   {what}",
            bytes(Some(*most))
        ));
    }
    let reverse = &sample.reverse;
    if let (Some(pending), Some(age)) = (reverse.pending, reverse.last_poll_age_ms) {
        result(&format!(
            "  to come home       {pending}   {} behind, looked {:.1} s ago",
            seconds(reverse.lag_ms),
            age as f64 / 1000.0
        ));
    }
    result(&format!(
        "  measured {:.1} s ago",
        sample.measured_age_ms as f64 / 1000.0
    ));
}

/// Whether somebody watches the result.
pub(super) fn result_is_seen() -> bool {
    std::io::stdout().is_terminal()
}

/// An empty screen, for what is drawn again and again.
pub(super) fn clear() {
    let _ = write!(std::io::stdout(), "\x1b[H\x1b[2J");
}

/// The last samples as bars; in ASCII where the console may not know others.
pub(super) fn spark(lags_ms: &[u64]) {
    result(&format!("  lag  {}", bars(lags_ms, FULL_BAR_MS, is_utf8())));
}

/// A bar is full from here on, or from the longest value on, if that is longer: a few milliseconds must not look like many.
pub(super) const FULL_BAR_MS: u64 = 1_000;

fn bars(values: &[u64], full: u64, utf8: bool) -> String {
    let marks: Vec<char> = if utf8 {
        "▁▂▃▄▅▆▇█"
    } else {
        "_.-:=+*#"
    }
    .chars()
    .collect();
    let most = values.iter().copied().max().unwrap_or_default().max(full);
    let last = marks.len() as u64 - 1;
    let bar = |value: &u64| marks[usize::try_from(value * last / most).unwrap_or_default()];
    values.iter().map(bar).collect()
}

/// The way from the desktop to the cloud and back, in bytes: the longest part is where the delay is.
fn hops(sample: &Sample) -> Option<[(&'static str, u64); 3]> {
    let at = |lsn: &Option<String>| lsn.as_ref()?.parse::<Lsn>().ok();
    let (wrote, received) = (at(&sample.desktop_lsn)?, at(&sample.received_lsn)?);
    let (has, confirmed) = (at(&sample.cloud_lsn)?, at(&sample.confirmed_lsn)?);
    Some([
        ("on the way to us", wrote.bytes_since(received)),
        ("waiting for the cloud's commit", received.bytes_since(has)),
        ("not confirmed to the desktop", has.bytes_since(confirmed)),
    ])
}

/// One line for a sample, where a screen can't be redrawn.
pub(super) fn lag_line(sample: &Sample) -> String {
    let number = |value: Option<u64>| value.map_or("unknown".to_owned(), |value| value.to_string());
    format!(
        "state={} lag_ms={} lag_bytes={} wal_held_bytes={} reverse_pending={} measured_age_ms={}",
        word(sample.state).replace(' ', "_").to_lowercase(),
        sample
            .lag_ms
            .map_or("unknown".to_owned(), |lag| lag.to_string()),
        number(sample.lag_bytes),
        number(sample.wal_held_bytes),
        number(sample.reverse.pending),
        sample.measured_age_ms
    )
}

/// A duration in seconds.
pub(super) fn seconds(ms: Option<i64>) -> String {
    ms.map_or("unknown".to_owned(), |ms| {
        format!("{:.3} s", ms as f64 / 1000.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f13_bars_are_ascii_where_the_console_is() {
        assert_eq!(bars(&[0, 5, 10], 1, false), "_:#");
        assert_eq!(bars(&[0, 5, 10], 1_000, false), "___");
        assert_eq!(bars(&[0, 0], 1, true), "▁▁");
        assert_eq!(bars(&[], 1, false), "");
    }

    #[test]
    fn p16_text_from_databases_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\u{7}\nc"), "a\u{fffd}[31mb\u{fffd}\nc");
    }
}
