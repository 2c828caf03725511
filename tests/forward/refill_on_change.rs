//! The office's refill runs when what it reads has changed: soon, once, not in a circle, and not while nothing changes.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use crate::support::office::{Office, PATIENCE, came_home, connect, exec, until, value};
use crate::support::servers::newest;

const SETTINGS: &str = "[heartbeat]\nevery = \"500ms\"\n[reverse]\nevery = \"100ms\"\nthen = \"select hand_on()\"\n\
    [refill]\nsql = \"select fill()\"\nevery = \"1d\"\nwhen = \"changed\"\nmin_every = \"1s\"\n\
    [[table]]\nname = \"copies\"\nkey = [\"nr\"]\nmax_shrink = 1\n\
    [[table]]\nname = \"diary\"\nflow = \"reverse\"\n[[table]]\nname = \"leave\"\nflow = \"reverse\"\n";

/// Parents, views over them, and a refill that also writes what it reads.
const DESKTOP: &str = "create schema app; create table app.job (nr int primary key, what text); create table app.counter (bump int, runs int); \
    create table app.part (nr int, what text) partition by range (nr); create table app.part_1 partition of app.part for values from (1000) to (2000); \
    create table app.rate (nr int, what text); create materialized view rates as select nr, what from app.rate; \
    create table app.\"Extra List\" (nr int, what text); create table app.unread (nr int); \
    insert into app.job select n, 'job ' || n from generate_series(1, 50) n; insert into app.counter values (0, 0); \
    create view v_jobs as select nr, what from app.job; \
    create view v_all as select nr, what from v_jobs union all select nr, what from app.part union all select nr, what from rates union all select 900, 'bump ' || bump from app.counter; \
    create table copies (nr int, what text); create table diary (id bigint, note text, source char(1)); create table leave (id bigint, note text, source char(1)); \
    create table handed (told text); \
    create function more() returns text language sql as $m$ select 'insert into copies select nr, what from app.\"Extra List\"' $m$; \
    create function fill() returns void language plpgsql as $f$ begin \
      if exists (select from v_jobs where what = 'boom') then raise exception 'the view is broken'; end if; \
      delete from copies; insert into copies select nr, what from v_all; execute more(); \
      perform pg_advisory_xact_lock_shared(99); update app.counter set runs = runs + 1; end $f$; \
    create procedure fill_by_itself() language plpgsql as $p$ begin \
      delete from copies where nr < 900; commit; insert into copies select nr, what from v_jobs; commit; end $p$; \
    create function hand_on() returns void language plpgsql as $h$ begin insert into handed values (current_setting('tandem.tables')); \
      insert into app.job select 500 + id, 'from a phone ' || note from diary on conflict (nr) do nothing; end $h$";
const CLOUD: &str = "create table copies (nr int primary key, what text); \
    create table diary (id bigint primary key, note text, source char(1) default 'D'); create table leave (id bigint primary key, note text, source char(1) default 'D')";

async fn runs(office: &Office) -> i64 {
    let runs = value(&office.desktop, "select runs from tandem.refill").await;
    runs.parse().unwrap()
}

/// So many looks at what the refill reads go by.
async fn looks(office: &Office, wanted: usize) {
    // A look is a statement or two, a second after the last one.
    let sql = "select coalesce(max(extract(epoch from query_start)), 0) from pg_stat_activity where pid <> pg_backend_pid() \
        and (query like 'with recursive whole(root, oid)%' or query like 'select pg_current_snapshot()::text%')";
    let now = || async { value(&office.desktop, sql).await.parse::<f64>().unwrap() };
    let go_by = async {
        let (mut seen, mut last) = (0, now().await);
        let mut ticks = interval(Duration::from_millis(20));
        // The first one may have begun before we came.
        while seen <= wanted {
            ticks.tick().await;
            let now = now().await;
            if now > last + 0.5 {
                (seen, last) = (seen + 1, now);
            }
        }
    };
    let looked = timeout(PATIENCE, go_by).await;
    looked.expect("nobody looks at the counters");
}

/// What was done before has been counted, which may take a while, and nothing runs any more. Says how often it has run.
async fn peace(office: &Office) -> i64 {
    for _ in 0..8 {
        let before = runs(office).await;
        looks(office, 4).await;
        if runs(office).await == before {
            return before;
        }
    }
    panic!("it runs in a circle: {}", office.log());
}

async fn status(office: &Office) -> (i32, Value) {
    let (code, out, said) = office.ask(&["status", "--json"]).await;
    let status = serde_json::from_str(&out);
    (code, status.unwrap_or_else(|_| panic!("{out} {said}")))
}

