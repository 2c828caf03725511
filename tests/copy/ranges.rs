//! Large tables that are copied once more: what is equal is neither sent nor touched.

use crate::support::bank::{self, Dice};
use crate::support::office::{Office, connect, exec, until, value};
use crate::support::servers::newest;

/// Rows of a large table; `TANDEM_SOAK_ROWS` says otherwise.
fn rows() -> u64 {
    let asked = std::env::var("TANDEM_SOAK_ROWS").ok();
    asked.map_or(200_000, |text| text.parse().unwrap())
}

/// Bytes that went over both links so far.
fn moved(office: &Office) -> u64 {
    let links = [office.to_desktop.stats(), office.to_cloud.stats()];
    links
        .iter()
        .map(|link| link.to_client + link.to_upstream)
        .sum()
}

/// Swaps a table and says what came of it, and how many bytes the service moved for that.
async fn swapped(office: &Office, table: &str) -> (String, u64) {
    let observer = office.observer().await;
    let before = moved(office);
    let ids = { observer.ask_for_swaps(&[table], ("a test", false)).await }.unwrap();
    observer.stir().await.unwrap();
    let ended = format!(
        "select ended_at is not null from tandem.swap where id = {}",
        ids[0]
    );
    until(&office.cloud, &ended).await;
    let bytes = moved(office) - before;
    let (swapped, _) = observer.swapped(&ids).await.unwrap();
    (serde_json::to_string(&swapped).unwrap(), bytes)
}

/// A swap of an unchanged table sends sums, takes no lock and writes nothing; one of a table in which ten rows differ sends
/// their ranges. With a key that the cloud makes, and without any.
#[tokio::test(flavor = "multi_thread")]
async fn p9_a_swap_of_a_large_table_moves_what_differs_and_touches_nothing_else() {
    let rows = rows();
    let columns =
        "org int, nr int, what text, at timestamptz default '2026-01-01', amount numeric(12, 2)";
    let desktop = format!(
        "create table task ({columns}); create table tick ({columns}); \
         insert into task select n % 3, n, 'task ' || md5(n::text), '2026-01-01', n / 7.0 from generate_series(1, {rows}) n; \
         insert into tick select n % 3, n / 2, 'tick ' || md5((n / 2)::text), '2026-01-01', n / 2 from generate_series(1, {rows}) n"
    );
    let cloud = format!(
        "create table task (id bigserial primary key, {columns}, source char(1) default 'D', unique (org, nr)); \
         create table tick (id bigserial primary key, {columns}, source char(1) default 'D')"
    );
    let settings = "[heartbeat]\nevery = \"10s\"\n[[table]]\nname = \"task\"\nkey = [\"org\", \"nr\"]\n\
        [[table]]\nname = \"tick\"\nkey = []\n";
    let office = Office::with_tables(&newest(), settings, &desktop, &cloud).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // What both tables are when they are read plainly.
    let plain = moved(&office) / 2;
    exec(
        &office.cloud,
        "insert into public.task (org, nr, what, source) values (1, -1, 'a phone''s', 'M')",
    )
    .await;
    let versions = |of: &str| {
        format!(
            "select md5(string_agg(id || ' ' || xmin || ' ' || xmax || ' ' || ctid, ';' order by id)) from public.{of}"
        )
    };
    let unchanged = |table: &str, n: u64| {
        format!(
            "{{\"table\":\"{table}\",\"read\":{rows},\"insert\":0,\"update\":0,\"delete\":0,\"unchanged\":{n},\"extras\":0"
        )
    };
    for table in ["task", "tick"] {
        let before = value(&office.cloud, &versions(table)).await;
        let (out, bytes) = swapped(&office, table).await;
        assert!(out.contains(&unchanged(table, rows)), "{out}");
        assert_eq!(value(&office.cloud, &versions(table)).await, before);
        println!("{table}: {bytes} bytes of {plain}, unchanged");
        assert!(bytes * 50 < plain, "{table}: {bytes} of {plain}");
    }
    // Ten rows of each: changed, gone, more.
    let broken = "set role postgres; set search_path = public; update task set what = 'broken' where nr in (7, 30007, 60007, 90007); \
        delete from task where nr in (8, 40008, 80008); insert into task (org, nr, what) values (9, 1, 'not ours'), (9, 2, 'not ours'); \
        update task set source = null where nr = 50009; \
        delete from tick where id in (select min(id) from tick where nr in (7, 20007, 40007) group by nr); \
        insert into tick (org, nr, what, at, amount) select org, nr, what, at, amount from tick where nr between 501 and 502; \
        update tick set source = null where id in (select min(id) from tick where nr in (11, 111, 1111) group by nr); reset role";
    exec(&office.cloud, broken).await;
    let counts = [("task", 3, 5, 2), ("tick", 3, 3, 4)];
    for (table, insert, update, delete) in counts {
        let ids = format!(
            "select md5(string_agg(id::text, ',' order by id)) from public.{table} where what not in ('not ours') and nr not in (7, 8, 501, 502, 20007, 40007, 40008, 80008)"
        );
        let before = value(&office.cloud, &ids).await;
        let (out, bytes) = swapped(&office, table).await;
        let told = format!(
            "\"insert\":{insert},\"update\":{update},\"delete\":{delete},\"unchanged\":{}",
            rows - insert - update
        );
        assert!(out.contains(&told), "{out}");
        println!("{table}: {bytes} bytes of {plain}, ten rows differ");
        assert!(bytes * 25 < plain, "{table}: {bytes} of {plain}");
        assert_eq!(value(&office.cloud, &ids).await, before);
    }
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) from public.task where source = 'M'"
        )
        .await,
        "1"
    );
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// Tables of every kind, small ones compared by ranges all the same: a swap does what `--plan` says, which looks at every row.
const KINDS: &str = "[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"client\"\nstream = false\nkey = [\"code\"]\nmax_shrink = 1\n\
    [[table]]\nname = \"visit\"\nstream = false\nkey = [\"nr\"]\nmax_shrink = 1\nset = { made_by = \"sync\" }\nrename = { what = \"told\" }\n\
    convert = { hour = \"hour || ':00'\" }\nlookup.client_id = { from = \"client\", on = { code = \"code\" }, take = \"id\" }\n\
    [[table]]\nname = \"part\"\nstream = false\nkey = [\"nr\"]\nmax_shrink = 1\n\
    [[table]]\nname = \"tick\"\nstream = false\nkey = []\nmax_shrink = 1\n";
