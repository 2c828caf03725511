//! What a first copy of many tables says: on a terminal, elsewhere, quietly, as a document, and in the service's log.

use std::process::Stdio;

use crate::support::office::{Office, connect, exec, finish, until, value};
use crate::support::servers::newest;
use serde_json::Value;
use tokio::process::Command;

/// Many small tables, one with rows that the cloud refuses, and two that the desktop doesn't let us read.
async fn office(tables: usize) -> Office {
    let names: Vec<_> = (0..tables).map(|n| format!("t{n:03}")).collect();
    let mut settings = "[heartbeat]\nevery = \"500ms\"\n".to_owned();
    let (mut here, mut there) = (String::new(), String::new());
    for name in &names {
        // What can't be read has no key that would be measured before anything is changed.
        let key = match name.as_str() {
            "t011" | "t012" => "key = []\n",
            _ => "",
        };
        settings.push_str(&format!("[[table]]\nname = \"{name}\"\n{key}"));
        let ddl = format!("create table {name} (id int primary key, what text");
        here.push_str(&format!(
            "{ddl}); insert into {name} select n, 'x' from generate_series(1, 3) as n; "
        ));
        there.push_str(&format!("{ddl}); "));
    }
    there.push_str("alter table t007 add constraint t007_fine check (id < 3);");
    let office = Office::with_tables(&newest(), &settings, &here, &there).await;
    let clerk = "create role clerk login replication; grant create on database enterprise_db to clerk; grant all on schema public to clerk";
    exec(&office.desktop, clerk).await;
    let owned = names
        .iter()
        .map(|name| format!("alter table {name} owner to clerk; "));
    exec(&office.desktop, &owned.collect::<String>()).await;
    let closed = "set role clerk; revoke select on t011, t012 from clerk; reset role";
    exec(&office.desktop, closed).await;
    let file = std::fs::read_to_string(office.file()).unwrap();
    let file = file.replacen("postgres://postgres@", "postgres://clerk@", 1);
    std::fs::write(office.file(), file).unwrap();
    office
}

/// What the cloud really has.
async fn in_cloud(office: &Office, tables: usize) -> i64 {
    let sums: Vec<_> = { 0..tables }
        .map(|n| format!("select count(*) as n from t{n:03}"))
        .collect();
    let sum = format!(
        "select sum(n)::text from ({}) as t",
        sums.join(" union all ")
    );
    value(&office.cloud, &sum).await.parse().unwrap()
}

fn count(text: &str, word: &str) -> usize {
    text.lines().filter(|line| line.contains(word)).count()
}

