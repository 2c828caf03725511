//! Tables, schemas and columns may be called whatever PostgreSQL allows.

use crate::support::office::{Office, came_home, exec, until, value};
use crate::support::servers::newest;

const ROLE_CLOUD: &str = include_str!("../../sql/cloud/role.sql");
const ROLE_DESKTOP: &str = include_str!("../../sql/desktop/role.sql");

/// Tables that both sides have alike. Names with dots, quotes, blanks, capitals, other letters, words of SQL and everything
/// that formats, settings, shells and logs treat as special.
const SCHEMA: &str = r#"
create schema "Büro.2"; create schema "Shop";
create table "Büro.2"."Kunden.Liste" (
    "Nr." int primary key, "Vor-Name" text, "it's" text, "50%" numeric(8,2), "say ""hi""" text, "a,b" text, "back\slash" text,
    "{curly}" text, "$1" text, "${HOME}" text, "select" text, "Größe" text, " lead" text, "tab	stop" timestamptz);
create table "a.b" (id int primary key, "Kunde.Nr" int not null references "Büro.2"."Kunden.Liste", "Order" text);
create table "public"."b" (id int primary key, note text);
create table "Shop"."b" (id int primary key, price int);
create table "x""y".z (id int);
create table "${HOME}" ("T.1" text, "T 2" int);
create table "it's, select 1" (id int primary key, v text);
"#;

fn schema() -> String {
    SCHEMA.replace(
        "create schema \"Shop\";",
        "create schema \"Shop\"; create schema \"x\"\"y\";",
    )
}

/// Rows of each table as one text.
const ALL: [&str; 7] = [
    r#"select string_agg(t::text, ';' order by "Nr.") from "Büro.2"."Kunden.Liste" as t"#,
    r#"select string_agg(concat_ws(' ', id, "Kunde.Nr", "Order"), ';' order by id) from "a.b" as t"#,
    "select string_agg(t::text, ';' order by id) from b as t",
    "select string_agg(t::text, ';' order by id) from \"Shop\".b as t",
    r#"select string_agg(t::text, ';' order by id) from "x""y".z as t"#,
    r#"select string_agg(t::text, ';' order by t::text) from "${HOME}" as t"#,
    r#"select string_agg(t::text, ';' order by id) from "it's, select 1" as t"#,
];

async fn assert_same(office: &Office) {
    for sql in ALL {
        let rows = value(&office.desktop, sql).await;
        assert!(!rows.is_empty(), "{sql}");
        assert_eq!(value(&office.cloud, sql).await, rows, "{sql}");
    }
}

