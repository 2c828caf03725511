//! libpq's password file: `host:port:database:user:password` lines, `*` for anything, `\` before `:` and `\`.
//! <https://www.postgresql.org/docs/current/libpq-pgpass.html>

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::endpoint::{DEFAULT_HOST, Endpoint, Host};
use super::secret::Secret;

/// Where the password file is: `$PGPASSFILE`, else the platform's default. None when there is no home to look in.
pub(super) fn path(env: &BTreeMap<String, String>, home: Option<&Path>) -> Option<PathBuf> {
    if let Some(named) = env.get("PGPASSFILE").filter(|named| !named.is_empty()) {
        return Some(PathBuf::from(named));
    }
    if cfg!(windows) {
        let data = env.get("APPDATA")?;
        return Some(Path::new(data).join("postgresql").join("pgpass.conf"));
    }
    home.map(|home| home.join(".pgpass"))
}

/// The text of the password file; nothing when there is none.
///
/// Fails with a warning when libpq would ignore the file too: it isn't a plain file, or others may read it.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let Ok(about) = std::fs::metadata(path) else {
        return Ok(String::new());
    };
    if !about.is_file() {
        return Err(format!(
            "password file {} is ignored: it isn't a plain file",
            path.display()
        ));
    }
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o077 != 0 {
        let path = path.display();
        return Err(format!(
            "password file {path} is ignored: others may read it; chmod 600 {path} mends that"
        ));
    }
    std::fs::read_to_string(path).map_err(|why| {
        format!(
            "password file {} is ignored: it can't be read: {why}",
            path.display()
        )
    })
}

/// The password of the first line that fits the endpoint, and that line's number.
pub(super) fn password(text: &str, endpoint: &Endpoint) -> Option<(Secret, usize)> {
    let host = match &endpoint.host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) if folder == Path::new(DEFAULT_HOST) => "localhost".to_owned(),
        Host::Unix(folder) => folder.display().to_string(),
    };
    let wanted = [
        host,
        endpoint.port.to_string(),
        endpoint.database.clone(),
        endpoint.user.clone(),
    ];
    let mut lines = text.trim_start_matches('\u{feff}').lines().zip(1..);
    lines.find_map(|(line, number)| {
        match_line(line, &wanted).map(|found| (Secret::new(found), number))
    })
}

/// The password of a line whose first four fields fit; comments fit nothing.
fn match_line(line: &str, wanted: &[String; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut rest = line.trim_end_matches('\r');
    for value in wanted {
        let (field, starred, after) = field(rest)?;
        if !starred && field != *value {
            return None;
        }
        rest = after;
    }
    let (password, ..) = field(&format!("{rest}:"))?;
    (!password.is_empty()).then_some(password)
}

/// The field before the next unescaped colon, whether it is a bare `*`, and what follows. None without a colon.
fn field(text: &str) -> Option<(String, bool, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ':' => return Some((value, text.get(..at) == Some("*"), text.get(at + 1..)?)),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            plain => value.push(plain),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::endpoint;
    use super::*;

    fn lookup(text: &str, url: &str) -> Option<String> {
        let endpoint = endpoint::parse(url, Path::new("/etc"), Some("me")).unwrap();
        password(text, &endpoint).map(|(secret, line)| format!("{}@{line}", secret.expose()))
    }

    #[test]
    fn lines() {
        let url = "postgres://ann@db.example:5433/shop";
        for (text, expected) in [
            ("db.example:5433:shop:ann:pw", Some("pw@1")),
            ("*:*:*:*:pw", Some("pw@1")),
            ("*:5433:*:ann:pw\r\n", Some("pw@1")),
            (
                "# c\n\nother:*:*:*:no\n*:*:*:ann:yes\n*:*:*:*:late",
                Some("yes@4"),
            ),
            ("*:*:*:*:a\\:b\\\\c", Some("a:b\\c@1")),
            ("*:*:*:*:p:w", Some("p@1")),
            ("\\*:*:*:*:pw", None),
            ("*:*:*:bob:pw", None),
            ("*:5432:*:*:pw", None),
            ("*:*:*:*:", None),
            ("*:*:*", None),
            ("#*:*:*:*:pw", None),
            ("", None),
        ] {
            assert_eq!(lookup(text, url).as_deref(), expected, "{text}");
        }
        assert_eq!(
            lookup("a\\:b:5432:me:me:pw", "postgres://a%3Ab"),
            Some("pw@1".into())
        );
        assert_eq!(
            lookup("/x/y:5432:me:me:pw", "postgres://%2Fx%2Fy"),
            Some("pw@1".into())
        );
        assert_eq!(
            lookup("localhost:*:*:*:pw", "postgres:///db"),
            Some("pw@1".into())
        );
    }

    #[test]
    fn places() {
        let env = BTreeMap::from([("PGPASSFILE".to_owned(), "/x/pw".to_owned())]);
        assert_eq!(path(&env, None), Some(PathBuf::from("/x/pw")));
        #[cfg(not(windows))]
        assert_eq!(
            path(&BTreeMap::new(), Some(Path::new("/home/a"))),
            Some(PathBuf::from("/home/a/.pgpass"))
        );
        assert_eq!(path(&BTreeMap::new(), None), None);
    }
}
