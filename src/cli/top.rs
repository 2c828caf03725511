//! `tandem top`

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Sparkline, Table, TableState, Wrap};
use ratatui::{DefaultTerminal, Frame};
use tokio::sync::watch;
use tokio::time::sleep;

use super::show;
use crate::config::Settings;
use crate::fault::{Exit, Fault, Kind};
use crate::observe::{Observer, Status, TableStatus, Verdict};

/// The same as status and lag, live, full screen. Only looks.
#[derive(Args)]
#[command(
    after_help = "Keys: q quit   space pause   up, down, j, k choose a table   a all tables or those that need you   / filter   ? help"
)]
pub(super) struct Options {}

const EVERY: Duration = Duration::from_secs(1);
/// Samples in a sparkline.
const HISTORY: usize = 120;
const KEYS: &str = "q quit   space pause   up/down choose   a all tables   / filter   ? help";

/// What is known, and when it was learned.
#[derive(Clone, Default)]
struct Known {
    status: Option<Status>,
    failed: Option<String>,
    samples: u64,
}

/// What is on the screen.
struct View {
    known: Known,
    lags: VecDeque<u64>,
    seen: u64,
    paused: bool,
    all: bool,
    /// The line of the table that is chosen.
    chosen: usize,
    filter: String,
    typing: bool,
    help: bool,
    color: bool,
    title: String,
    /// When the shown sample came.
    at: Instant,
}

pub(super) async fn top(
    _options: &Options,
    settings: &Settings,
    color: bool,
) -> Result<Exit, Fault> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Fault::new(Kind::Input, "top needs a terminal")
            .hint("the same in one screen, or as lines")
            .next("tandem status, or tandem lag --watch"));
    }
    let (told, known) = watch::channel(Known::default());
    let title = format!(
        "desktop {} -> cloud {}",
        settings.desktop.endpoint.database, settings.cloud.endpoint.database
    );
    let screen = tokio::task::spawn_blocking(move || {
        let mut terminal = ratatui::init();
        let ended = run(&mut terminal, &known, View::new(title, color));
        ratatui::restore();
        ended
    });
    tokio::select! {
        ended = screen => match ended {
            Ok(Ok(())) => Ok(Exit::Fine),
            Ok(Err(error)) => Err(Fault::new(Kind::Input, "the terminal can't be used").cause(error)),
            Err(error) => Err(Fault::new(Kind::Internal, "the screen ended by itself").cause(error)),
        },
        never = look(settings, told) => match never {},
    }
}

/// Takes samples as long as it is polled.
async fn look(settings: &Settings, told: watch::Sender<Known>) -> std::convert::Infallible {
    let mut observer = None;
    loop {
        let sampled = Observer::status_over(&mut observer, settings).await;
        told.send_modify(|known| {
            known.samples += 1;
            match sampled {
                Ok(status) => (known.status, known.failed) = (Some(status), None),
                Err(fault) => known.failed = Some(fault.to_string()),
            }
        });
        sleep(EVERY).await;
    }
}

fn run(
    terminal: &mut DefaultTerminal,
    known: &watch::Receiver<Known>,
    mut view: View,
) -> std::io::Result<()> {
    loop {
        if !view.paused {
            view.take(&known.borrow());
        }
        terminal.draw(|frame| draw(frame, &view))?;
        if event::poll(Duration::from_millis(200))?
            && let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
        {
            let quits =
                key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
            if quits || view.press(key.code) {
                return Ok(());
            }
        }
        // The command ended otherwise.
        if known.has_changed().is_err() {
            return Ok(());
        }
    }
}

impl View {
    fn new(title: String, color: bool) -> View {
        View {
            known: Known::default(),
            lags: VecDeque::new(),
            seen: 0,
            paused: false,
            all: true,
            chosen: 0,
            filter: String::new(),
            typing: false,
            help: false,
            color,
            title,
            at: Instant::now(),
        }
    }

    fn take(&mut self, known: &Known) {
        if known.samples == self.seen {
            return;
        }
        (self.seen, self.at) = (known.samples, Instant::now());
        self.known = known.clone();
        let lag = known
            .status
            .as_ref()
            .and_then(|status| status.forward.lag_ms);
        self.lags.push_back(lag.unwrap_or_default().unsigned_abs());
        if self.lags.len() > HISTORY {
            self.lags.pop_front();
        }
    }

