//! PowerCA's office: two servers with the fixture, settings that lead to them, and tandem as a process.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tandem::config::{self, Endpoint, Settings, Sources};
use tandem::demo::cluster::{Binaries, Cluster, ClusterSpec};
use tandem::flows::agree;
use tandem::model::{Key, Table, Tables};
use tandem::observe::Observer;
use tandem::plan::{cloud_digest, desktop_digest};
use tandem::wire::control::{self, Control};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::bouncer::Bouncer;
use super::proxy::Proxy;
use super::servers::{Pair, versions};
use super::{Looks, poll};

/// Nothing in the tests takes longer than this unless something is wrong, also on a machine that is busy with
/// other things.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// PowerCA's own settings, without the lines that lead to its servers.
pub const POWERCA: &str = include_str!("../../deploy/powerca.toml");

const DATABASE: &str = "enterprise_db";

/// Where an office stands: next to the cloud, or far from it behind a pooler.
#[derive(Clone)]
pub struct Place {
    pub binaries: Binaries,
    /// PgBouncer in transaction mode and 80 ms round trips before the cloud.
    pub distant: bool,
}

impl From<&Binaries> for Place {
    fn from(binaries: &Binaries) -> Place {
        Place {
            binaries: binaries.clone(),
            distant: false,
        }
    }
}

impl From<&Place> for Place {
    fn from(place: &Place) -> Place {
        place.clone()
    }
}

/// The oldest version at hand directly, and the newest through PgBouncer with 80 ms round trips: both versions, both distances. The
/// newest without a pooler is where most tests are; it is one of these where PgBouncer can't be had.
pub fn places() -> Vec<Place> {
    let mut places: Vec<_> = versions().iter().map(Place::from).collect();
    if super::bouncer::is_here() {
        let newest = places.last().unwrap().clone();
        places.truncate(1);
        places.push(Place {
            distant: true,
            ..newest
        });
    } else {
        println!("skipped: through PgBouncer, which isn't installed");
    }
    places
}

/// What an office is made of.
pub struct Plan {
    pub binaries: Binaries,
    /// Size of the fixture; 1 is PowerCA's 93,000 rows, 0 loads none of it.
    pub scale: f64,
    /// `[[table]]` sections and more, without `[desktop]` and `[cloud]`.
    pub settings: String,
    /// Put PgBouncer (transaction mode) in front of the cloud.
    pub bouncer: bool,
    /// One way to the cloud and one way back take this long each.
    pub delay: Duration,
    pub desktop: ClusterSpec,
    pub cloud: ClusterSpec,
    /// What the desktop's database is made with.
    pub database: &'static str,
}

impl Plan {
    /// PowerCA's tables and settings.
    pub fn powerca(place: impl Into<Place>, scale: f64) -> Plan {
        Plan {
            scale,
            settings: powerca_tables(),
            ..Plan::empty(place)
        }
    }

    /// Two empty servers and no table.
    pub fn empty(place: impl Into<Place>) -> Plan {
        let Place { binaries, distant } = place.into();
        let cloud = ClusterSpec {
            superuser: "supabase_admin".into(),
            ..ClusterSpec::default()
        };
        let (desktop, settings) = (ClusterSpec::default(), String::new());
        Plan {
            binaries,
            scale: 0.0,
            settings,
            bouncer: distant,
            delay: Duration::from_millis(if distant { 40 } else { 0 }),
            desktop,
            cloud,
            database: "",
        }
    }

    /// Two empty servers and these tables.
    pub fn tables(place: impl Into<Place>, settings: &str) -> Plan {
        Plan {
            settings: settings.to_owned(),
            ..Plan::empty(place)
        }
    }
}

/// The settings, with tables that may lose all their rows at once.
pub fn may_shrink(settings: &str) -> String {
    settings.replace("[[table]]\n", "[[table]]\nmax_shrink = 1\n")
}

/// `deploy/powerca.toml` from `[forward]` on.
pub fn powerca_tables() -> String {
    let start = POWERCA.find("[forward]").unwrap();
    POWERCA[start..].to_owned()
}

/// A running office.
pub struct Office {
    pub desktop: Control,
    pub cloud: Control,
    pub to_desktop: Proxy,
    pub to_cloud: Proxy,
    pub settings: Settings,
    pub folder: PathBuf,
    _bouncer: Option<Bouncer>,
    pub servers: Pair,
}

