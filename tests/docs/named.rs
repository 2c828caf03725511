//! Each command and each setting that a page names exists.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory};
use tandem::cli::Arguments;
use toml_edit::{DocumentMut, Item};

use super::page::{must_be_empty, pages};
use super::settings::settings;

/// What stands between single backticks, and each line of what stands between three, with the language of that.
fn code(page: &str) -> (Vec<String>, Vec<(String, String)>) {
    let (mut spans, mut blocks) = (Vec::new(), Vec::new());
    for (at, part) in page.split("```").enumerate() {
        if at % 2 == 1 {
            let (language, text) = part.split_once('\n').unwrap_or(("", part));
            blocks.push((language.trim().to_owned(), text.to_owned()));
            continue;
        }
        let words = part.split('`').skip(1).step_by(2);
        spans.extend(words.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")));
        // Four blanks begin a line of code, too.
        let lines = part.lines().filter_map(|line| line.strip_prefix("    "));
        blocks.extend(lines.map(|line| (String::new(), line.to_owned())));
    }
    (spans, blocks)
}

/// The commands of tandem's on some lines; a backslash at a line's end joins it with the next.
fn commands(text: &str) -> Vec<String> {
    let parts: Vec<_> = text.split("\\\n").map(str::trim).collect();
    let text = parts.join(" ");
    let lines = text
        .lines()
        .map(|line| line.trim().trim_start_matches("sudo "));
    let lines = lines.filter(|line| line.starts_with("tandem "));
    // A remark, or what stands beside it in a table of commands.
    let ends = |line: &str| line.split(" #").next().unwrap_or_default().to_owned();
    lines
        .map(ends)
        .map(|line| {
            line.split("   ")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        })
        .collect()
}

/// What is wrong with a command; nothing where all its words and options exist.
fn wrong(line: &str) -> Option<String> {
    let root = Arguments::command();
    let options = |of: &Command, long: &str| {
        let known = |command: &Command| {
            let mut longs = command
                .get_arguments()
                .filter_map(|argument| argument.get_long());
            longs.any(|name| name == long)
        };
        known(of) || known(&root) || ["help", "version"].contains(&long)
    };
    let (mut at, mut group) = (&root, &root);
    let words = line.split(' ').skip(1).filter(|word| !word.is_empty());
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        match word {
            // `list | retry | drop` names commands of one kind; else another program follows.
            "|" if group.get_name() != root.get_name() => at = group,
            "|" | "||" | "&&" | ">" => return None,
            "-c" => drop(words.next()),
            _ if word.starts_with("--") => {
                let long = word.split('=').next().unwrap_or_default();
                let long = long.trim_start_matches('-');
                if !options(at, long) {
                    return Some(format!("`{line}`: there is no --{long}"));
                }
            }
            // Where a usage stands, and not a call.
            _ if word.starts_with('[') => return None,
            _ if word.starts_with(['-', '.']) => {}
            _ if at.has_subcommands() => match at.find_subcommand(word) {
                Some(found) => (group, at) = (at, found),
                None => return Some(format!("`{line}`: there is no command {word}")),
            },
            _ => {}
        }
    }
    None
}

/// The keys of a TOML text, as `settings` has them.
fn keys(prefix: &str, item: &Item, found: &mut BTreeSet<String>) {
    if let Some(tables) = item.as_array_of_tables() {
        let tables = tables.iter().map(|table| Item::Table(table.clone()));
        return tables.for_each(|table| keys(prefix, &table, found));
    }
    let Some(table) = item.as_table_like() else {
        found.insert(prefix.to_owned());
        return;
    };
    for (name, item) in table.iter() {
        let key = match prefix {
            "" => name.to_owned(),
            prefix => format!("{prefix}.{name}"),
        };
        // What people name themselves.
        let free = key == "tenant" || (prefix.starts_with("table") && name != "reverse");
        match free && item.is_table_like() {
            true => drop(found.insert(key)),
            false => keys(&key, item, found),
        }
    }
}

