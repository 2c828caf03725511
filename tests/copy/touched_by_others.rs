//! What others do to the publication and to the cloud's tables: seen with the next look or at the next start, said, put
//! right, and whatever may be missing is copied anew.

use crate::support::office::{Office, exec, until, value};
use crate::support::servers::newest;

const BEAT: &str = "[heartbeat]\nevery = \"200ms\"\n";
const TABLES: &str = "[[table]]\nname = \"item\"\nmax_shrink = 1\n[[table]]\nname = \"loose\"\nkey = []\nmax_shrink = 1\n\
    [[table]]\nname = \"part\"\nkey = [\"id\"]\nmax_shrink = 1\n[[table]]\nname = \"other\"\n";
const ON_DESKTOP: &str = "create table item (id int primary key, note text); create table loose (id int, note text); \
    create table part (id int, note text) partition by range (id); create table low partition of part for values from (0) to (100); \
    create table other (id int primary key, note text)";
const IN_CLOUD: &str = "create table item (id int primary key, note text); create table loose (id int, note text); \
    create table part (id int, note text); create table other (id int primary key, note text)";
const FILL: &str = "insert into item select n, 'old' from generate_series(1, 20) n; insert into loose select n % 7, 'old' from generate_series(1, 20) n; \
    insert into part select n, 'old' from generate_series(1, 20) n; insert into other values (1, 'old')";

/// Someone changes the publication.
const NARROWED: [&str; 8] = [
    "alter publication tandem set (publish = 'insert')",
    "alter publication tandem set (publish = 'insert, update, truncate')",
    "alter publication tandem set (publish = 'insert, delete, truncate')",
    "alter publication tandem set (publish = 'insert', publish_via_partition_root = true)",
    "alter publication tandem set table item where (id > 1000), loose where (id > 1000), low where (id > 1000), other where (id > 1000)",
    "alter publication tandem set table item (id), loose where (id > 1000), low where (id > 1000), other (id)",
    "alter publication tandem drop table item, loose, low, other",
    "alter publication tandem set table elsewhere",
];

async fn office(settings: &str, desktop: &str, cloud: &str) -> Office {
    Office::with_tables(&newest(), &format!("{BEAT}{settings}"), desktop, cloud).await
}

async fn filled() -> Office {
    let desktop = format!("{ON_DESKTOP}; create table elsewhere (id int primary key)");
    let office = office(TABLES, &desktop, IN_CLOUD).await;
    exec(&office.desktop, FILL).await;
    office
}

/// All tables on both sides, as one text.
const ALL: &str = "select md5(string_agg(v, ',' order by v)) from (select 'i' || (i.id, i.note)::text as v from item i union all select 'l' || (l.id, l.note)::text from loose l \
    union all select 'p' || (p.id, p.note)::text from part p union all select 'o' || (o.id, o.note)::text from other o) x";

/// Both sides become equal, and all tables stream.
async fn becomes_equal(office: &Office, what: &str) {
    let wanted = value(&office.desktop, ALL).await;
    // A test that stops shows here what it waited for.
    eprintln!("{what}");
    until(
        &office.cloud,
        &format!("select ({ALL}) = '{wanted}' and (select bool_and(state = 'streaming') from tandem.table_state)"),
    )
    .await;
}

