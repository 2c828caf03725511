//! `doctor` finds what is wrong, changes nothing, and what it says mends it (P15).
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use support::office::{Office, came_home, exec, until, value};
use support::servers::newest;
use tandem::service::CHECK_IDS;

const SETTINGS: &str = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n[[table]]\nname = \"item\"\n[[table]]\nname = \"child\"\nkey = [\"code\"]\n\
    [[table]]\nname = \"visits\"\nflow = \"reverse\"\n";
const ON_DESKTOP: &str = "create role office; create role desk login; create table item (id int primary key, note text); create table child (code text, item_id int, place_id int); \
    create table visits (id int, note text, source char(1)); create table elsewhere (id int); \
    alter table item owner to office; alter table child owner to office; alter table visits owner to office; grant connect on database enterprise_db to desk; revoke create on database enterprise_db from public";
const IN_CLOUD: &str = "create table place (id int primary key); create table item (id int primary key, note text, source char(1)); \
    create table child (id bigserial primary key, code text, item_id int references item on delete cascade, place_id int references place, source char(1)); \
    create table visits (id int primary key, note text, source char(1) default 'D')";

/// All checks, and the exit code.
async fn examined(office: &Office) -> (i32, Vec<Value>) {
    let (code, out, said) = office.ask(&["doctor", "--json"]).await;
    assert!(code <= 1, "{code} {out} {said}");
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["schema"], 1);
    (code, document["checks"].as_array().unwrap().clone())
}

/// The ids of checks that came to this.
fn with<'a>(checks: &'a [Value], outcome: &str) -> BTreeSet<&'a str> {
    let of = checks.iter().filter(|check| check["outcome"] == outcome);
    of.map(|check| check["id"].as_str().unwrap()).collect()
}

/// Pastes what the failed checks and warnings say, where it is SQL; each statement by itself, as a person would.
async fn paste(office: &Office, checks: &[Value]) {
    for check in checks {
        let fix = check["fix"].as_str().unwrap_or_default();
        let sql: Vec<&str> = fix.split(" -- ").next().unwrap().split("; ").collect();
        let verbs = ["ALTER", "GRANT", "REVOKE", "CREATE", "SELECT"];
        if !matches!(check["outcome"].as_str(), Some("fail" | "warn"))
            || !verbs.iter().any(|verb| fix.starts_with(verb))
        {
            continue;
        }
        let of_desktop = check["side"] == "desktop";
        let side = if of_desktop {
            &office.desktop
        } else {
            &office.cloud
        };
        for statement in sql {
            exec(side, statement.trim_end_matches(';')).await;
        }
    }
}