/// A setting that a span names: `forward.slot`, `[verify] every = "1d"`, `[alert.mail]`.
fn setting(span: &str, sections: &BTreeSet<String>) -> Option<String> {
    let name = span.split([' ', '=']).next().unwrap_or_default();
    if let Some(rest) = span.strip_prefix('[') {
        let (section, rest) = rest.trim_start_matches('[').split_once(']')?;
        let key = rest
            .trim_start_matches(']')
            .split('=')
            .next()
            .unwrap_or_default()
            .trim();
        let is_name = |text: &str| {
            text.chars()
                .all(|letter| letter.is_ascii_lowercase() || "._".contains(letter))
        };
        return match (section.is_empty() || !is_name(section), key) {
            (true, _) => None,
            (false, "") => Some(section.to_owned()),
            (false, key) if is_name(key) => Some(format!("{section}.{key}")),
            _ => None,
        };
    }
    let (section, key) = name.split_once('.')?;
    let is_key = key
        .chars()
        .all(|letter| letter.is_ascii_lowercase() || "._".contains(letter));
    // `refill.sql` is a setting and a file; a file that isn't one has a folder's name before it or a section's not.
    (sections.contains(section) && is_key).then(|| name.to_owned())
}

#[test]
fn each_command_and_each_setting_that_a_page_names_exists() {
    let (_, all) = settings();
    let mut known: BTreeSet<String> = all.clone();
    // A section is named, too.
    for key in &all {
        let ends = key.match_indices('.').map(|(at, _)| key[..at].to_owned());
        known.extend(ends);
    }
    known.extend(["table.tenant", "table.lookup"].map(str::to_owned));
    let sections: BTreeSet<String> = { all.iter() }
        .filter_map(|key| Some(key.split_once('.')?.0.to_owned()))
        .collect();
    let mut bad = Vec::new();
    let (mut lines, mut names) = (0, 0);
    for (path, text) in pages() {
        let (spans, blocks) = code(&text);
        let shown = blocks.iter().flat_map(|(_, block)| commands(block));
        let said = spans
            .iter()
            .filter(|span| span.starts_with("tandem "))
            .cloned();
        for line in shown.chain(said) {
            lines += 1;
            bad.extend(wrong(&line).map(|why| format!("{path}: {why}")));
        }
        let mut named: BTreeSet<String> = spans
            .iter()
            .filter_map(|span| setting(span, &sections))
            .collect();
        for (_, block) in blocks.iter().filter(|(language, _)| language == "toml") {
            match block.parse::<DocumentMut>() {
                Ok(document) => keys("", document.as_item(), &mut named),
                Err(error) => bad.push(format!("{path}: {error}")),
            }
        }
        names += named.len();
        let missing = named.iter().filter(|name| !known.contains(*name));
        bad.extend(missing.map(|name| format!("{path}: there is no setting {name}")));
    }
    assert!(
        lines > 150 && names > 100,
        "{lines} commands, {names} settings"
    );
    must_be_empty(&bad);
}

#[test]
fn commands_and_settings_that_do_not_exist_are_seen() {
    for good in [
        "tandem status",
        "tandem -c FILE swap TABLE --plan",
        "tandem quarantine list | retry",
        "tandem init ... --create-cloud",
    ] {
        assert_eq!(wrong(good), None);
    }
    for bad in [
        "tandem stauts",
        "tandem swap TABLE --plans",
        "tandem quarantine list | rtry",
        "tandem alert tset",
        "tandem lag --keys",
    ] {
        assert!(wrong(bad).is_some(), "{bad}");
    }
    assert_eq!(
        commands("  tandem run   # it\nelse\ntandem init \\\n --yes\n"),
        ["tandem run", "tandem init --yes"]
    );
    let sections = ["verify".to_owned(), "forward".to_owned()].into();
    assert_eq!(
        setting("[verify] every = \"1d\"", &sections).unwrap(),
        "verify.every"
    );
    assert_eq!(setting("forward.slot", &sections).unwrap(), "forward.slot");
    assert_eq!(setting("[alert.mail]", &sections).unwrap(), "alert.mail");
    assert_eq!(setting("sql/x.sql", &sections), None);
}
