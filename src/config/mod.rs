//! The settings: a TOML file under environment variables and flags, read once, checked whole, typed from then on.
//!
//! `document` (a tree with places) -> `layers` and `section` (which layer speaks; what nobody asked for) -> `schema`
//! and `check` (types) -> `sections`, `side` and `table` (every key, its default and bounds) -> [`Settings`]. Problems are
//! gathered, never thrown: [`load`] reports all at once. `docs/contract.md` lists every setting with its default, and a test
//! keeps that list whole.

mod agree;
mod alert;
mod changes;
mod check;
mod cloud;
mod complaint;
mod document;
mod dotenv;
mod endpoint;
mod expand;
mod layers;
mod mapping;
mod passfile;
mod problem;
mod refill;
mod schema;
mod secret;
mod section;
mod sections;
mod show;
mod side;
mod table;
#[cfg(test)]
mod tests;
mod units;
mod url;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use alert::{Alert, Mail, MailTls, TimeOfDay, Webhook, WebhookFormat};
pub use changes::Changes;
pub use cloud::cloud_at;
pub use endpoint::{ChannelBinding, Endpoint, Host, RootCert, SslMode};
pub use mapping::{
    CloudTable, Flow, KeptOut, Lookup, Narrow, OnConflict, OnMobileRow, Orphans, Table,
    TableReverse, TenantRule,
};
pub use problem::{Problem, Problems};
pub use refill::{Refill, When};
pub use secret::Secret;
pub use sections::{
    CheckForeignKeys, Copy, Format, Forward, Heartbeat, Listen, Log, Owner, Reverse, Side, Verify,
};
pub use show::{Row, as_text, quoted};
pub use units::duration;

use document::Document;
use dotenv::Dotenv;
use expand::Names;
use layers::Reader;
use side::Surroundings;

/// The file's name where neither a flag nor the environment names another.
const DEFAULT_FILE: &str = "tandem.toml";

/// Where settings come from; all of it is passed in, nothing is read from the process.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file of `--config`.
    pub file: Option<PathBuf>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The folder in which `tandem.toml` is looked for, and in which relative paths of files start.
    pub cwd: PathBuf,
    /// The user's home, for `~/.pgpass`.
    pub home: Option<PathBuf>,
    /// The service's own settings (Windows): they count where none are named, and none lie in `cwd`.
    pub installed: Option<PathBuf>,
    /// Overrides from the command line: `("forward.slot", "office")`.
    pub flags: Vec<(String, String)>,
}

/// Everything that is set, in range and typed. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// The replicator's name; none means from the desktop's system id, database and slot.
    pub replicator: Option<String>,
    /// The desktop database.
    pub desktop: Side,
    /// The cloud database.
    pub cloud: Side,
    /// Cloud column and value as text, in the file's order; joined by AND.
    pub tenant: Vec<(String, String)>,
    /// How a row says who made it.
    pub owner: Owner,
    /// The stream from the desktop to the cloud.
    pub forward: Forward,
    /// The way home.
    pub reverse: Reverse,
    /// The desktop's refill, or its parts, in the file's order; there may be none.
    pub refills: Vec<Refill>,
    /// How whole tables are copied.
    pub copy: Copy,
    /// The sign of life.
    pub heartbeat: Heartbeat,
    /// The periodic comparison.
    pub verify: Verify,
    /// Metrics and health.
    pub listen: Listen,
    /// The log.
    pub log: Log,
    /// Who is told when something is wrong.
    pub alert: Alert,
    /// The tables, in the file's order; there may be none.
    pub tables: Vec<Table>,
    /// What doesn't stop anything but should be said, such as an ignored password file.
    pub warnings: Vec<String>,
    rows: Vec<Row>,
    keys: BTreeSet<String>,
}

impl Settings {
    /// Every setting with where it came from, in the order of the contract; tables last, in the file's order.
    pub fn rows(&self) -> Vec<Row> {
        self.rows.clone()
    }

    /// Every key that the reader knows, whether given or not, by the kind of its section: `forward.slot`, `table.swap`,
    /// `table.reverse.skip`. The keys of a table and of what is written inside one are known where such a table was read.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(String::as_str)
    }
}

/// Reads the settings.
///
/// Fails with every problem at once, those of the file first and in its order: no file, text that isn't TOML, unknown
/// keys and variables, wrong types and ranges, names that aren't set, features that aren't built yet.
pub fn load(sources: &Sources) -> Result<Settings, Problems> {
    let (path, name) = find(sources)?;
    let text = read(&path, &name)?;
    let (document, broken) = Document::parse(name, &text);
    let folder = path.parent().unwrap_or(&sources.cwd);
    let names = Names {
        env: &sources.env,
        dotenv: dotenv(folder),
    };
    let mut reader = Reader::new(&document, names, &sources.flags);
    let settings = settings(&mut reader, sources, &path);
    let mut problems = believable(&document, reader.problems);
    problems.extend(broken);
    match settings {
        Some(settings) if problems.is_empty() => Ok(Settings {
            rows: reader.rows,
            keys: reader.keys,
            ..settings
        }),
        _ => Err(Problems::new(problems)),
    }
}

