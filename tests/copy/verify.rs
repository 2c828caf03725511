//! `verify` finds what differs and nothing else; `repair` mends it (P1, P15).

use crate::support::office::{Office, came_home, exec, places, until, value};
use crate::support::servers::newest;
use serde_json::Value;

const SETTINGS: &str = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n\
    [[table]]\nname = \"item\"\nmax_shrink = 1\nconvert = { note = \"upper(note)\" }\nset = { kind = \"k\" }\n[[table]]\nname = \"loose\"\nkey = []\nmax_shrink = 1\n\
    [[table]]\nname = \"visits\"\nflow = \"both\"\nmax_shrink = 1\n";
const ON_DESKTOP: &str = "create table item (id int primary key, note text, at timestamp, amount numeric); create table loose (a int, b text); \
    create table visits (id int, note text, source char(1))";
const IN_CLOUD: &str = "create table item (id int primary key, note text, at timestamptz, amount numeric(12,3), kind text, source char(1), check (note <> 'BAD')); \
    create table loose (id bigserial primary key, a int, b text, source char(1)); create table visits (id int primary key, note text, source char(1) default 'D')";

async fn office(place: impl Into<crate::support::office::Place>, rows: u64) -> Office {
    let settings = SETTINGS
        .replace(
            "upper(note)\" }",
            "upper(note)\", at = \"at at time zone 'Asia/Kolkata'\" }",
        )
        .replace(
            "max_shrink = 1\nconvert",
            "max_shrink = 1\nnarrow = \"quarantine\"\nconvert",
        );
    let office = Office::with_tables(place, &settings, ON_DESKTOP, IN_CLOUD).await;
    exec(&office.desktop, &format!("insert into item select n, 'note ' || n, timestamp '2026-01-01' + n * interval '1 minute', n / 8.0 from generate_series(1, {rows}) n; \
        insert into loose select n % 50, 'x' from generate_series(1, 500) n")).await;
    exec(
        &office.cloud,
        "insert into visits select n, 'phone', 'M' from generate_series(1001, 1100) n",
    )
    .await;
    office
}

/// What `verify --json` says: the exit code, and each table's counts.
async fn verified(office: &Office, more: &[&str]) -> (i32, Value) {
    let (code, out, said) = office.ask(&[&["verify", "--json"], more].concat()).await;
    assert!(code < 2, "{code} {out} {said}");
    (code, serde_json::from_str(&out).unwrap())
}

