//! Who runs a server: PostgreSQL and pgbouncer refuse to run as root, so root borrows another user.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Command;

/// The user servers run as: ourselves, or `postgres` (else `nobody`) when we are root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// User and group id to change to; `None` when we stay who we are.
    ids: Option<(u32, u32)>,
}

impl Account {
    /// The account for servers, told from the owner of `folder`, which this process has just made
    /// (std has no geteuid).
    ///
    /// # Errors
    /// When we are root and /etc/passwd has neither `postgres` nor `nobody`.
    #[cfg(unix)]
    pub fn for_servers(folder: &Path) -> io::Result<Account> {
        use std::os::unix::fs::MetadataExt;
        if std::fs::metadata(folder)?.uid() != 0 {
            return Ok(Account { ids: None });
        }
        let passwd = std::fs::read_to_string("/etc/passwd")?;
        let ids = ids_of(&passwd, "postgres").or_else(|| ids_of(&passwd, "nobody"));
        ids.map(|ids| Account { ids: Some(ids) }).ok_or_else(|| {
            io::Error::other("running as root, and /etc/passwd has neither postgres nor nobody")
        })
    }

    /// Windows: servers run as ourselves (pg_ctl drops administrator rights on its own).
    #[cfg(not(unix))]
    pub fn for_servers(_folder: &Path) -> io::Result<Account> {
        Ok(Account { ids: None })
    }

    /// Whether servers run as somebody else than we.
    pub fn is_borrowed(&self) -> bool {
        self.ids.is_some()
    }

    /// A command run by this account, without the caller's `PG*` variables and with messages in English.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C");
        #[cfg(unix)]
        if let Some((uid, gid)) = self.ids {
            use std::os::unix::process::CommandExt;
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Gives `path` itself (not what a link points to) to this account.
    ///
    /// # Errors
    /// Those of chown.
    pub fn own(&self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        if let Some((uid, gid)) = self.ids {
            std::os::unix::fs::lchown(path, Some(uid), Some(gid))?;
        }
        let _ = path;
        Ok(())
    }
}

#[cfg(unix)]
fn ids_of(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [user, _, uid, gid, ..] if *user == name => {
                Some((uid.parse().ok()?, gid.parse().ok()?))
            }
            _ => None,
        }
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::ids_of;

    #[test]
    fn ids_come_from_the_line_with_that_name() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:/x\npostgres:x:101:104:a,,:/v:/b\n";
        assert_eq!(ids_of(passwd, "postgres"), Some((101, 104)));
        assert_eq!(ids_of(passwd, "nobody"), None);
    }
}
