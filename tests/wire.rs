//! TLS, log-in, feedback and poolers on real servers.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod support;
mod wire {
    mod both;
    mod chatter;
    mod login;
    mod pooler;
    mod tls;
}
