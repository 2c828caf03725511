//! Whatever goes wrong shows in `status`, in `/readyz` and in a metric, and is gone when it is mended: no fault leaves health
//! green (P15). How long each took is printed: 30 s are promised, on a machine that has the time.

use std::time::{Duration, Instant};

use crate::support::office::{PATIENCE, Service, connect, exec, until};
use crate::support::poll;
use crate::support::watched::{DDL, Watched, watched_with};
use tandem::demo::cluster::Mode;

/// What goes wrong: its name, what `/readyz` may call it, as what `status` may end, and which metric is how then.
type Fault = (
    &'static str,
    &'static [&'static str],
    &'static [i32],
    &'static str,
    fn(f64) -> bool,
);

const NEEDS_YOU: &[&str] = &["needs_you"];
const UNKNOWN: &[&str] = &["unknown"];
/// A cloud that takes nothing: what renews the lease there may be refused, too.
const STANDS: &[&str] = &["stalled", "down"];
const ONE: fn(f64) -> bool = |value| value == 1.0;
const NONE: fn(f64) -> bool = |value| value == 0.0;

const OF_TABLES: [Fault; 6] = [
    (
        "table_drifted",
        NEEDS_YOU,
        &[1],
        "tandem_table_needs_you{table=\"other\"}",
        ONE,
    ),
    (
        "table_held",
        NEEDS_YOU,
        &[1],
        "tandem_table_needs_you{table=\"bulk\"}",
        ONE,
    ),
    (
        "swap_refused",
        NEEDS_YOU,
        &[1],
        "tandem_table_needs_you{table=\"stock\"}",
        ONE,
    ),
    (
        "row_quarantined",
        NEEDS_YOU,
        &[1],
        "tandem_quarantined{direction=\"forward\"}",
        ONE,
    ),
    (
        "row_quarantined_at_home",
        NEEDS_YOU,
        &[1],
        "tandem_quarantined{direction=\"reverse\"}",
        ONE,
    ),
    (
        "sides_differ",
        NEEDS_YOU,
        &[1],
        "tandem_verified_equal",
        NONE,
    ),
];
const OF_SIDES: [Fault; 7] = [
    ("cloud_refuses", UNKNOWN, &[4], "tandem_up", NONE),
    ("cloud_silent", UNKNOWN, &[4], "tandem_up", NONE),
    ("desktop_refuses", UNKNOWN, &[4], "tandem_up", NONE),
    ("desktop_silent", UNKNOWN, &[4], "tandem_up", NONE),
    ("cloud_stopped", UNKNOWN, &[4], "tandem_up", NONE),
    ("desktop_stopped", UNKNOWN, &[4], "tandem_up", NONE),
    ("service_killed", &[""], &[3], "tandem_up", NONE),
];
const OF_WORK: [Fault; 4] = [
    (
        "refill_fails",
        NEEDS_YOU,
        &[1],
        "tandem_statement_failed{statement=\"refill\"}",
        ONE,
    ),
    (
        "then_fails",
        NEEDS_YOU,
        &[1],
        "tandem_statement_failed{statement=\"then\"}",
        ONE,
    ),
    (
        "cloud_locked",
        STANDS,
        &[1, 3],
        "tandem_lag_seconds",
        |lag| lag > 10.0,
    ),
    (
        "cloud_read_only",
        STANDS,
        &[1, 3],
        "tandem_lag_seconds",
        |lag| lag > 10.0,
    ),
];

const ON_DESKTOP: &str = "create table item (id int primary key, note text); create table other (id int primary key); create table bulk (id int primary key); \
    create table stock (nr int primary key); create table visits (id int primary key, note varchar(5), source char(1)); create table switch (what text primary key); \
    create function fails(which text) returns void language plpgsql as $$ begin if exists (select from switch where what = which) then raise 'the office''s % is broken', which; end if; end $$; \
    insert into bulk select generate_series(1, 300); insert into stock select generate_series(1, 300)";
const IN_CLOUD: &str = "create table item (id int primary key, note text); create table other (id int primary key); create table bulk (id int primary key); \
    create table stock (nr int primary key); create table visits (id int primary key, note varchar(5), source char(1))";

async fn office(more: &str) -> (Watched, Service) {
    let it = watched_with(
        more,
        "[[table]]\nname = \"bulk\"\n[[table]]\nname = \"stock\"\nstream = false\nswap = \"1s\"\n[[table]]\nname = \"visits\"\nflow = \"reverse\"\n",
        ON_DESKTOP,
        IN_CLOUD,
    )
    .await;
    let mut service = it.office.run();
    it.office.caught_up(&mut service).await;
    (it, service)
}

