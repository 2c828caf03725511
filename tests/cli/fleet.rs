//! `tandem fleet` with nothing but a cloud: what it needs, what it says, how it ends. The replicators are made up: rows as their
//! programs write them.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tandem::demo::cluster::{Cluster, ClusterSpec};
use tandem::wire::control::Control;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::office::{PATIENCE, connect, connect_to, exec, finish, tandem, value};
use crate::support::servers::newest;
#[cfg(unix)]
use crate::support::terminal::Terminal;
use crate::support::watched::{ask, fleet_page};

const SCHEMA: &str = include_str!("../../sql/cloud/001_state.sql");
const ROLE: &str = include_str!("../../sql/cloud/fleet.sql");
const CANARY: &str = "cAnary/7 b#rd";

/// A cloud without offices, and a folder to be in.
struct Bench {
    cluster: Cluster,
    cloud: Control,
    folder: PathBuf,
}

impl Bench {
    async fn open() -> Bench {
        let hba = [
            "host all postgres 127.0.0.1/32 trust",
            "host all tandem_fleet 127.0.0.1/32 scram-sha-256",
        ];
        let spec = ClusterSpec {
            hba: hba.map(str::to_owned).to_vec(),
            ..ClusterSpec::default()
        };
        let cluster = Cluster::start(&newest(), &spec).unwrap();
        let cloud = connect(&cluster, "postgres", "postgres").await;
        let folder = cluster.socket_dir().join("away");
        std::fs::create_dir_all(&folder).unwrap();
        Bench {
            cluster,
            cloud,
            folder,
        }
    }

    fn url(&self, user: &str) -> String {
        let (host, port) = (self.cluster.host(), self.cluster.port());
        format!("postgres://{user}@{host}:{port}/postgres")
    }

    /// In a folder without settings.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tandem();
        command.current_dir(&self.folder).args(arguments);
        command.env("HOME", &self.folder);
        command
    }

    async fn fleet(&self, arguments: &[&str]) -> (i32, String, String) {
        let url = self.url("postgres");
        let mut command = self.command(&["fleet", "--cloud", &url]);
        finish(command.args(arguments)).await
    }

    /// A replicator whose lease was renewed, and which spoke, so many seconds ago; `more` is what else it said.
    async fn lives(&self, name: &str, seconds: u32, state: &str) {
        let sql = format!(
            "insert into tandem.checkpoint (replicator, system_id, timeline, database, slot, lsn, committed_at, epoch, holder, held_since, held_until, version)
               values ('{name}', '7', 1, 'enterprise_db', 'tandem', '0/100', now(), 1, 'elsewhere/1/1', now() - interval '1 day',
                   now() - interval '{seconds} s' + interval '30 s', '0.1.0');
             insert into tandem.lifesign (replicator, at, holder, version, state, lag_ms, desktop_lsn, wal_held_bytes, wal_held_bytes_max)
               values ('{name}', now() - interval '{seconds} s', 'elsewhere/1/1', '0.1.0', '{state}', 0, '0/180', 16777216, 4294967296);
             insert into tandem.table_state (replicator, \"table\", cloud, fingerprint, state) values ('{name}', 'jobs', 'public.jobs', '', 'streaming');"
        );
        exec(&self.cloud, &sql).await;
    }
}

