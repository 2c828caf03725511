//! `tandem service`: Windows' service manager, asked by an administrator, and the process that it starts.

use std::path::Path;

use clap::{Args, Subcommand};

use super::common::{Common, load};
use super::{place, run, show};
use crate::fault::{Exit, Fault, Kind};
use crate::platform::service::{self, ACCOUNT, Registered, Severity, State};

/// Windows: run it by the service manager, from the computer's start on. Needs a window that was opened with "Run as administrator".
#[derive(Args)]
#[command(after_help = "Examples:
  tandem -c tandem.toml service install      copy the settings to C:\\ProgramData\\tandem, register the service
  tandem service start && tandem wait        start it, return when the cloud has everything
  tandem service status                      is it registered, does it run, with which settings, what to do")]
pub(super) struct Options {
    #[command(subcommand)]
    pub(super) action: Action,
}

#[derive(Subcommand, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Register the service: settings in C:\ProgramData\tandem for administrators and the service alone, started with the computer
    Install,
    /// Stop it and take it out of the service manager; settings, logs and both databases stay as they are
    Uninstall,
    /// Start it; says why when it ends at once
    Start,
    /// Stop it when the batch at hand is finished
    Stop,
    /// Is it registered, does it run, with which settings, what to do
    Status {
        /// One document on standard output
        #[arg(long)]
        json: bool,
    },
    /// What the service manager starts; not for people
    Run,
}

/// `tandem service run`: the work of `carry_out`, on the manager's thread.
pub(super) fn serve(carry_out: impl FnOnce() -> u8 + Send + 'static) -> Result<u8, Fault> {
    if !service::IS_HERE {
        return Err(elsewhere());
    }
    service::serve(carry_out, is_final).map_err(|error| {
        Fault::new(Kind::Input, "tandem service run is for the service manager")
            .cause(error)
            .hint("tandem run does the same in this window")
            .next("tandem service start")
    })
}

/// Whether starting again can't help: settings have to be mended, or data is protected (the contract's exit codes).
fn is_final(code: u8) -> bool {
    code == Exit::Input as u8 || code == Exit::Protected as u8
}

pub(super) async fn manage(common: &Common, options: &Options) -> Result<Exit, Fault> {
    if !service::IS_HERE {
        return Err(elsewhere());
    }
    match options.action {
        Action::Install => install(common),
        Action::Uninstall => uninstall(),
        Action::Start => start(),
        Action::Stop => stop(),
        Action::Status { json } => status(json),
        Action::Run => work(common).await,
    }
}

fn elsewhere() -> Fault {
    Fault::new(
        Kind::Input,
        "tandem service is for Windows; this computer has another service manager",
    )
    .hint("on Linux systemd runs it: deploy/systemd has the unit, and systemctl enable --now tandem starts it; anything else that keeps \"tandem run\" running will do, and SIGTERM stops it cleanly")
    .next("tandem run")
}

/// The service itself. Nobody sees its standard error: what a person has to know stands in the event log.
async fn work(common: &Common) -> Result<Exit, Fault> {
    let mut settings = match load(common) {
        Ok(settings) => settings,
        Err(problems) => {
            service::report(
                Severity::Error,
                &format!(
                    "tandem can't start: its settings need mending.\n\n{problems}\n\nNothing was changed. Mend them, then: tandem service start"
                ),
            );
            show::problems(&problems);
            return Ok(Exit::Input);
        }
    };
    let folder = settings.file.as_deref().and_then(Path::parent);
    settings.log.file = settings
        .log
        .file
        .or_else(|| folder.map(|folder| folder.join("logs")));
    service::report(
        Severity::Information,
        &format!(
            "tandem {} starts. It logs to {}.",
            env!("CARGO_PKG_VERSION"),
            settings
                .log
                .file
                .as_deref()
                .unwrap_or(Path::new(""))
                .display()
        ),
    );
    let ended = run::run(common, &run::Options::default(), &settings).await;
    match &ended {
        Ok(_) => service::report(Severity::Information, "tandem stopped, as it was told to."),
        Err(fault) => service::report(Severity::Error, &last_words(fault)),
    }
    ended
}

/// A fault in the event log.
fn last_words(fault: &Fault) -> String {
    let mut text = format!("tandem stopped: {}", fault.what);
    for (title, more) in [
        ("Cause", &fault.cause),
        ("What to do", &fault.hint),
        ("Next", &fault.next),
    ] {
        if let Some(more) = more {
            text.push_str(&format!("\n{title}: {more}"));
        }
    }
    let exit = super::common::exit_of(fault, super::common::Mode::Service);
    let then = match is_final(exit as u8) {
        true => "It is not started again by itself. Then: tandem service start",
        false => "Windows starts it again.",
    };
    format!("{text}\n\n{then}")
}

