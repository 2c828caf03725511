//! Two servers, three databases, and everybody who reads the desktop's log.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use postgres_protocol::message::backend::Message;
use tandem::capture::Frame;
use tandem::config::Endpoint;
use tandem::demo::cluster::{Binaries, Cluster, ClusterSpec, find_binaries};
use tandem::demo::endpoint;
use tandem::wire::control::{self, Control};
use tandem::wire::{Mode, PINNED, Session};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::proxy::Proxy;
use crate::rival::Rival;
use crate::shape::{NAMES, StepShape, TABLES};
use crate::usage::Usage;

const DESKTOP: &str = "office";
pub const NATIVE: &str = "native";
/// The name of connections that only look, so that what they cost is left out.
pub const OWN: &str = "bench";
/// Longer than any drain: something is wrong then.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often a side is asked whether the work has come.
const ASK_EVERY: Duration = Duration::from_millis(2);

pub struct Scene {
    pub desktop_server: Cluster,
    pub cloud_server: Cluster,
    pub desktop: Control,
    /// What tandem writes to.
    pub cloud: Control,
    /// What the subscription writes to.
    pub native: Control,
    pub to_desktop: Proxy,
    pub to_cloud: Proxy,
    folder: PathBuf,
}

/// Work that waits in the log.
pub struct Backlog {
    pub rows: u64,
    /// The row of `finish` that comes last.
    finish: u64,
    /// The log's end behind it.
    end: u64,
}

/// How a backlog was drained.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drained {
    pub rows: u64,
    pub seconds: f64,
    pub usage: Usage,
}

impl Scene {
    pub async fn set(shapes: &[StepShape], scale: f64) -> Scene {
        let start = || Cluster::start(&binaries(), &spec()).unwrap();
        Scene::on((start(), start()), shapes, scale).await
    }

    /// The same on servers that are there, the desktop's first.
    pub async fn on(
        (desktop_server, cloud_server): (Cluster, Cluster),
        shapes: &[StepShape],
        scale: f64,
    ) -> Scene {
        let admin = connect(&desktop_server, "postgres").await;
        run(&admin, &format!("create database {DESKTOP}")).await;
        let admin = connect(&cloud_server, "postgres").await;
        run(&admin, &format!("create database {NATIVE}")).await;
        let desktop = connect(&desktop_server, DESKTOP).await;
        let cloud = connect(&cloud_server, "postgres").await;
        let native = connect(&cloud_server, NATIVE).await;
        let to_desktop = Proxy::start(desktop_server.host(), desktop_server.port()).unwrap();
        let to_cloud = Proxy::start(cloud_server.host(), cloud_server.port()).unwrap();
        let folder = desktop_server.socket_dir().join("bench");
        std::fs::create_dir_all(&folder).unwrap();
        let scene = Scene {
            desktop_server,
            cloud_server,
            desktop,
            cloud,
            native,
            to_desktop,
            to_cloud,
            folder,
        };
        for side in [&scene.desktop, &scene.cloud, &scene.native] {
            run(side, TABLES).await;
        }
        run(&scene.desktop, &StepShape::seed(shapes, scale)).await;
        run(&scene.desktop, "vacuum analyze").await;
        let server = &scene.cloud_server;
        scene.write_settings((server.host(), server.port()));
        scene.fill().await;
        scene
    }

    /// Everybody has all rows, and a slot from there on.
    async fn fill(&self) {
        let tandem = self.begin(Rival::Tandem).await;
        self.end(tandem).await;
        run(
            &self.desktop,
            &format!("create publication {NATIVE} for table {}", NAMES.join(", ")),
        )
        .await;
        let connection = self.connection(self.desktop_server.host(), self.desktop_server.port());
        let subscription =
            format!("create subscription {NATIVE} connection '{connection}' publication {NATIVE}");
        run(&self.native, &subscription).await;
        wait_for(
            &self.native,
            "select bool_and(srsubstate = 'r') from pg_subscription_rel",
        )
        .await;
        run(
            &self.native,
            &format!("alter subscription {NATIVE} disable"),
        )
        .await;
        for slot in ["eager", "lazy"] {
            run(
                &self.desktop,
                &format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')"),
            )
            .await;
        }
        for side in [&self.cloud, &self.native] {
            run(side, "vacuum analyze").await;
        }
    }

