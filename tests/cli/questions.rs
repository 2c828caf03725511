//! `lag` and `wait`: what they say, and as which exit code, whatever state things are in.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::office::{Office, Plan, Service, connect, exec, until, value};
use crate::support::servers::{newest, versions};
use tandem::demo::cluster::Binaries;

const DDL: &str = "create table item (id int primary key, what text)";
const SETTINGS: &str = "[heartbeat]\nevery = \"1s\"\n[[table]]\nname = \"item\"";

async fn office(binaries: &Binaries) -> Office {
    let office = Office::open(&Plan::tables(binaries, SETTINGS)).await;
    exec(&office.desktop, DDL).await;
    exec(&office.cloud, &format!("set role postgres; {DDL}")).await;
    office
}

async fn streaming(office: &Office) -> Service {
    let mut service = office.run();
    office.caught_up(&mut service).await;
    until(
        &office.desktop,
        "select count(*) = 1 from pg_stat_replication where state = 'streaming'",
    )
    .await;
    service
}

/// The contract's fields, and whether each is a number, a text or a document; null stands for what isn't known.
const FIELDS: [(&str, char); 12] = [
    ("schema", 'n'),
    ("state", 't'),
    ("lag_ms", 'n'),
    ("lag_bytes", 'n'),
    ("measured_age_ms", 'n'),
    ("desktop_lsn", 't'),
    ("received_lsn", 't'),
    ("cloud_lsn", 't'),
    ("confirmed_lsn", 't'),
    ("wal_held_bytes", 'n'),
    ("wal_held_bytes_max", 'n'),
    ("reverse", 'd'),
];
const REVERSE: [&str; 3] = ["pending", "lag_ms", "last_poll_age_ms"];

