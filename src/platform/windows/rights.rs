//! Who may read the service's folder.
//!
//! `icacls` is part of every Windows; the functions behind it can't be called without unsafe code.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::platform::registered::ACCOUNT;

/// Administrators, whatever the language of Windows calls them.
const ADMINISTRATORS: &str = "*S-1-5-32-544";
/// The system's own account.
const SYSTEM: &str = "*S-1-5-18";

/// Everybody may make folders in ProgramData, and who made one could open it again: so it is taken into possession first.
pub(in crate::platform) fn protect(folder: &Path) -> io::Result<()> {
    let logs = folder.join("logs");
    fs::create_dir_all(&logs)?;
    icacls(folder, &["/setowner", ADMINISTRATORS, "/T", "/C", "/L"])?;
    let all = |who: &str| format!("{who}:(OI)(CI)F");
    icacls(
        folder,
        &[
            "/inheritance:r",
            "/grant:r",
            &all(ADMINISTRATORS),
            &all(SYSTEM),
            &format!("{ACCOUNT}:(OI)(CI)RX"),
        ],
    )?;
    // What lies inside has what the folder gives it, and nothing else.
    icacls(&folder.join("*"), &["/reset", "/T", "/C", "/L"])?;
    icacls(&logs, &["/grant", &format!("{ACCOUNT}:(OI)(CI)M")])
}

fn icacls(path: &Path, arguments: &[&str]) -> io::Result<()> {
    let system = std::env::var_os("SystemRoot").map_or(PathBuf::from(r"C:\Windows"), PathBuf::from);
    let output = Command::new(system.join(r"System32\icacls.exe"))
        .arg(path)
        .args(arguments)
        .arg("/Q")
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "icacls {}: {}",
        path.display(),
        said.trim()
    )))
}
