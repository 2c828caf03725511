//! Signals and owners of files as Unix has them.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

/// Returns at the next request to end.
pub(super) async fn next_signal() -> io::Result<()> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
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
