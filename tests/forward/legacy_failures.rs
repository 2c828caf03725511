//! Failures of the scripts that tandem replaces, each with the property that keeps it from coming
//! back. Names as in the list of failures: F documented by their authors, U found by reading.

use std::fmt::Write;

use crate::support::office::{Office, Place, Plan, exec, may_shrink, places, until, value};
use crate::support::servers::newest;

const BEAT: &str = "[heartbeat]\nevery = \"200ms\"\n";

/// An office with these tables on both sides (`ddl`), in the cloud owned by tandem's user.
async fn office(place: impl Into<Place>, settings: &str, desktop: &str, cloud: &str) -> Office {
    Office::with_tables(place, &format!("{BEAT}{settings}"), desktop, cloud).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f03_an_idle_cycle_reads_and_writes_no_business_table() {
    let ddl = "create table item (id int primary key, what text)";
    let office = office(&newest(), "[[table]]\nname = \"item\"", ddl, ddl).await;
    exec(
        &office.desktop,
        "insert into item select i, 'x' from generate_series(1, 100) i",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let activity = "select concat_ws(' ', seq_scan, idx_scan, n_tup_ins, n_tup_upd, n_tup_del) from pg_stat_user_tables where relname = 'item'";
    // Statistics of the copy arrive when its sessions are idle, so they may still move at first.
    let mut before = (String::new(), String::new());
    for attempt in 0.. {
        let five_more: i64 = 5 + value(&office.cloud, "select transactions from tandem.checkpoint")
            .await
            .parse::<i64>()
            .unwrap();
        until(
            &office.cloud,
            &format!("select transactions >= {five_more} from tandem.checkpoint"),
        )
        .await;
        let now = (
            value(&office.desktop, activity).await,
            value(&office.cloud, activity).await,
        );
        if now == before {
            break;
        }
        assert!(
            attempt < 20,
            "five heartbeats after five heartbeats, the table is still touched: {now:?}"
        );
        before = now;
    }
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f06_capture_depends_on_no_column_of_the_application() {
    for place in places() {
        let desktop = "create table item (id int, what text, created_at timestamp default now(), updated_at timestamp default now())";
        let cloud = "create table item (id int primary key, what text, created_at timestamptz default now(), updated_at timestamptz default now())";
        let settings =
            "[forward]\nskip = [\"created_at\", \"updated_at\"]\n[[table]]\nname = \"item\"";
        let office = office(&place, settings, desktop, cloud).await;
        let mut service = office.run();
        exec(
            &office.desktop,
            "insert into item values (1, 'a'), (2, 'b')",
        )
        .await;
        office.caught_up(&mut service).await;
        exec(&office.desktop, "alter table item drop column created_at, drop column updated_at; update item set what = 'c' where id = 1; delete from item where id = 2").await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        assert_eq!(service.stop().await, 0);
    }
}

const FAMILY: &str = "create table parent (id int primary key, name text); create table child (id int primary key, parent_id int REF, note text)";

#[tokio::test(flavor = "multi_thread")]
async fn f14_parent_and_child_of_one_transaction_both_arrive() {
    for place in places() {
        let (desktop, cloud) = (
            FAMILY.replace("REF", ""),
            FAMILY.replace("REF", "references parent"),
        );
        // The settings list the child first: the order comes from the cloud's foreign keys.
        let office = office(
            &place,
            &may_shrink("[[table]]\nname = \"child\"\n[[table]]\nname = \"parent\""),
            &desktop,
            &cloud,
        )
        .await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(&office.desktop, "begin; insert into child values (1, 10, 'first'); insert into parent values (10, 'later'); commit").await;
        exec(&office.desktop, "begin; insert into parent select i, 'p' from generate_series(100, 600) i; insert into child select i, i, 'c' from generate_series(100, 600) i; commit").await;
        exec(&office.desktop, "begin; update child set parent_id = 10 where id between 100 and 200; delete from parent where id between 100 and 200; commit").await;
        exec(&office.desktop, "begin; delete from parent where id > 500; delete from child where parent_id > 500; commit").await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        assert!(
            office
                .states()
                .await
                .iter()
                .all(|(_, state, _)| state == "streaming")
        );
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f15_u04_progress_is_commit_order_whatever_clocks_and_writers_do() {
    for place in places() {
        let desktop = "create table item (id int, n int, updated_at timestamp)";
        let cloud = "create table item (id int primary key, n int, updated_at timestamp)";
        let office = office(&place, "[[table]]\nname = \"item\"", desktop, cloud).await;
        let mut service = office.run();
        // A transaction that began first and commits last, with clocks in 1990 and 2099 around it.
        let late =
            crate::support::office::connect(&office.servers.desktop, "postgres", "enterprise_db")
                .await;
        exec(&late, "begin; insert into item values (1, 0, '1990-01-01')").await;
        let mut writers = Vec::new();
        for writer in 0..6 {
            let client = crate::support::office::connect(
                &office.servers.desktop,
                "postgres",
                "enterprise_db",
            )
            .await;
            writers.push(tokio::spawn(async move {
                for n in 0..60 {
                    let id = 10 + (n * 7 + writer * 13) % 40;
                    let year = if n % 2 == 0 { 2099 } else { 2001 };
                    // Writers take turns at a row, as a program with a key of its own would.
                    let sql = format!(
                        "begin; select pg_advisory_xact_lock({id}); delete from item where id = {id} and n % 3 = 0; \
                         update item set n = n + 1, updated_at = '{year}-01-01' where id = {id}; \
                         insert into item select {id}, {n}, now() where not exists (select from item where id = {id}); commit"
                    );
                    exec(&client, &sql).await;
                }
            }));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        exec(&late, "commit").await;
        office.caught_up(&mut service).await;
        let stopped: Vec<_> = office
            .states()
            .await
            .into_iter()
            .filter(|(_, state, _)| state != "streaming")
            .collect();
        assert!(stopped.is_empty(), "{stopped:?}");
        office.assert_equal().await;
        assert_eq!(
            value(&office.cloud, "select n from item where id = 1").await,
            "0"
        );
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f19_a_cloud_table_without_the_owner_column_holds_desktop_rows_only() {
    let ddl = "create table plain (id int primary key, what text)";
    let office = office(&newest(), "[[table]]\nname = \"plain\"", ddl, ddl).await;
    let mut service = office.run();
    exec(&office.desktop, "insert into plain values (1, 'a'), (2, 'b'); update plain set what = 'c' where id = 1; delete from plain where id = 2").await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(
            &office.cloud,
            "select string_agg(id || what, ',') from plain"
        )
        .await,
        "1c"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f23_u07_every_update_and_delete_of_a_published_column_arrives() {
    for place in places() {
        let mut plan = Plan::powerca(&place, 0.05);
        plan.settings = may_shrink(&plan.settings);
        let office = Office::open(&plan).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        // Every mapped column of every table that has rows, one after the other.
        for table in office.tables().await.iter() {
            for column in &table.columns {
                let tandem::model::Source::Arriving(index) = &column.from else {
                    continue;
                };
                let name = &table.arriving[*index].name;
                if crate::support::office::key_of(table).contains(&column.name) || column.not_null {
                    continue;
                }
                let block = format!(
                    "with few as (select ctid from {0} limit 3) update {0} set {name} = null where ctid in (select ctid from few)",
                    table.desktop
                );
                exec(&office.desktop, &block).await;
            }
        }
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        exec(&office.desktop, "delete from mbremdetail; delete from mbreminder; delete from taskchecklist where task_id is null; delete from jobtasks where job_id % 2 = 0").await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        assert_eq!(
            value(&office.cloud, "select count(*) from reminder").await,
            "0"
        );
        assert_eq!(service.stop().await, 0);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn f42_tandem_only_dials_out() {
    let ddl = "create table item (id int primary key)";
    let office = office(&newest(), "[[table]]\nname = \"item\"", ddl, ddl).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let process = service.child.id().unwrap();
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .filter_map(|entry| {
            Some(
                std::fs::read_link(entry.ok()?.path())
                    .ok()?
                    .to_string_lossy()
                    .into_owned(),
            )
        })
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    assert!(sockets.len() >= 3, "it is connected to both sides");
    const LISTENING: &str = "0A";
    for file in ["tcp", "tcp6"] {
        let table =
            std::fs::read_to_string(format!("/proc/{process}/net/{file}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            assert!(
                fields[3] != LISTENING || !sockets.iter().any(|socket| socket == fields[9]),
                "tandem listens: {line}"
            );
        }
    }
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u27_the_applications_update_and_delete_work_on_published_keyless_tables() {
    for place in places() {
        let office = Office::open(&Plan::powerca(&place, 0.02)).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        for table in office.tables().await.iter() {
            exec(
                &office.desktop,
                &format!(
                    "update {0} set source = source; delete from {0} where false",
                    table.desktop
                ),
            )
            .await;
            let identity = value(
                &office.desktop,
                &format!(
                    "select relreplident from pg_class where oid = '{}'::regclass",
                    table.desktop
                ),
            )
            .await;
            assert_eq!(
                identity, "f",
                "{} has an identity before it is published",
                table.name
            );
            let was = format!(
                "select was from tandem.replica_identity where \"table\" = '{}'",
                table.desktop.relation
            );
            assert_eq!(
                value(&office.desktop, &was).await,
                "d",
                "what it was is remembered"
            );
        }
        exec(&office.desktop, "select sync_views_to_tables()").await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn u36_wide_tables_are_not_limited_by_the_number_of_parameters() {
    let mut columns = String::from("id int primary key");
    for number in 0..200 {
        write!(columns, ", c{number} text").unwrap();
    }
    let ddl = format!("create table wide ({columns})");
    let office = office(&newest(), "[[table]]\nname = \"wide\"", &ddl, &ddl).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // 2,000 rows of 201 columns in one transaction: 402,000 values, six times what a statement may have.
    exec(
        &office.desktop,
        "insert into wide (id, c0, c199) select i, 'first', 'last' from generate_series(1, 2000) i",
    )
    .await;
    exec(&office.desktop, "update wide set c100 = 'middle'").await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) from wide where c100 = 'middle' and c199 = 'last'"
        )
        .await,
        "2000"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u37_p3_no_reader_sees_part_of_a_transaction() {
    for place in places() {
        let ddl = "create table left_side (id int primary key, amount int); create table right_side (id int primary key, amount int)";
        let office = office(
            &place,
            "[[table]]\nname = \"left_side\"\n[[table]]\nname = \"right_side\"",
            ddl,
            ddl,
        )
        .await;
        exec(&office.desktop, "insert into left_side select i, 100 from generate_series(1, 20) i; insert into right_side select i, 100 from generate_series(1, 20) i").await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        let reader =
            crate::support::office::connect(&office.servers.cloud, "supabase_admin", "postgres")
                .await;
        let (done, is_done) = tokio::sync::watch::channel(false);
        let polls = tokio::spawn(async move {
            let sum =
                "select (select sum(amount) from left_side) + (select sum(amount) from right_side)";
            let mut seen = 0u32;
            while !*is_done.borrow() {
                assert_eq!(value(&reader, sum).await, "4000");
                seen += 1;
            }
            seen
        });
        for n in 1..=300 {
            let (id, amount) = (n % 20 + 1, n % 13);
            exec(&office.desktop, &format!("begin; update left_side set amount = amount - {amount} where id = {id}; update right_side set amount = amount + {amount} where id = {id}; commit")).await;
        }
        office.caught_up(&mut service).await;
        done.send(true).unwrap();
        assert!(polls.await.unwrap() > 20, "the reader polled throughout");
        office.assert_equal().await;
        assert_eq!(service.stop().await, 0);
    }
}
