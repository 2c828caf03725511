//! Makes data directories fast: initdb runs once per release and superuser, then its result is copied.
//!
//! The template is shared between processes. It appears under its name by a rename, so a reader never sees half of
//! one; a lock file only keeps ten processes from doing the same work at once.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::account::Account;
use super::binaries::Binaries;
use super::place::{SHORT_TEMP, anybody_enters};
use super::program::{Error, run};

/// The first version whose initdb has to be told that no checksums are wanted.
const CHECKSUMS_SINCE: u32 = 18;

/// A folder of things that are made once: templates, and copies of servers our account couldn't reach.
pub(super) struct Cache {
    folder: PathBuf,
    account: Account,
}

impl Cache {
    /// Opens (or makes) the cache in the system's folder for temporary files; `mine` is a folder this process made.
    ///
    /// # Errors
    /// When the folder can't be made, or belongs to somebody else, who could plant servers in it.
    pub(super) fn open(mine: &Path, account: Account) -> Result<Cache, Error> {
        // Only root borrows an account, and gave it the folder already.
        let owner = if account.is_borrowed() {
            Ok(0)
        } else {
            owner_of(mine)
        };
        let owner = owner.map_err(|error| Error::new("look at the own folder", error))?;
        let mut parent = std::env::temp_dir();
        if account.is_borrowed() && !anybody_enters(&parent) {
            parent = SHORT_TEMP.into();
        }
        let folder = parent.join(format!("tandem-pg-cache-{owner}"));
        let doing = format!("open the cache {}", folder.display());
        fs::create_dir_all(&folder).map_err(|error| Error::new(&doing, error))?;
        match owner_of(&folder) {
            Ok(found) if found == owner => Ok(Cache { folder, account }),
            Ok(found) => Err(Error::new(
                &doing,
                format!("it belongs to user {found}, not to us"),
            )),
            Err(error) => Err(Error::new(&doing, error)),
        }
    }

    /// Makes `data` a fresh data directory of `superuser` with an identity of its own.
    ///
    /// # Errors
    /// initdb's message, or why copying failed.
    pub(super) fn new_data(
        &self,
        with: &Binaries,
        superuser: &str,
        data: &Path,
    ) -> Result<(), Error> {
        let key = format!(
            "plain-{}-{:016x}",
            with.release,
            hash_of(&(&with.dir, superuser))
        );
        let template = self.once(&key, |building| {
            let mut initdb = self.account.command(with.program("initdb"));
            // The files don't outlive us.
            if with.version >= CHECKSUMS_SINCE {
                initdb.arg("--no-data-checksums");
            }
            initdb.args([
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
                "--auth=trust",
                "-U",
                superuser,
                "-D",
            ]);
            run(initdb.arg(building).current_dir(building), "initdb").map(drop)
        })?;
        copy_tree(&template, data, self.account)
            .map_err(|error| Error::new("copy the template", error))?;
        give_identity(data).map_err(|error| Error::new("give the copy an identity", error))
    }

    /// `binaries` where our account can execute them: as they are, or a copy of the installation
    /// when they lie below a folder only root may enter.
    ///
    /// # Errors
    /// When they can't be executed, not even from a copy.
    pub(super) fn reachable(&self, binaries: &Binaries) -> Result<Binaries, Error> {
        let runs = |candidate: &Binaries| {
            let mut probe = self.account.command(candidate.program("initdb"));
            run(
                probe.arg("--version").current_dir("/"),
                "run initdb --version",
            )
        };
        if !self.account.is_borrowed() || runs(binaries).is_ok() {
            return Ok(binaries.clone());
        }
        let prefix = binaries.dir.parent().unwrap_or(&binaries.dir);
        let key = format!(
            "server-{}-{:016x}",
            binaries.release,
            hash_of(&binaries.dir)
        );
        let copy = self.once(&key, |building| {
            for part in ["bin", "lib", "share"]
                .iter()
                .filter(|part| prefix.join(part).is_dir())
            {
                copy_tree(&prefix.join(part), &building.join(part), self.account)
                    .map_err(|error| Error::new(format!("copy {}", prefix.display()), error))?;
            }
            Ok(())
        })?;
        let copied = Binaries {
            dir: copy.join("bin"),
            ..binaries.clone()
        };
        runs(&copied).map(|_| copied)
    }

