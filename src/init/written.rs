//! How the proposal is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::pairs::Others;
use super::question::remark;
use crate::config::{as_text, quoted};
use crate::fault::{Fault, Kind};
use crate::model::Name;

const BEGINNING: &str = "# tandem.toml, proposed by `tandem init`. Precedence: flag > environment (TANDEM_...) > this file > default.\n\
     # Look at it, then: tandem config check, tandem doctor, tandem bootstrap --plan\n\n";

/// What stands before the tables, for whoever needs it.
const FOR_ALL_TABLES: &str = "# [forward]\n# skip = []                              # columns that never travel, of all tables; default: none\n\
     # wal_held_max = \"4GB\"                   # default: more WAL kept for us on the desktop than that is said\n\n\
     # [refill]                               # where the office program refills its tables from views, tandem can run that\n\
     # sql = \"select sync_views_to_tables()\"\n# every = \"15m\"\n\
     # tables = []                            # what it fills; [[refill]] may stand several times, a part for some tables each\n\n";

pub(super) fn text(
    head: &Head,
    entries: &[Entry],
    misfits: &BTreeMap<String, String>,
    others: &Others,
) -> String {
    let mut text = String::from(BEGINNING);
    text.push_str(&side("desktop", &head.desktop, "DESKTOP_DB_PASSWORD"));
    text.push_str(&letters_and_times(head));
    text.push('\n');
    text.push_str(&side("cloud", &head.cloud, "SUPABASE_DB_PASSWORD"));
    text.push('\n');
    text.push_str(&head.org);
    text.push_str(FOR_ALL_TABLES);
    for entry in entries
        .iter()
        .filter(|entry| !misfits.contains_key(&entry.name))
    {
        text.push_str(&written(entry));
    }
    if !misfits.is_empty() {
        text.push_str("# These need a decision first.\n\n");
    }
    for entry in entries {
        if let Some(why) = misfits.get(&entry.name) {
            text.push_str(&aside(entry, why));
        }
    }
    for (desktop, cloud) in &others.alike {
        text.push_str(&maybe_one(desktop, cloud));
    }
    for (side, names) in [("desktop", &others.desktop), ("cloud", &others.cloud)] {
        if !names.is_empty() {
            text.push_str(&format!(
                "# Only on the {side}: {}\n",
                remark(&names.join(", "))
            ));
        }
    }
    text
}

/// How a side is reached; its password stands in the environment, under a `name`.
fn side(section: &str, (url, secret): &(String, bool), name: &str) -> String {
    let mark = if *secret { "" } else { "# " };
    format!(
        "[{section}]\nurl = {}\n{mark}password = \"${{{name}}}\"  # from the environment, or a .env file beside this one\n",
        quoted(url)
    )
}

/// What letters and times of the desktop mean.
fn letters_and_times(head: &Head) -> String {
    let mut text = String::new();
    if let Some(name) = &head.encoding {
        text.push_str(&format!("encoding = {}\n", quoted(name)));
    }
    match head.bare.as_ref().filter(|_| head.encoding.is_none()) {
        Some(found) if !found.is_empty() => text.push_str(&format!(
            "# The database has no encoding (SQL_ASCII), and not all text is UTF-8 in {}.\n\
             # What does the office's program write? Rows that can't be read wait in quarantine until this says it:\n\
             # encoding = \"WIN1252\"\n",
            remark(&found.join(", "))
        )),
        Some(_) => text.push_str(
            "# encoding = \"WIN1252\"  # the database has no encoding (SQL_ASCII); what was looked at is UTF-8, as without this line\n",
        ),
        None => {}
    }
    let mark = if head.zoned { "" } else { "# " };
    text.push_str(&format!(
        "{mark}time_zone = {}  # what times without a zone mean, where they meet times with one{}\n",
        as_text(&head.zone),
        if head.remarks.is_empty() { ": the desktop's own" } else { "" }
    ));
    text.extend(head.remarks.iter().map(|line| format!("{line}\n")));
    text
}

