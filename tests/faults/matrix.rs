//! The crash matrix: the service dies at every dangerous moment (`src/failpoint.rs`), under work of both sides, and what the
//! next one finds is as if nothing had happened (P1, P4, P5, P6, P7).
//!
//! `TANDEM_TEST_SEED` replays a run; `TANDEM_SOAK_ROUNDS` goes through all moments more than once.

use std::time::Duration;

use crate::support::bank::{Dice, seed};
use crate::support::office::{Office, PATIENCE, Service, came_home, connect, digest, exec, value};
use crate::support::servers::{newest, versions};
use tandem::demo::cluster::{Binaries, Mode};
use tandem::failpoint::{ALL, SET_UP};
use tokio::time::{Instant, interval};

const SETTINGS: &str = "[heartbeat]\nevery = \"200ms\"\n[forward]\nmemory_max = \"8MB\"\n[reverse]\nevery = \"100ms\"\nthen = \"select count(*) from visits\"\n\
    [refill]\nsql = \"select refill()\"\nevery = \"1s\"\n\
    [[table]]\nname = \"item\"\nmax_shrink = 1\n\
    [[table]]\nname = \"scratch\"\nkey = []\nmax_shrink = 1\n\
    [[table]]\nname = \"task\"\nkey = []\nmax_shrink = 1\nswap = \"1s\"\ncloud_owned = [\"ticked\"]\n\
    [[table]]\nname = \"visits\"\nflow = \"both\"\nmax_shrink = 1\n";
const ON_DESKTOP: &str = "create table item (id int primary key, note text); create table scratch (n int, note text); \
    create table task (name text, ticked bool); create table visits (id int, note text, source char(1)); \
    insert into item select n, 'first' from generate_series(1, 50) n; insert into task select 'task ' || n % 10, false from generate_series(1, 30) n; \
    create function refill() returns void language sql as $$ update item set note = note where id <= 5; $$";
const IN_CLOUD: &str = "create table item (id int primary key, note text); create table scratch (n int, note text); \
    create table task (id bigserial primary key, name text, ticked bool); create table visits (id int primary key, note text, source char(1) default 'D')";

/// More than a third of `memory_max`, and only inserts and updates.
const MUCH: &str = "insert into item select n, repeat('much', 250) from generate_series(100001, 104000) n \
    on conflict (id) do update set note = excluded.note || 'more'";

/// A little work of both sides. While nobody watches the desktop, nothing may be removed there: that could not be noticed.
async fn work(office: &Office, dice: &mut Dice, watched: bool) {
    let (a, b, c) = (dice.below(200), dice.below(200), dice.below(1 << 30));
    exec(
        &office.desktop,
        &format!(
            "begin; insert into item values ({a}, 'made {c}') on conflict (id) do update set note = excluded.note; \
             update item set note = 'changed {c}' where id = {b}; insert into scratch values ({b}, 'x'), ({b}, 'x'); \
             insert into task values ('task {}', false); commit",
            a % 10
        ),
    )
    .await;
    if watched {
        exec(
            &office.desktop,
            &format!("delete from item where id = {}; begin; truncate scratch; insert into scratch select n, 'kept' from generate_series(1, 20) n; commit", c % 200),
        )
        .await;
        // What the phones did to rows that have come home.
        exec(
            &office.cloud,
            &format!("update visits set note = 'edited {c}' where source = 'M' and id % 7 = {}; delete from visits where source = 'M' and id % 11 = {}", a % 7, b % 11),
        )
        .await;
    }
    exec(
        &office.cloud,
        &format!("insert into visits values ({}, 'phone {c}', 'M') on conflict do nothing; update task set ticked = not ticked where id % 5 = {} and id > (select max(id) - 60 from task)", 1000 + c % 5000, b % 5),
    )
    .await;
}