const ON_DESKTOP: &str = "create table client (code text, name text); create table visit (nr int, code text, what text, hour text, price numeric); \
    create table part (nr int primary key, note text) partition by range (nr); create table part_1 partition of part for values from (0) to (200); \
    create table part_2 partition of part for values from (200) to (100000); create table tick (a int, b text); \
    insert into client select 'c' || n, 'client ' || n from generate_series(1, 30) n; \
    insert into visit select n, 'c' || n % 40, 'visit ' || n, '0' || n % 10 || ':30', n * 1.50 from generate_series(1, 400) n; \
    insert into part select n, 'part ' || n from generate_series(1, 400) n; insert into tick select n % 50, 'tick ' || n % 7 from generate_series(1, 400) n";
const IN_CLOUD: &str = "create table client (id bigserial primary key, code text collate \"C\" unique, name text); \
    create table visit (id bigserial primary key, nr bigint, code text, told text, hour text, price numeric, made_by text, client_id bigint, source char(1) default 'D'); \
    create table part (nr int primary key, note text, source char(1) default 'D'); create table tick (id bigserial primary key, a int, b text, source char(1) default 'D')";

#[tokio::test(flavor = "multi_thread")]
async fn p1_p4_a_swap_by_ranges_does_to_tables_of_every_kind_what_one_of_all_rows_would() {
    let office = Office::with_tables(&newest(), KINDS, ON_DESKTOP, IN_CLOUD).await;
    let mut service = office.run_where("TANDEM_TEST_RANGES", "1");
    office.caught_up(&mut service).await;
    let theirs = "set role postgres; set search_path = public; insert into visit (nr, told, source) values (5001, 'phone', 'M'), (5002, 'other', 'S'); \
        insert into tick (a, b, source) values (1, 'phone', 'M'); reset role";
    exec(&office.cloud, theirs).await;
    let mut dice = Dice::new(bank::seed());
    for _ in 0..8 {
        let on = |side: &str, dice: &mut Dice| {
            let one = dice.below(400);
            let (told, cloud) = if side == "desktop" {
                ("what", "")
            } else {
                ("told", " and source = 'D'")
            };
            let all = [
                format!(
                    "update visit set {told} = 'changed {one}' where nr % 37 = {}{cloud}",
                    one % 37
                ),
                format!("update visit set price = {one} where nr = {one}{cloud}"),
                format!(
                    "delete from visit where nr % 41 = {} and nr <> 19{cloud}",
                    one % 41
                ),
                format!(
                    "update client set name = 'renamed {one}' where code = 'c{}'",
                    one % 30
                ),
                format!("delete from part where nr = {one}{cloud}"),
                format!("update part set note = null where nr = {one}{cloud}"),
                format!(
                    "insert into part (nr, note) values ({}, 'new') on conflict do nothing",
                    1000 + one
                ),
                format!(
                    "delete from tick where a = {} and b = 'tick 3'{cloud}",
                    one % 50
                ),
                format!(
                    "insert into tick (a, b) values ({}, 'tick 3'), ({0}, 'tick 3')",
                    one % 50
                ),
                format!(
                    "insert into visit (nr, code, hour) values ({}, 'c{}', '09:00')",
                    1000 + dice.below(100_000),
                    one % 40
                ),
            ];
            let some = all.into_iter().filter(|_| dice.below(3) == 0);
            some.collect::<Vec<_>>().join("; ")
        };
        let (here, there) = (on("desktop", &mut dice), on("cloud", &mut dice));
        exec(&office.desktop, &here).await;
        exec(&office.cloud, &format!("set role postgres; set search_path = public; {}; \
            update visit set client_id = -1 where nr = 17; update visit set source = null where nr = 19 and source = 'D'; reset role",
            there)).await;
        let names = ["client", "visit", "part", "tick"];
        let planned = office
            .ask(&[&["swap"], &names[..], &["--plan"]].concat())
            .await;
        let done = office.ask(&[&["swap"], &names[..]].concat()).await;
        assert_eq!(done.0, 0, "{done:?}");
        // What is looked up in the cloud no plan knows of.
        let told = |out: &str| -> Vec<String> {
            let lines = out.lines().filter(|line| !line.starts_with("visit"));
            lines.map(|line| line.replace("would be", "were")).collect()
        };
        assert_eq!(told(&planned.1), told(&done.1), "{planned:?} {done:?}");
        office.assert_equal().await;
        let parents = "select count(*) from public.visit v where source = 'D' and client_id is distinct from (select id from public.client c where c.code = v.code)";
        assert_eq!(value(&office.cloud, parents).await, "0");
        let others = "select (select count(*) from public.visit where source in ('M', 'S')) || ' ' || (select count(*) from public.tick where source = 'M')";
        assert_eq!(value(&office.cloud, others).await, "2 1");
    }
    assert_eq!(service.stop().await, 0);
}

