//! Every field of a document, metric, exit code, field of a log and table of the state stands in the contract.

use std::collections::BTreeSet;

use tandem::doctor::CHECK_IDS;

use super::page::{files, marked, must_be_empty, read, rows, section, sections};

#[test]
fn each_metric_stands_in_the_contract() {
    let mut made = BTreeSet::new();
    for (path, text) in files(&["src"], &["rs"]) {
        if !path.rsplit('/').next().unwrap().starts_with("metrics") {
            continue;
        }
        for word in text.split(|letter: char| !letter.is_ascii_lowercase() && letter != '_') {
            if word.starts_with("tandem_") {
                let of_histogram = ["_bucket", "_sum", "_count"];
                let bare = of_histogram.iter().find_map(|end| word.strip_suffix(end));
                made.insert(bare.unwrap_or(word).to_owned());
            }
        }
    }
    let page = read("docs/contract.md");
    let serves = [
        "What `[listen] http` serves",
        "What `tandem fleet --listen` serves",
    ];
    let bodies = serves.map(|title| rows(&section(&page, title).unwrap()));
    let first = bodies
        .into_iter()
        .flatten()
        .map(|row| row[0].trim_matches('`').to_owned());
    let written: BTreeSet<_> = first.filter(|word| word.starts_with("tandem_")).collect();
    assert!(made.len() > 10, "{made:?}");
    assert_eq!(
        written, made,
        "docs/contract.md (left) has other metrics than src/http (right)"
    );
}

/// The fields of every type that becomes a document.
fn documents() -> Vec<(String, BTreeSet<String>)> {
    let mut found = Vec::new();
    for (path, text) in files(
        &[
            "src/observe",
            "src/doctor",
            "src/init",
            "src/service",
            "src/cli",
        ],
        &["rs"],
    ) {
        for after in text.split("#[derive(").skip(1) {
            let (derived, after) = after.split_once(")]").unwrap();
            let head = after
                .lines()
                .find(|line| line.contains("struct ") || line.contains("enum "))
                .unwrap_or_default();
            if !derived.contains("Serialize") || !head.ends_with('{') {
                continue;
            }
            let body = after.split_once(head).unwrap().1;
            let body = body.split("\n}").next().unwrap();
            let mut fields = BTreeSet::new();
            let mut hidden = false;
            for line in body.lines().map(str::trim) {
                if line.starts_with("#[serde(skip)]") || line.starts_with("#[serde(flatten)]") {
                    hidden = true;
                    continue;
                }
                let field = match head.contains("enum ") {
                    true => line.strip_suffix(',').map(snake),
                    false => line
                        .split_once(':')
                        .map(|(name, _)| name.rsplit(' ').next().unwrap().to_owned()),
                };
                if let Some(field) = field.filter(|field| {
                    !line.starts_with("//") && !line.starts_with('#') && !field.is_empty()
                }) && !std::mem::take(&mut hidden)
                {
                    fields.insert(field);
                }
            }
            found.push((format!("{path}: {}", head.trim()), fields));
        }
    }
    found
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

#[test]
fn each_document_stands_in_the_contract_with_all_its_fields() {
    let page = read("docs/contract.md");
    let bodies = sections(&page)
        .into_iter()
        .filter(|(title, _)| title.contains("--json"));
    let written: Vec<_> = bodies.map(|(title, body)| (title, marked(&body))).collect();
    let documents = documents();
    assert!(documents.len() > 15 && written.len() > 6);
    let mut wrong = Vec::new();
    for (name, fields) in documents {
        let misses =
            |words: &BTreeSet<String>| fields.difference(words).cloned().collect::<Vec<_>>();
        let best = written
            .iter()
            .map(|(title, words)| (misses(words), title))
            .min_by_key(|(misses, _)| misses.len())
            .unwrap();
        if !best.0.is_empty() {
            wrong.push(format!(
                "{name} ... has {}, which docs/contract.md ({}) doesn't",
                best.0.join(", "),
                best.1
            ));
        }
    }
    let checks = written
        .iter()
        .find(|(title, _)| title.contains("doctor"))
        .unwrap();
    let missing = CHECK_IDS.iter().filter(|id| !checks.1.contains(**id));
    wrong.extend(missing.map(|id| format!("docs/contract.md lists no check {id}")));
    must_be_empty(&wrong);
}

#[test]
fn exit_codes_logs_and_state_stand_in_the_contract() {
    let page = read("docs/contract.md");
    let mut wrong = Vec::new();
    let fault = read("src/fault.rs");
    let exits = fault
        .split_once("pub enum Exit {")
        .unwrap()
        .1
        .split("\n}")
        .next()
        .unwrap()
        .to_owned();
    let codes = rows(&section(&page, "Exit codes").unwrap());
    for (name, code) in exits
        .lines()
        .filter_map(|line| line.trim().trim_end_matches(',').split_once(" = "))
    {
        if !codes
            .iter()
            .any(|row| row[0] == code && row[1] == format!("`{name}`"))
        {
            wrong.push(format!(
                "docs/contract.md has no row for the exit code {code}, `{name}`"
            ));
        }
    }
    let fields = marked(&section(&page, "Logs").unwrap());
    for (path, text) in files(&["src"], &["rs"]) {
        for field in logged(&text)
            .into_iter()
            .filter(|field| !fields.contains(field))
        {
            wrong.push(format!(
                "{path} logs the field {field}, which docs/contract.md doesn't name"
            ));
        }
    }
    let state = section(&page, "State in the databases").unwrap();
    for (path, text) in files(&["sql/cloud", "sql/desktop"], &["sql"]) {
        for after in text
            .split("table tandem.")
            .skip(1)
            .filter(|after| after.contains('('))
        {
            let name: String = after
                .chars()
                .take_while(|letter| letter.is_ascii_lowercase() || *letter == '_')
                .collect();
            let is_made = after[name.len()..].starts_with(" (");
            if is_made && !state.contains(&format!("`tandem.{name}`")) {
                wrong.push(format!(
                    "{path} makes tandem.{name}, which docs/contract.md doesn't name"
                ));
            }
        }
    }
    must_be_empty(&wrong);
}

/// The names of fields that are logged beside a message.
fn logged(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for after in text.split("tracing::").skip(1) {
        let Some((level, after)) = after.split_once("!(") else {
            continue;
        };
        if !["trace", "debug", "info", "warn", "error"].contains(&level) {
            continue;
        }
        // The message is the first string; what stands before it are fields.
        for field in after.split('"').next().unwrap().split(',') {
            let name = field
                .split('=')
                .next()
                .unwrap()
                .trim()
                .trim_start_matches(['%', '?']);
            if !name.is_empty()
                && name
                    .bytes()
                    .all(|letter| letter.is_ascii_lowercase() || letter == b'_')
            {
                found.insert(name.to_owned());
            }
        }
    }
    found
}

#[test]
fn fields_of_logs_and_documents_are_seen() {
    let text =
        "tracing::warn!(table = %x, why, \"no\"); tracing::info!(%side, ms = a(b), \"x = 1, y\")";
    assert_eq!(
        logged(text),
        ["ms", "side", "table", "why"].map(str::to_owned).into()
    );
    let known = documents();
    let of = |name: &str| {
        known
            .iter()
            .find(|(found, _)| found.contains(name))
            .unwrap()
            .1
            .clone()
    };
    assert!(
        of("struct Sample").contains("wal_held_bytes_max")
            && !of("struct Sample").contains("taken")
    );
    assert!(of("enum Verdict").contains("caught_up"));
}
