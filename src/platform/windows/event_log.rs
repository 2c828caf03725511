//! Windows' event log, where administrators look first.
//!
//! Its entries' text is a message table in the program (build.rs): the log stores a number and our words, and the
//! viewer asks the program how to put them.

use std::io;
use std::sync::Once;

use log::{Level, LevelFilter, Record};

use crate::platform::registered::{NAME, Severity};

/// Registers this program as the source of entries.
pub(super) fn register() -> io::Result<()> {
    winlog2::register(NAME).map_err(io::Error::other)
}

/// The source is no more; entries stay.
pub(super) fn deregister() -> io::Result<()> {
    winlog2::deregister(NAME).map_err(io::Error::other)
}

/// Writes an entry.
pub(in crate::platform) fn report(severity: Severity, text: &str) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = winlog2::init(NAME);
        // What libraries say by `log` is not for administrators; our own entries go past the filter.
        log::set_max_level(LevelFilter::Off);
    });
    let level = match severity {
        Severity::Information => Level::Info,
        Severity::Error => Level::Error,
    };
    let entry = format_args!("{text}");
    log::logger().log(
        &Record::builder()
            .level(level)
            .target(NAME)
            .args(entry)
            .build(),
    );
}
