//! P8, P11: desktops that don't speak UTF-8. What their bytes mean arrives as text; a byte that means nothing stops one row,
//! on every road, and the row goes by itself when its cause does.

use std::collections::BTreeMap;

use crate::support::office::{Office, Plan, came_home, exec, until, value};
use crate::support::servers::{newest, versions};
use serde_json::Value;
use tandem::model::Encoding;

const SQL_ASCII: &str = "encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0";
const WIN1252: &str = "encoding 'WIN1252' lc_collate 'C' lc_ctype 'C' template template0";

const PERSON: &str = "create table person (id int primary key, name varchar(40), note text)";

async fn office(database: &'static str, settings: &str, ddl: &str) -> Office {
    let office = Office::open(&Plan {
        database,
        ..Plan::tables(
            &newest(),
            &format!("[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n{settings}"),
        )
    })
    .await;
    exec(&office.desktop, ddl).await;
    let cloud = format!("set role postgres; set search_path = public; {ddl}; reset role");
    exec(&office.cloud, &cloud).await;
    office
}

/// From now on the settings say what the bytes mean.
fn name_encoding(office: &Office, encoding: &str) {
    let text = std::fs::read_to_string(office.file()).unwrap();
    let said = format!("\nencoding = \"{encoding}\"\n\n[cloud]");
    std::fs::write(office.file(), text.replacen("\n[cloud]", &said, 1)).unwrap();
}

/// What the cloud's table says.
async fn names(office: &Office) -> String {
    let sql = "select string_agg(concat_ws('=', id, name, note), ' ' order by id) from person";
    value(&office.cloud, sql).await
}

async fn parked(office: &Office, rows: u64) {
    let sql = format!("select count(*) = {rows} from tandem.quarantine");
    until(&office.cloud, &sql).await;
}

async fn ask(office: &Office, arguments: &[&str], code: i32) -> Value {
    let (found, out, err) = office.ask(arguments).await;
    assert_eq!(found, code, "{arguments:?}: {out} {err}");
    serde_json::from_str(&out).unwrap()
}

