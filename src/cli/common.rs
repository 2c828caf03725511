//! What all commands share: the options that stand before and behind each, the settings, names and times as people write them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice};
use tracing_subscriber::filter::LevelFilter;

use super::{place, screen, show};
use crate::config::{self, Settings, Sources};
use crate::fault::{Decision, Exit, Fault, Kind};
use crate::model::Name;
use crate::platform;

#[derive(Args)]
pub(super) struct Common {
    /// Settings file [env TANDEM_CONFIG] [default ./tandem.toml]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Only errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// More detail; repeat for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// Colours: auto (the default), always or never; NO_COLOR is honoured
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub(super) color: ColorChoice,
}

impl Common {
    pub(super) fn level(&self) -> LevelFilter {
        match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::ERROR,
            (false, 0) => LevelFilter::INFO,
            (false, 1) => LevelFilter::DEBUG,
            (false, _) => LevelFilter::TRACE,
        }
    }

    /// What a command does beside its result goes to standard error, for people.
    pub(super) fn log_to_people(&self) -> Result<crate::service::Logging, Fault> {
        let log = config::Log {
            format: config::Format::Text,
            file: None,
            keep: Duration::ZERO,
        };
        crate::service::start_log_to(&log, (self.level(), self.colors()), || screen::Above)
    }

    pub(super) fn colors(&self) -> bool {
        show::colors(self.color)
    }
}

pub(super) fn load(common: &Common) -> Result<Settings, config::Problems> {
    config::load(&sources(common))
}

pub(super) fn sources(common: &Common) -> Sources {
    let home = std::env::var_os("HOME")
        .or_else(|| std::env::var_os("USERPROFILE"))
        .map(PathBuf::from);
    Sources {
        file: common.config.clone(),
        env: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        cwd: std::env::current_dir().unwrap_or_default(),
        home,
        installed: platform::service::folder().map(|folder| folder.join(place::SETTINGS)),
        flags: Vec::new(),
    }
}

/// What a fault means for the exit code: a service retries weather, a question can't be answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Service,
    Question,
    /// It writes like the service, once.
    Copy,
}

pub(super) fn exit_of(fault: &Fault, mode: Mode) -> Exit {
    match fault.decision() {
        Decision::Retry | Decision::Again => Exit::CannotTell,
        Decision::Stop(Exit::Protected) if mode == Mode::Question => Exit::CannotTell,
        Decision::Stop(exit) => exit,
    }
}

/// "30s", "5m": the settings' own durations.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text)
        .ok_or_else(|| "not a duration; write 500ms, 30s, 5m, 1h or 1d".to_owned())
}

/// The table's name in the settings; the cloud's name is accepted, and either in another way of writing it. A shell may eat
/// the quotes of a name: without them it is accepted where only one table can be meant.
pub(super) fn named<'s>(settings: &'s Settings, name: &str) -> Result<&'s str, Fault> {
    let tables = &settings.tables;
    let read = Name::read(name).ok();
    let is = |there: Name| read.as_ref() == Some(&there);
    let mut bare = tables
        .iter()
        .filter(|table| table.desktop_name().bare() == name || table.cloud_name().bare() == name);
    let found = { tables.iter() }
        .find(|table| table.name == name)
        .or_else(|| tables.iter().find(|table| is(table.desktop_name())))
        .or_else(|| tables.iter().find(|table| is(table.cloud_name())))
        .or_else(|| bare.next().filter(|_| bare.next().is_none()));
    found.map(|table| table.name.as_str()).ok_or_else(|| {
        let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
        Fault::new(Kind::Input, format!("no table {name} in the settings"))
            .hint(format!("there are {}", names.join(", ")))
    })
}

/// The same of several.
pub(super) fn all_named<'s>(
    settings: &'s Settings,
    names: &[String],
) -> Result<Vec<&'s str>, Fault> {
    names.iter().map(|name| named(settings, name)).collect()
}
