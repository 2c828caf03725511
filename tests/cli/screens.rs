//! Every screen in the state that it is for, made on real servers, compared with `tests/screens`. Numbers stand there as 0.
//! `TANDEM_TEST_BLESS=1` writes the files anew: look at what changed before it is kept.

use std::path::PathBuf;
use std::process::Stdio;

use crate::support::office::{Office, PATIENCE, came_home, exec, finish, tandem, until};
use crate::support::servers::newest;
use tokio::process::Command;

const SETTINGS: &str = "[forward]\nwal_held_max = \"64MB\"\n[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"clients\"\n[[table]]\nname = \"recall\"\n[[table]]\nname = \"diary\"\nflow = \"reverse\"\n";
const ON_DESKTOP: &str = "create table clients (id int primary key, name text); create table recall (id int primary key, due_at timestamp); create table diary (id int, note text, source char(1)); \
    insert into clients select n, 'client ' || n from generate_series(1, 40) n";
const IN_CLOUD: &str = "create table clients (id int primary key, name text); create table recall (id int primary key, due_at timestamp); create table diary (id int primary key, note text, source char(1))";

/// Collects what differs, so that one run tells all.
struct Screens {
    office: Office,
    wrong: Vec<String>,
}

impl Screens {
    async fn shows(&mut self, name: &str, arguments: &[&str], wanted: i32) {
        let (code, out, said) = self.office.ask(arguments).await;
        assert_eq!(code, wanted, "{name}: {out} {said}");
        self.compare(
            name,
            &format!("$ tandem {}\n{out}{said}", arguments.join(" ")),
        );
    }

    /// Waits until a screen says all of this, and compares that one.
    async fn comes_to_show(&mut self, name: &str, arguments: &[&str], wanted: i32, words: &[&str]) {
        let says = async |office: &Office| loop {
            let (code, out, said) = office.ask(arguments).await;
            if code == wanted && words.iter().all(|word| out.contains(word)) {
                return format!("$ tandem {}\n{out}{said}", arguments.join(" "));
            }
            println!("{name}, not yet: {code} {out} {said}");
        };
        let screen = tokio::time::timeout(PATIENCE, says(&self.office)).await;
        self.compare(name, &screen.expect(name));
    }

