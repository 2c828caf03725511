//! What changes around a running replication: tables, keys, policies, publications, backups.

use std::process::Command;

use crate::support::office::{Office, exec, until, value};
use crate::support::servers::newest;
use tandem::demo::cluster::Mode;

const BEAT: &str = "[heartbeat]\nevery = \"200ms\"\n";

async fn office(settings: &str, desktop: &str, cloud: &str) -> Office {
    Office::with_tables(&newest(), &format!("{BEAT}{settings}"), desktop, cloud).await
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_copies_removed_from_a_partitioned_table_are_removed_from_the_right_partition() {
    let cloud = "create table part (a int, b text, source text) partition by range (a); \
        create table low partition of part for values from (0) to (100); create table high partition of part for values from (100) to (200)";
    let office = office(
        "[[table]]\nname = \"part\"\nkey = []",
        "create table part (a int, b text)",
        cloud,
    )
    .await;
    exec(
        &office.cloud,
        "insert into part values (150, 'phone work', 'M')",
    )
    .await;
    exec(
        &office.desktop,
        "insert into part values (1, 'x'), (101, 'z')",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "delete from part where a = 1").await;
    office.caught_up(&mut service).await;
    let rows = "select string_agg(concat(a, source), ' ' order by a) from part";
    assert_eq!(value(&office.cloud, rows).await, "101D 150M");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_key_that_is_only_written_differently_keeps_its_row() {
    let desktop = "create table n (k numeric primary key, v text); create table s (k varchar(10) primary key, v text)";
    let cloud = "create table n (k numeric primary key, v text); create table s (k char(10) primary key, v text)";
    let office = office(
        "[[table]]\nname = \"n\"\n[[table]]\nname = \"s\"",
        desktop,
        cloud,
    )
    .await;
    exec(
        &office.desktop,
        "insert into n values (1.0, 'one'), (2.0, 'two'); insert into s values ('ab ', 'x')",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "update n set k = 1.00 where k = 1.0").await;
    exec(
        &office.desktop,
        "begin; delete from n where k = 2.0; insert into n values (2.00, 'two'); commit",
    )
    .await;
    exec(&office.desktop, "update s set k = 'ab' where k = 'ab '").await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(
            &office.cloud,
            "select concat((select count(*) from n), (select count(*) from s))"
        )
        .await,
        "21"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_table_made_anew_or_renamed_is_noticed_and_copied_again() {
    let ddl = "create table a (id int primary key); create table b (id int primary key)";
    let office = office("[[table]]\nname = \"a\"\n[[table]]\nname = \"b\"", ddl, ddl).await;
    exec(
        &office.desktop,
        "insert into a values (1), (2); insert into b values (1)",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "alter table b rename to b_x; insert into b_x values (7)",
    )
    .await;
    office.caught_up(&mut service).await;
    let (_, state, why) = office.states().await.remove(1);
    assert!(state == "stopped" && why.contains("renamed"), "{why}");
    assert_eq!(service.stop().await, 0);
    exec(&office.desktop, "alter table b_x rename to b; drop table a; create table a (id int primary key); insert into a values (3)").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_leaves_the_settings_and_comes_back_is_copied_again() {
    let ddl = "create table a (id int primary key); create table b (id int primary key)";
    let office = office("[[table]]\nname = \"a\"\n[[table]]\nname = \"b\"", ddl, ddl).await;
    exec(&office.desktop, "insert into b values (1), (2)").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
    let whole = std::fs::read_to_string(office.file()).unwrap();
    std::fs::write(office.file(), whole.replace("[[table]]\nname = \"b\"", "")).unwrap();
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(office.states().await[1].1, "removed");
    exec(
        &office.desktop,
        "delete from b where id = 1; insert into b values (3)",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
    std::fs::write(office.file(), whole).unwrap();
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_desktop_restored_from_an_image_stops_the_service() {
    let ddl = "create table item (id int primary key)";
    let office = office("[[table]]\nname = \"item\"", ddl, ddl).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
    let data = office.servers.desktop.data_dir();
    let image = data.with_extension("image");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        assert!(
            Command::new("cp")
                .arg("-a")
                .arg(from)
                .arg(to)
                .status()
                .unwrap()
                .success()
        );
    };
    office.servers.desktop.stop(Mode::Fast).unwrap();
    copy(&data, &image);
    office.servers.desktop.start_again().unwrap();
    let desktop =
        crate::support::office::connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    exec(
        &desktop,
        "insert into item select generate_series(1, 50000)",
    )
    .await;
    let mut service = office.run();
    until(&office.cloud, "select count(*) = 50000 from item").await;
    assert_eq!(service.ended_after_term().await, 0);
    office.servers.desktop.stop(Mode::Fast).unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    copy(&image, &data);
    office.servers.desktop.start_again().unwrap();
    let mut service = office.run();
    assert_eq!(service.ended().await, 5);
    assert!(office.log().contains("restored from a backup"));
    // Nor when it has gone its own way since, as far as the other one had come.
    let desktop =
        crate::support::office::connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    exec(
        &desktop,
        "insert into item select generate_series(1, 70000)",
    )
    .await;
    let mut service = office.run();
    assert_eq!(service.ended().await, 5);
    assert!(office.log().contains("which this desktop has not written"));
    assert_eq!(
        value(&office.cloud, "select count(*) from item").await,
        "50000"
    );
    let (code, out, said) = office.ask(&["bootstrap", "--restart", "--yes"]).await;
    assert_eq!(code, 0, "{out} {said}");
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(
        value(&office.cloud, "select count(*) from item").await,
        "70000"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_later_timeline_that_has_all_the_cloud_has_is_accepted() {
    let ddl = "create table item (id int primary key)";
    let office = office("[[table]]\nname = \"item\"", ddl, ddl).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "insert into item values (1)").await;
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
    // A standby with the same files takes over.
    office.servers.desktop.stop(Mode::Fast).unwrap();
    let signal = office.servers.desktop.data_dir().join("standby.signal");
    std::fs::write(&signal, "").unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&signal, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    office.servers.desktop.start_again().unwrap();
    let desktop =
        crate::support::office::connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    exec(&desktop, "select pg_promote()").await;
    exec(&desktop, "insert into item values (2)").await;
    let mut service = office.run();
    until(&office.cloud, "select count(*) = 2 from item").await;
    assert_eq!(service.ended_after_term().await, 0);
    assert!(office.log().contains("later timeline"));
    assert_eq!(
        value(&office.cloud, "select timeline from tandem.checkpoint").await,
        "2"
    );
    // One that was left before the cloud's checkpoint is another history.
    exec(&office.cloud, "update tandem.checkpoint set timeline = 1").await;
    let mut service = office.run();
    assert_eq!(service.ended().await, 5);
    assert!(office.log().contains("left that one at"));
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_errors_of_any_class_park_only_their_row() {
    let ddl = "create table a (id int primary key); create table b (id int primary key)";
    let cloud = format!(
        "{ddl}; create function no() returns trigger language plpgsql as $$ begin raise sqlstate 'PT402' using message = 'not today'; end $$; \
        create trigger no before insert on b for each row execute function no()"
    );
    let office = office(
        "[[table]]\nname = \"a\"\n[[table]]\nname = \"b\"",
        ddl,
        &cloud,
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "insert into a values (1); insert into b values (1); insert into a values (2)",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, "select count(*) from a").await, "2");
    let parked = "select \"table\" || ' ' || sqlstate || ' ' || why from tandem.quarantine";
    assert_eq!(value(&office.cloud, parked).await, "b PT402 not today");
    exec(&office.cloud, "drop trigger no on b").await;
    exec(&office.desktop, "insert into b values (2)").await;
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_leaves_out_operations_is_refused() {
    let ddl = "create table item (id int primary key)";
    let office = office("[[table]]\nname = \"item\"", ddl, ddl).await;
    exec(
        &office.desktop,
        "create publication tandem with (publish = 'insert')",
    )
    .await;
    let mut service = office.run();
    assert_eq!(service.ended().await, 2);
    assert!(office.log().contains("ALTER PUBLICATION"));
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_a_row_beyond_half_of_memory_max_is_quarantined_with_its_size_and_the_others_go_on() {
    let ddl = "create table item (id int primary key, big text, n int); alter table item alter big set storage external; \
        create table whole (id int, big text, n int); alter table whole alter big set storage external; create table other (id int primary key)";
    let settings = "[forward]\nmemory_max = \"8MB\"\n[[table]]\nname = \"item\"\n[[table]]\nname = \"whole\"\nkey = [\"id\"]\n[[table]]\nname = \"other\"";
    let office = office(settings, ddl, ddl).await;
    exec(
        &office.desktop,
        "insert into item values (2, 'small', 0); insert into whole values (2, 'small', 0)",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let parked = "select coalesce(string_agg(concat_ws(' ', \"table\", key[1], sqlstate), ', ' order by \"table\", key), '') from tandem.quarantine";
    exec(&office.desktop, "begin; insert into other values (1); insert into item values (1, repeat('x', 12000000), 1); insert into whole values (1, repeat('x', 12000000), 1); \
        update item set big = repeat('y', 5000000) where id = 2; update whole set big = repeat('y', 5000000) where id = 2; insert into item values (3, repeat('z', 3000000), 3); insert into other values (2); commit").await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(&office.cloud, parked).await,
        "item 1 TD007, item 2 TD007, whole 1 TD007, whole 2 TD007"
    );
    assert!(
        value(
            &office.cloud,
            "select why from tandem.quarantine where key[1] = '1' limit 1"
        )
        .await
        .contains("the row has 120000")
    );
    assert_eq!(
        value(
            &office.cloud,
            "select string_agg(id || ':' || length(big), ' ' order by id) from item"
        )
        .await,
        "2:5 3:3000000"
    );
    assert_eq!(
        value(&office.cloud, "select count(*) from other").await,
        "2"
    );
    // The large value stays where it is, and other columns change: the row still can't be written.
    exec(
        &office.desktop,
        "update item set n = 7; update whole set n = 7",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(&office.cloud, parked).await,
        "item 1 TD007, item 2 TD007, whole 1 TD007, whole 2 TD007"
    );
    assert_eq!(service.stop().await, 0);
    // A copy from the start finds them as well.
    let (code, out, said) = office.ask(&["uninstall", "--yes"]).await;
    assert_eq!(code, 0, "{out} {said}");
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(
        value(&office.cloud, parked).await,
        "item 1 TD007, item 2 TD007, whole 1 TD007, whole 2 TD007"
    );
    assert_eq!(
        value(
            &office.cloud,
            "select string_agg(id || ':' || length(big), ' ' order by id) from item"
        )
        .await,
        "2:5 3:3000000"
    );
    // So does a copy of a table that was filled before, and the rows that the cloud has of them stay.
    assert_eq!(service.stop().await, 0);
    exec(
        &office.cloud,
        "update tandem.table_state set state = 'stopped'",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(
        value(
            &office.cloud,
            "select string_agg(id || ':' || length(big), ' ' order by id) from item"
        )
        .await,
        "2:5 3:3000000"
    );
    // It becomes small, goes, or moves.
    exec(&office.desktop, "update item set big = 'small again' where id = 1; update whole set big = 'small again' where id = 1; delete from whole where id = 2; update item set id = 9, big = 'moved' where id = 2").await;
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, parked).await, "");
    office.assert_equal().await;
    let sums = "select bool_and(received = applied + folded + ruled_out + quarantined and quarantined = 0 and state = 'streaming') from tandem.table_state";
    assert_eq!(value(&office.cloud, sums).await, "true", "P7");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_goes_on_waiting_while_the_service_reconnects() {
    let ddl = "create table item (id int primary key)";
    let office = office("[[table]]\nname = \"item\"", ddl, ddl).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.to_cloud.cut();
    exec(&office.desktop, "insert into item values (1)").await;
    let (code, out, err) = office.ask(&["wait", "--timeout", "200s"]).await;
    assert_eq!(code, 0, "{out}{err}");
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_f28_what_no_longer_fits_stops_alone_also_over_a_restart_and_goes_on_when_it_is_mended()
{
    let settings = "[reverse]\nevery = \"100ms\"\n[[table]]\nname = \"a\"\n[[table]]\nname = \"b\"\n\
        [[table]]\nname = \"visits\"\nflow = \"reverse\"\n[[table]]\nname = \"leaves\"\nflow = \"reverse\"\n";
    let desktop = "create table a (id int primary key, v text); create table b (id int primary key, v text); \
        create table visits (id int, note text, source char(1)); create table leaves (id int, note text, source char(1))";
    let cloud = "create table a (id int primary key, v text); create table b (id int primary key, v text); \
        create table visits (id int primary key, note text, source char(1)); create table leaves (id int primary key, note text, source char(1))";
    let office = office(settings, desktop, cloud).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "alter table a drop column v; alter table visits rename note to remark; insert into visits values (1, 'x', 'M')").await;
    exec(
        &office.desktop,
        "insert into a values (1, 'x'); insert into b values (1, 'x')",
    )
    .await;
    let stopped = "select count(*) = 1 from tandem.reverse_state where \"table\" = 'visits' and why like '%note%'";
    until(&office.cloud, stopped).await;
    until(&office.cloud, "select count(*) = 1 from b").await;
    exec(&office.cloud, "insert into leaves values (1, 'one', 'M')").await;
    until(&office.desktop, "select count(*) = 1 from leaves").await;
    until(
        &office.cloud,
        "select state = 'stopped' from tandem.table_state where \"table\" = 'a'",
    )
    .await;
    // A computer that starts again in the night must not leave the others standing.
    service.kill().await;
    let mut service = office.run();
    exec(
        &office.desktop,
        "insert into a values (2, 'y'); insert into b values (2, 'y'); update a set v = 'z' where id = 1",
    )
    .await;
    exec(&office.cloud, "insert into leaves values (2, 'two', 'M')").await;
    until(&office.cloud, "select count(*) = 2 from b").await;
    until(&office.desktop, "select count(*) = 2 from leaves").await;
    let (code, out, said) = office.ask(&["status", "--json"]).await;
    assert_eq!(code, 1, "{said}");
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status["verdict"], "needs_you");
    for (at, table, word) in [(0, "a", "column v"), (3, "visits", "column")] {
        let told = &status["tables"][at];
        assert_eq!(told["table"], table);
        assert_eq!(told["state"], "stopped");
        let why = told["why"].as_str().unwrap();
        assert!(
            why.contains(word) && why.contains("goes on by itself"),
            "{why}"
        );
    }
    // Mended under the running service.
    exec(
        &office.cloud,
        "alter table a add v text; alter table visits rename remark to note",
    )
    .await;
    until(
        &office.cloud,
        "select bool_and(state = 'streaming') from tandem.table_state",
    )
    .await;
    office.caught_up(&mut service).await;
    exec(&office.cloud, "insert into visits values (3, 'later', 'M')").await;
    until(&office.desktop, "select count(*) = 2 from visits").await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_a_key_that_stopped_being_unique_stops_its_table_alone_over_a_restart() {
    let ddl = "create table a (id int, v text); create table b (id int primary key, v text)";
    let office = office(
        "[[table]]\nname = \"a\"\nkey = [\"id\"]\n[[table]]\nname = \"b\"",
        ddl,
        ddl,
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "insert into a values (1, 'x'), (1, 'y'); insert into b values (1, 'x')",
    )
    .await;
    office.caught_up(&mut service).await;
    service.kill().await;
    let service = office.run();
    exec(&office.desktop, "insert into b values (2, 'y')").await;
    until(&office.cloud, "select count(*) = 2 from b").await;
    let (_, state, why) = office.states().await.remove(0);
    assert!(
        state == "stopped" && why.contains("name 2 rows"),
        "{state} {why}"
    );
    exec(&office.desktop, "delete from a where v = 'y'").await;
    assert_eq!(service.stop().await, 0);
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// A column that the office's program adds while rows stream is nobody's: its values must not be left out in silence.
#[tokio::test(flavor = "multi_thread")]
async fn p7_a_column_that_is_new_on_the_desktop_stops_its_table_until_it_has_a_place() {
    let settings =
        "[heartbeat]\nevery = \"200ms\"\n[[table]]\nname = \"item\"\n[[table]]\nname = \"other\"\n";
    let ddl = "create table item (id int primary key, note text); create table other (id int primary key)";
    let office = Office::with_tables(&newest(), settings, ddl, ddl).await;
    let mut service = office.run();
    exec(&office.desktop, "insert into item values (1, 'a')").await;
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "alter table item add colour text; insert into item values (2, 'b', 'red'); insert into other values (1)",
    )
    .await;
    office.caught_up(&mut service).await;
    assert!(office.log().contains("column colour is new on the desktop"));
    // What would mend it is said as soon as both sides were looked at.
    until(&office.cloud, "select count(*) = 1 from tandem.table_state where state = 'stopped' and why like '%column colour of the desktop has no place in the cloud%'").await;
    assert_eq!(
        value(
            &office.cloud,
            "select (select count(*) from item) || ' ' || (select count(*) from other)"
        )
        .await,
        "1 1"
    );
    // The statement that doctor shows mends it, and it goes on by itself.
    let (_, out, _) = office.ask(&["doctor"]).await;
    assert!(
        out.contains("ALTER TABLE \"public\".\"item\" ADD COLUMN \"colour\" text;"),
        "{out}"
    );
    exec(&office.cloud, "alter table item add column colour text").await;
    until(
        &office.cloud,
        "select count(*) = 2 and max(colour) = 'red' from item",
    )
    .await;
    assert_eq!(service.stop().await, 0);
}

/// What both sides' catalogs don't show is no matter of fitting: the table stops once, and the others are left in peace.
#[tokio::test(flavor = "multi_thread")]
async fn p8_what_would_only_stop_again_waits_for_a_person() {
    let settings = "[heartbeat]\nevery = \"200ms\"\n[[table]]\nname = \"item\"\n[[table]]\nname = \"other\"\n[[table]]\nname = \"third\"\n";
    let ddl = "create table item (id int primary key, note text); create table other (id int primary key, note text); create table third (id int primary key)";
    let office = Office::with_tables(&newest(), settings, ddl, ddl).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // A trigger of the cloud's asks a table that isn't there, which says the same as if ours weren't; and a right is gone.
    exec(
        &office.cloud,
        "create function asks() returns trigger language plpgsql as $$ begin perform from nowhere; return new; end $$; \
         create trigger asks before insert on item for each row execute function asks(); revoke insert on other from postgres",
    )
    .await;
    exec(
        &office.desktop,
        "insert into item values (1, 'a'); insert into other values (1, 'a')",
    )
    .await;
    until(
        &office.cloud,
        "select count(*) = 2 from tandem.table_state where state = 'stopped'",
    )
    .await;
    let epoch = value(&office.cloud, "select epoch || ' ' || string_agg(\"table\" || since, ' ' order by \"table\") from tandem.checkpoint, tandem.table_state group by epoch").await;
    // Longer than they would take to be taken up: other rows go on all the while, in one and the same session.
    let since = std::time::Instant::now();
    let mut id = 0;
    while since.elapsed() < std::time::Duration::from_secs(12) {
        id += 1;
        exec(
            &office.desktop,
            &format!("insert into third values ({id}); insert into item values (1 + {id}, 'b')"),
        )
        .await;
        office.caught_up(&mut service).await;
    }
    let still = value(&office.cloud, "select epoch || ' ' || string_agg(\"table\" || since, ' ' order by \"table\") from tandem.checkpoint, tandem.table_state group by epoch").await;
    assert_eq!(
        epoch, still,
        "no session was ended, and no table was taken up"
    );
    assert_eq!(service.stop().await, 0);
}
