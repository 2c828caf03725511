//! P8, P11: desktops that don't speak UTF-8. What their bytes mean arrives as text; a byte that means nothing stops one row,
//! on every road, and the row goes by itself when its cause does.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::office::{Office, Plan, exec, until, value};
use support::servers::{newest, versions};
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
