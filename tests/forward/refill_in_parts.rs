//! The refill in parts: only those run whose parents changed, one at a time, in their written order; each is known by a name.

use serde_json::{Value, json};

use crate::support::office::{Office, came_home, connect, exec, until, value};
use crate::support::servers::newest;

const SETTINGS: &str = "[heartbeat]\nevery = \"500ms\"\n[reverse]\nevery = \"100ms\"\n\
    [[refill]]\nname = \"jobs of all\"\nsql = \"select fill_jobs()\"\nevery = \"1d\"\nwhen = \"changed\"\nmin_every = \"1s\"\ntables = [\"jobs\"]\n\
    [[refill]]\nsql = \"select fill_rates()\"\nevery = \"1d\"\nwhen = \"changed\"\nmin_every = \"1s\"\ntables = [\"rates\"]\n\
    [[refill]]\nsql = \"select fill_notes()\"\nevery = \"1d\"\nwhen = \"changed\"\nmin_every = \"1s\"\n\
    [[table]]\nname = \"jobs\"\nkey = [\"nr\"]\nmax_shrink = 1\n[[table]]\nname = \"rates\"\nkey = [\"nr\"]\nmax_shrink = 1\nstream = false\n\
    [[table]]\nname = \"notes\"\nkey = [\"nr\"]\nmax_shrink = 1\ncloud_owned = [\"tick\"]\n";

/// A function for each copy; the rates are also counted from the copy of the jobs.
const DESKTOP: &str = "create schema app; create table app.job (nr int primary key, what text); create table app.rate (nr int, what text); \
    create table app.note (nr int, what text); insert into app.job select n, 'job ' || n from generate_series(1, 20) n; \
    insert into app.rate values (1, 'rate 1'); insert into app.note values (1, 'note 1'), (2, 'note 2'); \
    create table jobs (nr int, what text); create table rates (nr int, what text); create table notes (nr int, what text, tick int); \
    create function fill_jobs() returns void language plpgsql as $f$ begin \
      delete from jobs; insert into jobs select nr, what from app.job; perform pg_advisory_xact_lock_shared(99); end $f$; \
    create function fill_rates() returns void language sql as $f$ \
      delete from rates; insert into rates select nr, what from app.rate union all select 900, string_agg(what, ' ' order by nr) from jobs $f$; \
    create function fill_notes() returns void language plpgsql as $f$ begin \
      if exists (select from app.note where what = 'boom') then raise exception 'they are broken'; end if; \
      delete from notes; insert into notes select nr, what, 0 from app.note; end $f$";
const CLOUD: &str = "create table jobs (nr int primary key, what text); create table rates (nr int primary key, what text); \
    create table notes (nr int primary key, what text, tick int)";
const PARTS: [&str; 3] = ["jobs of all", "rates", "fill_notes"];

async fn runs(office: &Office) -> [i64; 3] {
    let mut all = [0; 3];
    for (runs, name) in all.iter_mut().zip(PARTS) {
        let sql = format!("select runs from tandem.refill where name = '{name}'");
        *runs = value(&office.desktop, &sql).await.parse().unwrap();
    }
    all
}

/// All parts have ended, and the desktop has looked twice since without running one.
async fn peace(office: &Office) -> [i64; 3] {
    let look = "select coalesce(max(extract(epoch from query_start)), 0) from pg_stat_activity where pid <> pg_backend_pid() and query like 'with recursive whole(root, oid)%'";
    loop {
        let before = runs(office).await;
        for _ in 0..3 {
            let last = value(&office.desktop, look).await;
            until(
                &office.desktop,
                &format!("select ({look}) > {last}::numeric + 0.5"),
            )
            .await;
        }
        if runs(office).await == before {
            return before;
        }
    }
}

async fn has(office: &Office, table: &str, nr: i32, what: &str) {
    let sql = format!("select coalesce((select what from {table} where nr = {nr}), '') = '{what}'");
    until(&office.cloud, &sql).await;
}