    fn compare(&mut self, name: &str, screen: &str) {
        let folder = self.office.folder.display().to_string();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let screen = screen
            .replace(&folder, "FOLDER")
            .replace(host.trim(), "HOST");
        let screen: String = screen
            .lines()
            .map(|line| format!("{}\n", same(line.trim_end())))
            .collect();
        let file =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/screens/{name}.txt"));
        if std::env::var_os("TANDEM_TEST_BLESS").is_some() {
            std::fs::write(&file, &screen).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        if kept != screen {
            self.wrong
                .push(format!("--- {name}, kept\n{kept}--- {name}, now\n{screen}"));
        }
    }
}

/// What differs from run to run is the same: digits, positions in the log, times.
fn same(line: &str) -> String {
    let mut out = String::new();
    for word in line.split_inclusive(' ') {
        let bare = word.trim_matches([' ', ';', ',', '(', ')']);
        // How much it is depends on how long it took.
        if ["B", "kB", "MB", "GB"].contains(&bare) {
            out.push_str(&word.replace(bare, "B"));
            continue;
        }
        let is_position = bare.split_once('/').is_some_and(|(high, low)| {
            let hex = |text: &str| {
                !text.is_empty() && text.chars().all(|letter| letter.is_ascii_hexdigit())
            };
            hex(high) && hex(low)
        });
        if is_position {
            out.push_str(&word.replace(bare, "0/0"));
            continue;
        }
        let mut last = ' ';
        for letter in word.chars() {
            let letter = match letter {
                digit if digit.is_ascii_digit() => '0',
                '▁'..='█' => '▁',
                other => other,
            };
            if letter != '0' || last != '0' {
                out.push(letter);
            }
            last = letter;
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_each_screen_is_as_it_is_kept() {
    let office = Office::with_tables(&newest(), SETTINGS, ON_DESKTOP, IN_CLOUD).await;
    let mut it = Screens {
        office,
        wrong: Vec::new(),
    };
    let (_, help, _) = finish(tandem().arg("--help")).await;
    it.compare("help", &help);
    it.shows("status_never_ran", &["status"], 3).await;
    exec(
        &it.office.desktop,
        "create role clerk; alter table clients owner to clerk",
    )
    .await;
    it.shows("doctor", &["doctor"], 0).await;

    let mut service = it.office.run();
    it.office.caught_up(&mut service).await;
    came_home(&it.office).await;
    // It streams before the way home was looked at for the first time.
    it.comes_to_show("status", &["status"], 0, &[" s ago  "])
        .await;
    it.shows("status_all", &["status", "--all"], 0).await;
    it.shows("lag", &["lag"], 0).await;
    it.shows("verify", &["verify"], 0).await;
    it.shows("repair", &["repair"], 0).await;
    it.shows("wait", &["wait", "--timeout", "300s"], 0).await;
    it.shows("quarantine_empty", &["quarantine", "list"], 0)
        .await;
    // Ended when a second picture has come, so that the first is whole.
    let seen = it.office.folder.join("watched");
    std::fs::write(&seen, "").unwrap();
    let watching = format!(
        "(echo; for look in $(seq 1000); do [ $(grep -c measured {0}) -ge 2 ] && break; sleep 0.1; done; printf '\\003') | script -qefc 'tandem -c {1} lag --watch' {0}",
        seen.display(),
        it.office.file().display()
    );
    let screen = terminal(&watching).await;
    let first = screen
        .split("\u{1b}[H\u{1b}[2J")
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    it.compare("lag_watch", &first);

    // A table that somebody changed, rows that differ, a row that was refused.
    exec(&it.office.cloud, "alter table recall alter due_at type int using 0; update clients set name = 'other' where id = 7; alter table clients add constraint fine check (name <> 'bad')").await;
    exec(
        &it.office.desktop,
        "insert into recall values (1, now()); insert into clients values (100, 'bad')",
    )
    .await;
    until(
        &it.office.cloud,
        "select count(*) = 1 from tandem.quarantine",
    )
    .await;
    until(
        &it.office.cloud,
        "select count(*) = 1 from tandem.table_state where state = 'stopped' and why like '%does not fit%'",
    )
    .await;
    // The change of its type wrote the cloud's table anew: a session looks at all of it once more, and comes to the same.
    let words = ["forward   streaming", "it does not fit any more"];
    it.comes_to_show("status_needs_you", &["status"], 1, &words)
        .await;
    it.shows("quarantine", &["quarantine", "list"], 1).await;
    it.shows(
        "verify_different",
        &["verify", "--table", "clients", "--keys"],
        1,
    )
    .await;
    it.shows("repair_different", &["repair", "--table", "clients"], 1)
        .await;
    it.shows("wait_bad_news", &["wait", "--timeout", "300s"], 1)
        .await;
    it.shows("doctor_drifted", &["doctor"], 1).await;

    // The cloud stands: a trigger of somebody's takes its time.
    exec(&it.office.cloud, "create function stands() returns trigger language plpgsql as $$ begin while not exists (select from go) loop perform pg_sleep(0.1); end loop; return new; end $$; \
        create table go (); grant select on go to public; create trigger stands before update on clients for each row execute function stands()").await;
    exec(
        &it.office.desktop,
        "update clients set name = 'waits' where id = 1",
    )
    .await;
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(500));
    while !it
        .office
        .ask(&["lag", "--json"])
        .await
        .1
        .contains("\"stalled\"")
    {
        looks.tick().await;
    }
    it.shows("lag_stalled", &["lag"], 1).await;
    it.shows("status_stalled", &["status"], 1).await;
    exec(&it.office.cloud, "insert into go default values").await;
    exec(&it.office.cloud, "drop trigger stands on clients").await;

    // It is down; and it stopped to protect data.
    service.kill().await;
    it.shows("status_down", &["status"], 3).await;
    it.shows("lag_down", &["lag"], 3).await;
    exec(
        &it.office.desktop,
        "insert into clients values (200, 'missing'); select pg_switch_wal()",
    )
    .await;
    exec(
        &it.office.desktop,
        "select pg_replication_slot_advance('tandem', pg_current_wal_lsn())",
    )
    .await;
    let (code, _, said) = finish(it.office.command(&["run"]).args(["--color", "never"])).await;
    assert_eq!(code, 5, "{said}");
    let said = said.lines().filter(|line| !line.starts_with('{'));
    it.compare(
        "run_protected",
        &said.map(|line| format!("{line}\n")).collect::<String>(),
    );
    it.shows("status_stopped", &["status"], 3).await;

    // Somebody has to mend the input.
    let text = std::fs::read_to_string(it.office.file()).unwrap();
    std::fs::write(
        it.office.file(),
        text.replace("[forward]\n", "[forward]\nbach_rows = 5000\n"),
    )
    .unwrap();
    it.shows("error_settings", &["config", "check"], 2).await;
    std::fs::write(it.office.file(), &text).unwrap();
    // Nobody listens there.
    let nobody = text.replace(&format!(":{}/", it.office.to_cloud.port()), ":1/");
    assert_ne!(nobody, text);
    std::fs::write(it.office.file(), nobody).unwrap();
    it.shows("error_unreachable", &["status"], 4).await;
    assert!(it.wrong.is_empty(), "{}", it.wrong.join("\n"));
}

/// What a terminal of 100 by 30 gets to see.
async fn terminal(line: &str) -> String {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_tandem"));
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .env("PATH", path)
        .env("TERM", "xterm")
        .env("LANG", "C.UTF-8")
        .env("NO_COLOR", "1");
    finish(command.stdin(Stdio::null())).await.1
}
