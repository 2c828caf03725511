//! What doesn't fit is said at once, and nothing is changed.

use crate::support::office::{Office, Plan, exec, value};
use crate::support::servers::{newest, versions};

const TABLES: &str = r#"
[[table]]
name = "fits"
[[table]]
name = "short"
[[table]]
name = "unfilled"
[[table]]
name = "narrow"
[[table]]
name = "keyless"
key = ["nowhere"]
[[table]]
name = "only_desktop"
[[table]]
name = "only_cloud"
[[table]]
name = "twice"
key = ["name"]
"#;

const DESKTOP: &str = "
    create table fits (id int primary key, v text);
    create table short (id int primary key, extra text);
    create table unfilled (id int primary key);
    create table narrow (id int primary key, name varchar(100), total numeric(10, 2), big int8);
    create table keyless (id int);
    create table only_desktop (id int primary key);
    create table twice (id int, name text);
    insert into twice values (1, 'a'), (2, 'a'), (3, 'a'), (4, 'b'), (5, null), (6, null), (7, 'c');
    create table stranger (id int);
    create publication theirs for table stranger;
    insert into fits values (1, 'x')";

const CLOUD: &str = "
    create table fits (id int primary key, v text);
    create table short (id int primary key);
    create table unfilled (id int primary key, must text not null);
    create table narrow (id int primary key, name varchar(50), total numeric(10, 0), big int4);
    create table keyless (id int primary key);
    create table only_cloud (id int primary key);
    create table twice (id int primary key, name text)";

/// Everything that a set-up could have changed.
const TRACES: &str = "select concat_ws(' ', \
    (select count(*) from pg_namespace where nspname = 'tandem'), \
    (select string_agg(pubname, ',') from pg_publication), \
    (select count(*) from pg_replication_slots), \
    (select string_agg(relname || relreplident::text, ',' order by relname) from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace), \
    (select count(*) from pg_trigger))";

async fn traces(office: &Office) -> [String; 2] {
    [
        value(&office.desktop, TRACES).await,
        value(&office.cloud, TRACES).await,
    ]
}

async fn office(plan: &Plan, desktop: &str, cloud: &str) -> Office {
    let office = Office::open(plan).await;
    exec(&office.desktop, desktop).await;
    exec(
        &office.cloud,
        &format!("set role postgres; set search_path = public; {cloud}"),
    )
    .await;
    office
}

