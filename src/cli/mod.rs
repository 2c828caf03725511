//! The command line: a file per command; `show` renders what they found.

mod alert;
mod ask;
mod bootstrap;
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

use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing_subscriber::filter::LevelFilter;

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

/// The commands by what people want, in their order.
const GROUPS: [(&str, &[&str]); 3] = [
    ("First time", &["demo", "init", "doctor", "bootstrap"]),
    (
        "Every day",
        &["run", "status", "lag", "top", "wait", "fleet"],
    ),
    (
        "When in doubt",
        &[
            "verify",
            "repair",
            "swap",
            "quarantine",
            "config",
            "alert",
            "reload",
            "uninstall",
            "service",
            "completions",
        ],
    ),
];

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

#[derive(Subcommand)]
enum Command {
    /// Two throw-away servers with PowerCA's tables, live traffic, the lag; verified
    Demo(demo::Options),
    /// Look at both databases and write a commented tandem.toml, or add to it what is new
    Init(init::Options),
    /// Check both sides; each problem comes with what mends it; changes nothing
    Doctor(doctor::Options),
    /// Set up both sides, then copy all tables from one snapshot; repeat it to resume
    Bootstrap(bootstrap::Options),
    /// The service: streams the desktop's changes; fills the tables first if need be
    Run(run::Options),
    /// One screen: is it running, is it caught up, what needs me
    Status(status::Options),
    /// Where the delay is, hop by hop  (--watch follows it)
    Lag(lag::Options),
    /// The same, full screen
    Top(top::Options),
    /// Return when the cloud has all that the desktop has now
    Wait(wait::Options),
    /// Every replicator of a cloud, one line each  (--watch, --listen)
    Fleet(fleet::Options),
    /// Compare both sides row by row; changes nothing
    Verify(verify::Options),
    /// Show the statements that would make them equal  (--apply runs them)
    Repair(repair::Options),
    /// Read a table whole now, and make the cloud's equal by a diff
    Swap(swap::Options),
    /// Rows that one side refused, and why; tried again, or dropped
    Quarantine(quarantine::Options),
    /// The settings: each value and where it came from, or whether they make sense
    Config(settings::Options),
    /// Send a test by mail or webhook, as alerts are sent
    Alert(alert::Options),
    /// Make the running service read its settings again
    Reload(reload::Options),
    /// Remove slot, publication and schemas; give tables their replica identity back
    Uninstall(uninstall::Options),
    /// (Windows) Run it by the service manager: install, start, stop, status, uninstall
    Service(manager::Options),
    /// A shell's completions of these commands and options
    Completions(completions::Options),
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man(man::Options),
    /// Ask the service on this computer how it is, for health checks
    #[command(hide = true)]
    Probe(probe::Options),
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
    let is_service = matches!(&arguments.command, Command::Service(options) if options.action == manager::Action::Run);
    if !is_service {
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
    let (result, mode) = match &arguments.command {
        Command::Demo(options) => (Box::pin(demo::demo(options)).await, Mode::Service),
        Command::Run(options) => (
            with_settings(common, async |settings| {
                run::run(common, options, settings).await
            })
            .await,
            Mode::Service,
        ),
        Command::Status(options) => (
            with_settings(common, async |settings| {
                status::status(options, settings).await
            })
            .await,
            Mode::Question,
        ),
        Command::Lag(options) => (
            with_settings(common, async |settings| lag::lag(options, settings).await).await,
            Mode::Question,
        ),
        Command::Top(options) => (
            with_settings(common, async |settings| {
                top::top(options, settings, common.colors()).await
            })
            .await,
            Mode::Question,
        ),
        Command::Wait(options) => (
            with_settings(common, async |settings| wait::wait(options, settings).await).await,
            Mode::Question,
        ),
        Command::Fleet(options) => (
            Box::pin(fleet::fleet(common, options)).await,
            Mode::Question,
        ),
        Command::Bootstrap(options) => (
            with_settings(common, async |settings| {
                bootstrap::bootstrap(common, options, settings).await
            })
            .await,
            Mode::Copy,
        ),
        Command::Init(options) => (
            Box::pin(init::init(options, sources(common))).await,
            Mode::Question,
        ),
        Command::Doctor(options) => (
            with_settings(common, async |settings| {
                doctor::doctor(options, settings).await
            })
            .await,
            Mode::Question,
        ),
        Command::Verify(options) => (
            with_settings(common, async |settings| {
                verify::verify(options, settings).await
            })
            .await,
            Mode::Question,
        ),
        Command::Repair(options) => (
            with_settings(common, async |settings| {
                repair::repair(common, options, settings).await
            })
            .await,
            Mode::Copy,
        ),
        Command::Swap(options) => (
            with_settings(common, async |settings| {
                swap::swap(common, options, settings).await
            })
            .await,
            Mode::Copy,
        ),
        Command::Quarantine(options) => (
            with_settings(common, async |settings| {
                quarantine::quarantine(options, settings).await
            })
            .await,
            Mode::Question,
        ),
        Command::Completions(options) => (Ok(completions::completions(options)), Mode::Question),
        Command::Man(options) => (man::man(options), Mode::Question),
        Command::Probe(options) => (
            with_settings(common, async |settings| {
                probe::probe(options, settings).await
            })
            .await,
            Mode::Question,
        ),
        Command::Config(options) => (
            with_settings(common, async |settings| settings::config(options, settings)).await,
            Mode::Question,
        ),
        Command::Alert(options) => (
            with_settings(common, async |settings| {
                alert::alert(options, settings).await
            })
            .await,
            Mode::Question,
        ),
        Command::Service(options) => (
            Box::pin(manager::manage(common, options)).await,
            match options.action {
                manager::Action::Run => Mode::Service,
                _ => Mode::Question,
            },
        ),
        Command::Reload(options) => (
            Box::pin(reload::reload(common, options)).await,
            Mode::Question,
        ),
        Command::Uninstall(options) => (
            with_settings(common, async |settings| {
                uninstall::uninstall(options, settings).await
            })
            .await,
            Mode::Question,
        ),
    };
    finish(result, mode)
}

async fn with_settings(
    common: &Common,
    command: impl AsyncFnOnce(&Settings) -> Result<Exit, Fault>,
) -> Result<Exit, Fault> {
    match load(common) {
        Ok(settings) => Box::pin(command(&settings)).await,
        Err(problems) => {
            show::problems(&problems);
            Ok(Exit::Input)
        }
    }
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