async fn status(office: &Office) -> (i32, Value) {
    let (code, out, said) = office.ask(&["status", "--json"]).await;
    let status = serde_json::from_str(&out);
    (code, status.unwrap_or_else(|_| panic!("{out} {said}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_parts_run_whose_parents_changed_one_behind_the_other_and_each_has_a_name() {
    let office = Office::with_tables(&newest(), SETTINGS, DESKTOP, CLOUD).await;
    let (_, out, said) = office.ask(&["doctor", "--json"]).await;
    let checks: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out} {said}"));
    let watched = checks["checks"].as_array().unwrap().iter();
    let watched = watched.filter(|check| check["id"] == "refill_watch");
    let watched: Vec<_> = watched
        .map(|check| check["what"].as_str().unwrap())
        .collect();
    assert_eq!(
        watched,
        [
            "the refill jobs of all also runs when one of these changes: app.job",
            "the refill rates also runs when one of these changes: app.rate, jobs",
            "the refill fill_notes also runs when one of these changes: app.note",
        ]
    );
    // What made the tables is counted before the first run, and not behind it.
    exec(&office.desktop, "select pg_stat_force_next_flush()").await;
    let mut service = office.run();
    has(&office, "jobs", 7, "job 7").await;
    has(&office, "rates", 1, "rate 1").await;
    has(&office, "notes", 2, "note 2").await;
    let first = peace(&office).await;
    let (code, said) = status(&office).await;
    assert_eq!(code, 0, "{said}");
    let parts = said["refills"].as_array().unwrap();
    let names: Vec<_> = parts.iter().map(|part| part["name"].clone()).collect();
    assert_eq!(json!(names), json!(PARTS), "in the order of the settings");
    assert_eq!(said["refill"], parts[0], "the first one stands alone, too");
    assert_eq!(
        (&parts[1]["tables"], &parts[2]["tables"]),
        (&json!(["rates"]), &json!([]))
    );

    // A parent of one part makes that one run; what the phone ticked stays.
    exec(&office.cloud, "update notes set tick = 1 where nr = 1").await;
    came_home(&office).await;
    exec(
        &office.desktop,
        "update app.note set what = 'changed' where nr = 1",
    )
    .await;
    has(&office, "notes", 1, "changed").await;
    let ticked = "select tick from notes where nr = 1";
    assert_eq!(value(&office.desktop, ticked).await, "1");
    let second = peace(&office).await;
    assert_eq!(second, [first[0], first[1], first[2] + 1]);

    // What one fills another reads: it runs behind it.
    exec(
        &office.desktop,
        "update app.job set what = 'first' where nr = 1",
    )
    .await;
    has(&office, "jobs", 1, "first").await;
    until(
        &office.cloud,
        "select what like 'first %' from rates where nr = 900",
    )
    .await;
    let third = peace(&office).await;
    assert_eq!(third, [second[0] + 1, second[1] + 1, second[2]]);

    // Never two at once: one that is due waits for the one that runs.
    let other = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    exec(&other, "select pg_advisory_lock(99)").await;
    exec(
        &office.desktop,
        "update app.job set what = 'held' where nr = 2",
    )
    .await;
    let waits = "select exists (select from pg_locks where locktype = 'advisory' and objid = 99 and not granted)";
    until(&office.desktop, waits).await;
    exec(
        &office.desktop,
        "update app.note set what = 'behind' where nr = 2; update app.rate set what = 'before'",
    )
    .await;
    exec(&other, "select pg_advisory_unlock(99)").await;
    has(&office, "notes", 2, "behind").await;
    has(&office, "rates", 1, "before").await;
    let order = "select string_agg(name, ', ' order by started_at) || ' ' || bool_and(alone) from (select name, started_at, \
        started_at >= coalesce(lag(ended_at) over (order by started_at), started_at) as alone from tandem.refill) as r";
    peace(&office).await;
    let order = value(&office.desktop, order).await;
    assert!(
        order.ends_with(" true") && order.starts_with("jobs of all"),
        "{order}"
    );

    // One that fails is named, and the others go on.
    exec(
        &office.desktop,
        "update app.note set what = 'boom' where nr = 2",
    )
    .await;
    until(
        &office.desktop,
        "select failed is not null from tandem.refill where name = 'fill_notes'",
    )
    .await;
    exec(
        &office.desktop,
        "update app.job set what = 'goes on' where nr = 3",
    )
    .await;
    has(&office, "jobs", 3, "goes on").await;
    let (code, said) = status(&office).await;
    assert_eq!(
        (code, said["verdict"].as_str(), &said["refill"]["failed"]),
        (1, Some("needs_you"), &Value::Null),
        "{said}"
    );
    let (_, screen, _) = office.ask(&["status"]).await;
    let line = screen.lines().find(|line| line.contains("fill_notes: of"));
    assert!(
        line.is_some_and(|line| line.contains("FAILED: they are broken")),
        "{screen}"
    );
    exec(
        &office.desktop,
        "update app.note set what = 'mended' where nr = 2",
    )
    .await;
    has(&office, "notes", 2, "mended").await;
    office.caught_up(&mut service).await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}
