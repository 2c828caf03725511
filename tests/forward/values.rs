//! P11: values arrive as they left. Every type that a column of this server can have, with its edges, in the first
//! copy and in the stream; and single values of 64 MB.
//!
//! `values/types.rs` asks the server which types there are and makes values for those that nobody has named,
//! `values/edges.rs` knows the edges of the others, `values/own.rs` adds types to the server's, `values/sheets.rs`
//! spreads them over tables and compares both sides.

pub mod edges;
pub mod own;
pub mod sheets;
pub mod types;

use self::own::prepare;
use self::sheets::{Sheet, assert_same, sheets, use_tables, usual_values};
use self::types::{Found, types};
use crate::support::office::{Office, Place, Plan, Service, exec, places, value};
use crate::support::servers::{newest, versions};

/// What a database may be set to, without asking anybody: nothing of it may reach a value. The desktop's and the
/// cloud's are different on purpose.
const DESKTOP_MANNERS: &str = "alter database enterprise_db set datestyle = 'German, DMY'; alter database enterprise_db set timezone = 'Asia/Kolkata'; \
    alter database enterprise_db set intervalstyle = 'sql_standard'; alter database enterprise_db set extra_float_digits = -10; \
    alter database enterprise_db set bytea_output = 'escape'; alter database enterprise_db set xmloption = 'document'; \
    alter database enterprise_db set search_path = '\"Other Schema\"', public; \
    alter database enterprise_db set quote_all_identifiers = on; alter database enterprise_db set standard_conforming_strings = off; \
    alter database enterprise_db set array_nulls = off; alter database enterprise_db set transform_null_equals = on; \
    alter database enterprise_db set backslash_quote = off; alter database enterprise_db set plpgsql.variable_conflict = 'use_variable'";
const CLOUD_MANNERS: &str = "alter database postgres set datestyle = 'SQL, MDY'; alter database postgres set timezone = 'America/St_Johns'; \
    alter database postgres set intervalstyle = 'iso_8601'; alter database postgres set standard_conforming_strings = off; \
    alter database postgres set array_nulls = off; alter database postgres set xmloption = 'document'; \
    alter database postgres set transform_null_equals = on; alter database postgres set backslash_quote = off; \
    alter database postgres set plpgsql.variable_conflict = 'use_variable'; alter database postgres set check_function_bodies = off; \
    alter database postgres set default_transaction_isolation = 'serializable'";

/// An office with all of the types that `wanted` lets through, spread over tables.
async fn office_of_types(place: &Place, wanted: impl Fn(&Found) -> bool) -> (Office, Vec<Sheet>) {
    let mut office = Office::open(&Plan::empty(place)).await;
    prepare(&office).await;
    let mut found = types(&office.desktop, place.binaries.version).await;
    found.retain(wanted);
    let sheets = sheets(&found);
    use_tables(&mut office, &sheets).await;
    exec(&office.desktop, DESKTOP_MANNERS).await;
    exec(&office.cloud, CLOUD_MANNERS).await;
    (office, sheets)
}

async fn step(
    office: &Office,
    service: &mut Service,
    sheets: &[Sheet],
    what: &str,
    sql: impl Fn(&Sheet) -> String,
) {
    for sheet in sheets {
        exec(&office.desktop, &sql(sheet)).await;
    }
    office.caught_up(service).await;
    let stopped: Vec<_> = office
        .states()
        .await
        .into_iter()
        .filter(|(_, state, _)| state != "streaming")
        .collect();
    assert!(stopped.is_empty(), "{what}: {stopped:#?}");
    assert_same(office, sheets, what).await;
}