fn as_users(office: &Office, desktop: &str, cloud: &str) {
    let whole = std::fs::read_to_string(office.file()).unwrap();
    let first = whole.replacen("postgres://postgres@", &format!("postgres://{desktop}@"), 1);
    let at = first.rfind("postgres://postgres@").unwrap();
    let second = first[at..].replacen("postgres://postgres@", &format!("postgres://{cloud}@"), 1);
    std::fs::write(office.file(), format!("{}{second}", &first[..at])).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_each_misconfiguration_is_found_and_mended_by_what_is_pasted() {
    let office = Office::with_tables(&newest(), SETTINGS, ON_DESKTOP, IN_CLOUD).await;
    exec(
        &office.cloud,
        "create role guest login; grant usage on schema public to guest",
    )
    .await;
    as_users(&office, "desk", "guest");
    // What of it is wrong, all at once.
    for sql in [
        "alter system set full_page_writes = off",
        "select pg_reload_conf()",
        "create publication tandem with (publish = 'insert')",
        "create publication others for table elsewhere",
        "alter table item enable row level security",
        "grant select on item to desk",
        "insert into child values ('a', null, null)",
    ] {
        exec(&office.desktop, sql).await;
    }
    for sql in [
        "alter database postgres set default_transaction_read_only = on",
        "alter table item enable row level security",
        "create function rewrite() returns trigger language plpgsql as $$ begin new.note := upper(new.note); return new; end $$",
        "create trigger rewrites before insert on item for each row execute function rewrite()",
    ] {
        exec(&office.cloud, sql).await;
    }
    let before = value(
        &office.desktop,
        "select count(*) from pg_namespace where nspname = 'tandem'",
    )
    .await;
    let (code, checks) = examined(&office).await;
    assert_eq!((code, before.as_str()), (1, "0"));
    let ids: Vec<_> = checks
        .iter()
        .map(|check| check["id"].as_str().unwrap())
        .collect();
    assert!(CHECK_IDS.iter().all(|id| ids.contains(id)), "each is told");
    let bad: BTreeSet<_> = with(&checks, "fail")
        .union(&with(&checks, "warn"))
        .copied()
        .collect();
    let wanted = BTreeSet::from([
        "may_replicate",
        "wal_limit",
        "fsync",
        "desktop_may_create",
        "publication",
        "update_would_fail",
        "desktop_may_read",
        "desktop_may_publish",
        "desktop_row_security",
        "home_may_write",
        "cloud_is_writable",
        "cloud_may_create",
        "cloud_may_write",
        "cloud_may_use_sequence",
        "cloud_may_trigger",
        "cloud_row_security",
        "rewriting_trigger",
        "fk_action",
        "parent_not_configured",
    ]);
    assert!(
        bad.is_superset(&wanted),
        "missed {:?}",
        wanted.difference(&bad).collect::<Vec<_>>()
    );
    for check in checks
        .iter()
        .filter(|check| check["outcome"] == "fail" || check["outcome"] == "warn")
    {
        assert!(
            check["why"].is_string() && !check["what"].as_str().unwrap().is_empty(),
            "{check}"
        );
    }
    assert_eq!(
        value(
            &office.desktop,
            "select count(*) from pg_namespace where nspname = 'tandem'"
        )
        .await,
        "0",
        "nothing was changed"
    );
    // What failed first hides what stands behind it.
    for _ in 0..3 {
        let (_, checks) = examined(&office).await;
        paste(&office, &checks).await;
    }
    let (code, checks) = examined(&office).await;
    let left: BTreeSet<_> = with(&checks, "fail")
        .union(&with(&checks, "warn"))
        .copied()
        .collect();
    assert_eq!(
        (code, left),
        (0, BTreeSet::from(["parent_not_configured"])),
        "{checks:#?}"
    );
    let mut service = office.run();
    until(&office.cloud, "select count(*) = 1 from child").await;
    assert_eq!(service.ended_after_term().await, 0, "and it runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_what_goes_wrong_later_is_found_too() {
    let office = Office::with_tables(&newest(), SETTINGS, ON_DESKTOP, IN_CLOUD).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "create role watcher; grant usage on schema tandem to authenticated; alter table visits disable trigger user; alter table child add check (code <> 'bad')").await;
    exec(
        &office.desktop,
        "insert into child values ('bad', null, null), ('dup', null, null)",
    )
    .await;
    exec(
        &office.desktop,
        "select pg_create_physical_replication_slot('a')",
    )
    .await;
    until(&office.cloud, "select count(*) = 1 from tandem.quarantine").await;
    let (code, checks) = examined(&office).await;
    let bad: BTreeSet<_> = with(&checks, "fail")
        .union(&with(&checks, "warn"))
        .copied()
        .collect();
    assert_eq!(code, 1);
    let wanted = BTreeSet::from([
        "schema_exposed",
        "watch_disabled",
        "quarantine",
        "key_index",
    ]);
    assert!(bad.is_superset(&wanted), "{bad:?}");
    paste(&office, &checks).await;
    exec(
        &office.desktop,
        "update child set code = 'good' where code = 'bad'",
    )
    .await;
    office.caught_up(&mut service).await;
    let (_, checks) = examined(&office).await;
    let left: BTreeSet<_> = with(&checks, "fail")
        .union(&with(&checks, "warn"))
        .copied()
        .collect();
    assert!(left.is_disjoint(&wanted), "{left:?}");
    exec(
        &office.cloud,
        "insert into visits values (1, 'noticed', 'M')",
    )
    .await;
    came_home(&office).await;
    assert_eq!(
        value(&office.desktop, "select count(*) from visits").await,
        "1"
    );
    assert_eq!(service.stop().await, 0);
    // The slot, the state, the settings, a side that is away.
    exec(&office.desktop, "select pg_drop_replication_slot('tandem'); select pg_create_logical_replication_slot('tandem', 'test_decoding'); update tandem.version set oldest_binary = '99.0.0'; alter table item add column more text").await;
    exec(
        &office.cloud,
        "update tandem.version set oldest_binary = '99.0.0'",
    )
    .await;
    let (_, checks) = examined(&office).await;
    let bad = with(&checks, "fail");
    for id in ["slot", "desktop_state", "cloud_state", "mapping"] {
        assert!(bad.contains(id), "{id}: {bad:?}");
    }
    let mapping = checks
        .iter()
        .find(|check| check["id"] == "mapping")
        .unwrap();
    assert!(
        mapping["what"]
            .as_str()
            .unwrap()
            .contains("column more of the desktop has no place in the cloud")
    );
    office.to_cloud.refuse(true);
    let (code, out, _) = office.ask(&["doctor"]).await;
    assert_eq!(code, 4);
    assert!(
        out.contains("FAIL  the cloud cannot be reached")
            && out.contains("not checked: something before it failed"),
        "{out}"
    );
    office.to_cloud.refuse(false);
    let (_, out, _) = office.ask(&["doctor", "--report"]).await;
    assert!(
        out.contains("[wal_level]") && out.contains("tandem 0.1.0 on linux"),
        "{out}"
    );
}
