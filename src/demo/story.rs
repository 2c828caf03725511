//! `tandem demo`: two servers, PowerCA's tables, live traffic, a kill in the middle, the proof at the end.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, ClusterSpec, find_binaries};
use super::endpoint;
use super::mile::{self, Mile};
use crate::config::{self, Settings, Sources};
use crate::fault::{Fault, Kind, Side};
use crate::flows::agree;
use crate::model::Tables;
use crate::observe::{Observer, State};
use crate::plan::{cloud_digest, desktop_digest};
use crate::wire::control::{self, Control};

const SETTINGS: &str = include_str!("../../deploy/powerca.toml");
const DESKTOP: &[&str] = &[
    include_str!("../../sql/demo/desktop.sql"),
    include_str!("../../sql/demo/generate.sql"),
    include_str!("../../sql/demo/work.sql"),
    include_str!("../../sql/desktop/refill.sql"),
];
/// Who is in the cloud.
const ROLES: &str = include_str!("../../sql/demo/roles.sql");
const CLOUD: &[&str] = &[
    include_str!("../../sql/demo/cloud.sql"),
    include_str!("../../sql/demo/phone.sql"),
];
pub(super) const DATABASE: &str = "enterprise_db";
/// What comes home, as a number per side.
const HOME: [(&str, &str); 3] = [
    (
        "workdiary",
        "select count(*),
           coalesce(
             sum(
               hashtextextended(concat_ws('|', wd_id, staff_id, date, minutes, tasknotes), 0)
             ),
             0
           )::text
         from workdiary
         where source = 'M'",
    ),
    (
        "learequest",
        "select count(*),
           coalesce(
             sum(
               hashtextextended(
                 concat_ws('|', learequest_id, fromdate, todate, leaveremarks), 0
               )
             ),
             0
           )::text
         from learequest
         where source = 'M'",
    ),
    (
        "ticks",
        "select count(*),
           coalesce(sum(hashtextextended(concat_ws('|', task_id, checklistdesc), 0)), 0)::text
         from taskchecklist
         where checkliststatus = 1",
    ),
];

/// How the demo runs.
pub struct Script {
    /// How long the live traffic lasts.
    pub traffic: Duration,
    /// Size of the office: 1 is PowerCA's 93,000 rows.
    pub scale: f64,
    /// Leave the servers running at the end, until told to stop.
    pub keep: bool,
    /// Where the server programs are.
    pub binaries: Option<PathBuf>,
    /// The program to run as the service.
    pub program: PathBuf,
}

