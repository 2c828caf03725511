//! The house stays in order: floors, purity, banned calls, one TLS provider, licences.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::page::root;

/// Rooms from the roof to the cellar. A room may import what stands below it, not its neighbours.
const FLOORS: &[&[&str]] = &[
    &["cli"],
    &["service"],
    &["demo", "http"],
    &["observe", "doctor", "init"],
    &["flows"],
    &["install"],
    &["apply", "catalog", "capture", "spill", "alert"],
    &["plan", "fold", "decode"],
    &["wire"],
    &["fault"],
    &["config", "platform"],
    &["limits", "failpoint"],
    &["model"],
];

/// Imports that break the rule on purpose, with the reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "fault",
    "wire",
    "a fault is made from the wire's errors, and the wire knows nothing of faults",
)];

/// Rooms that take bytes and values and return values.
const PURE: &[&str] = &["model", "decode", "fold", "plan"];
/// A folder that does so within another room. It is told the time.
const PURE_FOLDER: &str = "src/flows/forward/sender/machine";

fn rust_files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            files.push((path, text));
        }
    }
    files
}

/// The room of a file below `src`.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Where the tests at a file's end begin; those that stand in a file of their own are only named here.
fn tests_begin(text: &str) -> usize {
    let is_end = |after: &str| {
        let item = after.trim_start().lines().next();
        !item.is_some_and(|item| item.ends_with(';'))
    };
    let mut marks = text.match_indices("#[cfg(test)]");
    let end = marks.find(|(at, mark)| is_end(&text[at + mark.len()..]));
    end.map_or(text.len(), |(at, _)| at)
}

/// Lines of code: without comments and without the tests at the file's end.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text[..tests_begin(text)].lines().enumerate();
    lines
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// `crate::room::...` and `crate::{room, other}`.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, line) in code(text) {
        for part in line.split("crate::").skip(1) {
            let group = part
                .strip_prefix('{')
                .map_or(part, |group| group.split('}').next().unwrap());
            let several = part.starts_with('{');
            for one in group.split(',').take(if several { usize::MAX } else { 1 }) {
                let one = one.trim();
                found.push((
                    at,
                    one.chars()
                        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
                        .collect(),
                ));
            }
        }
    }
    found
}

pub(super) fn sources() -> Vec<(PathBuf, String)> {
    let files = rust_files(&root().join("src"));
    let is_test = |path: &Path| {
        path.components()
            .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
    };
    files
        .into_iter()
        .filter(|(path, _)| !is_test(path))
        .collect()
}