impl Drop for Office {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- end of {}/run.log", self.folder.display());
            let log = std::fs::read_to_string(self.folder.join("run.log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            lines
                .iter()
                .skip(lines.len().saturating_sub(40))
                .for_each(|line| eprintln!("{line}"));
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Office {
    /// Starts both servers, loads the fixture, writes the settings. tandem reaches both through a
    /// proxy that can delay, stall, cut and reset; the test's own clients go straight.
    pub async fn open(plan: &Plan) -> Office {
        let servers = Pair::start_with(
            (&plan.binaries, &plan.desktop),
            (&plan.binaries, &plan.cloud),
        )
        .unwrap();
        let admin = connect(&servers.desktop, "postgres", "postgres").await;
        exec(
            &admin,
            &format!("create database {DATABASE} {}", plan.database),
        )
        .await;
        let desktop = connect(&servers.desktop, "postgres", DATABASE).await;
        let cloud = connect(&servers.cloud, "supabase_admin", "postgres").await;
        load(&cloud, &["roles", "cloud", "phone"]).await;
        if plan.scale > 0.0 {
            load(
                &desktop,
                &["desktop", "generate", "work", "dirty", "tenants_desktop"],
            )
            .await;
            exec(
                &desktop,
                &format!("select demo.generate(1, {})", plan.scale),
            )
            .await;
        }
        let bouncer = plan
            .bouncer
            .then(|| Bouncer::start(&servers.cloud).unwrap());
        let to_desktop = Proxy::start(servers.desktop.host(), servers.desktop.port()).unwrap();
        let cloud_port = bouncer
            .as_ref()
            .map_or(servers.cloud.port(), |bouncer| bouncer.port());
        let to_cloud = Proxy::start(servers.cloud.host(), cloud_port).unwrap();
        to_cloud.set_delay(plan.delay);
        let folder = servers.desktop.socket_dir().join("office");
        std::fs::create_dir_all(&folder).unwrap();
        let settings = write_settings(&folder, &to_desktop, &to_cloud, &plan.settings);
        Office {
            desktop,
            cloud,
            to_desktop,
            to_cloud,
            settings,
            folder,
            _bouncer: bouncer,
            servers,
        }
    }

    /// An office with these settings, and these tables on each side; the cloud's belong to tandem's user.
    pub async fn with_tables(
        place: impl Into<Place>,
        settings: &str,
        desktop: &str,
        cloud: &str,
    ) -> Office {
        let office = Office::open(&Plan::tables(place, settings)).await;
        exec(&office.desktop, desktop).await;
        let cloud = format!("set role postgres; set search_path = public; {cloud}; reset role");
        exec(&office.cloud, &cloud).await;
        office
    }

    /// The settings file.
    pub fn file(&self) -> PathBuf {
        self.folder.join("tandem.toml")
    }

    /// Starts `tandem run`.
    pub fn run(&self) -> Service {
        self.run_with(&self.file())
    }

    /// Starts `tandem run`, which dies when it reaches a moment (`src/failpoint.rs`).
    pub fn run_until(&self, failpoint: &str) -> Service {
        self.start(&self.file(), &[("TANDEM_TEST_FAILPOINT", failpoint)])
    }

    /// Starts `tandem run`, which cuts transactions into batches by dice (`src/failpoint.rs`).
    pub fn run_cutting(&self, seed: u64) -> Service {
        self.start(&self.file(), &[("TANDEM_TEST_CUTS", &seed.to_string())])
    }

    /// Starts `tandem run` with this in its environment.
    pub fn run_where(&self, name: &str, value: &str) -> Service {
        self.start(&self.file(), &[(name, value)])
    }

    /// Starts `tandem run` with several things in its environment.
    pub fn run_among(&self, env: &[(&str, &str)]) -> Service {
        self.start(&self.file(), env)
    }

    /// Starts `tandem run` with other settings; it logs to the same file.
    pub fn run_with(&self, file: &Path) -> Service {
        self.start(file, &[])
    }

    fn start(&self, file: &Path, env: &[(&str, &str)]) -> Service {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("run.log"))
            .unwrap();
        let mut command = tandem();
        command
            .arg("--config")
            .arg(file)
            .arg("run")
            .envs(env.iter().copied());
        command.stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        Service {
            child: command.spawn().unwrap(),
        }
    }

    /// Everything that the service has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("run.log")).unwrap_or_default()
    }

    /// How often they have logged these words.
    pub fn said(&self, words: &str) -> usize {
        self.log().matches(words).count()
    }

    /// Waits until they have logged these words more than so many times.
    pub fn says(&self, words: &str, before: usize) {
        poll(PATIENCE, || (self.said(words) > before).then_some(()))
            .unwrap_or_else(|| panic!("not logged: {words}"));
    }

    /// `tandem` with these arguments and the office's settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tandem();
        command.arg("--config").arg(self.file()).args(arguments);
        command
    }