/// `init` writes names as they have to be written, and what it writes works with every command.
#[tokio::test(flavor = "multi_thread")]
async fn any_name_goes_from_init_to_verify() {
    let schema = schema();
    let office = Office::with_tables(&newest(), "", &schema, &schema).await;
    exec(&office.desktop, r#"
        insert into "Büro.2"."Kunden.Liste" select n, 'A', 'b''c', 1.5, '"', ',', '\', '{}', '$1', '${x}', 'from', 'ß', ' ', '2020-01-01 00:00Z' from generate_series(1, 3) n;
        insert into "a.b" values (1, 1, 'x'), (2, 2, 'y'), (3, 3, 'z'); insert into b values (1, 'one'); insert into "Shop".b values (1, 7);
        insert into "x""y".z values (1), (1), (2); insert into "${HOME}" values ('a', 1), ('a', 1); insert into "it's, select 1" values (1, 'v')"#).await;
    exec(
        &office.cloud,
        "alter table \"a.b\" add constraint \"no.bad\" check (\"Order\" <> 'bad')",
    )
    .await;

    let text = office.proposal().await;
    for wanted in [
        r#"name = '"Büro.2"."Kunden.Liste"'"#,
        r#"name = '"a.b"'"#,
        "name = \"b\"",
        "name = \"Shop.b\"",
        r#"name = '"x""y".z'"#,
        r#"name = "$${HOME}""#,
        "name = \"it's, select 1\"",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains("cloud = \""), "each has its own: {text}");
    let text = format!("{text}\n[heartbeat]\nevery = \"200ms\"\n");
    std::fs::write(office.file(), text).unwrap();
    office.fine(&["config", "check"]).await;
    office.fine(&["doctor"]).await;
    office.fine(&["bootstrap", "--plan"]).await;
    office.fine(&["bootstrap"]).await;
    assert_same(&office).await;
    let tables =
        r#""a.b", "Büro.2"."Kunden.Liste","it's, select 1" , "${HOME}""#.replace('\'', "''");
    let (role, may) = ("set tandem.role = 'tandem \"desk\"'", "'tandem \"desk\"'");
    for (side, script) in [(&office.cloud, ROLE_CLOUD), (&office.desktop, ROLE_DESKTOP)] {
        exec(
            side,
            &format!(
                "{role}; set tandem.tables = '{tables}'; set tandem.home = '\"a.b\"'; {script}"
            ),
        )
        .await;
        let may = format!(
            "select bool_and(has_table_privilege({may}, t::regclass, 'select')) from unnest(array['\"a.b\"', '\"it''s, select 1\"', '\"Büro.2\".\"Kunden.Liste\"']) t"
        );
        assert_eq!(value(side, &may).await, "true");
    }

    let mut service = office.run();
    exec(&office.desktop, r#"
        update "Büro.2"."Kunden.Liste" set "say ""hi""" = 'changed', "Nr." = "Nr." + 10, "50%" = 2 where "Nr." = 1 and false;
        update "Büro.2"."Kunden.Liste" set "say ""hi""" = 'changed', "it's" = null, "50%" = 2.25, "${HOME}" = '${y}' where "Nr." = 2;
        insert into "Büro.2"."Kunden.Liste" ("Nr.", "select") values (4, 'new'); insert into "a.b" values (4, 4, 'new');
        delete from "a.b" where id = 1; delete from "Büro.2"."Kunden.Liste" where "Nr." = 1; update b set note = 'two';
        update "Shop".b set price = 8; delete from "x""y".z where ctid in (select min(ctid) from "x""y".z where id = 1); insert into "${HOME}" values ('b', 2);
        update "it's, select 1" set v = 'w'"#).await;
    office.caught_up(&mut service).await;
    assert_same(&office).await;

    // A row that the cloud refuses waits under the table's name, in whichever way that is written.
    exec(
        &office.desktop,
        "insert into \"a.b\" values (5, 2, 'bad'), (6, 2, 'good')",
    )
    .await;
    office.caught_up(&mut service).await;
    for name in ["\"a.b\"", "public.\"a.b\"", "a.b"] {
        let (code, out, said) = office
            .ask(&["quarantine", "list", "--json", "--table", name])
            .await;
        assert!(
            code == 1 && out.contains(r#""table":"\"a.b\"""#) && out.contains("no.bad"),
            "{name}: {out} {said}"
        );
    }
    let (code, out, said) = office.ask(&["status"]).await;
    assert!(code == 1 && out.contains("\"a.b\""), "{out} {said}");
    exec(
        &office.cloud,
        "alter table \"a.b\" drop constraint \"no.bad\"",
    )
    .await;
    office
        .fine(&["quarantine", "retry", "--table", "\"a.b\""])
        .await;
    assert_same(&office).await;

    // What the cloud has otherwise is found and mended by the table's name.
    exec(&office.cloud, r#"update "a.b" set "Order" = 'by hand' where id = 2; delete from "${HOME}"; update "Büro.2"."Kunden.Liste" set "a,b" = 'by hand'"#).await;
    for name in ["\"a.b\"", "${HOME}", "\"Büro.2\".\"Kunden.Liste\""] {
        let (code, out, said) = office.ask(&["verify", "--table", name, "--keys"]).await;
        assert_eq!(code, 1, "{name}: {out} {said}");
    }
    let (_, shown, said) = office.ask(&["repair", "--table", "\"a.b\""]).await;
    assert!(
        shown.contains("\"public\".\"a.b\"") && shown.contains("\"Order\""),
        "{shown} {said}"
    );
    office
        .fine(&["swap", "\"a.b\"", "\"Büro.2\".\"Kunden.Liste\""])
        .await;
    office.fine(&["swap", "${HOME}", "--plan"]).await;
    office
        .fine(&["repair", "--table", "${HOME}", "--apply"])
        .await;
    office.fine(&["bootstrap", "--table", "\"x\"\"y\".z"]).await;
    office.fine(&["verify"]).await;
    assert_same(&office).await;
    let (code, _, said) = office.ask(&["verify", "--table", "b.c.d"]).await;
    assert!(
        code == 2 && said.contains("there are ") && said.contains("\"a.b\""),
        "{code} {said}"
    );
    office.fine(&["wait"]).await;
    assert_eq!(service.stop().await, 0);
    office.assert_conserved().await;
    exec(&office.desktop, "drop owned by \"tandem \"\"desk\"\"\"").await;
    office.fine(&["uninstall", "--yes"]).await;
    assert_eq!(
        value(
            &office.desktop,
            "select count(*) from pg_class where relkind = 'r' and relreplident <> 'd' and relnamespace::regnamespace::text !~ '^(pg_|information)'"
        )
        .await,
        "0"
    );
}

/// The way home, and what is said with names in settings: a parent that is looked up, a tenant through a parent, conversions.
#[tokio::test(flavor = "multi_thread")]
async fn any_name_comes_home_and_is_looked_up() {
    let desktop = r#"create schema "F.1"; create table "F.1"."Be.such" ("Nr.%" int primary key, "Häk.chen" bool, "wa""s" text, source text);
        create table "Akt.e" ("Nr." int primary key, owner text); create table "Blatt""x" (id int primary key, "Akt.Nr" int);
        create table "line
break" (id int primary key, v text, source text)"#;
    let cloud = r#"create schema "F.1"; create table "F.1"."Be.such" ("Nr.%" int primary key, "Häk.chen" bool, "wa""s" text, source text);
        create table "Akt.e" ("Nr." int primary key, owner text, "Org.Nr" int); create table "Blatt""x" (id int primary key, "Akt.Nr" int, "Eigen.tümer" text, "dop.pelt" text);
        create table "line
break" (id int primary key, v text, source text)"#;
    let settings = r#"
[heartbeat]
every = "200ms"
[tenant]
"Org.Nr" = 1
[[table]]
name = '"F.1"."Be.such"'
flow = "both"
tenant = false
cloud_owned = ["Häk.chen"]
[[table]]
name = '"Akt.e"'
[[table]]
name = '"Blatt""x"'
tenant = { via = '"Akt.e"', on = { "Akt.Nr" = "Nr." } }
lookup."Eigen.tümer" = { from = 'public."Akt.e"', on = { "Akt.Nr" = "Nr." }, take = "owner" }
convert = { "dop.pelt" = '("Akt.Nr" * 2)::text' }
[[table]]
name = "line\nbreak"
flow = "both"
tenant = false
"#;
    let office = Office::with_tables(&newest(), settings, desktop, cloud).await;
    exec(
        &office.desktop,
        r#"insert into "F.1"."Be.such" values (1, false, 'office', 'D'); insert into "Akt.e" values (7, 'Ann'); insert into "Blatt""x" values (1, 7)"#,
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let reverse = [
        r#"select string_agg(t::text, ';' order by "Nr.%") from "F.1"."Be.such" as t"#,
        "select string_agg(t::text, ';' order by id) from \"line\nbreak\" as t",
    ];
    exec(
        &office.cloud,
        "insert into \"F.1\".\"Be.such\" values (2, true, 'phone''s', 'M'); update \"F.1\".\"Be.such\" set \"Häk.chen\" = true where \"Nr.%\" = 1; \
         insert into \"line\nbreak\" values (1, 'phone', 'M')",
    )
    .await;
    until(
        &office.desktop,
        r#"select count(*) = 2 and bool_and("Häk.chen") from "F.1"."Be.such""#,
    )
    .await;
    until(&office.desktop, "select count(*) = 1 from \"line\nbreak\"").await;
    came_home(&office).await;
    exec(
        &office.desktop,
        r#"update "Akt.e" set owner = 'Bob'; update "F.1"."Be.such" set "wa""s" = 'again' where "Nr.%" = 1"#,
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(&office.cloud, "select t::text from \"Blatt\"\"x\" as t").await,
        "(1,7,Bob,14)"
    );
    for sql in reverse {
        assert_eq!(
            value(&office.cloud, sql).await,
            value(&office.desktop, sql).await
        );
    }
    // What came home was known for our own: nothing was held against the phone.
    assert_eq!(
        value(&office.cloud, "select concat((select count(*) from tandem.conflict), (select count(*) from tandem.quarantine))").await,
        "00"
    );
    office.fine(&["verify"]).await;
    office.fine(&["wait", "--reverse"]).await;
    assert_eq!(service.stop().await, 0);
}
