//! The running service reads its settings again: what changed counts, a mistake changes nothing, and whoever asked is answered.

use std::path::PathBuf;

use serde_json::{Value, json};
use tandem::demo::cluster::free_port;

use crate::support::office::{Office, Service, connect, exec, finish, tandem, until, value};
use crate::support::servers::newest;
use crate::support::watched::Watched;

const TABLES: &str = "create table item (id int primary key, note text); create table other (id int primary key); \
    create table third (id int primary key, note text); create table diary (id int primary key, note text)";
const IN_CLOUD: &str = "create table item (id int primary key, note text); create table other (id int primary key); \
    create table third (id int primary key, note text); create table diary (id int primary key, note text, source text default 'M')";
const SETTINGS: &str = "[heartbeat]\nevery = \"500ms\"\n[reverse]\nevery = \"30m\"\n[[table]]\nname = \"diary\"\nflow = \"reverse\"\n[[table]]\nname = \"item\"\n[[table]]\nname = \"other\"\n";

/// An office, its settings' text as it was, and a copy of the file for whoever asks from elsewhere.
struct Desk {
    office: Office,
    text: String,
    elsewhere: PathBuf,
}

impl Desk {
    async fn open() -> Desk {
        let office = Office::with_tables(&newest(), SETTINGS, TABLES, IN_CLOUD).await;
        let text = std::fs::read_to_string(office.file()).unwrap();
        let elsewhere = office.folder.join("elsewhere.toml");
        std::fs::write(&elsewhere, &text).unwrap();
        Desk {
            office,
            text,
            elsewhere,
        }
    }

    /// The service's file with this put in place of that.
    fn write(&self, changes: &[(&str, &str)]) {
        let mut text = self.text.clone();
        for (from, to) in changes {
            assert!(text.contains(from), "{from} in {text}");
            text = text.replace(from, to);
        }
        std::fs::write(self.office.file(), text).unwrap();
    }

    /// `tandem reload` with the file of before: exit code and standard output.
    async fn reload(&self) -> (i32, String) {
        let mut command = tandem();
        command.arg("--config").arg(&self.elsewhere).arg("reload");
        let (code, out, said) = finish(&mut command).await;
        println!("{code} {out} {said}");
        (code, out)
    }

    /// Which session it is: the desktop's process that sends the log, and the lease.
    async fn session(&self) -> (String, String) {
        let streams =
            "select active_pid is not null from pg_replication_slots where slot_name = 'tandem'";
        until(&self.office.desktop, streams).await;
        let sender = "select active_pid from pg_replication_slots where slot_name = 'tandem'";
        let sender = value(&self.office.desktop, sender).await;
        let epoch = value(&self.office.cloud, "select epoch from tandem.checkpoint").await;
        (sender, epoch)
    }

    async fn add(&self, service: &mut Service, id: u32) {
        let office = &self.office;
        exec(
            &office.desktop,
            &format!("insert into item values ({id}, 'x')"),
        )
        .await;
        office.caught_up(service).await;
        let there = format!("select count(*) from item where id = {id}");
        assert_eq!(value(&office.cloud, &there).await, "1");
    }

    async fn settings_in_status(&self) -> Value {
        let mut command = tandem();
        command.arg("--config").arg(&self.elsewhere);
        let (_, out, _) = finish(command.args(["status", "--json"])).await;
        let status: Value = serde_json::from_str(&out).unwrap();
        status["settings"].clone()
    }

