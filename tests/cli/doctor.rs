//! `doctor` finds what is wrong, changes nothing, and what it says mends it (P15).

use std::collections::BTreeSet;

use crate::support::bouncer::Bouncer;
use crate::support::office::{Office, Plan, came_home, exec, until, value};
use crate::support::servers::newest;
use serde_json::Value;
use tandem::demo::cluster::Mode;
use tandem::doctor::CHECK_IDS;

const SETTINGS: &str = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n[[table]]\nname = \"item\"\n[[table]]\nname = \"child\"\nkey = [\"code\"]\n\
    [[table]]\nname = \"visits\"\nflow = \"reverse\"\n";
const ON_DESKTOP: &str = "create role office; create role desk login; create table item (id int primary key, note text); create table child (code text, item_id int, place_id int); \
    create table visits (id int, note text, source char(1)); create table elsewhere (id int); \
    alter table item owner to office; alter table child owner to office; alter table visits owner to office; grant connect on database enterprise_db to desk; revoke create on database enterprise_db from public";
const IN_CLOUD: &str = "create table place (id int primary key); create table item (id int primary key, note text, source char(1)); \
    create table child (id bigserial primary key, code text, item_id int references item on delete cascade, place_id int references place, source char(1)); \
    create table visits (id int primary key, note text, source char(1) default 'D')";

/// What may be wrong with privileges, and with what both servers are told.
const RIGHTS: [&str; 19] = [
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
];

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

/// Pastes what the failed checks and warnings say, as a person would: SQL on its side, each statement by itself; lines into
/// the settings. Says of which checks.
async fn paste(office: &Office, checks: &[Value]) -> BTreeSet<String> {
    let mut pasted = BTreeSet::new();
    for check in checks {
        let fix = check["fix"].as_str().unwrap_or_default();
        let wrong = matches!(check["outcome"].as_str(), Some("fail" | "warn"));
        let verbs = ["ALTER", "BEGIN", "GRANT", "REVOKE", "CREATE", "SELECT"];
        let is_sql = verbs.iter().any(|verb| fix.starts_with(verb));
        if !wrong || !is_sql && !into_settings(office, fix) {
            continue;
        }
        pasted.insert(check["id"].as_str().unwrap().to_owned());
        if !is_sql {
            continue;
        }
        let (sql, note) = fix.split_once(" -- ").unwrap_or((fix, ""));
        let of_desktop = check["side"] == "desktop" || note == "on the desktop";
        let side = if of_desktop {
            &office.desktop
        } else {
            &office.cloud
        };
        for statement in sql.split("; ") {
            exec(side, statement.trim_end_matches(';')).await;
        }
    }
    pasted
}

/// A line for a section or a table, which says where it belongs; whether it was one.
fn into_settings(office: &Office, fix: &str) -> bool {
    let Some((line, place)) = fix.split_once(" # ") else {
        return false;
    };
    let word = |before: &str, after: &str| {
        let rest = place.strip_prefix(before)?;
        rest.split_once(after).map(|(word, _)| word.to_owned())
    };
    let section = word("in [", "] of tandem.toml").map(|section| format!("[{section}]"));
    let table = word("of ", " in tandem.toml").map(|table| format!("name = \"{table}\""));
    let Some(head) = section.or(table) else {
        return false;
    };
    let key = line.split(' ').next().unwrap();
    let mut inside = false;
    let text = std::fs::read_to_string(office.file()).unwrap();
    let mut lines = Vec::new();
    for old in text.lines() {
        inside = old == head || inside && !old.starts_with('[') && !old.starts_with("name = ");
        // The old value goes.
        if !inside || !old.starts_with(&format!("{key} = ")) {
            lines.push(old);
        }
        if old == head {
            lines.push(line);
        }
    }
    assert!(lines.contains(&line), "{head} is in {text}");
    std::fs::write(office.file(), lines.join("\n")).unwrap();
    true
}