    /// Runs a command to its end: exit code, standard output, standard error.
    pub async fn ask(&self, arguments: &[&str]) -> (i32, String, String) {
        finish(&mut self.command(arguments)).await
    }

    /// Waits until the cloud has all that the desktop has committed by now. Panics when the service
    /// ends or takes too long.
    pub async fn caught_up(&self, service: &mut Service) {
        self.seen_by(&self.observer().await, service).await;
    }

    /// The same for who asks often.
    pub async fn seen_by(&self, observer: &Observer, service: &mut Service) {
        let marker = observer.mark().await.unwrap();
        let arrives = async {
            let mut looks = Looks::new(Duration::from_millis(100));
            loop {
                if let Some(status) = service.child.try_wait().unwrap() {
                    panic!("tandem ended with {status}");
                }
                let seen = observer.checkpoint().await.unwrap().unwrap_or_default();
                if seen.has(marker) {
                    return;
                }
                looks.pause().await;
            }
        };
        timeout(PATIENCE, arrives)
            .await
            .expect("the cloud does not catch up");
    }

    /// One more client of the cloud, as whom the office's own is.
    pub async fn another_cloud(&self) -> Control {
        connect(&self.servers.cloud, "supabase_admin", "postgres").await
    }

    /// Both sides as the commands see them, but straight to the servers.
    pub async fn observer(&self) -> Observer {
        Observer::connect(&self.straight()).await.unwrap()
    }

    /// The settings, with the proxies left out.
    pub fn straight(&self) -> Settings {
        let mut settings = self.settings.clone();
        settings.desktop.endpoint.port = self.servers.desktop.port();
        settings.cloud.endpoint.port = self.servers.cloud.port();
        settings
    }

    /// The tables as tandem resolves them.
    pub async fn tables(&self) -> Tables {
        agree(&self.settings, &self.desktop.client, &self.cloud.client)
            .await
            .unwrap()
    }

    /// Other tables for the same servers, in a file beside the settings.
    pub fn with_settings(&self, rest: &str) -> PathBuf {
        let folder = self.folder.join("other");
        std::fs::create_dir_all(&folder).unwrap();
        write_settings(&folder, &self.to_desktop, &self.to_cloud, rest);
        folder.join("tandem.toml")
    }

    /// The tables of such a file.
    pub async fn tables_of(&self, file: &Path) -> Tables {
        let settings = read_settings(file.parent().unwrap());
        agree(&settings, &self.desktop.client, &self.cloud.client)
            .await
            .unwrap()
    }

    /// Owned, mapped rows of both sides, as count and sum of row hashes; tables in `but` may differ.
    pub async fn assert_equal_but(&self, but: &[&str]) {
        self.assert_these_equal(&self.tables().await, but).await;
    }

    /// The same for other tables.
    pub async fn assert_these_equal(&self, tables: &Tables, but: &[&str]) {
        for table in tables
            .iter()
            .filter(|table| !but.contains(&table.name.as_str()))
        {
            let desktop = digest(&self.desktop, &desktop_digest(table)).await;
            let cloud = digest(&self.cloud, &cloud_digest(table)).await;
            assert_eq!(
                desktop, cloud,
                "{}: desktop and cloud differ (count, sum)",
                table.name
            );
        }
    }

    /// All owned, mapped rows of both sides are equal.
    pub async fn assert_equal(&self) {
        self.assert_equal_but(&[]).await;
    }

    /// P7: nothing is dropped in silence.
    pub async fn assert_conserved(&self) {
        let sums = "select coalesce(string_agg(concat_ws(' ', \"table\", received, applied, folded, ruled_out, quarantined), '; '), '') \
            from tandem.table_state where received <> applied + folded + ruled_out + quarantined";
        assert_eq!(value(&self.cloud, sums).await, "", "P7");
    }

    /// Table, state and reason as the cloud has them.
    pub async fn states(&self) -> Vec<(String, String, String)> {
        let sql = "select \"table\", state, coalesce(why, '') from tandem.table_state order by 1";
        let rows = self.cloud.client.query_typed(sql, &[]).await.unwrap();
        rows.iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect()
    }
}

/// `tandem run` as a process.
pub struct Service {
    pub child: Child,
}

impl Service {
    /// The most memory that the process ever had, in kilobytes.
    pub fn peak_kb(&self) -> u64 {
        let file = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(file).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    }

    /// From here on the most memory is measured anew.
    pub fn forget_peak(&self) {
        let file = format!("/proc/{}/clear_refs", self.child.id().unwrap());
        std::fs::write(file, "5").unwrap();
    }

    /// kill -9, and gone.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM; returns the exit code.
    pub async fn stop(mut self) -> i32 {
        self.signal("TERM");
        self.ended().await
    }