/// A change that commits while ranges are compared is in the stream, and no swap undoes it.
#[tokio::test(flavor = "multi_thread")]
async fn p1_swaps_by_ranges_under_a_writer_undo_nothing() {
    let ddl = "create table item (id int primary key, n int, what text); create table tick (a int, b text)";
    let settings = "[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"item\"\nswap = \"1s\"\n[[table]]\nname = \"tick\"\nkey = []\nswap = \"1s\"\n";
    let office = Office::with_tables(&newest(), settings, ddl, ddl).await;
    exec(&office.desktop, "insert into item select n, 0, 'item ' || n from generate_series(1, 3000) n; insert into tick select n % 500, 'tick' from generate_series(1, 3000) n").await;
    let mut service = office.run_where("TANDEM_TEST_RANGES", "1");
    office.caught_up(&mut service).await;
    let writer = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    let mut dice = Dice::new(bank::seed());
    let writes = async {
        loop {
            let one = dice.below(3000);
            let change = format!(
                "begin; update item set n = n + 1 where id % 97 = {}; delete from tick where ctid = (select min(ctid) from tick where a = {}); commit; \
                 insert into tick values ({}, 'tick'); delete from item where id = {one}; insert into item values ({one}, 1, 'again')",
                one % 97,
                one % 500,
                one % 500,
            );
            exec(&writer, &change).await;
        }
    };
    let swaps = "select count(*) filter (where \"table\" = 'item') >= 8 and count(*) filter (where \"table\" = 'tick') >= 8 from tandem.swap where ended_at is not null and refused is null";
    tokio::select! {
        () = writes => {}
        () = until(&office.cloud, swaps) => {}
    }
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    // Nothing was written twice: the swaps had nothing to mend.
    assert_eq!(value(&office.cloud, "select coalesce(sum(inserted + updated + deleted), 0) from tandem.swap where refused is null").await, "0");
    assert_eq!(service.stop().await, 0);
}

