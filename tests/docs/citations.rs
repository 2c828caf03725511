//! Every number that is cited is defined, and every definition says which tests would notice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::page::{
    cited, files, is_number, must_be_empty, pages, read, root, rows, rust, sections,
};

/// Each test whose name begins with numbers: its file, its name, the numbers.
fn tests() -> Vec<(String, String, BTreeSet<String>)> {
    let mut found = Vec::new();
    for (path, text) in rust() {
        for after in text.split("fn ").skip(1) {
            let name: String = after
                .chars()
                .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
                .collect();
            let words = name.split('_').map(str::to_ascii_uppercase);
            let numbers: BTreeSet<_> = words.take_while(|word| is_number(word)).collect();
            if !numbers.is_empty() && name.contains('_') {
                found.push((path.clone(), name, numbers));
            }
        }
    }
    found
}

/// What `docs/` defines.
fn defined() -> BTreeSet<String> {
    let promises = read("docs/promises.md");
    let promises = sections(&promises)
        .into_iter()
        .filter_map(|(title, _)| Some(title.split_once(':')?.0.to_owned()));
    let tables = [read("docs/failures.md"), read("docs/errors.md")];
    let first = tables
        .iter()
        .flat_map(|page| rows(page))
        .filter_map(|row| row.into_iter().next());
    promises
        .chain(first)
        .filter(|number| is_number(number))
        .collect()
}

#[test]
fn what_is_cited_is_defined_and_what_is_defined_is_cited() {
    let defined = defined();
    let mut wrong = Vec::new();
    let mut all = files(
        &["src", "sql", "tests", "benches", "deploy"],
        &["rs", "sql", "toml", "yml", "json", "txt", "sh"],
    );
    all.extend(pages());
    for (path, text) in &all {
        for number in cited(text).difference(&defined) {
            wrong.push(format!("{path} cites {number}, which docs/promises.md, docs/failures.md and docs/errors.md don't define"));
        }
    }
    let mut proved = BTreeSet::new();
    for (path, name, numbers) in tests() {
        for number in numbers.difference(&defined) {
            wrong.push(format!(
                "{path}: {name} is named after {number}, which docs/ doesn't define"
            ));
        }
        proved.extend(numbers);
    }
    let made = files(&["src", "sql"], &["rs", "sql"]);
    for number in &defined {
        let is_code = number.starts_with("TD");
        if is_code && !made.iter().any(|(_, text)| cited(text).contains(number)) {
            wrong.push(format!(
                "docs/errors.md defines {number}, which nothing raises"
            ));
        }
        if !is_code && !proved.contains(number) {
            wrong.push(format!(
                "docs/ defines {number}, and no test is named after it"
            ));
        }
    }
    must_be_empty(&wrong);
}

#[test]
fn each_code_says_which_function_raises_it() {
    let page = read("docs/errors.md");
    let rows: BTreeMap<_, _> = rows(&page)
        .into_iter()
        .map(|row| (row[0].clone(), row.join(" ")))
        .collect();
    let mut wrong = Vec::new();
    for (path, text) in files(&["sql"], &["sql"]) {
        for function in text.split("create function ").skip(1) {
            let name = function.split('(').next().unwrap();
            for code in function.split("errcode = '").skip(1) {
                let code = &code[..5];
                let said = rows
                    .get(code)
                    .is_some_and(|row| row.contains(&format!("`{name}`")));
                if code.starts_with("TD") && !said {
                    wrong.push(format!(
                        "{path}: {name} raises {code}; its row in docs/errors.md doesn't say so"
                    ));
                }
            }
        }
    }
    must_be_empty(&wrong);
}

/// A page whose lists of tests are as the names of the tests are, and what it is now.
fn with_lists(path: &str) -> (String, String) {
    let tests = tests();
    let now = read(path);
    let list = |number: &str, is_promise: bool| -> String {
        let of = tests
            .iter()
            .filter(|(_, _, numbers)| numbers.contains(number));
        let all: BTreeSet<String> = match is_promise {
            true => of
                .map(|(file, _, _)| {
                    let name = file.trim_start_matches("tests/").trim_end_matches(".rs");
                    format!("[{name}](../{file})")
                })
                .collect(),
            false => of.map(|(_, name, _)| format!("`{name}`")).collect(),
        };
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    let mut page = String::new();
    let mut promise = None;
    let close = |page: &mut String, promise: &mut Option<String>| {
        if let Some(number) = promise.take() {
            page.truncate(page.trim_end().len());
            page.push_str(&format!("\n\n**Proved by** {}.\n\n", list(&number, true)));
        }
    };
    for line in now.lines() {
        let row = rows(line)
            .into_iter()
            .next()
            .filter(|row| is_number(&row[0]));
        if let Some(number) = line
            .strip_prefix("## ")
            .and_then(|title| title.split_once(':'))
            .map(|(number, _)| number)
        {
            close(&mut page, &mut promise);
            promise = Some(number.to_owned());
        }
        match row {
            _ if line.starts_with("**Proved by**") => continue,
            Some(row) => page.push_str(&format!(
                "| {} | {} | {} |",
                row[0],
                row[1],
                list(&row[0], false)
            )),
            None => page.push_str(line),
        }
        page.push('\n');
    }
    close(&mut page, &mut promise);
    page.truncate(page.trim_end().len());
    (now, page + "\n")
}

#[test]
fn the_lists_of_tests_are_those_of_their_names() {
    for path in ["docs/promises.md", "docs/failures.md"] {
        let (now, wanted) = with_lists(path);
        if std::env::var_os("TANDEM_TEST_BLESS").is_some() {
            fs::write(root().join(path), &wanted).unwrap();
            continue;
        }
        let differ = now
            .lines()
            .zip(wanted.lines())
            .find(|(now, wanted)| now != wanted);
        assert!(
            now == wanted,
            "{path} lists other tests than there are; TANDEM_TEST_BLESS=1 writes it anew; the first line: {differ:#?}"
        );
    }
}
