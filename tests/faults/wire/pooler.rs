//! Through PgBouncer in transaction mode, and a desktop that wants to hear from us often.

use std::sync::mpsc;
use std::time::Duration;

use futures_util::future::join_all;
use tandem::apply::{Applier, ApplyError, Pipe, Script};
use tandem::model::{Param, Statement, oid};
use tandem::plan::{TransactionSettings, opening};
use tandem::wire::control;
use tokio::task::{JoinHandle, LocalSet, block_in_place, spawn_local};
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};

use crate::support::bouncer::{self, POOL_SIZE};
use crate::support::office::{Office, PATIENCE, Plan, exec, until, value};
use crate::support::servers::{newest, versions};

const TIMEOUT: Duration = Duration::from_secs(60);
const SCRIPTS: u32 = 20;

fn script(statements: impl IntoIterator<Item = Statement>) -> Script {
    let mut all = opening(&TransactionSettings::cloud(TIMEOUT, false));
    all.extend(statements);
    Script::staying(all)
}

fn text(sql: &str, value: &str) -> Statement {
    Statement::bookkeeping(sql, vec![Param::text(oid::TEXT, value)])
}

/// One writer: its transactions are whole, its settings are its own, and after a refusal it goes on.
async fn write(mut applier: Applier, writer: u32) -> u32 {
    let mut refused = 0;
    for nth in 0..SCRIPTS {
        let note = "insert into note select $1, pg_backend_pid(), current_setting('tandem.apply') = pg_current_xact_id()::text";
        let who = format!("{writer}-{nth}");
        let mut statements = vec![text(note, &who), text(note, &who)];
        let fails = nth % 5 == 4;
        if fails {
            statements.push(text("select 1 / length($1)", ""));
        }
        match applier.run(script(statements)).await {
            Ok(done) => {
                // Behind BEGIN, the settings and what is asked at the end.
                let written: Vec<_> = done.answers[3..5]
                    .iter()
                    .map(|answer| answer.rows)
                    .collect();
                assert_eq!((fails, &written[..]), (false, &[1, 1][..]));
            }
            Err(ApplyError::Refused { error, .. }) => {
                assert_eq!(error.code, "22012", "{error}");
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    applier.close().await;
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_and_control_clients_share_a_transaction_pooler() {
    LocalSet::new().run_until(share_a_pooler()).await;
}

async fn share_a_pooler() {
    for binaries in versions() {
        let office = Office::open(&Plan {
            bouncer: true,
            ..Plan::empty(&binaries)
        })
        .await;
        exec(
            &office.cloud,
            "set role postgres; create table note (who text, server int, ours bool)",
        )
        .await;
        let endpoint = office.settings.cloud.endpoint.clone();
        let writers = POOL_SIZE * 3;
        let mut tasks = Vec::new();
        for writer in 0..writers {
            let endpoint = endpoint.clone();
            tasks.push(spawn_local(async move {
                let applier = Applier::connect(&endpoint, TIMEOUT).await.unwrap();
                let control = control::connect(&endpoint).await.unwrap();
                // Catalog queries come between the writers' transactions, on any server connection.
                let look = async {
                    for _ in 0..SCRIPTS {
                        let sql = "select coalesce(nullif(current_setting('tandem.apply', true), ''), 'nothing leaked'), current_setting('statement_timeout') from (select $1) as one";
                        let rows = control.client.query_typed(sql, &[(&"x", tokio_postgres::types::Type::TEXT)]).await.unwrap();
                        assert_eq!((rows[0].get(0), rows[0].get(1)), ("nothing leaked", "0"));
                    }
                };
                tokio::join!(write(applier, writer), look).0
            }));
        }
        let mut refused = 0;
        for task in tasks {
            refused += timeout(PATIENCE, task).await.unwrap().unwrap();
        }
        assert_eq!(refused, writers * SCRIPTS / 5);
        let whole = "select concat_ws(' ', count(*), count(distinct who), bool_and(ours), count(distinct server) > 1) from note";
        let kept = writers * SCRIPTS * 4 / 5;
        assert_eq!(
            value(&office.cloud, whole).await,
            format!("{} {kept} t t", kept * 2)
        );
        let split = "select count(*) from (select who from note group by who having count(distinct server) > 1) as split";
        assert_eq!(
            value(&office.cloud, split).await,
            "0",
            "a transaction stays on one server connection"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_way_works_through_a_pooler_that_others_use_too() {
    Box::pin(LocalSet::new().run_until(the_whole_way())).await;
}

async fn the_whole_way() {
    for binaries in versions() {
        let office = Office::open(&Plan {
            bouncer: true,
            ..Plan::powerca(&binaries, 0.05)
        })
        .await;
        let endpoint = office.settings.cloud.endpoint.clone();
        let phones = (0..POOL_SIZE * 2).map(|_| {
            let endpoint = endpoint.clone();
            spawn_local(async move {
                let phone = control::connect(&endpoint).await.unwrap();
                loop {
                    // What a phone's session leaves behind must not matter to us.
                    let sql = "begin; set local datestyle = 'SQL, DMY'; set local timezone = 'Asia/Kolkata'; select count(*) from orgmaster; commit";
                    phone.client.batch_execute(sql).await.unwrap();
                }
            })
        });
        let phones: Vec<JoinHandle<()>> = phones.collect();
        let mut service = office.run();
        office.caught_up(&mut service).await;
        for seed in 1..=5 {
            exec(&office.desktop, &format!("select demo.work({seed}, 20)")).await;
        }
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        assert_eq!(service.stop().await, 0);
        for phone in phones {
            assert!(!phone.is_finished(), "a phone failed");
            phone.abort();
        }
    }
}

/// The applier hangs, memory is full, and the server hears from us all the same: it ends no session.
#[tokio::test(flavor = "multi_thread")]
async fn feedback_keeps_its_own_time_however_busy_the_applier_is() {
    for binaries in versions() {
        let settings = "[forward]\nmemory_max = \"16MB\"\nbatch_bytes = \"1MB\"\n[heartbeat]\nevery = \"1s\"\n[[table]]\nname = \"item\"";
        let mut plan = Plan::tables(&binaries, settings);
        plan.desktop = plan.desktop.set("wal_sender_timeout", "2s");
        let office = Office::open(&plan).await;
        let ddl = "create table item (id int primary key, what text)";
        exec(&office.desktop, ddl).await;
        exec(&office.cloud, &format!("set role postgres; {ddl}")).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        let streaming = "select count(*) = 1 from pg_stat_replication where state = 'streaming'";
        until(&office.desktop, streaming).await;
        let sender = value(&office.desktop, "select pid from pg_stat_replication").await;
        office.to_cloud.stall();
        // Far more than may wait here, in transactions that each fit.
        for nth in 0..40 {
            let sql = format!(
                "insert into item select {nth} * 1000 + i, repeat('x', 1000) from generate_series(1, 1000) i"
            );
            exec(&office.desktop, &sql).await;
        }
        // Seven reports are more than twice the sender's patience.
        let mut last = String::new();
        let mut heard = 0;
        let reports = async {
            while heard < 7 {
                let now = value(
                    &office.desktop,
                    "select concat(max(reply_time), ' ', max(pid)) from pg_stat_replication",
                )
                .await;
                assert!(
                    now.ends_with(&sender),
                    "the server has ended the session: {now}, {}",
                    office.servers.desktop.log_tail(5)
                );
                heard += u32::from(now != last);
                last = now;
            }
        };
        timeout(PATIENCE, reports).await.expect("no reports come");
        office.to_cloud.resume();
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        assert_eq!(
            value(&office.desktop, "select pid from pg_stat_replication").await,
            sender,
            "the session lived"
        );
        assert!(
            !office
                .servers
                .desktop
                .log_tail(10_000)
                .contains("replication timeout")
        );
        assert_eq!(service.stop().await, 0);
    }
}

/// A transaction of which a part was sent while the one before it was answered: that answer frees the server's connection, and
/// whoever asks next would get it.
#[tokio::test(flavor = "multi_thread")]
async fn p1_a_transaction_behind_another_one_is_nobody_elses() {
    if !bouncer::is_here() {
        println!("skipped: pgbouncer isn't installed");
        return;
    }
    let office = Office::open(&Plan {
        bouncer: true,
        ..Plan::empty(&newest())
    })
    .await;
    let endpoint = office.settings.cloud.endpoint.clone();
    let mut applier = Applier::connect(&endpoint, TIMEOUT).await.unwrap();
    applier.round_trip().await.unwrap();
    assert!(!applier.is_direct());
    let mut pipe = Pipe::over(applier);
    let (tell, told) = mpsc::channel();
    // So large that it goes at once; what is behind it comes when others have asked.
    let large = text("select length($1) + 0", &"x".repeat(1 << 20));
    let rest = std::iter::once_with(move || {
        block_in_place(|| told.recv_timeout(PATIENCE).unwrap());
        text("select length($1)", "rest")
    });
    let begin = opening(&TransactionSettings::cloud(TIMEOUT, false));
    pipe.send(script([text("select length($1)", "first")]));
    pipe.send(Script::staying(
        begin.into_iter().chain([large]).chain(rest),
    ));
    let begun = "select count(*) > 0 from pg_stat_activity where query = 'select length($1) + 0'";
    until(&office.cloud, begun).await;
    let mut others = Vec::new();
    for number in 1..POOL_SIZE {
        let other = control::connect(&endpoint).await.unwrap();
        exec(&other, "begin").await;
        let own = "select pg_current_xact_id_if_assigned() is null";
        assert_eq!(value(&other, own).await, "true", "{number}");
        others.push(other);
    }
    for other in &others {
        exec(other, "commit").await;
    }
    tell.send(()).unwrap();
    for rows in [4, 5] {
        let done = timeout(PATIENCE, pipe.answer()).await.unwrap().unwrap();
        assert_eq!(done.answers.len(), rows);
    }
    pipe.close().await.unwrap().close().await;
}

/// Questions of one moment wait for each other's answers where a pooler stands between, and only there.
#[tokio::test(flavor = "multi_thread")]
async fn questions_of_one_moment_are_asked_in_turns_through_a_pooler() {
    for bouncer in [bouncer::is_here(), false] {
        let office = Office::open(&Plan {
            bouncer,
            delay: Duration::from_millis(40),
            ..Plan::empty(&newest())
        })
        .await;
        let cloud = control::connect(&office.settings.cloud.endpoint)
            .await
            .unwrap();
        let before = office.to_cloud.stats().turns;
        let numbers = (0..5).map(async |number: i32| {
            let asked = [(&number as &(dyn ToSql + Sync), Type::INT4)];
            let rows = cloud.client.query_typed("select $1", &asked).await.unwrap();
            assert_eq!(rows[0].get::<_, i32>(0), number);
        });
        join_all(numbers).await;
        let turns = office.to_cloud.stats().turns - before;
        assert_eq!(turns, if bouncer { 5 } else { 1 }, "{bouncer}");
    }
}