    /// The folder `key`, made by `build` if no process has made it yet.
    fn once(
        &self,
        key: &str,
        build: impl Fn(&Path) -> Result<(), Error>,
    ) -> Result<PathBuf, Error> {
        let made = self.folder.join(key);
        if made.is_dir() {
            return Ok(made);
        }
        let failed = |error: io::Error| Error::new(format!("make {}", made.display()), error);
        let lock = File::create(self.folder.join(format!("{key}.lock"))).map_err(failed)?;
        lock.lock().map_err(failed)?;
        if made.is_dir() {
            return Ok(made);
        }
        let building = self.folder.join(format!("{key}.building"));
        // Left by a process that was killed while it held the lock.
        if building.exists() {
            fs::remove_dir_all(&building).map_err(failed)?;
        }
        fs::create_dir(&building).map_err(failed)?;
        self.account.own(&building).map_err(failed)?;
        build(&building)?;
        fs::rename(&building, &made).map_err(failed)?;
        Ok(made)
    }
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(unix)]
fn owner_of(path: &Path) -> io::Result<u32> {
    // Not through a link: somebody could have put one there for us to follow.
    Ok(std::os::unix::fs::MetadataExt::uid(&fs::symlink_metadata(
        path,
    )?))
}

#[cfg(not(unix))]
fn owner_of(_path: &Path) -> io::Result<u32> {
    Ok(0)
}

/// Copies a folder with its modes and links and gives the copy to `account`.
fn copy_tree(from: &Path, to: &Path, account: Account) -> io::Result<()> {
    fs::create_dir_all(to)?;
    // Before it is filled: should we be killed meanwhile, the watcher, which runs as `account`, can remove it.
    account.own(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&source, &target, account)?;
        } else if kind.is_symlink() {
            copy_link(&source, &target)?;
            account.own(&target)?;
        } else {
            fs::copy(&source, &target)?;
            account.own(&target)?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

#[cfg(unix)]
fn copy_link(from: &Path, to: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(fs::read_link(from)?, to)
}

#[cfg(not(unix))]
fn copy_link(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to).map(drop)
}

/// Gives a copied data directory a system identifier of its own; else all copies would pass for one
/// server, and a product that compares `IDENTIFY_SYSTEM` would rightly refuse to replicate between them.
///
/// The identifier stands at the start of `global/pg_control`, guarded by a CRC (src/include/catalog/pg_control.h),
/// and in the long page header that starts each WAL segment (xlp_sysid, src/include/access/xlog_internal.h).
fn give_identity(data: &Path) -> io::Result<()> {
    let path = data.join("global").join("pg_control");
    let mut control = fs::read(&path)?;
    let crc_at = crc_position(&control)
        .ok_or_else(|| io::Error::other("pg_control has no valid checksum"))?;
    let identity = new_identity().to_ne_bytes();
    control[..8].copy_from_slice(&identity);
    let crc = crc32c(&control[..crc_at]).to_ne_bytes();
    control[crc_at..crc_at + 4].copy_from_slice(&crc);
    // Over the old bytes: a new file would belong to root.
    fs::OpenOptions::new()
        .write(true)
        .open(&path)?
        .write_all(&control)?;
    for entry in fs::read_dir(data.join("pg_wal"))? {
        let entry = entry?;
        if entry.file_type()?.is_file() && entry.file_name().len() == WAL_NAME_LEN {
            let mut segment = fs::OpenOptions::new().write(true).open(entry.path())?;
            segment.seek(SeekFrom::Start(WAL_IDENTITY_AT))?;
            segment.write_all(&identity)?;
        }
    }
    Ok(())
}

/// Hexadecimal digits in the name of a WAL segment: timeline, log, segment.
const WAL_NAME_LEN: usize = 24;
/// Bytes before xlp_sysid: sizeof(XLogPageHeaderData).
const WAL_IDENTITY_AT: u64 = 24;

/// Where the CRC stands in pg_control. It follows the fields, whose length differs between major versions,
/// so it is found as the place that holds the CRC of everything before it.
fn crc_position(control: &[u8]) -> Option<usize> {
    (64..512).step_by(4).find(|&at| {
        control
            .get(at..at + 4)
            .is_some_and(|stored| stored == crc32c(&control[..at]).to_ne_bytes())
    })
}

/// CRC-32C (Castagnoli) bit by bit; the input is a few hundred bytes.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82F6_3B78 * (crc & 1))
        })
    })
}

/// Unique in time, process and thread, made as initdb does: seconds, microseconds, then 12 bits of who.
fn new_identity() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let who = u64::from(std::process::id()) + COUNT.fetch_add(1, Ordering::Relaxed);
    (now.as_secs() << 32) | (u64::from(now.subsec_micros()) << 12) | (who & 0xFFF)
}

/// The system identifier a data directory carries.
pub(super) fn identity_of(data: &Path) -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open(data.join("global").join("pg_control"))?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::{crc_position, crc32c, new_identity};

    #[test]
    fn crc_is_castagnoli() {
        // The check value of the CRC catalogue.
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn the_crc_is_found_behind_what_it_guards() {
        let mut control = vec![7u8; 600];
        let crc = crc32c(&control[..292]).to_ne_bytes();
        control[292..296].copy_from_slice(&crc);
        assert_eq!(crc_position(&control), Some(292));
        assert_eq!(crc_position(&[7u8; 600]), None);
    }

    #[test]
    fn identities_differ() {
        assert_ne!(new_identity(), new_identity());
    }
}
