//! What was released stays as it was: the steps of the schema `tandem`, which people's databases have gone.

use std::fs;

use super::page::{files, must_be_empty, read, root};

/// `tests/fixtures/state` keeps each numbered file of `sql/` as it was released. Until the first release the files may change,
/// and `TANDEM_TEST_BLESS=1` writes the copies anew; from then on it only adds the new ones.
#[test]
fn a_released_step_of_the_schema_never_changes() {
    let is_released = read("CHANGELOG.md")
        .lines()
        .any(|line| line.starts_with("## ") && line != "## Unreleased");
    let blesses = std::env::var_os("TANDEM_TEST_BLESS").is_some();
    let mut wrong = Vec::new();
    let numbered = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name.starts_with(|letter: char| letter.is_ascii_digit()) && !name.ends_with("_rows.sql")
    };
    for side in ["desktop", "cloud"] {
        let steps = files(&[&format!("sql/{side}")], &["sql"]);
        for (path, text) in steps.iter().filter(|(path, _)| numbered(path)) {
            let copy = path.replacen("sql/", "tests/fixtures/state/", 1);
            let kept = fs::read_to_string(root().join(&copy)).ok();
            if kept.as_ref() == Some(text) {
                continue;
            }
            if blesses && (kept.is_none() || !is_released) {
                fs::write(root().join(&copy), text).unwrap();
                continue;
            }
            wrong.push(match is_released {
                true => format!("{path} was released: leave it as {copy} has it, and add a numbered file"),
                false => format!("{path} and {copy} differ: TANDEM_TEST_BLESS=1 writes the copy anew until the first release"),
            });
        }
        let copies = files(&[&format!("tests/fixtures/state/{side}")], &["sql"]);
        for (copy, _) in copies.iter().filter(|(copy, _)| numbered(copy)) {
            let path = copy.replacen("tests/fixtures/state/", "sql/", 1);
            if steps.iter().all(|(step, _)| *step != path) {
                wrong.push(format!(
                    "{path} is gone, and databases have taken that step"
                ));
            }
        }
    }
    must_be_empty(&wrong);
}
