//! What README and the help show works as it stands there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::support::mailbox::Hook;
use crate::support::office::{Office, Service, came_home, exec, finish, tandem, until, value};
use crate::support::servers::newest;
use tokio::process::Command;

const README: &str = include_str!("../../README.md");

const ON_DESKTOP: &str = "create table clients (id int primary key, name text); create table jobs (job_id int, client_id int); \
    create table visits (org_id int, visit_no int, job_id int, sporgid int, timefrom timestamp, note text, done bool, internal text, created_at timestamptz default now()); \
    create table prices (id int primary key, price numeric); create table diary (id int, date date, timefrom timestamp, note text, source char(1)); create table handed (at timestamptz); \
    create function hand_on() returns void language sql as 'insert into handed values (now())'; \
    create function fill_prices() returns void language sql as 'delete from prices; insert into prices select n, n * 1.5 from generate_series(1, 50) n'; \
    insert into clients values (1, 'Asha'); insert into jobs values (7, 1); insert into visits values (1, 1, 7, 3, '2026-11-25 09:30', 'first', false, 'secret')";
const IN_CLOUD: &str = "create table clients (id int primary key, name text, source char(1)); create table jobs (job_id int primary key, client_id int, source char(1)); \
    create table visit (org_id int, visit_no int, job_id int, staff_id int, client_id int, timefrom time, note varchar(20), done bool, createdby text, source char(1), primary key (org_id, visit_no)); \
    create table prices (id int primary key, price numeric, source char(1)); \
    create table diary (id int primary key, date date, timefrom time, note text, client_id int, source char(1))";

/// The commands that README shows under each other, without what stands behind them.
fn shown_by_readme() -> Vec<String> {
    let lines = README.lines().filter_map(|line| line.strip_prefix("    "));
    commands(lines.filter(|line| line.starts_with("tandem ")))
}

/// A command ends where a remark begins.
fn commands<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let command = |line: &str| {
        let line = line.split(" # ").next().unwrap_or_default();
        line.split("   ")
            .next()
            .unwrap_or_default()
            .split("  ")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    lines.map(command).collect()
}

/// The examples of every command's help, and of the first page.
async fn shown_by_help() -> Vec<String> {
    let (_, page, _) = finish(tandem().arg("--help")).await;
    let names = page.lines().filter_map(|line| {
        line.strip_prefix("  ")?
            .split_once("  ")
            .map(|(name, _)| name)
    });
    let names: BTreeSet<_> = names
        .filter(|name| !name.is_empty() && name.chars().all(|letter| letter.is_ascii_lowercase()))
        .collect();
    assert!(names.len() >= 16, "{names:?}");
    let mut pages = vec![page.clone()];
    for name in names {
        let (code, help, said) = finish(tandem().args([name, "--help"])).await;
        assert_eq!(code, 0, "{name}: {said}");
        assert!(
            help.contains("Examples:\n  tandem") || name == "top",
            "{help}"
        );
        pages.push(help);
    }
    let lines = pages.iter().flat_map(|page| page.lines());
    commands(
        lines
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|line| line.starts_with("tandem ")),
    )
}