/// The summary: the table with refused rows and those that can't be read first, with their reasons, and the cloud's counts.
fn assert_summary(out: &str, closing: &str) {
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 4, "{out}");
    let of = |name: &str| {
        let found = { lines[..3].iter() }.find(|line| line.starts_with(name));
        *found.unwrap_or_else(|| panic!("{name} {out}"))
    };
    let parked = of("t007");
    assert!(
        parked.contains(" 2 rows; 1 in quarantine: 23514 ") && parked.contains("t007_fine"),
        "{out}"
    );
    for name in ["t011", "t012"] {
        assert!(
            of(name).contains("stopped") && of(name).contains("permission denied"),
            "{out}"
        );
    }
    assert_eq!(lines[3], closing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_copy_of_400_tables_says_what_matters_and_not_three_lines_for_each() {
    let tables = 400;
    let office = office(tables).await;
    let closing = "400 tables, 3 need you; 1,193 rows are in the cloud, 1 in quarantine";

    // Into a pipe.
    let (code, out, said) = office.ask(&["bootstrap"]).await;
    assert_eq!(code, 1, "{out} {said}");
    assert_eq!(in_cloud(&office, tables).await, 1_193);
    assert_summary(&out, closing);
    assert!(!said.contains('\r') && !said.contains('\u{1b}'), "{said}");
    // One line for each table that needs somebody; the others are set-up, the end, and a line for each ten seconds.
    assert_eq!(count(&said, "ERROR"), 2, "{said}");
    assert_eq!(count(&said, "WARN"), 1, "{said}");
    let progress = ["tables, ", "looking at", "waiting for a", " of 400 tables"];
    let progress: usize = progress.iter().map(|word| count(&said, word)).sum();
    assert!(said.lines().count() <= 12 + progress, "{said}");
    assert!(
        said.contains("400 of 400 tables, 2 need you, 1,194 rows"),
        "{said}"
    );

    // More detail is there for who asks.
    let (code, out, said) = office.ask(&["-v", "bootstrap", "--restart"]).await;
    assert_eq!(code, 1, "{out} {said}");
    assert!(count(&said, " copied ") >= 397, "{said}");
    assert_eq!(out.lines().count(), tables + 1, "{out}");

    // Quietly: only what is wrong, and the result.
    let (code, out, said) = office.ask(&["-q", "bootstrap", "--restart"]).await;
    assert_eq!(code, 1, "{out} {said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(
        said.lines()
            .all(|line| line.contains("ERROR") && line.contains("permission denied")),
        "{said}"
    );
    assert_summary(&out, closing);

    // As a document.
    let (code, out, said) = office.ask(&["bootstrap", "--restart", "--json"]).await;
    assert_eq!(code, 1, "{out} {said}");
    assert_eq!(out.lines().count(), 1, "{out}");
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["schema"], 1);
    let all = document["tables"].as_array().unwrap();
    assert_eq!(all.len(), tables);
    let troubled = all[..3]
        .iter()
        .map(|table| table["table"].as_str().unwrap());
    assert_eq!(troubled.collect::<Vec<_>>(), ["t007", "t011", "t012"]);
    assert_eq!(
        (&all[0]["cloud_rows"], &all[0]["quarantined"]),
        (&2.into(), &1.into())
    );
    let why = all[0]["quarantined_why"].as_str().unwrap();
    assert!(why.starts_with("23514 "), "{why}");
    assert_eq!(all[1]["state"], "stopped");
    assert!(
        all[3..]
            .iter()
            .all(|table| table["state"] == "streaming" && table["cloud_rows"] == 3),
        "{out}"
    );

    // The service's own first copy.
    let (code, out, said) = office.ask(&["uninstall", "--yes"]).await;
    assert_eq!(code, 0, "{out} {said}");
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
    let log = office.log();
    assert!(
        log.lines().all(|line| line.starts_with("{\"timestamp\"")),
        "{log}"
    );
    let copying = count(&log, "\"copying\"") + count(&log, "\"publishing the tables");
    assert!(log.lines().count() <= 20 + copying, "{log}");
    assert_eq!(count(&log, "permission denied"), 2, "{log}");
    assert_eq!(count(&log, "\"quarantined\":1"), 1, "{log}");
    assert_eq!(in_cloud(&office, tables).await, 1_193);
}

/// What a terminal gets to see.
async fn terminal(
    office: &Office,
    size: &str,
    command: &str,
    environment: &[(&str, &str)],
) -> (i32, String) {
    let program = std::path::PathBuf::from(env!("CARGO_BIN_EXE_tandem"));
    let line = format!(
        "stty {size}; {} -c {} {command}",
        program.display(),
        office.file().display()
    );
    let mut script = Command::new("script");
    script
        .args(["-qefc", &line, "/dev/null"])
        .stdin(Stdio::null());
    script
        .env("TERM", "xterm")
        .env("LANG", "C.UTF-8")
        .envs(environment.iter().copied());
    let (code, out, _) = finish(&mut script).await;
    (code, out)
}

