//! Every setting and every command with its options stands in the contract, with its default.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use clap::{Arg, Command, CommandFactory};
use tandem::cli::Arguments;
use tandem::config::{self, Sources};

use super::page::{must_be_empty, read, rows, section, sections};

/// What `config show` says of settings in which nothing is set but what has to be, and every key that exists.
pub fn settings() -> (BTreeMap<String, String>, BTreeSet<String>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tandem.toml");
    let text = "[desktop]\nurl = \"postgres://a@b/c\"\n[cloud]\nurl = \"postgres://a@b/c\"\n[[table]]\nname = \"plain\"\n\
        [[table]]\nname = \"whole\"\ntenant = { via = \"p\", on = { p = \"id\" } }\nlookup.a = { from = \"p\", on = { p = \"id\" }, take = \"b\" }\n[table.reverse]\n";
    fs::write(&file, text).unwrap();
    let sources = Sources {
        file: Some(file),
        cwd: folder.path().to_owned(),
        ..Sources::default()
    };
    let settings = config::load(&sources).unwrap();
    let mut defaults = BTreeMap::new();
    for row in settings
        .rows()
        .into_iter()
        .filter(|row| row.from == "default")
    {
        let key = row
            .key
            .replace("table.plain.", "table.")
            .replace("table.whole.reverse.", "table.reverse.");
        let value = match row.value.as_str() {
            "" => "none",
            "plain" => "the same name",
            value => value,
        };
        defaults.insert(key, value.to_owned());
    }
    (defaults, settings.keys().map(str::to_owned).collect())
}

#[test]
fn each_setting_stands_in_the_contract_with_its_default() {
    let page = read("docs/contract.md");
    let mut written: BTreeMap<String, String> = BTreeMap::new();
    for (title, body) in sections(&page) {
        let kind = match title.as_str() {
            "The top of the file" => String::new(),
            title => match title
                .strip_prefix("`[")
                .and_then(|title| title.strip_suffix("]`"))
            {
                Some(kind) => format!("{}.", kind.trim_matches(['[', ']'])),
                None => continue,
            },
        };
        for row in rows(&body) {
            written.insert(
                format!("{kind}{}", row[0].trim_matches('`')),
                row[1].trim_matches('`').to_owned(),
            );
        }
    }
    let (defaults, mut keys) = settings();
    let kinds: BTreeSet<String> = keys
        .iter()
        .filter_map(|key| Some(key.split_once('.')?.0.to_owned()))
        .collect();
    keys.retain(|key| !kinds.contains(key) && key != "tenant");
    let mut wrong = Vec::new();
    for key in &keys {
        let default = defaults.get(key).map(String::as_str);
        match (written.get(key).map(String::as_str), default) {
            (None, _) => wrong.push(format!(
                "docs/contract.md has no row for the setting {key}, whose default is {default:?}"
            )),
            (Some(says), Some(default)) if says != default => wrong.push(format!(
                "docs/contract.md: the default of {key} is {default}, not {says}"
            )),
            (Some(says), None) if !["none", "required"].contains(&says) => wrong.push(format!(
                "docs/contract.md: {key} has no default, so it is none or required, not {says}"
            )),
            _ => {}
        }
    }
    for key in written.keys().filter(|key| !keys.contains(*key)) {
        wrong.push(format!(
            "docs/contract.md has a row for {key}, which is no setting"
        ));
    }
    must_be_empty(&wrong);
}

/// Compares one command's options with its section; `name` is what people type.
fn compare(command: &Command, name: &str, wrong: &mut Vec<String>) {
    let page = read("docs/contract.md");
    let title = match name {
        "tandem" => "Commands".to_owned(),
        name => format!("`{name}`"),
    };
    let Some(body) = section(&page, &title) else {
        wrong.push(format!("docs/contract.md has no section `{name}`"));
        return;
    };
    let mut rows = rows(&body);
    for argument in command.get_arguments() {
        let wanted = written(argument);
        let at = rows
            .iter()
            .position(|row| row[0].split(", ").next() == Some(wanted.as_str()));
        let Some(at) = at else {
            wrong.push(format!(
                "docs/contract.md: `{name}` has no row for {wanted}"
            ));
            continue;
        };
        let row = rows.swap_remove(at);
        let defaults = argument.get_default_values();
        let defaults: Vec<_> = defaults
            .iter()
            .map(|value| value.to_string_lossy())
            .collect();
        let default = match argument.is_required_set() {
            true => "required".to_owned(),
            false => defaults.join(" "),
        };
        if !default.is_empty() && row[1].trim_matches('`') != default {
            wrong.push(format!(
                "docs/contract.md: the default of {wanted} of `{name}` is {default}, not {}",
                row[1]
            ));
        }
        if let Some(short) = argument
            .get_short()
            .filter(|short| !row[0].contains(&format!("`-{short}`")))
        {
            wrong.push(format!(
                "docs/contract.md: {wanted} of `{name}` is -{short}, too"
            ));
        }
    }
    for row in rows {
        wrong.push(format!(
            "docs/contract.md: `{name}` has a row for {}, which it doesn't take",
            row[0]
        ));
    }
    for inner in command.get_subcommands() {
        compare(inner, &format!("{name} {}", inner.get_name()), wrong);
    }
}

/// An option as the contract writes it.
fn written(argument: &Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default();
    let own = argument.get_id().as_str().to_uppercase();
    let value = values.first().map_or(own, ToString::to_string);
    match argument.get_long() {
        None => format!("`{value}`"),
        Some(long) if argument.get_action().takes_values() => format!("`--{long} {value}`"),
        Some(long) => format!("`--{long}`"),
    }
}

#[test]
fn each_command_and_each_option_stands_in_the_contract_with_its_default() {
    let mut wrong = Vec::new();
    let command = Arguments::command();
    compare(&command, "tandem", &mut wrong);
    let page = read("docs/contract.md");
    let known = |title: &str| {
        let mut at = &command;
        title
            .split(' ')
            .skip(1)
            .all(|name| at.find_subcommand(name).map(|found| at = found).is_some())
    };
    for (title, _) in sections(&page) {
        if title.starts_with("`tandem ") && !known(title.trim_matches('`')) {
            wrong.push(format!(
                "docs/contract.md describes {title}, which is no command"
            ));
        }
    }
    must_be_empty(&wrong);
}