pub(super) fn written(entry: &Entry) -> String {
    format!("[[table]]\nname = {}\n{}\n", as_text(&entry.name), {
        let lines: String = entry.lines.iter().map(|line| format!("{line}\n")).collect();
        lines
    })
}

/// Two tables that may be one, as a remark.
pub(super) fn maybe_one(desktop: &str, cloud: &str) -> String {
    format!(
        "# Most columns of these two are the same. If they are one table:\n# [[table]]\n# name = {}\n# cloud = {}\n\n",
        as_text(desktop),
        as_text(cloud)
    )
}

/// A table that needs a decision first, as a remark.
pub(super) fn aside(entry: &Entry, why: &str) -> String {
    let why = why.split("; ").map(|why| format!("{}: {why}", entry.name));
    let lines: Vec<_> = why
        .chain(written(entry).lines().map(str::to_owned))
        .collect();
    let lines = lines
        .iter()
        .map(|line| format!("{}\n", remark(format!("# {line}").trim_end())));
    lines.collect()
}

pub(super) fn list(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| as_text(name)).collect();
    format!("[{}]", names.join(", "))
}

/// The URL without its password, and whether it had one (P16: it is written nowhere).
pub(super) fn without_password(url: &str) -> (String, bool) {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let (place, in_place) = without_password_before_host(place);
    let is_secret = |part: &&str| {
        let name = part.split('=').next().unwrap_or_default();
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        name == "password" || name == "passfile"
    };
    let secret = query.split('&').any(|part| is_secret(&part));
    let kept: Vec<_> = query.split('&').filter(|part| !is_secret(part)).collect();
    let kept = kept.join("&");
    let mark = if kept.is_empty() { "" } else { "?" };
    (format!("{place}{mark}{kept}"), in_place || secret)
}

fn without_password_before_host(url: &str) -> (String, bool) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (url.to_owned(), false);
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (place, path) = rest.split_at(end);
    match place
        .rsplit_once('@')
        .map(|(user, host)| (user.split_once(':'), host))
    {
        Some((Some((user, _)), host)) => (format!("{scheme}://{user}@{host}{path}"), true),
        _ => (url.to_owned(), false),
    }
}

/// Writes the file, unless one is there.
///
/// # Errors
/// When it exists, or can't be written.
pub fn write_new(path: &Path, text: &str) -> Result<(), Fault> {
    use std::io::Write;
    let file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        Fault::new(Kind::Input, format!("{} was not written", path.display()))
            .cause(error)
            .hint("init never overwrites; name another file with --out")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p16_a_password_leaves_the_url() {
        assert_eq!(
            without_password("postgres://h/d?user=u&password=s3cret&sslmode=require"),
            ("postgres://h/d?user=u&sslmode=require".to_owned(), true)
        );
        assert_eq!(
            without_password("postgres://a:s3:cr@t@h:5/d?x=1"),
            ("postgres://a@h:5/d?x=1".to_owned(), true)
        );
        assert_eq!(
            without_password("postgres://a@h/d"),
            ("postgres://a@h/d".to_owned(), false)
        );
        assert_eq!(
            without_password("postgres:///d"),
            ("postgres:///d".to_owned(), false)
        );
    }
}

/// Both URLs as they are written, whether each came with a password, and what is said about the tenant if there seems to be one.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) desktop: (String, bool),
    pub(super) cloud: (String, bool),
    pub(super) org: String,
    /// The time zone of times without one.
    pub(super) zone: String,
    /// Times without a zone meet times with one.
    pub(super) zoned: bool,
    /// The desktop's database has no encoding: tables with text that is not UTF-8, as far as can be seen.
    pub(super) bare: Option<Vec<String>>,
    /// What it says about its encoding.
    pub(super) encoding: Option<String>,
    /// What the file says about decisions on the desktop.
    pub(super) remarks: Vec<String>,
}

/// A table of the proposal.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) desktop: Name,
    pub(super) cloud: Name,
    /// The lines behind the name.
    pub(super) lines: Vec<String>,
    pub(super) columns: BTreeSet<String>,
    /// A remark among the lines asks something.
    pub(super) asks: bool,
    /// Somebody said that it has to wait, for this.
    pub(super) aside: Option<String>,
}
