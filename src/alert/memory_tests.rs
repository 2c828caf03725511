use std::time::Duration;

use super::*;
use crate::config::Secret;
use crate::config::{RootCert, TimeOfDay, Webhook, WebhookFormat};

const MINUTE: i64 = 60_000;

fn alert() -> Alert {
    Alert {
        after: Duration::from_secs(300),
        lag: None,
        repeat: Some(Duration::from_secs(6 * 3600)),
        daily: None,
        mail: None,
        webhook: Some(Webhook {
            url: Secret::new("https://h/x"),
            place: "https://h:443".to_owned(),
            host: "h".to_owned(),
            port: 443,
            tls: Some(RootCert::System),
            format: WebhookFormat::Json,
            header: None,
        }),
    }
}

fn with(names: &[&str]) -> Condition {
    let trouble = |name: &&str| Trouble {
        name: (*name).to_owned(),
        words: format!("{name} is wrong"),
    };
    Condition {
        verdict: "needs_you".to_owned(),
        headline: "running, one table needs you".to_owned(),
        troubles: names.iter().map(trouble).collect(),
        well: names.is_empty(),
        ..Condition::default()
    }
}

/// An office that is looked at each minute, and a way by which everything arrives, but for what isn't.
struct Office {
    memory: Memory,
    alert: Alert,
    now: i64,
    told: Vec<(i64, Event, Vec<String>)>,
}

impl Office {
    fn new() -> Office {
        Office {
            memory: Memory::default(),
            alert: alert(),
            now: 1_000 * MINUTE,
            told: Vec::new(),
        }
    }

    /// So many minutes like this.
    fn goes(&mut self, minutes: i64, names: &[&str]) -> &mut Office {
        for _ in 0..minutes {
            self.now += MINUTE;
            self.look(&with(names));
        }
        self
    }

    fn look(&mut self, condition: &Condition) {
        let about = About::default();
        self.memory.look(self.now, condition, (&self.alert, &about));
        while let Some((number, message)) = self.memory.due(Way::Webhook, self.now) {
            self.memory.arrived(Way::Webhook, number, self.now);
            self.told
                .push((self.now / MINUTE - 1_000, message.event, message.reasons));
        }
    }

    /// As a restart does: what was kept is all there is.
    fn restart(&mut self) {
        let kept = serde_json::to_string(&self.memory).unwrap();
        self.memory = serde_json::from_str(&kept).unwrap();
        self.memory.resume(&[Way::Webhook]);
    }

    fn events(&self) -> Vec<(i64, Event)> {
        self.told
            .iter()
            .map(|(at, event, _)| (*at, *event))
            .collect()
    }
}

#[test]
fn what_lasts_is_told_once_said_again_and_its_end_is_told() {
    let mut office = Office::new();
    office.goes(10, &[]).goes(400, &["a"]).goes(20, &[]);
    assert_eq!(
        office.events(),
        [
            (16, Event::Alert),
            (376, Event::Reminder),
            (416, Event::Recovered)
        ]
    );
    assert_eq!(office.told[0].2, ["a is wrong"]);
}

#[test]
fn what_comes_and_goes_within_the_time_is_not_told() {
    let mut office = Office::new();
    for _ in 0..50 {
        office.goes(4, &["a"]).goes(1, &[]);
    }
    assert_eq!(office.events(), []);
}

#[test]
fn what_comes_on_top_is_told_although_something_has_long_been_wrong() {
    let mut office = Office::new();
    office.alert.repeat = None;
    office
        .goes(2_000, &["a"])
        .goes(10, &["a", "b"])
        .goes(100, &["b"]);
    let told: Vec<_> = office
        .told
        .iter()
        .map(|(at, event, reasons)| (*at, *event, reasons.len()))
        .collect();
    assert_eq!(told, [(6, Event::Alert, 1), (2_006, Event::Alert, 2)]);
}

#[test]
fn however_it_flaps_messages_stay_few() {
    let mut office = Office::new();
    office.alert.after = Duration::ZERO;
    for _ in 0..300 {
        office.goes(1, &["a"]).goes(1, &[]);
    }
    let hours = 10;
    assert!(
        office.told.len() <= limits::ALERTS_IN_HOUR * (hours + 1),
        "{}",
        office.told.len()
    );
    assert!(office.told.len() >= hours);
    // Whatever was left out, the last word is the truth.
    office.goes(70, &[]);
    assert_eq!(
        office.told.last().map(|(_, event, _)| *event),
        Some(Event::Recovered)
    );
}

