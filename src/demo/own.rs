//! `tandem demo --schema FILE.sql`: a schema of somebody's own on two throw-away servers, by the commands that they would type.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::changes::Changes;
use super::cluster::Cluster;
use super::endpoint;
use super::file;
use super::load::{LeftOut, load, play};
use super::script::{Part, Script, Statement};
use super::story::{DATABASE, Stage, broken, new_folder, servers};
use crate::config::{self, Settings, Sources};
use crate::fault::{Fault, Kind, Side};
use crate::limits;
use crate::model::alike;
use crate::observe::Observer;
use crate::wire::{Mode, Session};

/// How the demo of a schema runs.
pub struct Own {
    /// The schema.
    pub schema: PathBuf,
    /// How long its rows are changed.
    pub traffic: Duration,
    /// Leave the servers running at the end, until told to stop.
    pub keep: bool,
    /// Where the server programs are.
    pub binaries: Option<PathBuf>,
    /// The program to run.
    pub program: PathBuf,
}

type Say<'a> = &'a (dyn Fn(&str) + Sync);

/// Runs the demo of a schema, telling `say` what happens. Returns whether both sides ended equal.
///
/// # Errors
/// When the file is refused by a server, with its line; when no table fits; when servers can't be had or the service fails.
pub async fn demo_schema(own: &Own, say: Say<'_>, stop: &CancellationToken) -> Result<bool, Fault> {
    let script = file::read(&own.schema)?;
    let (desktop, cloud) = servers(own.binaries.as_deref(), say).await?;
    tell_parts(own, &script, say);
    for side in [Side::Desktop, Side::Cloud] {
        let mut session = session(side, (&desktop, &cloud)).await?;
        let left = load(&mut session, &script, side).await;
        session.terminate().await;
        tell_left_out(side, &left.map_err(|fault| named(own, fault))?, say);
    }
    let folder = new_folder()?;
    let stage = initiate(own, (desktop, cloud), folder, say).await?;
    let sides = (&stage.desktop, &stage.cloud);
    let mut changes = Changes::of(sides, &stage.settings.tables).await?;
    fill(&mut changes, say).await?;
    bootstrap(own, &stage, say).await?;
    let mut service = stage.start_service(&own.program)?;
    let observer = Observer::connect(&stage.settings).await?;
    stage.caught_up(&observer, &mut service).await?;
    say("tandem run: every change of the desktop's rows travels from now on");
    played(own, &stage, &script, say).await?;
    let began = Instant::now();
    let (mut round, mut killed) = (0, false);
    let mut ticks = interval(limits::DEMO_ROUND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while (round == 0 || began.elapsed() < own.traffic) && !stop.is_cancelled() {
        ticks.tick().await;
        round += 1;
        changes.round(round).await?;
        let sample = observer.sample(&stage.settings).await?;
        let lag = sample
            .lag_ms
            .map_or("unknown".to_owned(), |lag| format!("{lag} ms"));
        let seconds = began.elapsed().as_secs_f64();
        say(&format!(
            "{seconds:5.1} s   {:6} rows changed   lag {lag}",
            changes.done.all()
        ));
        if !killed && began.elapsed() * 2 > own.traffic {
            killed = true;
            service.kill().await.map_err(broken)?;
            say("    kill -9 tandem, in the middle of it; starting it again");
            service = stage.start_service(&own.program)?;
        }
    }
    tell_changes(&changes, say);
    stage.caught_up(&observer, &mut service).await?;
    stage.came_home(&observer).await?;
    stage.caught_up(&observer, &mut service).await?;
    let equal = verify(own, &stage, say).await?;
    let triggers = [
        &["CREATE", "TRIGGER"][..],
        &["CREATE", "CONSTRAINT", "TRIGGER"],
    ];
    let has_triggers = |it: &Statement| triggers.iter().any(|words| it.begins(words));
    if !equal && !script.marked && script.statements.iter().any(has_triggers) {
        say(
            "the file makes its triggers on both sides, so what they write is written twice: once by the cloud's own, once by tandem. \
             Put those that write other rows behind a line `-- desktop`, and the rest behind `-- both`",
        );
    }
    tell_how_to_look(own, &stage, say);
    if own.keep {
        stop.cancelled().await;
    }
    stage.end_service(service, say).await?;
    Ok(equal)
}

/// The file's name stands before the line.
fn named(own: &Own, fault: Fault) -> Fault {
    Fault {
        what: format!("{}, {}", own.schema.display(), fault.what),
        ..fault
    }
}

/// Those who own the tables.
async fn session(side: Side, (desktop, cloud): (&Cluster, &Cluster)) -> Result<Session, Fault> {
    let at = match side {
        Side::Desktop => endpoint(desktop, "postgres", DATABASE),
        Side::Cloud => endpoint(cloud, "postgres", "postgres"),
    };
    let session = Session::connect(&at, Mode::Ordinary, &[]).await;
    session.map_err(Fault::at(side))
}

fn tell_parts(own: &Own, script: &Script, say: Say<'_>) {
    let file = own.schema.display();
    let count = script.statements.len();
    say(&match script.marked {
        true => format!("{file}: {count} statements, each for the side that the file's marks say"),
        false => format!(
            "{file}: {count} statements; tables on both sides, rows on the desktop only (the cloud starts empty)"
        ),
    });
    if let Some((line, command)) = script.commands.first() {
        let more = script.commands.len();
        say(&format!(
            "  left out, {more} commands of psql's: line {line}: {command}"
        ));
    }
}

/// Once for each reason.
fn tell_left_out(side: Side, left: &[LeftOut], say: Say<'_>) {
    for (why, all) in alike(left.iter().map(|out| (&out.why, out))) {
        let more = match all.len() {
            1 => String::new(),
            many => format!(" (and {} more)", many - 1),
        };
        say(&format!(
            "  left out on the {side}: line {}: {}{more}: {why}",
            all[0].line, all[0].what
        ));
    }
}

/// Runs a command of tandem's, as somebody would who has nothing but the file. Exit codes other than 0 and 1 are faults.
async fn command(own: &Own, folder: &Path, arguments: &[&str]) -> Result<(i32, String), Fault> {
    let mut command = Command::new(&own.program);
    command
        .arg("--config")
        .arg(folder.join("tandem.toml"))
        .args(arguments);
    command.stdin(Stdio::null()).kill_on_drop(true);
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TANDEM_"))
    {
        command.env_remove(name);
    }
    let output = command.output().await.map_err(broken)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    match output.status.code() {
        Some(code @ (0 | 1)) => Ok((code, text(&output.stdout))),
        _ => {
            let what = format!(
                "tandem {} failed, which the demo should show you",
                arguments[0]
            );
            Err(Fault::new(Kind::Input, what).cause(text(&output.stderr)))
        }
    }
}

/// `tandem init`, and what it proposed.
async fn initiate(
    own: &Own,
    servers: (Cluster, Cluster),
    folder: PathBuf,
    say: Say<'_>,
) -> Result<Stage, Fault> {
    let (desktop, cloud) = (
        servers.0.url("postgres", DATABASE),
        servers.1.url("postgres", "postgres"),
    );
    let file = folder.join("tandem.toml");
    let out = file.display().to_string();
    let found = command(
        own,
        &folder,
        &[
            "init",
            "--desktop",
            &desktop,
            "--cloud",
            &cloud,
            "--out",
            &out,
        ],
    )
    .await;
    let read = found.and_then(|(_, said)| Ok((said, read(&file)?)));
    let (said, (text, settings)) = match read {
        Ok(read) => read,
        Err(fault) => {
            let _ = std::fs::remove_dir_all(&folder);
            return Err(fault);
        }
    };
    say(&format!(
        "tandem init: {}",
        said.lines().next().unwrap_or_default()
    ));
    let decisions = text.split_once("# These need a decision first.");
    for line in decisions
        .map_or("", |(_, rest)| rest)
        .lines()
        .filter(|line| !line.trim().is_empty())
    {
        say(&format!("  {line}"));
    }
    let stage = Stage::open(servers, folder, settings).await?;
    match stage.settings.tables.is_empty() {
        true => Err(Fault::new(Kind::Input, "no table of the schema fits on both sides")
            .hint("the file needs tables that both sides have: without marks everything goes to both; `-- both`, `-- desktop`, `-- cloud`, `-- data` before a part say whose it is")),
        false => Ok(stage),
    }
}

fn read(file: &Path) -> Result<(String, Settings), Fault> {
    let text = std::fs::read_to_string(file).map_err(broken)?;
    let sources = Sources {
        file: Some(file.to_owned()),
        cwd: file.parent().unwrap_or(Path::new(".")).to_owned(),
        ..Sources::default()
    };
    Ok((text, config::load(&sources).map_err(broken)?))
}

/// Rows for tables that have none.
async fn fill(changes: &mut Changes<'_>, say: Say<'_>) -> Result<(), Fault> {
    let empty = changes.fill().await?;
    let made = changes.done.inserted;
    if made > 0 {
        say(&format!(
            "  {made} rows were made up on the desktop, for tables that had none"
        ));
    }
    if empty > 0 {
        say(&format!(
            "  {empty} tables stay empty: their constraints want other rows than the demo makes up"
        ));
    }
    Ok(())
}

async fn bootstrap(own: &Own, stage: &Stage, say: Say<'_>) -> Result<(), Fault> {
    let (code, said) = command(own, &stage.folder, &["bootstrap", "--quiet"]).await?;
    say(&format!(
        "tandem bootstrap: {tables} tables copied from one snapshot",
        tables = stage.settings.tables.len()
    ));
    if code != 0 {
        said.lines().for_each(|line| say(&format!("  {line}")));
    }
    Ok(())
}

/// The file's own changes, where it has some.
async fn played(own: &Own, stage: &Stage, script: &Script, say: Say<'_>) -> Result<(), Fault> {
    for (part, side, who) in [
        (Part::Changes, Side::Desktop, "on the desktop"),
        (Part::Phones, Side::Cloud, "by phones, in the cloud"),
    ] {
        if !script
            .statements
            .iter()
            .any(|statement| statement.part == part)
        {
            continue;
        }
        let (desktop, cloud) = (&stage.servers.0, &stage.servers.1);
        let mut session = session(side, (desktop, cloud)).await?;
        let played = play(&mut session, script, part, side).await;
        session.terminate().await;
        let count = played.map_err(|fault| named(own, fault))?;
        say(&format!("  {count} statements of the file were run {who}"));
    }
    Ok(())
}

fn tell_changes(changes: &Changes<'_>, say: Say<'_>) {
    let done = changes.done;
    say(&format!(
        "on the desktop {} rows were inserted, {} updated, {} took another key, {} were deleted",
        done.inserted, done.updated, done.renamed, done.deleted
    ));
    let refused: Vec<_> = changes.refused.iter().collect();
    if let Some(((table, kind), why)) = refused.first() {
        say(&format!(
            "  {} kinds of changes were refused by your own constraints and left, such as the {kind} in {table}: {why}",
            refused.len()
        ));
    }
}

async fn verify(own: &Own, stage: &Stage, say: Say<'_>) -> Result<bool, Fault> {
    let (code, said) = command(own, &stage.folder, &["verify"]).await?;
    said.lines().for_each(say);
    if code != 0 {
        for look in [&["quarantine", "list"][..], &["status"]] {
            let (_, seen) = command(own, &stage.folder, look).await?;
            seen.lines().for_each(say);
        }
    }
    Ok(code == 0)
}

fn tell_how_to_look(own: &Own, stage: &Stage, say: Say<'_>) {
    if !own.keep {
        return say("with --keep all of this stays, for you to change rows and look");
    }
    let file = stage.folder.join("tandem.toml");
    for (what, how) in [
        (
            "desktop",
            format!("psql {}", stage.servers.0.url("postgres", DATABASE)),
        ),
        (
            "cloud",
            format!("psql {}", stage.servers.1.url("postgres", "postgres")),
        ),
        ("settings", file.display().to_string()),
        (
            "look",
            format!(
                "tandem -c {} status   (or lag --watch, top, verify)",
                file.display()
            ),
        ),
    ] {
        say(&format!("{what:9}{how}"));
    }
    say("change a row on the desktop and see it in the cloud; Ctrl-C ends it all");
}