/// Reads section by section, in the contract's order. None when a database can't be reached by what is set.
fn settings(reader: &mut Reader<'_>, sources: &Sources, path: &Path) -> Option<Settings> {
    let folder = path.parent().unwrap_or(&sources.cwd);
    let around = Surroundings {
        folder,
        home: sources.home.as_deref(),
        os_user: os_user(&sources.env),
    };
    let mut warnings = Vec::new();
    let replicator = sections::replicator(reader);
    let desktop = sections::desktop(reader, &around, &mut warnings);
    let cloud = sections::cloud(reader, &around, &mut warnings);
    let tenant = sections::tenant(reader);
    let owner = sections::owner(reader);
    let forward = sections::forward(reader);
    let reverse = sections::reverse(reader);
    let parts = refill::refills(reader);
    let copy = sections::copy(reader);
    let heartbeat = sections::heartbeat(reader);
    let verify = sections::verify(reader);
    let listen = sections::listen(reader);
    let log = sections::log(reader, folder);
    let alert = alert::alert(reader, &around, &mut warnings);
    let tables = table::tables(reader, &forward);
    let refills = refill::agreed(reader, parts, &tables);
    reader.finish();
    let (desktop, cloud) = desktop.zip(cloud)?;
    let file = Some(path.to_owned());
    let (rows, keys) = (Vec::new(), BTreeSet::new());
    Some(Settings {
        file,
        replicator,
        desktop,
        cloud,
        tenant,
        owner,
        forward,
        reverse,
        refills,
        copy,
        heartbeat,
        verify,
        listen,
        log,
        alert,
        tables,
        warnings,
        rows,
        keys,
    })
}

/// The settings file and its name in messages: `--config`, else `$TANDEM_CONFIG`, else `./tandem.toml`, else the service's.
fn find(sources: &Sources) -> Result<(PathBuf, String), Problems> {
    let from_env = sources
        .env
        .get("TANDEM_CONFIG")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let (named, by) = match (&sources.file, from_env) {
        (Some(file), _) => (file.clone(), "--config names it"),
        (None, Some(file)) => (file, "TANDEM_CONFIG names it"),
        (None, None) => (PathBuf::from(DEFAULT_FILE), ""),
    };
    let path = sources.cwd.join(&named);
    if path.exists() {
        return Ok((path, named.display().to_string()));
    }
    // A folder that we may not look into may well have them; reading says so.
    let is_there = |path: &&PathBuf| path.try_exists().unwrap_or(true);
    if let ("", Some(path)) = (by, sources.installed.as_ref().filter(is_there)) {
        return Ok((path.clone(), path.display().to_string()));
    }
    let problem = Problem::new(format!("there is no settings file {}", path.display()));
    let hinted = match by {
        "" => problem
            .hint("--config or TANDEM_CONFIG name a file elsewhere; tandem init writes a new one"),
        by => problem.hint(format!(
            "{by}; without --config and TANDEM_CONFIG it is ./{DEFAULT_FILE}"
        )),
    };
    Err(Problems::new(vec![hinted]))
}

fn read(path: &Path, name: &str) -> Result<String, Problems> {
    let alone = |problem| Problems::new(vec![problem]);
    let bytes = std::fs::read(path).map_err(|why| {
        let problem = Problem::new(format!("{name} can't be read: {why}"));
        alone(match why.kind() {
            std::io::ErrorKind::PermissionDenied if cfg!(windows) => problem.hint(
                "the service's settings are for administrators: open the window with \"Run as administrator\"",
            ),
            _ => problem,
        })
    })?;
    let text = String::from_utf8(bytes).map_err(|why| {
        let valid = why.as_bytes().get(..why.utf8_error().valid_up_to());
        let line = valid
            .unwrap_or_default()
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        alone(Problem::new(format!("{name}:{line} isn't UTF-8")).hint("save the file as UTF-8"))
    })?;
    Ok(text
        .strip_prefix('\u{feff}')
        .map(str::to_owned)
        .unwrap_or(text))
}

/// The `.env` file beside the settings, or an empty one. That it can't be read matters only when a name is missed.
fn dotenv(folder: &Path) -> Dotenv {
    match std::fs::read_to_string(folder.join(".env")) {
        Ok(text) => Dotenv::parse(&text),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Dotenv::default(),
        Err(why) => Dotenv {
            complaint: Some(format!(".env: {why}")),
            ..Dotenv::default()
        },
    }
}

/// libpq's user when the URL names none.
fn os_user(env: &BTreeMap<String, String>) -> Option<String> {
    ["PGUSER", "USER", "USERNAME"]
        .iter()
        .find_map(|name| env.get(*name).filter(|user| !user.is_empty()).cloned())
}

/// Without what only follows from broken TOML: after the first break, only TOML's own errors can be believed.
fn believable(document: &Document<'_>, problems: Vec<Problem>) -> Vec<Problem> {
    let Some(offset) = document.broken_from else {
        return problems;
    };
    let line = document.line(offset);
    problems
        .into_iter()
        .filter(|problem| (1..line).contains(&problem.line))
        .collect()
}
