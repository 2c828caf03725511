//! `[alert]`: who is told when something is wrong, by which ways, and how soon.

mod inside;
mod mail;

use std::path::Path;
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};

use super::check::filled;
use super::complaint::{Checked, Complaint};
use super::endpoint::RootCert;
use super::layers::{Input, Reader};
use super::secret::Secret;
use super::section::{Section, missing};
use super::side::Surroundings;
use super::units::Limits;
use inside::{inside, is_near};
use mail::mail;
pub use mail::{Mail, MailTls};

/// Who is told, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// How long something has to be wrong, or well again, before anybody is told.
    pub after: Duration,
    /// The lag from which on being late is something wrong; none is off.
    pub lag: Option<Duration>,
    /// Time between two reminders while it lasts; none is off.
    pub repeat: Option<Duration>,
    /// When the summary of each day is sent, by this computer's clock; none is off.
    pub daily: Option<TimeOfDay>,
    /// By mail.
    pub mail: Option<Mail>,
    /// By a request to a web server.
    pub webhook: Option<Webhook>,
}

/// A time of each day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    /// 0 to 23.
    pub hour: i8,
    /// 0 to 59.
    pub minute: i8,
}

/// How a web server is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// The whole address; its path is as good as a password.
    pub url: Secret,
    /// What may be shown of it: scheme, host and port.
    pub place: String,
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it speaks TLS, and whose signature its certificate has to have then.
    pub tls: Option<RootCert>,
    /// What it understands.
    pub format: WebhookFormat,
    /// One header more, by which it knows us.
    pub header: Option<(String, Secret)>,
}

/// What a web server understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookFormat {
    /// `{"text": "..."}`, as Slack, Mattermost, Rocket.Chat and Google Chat take it.
    Slack,
    /// A document with each fact in a field of its own.
    Json,
}

impl Alert {
    /// Whether anybody is told at all.
    pub fn is_on(&self) -> bool {
        self.mail.is_some() || self.webhook.is_some()
    }
}

const DAY: u64 = 86_400;
const AFTER: Limits<Duration> = Limits {
    range: Duration::ZERO..=Duration::from_secs(DAY),
    why: "after a day nobody needs to be told any more",
};
const LAG: Limits<Duration> = Limits {
    range: Duration::from_secs(10)..=Duration::from_secs(30 * DAY),
    why: "less is nothing that a person could do something about",
};
const REPEAT: Limits<Duration> = Limits {
    range: Duration::from_secs(60)..=Duration::from_secs(30 * DAY),
    why: "who is told all the time listens no longer",
};

