//! The ways to people.

use serde::{Deserialize, Serialize};

use crate::config::Alert;

/// One way to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// A letter.
    Mail,
    /// A request to a web server.
    Webhook,
}

impl Way {
    /// Its word in documents, metrics and settings.
    pub fn word(self) -> &'static str {
        match self {
            Way::Mail => "mail",
            Way::Webhook => "webhook",
        }
    }
}

/// The ways that the settings have, in the order in which they are named.
pub fn ways(alert: &Alert) -> Vec<Way> {
    let mail = alert.mail.as_ref().map(|_| Way::Mail);
    let webhook = alert.webhook.as_ref().map(|_| Way::Webhook);
    mail.into_iter().chain(webhook).collect()
}