async fn inject(it: &mut Watched, service: &mut Option<Service>, id: &str) {
    let office = &mut it.office;
    let (desktop, cloud) = (&office.desktop, &office.cloud);
    match id {
        "table_drifted" => {
            exec(cloud, "alter table other rename to another").await;
            exec(desktop, "insert into other values (1)").await;
        }
        "table_held" => exec(desktop, "delete from bulk where id > 50").await,
        "swap_refused" => exec(desktop, "delete from stock where nr > 50").await,
        "row_quarantined" => {
            exec(
                cloud,
                "alter table item add constraint fine check (note <> 'bad')",
            )
            .await;
            exec(desktop, "insert into item values (500, 'bad')").await;
        }
        "row_quarantined_at_home" => {
            exec(
                desktop,
                "alter table visits add constraint fine check (note <> 'bad')",
            )
            .await;
            exec(cloud, "insert into visits values (1, 'bad', 'M')").await;
        }
        "sides_differ" => exec(cloud, "delete from item where id = 1").await,
        "cloud_refuses" => {
            office.to_cloud.refuse(true);
            office.to_cloud.cut();
        }
        "cloud_silent" => office.to_cloud.stall(),
        "desktop_refuses" => {
            office.to_desktop.refuse(true);
            office.to_desktop.cut();
        }
        "desktop_silent" => office.to_desktop.stall(),
        "cloud_stopped" => drop(office.servers.cloud.stop(Mode::Fast).unwrap()),
        "desktop_stopped" => drop(office.servers.desktop.stop(Mode::Fast).unwrap()),
        "service_killed" => service.take().unwrap().kill().await,
        "refill_fails" => exec(desktop, "insert into switch values ('refill')").await,
        "then_fails" => {
            exec(desktop, "insert into switch values ('then')").await;
            exec(cloud, "insert into visits values (7, 'x', 'M')").await;
        }
        "cloud_locked" => {
            exec(cloud, "begin; lock table item in exclusive mode").await;
            exec(desktop, "insert into item values (700, 'waits')").await;
        }
        "cloud_read_only" => {
            exec(
                cloud,
                "alter database postgres set default_transaction_read_only = on",
            )
            .await;
            exec(cloud, "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'tandem%' and pid <> pg_backend_pid()").await;
            exec(desktop, "insert into item values (800, 'waits')").await;
        }
        _ => unreachable!("{id}"),
    }
}

async fn mend(it: &mut Watched, service: &mut Option<Service>, id: &str) {
    let office = &mut it.office;
    let (desktop, cloud) = (&office.desktop, &office.cloud);
    let mut command = None;
    match id {
        // It goes on by itself.
        "table_drifted" => exec(cloud, "alter table another rename to other").await,
        "table_held" => {
            exec(desktop, "insert into bulk select generate_series(51, 300)").await;
            command = Some(["bootstrap", "--table", "bulk"]);
        }
        "swap_refused" => command = Some(["swap", "stock", "--allow-shrink"]),
        "row_quarantined" => exec(desktop, "update item set note = 'good' where id = 500").await,
        "row_quarantined_at_home" => {
            exec(cloud, "update visits set note = 'good' where id = 1").await
        }
        "sides_differ" => command = Some(["repair", "--apply", "-q"]),
        "cloud_refuses" => office.to_cloud.refuse(false),
        "cloud_silent" => office.to_cloud.resume(),
        "desktop_refuses" => office.to_desktop.refuse(false),
        "desktop_silent" => office.to_desktop.resume(),
        "cloud_stopped" => {
            let server = &office.servers.cloud;
            server.start_again().unwrap();
            office.cloud = connect(server, server.superuser(), "postgres").await;
        }
        "desktop_stopped" => {
            let server = &office.servers.desktop;
            server.start_again().unwrap();
            office.desktop = connect(server, server.superuser(), "enterprise_db").await;
        }
        "service_killed" => *service = Some(office.run()),
        "refill_fails" | "then_fails" => exec(desktop, "delete from switch").await,
        "cloud_locked" => exec(cloud, "rollback").await,
        "cloud_read_only" => {
            exec(
                cloud,
                "alter database postgres reset default_transaction_read_only",
            )
            .await;
            exec(cloud, "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'tandem%' and pid <> pg_backend_pid()").await;
        }
        _ => unreachable!("{id}"),
    }
    if let Some(command) = command {
        let (code, out, said) = office.ask(&command).await;
        assert_eq!(code, 0, "{id}: {out} {said}");
    }
}