/// Changes of every kind, other ones each time.
fn changes(n: usize) -> String {
    format!(
        "update item set note = 'new {n}' where id % 3 = 0; delete from item where id = {n}; \
         update loose set note = 'new {n}' where id = 3; delete from loose where id = 5; \
         update part set note = 'new {n}' where id % 3 = 0; delete from part where id = {n}; update other set note = 'new {n}'"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_publication_that_is_narrowed_is_put_right_and_what_it_left_out_is_copied() {
    let office = filled().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    for (n, narrowed) in NARROWED.iter().enumerate() {
        exec(&office.desktop, narrowed).await;
        exec(&office.desktop, &changes(n)).await;
        becomes_equal(&office, narrowed).await;
        let whole = "select pubinsert and pubupdate and pubdelete and pubtruncate and not pubviaroot and (select count(*) = 4 from pg_publication_rel \
            where prpubid = p.oid and prrelid = any (array['item', 'loose', 'low', 'other']::regclass[]) and prqual is null and prattrs is null) from pg_publication p where pubname = 'tandem'";
        until(&office.desktop, whole).await;
        // It goes on from there.
        exec(&office.desktop, &changes(n + 50)).await;
        office.caught_up(&mut service).await;
        becomes_equal(&office, "and the changes after it").await;
        office.assert_conserved().await;
        // A service that has just started doesn't pause before it comes back.
        assert_eq!(service.ended_after_term().await, 0);
        service = office.run();
    }
    // One that loses TRUNCATE alone.
    exec(
        &office.desktop,
        "alter publication tandem set (publish = 'insert, update, delete')",
    )
    .await;
    exec(&office.desktop, "truncate loose").await;
    becomes_equal(&office, "truncate").await;
    let log = office.log();
    for words in [
        "publication tandem does not send updates, deletes and truncates",
        "publication tandem does not send truncates",
        "publication tandem has only some rows (a row filter, WHERE) of item",
        "publication tandem has only some columns (a column list) of item",
        "the desktop's table left publication tandem",
    ] {
        assert!(log.contains(words), "{words}");
    }
    assert_eq!(service.stop().await, 0);
}

/// Narrowed by one statement and put back by another, between two looks or while nobody looks at all.
#[tokio::test(flavor = "multi_thread")]
async fn p13_a_publication_that_was_narrowed_and_put_back_is_noticed() {
    let office = filled().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let whole = "alter publication tandem set (publish = 'insert, update, delete, truncate', publish_via_partition_root = false)";
    let all = "alter publication tandem set table only item, only loose, only low, only other";
    for (n, narrowed) in NARROWED.iter().enumerate() {
        let put_back = if narrowed.contains("publish") && narrowed.contains('=') {
            whole
        } else {
            all
        };
        let down = n % 2 == 0;
        if down {
            assert_eq!(service.ended_after_term().await, 0);
            exec(&office.desktop, narrowed).await;
            exec(&office.desktop, &changes(n)).await;
            exec(&office.desktop, put_back).await;
            service = office.run();
        } else {
            let at_once = format!(
                "{narrowed}; commit; begin; {}; commit; begin; {put_back}",
                changes(n)
            );
            exec(&office.desktop, &format!("begin; {at_once}; commit")).await;
        }
        becomes_equal(&office, narrowed).await;
    }
    // Nothing of that is done again without a reason.
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
    let copied = value(
        &office.cloud,
        "select string_agg(copied_at::text, ' ') from tandem.table_state",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, &changes(99)).await;
    office.caught_up(&mut service).await;
    let again = value(
        &office.cloud,
        "select string_agg(copied_at::text, ' ') from tandem.table_state",
    )
    .await;
    assert_eq!(copied, again);
    assert_eq!(service.stop().await, 0);
}

/// What was committed without a publication is never sent. The way back is named wherever somebody looks.
#[tokio::test(flavor = "multi_thread")]
async fn p13_a_dropped_publication_ends_the_service_and_its_way_back_is_said_everywhere() {
    let office = filled().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let way = "tandem bootstrap --restart";
    for (n, remade) in [false, true].into_iter().enumerate() {
        exec(&office.desktop, "drop publication tandem").await;
        assert_eq!(service.ended().await, 5);
        let (code, out, _) = office.ask(&["status"]).await;
        assert_eq!(code, 3, "{out}");
        assert!(
            out.contains("publication tandem was dropped") && out.contains(way),
            "{out}"
        );
        let (code, out, _) = office.ask(&["doctor"]).await;
        assert!(
            code == 1 && out.contains("publication tandem was dropped") && out.contains(way),
            "{out}"
        );
        exec(&office.desktop, &changes(n)).await;
        // Nor does a start paper over it.
        service = office.run();
        assert_eq!(service.ended().await, 5);
        let log = office.log();
        let last = log.lines().rev().take(5).collect::<Vec<_>>().join("\n");
        assert!(last.contains(way), "{last}");
        if remade {
            let by_hand =
                "create publication tandem for table only item, only loose, only low, only other";
            exec(&office.desktop, by_hand).await;
            exec(&office.desktop, &changes(n + 10)).await;
            service = office.run();
            let versions = value(
                &office.desktop,
                "select current_setting('server_version_num')::int >= 180000",
            )
            .await;
            if versions == "false" {
                assert_eq!(service.ended().await, 5);
            } else {
                // From version 18 on the log can be read over the gap, which the copies fill.
                becomes_equal(&office, "made again by hand").await;
                assert_eq!(service.ended_after_term().await, 0);
            }
        }
        let (code, out, said) = office.ask(&["bootstrap", "--restart", "--yes"]).await;
        assert_eq!(code, 0, "{out} {said}");
        service = office.run();
        office.caught_up(&mut service).await;
        becomes_equal(&office, "started anew").await;
    }
    // Dropped and made again by hand in one transaction, in which nothing else was written.
    exec(
        &office.desktop,
        "begin; drop publication tandem; create publication tandem for table only item, only loose, only low, only other; commit",
    )
    .await;
    exec(&office.desktop, &changes(40)).await;
    becomes_equal(&office, "made again").await;
    assert!(
        office
            .log()
            .contains("publication tandem was dropped and made again")
    );
    assert_eq!(service.stop().await, 0);
}

/// A publication of another's is not ours to alter: the tables concerned stop with the statement that mends it.
#[tokio::test(flavor = "multi_thread")]
async fn p13_somebody_elses_publication_is_left_alone_and_its_tables_go_on_when_it_is_mended() {
    let office = filled().await;
    exec(
        &office.desktop,
        "alter table item replica identity full; alter table loose replica identity full; alter table low replica identity full; alter table other replica identity full; \
         create publication tandem for table only item, only loose, only low, only other",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // One table alone...
    exec(&office.desktop, "alter publication tandem set table only item where (id > 1000), only loose, only low, only other").await;
    exec(&office.desktop, &changes(1)).await;
    let stopped = "select count(*) = 1 from tandem.table_state where state = 'stopped' and \"table\" = 'item' \
        and why like '%row filter%' and why like '%ALTER PUBLICATION%' and why like '%goes on by itself%'";
    until(&office.cloud, stopped).await;
    exec(&office.desktop, "insert into other values (7, 'streams')").await;
    office.caught_up(&mut service).await;
    until(&office.cloud, "select count(*) = 1 from other where id = 7").await;
    // ...also over a restart...
    assert_eq!(service.stop().await, 0);
    let mut service = office.run();
    exec(&office.desktop, "insert into other values (8, 'streams')").await;
    until(&office.cloud, "select count(*) = 1 from other where id = 8").await;
    until(&office.cloud, stopped).await;
    exec(
        &office.desktop,
        "alter publication tandem set table only item, only loose, only low, only other",
    )
    .await;
    becomes_equal(&office, "the filter went").await;
    // ...and all of them.
    exec(
        &office.desktop,
        "alter publication tandem set (publish = 'insert')",
    )
    .await;
    exec(&office.desktop, &changes(2)).await;
    until(
        &office.cloud,
        "select count(*) = 4 from tandem.table_state where state = 'stopped' and why like '%does not send updates%' and why like '%goes on by itself%'",
    )
    .await;
    exec(
        &office.desktop,
        "alter publication tandem set (publish = 'insert, update, delete, truncate')",
    )
    .await;
    becomes_equal(&office, "the options are back").await;
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
}

/// What somebody does to the cloud's tables: the desktop's rows come back, running or at the next start.
#[tokio::test(flavor = "multi_thread")]
async fn p13_a_cloud_table_that_is_made_anew_or_emptied_gets_its_rows_back() {
    let office = filled().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let steps = [
        "drop table item; create table item (id int primary key, note text)",
        "drop table item; create table item (note text, extra int, id int primary key)",
        "drop table loose; create table loose (id int, note text)",
        "alter table item drop column note; alter table item add note text",
        "truncate item, loose, part, other",
        "alter table loose drop column note; alter table loose add note text",
        "begin; alter table part rename to gone; create table part (id int, note text); commit; drop table gone",
        "vacuum full other",
        "begin; drop table part; create table part (id int, note text) partition by range (id); \
         create table part_1 partition of part for values from (0) to (10); create table part_2 partition of part for values from (10) to (2000); commit",
        "truncate part_1",
        "begin; drop table part_2; create table part_2 partition of part for values from (10) to (2000); commit",
    ];
    // Each way of being noticed once; which step is noticed how makes no difference.
    for (round, down) in [false, true, false].into_iter().enumerate() {
        for (n, step) in steps.iter().enumerate().skip(round * 4).take(4) {
            if down {
                assert_eq!(service.ended_after_term().await, 0);
            }
            for sql in step.split("; ") {
                exec(&office.cloud, "set role postgres").await;
                exec(&office.cloud, sql).await;
                exec(&office.cloud, "reset role").await;
            }
            if down {
                service = office.run();
            }
            becomes_equal(&office, step).await;
            exec(&office.desktop, &changes(n + 20)).await;
            office.caught_up(&mut service).await;
            becomes_equal(&office, "and the changes after it").await;
        }
    }
    let log = office.log();
    for words in [
        "the cloud's table was dropped and made again",
        "the cloud's table was emptied or written anew",
        "column note of the cloud's table was dropped and added again",
    ] {
        assert!(log.contains(words), "{words}");
    }
    assert_eq!(service.stop().await, 0);
}

/// Rows in a table that has another one's name are not known to be ours: they stay, and are listed.
#[tokio::test(flavor = "multi_thread")]
async fn p4_rows_of_a_cloud_table_that_was_made_anew_are_not_taken_for_ours() {
    let office = filled().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.cloud,
        "begin; drop table item; set local role postgres; create table item (id int primary key, note text); insert into item values (1, 'theirs'), (900, 'theirs'); commit",
    )
    .await;
    until(
        &office.cloud,
        "select count(*) = 21 and bool_and(note = 'old' or id = 900) from item",
    )
    .await;
    until(
        &office.cloud,
        "select extras = 1 and state = 'streaming' from tandem.table_state where \"table\" = 'item'",
    )
    .await;
    assert_eq!(service.stop().await, 0);
}

/// A cloud that was restored from a backup is another server, or on another timeline.
#[tokio::test(flavor = "multi_thread")]
async fn p13_a_cloud_with_another_history_is_compared_with_new_copies() {
    let office = filled().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
    // What a restored cloud remembers is another server's.
    exec(
        &office.cloud,
        "update tandem.table_state set seen = jsonb_set(seen, '{server}', '\"1/1\"'); update item set note = 'lost'; delete from loose",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    becomes_equal(&office, "restored").await;
    assert_eq!(service.stop().await, 0);
}

/// The triggers go with the table: nothing would come home of the new one.
#[tokio::test(flavor = "multi_thread")]
async fn p6_a_table_that_comes_home_and_is_made_anew_is_watched_again() {
    let settings = "[reverse]\nevery = \"100ms\"\n[[table]]\nname = \"visits\"\nflow = \"both\"\n[[table]]\nname = \"diary\"\nflow = \"reverse\"\n";
    let desktop = "create table visits (id int primary key, note text, source char(1)); create table diary (id int primary key, note text, source char(1))";
    let office = office(settings, desktop, desktop).await;
    exec(
        &office.desktop,
        "insert into visits values (1, 'desk', 'D')",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    for (n, name) in ["visits", "diary", "visits"].into_iter().enumerate() {
        exec(
            &office.cloud,
            &format!("begin; drop table {name}; set local role postgres; create table {name} (id int primary key, note text, source char(1)); commit"),
        )
        .await;
        exec(
            &office.cloud,
            &format!("insert into {name} values ({}, 'phone', 'M')", 100 + n),
        )
        .await;
        until(
            &office.desktop,
            &format!("select count(*) = 1 from {name} where id = {}", 100 + n),
        )
        .await;
        exec(
            &office.cloud,
            &format!("update {name} set note = 'phone again' where source = 'M'"),
        )
        .await;
        until(
            &office.desktop,
            &format!(
                "select note = 'phone again' from {name} where id = {}",
                100 + n
            ),
        )
        .await;
    }
    until(
        &office.cloud,
        "select count(*) = 1 from visits where id = 1",
    )
    .await;
    // Taken away by hand.
    exec(&office.cloud, "do $$ declare what record; begin for what in select tgname from pg_trigger where tgrelid = 'diary'::regclass and not tgisinternal loop execute format('drop trigger %I on diary', what.tgname); end loop; end $$").await;
    exec(
        &office.cloud,
        "insert into diary values (200, 'unseen', 'M')",
    )
    .await;
    until(
        &office.desktop,
        "select count(*) = 1 from diary where id = 200",
    )
    .await;
    assert_eq!(service.stop().await, 0);
}

/// A column that was there for a moment, in a transaction or for longer: both sides fit, so the table goes on.
#[tokio::test(flavor = "multi_thread")]
async fn p8_a_column_that_was_added_and_dropped_again_stops_its_table_only_for_a_moment() {
    let office = filled().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "begin; insert into item values (501, 'a'); alter table item add w int; update item set w = 1; insert into item values (502, 'b', 2); alter table item drop w; commit",
    )
    .await;
    becomes_equal(&office, "in one transaction").await;
    exec(
        &office.desktop,
        "alter table loose add w int; update loose set w = 1",
    )
    .await;
    until(
        &office.cloud,
        "select state = 'stopped' and why like '%column w%' and why like '%goes on by itself%' from tandem.table_state where \"table\" = 'loose'",
    )
    .await;
    exec(
        &office.desktop,
        "insert into loose values (9, 'meanwhile', 3); alter table loose drop w",
    )
    .await;
    becomes_equal(&office, "later").await;
    // The same twice: it may take a little longer.
    exec(
        &office.desktop,
        "begin; alter table item add w int; update item set note = 'twice', w = 1; alter table item drop w; commit",
    )
    .await;
    becomes_equal(&office, "once more").await;
    assert_eq!(service.stop().await, 0);
}

/// Values that a statement changes without a word in the log.
#[tokio::test(flavor = "multi_thread")]
async fn p13_a_desktop_column_that_is_altered_or_replaced_is_copied_anew() {
    let office = filled().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    for step in [
        "alter table item alter note type text using note || '!'",
        "alter table loose drop column note; alter table loose add note text default 'fresh'",
        "alter table low add constraint low_id check (id >= 0); alter table part alter note type text using upper(note)",
    ] {
        exec(&office.desktop, step).await;
        becomes_equal(&office, step).await;
    }
    assert_eq!(service.stop().await, 0);
    exec(
        &office.desktop,
        "alter table item alter note type text using note || '?'",
    )
    .await;
    let mut service = office.run();
    becomes_equal(&office, "while down").await;
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
}

/// What the cloud refuses while a table is copied is a matter of fitting like any other.
#[tokio::test(flavor = "multi_thread")]
async fn p8_a_column_that_goes_while_its_table_is_copied_stops_it_until_it_is_back() {
    let office = filled().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
    exec(
        &office.cloud,
        "update tandem.table_state set state = 'waiting' where \"table\" = 'item'",
    )
    .await;
    // Both catalogs fit when they are read, and the column is gone when the table is.
    exec(&office.cloud, "begin; alter table item drop column note").await;
    let mut service = office.run();
    let asked =
        crate::support::office::connect(&office.servers.cloud, "supabase_admin", "postgres").await;
    until(
        &asked,
        "select count(*) > 0 from pg_locks where relation = 'item'::regclass and not granted",
    )
    .await;
    exec(&office.cloud, "commit").await;
    until(
        &office.cloud,
        "select state = 'stopped' and why like '%goes on by itself%' from tandem.table_state where \"table\" = 'item'",
    )
    .await;
    exec(&office.desktop, "insert into other values (7, 'streams')").await;
    until(&office.cloud, "select count(*) = 1 from other where id = 7").await;
    let log = office.log();
    assert!(
        log.contains("the cloud refuses it: 42703"),
        "not before the copy"
    );
    exec(&office.cloud, "alter table item add note text").await;
    becomes_equal(&office, "it is back").await;
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
}
