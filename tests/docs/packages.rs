//! The Debian package and docs/install.md: what they are made of exists, and says what the program does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory;
use serde_json::Value;
use tandem::cli::Arguments;

use super::page::{read, root};
use super::shipped::{must_take, said, texts};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tandem"))
}

/// The commands that people are shown, with what is below them: a page's name, and its options.
fn shown(command: &clap::Command, name: &str, found: &mut Vec<(String, Vec<String>)>) {
    let options = command
        .get_arguments()
        .filter(|option| !option.is_hide_set());
    let options = options.filter_map(|option| option.get_long().map(str::to_owned));
    found.push((name.to_owned(), options.collect()));
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
    {
        shown(inner, &format!("{name}-{}", inner.get_name()), found);
    }
}

#[test]
fn manual_pages_are_of_all_commands_and_say_their_options() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("made/man1");
    said(program().arg("man").arg(&pages));
    let made: BTreeSet<_> = fs::read_dir(&pages)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut commands = Vec::new();
    shown(&Arguments::command(), "tandem", &mut commands);
    assert!(commands.len() > 16);
    let wanted: BTreeSet<_> = commands
        .iter()
        .map(|(name, _)| format!("{name}.1"))
        .collect();
    assert_eq!(made, wanted);
    for (name, options) in commands {
        let page = fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
        let page = page.replace("\\-", "-");
        for option in options {
            assert!(page.contains(&format!("--{option}")), "{name}: {option}");
        }
    }
    let page = fs::read_to_string(pages.join("tandem.1")).unwrap();
    assert!(
        page.contains("Exit status") && page.contains(env!("CARGO_PKG_VERSION")),
        "{page}"
    );
    // A folder that can't be.
    let refused = program()
        .arg("man")
        .arg(pages.join("tandem.1/x"))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("can't write to"), "{words}");
}

/// `[package.metadata.deb]`
fn deb() -> Value {
    let metadata = said(
        Command::new(env!("CARGO"))
            .args(["metadata", "--no-deps", "--format-version", "1", "--locked"])
            .current_dir(root()),
    );
    let metadata: Value = serde_json::from_str(metadata.trim()).unwrap();
    metadata["packages"][0]["metadata"]["deb"].clone()
}

#[test]
fn the_package_has_what_exists_and_takes_away_what_it_brought() {
    let (deb, makefile) = (deb(), read("Makefile"));
    let assets = deb["assets"].as_array().unwrap();
    assert!(assets.len() > 10);
    for asset in assets {
        let source = asset[0].as_str().unwrap();
        match source.strip_prefix("target/package/") {
            // Made by `make pages`.
            Some("man/*.1") => assert!(makefile.contains("man target/package/man\n")),
            Some(_) => assert!(makefile.contains(&format!(">{source}\n")), "{source}"),
            None if source == "target/release/tandem" => {}
            None => assert!(root().join(source).is_file(), "{source}"),
        }
    }
    for line in makefile
        .lines()
        .filter_map(|line| line.trim().strip_prefix("$(PROGRAM) "))
    {
        let words = line.split('>').next().unwrap();
        must_take(words.split_whitespace(), "Makefile");
    }
    let unit = read("deploy/systemd/tandem.service");
    let of_unit = |key: &str| {
        let line = unit
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.unwrap_or_else(|| panic!("{key}")).to_owned()
    };
    assert_eq!(
        format!(
            "{}.service",
            deb["systemd-units"]["unit-name"].as_str().unwrap()
        ),
        "tandem.service"
    );
    let scripts = deb["maintainer-scripts"].as_str().unwrap();
    let script = |name: &str| {
        let text = read(&format!("{scripts}/{name}"));
        assert!(text.contains("\n#DEBHELPER#\n"), "{name}");
        said(
            Command::new("sh")
                .arg("-n")
                .arg(root().join(scripts).join(name)),
        );
        text
    };
    let user = of_unit("User");
    assert!(script("postinst").contains(&format!(
        "--home /var/lib/{user} --no-create-home --gecos \"tandem\" {user}"
    )));
    let gone = script("postrm");
    for (kind, below) in [
        ("StateDirectory", "lib"),
        ("CacheDirectory", "cache"),
        ("LogsDirectory", "log"),
    ] {
        assert!(
            gone.contains(&format!(" /var/{below}/{}", of_unit(kind))),
            "{kind}"
        );
    }
    let config = unit
        .lines()
        .find_map(|line| line.strip_prefix("Environment=TANDEM_CONFIG="));
    let folder = Path::new(config.unwrap())
        .parent()
        .unwrap()
        .to_str()
        .unwrap();
    assert!(gone.contains(&format!("rm -rf {folder} ")));
    // Whoever takes the program away is told of the slot, by a command that exists.
    let leaving = script("prerm");
    let command = leaving
        .split("run: tandem ")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    must_take(command.split(' '), "prerm");
    assert!(texts(&deb, "/assets/0").contains(&"usr/bin/".to_owned()));
}

#[test]
fn what_install_md_tells_to_do_can_be_done() {
    let page = read("docs/install.md");
    let makefile = read("Makefile");
    let unit = read("deploy/systemd/tandem.service");
    let mut commands = 0;
    for line in page.lines().filter_map(|line| line.strip_prefix("    ")) {
        for command in line.split(" && ") {
            commands += 1;
            let words: Vec<_> = command.split_whitespace().collect();
            match words[0] {
                "tandem" => must_take(words[1..].iter().copied(), "docs/install.md"),
                "make" => assert!(makefile.contains(&format!("\n{}: ", words[1])), "{command}"),
                "systemctl" => assert_eq!(words.last(), Some(&"tandem")),
                _ => {}
            }
            for word in words {
                if let Some(credential) = word.strip_prefix("/etc/credstore/") {
                    assert!(
                        unit.contains(&format!("\nLoadCredential={credential}\n")),
                        "{word}"
                    );
                }
                if word.starts_with("deploy/") {
                    assert!(root().join(word).exists(), "{word}");
                }
            }
        }
    }
    assert!(commands > 12);
    // What it says between backticks, too.
    for marked in page.split('`').skip(1).step_by(2) {
        let marked = marked.replace('\n', " ");
        if let Some(words) = marked.strip_prefix("tandem ") {
            must_take(words.split(' '), "docs/install.md");
        }
        if marked.starts_with("deploy/") || marked.starts_with("docs/") {
            assert!(root().join(&marked).exists(), "{marked}");
        }
        if let Some(target) = marked.strip_prefix("make ") {
            assert!(makefile.contains(&format!("\n{target}: ")), "{marked}");
        }
        for folder in ["lib", "cache", "log"].map(|below| format!("/var/{below}/")) {
            if let Some(name) = marked.strip_prefix(&folder) {
                assert!(unit.contains(&format!("Directory={name}\n")), "{marked}");
            }
        }
    }
    assert!(page.contains("1 GB of memory") && unit.contains("\nMemoryMax=1G\n"));
}