fn install(common: &Common) -> Result<Exit, Fault> {
    let folder = service::folder().ok_or_else(no_folder)?;
    let program = std::env::current_exe().unwrap_or_default();
    place::must_be_readable(&program)?;
    let settings = match load(common) {
        Ok(settings) => settings,
        Err(problems) => {
            show::problems(&problems);
            return Ok(Exit::Input);
        }
    };
    let from = settings.file.clone().unwrap_or_default();
    if let Err(problems) = place::as_the_service_sees(&settings, &from)? {
        show::problems(&problems);
        show::progress(
            "hint: the service doesn't see the variables of this window; put them into the file .env beside the settings, a line NAME=value each",
        );
        return Ok(Exit::Input);
    }
    let moves = place::moves(&settings, &from, &folder)?;
    // First the rights: nothing secret lies open, not even for a moment.
    service::protect(&folder).map_err(|error| refused(&error))?;
    place::copy(&moves)?;
    let unknown =
        service::install(&folder.join(place::SETTINGS)).map_err(|error| refused(&error))?;
    for (from, to) in &moves {
        show::result(&format!("copied {} to {}", from.display(), to.display()));
    }
    show::result(&format!(
        "the service is registered, runs as {ACCOUNT}, and is started with the computer; its settings: {}",
        folder.join(place::SETTINGS).display()
    ));
    for what in unknown {
        show::result(&format!("this Windows does not know {what}"));
    }
    show::result("next: tandem service start");
    Ok(Exit::Fine)
}

fn uninstall() -> Result<Exit, Fault> {
    match asked()? {
        None => {
            show::result("there is no service to take out");
            return Ok(Exit::Fine);
        }
        Some(known) if known.state != State::Stopped => {
            let known = service::stop().map_err(|error| refused(&error))?;
            if known.state != State::Stopped {
                return Err(still_stopping());
            }
        }
        Some(_) => {}
    }
    service::uninstall().map_err(|error| refused(&error))?;
    show::result("the service is gone from the service manager");
    if let Some(folder) = service::folder() {
        show::result(&format!(
            "settings and logs stay in {}; both databases stay as they are",
            folder.display()
        ));
    }
    show::result(
        "next: where nobody is to go on replicating, tandem uninstall, or the desktop keeps its WAL for tandem",
    );
    Ok(Exit::Fine)
}

fn start() -> Result<Exit, Fault> {
    let known = service::start().map_err(|error| refused(&error))?;
    Ok(says(&known))
}

fn stop() -> Result<Exit, Fault> {
    let known = service::stop().map_err(|error| refused(&error))?;
    if known.state != State::Stopped {
        return Err(still_stopping());
    }
    show::result("stopped; what was committed is in the cloud, the rest waits on the desktop");
    Ok(Exit::Fine)
}

fn status(json: bool) -> Result<Exit, Fault> {
    let known = asked()?;
    if json {
        show::document(&document(known.as_ref()));
        return Ok(exit_of(known.as_ref()));
    }
    match &known {
        Some(known) => Ok(says(known)),
        None => {
            show::verdict(show::Mark::Bad, "not installed");
            show::result("next: tandem -c tandem.toml service install");
            Ok(Exit::NotRunning)
        }
    }
}

fn asked() -> Result<Option<Registered>, Fault> {
    service::query().map_err(|error| refused(&error))
}

fn exit_of(known: Option<&Registered>) -> Exit {
    match known.map(|known| known.state) {
        Some(State::Running | State::Starting) => Exit::Fine,
        _ => Exit::NotRunning,
    }
}

/// A registered service for people; how the command ends.
fn says(known: &Registered) -> Exit {
    let exit = exit_of(Some(known));
    let mark = match exit {
        Exit::Fine => show::Mark::Fine,
        _ => show::Mark::Bad,
    };
    show::verdict(mark, &headline(known));
    for line in details(known) {
        show::result(&line);
    }
    exit
}

fn headline(known: &Registered) -> String {
    match (known.state, known.process) {
        (State::Stopped, _) => "stopped".to_owned(),
        (State::Starting, _) => "starting".to_owned(),
        (State::Stopping, _) => "stopping: it finishes the batch at hand".to_owned(),
        (State::Running, Some(process)) => format!("running: process {process}"),
        (State::Running, None) => "running".to_owned(),
    }
}

