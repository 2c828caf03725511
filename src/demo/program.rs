//! A program of the server's is run to its end.

use std::fmt;
use std::process::{Command, Stdio};

/// Why a server couldn't be made, started or stopped: what was being done, and what was said.
#[derive(Debug)]
pub struct Error {
    pub(super) doing: String,
    pub(super) reason: String,
}

impl Error {
    pub(super) fn new(doing: impl Into<String>, reason: impl fmt::Display) -> Error {
        Error {
            doing: doing.into(),
            reason: reason.to_string(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "couldn't {}: {}", self.doing, self.reason.trim_end())
    }
}

impl std::error::Error for Error {}

/// Runs a program to its end and returns its standard output; `doing` completes "couldn't ...".
pub(super) fn run(command: &mut Command, doing: &str) -> Result<String, Error> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| {
        Error::new(
            doing,
            format!("{}: {error}", command.get_program().display()),
        )
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(said.into_owned());
    }
    let complained = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(
        doing,
        format!("{}, {}{said}", output.status, complained),
    ))
}