/// Works until the service has died of its wound.
async fn dies(office: &Office, dice: &mut Dice, service: &mut Service, point: &str, watched: bool) {
    let since = Instant::now();
    let mut steps = interval(Duration::from_millis(40));
    while service.child.try_wait().unwrap().is_none() {
        assert!(
            since.elapsed() < PATIENCE,
            "{point} was never reached: {}",
            office.log()
        );
        steps.tick().await;
        work(office, dice, watched).await;
        if point == "chunk_sent" {
            exec(&office.desktop, MUCH).await;
        }
        keeps_up(office, service).await;
    }
}

/// Gives the service time for the work so far, on a machine where it takes longer than the work: what waits in its queue would keep
/// it from what the moment needs. Without a checkpoint there is nothing to wait for.
async fn keeps_up(office: &Office, service: &mut Service) {
    let since = Instant::now();
    let here = value(&office.desktop, "select pg_current_wal_insert_lsn()").await;
    let mut looks = interval(Duration::from_millis(20));
    while service.child.try_wait().unwrap().is_none() && since.elapsed() < Duration::from_secs(2) {
        looks.tick().await;
        let known = value(
            &office.cloud,
            "select to_regclass('tandem.checkpoint') is not null",
        )
        .await;
        let passed = format!(
            "select coalesce(bool_and(lsn is null or lsn >= '{here}'), true) from tandem.checkpoint"
        );
        if known != "true" || value(&office.cloud, &passed).await == "true" {
            return;
        }
    }
}

async fn ends_equal(office: &Office, mut service: Service, point: &str) -> Service {
    office.caught_up(&mut service).await;
    came_home(office).await;
    // What came home and what went out meanwhile.
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    for sql in [
        "select count(*), coalesce(md5(string_agg(concat_ws('|', id, note), ';' order by id)), '') from visits where source = 'M'",
        "select count(*), coalesce(md5(string_agg(concat_ws('|', name, ticked), ';' order by name, ticked)), '') from task",
    ] {
        assert_eq!(
            digest(&office.desktop, sql).await,
            digest(&office.cloud, sql).await,
            "{point}: {sql}"
        );
    }
    let conflicts = "select count(*) from tandem.conflict";
    assert_eq!(value(&office.cloud, conflicts).await, "0", "{point}: P5");
    assert_eq!(value(&office.desktop, conflicts).await, "0", "{point}");
    service
}

