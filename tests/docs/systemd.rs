//! `deploy/systemd/tandem.service`: what it says is true of the program, systemd takes it, and it is as closed as it can be.

use std::fs;
use std::process::Command;

use clap::CommandFactory;
use tandem::cli::Arguments;
use tandem::fault::Exit;
use tandem::limits;

use super::page::{read, root};
use super::shipped::{found, must_read, must_take, said, settings_of};

const UNIT: &str = "deploy/systemd/tandem.service";

/// The values of a key, in the file's order.
fn values(key: &str) -> Vec<String> {
    let text = read(UNIT);
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines.map(str::to_owned).collect()
}

fn value(key: &str) -> String {
    let mut all = values(key);
    assert_eq!(all.len(), 1, "{key}: {all:?}");
    all.remove(0)
}

#[test]
fn the_unit_says_what_the_program_knows() {
    for command in ["ExecStart", "ExecReload"].map(value) {
        let words: Vec<_> = command.split(' ').collect();
        assert_eq!(words[0], "/usr/bin/tandem");
        must_take(words[1..].iter().copied(), UNIT);
    }
    for variable in values("Environment") {
        let (name, _) = variable.split_once('=').unwrap();
        if name.starts_with("TANDEM_") {
            must_read(name, UNIT);
        }
    }
    // Ends that nothing mends but a person.
    let ends = [Exit::Input, Exit::Protected].map(|exit| (exit as u8).to_string());
    assert_eq!(value("RestartPreventExitStatus"), ends.join(" "));
    assert_eq!(
        (value("Type"), value("Restart")),
        ("notify".into(), "on-failure".into())
    );
    // Taken for dead by both watchers at the same time.
    assert_eq!(
        value("WatchdogSec"),
        format!("{}min", limits::ALIVE_MAX.as_secs() / 60)
    );
    assert!(limits::ALIVE_EVERY * 4 < limits::ALIVE_MAX);
    // What lies beside memory lies where the unit lets it.
    assert!(
        values("Environment").contains(&format!("TMPDIR=/var/cache/{}", value("CacheDirectory")))
    );
    let program = Arguments::command();
    for page in value("Documentation").split(' ') {
        let name = { page.strip_prefix("man:tandem") }.and_then(|rest| rest.strip_suffix("(1)"));
        let command = name.unwrap().trim_start_matches('-');
        assert!(
            command.is_empty() || program.find_subcommand(command).is_some(),
            "{page}"
        );
    }
}

#[test]
fn passwords_that_systemd_hands_over_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = read("deploy/example.toml");
    for credential in values("LoadCredential") {
        assert!(text.contains(&format!(
            "# password_file = \"${{CREDENTIALS_DIRECTORY}}/{credential}\""
        )));
        fs::write(folder.path().join(&credential), "from systemd\n").unwrap();
    }
    text = text.replace("# password_file", "password_file");
    fs::write(folder.path().join("tandem.toml"), text).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(["config", "check", "--config"])
        .arg(folder.path().join("tandem.toml"))
        .env("CREDENTIALS_DIRECTORY", folder.path())
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    // As it is shipped, nothing is missing, either.
    assert_eq!(settings_of("deploy/example.toml", &[]).tables.len(), 1);
}

#[test]
fn systemd_takes_the_unit_and_finds_it_closed() {
    let Some(analyze) = found("systemd-analyze", "the unit as systemd reads it") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // The program and its pages aren't installed here.
    let unit = read(UNIT).replace("/usr/bin/tandem", env!("CARGO_BIN_EXE_tandem"));
    let unit: String = { unit.lines() }
        .filter(|line| !line.starts_with("Documentation="))
        .map(|line| format!("{line}\n"))
        .collect();
    let file = folder.path().join("tandem.service");
    fs::write(&file, unit).unwrap();
    let complaints = said(Command::new(&analyze).arg("verify").arg(&file));
    assert_eq!(complaints, "");
    // From 0 (closed) to 10; offline knows no more than the file.
    let scored = Command::new(&analyze)
        .args(["security", "--no-pager", "--offline=true", "--threshold=15"])
        .arg(root().join(UNIT))
        .output()
        .unwrap();
    assert!(
        scored.status.success(),
        "{}",
        String::from_utf8_lossy(&scored.stdout)
    );
}