    /// Says whether the key ends it.
    fn press(&mut self, key: KeyCode) -> bool {
        if self.typing {
            match key {
                KeyCode::Enter => self.typing = false,
                KeyCode::Esc => (self.typing, self.filter) = (false, String::new()),
                KeyCode::Backspace => {
                    self.filter.pop();
                }
                KeyCode::Char(letter) => self.filter.push(letter),
                _ => {}
            }
            return false;
        }
        match key {
            KeyCode::Char('q') => return true,
            KeyCode::Esc if self.help => self.help = false,
            KeyCode::Esc if !self.filter.is_empty() => self.filter.clear(),
            KeyCode::Esc => return true,
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Char('a') => self.all = !self.all,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('?') => self.help = !self.help,
            KeyCode::Down | KeyCode::Char('j') => self.chosen += 1,
            KeyCode::Up | KeyCode::Char('k') => self.chosen = self.chosen.saturating_sub(1),
            _ => {}
        }
        self.chosen = self.chosen.min(self.tables().len().saturating_sub(1));
        false
    }

    fn tables(&self) -> Vec<&TableStatus> {
        let tables = { self.known.status.iter() }.flat_map(Status::trouble_first);
        tables
            .filter(|table| self.all || table.needs_you())
            .filter(|table| table.table.contains(&self.filter))
            .collect()
    }

    fn colored(&self, color: Color) -> Style {
        match self.color {
            true => Style::new().fg(color),
            false => Style::new(),
        }
    }
}

fn draw(frame: &mut Frame<'_>, view: &View) {
    let told = match (view.help, frame.area().height) {
        (true, _) => 0,
        (false, ..24) => 3,
        (false, _) => 5,
    };
    let areas = Layout::vertical([
        Constraint::Length(6),
        Constraint::Length(5),
        Constraint::Min(3),
        Constraint::Length(told),
        Constraint::Length(1),
    ]);
    let [head, lag, tables, about, keys] = areas.areas(frame.area());
    frame.render_widget(Paragraph::new(heading(view)), head);
    let most = view.lags.iter().copied().max().unwrap_or_default();
    let spark = Sparkline::default()
        .block(Block::new().borders(Borders::TOP).title(format!(
            " lag, the last {} samples, at most {} ",
            view.lags.len(),
            show::seconds(i64::try_from(most).ok())
        )))
        .style(view.colored(Color::Cyan))
        .max(most.max(show::FULL_BAR_MS))
        .data(view.lags.iter().copied());
    frame.render_widget(spark, lag);
    match view.help {
        true => frame.render_widget(Paragraph::new(help()), tables),
        false => {
            let chosen = Some(view.chosen).filter(|_| !view.tables().is_empty());
            let mut state = TableState::new().with_selected(chosen);
            frame.render_stateful_widget(listing(view), tables, &mut state);
        }
    }
    let about_it = Paragraph::new(details(view)).wrap(Wrap { trim: true });
    let block = Block::new().borders(Borders::TOP);
    frame.render_widget(about_it.block(block), about);
    let last = match (view.typing, view.help) {
        (true, _) => format!("/{}", view.filter),
        (false, true) => "? or esc: back".to_owned(),
        (false, false) if view.filter.is_empty() => KEYS.to_owned(),
        (false, false) => format!("filter: {}   esc clears it   {KEYS}", view.filter),
    };
    frame.render_widget(Paragraph::new(last), keys);
}

fn help() -> Vec<Line<'static>> {
    [
        "q, esc      quit",
        "space       stop and go on; what is shown grows old meanwhile",
        "up, down    chooses the table above or below, which is told of in full; k and j do the same",
        "a           all tables, or only those that need you",
        "/           only tables with this in their name; enter keeps it, esc clears it",
        "",
        "applied: rows that were copied to the cloud, and changes that arrived there.   home: rows of phones that came home.",
        "It only looks. The same is in: tandem status --json, tandem lag --json.",
    ]
    .map(Line::from)
    .to_vec()
}

