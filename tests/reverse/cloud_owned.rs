//! Columns that the cloud owns: the phone's ticks stay there, and come home, whatever the desktop does (P4, P5).

use crate::support::office::{Office, came_home, connect, exec, places, until, value};
use crate::support::servers::newest;

const SETTINGS: &str = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n\
    [[table]]\nname = \"list\"\nkey = []\nskip = [\"touched\"]\ncloud_owned = [\"done\", \"who\"]\nmax_shrink = 1\n\
    [[table]]\nname = \"work\"\nkey = [\"nr\"]\ncloud_owned = [\"done\"]\nmax_shrink = 1\n";
const ON_DESKTOP: &str = "create table list (org numeric(3), what varchar(20), mark char(4), done numeric(1), who varchar(15), touched timestamp); \
    create table work (nr int, what text, done int, source char(1)); \
    insert into list select n % 3, 'item ' || n % 40, 'x', 0, null, now() from generate_series(1, 50) n; insert into work select n, 'work ' || n, 0 from generate_series(1, 50) n";
const IN_CLOUD: &str = "create table list (id bigserial primary key, org numeric(3), what varchar(20), mark char(4), done numeric(1), who varchar(15), touched timestamp, source char(1) default 'D'); \
    create table work (id bigserial primary key, nr int unique, what text, done int, source char(1) default 'D')";

/// All rows of both tables with what the cloud owns of them, as a multiset.
async fn agree(office: &Office) {
    for sql in [
        "select md5(string_agg(v, ';' order by v)) || count(*) from (select concat_ws('|', org, what, mark, done, coalesce(who, '-')) from list) as l(v)",
        "select md5(string_agg(v, ';' order by v)) || count(*) from (select concat_ws('|', nr, what, done) from work) as w(v)",
    ] {
        assert_eq!(
            value(&office.desktop, sql).await,
            value(&office.cloud, sql).await,
            "{sql}"
        );
    }
}

/// What the rows are, to the last bit and version.
async fn versions(office: &Office) -> (String, String) {
    let sql = "select string_agg(concat_ws('|', t.v, t.x), ';' order by t.v, t.x) from (select l::text, l.xmin::text from list as l union all select w::text, w.xmin::text from work as w) as t(v, x)";
    (
        value(&office.desktop, sql).await,
        value(&office.cloud, sql).await,
    )
}

/// The desktop's own refill: every row goes and comes back as its views have it, where nothing is ticked.
const LOUD: &str = "begin; create temporary table l on commit drop as select * from list; delete from list; insert into list select org, what, mark, 0, null, now() from l; \
    create temporary table w on commit drop as select * from work; delete from work; insert into work select nr, what, 0 from w; commit";