async fn matrix(binaries: &Binaries) {
    let rounds = std::env::var("TANDEM_SOAK_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    let mut dice = Dice::new(seed());
    let office = Office::with_tables(binaries, SETTINGS, ON_DESKTOP, IN_CLOUD).await;
    for round in 0..rounds {
        for point in &ALL[..SET_UP] {
            if *point == "table_poured" {
                exec(&office.cloud, "truncate item, scratch").await;
            }
            let mut service = office.run_until(point);
            dies(&office, &mut dice, &mut service, point, false).await;
            let service = ends_equal(&office, office.run(), point).await;
            assert_eq!(service.stop().await, 0);
            let (code, out, said) = office.ask(&["uninstall", "--yes"]).await;
            assert_eq!(code, 0, "{out} {said}");
        }
        for point in &ALL[SET_UP..] {
            // The first copy is passed before any work is there.
            let times = match *point {
                // Once in a session.
                "stream_started" => 1,
                _ => 1 + dice.below(3 + round),
            };
            let mut service = office.run_until(&format!("{point}:{times}"));
            dies(
                &office,
                &mut dice,
                &mut service,
                point,
                round > 0 || *point != ALL[SET_UP],
            )
            .await;
            let service = ends_equal(&office, office.run(), point).await;
            assert_eq!(service.stop().await, 0);
        }
    }
    println!("{rounds} rounds of {} moments", ALL.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p6_p7_dead_at_any_dangerous_moment_it_goes_on_as_if_nothing_had_happened() {
    matrix(&newest()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p6_p7_dead_at_any_dangerous_moment_on_the_oldest_server() {
    matrix(&versions()[0]).await;
}

/// One thing that goes wrong, by name.
async fn mishap(office: &mut Office, dice: &mut Dice) -> &'static str {
    let link = |dice: &mut Dice| match dice.below(2) {
        0 => "desktop",
        _ => "cloud",
    };
    let which = link(dice);
    let proxy = match which {
        "desktop" => &office.to_desktop,
        _ => &office.to_cloud,
    };
    match dice.below(7) {
        0 => {
            proxy.cut();
            "link cut"
        }
        1 => {
            proxy.reset();
            "link reset"
        }
        2 => {
            proxy.stall();
            tokio::time::sleep(Duration::from_millis(100 + dice.below(900))).await;
            proxy.resume();
            "link silent"
        }
        3 => {
            proxy.refuse(true);
            proxy.reset();
            tokio::time::sleep(Duration::from_millis(100 + dice.below(900))).await;
            proxy.refuse(false);
            "address refused"
        }
        4 => {
            let mode = if dice.below(2) == 0 {
                Mode::Fast
            } else {
                Mode::Immediate
            };
            let (server, name) = match which {
                "desktop" => (&office.servers.desktop, "enterprise_db"),
                _ => (&office.servers.cloud, "postgres"),
            };
            server.stop(mode).unwrap();
            server.start_again().unwrap();
            let again = connect(server, server.superuser(), name).await;
            match which {
                "desktop" => office.desktop = again,
                _ => office.cloud = again,
            }
            "server restarted"
        }
        5 => {
            let (code, _, said) = office.ask(&["swap", "task"]).await;
            assert!(code <= 1 || code >= 3, "{said}");
            "swap asked for"
        }
        _ => {
            exec(&office.cloud, "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'tandem%' and pid <> pg_backend_pid()").await;
            "connections ended by the cloud"
        }
    }
}

fn resident_kb(service: &Service) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", service.child.id().unwrap())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// `TANDEM_SOAK_SECONDS`: ten minutes in `make soak`.
#[tokio::test(flavor = "multi_thread")]
async fn p1_p13_mixed_work_under_all_kinds_of_faults_ends_equal_with_memory_flat() {
    let seconds = std::env::var("TANDEM_SOAK_SECONDS").map_or(20, |text| text.parse().unwrap());
    let mut dice = Dice::new(seed());
    let mut office = Office::with_tables(&newest(), SETTINGS, ON_DESKTOP, IN_CLOUD).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let (since, lasts) = (Instant::now(), Duration::from_secs(seconds));
    let mut injected = std::collections::BTreeMap::<&str, u32>::new();
    let mut steps = interval(Duration::from_millis(30));
    let (mut next, mut early) = (Duration::from_secs(1), None);
    while since.elapsed() < lasts {
        steps.tick().await;
        work(&office, &mut dice, true).await;
        if let Some(status) = service.child.try_wait().unwrap() {
            panic!(
                "tandem ended with {status} behind {injected:?}: {}",
                office.log()
            );
        }
        if since.elapsed() < next {
            continue;
        }
        next = since.elapsed() + Duration::from_millis(300 + dice.below(2500));
        // From a third of the time on the same process lives to the end: its memory is looked at.
        let young = since.elapsed() < lasts / 3;
        let what = if young && dice.below(4) == 0 {
            service.kill().await;
            service = office.run();
            "tandem killed"
        } else {
            mishap(&mut office, &mut dice).await
        };
        *injected.entry(what).or_default() += 1;
        if !young && early.is_none() && since.elapsed() > lasts / 2 {
            early = Some(resident_kb(&service));
        }
    }
    let service = ends_equal(&office, service, "at the end").await;
    let (early, late) = (early.unwrap_or_default(), resident_kb(&service));
    println!(
        "injected in {seconds} s: {injected:?}; resident {early} kB half-way, {late} kB at the end"
    );
    if seconds >= 300 {
        assert!(late <= early + early / 10, "{early} kB became {late} kB");
    }
    assert_eq!(service.stop().await, 0);
}
