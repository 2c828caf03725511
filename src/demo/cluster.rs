//! A PostgreSQL server of our own on a loopback port: started in well under a second, gone when dropped, and gone
//! as well when the process that owns it is killed.

use std::fs;
use std::io;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::account::Account;
pub use super::binaries::{Binaries, find_binaries};
use super::certificate;
pub use super::place::free_port;
use super::place::new_folder;
pub use super::program::Error;
use super::program::run;
use super::template::{self, Cache};

/// How long a server may take to start or to stop, in seconds. Recovery after a crash counts as starting.
const PATIENCE_SECONDS: u32 = 60;
/// Ports tried when another process takes the chosen one before the server does.
const PORT_TRIES: u32 = 5;
/// What a cluster is to be like.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    /// The bootstrap superuser; it has no password.
    pub superuser: String,
    /// Lines for postgresql.conf, name and unquoted value; they win over the defaults of the bench.
    pub settings: Vec<(String, String)>,
    /// Lines for pg_hba.conf. When empty, everybody is trusted on the socket and on loopback; otherwise only
    /// these lines count, after one that trusts the superuser on the socket.
    pub hba: Vec<String>,
    /// Serve TLS with a certificate from a private authority ([`Cluster::ca_file`]). Needs `openssl`.
    pub tls: bool,
    /// Write to disk for real. Off: a crash of the server is survived, one of the machine isn't.
    pub fsync: bool,
}

impl Default for ClusterSpec {
    fn default() -> ClusterSpec {
        ClusterSpec {
            superuser: "postgres".into(),
            settings: Vec::new(),
            hba: Vec::new(),
            tls: false,
            fsync: false,
        }
    }
}

impl ClusterSpec {
    /// The same with one more setting.
    pub fn set(mut self, name: &str, value: &str) -> ClusterSpec {
        self.settings.push((name.into(), value.into()));
        self
    }
}

/// How a server is stopped (the modes of `pg_ctl stop`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Waits until the clients have left.
    Smart,
    /// Disconnects the clients and writes a checkpoint.
    Fast,
    /// Ends at once as a crash would; the next start recovers.
    Immediate,
}

/// A server of our own. Dropping it ends the server and removes its folder.
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    account: Account,
    folder: PathBuf,
    port: u16,
    superuser: String,
    /// Ends the server and removes the folder when its standard input closes: when we drop it, or die.
    watcher: Option<Child>,
}

impl Cluster {
    /// Makes a data directory and starts a server that accepts connections when this returns.
    ///
    /// # Errors
    /// Names the step that failed and holds what the program said, with the end of the server's log.
    pub fn start(binaries: &Binaries, spec: &ClusterSpec) -> Result<Cluster, Error> {
        let (folder, account) =
            new_folder().map_err(|error| Error::new("make a folder for the server", error))?;
        let mut cluster = Cluster {
            binaries: binaries.clone(),
            account,
            folder,
            port: 0,
            superuser: spec.superuser.clone(),
            watcher: None,
        };
        // From here on dropping `cluster` cleans up, whatever fails.
        cluster.watcher = cluster.watch()?;
        let cache = Cache::open(&cluster.folder, account)?;
        cluster.binaries = cache.reachable(binaries)?;
        cluster.tell_watcher()?;
        cache.new_data(&cluster.binaries, &spec.superuser, &cluster.data_dir())?;
        cluster.configure(spec)?;
        cluster.start_on_free_port()?;
        Ok(cluster)
    }

    /// The TCP port on [`Cluster::host`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address the server listens on: `127.0.0.1`.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The major version of the server.
    pub fn version(&self) -> u32 {
        self.binaries.version
    }

    /// The bootstrap superuser.
    pub fn superuser(&self) -> &str {
        &self.superuser
    }