#[test]
fn a_restart_neither_tells_it_again_nor_forgets_it() {
    let mut office = Office::new();
    office.goes(10, &["a"]);
    office.restart();
    office.goes(60, &["a"]);
    office.restart();
    office.goes(10, &[]);
    assert_eq!(office.events(), [(6, Event::Alert), (76, Event::Recovered)]);
    // What nobody was told of has to last from the start on.
    let mut office = Office::new();
    office.goes(3, &["a"]);
    office.restart();
    office.goes(3, &["a"]);
    assert_eq!(office.events(), []);
}

#[test]
fn a_computer_that_slept_says_nothing_of_what_was_before() {
    let mut office = Office::new();
    office.goes(3, &["a"]);
    office.now += 600 * MINUTE;
    office.goes(3, &["a"]);
    assert_eq!(office.events(), []);
    // Nor does a clock that was set back keep it quiet for ever.
    office.now -= 900 * MINUTE;
    office.goes(10, &["a"]);
    assert_eq!(office.told.len(), 1);
}

#[test]
fn being_late_is_neither_wrong_nor_well() {
    let mut office = Office::new();
    office.goes(10, &["a"]);
    let late = Condition::default();
    for _ in 0..30 {
        office.now += MINUTE;
        office.look(&late);
    }
    assert_eq!(office.events(), [(6, Event::Alert)]);
    office.goes(10, &[]);
    assert_eq!(
        office.events().last().map(|(_, event)| *event),
        Some(Event::Recovered)
    );
}

#[test]
fn what_does_not_arrive_is_tried_later_and_later_and_the_newest_counts() {
    let mut office = Office::new();
    let about = About::default();
    let mut tries = Vec::new();
    for second in 0..7_200 {
        let now = office.now + second * 1_000;
        let names: &[&str] = if second < 3_600 { &["a"] } else { &[] };
        office
            .memory
            .look(now, &with(names), (&office.alert, &about));
        if let Some((_, message)) = office.memory.due(Way::Webhook, now) {
            tries.push((second, message.event));
            office.memory.failed(Way::Webhook, "away", now);
        }
    }
    let at: Vec<_> = tries.iter().map(|(second, _)| *second).collect();
    assert_eq!(at[..6], [300, 305, 315, 335, 375, 455]);
    assert!(tries.len() < 25, "{tries:?}");
    assert_eq!(
        tries.last().map(|(_, event)| *event),
        Some(Event::Recovered)
    );
    let status = office.memory.status(&[Way::Webhook]);
    assert_eq!(
        status.broken().next().and_then(|way| way.failed.as_deref()),
        Some("away")
    );
    let now = office.now + 9_000 * 1_000;
    let (number, _) = office.memory.due(Way::Webhook, now).unwrap();
    office.memory.arrived(Way::Webhook, number, now);
    let status = office.memory.status(&[Way::Webhook]);
    assert_eq!(status.broken().count(), 0);
    assert!(!status.ways[0].waiting && status.ways[0].arrived.is_some());
}

#[test]
fn a_summary_comes_once_a_day_and_waits_behind_an_alert() {
    let mut memory = Memory::default();
    let about = About::default();
    let alert = Alert {
        daily: Some(TimeOfDay { hour: 8, minute: 0 }),
        ..alert()
    };
    let at = |hour| TimeOfDay { hour, minute: 30 };
    let (fine, told) = (with(&[]), (&alert, &about));
    assert!(!memory.summarize(0, ("2026-11-28", at(7)), &fine, told));
    assert!(memory.summarize(1, ("2026-11-28", at(8)), &fine, told));
    assert!(!memory.summarize(2, ("2026-11-28", at(9)), &fine, told));
    assert!(memory.summarize(3, ("2026-11-29", at(12)), &fine, told));
    let wrong = with(&["a"]);
    assert!(memory.stopped(4, &wrong, told));
    assert!(!memory.stopped(5, &wrong, told), "it was told already");
    let (number, message) = memory.due(Way::Webhook, 6).unwrap();
    assert_eq!(message.event, Event::Alert);
    memory.arrived(Way::Webhook, number, 6);
    let (_, message) = memory.due(Way::Webhook, 7).unwrap();
    assert_eq!(message.event, Event::Daily);
}
