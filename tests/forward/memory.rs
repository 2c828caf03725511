//! Memory has a bound (P12), whatever the size of a transaction, a table or a backlog.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use crate::support::bank;
use crate::support::office::{
    Office, PATIENCE, Plan, Service, came_home, connect, exec, may_shrink, until, value,
};
use crate::support::servers::{newest, versions};
use tokio::time::sleep;

/// P12: what the program itself takes, beside `memory_max`.
const BESIDE_KB: u64 = 64 << 10;
/// The default `memory_max`.
const MEMORY_KB: u64 = 64 << 10;

fn bank_with_memory(memory_mb: u64) -> String {
    let forward = format!("[forward]\nmemory_max = \"{memory_mb}MB\"");
    may_shrink(&bank::SETTINGS.replace("[forward]", &forward))
}

/// Looks until all rows of `item` with these numbers are there; part of them must never be. A few from all over are looked at, which
/// is quick and can be done often, until those are there.
async fn arrive_whole(
    office: &Office,
    service: &mut Service,
    (ids, and): (RangeInclusive<u64>, &str),
) {
    let cloud = connect(&office.servers.cloud, "postgres", "postgres").await;
    let until = Instant::now() + PATIENCE;
    let (rows, looked_at) = (ids.end() - ids.start() + 1, 64);
    let some = (0..looked_at).map(|nth| ids.start() + nth * (rows - 1) / (looked_at - 1));
    let some: Vec<_> = some.map(|id| id.to_string()).collect();
    let some = format!(
        "select count(*) from item where id in ({}){and}",
        some.join(", ")
    );
    loop {
        match value(&cloud, &some).await {
            all if all == looked_at.to_string() => break,
            none if none == "0" => {}
            some => panic!("{some} of {looked_at} rows are visible"),
        }
        assert!(service.child.try_wait().unwrap().is_none(), "tandem ended");
        assert!(Instant::now() < until, "the transaction does not arrive");
        sleep(Duration::from_millis(5)).await;
    }
    let (first, last) = ids.into_inner();
    let all = format!("select count(*) from item where id between {first} and {last}{and}");
    assert_eq!(value(&cloud, &all).await, rows.to_string());
}

