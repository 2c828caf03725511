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
pub mod mailbox;
pub mod office;
pub mod proxy;
pub mod servers;
#[cfg(unix)]
pub mod terminal;
pub mod watched;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

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

/// The pauses between looks at a server for what has no event to wait for. Looks cost what the tests beside this one need, so the
/// longer it takes, the longer they are; and always longer than a look.
pub struct Looks {
    began: Instant,
    looking: Instant,
    longest: Duration,
}

impl Looks {
    /// `longest`: what nobody wants to wait beyond.
    pub fn new(longest: Duration) -> Looks {
        let now = Instant::now();
        Looks {
            began: now,
            looking: now,
            longest,
        }
    }

    /// Waits until it is time for the next look.
    pub async fn pause(&mut self) {
        let by_wait = (self.began.elapsed() / 40).min(self.longest);
        let by_look = (self.looking.elapsed() * 2).min(Duration::from_millis(500));
        let pause = by_wait.max(by_look).max(Duration::from_millis(10));
        tokio::time::sleep(pause).await;
        self.looking = Instant::now();
    }
}

/// A loopback port where nobody listens: held as long as this lives, so that nobody else is given it.
pub struct Nobody(Socket);

impl Nobody {
    pub fn new() -> Nobody {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let anywhere = std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&anywhere.into()).unwrap();
        Nobody(socket)
    }

    pub fn port(&self) -> u16 {
        self.0.local_addr().unwrap().as_socket().unwrap().port()
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