    /// Until what was read last came to that.
    async fn came_to(&self, outcome: &str) {
        let last = format!(
            "select coalesce((select outcome = '{outcome}' from tandem.reload order by id desc limit 1), false)"
        );
        until(&self.office.cloud, &last).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_reads_its_settings_again_and_goes_on() {
    let desk = Desk::open().await;
    let office = &desk.office;
    exec(
        &office.desktop,
        "insert into third select n, 'same' from generate_series(1, 100) n",
    )
    .await;

    // While the first copy can't go on it is answered all the same.
    let office_program = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    exec(&office_program, "begin; lock table other in exclusive mode").await;
    let mut service = office.run();
    until(
        &office.cloud,
        "select to_regclass('tandem.checkpoint') is not null",
    )
    .await;
    until(
        &office.cloud,
        "select exists (select from tandem.checkpoint where held_until > clock_timestamp())",
    )
    .await;
    desk.write(&[("every = \"30m\"", "every = \"40m\"")]);
    assert_eq!(
        desk.reload().await,
        (0, "taken up: reverse.every\n".to_owned())
    );
    exec(&office_program, "rollback").await;
    office.caught_up(&mut service).await;

    // Schedules count in the session that streams.
    let session = desk.session().await;
    exec(&office.cloud, "insert into diary values (100, 'by phone')").await;
    let port = free_port().unwrap();
    let listens = format!("[listen]\nhttp = \"127.0.0.1:{port}\"\n[[table]]\nname = \"item\"");
    let scheduled = [
        ("every = \"500ms\"", "every = \"20s\""),
        (
            "every = \"30m\"",
            "every = \"200ms\"\n[refill]\nsql = \"insert into other values (7)\"",
        ),
        ("[[table]]\nname = \"item\"", &listens),
        ("name = \"other\"", "name = \"other\"\nswap = \"1s\""),
    ];
    desk.write(&scheduled);
    let (code, out) = desk.reload().await;
    assert_eq!(code, 0);
    for key in [
        "reverse.every",
        "refill.sql",
        "heartbeat.every",
        "listen.http",
        "table.other.swap",
    ] {
        assert!(out.contains(key), "{out}");
    }
    until(
        &office.desktop,
        "select exists (select from diary where id = 100)",
    )
    .await;
    until(
        &office.cloud,
        "select exists (select from other where id = 7)",
    )
    .await;
    until(
        &office.cloud,
        "select exists (select from tandem.swap where \"table\" = 'other' and ended_at is not null)",
    )
    .await;
    until(&office.cloud, "select term = '60 s' from tandem.checkpoint").await;
    let watched = Watched {
        office: desk.office,
        port,
    };
    watched.shows(200, "caught_up", "tandem_up", 1.0).await;
    let desk = Desk {
        office: watched.office,
        ..desk
    };
    let office = &desk.office;
    assert_eq!(desk.session().await, session, "it is the same session");
    assert_eq!(desk.reload().await, (0, "nothing has changed\n".to_owned()));

    // A mistake is said with its place, and nothing changes. The same by signal.
    desk.write(&[("name = \"item\"", "name = \"item\"\nkye = []")]);
    let (code, out) = desk.reload().await;
    let line = 2 + desk
        .text
        .lines()
        .position(|line| line == "name = \"item\"")
        .unwrap();
    let place = format!("tandem.toml:{line}:1");
    assert!(
        code == 2 && out.contains(&place) && out.contains("unknown setting kye"),
        "{out}"
    );
    assert_eq!(desk.settings_in_status().await["outcome"], "bad");
    let (code, out, said) = office.ask(&["reload"]).await;
    assert!(
        (code, out.as_str()) == (2, "") && said.contains(&place) && said.contains("goes on"),
        "{said}"
    );
    std::fs::remove_file(office.file()).unwrap();
    let (code, out) = desk.reload().await;
    assert!(
        code == 2 && out.contains("there is no settings file"),
        "{out}"
    );
    std::fs::write(office.file(), b"[desktop]\n\xff").unwrap();
    service.signal("HUP");
    let said = "select coalesce((select answer ->> 'why' like '%isn''t UTF-8%' from tandem.reload order by id desc limit 1), false)";
    until(&office.cloud, said).await;
    let mut status = tandem();
    status.arg("--config").arg(&desk.elsewhere).arg("status");
    let (code, out, _) = finish(&mut status).await;
    assert!(
        code == 1 && out.contains("its settings file needs you") && out.contains("isn't UTF-8"),
        "{out}"
    );
    desk.add(&mut service, 1).await;
    assert_eq!(desk.session().await, session);

    // A good one again, by signal, and several at once.
    desk.write(&scheduled);
    for _ in 0..3 {
        service.signal("HUP");
    }
    desk.came_to("unchanged").await;
    assert_eq!(desk.settings_in_status().await, Value::Null);
    assert_eq!(desk.session().await, session);

    // A new table is copied while the others stream; what needs a restart is named, and stays as it is.
    let third = "name = \"other\"\n[[table]]\nname = \"third\"";
    let (slot, log) = (
        "[forward]\nslot = \"office\"\n[reverse]",
        "[log]\nkeep = \"9d\"\n[forward]",
    );
    desk.write(&[
        ("name = \"other\"", third),
        ("[reverse]", slot),
        ("[forward]", log),
    ]);
    let (code, out, said) = office.ask(&["reload", "--json"]).await;
    let answer: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out} {said}"));
    assert_eq!((code, &answer["outcome"]), (1, &json!("restart")), "{out}");
    assert_eq!(answer["restart"], json!(["forward.slot", "log.keep"]));
    let taken_up = answer["taken_up"].as_array().unwrap();
    assert!(taken_up.contains(&json!("table.third (new)")), "{out}");
    desk.add(&mut service, 2).await;
    until(&office.cloud, "select count(*) = 100 from third").await;
    let newer = desk.session().await;
    assert_ne!(newer, session, "a new table needs a new session");
    assert_eq!(
        desk.settings_in_status().await["restart"],
        answer["restart"]
    );

    // What doesn't fit, what can't be a key, another database, and a server that isn't there: the session goes on, or the
    // one before is back.
    let table = |more: &str| format!("{third}{more}");
    let port = free_port().unwrap();
    let port = format!("127.0.0.1:{port}");
    let host = |section: &str| {
        let (_, rest) = desk.text.split_once(section).unwrap();
        let (_, rest) = rest.split_once('@').unwrap();
        rest.split_once('/').unwrap().0.to_owned()
    };
    let desktop = host("[desktop]");
    let cloud = host("[cloud]");
    let reader = "create role reader login; grant usage on schema tandem, public to reader; grant select on all tables in schema tandem to reader; \
        grant select, insert, update, delete, trigger on all tables in schema public to reader; grant create on database postgres to reader";
    exec(&office.cloud, reader).await;
    let elsewhere = [
        (
            third.to_owned(),
            table("\nskip = [\"note\", \"id\"]"),
            2,
            "third",
        ),
        (
            third.to_owned(),
            table("\nkey = [\"note\"]"),
            2,
            "do not name one row",
        ),
        (
            "/enterprise_db".to_owned(),
            "/postgres".to_owned(),
            2,
            "leads to another database",
        ),
        (desktop, port, 4, "the desktop cannot be reached"),
        // He may look, so all fits; but no session can begin.
        (
            format!("postgres@{cloud}"),
            format!("reader@{cloud}"),
            2,
            "does not allow this to our user",
        ),
    ];
    for (id, (from, to, code, words)) in (3..).zip(&elsewhere) {
        desk.write(&[("name = \"other\"", third)]);
        let text = std::fs::read_to_string(office.file()).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(office.file(), text.replacen(from, to, 1)).unwrap();
        let answer = desk.reload().await;
        assert!(answer.0 == *code && answer.1.contains(words), "{answer:?}");
        desk.add(&mut service, id).await;
    }
    exec(&office.desktop, "insert into third values (101, 'streams')").await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(&office.cloud, "select count(*) from third").await,
        "101"
    );

    // The cloud is away: who asks can't be answered, a signal can; it counts when the cloud is back.
    office.to_cloud.refuse(true);
    office.to_cloud.cut();
    desk.write(&[]);
    assert_eq!(desk.reload().await.0, 4);
    let seen = office.log().matches("the settings were read again").count();
    service.signal("HUP");
    tandem_says(office, "the settings were read again", seen + 1).await;
    office.to_cloud.refuse(false);
    until(
        &office.cloud,
        "select state = 'removed' from tandem.table_state where \"table\" = 'third'",
    )
    .await;
    desk.add(&mut service, 20).await;
    desk.came_to("taken_up").await;
    assert_eq!(desk.settings_in_status().await, Value::Null);

    assert_eq!(service.stop().await, 0);
    let (code, out, said) = office.ask(&["reload"]).await;
    assert!(
        (code, out.as_str()) == (3, "") && said.contains("not running"),
        "{said}"
    );
}

/// Until the log has said it so many times.
async fn tandem_says(office: &Office, words: &str, times: usize) {
    let said = || office.log().matches(words).count() >= times;
    let waits = async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(10));
        while !said() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(crate::support::office::PATIENCE, waits)
        .await
        .unwrap_or_else(|_| panic!("never said: {words}"));
}