async fn large_transactions(office: &Office) {
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let base_kb = service.peak_kb();
    let mut peaks = vec![base_kb];
    let steps = [
        (
            "insert into item select n, 1, repeat('x', 300) from generate_series(300001, 360000) n",
            "",
        ),
        (
            "update item set mark = 2, words = repeat('y', 300) where id > 300000",
            " and mark = 2",
        ),
    ];
    for (sql, and) in steps {
        exec(&office.desktop, sql).await;
        arrive_whole(office, &mut service, (300_001..=360_000, and)).await;
        peaks.push(service.peak_kb());
    }
    exec(&office.desktop, "delete from item where id > 300000").await;
    office.caught_up(&mut service).await;
    peaks.push(service.peak_kb());
    println!("peak memory before, after insert, update, delete in kB: {peaks:?}",);
    office.assert_equal().await;
    assert!(
        service.peak_kb() <= MEMORY_KB + BESIDE_KB,
        "peaks in kB: {peaks:?}"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_60_000_rows_in_one_transaction_arrive_whole_within_64_mb_beside_memory_max() {
    for binaries in versions() {
        let plan = Plan::tables(&binaries, &may_shrink(bank::SETTINGS));
        large_transactions(&bank::open_plan(&plan).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_60_000_rows_in_one_transaction_arrive_whole_through_a_pooler_80_ms_away() {
    if let Some(office) = bank::open_plan_afar(&newest(), &may_shrink(bank::SETTINGS)).await {
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
    println!("peak memory: {} kB", service.peak_kb());
    assert!(
        service.peak_kb() <= memory_mb * 1024 + BESIDE_KB,
        "peak: {} kB",
        service.peak_kb()
    );
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// So many rows in one transaction, many times what may be kept: whole, bounded, and nothing stays behind.
async fn many_rows(office: &Office, memory_mb: u64, rows: u64) {
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "update account set mark = 1").await;
    exec(
        &office.desktop,
        &format!("insert into item select n, 1, 'words of ' || n from generate_series(1000001, 1000000 + {rows}) n"),
    )
    .await;
    exec(&office.desktop, "update account set mark = 2").await;
    arrive_whole(office, &mut service, (1_000_001..=1_000_000 + rows, "")).await;
    office.caught_up(&mut service).await;
    let peak = service.peak_kb();
    println!("peak memory: {peak} kB");
    assert!(peak <= memory_mb * 1024 + BESIDE_KB, "peak: {peak} kB");
    until(&office.cloud, "select count(*) = 0 from tandem.staging").await;
    let bloat = value(
        &office.cloud,
        "select pg_total_relation_size('tandem.staging')",
    )
    .await;
    assert!(
        bloat.parse::<u64>().unwrap() < 1 << 20,
        "the staging table keeps {bloat} bytes"
    );
    office.assert_equal().await;
    bank::assert_once(office).await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_p3_a_million_rows_in_one_transaction_arrive_whole() {
    let plan = Plan::tables(&newest(), &bank_with_memory(16));
    many_rows(&bank::open_plan(&plan).await, 16, 1_000_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_p3_300_000_rows_in_one_transaction_arrive_whole_through_a_pooler() {
    if crate::support::no_bouncer() {
        return;
    }
    let mut plan = Plan::tables(&newest(), &bank_with_memory(16));
    plan.bouncer = true;
    many_rows(&bank::open_plan(&plan).await, 16, 300_000).await;
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
    arrive_whole(&office, &mut service, (300_001..=360_000, "")).await;
    println!("peak memory: {} kB", service.peak_kb());
    assert!(
        service.peak_kb() <= memory_mb * 1024 + BESIDE_KB,
        "peak: {} kB",
        service.peak_kb()
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
    println!("peak memory: {} kB", service.peak_kb());
    assert!(
        service.peak_kb() <= memory_mb * 1024 + BESIDE_KB,
        "peak: {} kB",
        service.peak_kb()
    );
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// Rows are counted with what keeping them costs, not by their text alone.
#[tokio::test(flavor = "multi_thread")]
async fn p12_400_000_narrow_rows_in_one_transaction_stay_within_64_mb_beside_memory_max() {
    let memory_mb = 64;
    let office = bank::open_plan(&Plan::tables(&newest(), &bank_with_memory(memory_mb))).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "insert into item select n, 1, 'x' from generate_series(300001, 700000) n",
    )
    .await;
    arrive_whole(&office, &mut service, (300_001..=700_000, "")).await;
    let peak = service.peak_kb();
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
    println!("peak memory: {} kB", service.peak_kb());
    assert!(
        service.peak_kb() <= memory_mb * 1024 + BESIDE_KB,
        "peak: {} kB",
        service.peak_kb()
    );
    assert_eq!(service.stop().await, 0);
}

/// Sixteen rows of ten megabytes each, of which no two may be in memory too often, on every road that rows take.
#[tokio::test(flavor = "multi_thread")]
async fn p12_rows_of_10_mb_stay_within_64_mb_beside_memory_max_on_every_road() {
    let wide = |rows: &str, seed: u32| {
        format!(
            "select i, repeat(md5(concat(i, '-', {seed})), 327680) from generate_series({rows}) i"
        )
    };
    // Rows that take a new look each time, with whole old rows in the log, and rows that the phone made.
    let ddl = "create table wide (id int primary key, v text); alter table wide alter v set storage external; \
        create table bag (id int, v text); alter table bag alter v set storage external; \
        create table two (id int primary key, v text, source text default 'D'); alter table two alter v set storage external";
    let settings = may_shrink(
        "[heartbeat]\nevery = \"500ms\"\n[reverse]\nevery = \"200ms\"\n[forward]\nmemory_max = \"64MB\"\n[[table]]\nname = \"wide\"\n[[table]]\nname = \"bag\"\nkey = []\n[[table]]\nname = \"two\"\nflow = \"both\"\n",
    );
    let office = Office::with_tables(&newest(), &settings, ddl, ddl).await;
    exec(&office.desktop, "alter table wide replica identity full").await;
    let wide_rows = |rows: &str, seed: u32| format!("insert into wide {}", wide(rows, seed));
    exec(&office.desktop, &wide_rows("1, 4", 0)).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let mut peaks = vec![("first copy", service.peak_kb())];
    let alone = |sql: &str| -> Vec<String> {
        (5..=20)
            .map(|id| sql.replace("$", &id.to_string()))
            .collect()
    };
    let whole = |sql: String| vec![sql];
    let new = "repeat(md5(concat(id, '+')), 327680)";
    let stages: Vec<(&str, Vec<String>)> = vec![
        ("inserts", alone(&wide_rows("$, $", 0))),
        (
            "updates",
            alone(&format!("update wide set v = {new} where id = $")),
        ),
        (
            "unchanged values",
            alone("update wide set id = id + 100 where id = $"),
        ),
        ("deletes", alone("delete from wide where id = 100 + $")),
        ("large insert", whole(wide_rows("5, 20", 1))),
        (
            "large update",
            whole(format!("update wide set v = {new} where id > 4")),
        ),
        (
            "large delete",
            whole("delete from wide where id > 4".to_owned()),
        ),
        (
            "keyless",
            whole(format!("insert into bag {}", wide("5, 20", 2))),
        ),
        (
            "keyless update",
            whole(format!("update bag set v = {new} where id > 12")),
        ),
        (
            "keyless deletes",
            (5..=20)
                .map(|id| format!("delete from bag where id = {id}"))
                .collect(),
        ),
    ];
    for (stage, statements) in stages {
        service.forget_peak();
        for sql in statements {
            exec(&office.desktop, &sql).await;
        }
        office.caught_up(&mut service).await;
        peaks.push((stage, service.peak_kb()));
    }
    service.forget_peak();
    exec(&office.cloud, "delete from wide").await;
    let (code, out, said) = office.ask(&["swap", "wide", "two"]).await;
    assert_eq!(code, 0, "{out}{said}");
    peaks.push(("swap", service.peak_kb()));
    // Rows that are refused, and go later.
    service.forget_peak();
    let refuse = "alter table wide add constraint sane check (id < 200) not valid";
    exec(&office.cloud, refuse).await;
    exec(&office.desktop, &wide_rows("201, 204", 3)).await;
    until(&office.cloud, "select count(*) = 4 from tandem.quarantine").await;
    exec(&office.cloud, "alter table wide drop constraint sane").await;
    exec(
        &office.desktop,
        "select pg_logical_emit_message(true, 'tandem.retry', '')",
    )
    .await;
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    peaks.push(("quarantine", service.peak_kb()));
    service.forget_peak();
    let phones = "insert into two select i, repeat(md5(concat(i)), 327680), 'M' from generate_series(1, 8) i";
    exec(&office.cloud, phones).await;
    came_home(&office).await;
    exec(&office.cloud, &format!("update two set v = {new}")).await;
    came_home(&office).await;
    office.caught_up(&mut service).await;
    peaks.push(("way home", service.peak_kb()));
    println!("peaks in kB: {peaks:?}");
    office.assert_equal().await;
    let limit = MEMORY_KB + BESIDE_KB;
    let over: Vec<_> = peaks.iter().filter(|(_, peak)| *peak > limit).collect();
    assert!(over.is_empty(), "over {limit} kB: {over:?}");
    assert_eq!(service.stop().await, 0);
}