/// The first copy, an insert, an update, a changed key, a deletion and a refill of every value.
async fn travel(office: &Office, sheets: &[Sheet]) {
    for sheet in sheets {
        exec(&office.desktop, &sheet.insert(0)).await;
    }
    let mut service = office.run();
    step(office, &mut service, sheets, "first copy", |_| {
        String::new()
    })
    .await;
    step(office, &mut service, sheets, "insert", |sheet| {
        sheet.insert(1000)
    })
    .await;
    step(office, &mut service, sheets, "update", Sheet::shift).await;
    // Nothing but the key is sent of values that are stored apart.
    step(office, &mut service, sheets, "key change", |sheet| {
        format!(
            "update {} set id = id + 100000 where id >= 1000 and id % 2 = 0",
            sheet.keyed
        )
    })
    .await;
    step(office, &mut service, sheets, "delete", Sheet::thin).await;
    step(office, &mut service, sheets, "refill", Sheet::refill).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_values_of_every_type_of_the_server_arrive_byte_for_byte() {
    for place in &versions().iter().map(Place::from).collect::<Vec<_>>() {
        let (office, sheets) = office_of_types(place, |_| true).await;
        travel(&office, &sheets).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_values_of_named_types_arrive_byte_for_byte_through_a_pooler_80_ms_away() {
    for place in places().iter().filter(|place| place.distant) {
        // The catalogs' own row types say nothing about distance.
        let (office, sheets) = office_of_types(place, |found| {
            found.schema != "information_schema" && !found.is_row_of_catalog
        })
        .await;
        travel(&office, &sheets).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_values_that_travel_in_arrays_of_their_type_arrive_byte_for_byte() {
    let places = places();
    for place in [places.first().unwrap(), places.last().unwrap()] {
        let (mut office, _) = office_of_types(place, |_| false).await;
        let usual = [usual_values()];
        use_tables(&mut office, &usual).await;
        travel(&office, &usual).await;
    }
}

/// Each row is alone in its table's part of a batch: its values are parameters of their own there, and from the eighth one on the
/// cloud has a plan that it keeps.
#[tokio::test(flavor = "multi_thread")]
async fn p11_values_of_rows_that_come_alone_arrive_byte_for_byte() {
    let place = Place::from(&newest());
    let (mut office, mut sheets) = office_of_types(&place, |found| {
        found.schema != "information_schema" && !found.is_row_of_catalog
    })
    .await;
    let usual = usual_values();
    use_tables(&mut office, std::slice::from_ref(&usual)).await;
    sheets.push(usual);
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let observer = office.observer().await;
    let rows = sheets.iter().map(Sheet::rows).max().unwrap();
    for (at, when) in ["insert", "update", "key change", "delete"]
        .iter()
        .enumerate()
    {
        for row in 0..rows {
            let lives = sheets.iter().filter_map(|sheet| sheet.life(row));
            let changes: Vec<_> = lives.map(|life| life[at].clone()).collect();
            let together = format!("begin; {}; commit", changes.join("; "));
            exec(&office.desktop, &together).await;
            office.seen_by(&observer, &mut service).await;
        }
        let parked = value(&office.cloud, "select count(*) from tandem.quarantine").await;
        assert_eq!(parked, "0", "{when}");
        assert_same(&office, &sheets, when).await;
    }
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

const MB: usize = 1 << 20;

/// Two values of `mb` MB in one table with a key and one without: text whose every character has to be quoted, and
/// bytes that take twice their size when they are written.
async fn large_values(place: &Place, mb: usize) {
    let ddl = "create table keyed (id int primary key, words text, bytes bytea, n int); alter table keyed alter words set storage external, alter bytes set storage external; \
        create table counted (n int, bytes bytea); alter table counted alter bytes set storage external";
    let settings = "[forward]\nmemory_max = \"512MB\"\n[[table]]\nname = \"keyed\"\n[[table]]\nname = \"counted\"\nkey = []";
    let office = Office::with_tables(place, settings, ddl, ddl).await;
    let words = format!("(select repeat(E'\\\\\"ü', {}))", mb * MB / 4);
    let bytes = format!(
        "(select decode(repeat('00ff5c27', {}), 'hex'))",
        mb * MB / 4
    );
    exec(&office.desktop, &format!("insert into keyed values (1, {words}, 'x', 0); insert into keyed values (2, 'y', {bytes}, 0); insert into counted values (1, {bytes})")).await;
    let mut service = office.run();
    same_digests(&office, &mut service, "first copy").await;
    for (what, sql) in [
        (
            "insert",
            format!("insert into keyed values (3, {words}, 'z', 0)"),
        ),
        (
            "another insert",
            format!("insert into keyed values (4, 'z', {bytes}, 0)"),
        ),
        (
            "update",
            "update keyed set bytes = bytes || '\\x00'::bytea, n = 1 where id = 2".to_owned(),
        ),
        (
            "key change",
            "update keyed set id = 5, n = 2 where id = 3".to_owned(),
        ),
        // Old and new row in one message, 128 MB of text each.
        (
            "update without a key",
            "update counted set n = 2".to_owned(),
        ),
        ("delete", "delete from keyed where id in (1, 4)".to_owned()),
        ("delete without a key", "delete from counted".to_owned()),
    ] {
        exec(&office.desktop, &sql).await;
        same_digests(&office, &mut service, what).await;
    }
    let peak_kb = service.peak_kb();
    assert!(peak_kb <= (512 + 64) << 10, "P12: {peak_kb} kB");
    assert_eq!(service.stop().await, 0);
}

/// Lengths and digests of all values are the same on both sides, after everything has arrived.
async fn same_digests(office: &Office, service: &mut Service, when: &str) {
    office.caught_up(service).await;
    println!("{when}: peak memory {} kB", service.peak_kb());
    assert!(
        office
            .states()
            .await
            .iter()
            .all(|(_, state, _)| state == "streaming"),
        "{when}: {:?}",
        office.states().await
    );
    for sql in [
        "select string_agg(concat_ws(' ', id, n, length(words), md5(words), length(bytes), md5(bytes)), ', ' order by id) from keyed",
        "select string_agg(concat_ws(' ', n, length(bytes), md5(bytes)), ', ') from counted",
    ] {
        assert_eq!(
            value(&office.desktop, sql).await,
            value(&office.cloud, sql).await,
            "{when}"
        );
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn u42_p11_text_and_bytes_of_64_mb_arrive_within_memory_max() {
    large_values(&Place::from(&newest()), 64).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn u42_p11_text_and_bytes_of_16_mb_arrive_through_a_pooler_80_ms_away() {
    for place in places().iter().filter(|place| place.distant) {
        large_values(place, 16).await;
    }
}