fn heading(view: &View) -> Vec<Line<'static>> {
    let paused = if view.paused { "   PAUSED" } else { "" };
    let Some(status) = &view.known.status else {
        let what = view
            .known
            .failed
            .clone()
            .unwrap_or_else(|| "looking".to_owned());
        return vec![
            Line::from(format!("{what}{paused}")),
            Line::from(view.title.clone()),
        ];
    };
    let color = match (view.known.failed.is_some(), status.verdict) {
        (true, _) | (_, Verdict::Stalled | Verdict::Stopped | Verdict::Down) => Color::Red,
        (_, Verdict::NeedsYou | Verdict::CatchingUp) => Color::Yellow,
        (_, Verdict::CaughtUp) => Color::Green,
    };
    let verdict = match &view.known.failed {
        Some(failed) => format!("cannot tell: {failed}"),
        None => status.headline(),
    };
    let (forward, reverse) = (&status.forward, &status.reverse);
    let style = view.colored(color).add_modifier(Modifier::BOLD);
    let waiting = reverse
        .pending
        .map_or("unknown".to_owned(), |pending| pending.to_string());
    vec![
        Line::from(vec![
            Span::styled(verdict, style),
            Span::raw(format!("   {}{paused}", view.title)),
        ]),
        Line::from(format!(
            "  forward   {:<14} {} behind, {} missing",
            show::word(forward.state),
            show::seconds(forward.lag_ms),
            show::bytes(forward.lag_bytes)
        )),
        Line::from(format!(
            "  reverse   {waiting} waiting, {} behind",
            show::seconds(reverse.lag_ms)
        )),
        Line::from(format!(
            "  desktop keeps {} of WAL for us, limit {}",
            show::bytes(forward.wal_held_bytes),
            show::bytes(Some(forward.wal_held_bytes_max))
        )),
        Line::from(format!(
            "  measured {:.0} s ago",
            view.at.elapsed().as_secs_f64()
        )),
    ]
}

fn listing(view: &View) -> Table<'static> {
    let rows = view.tables().into_iter().map(|table| {
        let style = match table.needs_you() {
            true => view.colored(Color::Yellow).add_modifier(Modifier::BOLD),
            false => Style::new(),
        };
        let why = show::clean(table.why.as_deref().unwrap_or_default());
        let home = table.reverse.as_ref().map_or(0, |counts| counts.applied);
        Row::new([
            show::clean(&table.table),
            table.state.to_string(),
            table.written().to_string(),
            home.to_string(),
            table.parked.to_string(),
            table.conflicts.to_string(),
            why,
        ])
        .style(style)
    });
    let widths = [
        Constraint::Length(22),
        Constraint::Length(13),
        Constraint::Length(10),
        Constraint::Length(8),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Fill(1),
    ];
    let head = [
        "table",
        "state",
        "applied",
        "home",
        "quarantine",
        "conflicts",
        "why",
    ];
    Table::new(rows, widths)
        .header(Row::new(head).style(Style::new().add_modifier(Modifier::BOLD)))
        .block(Block::new().borders(Borders::TOP))
        // Not by colour alone, and seen where there is none.
        .highlight_symbol("> ")
        .row_highlight_style(Style::new().add_modifier(Modifier::BOLD))
}

/// All of the chosen table, its reason first.
fn details(view: &View) -> Vec<Line<'static>> {
    let tables = view.tables();
    let Some(table) = tables.get(view.chosen.min(tables.len().saturating_sub(1))) else {
        return Vec::new();
    };
    let state = format!("{} since {}", table.state, table.since);
    let why = match (&table.why, table.parked) {
        (Some(why), _) => format!("{state}: {why}"),
        (None, 0) => state,
        (None, parked) => {
            format!("{state}; {parked} rows in quarantine: tandem quarantine list says why")
        }
    };
    let swap = match &table.last_swap {
        Some(when) => format!("   last swap {when}"),
        None => String::new(),
    };
    let counts = format!(
        "copied {}   received {}   applied {}   folded {}   ruled out {}   quarantined {}   extras {}{swap}",
        table.copied,
        table.received,
        table.applied,
        table.folded,
        table.ruled_out,
        table.quarantined,
        table.extras
    );
    vec![
        Line::from(show::clean(&format!("{}: {why}", table.table)).replace('\n', " ")),
        Line::from(counts),
    ]
}

#[cfg(test)]
#[path = "top_tests.rs"]
mod tests;