    fn write_settings(&self, (host, port): (&str, u16)) {
        let tables: String = NAMES
            .iter()
            .map(|name| format!("[[table]]\nname = \"{name}\"\nmax_shrink = 1\n"))
            .collect();
        let settings = format!(
            "[desktop]\nurl = \"postgres://postgres@{}:{}/{DESKTOP}\"\n[cloud]\nurl = \"postgres://postgres@{}:{}/postgres\"\n[heartbeat]\nevery = \"10s\"\n[listen]\nhttp = \"off\"\n{tables}",
            self.desktop_server.host(),
            self.desktop_server.port(),
            host,
            port
        );
        std::fs::write(self.folder.join("tandem.toml"), settings).unwrap();
    }

    pub fn version(&self) -> u32 {
        self.desktop_server.version()
    }

    pub fn place(&self) -> String {
        format!("servers in {}", self.desktop_server.socket_dir().display())
    }

    fn connection(&self, host: &str, port: u16) -> String {
        format!("host={host} port={port} user=postgres dbname={DESKTOP}")
    }

    /// The time to the cloud and back; for the subscription the one to the desktop. Without one both go straight.
    pub async fn set_round_trip(&self, trip: Duration) {
        self.to_cloud.set_delay(trip / 2);
        self.to_desktop.set_delay(trip / 2);
        let connection = if trip.is_zero() {
            self.write_settings((self.cloud_server.host(), self.cloud_server.port()));
            self.connection(self.desktop_server.host(), self.desktop_server.port())
        } else {
            self.write_settings((&self.to_cloud.host(), self.to_cloud.port()));
            self.connection(&self.to_desktop.host(), self.to_desktop.port())
        };
        run(
            &self.native,
            &format!("alter subscription {NATIVE} connection '{connection}'"),
        )
        .await;
    }

    /// Does the work while nobody reads.
    pub async fn prepare(&self, shape: StepShape, scale: f64) -> Backlog {
        let (work, rows) = shape.work(scale);
        self.wait_in_log(&work, rows).await
    }

    /// Does any work while nobody reads.
    pub async fn wait_in_log(&self, work: &str, rows: u64) -> Backlog {
        run(&self.desktop, "set synchronous_commit = off").await;
        run(&self.desktop, work).await;
        run(&self.desktop, "set synchronous_commit = on").await;
        let finish = 1 + number(&self.desktop, "select coalesce(max(id), 0) from finish").await;
        run(
            &self.desktop,
            &format!("insert into finish values ({finish})"),
        )
        .await;
        let end = number(
            &self.desktop,
            "select (pg_current_wal_insert_lsn() - '0/0')::bigint",
        )
        .await;
        run(&self.desktop, "checkpoint").await;
        run(&self.cloud, "checkpoint").await;
        Backlog { rows, finish, end }
    }

    pub async fn drain(&self, rival: Rival, backlog: &Backlog) -> Drained {
        let (seconds, usage) = match rival {
            Rival::Tandem => self.drain_tandem(backlog).await,
            Rival::Native => self.drain_native(backlog).await,
            Rival::Eager => self.read("eager", Duration::ZERO, backlog).await,
            Rival::Lazy => self.read("lazy", Duration::from_millis(1), backlog).await,
        };
        Drained {
            rows: backlog.rows,
            seconds,
            usage,
        }
    }

    async fn drain_tandem(&self, backlog: &Backlog) -> (f64, Usage) {
        let mut tandem = self.start_tandem();
        let started = self.streaming("tandem").await;
        wait_for(&self.cloud, &Scene::finished(backlog)).await;
        let seconds = started.elapsed().as_secs_f64();
        let usage = Usage::of(tandem.id().unwrap_or_default());
        stop(&mut tandem).await;
        (seconds, usage)
    }

