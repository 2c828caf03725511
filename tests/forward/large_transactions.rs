//! Transactions larger than memory: whole or not at all, whatever happens in the middle of them (P1, P3, P12), and
//! folded so that only what differs goes to the cloud (P9).

use std::time::Duration;

use crate::support::bank::{self, Dice};
use crate::support::office::{Office, Plan, connect, exec, may_shrink, places, until, value};
use crate::support::servers::newest;
use tokio::time::sleep;

/// A third of it may stay in memory: 30,000 rows are a large transaction.
const FORWARD: &str = "[heartbeat]\nevery = \"500ms\"\n[forward]\nmemory_max = \"8MB\"\n";

fn logged(office: &Office) -> bool {
    !office.log().contains("\"level\":\"ERROR\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_every_kind_of_change_in_one_large_transaction_ends_equal() {
    for place in places() {
        let settings = may_shrink(&format!(
            "{FORWARD}[[table]]\nname = \"by_key\"\n[[table]]\nname = \"by_index\"\nkey = [\"a\", \"b\"]\n[[table]]\nname = \"whole\"\nkey = [\"id\"]\n\
             [[table]]\nname = \"spelled\"\n[[table]]\nname = \"bag\"\nkey = []\n[[table]]\nname = \"emptied\"\n[[table]]\nname = \"child\"\n"
        ));
        let ddl = |cloud: bool| {
            let refers = if cloud { "references by_key" } else { "" };
            format!(
                "create table by_key (id int primary key, big text, n int); alter table by_key alter big set storage external; \
                 create table by_index (a int not null, b text not null, big text, n int, unique (a, b)); alter table by_index alter big set storage external; \
                 create table whole (id int, big text, n int); alter table whole alter big set storage external; \
                 create table spelled (k numeric primary key, n int); create table bag (a int, b text); \
                 create table emptied (id int primary key, n int); create table child (id int primary key, parent int {refers})"
            )
        };
        let office = Office::with_tables(&place, &settings, &ddl(false), &ddl(true)).await;
        let rows = "insert into by_key select i, repeat('k' || i, 700), 0 from generate_series(1, 600) i; insert into by_index select i, 'x', repeat('i' || i, 700), 0 from generate_series(1, 600) i; \
            insert into whole select i, repeat('w' || i, 700), 0 from generate_series(1, 600) i; insert into spelled select i + 0.0, i from generate_series(1, 500) i; \
            insert into bag select i % 40, 'b' from generate_series(1, 500) i; insert into emptied select i, i from generate_series(1, 700) i; insert into child select i, i from generate_series(1, 500) i";
        exec(&office.desktop, rows).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        // Ballast makes it large; the rest comes before, between and after.
        exec(&office.desktop, "begin; \
            update by_key set n = 1 where id <= 300; update by_key set id = id + 10000 where id <= 100; update by_key set big = 'new' || id where id between 10001 and 10020; update by_key set id = id + 10000 where id between 10001 and 10050; \
            insert into by_key select i, repeat('again' || i, 600), 7 from generate_series(1, 30) i; delete from by_key where id between 290 and 300; \
            update by_index set b = 'y', n = 2 where a <= 100; update by_index set a = a + 10000 where a <= 50; update by_index set n = 3 where a between 10001 and 10050; delete from by_index where a between 60 and 70; \
            update whole set id = id + 10000 where id <= 100; update whole set n = 9 where id > 10050; \
            update spelled set k = k::numeric(12, 4) where k <= 50; delete from spelled where k between 51 and 60; insert into spelled select i + 0.000, -i from generate_series(51, 55) i; \
            insert into by_key select i, 'ballast', 0 from generate_series(30001, 60000) i; \
            delete from bag where a < 10; update bag set b = 'c' where a > 30; insert into bag select i % 5, 'b' from generate_series(1, 60) i; \
            truncate emptied; insert into emptied select i, i + 1 from generate_series(100, 900) i; \
            update child set parent = 30001 where id > 250; delete from child where id <= 250; delete from by_key where id between 251 and 289; \
            commit").await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        // And a refill of all of it writes nothing.
        let versions =
            "select md5(string_agg(concat(id, xmin, ctid), ',' order by id)) from by_key";
        let before = value(&office.cloud, versions).await;
        exec(&office.desktop, "begin; create temp table kept as select * from by_key; delete from by_key; insert into by_key select * from kept; commit").await;
        office.caught_up(&mut service).await;
        assert_eq!(value(&office.cloud, versions).await, before, "P9");
        office.assert_equal().await;
        assert_eq!(
            value(&office.cloud, "select count(*) from tandem.quarantine").await,
            "0"
        );
        let sums = "select count(*) from tandem.table_state where received <> applied + folded + ruled_out + quarantined or state <> 'streaming'";
        assert_eq!(value(&office.cloud, sums).await, "0", "P7");
        until(&office.cloud, "select count(*) = 0 from tandem.staging").await;
        assert!(logged(&office), "{}", office.log());
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_poison_rows_in_a_large_transaction_are_quarantined_alone() {
    let settings = format!("{FORWARD}[[table]]\nname = \"parent\"\n[[table]]\nname = \"child\"\n");
    let desktop = "create table parent (id int primary key, n int); create table child (id int primary key, parent int, words text)";
    let cloud = "create table parent (id int primary key, n int check (n <> 13)); create table child (id int primary key, parent int references parent, words text)";
    let office = Office::with_tables(&newest(), &settings, desktop, cloud).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "begin; insert into parent select i, i from generate_series(1, 500) i; insert into child select i, i % 502, 'words ' || i from generate_series(1, 30000) i; commit").await;
    office.caught_up(&mut service).await;
    // Parent 13 is refused itself, 0 and 501 don't exist.
    let parked = "select string_agg(\"table\" || ' ' || sqlstate || ' ' || count, ', ' order by 1) from (select \"table\", sqlstate, count(*) from tandem.quarantine group by 1, 2) as q";
    let parked = parked.replace("order by 1)", "order by \"table\")");
    assert_eq!(
        value(&office.cloud, &parked).await,
        "child 23503 178, parent 23514 1"
    );
    assert_eq!(
        value(
            &office.cloud,
            "select (select count(*) from parent) || ' ' || (select count(*) from child)"
        )
        .await,
        "499 29822"
    );
    exec(
        &office.desktop,
        "update parent set n = 14 where id = 13; insert into parent values (0, 0), (501, 501)",
    )
    .await;
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// Kills while large transactions are on their way: no reader ever sees a part, nothing happens twice, and nothing
/// stays in the staging table.
async fn killed_in_the_middle(office: &Office, kills: u32) {
    let seed = bank::seed();
    let mut dice = Dice::new(seed);
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let desktop = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    let reader = connect(&office.servers.cloud, "postgres", "postgres").await;
    let mut last = 0;
    for round in 1..=kills {
        let (from, to) = (round * 100_000, round * 100_000 + 24_999);
        // Every other one begins with a delete: it is staged. The others go as they come.
        let first = match round % 2 {
            0 => format!("delete from item where id = {round};"),
            _ => String::new(),
        };
        exec(&desktop, &format!(
            "begin; {first} insert into item select n, {round}, 'words of ' || n from generate_series({from}, {to}) n; update item set mark = {round} where id < {from}; update account set mark = mark + 1; commit"
        )).await;
        sleep(Duration::from_millis(dice.below(2200))).await;
        // All rows say the same round, or the transaction isn't there.
        let seen = value(&reader, "select coalesce(min(mark), 0) || ' ' || coalesce(max(mark), 0) || ' ' || count(*) from item where id >= 100000").await;
        let seen: Vec<u32> = seen
            .split(' ')
            .map(|number| number.parse().unwrap())
            .collect();
        assert!(
            seen[0] == seen[1] && seen[2] == seen[1] * 25_000 && seen[1] >= last,
            "{seen:?}"
        );
        last = seen[1];
        service.kill().await;
        service = office.run();
    }
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    bank::assert_once(office).await;
    until(&office.cloud, "select count(*) = 0 from tandem.staging").await;
    assert_eq!(service.stop().await, 0);
}

fn settings() -> String {
    may_shrink(&bank::SETTINGS.replace("[forward]", "[forward]\nmemory_max = \"8MB\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p3_killed_in_the_middle_of_large_transactions_nothing_is_torn() {
    let office = bank::open_plan(&Plan::tables(&newest(), &settings())).await;
    killed_in_the_middle(&office, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p3_killed_in_the_middle_of_large_transactions_through_a_pooler_nothing_is_torn() {
    if crate::support::no_bouncer() {
        return;
    }
    let mut plan = Plan::tables(&newest(), &settings());
    plan.bouncer = true;
    plan.delay = Duration::from_millis(5);
    killed_in_the_middle(&bank::open_plan(&plan).await, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_crash_of_the_cloud_that_empties_the_staging_table_loses_nothing() {
    let settings = settings();
    let mut office = bank::open_plan(&Plan::tables(&newest(), &settings)).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "begin; delete from item where id = 1; insert into item select n, 1, 'words' from generate_series(100001, 160000) n; commit",
    )
    .await;
    until(&office.cloud, "select count(*) > 10000 from tandem.staging").await;
    office.servers.cloud.kill_hard().unwrap();
    office.servers.cloud.start_again().unwrap();
    let cloud = connect(&office.servers.cloud, "supabase_admin", "postgres").await;
    until(
        &cloud,
        "select count(*) = 60000 from item where id > 100000",
    )
    .await;
    office.cloud = cloud;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    bank::assert_once(&office).await;
    assert_eq!(service.stop().await, 0);
}