/// Waits until all three say so, and says how long it took.
async fn seen(it: &Watched, fault: &Fault, wrong: bool) -> Duration {
    let (id, words, exits, metric, is_bad) = fault;
    let since = Instant::now();
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    loop {
        looks.tick().await;
        let (code, ready) = it.get("/readyz").await;
        let value = it.metric(metric).await;
        let (exit, ..) = it.office.ask(&["status", "--json"]).await;
        let all = match wrong {
            true => {
                // Where nobody listens there is no metric, which is what its alert asks for.
                let shows = value.map_or(code == 0, is_bad);
                code != 200
                    && words.iter().any(|word| ready.contains(word))
                    && shows
                    && exits.contains(&exit)
            }
            false => code == 200 && value.is_some_and(|value| !is_bad(value)) && exit == 0,
        };
        if all {
            return since.elapsed();
        }
        assert!(
            since.elapsed() < PATIENCE,
            "{id}, wrong: {wrong}; /readyz {code} {ready}, {metric} {value:?}, status {exit}"
        );
    }
}

async fn all_show_and_clear(faults: &[Fault], more: &str) {
    let (mut it, service) = office(more).await;
    exec(&it.office.desktop, "insert into item values (1, 'x')").await;
    let mut service = Some(service);
    for fault in faults {
        seen(&it, fault, false).await;
        inject(&mut it, &mut service, fault.0).await;
        let shown = seen(&it, fault, true).await;
        mend(&mut it, &mut service, fault.0).await;
        let cleared = seen(&it, fault, false).await;
        println!(
            "{}: shown in {shown:.1?}, cleared in {cleared:.1?}",
            fault.0
        );
    }
    assert_eq!(service.unwrap().stop().await, 0);
}

#[test]
fn p15_there_are_fifteen_faults_and_more() {
    let mut ids: Vec<_> = OF_TABLES
        .iter()
        .chain(&OF_SIDES)
        .chain(&OF_WORK)
        .map(|fault| fault.0)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() >= 15, "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_f35_what_happens_to_tables_and_rows_shows_and_clears() {
    all_show_and_clear(&OF_TABLES, "[verify]\nevery = \"5s\"\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_f35_a_side_or_a_service_that_is_away_shows_and_clears() {
    all_show_and_clear(&OF_SIDES, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_f35_work_that_stands_or_fails_shows_and_clears() {
    let more = "[refill]\nsql = \"select fails('refill')\"\nevery = \"1s\"\n[reverse]\nevery = \"100ms\"\nthen = \"select fails('then')\"\n";
    all_show_and_clear(&OF_WORK, more).await;
}

/// No session has ended because a side was away.
async fn no_outage(it: &Watched) {
    for side in ["desktop", "cloud"] {
        let name = format!("tandem_reconnects_total{{side=\"{side}\"}}");
        assert_eq!(it.metric(&name).await, Some(0.0), "{side}");
    }
    let log = it.office.log();
    assert!(!log.contains("trying again"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_a_session_that_ends_on_purpose_is_no_outage() {
    let (mut it, service) = office("").await;
    let mut service = Some(service);
    // Mended, it is taken up by a new session; so is one that somebody asks for, and one that was made again.
    for id in ["table_drifted", "table_held"] {
        let fault = OF_TABLES.iter().find(|fault| fault.0 == id).unwrap();
        seen(&it, fault, false).await;
        inject(&mut it, &mut service, id).await;
        seen(&it, fault, true).await;
        mend(&mut it, &mut service, id).await;
        seen(&it, fault, false).await;
    }
    exec(
        &it.office.desktop,
        "drop table other; create table other (id int primary key); insert into other values (7)",
    )
    .await;
    until(
        &it.office.cloud,
        "select exists (select from other where id = 7)",
    )
    .await;
    let log = it.office.log();
    for said in ["other fits again", "a new copy of table bulk", "made again"] {
        assert!(log.contains(said), "{said}: {log}");
    }
    no_outage(&it).await;
    assert_eq!(service.unwrap().stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_a_full_temporary_folder_is_said_and_is_no_outage() {
    let settings = "[forward]\nmemory_max = \"8MB\"\n";
    let it = watched_with(settings, "", DDL, DDL).await;
    let room = it.office.folder.join("room");
    exec(&it.office.desktop, "insert into item values (0, 'x')").await;
    let mut service = it.office.run_where("TMPDIR", room.to_str().unwrap());
    it.office.caught_up(&mut service).await;
    // One that deletes goes over the disk.
    exec(
        &it.office.desktop,
        "delete from item where id = 0; insert into item select n, repeat('x', 1000) from generate_series(1, 10000) n",
    )
    .await;
    let said = "can't be kept in";
    let log = || it.office.log();
    assert!(
        poll(PATIENCE, || log().contains(said).then_some(())).is_some(),
        "{}",
        log()
    );
    assert!(log().contains("make room there"), "{}", log());
    for side in ["desktop", "cloud"] {
        let name = format!("tandem_reconnects_total{{side=\"{side}\"}}");
        assert_eq!(it.metric(&name).await, Some(0.0), "{side}");
    }
    std::fs::create_dir(&room).unwrap();
    it.office.caught_up(&mut service).await;
    it.office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}
