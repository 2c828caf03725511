//! What people read. Times are written by this computer's clock, as those who work there have it on the wall.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Why a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Something is wrong, or more than before.
    Alert,
    /// It is still wrong.
    Reminder,
    /// It is well again.
    Recovered,
    /// The summary of a day.
    Daily,
    /// Somebody wants to see whether messages arrive.
    Test,
}

/// Whose message it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The replicator's name.
    pub replicator: String,
    /// The computer on which tandem runs.
    pub computer: String,
}

/// What people are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Why it is sent.
    pub event: Event,
    /// The replicator's name.
    pub replicator: String,
    /// The computer on which tandem runs.
    pub computer: String,
    /// The word of `status`; of a recovery the one that it was.
    pub verdict: String,
    /// The same as people say it.
    pub headline: String,
    /// Since when something is, or was, wrong, in ISO 8601.
    pub since: Option<String>,
    /// When the message was written, in ISO 8601.
    pub at: String,
    /// What is, or was, wrong; of a summary its facts.
    pub reasons: Vec<String>,
    /// What is safe.
    pub safe: String,
    /// The next commands.
    pub next: Vec<String>,
}

/// A time in milliseconds since 1970 as documents have it: ISO 8601 in UTC, to the second.
pub(super) fn iso(millis: i64) -> String {
    let time = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Such a time as people at this computer read it.
fn local(iso: &str, zone: &TimeZone) -> String {
    match iso.parse::<Timestamp>() {
        Ok(time) => {
            let time = time.to_zoned(zone.clone());
            time.strftime("%Y-%m-%d %H:%M:%S (UTC%:z)").to_string()
        }
        Err(_) => iso.to_owned(),
    }
}

impl Message {
    /// One line: whose it is, and what it is about.
    pub fn subject(&self) -> String {
        let what = match self.event {
            Event::Alert => self.headline.clone(),
            Event::Reminder => format!("still: {}", self.headline),
            Event::Recovered => "well again".to_owned(),
            Event::Daily => format!("today: {}", self.headline),
            Event::Test => "a test: alerts arrive here".to_owned(),
        };
        let line = format!("[tandem] {}: {what}", self.replicator);
        line.chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect()
    }

    /// All of it, as a letter.
    pub fn text(&self) -> String {
        self.text_in(&TimeZone::system())
    }

    fn text_in(&self, zone: &TimeZone) -> String {
        let mut text = format!("tandem for {} on {}\n", self.replicator, self.computer);
        let mut part = |head: &str, lines: &[String]| {
            if !lines.is_empty() {
                text.push_str(&format!("\n{head}\n"));
                lines
                    .iter()
                    .for_each(|line| text.push_str(&format!("  {line}\n")));
            }
        };
        let mut what = vec![match self.event {
            Event::Recovered => format!("well again; it was: {}", self.headline),
            Event::Reminder => format!("still: {}", self.headline),
            Event::Alert | Event::Daily | Event::Test => self.headline.clone(),
        }];
        what.push(format!("at {}", local(&self.at, zone)));
        if let Some(since) = &self.since {
            what.push(format!("since {}", local(since, zone)));
        }
        part("What", &what);
        let reasons = match self.event {
            Event::Recovered => "Why it was",
            Event::Daily => "Facts",
            Event::Alert | Event::Reminder | Event::Test => "Why",
        };
        part(reasons, &self.reasons);
        if !self.safe.is_empty() {
            part("What is safe", std::slice::from_ref(&self.safe));
        }
        part("What to do", &self.next);
        text
    }

    /// As Slack and its like take it: three letters have a meaning there.
    pub fn slack(&self) -> String {
        let escape = |text: &str| {
            text.replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
        };
        let text = format!("*{}*\n{}", escape(&self.subject()), escape(&self.text()));
        serde_json::json!({ "text": text }).to_string()
    }

    /// As a document.
    pub fn json(&self) -> String {
        let mut document =
            serde_json::json!({"schema": 1, "subject": self.subject(), "text": self.text()});
        if let (Some(fields), Ok(serde_json::Value::Object(own))) =
            (document.as_object_mut(), serde_json::to_value(self))
        {
            fields.extend(own);
        }
        document.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(event: Event) -> Message {
        Message {
            event,
            replicator: "office-1".to_owned(),
            computer: "front-desk".to_owned(),
            verdict: "needs_you".to_owned(),
            headline: "running, one table needs you".to_owned(),
            since: Some("2026-11-28T04:30:00Z".to_owned()),
            at: "2026-11-28T04:35:00Z".to_owned(),
            reasons: vec!["item stopped: <no> column & more".to_owned()],
            safe: "nothing is lost".to_owned(),
            next: vec!["tandem doctor".to_owned()],
        }
    }

    #[test]
    fn a_letter_says_what_since_when_why_what_is_safe_and_what_to_do() {
        let zone = TimeZone::fixed(jiff::tz::offset(5));
        let text = message(Event::Alert).text_in(&zone);
        assert_eq!(
            text,
            "tandem for office-1 on front-desk\n\nWhat\n  running, one table needs you\n  at 2026-11-28 09:35:00 (UTC+05:00)\n  \
             since 2026-11-28 09:30:00 (UTC+05:00)\n\nWhy\n  item stopped: <no> column & more\n\nWhat is safe\n  nothing is lost\n\n\
             What to do\n  tandem doctor\n"
        );
        let subject = message(Event::Recovered).subject();
        assert_eq!(subject, "[tandem] office-1: well again");
    }

    #[test]
    fn documents_are_what_their_readers_take() {
        let slack: serde_json::Value =
            serde_json::from_str(&message(Event::Reminder).slack()).unwrap();
        let text = slack["text"].as_str().unwrap();
        assert!(
            text.contains("*[tandem] office-1: still: running")
                && text.contains("&lt;no&gt; column &amp; more")
        );
        let json: serde_json::Value = serde_json::from_str(&message(Event::Alert).json()).unwrap();
        assert_eq!(json["schema"], 1);
        assert_eq!(json["event"], "alert");
        assert_eq!(json["reasons"][0], "item stopped: <no> column & more");
        assert!(json["text"].as_str().unwrap().contains("What to do"));
    }

    #[test]
    fn a_subject_stays_one_line() {
        let mut message = message(Event::Alert);
        message.headline = "a\r\nBcc: everybody".to_owned();
        assert_eq!(message.subject(), "[tandem] office-1: a  Bcc: everybody");
    }
}
