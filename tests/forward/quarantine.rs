//! Rows that the cloud refuses, alone and in company: nothing is lost, nothing is twice, nothing is stuck (P7, P8).

use crate::support::office::{Office, exec, until, value};
use crate::support::servers::newest;

const RETRY: &str = "select pg_logical_emit_message(true, 'tandem.retry', '')";
const EMPTY: &str = "select count(*) = 0 from tandem.quarantine";

async fn office(settings: &str, desktop: &str, cloud: &str) -> Office {
    let settings = format!("[heartbeat]\nevery = \"200ms\"\n{settings}");
    Office::with_tables(&newest(), &settings, desktop, cloud).await
}

/// Waits until so many rows are parked.
async fn parked(office: &Office, rows: u64) {
    let sql = format!("select count(*) = {rows} from tandem.quarantine");
    until(&office.cloud, &sql).await;
}

/// Asks for a try, and waits until nothing is parked any more.
async fn all_heal(office: &Office) {
    exec(&office.desktop, RETRY).await;
    until(&office.cloud, EMPTY).await;
}

/// A function and a trigger that refuse what `when` says.
fn refusal(table: &str, event: &str, when: &str) -> String {
    let result = if event == "delete" { "old" } else { "new" };
    format!(
        "create function refuse_{table}() returns trigger language plpgsql as $$ begin if {when} then raise exception using errcode = '23514', message = 'not now'; end if; return {result}; end $$; \
         create trigger refuse before {event} on {table} for each row execute function refuse_{table}()"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_a_row_with_null_in_its_key_heals_as_one_row() {
    let ddl = "create table part (a int, b text, n int)";
    let cloud = format!("{ddl}; alter table part add constraint sane check (n >= 0)");
    let settings = "[[table]]\nname = \"part\"\nkey = [\"a\", \"b\"]";
    let office = office(settings, ddl, &cloud).await;
    exec(
        &office.desktop,
        "insert into part values (1, null, 1), (2, 'x', 2), (null, null, 3), (4, null, 4)",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // Refused in the stream: the row is there already, under a key with a NULL.
    exec(
        &office.desktop,
        "update part set n = -1 where a = 1; update part set n = -3 where a is null",
    )
    .await;
    parked(&office, 2).await;
    assert_eq!(service.stop().await, 0);
    // And in a copy, where it is tried with all others.
    exec(&office.desktop, "update part set n = -4 where a = 4").await;
    exec(
        &office.cloud,
        "update tandem.table_state set state = 'stopped'",
    )
    .await;
    let mut service = office.run();
    parked(&office, 3).await;
    exec(&office.cloud, "alter table part drop constraint sane").await;
    all_heal(&office).await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(
        value(&office.cloud, "select count(*) from part").await,
        "4",
        "no row is doubled"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_in_source_order_a_parked_version_is_overtaken_by_later_ones_of_its_batch() {
    let ddl = "create table seat (id int primary key, place int unique, name text, big text); alter table seat alter big set storage external";
    let cloud = format!("{ddl}; alter table seat add constraint sane check (name <> 'bad')");
    let office = office("[[table]]\nname = \"seat\"", ddl, &cloud).await;
    exec(
        &office.desktop,
        "insert into seat select i, i, 'ok', repeat('b' || i, 3000) from generate_series(1, 9) i",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // Its folded form meets the unique constraint: in source order. Row 5 is refused, then good; row 50 is new, refused,
    // and changed without its large value; row 6 stays bad.
    exec(&office.desktop, "begin; delete from seat where id = 3; insert into seat values (33, 3, 'took it'); \
        update seat set name = 'bad' where id = 5; insert into seat values (50, 50, 'bad', repeat('new', 3000)); update seat set name = 'bad' where id = 6; \
        update seat set name = 'good' where id = 5; update seat set name = 'good' where id = 50; commit").await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(
            &office.cloud,
            "select string_agg(key[1], ',') from tandem.quarantine"
        )
        .await,
        "6"
    );
    exec(&office.cloud, "alter table seat drop constraint sane").await;
    all_heal(&office).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_follow_its_parent_stops_alone() {
    let desktop = "create table job (id int primary key, client int); create table task (id int primary key, job int)";
    let cloud = "create table job (id int primary key, client int); create table task (id int primary key, job int, client int not null, constraint sane check (client < 100))";
    let settings = "[[table]]\nname = \"job\"\n\n[[table]]\nname = \"task\"\nlookup.client = { from = \"job\", on = { job = \"id\" }, take = \"client\" }\n";
    let office = office(settings, desktop, cloud).await;
    exec(
        &office.desktop,
        "insert into job values (1, 1), (2, 2); insert into task values (10, 1), (20, 2)",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    // A parent that goes leaves what stood in a column that must not be empty.
    exec(&office.desktop, "delete from job where id = 2").await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(
            &office.cloud,
            "select string_agg(client::text, ',' order by id) from task"
        )
        .await,
        "1,2"
    );
    // In a batch.
    exec(&office.desktop, "update job set client = 200 where id = 1").await;
    exec(&office.desktop, "insert into job values (3, 3)").await;
    office.caught_up(&mut service).await;
    let states = office.states().await;
    assert_eq!(
        (states[0].1.as_str(), states[1].1.as_str()),
        ("streaming", "stopped"),
        "{states:?}"
    );
    assert!(states[1].2.contains("sane"), "{states:?}");
    office.assert_equal_but(&["task"]).await;
    // The next start copies it: the rows that the cloud refuses, one for its client and one for want of any, are parked.
    assert_eq!(service.stop().await, 0);
    let mut service = office.run();
    parked(&office, 2).await;
    // In a copy of the parent.
    assert_eq!(service.stop().await, 0);
    exec(&office.cloud, "update tandem.table_state set state = 'streaming' where \"table\" = 'task'; update tandem.table_state set state = 'stopped' where \"table\" = 'job'; delete from tandem.quarantine; update job set client = 1 where id = 1").await;
    let mut again = office.run();
    until(
        &office.cloud,
        "select state = 'streaming' from tandem.table_state where \"table\" = 'job'",
    )
    .await;
    office.caught_up(&mut again).await;
    assert_eq!(office.states().await[1].1, "stopped");
    exec(&office.cloud, "alter table task drop constraint sane").await;
    assert_eq!(again.stop().await, 0);
    service = office.run();
    until(&office.cloud, "select client = 200 from task where id = 10").await;
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_a_healed_parent_is_followed() {
    let desktop = "create table job (id int primary key, client int); create table task (id int primary key, job int)";
    let cloud = "create table job (id int primary key, client int, constraint sane check (client < 100)); create table task (id int primary key, job int, client int)";
    let settings = "[[table]]\nname = \"job\"\n\n[[table]]\nname = \"task\"\nlookup.client = { from = \"job\", on = { job = \"id\" }, take = \"client\" }\n";
    let office = office(settings, desktop, cloud).await;
    exec(
        &office.desktop,
        "insert into job values (1, 500); insert into task values (10, 1)",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    parked(&office, 1).await;
    exec(&office.cloud, "alter table job drop constraint sane").await;
    all_heal(&office).await;
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, "select client from task").await, "500");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_a_slow_table_delays_only_its_own_parked_rows() {
    let ddl = "create table slow (id int primary key, n int); create table quick (id int primary key, n int)";
    let cloud = format!(
        "{ddl}; {}; {}",
        refusal("slow", "insert", "true"),
        refusal("quick", "insert", "true")
    );
    let office = office(
        "[[table]]\nname = \"slow\"\n\n[[table]]\nname = \"quick\"\n",
        ddl,
        &cloud,
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "insert into slow select i, 1 from generate_series(1, 6) i; insert into quick values (1, 1)").await;
    parked(&office, 7).await;
    // Each row takes longer than there is time for all of them, and one goes through.
    let slow = "create or replace function refuse_slow() returns trigger language plpgsql as $$ begin perform pg_sleep(2); if new.id <> 1 then raise exception using errcode = '23514', message = 'not now'; end if; return new; end $$";
    exec(&office.cloud, slow).await;
    exec(&office.cloud, "drop trigger refuse on quick").await;
    exec(&office.desktop, RETRY).await;
    until(
        &office.cloud,
        "select count(*) = 0 from tandem.quarantine where \"table\" = 'quick'",
    )
    .await;
    until(&office.cloud, "select count(*) = 1 from slow").await;
    exec(&office.cloud, "drop trigger refuse on slow").await;
    all_heal(&office).await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_copies_that_could_not_be_removed_are_remembered_and_removed() {
    let ddl = "create table bag (a int)";
    let cloud = format!("{ddl}; {}", refusal("bag", "delete", "old.a = 1"));
    let office = office(
        "[[table]]\nname = \"bag\"\nkey = []\nmax_shrink = 1\n",
        ddl,
        &cloud,
    )
    .await;
    exec(
        &office.desktop,
        "insert into bag select 1 from generate_series(1, 5); insert into bag values (2)",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let one_less = "delete from bag where ctid = (select min(ctid) from bag where a = 1)";
    for waiting in 1..=3 {
        exec(&office.desktop, one_less).await;
        let sql = format!("select sum(copies) = {waiting} from tandem.quarantine");
        until(&office.cloud, &sql).await;
    }
    // A new one makes one of the removals unnecessary.
    exec(&office.desktop, "insert into bag values (1)").await;
    until(
        &office.cloud,
        "select sum(copies) = 2 from tandem.quarantine",
    )
    .await;
    exec(&office.cloud, "drop trigger refuse on bag").await;
    all_heal(&office).await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_many_bytes_of_parked_rows_are_not_kept_in_memory_and_heal_all_the_same() {
    let ddl = "create table doc (id int primary key, n int, body text); alter table doc alter body set storage external";
    let cloud = format!("{ddl}; {}", refusal("doc", "insert", "true"));
    let office = office("[[table]]\nname = \"doc\"\n", ddl, &cloud).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "insert into doc select i, 0, repeat(md5(i::text), 12000) from generate_series(1, 60) i",
    )
    .await;
    parked(&office, 60).await;
    assert_eq!(service.stop().await, 0);
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // One whose value isn't kept here is changed without it: only the desktop has it.
    exec(&office.desktop, "update doc set n = 1").await;
    office.caught_up(&mut service).await;
    let sizes = "select count(*) filter (where sqlstate = 'TD007') between 20 and 50 from tandem.quarantine";
    until(&office.cloud, sizes).await;
    exec(&office.cloud, "drop trigger refuse on doc").await;
    exec(&office.desktop, RETRY).await;
    until(
        &office.cloud,
        "select count(*) = 0 from tandem.quarantine where sqlstate <> 'TD007'",
    )
    .await;
    exec(&office.desktop, "update doc set body = body || '.'").await;
    until(&office.cloud, EMPTY).await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_a_table_with_more_parked_bytes_than_may_wait_stops() {
    let ddl =
        "create table doc (id int primary key, body text); create table other (id int primary key)";
    let cloud = format!("{ddl}; {}", refusal("doc", "insert", "true"));
    let office = office(
        "[[table]]\nname = \"doc\"\n\n[[table]]\nname = \"other\"\n",
        ddl,
        &cloud,
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    for first in (1..=9).step_by(2) {
        let sql = format!(
            "insert into doc select i, repeat(md5(i::text), 240000) from generate_series({first}, {first} + 1) i"
        );
        exec(&office.desktop, &sql).await;
    }
    until(&office.cloud, "select state = 'stopped' and why ~ 'too much to put aside' from tandem.table_state where \"table\" = 'doc'").await;
    exec(&office.desktop, "insert into other values (1)").await;
    office.caught_up(&mut service).await;
    office.assert_equal_but(&["doc"]).await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_what_a_deferred_constraint_refuses_is_parked_row_by_row() {
    let ddl = "create table doc (id int primary key, folder int)";
    let cloud = "create table folder (id int primary key); insert into folder values (1); create table doc (id int primary key, folder int references folder deferrable initially deferred)";
    let settings = "[forward]\nmemory_max = \"8MB\"\n[[table]]\nname = \"doc\"\n";
    let office = office(settings, ddl, cloud).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "insert into doc select i, case when i = 5 then 99 else 1 end from generate_series(1, 10) i").await;
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, "select count(*) from doc").await, "9");
    // And in a transaction too large for memory.
    exec(&office.desktop, "insert into doc select i, case when i = 50 then 99 else 1 end from generate_series(11, 40000) i").await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(&office.cloud, "select count(*) from doc").await,
        "39998"
    );
    let keys = "select string_agg(key[1], ',' order by id) from tandem.quarantine";
    assert_eq!(value(&office.cloud, keys).await, "5,50");
    exec(&office.cloud, "insert into folder values (99)").await;
    all_heal(&office).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_surplus_rows_that_others_refer_to_wait_and_their_table_goes_on() {
    let ddl = "create table client (id int primary key, name text); create table bag (a int)";
    let cloud = format!(
        "{ddl}; create table note (client int references client); alter table bag add constraint one unique (a); create table tag (a int references bag (a))"
    );
    let settings = "[[table]]\nname = \"client\"\nmax_shrink = 1\n\n[[table]]\nname = \"bag\"\nkey = []\nmax_shrink = 1\n";
    let office = office(settings, ddl, &cloud).await;
    exec(&office.desktop, "insert into client select i, 'c' from generate_series(1, 5) i; insert into bag values (1), (2)").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.cloud,
        "insert into note values (2); insert into tag values (2)",
    )
    .await;
    assert_eq!(service.stop().await, 0);
    // The copy finds rows that the desktop no longer has, as after a time in which the table was stopped.
    exec(
        &office.desktop,
        "delete from client where id in (2, 3); delete from bag",
    )
    .await;
    exec(
        &office.cloud,
        "update tandem.table_state set state = 'stopped'",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let states = office.states().await;
    assert!(
        states.iter().all(|(_, state, _)| state == "streaming"),
        "{states:?}"
    );
    let parked = "select string_agg(concat_ws(' ', \"table\", key[1]), ', ' order by 1) from (select * from tandem.quarantine order by \"table\") q";
    assert_eq!(value(&office.cloud, parked).await, "bag 2, client 2");
    exec(&office.cloud, "delete from note; delete from tag").await;
    all_heal(&office).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_tree_that_goes_whole_is_no_obstacle_but_a_phones_leaf_is() {
    let desktop = "create table node (id int primary key, parent int, source text)";
    let cloud = "create table node (id int primary key, parent int references node on delete cascade, source text)";
    let settings = "[[table]]\nname = \"node\"\nmax_shrink = 1\n";
    let office = office(settings, desktop, cloud).await;
    exec(
        &office.desktop,
        "insert into node select i, nullif(i / 2, 0), 'D' from generate_series(1, 31) i",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "insert into node values (1000, 3, 'M')").await;
    exec(&office.desktop, "with recursive tree as (select 2 as id union all select n.id from node n join tree t on n.parent = t.id) delete from node where id in (select id from tree)").await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(&office.cloud, "select count(*) from tandem.quarantine").await,
        "0"
    );
    office.assert_equal().await;
    exec(&office.desktop, "delete from node").await;
    office.caught_up(&mut service).await;
    // What leads to the phone's row waits; the rest goes, leaves first.
    until(
        &office.cloud,
        "select string_agg(id::text, ',' order by id) = '1,3,1000' from node",
    )
    .await;
    exec(&office.cloud, "delete from node where id = 1000").await;
    all_heal(&office).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_f10_where_the_settings_say_so_an_orphan_comes_without_its_parent() {
    let desktop = "create table parent (id int primary key); create table child (id int primary key, parent_id int, must int, note text)";
    let cloud = "create table parent (id int primary key); \
        create table child (id int primary key, parent_id int references parent, must int not null references parent, note text)";
    let settings =
        "[[table]]\nname = \"child\"\norphans = \"null\"\n[[table]]\nname = \"parent\"\n";
    let office = office(settings, desktop, cloud).await;
    exec(
        &office.desktop,
        "insert into parent values (1); insert into child values (1, 1, 1, 'a'), (2, 7, 1, 'b'), (3, null, 1, 'c')",
    )
    .await;
    let rows =
        "select string_agg(concat_ws(' ', id, parent_id, note), '; ' order by id) from child";
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, rows).await, "1 1 a; 2 b; 3 c");
    exec(
        &office.desktop,
        "insert into child values (4, 8, 1, 'd'), (5, 1, 9, 'must have one'); update child set parent_id = 9 where id = 1",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, rows).await, "1 a; 2 b; 3 c; 4 d");
    // A parent that comes in the same transaction is there.
    exec(
        &office.desktop,
        "begin; insert into parent values (7), (9); update child set note = 'e' where id in (2, 5); commit",
    )
    .await;
    office.caught_up(&mut service).await;
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    // And a row that nobody changes again gets the one that came.
    assert_eq!(
        value(&office.cloud, rows).await,
        "1 9 a; 2 7 e; 3 c; 4 d; 5 1 e"
    );
    let (code, out, said) = office.ask(&["bootstrap", "--table", "child"]).await;
    assert_eq!(code, 0, "{out} {said}");
    assert_eq!(
        value(&office.cloud, rows).await,
        "1 9 a; 2 7 e; 3 c; 4 d; 5 1 e"
    );
    assert_eq!(service.stop().await, 0);
}

/// What a column holds is looked at anew when somebody asks for another try.
#[tokio::test(flavor = "multi_thread")]
async fn p7_a_row_that_was_too_long_goes_on_once_the_column_is_wider_and_somebody_asks() {
    let settings =
        "[heartbeat]\nevery = \"200ms\"\n[[table]]\nname = \"item\"\nnarrow = \"quarantine\"\n";
    let office = Office::with_tables(
        &newest(),
        settings,
        "create table item (id int primary key, note text, price money)",
        "create table item (id int primary key, note varchar(5), price numeric(10,2))",
    )
    .await;
    exec(
        &office.desktop,
        "insert into item values (1, 'short', 3.5), (2, 'much longer', 1234.56)",
    )
    .await;
    // A value is planned with as what was sent, not as the text of another type.
    let (code, out, said) = office.ask(&["bootstrap", "--plan", "--json"]).await;
    assert!(code == 0 && out.contains("\"insert\":2"), "{out} {said}");
    let mut service = office.run();
    office.caught_up(&mut service).await;
    until(&office.cloud, "select count(*) = 1 from tandem.quarantine").await;
    exec(
        &office.cloud,
        "alter table item alter note type varchar(60)",
    )
    .await;
    let (code, out, said) = office.ask(&["quarantine", "retry"]).await;
    assert_eq!(code, 0, "{out} {said}");
    // And so do rows that come from now on.
    exec(
        &office.desktop,
        "insert into item values (3, 'as long as that one', null)",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) || ' ' || sum(price) from item"
        )
        .await,
        "3 1238.06"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_row_that_was_too_long_goes_by_itself_once_the_column_is_wider() {
    let settings = "[[table]]\nname = \"item\"\nnarrow = \"quarantine\"\n[[table]]\nname = \"other\"\nnarrow = \"quarantine\"\n";
    let desktop = "create table item (id int primary key, note text); create table other (id int primary key, n numeric)";
    let cloud = "create table item (id int primary key, note varchar(5)); create table other (id int primary key, n numeric(4, 1))";
    let office = office(settings, desktop, cloud).await;
    exec(&office.desktop, "insert into item values (1, 'short'), (2, 'much longer'); insert into other values (1, 1.5), (2, 12345.67)").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    parked(&office, 2).await;
    exec(
        &office.cloud,
        "alter table item alter note type varchar(60)",
    )
    .await;
    parked(&office, 1).await;
    exec(&office.cloud, "alter table other alter n type numeric").await;
    until(&office.cloud, EMPTY).await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// No phone waits longer for a lock of ours, so a batch's refused rows may be too slow to be found: a copy takes the time.
#[tokio::test(flavor = "multi_thread")]
async fn p8_p10_refused_rows_that_cannot_be_found_in_time_are_found_by_a_new_copy() {
    let ddl =
        "create table doc (id int primary key, n int); create table other (id int primary key)";
    // Each row takes its time, and the first and the last are refused.
    let slow = "create function slow() returns trigger language plpgsql as $$ begin \
        if new.n in (1, 99) then raise exception using errcode = '23514', message = 'not this one'; end if; perform pg_sleep(0.08); return new; end $$; \
        create trigger slow before insert on doc for each row execute function slow()";
    let settings = "[[table]]\nname = \"doc\"\n\n[[table]]\nname = \"other\"\n";
    let office = office(settings, ddl, &format!("{ddl}; {slow}")).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "begin; insert into doc select n, n from generate_series(1, 99) n; insert into other values (1); commit").await;
    office.caught_up(&mut service).await;
    until(
        &office.cloud,
        "select bool_and(state = 'streaming') from tandem.table_state",
    )
    .await;
    until(
        &office.cloud,
        "select string_agg(key[1], ' ' order by id) = '1 99' from tandem.quarantine",
    )
    .await;
    assert_eq!(value(&office.cloud, "select count(*) from doc").await, "97");
    assert!(
        office
            .log()
            .contains("there was no time to find which of 99 rows are refused")
    );
    exec(&office.cloud, "drop trigger slow on doc").await;
    until(&office.cloud, EMPTY).await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}