fn document(out: &str) -> Value {
    assert_eq!(out.lines().count(), 1, "one document, one line: {out}");
    let document: Value = serde_json::from_str(out).unwrap();
    let fields = document.as_object().unwrap();
    assert_eq!(fields.len(), FIELDS.len(), "{out}");
    for (name, kind) in FIELDS {
        let field = &fields[name];
        let fits = match kind {
            'n' => field.is_u64(),
            't' => field.is_string(),
            _ => field.is_object(),
        };
        assert!(fits || field.is_null(), "{name}: {field}");
    }
    assert_eq!(fields["schema"], 1);
    let reverse = fields["reverse"].as_object().unwrap();
    assert_eq!(reverse.len(), REVERSE.len());
    assert!(
        REVERSE
            .iter()
            .all(|name| reverse[*name].is_u64() || reverse[*name].is_null()),
        "{out}"
    );
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_not_running_is_exit_3_and_lag_still_says_what_can_be_known() {
    for binaries in versions() {
        let office = office(&binaries).await;
        for ran in [false, true] {
            if ran {
                assert_eq!(streaming(&office).await.stop().await, 0);
                exec(
                    &office.desktop,
                    "insert into item values (1, 'after the end')",
                )
                .await;
            }
            let (code, out, error) = office.ask(&["lag", "--json"]).await;
            assert_eq!(code, 3, "{out} {error}");
            let down = document(&out);
            assert_eq!(down["state"], "down");
            assert!(down["desktop_lsn"].is_string());
            assert_eq!(down["cloud_lsn"].is_string(), ran, "{out}");
            assert_eq!(down["confirmed_lsn"].is_string(), ran, "{out}");
            if ran {
                assert!(down["lag_bytes"].as_u64().unwrap() > 0, "{out}");
            }
            let (code, out, _) = office.ask(&["lag"]).await;
            assert!(code == 3 && out.contains("not running"), "{code} {out}");
            let (code, out, error) = office.ask(&["wait", "--timeout", "60s"]).await;
            assert_eq!((code, out.as_str()), (3, ""), "{error}");
            assert!(
                error.contains("not running") && error.contains("tandem run"),
                "{error}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_a_streaming_service_is_measured_and_max_judges_it() {
    for binaries in versions() {
        let office = office(&binaries).await;
        let service = streaming(&office).await;
        exec(&office.desktop, "insert into item values (1, 'x')").await;
        let (code, out, error) = office.ask(&["lag", "--json", "--max", "1h"]).await;
        assert_eq!(code, 0, "{out} {error}");
        let document = document(&out);
        assert_eq!(
            (&document["state"], &document["lag_bytes"]),
            (&Value::from("streaming"), &Value::from(0)),
            "{out}"
        );
        for known in [
            "lag_ms",
            "desktop_lsn",
            "received_lsn",
            "cloud_lsn",
            "confirmed_lsn",
            "wal_held_bytes",
        ] {
            assert!(!document[known].is_null(), "{known} in {out}");
        }
        assert_eq!(document["wal_held_bytes_max"], 4_u64 << 30);
        office
            .to_cloud
            .set_delay(std::time::Duration::from_millis(20));
        let (code, out, error) = office.ask(&["lag", "--max", "1ms"]).await;
        assert_eq!((code, error.as_str()), (1, ""), "{out}");
        assert!(out.contains("streaming"), "{out}");
        let (code, ..) = office.ask(&["wait"]).await;
        assert_eq!(code, 0);
        assert_eq!(
            value(&office.cloud, "select count(*) from item").await,
            "1",
            "wait means it"
        );
        assert_eq!(service.stop().await, 0);
    }
}

/// The lag, in milliseconds, lies between what is surely true and what may be: the row was committed after `committed.0` and
/// before `committed.1`, and the sample was taken while we waited for it.
async fn is_true(office: &Office, committed: (Instant, Instant), wanted: i32) -> Value {
    let least = committed.1.elapsed();
    let (code, out, error) = office.ask(&["lag", "--json"]).await;
    let most = committed.0.elapsed().as_millis();
    assert_eq!(code, wanted, "{out} {error}");
    let document = document(&out);
    let lag = u128::from(document["lag_ms"].as_u64().unwrap());
    let slack = (most / 5).max(100);
    assert!(
        lag + slack >= least.as_millis() && lag <= most + slack,
        "{lag} ms said, between {} and {most} ms is true: {out}",
        least.as_millis()
    );
    assert!(document["lag_bytes"].as_u64().unwrap() > 0, "{out}");
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_lag_is_how_long_the_oldest_missing_transaction_has_been_waiting() {
    for binaries in versions() {
        let office = Office::with_tables(
            &binaries,
            "[[table]]\nname = \"item\"",
            &format!("{DDL}; create table elsewhere (id int)"),
            DDL,
        )
        .await;
        let mut service = streaming(&office).await;
        // The cloud stands: heartbeats may be waiting before the row is.
        exec(
            &office.cloud,
            "begin; lock table tandem.checkpoint in share mode",
        )
        .await;
        until(
            &office.cloud,
            "select exists (select from pg_locks where relation = 'tandem.checkpoint'::regclass and not granted)",
        )
        .await;
        let now = "select (extract(epoch from clock_timestamp() - timestamptz '2000-01-01 00:00 UTC') * 1000000)::bigint";
        let earliest = value(&office.desktop, now).await;
        let before = Instant::now();
        exec(&office.desktop, "insert into item values (1, 'x')").await;
        let committed = (before, Instant::now());
        // The stream tells what has waited for a moment; until then it may be a heartbeat before the row.
        until(
            &office.desktop,
            &format!("select exists (select from pg_stat_activity where substring(application_name from '^tandem .* since ([0-9]+)$')::bigint >= {earliest})"),
        )
        .await;
        while before.elapsed() < Duration::from_secs(6) {
            let document = is_true(&office, committed, 0).await;
            assert_eq!(document["state"], "catching_up");
        }
        exec(&office.cloud, "rollback").await;
        office.caught_up(&mut service).await;
        let (code, out, _) = office.ask(&["lag", "--json", "--max", "2s"]).await;
        assert_eq!(
            (code, &document(&out)["lag_bytes"]),
            (0, &0.into()),
            "{out}"
        );
        // The service ends: nothing is missing before something is.
        assert_eq!(service.stop().await, 0);
        exec(&office.desktop, "insert into elsewhere values (1)").await;
        let (code, out, _) = office.ask(&["lag", "--json"]).await;
        let idle = document(&out);
        assert_eq!(
            (code, &idle["lag_ms"], &idle["lag_bytes"]),
            (3, &0.into(), &0.into()),
            "{out}"
        );
        let before = Instant::now();
        exec(&office.desktop, "insert into item values (2, 'x')").await;
        let committed = (before, Instant::now());
        while before.elapsed() < Duration::from_secs(1) {
            is_true(&office, committed, 3).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_that_cannot_be_reached_is_exit_4_by_name() {
    let office = office(&newest()).await;
    let service = streaming(&office).await;
    for (side, proxy) in [("desktop", &office.to_desktop), ("cloud", &office.to_cloud)] {
        proxy.refuse(true);
        for question in [
            &["lag"][..],
            &["lag", "--json"],
            &["wait", "--timeout", "60s"],
        ] {
            let (code, out, error) = office.ask(question).await;
            assert_eq!((code, out.as_str()), (4, ""), "{question:?} {error}");
            assert!(
                error.contains(&format!("the {side} cannot be reached"))
                    && error.contains("cause:"),
                "{error}"
            );
        }
        let (code, out, _) = office.ask(&["status", "--json"]).await;
        let unknown: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &unknown["verdict"]), (4, &"unknown".into()), "{out}");
        proxy.refuse(false);
    }
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_gives_up_when_asked_to_and_says_how_far_it_came() {
    for binaries in versions() {
        let office = office(&binaries).await;
        let service = streaming(&office).await;
        let phone = connect(&office.servers.cloud, "supabase_admin", "postgres").await;
        exec(&phone, "begin; lock table item in access exclusive mode").await;
        exec(&office.desktop, "insert into item values (1, 'x')").await;
        let (code, out, error) = office.ask(&["wait", "--timeout", "500ms"]).await;
        assert_eq!((code, out.as_str()), (1, ""), "{error}");
        assert!(
            error.contains("time-out") && error.contains("the desktop had"),
            "{error}"
        );
        exec(&phone, "commit").await;
        let (code, _, error) = office.ask(&["wait", "--timeout", "200s"]).await;
        assert_eq!(code, 0, "{error}");
        assert_eq!(value(&office.cloud, "select count(*) from item").await, "1");
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_wait_is_bad_news_when_a_row_is_left_behind_and_names_its_table() {
    for binaries in versions() {
        let settings = format!("{SETTINGS}\n[[table]]\nname = \"poor\"");
        let office = Office::open(&Plan::tables(&binaries, &settings)).await;
        exec(
            &office.desktop,
            &format!("{DDL}; create table poor (id int primary key, n int)"),
        )
        .await;
        exec(&office.cloud, &format!("set role postgres; {DDL}; create table poor (id int primary key, n int check (n < 10))")).await;
        let service = streaming(&office).await;
        exec(
            &office.desktop,
            "insert into poor values (1, 99); insert into item values (1, 'x')",
        )
        .await;
        let (code, out, error) = office.ask(&["wait", "--timeout", "200s"]).await;
        assert_eq!(code, 1, "{out} {error}");
        assert!(
            out.contains("poor") && out.contains("quarantined") && out.contains("poor_n_check"),
            "{out}"
        );
        assert!(!out.contains("item"), "{out}");
        assert_eq!(
            value(&office.cloud, "select count(*) from item").await,
            "1",
            "the other table goes on"
        );
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_quarantine_lists_retries_and_drops() {
    let settings = format!("{SETTINGS}\n[[table]]\nname = \"child\"\n");
    let office = Office::open(&Plan::tables(&versions()[0], &settings)).await;
    let child = "create table child (id int primary key, item_id int REF)";
    exec(
        &office.desktop,
        &format!("{DDL}; {}", child.replace("REF", "")),
    )
    .await;
    exec(
        &office.cloud,
        &format!(
            "set role postgres; {DDL}; {}",
            child.replace("REF", "references item")
        ),
    )
    .await;
    let service = streaming(&office).await;
    let (code, out, _) = office.ask(&["quarantine", "list"]).await;
    assert!(
        code == 0 && out.contains("nothing is in quarantine"),
        "{out}"
    );
    exec(
        &office.desktop,
        "insert into child values (1, 7), (2, 8), (3, 9)",
    )
    .await;
    office.ask(&["wait", "--timeout", "200s"]).await;
    let (code, out, _) = office
        .ask(&["quarantine", "list", "--table", "child"])
        .await;
    assert!(
        code == 1 && out.lines().count() == 3 && out.contains("id = 2") && out.contains("23503"),
        "{out}"
    );
    let (code, _, said) = office.ask(&["quarantine", "list", "--table", "chid"]).await;
    assert!(
        code == 2 && said.contains("no table chid") && said.contains("there are item, child"),
        "{said}"
    );
    // The parent comes by another way than ours: asked, the service looks at once.
    exec(&office.cloud, "insert into item (id) values (7)").await;
    let (code, out, _) = office.ask(&["quarantine", "retry"]).await;
    assert!(
        code == 1 && out.contains("1 row got through, 2 rows still in quarantine"),
        "{code} {out}"
    );
    let id = value(
        &office.cloud,
        "select id from tandem.quarantine where key = '{2}'",
    )
    .await;
    let (code, _, said) = office.ask(&["quarantine", "drop"]).await;
    assert!(code == 2 && said.contains("--id or --table"), "{said}");
    let (code, out, _) = office.ask(&["quarantine", "drop", "--id", &id]).await;
    assert!(code == 0 && out.contains("1 row given up"), "{out}");
    let sums = "select concat_ws(' ', received, applied, ruled_out, quarantined) from tandem.table_state where \"table\" = 'child'";
    assert_eq!(value(&office.cloud, sums).await, "3 1 1 1");
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) from tandem.dropped where dropped_by <> ''"
        )
        .await,
        "1"
    );
    // It comes back when it changes, and goes when its cause does.
    exec(&office.desktop, "update child set item_id = 7 where id = 2").await;
    exec(&office.cloud, "insert into item (id) values (9)").await;
    let (code, out, _) = office
        .ask(&["quarantine", "retry", "--table", "child"])
        .await;
    assert!(code == 0, "{out}");
    let (code, _, _) = office.ask(&["wait", "--timeout", "200s"]).await;
    assert_eq!(code, 0);
    assert_eq!(
        value(
            &office.cloud,
            "select string_agg(id::text, ' ' order by id) from child"
        )
        .await,
        "1 2 3"
    );
    assert_eq!(service.stop().await, 0);
    let (code, _, _) = office.ask(&["quarantine", "list"]).await;
    assert_eq!(code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_started_beside_the_service_waits_for_it() {
    let office = office(&newest()).await;
    // Set up before, so that only the start is waited for.
    let service = streaming(&office).await;
    assert_eq!(service.stop().await, 0);
    exec(&office.desktop, "insert into item values (1, 'x')").await;
    let (service, (code, out, error)) = tokio::join!(
        async { office.run() },
        office.ask(&["wait", "--timeout", "200s"])
    );
    assert_eq!(code, 0, "{out} {error}");
    assert_eq!(value(&office.cloud, "select count(*) from item").await, "1");
    assert_eq!(service.stop().await, 0);
    // One that is not there is said not to be.
    let (code, _, error) = office.ask(&["wait", "--timeout", "200s"]).await;
    assert!(
        code == 3 && error.contains("the service is not running"),
        "{code} {error}"
    );
}
