//! Pages and sources as the tests read them: sections, tables, what is marked, what is cited.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every text file below some folders, by its path from the root.
pub fn files(folders: &[&str], extensions: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| extensions.contains(&extension)) {
            let name = path.strip_prefix(root()).unwrap().components();
            let name: Vec<_> = name
                .map(|part| part.as_os_str().to_str().unwrap())
                .collect();
            found.push((name.join("/"), fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

pub fn rust() -> Vec<(String, String)> {
    files(&["src", "tests", "benches"], &["rs"])
}

/// Every text for people that belongs to the repository.
pub fn pages() -> Vec<(String, String)> {
    let mut pages = files(&["docs", "benches", "deploy", "tests"], &["md"]);
    for name in ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"] {
        pages.push((name.to_owned(), read(name)));
    }
    pages
}

pub fn must_be_empty(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// A page's headings, each with what stands below it, up to the next one.
pub fn sections(page: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut in_code = false;
    for line in page.lines() {
        in_code ^= line.starts_with("```");
        let title = line.trim_start_matches('#');
        if line.starts_with('#') && !in_code {
            found.push((title.trim().to_owned(), String::new()));
        } else if let Some((_, body)) = found.last_mut() {
            body.push_str(line);
            body.push('\n');
        }
    }
    found
}

pub fn section(page: &str, title: &str) -> Option<String> {
    let found = sections(page).into_iter().find(|(found, _)| found == title);
    found.map(|(_, body)| body)
}

/// The cells of the tables in a text, without heads.
pub fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let inside = line.trim().trim_start_matches('|').trim_end_matches('|');
        inside
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    let mut rows = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_head = lines.peek().is_some_and(|next| next.starts_with("|---"));
        if line.starts_with('|') && !is_head && !line.starts_with("|---") {
            rows.push(cells(line));
        }
    }
    rows
}

/// What stands between backticks, taken apart into words.
pub fn marked(text: &str) -> BTreeSet<String> {
    let parts = text.split('`').skip(1).step_by(2);
    let words = parts
        .flat_map(|part| part.split(|letter: char| !letter.is_alphanumeric() && letter != '_'));
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A heading as an address names it.
pub fn anchor(title: &str) -> String {
    let kept = title.to_lowercase();
    let kept = kept
        .chars()
        .filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

/// `P12`, `F01`, `U40`, `TD001`: what a text cites.
pub fn cited(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words
        .filter(|word| is_number(word))
        .map(str::to_owned)
        .collect()
}

pub fn is_number(word: &str) -> bool {
    let digits = word.trim_start_matches(|letter: char| letter.is_ascii_uppercase());
    let kind = &word[..word.len() - digits.len()];
    digits.bytes().all(|digit| digit.is_ascii_digit())
        && match kind {
            "P" => (1..=2).contains(&digits.len()),
            "F" | "U" => digits.len() == 2,
            "TD" => digits.len() == 3,
            _ => false,
        }
}

#[test]
fn numbers_rows_and_headings_are_seen() {
    let text = "P1, P3: (F43) UTF8 P0001 TD001; U08_x p2 PG15";
    assert_eq!(
        cited(text),
        ["F43", "P1", "P3", "TD001"].map(str::to_owned).into()
    );
    assert_eq!(
        rows("| a | b | c |\n|---|---|---|\n| `x` | | y |\n"),
        [["`x`", "", "y"]]
    );
    assert_eq!(
        marked("a `b` `c --d E`"),
        ["E", "b", "c", "d"].map(str::to_owned).into()
    );
    assert_eq!(anchor("`swap --json` and `x`"), "swap---json-and-x");
    assert_eq!(
        section("# a\nb\n## c\n```\n# d\n```\n", "c").unwrap(),
        "```\n# d\n```\n"
    );
}
