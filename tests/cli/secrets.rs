//! P16: a password is in no output, wherever it came from and whatever goes wrong.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tandem::demo::cluster::{Cluster, ClusterSpec};
use tandem::wire::control::Control;
use tokio::process::Command;

use crate::support::office::{PATIENCE, Service, connect_to, exec, finish, tandem, until};
use crate::support::servers::newest;
use crate::support::{Nobody, poll};

/// In no word of any program, and unlike itself when it is encoded for a URL.
const CANARY: &str = "cAnary/7 b#rd";
const ENCODED: &str = "cAnary%2F7%20b%23rd";
const WRONG: &str = "wrOng/7 b#rd";
const WRONG_ENCODED: &str = "wrOng%2F7%20b%23rd";

/// Ways to give a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Url,
    Key,
    Dotenv,
    File,
    Passfile,
    Variable,
}

const PLACES: [Place; 6] = [
    Place::Url,
    Place::Key,
    Place::Dotenv,
    Place::File,
    Place::Passfile,
    Place::Variable,
];

/// One server with both databases, and a folder of settings.
struct Bench {
    cluster: Cluster,
    admin: Control,
}

async fn bench() -> Bench {
    let hba = [
        "host all postgres 127.0.0.1/32 trust",
        "host all office 127.0.0.1/32 scram-sha-256",
    ];
    let spec = ClusterSpec {
        hba: hba.map(str::to_owned).to_vec(),
        ..ClusterSpec::default()
    };
    let cluster = Cluster::start(&newest(), &spec).unwrap();
    let admin = connect_to(&tandem::demo::endpoint(&cluster, "postgres", "postgres")).await;
    exec(
        &admin,
        &format!("create role office login superuser password '{CANARY}'"),
    )
    .await;
    Bench { cluster, admin }
}

