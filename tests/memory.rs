//! Memory has a bound (P12), whatever the size of a transaction, a table or a backlog.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::time::{Duration, Instant};

use support::bank;
use support::office::{Office, PATIENCE, Plan, Service, connect, exec, value};
use support::servers::{newest, versions};
use tokio::time::sleep;

/// P12: what the program itself takes, beside `memory_max`.
const BESIDE_KB: u64 = 64 << 10;
/// The default `memory_max`.
const MEMORY_KB: u64 = 64 << 10;

/// The most memory that the service ever had, in kilobytes.
fn peak_kb(service: &Service) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", service.child.id().unwrap())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn bank_with_memory(memory_mb: u64) -> String {
    let forward = format!("[forward]\nmemory_max = \"{memory_mb}MB\"");
    bank::SETTINGS.replace("[forward]", &forward)
}

/// Looks until all rows are there; part of them must never be.
async fn arrive_whole(office: &Office, service: &mut Service, count: &str, rows: &str) {
    let cloud = connect(&office.servers.cloud, "postgres", "postgres").await;
    let until = Instant::now() + PATIENCE;
    loop {
        match value(&cloud, count).await {
            all if all == rows => return,
            none if none == "0" => {}
            some => panic!("{some} of {rows} rows are visible"),
        }
        assert!(service.child.try_wait().unwrap().is_none(), "tandem ended");
        assert!(Instant::now() < until, "the transaction does not arrive");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn large_transactions(office: &Office) {
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let base_kb = peak_kb(&service);
    let mut peaks = vec![base_kb];
    let steps = [
        (
            "insert into item select n, 1, repeat('x', 300) from generate_series(300001, 360000) n",
            "id > 300000",
            "60000",
        ),
        (
            "update item set mark = 2, words = repeat('y', 300) where id > 300000",
            "id > 300000 and mark = 2",
            "60000",
        ),
    ];
    for (sql, which, rows) in steps {
        exec(&office.desktop, sql).await;
        arrive_whole(
            office,
            &mut service,
            &format!("select count(*) from item where {which}"),
            rows,
        )
        .await;
        peaks.push(peak_kb(&service));
    }
    exec(&office.desktop, "delete from item where id > 300000").await;
    office.caught_up(&mut service).await;
    peaks.push(peak_kb(&service));
    println!("peak memory before, after insert, update, delete in kB: {peaks:?}",);
    office.assert_equal().await;
    assert!(
        peak_kb(&service) <= MEMORY_KB + BESIDE_KB,
        "peaks in kB: {peaks:?}"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_60_000_rows_in_one_transaction_arrive_whole_within_64_mb_beside_memory_max() {
    for binaries in versions() {
        large_transactions(&bank::open(&binaries).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_60_000_rows_in_one_transaction_arrive_whole_through_a_pooler_80_ms_away() {
    if let Some(office) = bank::open_afar(&newest()).await {
        large_transactions(&office).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_a_first_copy_of_120_000_rows_stays_within_64_mb_beside_memory_max() {
    let memory_mb = 64;
    let office = bank::open_plan(&Plan::tables(&newest(), &bank_with_memory(memory_mb))).await;
    exec(
        &office.desktop,
        "insert into item select n, 1, repeat('x', 600) from generate_series(300001, 420000) n",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    println!("peak memory: {} kB", peak_kb(&service));
    assert!(
        peak_kb(&service) <= memory_mb * 1024 + BESIDE_KB,
        "peak: {} kB",
        peak_kb(&service)
    );
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_a_transaction_beyond_memory_max_ends_the_service_and_nothing_is_lost() {
    for binaries in versions() {
        let office = bank::open_plan(&Plan::tables(&binaries, &bank_with_memory(8))).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(&office.desktop, "update account set mark = 1").await;
        exec(
            &office.desktop,
            "insert into item select n, 1, repeat('x', 600) from generate_series(300001, 330000) n",
        )
        .await;
        exec(&office.desktop, "update account set mark = 2").await;
        assert_eq!(service.ended().await, 2);
        for words in [
            "larger than forward.memory_max (8 MB)",
            "raise forward.memory_max",
            "nothing is lost",
        ] {
            assert!(office.log().contains(words), "not said: {words}");
        }
        assert_eq!(
            value(&office.cloud, "select count(*) from item where id > 300000").await,
            "0"
        );
        assert_eq!(
            value(
                &office.cloud,
                "select min(mark) || ' ' || max(mark) from account"
            )
            .await,
            "1 1"
        );
        // Again, it ends the same way: nothing is skipped.
        assert_eq!(office.run().ended().await, 2);
        let text = std::fs::read_to_string(office.file()).unwrap();
        std::fs::write(office.file(), text.replace("8MB", "64MB")).unwrap();
        let mut service = office.run();
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        bank::assert_once(&office).await;
        assert_eq!(service.stop().await, 0);
    }
}

/// What fits into `memory_max` fits into memory: the largest transaction that isn't refused.
#[tokio::test(flavor = "multi_thread")]
async fn p12_a_transaction_just_below_memory_max_stays_within_64_mb_beside_it() {
    let memory_mb = 64;
    let office = bank::open_plan(&Plan::tables(&newest(), &bank_with_memory(memory_mb))).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "insert into item select n, 1, repeat('x', 850) from generate_series(300001, 360000) n",
    )
    .await;
    arrive_whole(
        &office,
        &mut service,
        "select count(*) from item where id > 300000",
        "60000",
    )
    .await;
    println!("peak memory: {} kB", peak_kb(&service));
    assert!(
        peak_kb(&service) <= memory_mb * 1024 + BESIDE_KB,
        "peak: {} kB",
        peak_kb(&service)
    );
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// A cloud that is away for a while leaves a backlog larger than memory.
#[tokio::test(flavor = "multi_thread")]
async fn p12_a_backlog_of_150_mb_behind_a_silent_cloud_stays_within_64_mb_beside_memory_max() {
    let memory_mb = 64;
    let office = bank::open_plan(&Plan::tables(&newest(), &bank_with_memory(memory_mb))).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.to_cloud.stall();
    for round in 0..150 {
        let (from, to) = (300_000 + round * 1000, 300_999 + round * 1000);
        exec(&office.desktop, &format!("insert into item select n, {round}, repeat('x', 1000) from generate_series({from}, {to}) n")).await;
    }
    office.to_cloud.resume();
    office.caught_up(&mut service).await;
    println!("peak memory: {} kB", peak_kb(&service));
    assert!(
        peak_kb(&service) <= memory_mb * 1024 + BESIDE_KB,
        "peak: {} kB",
        peak_kb(&service)
    );
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// Rows are counted with what keeping them costs, not by their text alone.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "fails: 215 MB instead of 128; a narrow change costs about 500 bytes to keep and fold, of which 128 are counted"]
async fn p12_400_000_narrow_rows_in_one_transaction_stay_within_64_mb_beside_memory_max_or_are_refused()
 {
    let memory_mb = 64;
    let office = bank::open_plan(&Plan::tables(&newest(), &bank_with_memory(memory_mb))).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "insert into item select n, 1, 'x' from generate_series(300001, 700000) n",
    )
    .await;
    let (mut peak, until) = (peak_kb(&service), Instant::now() + PATIENCE);
    while value(&office.cloud, "select count(*) from item where id > 300000").await == "0" {
        if service.child.try_wait().unwrap().is_some() {
            assert_eq!(
                service.ended().await,
                2,
                "refused, as a transaction beyond memory_max is"
            );
            return;
        }
        assert!(Instant::now() < until, "the transaction does not arrive");
        peak = peak_kb(&service);
        sleep(Duration::from_millis(5)).await;
    }
    println!("peak memory: {peak} kB");
    assert!(peak <= memory_mb * 1024 + BESIDE_KB, "peak: {peak} kB");
    assert_eq!(service.stop().await, 0);
}

/// PowerCA's own refill: every row deleted and inserted again, in one transaction.
#[tokio::test(flavor = "multi_thread")]
async fn p12_f24_powercas_refill_stays_within_64_mb_beside_memory_max() {
    let memory_mb = 64;
    let mut plan = Plan::powerca(&newest(), 1.0);
    plan.settings = plan.settings.replace(
        "[forward]",
        &format!("[forward]\nmemory_max = \"{memory_mb}MB\""),
    );
    let office = Office::open(&plan).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "select sync_views_to_tables()").await;
    office.caught_up(&mut service).await;
    println!("peak memory: {} kB", peak_kb(&service));
    assert!(
        peak_kb(&service) <= memory_mb * 1024 + BESIDE_KB,
        "peak: {} kB",
        peak_kb(&service)
    );
    assert_eq!(service.stop().await, 0);
}
