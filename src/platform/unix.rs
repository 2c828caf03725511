//! Signals and owners of files as Unix has them.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Requests to end.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns at the next one.
    pub(super) async fn next(&mut self) -> io::Result<()> {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        Ok(())
    }
}

/// Gives a file that is to take another's place to whom that belongs.
///
/// # Errors
/// When the owner is another, and we may not give files away.
pub fn keep_owner(of: &Metadata, file: &Path) -> io::Result<()> {
    let new = std::fs::metadata(file)?;
    if (new.uid(), new.gid()) == (of.uid(), of.gid()) {
        return Ok(());
    }
    chown(file, Some(of.uid()), Some(of.gid()))
}
