//! Damaged settings, URLs and `.env` files: an answer with its place, never a panic, and no secret in it (P16). What once
//! failed stands in `tests/corpus`.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::dotenv::{Dotenv, is_name};
use super::super::endpoint;
use super::*;

/// What people and editors leave behind.
const SCRAPS: [&str; 22] = [
    "", "\0", "\u{feff}", "\r", "\n", "\t", " ", "\"", "'", "\"\"\"", "${", "}", "$${", "[[", "]",
    "=", "#", "@", ":", "/?", "%", "é🦀",
];

/// One piece of damage: where, how much goes, what comes instead.
type Damage = (Index, usize, Index);

fn damaged(text: &str, damage: &[Damage]) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for (place, length, scrap) in damage {
        let at = place.index(letters.len().max(1)).min(letters.len());
        let end = (at + length).min(letters.len());
        letters.splice(at..end, SCRAPS[scrap.index(SCRAPS.len())].chars());
    }
    letters.into_iter().collect()
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    prop::collection::vec((any::<Index>(), 0..4usize, any::<Index>()), 1..5)
}

fn whole() -> String {
    let powerca = include_str!("../../../deploy/powerca.toml");
    let rest = &powerca[powerca.find("[forward]").unwrap_or_default()..];
    format!(
        "[desktop]\nurl = \"postgres://me:{CANARY}@d/db\"\n[cloud]\nurl = \"postgres://me@c/db\"\npassword = \"{CANARY}\"\n{rest}"
    )
}

/// What damaged settings come to: every problem has its place, and nothing says the password.
fn settings(text: &str) {
    let lines = text.matches('\n').count() + 1;
    if let Err(problems) = Folder::with(text).load(&[("TANDEM_X", CANARY)]) {
        assert!(!problems.items().is_empty());
        for problem in problems.items() {
            assert!(
                problem.line <= lines && !problem.message.is_empty(),
                "{problem:?} in {text:?}"
            );
        }
        assert!(
            !problems.to_string().contains(CANARY),
            "{problems} in {text:?}"
        );
    }
}

fn url(text: &str) {
    if let Err(complaint) = endpoint::parse(text, Path::new("/"), Some("me")) {
        assert!(
            !complaint.says.is_empty() && !complaint.says.contains(CANARY),
            "{} in {text:?}",
            complaint.says
        );
    }
}

fn dotenv(text: &str) {
    let read = Dotenv::parse(text);
    assert!(read.values.keys().all(|name| is_name(name)), "{text:?}");
    let complaint = read.complaint.unwrap_or_default();
    assert!(!complaint.contains(CANARY), "{complaint} in {text:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn p16_damaged_settings_are_problems_with_places_and_without_secrets(damage in damage()) {
        settings(&damaged(&whole(), &damage));
    }

    #[test]
    fn p16_damaged_urls_are_complaints_without_secrets(damage in damage(), which in 0..3usize) {
        let of = [
            format!("postgres://me:{CANARY}@[::1]:5432/db?sslmode=verify-full&sslrootcert=ca.crt&connect_timeout=3"),
            format!("postgresql://me:{CANARY}@host.example:6543/data%20base?application_name=a%26b&channel_binding=require"),
            format!("postgres:///db?host=/run/postgresql&user=me&password={CANARY}"),
        ];
        url(&damaged(&of[which], &damage));
    }

    #[test]
    fn p16_damaged_env_files_are_read_as_far_as_they_go(damage in damage()) {
        let of = format!("\u{feff}# a comment\r\nA='{CANARY}'\r\nexport B=\"x\\\"y ${{A}}\" # c\nC=plain text\nD={CANARY}\nE=\"two\nlines\"\n");
        dotenv(&damaged(&of, &damage));
    }
}

#[test]
fn p16_what_once_failed_or_nearly_did() {
    type Check = fn(&str);
    let corpora: [(&str, Check); 3] = [
        (include_str!("../../../tests/corpus/settings.txt"), |text| {
            settings(&format!("{MINIMAL}{text}"))
        }),
        (include_str!("../../../tests/corpus/url.txt"), url),
        (include_str!("../../../tests/corpus/env.txt"), dotenv),
    ];
    for (corpus, check) in corpora {
        let cases = corpus.lines().filter(|line| !line.starts_with("# "));
        let mut count = 0;
        for case in cases {
            // As JSON has strings.
            let text: String =
                serde_json::from_str(case).unwrap_or_else(|error| panic!("{case}: {error}"));
            check(&text);
            count += 1;
        }
        assert!(count > 5, "the corpus is there");
    }
}
