//! Batches on their way behind one another: far clouds are fed as well as near ones, and one that fails takes none
//! with it.

use std::time::Duration;

use crate::support::office::{Office, PATIENCE, Plan, exec, until, value};
use crate::support::servers::newest;
use tokio::time::{Instant, interval};

const TRIP: Duration = Duration::from_millis(80);

/// An office whose cloud is 80 ms away.
async fn afar(settings: &str, desktop: &str, cloud: &str) -> Office {
    let settings = format!("[heartbeat]\nevery = \"200ms\"\n{settings}");
    let mut plan = Plan::tables(&newest(), &settings);
    plan.delay = TRIP / 2;
    let office = Office::open(&plan).await;
    exec(&office.desktop, desktop).await;
    let cloud = format!("set role postgres; set search_path = public; {cloud}; reset role");
    exec(&office.cloud, &cloud).await;
    office
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_does_not_wait_for_the_answer_to_the_one_before_it() {
    let ddl = "create table item (id int primary key)";
    // No heartbeat comes between: its answer isn't waited for as long as a row's.
    let settings = "[heartbeat]\nevery = \"10m\"\n[[table]]\nname = \"item\"\n";
    let office = Office::with_tables(&newest(), settings, ddl, ddl).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // What came with the first copy says nothing of the stream; a row does.
    exec(&office.desktop, "insert into item values (0)").await;
    until(&office.cloud, "select count(*) = 1 from item").await;
    office.to_cloud.stall_answers();
    let mut said = None;
    // However long the cloud works on each, three may be on their way, and that row may be one.
    for id in 1..=2 {
        exec(&office.desktop, &format!("insert into item values ({id})")).await;
        until(
            &office.cloud,
            &format!("select exists (select from item where id = {id})"),
        )
        .await;
        // What the cloud says of the first row, and of all others, is on its way and arrives nowhere.
        let now = office.to_cloud.stats().to_client;
        assert_eq!(
            *said.get_or_insert(now),
            now,
            "row {id} waited for an answer"
        );
    }
    office.to_cloud.resume();
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p8_a_batch_that_fails_takes_none_with_it_and_none_overtakes_it() {
    let desktop = "create table item (id int primary key, n int, seat int); create table other (id int primary key, n int)";
    let cloud = "create table item (id int primary key, n int, seat int unique, constraint sane check (n <> 13)); create table other (id int primary key, n int)";
    let office = afar(
        "[[table]]\nname = \"item\"\n[[table]]\nname = \"other\"\n",
        desktop,
        cloud,
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let mut wanted = Vec::new();
    for id in 1..=400 {
        // A refused row, later mended; an exchange of seats that needs source order; and rows all around them.
        let mut work = format!(
            "insert into item values ({id}, {}, {id}); insert into other values ({id}, {id})",
            if id % 37 == 0 { 13 } else { id }
        );
        if id % 37 == 20 && id > 37 {
            work += &format!("; update item set n = 14 where id = {}", id - 20);
        }
        if id % 50 == 0 {
            work += &format!(
                "; update item set seat = -1 where id = {id}; update item set seat = {id} where id = {0}; update item set seat = {0} where id = {id}",
                id - 1
            );
        }
        wanted.push(work);
    }
    for work in &wanted {
        exec(&office.desktop, &format!("begin; {work}; commit")).await;
    }
    office.caught_up(&mut service).await;
    let refused = value(
        &office.desktop,
        "select string_agg(id::text, ',' order by id) from item where n = 13",
    )
    .await;
    let parked =
        "select coalesce(string_agg(key[1], ',' order by key[1]::int), '') from tandem.quarantine";
    assert_eq!(value(&office.cloud, parked).await, refused);
    office.assert_equal_but(&["item"]).await;
    exec(&office.cloud, "alter table item drop constraint sane").await;
    exec(
        &office.desktop,
        "select pg_logical_emit_message(true, 'tandem.retry', '')",
    )
    .await;
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_a_table_that_stops_among_batches_on_their_way_stops_alone_and_misses_nothing_uncounted()
{
    let ddl = "create table item (id int primary key, n int); create table other (id int primary key, n int)";
    let office = afar(
        "[[table]]\nname = \"item\"\n[[table]]\nname = \"other\"\n",
        ddl,
        ddl,
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    for id in 1..=200 {
        if id == 60 {
            exec(&office.cloud, "alter table item rename n to gone").await;
        }
        exec(&office.desktop, &format!("begin; insert into item values ({id}, {id}); insert into other values ({id}, {id}); commit")).await;
    }
    office.caught_up(&mut service).await;
    let states = office.states().await;
    assert_eq!(
        (states[0].1.as_str(), states[1].1.as_str()),
        ("stopped", "streaming"),
        "{states:?}"
    );
    let all = "select received + missed = 200 and applied = (select count(*) from item) from tandem.table_state where \"table\" = 'item'";
    assert_eq!(value(&office.cloud, all).await, "true");
    exec(&office.cloud, "alter table item rename gone to n").await;
    office.assert_equal_but(&["item"]).await;
    // Killed, mended and started again, it is copied.
    service.kill().await;
    let mut service = office.run();
    until(
        &office.cloud,
        "select state = 'streaming' from tandem.table_state where \"table\" = 'item'",
    )
    .await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_parked_rows_have_their_turn_where_the_cloud_is_never_idle() {
    let ddl = "create table item (id int primary key, n int); create table other (id int primary key, n int)";
    let cloud = format!(
        "{ddl}; alter table item add constraint sane check (n <> 13); alter table other add constraint sane check (n <> 13)"
    );
    let office = afar(
        "[[table]]\nname = \"item\"\n[[table]]\nname = \"other\"\n",
        ddl,
        &cloud,
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "insert into item values (0, 13); insert into other values (0, 13)",
    )
    .await;
    until(&office.cloud, "select count(*) = 2 from tandem.quarantine").await;
    let mut ticks = interval(Duration::from_millis(20));
    let (mut id, mut mended, mut healed) = (0, false, false);
    let since = Instant::now();
    while !healed && since.elapsed() < PATIENCE {
        ticks.tick().await;
        id += 1;
        exec(
            &office.desktop,
            &format!("insert into item values ({id}, {})", id + 20),
        )
        .await;
        if id == 100 {
            exec(
                &office.cloud,
                "alter table item drop constraint sane; alter table other drop constraint sane",
            )
            .await;
            mended = true;
        }
        if mended && id % 10 == 0 {
            healed = value(&office.cloud, "select count(*) from tandem.quarantine").await == "0";
        }
    }
    assert!(healed, "the stream never let them try");
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_what_became_void_never_holds_up_what_is_sent_again() {
    let ddl = "create table seat (id int primary key, place int unique)";
    let settings = "[heartbeat]\nevery = \"200ms\"\n[[table]]\nname = \"seat\"\n";
    let office = Office::with_tables(&newest(), settings, ddl, ddl).await;
    exec(
        &office.desktop,
        "insert into seat select i, i from generate_series(1, 100) i",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // Close by, one transaction after the other, and each batch of them has to be tried in source order.
    exec(&office.desktop, "do $$ begin for i in 1..2000 loop \
        update seat set place = -1 where id = i % 99 + 1; update seat set place = -2 where id = i % 99 + 2; \
        update seat set place = (i % 99 + 2) where id = i % 99 + 1; update seat set place = (i % 99 + 1) where id = i % 99 + 2; commit; \
        update seat set place = -1 where id = i % 99 + 1; update seat set place = i % 99 + 2 where id = i % 99 + 2; update seat set place = i % 99 + 1 where id = i % 99 + 1; commit; \
        if i % 10 = 0 then perform pg_sleep(0.002); end if; end loop; end $$").await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

/// A fault that passes, in one of several batches on their way: those behind it never go without it.
#[tokio::test(flavor = "multi_thread")]
async fn p1_a_batch_that_meets_a_deadlock_is_not_passed_by_those_behind_it() {
    let ddl = "create table item (id int primary key, n int)";
    let cloud = format!(
        "{ddl}; create sequence met; create function deadlock() returns trigger language plpgsql as $$ begin \
         if new.id = 5 and nextval('met') = 1 then raise exception using errcode = '40P01', message = 'deadlock detected'; end if; return new; end $$; \
         create trigger deadlock before insert on item for each row execute function deadlock()"
    );
    let office = afar("[[table]]\nname = \"item\"\n", ddl, &cloud).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let mut ticks = interval(Duration::from_millis(15));
    for id in 0..40 {
        ticks.tick().await;
        exec(
            &office.desktop,
            &format!("insert into item values ({id}, 0)"),
        )
        .await;
    }
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

const FORGETS: &str = "create function forgets() returns trigger language plpgsql as $$ begin execute 'deallocate all'; return new; end $$; \
    create trigger forgets before insert on item for each row when (new.v = 'forgets') execute function forgets()";

/// Rows, one transaction each, with whatever happens to what the cloud's session keeps of their statements.
async fn lone_rows(office: &Office) {
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let mut id = 0;
    let rows = async |id: &mut i32, rows: i32, v: &str| {
        for _ in 0..rows {
            *id += 1;
            let insert = format!("insert into item values ({id}, '{v}')");
            exec(&office.desktop, &insert).await;
            until(&office.cloud, &format!("select count(*) = {id} from item")).await;
        }
    };
    rows(&mut id, 8, "words").await;
    exec(&office.desktop, "update item set v = v || id").await;
    // Statements that the session has were made for another table.
    for change in [
        "alter table item alter v type varchar",
        "alter table item add column own int default 7",
        "alter table item alter id type bigint",
    ] {
        exec(&office.cloud, change).await;
        rows(&mut id, 2, "words").await;
    }
    // One that the cloud refuses takes nobody with it.
    exec(&office.cloud, "alter table item add check (v <> 'never')").await;
    exec(&office.desktop, "insert into item values (1000, 'never')").await;
    rows(&mut id, 7, "words").await;
    exec(&office.desktop, "update item set v = 'now' where id = 1000").await;
    until(
        &office.cloud,
        "select exists (select from item where id = 1000 and v = 'now')",
    )
    .await;
    exec(&office.desktop, "delete from item where id = 1000").await;
    until(&office.cloud, &format!("select count(*) = {id} from item")).await;
    // The session forgets all that it was told, in the middle of a transaction.
    exec(&office.cloud, FORGETS).await;
    rows(&mut id, 3, "forgets").await;
    rows(&mut id, 3, "words").await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

const LONE: &str = "[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"item\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn p1_p8_what_a_session_was_told_may_change_or_be_forgotten() {
    let ddl = "create table item (id int primary key, v text)";
    let office = Office::with_tables(&newest(), LONE, ddl, ddl).await;
    lone_rows(&office).await;
    let log = office.log();
    let told = log.matches("did not keep a statement").count();
    assert_eq!(told, 1, "statements have names, and lost them once: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_no_statement_has_a_name() {
    if crate::support::no_bouncer() {
        return;
    }
    let mut plan = Plan::tables(&newest(), LONE);
    plan.bouncer = true;
    let office = Office::open(&plan).await;
    let ddl = "create table item (id int primary key, v text)";
    exec(&office.desktop, ddl).await;
    exec(
        &office.cloud,
        &format!("set role postgres; {ddl}; reset role"),
    )
    .await;
    lone_rows(&office).await;
    let log = office.log();
    assert!(!log.contains("did not keep a statement"), "{log}");
}
