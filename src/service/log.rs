//! Logs: text on a terminal, JSON elsewhere, on standard error and in daily files.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{Format, Log};
use crate::fault::{Fault, Kind};

/// Keeps the files' writer alive; what is buffered is written when it is dropped.
pub struct Logging {
    _files: Option<WorkerGuard>,
}

const DAY: Duration = Duration::from_secs(86_400);

/// Starts logging. `level` is what the command line asks for.
///
/// # Errors
/// When the folder of the daily files can't be used.
pub fn start_log(log: &Log, level: LevelFilter, color: bool) -> Result<Logging, Fault> {
    start_log_to(log, (level, color), std::io::stderr)
}

/// The same with another way to standard error: something may be drawn there.
///
/// # Errors
/// As [`start_log`].
pub fn start_log_to<W>(
    log: &Log,
    (level, color): (LevelFilter, bool),
    console: W,
) -> Result<Logging, Fault>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let json = match log.format {
        Format::Json => true,
        Format::Text => false,
        Format::Auto => !std::io::stderr().is_terminal(),
    };
    let lines = fmt::layer().with_target(false).with_writer(console);
    let console = if json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_ansi(color).boxed()
    };
    let daily = log
        .file
        .as_deref()
        .map(|folder| daily(folder, log.keep))
        .transpose()?;
    let locked = daily.as_ref().and_then(|daily| daily.locked.clone());
    let (files, guard) = daily.map(|daily| (daily.writer, daily.guard)).unzip();
    let files = files.map(|files| {
        let lines = fmt::layer()
            .with_target(false)
            .with_ansi(false)
            .with_writer(files);
        // A file is no terminal.
        if log.format == Format::Text {
            lines.boxed()
        } else {
            lines.json().flatten_event(true).boxed()
        }
    });
    // A second start in one process (tests) keeps the first.
    let _ = tracing_subscriber::registry()
        .with(console)
        .with(files)
        .with(level)
        .try_init();
    if let Some(why) = locked {
        tracing::warn!(
            "the log file of today can't be opened ({why}); lines go to {PREFIX}{BESIDE} beside it"
        );
    }
    Ok(Logging { _files: guard })
}

/// How the daily files' names begin...
const PREFIX: &str = "tandem";
/// ...and how those go on that are written while another program keeps the file of the day for itself.
const BESIDE: &str = "-2";

/// The daily files, open for lines.
struct Daily {
    writer: NonBlocking,
    guard: WorkerGuard,
    /// Why the file of the day couldn't be opened, where another one is written.
    locked: Option<String>,
}

/// A file a day, as many as `keep` has days. A file that another program keeps open for itself, as Windows allows, must
/// not keep the service from starting.
fn daily(folder: &Path, keep: Duration) -> Result<Daily, Fault> {
    let days = usize::try_from(keep.as_secs().div_ceil(DAY.as_secs()).max(1)).unwrap_or(usize::MAX);
    let unusable = |error: &dyn std::fmt::Display| {
        Fault::new(
            Kind::Input,
            format!("the log folder {} can't be used", folder.display()),
        )
        .cause(error)
        .hint("name another folder in log.file, or \"off\"")
    };
    // The appender looks for old files before it makes the folder, and prints that there is none.
    std::fs::create_dir_all(folder).map_err(|error| unusable(&error))?;
    let open = |prefix: String| {
        RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix(prefix)
            .filename_suffix("log")
            .max_log_files(days)
            .build(folder)
    };
    let (files, locked) = match open(PREFIX.to_owned()) {
        Ok(files) => (files, None),
        Err(error) => match open(format!("{PREFIX}{BESIDE}")) {
            Ok(files) => (files, Some(error.to_string())),
            Err(_) => return Err(unusable(&error)),
        },
    };
    let (writer, guard) = tracing_appender::non_blocking(files);
    Ok(Daily {
        writer,
        guard,
        locked,
    })
}
