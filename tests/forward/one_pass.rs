//! Large transactions that only insert and update go to the cloud as they come, in one transaction of the cloud: never in part
//! (P3), once (P1, P7), in little memory (P12), and over the staging table where anything speaks against it.

use std::time::{Duration, Instant};

use crate::support::office::{
    Office, PATIENCE, Plan, Service, came_home, connect, exec, may_shrink, until, value,
};
use crate::support::servers::newest;
use tokio::time::sleep;

/// A third of it may stay in memory: 20,000 rows are a large transaction.
const MEMORY_MB: u64 = 8;
/// P12: what the program itself takes.
const BESIDE_KB: u64 = 64 << 10;

const SETTINGS: &str = "[heartbeat]\nevery = \"500ms\"\n[reverse]\nevery = \"200ms\"\n[forward]\nmemory_max = \"8MB\"\n\
    [[table]]\nname = \"item\"\n[[table]]\nname = \"loose\"\nkey = [\"id\"]\n[[table]]\nname = \"two\"\nflow = \"both\"\n";

/// `loose` has no key on the desktop, and so sends whole old rows.
const DESKTOP: &str = "create table item (id bigint primary key, mark int, words text); create table loose (id int, mark int, words text); \
    create table two (id int primary key, v text, source text default 'D')";
const CLOUD: &str = "set role postgres; create table item (id bigint primary key, mark int check (mark <> 13), words text); create table loose (id int primary key, mark int, words text); \
    create table two (id int primary key, v text, source text default 'D'); reset role";

/// Nothing of ours is staged from now on: it would be refused.
const NO_STAGING: &str = "create function tandem.not_here() returns trigger language plpgsql as $$ begin raise exception 'staged'; end $$; \
    create trigger not_here before insert on tandem.staging execute function tandem.not_here()";

/// The cloud works on it.
const IN_THE_MIDDLE: &str = "select count(*) > 0 from pg_locks where relation = 'item'::regclass and mode = 'RowExclusiveLock'";

async fn open(plan: Plan) -> Office {
    let office = Office::open(&plan).await;
    exec(&office.desktop, DESKTOP).await;
    exec(&office.cloud, CLOUD).await;
    exec(&office.desktop, "insert into loose select i, 0, 'w' || i from generate_series(1, 5000) i; insert into two select i, 'v' || i from generate_series(1, 30000) i").await;
    office
}

fn plan() -> Plan {
    Plan::tables(&newest(), &may_shrink(SETTINGS))
}

/// Looks until all of these rows are there; part of them must never be.
async fn arrive_whole(office: &Office, service: &mut Service, which: &str, rows: u64) {
    let reader = connect(&office.servers.cloud, "postgres", "postgres").await;
    let count = format!("select count(*) from {which}");
    let until = Instant::now() + PATIENCE;
    loop {
        let seen: u64 = value(&reader, &count).await.parse().unwrap();
        if seen == rows {
            return;
        }
        assert_eq!(seen, 0, "part of {rows} rows is visible");
        assert!(service.child.try_wait().unwrap().is_none(), "tandem ended");
        assert!(
            Instant::now() < until,
            "it does not arrive: {}",
            office.log()
        );
        sleep(Duration::from_millis(5)).await;
    }
}

async fn received(office: &Office) -> String {
    value(
        &office.cloud,
        "select string_agg(\"table\" || ' ' || received, ', ' order by \"table\") from tandem.table_state",
    )
    .await
}