/// A first copy that is killed in the middle of a table, then cut in the middle of another one, goes on where it was, though rows
/// were changed, moved and deleted in between.
#[tokio::test(flavor = "multi_thread")]
async fn p1_an_interrupted_first_copy_sends_no_piece_of_a_table_twice_and_ends_equal() {
    let big = "create table big (id int primary key, what text, filler text)";
    let tick = "create table tick (nr int, what text, filler text)";
    let settings = "[heartbeat]\nevery = \"1s\"\n[[table]]\nname = \"big\"\n[[table]]\nname = \"tick\"\nkey = []\n";
    let (desktop, cloud) = (format!("{big}; {tick}"), format!("{big}; {tick}"));
    let office = Office::with_tables(&newest(), settings, &desktop, &cloud).await;
    let fill = "insert into big select n, 'row ' || n, repeat(md5(n::text), 5) from generate_series(1, 300000) n; \
        insert into tick select n / 3, 'tick', repeat(md5((n / 3)::text), 5) from generate_series(1, 120000) n";
    exec(&office.desktop, fill).await;
    let bytes = "select 2 * (select sum(octet_length(concat_ws('.', b.*)) + 5) from (select id, what, filler from big union all select * from tick) as b)";
    let plain: f64 = value(&office.desktop, bytes).await.parse().unwrap();
    let mut command = office.command(&["bootstrap", "--jobs", "1"]);
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    until(
        &office.cloud,
        "select to_regclass('tandem.piece') is not null",
    )
    .await;
    until(&office.cloud, "select count(*) >= 5 from tandem.piece").await;
    child.kill().await.unwrap();
    let changes = "update big set what = 'changed' where id % 30011 = 7; delete from big where id in (1, 100, 150000, 299999); \
        insert into big values (1, 'again', 'x'), (400001, 'new', 'x'); update big set id = 500000 where id = 5; \
        delete from tick where nr = 7; insert into tick values (8, 'tick', repeat(md5('8'), 5))";
    exec(&office.desktop, changes).await;
    let mut service = office.run();
    until(
        &office.cloud,
        "select exists (select from tandem.piece where \"table\" = 'tick')",
    )
    .await;
    office.to_cloud.cut();
    until(
        &office.cloud,
        "select bool_and(state = 'streaming') from tandem.table_state",
    )
    .await;
    office.caught_up(&mut service).await;
    let share = moved(&office) as f64 / plain;
    println!("moved {share:.2} of the tables");
    office.assert_equal().await;
    office.assert_conserved().await;
    let left = "select (select count(*) from tandem.piece) || ' ' || (select count(*) from tandem.staging)";
    assert_eq!(value(&office.cloud, left).await, "0 0");
    let copied = "select string_agg(\"table\" || ' ' || copied, ' ' order by \"table\") from tandem.table_state";
    assert_eq!(value(&office.cloud, copied).await, "big 299998 tick 119998");
    assert!(share < 1.5, "{share:.2} of the tables were moved");
    assert_eq!(service.stop().await, 0);
}