    async fn drain_native(&self, backlog: &Backlog) -> (f64, Usage) {
        self.start_native().await;
        let started = self.streaming(NATIVE).await;
        wait_for(&self.native, &Scene::finished(backlog)).await;
        let seconds = started.elapsed().as_secs_f64();
        let worker = number(
            &self.native,
            "select coalesce(max(pid), 0) from pg_stat_subscription where relid is null",
        )
        .await;
        let usage = Usage::of(worker as u32);
        self.stop_native().await;
        (seconds, usage)
    }

    /// Starts one of both receivers, and comes back when the stream is there: nothing of its start belongs to what follows.
    pub async fn begin(&self, rival: Rival) -> Option<Child> {
        if rival == Rival::Native {
            self.start_native().await;
            self.streaming(NATIVE).await;
            return None;
        }
        let log = || std::fs::read_to_string(self.folder.join("run.log")).unwrap_or_default();
        let before = log().len();
        let tandem = self.start_tandem();
        let streams = async {
            while !log()[before..].contains("streaming") {
                sleep(ASK_EVERY).await;
            }
        };
        let came = timeout(PATIENCE, streams).await;
        came.unwrap_or_else(|_| panic!("tandem doesn't stream: {}", &log()[before..]));
        Some(tandem)
    }

    /// Stops what [`Scene::begin`] started.
    pub async fn end(&self, tandem: Option<Child>) {
        match tandem {
            Some(mut tandem) => stop(&mut tandem).await,
            None => self.stop_native().await,
        }
    }

    /// Whether a receiver has all of a backlog, as a query.
    pub fn finished(backlog: &Backlog) -> String {
        format!(
            "select exists (select from finish where id = {})",
            backlog.finish
        )
    }

    /// When a slot's reader is there: programs take their time to start, and that is not measured.
    async fn streaming(&self, slot: &str) -> Instant {
        let active = format!("select active from pg_replication_slots where slot_name = '{slot}'");
        wait_for(&self.desktop, &active).await;
        Instant::now()
    }

    pub async fn stop_native(&self) {
        run(
            &self.native,
            &format!("alter subscription {NATIVE} disable"),
        )
        .await;
        wait_for(
            &self.desktop,
            &format!("select not active from pg_replication_slots where slot_name = '{NATIVE}'"),
        )
        .await;
    }

    /// A subscription's own default is not to wait for the disk; tandem always does. Said where that is compared.
    pub async fn native_waits_for_the_disk(&self, waits: bool) {
        let word = if waits { "on" } else { "off" };
        run(
            &self.native,
            &format!("alter subscription {NATIVE} set (synchronous_commit = {word})"),
        )
        .await;
    }

    pub async fn start_native(&self) {
        run(&self.native, &format!("alter subscription {NATIVE} enable")).await;
    }

    pub fn start_tandem(&self) -> Child {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("run.log"))
            .unwrap();
        Command::new(env!("CARGO_BIN_EXE_tandem"))
            .arg("--config")
            .arg(self.folder.join("tandem.toml"))
            .arg("run")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Reads the backlog and throws it away; the next one begins behind it.
    async fn read(&self, slot: &str, pause: Duration, backlog: &Backlog) -> (f64, Usage) {
        let own = || Usage::of(std::process::id());
        let (started, before) = (Instant::now(), own());
        let desktop: Endpoint = endpoint(&self.desktop_server, "postgres", DESKTOP);
        let mut session = Session::connect(&desktop, Mode::Replication, PINNED)
            .await
            .unwrap();
        let command = format!(
            "START_REPLICATION SLOT \"{slot}\" LOGICAL 0/0 (proto_version '1', publication_names '{NATIVE}', messages 'true')"
        );
        session.start_copy_both(&command).await.unwrap();
        let mut reached = 0;
        while reached < backlog.end {
            let first = session.next().await.unwrap();
            let mut next = Some(first);
            while let Some(message) = next {
                if let Message::CopyData(body) = message {
                    match Frame::read(body.into_bytes()).unwrap() {
                        Frame::Data { at, .. } => reached = reached.max(at.0),
                        Frame::Keepalive { end, .. } => reached = reached.max(end.0),
                    }
                }
                next = session.buffered().unwrap();
            }
            if !pause.is_zero() {
                sleep(pause).await;
            }
        }
        let usage = Usage {
            cpu: own().cpu - before.cpu,
            peak_kb: 0,
        };
        let seconds = started.elapsed().as_secs_f64();
        session.terminate().await;
        wait_for(
            &self.desktop,
            &format!("select not active from pg_replication_slots where slot_name = '{slot}'"),
        )
        .await;
        let end = format!(
            "select pg_replication_slot_advance('{slot}', '0/0'::pg_lsn + {})",
            backlog.end
        );
        run(&self.desktop, &end).await;
        (seconds, usage)
    }

