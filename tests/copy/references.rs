//! Foreign keys that are checked together while empty tables are filled (`[copy] check_foreign_keys = "once"`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tandem::wire::control::Control;

use crate::support::office::{Office, connect, exec, until, value};
use crate::support::servers::newest;

/// Large enough to be filled alone, and `large` in pieces.
const ROWS: u32 = 3_000;
const LARGE: u32 = 24_000;

fn settings() -> String {
    let tables = ["parent", "plain", "orphaned", "watched", "counted", "large"];
    let tables = tables.map(|name| format!("[[table]]\nname = \"{name}\"\n"));
    format!(
        "[heartbeat]\nevery = \"200ms\"\n[copy]\ncheck_foreign_keys = \"once\"\n{}",
        tables.concat()
    )
}

fn desktop() -> String {
    let child = |name: &str, rows: u32| {
        format!(
            "create table {name} (id int primary key, a int, b text, fill text);
             insert into {name} select n, n % 50, case when n % 7 > 0 then 'p\t' || n % 50 end, repeat('x', 400)
             from generate_series(1, {rows}) as n;"
        )
    };
    let children = ["plain", "orphaned", "watched", "counted"].map(|name| child(name, ROWS));
    format!(
        "create table parent (a int, b text, primary key (a, b));
         insert into parent select n, 'p\t' || n from generate_series(0, 49) as n;
         {} {} update orphaned set b = 'nobody' where id in (7, 2999);
         update large set a = 99 where id = {LARGE}",
        children.concat(),
        child("large", LARGE)
    )
}

fn cloud() -> String {
    let child = |name: &str| {
        format!(
            "create table {name} (id int primary key, a int, b text, fill text, foreign key (a, b) references parent);"
        )
    };
    let children = ["plain", "orphaned", "watched", "counted", "large"].map(child);
    format!(
        "create table parent (a int, b text, primary key (a, b)); {}
         create table heard (name text);
         create function hear() returns trigger language plpgsql as
           $$ begin insert into public.heard values (tg_table_name || ' ' || tg_name); return null; end $$;
         create trigger ordinary after insert on watched for each row execute function hear();
         create trigger always after insert on counted for each row execute function hear();
         create trigger replica after insert on watched for each row execute function hear()",
        children.concat()
    )
}

const HEARD: &str = "select coalesce(string_agg(name || ' ' || n, ', ' order by name), '')
    from (select name, count(*) as n from heard group by 1) as heard";

async fn bootstrapped(office: &Office) -> String {
    let (code, out, said) = office.ask(&["-v", "bootstrap"]).await;
    assert_eq!(code, 1, "{out} {said}");
    let parked = "select string_agg(concat_ws(' ', \"table\", key[1], sqlstate), ', ' order by \"table\", key[1]::int) from tandem.quarantine";
    assert_eq!(
        value(&office.cloud, parked).await,
        format!("large {LARGE} 23503, orphaned 7 23503, orphaned 2999 23503")
    );
    let counts = "select concat_ws(' ', (select count(*) from plain), (select count(*) from orphaned),
        (select count(*) from watched), (select count(*) from counted), (select count(*) from large))";
    let (few, large) = (ROWS - 2, LARGE - 1);
    assert_eq!(
        value(&office.cloud, counts).await,
        format!("{ROWS} {few} {ROWS} {ROWS} {large}")
    );
    assert_eq!(
        value(&office.cloud, HEARD).await,
        format!("counted always {ROWS}, watched ordinary {ROWS}")
    );
    said
}