/// The screen as it is in the end: what was drawn over is gone. Enough of a terminal for what is drawn here.
fn screen(raw: &str, width: usize) -> Vec<String> {
    let (mut lines, mut row, mut column) = (vec![Vec::new()], 0usize, 0usize);
    let mut letters = raw.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\n' => row += 1,
            '\r' => column = 0,
            '\u{1b}' => {
                letters.next();
                let mut number = String::new();
                let end = loop {
                    match letters.next().unwrap() {
                        letter if letter.is_ascii_alphabetic() => break letter,
                        other => number.push(other),
                    }
                };
                let by = number.parse().unwrap_or(1);
                match end {
                    'A' => row = row.saturating_sub(by),
                    'B' => row += by,
                    'K' => lines[row].truncate(if number == "2" { 0 } else { column }),
                    _ => {}
                }
            }
            letter => {
                // Behind the last column the next letter begins a line.
                if column == width {
                    (row, column) = (row + 1, 0);
                    lines.resize(lines.len().max(row + 1), Vec::new());
                }
                if lines[row].len() <= column {
                    lines[row].resize(column + 1, ' ');
                }
                lines[row][column] = letter;
                column += 1;
            }
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    let text = lines
        .into_iter()
        .map(|line| line.into_iter().collect::<String>());
    text.map(|line| line.trim_end().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// On a terminal it is drawn in one place, log lines stand whole above it, and nothing of it is left in the end.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_it_is_drawn_and_log_lines_do_not_tear_it() {
    let office = office(60).await;
    let closing = "60 tables, 3 need you; 173 rows are in the cloud, 1 in quarantine";
    let (code, raw) = terminal(&office, "cols 200 rows 24", "bootstrap --jobs 2", &[]).await;
    assert_eq!(code, 1, "{raw}");
    assert!(
        raw.contains(" of 60 tables") && raw.contains('\u{2591}'),
        "{raw}"
    );
    let left = screen(&raw, 200);
    assert!(
        !left
            .iter()
            .any(|line| line.contains('\u{2591}') || line.contains('\u{2588}')),
        "{left:#?}"
    );
    // Every line of the log is whole.
    let logged: Vec<_> = left
        .iter()
        .filter(|line| line.contains("ERROR") || line.contains("WARN") || line.contains("INFO"))
        .collect();
    assert!(
        logged.len() >= 4 && logged.iter().all(|line| line.starts_with("20")),
        "{left:#?}"
    );
    let summary = left
        .iter()
        .rposition(|line| line.contains("60 tables, 3 need you"))
        .unwrap();
    assert_summary(&left[summary - 3..=summary].join("\n"), closing);

    // A narrow one without colours, and one that can't be drawn on.
    let (code, raw) = terminal(
        &office,
        "cols 30 rows 6",
        "bootstrap --restart",
        &[("NO_COLOR", "1")],
    )
    .await;
    assert_eq!(code, 1, "{raw}");
    assert!(
        raw.contains(" of 60 tables") && !raw.contains('\u{2591}'),
        "{raw}"
    );
    assert!(
        raw.split("\u{1b}[")
            .skip(1)
            .all(|rest| { rest.chars().find(char::is_ascii_alphabetic) != Some('m') }),
        "no colours: {raw}"
    );
    let (code, raw) = terminal(
        &office,
        "cols 80 rows 24",
        "bootstrap --restart",
        &[("TERM", "dumb"), ("NO_COLOR", "1")],
    )
    .await;
    assert!(code == 1 && !raw.contains('\u{1b}'), "{raw}");
    let (code, raw) = terminal(&office, "cols 80 rows 24", "-q bootstrap --restart", &[]).await;
    assert!(code == 1 && !raw.contains(" of 60 tables"), "{raw}");
}

/// Ctrl-C in the middle: the screen is left in order, the exit says so, and the same command goes on.
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_leaves_the_terminal_in_order_and_the_next_one_goes_on() {
    let office = office(60).await;
    let blocker = connect(&office.servers.cloud, "supabase_admin", "postgres").await;
    exec(&blocker, "begin; lock table t033 in share mode").await;
    let seen = office.folder.join("seen");
    std::fs::write(&seen, "").unwrap();
    let program = env!("CARGO_BIN_EXE_tandem");
    // Pressed when a table is at work, which stands still.
    let line = format!(
        "(until grep -q t033 {0}; do sleep 0.1; done; printf '\\003') | script -qefc 'stty cols 80 rows 24; {program} -c {1} bootstrap --jobs 1' {0}; echo ended $?",
        seen.display(),
        office.file().display()
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &line])
        .stdin(Stdio::null())
        .env("TERM", "xterm")
        .env("LANG", "C.UTF-8");
    let (_, raw, _) = finish(&mut shell).await;
    assert!(
        raw.contains("ended 130") && raw.contains("the same command goes on"),
        "{raw}"
    );
    let left = screen(&raw, 80);
    assert!(
        !left.iter().any(|line| line.contains('\u{2591}')),
        "{left:#?}"
    );
    exec(&blocker, "rollback").await;
    until(&office.cloud, "select not exists (select from pg_locks where relation = 't033'::regclass and not granted)").await;
    let (code, out, said) = office.ask(&["bootstrap"]).await;
    assert_eq!(code, 1, "{out} {said}");
    let closing = "60 tables, 3 need you; 173 rows are in the cloud, 1 in quarantine";
    assert_summary(&out, closing);
}

