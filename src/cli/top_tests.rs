//! The full screen, drawn without a terminal.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::model::StateWord;
use crate::observe::{Sample, Service, State};

fn table(name: &str, state: &str, parked: i64) -> TableStatus {
    TableStatus {
        table: name.to_owned(),
        state: StateWord::read(state),
        since: String::new(),
        why: (parked > 0).then(|| "refused \u{1b}[31m".to_owned()),
        copied: 0,
        received: 0,
        applied: 7,
        folded: 0,
        ruled_out: 0,
        quarantined: 0,
        parked,
        extras: 0,
        last_swap: None,
        reverse: None,
        conflicts: 0,
    }
}

fn view() -> View {
    let mut view = View::new("desktop a -> cloud b".to_owned(), false);
    let forward = Sample {
        schema: 1,
        state: State::Streaming,
        lag_ms: Some(12),
        lag_bytes: Some(0),
        measured_age_ms: 0,
        desktop_lsn: None,
        received_lsn: None,
        cloud_lsn: None,
        confirmed_lsn: None,
        wal_held_bytes: Some(16 << 20),
        wal_held_bytes_max: 4 << 30,
        reverse: Default::default(),
        taken: None,
    };
    let status = Status {
        schema: 1,
        verdict: Verdict::NeedsYou,
        reverse: Default::default(),
        forward,
        then: None,
        service: Service::default(),
        settings: None,
        refill: None,
        refills: Vec::new(),
        snapshot_held_ms: None,
        slot_given_up: None,
        up_to: None,
        wal_limit_in_s: None,
        verified: None,
        alert: None,
        schemas: Default::default(),
        last_commit: None,
        transactions: None,
        parked: (1, 0),
        tables: vec![
            table("jobs", "streaming", 0),
            table("visits", "streaming", 1),
        ],
    };
    view.take(&Known {
        status: Some(status),
        failed: None,
        samples: 1,
    });
    view
}

fn screen(view: &View) -> String {
    let mut terminal =
        Terminal::new(TestBackend::new(100, 20)).unwrap_or_else(|never| match never {});
    let _ = terminal.draw(|frame| draw(frame, view));
    terminal.backend().to_string()
}

#[test]
fn p15_the_screen_says_what_status_says_and_text_cannot_steer_it() {
    let shown = screen(&view());
    for wanted in [
        "running, one table needs you",
        "0.012 s behind, 0 B missing",
        "16 MB of WAL",
        "visits",
        "q quit",
    ] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
    assert!(!shown.contains('\u{1b}'));
}

#[test]
fn the_chosen_table_is_told_of_in_full_and_trouble_comes_first() {
    let mut view = view();
    let shown = screen(&view);
    assert!(
        shown.contains("> visits") && shown.contains("visits: streaming since"),
        "{shown}"
    );
    assert!(
        shown.contains(": refused ") && shown.contains("applied 7"),
        "{shown}"
    );
    for _ in 0..3 {
        view.press(KeyCode::Down);
    }
    let shown = screen(&view);
    assert!(
        shown.contains("> jobs") && shown.contains("jobs: streaming since"),
        "{shown}"
    );
    view.press(KeyCode::Char('k'));
    assert!(screen(&view).contains("> visits"));
}

#[test]
fn keys_do_what_the_last_line_says() {
    let mut view = view();
    assert!(!view.press(KeyCode::Char('a')));
    assert!(!screen(&view).contains("jobs"), "only those that need you");
    view.press(KeyCode::Char('a'));
    for letter in "/job".chars() {
        view.press(KeyCode::Char(letter));
    }
    view.press(KeyCode::Enter);
    assert!(screen(&view).contains("jobs") && !screen(&view).contains("visits "));
    view.press(KeyCode::Esc);
    view.press(KeyCode::Char(' '));
    assert!(screen(&view).contains("PAUSED"));
    view.press(KeyCode::Char('?'));
    assert!(screen(&view).contains("It only looks"));
    view.press(KeyCode::Esc);
    for _ in 0..9 {
        view.press(KeyCode::Char('j'));
    }
    assert!(
        screen(&view).contains("visits"),
        "the last one stays in sight"
    );
    assert!(view.press(KeyCode::Char('q')));
}
