//! The first copy of PowerCA's tables into an empty cloud, and an unchanged swap of the largest of them: `tandem
//! bootstrap`, PostgreSQL's initial sync, and one COPY after the other into COPY.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tandem::config::{Settings, Sources};
use tandem::demo::cluster::{Cluster, ClusterSpec};
use tandem::demo::endpoint;
use tandem::flows::agree;
use tandem::model::{Source, Tables};
use tandem::wire::control::Control;
use tandem::wire::{Mode, PINNED, Session};
use tokio::process::Command;

use crate::proxy::Proxy;
use crate::report::median;
use crate::scene::{binaries, connect, number, run, text, wait_for};

const OFFICE: &str = "enterprise_db";
/// The superuser of the cloud's server; `postgres` is none there.
pub const ADMIN: &str = "supabase_admin";
const SETTINGS: &str = include_str!("../../deploy/powerca.toml");

/// Who copies; the last one where it is installed.
const RIVALS: [&str; 4] = ["tandem", "native", "copy | copy", "pgcopydb"];

pub struct Hall {
    pub desktop_server: Cluster,
    pub cloud_server: Cluster,
    pub desktop: Control,
    admin: Control,
    pub to_cloud: Proxy,
    pub to_desktop: Proxy,
    pub folder: PathBuf,
}

/// Copies `scale` times PowerCA, and prints medians.
pub async fn first(scale: f64, rounds: usize, round_trips: &[Duration]) {
    let hall = Hall::open(scale).await;
    let tables = hall.tables().await;
    let rows = hall.rows(&tables).await;
    let known = hall.is_known_to_pgcopydb().await;
    let here: Vec<&str> = RIVALS
        .into_iter()
        .filter(|rival| known || *rival != "pgcopydb")
        .collect();
    if !known {
        println!("pgcopydb isn't here, or doesn't know these servers: it is left out");
    }
    for trip in round_trips {
        let hall = &hall;
        hall.to_cloud.set_delay(*trip / 2);
        hall.to_desktop.set_delay(*trip / 2);
        let mut seconds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for round in 0..rounds {
            let mut rivals = here.clone();
            rivals.rotate_left(round % here.len());
            for rival in rivals {
                let took = Box::pin(hall.copy(rival, &tables, *trip)).await;
                seconds.entry(rival).or_default().push(took);
            }
            if round == 0 {
                let took = Box::pin(hall.swap(*trip)).await;
                println!(
                    "  an unchanged swap of jobtasks takes {took:.2} s, the program's start and end included"
                );
            }
        }
        println!(
            "\nfirst copy of {rows} rows, {} ms round trips",
            trip.as_millis()
        );
        let ours = median(seconds["tandem"].clone());
        for rival in &here {
            let took = median(seconds[*rival].clone());
            let rate = rows as f64 / took;
            println!(
                "  {rival:<14} {took:>8.2} s {rate:>10.0} rows/s   tandem is {:.2} times as fast",
                took / ours
            );
        }
    }
}

impl Hall {
    pub async fn open(scale: f64) -> Hall {
        let start = |superuser: &str| {
            let spec = ClusterSpec {
                fsync: true,
                superuser: superuser.into(),
                ..ClusterSpec::default()
            };
            let spec = spec
                .set("shared_buffers", "512MB")
                .set("max_wal_size", "8GB")
                .set("checkpoint_timeout", "1h");
            Cluster::start(&binaries(), &spec).unwrap()
        };
        Hall::on((start("postgres"), start(ADMIN)), scale).await
    }

    /// The same on servers that are there, the desktop's first.
    pub async fn on((desktop_server, cloud_server): (Cluster, Cluster), scale: f64) -> Hall {
        let first = connect(&desktop_server, "postgres").await;
        run(&first, &format!("create database {OFFICE}")).await;
        let desktop = connect(&desktop_server, OFFICE).await;
        for sql in [
            include_str!("../../sql/demo/desktop.sql"),
            include_str!("../../sql/demo/generate.sql"),
        ] {
            run(&desktop, sql).await;
        }
        run(&desktop, &format!("select demo.generate(1, {scale})")).await;
        run(&desktop, "vacuum analyze").await;
        let template = connect(&cloud_server, "postgres").await;
        run(&template, "create database pattern").await;
        let pattern = connect(&cloud_server, "pattern").await;
        run(&pattern, include_str!("../../sql/demo/roles.sql")).await;
        run(&pattern, include_str!("../../sql/demo/cloud.sql")).await;
        run(&pattern, "grant create on schema public to postgres").await;
        drop(pattern);
        let to_cloud = Proxy::start(cloud_server.host(), cloud_server.port()).unwrap();
        let to_desktop = Proxy::start(desktop_server.host(), desktop_server.port()).unwrap();
        let folder = desktop_server.socket_dir().join("first");
        std::fs::create_dir_all(&folder).unwrap();
        Hall {
            desktop_server,
            cloud_server,
            desktop,
            admin: template,
            to_cloud,
            to_desktop,
            folder,
        }
    }