/// README's settings and tables, on two servers of ours.
async fn office() -> Office {
    let block = README.split("```toml\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap();
    let tables = &block[block.find("[[table]]").unwrap()..];
    Office::with_tables(&newest(), tables, ON_DESKTOP, IN_CLOUD).await
}

/// Runs it as a shell does, in the folder with the settings.
async fn shell(office: &Office, line: &str) -> (i32, String, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_tandem"));
    let path = std::env::join_paths(
        [program.parent().unwrap().to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(&office.folder)
        .env("PATH", path.unwrap())
        .env("TERM", "xterm");
    finish(command.stdin(Stdio::null())).await
}

/// Whether it goes on until it is told to stop.
fn stays(line: &str) -> bool {
    line.starts_with("tandem run")
        || line.starts_with("tandem top")
        || line.contains("--watch")
        || line.contains("--listen")
        || line.contains("--keep")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_readme_and_help_does_what_is_said() {
    let (office, hook) = (office().await, Hook::start().await);
    let mut service: Option<Service> = None;
    let mut ran = BTreeSet::new();
    let readme = shown_by_readme();
    assert!(readme.len() >= 14, "{readme:?}");
    // README's in its order, then those of the help that need a service, then those that don't want one, and the end last.
    let help = shown_by_help().await;
    let ends =
        |line: &String| line.contains("--restart") || line.starts_with("tandem uninstall --yes");
    let (last, first): (Vec<_>, Vec<_>) = help.into_iter().partition(ends);
    for line in readme.into_iter().chain(first).chain(last) {
        if !ran.insert(line.clone()) {
            continue;
        }
        if line == "tandem run" {
            service = Some(office.run());
            office.caught_up(service.as_mut().unwrap()).await;
            continue;
        }
        if ends(&line)
            && let Some(service) = service.take()
        {
            assert_eq!(service.stop().await, 0);
        }
        // Names of the examples.
        let here = line.replace("jobtasks", "visits").replace("|| notify", "");
        let here = match line.starts_with("tandem init") {
            true if !line.contains("--update") => init(&office),
            _ => here,
        };
        // Somebody to tell.
        let here = match line.starts_with("tandem alert") {
            true => format!(
                "TANDEM_ALERT_WEBHOOK_URL=http://127.0.0.1:{}/x {here}",
                hook.port
            ),
            false => here,
        };
        let here = match line.strip_prefix("tandem fleet --cloud ") {
            Some(rest) => {
                let (_, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let cloud = url(&office.straight().cloud.endpoint);
                let rest = rest.replace(":9188", ":0");
                format!("tandem fleet --cloud {cloud} {rest}")
            }
            None => here,
        };
        if stays(&line) {
            assert!(begins(&office, &here).await, "{line}");
            continue;
        }
        let here = match here.starts_with("tandem demo") {
            true => "tandem demo --seconds 1 --scale 0.01".to_owned(),
            false => here,
        };
        let (code, out, said) = shell(&office, &here).await;
        // Windows' service manager is asked in tests/cli/windows.rs.
        if cfg!(not(windows)) && here.contains(" service ") {
            assert!(
                code == 2 && said.contains("is for Windows"),
                "{here}\n{said}"
            );
            continue;
        }
        assert_eq!(code, 0, "{here}\n{out}\n{said}");
    }
    assert_eq!(
        value(
            &office.cloud,
            "select client_id || ' ' || staff_id || ' ' || timefrom || ' ' || createdby from visit"
        )
        .await,
        "1 3 09:30:00 sync"
    );
}

/// The two databases, and a file that isn't there yet.
fn init(office: &Office) -> String {
    let straight = office.straight();
    format!(
        "tandem init --desktop {} --cloud {} --out proposed.toml",
        url(&straight.desktop.endpoint),
        url(&straight.cloud.endpoint)
    )
}

fn url(endpoint: &tandem::config::Endpoint) -> String {
    let tandem::config::Host::Tcp(host) = &endpoint.host else {
        panic!("a port")
    };
    format!(
        "postgres://{}@{host}:{}/{}",
        endpoint.user, endpoint.port, endpoint.database
    )
}

/// It begins, and ends when it is told to.
async fn begins(office: &Office, line: &str) -> bool {
    // A screen needs a terminal, which `script` lends.
    let line = match line.starts_with("tandem top") {
        true => format!("(echo; sleep 3; printf q) | script -qec '{line}' /dev/null"),
        false => format!("timeout --signal=INT 3 {line} --quiet"),
    };
    let line = match line.contains("demo") {
        true => line
            .replace("timeout --signal=INT 3", "timeout --signal=INT 8")
            .replace("--scale 0.1", "--scale 0.01 --seconds 1"),
        false => line,
    };
    let (code, out, said) = shell(office, &line).await;
    // `timeout` says 124 for what it ended, unless that had an answer of its own.
    let fine = matches!(code, 0 | 124 | 130);
    assert!(fine, "{line}: {code}\n{out}\n{said}");
    fine
}

#[tokio::test(flavor = "multi_thread")]
async fn readmes_settings_do_what_their_remarks_say() {
    let office = office().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // The lookup follows, the phone's tick comes home, a phone's diary entry too, and the office's statements run.
    exec(&office.desktop, "update jobs set client_id = 2").await;
    until(&office.cloud, "select client_id = 2 from visit").await;
    exec(&office.cloud, "update visit set done = true").await;
    until(&office.desktop, "select done from visits").await;
    exec(
        &office.cloud,
        "insert into diary values (1, '2026-11-25', '10:15', 'seen', 1, 'M')",
    )
    .await;
    came_home(&office).await;
    until(
        &office.desktop,
        "select timefrom = '2026-11-25 10:15' from diary",
    )
    .await;
    until(&office.desktop, "select count(*) > 0 from handed").await;
    until(&office.cloud, "select count(*) = 50 from prices").await;
    // A value that doesn't fit waits, and is never shortened.
    exec(&office.desktop, "update visits set note = repeat('x', 40)").await;
    until(&office.cloud, "select count(*) = 1 from tandem.quarantine").await;
    assert_eq!(
        value(&office.cloud, "select note from visit").await,
        "first"
    );
    tokio::time::timeout(Duration::from_secs(30), service.stop())
        .await
        .unwrap();
}
