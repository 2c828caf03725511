//! Rows that a trigger, a rule or row security keeps out without an error are never counted as written: they wait in
//! quarantine under the name of what kept them out, on every road and in both directions (P7, P8).

use crate::support::office::{Office, came_home, exec, until, value};
use crate::support::servers::newest;

const RETRY: &str = "select pg_logical_emit_message(true, 'tandem.retry', '')";
const FAST: &str = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n";
const TABLES: &str = "[[table]]\nname = \"visit\"\nmax_shrink = 1.0\n[[table]]\nname = \"bag\"\nkey = []\nmax_shrink = 1.0\n";
const DDL: &str =
    "create table visit (id int primary key, n int, note text); create table bag (a int, b text);";

/// Keeps out what has 13, and keeps in what had 99.
const KEEPER: &str = "create function keep() returns trigger language plpgsql as $$ begin \
    if tg_op = 'DELETE' then if to_jsonb(old) ->> tg_argv[0] = '99' then return null; end if; return old; end if; \
    if to_jsonb(new) ->> tg_argv[0] = '13' then return null; end if; return new; end $$; \
    create trigger keeper before insert or update or delete on visit for each row execute function keep('n'); \
    create trigger keeper before insert or update or delete on bag for each row execute function keep('a');";
const RELEASE: &str = "drop trigger keeper on visit; drop trigger keeper on bag";

async fn office(settings: &str, desktop: &str, cloud: &str) -> Office {
    Office::with_tables(&newest(), &format!("{FAST}{settings}"), desktop, cloud).await
}

/// What is parked, as table, key and reason.
async fn parked(office: &Office) -> String {
    let sql = "select coalesce(string_agg(concat_ws(' ', \"table\", key::text, work), '; ' order by \"table\", key::text), '') from tandem.quarantine";
    value(&office.cloud, sql).await
}