/// A finding that many tables share is said once, with their names; a document has each.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_true_of_many_tables_is_said_once() {
    let names: Vec<_> = (0..30).map(|n| format!("t{n:03}")).collect();
    let mut settings = "[heartbeat]\nevery = \"500ms\"\n".to_owned();
    let mut ddl = String::new();
    for name in &names {
        settings.push_str(&format!("[[table]]\nname = \"{name}\"\nkey = [\"id\"]\n"));
        ddl.push_str(&format!("create table {name} (id int, what text); "));
    }
    let stamp =
        "create function stamp() returns trigger language plpgsql as 'begin return new; end'; ";
    let stamped = names.iter().map(|name| {
        format!("create trigger last_updated before update on {name} for each row execute function stamp(); ")
    });
    let there = format!("{ddl}{stamp}{}", stamped.collect::<String>());
    let office = Office::with_tables(&newest(), &settings, &ddl, &there).await;

    let (code, out, said) = office.ask(&["doctor"]).await;
    assert_eq!(code, 0, "{out} {said}");
    assert_eq!(count(&out, "last_updated of"), 1, "{out}");
    let warned = out
        .lines()
        .find(|line| line.contains("last_updated of"))
        .unwrap();
    assert!(
        warned.contains("\"t009\" and 20 more may change rows before they are written"),
        "{out}"
    );
    assert!(out.contains("and so for the other 29"), "{out}");
    assert_eq!(count(&out, "no unique index"), 1, "{out}");
    // All are counted, listed on demand, and in the document.
    assert!(out.contains("0 failed, 6"), "{out}");
    let (_, report, _) = office.ask(&["doctor", "--report"]).await;
    assert_eq!(count(&report, "trigger last_updated of"), 30, "{report}");
    let (_, document, _) = office.ask(&["doctor", "--json"]).await;
    let document: Value = serde_json::from_str(&document).unwrap();
    let checks = document["checks"].as_array().unwrap();
    let of = |id: &str| checks.iter().filter(|check| check["id"] == id).count();
    assert_eq!((of("rewriting_trigger"), of("key_index")), (30, 30));
    assert!(
        checks
            .iter()
            .all(|check| check.as_object().unwrap().len() == 6)
    );

    // What can be pasted is there for each.
    let (code, plan, said) = office.ask(&["bootstrap", "--plan"]).await;
    assert_eq!(code, 0, "{plan} {said}");
    assert_eq!(count(&plan, "no unique index"), 1, "{plan}");
    assert_eq!(
        count(&plan, "create unique index concurrently on"),
        30,
        "{plan}"
    );

    // All tables stop for one reason: one line, and one finding.
    let (code, out, said) = office.ask(&["bootstrap"]).await;
    assert_eq!(code, 0, "{out} {said}");
    let grown = names
        .iter()
        .map(|name| format!("alter table {name} add extra int; "));
    exec(&office.desktop, &grown.collect::<String>()).await;
    let service = office.run();
    until(
        &office.cloud,
        "select count(*) = 30 from tandem.table_state where state = 'stopped'",
    )
    .await;
    let log = office.log();
    assert_eq!(service.stop().await, 0);
    assert_eq!(count(&log, "stopped, the other tables go on"), 1, "{log}");
    assert!(log.contains("t009 and 20 more"), "{log}");
    let (_, out, _) = office.ask(&["doctor"]).await;
    assert_eq!(count(&out, "column extra"), 1, "{out}");
    let (code, _, said) = office.ask(&["bootstrap", "--plan"]).await;
    assert_eq!((code, count(&said, "column extra")), (2, 1), "{said}");
    assert!(said.contains("30 things"), "{said}");
}
