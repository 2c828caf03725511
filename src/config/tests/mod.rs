//! The settings as a whole: files on disk, layers, and every screen of a mistake.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

mod changes;
mod foreign;
mod layers;
mod mistakes;
mod refills;
mod secrets;

const CANARY: &str = "kanarie-7Q";
const MINIMAL: &str =
    "[desktop]\nurl = \"postgres://me@d/db\"\n[cloud]\nurl = \"postgres://me@c/db\"\n";

/// A folder of its own for a test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("tandem-config-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn with(file: &str) -> Self {
        let folder = Self::new();
        folder.write("tandem.toml", file);
        folder
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn sources(&self, env: &[(&str, &str)]) -> Sources {
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Sources {
            env,
            cwd: self.0.clone(),
            home: Some(self.0.clone()),
            ..Sources::default()
        }
    }

    fn load(&self, env: &[(&str, &str)]) -> Result<Settings, Problems> {
        load(&self.sources(env))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The settings of a file that starts with the two sides.
fn good(rest: &str) -> Settings {
    Folder::with(&format!("{MINIMAL}{rest}"))
        .load(&[])
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// The problems of such a file as `line:column message`, lines counted from its `rest`.
fn bad(rest: &str) -> Vec<String> {
    let problems = Folder::with(&format!("{MINIMAL}{rest}"))
        .load(&[])
        .expect_err(rest);
    let line = |problem: &Problem| problem.line.saturating_sub(4);
    problems
        .items()
        .iter()
        .map(|p| format!("{}:{} {}", line(p), p.column, p.message))
        .collect()
}

fn row(settings: &Settings, key: &str) -> (String, String) {
    let rows = settings.rows();
    let row = rows
        .iter()
        .find(|row| row.key == key)
        .unwrap_or_else(|| panic!("no row {key}"));
    (row.value.clone(), row.from.clone())
}
