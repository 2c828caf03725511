//! Where the service of Windows has its settings, and how they get there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{self, Problems, RootCert, Settings, Sources};
use crate::fault::{Fault, Kind};

/// The settings file's name in the service's folder.
pub(super) const SETTINGS: &str = "tandem.toml";

/// A file and where it goes.
pub(super) type Moves = Vec<(PathBuf, PathBuf)>;

/// The settings without what only this window has: its variables, its user's password file. They may have
/// problems then, and a password that the service wouldn't find is one.
///
/// # Errors
/// A password that comes from where the service can't look.
pub(super) fn as_the_service_sees(
    settings: &Settings,
    file: &Path,
) -> Result<Result<(), Problems>, Fault> {
    let sources = Sources {
        file: Some(file.to_owned()),
        cwd: file.parent().map(Path::to_owned).unwrap_or_default(),
        env: BTreeMap::new(),
        ..Sources::default()
    };
    let seen = match config::load(&sources) {
        Ok(seen) => seen,
        Err(problems) => return Ok(Err(problems)),
    };
    let sides = [
        ("desktop", &settings.desktop, &seen.desktop),
        ("cloud", &settings.cloud, &seen.cloud),
    ];
    for (name, here, there) in sides {
        if here.endpoint.password.is_some() && there.endpoint.password.is_none() {
            let from = here.password_from.as_deref().unwrap_or("this window");
            return Err(Fault::new(
                Kind::Input,
                format!("the service would have no password for the {name}: here it comes from {from}"),
            )
            .hint(format!("write {name}.password = \"${{NAME}}\" into the settings, and NAME=... into the file .env beside them; nothing was changed")));
        }
    }
    Ok(Ok(()))
}

/// What has to be copied so that the settings mean the same in `folder`: the file, its `.env`, and what it names
/// beside itself. Nothing when they are there already.
///
/// # Errors
/// When another file is in the way: nothing is ever overwritten.
pub(super) fn moves(settings: &Settings, file: &Path, folder: &Path) -> Result<Moves, Fault> {
    let from = file.parent().unwrap_or(Path::new("."));
    if same(from, folder) {
        return Ok(Moves::new());
    }
    let mut beside = vec![PathBuf::from(".env")];
    for side in [&settings.desktop, &settings.cloud] {
        if let Some(RootCert::File(path)) = &side.endpoint.ssl_root_cert {
            beside.extend(path.strip_prefix(from).ok().map(Path::to_owned));
        }
    }
    let rows = settings.rows();
    let files = rows
        .iter()
        .filter(|row| row.key.ends_with(".password_file") && !row.value.is_empty());
    beside.extend(
        files
            .map(|row| PathBuf::from(&row.value))
            .filter(|path| path.is_relative()),
    );
    beside.sort();
    beside.dedup();
    let mut moves = vec![(file.to_owned(), folder.join(SETTINGS))];
    let there = beside.into_iter().filter(|path| from.join(path).exists());
    moves.extend(there.map(|path| (from.join(&path), folder.join(path))));
    let mut needed = Moves::new();
    for (from, to) in moves {
        match fs::read(&to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => needed.push((from, to)),
            Ok(there) if fs::read(&from).is_ok_and(|here| here == there) => {}
            _ => return Err(in_the_way(&from, &to)),
        }
    }
    Ok(needed)
}

fn in_the_way(from: &Path, to: &Path) -> Fault {
    Fault::new(
        Kind::Input,
        format!("{} is there already, and is not what {} is", to.display(), from.display()),
    )
    .hint("edit the one that is there, and install without --config; or move it away; nothing was changed")
}

fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Copies them.
///
/// # Errors
/// When one can't be copied.
pub(super) fn copy(moves: &Moves) -> Result<(), Fault> {
    for (from, to) in moves {
        let folders = to.parent().map_or(Ok(()), fs::create_dir_all);
        let copied = folders.and_then(|()| fs::read(from)).and_then(|bytes| {
            // Written anew, it has the rights that its folder gives; a copy would bring its own.
            fs::write(to, bytes)
        });
        copied.map_err(|error| {
            Fault::new(
                Kind::Input,
                format!("{} can't be copied to {}", from.display(), to.display()),
            )
            .cause(error)
            .hint("mend that, and install again; the service was not registered")
        })?;
    }
    Ok(())
}

/// A program below somebody's own folder can't be read by the service's account.
///
/// # Errors
/// When it lies there.
pub(super) fn must_be_readable(program: &Path) -> Result<(), Fault> {
    let users = std::env::var_os("PUBLIC").map(PathBuf::from);
    let users = users.as_deref().and_then(Path::parent);
    match users.is_some_and(|users| program.starts_with(users)) {
        false => Ok(()),
        true => Err(Fault::new(
            Kind::Input,
            format!("the service's account can't read {}", program.display()),
        )
        .hint("move tandem.exe to a folder that is nobody's own, such as C:\\Program Files\\tandem, and install from there")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path, text: &str, env: &[(&str, &str)]) -> Settings {
        let file = folder.join(SETTINGS);
        fs::write(&file, text).unwrap();
        let sources = Sources {
            file: Some(file),
            cwd: folder.to_owned(),
            env: env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Sources::default()
        };
        config::load(&sources).unwrap()
    }

    #[test]
    fn settings_move_with_what_they_name_and_overwrite_nothing() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, text) in [("ca.crt", "pem"), ("secret", "word"), (".env", "A=1\r\n")] {
            fs::write(here.path().join(name), text).unwrap();
        }
        let text = "[desktop]\r\nurl = \"postgres://a@b/c\"\r\npassword_file = \"secret\"\r\n[cloud]\r\nurl = \"postgres://a@b/c?sslmode=verify-full&sslrootcert=ca.crt\"\r\n";
        let settings = settings(here.path(), text, &[]);
        let file = here.path().join(SETTINGS);
        let first = moves(&settings, &file, there.path()).unwrap();
        let mut names: Vec<_> = first
            .iter()
            .map(|(_, to)| to.file_name().unwrap().to_str().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, [".env", "ca.crt", "secret", SETTINGS]);
        copy(&first).unwrap();
        assert!(moves(&settings, &file, there.path()).unwrap().is_empty());
        assert!(
            moves(&settings, &there.path().join(SETTINGS), there.path())
                .unwrap()
                .is_empty()
        );
        fs::write(there.path().join(".env"), "A=2").unwrap();
        let fault = moves(&settings, &file, there.path()).unwrap_err();
        assert!(fault.what.contains("is there already"), "{fault}");
        assert_eq!(fs::read(there.path().join(".env")).unwrap(), b"A=2");
    }

    #[test]
    fn what_only_this_window_has_is_missed_before_the_service_misses_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(SETTINGS);
        let text = "[desktop]\nurl = \"postgres://a@b/c\"\npassword = \"${WORD}\"\n[cloud]\nurl = \"postgres://a@b/c\"\n";
        let named = settings(folder.path(), text, &[("WORD", "x")]);
        let problems = as_the_service_sees(&named, &file).unwrap().unwrap_err();
        assert!(problems.to_string().contains("WORD"), "{problems}");
        fs::write(folder.path().join(".env"), "WORD=x\r\n").unwrap();
        as_the_service_sees(&named, &file).unwrap().unwrap();
        let text = "[desktop]\nurl = \"postgres://a@b/c\"\n[cloud]\nurl = \"postgres://a@b/c\"\n";
        let hidden = settings(folder.path(), text, &[("TANDEM_CLOUD_PASSWORD", "x")]);
        let fault = as_the_service_sees(&hidden, &file).unwrap_err();
        assert!(fault.what.contains("no password for the cloud"), "{fault}");
    }
}