pub(super) fn alert(
    reader: &mut Reader<'_>,
    around: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Alert {
    let mut section = reader.section("alert");
    section.expect("mail");
    section.expect("webhook");
    let after = section.duration("after", Duration::from_secs(300), &AFTER);
    let lag = section.duration_or("lag", Some(Duration::from_secs(900)), &LAG);
    let repeat = section.duration_or("repeat", Some(Duration::from_secs(6 * 3600)), &REPEAT);
    let daily = section.or_default("daily", None, time_of_day, show_time);
    section.finish();
    Alert {
        after,
        lag,
        repeat,
        daily,
        mail: mail(reader, around.folder),
        webhook: webhook(reader, around.folder, warnings),
    }
}

fn time_of_day(input: &Input<'_>) -> Checked<Option<TimeOfDay>> {
    if super::check::off(input) {
        return Ok(None);
    }
    let unfit = || Complaint::new("isn't a time of the day").hint("it looks like \"08:00\"");
    let (hour, minute) = input.text()?.split_once(':').ok_or_else(unfit)?;
    let number = |text: &str, below: i8| {
        let plain = text.len() == 2 && text.bytes().all(|letter| letter.is_ascii_digit());
        let number = text.parse().ok().filter(|number| plain && *number < below);
        number.ok_or_else(unfit)
    };
    Ok(Some(TimeOfDay {
        hour: number(hour, 24)?,
        minute: number(minute, 60)?,
    }))
}

fn show_time(time: &Option<TimeOfDay>) -> String {
    time.map_or_else(
        || "off".to_owned(),
        |time| format!("{:02}:{:02}", time.hour, time.minute),
    )
}

/// `[alert.webhook]`: none without a URL.
fn webhook(reader: &mut Reader<'_>, folder: &Path, warnings: &mut Vec<String>) -> Option<Webhook> {
    let mut section = inside(reader, "webhook", "alert.webhook");
    let before = section.reader.problems.len();
    let read = |text: &str| address(text).map(|parts| (parts, text.to_owned()));
    let url = section.hidden("url", read, |_| "***".to_owned());
    let formats = [
        ("slack", WebhookFormat::Slack),
        ("json", WebhookFormat::Json),
    ];
    let format = section.choice("format", WebhookFormat::Slack, &formats);
    let header = section.hidden("header", header, |_| "***".to_owned());
    let ca = section.ca(folder);
    let fine = section.reader.problems.len() == before;
    if url.is_none() && header.is_some() && fine {
        missing(
            &mut section,
            "url",
            "where the header goes to, such as url = \"https://hooks.slack.com/services/...\"",
        );
    }
    section.finish();
    let ((encrypted, host, port), url) = url?;
    let scheme = if encrypted { "https" } else { "http" };
    if !encrypted && !is_near(&host) {
        warnings.push(format!(
            "alert.webhook.url is http: what it says to {host} can be read on the way"
        ));
    }
    Some(Webhook {
        url: Secret::new(url),
        place: format!("{scheme}://{host}:{port}"),
        host,
        port,
        tls: encrypted.then_some(ca),
        format,
        header,
    })
}

/// Whether it is encrypted, host and port.
fn address(text: &str) -> Checked<(bool, String, u16)> {
    let unfit = || {
        Complaint::new("isn't the address of a web server")
            .hint("it looks like https://hooks.slack.com/services/...")
    };
    let uri: Uri = text.parse().map_err(|_| unfit())?;
    let encrypted = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(unfit()),
    };
    let authority = uri.authority().ok_or_else(unfit)?;
    if authority.as_str().contains('@') {
        return Err(Complaint::new("holds a user").hint(
            "user and password go into header, such as header = \"Authorization: Basic ...\"",
        ));
    }
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    if host.is_empty() {
        return Err(unfit());
    }
    let port = authority
        .port_u16()
        .unwrap_or(if encrypted { 443 } else { 80 });
    Ok((encrypted, host, port))
}

/// A header's name and value.
fn header(text: &str) -> Checked<(String, Secret)> {
    let unfit = || {
        Complaint::new("isn't a header").hint("it looks like \"Authorization: Bearer ${TOKEN}\"")
    };
    let (name, value) = text.split_once(':').ok_or_else(unfit)?;
    let (name, value) = (name.trim(), value.trim());
    HeaderName::try_from(name).map_err(|_| unfit())?;
    HeaderValue::try_from(value).map_err(|_| unfit())?;
    if value.is_empty()
        || ["host", "content-length", "content-type"].contains(&name.to_lowercase().as_str())
    {
        return Err(unfit());
    }
    Ok((name.to_owned(), Secret::new(value)))
}

impl<'d> Section<'_, 'd> {
    /// A text that no complaint repeats, and a row only as `show` writes it; `read` takes it apart. An empty one counts as not
    /// given.
    fn hidden<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&str) -> Checked<T>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let found = super::side::given(self.scalar(key, false));
        let Some(found) = found else {
            self.row(key, String::new(), None);
            return None;
        };
        match found.input.text().and_then(read) {
            Ok(value) => {
                self.row(key, show(&value), Some(&found.origin));
                Some(value)
            }
            Err(complaint) => {
                self.wrong(key, &found, complaint, false);
                None
            }
        }
    }

    /// Whom to trust: what the system does, or a file, beside the settings where its path is relative.
    fn ca(&mut self, folder: &Path) -> RootCert {
        let read = |input: &Input<'d>| {
            let text = filled(input.text()?)?;
            Ok(match text.as_str() {
                "system" => RootCert::System,
                file => RootCert::File(folder.join(file)),
            })
        };
        let show = |ca: &RootCert| match ca {
            RootCert::System => "system".to_owned(),
            RootCert::File(file) => file.display().to_string(),
        };
        self.or_default("ca", RootCert::System, read, show)
    }
}
