//! Where a server lives: a folder of its own and a port nobody has.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::account::Account;

/// The longest path of a Unix socket, in bytes: macOS allows 103, Linux 107.
const SOCKET_PATH_LIMIT: usize = 100;

/// A folder for one server and the account it is given to. Its path is short enough for a Unix socket in it.
///
/// It lies in `TANDEM_PG_TMP`, else in the system's folder for temporary files. A RAM disk (/dev/shm on Linux) makes a
/// start several times faster where creating a thousand files is slow.
pub(super) fn new_folder() -> io::Result<(PathBuf, Account)> {
    let asked = std::env::var_os("TANDEM_PG_TMP").filter(|asked| !asked.is_empty());
    let mut parent = asked.map_or_else(std::env::temp_dir, PathBuf::from);
    let longest = "/tandem-pg-4294967295-9999/.s.PGSQL.65535".len();
    if cfg!(unix) && parent.as_os_str().len() + longest >= SOCKET_PATH_LIMIT {
        parent = SHORT_TEMP.into();
    }
    let mut folder = numbered_folder(&parent)?;
    let account = Account::for_servers(&folder)?;
    if account.is_borrowed() && !anybody_enters(&parent) {
        fs::remove_dir(&folder)?;
        folder = numbered_folder(Path::new(SHORT_TEMP))?;
    }
    account.own(&folder)?;
    Ok((folder, account))
}

/// Every Unix has it, its name is short and everybody may enter.
pub(super) const SHORT_TEMP: &str = "/tmp";

fn numbered_folder(parent: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = parent.join(format!("tandem-pg-{}-{number}", std::process::id()));
        let mut builder = fs::DirBuilder::new();
        builder.recursive(false);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(&folder) {
            // Left by an earlier process with our number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|()| folder),
        }
    }
}

/// Whether every user may pass through `path` and the folders above it.
#[cfg(unix)]
pub(super) fn anybody_enters(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.ancestors()
        .all(|dir| fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0))
}

#[cfg(not(unix))]
pub(super) fn anybody_enters(_path: &Path) -> bool {
    true
}

/// A loopback port nobody listens on, below the range systems take client ports from (32768 and up on Linux):
/// so a server that is down for a moment doesn't lose its port to somebody's outgoing connection.
///
/// # Errors
/// When all are taken.
pub fn free_port() -> io::Result<u16> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    const LOWEST: u32 = 15_000;
    const PORTS: u32 = 15_000;
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .subsec_nanos();
    let first = std::process::id()
        .wrapping_mul(7919)
        .wrapping_add(nanos / 1000);
    for _ in 0..PORTS {
        let number = first.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
        // Below 65536 by the two constants.
        let port = (LOWEST + number % PORTS) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other("no free port between 15000 and 30000"))
}

#[cfg(test)]
mod tests {
    use super::free_port;

    #[test]
    fn two_ports_differ() {
        assert_ne!(free_port().unwrap(), free_port().unwrap());
    }
}