    /// SIGTERM, without giving the process up; returns the exit code.
    pub async fn ended_after_term(&mut self) -> i32 {
        self.signal("TERM");
        self.ended().await
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let process = self.child.id().unwrap().to_string();
        assert!(
            std::process::Command::new("kill")
                .args(["-s", name, &process])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the process's own end; returns the exit code.
    pub async fn ended(&mut self) -> i32 {
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .expect("tandem does not end")
            .unwrap();
        status.code().unwrap_or(-1)
    }
}

/// The program, with nothing of this process's environment that it would read.
pub fn tandem() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.stdin(Stdio::null());
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("TANDEM_") || name.starts_with("PG"))
    {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end: exit code, standard output, standard error.
pub async fn finish(command: &mut Command) -> (i32, String, String) {
    let output = timeout(PATIENCE, command.output())
        .await
        .expect("the command does not end")
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

/// An ordinary client.
pub async fn connect(cluster: &Cluster, user: &str, database: &str) -> Control {
    connect_to(&tandem::demo::endpoint(cluster, user, database)).await
}

/// An ordinary client.
pub async fn connect_to(endpoint: &Endpoint) -> Control {
    control::connect(endpoint).await.unwrap()
}

/// Runs statements.
pub async fn exec(side: &Control, sql: &str) {
    side.client
        .batch_execute(sql)
        .await
        .unwrap_or_else(|error| panic!("{error:?} in {sql}"));
}

/// One value as text; panics when there is none.
pub async fn value(side: &Control, sql: &str) -> String {
    let sql = format!("select coalesce(v::text, '') from ({sql}) as one(v)");
    let rows = side
        .client
        .query_typed(&sql, &[])
        .await
        .unwrap_or_else(|error| panic!("{error:?} in {sql}"));
    rows.first()
        .unwrap_or_else(|| panic!("no row from {sql}"))
        .get(0)
}

/// Waits until a query answers true.
pub async fn until(side: &Control, sql: &str) {
    let waits = async {
        // What is only true for a moment is seen, too.
        let mut looks = Looks::new(Duration::from_millis(40));
        while value(side, sql).await != "true" {
            looks.pause().await;
        }
    };
    timeout(PATIENCE, waits)
        .await
        .unwrap_or_else(|_| panic!("never true: {sql}"));
}

/// The files of sql/demo, by name.
pub async fn load(side: &Control, files: &[&str]) {
    for file in files {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("sql/demo")
            .join(format!("{file}.sql"));
        exec(side, &std::fs::read_to_string(path).unwrap()).await;
    }
}

/// `count` and sum of hashes of a digest query.
pub async fn digest(side: &Control, sql: &str) -> (i64, String) {
    let rows = side
        .client
        .query_typed(sql, &[])
        .await
        .unwrap_or_else(|error| panic!("{error:?} in {sql}"));
    (rows[0].get(0), rows[0].get(1))
}

/// The key's columns.
pub fn key_of(table: &Table) -> Vec<String> {
    match &table.key {
        Key::Multiset => Vec::new(),
        Key::Columns(columns) => columns
            .iter()
            .map(|at| table.columns[*at].name.clone())
            .collect(),
    }
}

fn write_settings(folder: &Path, desktop: &Proxy, cloud: &Proxy, rest: &str) -> Settings {
    let text = format!(
        "[desktop]\nurl = \"postgres://postgres@{}:{}/{DATABASE}\"\n\n[cloud]\nurl = \"postgres://postgres@{}:{}/postgres\"\n\n{rest}\n",
        desktop.host(),
        desktop.port(),
        cloud.host(),
        cloud.port()
    );
    // `replicator` stands before the first section.
    let text = match rest.split_once('\n') {
        Some((first, rest)) if first.starts_with("replicator") => {
            let (before, _) = text.split_once(first).unwrap();
            format!("{first}\n{before}{rest}\n")
        }
        _ => text,
    };
    std::fs::write(folder.join("tandem.toml"), text).unwrap();
    read_settings(folder)
}

fn read_settings(folder: &Path) -> Settings {
    let sources = Sources {
        file: Some(folder.join("tandem.toml")),
        cwd: folder.to_owned(),
        ..Sources::default()
    };
    config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Everything that waited in the outbox has come home; no table's way home has stopped.
pub async fn came_home(office: &Office) {
    until(
        &office.cloud,
        "select count(*) = 0 or exists (select from tandem.reverse_state where why is not null) from tandem.outbox",
    )
    .await;
    let stopped = "select string_agg(\"table\" || ': ' || why, '; ') from tandem.reverse_state where why is not null";
    assert_eq!(value(&office.cloud, stopped).await, "");
}
