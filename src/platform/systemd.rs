//! systemd, where it started us and wants to hear how we are (`NOTIFY_SOCKET` is set). Elsewhere nothing is said, and that is no
//! mistake. Source: sd_notify(3), sd_watchdog_enabled(3).

use std::time::Duration;

/// Whether somebody listens.
pub fn listens() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The settings make sense, and the service looks after its sessions from now on.
pub fn ready() {
    say("READY=1".to_owned());
}

/// The service was told to stop, and finishes what it is at.
pub fn stopping() {
    say("STOPPING=1".to_owned());
}

/// One line for `systemctl status`.
pub fn status(line: &str) {
    say(format!("STATUS={}", line.replace('\n', " ")));
}

/// The service works. Who doesn't say so in time is started anew.
pub fn alive() {
    if silence_max().is_some() {
        say("WATCHDOG=1".to_owned());
    }
}

/// After so long without a word we are taken for dead; none where nobody watches.
pub fn silence_max() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    return sd_notify::watchdog_enabled().filter(|longest| !longest.is_zero());
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(not(target_os = "linux"))]
fn say(_word: String) {}

/// From a thread of its own, in order: a socket that nobody reads fills after a few words and then holds whoever writes, and that
/// must not be the one that is looked after. What doesn't fit is dropped.
#[cfg(target_os = "linux")]
fn say(word: String) {
    use std::sync::OnceLock;
    use std::sync::mpsc::{SyncSender, sync_channel};

    static MOUTH: OnceLock<Option<SyncSender<String>>> = OnceLock::new();

    let mouth = MOUTH.get_or_init(|| {
        if !listens() {
            return None;
        }
        let (mouth, words) = sync_channel::<String>(crate::limits::UNHEARD_WORDS_MAX);
        let speak = move || {
            for word in words {
                if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Custom(&word)]) {
                    tracing::debug!("systemd does not hear: {error}");
                }
            }
        };
        let thread = std::thread::Builder::new().name("systemd".to_owned());
        thread.spawn(speak).ok().map(|_| mouth)
    });
    if let Some(mouth) = mouth {
        let _ = mouth.try_send(word);
    }
}
