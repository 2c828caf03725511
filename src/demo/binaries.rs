//! Finds PostgreSQL server binaries on this machine.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with `initdb`, `pg_ctl` and `postgres` of one release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// The folder, for instance `/usr/lib/postgresql/15/bin`.
    pub dir: PathBuf,
    /// The major version, for instance 15.
    pub version: u32,
    /// The release as the server names it, for instance `15.20`.
    pub release: String,
}

impl Binaries {
    /// Reads which release a folder holds.
    ///
    /// # Errors
    /// A sentence when one of the three programs is missing, or `postgres --version` doesn't run.
    pub fn at(dir: &Path) -> Result<Binaries, String> {
        let dir = &behind_links(dir);
        let shown = dir.display();
        for program in ["initdb", "pg_ctl", "postgres"] {
            if !program_in(dir, program).is_file() {
                return Err(format!("{shown} has no {program}"));
            }
        }
        let output = Command::new(program_in(dir, "postgres"))
            .arg("--version")
            .output()
            .map_err(|error| format!("{shown}/postgres doesn't run: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let (version, release) = parse_version(&said)
            .ok_or_else(|| format!("{shown}/postgres --version said {:?}", said.trim()))?;
        Ok(Binaries {
            dir: dir.to_path_buf(),
            version,
            release,
        })
    }

    /// The path of one of the programs.
    pub fn program(&self, name: &str) -> PathBuf {
        program_in(&self.dir, name)
    }
}

/// Finds the installed servers, one per major version, the newest last.
///
/// With `explicit` only that folder counts. Otherwise the search goes through `TANDEM_PG_BIN` (a list separated
/// like `PATH`), `PATH`, `/usr/lib/postgresql/*/bin`, Homebrew's folders and those `deploy/postgres.sh` installs
/// to; of two folders with the same major version the earlier in this order is taken.
///
/// # Errors
/// A sentence that says where it looked and what to run, when nothing usable is found.
pub fn find_binaries(explicit: Option<&Path>) -> Result<Vec<Binaries>, String> {
    if let Some(dir) = explicit {
        return Binaries::at(dir).map(|found| vec![found]);
    }
    let mut found: Vec<Binaries> = Vec::new();
    for dir in search_path() {
        if let Ok(binaries) = Binaries::at(&dir)
            && !found.iter().any(|known| known.version == binaries.version)
        {
            found.push(binaries);
        }
    }
    found.sort_by_key(|binaries| binaries.version);
    if found.is_empty() {
        Err(nothing_found())
    } else {
        Ok(found)
    }
}

fn nothing_found() -> String {
    format!(
        "no PostgreSQL server binaries (initdb, pg_ctl, postgres) found in TANDEM_PG_BIN, PATH, \
         /usr/lib/postgresql/*/bin, /opt/homebrew/opt/postgresql@*/bin, /usr/local/opt/postgresql@*/bin \
         and {}/*/bin; run deploy/postgres.sh --install, or name a folder in TANDEM_PG_BIN",
        installed_folder().display()
    )
}

fn search_path() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    for variable in ["TANDEM_PG_BIN", "PATH"] {
        if let Some(list) = env::var_os(variable) {
            dirs.extend(env::split_paths(&list).filter(|dir| !dir.as_os_str().is_empty()));
        }
    }
    dirs.extend(bins_below(Path::new("/usr/lib/postgresql"), ""));
    dirs.extend(bins_below(Path::new("/opt/homebrew/opt"), "postgresql@"));
    dirs.extend(bins_below(Path::new("/usr/local/opt"), "postgresql@"));
    dirs.extend(bins_below(&installed_folder(), ""));
    dirs
}

/// The `bin` folders below `parent/<prefix>*`, the higher release first.
fn bins_below(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut names: Vec<String> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort_by_key(|name| std::cmp::Reverse(numbers_in(name)));
    names
        .into_iter()
        .map(|name| parent.join(name).join("bin"))
        .collect()
}

/// `18.10.0-beta.17` as `[18, 10, 0, 17]`, so that 18.10 sorts after 18.9.
fn numbers_in(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

/// Where `deploy/postgres.sh --install` puts servers from npm: `${TANDEM_CACHE:-~/.cache/tandem}/postgres`.
fn installed_folder() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let cache = set("TANDEM_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(set("HOME").unwrap_or_default())
            .join(".cache")
            .join("tandem")
    });
    cache.join("postgres")
}

/// The folder the programs really lie in, when `dir` (say /usr/local/bin) only links to them: a server belongs
/// together with the `lib` and `share` beside it.
fn behind_links(dir: &Path) -> PathBuf {
    let real = std::fs::canonicalize(program_in(dir, "postgres")).ok();
    let real = real.as_deref().and_then(Path::parent);
    let real = real.filter(|real| program_in(real, "initdb").is_file());
    real.unwrap_or(dir).to_path_buf()
}

fn program_in(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

/// `postgres (PostgreSQL) 15.20 (Debian ...)` as `(15, "15.20")`; betas read `18beta1`.
fn parse_version(said: &str) -> Option<(u32, String)> {
    let release = said
        .split_once("(PostgreSQL)")?
        .1
        .split_whitespace()
        .next()?;
    let digits: String = release.chars().take_while(char::is_ascii_digit).collect();
    Some((digits.parse().ok()?, release.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{numbers_in, parse_version};

    #[test]
    fn versions_are_read_as_servers_print_them() {
        let read = |said| parse_version(said).unwrap();
        assert_eq!(
            read("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"),
            (15, "15.20".into())
        );
        assert_eq!(
            read("postgres (PostgreSQL) 19devel\n"),
            (19, "19devel".into())
        );
        assert_eq!(parse_version("something else"), None);
    }

    #[test]
    fn a_later_minor_sorts_after_an_earlier_one() {
        assert!(numbers_in("18.10.0-beta.1") > numbers_in("18.9.0-beta.17"));
    }
}