/// Loads and updates, with phones at work.
async fn as_it_comes(plan: Plan) {
    let office = open(plan).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, NO_STAGING).await;
    service.forget_peak();
    exec(
        &office.cloud,
        "insert into two select i, 'phone', 'M' from generate_series(100001, 100020) i",
    )
    .await;
    came_home(&office).await;
    office.caught_up(&mut service).await;
    let before = received(&office).await;
    let load = "begin; insert into item select i, 1, 'words of ' || i from generate_series(1, 200000) i; \
        insert into loose select i, 1, 'loose ' || i from generate_series(5001, 40000) i; commit";
    exec(&office.desktop, load).await;
    arrive_whole(&office, &mut service, "item", 200_000).await;
    let update = "begin; update item set mark = 2; update loose set mark = 2; update two set v = v || '+' where source = 'D'; commit";
    exec(&office.desktop, update).await;
    arrive_whole(&office, &mut service, "item where mark = 2", 200_000).await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(
        before, "item 0, loose 0, two 20",
        "the phone's rows are known again"
    );
    assert_eq!(
        received(&office).await,
        "item 400000, loose 75000, two 30020",
        "P7"
    );
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) from two where v = 'phone' and source = 'M'"
        )
        .await,
        "20",
        "P4"
    );
    came_home(&office).await;
    assert!(!office.log().contains("as it comes"), "{}", office.log());
    let peak = service.peak_kb();
    println!("peak memory: {peak} kB");
    assert!(peak <= MEMORY_MB * 1024 + BESIDE_KB, "P12: {peak} kB");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p3_p12_loads_and_updates_go_in_one_pass_and_arrive_whole() {
    as_it_comes(plan()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p3_p12_loads_and_updates_go_in_one_pass_through_a_pooler() {
    if crate::support::no_bouncer() {
        return;
    }
    let mut plan = plan();
    plan.bouncer = true;
    plan.delay = Duration::from_millis(5);
    as_it_comes(plan).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_p9_what_speaks_against_one_pass_takes_the_way_over_the_staging_table() {
    let office = open(plan()).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // A row is refused in the middle of it: that one waits, and the others arrive together.
    exec(&office.desktop, "insert into item select i, case i when 30000 then 13 else 1 end, 'words of ' || i from generate_series(1, 60000) i").await;
    arrive_whole(&office, &mut service, "item", 59_999).await;
    until(
        &office.cloud,
        "select string_agg(key::text || sqlstate, ',') = '{30000}23514' from tandem.quarantine",
    )
    .await;
    assert!(office.log().contains("as it comes"), "{}", office.log());
    exec(&office.desktop, "update item set mark = 1 where id = 30000").await;
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    office.caught_up(&mut service).await;
    // Much is loaded, and then a table refilled, of which one row differs.
    let versions =
        "select md5(string_agg(concat(id, xmin, ctid), ',' order by id)) from loose where id <> 7";
    let before = value(&office.cloud, versions).await;
    exec(&office.desktop, "begin; insert into item select i, 2, 'words of ' || i from generate_series(60001, 120000) i; \
        create temp table kept as select * from loose; delete from loose; insert into loose select id, case id when 7 then 1 else mark end, words from kept; commit").await;
    arrive_whole(&office, &mut service, "item where mark = 2", 60_000).await;
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, versions).await, before, "P9");
    // So does what begins with something else than inserts and updates, without a first try.
    let tries = office.log().matches("as it comes").count();
    exec(
        &office.desktop,
        "begin; delete from item where id <= 10; update item set mark = 3; commit",
    )
    .await;
    arrive_whole(&office, &mut service, "item where mark = 3", 119_990).await;
    office.caught_up(&mut service).await;
    assert_eq!(office.log().matches("as it comes").count(), tries);
    // What comes to nothing again and again is not tried each time, and nobody waits for another session then.
    for part in 0..4 {
        let from = 200_000 + part * 30_000;
        let load = format!(
            "begin; insert into item select i, 4, 'words of ' || i from generate_series({from}, {to}) i; delete from item where id = {from}; commit",
            to = from + 29_999
        );
        exec(&office.desktop, &load).await;
    }
    office.caught_up(&mut service).await;
    let log = office.log();
    let refused: Vec<_> = { log.lines() }
        .filter(|line| line.contains("as it comes"))
        .collect();
    assert_eq!(refused.len(), tries + 1, "{log}");
    let waits = refused.iter().any(|line| line.contains("next_ms"));
    assert!(!waits, "{refused:?}");
    office.assert_equal().await;
    office.assert_conserved().await;
    until(&office.cloud, "select count(*) = 0 from tandem.staging").await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p3_killed_cut_and_stopped_in_the_middle_of_one_pass_nothing_of_it_is_there() {
    let office = open(plan()).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
    let all = "select count(*) from item";
    exec(
        &office.desktop,
        "insert into item select i, 1, 'words of ' || i from generate_series(1, 100000) i",
    )
    .await;
    // The program dies behind its third part.
    let mut service = office.run_until("chunk_sent:3");
    service.ended().await;
    until(&office.cloud, &IN_THE_MIDDLE.replace("> 0", "= 0")).await;
    assert_eq!(value(&office.cloud, all).await, "0");
    // It is told to stop.
    service = office.run();
    until(&office.cloud, IN_THE_MIDDLE).await;
    assert_eq!(service.stop().await, 0);
    until(&office.cloud, &IN_THE_MIDDLE.replace("> 0", "= 0")).await;
    // A phone has one of the rows: the cloud waits for it, and the lease is renewed meanwhile.
    service = office.run();
    arrive_whole(&office, &mut service, "item", 100_000).await;
    office.caught_up(&mut service).await;
    let phone = connect(&office.servers.cloud, "postgres", "postgres").await;
    exec(
        &phone,
        "begin; update item set words = words where id = 100000",
    )
    .await;
    exec(&office.desktop, "update item set mark = 2").await;
    let busy = IN_THE_MIDDLE.replace("> 0", "> 1");
    until(&office.cloud, &busy).await;
    exec(
        &office.cloud,
        "create table public.known as select lsn, epoch, held_until from tandem.checkpoint",
    )
    .await;
    until(&office.cloud, "select count(*) > 0 from tandem.checkpoint as c join public.known as k using (lsn, epoch) where c.held_until > k.held_until").await;
    exec(&phone, "rollback").await;
    arrive_whole(&office, &mut service, "item where mark = 2", 100_000).await;
    // The line to the cloud is cut.
    exec(&office.desktop, "update item set mark = 3").await;
    until(&office.cloud, IN_THE_MIDDLE).await;
    office.to_cloud.cut();
    arrive_whole(&office, &mut service, "item where mark = 3", 100_000).await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(received(&office).await, "item 300000, loose 0, two 0", "P7");
    assert_eq!(service.stop().await, 0);
}
