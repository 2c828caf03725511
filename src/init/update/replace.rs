//! A file is replaced whole, or stays as it is.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::fault::{Fault, Kind};
use crate::platform;

/// A file as it was found, which may be replaced.
pub(super) struct Found {
    /// Behind links: they go on pointing there.
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Found {
    /// Reads it.
    ///
    /// # Errors
    /// When it isn't there, or can't be read.
    pub(super) fn read(path: &Path) -> Result<Found, Fault> {
        let found = std::fs::canonicalize(path).and_then(|path| {
            let bytes = std::fs::read(&path)?;
            Ok(Found { path, bytes })
        });
        found.map_err(|error| {
            let what = format!("{} can't be read", path.display());
            Fault::new(Kind::Input, what).cause(error)
        })
    }

    /// Its text, which the settings have been read from.
    ///
    /// # Errors
    /// When it isn't UTF-8.
    pub(super) fn text(&self) -> Result<&str, Fault> {
        std::str::from_utf8(&self.bytes).map_err(|error| self.untouched(error))
    }

    /// Writes another text beside it, where relative names in it mean the same, and its permissions and owner are those of the
    /// file.
    ///
    /// # Errors
    /// When that can't be.
    pub(super) fn beside(&self, text: &str) -> Result<NamedTempFile, Fault> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let written = || -> std::io::Result<NamedTempFile> {
            let meta = std::fs::metadata(&self.path)?;
            if meta.permissions().readonly() {
                let why = "it may only be read";
                return Err(std::io::Error::new(
                    std::io::ErrorKind::PermissionDenied,
                    why,
                ));
            }
            let mut file = tempfile::Builder::new()
                .prefix(".tandem-")
                .suffix(".toml")
                .tempfile_in(folder)?;
            file.write_all(text.as_bytes())?;
            platform::keep_owner(&meta, file.path())?;
            file.as_file().set_permissions(meta.permissions())?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        written().map_err(|error| self.untouched(error))
    }

    /// Puts what was written beside it in its place.
    ///
    /// # Errors
    /// When somebody changed the file meanwhile, or the system refuses.
    pub(super) fn replace(&self, by: NamedTempFile) -> Result<(), Fault> {
        let now = std::fs::read(&self.path).map_err(|error| self.untouched(error))?;
        if now != self.bytes {
            return Err(self
                .untouched("somebody else changed it meanwhile")
                .next("tandem init --update"));
        }
        let put = by.persist(&self.path);
        put.map(drop).map_err(|error| self.untouched(error.error))
    }

    fn untouched(&self, why: impl std::fmt::Display) -> Fault {
        let what = format!("{} can't be written anew", self.path.display());
        Fault::new(Kind::Input, what)
            .cause(why)
            .hint("it was not touched; it is replaced by a new file from the same folder, which has to be writable")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tandem.toml");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn a_file_that_somebody_changed_meanwhile_is_left_to_them() {
        let (folder, path) = folder("mine");
        let found = Found::read(&path).unwrap();
        let by = found.beside("new").unwrap();
        std::fs::write(&path, "theirs").unwrap();
        let fault = found.replace(by).unwrap_err();
        assert!(fault.cause.unwrap().contains("meanwhile"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1, "nothing is left beside it");
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let (folder, path) = folder("mine");
        let link = folder.path().join("link.toml");
        symlink(&path, &link).unwrap();
        let mode = |mode| std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, mode(0o640)).unwrap();
        let found = Found::read(&link).unwrap();
        found.replace(found.beside("new").unwrap()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::read_link(&link).unwrap(), path);
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o640);
        std::fs::set_permissions(&path, mode(0o440)).unwrap();
        let found = Found::read(&link).unwrap();
        assert!(found.beside("newer").is_err());
    }
}
