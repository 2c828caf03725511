//! What the tests stand on: servers, a network that misbehaves on command, a connection pooler.
//!
//! Each test binary uses a part of it, hence the `allow`.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout
)]

pub mod app;
pub mod bank;
pub mod bouncer;
pub mod chatter;
pub mod init;
pub mod office;
pub mod proxy;
pub mod servers;
#[cfg(unix)]
pub mod terminal;
pub mod watched;

use std::time::{Duration, Instant};

/// Looks again and again until `found` has something, for what has no event to wait for (a port of another
/// process, a file that goes away); `None` when it hasn't within `patience`.
pub fn poll<T>(patience: Duration, mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + patience;
    loop {
        let got = found();
        if got.is_some() || Instant::now() >= until {
            return got;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Says by name what is skipped when PgBouncer isn't installed.
pub fn no_bouncer() -> bool {
    let missing = bouncer::find().is_none();
    if missing {
        println!("skipped: PgBouncer isn't installed");
    }
    missing
}
