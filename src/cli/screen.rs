//! How far a first copy is, while somebody watches: drawn again and again in one place, with log lines above it; and in one
//! line where nobody does.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use ratatui::crossterm::terminal;

use super::show;
use crate::flows::{AtWork, Copying};
use crate::limits;

/// What is being drawn on standard error.
static DRAWN: Mutex<Option<MultiProgress>> = Mutex::new(None);

fn drawn() -> Option<MultiProgress> {
    let drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    drawn.clone()
}

/// Standard error, above whatever is being drawn there: a line of the log must not tear it.
pub(super) struct Above;

impl Write for Above {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match drawn() {
            Some(bars) => bars.suspend(|| io::stderr().write_all(line))?,
            None => io::stderr().write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The live screen. It is gone when this is.
pub(super) struct Screen {
    bars: MultiProgress,
    head: ProgressBar,
    whole: ProgressBar,
    tables: Vec<ProgressBar>,
    narrow: Option<bool>,
    utf8: bool,
}

impl Drop for Screen {
    fn drop(&mut self) {
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.bars.clear();
    }
}

impl Screen {
    /// A screen, where there is a terminal that can be drawn on.
    pub(super) fn open() -> Option<Screen> {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if dumb || !show::progress_is_seen() {
            return None;
        }
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bars.clone());
        Some(Screen {
            head: bars.add(ProgressBar::no_length()),
            whole: bars.add(ProgressBar::new(1)),
            bars,
            tables: Vec::new(),
            narrow: None,
            utf8: show::is_utf8(),
        })
    }

    /// Draws how far it is.
    pub(super) fn draw(&mut self, now: &Copying, pace: &mut Pace) {
        let (width, height) = terminal::size().unwrap_or((80, 24));
        let narrow = width < limits::NARROW;
        if self.narrow.replace(narrow) != Some(narrow) {
            self.head.set_style(plain());
            self.whole
                .set_style(self.style(narrow, "  [{wide_bar}] {percent:>3}%"));
            self.tables.drain(..).for_each(|bar| self.bars.remove(&bar));
        }
        // The head, the bar of all, and a line of the shell's stay in sight.
        let room = usize::from(height).saturating_sub(4);
        let shown = now.at_work.len().min(room);
        while self.tables.len() > shown {
            if let Some(bar) = self.tables.pop() {
                self.bars.remove(&bar);
            }
        }
        while self.tables.len() < shown {
            let bar = self.bars.add(ProgressBar::new(1));
            bar.set_style(self.style(narrow, "  {prefix:<28!} [{wide_bar}] {msg:<26!}"));
            self.tables.push(bar);
        }
        self.head.set_message(words(now, pace));
        fill(&self.whole, now.rows, now.expected);
        for (bar, work) in self.tables.iter().zip(&now.at_work) {
            let (name, rows) = (show::clean(&work.table), rows(work));
            match narrow {
                true => bar.set_message(format!("  {name} {rows}")),
                false => {
                    bar.set_prefix(name);
                    bar.set_message(rows);
                }
            }
            fill(bar, work.rows, work.expected);
        }
        self.head.tick();
    }

    fn style(&self, narrow: bool, template: &str) -> ProgressStyle {
        if narrow {
            return plain();
        }
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| plain());
        style.progress_chars(if self.utf8 { "\u{2588}\u{2591}" } else { "=>-" })
    }
}

fn plain() -> ProgressStyle {
    let style = ProgressStyle::with_template("{wide_msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn fill(bar: &ProgressBar, rows: u64, expected: u64) {
    bar.set_length(expected.max(rows).max(1));
    bar.set_position(rows);
}

fn rows(work: &AtWork) -> String {
    match (work.merging, work.expected) {
        (true, _) => format!("{} rows, writing", number(work.rows)),
        (false, 0) => format!("{} rows", number(work.rows)),
        (false, expected) => format!(
            "{} of {}",
            number(work.rows),
            number(expected.max(work.rows))
        ),
    }
}

/// When rows began to come, so that set-up doesn't count as copying.
#[derive(Default)]
pub(super) struct Pace {
    since: Option<Instant>,
}

impl Pace {
    fn took(&mut self, now: &Copying) -> Duration {
        let begun = now.tables > 0;
        let since = begun.then(|| *self.since.get_or_insert_with(Instant::now));
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// How far it is, in words; the most important first, since a narrow screen has no room for more.
pub(super) fn words(now: &Copying, pace: &mut Pace) -> String {
    let took = pace.took(now).as_secs_f64();
    if now.tables == 0 {
        return match now.published {
            (_, 0) => "looking at both sides".to_owned(),
            (done, all) if done < all => format!("publishing, {done} of {all} tables"),
            _ => "waiting for a snapshot of the desktop".to_owned(),
        };
    }
    let mut parts = vec![format!("{} of {} tables", now.done, now.tables)];
    if now.refused > 0 {
        let need = if now.refused == 1 { "needs" } else { "need" };
        parts.push(format!("{} {need} you", now.refused));
    }
    parts.push(format!("{} rows", number(now.rows)));
    parts.push(show::bytes(Some(now.bytes)));
    // The first moments say nothing of the rest.
    let rate = now.rows as f64 / took.max(0.001);
    if took >= 1.0 && now.rows > 0 {
        parts.push(format!("{} rows/s", number(rate as u64)));
        if now.expected > now.rows {
            let left = (now.expected - now.rows) as f64 / rate;
            parts.push(format!("about {} left", roughly(left)));
        }
    }
    if now.is_over() {
        parts.push("now what changed meanwhile".to_owned());
    }
    parts.join(", ")
}

fn roughly(seconds: f64) -> String {
    match seconds {
        few if few < 100.0 => format!("{few:.0} s"),
        many if many < 6_000.0 => format!("{:.0} min", many / 60.0),
        hours => format!("{:.1} h", hours / 3_600.0),
    }
}

/// A number that can be read at a glance.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_fits_what_is_known() {
        let mut pace = Pace::default();
        let mut now = Copying::default();
        assert_eq!(words(&now, &mut pace), "looking at both sides");
        now.published = (3, 400);
        assert_eq!(words(&now, &mut pace), "publishing, 3 of 400 tables");
        now.published = (400, 400);
        assert_eq!(
            words(&now, &mut pace),
            "waiting for a snapshot of the desktop"
        );
        (now.tables, now.done, now.refused) = (400, 12, 1);
        (now.rows, now.bytes, now.expected) = (1_234_567, 20 << 20, 2_469_134);
        let said = words(&now, &mut pace);
        assert_eq!(said, "12 of 400 tables, 1 needs you, 1,234,567 rows, 20 MB");
        pace.since = Some(Instant::now() - Duration::from_secs(100));
        let said = words(&now, &mut pace);
        assert!(
            said.contains("rows/s, about 100 s left") || said.contains("rows/s, about 2 min left"),
            "{said}"
        );
    }

    #[test]
    fn numbers_have_their_commas_and_times_their_unit() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_000), "1,000");
        assert_eq!(number(12_345_678), "12,345,678");
        assert_eq!(
            (roughly(7.0), roughly(600.0), roughly(9_000.0)),
            ("7 s".into(), "10 min".into(), "2.5 h".into())
        );
    }
}
