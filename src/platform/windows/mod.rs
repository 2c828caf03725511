//! Requests to end, and the service manager, as Windows has them.

pub(super) mod event_log;
pub(super) mod manager;
mod rights;
pub(super) mod serving;

use std::fs::Metadata;
use std::io;
use std::path::Path;

pub(super) use rights::protect;
use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

/// Returns at the next request to end: Ctrl-C, Ctrl-Break, the console window's end, the computer's, or the service manager's.
pub(super) async fn next_signal() -> io::Result<()> {
    let (mut c, mut break_key) = (ctrl_c()?, ctrl_break()?);
    let (mut close, mut shutdown) = (ctrl_close()?, ctrl_shutdown()?);
    tokio::select! {
        _ = c.recv() => {}
        _ = break_key.recv() => {}
        _ = close.recv() => {}
        _ = shutdown.recv() => {}
        () = serving::asked_to_stop() => {}
    }
    Ok(())
}

/// Leaves a new file with what its folder gives it.
///
/// # Errors
/// None.
pub fn keep_owner(_of: &Metadata, _file: &Path) -> io::Result<()> {
    Ok(())
}
