//! The command line: a file per command; `show` renders what they found.

mod alert;
mod ask;
mod bootstrap;
mod commands;
mod completions;
mod demo;
mod doctor;
mod filled;
mod fleet;
mod init;
mod lag;
mod man;
mod manager;
mod office;
mod place;
mod plan;
mod probe;
mod quarantine;
mod reload;
mod repair;
mod run;
mod screen;
mod settings;
mod show;
mod status;
mod swap;
mod top;
mod uninstall;
mod verify;
mod wait;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser};
use tracing_subscriber::filter::LevelFilter;

use commands::{Command, GROUPS};

use crate::config::{self, Settings, Sources};
use crate::failpoint;
use crate::fault::{Decision, Exit, Fault, Kind};
use crate::model::Name;
use crate::platform;
use crate::wire::control;

/// Keeps a desktop PostgreSQL and a cloud PostgreSQL saying the same thing.
#[derive(Parser)]
#[command(name = "tandem", version, max_term_width = 100, arg_required_else_help = true, after_help = HELP)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// The command line with its help in groups, which clap doesn't make of subcommands.
fn grouped() -> clap::Command {
    let command = Arguments::command();
    let mut page = String::from("{name} {version} - {about}\n\n{usage-heading} {usage}\n");
    for (title, names) in GROUPS {
        page.push_str(&format!("\n{title}:\n"));
        for name in names {
            let found = command.find_subcommand(name);
            let about = found
                .and_then(|found| found.get_about())
                .unwrap_or_default();
            page.push_str(&format!("  {name:<12} {about}\n"));
        }
    }
    command.help_template(page + "\nOptions:\n{options}{after-help}")
}

const HELP: &str = "Example: tandem lag --max 30s || notify     replication is late
Exit status: 0 fine, 1 bad news, 2 fix your input, 3 not running, 4 cannot tell, 5 data protected";

#[derive(Args)]
struct Common {
    /// Settings file [env TANDEM_CONFIG] [default ./tandem.toml]
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// More detail; repeat for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Colours: auto (the default), always or never; NO_COLOR is honoured
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        hide_default_value = true
    )]
    color: ColorChoice,
}

/// Runs a command and says how the process ends.
pub fn main() -> u8 {
    let parsed = grouped().try_get_matches();
    let parsed = parsed.and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers, everything else is a mistake in the input.
            let code = if error.use_stderr() {
                Exit::Input
            } else {
                Exit::Fine
            };
            let _ = error.print();
            return code as u8;
        }
    };
    failpoint::arm(std::env::var("TANDEM_TEST_FAILPOINT").ok().as_deref());
    failpoint::arm_cuts(std::env::var("TANDEM_TEST_CUTS").ok().as_deref());
    failpoint::arm_sieve(std::env::var_os("TANDEM_TEST_RANGES").is_some());
    if !arguments.command.is_service() {
        return carry_out(&arguments);
    }
    match manager::serve(move || carry_out(&arguments)) {
        Ok(code) => code,
        Err(fault) => finish(Err(fault), Mode::Question),
    }
}

/// Carries a command out, from the threads that it needs to the last goodbye.
fn carry_out(arguments: &Arguments) -> u8 {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let fault =
                Fault::new(Kind::Internal, "the program could not start its threads").cause(error);
            return report(&fault, Exit::Protected);
        }
    };
    let code = runtime.block_on(dispatch(arguments));
    // Who insists on the end, by a second signal, gets it at once.
    if code != Exit::Interrupted as u8 {
        runtime.block_on(control::goodbyes());
    }
    // A name look-up that hangs must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(200));
    code
}

async fn dispatch(arguments: &Arguments) -> u8 {
    let common = &arguments.common;
    show::choose_colors(common.color);
    let (result, mode) = arguments.command.answer(common).await;
    finish(result, mode)
}

fn load(common: &Common) -> Result<Settings, config::Problems> {
    config::load(&sources(common))
}

fn sources(common: &Common) -> Sources {
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

impl Common {
    fn level(&self) -> LevelFilter {
        match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::ERROR,
            (false, 0) => LevelFilter::INFO,
            (false, 1) => LevelFilter::DEBUG,
            (false, _) => LevelFilter::TRACE,
        }
    }

    /// What a command does beside its result goes to standard error, for people.
    fn log_to_people(&self) -> Result<crate::service::Logging, Fault> {
        let log = config::Log {
            format: config::Format::Text,
            file: None,
            keep: Duration::ZERO,
        };
        crate::service::start_log_to(&log, (self.level(), self.colors()), || screen::Above)
    }

    fn colors(&self) -> bool {
        show::colors(self.color)
    }
}

/// What a fault means for the exit code: a service retries weather, a question can't be answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Service,
    Question,
    /// It writes like the service, once.
    Copy,
}

fn finish(result: Result<Exit, Fault>, mode: Mode) -> u8 {
    match result {
        Ok(exit) => exit as u8,
        Err(fault) => report(&fault, exit_of(&fault, mode)),
    }
}

fn exit_of(fault: &Fault, mode: Mode) -> Exit {
    match fault.decision() {
        Decision::Retry | Decision::Again => Exit::CannotTell,
        Decision::Stop(Exit::Protected) if mode == Mode::Question => Exit::CannotTell,
        Decision::Stop(exit) => exit,
    }
}

fn report(fault: &Fault, exit: Exit) -> u8 {
    show::fault(fault);
    exit as u8
}

/// "30s", "5m": the settings' own durations.
fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text)
        .ok_or_else(|| "not a duration; write 500ms, 30s, 5m, 1h or 1d".to_owned())
}

/// The table's name in the settings; the cloud's name is accepted, and either in another way of writing it. A shell may eat
/// the quotes of a name: without them it is accepted where only one table can be meant.
fn named<'s>(settings: &'s Settings, name: &str) -> Result<&'s str, Fault> {
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
fn all_named<'s>(settings: &'s Settings, names: &[String]) -> Result<Vec<&'s str>, Fault> {
    names.iter().map(|name| named(settings, name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_stands_in_one_group_of_the_help() {
        let command = Arguments::command();
        let mut all: Vec<_> = command
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .map(clap::Command::get_name)
            .collect();
        let mut grouped: Vec<_> = { GROUPS.iter() }
            .flat_map(|(_, names)| names.iter().copied())
            .collect();
        all.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(all, grouped);
    }
}