fn counts(document: &Value, table: &str) -> [u64; 4] {
    let tables = document["tables"].as_array().unwrap();
    let table = tables.iter().find(|one| one["table"] == table).unwrap();
    ["missing", "extra", "different", "known"].map(|name| table[name].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn u33_f31_every_damaged_row_is_found_in_both_directions_and_repaired_once() {
    for place in places() {
        let office = office(&place, 5_000).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        came_home(&office).await;
        let (code, document) = verified(&office, &[]).await;
        assert_eq!(
            (code, &document["equal"]),
            (0, &Value::Bool(true)),
            "{document}"
        );
        assert_eq!(document["schema"], 1);
        assert_eq!(document["tables"][0]["desktop_rows"], 5_000);
        assert_eq!(document["tables"][2]["cloud_rows"], 100);
        // As many rows as before, and others.
        exec(&office.cloud, "update item set note = 'DAMAGED' where id in (7, 77); delete from item where id in (8, 88, 888); \
            insert into item values (90001, 'EXTRA', now(), 1, 'k', 'D'), (90002, 'EXTRA', now(), 1, 'k', 'D'), (90003, 'EXTRA', now(), 1, 'k', 'D'); \
            insert into item values (90004, 'FOREIGN', now(), 1, 'k', 'S'); \
            delete from loose where id in (select id from loose where a = 3 limit 2); insert into loose (a, b, source) values (4, 'x', 'D'), (99, 'y', 'D')").await;
        exec(&office.desktop, "update visits set note = 'damaged' where id = 1001; delete from visits where id in (1002, 1003); insert into visits values (1500, 'extra', 'M')").await;
        office.caught_up(&mut service).await;
        let (code, document) = verified(&office, &["--keys"]).await;
        assert_eq!((code, &document["equal"]), (1, &Value::Bool(false)));
        assert_eq!(counts(&document, "item"), [3, 3, 2, 0]);
        assert_eq!(counts(&document, "loose"), [2, 2, 0, 0]);
        let [missing, extra, different, known] = counts(&document, "visits");
        // What the desktop did to the phone's rows is noted, and so is known.
        assert_eq!((missing, extra, different), (2, 1, 1));
        assert!(known >= 3, "{document}");
        let rows = document["tables"][0]["rows"].as_array().unwrap();
        assert!(
            rows.iter()
                .any(|row| row["what"] == "different" && row["key"][0][1] == "77"),
            "{rows:?}"
        );
        let (code, out, said) = office.ask(&["repair"]).await;
        assert_eq!(code, 1, "{said}");
        for wanted in [
            "update \"public\".\"item\"",
            "insert into \"public\".\"item\"",
            "delete from \"public\".\"item\" as t where t.\"id\" = '90001'",
        ] {
            assert!(out.contains(wanted), "{wanted}: {out}");
        }
        assert!(!out.contains("FOREIGN"));
        let (_, document) = verified(&office, &["--table", "item"]).await;
        assert_eq!(
            counts(&document, "item"),
            [3, 3, 2, 0],
            "showing changes nothing"
        );
        let (code, out, said) = office.ask(&["repair", "--apply"]).await;
        assert_eq!(code, 0, "{out} {said}");
        let audited = "select count(*) from tandem.swap where ended_at is not null";
        let first = value(&office.cloud, audited).await;
        assert_ne!(first, "0");
        let versions = "select md5(string_agg(concat(id, xmin), ',' order by id)) from item";
        let before = value(&office.cloud, versions).await;
        let (code, out, said) = office.ask(&["repair", "--apply", "--json"]).await;
        assert_eq!(code, 0, "{out} {said}");
        let document: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (
                &document["applied"],
                document["tables"].as_array().unwrap().len()
            ),
            (&Value::Bool(false), 0)
        );
        assert_eq!(
            value(&office.cloud, audited).await,
            first,
            "the second time nothing is done"
        );
        assert_eq!(value(&office.cloud, versions).await, before);
        assert_eq!(
            value(&office.cloud, "select note from item where id = 90004").await,
            "FOREIGN"
        );
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_u31_rows_in_quarantine_are_known_and_equality_is_told_with_the_service_down() {
    let office = office(&newest(), 100).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "insert into item values (500, 'bad', now(), 1); insert into item values (501, 'x', now(), 0.0001)").await;
    office.caught_up(&mut service).await;
    until(&office.cloud, "select count(*) = 2 from tandem.quarantine").await;
    came_home(&office).await;
    let (code, document) = verified(&office, &[]).await;
    assert_eq!(
        (code, &document["equal"]),
        (0, &Value::Bool(true)),
        "{document}"
    );
    assert_eq!(counts(&document, "item"), [2, 0, 0, 2]);
    assert_eq!(service.stop().await, 0);
    exec(
        &office.desktop,
        "insert into item values (502, 'not sent yet', now(), 1)",
    )
    .await;
    let (code, document) = verified(&office, &[]).await;
    assert_eq!((code, counts(&document, "item")), (1, [3, 0, 0, 2]));
}

/// `TANDEM_SOAK_ROWS` rows: a million in `make soak`.
#[tokio::test(flavor = "multi_thread")]
async fn p15_under_load_nothing_that_is_merely_late_is_an_alarm_and_little_crosses_the_network() {
    let rows = std::env::var("TANDEM_SOAK_ROWS").map_or(40_000, |text| text.parse().unwrap());
    let office = office(&newest(), rows).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    came_home(&office).await;
    let table: u64 = value(&office.cloud, "select pg_relation_size('item')")
        .await
        .parse()
        .unwrap();
    // The service's own questions, more of them the longer it takes, aren't what is measured.
    assert_eq!(service.stop().await, 0);
    let before = office.to_cloud.stats();
    let (code, _) = verified(&office, &["--table", "item"]).await;
    assert_eq!(code, 0);
    let after = office.to_cloud.stats();
    let moved = after.to_client + after.to_upstream - before.to_client - before.to_upstream;
    println!("{moved} bytes for a table of {table}");
    assert!(
        moved * 50 < table || rows < 1_000_000 && moved < 150_000,
        "{moved} of {table}"
    );
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let load =
        crate::support::office::connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let loading = tokio::spawn(async move {
        let mut n = 0u64;
        // As many rows a second as an office never writes, and as few as can be kept up with beside everything else here.
        let mut rounds = tokio::time::interval(std::time::Duration::from_millis(50));
        while !*stopped.borrow() {
            rounds.tick().await;
            n += 1;
            let at = n * 7_919 % rows;
            exec(&load, &format!("update item set note = 'changed {n}' where id between {at} and {at} + 400; delete from item where id = {}; insert into item values ({}, 'new', now(), 1)", n * 31 % rows, 1_000_000 + n)).await;
        }
        n
    });
    for _ in 0..10 {
        let (code, document) = verified(&office, &["--table", "item"]).await;
        assert_eq!(code, 0, "a false alarm: {document}");
    }
    // Rows that the load leaves alone.
    exec(
        &office.desktop,
        &format!(
            "insert into item select n, 'quiet', now(), 1 from generate_series({0}, {0} + 9) n",
            5_000_000
        ),
    )
    .await;
    until(
        &office.cloud,
        "select count(*) = 10 from item where id >= 5000000",
    )
    .await;
    exec(&office.cloud, "update item set amount = 2 where id between 5000000 and 5000004; delete from item where id between 5000005 and 5000009").await;
    let (code, document) = verified(&office, &["--table", "item"]).await;
    assert_eq!(code, 1);
    let [missing, extra, different, _] = counts(&document, "item");
    // Some of the five changed ones may have been met by the load's own updates.
    assert_eq!((missing + different, extra), (10, 0), "{document}");
    stop.send(true).unwrap();
    println!("{} rounds of load", loading.await.unwrap());
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_a_table_that_can_not_be_compared_is_said_and_the_others_are_compared() {
    let settings = "[heartbeat]\nevery = \"200ms\"\n[[table]]\nname = \"odd\"\nconvert = { note = \"shout(note)\" }\n[[table]]\nname = \"plain\"\n[[table]]\nname = \"drifted\"\n";
    let desktop = "create table odd (id int primary key, note text); create table plain (id int primary key); create table drifted (id int primary key, a text)";
    let cloud = format!(
        "{desktop}; create function shout(text) returns text immutable language sql as $$ select upper($1) $$"
    );
    let office = Office::with_tables(&newest(), settings, desktop, &cloud).await;
    exec(
        &office.desktop,
        "insert into odd values (1, 'a'); insert into plain values (1)",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "alter table drifted drop column a").await;
    let (code, out, said) = office.ask(&["verify"]).await;
    assert_eq!(code, 4, "{out} {said}");
    for wanted in [
        "odd                          1 rows on the desktop         1 in the cloud   equal",
        "drifted              can't be compared: column a of the desktop has no place",
        "equal",
    ] {
        assert!(out.contains(wanted), "{wanted}: {out}");
    }
    let (code, out, said) = office.ask(&["verify", "--table", "plain"]).await;
    assert_eq!(code, 0, "{out} {said}");
    assert_eq!(service.stop().await, 0);
}

/// However many rows differ: what is shown, pasted, makes both sides equal.
#[tokio::test(flavor = "multi_thread")]
async fn u33_the_statements_that_repair_shows_make_both_sides_equal() {
    let office = office(&newest(), 4_000).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "update item set note = 'damaged' where id <= 1500; delete from item where id between 2001 and 3300; \
        insert into item (id, note, source) select n, 'extra', 'D' from generate_series(100001, 101200) n").await;
    let (code, out, said) = office.ask(&["repair", "--table", "item", "--json"]).await;
    assert_eq!(code, 1, "{said}");
    let document: Value = serde_json::from_str(&out).unwrap();
    let statements = document["tables"][0]["statements"].as_array().unwrap();
    let statements: Vec<_> = statements.iter().map(|sql| sql.as_str().unwrap()).collect();
    let count = |verb: &str| {
        statements
            .iter()
            .filter(|sql| sql.starts_with(verb))
            .count()
    };
    assert_eq!(
        (count("update"), count("insert"), count("delete")),
        (1500, 1300, 1200)
    );
    let updates = statements.iter().filter(|sql| sql.starts_with("update"));
    assert!(
        updates
            .clone()
            .all(|sql| sql.contains("set \"note\" = 'NOTE ") && !sql.contains("amount")),
        "only what differs"
    );
    exec(&office.cloud, &statements.concat()).await;
    let (code, out, _) = office.ask(&["verify", "--table", "item"]).await;
    assert_eq!(code, 0, "{out}");
    assert_eq!(service.stop().await, 0);
}

const BESIDE: &str = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n[[table]]\nname = \"job\"\n\
    [[table]]\nname = \"task\"\nmax_shrink = 1\ncloud_owned = [\"done\"]\nlookup.client = { from = \"job\", on = { job = \"id\" }, take = \"client\" }\n\
    [[table]]\nname = \"line\"\nkey = []\nmax_shrink = 1\ncloud_owned = [\"done\"]\nlookup.client = { from = \"job\", on = { job = \"id\" }, take = \"client\" }\n";

async fn ticked() -> Office {
    let desktop = "create table job (id int primary key, client text); create table task (id int primary key, job int, what text, done int check (done < 9)); \
        create table line (job int, what text, done int check (done < 9)); insert into job select n, 'client ' || n from generate_series(1, 9) n; \
        insert into task select n, n % 9 + 1, 'task', 0 from generate_series(1, 300) n; insert into line select n % 9 + 1, 'line ' || n % 30, 0 from generate_series(1, 300) n";
    let cloud = "create table job (id int primary key, client text); create table task (id int primary key, job int, what text, done int, client text, source char(1) default 'D'); \
        create table line (id bigserial primary key, job int, what text, done int, client text, source char(1) default 'D')";
    Office::with_tables(&newest(), BESIDE, desktop, cloud).await
}

/// Ticks whose way home is lost, and a column that no longer says what its parent does: with a key and without.
#[tokio::test(flavor = "multi_thread")]
async fn p15_p4_a_lost_tick_and_a_column_that_does_not_follow_are_found_and_repaired() {
    let office = ticked().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.cloud,
        "update task set done = 2 where id % 7 = 0; update line set done = 2 where id % 7 = 0",
    )
    .await;
    came_home(&office).await;
    let (code, document) = verified(&office, &[]).await;
    assert_eq!(code, 0, "{document}");
    let damage = "begin; update task set done = 1 where id in (5, 6); update line set done = 1 where what = 'line 4' and done = 0; delete from tandem.outbox; commit; \
        update task set client = 'somebody else' where id in (100, 101, 102); update line set client = null where what = 'line 8'; update task set client = 'the phone''s' where source = 'M'";
    exec(&office.cloud, damage).await;
    let lines = value(
        &office.cloud,
        "select count(*) from line where what = 'line 4' and done = 1",
    )
    .await
    .parse::<u64>()
    .unwrap();
    let (code, document) = verified(&office, &["--keys"]).await;
    assert_eq!(code, 1, "{document}");
    assert_eq!(counts(&document, "task"), [0, 0, 5, 0], "{document}");
    assert_eq!(
        counts(&document, "line"),
        [0, 0, lines + 10, 0],
        "{document}"
    );
    assert_eq!(document["tables"][1]["desktop_rows"], 300, "counted once");
    let rows = document["tables"][1]["rows"].as_array().unwrap();
    let named = |key: &str, column: &str, homeward: bool| {
        rows.iter().any(|row| {
            row["key"][0][1] == key && row["columns"][0] == column && row["homeward"] == homeward
        })
    };
    assert!(named("5", "done", true), "{rows:?}");
    assert!(named("101", "client", false), "{rows:?}");
    // What is shown, pasted, makes both sides equal.
    let (code, out, said) = office.ask(&["repair", "--json"]).await;
    assert_eq!(code, 1, "{out} {said}");
    let shown: Value = serde_json::from_str(&out).unwrap();
    let tables = shown["tables"].as_array().unwrap().iter();
    let statements = tables.flat_map(|table| table["statements"].as_array().unwrap());
    let statements: Vec<_> = statements.map(|sql| sql.as_str().unwrap()).collect();
    assert_eq!(
        value(&office.cloud, "select count(*) from tandem.outbox").await,
        "0",
        "showing changes nothing"
    );
    exec(&office.cloud, &statements.join(" ")).await;
    came_home(&office).await;
    let (code, document) = verified(&office, &[]).await;
    assert_eq!(code, 0, "{document}");
    assert_eq!(
        value(&office.desktop, "select count(*) from task where done = 1").await,
        "2",
        "the cloud's ticks stay"
    );
    // And the same by itself.
    exec(
        &office.cloud,
        &damage
            .replace("done = 1", "done = 3")
            .replace("and done = 0", "and done = 1"),
    )
    .await;
    let (code, document) = verified(&office, &[]).await;
    assert_eq!(
        (code, counts(&document, "line")),
        (1, [0, 0, lines + 10, 0])
    );
    let (code, out, said) = office.ask(&["repair", "--apply"]).await;
    assert_eq!(code, 0, "{out} {said}");
    assert_eq!(
        value(&office.desktop, "select (select count(*) from task where done = 3) || ' ' || (select count(*) from line where done = 3)").await,
        format!("2 {lines}")
    );
    assert_eq!(
        value(&office.cloud, "select count(*) from line l join job j on j.id = l.job where l.client is distinct from j.client").await,
        "0"
    );
    // Where only ticks differ nothing is copied.
    let copies = "select count(*) from tandem.swap";
    let before = value(&office.cloud, copies).await;
    exec(
        &office.cloud,
        "begin; update task set done = 4 where id = 8; delete from tandem.outbox; commit",
    )
    .await;
    let (code, out, said) = office.ask(&["repair", "--apply"]).await;
    assert_eq!(code, 0, "{out} {said}");
    assert_eq!(
        value(&office.desktop, "select done from task where id = 8").await,
        "4"
    );
    assert_eq!(value(&office.cloud, copies).await, before);
    // What waits in the quarantine is known.
    exec(
        &office.cloud,
        "update task set done = 9 where id = 9; update line set done = 9 where id = 9",
    )
    .await;
    came_home(&office).await;
    let (code, document) = verified(&office, &[]).await;
    assert_eq!(code, 0, "{document}");
    for table in ["task", "line"] {
        assert_eq!(counts(&document, table), [0, 0, 1, 1], "{document}");
    }
    assert_eq!(service.stop().await, 0);
}

/// The desktop's row is locked, so the tick waits: a comparison waits with it.
#[tokio::test(flavor = "multi_thread")]
async fn p15_a_tick_on_its_way_home_is_no_difference() {
    let office = ticked().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    came_home(&office).await;
    exec(&office.desktop, "begin; select * from task for update").await;
    exec(&office.cloud, "update task set done = 1 where id = 7").await;
    let verifying = async {
        let (code, document) = verified(&office, &["--table", "task"]).await;
        assert_eq!(code, 0, "{document}");
    };
    let phone = office.another_cloud().await;
    let releasing = async {
        until(&phone, "select exists (select from pg_stat_activity where query like 'select count(*)%from tandem.outbox as o%join tandem.reverse_state%' and pid <> pg_backend_pid())").await;
        exec(&office.desktop, "commit").await;
    };
    tokio::join!(verifying, releasing);
    assert_eq!(
        value(&office.desktop, "select done from task where id = 7").await,
        "1"
    );
    assert_eq!(service.stop().await, 0);
}

/// Tables that inherit from another are tables of their own, wherever rows are counted or compared.
#[tokio::test(flavor = "multi_thread")]
async fn p15_the_rows_of_inheriting_tables_are_their_own() {
    let settings = "[heartbeat]\nevery = \"200ms\"\n[[table]]\nname = \"part\"\n[[table]]\nname = \"part_13\"\n";
    let tables =
        "create table part (id int primary key, v text); create table part_13 (primary key (id))";
    let desktop = format!(
        "{tables} inherits (part); insert into part values (1, 'a'), (2, 'b'); insert into part_13 values (1, 'A'), (3, 'c')"
    );
    let cloud = tables.replace("part_13 (", "part_13 (id int, v text, ");
    let office = Office::with_tables(&newest(), settings, &desktop, &cloud).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    let (code, document) = verified(&office, &[]).await;
    assert_eq!(code, 0, "{document}");
    assert_eq!(document["tables"][0]["desktop_rows"], 2);
    assert_eq!(service.stop().await, 0);
}

/// Functions and types that only the cloud has: in what is compared, with a key and without; and functions
/// that only the desktop has, on the way home. Such tables are sent and looked at where they arrive; no others are.
#[tokio::test(flavor = "multi_thread")]
async fn p15_what_a_side_can_not_evaluate_is_compared_at_the_other() {
    let settings = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n\
        [[table]]\nname = \"odd\"\nmax_shrink = 1\nconvert = { note = \"shout(note)\" }\n[[table]]\nname = \"typed\"\nmax_shrink = 1\nconvert = { feels = \"case feels when 'glad' then 'glad'::mood else 'sad'::mood end\" }\n\
        [[table]]\nname = \"loose\"\nkey = []\nmax_shrink = 1\nconvert = { note = \"shout(note)\" }\n\
        [[table]]\nname = \"diary\"\nflow = \"reverse\"\n[table.reverse]\nconvert = { note = \"whisper(note)\" }\n[[table]]\nname = \"plain\"\n";
    let tables = "create table odd (id int primary key, note text, bytes bytea); create table loose (a int, note text); create table plain (id int primary key, v text)";
    let desktop = format!(
        "{tables}; create table typed (id int primary key, feels text); create table diary (id int primary key, note text, source char(1)); \
         create function whisper(text) returns text immutable language sql as $$ select lower($1) $$; \
         insert into odd select n, 'note ' || n, '\\x00ff' from generate_series(1, 30000) n; insert into loose select n % 500, nullif('x', 'x') from generate_series(1, 3000) n; \
         insert into loose select n % 500, 'y' from generate_series(1, 3000) n; \
         insert into typed select n, case n % 2 when 0 then 'glad' else 'sad' end from generate_series(1, 3000) n; insert into plain select n, 'v' from generate_series(1, 3000) n"
    );
    let cloud = format!(
        "create type mood as enum ('glad', 'sad'); create function shout(text) returns text immutable language sql as $$ select upper($1) $$; {tables}; \
         create table typed (id int primary key, feels mood); create table diary (id int primary key, note text, source char(1) default 'M'); insert into diary select n, 'NOTE ' || n from generate_series(1, 300) n"
    );
    let office = Office::with_tables(&newest(), settings, &desktop, &cloud).await;
    let (code, out, said) = office.ask(&["bootstrap", "--plan"]).await;
    assert_eq!(code, 0, "{out} {said}");
    let mut service = office.run();
    office.caught_up(&mut service).await;
    came_home(&office).await;
    let moved = async |table: &str| {
        let before = office.to_cloud.stats();
        let (code, document) = verified(&office, &["--table", table]).await;
        assert_eq!(code, 0, "{document}");
        let after = office.to_cloud.stats();
        let size = format!("select pg_relation_size('{table}')");
        let size: u64 = value(&office.cloud, &size).await.parse().unwrap();
        let moved = after.to_client + after.to_upstream - before.to_client - before.to_upstream;
        println!("{table}: {moved} bytes for a table of {size}");
        (moved, size)
    };
    for table in ["typed", "loose", "diary", "plain"] {
        moved(table).await;
    }
    // It crosses the network once, and only where it must.
    let (bytes, size) = moved("odd").await;
    assert!(bytes < size, "{bytes} of {size}");
    exec(&office.cloud, "update odd set note = 'DAMAGED' where id in (7, 77); delete from odd where id in (8, 88); insert into odd values (90001, 'EXTRA', null); \
        update typed set feels = 'sad' where id in (2, 4); delete from loose where ctid in (select ctid from loose where a = 3 and note is null limit 2); insert into loose values (3, 'Z')").await;
    exec(&office.desktop, "begin; select pg_logical_emit_message(true, 'tandem.reverse', (select nonce from tandem.reverse)); delete from diary where id = 5; commit").await;
    office.caught_up(&mut service).await;
    let (code, document) = verified(&office, &["--keys"]).await;
    assert_eq!(code, 1, "{document}");
    assert_eq!(counts(&document, "odd"), [2, 1, 2, 0], "{document}");
    assert_eq!(counts(&document, "typed"), [0, 0, 2, 0], "{document}");
    assert_eq!(counts(&document, "loose"), [2, 1, 0, 0], "{document}");
    assert_eq!(counts(&document, "diary")[0], 1, "{document}");
    assert_eq!(counts(&document, "plain"), [0, 0, 0, 0]);
    let rows = document["tables"][1]["rows"].as_array().unwrap();
    assert!(
        rows.iter()
            .any(|row| row["what"] == "different" && row["key"][0][1] == "4"),
        "{rows:?}"
    );
    let (code, out, said) = office
        .ask(&[
            "repair", "--table", "odd", "--table", "typed", "--table", "loose", "--apply",
        ])
        .await;
    assert_eq!(code, 0, "{out} {said}");
    assert_eq!(service.stop().await, 0);
}
