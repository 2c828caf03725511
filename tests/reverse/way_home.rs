//! What people did on their phones comes home, and never echoes.

use crate::support::office::{Office, Plan, came_home, exec, load, places, value};
use crate::support::servers::newest;

const VISITS: &str = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n[[table]]\nname = \"visits\"\nflow = \"reverse\"\n";
const ON_DESKTOP: &str = "create table visits (id int, note text, source char(1))";
const IN_CLOUD: &str =
    "create table visits (id int primary key, note text, source char(1) default 'D')";

/// The phone's rows as both sides have them.
async fn visits(office: &Office) -> (String, String) {
    let sql = "select coalesce(string_agg(concat_ws(' ', id, note), '; ' order by id), '') from visits where source = 'M'";
    (
        value(&office.desktop, sql).await,
        value(&office.cloud, sql).await,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn u16_what_a_phone_makes_edits_and_deletes_comes_home() {
    for place in places() {
        let office = Office::with_tables(&place, VISITS, ON_DESKTOP, IN_CLOUD).await;
        // Before tandem was there, and never told anybody.
        exec(
            &office.cloud,
            "insert into visits values (1, 'old', 'M'), (2, 'the desk''s', 'D'), (3, 'odd', 'S')",
        )
        .await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        came_home(&office).await;
        assert_eq!(
            visits(&office).await,
            ("1 old".to_owned(), "1 old".to_owned())
        );
        exec(
            &office.cloud,
            "insert into visits select i, 'made ' || i, 'M' from generate_series(10, 2509) i",
        )
        .await;
        exec(&office.cloud, "update visits set note = 'edited' where id between 10 and 20; delete from visits where id between 15 and 30; update visits set id = 5000 where id = 31").await;
        came_home(&office).await;
        let (desktop, cloud) = visits(&office).await;
        assert_eq!(desktop, cloud);
        assert!(cloud.contains("10 edited; 11 edited") && cloud.contains("5000 made 31"));
        let counts = value(&office.cloud, "select concat_ws(' ', received, received - applied - folded - ruled_out - quarantined) from tandem.reverse_state").await;
        assert!(counts.ends_with(" 0"), "P7: {counts}");
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn powercas_diaries_and_leave_requests_come_home() {
    let office = Office::open(&Plan::powerca(&newest(), 0.05)).await;
    load(&office.cloud, &["phone"]).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "select demo.phone(1)").await;
    exec(&office.cloud, "select demo.phone_edits(1)").await;
    came_home(&office).await;
    office.assert_equal().await;
    for (table, columns) in [
        (
            "workdiary",
            "wd_id, staff_id, date, minutes, tasknotes, source",
        ),
        (
            "learequest",
            "learequest_id, fromdate, leaveremarks, source",
        ),
    ] {
        let sql = format!(
            "select md5(string_agg(concat_ws('|', {columns}), ';' order by 1)) || count(*) from (select {columns} from {table} where source = 'M' order by 1) as t"
        );
        assert_eq!(
            value(&office.desktop, &sql).await,
            value(&office.cloud, &sql).await,
            "{table}"
        );
    }
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u24_two_entries_for_the_same_work_are_two_rows() {
    let office = Office::with_tables(&newest(), VISITS, ON_DESKTOP, IN_CLOUD).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "insert into visits values (1, 'audit', 'M')").await;
    came_home(&office).await;
    exec(&office.cloud, "insert into visits values (2, 'audit', 'M')").await;
    came_home(&office).await;
    let both = "1 audit; 2 audit".to_owned();
    assert_eq!(visits(&office).await, (both.clone(), both));
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_phones_rows_that_names_two_is_refused_before_a_row_moves() {
    let settings = format!("{VISITS}key = [\"id\"]\n");
    let cloud = IN_CLOUD.replace(" primary key", "");
    let office = Office::with_tables(&newest(), &settings, ON_DESKTOP, &cloud).await;
    exec(
        &office.cloud,
        "insert into visits values (1, 'audit', 'M'), (1, 'visit', 'M'), (1, 'the desk''s', 'D')",
    )
    .await;
    let (code, _, said) = office.ask(&["run"]).await;
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("key (id) does not name one row on the cloud: 1 value of it name 2 rows"),
        "{said}"
    );
    assert_eq!(
        value(&office.desktop, "select count(*) from visits").await,
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn u22_an_id_that_comes_again_after_its_deletion_is_a_new_row_and_no_conflict() {
    for keep in ["update", "keep"] {
        let settings = format!("{VISITS}[table.reverse]\non_conflict = \"{keep}\"\n");
        let office = Office::with_tables(&newest(), &settings, ON_DESKTOP, IN_CLOUD).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        for note in ["first", "second", "third"] {
            exec(
                &office.cloud,
                &format!("insert into visits values (1, '{note}', 'M')"),
            )
            .await;
            came_home(&office).await;
            assert_eq!(visits(&office).await.0, format!("1 {note}"));
            exec(&office.cloud, "delete from visits").await;
            came_home(&office).await;
            assert_eq!(visits(&office).await.0, "");
        }
        assert_eq!(
            value(&office.desktop, "select count(*) from tandem.conflict").await,
            "0"
        );
        assert_eq!(service.stop().await, 0);
    }
}
