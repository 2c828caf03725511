//! What is shipped beside the program, as the tests read it, and what the program knows of what stands there.

use std::path::PathBuf;
use std::process::{Command, Output};

use clap::CommandFactory;
use serde_json::Value;
use tandem::cli::Arguments;
use tandem::config::{self, Settings, Sources};

use super::page::{read, root};
use super::settings;

/// The only document of a YAML file.
pub fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All documents of a YAML text.
pub fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

/// A text, or an empty one.
pub fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("")
}

/// A list of texts, or an empty one.
pub fn texts(value: &Value, path: &str) -> Vec<String> {
    let list = value.pointer(path).and_then(Value::as_array);
    let list = list.map(Vec::as_slice).unwrap_or_default();
    let text = |one: &Value| one.as_str().map_or_else(|| one.to_string(), str::to_owned);
    list.iter().map(text).collect()
}

/// Fails unless the program takes these words behind its name.
pub fn must_take<'w>(words: impl IntoIterator<Item = &'w str>, whose: &str) {
    let words: Vec<_> = ["tandem"].into_iter().chain(words).collect();
    if let Err(error) = Arguments::command().try_get_matches_from(&words) {
        panic!("{whose} says {words:?}, which the program doesn't take: {error}");
    }
}

/// Fails unless the program reads this variable.
pub fn must_read(variable: &str, whose: &str) {
    let known = settings::settings().1;
    let named = |key: &String| format!("TANDEM_{}", key.to_uppercase().replace('.', "_"));
    assert!(
        variable == "TANDEM_CONFIG" || known.iter().any(|key| named(key) == variable),
        "{whose} sets {variable}, which the program doesn't read"
    );
}

/// The settings of a file that is shipped. Passwords are given, since the files that hold them are elsewhere.
pub fn settings_of(path: &str, env: &[(&str, &str)]) -> Settings {
    let passwords = [
        ("TANDEM_DESKTOP_PASSWORD", "given"),
        ("TANDEM_CLOUD_PASSWORD", "given"),
    ];
    let env = passwords.iter().chain(env);
    let sources = Sources {
        file: Some(root().join(path)),
        env: env
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        cwd: root(),
        ..Sources::default()
    };
    config::load(&sources).unwrap_or_else(|problems| {
        let all: Vec<_> = { problems.items().iter() }
            .map(|problem| problem.message.clone())
            .collect();
        panic!("{path}: {all:?}")
    })
}

/// Where a program is, for what a machine can't have is skipped by name.
pub fn found(program: &str, why: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: {why}, since {program} isn't installed");
    }
    found
}

/// What a program says, which has to end well.
pub fn said(command: &mut Command) -> String {
    let output: Output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let both = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(
        output.status.success(),
        "{command:?}: {} {}",
        both[0],
        both[1]
    );
    both.concat()
}

/// The port at the end of an address.
pub fn port(address: &str) -> u16 {
    address.rsplit(':').next().unwrap().parse().unwrap()
}