    /// An empty cloud of this name.
    pub async fn empty(&self, name: &str) -> Control {
        run(
            &self.admin,
            &format!("drop database if exists {name} with (force)"),
        )
        .await;
        run(
            &self.admin,
            &format!("create database {name} template pattern"),
        )
        .await;
        run(
            &self.admin,
            &format!("grant create on database {name} to postgres"),
        )
        .await;
        run(&self.admin, "checkpoint").await;
        connect(&self.cloud_server, name).await
    }

    /// One more connection to a cloud.
    pub async fn cloud(&self, name: &str) -> Control {
        connect(&self.cloud_server, name).await
    }

    /// One more connection to the desktop.
    pub async fn office(&self) -> Control {
        connect(&self.desktop_server, OFFICE).await
    }

    pub fn settings(&self, cloud: &str, trip: Duration) -> Settings {
        self.settings_with(cloud, trip, "")
    }

    /// The settings with more sections.
    pub fn settings_with(&self, cloud: &str, trip: Duration, more: &str) -> Settings {
        let port = if trip.is_zero() {
            self.cloud_server.port()
        } else {
            self.to_cloud.port()
        };
        let (_, tables) = SETTINGS.split_once("[forward]").unwrap();
        let text = format!(
            "replicator = \"first\"\n[desktop]\nurl = \"postgres://postgres@{0}:{1}/{OFFICE}\"\n[cloud]\nurl = \"postgres://postgres@{0}:{port}/{cloud}\"\n{more}[forward]{tables}",
            self.desktop_server.host(),
            self.desktop_server.port(),
        );
        let file = self.folder.join("tandem.toml");
        std::fs::write(&file, text).unwrap();
        let sources = Sources {
            file: Some(file),
            cwd: self.folder.clone(),
            ..Sources::default()
        };
        tandem::config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"))
    }

    pub async fn tables(&self) -> Tables {
        let cloud = self.empty("shape").await;
        let settings = self.settings("shape", Duration::ZERO);
        agree(&settings, &self.desktop.client, &cloud.client)
            .await
            .unwrap()
    }

    pub async fn rows(&self, tables: &Tables) -> u64 {
        let counts = tables
            .iter()
            .map(|table| format!("(select count(*) from {})", table.desktop.relation));
        number(
            &self.desktop,
            &format!("select {}", counts.collect::<Vec<_>>().join(" + ")),
        )
        .await
    }

    async fn copy(&self, rival: &str, tables: &Tables, trip: Duration) -> f64 {
        match rival {
            "tandem" => self.bootstrap(trip).await,
            "native" => self.subscribe(tables, trip).await,
            "pgcopydb" => self.clone_cloud(trip).await,
            _ => self.pipe(tables, trip).await,
        }
    }

    pub async fn tandem(&self, arguments: &[&str]) -> f64 {
        let since = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_tandem"))
            .arg("--config")
            .arg(self.folder.join("tandem.toml"))
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        let output = output.await.unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        since.elapsed().as_secs_f64()
    }

    async fn bootstrap(&self, trip: Duration) -> f64 {
        let cloud = self.empty("ours").await;
        self.settings("ours", trip);
        let took = self.tandem(&["bootstrap"]).await;
        let wanted = text(&self.desktop, "select count(*) from jobtasks").await;
        assert_eq!(
            text(
                &cloud,
                "select count(*) from jobtasks where client_id is null or client_id > 0"
            )
            .await,
            wanted
        );
        drop(cloud);
        self.tandem(&["uninstall", "--yes"]).await;
        took
    }

    /// What a swap takes that changes nothing.
    async fn swap(&self, trip: Duration) -> f64 {
        let cloud = self.empty("ours").await;
        self.settings("ours", trip);
        self.tandem(&["bootstrap"]).await;
        let took = self.tandem(&["swap", "jobtasks"]).await;
        let changed = "select coalesce(sum(inserted + updated + deleted), 1) from tandem.swap";
        assert_eq!(text(&cloud, changed).await, "0");
        drop(cloud);
        self.tandem(&["uninstall", "--yes"]).await;
        took
    }

    /// The columns that both sides have, by their names on the desktop and in the cloud.
    pub fn columns(tables: &Tables) -> Vec<(String, String, String, String)> {
        let lists = tables.iter().map(|table| {
            let same = table.columns.iter().filter_map(|column| match column.from {
                Source::Arriving(index) => {
                    Some((table.arriving[index].name.clone(), column.name.clone()))
                }
                _ => None,
            });
            let (own, theirs): (Vec<_>, Vec<_>) = same.unzip();
            let (desktop, cloud) = (table.desktop.relation.clone(), table.cloud.relation.clone());
            (desktop, own.join(", "), cloud, theirs.join(", "))
        });
        lists.collect()
    }