async fn rewritten(office: &Office) -> String {
    value(
        &office.cloud,
        "select sum(rewritten) from tandem.reverse_state",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn u08_ticks_come_home_and_are_written_again_once_behind_a_foreign_refill() {
    for place in places() {
        let office = Office::with_tables(&place, SETTINGS, ON_DESKTOP, IN_CLOUD).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(&office.cloud, "update list set done = 1, who = 'asha' where id % 4 = 0; update work set done = 1 where nr % 4 = 0").await;
        came_home(&office).await;
        agree(&office).await;
        assert_eq!(
            value(&office.desktop, "select count(*) from list where done = 1").await,
            "12"
        );
        assert_eq!(rewritten(&office).await, "0");
        let in_cloud = versions(&office).await.1;
        exec(&office.desktop, LOUD).await;
        office.caught_up(&mut service).await;
        came_home(&office).await;
        agree(&office).await;
        // Equal rows have one name: 24 ticks, some of them on two rows of one.
        let once = rewritten(&office).await;
        assert!(once.parse::<i64>().unwrap() >= 20, "{once}");
        assert_eq!(
            versions(&office).await.1,
            in_cloud,
            "P9: not a version of a row changed in the cloud"
        );
        // And then there is peace.
        let quiet = versions(&office).await;
        for _ in 0..5 {
            office.caught_up(&mut service).await;
        }
        assert_eq!(versions(&office).await, quiet);
        assert_eq!(rewritten(&office).await, once, "once");
        office.assert_conserved().await;
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn u08_of_equal_rows_as_many_are_ticked_on_both_sides() {
    let office = Office::with_tables(&newest(), SETTINGS, ON_DESKTOP, IN_CLOUD).await;
    exec(
        &office.desktop,
        "insert into list select 1, 'same', null, 0, null, now() from generate_series(1, 6)",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "update list set done = 1 where id in (select id from list where what = 'same' order by id limit 3)").await;
    came_home(&office).await;
    agree(&office).await;
    // One of the equal rows goes on the desktop, one comes, and one tick is taken back.
    exec(&office.desktop, "delete from list where ctid = (select min(ctid) from list where what = 'same' and done = 1)").await;
    exec(
        &office.desktop,
        "insert into list values (1, 'same', null, 0, null, now())",
    )
    .await;
    exec(&office.cloud, "update list set done = 0, who = 'ravi' where id = (select min(id) from list where what = 'same' and done = 1)").await;
    office.caught_up(&mut service).await;
    came_home(&office).await;
    office.caught_up(&mut service).await;
    came_home(&office).await;
    agree(&office).await;
    assert_eq!(
        value(
            &office.desktop,
            "select count(*) from list where what = 'same'"
        )
        .await,
        "6"
    );
    assert_eq!(service.stop().await, 0);
}

/// Equal rows that look different: the one goes, or comes, that the desktop removed or has more of, whatever order they are stored in.
#[tokio::test(flavor = "multi_thread")]
async fn u08_of_equal_rows_those_go_that_look_as_the_desktops_did() {
    let settings = format!(
        "{SETTINGS}[[table]]\nname = \"later\"\nkey = []\nstream = false\ncloud_owned = [\"done\"]\nmax_shrink = 1\n"
    );
    let desktop = format!("{ON_DESKTOP}; create table later (what text, done int)");
    let cloud = format!(
        "{IN_CLOUD}; create table later (id bigserial primary key, what text, done int, source char(1) default 'D')"
    );
    let office = Office::with_tables(&newest(), &settings, &desktop, &cloud).await;
    let rows = |what: &str, n: u8, done: u8| {
        format!(
            "insert into list select 1, '{what}', null, {done}, null, now() from generate_series(1, {n}); \
             insert into later select '{what}', {done} from generate_series(1, {n})"
        )
    };
    exec(&office.desktop, &rows("last", 4, 0)).await;
    exec(&office.desktop, &rows("first", 2, 0)).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // Those that are ticked stand behind the others, and before those that come now.
    exec(&office.cloud, "update list set done = 1 where id in (select id from list where what = 'last' order by id limit 2) or what = 'first'").await;
    exec(&office.cloud, "update later set done = 1 where id in (select id from later where what = 'last' order by id limit 2) or what = 'first'").await;
    came_home(&office).await;
    exec(&office.desktop, &rows("first", 2, 0)).await;
    let swapped = async || {
        let (code, out, said) = office.ask(&["swap", "later"]).await;
        assert_eq!(code, 0, "{out} {said}");
    };
    let looks = async |of: &tandem::wire::control::Control, table: &str| {
        let sql = format!(
            "select string_agg(v, ', ' order by v) from (select concat_ws(' ', what, done, count(*)) from {table} where what in ('first', 'last') group by what, done) as l(v)"
        );
        value(of, &sql).await
    };
    let settled = async |service: &mut _, wanted: &str| {
        office.caught_up(service).await;
        swapped().await;
        came_home(&office).await;
        for table in ["list", "later"] {
            for side in [&office.cloud, &office.desktop] {
                assert_eq!(looks(side, table).await, wanted, "{table}");
            }
        }
    };
    settled(&mut service, "first 0 2, first 1 2, last 0 2, last 1 2").await;
    // A ticked one goes where the others stand first, and one that isn't where the ticked ones do.
    for table in ["list", "later"] {
        for (what, done) in [("last", 1), ("first", 0)] {
            exec(&office.desktop, &format!("delete from {table} where ctid = (select min(ctid) from {table} where what = '{what}' and done = {done})")).await;
        }
    }
    settled(&mut service, "first 0 1, first 1 2, last 0 2, last 1 1").await;
    // Written anew without ticks, and one less: what a phone said stays.
    exec(&office.desktop, "begin; delete from list where what = 'first'; insert into list select 1, 'first', null, 0, null, now() from generate_series(1, 2); commit; \
        delete from later where what = 'first' and done = 0").await;
    settled(&mut service, "first 1 2, last 0 2, last 1 1").await;
    assert_eq!(service.stop().await, 0);
}

/// Something else had doubled each row in the cloud, and one of two was ticked before tandem came.
#[tokio::test(flavor = "multi_thread")]
async fn u08_of_two_the_first_copy_leaves_the_one_that_was_ticked() {
    let office = Office::with_tables(&newest(), SETTINGS, ON_DESKTOP, IN_CLOUD).await;
    exec(&office.cloud, "insert into list (org, what, mark, done, who) select n % 3, 'item ' || n % 40, 'x', case when i = n % 2 then 1 else 0 end, case when i = n % 2 then 'asha' end \
        from generate_series(1, 50) n, generate_series(0, 1) i").await;
    let (code, out, said) = office.ask(&["bootstrap", "--yes"]).await;
    assert_eq!(code, 0, "{out} {said}");
    let ticked =
        "select count(*) || ' ' || count(*) filter (where done = 1 and who = 'asha') from list";
    assert_eq!(value(&office.cloud, ticked).await, "50 50");
    let mut service = office.run();
    office.caught_up(&mut service).await;
    came_home(&office).await;
    assert_eq!(value(&office.desktop, ticked).await, "50 50");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u08_a_refill_that_tandem_runs_never_shows_a_tick_less() {
    let refill = "\n[refill]\nsql = \"select fill()\"\nevery = \"1s\"\n";
    let office = Office::with_tables(
        &newest(),
        &format!("{SETTINGS}{refill}"),
        ON_DESKTOP,
        IN_CLOUD,
    )
    .await;
    let fill = LOUD
        .trim_start_matches("begin; ")
        .trim_end_matches("; commit")
        .replace(
            "create temporary table l on commit drop as",
            "create temporary table l as",
        )
        .replace(
            "create temporary table w on commit drop as",
            "create temporary table w as",
        );
    exec(&office.desktop, &format!("create table runs (n int); create function fill() returns void language plpgsql as $$ begin {fill}; drop table l; drop table w; insert into runs values (1); end $$")).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "update list set done = 1, who = 'asha' where id % 4 = 0; update work set done = 1 where nr % 4 = 0").await;
    came_home(&office).await;
    until(
        &office.desktop,
        "select count(*) >= 1 from list where done = 1",
    )
    .await;
    exec(&office.desktop, "delete from runs").await;
    // At no moment does anybody on the desktop see less than what was ticked.
    let mut seen = 0;
    while value(&office.desktop, "select count(*) >= 3 from runs").await != "true" {
        assert_eq!(value(&office.desktop, "select (select count(*) from list where done = 1) || ' ' || (select count(*) from work where done = 1)").await, "12 12");
        seen += 1;
    }
    assert!(seen > 3);
    office.caught_up(&mut service).await;
    came_home(&office).await;
    agree(&office).await;
    assert_eq!(
        rewritten(&office).await,
        "0",
        "nothing had to be written again"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn u08_ticks_that_were_there_before_come_home_with_the_first_copy_and_swaps_leave_them() {
    let office = Office::with_tables(&newest(), SETTINGS, ON_DESKTOP, IN_CLOUD).await;
    // Copied by something else before, and ticked since.
    exec(&office.cloud, "insert into list (org, what, mark, done, touched) select n % 3, 'item ' || n % 40, 'x', 0, now() from generate_series(1, 50) n; insert into work (nr, what, done) select n, 'work ' || n, 0 from generate_series(1, 50) n; \
        update list set done = 1 where id % 5 = 0; update work set done = 2 where nr % 5 = 0").await;
    // `touched` can't be the same on both sides.
    exec(&office.desktop, "update list set touched = null").await;
    exec(&office.cloud, "update list set touched = null").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    came_home(&office).await;
    agree(&office).await;
    assert_eq!(
        value(&office.desktop, "select count(*) from list where done = 1").await,
        "10"
    );
    let before = versions(&office).await.1;
    for arguments in [
        &["swap", "list", "work"][..],
        &["bootstrap", "--table", "list"],
    ] {
        let (code, out, said) = office.ask(arguments).await;
        assert_eq!(code, 0, "{out} {said}");
    }
    came_home(&office).await;
    assert_eq!(versions(&office).await.1, before);
    agree(&office).await;
    assert_eq!(service.stop().await, 0);
}

/// A batch waits in the cloud behind somebody's lock while the phone ticks, the ticks come home, and the desktop's program undoes
/// them: our own write and its undoing meet in the next batch.
#[tokio::test(flavor = "multi_thread")]
async fn p17_a_tick_that_came_home_and_was_undone_within_one_batch_is_given_back() {
    let refills = [
        // In one transaction: the rows are the same, and keep what the cloud owns.
        "begin; delete from chk; insert into chk select n, 'check ' || n, 0 from generate_series(1, 10) n; commit",
        "update chk set status = 0 where id in (5, 6, 7)",
        "begin; truncate chk; insert into chk select n, 'check ' || n, 0 from generate_series(1, 10) n; commit",
        "update chk set status = 3; update chk set status = 0",
        "begin; update chk set id = id + 100; update chk set id = id - 100, status = 0; commit",
    ];
    for key in ["", "key = []\n"] {
        let settings = format!(
            "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n[[table]]\nname = \"x\"\n\
             [[table]]\nname = \"chk\"\n{key}cloud_owned = [\"status\"]\nmax_shrink = 1\n"
        );
        let desktop = "create table x (id int primary key, v int); create table chk (id int primary key, txt text, status int); \
            insert into x select n, 0 from generate_series(1, 5) n; insert into chk select n, 'check ' || n, 0 from generate_series(1, 10) n";
        let cloud = "create table x (id int primary key, v int); create table chk (id int, txt text, status int)";
        let cloud = match key {
            "" => cloud.replace("chk (id int", "chk (id int primary key"),
            _ => cloud.to_owned(),
        };
        let office = Office::with_tables(&newest(), &settings, desktop, &cloud).await;
        let mut service = office.run();
        for (round, refill) in refills.into_iter().enumerate() {
            office.caught_up(&mut service).await;
            came_home(&office).await;
            exec(&office.cloud, "update chk set status = 0").await;
            came_home(&office).await;
            until(&office.desktop, "select bool_and(status = 0) from chk").await;
            office.caught_up(&mut service).await;
            exec(&office.cloud, "begin; select * from x for update").await;
            for id in 1..=5 {
                exec(
                    &office.desktop,
                    &format!("update x set v = {round} + 1 where id = {id}"),
                )
                .await;
            }
            until(&office.another_cloud().await, "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and backend_type = 'client backend')").await;
            let phone = office.another_cloud().await;
            exec(&phone, "update chk set status = 1 where id in (5, 6, 7)").await;
            until(
                &office.desktop,
                "select count(*) = 3 from chk where status = 1",
            )
            .await;
            exec(&office.desktop, refill).await;
            exec(&office.cloud, "commit").await;
            for _ in 0..2 {
                office.caught_up(&mut service).await;
                came_home(&office).await;
            }
            let ticked = "select coalesce(string_agg(concat_ws(' ', id, status), ', ' order by id), '') from chk where status <> 0";
            let (desktop, cloud) = (
                value(&office.desktop, ticked).await,
                value(&office.cloud, ticked).await,
            );
            assert_eq!(desktop, cloud, "{key}{refill}");
            // With a key a row is the same as long as no transaction leaves it gone.
            if key.is_empty() {
                assert_eq!(cloud, "5 1, 6 1, 7 1", "{refill}");
            }
        }
        office.assert_conserved().await;
        assert_eq!(service.stop().await, 0);
    }
}

/// A row that goes and comes again in transactions of their own is another row, however they are cut into batches: a tick that
/// came home to it, but was made on the old one, doesn't stay on one side.
#[tokio::test(flavor = "multi_thread")]
async fn p17_a_tick_of_a_row_that_was_made_anew_meanwhile_stays_on_neither_side() {
    let settings = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n[[table]]\nname = \"x\"\n\
         [[table]]\nname = \"chk\"\ncloud_owned = [\"status\"]\nmax_shrink = 1\n";
    let tables = "create table x (id int primary key, v int); create table chk (id int primary key, txt text, status int)";
    let rows = "; insert into x values (1, 0); insert into chk values (5, 'five', 0)";
    for batches in [None, Some(1), Some(5), Some(23)] {
        let office =
            Office::with_tables(&newest(), settings, &format!("{tables}{rows}"), tables).await;
        let mut service = match batches {
            None => office.run(),
            Some(seed) => office.run_cutting(seed),
        };
        office.caught_up(&mut service).await;
        exec(&office.cloud, "begin; select * from x for update").await;
        exec(&office.desktop, "update x set v = 1").await;
        let phone = office.another_cloud().await;
        until(&phone, "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and backend_type = 'client backend')").await;
        exec(&office.desktop, "delete from chk").await;
        exec(&office.desktop, "insert into chk values (5, 'five', 0)").await;
        exec(&phone, "update chk set status = 1").await;
        until(&office.desktop, "select status = 1 from chk").await;
        exec(&office.cloud, "commit").await;
        for _ in 0..2 {
            office.caught_up(&mut service).await;
            came_home(&office).await;
        }
        for side in [&office.desktop, &office.cloud] {
            assert_eq!(value(side, "select status from chk").await, "0");
        }
        assert_eq!(service.stop().await, 0);
    }
}

/// A refill of the desktop's replaces a row while what a phone did to it is being written: between the moment in which the row
/// is looked for and the one in which it is changed. A statement of ours that waits for the first refill finds the row that it
/// made, and the second one takes that away before it is written.
#[tokio::test(flavor = "multi_thread")]
async fn p4_p5_p17_what_comes_home_while_a_refill_replaces_the_row_is_written_after_it() {
    let office = Office::with_tables(
        &newest(),
        "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n\
         [[table]]\nname = \"visits\"\nflow = \"both\"\ncloud_owned = [\"tick\"]\nmax_shrink = 1\n",
        "create table visits (id int, note text, tick int, source char(1)); create function waits() returns trigger language plpgsql as $$ begin \
         if coalesce(current_setting('office.refills', true), '') <> 'yes' then perform pg_advisory_xact_lock_shared(7); end if; return null; end $$; \
         create trigger waits before update or delete on visits for each statement execute function waits()",
        "create table visits (id int primary key, note text, tick int, source char(1))",
    )
    .await;
    exec(
        &office.desktop,
        "insert into visits values (1, 'desk', 0, 'D')",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.cloud,
        "insert into visits values (2, 'phone', 7, 'M'), (3, 'phone', 7, 'M')",
    )
    .await;
    came_home(&office).await;
    office.caught_up(&mut service).await;
    let refill = "begin; set local office.refills = 'yes'; create temporary table v on commit drop as select * from visits; \
        delete from visits; insert into visits select * from v";
    let other = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    let steps = [
        "update visits set tick = 5 where id = 1",
        "update visits set note = 'edited', tick = 8 where id = 2",
        "delete from visits where id = 3",
    ];
    for phone in steps {
        exec(&office.desktop, "select pg_advisory_lock(7)").await;
        exec(&other, refill).await;
        exec(&office.cloud, phone).await;
        until(
            &office.desktop,
            "select exists (select from pg_locks where not granted and locktype = 'transactionid')",
        )
        .await;
        exec(&other, "commit").await;
        until(
            &office.desktop,
            "select exists (select from pg_locks where not granted and locktype = 'advisory')",
        )
        .await;
        exec(&other, refill).await;
        exec(&other, "commit").await;
        exec(&office.desktop, "select pg_advisory_unlock(7)").await;
        came_home(&office).await;
    }
    office.caught_up(&mut service).await;
    came_home(&office).await;
    let sql =
        "select string_agg(concat_ws(' ', id, note, tick, source), ', ' order by id) from visits";
    for side in [&office.cloud, &office.desktop] {
        assert_eq!(value(side, sql).await, "1 desk 5 D, 2 edited 8 M");
    }
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}
