//! Requests to end, and the service manager, as Windows has them.

pub(super) mod event_log;
pub(super) mod manager;
mod rights;
pub(super) mod serving;

use std::fs::Metadata;
use std::io;
use std::path::Path;

pub(super) use rights::protect;
use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};

/// Requests to end: Ctrl-C, Ctrl-Break, the console window's end, the computer's, or the service manager's.
pub(super) struct Signals {
    ctrl_c: CtrlC,
    ctrl_break: CtrlBreak,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> io::Result<Signals> {
        Ok(Signals {
            ctrl_c: ctrl_c()?,
            ctrl_break: ctrl_break()?,
            close: ctrl_close()?,
            shutdown: ctrl_shutdown()?,
        })
    }

    /// Returns at the next one.
    pub(super) async fn next(&mut self) -> io::Result<()> {
        tokio::select! {
            _ = self.ctrl_c.recv() => {}
            _ = self.ctrl_break.recv() => {}
            _ = self.close.recv() => {}
            _ = self.shutdown.recv() => {}
            () = serving::asked_to_stop() => {}
        }
        Ok(())
    }
}

/// Leaves a new file with what its folder gives it.
///
/// # Errors
/// None.
pub fn keep_owner(_of: &Metadata, _file: &Path) -> io::Result<()> {
    Ok(())
}
