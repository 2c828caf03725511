//! The desktop never suffers (P10): its program's statements, its WAL.

use std::time::{Duration, Instant};

use crate::support::app::{self, App};
use crate::support::bank;
use crate::support::office::{Office, PATIENCE, Plan, connect, exec, until, value};
use crate::support::poll;
use crate::support::servers::{newest, versions};
use tokio::time::sleep;

/// Heartbeats until WAL that nobody needs is released, once the server has said where its oldest transaction is.
const BEATS_MAX: usize = 10;
/// P10: the longest that anybody queues behind us.
const LOCK_TIMEOUT: Duration = Duration::from_millis(300);
/// What tandem may hold beyond the heartbeats' own WAL.
const HELD_MAX: i64 = 64 << 20;

async fn office_with_app(plan: &Plan) -> Office {
    let office = Office::open(plan).await;
    app::make_tables(&office).await;
    office
}

/// The processes that serve us on the desktop.
async fn ours(office: &Office) -> Vec<u32> {
    let sql = "select coalesce(string_agg(pid::text, ' '), '') from pg_stat_activity where application_name like 'tandem%'";
    let pids = value(&office.desktop, sql).await;
    pids.split(' ').filter_map(|pid| pid.parse().ok()).collect()
}

/// The cloud falls silent again and again, each time until every clerk has gone on.
async fn silences(office: &Office, app: &App) {
    loop {
        office.to_cloud.stall();
        app.goes_on(2).await;
        office.to_cloud.resume();
        app.goes_on(2).await;
    }
}

async fn works_together(office: &Office) {
    let app = App::start(office).await;
    let mut service = office.run();
    // Set-up locks one table after the other, and none while it waits for the cloud.
    tokio::select! {
        () = office.caught_up(&mut service) => {}
        () = silences(office, &app) => {}
    }
    office.to_cloud.resume();
    // Whoever streams never stands in a clerk's way.
    office.caught_up(&mut service).await;
    let (before, mut ours_now) = (app::lock_waits(office).len(), ours(office).await);
    app.goes_on(150).await;
    office.to_cloud.stall();
    app.goes_on(50).await;
    office.to_cloud.resume();
    ours_now.extend(ours(office).await);
    println!("{:?}", app.stop().await);
    for wait in &app::lock_waits(office)[before..] {
        assert!(
            !wait.iter().any(|process| ours_now.contains(process)),
            "a clerk waited for us: {wait:?}, {ours_now:?}"
        );
    }
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_u27_the_office_program_gets_no_error_and_never_waits_for_a_stream() {
    for binaries in versions() {
        let plan = Plan::tables(&binaries, &app::settings());
        works_together(&office_with_app(&plan).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_u27_the_office_program_never_waits_for_a_pooled_cloud_80_ms_away() {
    if crate::support::no_bouncer() {
        return;
    }
    let plan = Plan {
        bouncer: true,
        ..Plan::tables(&newest(), &app::settings())
    };
    let office = office_with_app(&plan).await;
    office.to_cloud.set_delay(Duration::from_millis(40));
    works_together(&office).await;
}

/// Set-up queues for a table that is in use: seen `times` times, each of which it gave up by itself, and every clerk went on.
async fn queues_and_gives_up(office: &Office, app: &App, times: u32) {
    let sql =
        "select count(*) > 0 from pg_locks where not granted and mode = 'AccessExclusiveLock'";
    for _ in 0..times {
        for wanted in ["true", "false"] {
            let end = Instant::now() + PATIENCE;
            while value(&office.desktop, sql).await != wanted {
                assert!(Instant::now() < end, "set-up does not try");
                sleep(Duration::from_millis(5)).await;
            }
        }
        app.goes_on(1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_u27_f_open_transactions_hold_up_the_set_up_and_nobody_else() {
    for binaries in versions() {
        let office = office_with_app(&Plan::tables(&binaries, &app::settings())).await;
        exec(&office.desktop, "create table elsewhere (n int)").await;
        let on_table = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
        exec(&on_table, "begin; insert into paper_2 values (-1, 'open')").await;
        let on_another = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
        exec(&on_another, "begin; insert into elsewhere values (1)").await;
        let app = App::start(&office).await;
        let mut service = office.run();
        queues_and_gives_up(&office, &app, 3).await;
        let queued = ours(&office).await;
        exec(&on_table, "commit").await;
        // Published; the snapshot waits for every transaction of the server, and says for whom.
        let waits = "the copy starts when this open transaction of the desktop ends";
        poll(PATIENCE, || office.log().contains(waits).then_some(()))
            .expect("not said who is waited for");
        app.goes_on(50).await;
        exec(&on_another, "commit").await;
        office.caught_up(&mut service).await;
        let app = app.stop().await;
        println!("{app:?}");
        // A clerk did queue behind us, and it was our own limit that ended that, for one table at a time.
        let waits = app::lock_waits(&office);
        let behind = |wait: &Vec<u32>| wait.iter().any(|process| queued.contains(process));
        assert!(
            waits.iter().any(behind),
            "nobody queued behind {queued:?}: {waits:?}"
        );
        let log = office.servers.desktop.log_tail(usize::MAX);
        let limit = format!("set local lock_timeout = '{}ms'", LOCK_TIMEOUT.as_millis());
        let mut tries = 0;
        for (_, rest) in log
            .match_indices("due to lock timeout")
            .map(|(at, _)| log.split_at(at))
        {
            let (_, statement) = rest.split_once("STATEMENT:").unwrap();
            let statement = statement.lines().next().unwrap();
            assert!(statement.contains(&limit), "{statement}");
            assert_eq!(
                statement.matches("tandem.publish(").count(),
                1,
                "{statement}"
            );
            tries += 1;
        }
        assert!(tries >= 3, "{tries} tries gave up by themselves");
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_idle_source_whose_other_tables_churn_1_gb_keeps_two_heartbeats_of_wal() {
    for binaries in versions() {
        let office = bank::open(&binaries).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(
            &office.desktop,
            "create table churn (words text); alter table churn alter words set storage external",
        )
        .await;
        let number = async |sql: &str| value(&office.desktop, sql).await.parse::<i64>().unwrap();
        let written = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
        let before = number(written).await;
        while number(written).await < before + (1 << 30) {
            exec(&office.desktop, "insert into churn select repeat(md5(n::text), 32768) from generate_series(1, 16) n; truncate churn").await;
        }
        let held = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint from pg_replication_slots where slot_name = 'tandem'";
        let heartbeat = "select beat from tandem.checkpoint";
        let mut beats = 0;
        while number(held).await > HELD_MAX {
            assert!(
                beats < BEATS_MAX,
                "{} MB of WAL are still held",
                number(held).await >> 20
            );
            // The server says where its oldest transaction is every 15 s by itself, and with each checkpoint.
            let last = value(&office.cloud, heartbeat).await;
            exec(&office.desktop, "checkpoint").await;
            until(
                &office.cloud,
                &format!("select beat <> '{last}' from tandem.checkpoint"),
            )
            .await;
            beats += 1;
        }
        println!("released after {beats} heartbeats");
        assert_eq!(service.stop().await, 0);
    }
}