#[test]
fn arrows_point_down_and_a_stage_never_imports_another() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let from = room(&path);
        let Some(here) = floor(&from) else { continue };
        for (line, to) in imports(&text) {
            let Some(there) = floor(&to) else { continue };
            let excused = EXCEPTIONS.iter().any(|(a, b, _)| *a == from && *b == to);
            if to != from && there <= here && !excused {
                wrong.push(format!("{}:{line}: {from} imports {to}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_has_a_floor() {
    for (path, _) in sources() {
        let room = room(&path);
        assert!(
            floor(&room).is_some() || ["lib", "main"].contains(&room.as_str()),
            "{room} has no floor"
        );
    }
}

#[test]
fn pure_rooms_have_no_clock_no_socket_no_log_and_wait_for_nothing() {
    let banned = [
        "async ",
        ".await",
        "Instant::now",
        ".elapsed(",
        "SystemTime",
        "std::env",
        "std::fs",
        "std::net",
        "tokio",
        "tracing::",
        "println!",
    ];
    let mut wrong = Vec::new();
    let mut told_the_time = 0;
    for (path, text) in sources() {
        let of_room = PURE.contains(&room(&path).as_str());
        let of_folder = path.starts_with(root().join(PURE_FOLDER));
        if !of_room && !of_folder {
            continue;
        }
        told_the_time += usize::from(of_folder);
        for (at, line) in code(&text) {
            let is_banned = |word: &&&str| line.contains(**word);
            let clock = ["Instant"];
            let clock = clock.iter().filter(|_| of_room);
            for word in banned.iter().chain(clock).filter(is_banned) {
                wrong.push(format!("{}:{at}: {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(told_the_time > 0, "{PURE_FOLDER} has moved");
}

/// Calls that belong in one place only.
#[test]
fn some_things_are_done_in_one_place_only() {
    let rules: &[(&str, &[&str], &str)] = &[
        (
            "Committed::proven(",
            &["apply"],
            "P2: only an answered COMMIT, or a checkpoint read under lock, proves a position",
        ),
        ("TcpStream", &["wire"], "wire is the only socket"),
        ("std::process::exit", &[], "main is the only exit"),
        (".prepare(", &[], "poolers know no prepared statements"),
        ("client.query(", &[], "it prepares a statement by name"),
        ("client.execute(", &[], "it prepares a statement by name"),
        (
            "std::env::var",
            &["cli", "platform", "demo"],
            "the environment is passed in",
        ),
        (
            "/proc/",
            &["platform"],
            "the operating system stays behind one module",
        ),
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (word, rooms, why) in rules {
            if rooms.contains(&room(&path).as_str()) {
                continue;
            }
            for (at, _) in code(&text).filter(|(_, line)| line.contains(word)) {
                wrong.push(format!("{}:{at}: {word} ({why})", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is said to one table of the cloud's has one owner.
#[test]
fn table_states_and_what_names_a_stream_are_written_in_one_file_each() {
    let quoted = |word: &str| format!("'{word}'");
    let rules = [
        ("tandem.table_state".to_owned(), "src/plan/table_state.rs"),
        (quoted("swap_only"), "src/plan/table_state.rs"),
        (quoted("swap_refused"), "src/plan/table_state.rs"),
        ("\"swap_only\"".to_owned(), "src/model/state.rs"),
        ("\"swap_refused\"".to_owned(), "src/model/state.rs"),
        (
            "'tandem ' || hashtext".to_owned(),
            "src/model/lag_notice.rs",
        ),
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (word, owner) in &rules {
            if path.ends_with(owner) {
                continue;
            }
            for (at, _) in code(&text).filter(|(_, line)| line.contains(word)) {
                wrong.push(format!("{}:{at}: {word} (see {owner})", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn f43_no_sql_of_ours_truncates_or_cascades_on_user_tables() {
    let mut wrong = Vec::new();
    for (path, text) in sources()
        .into_iter()
        .filter(|(path, _)| ["plan", "apply", "flows", "install"].contains(&room(path).as_str()))
    {
        for (at, line) in code(&text) {
            let lower = line.to_lowercase();
            if (lower.contains("\"truncate ") || lower.contains("truncate table"))
                && !lower.contains("publish")
                && line.contains('"')
                || lower.contains(" cascade\"") && !lower.contains("drop schema tandem")
            {
                wrong.push(format!("{}:{at}: {line}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_short_enough_to_read() {
    const LINES_MAX: usize = 500;
    for (path, text) in sources() {
        assert!(
            text.lines().count() <= LINES_MAX,
            "{} has more than {LINES_MAX} lines: split it",
            path.display()
        );
    }
}

/// Functions of a formatted source: the line in which each begins, its name, and how many lines it has.
fn functions(source: &str) -> Vec<(usize, &str, usize)> {
    const BEFORE: [&str; 4] = ["pub ", "pub(", "const ", "async "];
    let code = &source[..tests_begin(source)];
    let lines: Vec<_> = code.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let words = line.trim_start();
        let indent = &line[..line.len() - words.len()];
        let Some((before, named)) = words.split_once("fn ") else {
            continue;
        };
        if !before.is_empty() && !BEFORE.iter().any(|word| before.starts_with(word)) {
            continue;
        }
        let name = named.split(['(', '<']).next().unwrap_or_default();
        // What only declares ends where its head does; the last line of a body has a brace alone, as deep as the first.
        let head = lines[at..]
            .iter()
            .position(|line| line.ends_with(['{', ';', '}']));
        let Some(head) = head.filter(|head| lines[at + head].ends_with('{')) else {
            continue;
        };
        let is_end = |line: &&str| line.strip_prefix(indent) == Some("}");
        let body = lines[at + head..].iter().position(is_end).unwrap();
        found.push((at + 1, name, head + body + 1));
    }
    found
}

#[test]
fn functions_stay_short_enough_to_see() {
    const LINES_MAX: usize = 70;
    let mut long = Vec::new();
    for (path, text) in sources() {
        let all = functions(&text).into_iter();
        let too_long = all.filter(|(.., lines)| *lines > LINES_MAX);
        long.extend(too_long.map(|(line, name, lines)| {
            format!("{}:{line}: {name} has {lines} lines", path.display())
        }));
    }
    assert!(
        long.is_empty(),
        "at most {LINES_MAX}; cut it into steps that have names:\n{}",
        long.join("\n")
    );
}

#[test]
fn a_functions_lines_are_counted_from_its_name_to_its_brace() {
    let source = "pub(super) async fn a(\n    b: u8,\n) -> u8 {\n    if b > 0 {\n    }\n}\ntrait C {\n    fn d(&self);\n\n    fn e(&self) {\n        1\n    }\n}\n// fn f() {\nfn g() {}\n";
    assert_eq!(functions(source), [(1, "a", 6), (10, "e", 3)]);
}

/// What the program is built from: one TLS provider, no C library for TLS, free licences.
#[test]
fn dependencies_are_of_one_provider_and_of_free_licences() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed = [
        "MIT",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "Unicode-3.0",
        "Unlicense",
        "CC0-1.0",
        "0BSD",
        "BSL-1.0",
        "MIT-0",
        "CDLA-Permissive-2.0",
    ];
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        for banned in [
            "openssl-sys",
            "aws-lc-sys",
            "aws-lc-rs",
            "native-tls",
            "schannel-sys",
        ] {
            assert_ne!(name, banned, "exactly one TLS provider, and that is ring");
        }
        let licence = package["license"].as_str().unwrap_or_default();
        // `A OR B`: one of them has to be free; `A AND B`: both. `WITH` only adds permissions.
        let free = licence.replace('/', " OR ").split(" OR ").any(|choice| {
            let choice = choice.replace(['(', ')'], "");
            choice
                .split(" AND ")
                .all(|one| allowed.contains(&one.trim().split(" WITH ").next().unwrap()))
        });
        assert!(free, "{name}: licence {licence:?}");
    }
}