/// The table's foreign keys were checked together.
fn together(said: &str, table: &str, yes: bool) {
    let how = if yes { "together" } else { "row by row" };
    let words = format!("foreign keys are checked {how} table={table}");
    assert!(said.contains(&words), "{words}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_foreign_keys_that_are_checked_together_find_what_those_checked_row_by_row_find() {
    let binaries = newest();
    if binaries.version < 15 {
        println!(
            "skipped: the right to session_replication_role can be granted from PostgreSQL 15 on"
        );
        return;
    }
    let office = Office::with_tables(&binaries, &settings(), &desktop(), &cloud()).await;
    exec(
        &office.cloud,
        "alter table counted enable always trigger always; alter table watched enable replica trigger replica",
    )
    .await;
    // Not allowed: it says so, once, and does as ever.
    let said = bootstrapped(&office).await;
    let refused = "does not let us check foreign keys together";
    assert_eq!(said.matches(refused).count(), 1, "{said}");
    let (code, out, said) = office.ask(&["uninstall", "--yes"]).await;
    assert_eq!(code, 0, "{out} {said}");
    exec(
        &office.cloud,
        "truncate parent, plain, orphaned, watched, counted, large, heard; \
         grant set on parameter session_replication_role to postgres",
    )
    .await;
    let said = bootstrapped(&office).await;
    for (table, yes) in [
        ("plain", true),
        ("orphaned", true),
        ("counted", true),
        ("large", true),
        ("watched", false),
    ] {
        together(&said, table, yes);
    }
    // The constraints hold, and what comes later is checked as ever.
    exec(&office.cloud, "alter table plain drop constraint plain_a_b_fkey; alter table plain add foreign key (a, b) references parent").await;
    let mut service = office.run();
    exec(
        &office.desktop,
        "update plain set b = 'nobody' where id = 1; update orphaned set b = null where id = 7",
    )
    .await;
    office.caught_up(&mut service).await;
    let parked = "select string_agg(\"table\" || ' ' || key[1], ', ' order by 1) from tandem.quarantine where \"table\" <> 'large'";
    assert_eq!(value(&office.cloud, parked).await, "orphaned 2999, plain 1");
    assert_eq!(service.stop().await, 0);
}

const OTHERS: &str = "[heartbeat]\nevery = \"200ms\"\n[copy]\ncheck_foreign_keys = \"once\"\n\
    [[table]]\nname = \"halves\"\n[[table]]\nname = \"of_halves\"\n[[table]]\nname = \"boss\"\n\
    [[table]]\nname = \"span\"\n[[table]]\nname = \"within\"\n[[table]]\nname = \"large\"\n";

/// What both sides have: a parent in partitions, parents that hold for a while, and children of these; the cloud's with foreign keys.
fn others(newest: bool, cloud: bool) -> String {
    let only = |sql: &'static str, here: bool| if here { sql } else { "" };
    let halves = only(" references halves", cloud);
    let (without, period) = match (newest, cloud) {
        (true, true) => (
            " without overlaps",
            ", foreign key (a, period lasts) references span",
        ),
        _ => ("", ""),
    };
    format!(
        "create table halves (id int primary key) partition by range (id);
         create table lower_half partition of halves for values from (0) to (50);
         create table upper_half partition of halves for values from (50) to (100);
         create table of_halves (id int primary key, a int{halves}, fill text);
         create table boss (id int primary key);
         create table span (a int4range, lasts int4range, primary key (a, lasts{without}));
         create table within (id int primary key, a int4range, lasts int4range, fill text{period});
         create table large (id int primary key, a int, b int, fill text)"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_what_values_alone_do_not_say_or_what_came_meanwhile_is_not_checked_together() {
    let binaries = newest();
    if binaries.version < 15 {
        println!("skipped: as above");
        return;
    }
    let periods = binaries.version >= 18;
    let rows = format!(
        "insert into halves select generate_series(0, 99); insert into boss select generate_series(1, 99);
         insert into of_halves select n, n % 100, repeat('x', 400) from generate_series(1, {ROWS}) as n;
         insert into span values ('[1,2)', '[1,10)');
         insert into within select n, '[1,2)', case n when 7 then int4range(5, 15) else '[3,9)' end, repeat('x', 400)
           from generate_series(1, {ROWS}) as n;
         insert into large select n, 1, case n when {LARGE} then 100 else 1 end, repeat('x', 400) from generate_series(1, {LARGE}) as n"
    );
    let desktop = format!("{}; {rows}", others(periods, false));
    let cloud = others(periods, true);
    let office = Office::with_tables(&binaries, OTHERS, &desktop, &cloud).await;
    exec(
        &office.cloud,
        "grant set on parameter session_replication_role to postgres",
    )
    .await;
    // Somebody gives the large table a foreign key behind the question which it has, before its first row.
    let somebody = connect(&office.servers.cloud, "supabase_admin", "postgres").await;
    exec(
        &somebody,
        "begin; lock table large in share row exclusive mode",
    )
    .await;
    let waits =
        "select count(*) > 0 from pg_locks where relation = 'large'::regclass and not granted";
    let (bootstrapped, ()) = tokio::join!(office.ask(&["-v", "bootstrap"]), async {
        until(&office.cloud, waits).await;
        exec(
            &somebody,
            "alter table large add foreign key (b) references boss; commit",
        )
        .await;
    });
    let (code, out, said) = bootstrapped;
    assert_eq!(code, 1, "{out} {said}");
    together(&said, "of_halves", true);
    assert!(!said.contains("not by COPY table=of_halves"), "{said}");
    together(&said, "within", !periods);
    together(&said, "large", true);
    assert!(said.contains("than it had a moment ago"), "{said}");
    let parked = "select string_agg(concat_ws(' ', \"table\", key[1], sqlstate), ', ' order by \"table\") from tandem.quarantine";
    let within = if periods { ", within 7 23503" } else { "" };
    assert_eq!(
        value(&office.cloud, parked).await,
        format!("large {LARGE} 23503{within}")
    );
    let again = "alter table large drop constraint large_b_fkey; alter table large add foreign key (b) references boss";
    exec(&office.cloud, again).await;
    if periods {
        let again = "alter table within drop constraint within_a_lasts_fkey; alter table within add foreign key (a, period lasts) references span";
        exec(&office.cloud, again).await;
    }
    // Rows that are tried piece by piece are looked for, whatever was said to what writes a table whole: for each piece the whole
    // table would be read otherwise.
    exec(
        &somebody,
        "create table seen (loops text); begin; set local enable_nestloop = off;
         select tandem.by_halves('insert into seen select current_setting(''enable_nestloop'') from unnest($1)',
           array['(0,1)', '(0,2)']::tid[], 1, true, '{}', false, '1 minute', 10);
         insert into seen select 'then ' || current_setting('enable_nestloop'); commit",
    )
    .await;
    let seen = "select string_agg(distinct loops, ', ' order by loops) from seen";
    assert_eq!(value(&somebody, seen).await, "on, then off");
}

/// Parents and their children, of which one pair goes and another comes with each transaction.
async fn come_and_go(desktop: Control, stop: Arc<AtomicBool>) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let (old, new) = (n % 400, 1_000 + n);
        let change = format!(
            "begin; delete from child where parent_id = {old}; delete from parent where id = {old}; insert into parent values ({new});
             insert into child select {LARGE} + {n} * 3 + i, {new}, 'came' from generate_series(1, 3) as i; commit"
        );
        exec(&desktop, &change).await;
        // Now and then one comes that nobody refers to, and one comes back.
        exec(
            &desktop,
            &format!("insert into parent values ({old}) on conflict do nothing"),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p8_keys_are_checked_together_while_parents_come_and_go_on_the_desktop() {
    let binaries = newest();
    if binaries.version < 15 {
        println!("skipped: as above");
        return;
    }
    let rows = format!(
        "create table parent (id int primary key); create table child (id int primary key, parent_id int references parent, fill text);
         insert into parent select generate_series(0, 999);
         insert into child select n, n % 1000, repeat('x', 400) from generate_series(1, {LARGE}) as n"
    );
    let cloud = "create table parent (id int primary key); create table child (id int primary key, parent_id int references parent, fill text)";
    let settings = "[heartbeat]\nevery = \"200ms\"\n[copy]\ncheck_foreign_keys = \"once\"\n[[table]]\nname = \"parent\"\nmax_shrink = 1\n[[table]]\nname = \"child\"\nmax_shrink = 1\n";
    let office = Office::with_tables(&binaries, settings, &rows, cloud).await;
    exec(&office.cloud, "grant set on parameter session_replication_role to postgres; alter database postgres set track_functions = 'all'").await;
    let stop = Arc::new(AtomicBool::new(false));
    let program = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    let works = tokio::spawn(come_and_go(program, stop.clone()));
    let mut service = office.run();
    office.caught_up(&mut service).await;
    stop.store(true, Ordering::Relaxed);
    works.await.unwrap();
    office.caught_up(&mut service).await;
    let together = "select coalesce(sum(calls), 0) > 0 from pg_stat_user_functions where funcname = 'check_together'";
    until(&office.cloud, together).await;
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    office.assert_equal().await;
    // Each row has its parent.
    exec(&office.cloud, "alter table child drop constraint child_parent_id_fkey; alter table child add foreign key (parent_id) references parent").await;
    assert_eq!(service.stop().await, 0);
}
