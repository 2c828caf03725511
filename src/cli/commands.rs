//! The commands by what people want, and what each of them comes down to.

use clap::{CommandFactory, Parser, Subcommand};

use super::common::{Common, Mode, load, sources};
use super::{
    alert, bootstrap, completions, demo, doctor, fleet, init, lag, man, manager, probe, quarantine,
    reload, repair, run, settings, show, status, swap, top, uninstall, verify, wait,
};
use crate::config::Settings;
use crate::fault::{Exit, Fault};

const HELP: &str = "Example: tandem lag --max 30s || notify     replication is late
Exit status: 0 fine, 1 bad news, 2 fix your input, 3 not running, 4 cannot tell, 5 data protected";

/// Keeps a desktop PostgreSQL and a cloud PostgreSQL saying the same thing.
#[derive(Parser)]
#[command(name = "tandem", version, max_term_width = 100, arg_required_else_help = true, after_help = HELP)]
pub struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The command line with its help in groups, which clap doesn't make of subcommands.
pub(super) fn grouped() -> clap::Command {
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

// Remarks here would become the program's description.
#[derive(Subcommand)]
pub(super) enum Command {
    #[command(flatten)]
    FirstTime(FirstTime),
    #[command(flatten)]
    EveryDay(EveryDay),
    #[command(flatten)]
    InDoubt(InDoubt),
    #[command(flatten)]
    Unseen(Unseen),
}

#[derive(Subcommand)]
pub(super) enum FirstTime {
    /// Two throw-away servers with PowerCA's tables, live traffic, the lag; verified
    Demo(demo::Options),
    /// Look at both databases and write a commented tandem.toml, or add to it what is new
    Init(init::Options),
    /// Check both sides; each problem comes with what mends it; changes nothing
    Doctor(doctor::Options),
    /// Set up both sides, then copy all tables from one snapshot; repeat it to resume
    Bootstrap(bootstrap::Options),
}

#[derive(Subcommand)]
pub(super) enum EveryDay {
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
}

#[derive(Subcommand)]
pub(super) enum InDoubt {
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
}

// For machines.
#[derive(Subcommand)]
pub(super) enum Unseen {
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man(man::Options),
    /// Ask the service on this computer how it is, for health checks
    #[command(hide = true)]
    Probe(probe::Options),
}

/// How a command ended, and what a fault of it means.
type Answer = (Result<Exit, Fault>, Mode);

impl Command {
    /// Runs it, and says what a fault of it means.
    pub(super) async fn answer(&self, common: &Common) -> Answer {
        match self {
            Command::FirstTime(command) => command.answer(common).await,
            Command::EveryDay(command) => command.answer(common).await,
            Command::InDoubt(command) => command.answer(common).await,
            Command::Unseen(command) => command.answer(common).await,
        }
    }

    /// The service manager's own call.
    pub(super) fn is_service(&self) -> bool {
        matches!(self, Command::InDoubt(InDoubt::Service(options)) if options.action == manager::Action::Run)
    }
}

impl FirstTime {
    async fn answer(&self, common: &Common) -> Answer {
        match self {
            FirstTime::Demo(options) => (Box::pin(demo::demo(options)).await, Mode::Service),
            FirstTime::Init(options) => (
                Box::pin(init::init(options, sources(common))).await,
                Mode::Question,
            ),
            FirstTime::Doctor(options) => (
                with_settings(common, async |settings| {
                    doctor::doctor(options, settings).await
                })
                .await,
                Mode::Question,
            ),
            FirstTime::Bootstrap(options) => (
                with_settings(common, async |settings| {
                    bootstrap::bootstrap(common, options, settings).await
                })
                .await,
                Mode::Copy,
            ),
        }
    }
}

impl EveryDay {
    async fn answer(&self, common: &Common) -> Answer {
        match self {
            EveryDay::Run(options) => (
                with_settings(common, async |settings| {
                    run::run(common, options, settings).await
                })
                .await,
                Mode::Service,
            ),
            EveryDay::Status(options) => (
                with_settings(common, async |settings| {
                    status::status(options, settings).await
                })
                .await,
                Mode::Question,
            ),
            EveryDay::Lag(options) => (
                with_settings(common, async |settings| lag::lag(options, settings).await).await,
                Mode::Question,
            ),
            EveryDay::Top(options) => (
                with_settings(common, async |settings| {
                    top::top(options, settings, common.colors()).await
                })
                .await,
                Mode::Question,
            ),
            EveryDay::Wait(options) => (
                with_settings(common, async |settings| wait::wait(options, settings).await).await,
                Mode::Question,
            ),
            EveryDay::Fleet(options) => (
                Box::pin(fleet::fleet(common, options)).await,
                Mode::Question,
            ),
        }
    }
}

impl InDoubt {
    async fn answer(&self, common: &Common) -> Answer {
        match self {
            InDoubt::Verify(options) => (
                with_settings(common, async |settings| {
                    verify::verify(options, settings).await
                })
                .await,
                Mode::Question,
            ),
            InDoubt::Repair(options) => (
                with_settings(common, async |settings| {
                    repair::repair(common, options, settings).await
                })
                .await,
                Mode::Copy,
            ),
            InDoubt::Swap(options) => (
                with_settings(common, async |settings| {
                    swap::swap(common, options, settings).await
                })
                .await,
                Mode::Copy,
            ),
            InDoubt::Quarantine(options) => (
                with_settings(common, async |settings| {
                    quarantine::quarantine(options, settings).await
                })
                .await,
                Mode::Question,
            ),
            InDoubt::Config(options) => (
                with_settings(common, async |settings| settings::config(options, settings)).await,
                Mode::Question,
            ),
            InDoubt::Alert(options) => (
                with_settings(common, async |settings| {
                    alert::alert(options, settings).await
                })
                .await,
                Mode::Question,
            ),
            InDoubt::Reload(options) => (
                Box::pin(reload::reload(common, options)).await,
                Mode::Question,
            ),
            InDoubt::Uninstall(options) => (
                with_settings(common, async |settings| {
                    uninstall::uninstall(options, settings).await
                })
                .await,
                Mode::Question,
            ),
            InDoubt::Service(options) => (
                Box::pin(manager::manage(common, options)).await,
                match options.action {
                    manager::Action::Run => Mode::Service,
                    _ => Mode::Question,
                },
            ),
            InDoubt::Completions(options) => (
                Ok(completions::completions(options, Arguments::command())),
                Mode::Question,
            ),
        }
    }
}

impl Unseen {
    async fn answer(&self, common: &Common) -> Answer {
        match self {
            Unseen::Man(options) => (man::man(options, grouped()), Mode::Question),
            Unseen::Probe(options) => (
                with_settings(common, async |settings| {
                    probe::probe(options, settings).await
                })
                .await,
                Mode::Question,
            ),
        }
    }
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
