//! Foreign keys that are checked together while empty tables are filled (`[copy] check_foreign_keys = "once"`).

use crate::support::office::{Office, exec, value};
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