fn replicator(document: &str, name: &str) -> Value {
    let document: Value = serde_json::from_str(document).unwrap();
    let mut all = document["replicators"].as_array().unwrap().iter();
    all.find(|one| one["replicator"] == name).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_to_look_at_decides_the_exit_code() {
    let it = Bench::open().await;
    // Neither a cloud nor settings that name one.
    let (code, out, error) = finish(&mut it.command(&["fleet"])).await;
    assert_eq!((code, out.as_str()), (2, ""), "{error}");
    assert!(error.contains("no settings file"), "{error}");
    for (url, words) in [
        ("nonsense", "--cloud"),
        ("postgres://u:${NOBODY_SET_IT}@127.0.0.1/d", "NOBODY_SET_IT"),
    ] {
        let (code, out, error) = finish(&mut it.command(&["fleet", "--cloud", url])).await;
        assert_eq!((code, out.as_str()), (2, ""), "{error}");
        assert!(error.contains(words), "{error}");
    }
    let away = "postgres://u@127.0.0.1:1/d";
    let (code, _, error) = finish(&mut it.command(&["fleet", "--cloud", away, "--json"])).await;
    assert!(
        code == 4 && error.contains("the cloud cannot be reached"),
        "{error}"
    );

    let (code, out, error) = it.fleet(&[]).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        error.contains("no schema tandem") && error.contains("hint: "),
        "{error}"
    );

    exec(&it.cloud, SCHEMA).await;
    let (code, out, error) = it.fleet(&["--json"]).await;
    assert_eq!((code, error.as_str()), (0, ""));
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document, json!({"schema": 1, "replicators": []}));
    let (code, out, _) = it.fleet(&[]).await;
    assert!(code == 0 && out.starts_with("no replicator"), "{out}");

    exec(
        &it.cloud,
        "update tandem.version set oldest_binary = '99.0.0'",
    )
    .await;
    let (code, _, error) = it.fleet(&[]).await;
    assert!(
        code == 2 && error.contains("needs tandem 99.0.0 or newer"),
        "{error}"
    );
    exec(
        &it.cloud,
        "update tandem.version set oldest_binary = '0.1.0'; drop table tandem.lifesign",
    )
    .await;
    let (code, _, error) = it.fleet(&[]).await;
    assert!(
        code == 2 && error.contains("was made by an older tandem"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_trouble_stands_first_and_rights_to_read_are_enough() {
    let it = Bench::open().await;
    exec(&it.cloud, SCHEMA).await;
    for name in ["anna", "bert", "carl", "dora"] {
        it.lives(name, 2, "streaming").await;
    }
    let (code, out, _) = it.fleet(&[]).await;
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("4 replicators, all fine\n"), "{out}");
    let names: Vec<_> = { out.lines().skip(3) }
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(names, ["anna", "bert", "carl", "dora"]);

    // One fell silent, whatever it said; one has trouble; one says what nobody knows yet.
    exec(
        &it.cloud,
        "update tandem.checkpoint set held_until = now() - interval '40 minutes' where replicator = 'dora';
         update tandem.lifesign set at = now() - interval '40 minutes' where replicator = 'dora';
         update tandem.table_state set state = 'stopped', why = 'no column x' where replicator = 'carl';
         insert into tandem.quarantine (replicator, direction, \"table\", key, key_hash, cells, work, sqlstate, why)
           values ('carl', 'reverse', 'jobs', '{secret}', '1', '{secret}', 'upsert', '23505', 'secret');
         insert into tandem.outbox (replicator, \"table\", key, op, made_at) values ('carl', 'jobs', '{secret}', 'U', now() - interval '1 minute')",
    )
    .await;
    let (code, out, error) = it.fleet(&[]).await;
    assert_eq!((code, error.as_str()), (1, ""), "{out}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], "2 of 4 replicators need somebody");
    assert!(lines[2].contains("REPLICATOR") && lines[2].contains("SEEN"));
    assert!(
        lines[3].contains("carl") && lines[3].contains("needs you"),
        "{out}"
    );
    assert!(
        lines[3].ends_with("jobs stopped: no column x; one row in quarantine"),
        "{out}"
    );
    assert!(
        lines[4].contains("dora") && lines[4].contains("40 min ago"),
        "{out}"
    );
    assert!(
        lines[5].contains("anna") && lines[6].contains("bert"),
        "{out}"
    );
    assert!(!out.contains("secret"), "{out}");

    let (code, out, _) = it.fleet(&["--json"]).await;
    assert_eq!(code, 1);
    let carl = replicator(&out, "carl");
    assert_eq!(carl["verdict"], "needs_you");
    assert_eq!(carl["quarantined"], json!({"forward": 0, "reverse": 1}));
    assert_eq!(
        carl["stopped"],
        json!([{"table": "jobs", "state": "stopped", "why": "no column x"}])
    );
    assert_eq!(
        (&carl["tables"], &carl["reverse"]["pending"]),
        (&json!(1), &json!(1))
    );
    assert!(carl["reverse"]["lag_ms"].as_i64().unwrap() >= 60_000);
    assert_eq!(carl["wal_held_bytes"], 16_777_216);
    assert_eq!(
        (&carl["lag_ms"], &carl["lag_bytes"]),
        (&json!(0), &json!(0))
    );
    let dora = replicator(&out, "dora");
    assert_eq!(dora["verdict"], "down");
    assert_eq!(dora["since"], dora["last_seen"]);
    for unknown in ["lag_ms", "lag_bytes", "wal_held_bytes"] {
        assert_eq!(dora[unknown], Value::Null, "{unknown}");
    }

    // A user who may read that and no more, whose server lets it write nothing; the password comes as it comes.
    exec(&it.cloud, &format!("set tandem.role = 'tandem_fleet'; {ROLE}; alter role tandem_fleet password '{CANARY}'; alter role tandem_fleet set default_transaction_read_only = on")).await;
    let whole = out;
    let user = it.url("tandem_fleet");
    let with_name = user.replacen("tandem_fleet@", "tandem_fleet:${CANARY}@", 1);
    let encoded = user.replacen("tandem_fleet@", "tandem_fleet:cAnary%2F7%20b%23rd@", 1);
    let passfile = it.folder.join("pass");
    std::fs::write(&passfile, format!("*:*:*:tandem_fleet:{CANARY}\n")).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(
        &passfile,
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    let passfile = passfile.to_str().unwrap();
    for (url, variable) in [
        (&with_name, Some(("CANARY", CANARY))),
        (&encoded, None),
        (&user, Some(("TANDEM_CLOUD_PASSWORD", CANARY))),
        (&user, Some(("PGPASSFILE", passfile))),
        // The flag beats the environment.
        (
            &encoded,
            Some(("TANDEM_CLOUD_URL", "postgres://nobody@127.0.0.1:1/d")),
        ),
    ] {
        let mut command = it.command(&["fleet", "--json", "--cloud", url]);
        let (code, out, error) = finish(command.envs(variable)).await;
        assert_eq!((code, error.as_str()), (1, ""), "{url} {variable:?}");
        assert!(!out.contains("anary"), "P16");
        let (now, before) = (replicator(&out, "carl"), replicator(&whole, "carl"));
        assert_eq!(
            (&now["why"], &now["quarantined"]),
            (&before["why"], &before["quarantined"])
        );
    }
    let mut command = it.command(&["fleet", "--cloud", &user]);
    let (code, out, error) = finish(command.env("TANDEM_CLOUD_PASSWORD", "wrOng")).await;
    assert_eq!((code, out.as_str()), (2, ""), "{error}");
    assert!(
        error.contains("does not let us in") && !error.contains("wrOng"),
        "{error}"
    );
    exec(
        &it.cloud,
        "revoke select on tandem.lifesign from tandem_fleet",
    )
    .await;
    let mut command = it.command(&["fleet", "--cloud", &encoded]);
    let (code, _, error) = finish(&mut command).await;
    assert!(
        code == 2 && error.contains("sql/cloud/fleet.sql"),
        "{error}"
    );
    exec(&it.cloud, "revoke usage on schema tandem from tandem_fleet").await;
    let (code, _, error) = finish(&mut command).await;
    assert!(
        code == 2 && error.contains("sql/cloud/fleet.sql"),
        "{error}"
    );
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn p15_a_fleet_is_watched_by_lines_on_a_screen_and_in_a_browser() {
    let mut it = Bench::open().await;
    exec(&it.cloud, SCHEMA).await;
    // Alive for as long as the test takes.
    for name in ["anna", "bert"] {
        it.lives(name, 0, "streaming").await;
    }
    exec(
        &it.cloud,
        "update tandem.checkpoint set term = '1 hour', held_until = now() + interval '1 hour'; \
        update tandem.lifesign set at = now() + interval '1 hour'",
    )
    .await;
    let url = it.url("postgres");
    let mut watch = it.command(&["fleet", "--cloud", &url, "--watch"]);
    let mut watch = watch
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut screen = Terminal::start(it.command(&["fleet", "--cloud", &url, "--watch"]));
    let mut command = it.command(&[]);
    command.env("TANDEM_CLOUD_URL", &url);
    let (code, _, error) =
        finish(command.args(["fleet", "--cloud", &url, "--listen", "nowhere"])).await;
    assert!(code == 2 && error.contains("nowhere"), "{error}");
    // Of the settings this time.
    let settings =
        format!("[desktop]\nurl = \"postgres://d@127.0.0.1:1/d\"\n[cloud]\nurl = \"{url}\"\n");
    std::fs::write(it.folder.join("tandem.toml"), settings).unwrap();
    let (page, port) = fleet_page(it.command(&[])).await;
    let (code, _, error) = it.fleet(&["--listen", &format!("127.0.0.1:{port}")]).await;
    assert!(
        code == 2 && error.contains("nothing can be served at"),
        "{error}"
    );

    let mut next = async || {
        timeout(PATIENCE, lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    };
    assert!(
        next()
            .await
            .starts_with("replicator=anna verdict=caught_up lag_ms=0 ")
    );
    assert!(
        next()
            .await
            .starts_with("replicator=bert verdict=caught_up lag_ms=0 ")
    );
    screen.shows("2 replicators, all fine").await;
    let metric = async |name: &str| {
        let (code, page) = ask(port, "GET", "/metrics").await;
        assert_eq!(code, 200);
        let line = page
            .lines()
            .find(|line| line.split(' ').next() == Some(name));
        line.map(|line| line.rsplit(' ').next().unwrap().to_owned())
    };
    let known = metric("tandem_fleet_up{replicator=\"anna\"}").await;
    assert_eq!(known.as_deref(), Some("1"));
    let known = metric("tandem_fleet_verdict{replicator=\"anna\",verdict=\"caught_up\"}").await;
    assert_eq!(known.as_deref(), Some("1"));
    let known = metric("tandem_fleet_wal_held_bytes{replicator=\"bert\"}").await;
    assert_eq!(known.as_deref(), Some("16777216"));
    let (code, html) = ask(port, "GET", "/").await;
    assert!(code == 200 && html.contains("<title>tandem fleet</title>"));
    assert!(
        !html.contains("http://") && !html.contains("https://"),
        "no outside requests"
    );
    assert_eq!(ask(port, "POST", "/").await.0, 405);
    assert_eq!(ask(port, "GET", "/etc/passwd").await.0, 404);

    // A change is a line, and nothing else is.
    exec(
        &it.cloud,
        "update tandem.checkpoint set released_at = now() where replicator = 'bert'",
    )
    .await;
    let line = next().await;
    assert!(
        line.starts_with("replicator=bert verdict=down lag_ms=unknown ")
            && line.contains("why=\"was stopped at "),
        "{line}"
    );
    screen.shows("one of 2 replicators needs somebody").await;
    let gone = "tandem_fleet_up{replicator=\"bert\"}";
    let mut document = String::new();
    let mut down = false;
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(100));
    let looks = async {
        while !down {
            ticks.tick().await;
            down = metric(gone).await.as_deref() == Some("0");
        }
        document = ask(port, "GET", "/fleet.json").await.1;
    };
    timeout(PATIENCE, looks)
        .await
        .expect("the metrics don't say so");
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["failed"], Value::Null);
    assert_eq!(document["fleet"]["replicators"][0]["replicator"], "bert");
    assert_eq!(
        metric("tandem_fleet_lag_seconds{replicator=\"bert\"}").await,
        None,
        "it isn't known"
    );

    // The cloud goes away and comes back: all three wait for it.
    it.cluster.stop(tandem::demo::cluster::Mode::Fast).unwrap();
    screen.shows("the cloud cannot be reached").await;
    let away = async {
        while metric("tandem_fleet_cloud_up").await.as_deref() != Some("0") {
            ticks.tick().await;
        }
    };
    timeout(PATIENCE, away)
        .await
        .expect("the metrics don't say that the cloud is away");
    assert_eq!(metric(gone).await, None, "nothing is known of it now");
    it.cluster.start_again().unwrap();
    it.cloud = connect_to(&tandem::demo::endpoint(&it.cluster, "postgres", "postgres")).await;
    screen.shows("one of 2 replicators needs somebody").await;
    exec(
        &it.cloud,
        "delete from tandem.checkpoint where replicator = 'bert'",
    )
    .await;
    assert_eq!(next().await, "replicator=bert verdict=removed");
    screen.shows("one replicator, and it is fine").await;
    assert_eq!(
        value(&it.cloud, "select count(*) from tandem.lifesign").await,
        "1"
    );
    assert_eq!(page.stop().await, 0);
}