/// The refill has ended, and the cloud has this.
async fn filled(office: &Office, nr: i32, what: &str) {
    let sql = format!("select coalesce((select what from copies where nr = {nr}), '') = '{what}'");
    until(&office.cloud, &sql).await;
    until(
        &office.desktop,
        "select ended_at is not null from tandem.refill",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_office_changes_is_refilled_at_once_and_never_in_a_circle() {
    let office = Office::with_tables(&newest(), SETTINGS, DESKTOP, CLOUD).await;
    // What made the tables is counted before the first run, and not behind it.
    exec(&office.desktop, "select pg_stat_force_next_flush()").await;
    let mut service = office.run();
    filled(&office, 7, "job 7").await;
    let (_, said) = status(&office).await;
    assert_eq!(said["refill"]["why"], "clock", "it never ran: {said}");
    let watched = json!([
        "app.Extra List",
        "app.counter",
        "app.job",
        "app.part",
        "app.rate",
        "rates"
    ]);
    let mut found: Vec<String> = serde_json::from_value(said["refill"]["watched"].clone()).unwrap();
    found.sort();
    assert_eq!(
        json!(found),
        watched,
        "what it only writes isn't watched: {said}"
    );
    let first = peace(&office).await;
    // It writes what it reads, and what it doesn't read changes: nothing runs.
    exec(&office.desktop, "insert into app.unread values (1)").await;
    looks(&office, 4).await;
    assert_eq!(
        runs(&office).await,
        first,
        "nothing that it reads has changed"
    );
    // Each kind of change, behind whatever view, function or parent.
    for (nr, what, change, table) in [
        (
            7,
            "changed",
            "update app.job set what = 'changed' where nr = 7",
            "app.job",
        ),
        (
            1001,
            "in a part",
            "insert into app.part_1 values (1001, 'in a part')",
            "app.part",
        ),
        (
            2001,
            "in a new part",
            "create table app.part_2 partition of app.part for values from (2000) to (3000); insert into app.part values (2001, 'in a new part')",
            "app.part",
        ),
        (
            3001,
            "rated",
            "insert into app.rate values (3001, 'rated'); refresh materialized view rates",
            "app.rate, rates",
        ),
        (
            4001,
            "by a text",
            "insert into app.\"Extra List\" values (4001, 'by a text')",
            "app.Extra List",
        ),
        (4001, "", "truncate app.\"Extra List\"", "app.Extra List"),
        (
            4002,
            "made again",
            "drop table app.\"Extra List\"; create table app.\"Extra List\" (nr int, what text); insert into app.\"Extra List\" values (4002, 'made again')",
            "app.Extra List",
        ),
    ] {
        let before = runs(&office).await;
        exec(&office.desktop, change).await;
        filled(&office, nr, what).await;
        let (_, said) = status(&office).await;
        assert_eq!(said["refill"]["why"], "changed", "{change}: {said}");
        let changed: Vec<String> =
            serde_json::from_value(said["refill"]["changed"].clone()).unwrap();
        assert_eq!(changed.join(", "), table, "{change}");
        assert!(said["refill"]["wrote"].as_i64().unwrap() > 100, "{said}");
        assert!(
            runs(&office).await - before <= 2,
            "{change}: once, or twice where it came in two parts"
        );
    }
    let quiet = peace(&office).await;

    // What is committed while it runs comes with the next run, also in a table that it writes itself.
    let other = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    exec(&other, "select pg_advisory_lock(99)").await;
    exec(
        &office.desktop,
        "update app.job set what = 'first' where nr = 8",
    )
    .await;
    let waits = "select exists (select from pg_locks where locktype = 'advisory' and objid = 99 and not granted)";
    until(&office.desktop, waits).await;
    exec(
        &office.desktop,
        "update app.counter set bump = 1; update app.job set what = 'second' where nr = 8",
    )
    .await;
    exec(&other, "select pg_advisory_unlock(99)").await;
    filled(&office, 8, "second").await;
    filled(&office, 900, "bump 1").await;
    // What it writes itself it knows by the counters only, which may say it once more, later.
    let twice = quiet + 2..=quiet + 3;
    assert!(twice.contains(&peace(&office).await), "no circle");

    // A failure is shown, tried again, and cleared.
    exec(
        &office.desktop,
        "update app.job set what = 'boom' where nr = 9",
    )
    .await;
    until(
        &office.desktop,
        "select failed like '%the view is broken%' from tandem.refill",
    )
    .await;
    let (code, said) = status(&office).await;
    assert_eq!(
        (code, said["verdict"].as_str()),
        (1, Some("needs_you")),
        "{said}"
    );
    exec(
        &office.desktop,
        "update app.job set what = 'mended' where nr = 9",
    )
    .await;
    filled(&office, 9, "mended").await;
    let (code, said) = status(&office).await;
    assert_eq!(
        (code, &said["refill"]["failed"]),
        (0, &Value::Null),
        "{said}"
    );
    assert_eq!(said["refill"]["why"], "again", "{said}");

    // Counters that are set back may hide a change: it runs once.
    let before = peace(&office).await;
    exec(&office.desktop, "select pg_stat_reset()").await;
    until(
        &office.desktop,
        &format!("select runs = {} from tandem.refill", before + 1),
    )
    .await;
    looks(&office, 4).await;
    assert_eq!(runs(&office).await, before + 1);
    assert_eq!(
        value(&office.desktop, "select changed::text from tandem.refill").await,
        "{\"(the counters were set back)\"}"
    );

    // A program that starts again knows what it had seen: nothing runs for nothing, and nothing is missed.
    assert_eq!(service.stop().await, 0);
    service = office.run();
    looks(&office, 3).await;
    assert_eq!(runs(&office).await, before + 1);
    assert_eq!(service.stop().await, 0);
    exec(
        &office.desktop,
        "update app.job set what = 'at night' where nr = 10",
    )
    .await;
    service = office.run();
    filled(&office, 10, "at night").await;
    assert_eq!(runs(&office).await, before + 2);
    let (code, out, _) = office.ask(&["status"]).await;
    assert!(
        code == 0 && out.contains("since app.job changed"),
        "{code} {out}"
    );
    office.caught_up(&mut service).await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phones_entry_reaches_parents_and_copies_once_and_the_statement_knows_which_tables_brought_it()
 {
    let settings = SETTINGS
        .replace("select fill()", "call fill_by_itself()")
        .replace(
            "min_every = \"1s\"\n",
            "min_every = \"1s\"\nwatch = [\"v_jobs\", \"app.nowhere\"]\n",
        );
    let office = Office::with_tables(&newest(), &settings, DESKTOP, CLOUD).await;
    let (_, out, _) = office.ask(&["doctor", "--json"]).await;
    let checks: Value = serde_json::from_str(&out).unwrap();
    let check = checks["checks"].as_array().unwrap().iter();
    let check = check
        .clone()
        .find(|check| check["id"] == "refill_watch")
        .unwrap()
        .clone();
    assert_eq!(check["outcome"], "warn", "{check}");
    assert!(
        check["what"].as_str().unwrap().starts_with("app.nowhere"),
        "{check}"
    );
    let mut service = office.run();
    filled(&office, 7, "job 7").await;
    until(&office.desktop, "select count(*) = 1 from handed").await;
    assert_eq!(
        value(&office.desktop, "select told from handed").await,
        "diary,leave",
        "what may have come before it started"
    );
    let (_, said) = status(&office).await;
    assert_eq!(said["refill"]["watched"], json!(["app.job"]), "{said}");
    assert!(
        said["refill"]["trouble"]
            .as_str()
            .unwrap()
            .contains("app.nowhere"),
        "{said}"
    );
    assert_eq!(
        said["refill"]["wrote"],
        Value::Null,
        "a statement that ends its own transactions can't be asked"
    );
    let quiet = peace(&office).await;
    // More than is read at once, in one burst; and it goes all the way round.
    exec(
        &office.cloud,
        "insert into diary select n, 'note ' || n, 'M' from generate_series(1, 1300) n",
    )
    .await;
    came_home(&office).await;
    filled(&office, 1800, "from a phone note 1300").await;
    assert_eq!(
        value(&office.desktop, "select string_agg(told, ' ') from handed").await,
        "diary,leave diary",
        "once for a burst, and for what came"
    );
    looks(&office, 4).await;
    assert_eq!(runs(&office).await, quiet + 1, "and no circle");
    let (_, said) = status(&office).await;
    assert_eq!(said["refill"]["changed"], json!(["app.job"]), "{said}");
    assert_eq!(said["then"]["tables"], json!(["diary"]), "{said}");
    assert!(
        said["then"]["took_ms"].is_i64() && said["then"]["failed"].is_null(),
        "{said}"
    );
    exec(&office.cloud, "insert into leave values (1, 'a day', 'M')").await;
    until(&office.desktop, "select count(*) = 3 from handed").await;
    assert_eq!(
        value(&office.desktop, "select told from handed offset 2").await,
        "leave"
    );
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
}