/// What kept them out is gone: they go by themselves with the next try.
async fn heals(office: &Office, mend: &str) {
    exec(&office.cloud, mend).await;
    exec(&office.desktop, RETRY).await;
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_what_a_trigger_keeps_out_of_the_stream_waits_under_its_name() {
    let cloud = format!("{DDL}{KEEPER}");
    let office = office(TABLES, DDL, &cloud).await;
    exec(&office.desktop, "insert into visit select i, i + 50, 'x' from generate_series(1, 60) i; insert into bag select i + 50, 'x' from generate_series(1, 60) i").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(parked(&office).await, "");
    // New rows, changed rows, rows that go: in one transaction, and each alone.
    exec(&office.desktop, "begin; insert into visit select i, case when i = 104 then 13 else i end, 'new' from generate_series(101, 110) i; \
        insert into bag values (1, 'new'), (13, 'new'), (13, 'new'), (2, 'new'); update visit set n = 13 where id in (3, 5); update visit set note = 'y' where id = 7; \
        delete from visit where n between 95 and 101; delete from bag where a between 95 and 101; commit").await;
    exec(
        &office.desktop,
        "insert into visit values (200, 13, 'alone')",
    )
    .await;
    exec(
        &office.desktop,
        "update visit set n = 13, note = 'z' where id = 9",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(
        parked(&office).await,
        "bag {13,new} add; bag {99,x} remove; visit {104} upsert; visit {200} upsert; visit {3} upsert; visit {49} delete; visit {5} upsert; visit {9} upsert"
    );
    assert_eq!(
        value(
            &office.cloud,
            "select string_agg(distinct concat_ws(' ', sqlstate, why), '; ') from tandem.quarantine where \"table\" = 'visit'"
        )
        .await,
        "TD014 visit keeps it out without an error: trigger keeper; TD014 visit keeps it without an error: trigger keeper"
    );
    office.assert_conserved().await;
    let (code, said, _) = office.ask(&["status"]).await;
    assert!(code == 1, "{said}");
    // Later versions of parked rows join them, and a good one gets through.
    exec(
        &office.desktop,
        "update visit set note = 'later' where id = 3; update visit set n = 14 where id = 5",
    )
    .await;
    office.caught_up(&mut service).await;
    assert!(!parked(&office).await.contains("{5}"));
    heals(&office, RELEASE).await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_what_a_trigger_keeps_out_of_copies_swaps_and_large_transactions_waits_too() {
    let settings = format!("[forward]\nmemory_max = \"8MB\"\n{TABLES}");
    let cloud = format!("{DDL}{KEEPER}");
    let office = office(&settings, DDL, &cloud).await;
    exec(&office.desktop, "insert into visit select i, i, 'x' from generate_series(1, 60) i; insert into bag select i, 'x' from generate_series(1, 60) i").await;
    // An empty table is filled by COPY, one that has rows by a diff.
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let copied = "bag {13,x} add; visit {13} upsert";
    assert_eq!(parked(&office).await, copied);
    let (code, out, said) = office.ask(&["swap", "visit", "bag"]).await;
    assert!(code == 0 || code == 1, "{out}{said}");
    assert_eq!(parked(&office).await, copied);
    // Rows that others put there, of which one can't be taken away, and one that was changed.
    exec(&office.cloud, "alter table visit disable trigger keeper; alter table bag disable trigger keeper; \
        insert into visit values (700, 99, 'strange'), (701, 1, 'strange'); insert into bag values (99, 'strange'); \
        update visit set note = 'strange' where id in (20, 21); delete from visit where id = 22; \
        alter table visit enable trigger keeper; alter table bag enable trigger keeper").await;
    office.ask(&["swap", "visit", "bag"]).await;
    assert_eq!(
        parked(&office).await,
        "bag {13,x} add; bag {99,strange} remove; visit {13} upsert; visit {700} delete"
    );
    // A transaction that goes over disk.
    exec(&office.desktop, "begin; insert into visit select i, i, 'ballast' from generate_series(10001, 50000) i; \
        update visit set n = 13 where id in (30, 31); insert into visit values (60001, 13, 'new'); insert into bag values (13, 'large'); \
        insert into bag select i, 'ballast' from generate_series(1000, 20000) i; delete from visit where id = 40; commit").await;
    office.caught_up(&mut service).await;
    let now = parked(&office).await;
    assert_eq!(
        now,
        "bag {13,large} add; bag {13,x} add; bag {99,strange} remove; visit {13} upsert; visit {30} upsert; visit {31} upsert; visit {60001} upsert; visit {700} delete"
    );
    // One that empties its tables first.
    exec(&office.desktop, "begin; truncate visit, bag; insert into visit select i, i, 'after' from generate_series(1, 30) i; insert into bag values (13, 'after'), (14, 'after'); commit").await;
    office.caught_up(&mut service).await;
    let now = parked(&office).await;
    assert_eq!(
        now,
        "bag {13,after} add; bag {99,strange} remove; visit {13} upsert; visit {700} delete"
    );
    office.assert_conserved().await;
    let (code, out, said) = office.ask(&["repair", "--apply"]).await;
    assert!(code == 0 || code == 1, "{out}{said}");
    heals(&office, RELEASE).await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) from visit where note = 'strange'"
        )
        .await,
        "0"
    );
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_trigger_that_writes_a_row_in_its_own_way_keeps_nothing_out() {
    let tables = "[[table]]\nname = \"visit\"\n[[table]]\nname = \"part\"\n";
    let desktop = format!("{DDL} create table part (id int primary key, n int);");
    // One that marks and trims, one that sends rows to children of a table, as was done before there were partitions.
    let cloud = "create table visit (id int primary key, n int, note text, seen timestamptz); create table part (id int primary key, n int); create table part_13 (primary key (id)) inherits (part); \
        create function touch() returns trigger language plpgsql as $$ begin new.seen := now(); new.note := upper(new.note); return new; end $$; \
        create trigger touch before insert or update on visit for each row execute function touch(); \
        create function send() returns trigger language plpgsql as $$ begin if new.n = 13 then insert into part_13 values (new.*); return null; end if; return new; end $$; \
        create trigger send before insert on part for each row execute function send()";
    let office = office(tables, &desktop, cloud).await;
    exec(&office.desktop, "insert into visit select i, i, 'x' from generate_series(1, 5) i; insert into part select i, i from generate_series(1, 20) i").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "insert into visit select i, i, 'y' from generate_series(6, 12) i; update visit set n = n + 1 where id < 8; insert into part select i, 13 from generate_series(21, 25) i").await;
    office.caught_up(&mut service).await;
    assert_eq!(parked(&office).await, "");
    assert_eq!(
        value(&office.cloud, "select concat_ws(' ', count(*), sum(n), count(*) filter (where note = upper(note)), (select count(*) from part), (select count(*) from part_13)) from visit").await,
        "12 85 12 25 6"
    );
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_rule_that_writes_nothing_instead_keeps_rows_out_one_by_one() {
    let cloud = format!(
        "{DDL} create rule no_thirteen as on insert to visit where new.n = 13 do instead nothing; \
         create rule stays as on update to visit where new.n = 14 do instead nothing"
    );
    let office = office(TABLES, DDL, &cloud).await;
    exec(
        &office.desktop,
        "insert into visit select i, i + 20, 'x' from generate_series(1, 9) i",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "begin; insert into visit select i, i, 'new' from generate_series(10, 15) i; update visit set n = 14 where id = 2; update visit set n = 2 where id = 3; commit").await;
    office.caught_up(&mut service).await;
    assert_eq!(parked(&office).await, "visit {13} upsert; visit {2} upsert");
    assert_eq!(
        value(
            &office.cloud,
            "select string_agg(why, '; ' order by key) from tandem.quarantine"
        )
        .await,
        "visit keeps it out without an error: rule no_thirteen, rule stays; visit keeps it out without an error: rule no_thirteen, rule stays"
    );
    heals(
        &office,
        "drop rule no_thirteen on visit; drop rule stays on visit",
    )
    .await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_where_a_trigger_is_wanted_what_it_keeps_out_is_ruled_out_and_counted() {
    let tables = TABLES.replace("max_shrink", "kept_out = \"rule_out\"\nmax_shrink");
    let cloud = format!("{DDL}{KEEPER}");
    let office = office(&tables, DDL, &cloud).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "insert into visit select i, i, 'x' from generate_series(1, 99) i; insert into bag select i, 'x' from generate_series(1, 99) i").await;
    office.caught_up(&mut service).await;
    exec(&office.desktop, "update visit set n = 13 where id in (20, 21); delete from visit where id = 99; delete from bag where a = 99; update visit set note = 'y' where id = 22").await;
    office.caught_up(&mut service).await;
    assert_eq!(parked(&office).await, "");
    let counts = "select string_agg(concat_ws(' ', \"table\", received, applied, folded, ruled_out, quarantined), '; ' order by \"table\") from tandem.table_state";
    assert_eq!(
        value(&office.cloud, counts).await,
        "bag 100 98 0 2 0; visit 103 99 0 4 0"
    );
    office.assert_conserved().await;
    let (code, said, _) = office.ask(&["status"]).await;
    assert!(code == 0, "{said}");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_what_a_trigger_of_the_desktop_keeps_out_waits_on_its_way_home() {
    let settings = "[[table]]\nname = \"visit\"\nflow = \"reverse\"\n[[table]]\nname = \"late\"\nflow = \"reverse\"\nkept_out = \"rule_out\"\n[[table]]\nname = \"tick\"\ncloud_owned = [\"done\"]\n";
    let ddl = "create table visit (id int primary key, n int, source char(1)); create table late (id int primary key, n int, source char(1)); create table tick (id int primary key, done int);";
    let keeper = "create function keep() returns trigger language plpgsql as $$ begin \
        if tg_op = 'DELETE' then if old.n = 99 then return null; end if; return old; end if; if to_jsonb(new) ->> tg_argv[0] = '13' then return null; end if; return new; end $$; \
        create trigger keeper before insert or update or delete on visit for each row execute function keep('n'); \
        create trigger keeper before insert or update or delete on late for each row execute function keep('n'); \
        create trigger keeper before update on tick for each row execute function keep('done');";
    let office = office(settings, &format!("{ddl}{keeper}"), ddl).await;
    exec(&office.desktop, "insert into tick values (1, 0), (2, 0)").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "insert into visit select i, i + 80, 'M' from generate_series(1, 30) i; insert into late select i, i, 'M' from generate_series(10, 15) i; update tick set done = id + 11").await;
    came_home(&office).await;
    exec(&office.cloud, "insert into visit values (50, 13, 'M'), (51, 14, 'M'); update visit set n = 13 where id = 2; delete from visit where id in (18, 19, 20)").await;
    came_home(&office).await;
    assert_eq!(
        parked(&office).await,
        "tick {2} upsert; visit {19} upsert; visit {2} upsert; visit {50} upsert"
    );
    assert_eq!(
        value(&office.cloud, "select string_agg(distinct concat_ws(' ', sqlstate, why), '; ') from tandem.quarantine where key in ('{2}', '{50}')").await,
        "TD014 tick keeps it out without an error: trigger keeper; TD014 visit keeps it out without an error: trigger keeper"
    );
    let counts = "select string_agg(concat_ws(' ', \"table\", received, applied, folded, ruled_out, quarantined), '; ' order by \"table\") from tandem.reverse_state";
    assert_eq!(
        value(&office.cloud, counts).await,
        "late 6 5 0 1 0; tick 2 1 0 0 1; visit 36 33 0 0 3"
    );
    // The reason is gone: they go with the next try.
    exec(
        &office.desktop,
        "drop trigger keeper on visit; drop trigger keeper on tick",
    )
    .await;
    let (code, out, said) = office.ask(&["quarantine", "retry"]).await;
    assert!(code == 0 || code == 1, "{out}{said}");
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    for table in ["visit", "tick"] {
        let rows =
            format!("select string_agg(to_jsonb(t)::text, ';' order by id) from {table} as t");
        assert_eq!(
            value(&office.desktop, &rows).await,
            value(&office.cloud, &rows).await
        );
    }
    assert_eq!(service.stop().await, 0);
}

/// Nobody counts many new rows as long as nothing can keep one out; a trigger that comes is noticed with the next ones.
#[tokio::test(flavor = "multi_thread")]
async fn p7_what_is_kept_out_of_very_many_new_rows_waits_too() {
    let office = office(TABLES, DDL, DDL).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let rows = |from: u32| {
        let to = from + 5000;
        format!(
            "begin; insert into visit select i, case i % 5000 when 17 then 13 else 1 end, 'x' from generate_series({from}, {to} - 1) i; \
             insert into bag select case i % 5000 when 17 then 13 else i + 1000 end, 'x' from generate_series({from}, {to} - 1) i; commit"
        )
    };
    exec(&office.desktop, &rows(0)).await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    exec(&office.cloud, KEEPER).await;
    for (from, waits) in [
        (5000, "bag {13,x} add; visit {5017} upsert"),
        (
            10000,
            "bag {13,x} add; visit {10017} upsert; visit {5017} upsert",
        ),
    ] {
        exec(&office.desktop, &rows(from)).await;
        office.caught_up(&mut service).await;
        assert_eq!(parked(&office).await, waits);
    }
    office.assert_conserved().await;
    heals(&office, RELEASE).await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}
