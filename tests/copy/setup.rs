//! What tandem sets up, notices, and takes away again.

use crate::support::office::{Office, Plan, exec, may_shrink, places, until, value};
use crate::support::servers::newest;

const BEAT: &str = "[heartbeat]\nevery = \"200ms\"\n";

/// Everything that `uninstall` has to give back: identities, publications, slots, schemas, triggers.
const DESKTOP: &str = "select string_agg(v, ' ' order by v) from ( \
    select c.relname || '=' || c.relreplident::text || coalesce((select ':' || x.relname from pg_index i join pg_class x on x.oid = i.indexrelid where i.indrelid = c.oid and i.indisreplident), '') as v \
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'public' and c.relkind in ('r', 'p') \
    union all select 'publication ' || pubname from pg_publication union all select 'slot ' || slot_name from pg_replication_slots \
    union all select 'schema ' || nspname from pg_namespace where nspname = 'tandem') as all_of_it";

#[tokio::test(flavor = "multi_thread")]
async fn p10_uninstall_gives_the_desktop_back_as_it_was_and_leaves_all_rows() {
    for place in places() {
        let settings = format!(
            "{BEAT}[[table]]\nname = \"keyed\"\n[[table]]\nname = \"loose\"\nkey = []\n[[table]]\nname = \"silent\"\nkey = [\"a\"]\n[[table]]\nname = \"chosen\"\nkey = [\"a\"]\n[[table]]\nname = \"parts\"\nkey = [\"a\"]\n"
        );
        let desktop = "create table keyed (id int primary key, t text); create table loose (a int); \
            create table silent (a int, b int); alter table silent replica identity nothing; \
            create table chosen (a int not null, b int not null); create unique index by_b on chosen (b); alter table chosen replica identity using index by_b; \
            create table parts (a int, b int) partition by range (a); create table parts_1 partition of parts for values from (0) to (100); create table parts_2 partition of parts for values from (100) to (200)";
        let cloud = "create table keyed (id int primary key, t text); create table loose (a int); create table silent (a int, b int); create table chosen (a int, b int); create table parts (a int, b int)";
        let office = Office::with_tables(&place, &settings, desktop, cloud).await;
        let before = value(&office.desktop, DESKTOP).await;
        let dump = "select string_agg(concat_ws(' ', n.nspname, c.relname, c.relkind, c.relacl::text), ';' order by 1, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname not like 'pg\\_%'";
        let cloud_before = value(&office.cloud, dump).await;
        let rows = "insert into keyed values (1, 'x'); insert into loose values (1), (1); insert into silent values (1, 1); insert into chosen values (1, 2); insert into parts values (1, 1), (101, 1)";
        exec(&office.desktop, rows).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(&office.desktop, "update silent set b = 2; update chosen set b = 3; delete from loose; update parts set b = 2; update parts set a = 150 where a = 1").await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        let (code, _, said) = office.ask(&["uninstall", "--yes"]).await;
        assert!(
            code == 2 && said.contains("tandem is running") && said.contains("nothing was changed"),
            "{code} {said}"
        );
        assert_eq!(service.stop().await, 0);
        let (code, _, said) = office.ask(&["uninstall"]).await;
        assert!(
            code == 2 && said.contains("say --yes"),
            "nobody can answer: {code} {said}"
        );
        let (code, plan, _) = office.ask(&["uninstall", "--plan"]).await;
        assert_eq!(code, 0);
        for words in [
            "tandem.unpublish",
            "drop publication if exists \"tandem\"",
            "pg_drop_replication_slot('tandem')",
            "-- in the cloud",
            "drop schema tandem cascade",
        ] {
            assert!(plan.contains(words), "{words}: {plan}");
        }
        assert_ne!(
            value(&office.desktop, DESKTOP).await,
            before,
            "a plan changes nothing"
        );
        let (code, out, said) = office.ask(&["uninstall", "--yes"]).await;
        assert_eq!(code, 0, "{out} {said}");
        assert_eq!(value(&office.desktop, DESKTOP).await, before);
        assert_eq!(value(&office.cloud, dump).await, cloud_before);
        assert_eq!(
            value(&office.cloud, "select count(*) from parts").await,
            "2",
            "rows stay"
        );
        let (code, out, _) = office.ask(&["uninstall", "--yes"]).await;
        assert!(code == 0 && out.contains("nothing of replicator"), "{out}");
        // And from the start again.
        let mut service = office.run();
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_of_uninstall_can_be_pasted_and_so_can_the_files() {
    for pasted in ["plan", "files"] {
        let ddl = "create table item (id int, t text)";
        let office = Office::with_tables(
            &newest(),
            &format!(
                "replicator = \"office-1\"\n{BEAT}[[table]]\nname = \"item\"\nkey = [\"id\"]\n"
            ),
            ddl,
            ddl,
        )
        .await;
        let before = value(&office.desktop, DESKTOP).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        assert_eq!(service.stop().await, 0);
        if pasted == "plan" {
            let (_, plan, _) = office.ask(&["uninstall", "--plan"]).await;
            let (desktop, cloud) = plan.split_once("-- in the cloud").unwrap();
            exec(&office.desktop, desktop).await;
            exec(&office.cloud, cloud).await;
        } else {
            let file = |side: &str| {
                let path = format!("{}/sql/{side}/uninstall.sql", env!("CARGO_MANIFEST_DIR"));
                format!(
                    "set tandem.replicator = 'office-1'; {}",
                    std::fs::read_to_string(path).unwrap()
                )
            };
            exec(&office.desktop, &file("desktop")).await;
            exec(&office.cloud, &file("cloud")).await;
        }
        assert_eq!(value(&office.desktop, DESKTOP).await, before, "{pasted}");
        assert_eq!(
            value(&office.cloud, "select to_regnamespace('tandem') is null").await,
            "true"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_partitions_of_the_desktop_stream_and_new_ones_are_noticed_by_the_heartbeat() {
    for place in places() {
        let settings = may_shrink(&format!(
            "{BEAT}[[table]]\nname = \"entry\"\n[[table]]\nname = \"plain\"\n"
        ));
        let desktop = "create table plain (id int primary key); create table entry (id int not null, day date not null, words text) partition by range (day); \
            create table entry_old partition of entry for values from ('2000-01-01') to ('2026-01-01') partition by list (id); \
            create table entry_odd partition of entry_old for values in (1, 3, 5, 7, 9); create table entry_rest partition of entry_old default; \
            create table entry_2026 (words text, day date not null, gone int, id int not null); alter table entry_2026 drop column gone; alter table entry attach partition entry_2026 for values from ('2026-01-01') to ('2027-01-01')";
        let cloud = "create table plain (id int primary key); create table entry (id int primary key, day date, words text)";
        let office = Office::with_tables(&place, &settings, desktop, cloud).await;
        exec(&office.desktop, "insert into entry select n, date '2025-06-01' + n * 20, 'first' from generate_series(1, 20) n").await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        // From one partition to another, and a leaf with other columns in another order.
        exec(&office.desktop, "update entry set day = '2026-02-02' where id = 3; update entry set words = 'new' where id > 10; delete from entry where id = 20; insert into entry values (30, '2026-05-05', 'x')").await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        // A partition that comes with rows, and one that is made and written before tandem can know of it.
        exec(&office.desktop, "create table entry_2027 (like entry); insert into entry_2027 values (40, '2027-03-03', 'came along'); alter table entry attach partition entry_2027 for values from ('2027-01-01') to ('2028-01-01')").await;
        exec(&office.desktop, "create table entry_2028 partition of entry for values from ('2028-01-01') to ('2029-01-01'); insert into entry values (41, '2028-03-03', 'at once')").await;
        until(
            &office.cloud,
            "select count(*) = 2 from entry where id in (40, 41)",
        )
        .await;
        exec(
            &office.desktop,
            "update entry set words = words || '!' where id in (40, 41)",
        )
        .await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        exec(
            &office.desktop,
            "alter table entry detach partition entry_2027",
        )
        .await;
        until(
            &office.cloud,
            "select count(*) = 0 from entry where id = 40",
        )
        .await;
        office.caught_up(&mut service).await;
        // One partition is emptied: what of the table is left has to be looked at.
        exec(&office.desktop, "truncate entry_2028").await;
        until(
            &office.cloud,
            "select count(*) = 0 from entry where id = 41",
        )
        .await;
        exec(
            &office.desktop,
            "truncate entry; insert into entry values (1, '2025-01-01', 'again')",
        )
        .await;
        office.caught_up(&mut service).await;
        until(&office.cloud, "select count(*) = 1 from entry").await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_table_that_was_dropped_and_made_again_is_noticed_by_the_heartbeat_and_copied() {
    let settings = may_shrink(&format!(
        "{BEAT}[[table]]\nname = \"item\"\n[[table]]\nname = \"other\"\n"
    ));
    let ddl =
        "create table item (id int primary key, t text); create table other (id int primary key)";
    let office = Office::with_tables(&newest(), &settings, ddl, ddl).await;
    exec(
        &office.desktop,
        "insert into item select n, 'old' from generate_series(1, 20) n",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&office.desktop, "drop table item; create table item (id int primary key, t text); insert into item values (1, 'new'), (99, 'new')").await;
    until(
        &office.cloud,
        "select string_agg(id || t, ' ' order by id) = '1new 99new' from item",
    )
    .await;
    // The application's own changes go on working, and travel.
    exec(
        &office.desktop,
        "update item set t = 'newer'; delete from item where id = 99; insert into other values (1)",
    )
    .await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    // Somebody takes the table out of the publication: what changed meanwhile is found.
    exec(&office.desktop, "alter publication tandem drop table item; update item set t = 'unseen'; insert into item values (5, 'unseen')").await;
    until(
        &office.cloud,
        "select count(*) = 2 from item where t = 'unseen'",
    )
    .await;
    exec(&office.desktop, "update item set t = 'seen'").await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    // It is gone for good: it stops alone.
    exec(
        &office.desktop,
        "drop table item; insert into other values (2)",
    )
    .await;
    until(
        &office.cloud,
        "select state = 'stopped' from tandem.table_state where \"table\" = 'item'",
    )
    .await;
    let (_, _, why) = office.states().await.remove(0);
    assert!(why.contains("dropped or renamed"), "{why}");
    office.caught_up(&mut service).await;
    assert_eq!(
        value(&office.cloud, "select count(*) from other").await,
        "2"
    );
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_added_removed_and_mapped_anew_between_two_runs() {
    for place in places() {
        let settings = format!(
            "{BEAT}[[table]]\nname = \"a\"\nkey = [\"id\"]\n[[table]]\nname = \"b\"\nkey = [\"id\"]\n"
        );
        let ddl = "create table a (id int, t text); create table b (id int, t text); create table c (id int, t text)";
        let office = Office::with_tables(&place, &settings, ddl, ddl).await;
        let fill = |table: &str| {
            format!("insert into {table} select n, 't' || n from generate_series(1, 300) n;")
        };
        exec(&office.desktop, &["a", "b", "c"].map(fill).concat()).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        assert_eq!(service.stop().await, 0);
        // b leaves, c comes, a gets another key.
        let text = std::fs::read_to_string(office.file()).unwrap();
        let changed = text.replace("name = \"b\"", "name = \"c\"").replacen(
            "key = [\"id\"]",
            "key = [\"id\", \"t\"]",
            1,
        );
        std::fs::write(office.file(), &changed).unwrap();
        exec(
            &office.desktop,
            "update a set t = 'x' where id <= 10; delete from b where id = 1",
        )
        .await;
        let versions =
            "select md5(string_agg(concat(id, t, xmin), ',' order by id)) from a where id > 10";
        let before = value(&office.cloud, versions).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        let states: Vec<_> = office
            .states()
            .await
            .into_iter()
            .map(|(table, state, _)| format!("{table} {state}"))
            .collect();
        assert_eq!(states, ["a streaming", "b removed", "c streaming"]);
        assert_eq!(
            value(&office.cloud, versions).await,
            before,
            "a new look writes only what differs"
        );
        assert_eq!(
            value(
                &office.cloud,
                "select (select count(*) from b) || ' ' || (select count(*) from c)"
            )
            .await,
            "300 300",
            "its rows stay"
        );
        let published = "select string_agg(tablename, ' ' order by tablename) from pg_publication_tables where pubname = 'tandem'";
        assert_eq!(value(&office.desktop, published).await, "a c");
        assert_eq!(value(&office.desktop, "select string_agg(relreplident::text, '' order by relname) from pg_class where relname in ('a', 'b', 'c')").await, "fdf", "it has its old identity");
        exec(
            &office.desktop,
            "delete from b; update c set t = 'new' where id = 1; delete from a where id = 2",
        )
        .await;
        office.caught_up(&mut service).await;
        assert_eq!(value(&office.cloud, "select count(*) from b").await, "300");
        assert_eq!(
            value(
                &office.cloud,
                "select (select count(*) from a) || (select t from c where id = 1)"
            )
            .await,
            "299new"
        );
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_nothing_is_set_up_twice_and_no_lock_is_asked_for_again() {
    let office = Office::open(&Plan::powerca(&newest(), 0.02)).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
    // A program that holds every table: a second start asks for none of them.
    let holder =
        crate::support::office::connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    exec(
        &holder,
        "begin; lock table jobshead, jobtasks, climaster in row exclusive mode",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(&holder, "commit").await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_uninstall_leaves_what_others_publish_able_to_be_updated() {
    let ddl = "create table loose (a int, b int); create table theirs (a int, b int); create table joint (a int, b int); create table plain (id int primary key, b int)";
    let settings = format!(
        "{BEAT}[forward]\npublication = \"shared\"\n[[table]]\nname = \"loose\"\nkey = []\n[[table]]\nname = \"theirs\"\nkey = []\n[[table]]\nname = \"joint\"\nkey = []\n[[table]]\nname = \"plain\"\n"
    );
    let office = Office::with_tables(&newest(), &settings, ddl, ddl).await;
    // A publication that a person made, with a table of theirs.
    exec(
        &office.desktop,
        "alter table theirs replica identity full; create publication shared for table theirs",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // Another program publishes tables whose identity tandem made; another replicator is set up after it.
    exec(&office.desktop, "create publication other for table loose").await;
    exec(&office.desktop, "create publication second; select tandem.publish('second', 'second', 'joint', null); insert into tandem.publication values ('second', 'second')").await;
    assert_eq!(service.stop().await, 0);
    let (code, plan, _) = office.ask(&["uninstall", "--plan"]).await;
    assert_eq!(code, 0, "{plan}");
    let (code, _, said) = office.ask(&["uninstall", "--yes"]).await;
    assert_eq!(code, 0, "{said}");
    let rows = "insert into loose values (1, 1); insert into theirs values (1, 1); insert into joint values (1, 1)";
    exec(&office.desktop, rows).await;
    exec(&office.desktop, "update loose set b = 2; delete from loose; update theirs set b = 2; delete from theirs; update joint set b = 2; delete from joint").await;
    let identities = "select string_agg(relname || '=' || relreplident::text, ' ' order by relname) from pg_class where relname in ('loose', 'theirs', 'joint', 'plain')";
    assert_eq!(
        value(&office.desktop, identities).await,
        "joint=f loose=f plain=d theirs=f"
    );
    let published = "select string_agg(p.pubname || ':' || r.prrelid::regclass, ' ' order by p.pubname) from pg_publication_rel r join pg_publication p on p.oid = r.prpubid";
    let published = value(&office.desktop, published).await;
    assert_eq!(
        published, "other:loose second:joint shared:theirs",
        "what others did stays"
    );
    // The last one gives back what was before the first.
    let file = include_str!("../../sql/desktop/uninstall.sql");
    exec(
        &office.desktop,
        &format!("set tandem.replicator = 'second'; {file}"),
    )
    .await;
    assert_eq!(
        value(&office.desktop, identities).await,
        "joint=d loose=f plain=d theirs=f"
    );
    assert_eq!(
        value(
            &office.desktop,
            "select count(*) from pg_namespace where nspname = 'tandem'"
        )
        .await,
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_an_identity_that_no_longer_names_rows_is_noticed_and_mended() {
    let ddl = "create table item (a int not null, b int not null, c int, primary key (a)); create unique index by_b on item (b)";
    let settings = format!("{BEAT}[[table]]\nname = \"item\"\nkey = [\"b\"]\n");
    let office = Office::with_tables(&newest(), &settings, ddl, ddl).await;
    exec(
        &office.desktop,
        "insert into item select i, i, 1 from generate_series(1, 9) i",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // Somebody gives it the primary key again: old rows no longer say the key.
    exec(&office.desktop, "alter table item replica identity default").await;
    until(
        &office.desktop,
        "select relreplident = 'i' from pg_class where relname = 'item'",
    )
    .await;
    exec(
        &office.desktop,
        "delete from item where b = 3; update item set b = 40 where b = 4",
    )
    .await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}
