//! The schema `tandem` goes from version to version while people work: nothing is lost, whoever is too old is refused, and
//! what fails leaves everything as it was.
//!
//! Version 1 comes from `tests/fixtures/state`: its files as they were released, and what a program left in them. Later
//! versions that don't exist yet are steps that a program would have: [`Migrations`] is a value.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;
use tandem::config::Settings;
use tandem::fault::{Decision, Exit, Fault, Side};
use tandem::install::{Migrations, may_migrate, migrate, planned_steps};
use tandem::platform;
use tandem::service::{self, RunMode};
use tandem::wire::control::Control;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::bouncer;
use crate::support::office::{
    Office, PATIENCE, Plan, came_home, connect, exec, finish, tandem, until, value,
};
use crate::support::servers::versions;

const SETTINGS: &str = "replicator = \"office-1\"\n[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n[listen]\nhttp = \"off\"\n\
    [[table]]\nname = \"item\"\nmax_shrink = 1\n[[table]]\nname = \"visits\"\nflow = \"both\"\n";
const ON_DESKTOP: &str = "create table item (id int primary key, note text); create table visits (id int primary key, note text, source char(1)); \
    insert into item select n, 'first' from generate_series(1, 50) n";
const IN_CLOUD: &str = "create table item (id int primary key, note text check (note <> 'poison'), source char(1)); \
    create table visits (id int primary key, note text, source char(1) default 'D')";

const VERSION: &str = "select version from tandem.version";

/// What a next version may do: new tables, new columns where phones and other replicators write, new functions.
const ADDS_IN_CLOUD: &str = "select tandem.begin_migration(2);
create table tandem.note (id bigint generated always as identity primary key, replicator text not null, words text);
alter table tandem.outbox add column weight integer not null default 1;
alter table tandem.checkpoint add column colour text;
create function tandem.heaviest() returns integer language sql as 'select max(weight) from tandem.outbox';
select tandem.end_migration();";
const ADDS_ON_DESKTOP: &str = "select tandem.begin_migration(2);
create table tandem.note (id bigint generated always as identity primary key, replicator text not null, words text);
alter table tandem.ledger add column weight integer not null default 1;
create function tandem.lightest() returns integer language sql as 'select min(weight) from tandem.ledger';
select tandem.end_migration();";
/// What older programs can't work with.
const RAISES: &str = "select tandem.begin_migration(3, '99.0.0'); alter table tandem.note drop column words; select tandem.end_migration();";

fn added() -> Migrations {
    Migrations::embedded()
        .then(Side::Cloud, "002_weights", ADDS_IN_CLOUD)
        .then(Side::Desktop, "002_weights", ADDS_ON_DESKTOP)
}

fn raised() -> Migrations {
    added()
        .then(Side::Cloud, "003_words", RAISES)
        .then(Side::Desktop, "003_words", RAISES)
        .of_program("99.0.0")
}

fn fixture(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/state")
}

/// A program of another version, in this process.
struct Newer {
    stop: CancellationToken,
    ended: oneshot::Receiver<Result<(), Fault>>,
}

impl Newer {
    fn start(settings: &Settings, migrations: Migrations, goal: RunMode) -> Newer {
        let (stop, settings) = (CancellationToken::new(), settings.clone());
        let goal = RunMode {
            migrations: Arc::new(migrations),
            ..goal
        };
        let told = stop.clone();
        let (tell, ended) = oneshot::channel();
        // A service has a thread of its own.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let _ = tell.send(runtime.block_on(service::run(&settings, goal, &told)));
        });
        Newer { stop, ended }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.end().await.unwrap();
    }

    /// Waits until a query answers true while it is at work.
    async fn until(&mut self, side: &Control, sql: &str) {
        tokio::select! {
            () = until(side, sql) => {}
            ended = &mut self.ended => panic!("it ended before {sql}: {ended:?}"),
        }
    }

    async fn end(self) -> Result<(), Fault> {
        let ended = tokio::time::timeout(PATIENCE, self.ended).await;
        ended.expect("it does not end").unwrap()
    }

    /// The fault that stopped it, whole.
    async fn refused(self, exit: Exit) -> String {
        let fault = self.end().await.unwrap_err();
        assert_eq!(fault.decision(), Decision::Stop(exit), "{fault}");
        format!("{fault} {}", fault.hint.clone().unwrap_or_default())
    }
}

