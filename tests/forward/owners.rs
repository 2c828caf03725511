//! Whose row is it: mobile, foreign and other tenants' rows stay as they are (P4), and a table whose
//! rows the cloud refuses stops alone (P8).

use crate::support::office::{
    Office, Plan, exec, load, may_shrink, places, powerca_tables, until, value,
};
use crate::support::servers::newest;

/// All that a row consists of, its version included, for rows that aren't the desktop's.
async fn foreign_rows(office: &Office, tables: &[&str], which: &str) -> String {
    let mut all = Vec::new();
    for table in tables {
        let sql = format!(
            "select coalesce(sum(hashtextextended(t::text || t.xmin::text || t.ctid::text, 0)), 0) || '/' || count(*) from {table} as t where {which}"
        );
        all.push(value(&office.cloud, &sql).await);
    }
    all.join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_mobile_and_foreign_rows_are_never_changed() {
    for place in places() {
        let plan = Plan::tables(
            &place,
            "[[table]]\nname = \"item\"\n[[table]]\nname = \"loose\"\nkey = []\n[heartbeat]\nevery = \"200ms\"",
        );
        let office = Office::open(&plan).await;
        exec(&office.desktop, "create table item (id int, what text, source char(1)); create table loose (what text, n int)").await;
        exec(
            &office.cloud,
            "create table item (id int primary key, what text, source char(1)); create table loose (what text, n int, source char(1) default 'D'); \
             alter table item owner to postgres; alter table loose owner to postgres; \
             insert into item select i, 'phone', case when i % 3 = 0 then 'M' else 'S' end from generate_series(1000, 1999) i; \
             insert into loose select 'same', 1, 'M' from generate_series(1, 50)",
        )
        .await;
        let before = foreign_rows(&office, &["item", "loose"], "source in ('M', 'S')").await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(
            &office.desktop,
            "insert into item select i, 'desk', 'D' from generate_series(1, 900) i; insert into loose select 'same', 1 from generate_series(1, 5); \
             update item set what = 'edited' where id <= 500; delete from item where id > 800; delete from loose; \
             insert into item values (1500, 'came home', 'M'); update item set what = 'changed here' where id = 1500; delete from item where id = 1500; \
             update item set id = id + 5000 where id <= 10; update item set source = 'M' where id = 20",
        )
        .await;
        office.caught_up(&mut service).await;
        assert_eq!(
            foreign_rows(&office, &["item", "loose"], "source in ('M', 'S')").await,
            before
        );
        office.assert_equal().await;
        let counts = value(&office.cloud, "select concat_ws(' ', received, applied + folded + ruled_out + quarantined, ruled_out) from tandem.table_state where \"table\" = 'item'").await;
        let counts: Vec<i64> = counts
            .split(' ')
            .map(|count| count.parse().unwrap())
            .collect();
        assert_eq!(
            counts[0], counts[1],
            "P7: received = applied + folded + ruled out"
        );
        assert_eq!(
            counts[2], 3,
            "the phone's own row came, changed and went without us"
        );
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_other_tenants_rows_stay_byte_identical() {
    let binaries = newest();
    let settings = format!("[tenant]\norg_id = 1\n{}", may_shrink(&powerca_tables()));
    let settings = settings.replace(
        "name = \"locmaster\"",
        "name = \"locmaster\"\nkey = [\"org_id\", \"loc_id\"]",
    );
    let settings = settings.replace(
        "cloud = \"remdetail\"",
        "cloud = \"remdetail\"\nkey = [\"org_id\", \"remdetid\"]",
    );
    let plan = Plan {
        settings,
        ..Plan::powerca(&binaries, 0.05)
    };
    let office = Office::open(&plan).await;
    load(&office.cloud, &["tenants_cloud"]).await;
    // The other firm has the same ids, with other content.
    exec(
        &office.cloud,
        "insert into orgmaster select 2, 'the other firm'; insert into locmaster (org_id, loc_id, locname) values (2, 1, 'theirs'); \
         insert into climaster (org_id, con_id, loc_id, client_id, clientname) select 2, null, 1, i, 'their client' from generate_series(1, 100) i; \
         insert into mbstaff (org_id, con_id, loc_id, staff_id, name) select 2, 0, 1, i, 'their staff' from generate_series(1, 30) i; \
         insert into jobshead (org_id, loc_id, job_id, client_id) select 2, 1, i, 1 from generate_series(1, 400) i",
    )
    .await;
    let theirs = ["orgmaster", "locmaster", "climaster", "mbstaff", "jobshead"];
    let before = foreign_rows(&office, &theirs, "org_id = 2").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "select demo.work(1, 200)").await;
    exec(&office.desktop, "select sync_views_to_tables()").await;
    exec(&office.desktop, "delete from jobshead where job_id % 3 = 0; update climaster set clientname = 'ours' || client_id").await;
    office.caught_up(&mut service).await;
    assert_eq!(foreign_rows(&office, &theirs, "org_id = 2").await, before);
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// `dirty.json` by the settings' names: table, SQLSTATE, what the reason names, and how many rows. Of two equal
/// (job_id, task_id) the second is refused; one answer is refused only because its reminder is.
const DIRTY: [(&str, &str, &str, &str, i64); 4] = [
    (
        "climaster",
        "23503",
        "climaster_loc_id_fkey",
        "Key (loc_id)=(2)",
        3,
    ),
    (
        "jobtasks",
        "23505",
        "jobtasks_job_task_unique",
        "Key (job_id, task_id)=(",
        5,
    ),
    (
        "mbremdetail",
        "23503",
        "remdetail_rem_id_fkey",
        "Key (rem_id)=(",
        3,
    ),
    ("mbreminder", "23502", "staff_id", "null value in column", 2),
];

/// Exactly the manifest's rows are in the quarantine; everything else is in its table.
async fn assert_only_the_manifest_is_quarantined(office: &Office) {
    let states = office.states().await;
    assert!(
        states.iter().all(|(_, state, _)| state == "streaming"),
        "{states:?}"
    );
    let tables = value(
        &office.cloud,
        "select string_agg(distinct \"table\", ' ') from tandem.quarantine",
    )
    .await;
    assert_eq!(tables, DIRTY.map(|(table, ..)| table).join(" "));
    for (table, code, name, key, rows) in DIRTY {
        let of = format!("from tandem.quarantine where \"table\" = '{table}'");
        assert_eq!(
            value(&office.cloud, &format!("select count(*) {of}")).await,
            rows.to_string(),
            "{table}"
        );
        let said = value(
            &office.cloud,
            &format!("select string_agg(sqlstate || ' ' || why, '; ') {of}"),
        )
        .await;
        for word in [code, name, key] {
            assert!(said.contains(word), "{table} names {word}: {said}");
        }
        assert!(
            !said.contains("Failing row"),
            "P16: no row in the reason: {said}"
        );
    }
    for table in office.tables().await.iter() {
        let desktop =
            crate::support::office::digest(&office.desktop, &tandem::plan::desktop_digest(table))
                .await;
        let cloud =
            crate::support::office::digest(&office.cloud, &tandem::plan::cloud_digest(table)).await;
        let parked = DIRTY
            .iter()
            .find(|(name, ..)| *name == table.name)
            .map_or(0, |(.., rows)| *rows);
        assert_eq!(desktop.0, cloud.0 + parked, "{}: rows", table.name);
        if parked == 0 {
            assert_eq!(desktop, cloud, "{}", table.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_u03_f32_dirty_rows_in_the_copy_are_quarantined_exactly_as_the_manifest_says() {
    for place in places() {
        let office = Office::open(&Plan::powerca(&place, 0.1)).await;
        exec(&office.desktop, "select demo.dirty()").await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        assert_only_the_manifest_is_quarantined(&office).await;
        exec(&office.desktop, "update mbstaff set name = name || '!'; update jobshead set work_desc = 'new' where job_id % 7 = 0").await;
        office.caught_up(&mut service).await;
        assert_only_the_manifest_is_quarantined(&office).await;
        office.assert_conserved().await;
        let (code, out, _) = office.ask(&["wait", "--timeout", "200s"]).await;
        assert_eq!(code, 1, "quarantined rows are bad news");
        assert!(out.contains("jobtasks") && out.contains("23505"), "{out}");
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_u06_f10_dirty_rows_in_the_stream_are_quarantined_and_heal_when_their_cause_goes() {
    let office = Office::open(&Plan::powerca(&newest(), 0.1)).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    exec(&office.desktop, "select demo.dirty()").await;
    exec(&office.desktop, "update mbstaff set name = name || '!'").await;
    office.caught_up(&mut service).await;
    // A table whose refused rows can't be found in time is copied anew.
    until(
        &office.cloud,
        "select bool_and(state = 'streaming') from tandem.table_state",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_only_the_manifest_is_quarantined(&office).await;
    office.assert_conserved().await;
    // A restart knows what is parked.
    assert_eq!(service.stop().await, 0);
    let mut service = office.run();
    // The parents come, the office mends its rows, or removes them.
    exec(
        &office.desktop,
        "insert into locmaster (org_id, loc_id, locname) values (1, 2, 'the second office')",
    )
    .await;
    exec(
        &office.desktop,
        "update mbreminder set staff_id = 1 where staff_id is null",
    )
    .await;
    exec(&office.desktop, "delete from mbremdetail d where not exists (select from mbreminder r where r.rem_id = d.rem_id)").await;
    exec(&office.desktop, "delete from jobtasks t where exists (select from (select job_id, task_id from jobtasks where job_id is not null and task_id is not null group by 1, 2 having count(*) > 1) d where d.job_id = t.job_id and d.task_id = t.task_id)").await;
    office.caught_up(&mut service).await;
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_row_that_leaves_the_tenant_with_its_key_goes() {
    let settings = may_shrink(
        "[heartbeat]\nevery = \"200ms\"\n[tenant]\norg_id = 1\n[[table]]\nname = \"item\"\n",
    );
    let ddl = "create table item (org_id int, id int, n int, primary key (org_id, id))";
    let office = Office::with_tables(&newest(), &settings, ddl, ddl).await;
    exec(
        &office.desktop,
        "insert into item values (1, 1, 1), (1, 2, 2), (2, 3, 3)",
    )
    .await;
    exec(
        &office.cloud,
        "insert into item values (2, 1, 100), (2, 3, 100)",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "update item set org_id = 2 where id = 1; update item set org_id = 1 where id = 3",
    )
    .await;
    office.caught_up(&mut service).await;
    let rows =
        "select string_agg(concat_ws('.', org_id, id, n), ' ' order by org_id, id) from item";
    assert_eq!(
        value(&office.cloud, rows).await,
        "1.2.2 1.3.3 2.1.100 2.3.100"
    );
    assert_eq!(service.stop().await, 0);
}
