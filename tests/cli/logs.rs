//! What `run` logs, where, and in which form.

use serde_json::Value;

use crate::support::office::{Office, Plan, exec, until, value};
use crate::support::servers::newest;

const DDL: &str = "create table item (id int primary key, what text)";

async fn office(log: &str) -> Office {
    let settings = format!("[log]\n{log}\n[[table]]\nname = \"item\"");
    let office = Office::open(&Plan::tables(&newest(), &settings)).await;
    exec(&office.desktop, DDL).await;
    exec(&office.cloud, &format!("set role postgres; {DDL}")).await;
    office
}

async fn run(office: &Office) -> String {
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let streaming = "select count(*) = 1 from pg_stat_replication where state = 'streaming'";
    until(&office.desktop, streaming).await;
    assert_eq!(service.stop().await, 0);
    office.log()
}

/// The one file of the day.
async fn daily(office: &Office) -> String {
    let files: Vec<_> = std::fs::read_dir(office.folder.join("logs"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    let [file] = &files[..] else {
        panic!("{files:?}")
    };
    let day = value(&office.desktop, "select (now() at time zone 'UTC')::date").await;
    assert_eq!(
        file.file_name().unwrap().to_str().unwrap(),
        format!("tandem.{day}.log")
    );
    std::fs::read_to_string(file).unwrap()
}

/// Every line is a document with a level and a message; the story is whole.
fn assert_json(log: &str) {
    for line in log.lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            ["INFO", "WARN", "ERROR", "DEBUG", "TRACE"].contains(&line["level"].as_str().unwrap()),
            "{line}"
        );
        assert!(
            line["message"].is_string() && line["timestamp"].is_string(),
            "{line}"
        );
    }
    assert_story(log);
}

fn assert_text(log: &str) {
    assert!(!log.contains('{') && !log.contains('\u{1b}'), "{log}");
    assert!(log.lines().all(|line| line.contains("INFO")), "{log}");
    assert_story(log);
}

fn assert_story(log: &str) {
    for wanted in ["tandem starts", "streaming", "stopped"] {
        assert!(log.contains(wanted), "no {wanted:?} in {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_json_where_nobody_watches() {
    assert_json(&run(&office("format = \"auto\"").await).await);
    assert_json(&run(&office("format = \"json\"").await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chosen_format_is_kept_on_standard_error_and_in_daily_files() {
    let office_of_text = office("format = \"text\"\nfile = \"logs\"").await;
    assert_text(&run(&office_of_text).await);
    assert_text(&daily(&office_of_text).await);
    let office_of_json = office("format = \"json\"\nfile = \"logs\"").await;
    assert_json(&run(&office_of_json).await);
    assert_json(&daily(&office_of_json).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_folder_that_cannot_be_used_is_exit_2() {
    let office = office("file = \"tandem.toml\"").await;
    let (code, _, error) = office.ask(&["run"]).await;
    assert_eq!(code, 2, "{error}");
    assert!(
        error.contains("log folder") && error.contains("log.file"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_is_quiet_until_something_is_wrong() {
    let office = office("format = \"json\"").await;
    let (code, out, error) = office.ask(&["-q", "lag"]).await;
    assert_eq!((code, error.as_str()), (3, ""), "{out}");
    exec(&office.desktop, "drop table item").await;
    let (code, out, error) = office.ask(&["-q", "run"]).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        !error.contains("\"INFO\"") && error.contains("error: "),
        "{error}"
    );
}