/// The office's program and a phone, each of whose statements has to succeed.
struct Traffic {
    stop: Arc<AtomicBool>,
    done: [Arc<AtomicU64>; 2],
    writers: [JoinHandle<()>; 2],
}

impl Traffic {
    async fn start(office: &Office) -> Traffic {
        let stop = Arc::new(AtomicBool::new(false));
        let desktop = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
        let statement = |n: u64| {
            let other = n % 40 + 1;
            format!(
                "insert into item values ({}, 'new'); update item set note = 'edit {n}' where id = {other}; delete from item where id = {}",
                n + 1000,
                n + 990
            )
        };
        let phone = office.another_cloud().await;
        let tick = |n: u64| {
            let old = n.saturating_sub(5);
            format!(
                "insert into visits values ({n}, 'phone', 'M'); update visits set note = 'edit {n}' where id = {old}"
            )
        };
        let done: [Arc<AtomicU64>; 2] = [Arc::default(), Arc::default()];
        let writers = [
            tokio::spawn(works(desktop, statement, stop.clone(), done[0].clone())),
            tokio::spawn(works(phone, tick, stop.clone(), done[1].clone())),
        ];
        Traffic {
            stop,
            done,
            writers,
        }
    }

    /// Waits until both have done some more.
    async fn goes_on(&self) {
        let goals = self
            .done
            .each_ref()
            .map(|one| one.load(Ordering::Relaxed) + 20);
        let goes = async {
            while { self.done.iter().zip(goals) }
                .any(|(one, goal)| one.load(Ordering::Relaxed) < goal)
            {
                assert!(
                    self.writers.iter().all(|writer| !writer.is_finished()),
                    "a statement failed"
                );
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let went = tokio::time::timeout(PATIENCE, goes).await;
        went.expect("somebody stands still");
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.unwrap();
        }
    }
}

async fn works(
    side: Control,
    statement: impl Fn(u64) -> String,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
) {
    while !stop.load(Ordering::Relaxed) {
        let n = done.load(Ordering::Relaxed) + 1;
        exec(&side, &statement(n)).await;
        done.store(n, Ordering::Relaxed);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Both sides' version, and whether anything of the next one is there.
async fn stands(office: &Office) -> [String; 2] {
    let sql = "select concat_ws(' ', v.version, v.oldest_binary, (select count(*) from tandem.migration), to_regclass('tandem.note')) from tandem.version v";
    [
        value(&office.cloud, sql).await,
        value(&office.desktop, sql).await,
    ]
}

/// An office whose schemas are those of the first release, which its program finds.
async fn first_release() -> Office {
    let plan = Plan {
        bouncer: bouncer::is_here(),
        ..Plan::tables(versions().first().unwrap(), SETTINGS)
    };
    let office = Office::open(&plan).await;
    exec(&office.desktop, ON_DESKTOP).await;
    exec(&office.desktop, &fixture("desktop/001_state.sql")).await;
    let cloud = fixture("cloud/001_state.sql");
    let cloud = format!("set role postgres; {IN_CLOUD}; {cloud}; reset role");
    exec(&office.cloud, &cloud).await;
    office
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p4_an_upgrade_under_traffic_loses_nothing_and_then_refuses_the_older_program() {
    let office = first_release().await;
    let settings = &office.settings;
    let mut old = office.run();
    office.caught_up(&mut old).await;
    let traffic = Traffic::start(&office).await;
    // Another office of this cloud, with a program as old.
    exec(&office.cloud, "insert into tandem.checkpoint (replicator, system_id, timeline, database, slot, holder, version, epoch, held_until) \
        values ('office-7', '7', 1, 'd', 's', 'pc-7/1/1', '0.1.0', 5, now() + interval '1 day')").await;
    let seventh = "select epoch from tandem.checkpoint where replicator = 'office-7'";
    exec(&office.desktop, "insert into item values (900, 'poison')").await;
    until(&office.cloud, "select count(*) = 1 from tandem.quarantine").await;

    // While the old one is at work nobody migrates, whoever comes.
    let before = stands(&office).await;
    for goal in [RunMode::copies(), RunMode::service()] {
        let said = Newer::start(settings, added(), goal)
            .refused(Exit::Protected)
            .await;
        assert!(said.contains("another tandem is running"), "{said}");
    }
    let standby = Newer::start(
        settings,
        added(),
        RunMode {
            standby: true,
            ..RunMode::service()
        },
    );
    traffic.goes_on().await;
    assert_eq!(stands(&office).await, before);
    standby.stop().await;
    office.caught_up(&mut old).await;
    assert_eq!(old.stop().await, 0);
    keep_rows(&office);
    let copies = "select string_agg(concat_ws(' ', \"table\", copied, copied_at), '; ' order by \"table\") from tandem.table_state";
    let copied = value(&office.cloud, copies).await;

    // A step fails on the second side: both sides stay as they were, and the old one goes on.
    let broken = Migrations::embedded()
        .then(Side::Cloud, "002_weights", ADDS_IN_CLOUD)
        .then(
            Side::Desktop,
            "002_broken",
            ADDS_ON_DESKTOP.replace("min(weight)", "min(height)"),
        );
    let said = Newer::start(settings, broken, RunMode::service())
        .refused(Exit::Protected)
        .await;
    for words in [
        "schema tandem on the desktop",
        "from version 1 to 2 (002_broken)",
        "height",
        "nothing was changed on either side",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(stands(&office).await, before);
    // So does one that an older program at work couldn't go on with.
    let said = Newer::start(settings, raised(), RunMode::service())
        .refused(Exit::Protected)
        .await;
    assert!(
        said.contains("office-7 with tandem 0.1.0") && said.contains("update or stop those first"),
        "{said}"
    );
    assert_eq!(stands(&office).await, before);
    let mut old = office.run();
    office.caught_up(&mut old).await;
    assert_eq!(old.stop().await, 0);

    // What others hold locked is waited for, and nobody waits long behind us.
    let backup = office.another_cloud().await;
    exec(
        &backup,
        "begin; lock table tandem.outbox in access share mode",
    )
    .await;
    let mut new = Newer::start(settings, added(), RunMode::service());
    let waits = "select count(*) > 0 from pg_locks where not granted and relation = 'tandem.outbox'::regclass";
    new.until(&office.cloud, waits).await;
    traffic.goes_on().await;
    new.until(&office.cloud, waits).await;
    assert_eq!(stands(&office).await, before);
    exec(&backup, "commit").await;
    for side in [&office.cloud, &office.desktop] {
        new.until(side, "select version = 2 from tandem.version")
            .await;
    }
    let ours = "select concat_ws(' ', run_by, program) from tandem.migration where version = 2";
    assert_eq!(value(&office.cloud, ours).await, "postgres 0.1.0");
    traffic.goes_on().await;
    // Nobody waits for the phone: of what it had done by now, all is home.
    let last = value(&office.cloud, "select max(id) from visits").await;
    let home = format!("select exists (select from visits where id = {last})");
    new.until(&office.desktop, &home).await;
    // The checkpoint went on: nothing was copied again. The other office heard nothing of it.
    assert_eq!(value(&office.cloud, copies).await, copied);
    assert_eq!(value(&office.cloud, seventh).await, "5");
    new.stop().await;
    // What only adds, an older program works with.
    let mut old = office.run();
    office.caught_up(&mut old).await;
    assert_eq!(old.stop().await, 0);

    // What doesn't, waits until the others have stopped; and who only sleeps is fenced.
    exec(
        &office.cloud,
        "update tandem.checkpoint set held_until = 'epoch' where replicator = 'office-7'",
    )
    .await;
    let mut new = Newer::start(settings, raised(), RunMode::service());
    for side in [&office.cloud, &office.desktop] {
        new.until(
            side,
            "select version = 3 and oldest_binary = '99.0.0' from tandem.version",
        )
        .await;
    }
    assert_eq!(value(&office.cloud, seventh).await, "6");
    traffic.goes_on().await;
    traffic.stop().await;
    let all = |side| {
        value(
            side,
            "select concat_ws(' ', (select count(*) from item where id <> 900), (select max(id) from item), (select count(*) from visits))",
        )
    };
    let there = all(&office.desktop).await;
    let [items, last, _]: [_; 3] = there.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let visits = value(&office.cloud, "select count(*) from visits").await;
    until(
        &office.desktop,
        &format!("select count(*) = {visits} from visits"),
    )
    .await;
    until(
        &office.cloud,
        &format!("select count(*) = {items} and max(id) = {last} from item"),
    )
    .await;
    came_home(&office).await;
    new.stop().await;
    assert_eq!(value(&office.cloud, copies).await, copied);
    office.assert_equal_but(&["item"]).await;
    let rows = "select md5(string_agg(concat_ws(' ', id, note), ',' order by id)) from item where id <> 900";
    assert_eq!(
        value(&office.cloud, rows).await,
        value(&office.desktop, rows).await
    );
    let rows = "select md5(string_agg(concat_ws(' ', id, note), ',' order by id)) from visits";
    assert_eq!(
        value(&office.cloud, rows).await,
        value(&office.desktop, rows).await
    );
    office.assert_conserved().await;

    // The older program is refused everywhere, and says why.
    let needs = "needs tandem 99.0.0 or newer, and this is 0.1.0";
    for (command, exit) in [
        (&["run"][..], 5),
        (&["bootstrap"], 2),
        (&["status"], 2),
        (&["verify"], 2),
        (&["quarantine", "list"], 2),
        (&["uninstall", "--plan"], 2),
    ] {
        let (code, out, said) = office.ask(command).await;
        assert!(
            code == exit && said.contains(needs) && said.contains("nothing was changed"),
            "{command:?} {code} {out} {said}"
        );
    }
}

/// A program's rows at this version, for [`p13_rows_of_the_first_release_are_migrated_once_and_all_of_it_goes_again`].
fn keep_rows(office: &Office) {
    if std::env::var_os("TANDEM_TEST_BLESS").is_none() {
        return;
    }
    for (side, cluster, user, database) in [
        (
            "desktop",
            &office.servers.desktop,
            "postgres",
            "enterprise_db",
        ),
        ("cloud", &office.servers.cloud, "supabase_admin", "postgres"),
    ] {
        let dump = std::process::Command::new("pg_dump")
            .args([
                "--data-only",
                "--column-inserts",
                "--schema",
                "tandem",
                "--exclude-table",
                "tandem.version",
                "--exclude-table",
                "tandem.migration",
            ])
            .args([
                "--host",
                cluster.host(),
                "--port",
                &cluster.port().to_string(),
                "--username",
                user,
                database,
            ])
            .output()
            .unwrap();
        assert!(
            dump.status.success(),
            "{}",
            String::from_utf8_lossy(&dump.stderr)
        );
        let text = String::from_utf8(dump.stdout).unwrap();
        // Whose computer it was is nobody's business.
        let holder = platform::holder();
        let text = text.replace(holder.rsplitn(3, '/').nth(2).unwrap(), "pc-1");
        // What newer clients put around it.
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('\\') && !line.starts_with("--") && !line.is_empty());
        let lines: Vec<_> = lines.collect();
        std::fs::write(
            folder().join(side).join("001_rows.sql"),
            lines.join("\n") + "\n",
        )
        .unwrap();
    }
}

async fn document(office: &Office, command: &[&str]) -> Value {
    let (_, out, said) = office.ask(command).await;
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_rows_of_the_first_release_are_migrated_once_and_all_of_it_goes_again() {
    let office = first_release().await;
    for (side, name) in [
        (&office.desktop, "desktop/001_rows.sql"),
        (&office.cloud, "cloud/001_rows.sql"),
    ] {
        let rows = fixture(name);
        exec(
            side,
            &format!("{rows}; select set_config('search_path', 'public', false)"),
        )
        .await;
    }
    let kept = async |side: &Control| {
        let sql = "select string_agg(c.relname || ' ' || (xpath('/row/n/text()', query_to_xml('select count(*) as n from tandem.' || c.relname, false, true, '')))[1]::text, ', ' order by c.relname) \
            from pg_class c where c.relnamespace = 'tandem'::regnamespace and c.relkind = 'r' and c.relname not in ('note', 'migration')";
        value(side, sql).await
    };
    let rows = [kept(&office.cloud).await, kept(&office.desktop).await];
    for words in [
        "checkpoint 2",
        "quarantine 1",
        "table_state 2",
        "reverse_state 1",
    ] {
        assert!(rows[0].contains(words), "{words}: {}", rows[0]);
    }

    // A user of the desktop who owns nothing there is told before anything is changed; what the owner pastes gives him what is new.
    exec(&office.desktop, "create role desk login; grant usage on schema tandem to desk; grant select, insert, update, delete on all tables in schema tandem to desk; \
        create role guest; grant select on tandem.version to guest").await;
    let desk = connect(&office.servers.desktop, "desk", "enterprise_db").await;
    let cloud = connect(&office.servers.cloud, "postgres", "postgres").await;
    let fault = may_migrate(&desk.client, Side::Desktop, &added())
        .await
        .unwrap_err();
    let said = format!("{fault} {}", fault.hint.clone().unwrap_or_default());
    assert_eq!(fault.decision(), Decision::Stop(Exit::Input), "{said}");
    assert!(
        said.contains(
            "version 1, this program needs 2, and desk may not change it: it is postgres's"
        ) && said.contains("nothing was changed"),
        "{said}"
    );
    may_migrate(&cloud.client, Side::Cloud, &added())
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let fault = migrate(
        (&desk.client, &cloud.client),
        &added(),
        ("office-1", None),
        &stop,
    )
    .await
    .unwrap_err();
    assert_eq!(fault.decision(), Decision::Stop(Exit::Input), "{fault}");
    assert!(
        stands(&office)
            .await
            .iter()
            .all(|now| now.starts_with("1 0.1.0 1"))
    );
    let paste = planned_steps(&added(), Side::Desktop, Some(1), "office-1").unwrap();
    exec(&office.desktop, &paste).await;
    let again = office
        .desktop
        .client
        .batch_execute(&paste)
        .await
        .unwrap_err();
    assert_eq!(again.code().unwrap().code(), "TD020");
    exec(&office.desktop, "rollback").await;
    exec(
        &desk,
        "insert into tandem.note (replicator) values ('office-1'); select tandem.lightest()",
    )
    .await;
    let given = "select concat(has_table_privilege('guest', 'tandem.note', 'select'), has_function_privilege('guest', 'tandem.lightest()', 'execute'))";
    assert_eq!(value(&office.desktop, given).await, "ff");

    // Two programs at once: each step is taken once. What was half done is finished.
    let second = connect(&office.servers.cloud, "postgres", "postgres").await;
    let migrations = added();
    let (one, other) = tokio::join!(
        migrate(
            (&office.desktop.client, &cloud.client),
            &migrations,
            ("office-1", None),
            &stop
        ),
        migrate(
            (&desk.client, &second.client),
            &migrations,
            ("office-2", None),
            &stop
        ),
    );
    one.unwrap();
    other.unwrap();
    for now in stands(&office).await {
        assert_eq!(now, "2 0.1.0 2 tandem.note");
    }
    assert_eq!(
        [kept(&office.cloud).await, kept(&office.desktop).await],
        rows
    );

    // An older program with such a schema: both sides' versions are said, and nothing is to be done.
    let schemas = document(&office, &["status", "--json"]).await["schemas"].clone();
    for side in ["desktop", "cloud"] {
        assert_eq!(schemas[side]["version"], 2, "{schemas}");
        assert_eq!(
            schemas[side]["migrates"],
            serde_json::json!([]),
            "{schemas}"
        );
    }
    // A newer one: what would migrate, and whether it may. Our own first step stands for it, which fails, since it is there.
    let newest = Migrations::embedded().newest(Side::Cloud);
    for side in [&office.cloud, &office.desktop] {
        exec(side, "update tandem.version set version = 0").await;
    }
    let schemas = document(&office, &["status", "--json"]).await["schemas"].clone();
    assert_eq!(schemas["cloud"]["migrates"][0], "001_state", "{schemas}");
    let (_, out, _) = office.ask(&["status"]).await;
    assert!(
        out.contains(&format!(
            "cloud version 0, the next start brings it to {newest} (001_state"
        )),
        "{out}"
    );
    let check = async |id: &str| {
        let checks = document(&office, &["doctor", "--json"]).await["checks"].clone();
        let check = checks
            .as_array()
            .unwrap()
            .iter()
            .find(|check| check["id"] == id)
            .cloned();
        check.unwrap().to_string()
    };
    let said = check("cloud_state").await;
    assert!(
        said.contains("\"ok\"") && said.contains("brings it to") && said.contains("001_state"),
        "{said}"
    );
    // What it asks for and what isn't there yet is no riddle.
    let lacks = "alter table tandem.checkpoint rename held_since to later";
    exec(&office.cloud, lacks).await;
    for command in ["status", "lag"] {
        let (code, _, said) = office.ask(&[command]).await;
        assert!(
            code == 2
                && said.contains("this program asks for what comes with")
                && said.contains("held_since")
                && said.contains("tandem run"),
            "{command} {code} {said}"
        );
    }
    let back = "alter table tandem.checkpoint rename later to held_since";
    exec(&office.cloud, back).await;
    let here = "select system_identifier from pg_control_system()";
    let here = value(&office.desktop, here).await;
    let adopt =
        format!("update tandem.checkpoint set system_id = '{here}' where replicator = 'office-1'");
    exec(&office.cloud, &adopt).await;
    let (code, _, said) = office.ask(&["run"]).await;
    assert!(
        code == 5
            && said.contains("can't be brought from version 0")
            && said.contains("nothing was changed on either side"),
        "{code} {said}"
    );
    let settings = std::fs::read_to_string(office.file()).unwrap();
    std::fs::write(
        office.file(),
        settings.replacen("postgres://postgres@", "postgres://desk@", 1),
    )
    .unwrap();
    let said = check("desktop_state").await;
    assert!(
        said.contains("\"fail\"")
            && said.contains("desk may not bring it to")
            && said.contains("as postgres: paste what tandem bootstrap --plan shows"),
        "{said}"
    );
    std::fs::write(office.file(), settings).unwrap();

    // One replicator leaves: all that is kept by replicator goes, also what an uninstall never heard of. Then the last one.
    for side in [&office.cloud, &office.desktop] {
        exec(side, &format!("update tandem.version set version = 2; {VERSION}; insert into tandem.note (replicator) values ('office-1'), ('office-7')")).await;
    }
    exec(
        &office.desktop,
        "insert into tandem.slot (replicator, slot) values ('office-7', 's')",
    )
    .await;
    exec(
        &office.cloud,
        "update tandem.checkpoint set held_until = 'epoch'",
    )
    .await;
    let (code, plan, said) = office.ask(&["uninstall", "--plan"]).await;
    assert!(
        code == 0
            && plan.matches("delete from tandem.\"note\"").count()
                + plan.matches("delete from tandem.note").count()
                == 2,
        "{plan} {said}"
    );
    let (code, out, said) = office.ask(&["uninstall", "--yes"]).await;
    assert_eq!(code, 0, "{out} {said}");
    for side in [&office.cloud, &office.desktop] {
        assert_eq!(
            value(side, "select string_agg(replicator, ' ') from tandem.note").await,
            "office-7"
        );
    }
    assert_eq!(
        value(
            &office.cloud,
            "select string_agg(replicator, ' ') from tandem.checkpoint"
        )
        .await,
        "office-7"
    );
    let text = std::fs::read_to_string(office.file())
        .unwrap()
        .replace("office-1", "office-7");
    std::fs::write(office.file(), text).unwrap();
    let (code, out, said) = finish(
        tandem()
            .arg("-c")
            .arg(office.file())
            .args(["uninstall", "--yes"]),
    )
    .await;
    assert_eq!(code, 0, "{out} {said}");
    for side in [&office.cloud, &office.desktop] {
        assert_eq!(value(side, "select to_regnamespace('tandem')").await, "");
    }
}
