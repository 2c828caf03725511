//! Telling people, for offices where nobody watches: what a message says, who has been told what, and the ways to them.
//!
//! [`Memory`] decides when a message is due. It is told how the office is at each look, and knows no clock of its own; a
//! restart takes it up where it was, since it is kept in both databases. `mail` and `webhook` carry a [`Message`] to people.
//! What is wrong with an office is for the rooms above to say.

mod mail;
mod memory;
mod message;
mod store;
mod way;
mod webhook;

pub use memory::{AlertStatus, Condition, Memory, Trouble, WayStatus};
pub use message::{About, Event, Message};
pub use store::{Keeper, Loaded, kept, status};
pub use way::{Way, ways};

use crate::config::Alert;
use crate::limits;

/// Where a way leads to, as people may see it.
pub fn place(way: Way, alert: &Alert) -> String {
    match (way, &alert.mail, &alert.webhook) {
        (Way::Mail, Some(mail), _) => {
            let to: Vec<_> = mail.to.iter().map(|one| one.email.to_string()).collect();
            format!("{} by {}:{}", to.join(", "), mail.host, mail.port)
        }
        (Way::Webhook, _, Some(webhook)) => webhook.place.clone(),
        (Way::Mail, None, _) | (Way::Webhook, _, None) => "nobody".to_owned(),
    }
}

/// Sends a message by one way, and waits for the answer; not for long.
///
/// # Errors
/// Why it did not arrive, in words that hold no secret.
pub async fn send(way: Way, alert: &Alert, message: &Message) -> Result<(), String> {
    let sent = async {
        match (way, &alert.mail, &alert.webhook) {
            (Way::Mail, Some(settings), _) => mail::send(settings, message).await,
            (Way::Webhook, _, Some(settings)) => webhook::send(settings, message).await,
            (Way::Mail, None, _) | (Way::Webhook, _, None) => {
                Err("the settings don't have it".to_owned())
            }
        }
    };
    let seconds = limits::ALERT_SEND_MAX.as_secs();
    match tokio::time::timeout(limits::ALERT_SEND_MAX, sent).await {
        Ok(sent) => sent.map_err(|why| safe_words(&why, alert)),
        Err(_) => Err(format!("no answer for {seconds} s")),
    }
}

/// An error's text on one line, of bounded length, without what only the settings may know (P16): a server may repeat what
/// it was sent.
fn safe_words(why: &str, alert: &Alert) -> String {
    let mut words: String = { why.chars() }
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let password = alert.mail.as_ref().and_then(|mail| mail.login.as_ref());
    let header = { alert.webhook.as_ref() }.and_then(|webhook| webhook.header.as_ref());
    let secrets = [password, header]
        .into_iter()
        .flatten()
        .map(|(_, secret)| secret.expose());
    for secret in secrets.flat_map(|secret| {
        [
            secret,
            secret.split_once(' ').map_or(secret, |parts| parts.1),
        ]
    }) {
        if !secret.is_empty() {
            words = words.replace(secret, "***");
        }
    }
    if let Some(webhook) = &alert.webhook {
        let url = webhook.url.expose();
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        for secret in [url, path].into_iter().filter(|secret| secret.len() > 1) {
            words = words.replace(secret, "***");
        }
    }
    words
        .chars()
        .take(limits::ALERT_WORDS)
        .collect::<String>()
        .trim()
        .to_owned()
}
