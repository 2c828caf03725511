//! Throw-away PostgreSQL servers: `tandem demo` shows the product on them, the tests are run on them.
//!
//! [`binaries`] finds what is installed, [`cluster`] starts and ends a server, `template` makes a data
//! directory in a tenth of a second, `place` a folder and a port, [`account`] is who runs it, [`certificate`] gives
//! it TLS.
pub mod account;
pub mod binaries;
pub mod certificate;
mod changes;
pub mod cluster;
pub mod file;
pub mod load;
mod mile;
pub mod own;
mod place;
mod program;
pub mod script;
pub mod story;
mod template;

use crate::config::{ChannelBinding, Endpoint, Host, SslMode};

/// How to reach a throw-away server: on loopback, trusted, without TLS.
pub fn endpoint(cluster: &cluster::Cluster, user: &str, database: &str) -> Endpoint {
    Endpoint {
        host: Host::Tcp(cluster.host().to_owned()),
        port: cluster.port(),
        user: user.to_owned(),
        database: database.to_owned(),
        password: None,
        ssl_mode: SslMode::Disable,
        ssl_root_cert: None,
        application_name: None,
        connect_timeout: None,
        channel_binding: ChannelBinding::Prefer,
        encoding: None,
    }
}
