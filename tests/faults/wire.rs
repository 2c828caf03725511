//! TLS, log-in, feedback and poolers on real servers.

mod both;
mod chatter;
mod login;
mod pooler;
mod tls;