#[tokio::test(flavor = "multi_thread")]
async fn all_mismatches_of_settings_and_catalogs_come_at_once_and_nothing_is_changed() {
    for binaries in versions() {
        let office = office(&Plan::tables(&binaries, TABLES), DESKTOP, CLOUD).await;
        let before = traces(&office).await;
        let (code, out, error) = office.ask(&["run"]).await;
        assert_eq!((code, out.as_str()), (2, ""), "{error}");
        for words in [
            &["short:", "extra", "no place in the cloud"][..],
            &["unfilled:", "must", "refuses NULL"],
            &["narrow:", "name", "varying(100)", "varying(50)"],
            &["narrow:", "total", "numeric(10,2)", "numeric(10,0)"],
            &["narrow:", "big", "bigint", "integer"],
            &["keyless:", "nowhere", "does not exist"],
            &["only_desktop:", "does not exist on the cloud"],
            &["only_cloud:", "does not exist on the desktop"],
            &[
                "twice:",
                "key (name)",
                "on the desktop",
                "2 values",
                "5 rows",
                "key = []",
            ],
        ] {
            let said = error
                .lines()
                .any(|line| words.iter().all(|word| line.contains(word)));
            assert!(said, "no line with {words:?} in\n{error}");
        }
        assert!(error.contains("9 things"), "{error}");
        assert!(!error.contains("fits:"), "{error}");
        assert_eq!(traces(&office).await, before);
        assert_eq!(value(&office.cloud, "select count(*) from fits").await, "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_names_many_rows_is_refused_with_counts_and_nothing_is_changed() {
    for binaries in versions() {
        let settings = "[[table]]\nname = \"twice\"\nkey = [\"name\"]\n[[table]]\nname = \"fits\"";
        let office = office(&Plan::tables(&binaries, settings), DESKTOP, CLOUD).await;
        exec(&office.cloud, "insert into twice values (1, 'z'), (2, 'z')").await;
        let before = traces(&office).await;
        let (code, _, error) = office.ask(&["run"]).await;
        assert_eq!(code, 2, "{error}");
        for words in [
            ["on the desktop", "2 values of it name 5 rows"],
            ["on the cloud", "1 value of it name 2 rows"],
        ] {
            assert!(
                error
                    .lines()
                    .any(|line| words.iter().all(|word| line.contains(word))),
                "{words:?} in {error}"
            );
        }
        assert_eq!(traces(&office).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desktop_without_logical_wal_is_refused_with_the_statement_that_mends_it() {
    for binaries in versions() {
        let mut plan = Plan::tables(&binaries, "[[table]]\nname = \"fits\"");
        plan.desktop = plan.desktop.set("wal_level", "replica");
        let office = office(
            &plan,
            "create table fits (id int primary key, v text)",
            CLOUD,
        )
        .await;
        let before = traces(&office).await;
        let (code, _, error) = office.ask(&["run"]).await;
        assert_eq!(code, 2, "{error}");
        assert!(
            error.contains("ALTER SYSTEM SET wal_level = logical") && error.contains("restart"),
            "{error}"
        );
        // Who asks for the restart wants to see the plan before.
        let (code, out, error) = office.ask(&["bootstrap", "--plan"]).await;
        assert!(
            code == 0
                && out.contains("-- first, on the desktop: ALTER SYSTEM SET wal_level = logical"),
            "{out} {error}"
        );
        assert_eq!(traces(&office).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_table_there_is_nothing_to_run() {
    let office = Office::open(&Plan::empty(&versions()[0])).await;
    let (code, _, error) = office.ask(&["run"]).await;
    assert!(code == 2 && error.contains("[[table]]"), "{code} {error}");
}

/// What is no table, or one whose rows come and go unseen: a table's name here, and words of the line that says it.
const PLACES: [(&str, &[&str]); 12] = [
    ("unlogged", &["unlogged on the desktop", "SET LOGGED"]),
    (
        "parts",
        &["parts_1 is unlogged on the desktop", "SET LOGGED"],
    ),
    ("shown", &["on the desktop", "a view", "name the tables"]),
    ("kept", &["on the desktop", "a materialized view"]),
    ("elsewhere", &["on the desktop", "a foreign table"]),
    ("pg_catalog.pg_class", &["desktop's own catalog"]),
    (
        "parent",
        &[
            "inherit",
            "child, other_child",
            "[[table]]",
            "would not travel",
            "NO INHERIT",
        ],
    ),
    ("into_unlogged", &["unlogged on the cloud", "SET LOGGED"]),
    ("into_parts", &["into_parts_1 is unlogged on the cloud"]),
    ("into_view", &["on the cloud", "a view"]),
    ("into_foreign", &["on the cloud", "a foreign table"]),
    ("home", &["unlogged on the desktop"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_table_or_has_rows_that_nobody_sees_is_said_before_anything_is_installed() {
    let mut settings = String::new();
    for (name, _) in PLACES {
        let flow = match name {
            "home" => "reverse",
            _ => "forward",
        };
        let cloud = name.trim_start_matches("pg_catalog.");
        settings +=
            &format!("[[table]]\nname = \"{name}\"\ncloud = \"{cloud}\"\nflow = \"{flow}\"\n");
    }
    // These fit: what only swaps read, a parent whose child has a table of its own, and one in the cloud.
    settings += "[[table]]\nname = \"swapped\"\nstream = false\n[[table]]\nname = \"head\"\n[[table]]\nname = \"tail\"\n[[table]]\nname = \"into_parent\"\n";
    let of = |names: &[&str], kind: &str| -> String {
        let made = names
            .iter()
            .map(|name| format!("create {kind} {name} (id int primary key, note text); "));
        made.collect()
    };
    let foreign =
        "create foreign data wrapper nowhere; create server far foreign data wrapper nowhere; ";
    let desktop = of(&["unlogged", "home", "swapped"], "unlogged table")
        + &of(
            &[
                "parent",
                "head",
                "into_unlogged",
                "into_parts",
                "into_view",
                "into_foreign",
                "into_parent",
            ],
            "table",
        )
        + foreign
        + "create table parts (id int primary key, note text) partition by list (id); create unlogged table parts_1 partition of parts for values in (1); \
           create table parts_2 partition of parts for values in (2); create view shown as select * from head; create materialized view kept as select * from head; \
           create foreign table elsewhere (id int, note text) server far; create table child (more int) inherits (parent); create table other_child () inherits (parent); \
           create table tail () inherits (head); alter table tail add primary key (id)";
    let cloud = of(&["into_unlogged"], "unlogged table")
        + &of(
            &[
                "unlogged",
                "parts",
                "shown",
                "kept",
                "elsewhere",
                "pg_class",
                "parent",
                "into_parent",
                "swapped",
                "head",
                "tail",
            ],
            "table",
        )
        + "create table home (id int primary key, note text, source char(1)); \
           create table into_parts (id int primary key, note text) partition by list (id); create unlogged table into_parts_1 partition of into_parts default; \
           create view into_view as select * from head; create table grown_up () inherits (into_parent)";
    let office = Office::open(&Plan::tables(&newest(), &settings)).await;
    exec(&office.desktop, &desktop).await;
    exec(
        &office.cloud,
        &format!("{foreign} create foreign table into_foreign (id int, note text) server far"),
    )
    .await;
    exec(
        &office.cloud,
        &format!("grant all on into_foreign to postgres; set role postgres; set search_path = public; {cloud}"),
    )
    .await;
    let before = traces(&office).await;
    for command in ["bootstrap", "run"] {
        let (code, _, error) = office.ask(&[command]).await;
        assert_eq!(code, 2, "{error}");
        for (name, words) in PLACES {
            let name = format!("  {name}: ");
            let mut lines = error.lines();
            let said = lines.any(|line| {
                line.starts_with(&name) && words.iter().all(|word| line.contains(word))
            });
            assert!(said, "{name} {words:?} in\n{error}");
        }
        for fits in ["swapped: ", "head: ", "tail: ", "into_parent: "] {
            assert!(!error.contains(fits), "{fits} in\n{error}");
        }
        assert_eq!(traces(&office).await, before, "nothing was installed");
    }
    // doctor says the same.
    let (code, out, _) = office.ask(&["doctor", "--json"]).await;
    assert_eq!(code, 1, "{out}");
    for (_, words) in PLACES {
        assert!(
            words.iter().all(|word| out.contains(word)),
            "{words:?} in {out}"
        );
    }
}
