//! How to reach one database: its URL, and the password by the order password > password_file > url > PGPASSFILE.

use std::path::Path;

use super::complaint::Complaint;
use super::endpoint::{self, Endpoint};
use super::layers::{Found, Input};
use super::passfile;
use super::secret::Secret;
use super::section::{Section, missing};
use super::url;

/// The endpoint of a section with `url`, `password` and `password_file`, and where its password came from. None when
/// something is wrong, which was recorded.
pub(super) fn endpoint(
    section: &mut Section<'_, '_>,
    around: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Option<(Endpoint, Option<String>)> {
    let endpoint = from_url(section, around);
    let given = section
        .secret("password")
        .map(|(secret, origin)| (secret, section.reader.from(&origin)));
    let from_file = password_file(section, around.folder, given.is_some());
    let in_url = endpoint
        .as_ref()
        .and_then(|endpoint| endpoint.password.clone());
    let mut found = given
        .or(from_file)
        .or_else(|| in_url.map(|secret| (secret, "url".to_owned())));
    if let (None, Some(endpoint)) = (&found, &endpoint) {
        found = from_passfile(section, around.home, endpoint, warnings);
    }
    let (password, from) = found.unzip();
    let shown = password.as_ref().map_or("", |_| "***").to_owned();
    section.row_from(
        "password",
        shown,
        from.clone().unwrap_or_else(|| "default".to_owned()),
    );
    let endpoint = Endpoint {
        password,
        ..endpoint?
    };
    Some((endpoint, from))
}

/// The password of a section with `password` and `password_file`, in this order. None where neither is given, or where
/// something is wrong, which was recorded.
pub(super) fn secret(section: &mut Section<'_, '_>, folder: &Path) -> Option<Secret> {
    let given = section
        .secret("password")
        .map(|(secret, origin)| (secret, section.reader.from(&origin)));
    let from_file = password_file(section, folder, given.is_some());
    let (secret, from) = given.or(from_file).unzip();
    let shown = secret.as_ref().map_or("", |_| "***").to_owned();
    section.row_from(
        "password",
        shown,
        from.unwrap_or_else(|| "default".to_owned()),
    );
    secret
}

fn from_url(section: &mut Section<'_, '_>, around: &Surroundings<'_>) -> Option<Endpoint> {
    let before = section.reader.problems.len();
    let Some(found) = section.scalar("url", true) else {
        section.row("url", String::new(), None);
        if section.reader.problems.len() == before {
            missing(
                section,
                "url",
                "it looks like url = \"postgres://user@host:5432/database\"",
            );
        }
        return None;
    };
    let parsed = found.input.text().map(str::to_owned).and_then(|text| {
        endpoint::parse(&text, around.folder, around.os_user.as_deref())
            .map(|endpoint| (endpoint, text))
    });
    match parsed {
        Ok((endpoint, text)) => {
            section.row("url", url::masked(&text), Some(&found.origin));
            Some(endpoint)
        }
        Err(complaint) => {
            section.wrong("url", &found, complaint, false);
            None
        }
    }
}

/// The content of `password_file`; it isn't read when a password is given anyway.
fn password_file(
    section: &mut Section<'_, '_>,
    folder: &Path,
    shadowed: bool,
) -> Option<(Secret, String)> {
    let Some(found) = given(section.scalar("password_file", false)) else {
        section.row("password_file", String::new(), None);
        return None;
    };
    let read = found.input.text().map(str::to_owned).and_then(|name| {
        let secret = if shadowed {
            Ok(None)
        } else {
            first_line(&folder.join(&name)).map(Some)
        };
        secret.map(|secret| (secret, name))
    });
    match read {
        Ok((secret, name)) => {
            section.row("password_file", name.clone(), Some(&found.origin));
            secret.map(|secret| (secret, format!("password_file {name}")))
        }
        Err(complaint) => {
            section.wrong("password_file", &found, complaint, true);
            None
        }
    }
}

/// The file's text without a byte order mark and without the line break at its end.
fn first_line(path: &Path) -> Result<Secret, Complaint> {
    let text = std::fs::read_to_string(path).map_err(|why| match why.kind() {
        std::io::ErrorKind::InvalidData => Complaint::new("isn't a text file in UTF-8"),
        _ => Complaint::new(format!("can't be read: {why}"))
            .hint(format!("looked for {}", path.display())),
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        Err(Complaint::new("names an empty file"))
    } else {
        Ok(Secret::new(text))
    }
}

fn from_passfile(
    section: &Section<'_, '_>,
    home: Option<&Path>,
    endpoint: &Endpoint,
    warnings: &mut Vec<String>,
) -> Option<(Secret, String)> {
    let path = passfile::path(section.reader.names.env, home)?;
    match passfile::read(&path) {
        Ok(text) => {
            let (secret, line) = passfile::password(&text, endpoint)?;
            Some((secret, format!("password file {}:{line}", path.display())))
        }
        Err(warning) => {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
            None
        }
    }
}

/// What is around the settings: the folder of the file, the home for `~/.pgpass`, the environment's user.
pub(super) struct Surroundings<'a> {
    pub(super) folder: &'a Path,
    pub(super) home: Option<&'a Path>,
    pub(super) os_user: Option<String>,
}

/// Whether a value came from the file and isn't empty.
pub(super) fn given<'d>(found: Option<Found<'d>>) -> Option<Found<'d>> {
    found.filter(
        |found| !matches!(&found.input, Input::Text(text) | Input::Word(text) if text.is_empty()),
    )
}