    /// An empty cloud for a subscription: its tables have the desktop's names.
    pub async fn empty_for_native(&self, tables: &Tables) -> Control {
        let cloud = self.empty("theirs").await;
        let mut published = Vec::new();
        for (desktop, columns, table, _) in Hall::columns(tables) {
            if desktop != table {
                run(&cloud, &format!("alter table {table} rename to {desktop}")).await;
            }
            published.push(format!("table {desktop} ({columns})"));
        }
        run(&self.desktop, "drop publication if exists theirs").await;
        run(
            &self.desktop,
            &format!("create publication theirs for {}", published.join(", ")),
        )
        .await;
        cloud
    }

    /// Subscribes, and comes back when all rows are there.
    pub async fn sync(&self, cloud: &Control, trip: Duration) -> f64 {
        let port = if trip.is_zero() {
            self.desktop_server.port()
        } else {
            self.to_desktop.port()
        };
        let connection = format!(
            "host={} port={port} user=postgres dbname={OFFICE}",
            self.desktop_server.host()
        );
        let since = Instant::now();
        run(
            cloud,
            &format!("create subscription theirs connection '{connection}' publication theirs"),
        )
        .await;
        wait_for(
            cloud,
            "select bool_and(srsubstate = 'r') from pg_subscription_rel",
        )
        .await;
        since.elapsed().as_secs_f64()
    }

    async fn subscribe(&self, tables: &Tables, trip: Duration) -> f64 {
        let cloud = self.empty_for_native(tables).await;
        let took = self.sync(&cloud, trip).await;
        run(&cloud, "drop subscription theirs").await;
        took
    }

    /// It is here, and its `pg_dump` is as new as these servers.
    async fn is_known_to_pgcopydb(&self) -> bool {
        let says = Command::new("pgcopydb").arg("--version").output().await;
        let says = says.map(|output| [output.stdout, output.stderr].concat());
        let says = String::from_utf8_lossy(&says.unwrap_or_default()).into_owned();
        let known = says
            .lines()
            .find(|line| line.starts_with("compatible with"));
        let version = self.cloud_server.version().to_string();
        known.is_some_and(|known| known.split([' ', ',']).any(|word| word == version))
    }

    /// `pgcopydb clone` of the cloud that tandem has filled into an empty database beside it: the desktop's own tables have no keys and
    /// no indexes, so a clone of them would be less work.
    async fn clone_cloud(&self, trip: Duration) -> f64 {
        for sql in [
            "drop database if exists cloned with (force)",
            "create database cloned template template0",
            "checkpoint",
        ] {
            run(&self.admin, sql).await;
        }
        let port = if trip.is_zero() {
            self.cloud_server.port()
        } else {
            self.to_cloud.port()
        };
        let host = self.cloud_server.host();
        let url =
            |port: u16, database: &str| format!("postgres://{ADMIN}@{host}:{port}/{database}");
        let folder = self.folder.join("pgcopydb");
        let _ = std::fs::remove_dir_all(&folder);
        let since = Instant::now();
        let output = Command::new("pgcopydb")
            .args(["clone", "--source", &url(self.cloud_server.port(), "ours")])
            .args(["--target", &url(port, "cloned"), "--dir"])
            .arg(folder)
            .stdin(Stdio::null())
            .output();
        let output = output.await.unwrap();
        let took = since.elapsed().as_secs_f64();
        let says = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{says}");
        let rows = "select count(*) from jobtasks";
        let wanted = text(&self.desktop, rows).await;
        assert_eq!(
            text(&self.cloud("cloned").await, rows).await,
            wanted,
            "{says}"
        );
        took
    }

    async fn pipe(&self, tables: &Tables, trip: Duration) -> f64 {
        drop(self.empty("piped").await);
        let since = Instant::now();
        let from = endpoint(&self.desktop_server, "postgres", OFFICE);
        let mut to = endpoint(&self.cloud_server, ADMIN, "piped");
        if !trip.is_zero() {
            to.port = self.to_cloud.port();
        }
        let mut source = Session::connect(&from, Mode::Ordinary, PINNED)
            .await
            .unwrap();
        let mut target = Session::connect(&to, Mode::Ordinary, &[]).await.unwrap();
        for (desktop, own, cloud, theirs) in Hall::columns(tables) {
            source
                .query(&format!("copy {desktop} ({own}) to stdout"))
                .await
                .unwrap();
            target
                .query(&format!("copy {cloud} ({theirs}) from stdin"))
                .await
                .unwrap();
            assert!(matches!(
                target.next().await.unwrap(),
                Message::CopyInResponse(_)
            ));
            let mut buffer = BytesMut::new();
            loop {
                match source.next().await.unwrap() {
                    Message::CopyData(body) => buffer.extend_from_slice(body.data()),
                    Message::CopyDone => break,
                    _ => continue,
                }
                if buffer.len() >= 64 * 1024 {
                    target.put_copy(&buffer);
                    target.flush().await.unwrap();
                    buffer.clear();
                }
            }
            source.wait_until_ready().await.unwrap();
            target.put_copy(&buffer);
            frontend::copy_done(target.out());
            target.flush().await.unwrap();
            target.wait_until_ready().await.unwrap();
        }
        since.elapsed().as_secs_f64()
    }
}
