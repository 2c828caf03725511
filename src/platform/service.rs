//! tandem as a service of Windows: registered, started, stopped, asked.
//!
//! Everywhere else there is no such service manager, which every function here says; [`IS_HERE`] tells in time.

use std::io;
use std::path::{Path, PathBuf};

pub use super::registered::{ACCOUNT, NAME, Registered, Severity, State};

#[cfg(windows)]
use super::windows::{event_log, manager, serving};

/// Whether this system has Windows' service manager.
pub const IS_HERE: bool = cfg!(windows);

/// The folder that only administrators and the service can read: its settings, and its logs below.
/// None where there is no such manager.
pub fn folder() -> Option<PathBuf> {
    let data = std::env::var_os("ProgramData").filter(|_| IS_HERE)?;
    Some(PathBuf::from(data).join("tandem"))
}

/// Makes the folder and gives it rights for administrators and the service alone; its folder `logs` may be written by the service.
///
/// # Errors
/// When the folder can't be made, or its rights can't be set.
pub fn protect(folder: &Path) -> io::Result<()> {
    #[cfg(windows)]
    return super::windows::protect(folder);
    #[cfg(not(windows))]
    not_here(folder)
}

/// Registers the service with this program and these settings, or gives them to one that is registered; names what this
/// Windows doesn't know of what it was told.
///
/// # Errors
/// When the manager refuses it.
pub fn install(settings: &Path) -> io::Result<Vec<String>> {
    #[cfg(windows)]
    return manager::install(settings);
    #[cfg(not(windows))]
    not_here(settings)
}

/// Takes the service, which is stopped, out of the manager.
///
/// # Errors
/// When the manager refuses it.
pub fn uninstall() -> io::Result<()> {
    #[cfg(windows)]
    return manager::uninstall();
    #[cfg(not(windows))]
    not_here(())
}

/// Starts the service, and returns when it runs or has ended again.
///
/// # Errors
/// When the manager refuses it.
pub fn start() -> io::Result<Registered> {
    #[cfg(windows)]
    return manager::start();
    #[cfg(not(windows))]
    not_here(())
}

/// Stops the service, and returns when it has ended, or takes longer than it may.
///
/// # Errors
/// When the manager refuses it.
pub fn stop() -> io::Result<Registered> {
    #[cfg(windows)]
    return manager::stop();
    #[cfg(not(windows))]
    not_here(())
}

/// What the manager knows; none when no such service is registered.
///
/// # Errors
/// When the manager refuses to tell.
pub fn query() -> io::Result<Option<Registered>> {
    #[cfg(windows)]
    return manager::query();
    #[cfg(not(windows))]
    not_here(())
}

/// Lends this process to the manager: `work` is done on a thread of its own, and the manager's requests to stop come as
/// signals do. Returns the exit code of `work`. The manager starts a service again that ended in any other way than with
/// an exit code of which `is_final` says that starting it again can't help.
///
/// # Errors
/// When it wasn't the manager that started this process.
pub fn serve(
    work: impl FnOnce() -> u8 + Send + 'static,
    is_final: fn(u8) -> bool,
) -> io::Result<u8> {
    #[cfg(windows)]
    return serving::serve(Box::new(work), is_final);
    #[cfg(not(windows))]
    not_here((work, is_final))
}

/// Tells the manager that the service runs from now on.
pub fn is_running() {
    #[cfg(windows)]
    serving::is_running();
}

/// Writes into Windows' event log; where that fails, the service goes on without.
pub fn report(severity: Severity, text: &str) {
    #[cfg(windows)]
    event_log::report(severity, text);
    #[cfg(not(windows))]
    let _ = (severity, text);
}

#[cfg(not(windows))]
fn not_here<T>(_: impl Sized) -> io::Result<T> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "there is no Windows service manager here",
    ))
}