    /// Applied = received, on both receivers.
    pub async fn assert_equal(&self, shape: StepShape) {
        for table in shape.tables() {
            let sql = format!(
                "select count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) from {table} t"
            );
            let wanted = text(&self.desktop, &sql).await;
            assert_eq!(text(&self.cloud, &sql).await, wanted, "tandem's {table}");
            assert_eq!(
                text(&self.native, &sql).await,
                wanted,
                "the subscription's {table}"
            );
        }
    }
}

/// The programs of the servers: of the oldest that are here, or of those that `BENCH_PG` asks for.
pub fn binaries() -> Binaries {
    let mut found = find_binaries(None).unwrap().into_iter();
    let asked = std::env::var("BENCH_PG").unwrap_or_default();
    found
        .find(|one| asked.is_empty() || one.version.to_string() == asked)
        .expect("PostgreSQL isn't here; run: make servers")
}

/// Servers that write to the disk, and aren't held up by what they do once in a while.
pub fn spec() -> ClusterSpec {
    let spec = ClusterSpec {
        fsync: true,
        ..ClusterSpec::default()
    };
    spec.set("shared_buffers", "512MB")
        .set("max_wal_size", "8GB")
        .set("checkpoint_timeout", "1h")
        .set("wal_retrieve_retry_interval", "100ms")
}

pub async fn connect(cluster: &Cluster, database: &str) -> Control {
    let endpoint = Endpoint {
        application_name: Some(OWN.to_owned()),
        ..endpoint(cluster, cluster.superuser(), database)
    };
    let connection = control::connect(&endpoint).await.unwrap();
    // Nothing where the server doesn't count statements.
    run(&connection, "set pg_stat_statements.track = 'none'").await;
    connection
}

pub async fn run(side: &Control, sql: &str) {
    side.client
        .batch_execute(sql)
        .await
        .unwrap_or_else(|error| panic!("{error:?} in {sql}"));
}

pub async fn text(side: &Control, sql: &str) -> String {
    let sql = format!("select coalesce(v::text, '') from ({sql}) as one(v)");
    side.client.query_typed(&sql, &[]).await.unwrap()[0].get(0)
}

pub async fn number(side: &Control, sql: &str) -> u64 {
    text(side, sql).await.parse().unwrap()
}

pub async fn wait_for(side: &Control, sql: &str) {
    let waits = async {
        // A table that isn't there yet is not an answer.
        while !matches!(
            side.client
                .query_typed(sql, &[])
                .await
                .map(|rows| rows[0].get::<_, Option<bool>>(0)),
            Ok(Some(true))
        ) {
            sleep(ASK_EVERY).await;
        }
    };
    timeout(PATIENCE, waits)
        .await
        .unwrap_or_else(|_| panic!("never true: {sql}"));
}

pub async fn stop(tandem: &mut Child) {
    if let Some(process) = tandem.id() {
        let killed = Command::new("kill")
            .arg("-TERM")
            .arg(process.to_string())
            .status()
            .await;
        assert!(killed.unwrap().success());
    }
    let status = timeout(PATIENCE, tandem.wait()).await.unwrap().unwrap();
    assert!(status.success(), "tandem ended with {status}");
}
