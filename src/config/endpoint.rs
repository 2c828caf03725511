//! libpq's connection URLs: `postgres://user:password@host:port/database?parameter=value`.
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>
//!
//! No complaint repeats a part of the URL, since with one missing `@` any part may be the password.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::complaint::Complaint;
use super::secret::Secret;
use super::url::{decode, one_host, place, port, split};
use crate::model::Encoding;

/// Where a URL without a host leads: libpq's socket folder, as Debian and Red Hat build it.
#[cfg(target_os = "linux")]
pub(super) const DEFAULT_HOST: &str = "/var/run/postgresql";
/// Where a URL without a host leads: libpq's socket folder, as PostgreSQL itself builds it.
#[cfg(all(unix, not(target_os = "linux")))]
pub(super) const DEFAULT_HOST: &str = "/tmp";
/// Where a URL without a host leads.
#[cfg(not(unix))]
pub(super) const DEFAULT_HOST: &str = "localhost";

/// PostgreSQL's registered port.
const DEFAULT_PORT: u16 = 5432;

/// How to reach one database and as whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// The server, or the folder of its Unix socket.
    pub host: Host,
    /// Its port; part of the socket's file name too.
    pub port: u16,
    /// The role. Default: `$PGUSER`, else the name of the operating system's user.
    pub user: String,
    /// The database. Default: the user's name, as libpq has it.
    pub database: String,
    /// The password, from wherever it came; [`super::Side::password_from`] says where.
    pub password: Option<Secret>,
    /// Whether to use TLS and what to check. Default: prefer, and verify-full with `sslrootcert=system`.
    pub ssl_mode: SslMode,
    /// The certificates that may have signed the server's. None: as libpq, `~/.postgresql/root.crt` if it's there.
    pub ssl_root_cert: Option<RootCert>,
    /// The name shown in `pg_stat_activity`; none leaves the choice to the product.
    pub application_name: Option<String>,
    /// How long to try to connect; none (or 0 in the URL) leaves the choice to the product.
    pub connect_timeout: Option<Duration>,
    /// Whether SCRAM is bound to the TLS channel. Default: prefer.
    pub channel_binding: ChannelBinding,
    /// What the bytes of a database without an encoding mean.
    pub encoding: Option<Encoding>,
}

/// The two ways to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or address; an IPv6 address without brackets.
    Tcp(String),
    /// The folder that holds `.s.PGSQL.<port>`.
    Unix(PathBuf),
}

impl Endpoint {
    /// Nobody on the way can read or change anything unnoticed.
    pub fn is_verified(&self) -> bool {
        let signed = self.ssl_mode == SslMode::Require && self.ssl_root_cert.is_some();
        signed || matches!(self.ssl_mode, SslMode::VerifyCa | SslMode::VerifyFull)
    }