    /// `postgresql://user@127.0.0.1:port/database`.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!(
            "postgresql://{}@{}:{}/{}",
            percent(user),
            self.host(),
            self.port,
            percent(database)
        )
    }

    /// The folder of the Unix socket; also that of the log and of the data directory.
    pub fn socket_dir(&self) -> &Path {
        &self.folder
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The certificate to trust when the cluster was started with `tls`.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join(certificate::CA_FILE)
    }

    /// The account the server runs as.
    pub fn account(&self) -> Account {
        self.account
    }

    /// What `IDENTIFY_SYSTEM` reports; no two clusters share it, although they come from one template.
    ///
    /// # Errors
    /// When pg_control can't be read.
    pub fn system_identifier(&self) -> io::Result<u64> {
        template::identity_of(&self.data_dir())
    }

    /// The process id of the postmaster, `None` when the server is stopped.
    pub fn pid(&self) -> Option<u32> {
        let lock = fs::read_to_string(self.data_dir().join("postmaster.pid")).ok()?;
        lock.lines().next()?.trim().parse().ok()
    }

    /// Stops the server and tells how long that took. The folder stays, [`Cluster::start_again`] resumes.
    ///
    /// # Errors
    /// When it isn't running, or is still there after a minute (clients that stay, with [`Mode::Smart`]).
    pub fn stop(&self, mode: Mode) -> Result<Duration, Error> {
        let mode = match mode {
            Mode::Smart => "smart",
            Mode::Fast => "fast",
            Mode::Immediate => "immediate",
        };
        let since = Instant::now();
        run(self.pg_ctl("stop").args(["-m", mode]), "stop the server")?;
        Ok(since.elapsed())
    }

    /// Crashes the server: SIGQUIT, no checkpoint; the next start recovers from the WAL.
    ///
    /// # Errors
    /// Those of [`Cluster::stop`].
    pub fn kill_hard(&self) -> Result<Duration, Error> {
        self.stop(Mode::Immediate)
    }

    /// Starts the stopped server again on the same port and tells how long that took, recovery included.
    ///
    /// # Errors
    /// Holds the end of the server's log.
    pub fn start_again(&self) -> Result<Duration, Error> {
        let since = Instant::now();
        // Tells the watcher that a server may appear although there is no postmaster.pid yet.
        let starting = self.folder.join("starting");
        fs::write(&starting, "").map_err(|error| Error::new("mark the start", error))?;
        let port = format!("-p {}", self.port);
        let started = run(
            self.pg_ctl("start")
                .arg("-l")
                .arg(self.log_file())
                .args(["-o", &port]),
            "start the server",
        );
        // Nobody but the watcher reads it, and removing the folder removes it too.
        let _ = fs::remove_file(&starting);
        match started {
            Ok(_) => Ok(since.elapsed()),
            Err(error) => Err(Error::new(
                error.doing,
                format!("{}\n{}", error.reason, self.log_tail(20)),
            )),
        }
    }

    /// Makes the server read its configuration files again.
    ///
    /// # Errors
    /// When it isn't running.
    pub fn reload(&self) -> Result<(), Error> {
        run(&mut self.pg_ctl("reload"), "reload the configuration").map(drop)
    }

    /// The last lines of the server's log; empty when there is none yet.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = fs::read(self.log_file()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn pg_ctl(&self, action: &str) -> Command {
        let mut command = self.account.command(self.binaries.program("pg_ctl"));
        command
            .current_dir(&self.folder)
            .arg(action)
            .arg("-D")
            .arg(self.data_dir());
        if action != "reload" {
            command.args(["-w", "-t", &PATIENCE_SECONDS.to_string()]);
        }
        command
    }

    /// Another process may take the port between our look and the server's bind; then another port is tried.
    fn start_on_free_port(&mut self) -> Result<(), Error> {
        let mut tries = 1;
        loop {
            self.port = free_port().map_err(|error| Error::new("find a free port", error))?;
            match self.start_again() {
                Err(error) if tries < PORT_TRIES && error.reason.contains("could not bind") => {
                    tries += 1;
                    // The next try is judged by its own log.
                    let _ = fs::remove_file(self.log_file());
                }
                other => return other.map(drop),
            }
        }
    }

    fn configure(&self, spec: &ClusterSpec) -> Result<(), Error> {
        let failed = |error: io::Error| Error::new("configure the server", error);
        if spec.tls {
            certificate::make(&self.folder, self.account)?;
        }
        // Over the files initdb made, which belong to the account already.
        let conf = self.data_dir().join("postgresql.conf");
        let mut conf = fs::OpenOptions::new()
            .append(true)
            .open(conf)
            .map_err(failed)?;
        conf.write_all(self.settings(spec).as_bytes())
            .map_err(failed)?;
        fs::write(self.data_dir().join("pg_hba.conf"), hba(spec)).map_err(failed)
    }

    fn settings(&self, spec: &ClusterSpec) -> String {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let mut settings: Vec<(String, String)> = vec![
            ("listen_addresses".into(), self.host().into()),
            (
                "unix_socket_directories".into(),
                self.folder.display().to_string(),
            ),
            ("fsync".into(), if spec.fsync { "on" } else { "off" }.into()),
            ("log_line_prefix".into(), "%m [%p] %u@%d %a: ".into()),
        ];
        let plain = [
            ("wal_level", "logical"),
            ("max_wal_senders", "20"),
            ("max_replication_slots", "20"),
            ("shared_buffers", "32MB"),
        ];
        settings.extend(plain.map(|(name, value)| (name.into(), value.into())));
        if spec.tls {
            settings.push(("ssl".into(), "on".into()));
            settings.push(("ssl_cert_file".into(), file(certificate::CERTIFICATE_FILE)));
            settings.push(("ssl_key_file".into(), file(certificate::KEY_FILE)));
        }
        settings.extend(spec.settings.iter().cloned());
        let line = |(name, value): &(String, String)| {
            format!("{name} = '{}'\n", value.replace('\'', "''"))
        };
        format!(
            "\n# tandem\n{}",
            settings.iter().map(line).collect::<String>()
        )
    }

    /// Tells the watcher the pg_ctl to stop the server with.
    fn tell_watcher(&mut self) -> Result<(), Error> {
        let pg_ctl = self.binaries.program("pg_ctl");
        match self
            .watcher
            .as_mut()
            .and_then(|watcher| watcher.stdin.as_mut())
        {
            Some(pipe) => writeln!(pipe, "{}", pg_ctl.display())
                .map_err(|error| Error::new("tell the watcher", error)),
            None => Ok(()),
        }
    }

    /// Starts the watcher: a shell that does nothing until its standard input closes.
    ///
    /// The kernel closes our end of the pipe however we end, SIGKILL included. The shell leaves our process group, so
    /// that a Ctrl-C or a kill meant for the group doesn't reach it.
    #[cfg(unix)]
    fn watch(&self) -> Result<Option<Child>, Error> {
        use std::os::unix::process::CommandExt;
        self.account
            .command("/bin/sh")
            .args(["-c", WATCHER, "tandem-watcher"])
            .arg(&self.folder)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Some)
            .map_err(|error| Error::new("start the watcher", error))
    }

    /// Windows has no shell to watch; there the server ends when dropped, not when its owner is killed.
    #[cfg(not(unix))]
    fn watch(&self) -> Result<Option<Child>, Error> {
        Ok(None)
    }
}