fn details(known: &Registered) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(folder) = service::folder() {
        let settings = folder.join(place::SETTINGS);
        lines.push(format!("  settings     {}", settings.display()));
        lines.push(format!("  logs         {}", folder.join("logs").display()));
    }
    lines.push(format!("  program      {}", known.command));
    lines.push(format!("  account      {}", known.account));
    if !known.is_automatic {
        lines.push("  start        by hand; tandem service install makes it automatic".to_owned());
    }
    let (end, next) = match (known.state, known.exit, &known.failure) {
        (State::Running, _, _) => (None, "tandem status"),
        (State::Starting | State::Stopping, _, _) => (None, "tandem service status"),
        (State::Stopped, _, Some(failure)) => (
            Some(failure.clone()),
            "tandem service start; the event log (Event Viewer, Windows Logs, Application) says more",
        ),
        (State::Stopped, Some(2), None) => (
            Some("exit 2: its settings, a password or a right needs mending".to_owned()),
            "tandem doctor; the event log (Event Viewer, Windows Logs, Application, source tandem) has its last words",
        ),
        (State::Stopped, Some(5), None) => (
            Some("exit 5: it stopped to protect data".to_owned()),
            "tandem status; the event log (Event Viewer, Windows Logs, Application, source tandem) has its last words",
        ),
        (State::Stopped, _, None) => (None, "tandem service start"),
    };
    lines.extend(end.map(|end| format!("  last end     {end}")));
    lines.push(format!("next: {next}"));
    lines
}

fn document(known: Option<&Registered>) -> serde_json::Value {
    let settings = service::folder().map(|folder| folder.join(place::SETTINGS));
    serde_json::json!({
        "schema": 1,
        "installed": known.is_some(),
        "state": known.map(|known| match known.state {
            State::Stopped => "stopped",
            State::Starting => "starting",
            State::Running => "running",
            State::Stopping => "stopping",
        }),
        "process": known.and_then(|known| known.process),
        "last_exit": known.and_then(|known| known.exit),
        "failure": known.and_then(|known| known.failure.clone()),
        "automatic": known.map(|known| known.is_automatic),
        "account": known.map(|known| known.account.clone()),
        "program": known.map(|known| known.command.clone()),
        "settings": settings.map(|settings| settings.display().to_string()),
    })
}

fn still_stopping() -> Fault {
    Fault::new(
        Kind::Internal,
        "the service is told to stop, and still finishes its batch",
    )
    .hint("wait; nothing is lost if the computer is switched off meanwhile")
    .next("tandem service status")
}

fn no_folder() -> Fault {
    Fault::new(
        Kind::Input,
        "ProgramData is not set, so nobody knows where the service's settings go",
    )
    .hint("Windows sets this variable; open a new window with \"Run as administrator\"")
}

/// What the service manager, or a folder's rights, answer when they don't want to.
fn refused(error: &std::io::Error) -> Fault {
    /// `ERROR_ACCESS_DENIED`
    const DENIED: i32 = 5;
    /// `ERROR_SERVICE_DOES_NOT_EXIST`
    const MISSING: i32 = 1060;
    /// `ERROR_SERVICE_MARKED_FOR_DELETE`
    const MARKED: i32 = 1072;
    let (what, hint, next) = match error.raw_os_error() {
        Some(DENIED) => (
            "only administrators may do this",
            "open the window with a right click on its icon and \"Run as administrator\"; nothing was changed",
            None,
        ),
        Some(MISSING) => (
            "the service is not installed",
            "install it first",
            Some("tandem -c tandem.toml service install"),
        ),
        Some(MARKED) => (
            "the service was taken out, and a window still holds it",
            "close the windows Services and Event Viewer, then try again",
            None,
        ),
        _ => ("Windows refuses it", "nothing is lost; try again", None),
    };
    let fault = Fault::new(Kind::Input, what).cause(error).hint(hint);
    match next {
        Some(next) => fault.next(next),
        None => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(state: State, exit: Option<u32>) -> Registered {
        Registered {
            state,
            process: None,
            exit,
            failure: None,
            is_automatic: true,
            account: ACCOUNT.to_owned(),
            command: r#""C:\Program Files\tandem\tandem.exe" service run"#.to_owned(),
        }
    }

    #[test]
    fn each_end_of_the_service_says_what_to_do_next() {
        for (exit, wanted) in [
            (None, "next: tandem service start"),
            (Some(0), "next: tandem service start"),
            (Some(2), "next: tandem doctor; the event log"),
            (Some(5), "next: tandem status; the event log"),
        ] {
            let lines = details(&known(State::Stopped, exit)).join("\n");
            assert!(lines.contains(wanted), "{exit:?}: {lines}");
        }
        let mut failed = known(State::Stopped, None);
        failed.failure = Some("Access is denied.".to_owned());
        let lines = details(&failed).join("\n");
        assert!(lines.contains("last end     Access is denied."), "{lines}");
        assert_eq!(exit_of(None), Exit::NotRunning);
        assert_eq!(exit_of(Some(&known(State::Running, None))), Exit::Fine);
    }

    #[test]
    fn only_what_a_person_has_to_mend_is_not_started_again() {
        let input = Fault::new(Kind::Input, "no such table").hint("add it");
        let words = last_words(&input);
        assert!(
            words.contains("What to do: add it") && words.contains("not started again"),
            "{words}"
        );
        assert!(is_final(2) && is_final(5));
        assert!(!is_final(1) && !is_final(4) && !is_final(130));
    }
}