    /// The server is on this computer.
    pub fn is_near(&self) -> bool {
        match &self.host {
            Host::Unix(_) => true,
            Host::Tcp(host) => {
                let address = host.parse::<std::net::IpAddr>();
                host == "localhost" || address.is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

/// libpq's `sslmode`, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS if the server insists.
    Allow,
    /// TLS if the server offers it.
    Prefer,
    /// TLS or nothing; the certificate isn't checked unless there is a root certificate.
    Require,
    /// TLS, and the certificate is signed by the root certificate.
    VerifyCa,
    /// TLS, and the certificate is signed by the root certificate and made out to this host.
    VerifyFull,
}

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCert {
    /// A PEM file; a relative path was resolved beside the settings file.
    File(PathBuf),
    /// What the operating system trusts.
    System,
}

/// libpq's `channel_binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// If the server offers it.
    Prefer,
    /// Or no connection.
    Require,
}

const SSL_MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];
const CHANNEL_BINDINGS: [(&str, ChannelBinding); 3] = [
    ("disable", ChannelBinding::Disable),
    ("prefer", ChannelBinding::Prefer),
    ("require", ChannelBinding::Require),
];
const PARAMETERS: &str = "host, port, user, password, dbname, sslmode, sslrootcert, application_name, connect_timeout, channel_binding";

/// What the URL says, decoded.
#[derive(Default)]
struct Said {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    ssl_mode: Option<SslMode>,
    ssl_root_cert: Option<String>,
    application_name: Option<String>,
    connect_timeout: Option<Duration>,
    channel_binding: Option<ChannelBinding>,
}

/// Reads a URL. Relative certificate paths start at `folder`; `os_user` is the role when the URL names none.
///
/// Fails on the first thing that is wrong with it.
pub(super) fn parse(
    url: &str,
    folder: &Path,
    os_user: Option<&str>,
) -> Result<Endpoint, Complaint> {
    let parts = split(url)?;
    let mut said = Said {
        user: parts
            .user
            .map(|text| decode(text, "the user"))
            .transpose()?,
        password: parts
            .password
            .map(|text| decode(text, "the password"))
            .transpose()?,
        database: Some(decode(parts.database, "the database")?),
        ..Said::default()
    };
    (said.host, said.port) = place(parts.place)?;
    for pair in parts.query.split('&').filter(|pair| !pair.is_empty()) {
        parameter(pair, &mut said)?;
    }
    said.check(folder, os_user)
}

/// Takes in one `name=value` of the query; as with libpq it wins over the URL's other parts.
fn parameter(pair: &str, said: &mut Said) -> Result<(), Complaint> {
    let bare = || {
        Complaint::new("has a parameter without a value")
            .hint("parameters look like ?sslmode=require")
    };
    let (name, value) = pair.split_once('=').ok_or_else(bare)?;
    let name = decode(name, "a parameter's name")?;
    let value = decode(value, "a parameter")?;
    match name.as_str() {
        "host" => {
            one_host(&value)?;
            said.host = Some(value).filter(|host| !host.is_empty());
        }
        "port" => {
            one_host(&value)?;
            said.port = port(&value)?;
        }
        "user" => said.user = Some(value),
        "password" => said.password = Some(value),
        "dbname" => said.database = Some(value),
        "sslmode" => said.ssl_mode = Some(choice(&name, &value, &SSL_MODES)?),
        "ssl" if value == "true" => said.ssl_mode = Some(SslMode::Require),
        "sslrootcert" => said.ssl_root_cert = Some(value).filter(|path| !path.is_empty()),
        "application_name" => said.application_name = Some(value),
        "connect_timeout" => said.connect_timeout = seconds(&value)?,
        "channel_binding" => said.channel_binding = Some(choice(&name, &value, &CHANNEL_BINDINGS)?),
        // A ? in a password that isn't written %3F makes what stands behind it look like a parameter.
        _ if !is_word(&name) => {
            return Err(
                Complaint::new("has something behind its ? that isn't a parameter")
                    .hint("a ? in the password is written %3F, an & %26"),
            );
        }
        _ => {
            return Err(
                Complaint::new(format!("has the parameter {name}, which isn't supported"))
                    .hint(format!("supported are {PARAMETERS}")),
            );
        }
    }
    Ok(())
}

fn is_word(name: &str) -> bool {
    name.chars()
        .all(|letter| letter.is_ascii_lowercase() || letter == '_')
}

fn choice<T: Copy>(name: &str, value: &str, choices: &[(&str, T)]) -> Result<T, Complaint> {
    let found = choices
        .iter()
        .find(|(word, _)| *word == value)
        .map(|(_, meant)| *meant);
    found.ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        Complaint::new(format!("has an unknown {name}"))
            .hint(format!("{name} is one of {}", words.join(", ")))
    })
}

/// Whole seconds; 0 and below mean no limit of its own.
fn seconds(text: &str) -> Result<Option<Duration>, Complaint> {
    let count: i32 = text.parse().map_err(|_| {
        Complaint::new("has a connect_timeout that isn't a number").hint("it counts whole seconds")
    })?;
    Ok(u64::try_from(count)
        .ok()
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs))
}

impl Said {
    /// Fills in the defaults and checks what only makes sense together.
    fn check(self, folder: &Path, os_user: Option<&str>) -> Result<Endpoint, Complaint> {
        let user = self
            .user
            .filter(|user| !user.is_empty())
            .or_else(|| os_user.map(str::to_owned));
        let user = user.ok_or_else(|| {
            Complaint::new("names no user").hint("write postgres://USER@host/database")
        })?;
        let host = self.host.unwrap_or_else(|| DEFAULT_HOST.to_owned());
        let root = self.ssl_root_cert.map(|path| match path.as_str() {
            "system" => RootCert::System,
            path => RootCert::File(folder.join(path)),
        });
        let default_mode = if root == Some(RootCert::System) {
            SslMode::VerifyFull
        } else {
            SslMode::Prefer
        };
        let ssl_mode = self.ssl_mode.unwrap_or(default_mode);
        if root == Some(RootCert::System) && ssl_mode != SslMode::VerifyFull {
            return Err(Complaint::new("has sslrootcert=system with a weaker sslmode than verify-full")
                .hint("anybody can get a certificate that the system trusts: sslmode=verify-full checks the name"));
        }
        Ok(Endpoint {
            host: if host.starts_with('/') {
                Host::Unix(PathBuf::from(host))
            } else {
                Host::Tcp(host)
            },
            port: self.port.unwrap_or(DEFAULT_PORT),
            database: self
                .database
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| user.clone()),
            user,
            password: self
                .password
                .filter(|password| !password.is_empty())
                .map(Secret::new),
            ssl_mode,
            ssl_root_cert: root,
            application_name: self.application_name,
            connect_timeout: self.connect_timeout,
            channel_binding: self.channel_binding.unwrap_or(ChannelBinding::Prefer),
            encoding: None,
        })
    }
}

#[cfg(test)]
mod tests;