/// Runs the demo, telling `say` what happens. Returns whether both sides ended equal.
///
/// # Errors
/// When servers can't be had or the service fails.
pub async fn demo(
    script: &Script,
    say: &(dyn Fn(&str) + Sync),
    stop: &CancellationToken,
) -> Result<bool, Fault> {
    let stage = Stage::build(script, say).await?;
    let mut service = stage.start_service(&script.program)?;
    let observer = Observer::connect(&stage.settings).await?;
    let tables = agree(&stage.settings, &stage.desktop.client, &stage.cloud.client).await?;
    say("tandem run: publishing the tables and copying them from one snapshot");
    let began = Instant::now();
    stage.caught_up(&observer, &mut service).await?;
    say(&format!(
        "  copied and streaming after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    stage.on_phones("select demo.phone(1)").await?;
    say(
        "people log time on their phones: 200 diary entries and 20 leave requests, in the cloud, on their way home",
    );
    say("");
    stage
        .traffic(script, &observer, &mut service, say, stop)
        .await?;
    say("");
    stage.caught_up(&observer, &mut service).await?;
    stage.came_home(&observer).await?;
    let equal = stage.compare(&tables, say).await? & stage.compare_home(say).await?;
    if script.keep {
        say(&format!(
            "desktop  {}",
            stage.servers.0.url("postgres", DATABASE)
        ));
        say(&format!(
            "cloud    {}",
            stage.servers.1.url("postgres", "postgres")
        ));
        say(&format!(
            "settings {}; Ctrl-C ends it all",
            stage.folder.join("tandem.toml").display()
        ));
        stop.cancelled().await;
    }
    stage.end_service(service, say).await?;
    Ok(equal)
}

/// The two servers, the settings, and a connection to each side.
pub(super) struct Stage {
    pub(super) servers: (Cluster, Cluster),
    pub(super) folder: PathBuf,
    pub(super) settings: Settings,
    pub(super) desktop: Control,
    pub(super) cloud: Control,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Stage {
    async fn build(script: &Script, say: &(dyn Fn(&str) + Sync)) -> Result<Stage, Fault> {
        let (desktop, cloud) = servers(script.binaries.as_deref(), say).await?;
        load(&desktop, "postgres", DATABASE, Side::Desktop, DESKTOP).await?;
        load(&cloud, "supabase_admin", "postgres", Side::Cloud, CLOUD).await?;
        let fill = format!("select demo.generate(1, {scale})", scale = script.scale);
        load(&desktop, "postgres", DATABASE, Side::Desktop, &[&fill]).await?;
        let folder = new_folder()?;
        let settings = write_settings(&folder, &desktop, &cloud)?;
        Stage::open((desktop, cloud), folder, settings).await
    }

    /// Connects to both sides.
    ///
    /// # Errors
    /// When one can't be reached.
    pub(super) async fn open(
        servers: (Cluster, Cluster),
        folder: PathBuf,
        settings: Settings,
    ) -> Result<Stage, Fault> {
        let (desktop_now, cloud_now) = (
            control::connect(&settings.desktop.endpoint)
                .await
                .map_err(|error| Fault::wire(Side::Desktop, &error))?,
            control::connect(&settings.cloud.endpoint)
                .await
                .map_err(|error| Fault::wire(Side::Cloud, &error))?,
        );
        Ok(Stage {
            servers,
            folder,
            settings,
            desktop: desktop_now,
            cloud: cloud_now,
        })
    }

    pub(super) fn start_service(&self, program: &Path) -> Result<Child, Fault> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("run.log"))
            .map_err(broken)?;
        let mut command = Command::new(program);
        command
            .arg("--config")
            .arg(self.folder.join("tandem.toml"))
            .arg("run");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .kill_on_drop(true);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TANDEM_"))
        {
            command.env_remove(name);
        }
        // Ctrl-C is ours to handle: the service is told by us.
        #[cfg(unix)]
        command.process_group(0);
        command.spawn().map_err(broken)
    }

    /// Waits until the cloud has all that the desktop has committed by now.
    pub(super) async fn caught_up(
        &self,
        observer: &Observer,
        service: &mut Child,
    ) -> Result<(), Fault> {
        let marker = observer.mark().await?;
        let mut ticks = interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if service.try_wait().map_err(broken)?.is_some() {
                let log = std::fs::read_to_string(self.folder.join("run.log")).unwrap_or_default();
                let end: Vec<_> = log.lines().rev().take(6).collect();
                let end: Vec<_> = end.into_iter().rev().collect();
                return Err(Fault::new(Kind::Unknown, "the service ended").cause(end.join("\n")));
            }
            let seen = observer.checkpoint().await?.unwrap_or_default();
            if seen.has(marker) {
                return Ok(());
            }
        }
    }

    /// Live changes, a refill now and then, one kill; a line each second.
    async fn traffic(
        &self,
        script: &Script,
        observer: &Observer,
        service: &mut Child,
        say: &(dyn Fn(&str) + Sync),
        stop: &CancellationToken,
    ) -> Result<(), Fault> {
        let began = Instant::now();
        let (mut changes, mut seed, mut killed, mut refills) = (0i64, 0u64, false, 0u64);
        let mut ticks = interval(Duration::from_millis(100));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_line = Duration::from_secs(1);
        let mut mile = Mile::new();
        while began.elapsed() < script.traffic && !stop.is_cancelled() {
            ticks.tick().await;
            seed += 1;
            changes += i64::from(self.number(&format!("select demo.work({seed}, 5)")).await?);
            if !killed && began.elapsed() * 2 > script.traffic {
                killed = true;
                service.kill().await.map_err(broken)?;
                say("    kill -9 tandem, in the middle of it; starting it again");
                self.on_phones("select demo.phone_edits(1)").await?;
                say(
                    "    on the phones: five entries edited, five deleted, forty boxes ticked on checklists",
                );
                *service = self.start_service(&script.program)?;
            }
            mile.step((&self.desktop, &self.cloud), say).await?;
            let refill_due = script.traffic.mul_f64((refills + 1) as f64 / 4.0);
            if began.elapsed() > refill_due {
                refills += 1;
                self.run_sql("select sync_views_to_tables()").await?;
                say(
                    "    the office's refill: every row deleted and inserted again; only real differences travel",
                );
            }
            if began.elapsed() >= next_line {
                next_line += Duration::from_secs(1);
                let sample = observer.sample(&self.settings).await?;
                let lag = sample
                    .lag_ms
                    .map_or("unknown".to_owned(), |lag| format!("{lag} ms"));
                let state = if sample.state == State::Streaming {
                    "caught up"
                } else {
                    "catching up"
                };
                say(&format!(
                    "{:5.1} s   {changes:6} changes   {state:11}   lag {lag}",
                    began.elapsed().as_secs_f64()
                ));
            }
        }
        mile.sums().iter().for_each(|sum| say(sum));
        Ok(())
    }

    async fn number(&self, sql: &str) -> Result<i32, Fault> {
        let rows = self.desktop.client.query_typed(sql, &[]).await;
        let rows = rows.map_err(|error| Fault::wire(Side::Desktop, &error.into()))?;
        Ok(rows.first().map_or(0, |row| row.get(0)))
    }

    async fn run_sql(&self, sql: &str) -> Result<(), Fault> {
        self.desktop
            .client
            .batch_execute(sql)
            .await
            .map_err(|error| Fault::wire(Side::Desktop, &error.into()))
    }

    /// Row by row, as one number per side and table.
    async fn compare(&self, tables: &Tables, say: &(dyn Fn(&str) + Sync)) -> Result<bool, Fault> {
        let mut equal = true;
        say("table              desktop      cloud");
        for table in tables.iter() {
            let (desktop, cloud) = (desktop_digest(table), cloud_digest(table));
            let (line, same) = self
                .digests(&table.cloud.to_string(), (&desktop, &cloud), "equal")
                .await?;
            say(&line);
            equal &= same;
        }
        Ok(equal)
    }

    /// What the phones made, and what they ticked, on both sides.
    async fn compare_home(&self, say: &(dyn Fn(&str) + Sync)) -> Result<bool, Fault> {
        let mut equal = true;
        for (name, sql) in HOME {
            let (line, same) = self.digests(name, (sql, sql), "equal, came home").await?;
            say(&line);
            equal &= same;
        }
        Ok(equal)
    }

    /// One line about what both sides answer, and whether that is the same.
    async fn digests(
        &self,
        name: &str,
        (desktop, cloud): (&str, &str),
        equal: &str,
    ) -> Result<(String, bool), Fault> {
        let desktop = digest(&self.desktop, Side::Desktop, desktop).await?;
        let cloud = digest(&self.cloud, Side::Cloud, cloud).await?;
        let same = desktop == cloud;
        let verdict = if same { equal } else { "DIFFERENT" };
        let line = format!("{name:16} {:9} {:10}   {verdict}", desktop.0, cloud.0);
        Ok((line, same))
    }

    async fn on_phones(&self, sql: &str) -> Result<(), Fault> {
        let done = self.cloud.client.batch_execute(sql).await;
        done.map_err(Fault::at(Side::Cloud))
    }

    /// Waits until the desktop has all that the phones have done by now.
    pub(super) async fn came_home(&self, observer: &Observer) -> Result<(), Fault> {
        let waiting = observer.waiting_reverse().await?;
        let mut ticks = interval(Duration::from_millis(20));
        while observer.still_waiting(&waiting).await? > 0 {
            ticks.tick().await;
        }
        Ok(())
    }

    pub(super) async fn end_service(
        &self,
        mut service: Child,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<(), Fault> {
        #[cfg(not(unix))]
        let _ = say;
        #[cfg(unix)]
        if let Some(process) = service.id() {
            let _ = std::process::Command::new("kill")
                .arg(process.to_string())
                .status();
            let ended = tokio::time::timeout(Duration::from_secs(10), service.wait()).await;
            if let Ok(Ok(status)) = ended {
                say(&format!("tandem stopped cleanly on SIGTERM: {status}"));
                return Ok(());
            }
        }
        service.kill().await.map_err(broken)
    }
}

/// Starts a desktop with an empty database, and a cloud with those who are in one.
///
/// # Errors
/// When there are no server programs, or they don't start.
pub(super) async fn servers(
    binaries: Option<&Path>,
    say: &(dyn Fn(&str) + Sync),
) -> Result<(Cluster, Cluster), Fault> {
    let found = find_binaries(binaries).map_err(|what| {
        Fault::new(Kind::Input, what)
            .hint("deploy/postgres.sh --install installs PostgreSQL's server programs")
    })?;
    let binaries = found
        .last()
        .ok_or_else(|| Fault::new(Kind::Input, "no PostgreSQL server programs"))?;
    say(&format!(
        "two throw-away servers, PostgreSQL {}; nothing of yours is touched",
        binaries.release
    ));
    let desktop = Cluster::start(binaries, &ClusterSpec::default()).map_err(broken)?;
    let spec = ClusterSpec {
        superuser: "supabase_admin".to_owned(),
        ..ClusterSpec::default()
    };
    let cloud = Cluster::start(binaries, &spec).map_err(broken)?;
    let database = format!("create database {DATABASE}");
    load(
        &desktop,
        "postgres",
        "postgres",
        Side::Desktop,
        &[&database],
    )
    .await?;
    load(&cloud, "supabase_admin", "postgres", Side::Cloud, &[ROLES]).await?;
    Ok((desktop, cloud))
}

async fn digest(side: &Control, which: Side, sql: &str) -> Result<(i64, String), Fault> {
    let rows = side.client.query_typed(sql, &[]).await;
    let rows = rows.map_err(|error| Fault::wire(which, &error.into()))?;
    Ok(rows
        .first()
        .map_or((0, String::new()), |row| (row.get(0), row.get(1))))
}

async fn load(
    cluster: &Cluster,
    user: &str,
    database: &str,
    side: Side,
    scripts: &[&str],
) -> Result<(), Fault> {
    let control = control::connect(&endpoint(cluster, user, database))
        .await
        .map_err(|error| Fault::wire(side, &error))?;
    for script in scripts {
        let done = control.client.batch_execute(script).await;
        done.map_err(|error| Fault::wire(side, &error.into()))?;
    }
    Ok(())
}

/// PowerCA's own settings, led to the two servers by the environment's names in them.
fn write_settings(folder: &Path, desktop: &Cluster, cloud: &Cluster) -> Result<Settings, Fault> {
    let mut text = String::from(
        "# PowerCA's settings (deploy/powerca.toml), led to the demo's two servers.\n\n",
    );
    let mut section = "";
    for line in SETTINGS.lines() {
        if line.starts_with('[') {
            section = line.trim();
        }
        match (section, line.split('=').next().unwrap_or_default().trim()) {
            ("[desktop]", "url") => {
                text.push_str(&format!("url = \"{}\"", desktop.url("postgres", DATABASE)))
            }
            ("[cloud]", "url") => {
                text.push_str(&format!("url = \"{}\"", cloud.url("postgres", "postgres")))
            }
            ("[desktop]" | "[cloud]", "password") => {}
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text.push_str("\n[heartbeat]\nevery = \"1s\"\n");
    text.push_str(mile::SETTINGS);
    std::fs::write(folder.join("tandem.toml"), text).map_err(broken)?;
    let sources = Sources {
        file: Some(folder.join("tandem.toml")),
        cwd: folder.to_owned(),
        ..Sources::default()
    };
    config::load(&sources).map_err(broken)
}

/// A folder for settings and the log.
pub(super) fn new_folder() -> Result<PathBuf, Fault> {
    let folder = std::env::temp_dir().join(format!("tandem-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(broken)?;
    Ok(folder)
}

/// Something that has nothing to do with tandem failed.
pub(super) fn broken(error: impl Display) -> Fault {
    Fault::new(Kind::Input, "the demo could not go on").cause(error)
}