/// A folder with settings whose passwords come from one place; knows how to call tandem there.
struct Caller {
    folder: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Caller {
    fn new(
        cluster: &Cluster,
        name: &str,
        place: Place,
        password: &str,
        encoded: &str,
        port: u16,
    ) -> Caller {
        let folder = cluster.socket_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        let mut variables = Vec::new();
        let in_url = if place == Place::Url {
            format!(":{encoded}")
        } else {
            String::new()
        };
        let line = match place {
            Place::Url => String::new(),
            Place::Key => format!("password = \"{password}\"\n"),
            Place::Dotenv => {
                write(&folder, ".env", &format!("SECRET='{password}'\n"));
                "password = \"${SECRET}\"\n".to_owned()
            }
            Place::File => {
                write(&folder, "secret", &format!("{password}\n"));
                "password_file = \"secret\"\n".to_owned()
            }
            Place::Passfile => {
                let file = write(
                    &folder,
                    "pgpass",
                    &format!("127.0.0.1:{port}:*:office:{password}\n"),
                );
                variables.push(("PGPASSFILE", file.display().to_string()));
                String::new()
            }
            Place::Variable => {
                variables.push(("TANDEM_DESKTOP_PASSWORD", password.to_owned()));
                variables.push(("TANDEM_CLOUD_PASSWORD", password.to_owned()));
                String::new()
            }
        };
        let side = |database: &str| {
            format!("url = \"postgres://office{in_url}@127.0.0.1:{port}/{database}\"\n{line}")
        };
        let log = "[log]\nfile = \"logs\"\n[[table]]\nname = \"item\"\n";
        write(
            &folder,
            "tandem.toml",
            &format!(
                "[desktop]\n{}[cloud]\n{}{log}",
                side("desktop"),
                side("cloud")
            ),
        );
        Caller { folder, variables }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tandem();
        command
            .args(["-vv", "--config"])
            .arg(self.folder.join("tandem.toml"))
            .args(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// Asks, and looks at all that was said.
    async fn ask(&self, arguments: &[&str]) -> (i32, String) {
        let (code, out, error) = finish(&mut self.command(arguments)).await;
        let said = format!("{out}{error}{}", self.files());
        assert_silent(&said);
        (code, said)
    }

    /// `run` as a process; its output goes to a file in the folder of the logs.
    fn run(&self) -> Service {
        let log = self.folder.join("logs");
        std::fs::create_dir_all(&log).unwrap();
        let file = |name: &str| Stdio::from(std::fs::File::create(log.join(name)).unwrap());
        let mut command = self.command(&["run"]);
        command
            .stdout(file("out"))
            .stderr(file("error"))
            .kill_on_drop(true);
        Service {
            child: command.spawn().unwrap(),
        }
    }

    fn files(&self) -> String {
        let files = std::fs::read_dir(self.folder.join("logs"))
            .into_iter()
            .flatten();
        files
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
            .collect()
    }
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path
}

fn assert_silent(said: &str) {
    for part in [CANARY, ENCODED, WRONG, WRONG_ENCODED, "cAnary", "wrOng"] {
        assert!(!said.contains(part), "{part} in {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p16_f17_a_right_password_works_from_everywhere_and_is_never_shown() {
    let bench = bench().await;
    for place in PLACES {
        let databases = "drop database if exists desktop; drop database if exists cloud";
        for sql in databases
            .split("; ")
            .chain(["create database desktop", "create database cloud"])
        {
            exec(&bench.admin, sql).await;
        }
        let sides = ["desktop", "cloud"]
            .map(|name| tandem::demo::endpoint(&bench.cluster, "postgres", name));
        let (desktop, cloud) = (connect_to(&sides[0]).await, connect_to(&sides[1]).await);
        for side in [&desktop, &cloud] {
            exec(side, "create table item (id int primary key, what text)").await;
        }
        let caller = Caller::new(
            &bench.cluster,
            &format!("{place:?}"),
            place,
            CANARY,
            ENCODED,
            bench.cluster.port(),
        );
        let service = caller.run();
        exec(&desktop, "insert into item values (1, 'x')").await;
        until(&cloud, "select count(*) = 1 from item").await;
        until(
            &desktop,
            "select count(*) = 1 from pg_stat_replication where state = 'streaming'",
        )
        .await;
        for question in [&["lag", "--json"][..], &["wait"]] {
            assert_eq!(caller.ask(question).await.0, 0, "{place:?}");
        }
        // A second one is refused, and a stop is clean: their words are looked at too.
        assert_eq!(caller.ask(&["run"]).await.0, 5, "{place:?}");
        assert_eq!(service.stop().await, 0, "{place:?}: {}", caller.files());
        let logs = caller.files();
        assert!(
            logs.contains("streaming") && logs.contains("stopped"),
            "{logs}"
        );
        assert_silent(&logs);
        exec(&desktop, "select pg_drop_replication_slot('tandem')").await;
        assert_eq!(
            caller.ask(&["run"]).await.0,
            5,
            "{place:?}: without its slot"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p16_a_wrong_password_is_exit_2_at_once_and_is_not_shown() {
    let bench = bench().await;
    exec(&bench.admin, "create database desktop").await;
    exec(&bench.admin, "create database cloud").await;
    for place in PLACES {
        let caller = Caller::new(
            &bench.cluster,
            &format!("{place:?}"),
            place,
            WRONG,
            WRONG_ENCODED,
            bench.cluster.port(),
        );
        for command in ["lag", "wait", "run"] {
            let (code, said) = caller.ask(&[command]).await;
            assert_eq!(code, 2, "{place:?} {command}: {said}");
            assert!(
                said.contains("28P01") && said.contains("does not let us in"),
                "{said}"
            );
            assert!(!said.contains("trying again"), "{said}");
        }
    }
    // Each of the three tries both sides at once, and the first that refuses ends it.
    let refused = bench
        .cluster
        .log_tail(10_000)
        .matches("password authentication failed")
        .count();
    assert!(
        refused <= PLACES.len() * 6,
        "{refused} attempts: somebody tried again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p16_an_unreachable_server_is_exit_4_or_weather_and_nothing_is_shown() {
    let bench = bench().await;
    let nobody = Nobody::new();
    for place in PLACES {
        let caller = Caller::new(
            &bench.cluster,
            &format!("{place:?}"),
            place,
            CANARY,
            ENCODED,
            nobody.port(),
        );
        for question in ["lag", "wait"] {
            let (code, said) = caller.ask(&[question]).await;
            assert_eq!(code, 4, "{place:?} {question}: {said}");
        }
        let service = caller.run();
        // There is no server to ask; the log is the only sign.
        let retrying = poll(PATIENCE, || {
            caller.files().contains("trying again").then_some(())
        });
        assert!(retrying.is_some(), "{}", caller.files());
        assert_eq!(service.stop().await, 0, "a stop does not wait for a retry");
        assert_silent(&caller.files());
    }
}