/// Nothing differs but these rows.
async fn equal_but(office: &Office, known: u64) {
    let verified = ask(office, &["verify", "--json"], 0).await;
    let sum = |what: &str| -> u64 {
        let tables = verified["tables"].as_array().unwrap().iter();
        tables.map(|table| table[what].as_u64().unwrap()).sum()
    };
    assert_eq!(verified["equal"], true, "{verified}");
    assert_eq!(sum("known"), known, "{verified}");
    assert_eq!(
        sum("missing") + sum("different") + sum("extra"),
        known,
        "{verified}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_each_byte_means_what_the_server_says() {
    let office = Office::open(&Plan::empty(&newest())).await;
    exec(
        &office.desktop,
        "create function read(b bytea, e text) returns text language plpgsql as \
         $$ begin return convert_from(b, e); exception when others then return null; end $$",
    )
    .await;
    for encoding in Encoding::all() {
        let name = encoding.name();
        let name = if name == "UTF8" { continue } else { name };
        let all = match encoding.is_single() {
            true => "select set_byte('\\x00', 0, i) as b from generate_series(128, 255) as i",
            false => {
                "select set_byte(set_byte('\\x0000', 0, i), 1, j) as b from generate_series(128, 255) as i, generate_series(32, 255) as j \
                 union all select set_byte('\\x00', 0, i) from generate_series(128, 255) as i"
            }
        };
        let sql = format!("select b, read(b, '{name}') from ({all}) as all_bytes");
        let rows = office.desktop.client.query_typed(&sql, &[]).await.unwrap();
        let mut wrong = BTreeMap::new();
        for row in &rows {
            let (bytes, text): (Vec<u8>, Option<String>) = (row.get(0), row.get(1));
            let ours = encoding.decode(&bytes).map(|text| text.into_owned());
            if ours != text.clone().map(String::into_bytes) {
                wrong.insert(bytes, (text, ours));
            }
        }
        assert!(wrong.is_empty(), "{name}: {wrong:x?}");
        let own = Encoding::named(name).unwrap();
        assert_eq!(own, encoding);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_a_byte_that_means_nothing_stops_one_row_until_the_settings_name_its_encoding() {
    for binaries in versions() {
        let office = Office::open(&Plan {
            database: SQL_ASCII,
            ..Plan::tables(
                &binaries,
                "[heartbeat]\nevery = \"200ms\"\n[[table]]\nname = \"person\"\n",
            )
        })
        .await;
        exec(&office.desktop, PERSON).await;
        exec(
            &office.cloud,
            &format!("set role postgres; {PERSON}; reset role"),
        )
        .await;
        exec(
            &office.desktop,
            "insert into person values (1, 'plain', 'a\\b'), (2, E'M\\303\\274ller', null), (3, E'M\\374ller', 'x')",
        )
        .await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        assert_eq!(names(&office).await, "1=plain=a\\b 2=Müller");
        let listed = ask(&office, &["quarantine", "list", "--json"], 1).await;
        let row = &listed["rows"][0];
        assert_eq!(row["sqlstate"], "22021", "{listed}");
        assert_eq!(row["key"]["id"], "3", "{listed}");
        let why = row["why"].as_str().unwrap();
        for said in [
            "column name holds bytes",
            "SQL_ASCII",
            "encoding = \"WIN1252\"",
        ] {
            assert!(why.contains(said), "{why}");
        }
        // In the stream: one that is there, one that is new, and others of the same transaction.
        exec(
            &office.desktop,
            "begin; insert into person values (4, E'\\344', 'new'), (5, 'good', 'y'); \
             update person set note = E'\\337' where id = 2; update person set note = 'z' where id = 1; commit",
        )
        .await;
        office.caught_up(&mut service).await;
        assert_eq!(names(&office).await, "1=plain=z 2=Müller 5=good=y");
        parked(&office, 3).await;
        equal_but(&office, 3).await;
        // Gone, and mended, on the desktop.
        exec(
            &office.desktop,
            "delete from person where id = 3; update person set name = 'mended' where id = 4",
        )
        .await;
        office.caught_up(&mut service).await;
        parked(&office, 1).await;
        assert_eq!(
            names(&office).await,
            "1=plain=z 2=Müller 4=mended=new 5=good=y"
        );
        office.assert_conserved().await;
        equal_but(&office, 1).await;
        assert_eq!(service.stop().await, 0);
        exec(
            &office.desktop,
            "insert into person values (6, E'\\200', 'off')",
        )
        .await;
        name_encoding(&office, "WIN1252");
        let mut service = office.run();
        office.caught_up(&mut service).await;
        parked(&office, 0).await;
        let sql = "select string_agg(concat_ws('=', id, name, note), ' ' order by id) \
            = '1=plain=z 2=MÃ¼ller=ß 4=mended=new 5=good=y 6=€=off' from person";
        until(&office.cloud, sql).await;
        exec(&office.desktop, "update person set name = E'\\212\\201' where id = 5; insert into person values (7, E'\\374', 'in')").await;
        office.caught_up(&mut service).await;
        parked(&office, 1).await;
        let why = value(&office.cloud, "select why from tandem.quarantine").await;
        assert!(
            why.starts_with("column name holds bytes that mean nothing in WIN1252"),
            "{why}"
        );
        equal_but(&office, 1).await;
        office.assert_conserved().await;
        assert_eq!(service.stop().await, 0);
    }
}

const MORE: &str = "create table person (id int primary key, name varchar(40), note text); \
    create table place (name text primary key, n int); \
    create table scan (name text, n int)";
const TABLES: &str = "[[table]]\nname = \"person\"\nmax_shrink = 1\n[[table]]\nname = \"place\"\nmax_shrink = 1\n[[table]]\nname = \"scan\"\nkey = []\nmax_shrink = 1\n";

/// Both sides have the same rows, the desktop's read as WIN1252.
async fn same(office: &Office) {
    for (table, row) in [
        ("person", "concat_ws('|', id, name, note)"),
        ("place", "concat_ws('|', name, n)"),
        ("scan", "concat_ws('|', name, n)"),
    ] {
        let read = format!(
            "convert_from(convert(convert_to({row}, 'SQL_ASCII'), 'WIN1252', 'UTF8'), 'SQL_ASCII')"
        );
        let all = |row: &str| {
            format!(
                "select string_agg(r, E'\\n' order by convert_to(r, 'UTF8')) from (select {row} as r from {table}) as rows"
            )
        };
        assert_eq!(
            value(&office.desktop, &all(&read)).await,
            value(&office.cloud, &all(row)).await,
            "{table}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_keys_rows_without_one_large_transactions_and_swaps_know_such_bytes_too() {
    let settings = format!("[forward]\nmemory_max = \"16MB\"\n{TABLES}");
    let office = office(SQL_ASCII, &settings, MORE).await;
    exec(
        &office.desktop,
        "insert into place values ('Ulm', 1), (E'K\\366ln', 2), (E'M\\374nster', 3); \
         insert into scan values ('a', 1), ('a', 1), (E'\\344', 2), (E'\\344', 2), (E'\\366', 3)",
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let places = "select string_agg(name, ' ' order by name) from place";
    assert_eq!(value(&office.cloud, places).await, "Ulm");
    assert_eq!(value(&office.cloud, "select count(*) from scan").await, "2");
    let waits = "select string_agg(concat_ws(' ', \"table\", sqlstate, copies, work), ', ' order by \"table\", copies) from tandem.quarantine";
    assert_eq!(
        value(&office.cloud, waits).await,
        "place 22021 1 upsert, place 22021 1 upsert, scan 22021 1 add, scan 22021 2 add"
    );
    let listed = ask(
        &office,
        &["quarantine", "list", "--table", "place", "--json"],
        1,
    )
    .await;
    let row = &listed["rows"][0];
    assert_eq!(row["key"]["name"], "K\\366ln", "{listed}");
    assert!(
        row["why"].as_str().unwrap().starts_with("key column name"),
        "{listed}"
    );
    equal_but(&office, 5).await;
    // By their names: gone, changed, renamed, and one more and one less of what is counted.
    exec(
        &office.desktop,
        "begin; delete from place where n = 2; update place set n = 4 where n = 3; insert into place values (E'L\\374beck', 5); \
         update place set name = E'\\334lm' where n = 1; insert into scan values (E'\\344', 2); delete from scan where n = 3; commit",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(&office.cloud, waits).await,
        "place 22021 1 upsert, place 22021 1 upsert, place 22021 1 upsert, scan 22021 3 add"
    );
    assert_eq!(value(&office.cloud, places).await, "");
    equal_but(&office, 6).await;
    exec(
        &office.desktop,
        "update place set name = 'Ulm' where n = 1; delete from scan where ctid = (select min(ctid) from scan where n = 2)",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, places).await, "Ulm");
    parked(&office, 3).await;
    // Too large for memory, and the table emptied before.
    exec(
        &office.desktop,
        "begin; insert into person select i, case i % 1000 when 0 then E'\\374' else 'x' end || i, repeat('n', 300) from generate_series(1, 60000) i; commit; \
         begin; truncate place; insert into place values (E'B\\366blingen', 1), ('Bonn', 2); commit",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(
        value(&office.cloud, "select count(*) from person").await,
        "59940"
    );
    assert_eq!(value(&office.cloud, places).await, "Bonn");
    parked(&office, 62).await;
    equal_but(&office, 63).await;
    // A swap finds them as they are.
    let swapped = ask(&office, &["swap", "person", "place", "scan", "--json"], 0).await;
    assert!(swapped.to_string().contains("person"), "{swapped}");
    parked(&office, 62).await;
    equal_but(&office, 63).await;
    exec(
        &office.cloud,
        "delete from person where id = 7; update person set note = 'other' where id = 8",
    )
    .await;
    let (_, out, err) = office.ask(&["repair", "--apply"]).await;
    assert!(out.contains("person"), "{out} {err}");
    equal_but(&office, 63).await;
    office.assert_conserved().await;
    assert_eq!(service.stop().await, 0);
    name_encoding(&office, "windows-1252");
    let mut service = office.run();
    office.caught_up(&mut service).await;
    parked(&office, 0).await;
    until(
        &office.cloud,
        "select bool_and(state = 'streaming') from tandem.table_state",
    )
    .await;
    same(&office).await;
    equal_but(&office, 0).await;
    exec(
        &office.desktop,
        "begin; update person set note = E'\\200' || id; insert into scan values (E'\\337\\\\', 9); delete from place where n = 1; commit",
    )
    .await;
    office.caught_up(&mut service).await;
    same(&office).await;
    equal_but(&office, 0).await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_a_database_with_an_encoding_may_hold_bytes_that_mean_nothing_in_it() {
    let office = office(WIN1252, TABLES, MORE).await;
    // Its client's encoding was the same: nobody converted, nobody looked.
    let own = "set client_encoding = 'WIN1252'; insert into person select 1, convert_from('\\x8081', 'WIN1252'), 'a'; \
        insert into place select convert_from('\\x4d90', 'WIN1252'), 1; reset client_encoding";
    exec(
        &office.desktop,
        "insert into person values (2, 'Müller €', 'b'); insert into scan values ('ß', 1), ('ß', 1)",
    )
    .await;
    exec(&office.desktop, own).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert_eq!(names(&office).await, "2=Müller €=b");
    parked(&office, 2).await;
    let why = "select min(why) from tandem.quarantine where \"table\" = 'person'";
    let why = value(&office.cloud, why).await;
    assert!(
        why.starts_with("column name holds bytes that mean nothing in WIN1252, the encoding of the desktop's database"),
        "{why}"
    );
    equal_but(&office, 2).await;
    exec(
        &office.desktop,
        "begin; insert into person select 3, convert_from('\\x8d', 'WIN1252'), 'c'; insert into person values (4, 'Šimon', 'd'); \
         update person set note = 'ö' where id = 2; commit",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(names(&office).await, "2=Müller €=ö 4=Šimon=d");
    equal_but(&office, 3).await;
    exec(
        &office.desktop,
        "delete from place; update person set name = 'x' where name < 'A' or id in (1, 3)",
    )
    .await;
    office.caught_up(&mut service).await;
    parked(&office, 0).await;
    equal_but(&office, 0).await;
    for table in ["person", "place", "scan"] {
        let all = format!(
            "select string_agg(t::text, ' ' order by t::text collate \"C\") from {table} as t"
        );
        let [desktop, cloud] = [
            value(&office.desktop, &all).await,
            value(&office.cloud, &all).await,
        ];
        assert_eq!(desktop, cloud);
    }
    assert_eq!(service.stop().await, 0);
}

const DIARY: &str = "create table diary (id int primary key, name varchar(20), note text, source char(1) default 'D')";
const HOMEWARD: &str = "[[table]]\nname = \"diary\"\nflow = \"both\"\n";

/// What the phone's rows say on the desktop, byte by byte.
async fn at_home(office: &Office) -> String {
    let sql = "select string_agg(concat_ws('=', id, encode(convert_to(note, getdatabaseencoding()), 'escape')), ' ' order by id) from diary where source = 'M'";
    value(&office.desktop, sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_p5_what_phones_write_comes_home_in_the_offices_encoding() {
    let office = office(SQL_ASCII, HOMEWARD, DIARY).await;
    name_encoding(&office, "WIN1252");
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.cloud,
        "insert into diary values (1, 'Jürgen', 'Öl für 5 €', 'M'), (2, 'a', 'b', 'M'), (3, 'Yuki', '日本', 'M')",
    )
    .await;
    came_home(&office).await;
    assert_eq!(at_home(&office).await, "1=\\326l f\\374r 5 \\200 2=b");
    let listed = ask(&office, &["quarantine", "list", "--json"], 1).await;
    let row = &listed["rows"][0];
    assert_eq!(
        (&row["direction"], &row["sqlstate"]),
        (&"reverse".into(), &"22P05".into()),
        "{listed}"
    );
    let why = row["why"].as_str().unwrap();
    assert!(why.contains("UTF8") && why.contains("WIN1252"), "{why}");
    // Our own writes are known for what they are, and a change of the office's for its own.
    office.caught_up(&mut service).await;
    let echoed =
        "select ruled_out = 2 and applied = 0 from tandem.table_state where \"table\" = 'diary'";
    until(&office.cloud, echoed).await;
    equal_but(&office, 1).await;
    exec(&office.cloud, "update diary set note = 'Zürich' where id = 1; update diary set note = 'Japan' where id = 3; delete from diary where id = 2").await;
    came_home(&office).await;
    assert_eq!(at_home(&office).await, "1=Z\\374rich 3=Japan");
    parked(&office, 0).await;
    exec(
        &office.desktop,
        "insert into diary values (4, E'\\337', E'\\344', 'D')",
    )
    .await;
    office.caught_up(&mut service).await;
    let four = "select name || note = 'ßä' from diary where id = 4";
    until(&office.cloud, four).await;
    equal_but(&office, 0).await;
    let conflicts = "select count(*) from tandem.conflict";
    assert_eq!(value(&office.cloud, conflicts).await, "0");
    assert_eq!(value(&office.desktop, conflicts).await, "0");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_p5_without_a_setting_phones_write_utf8_and_with_an_encoding_the_server_converts() {
    for (database, umlaut) in [(SQL_ASCII, "\\303\\274"), (WIN1252, "\\374")] {
        let office = office(database, HOMEWARD, DIARY).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        exec(
            &office.cloud,
            "insert into diary values (1, 'ü', 'für', 'M'), (2, 'a', '日本', 'M')",
        )
        .await;
        came_home(&office).await;
        office.caught_up(&mut service).await;
        let (reverse, waiting) = match database {
            SQL_ASCII => (format!("1=f{umlaut}r 2=\\346\\227\\245\\346\\234\\254"), 0),
            _ => (format!("1=f{umlaut}r"), 1),
        };
        assert_eq!(at_home(&office).await, reverse);
        parked(&office, waiting).await;
        let echoed = format!(
            "select ruled_out = {} and applied = 0 from tandem.table_state where \"table\" = 'diary'",
            2 - waiting
        );
        until(&office.cloud, &echoed).await;
        equal_but(&office, waiting).await;
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p8_names_that_are_not_utf8_stand_in_nobodys_way() {
    let office = office(SQL_ASCII, "[[table]]\nname = \"person\"\n", PERSON).await;
    exec(
        &office.desktop,
        "do $$ declare name text := convert_from('\\x67f6df65', 'SQL_ASCII'); begin \
         execute format('alter table person add %I int', name); execute format('create table %I (id int primary key)', name); end $$; \
         insert into person values (1, 'a', 'b', 2)",
    )
    .await;
    let (code, _, err) = office.ask(&["bootstrap", "--plan"]).await;
    assert_eq!(code, 2, "{err}");
    let said = "the name of column g\\366\\337e of the desktop is not UTF-8";
    assert!(err.contains(said), "{err}");
    let text = std::fs::read_to_string(office.file()).unwrap();
    let skip = "name = \"person\"\nskip = ['g\\366\\337e']\n";
    std::fs::write(office.file(), text.replace("name = \"person\"\n", skip)).unwrap();
    let mut service = office.run();
    office.caught_up(&mut service).await;
    exec(
        &office.desktop,
        "update person set name = 'c'; insert into person (id, note) values (2, 'd')",
    )
    .await;
    office.caught_up(&mut service).await;
    assert_eq!(names(&office).await, "1=c=b 2=d");
    equal_but(&office, 0).await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_and_init_say_what_the_bytes_of_a_desktop_are() {
    let office = office(SQL_ASCII, "[[table]]\nname = \"person\"\n", PERSON).await;
    let encoding = async || {
        let (_, out, _) = office.ask(&["doctor", "--json"]).await;
        let doctor: Value = serde_json::from_str(&out).unwrap();
        let checks = doctor["checks"].as_array().unwrap().clone();
        { checks.into_iter() }
            .find(|check| check["id"] == "desktop_encoding")
            .unwrap()
    };
    let text = |check: &Value, what: &str| check[what].as_str().unwrap_or_default().to_owned();
    let check = encoding().await;
    assert_eq!(check["outcome"], "ok", "{check}");
    assert!(text(&check, "what").contains("are UTF-8"), "{check}");
    exec(
        &office.desktop,
        "insert into person values (1, E'\\374', 'x'), (2, E'\\303\\274', 'y')",
    )
    .await;
    let check = encoding().await;
    assert_eq!(check["outcome"], "warn", "{check}");
    assert!(
        text(&check, "what").ends_with("not all of its text is UTF-8: person"),
        "{check}"
    );
    assert!(
        text(&check, "fix").contains("encoding = \"WIN1252\""),
        "{check}"
    );
    let proposal = office.folder.join("proposed.toml");
    let urls = [
        office.servers.desktop.url("postgres", "enterprise_db"),
        office.servers.cloud.url("postgres", "postgres"),
    ];
    let [desktop, cloud] = &urls;
    let init = [
        "init",
        "--desktop",
        desktop,
        "--cloud",
        cloud,
        "--out",
        proposal.to_str().unwrap(),
    ];
    let (code, out, err) =
        crate::support::office::finish(crate::support::office::tandem().args(init)).await;
    assert_eq!(code, 0, "{out} {err}");
    let proposed = std::fs::read_to_string(&proposal).unwrap();
    assert!(
        proposed.contains("not all text is UTF-8 in person"),
        "{proposed}"
    );
    assert!(
        proposed.contains("\n# encoding = \"WIN1252\"\n"),
        "{proposed}"
    );
    name_encoding(&office, "WIN1252");
    let check = encoding().await;
    assert_eq!(check["outcome"], "ok", "{check}");
    assert!(text(&check, "what").ends_with("read as WIN1252"), "{check}");
}
