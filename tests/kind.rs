//! The desktop never suffers (P10): its program's statements, its WAL.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::time::{Duration, Instant};

use support::app::{self, App};
use support::bank;
use support::office::{Office, PATIENCE, Plan, connect, exec, value};
use support::poll;
use support::servers::{newest, versions};
use tokio::time::sleep;

/// How long the office program works alone, and together with a stream.
const WORK: Duration = Duration::from_secs(3);
/// P10: what the program may wait longer than without us, all in all.
const WORSE_MAX: Duration = Duration::from_secs(1);
/// `lock_timeout` of the set-up, and what two busy cores add to it.
const STALL_MAX: Duration = Duration::from_millis(300 + 400);
/// PostgreSQL logs running transactions every 15 s at most; two heartbeats and some slack on top.
const RELEASED_MAX: Duration = Duration::from_secs(25);
/// What tandem may hold beyond the heartbeats' own WAL.
const HELD_MAX: i64 = 64 << 20;

async fn office_with_app(plan: &Plan) -> Office {
    let office = Office::open(plan).await;
    app::make_tables(&office).await;
    office
}

async fn works_alone_then_together(office: &Office) {
    let alone = App::start(office).await;
    sleep(WORK).await;
    let alone = alone.stop().await;
    let together = App::start(office).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    sleep(WORK).await;
    let together = together.stop().await;
    println!("alone {alone:?}, together {together:?}");
    assert!(together.statements > 100);
    assert!(
        together.worst <= alone.worst + WORSE_MAX,
        "alone {alone:?}, together {together:?}"
    );
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_u27_the_office_program_gets_no_error_and_waits_at_most_a_second_more() {
    for binaries in versions() {
        let plan = Plan::tables(&binaries, &app::settings());
        works_alone_then_together(&office_with_app(&plan).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_u27_the_office_program_waits_no_longer_for_a_pooled_cloud_80_ms_away() {
    if support::no_bouncer() {
        return;
    }
    let plan = Plan {
        bouncer: true,
        ..Plan::tables(&newest(), &app::settings())
    };
    let office = office_with_app(&plan).await;
    office.to_cloud.set_delay(Duration::from_millis(40));
    works_alone_then_together(&office).await;
}

/// Set-up queues for a table that is in use: seen `times` times, each of which it gave up by itself.
async fn queues_and_gives_up(office: &Office, times: u32) {
    let sql =
        "select count(*) > 0 from pg_locks where not granted and mode = 'AccessExclusiveLock'";
    for _ in 0..times {
        for wanted in ["true", "false"] {
            let until = Instant::now() + PATIENCE;
            while value(&office.desktop, sql).await != wanted {
                assert!(Instant::now() < until, "set-up does not try");
                sleep(Duration::from_millis(5)).await;
            }
        }
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
        queues_and_gives_up(&office, 3).await;
        exec(&on_table, "commit").await;
        // Published; the snapshot waits for every transaction of the server, and says for whom.
        let waits = "the copy starts when this open transaction of the desktop ends";
        poll(PATIENCE, || office.log().contains(waits).then_some(()))
            .expect("not said who is waited for");
        sleep(Duration::from_secs(1)).await;
        exec(&on_another, "commit").await;
        office.caught_up(&mut service).await;
        let app = app.stop().await;
        println!("{app:?}");
        assert!(app.worst <= STALL_MAX, "the office program waited: {app:?}");
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
        let (since, at_first) = (Instant::now(), number(held).await);
        while number(held).await > HELD_MAX {
            let now = number(held).await;
            assert!(
                since.elapsed() < RELEASED_MAX,
                "{} MB of WAL are still held",
                now >> 20
            );
            sleep(Duration::from_millis(50)).await;
        }
        println!(
            "held {} MB when the churn ended, released after {:.1?}",
            at_first >> 20,
            since.elapsed()
        );
        assert_eq!(service.stop().await, 0);
    }
}
