//! The first copy: from one snapshot, handed over to the stream, resumed, planned, and into clouds that have rows.

use std::time::Duration;

use crate::support::bank::{self, Auditor, Dice, Teller};
use crate::support::office::{
    Office, PATIENCE, Place, Plan, connect, exec, finish, places, until, value,
};
use crate::support::poll;
use crate::support::servers::newest;
use tokio::time::sleep;

/// `tandem bootstrap` again and again until it comes to its end, killed at random moments before.
async fn bootstrapped(office: &Office, dice: &mut Dice, kills: u64, life_max_ms: u64) {
    for _ in 0..kills {
        let mut command = office.command(&["bootstrap"]);
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        sleep(Duration::from_millis(dice.below(life_max_ms))).await;
        child.kill().await.unwrap();
    }
    let (code, out, said) = office.ask(&["bootstrap"]).await;
    assert_eq!(code, 0, "{out} {said}");
}

/// The bank's tables, and a large one that clerks change here and there.
fn settings() -> String {
    format!("{}\n[[table]]\nname = \"archive\"\n", bank::SETTINGS)
}

async fn under_a_writer(office: Office, kills: u64, life_max_ms: u64) {
    let mut dice = Dice::new(bank::seed());
    let archive = "create table archive (id int primary key, words text)";
    exec(&office.desktop, &format!("{archive}; insert into archive select n, repeat('x', 100) from generate_series(1, 100000) n")).await;
    exec(
        &office.cloud,
        &format!("set role postgres; {archive}; reset role"),
    )
    .await;
    let teller = Teller::paced(&office, dice.below(1 << 40), Duration::from_millis(4)).await;
    let archivist = tokio::spawn({
        let desktop = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
        let mut dice = Dice::new(dice.below(1 << 40));
        async move {
            loop {
                let (one, new) = (dice.below(100_000), 200_000 + dice.below(100_000));
                let change = format!(
                    "update archive set words = 'changed' where id = {one}; delete from archive where id = {one} + 7; \
                     insert into archive values ({new}, 'new') on conflict (id) do update set words = 'again'"
                );
                exec(&desktop, &change).await;
                sleep(Duration::from_millis(3)).await;
            }
        }
    });
    bootstrapped(&office, &mut dice, kills, life_max_ms).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let auditor = Auditor::start(&office).await;
    bank::busy(&teller, 100).await;
    teller.stop().await;
    archivist.abort();
    let _ = archivist.await;
    office.caught_up(&mut service).await;
    auditor.stop().await;
    office.assert_equal().await;
    bank::assert_once(&office).await;
    assert_eq!(
        value(&office.cloud, "select count(*) from tandem.staging").await,
        "0"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f01_bootstrap_under_a_running_writer_killed_at_random_moments_ends_equal() {
    let kills = std::env::var("TANDEM_SOAK_KILLS").map_or(15, |text| text.parse().unwrap());
    let plan = Plan::tables(&newest(), &settings());
    under_a_writer(bank::open_plan(&plan).await, kills, 1500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f01_bootstrap_under_a_running_writer_killed_through_a_pooler_80_ms_away_ends_equal() {
    if let Some(office) = bank::open_plan_afar(&newest(), &settings()).await {
        under_a_writer(office, 4, 5000).await;
    }
}

/// Transactions that are open when the slot is made are waited for, and said; those that begin meanwhile are in the
/// stream.
#[tokio::test(flavor = "multi_thread")]
async fn p1_bootstrap_waits_for_open_transactions_and_says_for_whom() {
    let ddl = "create table item (id int primary key, t text)";
    let office = Office::with_tables(
        &newest(),
        "[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"item\"\n",
        ddl,
        ddl,
    )
    .await;
    let open = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    exec(&open, "create table elsewhere (a int); begin; set local application_name = 'clerk'; insert into elsewhere values (1); select pg_sleep(1.2)").await;
    let mut command = office.command(&["bootstrap"]);
    let bootstrap = tokio::spawn(async move { finish(&mut command).await });
    until(
        &office.desktop,
        "select count(*) = 1 from pg_stat_activity where query like 'CREATE_REPLICATION_SLOT%'",
    )
    .await;
    exec(&office.desktop, "insert into item values (1, 'meanwhile')").await;
    assert!(!bootstrap.is_finished());
    exec(&open, "insert into item values (2, 'late'); commit").await;
    let (code, out, said) = bootstrap.await.unwrap();
    assert_eq!(code, 0, "{out} {said}");
    assert!(
        said.contains("the copy starts when this open transaction of the desktop ends")
            && said.contains("clerk"),
        "{said}"
    );
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// What is finished is not copied again.
#[tokio::test(flavor = "multi_thread")]
async fn bootstrap_goes_on_where_it_was_interrupted() {
    let ddl = "create table one (id int primary key, t text); create table two (id int primary key, t text)";
    let settings =
        "[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"one\"\n[[table]]\nname = \"two\"\n";
    let office = Office::with_tables(&newest(), settings, ddl, ddl).await;
    exec(&office.desktop, "insert into one select n, 'x' from generate_series(1, 5000) n; insert into two select n, 'y' from generate_series(1, 5000) n").await;
    let blocker = connect(&office.servers.cloud, "supabase_admin", "postgres").await;
    exec(&blocker, "begin; lock table two in share mode").await;
    let mut command = office.command(&["bootstrap"]);
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    until(
        &office.cloud,
        "select to_regclass('tandem.table_state') is not null",
    )
    .await;
    until(&office.cloud, "select exists (select from tandem.table_state where \"table\" = 'one' and state = 'streaming')").await;
    child.kill().await.unwrap();
    exec(&blocker, "rollback").await;
    let versions = "select string_agg(distinct xmin::text, ',') from one";
    let before = value(&office.cloud, versions).await;
    exec(&office.desktop, "update one set t = 'z' where id = 1; update two set t = 'z' where id = 1; delete from two where id = 2").await;
    let (code, out, said) = office.ask(&["bootstrap"]).await;
    assert_eq!(code, 0, "{out} {said}");
    assert!(
        value(&office.cloud, versions).await.starts_with(&before),
        "table one was copied again"
    );
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// A cloud that has rows already: matched by key, ids kept, differences updated, rows that nobody claims adopted; what
/// only the cloud has is listed, and goes with a yes; what isn't ours stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn f16_f21_f25_a_cloud_with_rows_is_adopted_and_only_a_yes_removes_what_the_desktop_does_not_have()
 {
    for place in places() {
        let settings = "[heartbeat]\nevery = \"500ms\"\n[tenant]\norg = 1\n[[table]]\nname = \"client\"\nkey = [\"org\", \"nr\"]\n[[table]]\nname = \"note\"\nkey = []\n";
        let desktop = "create table client (org int, nr int, name text); create table note (org int, what text); \
            insert into client select 1, n, 'client ' || n from generate_series(1, 10) n; insert into note values (1, 'a'), (1, 'a'), (1, 'b')";
        let cloud = "create table client (id bigserial primary key, org int, nr int, name text, source char(1) default 'D', unique (org, nr)); \
            create table note (id bigserial primary key, org int, what text, source char(1) default 'D'); \
            insert into client (id, org, nr, name, source) values (101, 1, 1, 'client 1', 'D'), (102, 1, 2, 'old name', 'D'), (103, 1, 3, 'client 3', null), (104, 1, 50, 'ghost', 'D'), \
            (105, 1, 51, 'nobody''s ghost', null), (106, 1, 60, 'phone', 'M'), (107, 1, 61, 'other', 'S'), (108, 2, 1, 'other firm', 'D'); \
            insert into note (id, org, what) values (201, 1, 'a'), (202, 1, 'c'), (203, 2, 'a')";
        let office = Office::with_tables(&place, settings, desktop, cloud).await;
        let (code, plan, _) = office.ask(&["bootstrap", "--plan", "--json"]).await;
        assert_eq!(code, 1, "{plan}");
        assert!(plan.contains("{\"table\":\"client\",\"read\":10,\"insert\":7,\"update\":2,\"delete\":0,\"unchanged\":1,\"extras\":1,\"refused\":null}"), "{plan}");
        assert!(plan.contains("{\"table\":\"note\",\"read\":3,\"insert\":2,\"update\":0,\"delete\":0,\"unchanged\":1,\"extras\":1,\"refused\":null}"), "{plan}");
        let schemas = "select count(*) from pg_namespace where nspname = 'tandem'";
        for side in [&office.desktop, &office.cloud] {
            assert_eq!(value(side, schemas).await, "0", "a plan changes nothing");
        }
        let not_ours = "select md5(string_agg(concat_ws(' ', id, name, source, xmin), ';' order by id)) from client where id >= 105";
        let before = value(&office.cloud, not_ours).await;
        let (code, out, said) = office.ask(&["bootstrap"]).await;
        assert!(
            code == 1 && out.contains("1 rows that only the cloud has stay: --yes deletes them"),
            "{code} {out} {said}"
        );
        assert_eq!(value(&office.cloud, "select string_agg(id || ' ' || name || ' ' || source, ', ' order by id) from client where id between 101 and 104").await,
            "101 client 1 D, 102 client 2 D, 103 client 3 D, 104 ghost D");
        assert_eq!(value(&office.cloud, not_ours).await, before);
        // A swap is no yes.
        let (code, out, said) = office.ask(&["swap", "client"]).await;
        assert!(
            code == 0
                && out.contains("deleted 0")
                && out.contains("1 that only the cloud has stay"),
            "{code} {out} {said}"
        );
        let (code, out, said) = office.ask(&["bootstrap", "--yes"]).await;
        assert_eq!(code, 0, "{out} {said}");
        assert_eq!(value(&office.cloud, "select count(*) filter (where id = 104) || ' ' || count(*) filter (where id in (101, 102, 103)) from client").await, "0 3");
        assert_eq!(value(&office.cloud, not_ours).await, before);
        let mut service = office.run();
        office.caught_up(&mut service).await;
        office.assert_equal_but(&["client"]).await;
        assert_eq!(
            value(
                &office.cloud,
                "select count(*) from client where org = 1 and source = 'D'"
            )
            .await,
            "10"
        );
        assert_eq!(service.stop().await, 0);
    }
}

/// The plan can be pasted, and then bootstrap has only rows to move.
#[tokio::test(flavor = "multi_thread")]
async fn f18_the_plan_of_bootstrap_can_be_pasted() {
    let settings = "replicator = \"office-1\"\n[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"item\"\nkey = [\"id\"]\n";
    let ddl = "create table item (id int, t text)";
    let office = Office::with_tables(&newest(), settings, ddl, ddl).await;
    exec(
        &office.desktop,
        "insert into item select n, 'x' from generate_series(1, 10) n",
    )
    .await;
    let (code, plan, said) = office.ask(&["bootstrap", "--plan"]).await;
    assert_eq!(code, 0, "{plan} {said}");
    assert!(
        plan.contains(
            "create unique index concurrently on \"public\".\"item\" (\"id\") nulls not distinct;"
        ),
        "{plan}"
    );
    assert!(plan.contains("would be inserted 10"), "{plan}");
    let (on_desktop, rest) = plan
        .split_once("-- in the cloud")
        .or_else(|| plan.split_once("-- on the cloud"))
        .unwrap();
    exec(&office.desktop, on_desktop).await;
    let (in_cloud, _) = rest.split_once("-- item has no unique index").unwrap();
    exec(
        &office.cloud,
        &format!("set role postgres; {in_cloud}; reset role"),
    )
    .await;
    let (code, out, said) = office.ask(&["bootstrap"]).await;
    assert_eq!(code, 0, "{out} {said}");
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// A slot that somebody dropped: nothing is written before a person says so, and then everything is made equal by a diff.
#[tokio::test(flavor = "multi_thread")]
async fn p13_after_a_lost_slot_bootstrap_restart_makes_everything_equal_and_keeps_ids() {
    let settings = "[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"task\"\nkey = [\"nr\"]\n";
    let cloud = "create table task (id bigserial primary key, nr int unique, t text)";
    let office = Office::with_tables(
        &newest(),
        settings,
        "create table task (nr int, t text)",
        cloud,
    )
    .await;
    exec(
        &office.desktop,
        "insert into task select n, 'x' from generate_series(1, 300) n",
    )
    .await;
    let (code, _, said) = office.ask(&["bootstrap"]).await;
    assert_eq!(code, 0, "{said}");
    let ids = "select md5(string_agg(id || ' ' || nr || ' ' || xmin, ';' order by id)) from task where nr > 20";
    let before = value(&office.cloud, ids).await;
    exec(&office.desktop, "select pg_drop_replication_slot('tandem'); delete from task where nr <= 10; update task set t = 'y' where nr between 11 and 20; insert into task values (999, 'new')").await;
    for arguments in [&["run"][..], &["bootstrap"]] {
        let (code, _, said) = office.ask(arguments).await;
        assert!(
            code == 5
                && said.contains("does not exist")
                && said.contains("tandem bootstrap --restart"),
            "{code} {said}"
        );
    }
    assert_eq!(
        value(&office.cloud, "select count(*) from task").await,
        "300"
    );
    let (code, out, said) = office.ask(&["bootstrap", "--restart"]).await;
    assert_eq!(code, 0, "{out} {said}");
    office.assert_equal().await;
    assert_eq!(
        value(
            &office.cloud,
            ids.replace("nr > 20", "nr between 21 and 998").as_str()
        )
        .await,
        before
    );
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
}

/// A table that had stopped is copied anew while the others stream, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn p8_bootstrap_of_one_table_brings_a_stopped_one_back_while_the_service_runs() {
    let ddl = "create table one (id int primary key, t text); create table two (id int primary key, t text)";
    let settings =
        "[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"one\"\n[[table]]\nname = \"two\"\n";
    let office = Office::with_tables(&newest(), settings, ddl, ddl).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.cloud, "alter table two rename column t to u").await;
    exec(
        &office.desktop,
        "insert into one values (1, 'x'); insert into two values (1, 'x')",
    )
    .await;
    until(&office.cloud, "select exists (select from tandem.table_state where \"table\" = 'two' and state = 'stopped')").await;
    let (code, out, said) = office.ask(&["bootstrap"]).await;
    assert!(
        code == 5 && said.contains("tandem is running"),
        "{code} {out} {said}"
    );
    exec(&office.cloud, "alter table two rename column u to t").await;
    let (code, out, said) = office.ask(&["bootstrap", "--table", "two"]).await;
    assert_eq!(code, 0, "{out} {said}");
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    exec(&office.desktop, "update two set t = 'y'").await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

/// An empty table is filled by COPY; a row that doesn't fit, or a phone's row that is there first, costs only itself.
#[tokio::test(flavor = "multi_thread")]
async fn p8_p11_what_does_not_go_by_copy_goes_row_by_row() {
    let place = Place::from(&newest());
    let settings = "[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"parent\"\n[[table]]\nname = \"child\"\n[[table]]\nname = \"odd\"\nkey = []\n";
    let desktop = "create table parent (id int primary key, t varchar(5)); create table child (id int primary key, parent int, amount numeric(8, 2)); create table odd (a text, b char(4), c bytea, d timestamptz); \
        insert into parent select n, 'p' || n from generate_series(1, 50) n; insert into child select n, n, n / 3.0 from generate_series(1, 52) n; \
        insert into odd values (E'a\\tb\\\\c\\nd', 'x', '\\x00ff', 'infinity'), (null, '', null, '0001-01-01 BC'), ('\\N', 'y', '', null)";
    let cloud = "create table parent (id int primary key, t varchar(5), source char(1) default 'D'); create table child (id int primary key, parent int references parent, amount numeric(8, 2)); \
        create table odd (a text, b char(4), c bytea, d timestamptz)";
    let office = Office::open(&Plan::tables(place, settings)).await;
    exec(&office.desktop, desktop).await;
    exec(
        &office.cloud,
        &format!("set role postgres; {cloud}; reset role"),
    )
    .await;
    let (code, out, said) = office.ask(&["bootstrap"]).await;
    assert!(
        code == 1 && out.contains("2 in quarantine"),
        "{code} {out} {said}"
    );
    office.assert_equal_but(&["child"]).await;
    assert_eq!(
        value(&office.cloud, "select count(*) from child").await,
        "50"
    );
    // What is said is what is in the cloud, and what isn't and why.
    assert!(out.contains("50 rows; 2 in quarantine"), "{out}");
    let says = |line: &str| {
        line.contains("child")
            && line.contains("rows=50")
            && line.contains("quarantined=2")
            && line.contains("23503")
    };
    assert!(said.lines().any(says), "{said}");
    let (code, out, said) = office.ask(&["bootstrap", "--table", "child"]).await;
    assert!(
        code == 0 && out.contains("52 rows read; were inserted 0, updated 0, deleted 0, unchanged 50; 2 in quarantine: 23503"),
        "{code} {out} {said}"
    );
    let (code, out, _) = office.ask(&["swap", "child", "--json"]).await;
    assert!(
        code == 0
            && out.contains("\"read\":52,\"insert\":0,\"update\":0,\"delete\":0,\"unchanged\":50,")
            && out.contains("\"quarantined\":2}"),
        "{code} {out}"
    );
    exec(
        &office.desktop,
        "insert into parent values (51, 'p'), (52, 'p')",
    )
    .await;
    let mut service = office.run();
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
    poll(PATIENCE, || office.log().contains("stopped").then_some(())).unwrap();
}

/// A table that the desktop doesn't let us read stops alone, in the first copy and in a swap.
#[tokio::test(flavor = "multi_thread")]
async fn p8_a_table_that_can_not_be_read_stops_alone() {
    let settings = "[heartbeat]\nevery = \"500ms\"\n[[table]]\nname = \"one\"\n[[table]]\nname = \"two\"\nkey = []\n[[table]]\nname = \"three\"\n";
    let ddl = "create table one (id int primary key, t text); create table two (id int, t text); create table three (id int primary key, t text)";
    let office = Office::with_tables(&newest(), settings, ddl, ddl).await;
    let owned = "create role clerk login replication; grant create on database enterprise_db to clerk; grant all on schema public to clerk; \
        alter table one owner to clerk; alter table two owner to clerk; alter table three owner to clerk; \
        insert into one values (1, 'x'); insert into two select n, 'y' from generate_series(1, 9) n; insert into three values (1, 'z')";
    exec(&office.desktop, owned).await;
    exec(
        &office.desktop,
        "set role clerk; revoke select on two from clerk; reset role",
    )
    .await;
    let file = std::fs::read_to_string(office.file()).unwrap();
    std::fs::write(
        office.file(),
        file.replacen("postgres://postgres@", "postgres://clerk@", 1),
    )
    .unwrap();
    let (code, out, said) = office.ask(&["bootstrap", "--jobs", "1"]).await;
    assert!(
        code == 1 && out.contains("permission denied for table two"),
        "{code} {out} {said}"
    );
    let states = "select string_agg(\"table\" || ' ' || state, ', ' order by \"table\") from tandem.table_state";
    assert_eq!(
        value(&office.cloud, states).await,
        "one streaming, three streaming, two stopped"
    );
    let mut service = office.run();
    exec(
        &office.desktop,
        "update one set t = 'goes on'; update three set t = 'goes on'",
    )
    .await;
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "set role clerk; grant select on two to clerk; reset role",
    )
    .await;
    let (code, out, said) = office.ask(&["bootstrap", "--table", "two"]).await;
    assert_eq!(code, 0, "{out} {said}");
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    // And a swap of it: refused, the others swapped.
    exec(
        &office.desktop,
        "set role clerk; revoke select on two from clerk; reset role",
    )
    .await;
    let (code, out, _) = office.ask(&["swap", "one", "two", "three"]).await;
    assert!(
        code == 1 && out.matches("unchanged 1").count() == 2 && out.contains("permission denied"),
        "{code} {out}"
    );
    assert_eq!(
        value(&office.cloud, states).await,
        "one streaming, three streaming, two streaming"
    );
    assert_eq!(service.stop().await, 0);
}