/// `$1` is the folder; the first line of the input is pg_ctl. A start that is under way has no postmaster.pid yet, so it
/// gets a moment; a server that still slips through ends by itself, since a postmaster looks for its files once a minute.
#[cfg(unix)]
const WATCHER: &str = r#"
trap '' HUP INT TERM
read -r pg_ctl
read -r _
[ ! -e "$1/starting" ] || sleep 2
[ -z "$pg_ctl" ] || "$pg_ctl" stop -D "$1/data" -m immediate -w -t 20
rm -rf "$1"
"#;

impl Drop for Cluster {
    fn drop(&mut self) {
        match self.watcher.take() {
            Some(mut watcher) => {
                drop(watcher.stdin.take());
                // Nothing to do about a failure here; what it would leave is removed below.
                let _ = watcher.wait();
            }
            None if self.pid().is_some() => drop(self.stop(Mode::Immediate)),
            None => {}
        }
        if self.folder.exists() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn hba(spec: &ClusterSpec) -> String {
    if spec.hba.is_empty() {
        return "local all all trust\nlocal replication all trust\n\
                host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n"
            .into();
    }
    let superuser = spec.superuser.replace('"', "\"\"");
    format!("local all \"{superuser}\" trust\n{}\n", spec.hba.join("\n"))
}

/// Percent-encodes what has a meaning in a URL.
fn percent(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn urls_are_encoded() {
        assert_eq!(percent("power ca/ä"), "power%20ca%2F%C3%A4");
    }
}