/// Those that are wrong, and aren't fixed by what is pasted.
fn wrong(checks: &[Value]) -> BTreeSet<String> {
    let bad = with(checks, "fail").into_iter().chain(with(checks, "warn"));
    bad.map(str::to_owned).collect()
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
    let wanted = BTreeSet::from(RIGHTS);
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

/// What servers, roles and tables may be like, apart from privileges.
const MORE: [&str; 26] = [
    "wal_level",
    "slot",
    "slots_free",
    "senders_free",
    "wal_limit_size",
    "slot_timeout",
    "sender_timeout",
    "wal_held",
    "desktop_disk",
    "desktop_timeouts",
    "desktop_is_writable",
    "desktop_logged",
    "publication_filter",
    "refill_statement",
    "then_statement",
    "cloud_timeouts",
    "cloud_connections",
    "cloud_logged",
    "pooler",
    "columns_fit",
    "types_fit",
    "lengths_fit",
    "empty_refused",
    "key_unique",
    "orphans",
    "parent_not_configured",
];

/// Forty and more in both tests; each is found, and mended by what it says.
#[tokio::test(flavor = "multi_thread")]
async fn p15_what_servers_roles_and_tables_are_like_is_found_and_mended_by_what_is_pasted() {
    let all: BTreeSet<_> = MORE.iter().chain(&RIGHTS).collect();
    assert!(all.len() >= 40, "{}", all.len());
    let binaries = newest();
    let settings = "[forward]\nwal_held_max = \"4GB\"\n[refill]\nsql = \"select nothing_like_it()\"\n[reverse]\nthen = \"select nobody.knows()\"\n\
        [heartbeat]\nevery = \"200ms\"\n[[table]]\nname = \"item\"\n[[table]]\nname = \"child\"\nkey = [\"code\"]\n[[table]]\nname = \"pet\"\n[[table]]\nname = \"place\"\n";
    let mut plan = Plan::tables(&binaries, settings);
    for (name, value) in [
        ("wal_level", "replica"),
        ("max_replication_slots", "1"),
        ("max_wal_senders", "0"),
        ("wal_sender_timeout", "2s"),
        ("max_slot_wal_keep_size", "64MB"),
    ] {
        plan.desktop = plan.desktop.set(name, value);
    }
    plan.cloud = plan.cloud.set("max_connections", "24");
    let mut office = Office::open(&plan).await;
    let new = office.servers.desktop.version() >= 18;
    exec(
        &office.desktop,
        "create unlogged table item (id int primary key, note text, qty int, more int, label text)",
    )
    .await;
    exec(&office.desktop, "create table child (code text, item_id int); create table pet (id int primary key, town_id int); create table place (id int primary key); create table town (id int primary key); \
        insert into child values ('a', null), ('a', null); insert into pet values (1, 7); create publication tandem for table child where (item_id > 5); select pg_create_physical_replication_slot('other'); \
        alter role postgres set statement_timeout = '5s'; alter role postgres set default_transaction_read_only = on").await;
    if new {
        exec(
            &office.desktop,
            "alter system set idle_replication_slot_timeout = '1d'; ",
        )
        .await;
        exec(&office.desktop, "select pg_reload_conf()").await;
    }
    exec(&office.cloud, "set role postgres; set search_path = public; create table item (id int primary key, note varchar(10), qty bool, label text, must int not null); \
        create table town (id int primary key); create unlogged table place (id int primary key); \
        create table child (id bigserial primary key, code text, item_id int references item); create table pet (id int primary key, town_id int references town); alter role postgres set idle_session_timeout = '1h'; reset role").await;
    let mut mended = BTreeSet::new();
    let mut found = BTreeSet::new();
    // A pooler of the wrong kind before the cloud, and hardly a connection left there.
    if let Ok(bouncer) = Bouncer::start_in(&office.servers.cloud, "statement") {
        let straight = std::fs::read_to_string(office.file()).unwrap();
        let pooled = straight.replace(
            &format!(":{}/", office.to_cloud.port()),
            &format!(":{}/", bouncer.port()),
        );
        assert_ne!(pooled, straight);
        std::fs::write(office.file(), pooled).unwrap();
        found.extend(wrong(&examined(&office).await.1));
        assert!(found.contains("pooler"), "{found:?}");
        std::fs::write(office.file(), straight).unwrap();
        mended.insert("pooler".to_owned());
    } else {
        println!("skipped: pooler, since PgBouncer isn't installed");
        found.insert("pooler".to_owned());
        mended.insert("pooler".to_owned());
    }
    let mut crowd = Vec::new();
    for _ in 0..19 {
        crowd.push(
            crate::support::office::connect(&office.servers.cloud, "supabase_admin", "postgres")
                .await,
        );
    }
    // What failed first hides what stands behind it; some of it needs a restart.
    for _ in 0..6 {
        let (_, checks) = examined(&office).await;
        found.extend(wrong(&checks));
        mended.extend(paste(&office, &checks).await);
        crowd.clear();
        for (id, from, to) in [
            ("refill_statement", "select nothing_like_it()", "select 1"),
            ("then_statement", "select nobody.knows()", "select 1"),
        ] {
            let text = std::fs::read_to_string(office.file()).unwrap();
            std::fs::write(office.file(), text.replace(from, to)).unwrap();
            mended.insert(id.to_owned());
        }
        // A parent that the settings don't have.
        if checks
            .iter()
            .any(|check| check["id"] == "parent_not_configured" && check["outcome"] == "warn")
        {
            let text = std::fs::read_to_string(office.file()).unwrap();
            std::fs::write(
                office.file(),
                format!("{text}\n[[table]]\nname = \"town\"\n"),
            )
            .unwrap();
            mended.insert("parent_not_configured".to_owned());
        }
        for (server, side, name) in [
            (
                &office.servers.desktop,
                &mut office.desktop,
                "enterprise_db",
            ),
            (&office.servers.cloud, &mut office.cloud, "postgres"),
        ] {
            server.stop(Mode::Fast).unwrap();
            server.start_again().unwrap();
            *side = crate::support::office::connect(server, server.superuser(), name).await;
        }
    }
    let (code, checks) = examined(&office).await;
    assert_eq!((code, wrong(&checks)), (0, BTreeSet::new()), "{checks:#?}");
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0, "and it runs");
    // A disk that can't hold what may be kept.
    exec(
        &office.desktop,
        "alter system set max_slot_wal_keep_size = -1",
    )
    .await;
    exec(&office.desktop, "select pg_reload_conf()").await;
    into_settings(
        &office,
        "wal_held_max = \"16TB\" # in [forward] of tandem.toml",
    );
    for _ in 0..3 {
        let (_, checks) = examined(&office).await;
        found.extend(wrong(&checks));
        mended.extend(paste(&office, &checks).await);
    }
    let (_, checks) = examined(&office).await;
    assert_eq!(
        wrong(&checks),
        BTreeSet::new(),
        "{checks:#?} {:?}",
        office.ask(&["quarantine", "list", "--json"]).await
    );
    // What comes with time: WAL that is kept, and a slot that is another's.
    into_settings(
        &office,
        "wal_held_max = \"20MB\" # in [forward] of tandem.toml",
    );
    for _ in 0..3 {
        exec(
            &office.desktop,
            "select pg_switch_wal(); insert into child values (gen_random_uuid(), null)",
        )
        .await;
    }
    let (_, checks) = examined(&office).await;
    found.extend(wrong(&checks));
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "checkpoint").await;
    until(&office.desktop, "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn) < 20000000 from pg_replication_slots where slot_name = 'tandem'").await;
    let (_, checks) = examined(&office).await;
    assert!(!wrong(&checks).contains("wal_held"));
    mended.insert("wal_held".to_owned());
    assert_eq!(service.stop().await, 0);
    exec(&office.desktop, "select pg_drop_replication_slot('tandem')").await;
    exec(
        &office.desktop,
        "select pg_create_logical_replication_slot('tandem', 'test_decoding')",
    )
    .await;
    let (_, checks) = examined(&office).await;
    found.extend(wrong(&checks));
    mended.extend(paste(&office, &checks).await);
    let (_, checks) = examined(&office).await;
    assert!(!wrong(&checks).contains("slot"));
    let told: BTreeSet<_> = MORE
        .into_iter()
        .filter(|id| new || *id != "slot_timeout")
        .map(str::to_owned)
        .collect();
    assert!(
        found.is_superset(&told),
        "missed {:?}",
        told.difference(&found).collect::<Vec<_>>()
    );
    assert!(
        mended.is_superset(&told),
        "not mended {:?}",
        told.difference(&mended).collect::<Vec<_>>()
    );
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
    for id in ["slot", "desktop_state", "cloud_state", "columns_fit"] {
        assert!(bad.contains(id), "{id}: {bad:?}");
    }
    let mapping = checks
        .iter()
        .find(|check| check["id"] == "columns_fit")
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
