//! `init` for an office's servers.

use std::path::Path;

use tokio::process::Command;

use super::office::{Office, finish, tandem};

impl Office {
    /// The URLs of both sides, as the settings have them.
    pub fn urls(&self) -> [String; 2] {
        let whole = std::fs::read_to_string(self.file()).unwrap();
        let urls = whole
            .lines()
            .filter_map(|line| line.strip_prefix("url = \""));
        let urls: Vec<_> = urls
            .map(|url| url.trim_end_matches('"').to_owned())
            .collect();
        urls.try_into().unwrap()
    }

    /// `init`, which writes to `out`.
    pub fn init(&self, out: &Path, more: &[&str]) -> Command {
        let [desktop, cloud] = self.urls();
        let mut command = tandem();
        command.args(["init", "--desktop", &desktop, "--cloud", &cloud, "--out"]);
        command.arg(out).args(more);
        command
    }

    /// What it ended with, what it printed, and the file.
    pub async fn proposed(&self) -> (i32, String, String) {
        let out = self.folder.join("proposed.toml");
        let (code, said, errors) = finish(&mut self.init(&out, &[])).await;
        let text = std::fs::read_to_string(out).unwrap_or_default();
        (code, format!("{said}{errors}"), text)
    }

    /// The file, where all is well.
    pub async fn proposal(&self) -> String {
        let (code, said, text) = self.proposed().await;
        assert_eq!(code, 0, "{said}");
        text
    }

    /// Runs a command that has to end well.
    pub async fn fine(&self, arguments: &[&str]) {
        let (code, out, said) = self.ask(arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {out} {said}");
    }
}
