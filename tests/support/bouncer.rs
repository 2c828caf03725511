//! pgbouncer before a cluster: in transaction mode, as hosted databases have it, or another one.

use std::fmt;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tandem::demo::cluster::{Cluster, free_port};

use super::poll;

/// How long pgbouncer may take to accept connections, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Server connections per user and database: few, so that transactions of one client change servers.
pub const POOL_SIZE: u32 = 4;

/// Why there is no bouncer.
#[derive(Debug)]
pub enum BouncerError {
    /// pgbouncer isn't installed; a test may say so and pass.
    Missing,
    /// It is, but didn't start; holds its log.
    Failed(String),
}

impl fmt::Display for BouncerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BouncerError::Missing => {
                write!(
                    f,
                    "pgbouncer isn't installed; run: deploy/postgres.sh --with-pgbouncer"
                )
            }
            BouncerError::Failed(log) => write!(f, "pgbouncer didn't start: {log}"),
        }
    }
}

/// A running pgbouncer; ends when dropped, and when we are killed.
///
/// Every role and every database of the cluster passes under its own name, without a password.
pub struct Bouncer {
    port: u16,
    folder: PathBuf,
    /// A shell that kills pgbouncer when its standard input closes (see `Cluster`'s watcher).
    watcher: Child,
}

/// `$1` is pgbouncer, `$2` the folder.
const WATCHER: &str = r#"
"$1" "$2/pgbouncer.ini" </dev/null &
trap '' HUP INT TERM
read -r _
kill -9 $!
wait $!
rm -rf "$2"
"#;

/// Whether pgbouncer is installed.
pub fn is_here() -> bool {
    find().is_some()
}

impl Bouncer {
    /// Starts pgbouncer before `cluster` and returns when it accepts connections.
    pub fn start(cluster: &Cluster) -> Result<Bouncer, BouncerError> {
        Bouncer::start_in(cluster, "transaction")
    }

    /// The same in another mode.
    pub fn start_in(cluster: &Cluster, mode: &str) -> Result<Bouncer, BouncerError> {
        let program = find().ok_or(BouncerError::Missing)?;
        let failed = |error: std::io::Error| BouncerError::Failed(error.to_string());
        let port = free_port().map_err(failed)?;
        let folder = new_folder(cluster).map_err(failed)?;
        fs::write(
            folder.join("pgbouncer.ini"),
            config(cluster, &folder, (port, mode)),
        )
        .map_err(failed)?;
        fs::write(
            folder.join("users.txt"),
            format!("\"{}\" \"\"\n", cluster.superuser()),
        )
        .map_err(failed)?;
        let watcher = watch(cluster, &program, &folder).map_err(failed)?;
        let bouncer = Bouncer {
            port,
            folder,
            watcher,
        };
        match poll(PATIENCE, || TcpStream::connect((bouncer.host(), port)).ok()) {
            Some(_) => Ok(bouncer),
            None => Err(BouncerError::Failed(bouncer.log())),
        }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address it listens on.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// `postgresql://user@127.0.0.1:port/database`.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!(
            "postgresql://{user}@{}:{}/{database}",
            self.host(),
            self.port
        )
    }

    /// What pgbouncer logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        let _ = self.watcher.wait();
    }
}

pub(super) fn find() -> Option<PathBuf> {
    let named = std::env::var_os("TANDEM_PGBOUNCER").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    let folders = std::env::split_paths(&path)
        .chain(usual)
        .map(|dir| dir.join("pgbouncer"));
    named
        .into_iter()
        .chain(folders)
        .find(|program| program.is_file())
}

/// The cluster's folder is private to its account, so a folder in there is too.
fn new_folder(cluster: &Cluster) -> std::io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = cluster.socket_dir().join(format!("bouncer-{number}"));
    fs::create_dir(&folder)?;
    cluster.account().own(&folder)?;
    Ok(folder)
}

fn config(cluster: &Cluster, folder: &Path, (port, mode): (u16, &str)) -> String {
    let (host, server, user) = (cluster.host(), cluster.port(), cluster.superuser());
    let folder = folder.display();
    // With auth_user it looks up in pg_shadow who isn't in users.txt: roles a test makes later.
    format!(
        "[databases]\n* = host={host} port={server} auth_user={user}\n\
         [pgbouncer]\nlisten_addr = {host}\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = trust\nauth_file = {folder}/users.txt\npool_mode = {mode}\n\
         default_pool_size = {POOL_SIZE}\nmax_client_conn = 200\nignore_startup_parameters =\n\
         logfile = {folder}/log\nadmin_users = {user}\n"
    )
}

fn watch(cluster: &Cluster, program: &Path, folder: &Path) -> std::io::Result<Child> {
    let mut shell = cluster.account().command("/bin/sh");
    shell
        .args(["-c", WATCHER, "tandem-bouncer-watcher"])
        .arg(program)
        .arg(folder)
        .current_dir("/");
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    shell
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}
