//! `[alert.mail]`: how letters are sent.

use std::path::Path;

use lettre::message::Mailbox;

use super::super::check::whole;
use super::super::complaint::Complaint;
use super::super::endpoint::RootCert;
use super::super::layers::{Input, Reader};
use super::super::problem::Problem;
use super::super::secret::Secret;
use super::super::section::{Section, missing};
use super::super::side;
use super::inside::{host_name, inside, is_near};

/// What the section says, which may be too little.
struct Given {
    host: Option<String>,
    tls: MailTls,
    port: u16,
    ca: RootCert,
    from: Option<Vec<Mailbox>>,
    to: Option<Vec<Mailbox>>,
    user: Option<String>,
    password: Option<Secret>,
}

/// None without a host, and then nothing else may stand there.
pub(super) fn mail(reader: &mut Reader<'_>, folder: &Path) -> Option<Mail> {
    let mut section = inside(reader, "mail", "alert.mail");
    let before = section.reader.problems.len();
    let given = Given::read(&mut section, folder);
    let fine = section.reader.problems.len() == before;
    let mut wanted = |key: &str, hint: &str| {
        // Something wrong was said of it already.
        if fine {
            missing(&mut section, key, hint);
        }
    };
    let mail = given.whole(&mut wanted);
    if let Some(mail) = &mail {
        section.no_password_in_the_open(mail);
    }
    section.finish();
    mail
}

impl Given {
    fn read(section: &mut Section<'_, '_>, folder: &Path) -> Given {
        let host = section.hidden("host", host_name, Clone::clone);
        let tls = [
            ("starttls", MailTls::Starttls),
            ("implicit", MailTls::Implicit),
            ("none", MailTls::None),
        ];
        let tls = section.choice("tls", MailTls::Starttls, &tls);
        let port = match tls {
            MailTls::Starttls => 587,
            MailTls::Implicit => 465,
            MailTls::None => 25,
        };
        Given {
            host,
            tls,
            port: section.port("port", port),
            ca: section.ca(folder),
            from: section.mailboxes("from"),
            to: section.mailboxes("to"),
            user: section.text("user"),
            password: side::secret(section, folder),
        }
    }

    /// What it comes to; `wanted` hears what is missing.
    fn whole(self, wanted: &mut dyn FnMut(&str, &str)) -> Option<Mail> {
        let says_more = self.from.is_some()
            || self.to.is_some()
            || self.user.is_some()
            || self.password.is_some();
        match (self.host, self.from, self.to) {
            (None, ..) if says_more => {
                wanted(
                    "host",
                    "the mail server, such as host = \"mail.example.com\"",
                );
                None
            }
            (None, ..) => None,
            (Some(_), None, _) => {
                wanted("from", "the sender, such as from = \"tandem@example.com\"");
                None
            }
            (Some(_), _, None) => {
                wanted("to", "who is told, such as to = \"it@example.com\"");
                None
            }
            (Some(host), Some(mut from), Some(to)) => {
                if from.len() > 1 {
                    wanted("from", "one sender, not several");
                }
                Some(Mail {
                    host,
                    port: self.port,
                    tls: self.tls,
                    ca: self.ca,
                    from: from.swap_remove(0),
                    to,
                    login: login(self.user, self.password, wanted),
                })
            }
        }
    }
}

/// User and password, which go together.
fn login(
    user: Option<String>,
    password: Option<Secret>,
    wanted: &mut dyn FnMut(&str, &str),
) -> Option<(String, Secret)> {
    match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (Some(_), None) => {
            wanted(
                "password",
                "a user was named; password or password_file goes with it",
            );
            None
        }
        (None, Some(_)) => {
            wanted("user", "a password was given, but no user whose it is");
            None
        }
    }
}

impl<'d> Section<'_, 'd> {
    fn no_password_in_the_open(&mut self, mail: &Mail) {
        if mail.tls == MailTls::None && mail.login.is_some() && !is_near(&mail.host) {
            let says = "tls = \"none\" would send the password in the open";
            self.complain(
                "tls",
                says,
                "write tls = \"starttls\" or tls = \"implicit\"",
            );
        }
    }

    fn port(&mut self, key: &str, default: u16) -> u16 {
        let read = |input: &Input<'d>| {
            let unfit = || Complaint::new("isn't a port: a number from 1 to 65535");
            let number = whole(input).map_err(|_| unfit())?;
            u16::try_from(number)
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(unfit)
        };
        self.or_default(key, default, read, ToString::to_string)
    }

    /// Addresses with commas between them.
    fn mailboxes(&mut self, key: &str) -> Option<Vec<Mailbox>> {
        let read = |input: &Input<'d>| {
            let text = input.text()?;
            let parts = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            let mut found = Vec::new();
            for part in parts {
                let unfit = || {
                    Complaint::new("isn't an address").hint(
                        "it looks like \"it@example.com\", or \"Office IT <it@example.com>\"; commas stand between several",
                    )
                };
                found.push(part.parse::<Mailbox>().map_err(|_| unfit())?);
            }
            Ok(Some(found).filter(|found| !found.is_empty()))
        };
        let show = |found: &Option<Vec<Mailbox>>| {
            let all = found.iter().flatten().map(ToString::to_string);
            all.collect::<Vec<_>>().join(", ")
        };
        self.or_default(key, None, read, show)
    }

    /// Records what is wrong with a value that stands where it was given, or by default.
    fn complain(&mut self, key: &str, says: &str, hint: &str) {
        let complaint = Complaint::new("would send the password in the open").hint(hint);
        match self.scalar(key, false) {
            Some(found) => self.wrong(key, &found, complaint, true),
            None => self.reader.problems.push(Problem::new(says).hint(hint)),
        }
    }
}

/// How letters are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Mail {
    /// The mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is protected.
    pub tls: MailTls,
    /// Whose signature the server's certificate has to have.
    pub ca: RootCert,
    /// The sender.
    pub from: Mailbox,
    /// The receivers; at least one.
    pub to: Vec<Mailbox>,
    /// User and password, where the server wants them.
    pub login: Option<(String, Secret)>,
}

/// How the way to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// It begins in the open and must become TLS before anything is said.
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// Not at all.
    None,
}
