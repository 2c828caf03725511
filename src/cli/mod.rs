//! The command line: a file per command; `show` renders what they found.

mod alert;
mod ask;
mod bootstrap;
mod commands;
mod common;
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

use std::time::Duration;

use clap::FromArgMatches;

pub use commands::Arguments;
use commands::grouped;
use common::{Mode, exit_of};

use crate::failpoint;
use crate::fault::{Exit, Fault, Kind};
use crate::wire::control;

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

fn finish(result: Result<Exit, Fault>, mode: Mode) -> u8 {
    match result {
        Ok(exit) => exit as u8,
        Err(fault) => report(&fault, exit_of(&fault, mode)),
    }
}

fn report(fault: &Fault, exit: Exit) -> u8 {
    show::fault(fault);
    exit as u8
}
