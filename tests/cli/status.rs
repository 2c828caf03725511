//! `status`: the verdict first, what needs a person, and what comes next; also when nothing runs.

use serde_json::Value;

use crate::support::office::{Office, Plan, exec, until};
use crate::support::servers::newest;

const SETTINGS: &str =
    "[heartbeat]\nevery = \"1s\"\n[[table]]\nname = \"item\"\n[[table]]\nname = \"other\"";

async fn document(office: &Office, wanted: i32) -> Value {
    let (code, out, error) = office.ask(&["status", "--json"]).await;
    assert_eq!(code, wanted, "{out} {error}");
    assert_eq!(out.lines().count(), 1, "one document, one line: {out}");
    let document: Value = serde_json::from_str(&out).unwrap();
    for name in [
        "schema", "verdict", "forward", "reverse", "service", "tables",
    ] {
        assert!(document.get(name).is_some(), "{name} in {out}");
    }
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_status_says_what_is_and_what_needs_a_person() {
    let office = Office::open(&Plan::tables(&newest(), SETTINGS)).await;
    let ddl = "create table item (id int primary key, n int); create table other (id int primary key, n int)";
    exec(&office.desktop, ddl).await;
    let cloud =
        format!("set role postgres; {ddl}; alter table item add constraint sane check (n < 100)");
    exec(&office.cloud, &cloud).await;
    // Nothing was ever there.
    let down = document(&office, 3).await;
    assert_eq!(
        (&down["verdict"], &down["service"]["running"]),
        (&"down".into(), &false.into())
    );
    assert_eq!(down["tables"], Value::Array(Vec::new()));
    let (code, out, _) = office.ask(&["status"]).await;
    assert!(
        code == 3
            && out.starts_with("not running")
            && out.contains("next: tandem doctor, then tandem bootstrap"),
        "{out}"
    );
    // It runs, and all is well.
    let mut service = office.run();
    exec(
        &office.desktop,
        "insert into item select i, i from generate_series(1, 10) i",
    )
    .await;
    office.caught_up(&mut service).await;
    let fine = document(&office, 0).await;
    assert_eq!(fine["verdict"], "caught_up");
    assert_eq!(fine["forward"]["lag_bytes"], 0);
    assert_eq!(fine["service"]["running"], true);
    assert!(
        fine["service"]["since"].is_string() && fine["service"]["holder"].is_string(),
        "{fine}"
    );
    let tables = fine["tables"].as_array().unwrap();
    assert_eq!(tables.len(), 2);
    for key in [
        "table",
        "state",
        "since",
        "copied",
        "received",
        "applied",
        "folded",
        "ruled_out",
        "quarantined",
    ] {
        assert!(!tables[0][key].is_null(), "{key} in {fine}");
    }
    let seen = tables[0]["copied"].as_i64().unwrap() + tables[0]["applied"].as_i64().unwrap();
    assert_eq!((&tables[0]["table"], seen), (&"item".into(), 10));
    let (code, out, _) = office.ask(&["status"]).await;
    assert!(
        code == 0 && out.starts_with("caught up") && out.contains("2 of 2 tables stream"),
        "{out}"
    );
    assert!(
        !out.contains("since 20") || !out.contains("    item"),
        "only what needs somebody: {out}"
    );
    let (_, out, _) = office.ask(&["status", "--all"]).await;
    assert!(
        out.contains("    item") && out.contains("    other"),
        "{out}"
    );
    // A row waits, and a table has stopped.
    exec(&office.desktop, "update item set n = 1000 where id = 3").await;
    until(&office.cloud, "select count(*) = 1 from tandem.quarantine").await;
    let waits = document(&office, 1).await;
    assert_eq!(waits["verdict"], "needs_you");
    assert_eq!(waits["tables"][0]["quarantined"], 1);
    let (_, out, _) = office.ask(&["status"]).await;
    assert!(out.starts_with("running, one table needs you"), "{out}");
    assert!(
        out.contains("one row in quarantine") && out.contains("next: tandem quarantine list"),
        "{out}"
    );
    exec(&office.cloud, "alter table other drop column n").await;
    exec(&office.desktop, "insert into other values (1, 1)").await;
    until(
        &office.cloud,
        "select state = 'stopped' and why like '%does not fit%' from tandem.table_state where \"table\" = 'other'",
    )
    .await;
    let (code, out, _) = office.ask(&["status"]).await;
    assert!(
        code == 1 && out.starts_with("running, 2 tables need you"),
        "{out}"
    );
    assert!(
        out.contains("stopped")
            && out.contains("column n of the desktop has no place in the cloud"),
        "{out}"
    );
    // It is down, and the desktop goes on.
    assert_eq!(service.stop().await, 0);
    exec(&office.desktop, "insert into item values (11, 11)").await;
    let down = document(&office, 3).await;
    assert_eq!(down["verdict"], "down");
    assert!(down["forward"]["lag_bytes"].as_u64().unwrap() > 0, "{down}");
    assert_eq!(down["tables"][1]["state"], "stopped");
    // It ended, and said why.
    exec(&office.desktop, "select pg_drop_replication_slot('tandem')").await;
    exec(&office.cloud, "alter table other add n int").await;
    let mut service = office.run();
    assert_eq!(service.ended().await, 5);
    let stopped = document(&office, 3).await;
    assert_eq!(stopped["verdict"], "stopped");
    let (_, out, _) = office.ask(&["status"]).await;
    assert!(
        out.starts_with("STOPPED") && out.contains("last words:") && out.contains("slot"),
        "{out}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_with_the_desktop_away_status_says_what_the_cloud_knows() {
    let office = Office::open(&Plan::tables(&newest(), SETTINGS)).await;
    let ddl = "create table item (id int primary key, n int); create table other (id int primary key, n int)";
    exec(&office.desktop, ddl).await;
    let cloud =
        format!("set role postgres; {ddl}; alter table item add constraint sane check (n < 100)");
    exec(&office.cloud, &cloud).await;
    // Nothing was ever there.
    office.to_desktop.refuse(true);
    let away = document(&office, 4).await;
    assert_eq!(away["verdict"], "unknown");
    let (code, out, said) = office.ask(&["status"]).await;
    assert!(
        code == 4 && out.contains("the cloud answers; it has nothing of this replicator"),
        "{out} {said}"
    );
    office.to_desktop.refuse(false);
    exec(
        &office.desktop,
        "insert into item select i, i from generate_series(98, 101) i",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    for stopped in [false, true] {
        if stopped {
            assert_eq!(service.ended_after_term().await, 0);
        }
        office.to_desktop.refuse(true);
        office.to_desktop.cut();
        let away = document(&office, 4).await;
        assert_eq!(away["verdict"], "unknown");
        assert!(away["why"].as_str().unwrap().contains("desktop"), "{away}");
        assert!(
            away["cloud_lsn"].is_string() && away["reverse"]["pending"] == 0,
            "{away}"
        );
        let tables = away["tables"].as_array().unwrap();
        assert_eq!(tables.len(), 2, "{away}");
        assert_eq!(
            (&tables[0]["copied"], &tables[0]["parked"]),
            (&2.into(), &2.into()),
            "{away}"
        );
        let (code, out, said) = office.ask(&["status"]).await;
        assert!(code == 4 && said.contains("cannot be reached"), "{said}");
        assert!(
            out.starts_with("unknown: the desktop cannot be reached")
                && out.contains("it has everything up to")
                && out.contains("2 of 2 tables stream")
                && out.contains("2 rows in quarantine"),
            "{out}"
        );
        if stopped {
            assert_eq!(away["service"]["running"], false, "{away}");
            assert!(out.contains("  not running"), "{out}");
        }
        office.to_desktop.refuse(false);
    }
    // Neither answers.
    for link in [&office.to_desktop, &office.to_cloud] {
        link.refuse(true);
    }
    let (code, out, _) = office.ask(&["status"]).await;
    assert!(code == 4 && out.contains("neither side answers"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_since_when_it_runs_is_known_before_it_streams() {
    let office = Office::open(&Plan::tables(&newest(), SETTINGS)).await;
    let ddl = "create table item (id int primary key, n int); create table other (id int primary key, n int)";
    exec(&office.desktop, ddl).await;
    exec(
        &office.cloud,
        &format!("set role postgres; {ddl}; reset role"),
    )
    .await;
    exec(&office.cloud, "begin; lock table item in exclusive mode").await;
    exec(&office.desktop, "insert into item values (1, 1)").await;
    let mut service = office.run();
    // The first copy waits for the lock.
    until(
        &office.cloud,
        "select to_regclass('tandem.checkpoint') is not null and exists (select from pg_locks where not granted)",
    )
    .await;
    let fine = document(&office, 0).await;
    assert_eq!(fine["verdict"], "catching_up", "{fine}");
    assert!(fine["service"]["since"].is_string(), "{fine}");
    let (_, out, _) = office.ask(&["status"]).await;
    assert!(
        out.contains("service   running        since 20") && !out.contains("since unknown"),
        "{out}"
    );
    exec(&office.cloud, "rollback").await;
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
}
