//! Keys, identities and values of single rows, on real servers.

use crate::support::office::{Office, Place, Plan, exec, places, value};
use crate::support::servers::newest;

async fn office(place: impl Into<Place>, settings: &str, ddl: &str) -> Office {
    Office::with_tables(place, settings, ddl, ddl).await
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_toast_keeps_what_the_cloud_has_under_each_identity() {
    for place in places() {
        let ddl = "create table by_key (id int primary key, big text, n int); alter table by_key alter big set storage external; \
            create table by_index (a int not null, b text not null, big text, n int, unique (a, b)); alter table by_index alter big set storage external; \
            create table whole (id int, big text, n int); alter table whole alter big set storage external";
        let settings = "[[table]]\nname = \"by_key\"\n[[table]]\nname = \"by_index\"\nkey = [\"a\", \"b\"]\n[[table]]\nname = \"whole\"\nkey = [\"id\"]";
        let office = office(&place, settings, ddl).await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        let identities = "select string_agg(relreplident::text, '' order by relname) from pg_class where relname in ('by_key', 'by_index', 'whole')";
        assert_eq!(
            value(&office.desktop, identities).await,
            "idf",
            "an index, the primary key, the whole row"
        );
        for step in [
            "insert into by_key select i, repeat('k' || i, 3000), 0 from generate_series(1, 20) i; insert into by_index select i, 'x', repeat('i' || i, 3000), 0 from generate_series(1, 20) i; insert into whole select i, repeat('w' || i, 3000), 0 from generate_series(1, 20) i",
            "update by_key set n = 1 where id <= 10; update by_index set n = 1 where a <= 10; update whole set n = 1 where id <= 10",
            // The key changes while the large value is not sent.
            "update by_key set id = id + 100 where id <= 5; update by_index set b = 'y' where a <= 5; update whole set id = id + 100 where id <= 5",
            // Changed again under the new key, in the same transaction as the change before.
            "begin; update by_key set id = id + 1000, n = 7 where id = 101; update by_key set n = 8 where id = 1101; update by_index set a = 50 where a = 1; update by_index set n = 9 where a = 50; commit",
            "update by_key set big = repeat('new', 2000) where id = 102; update by_key set n = 3 where id = 102; update by_key set big = null where id = 103",
            "delete from by_key where id > 1000; delete from by_index where a = 50; delete from whole where id > 100",
        ] {
            exec(&office.desktop, step).await;
            office.caught_up(&mut service).await;
            office.assert_equal().await;
        }
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_folded_form_meets_a_unique_constraint_is_written_in_source_order() {
    for place in places() {
        let ddl = "create table place (id int primary key, seat int unique, name text)";
        let office = office(&place, "[[table]]\nname = \"place\"", ddl).await;
        let mut service = office.run();
        exec(
            &office.desktop,
            "insert into place select i, i, 'p' from generate_series(1, 9) i",
        )
        .await;
        office.caught_up(&mut service).await;
        // Two rows exchange their seats through a third value: folded, each wants the other's seat.
        exec(&office.desktop, "begin; update place set seat = 0 where id = 1; update place set seat = 1 where id = 2; update place set seat = 2 where id = 1; commit").await;
        exec(&office.desktop, "begin; delete from place where id = 3; insert into place values (33, 3, 'took the seat'); commit").await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        assert!(
            office
                .states()
                .await
                .iter()
                .all(|(_, state, _)| state == "streaming")
        );
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nulls_in_keys_name_rows_and_equal_rows_are_counted() {
    for place in places() {
        let ddl =
            "create table part (a int, b text, n int); create table bag (a int, b text, j json)";
        let settings =
            "[[table]]\nname = \"part\"\nkey = [\"a\", \"b\"]\n[[table]]\nname = \"bag\"\nkey = []";
        let office = office(&place, settings, ddl).await;
        exec(&office.desktop, "insert into part values (1, null, 1), (null, 'x', 2), (null, null, 3), (1, 'x', 4); insert into bag select 1, null, '{}' from generate_series(1, 5)").await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        exec(&office.desktop, "update part set n = n + 10; delete from part where a is null and b is null; update part set b = null where a is null").await;
        exec(&office.desktop, "insert into bag select 1, null, '{}' from generate_series(1, 3); delete from bag where ctid in (select ctid from bag limit 2); update bag set a = 2 where ctid in (select ctid from bag limit 1)").await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        assert_eq!(value(&office.cloud, "select string_agg(concat(a, '/', coalesce(b, '-'), '/', n), ' ' order by n) from part").await, "1/-/11 /-/12 1/x/14");
        assert_eq!(value(&office.cloud, "select string_agg(a || 'x' || n, ' ' order by a) from (select a, count(*) n from bag group by a) c").await, "1x5 2x1");
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_values_arrive_as_they_left_in_the_copy_and_in_the_stream() {
    for place in places() {
        let ddl = "create type mood as enum ('fine', 'Not fine'); create domain small as numeric(6, 2); create type pair as (a int, b text); \
            create table every (id int primary key, i2 int2, i8 int8, n numeric, n2 numeric(10, 3), f4 float4, f8 float8, b bool, t text, v varchar(40), c char(9), by bytea, \
            d date, ts timestamp, tz timestamptz(3), tm time, iv interval, u uuid, j json, jb jsonb, x xml, ip inet, ar int[], ta text[], r int4range, m mood, s small, p pair, bt bit(5), vb varbit, mo money, pt point, q \"char\")";
        let office = office(&place, "[[table]]\nname = \"every\"", ddl).await;
        let rows = "(ID, 32767, -9223372036854775808, 'NaN', 1.5, 'NaN', '-Infinity', true, E'tab\\t, \\\\ back, ''quote'', \\nline', 'naïve 日本', 'ab', '\\x00ff', 'infinity', '-infinity', '0044-01-01 00:00:00+00 BC', '24:00', '1 year -3 days 00:00:00.000001', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\":  1}', '{\"b\": [1, null]}', '<a>1</a>', '10.0.0.1/8', '[0:2]={1,NULL,3}', '{\"a,b\",NULL,\"NULL\",\"\"}', '[1,10)', 'Not fine', 12.30, '(1,\"x,y\")', '10101', '1', '12.34', '(1.5,-0)', 'z')";
        let null = "(ID, null, null, '1.500', null, '-0', 1e-300, null, '', '', '', '', null, '2024-02-29 12:00:00.123456', '2024-06-30 23:59:59.999+05:30', null, null, null, 'null', 'null', null, null, '{}', '{}', 'empty', null, null, null, null, '', null, null, '')";
        exec(
            &office.desktop,
            &format!(
                "insert into every values {}, {}",
                rows.replace("ID", "1"),
                null.replace("ID", "2")
            ),
        )
        .await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        exec(
            &office.desktop,
            &format!(
                "insert into every values {}, {}",
                rows.replace("ID", "3"),
                null.replace("ID", "4")
            ),
        )
        .await;
        exec(&office.desktop, "update every set n = 2.50, ar = '{{1,2},{3,4}}', c = 'abc  ', f8 = '-0' where id in (1, 4); update every set id = 9 where id = 3; delete from every where id = 2").await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        let text = "select string_agg(md5(e::text), ' ' order by id) from every e";
        assert_eq!(
            value(&office.desktop, text).await,
            value(&office.cloud, text).await,
            "every character of every row"
        );
        assert_eq!(service.stop().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_are_only_names() {
    let ddl = "create schema \"Büro\"; grant usage on schema \"Büro\" to public; create table \"Büro\".\"select\" (\"Key 1\" int primary key, \"group\" text, \"a\"\"b\" text)";
    let settings = "[[table]]\nname = \"Büro.select\"\ncloud = \"Büro.select\"";
    let office = Office::open(&Plan::tables(&newest(), settings)).await;
    exec(&office.desktop, ddl).await;
    exec(
        &office.cloud,
        &format!("{ddl}; alter table \"Büro\".\"select\" owner to postgres"),
    )
    .await;
    let mut service = office.run();
    exec(&office.desktop, "insert into \"Büro\".\"select\" values (1, 'x', 'y'), (2, 'a', 'b'); update \"Büro\".\"select\" set \"a\"\"b\" = 'z' where \"Key 1\" = 1; delete from \"Büro\".\"select\" where \"Key 1\" = 2").await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_rows_meet_what_is_there_already_and_nulls_that_no_index_sees() {
    for place in places() {
        let desktop = "create table item (id int primary key, n int); create table part (a int not null, b text, n int); create unique index one_part on part (a, b)";
        let cloud = format!("{}; alter table item add source char", desktop);
        let settings =
            "[[table]]\nname = \"item\"\n[[table]]\nname = \"part\"\nkey = [\"a\", \"b\"]\n";
        let office = Office::with_tables(&place, settings, desktop, &cloud).await;
        exec(
            &office.desktop,
            "insert into part values (1, null, 1), (2, 'x', 2)",
        )
        .await;
        let mut service = office.run();
        office.caught_up(&mut service).await;
        // Rows that nobody claims have the keys of new ones; of these half are equal.
        exec(&office.cloud, "insert into item select i, i % 2, null from generate_series(1, 20) i; insert into part values (3, null, 7)").await;
        exec(&office.desktop, "insert into item select i, 1 from generate_series(1, 40) i; insert into part values (3, null, 3), (4, null, 4), (5, 'x', 5)").await;
        exec(
            &office.desktop,
            "update part set n = n + 10; update item set n = 2 where id = 7",
        )
        .await;
        office.caught_up(&mut service).await;
        office.assert_equal().await;
        let claimed = "select count(*) || ' ' || count(*) filter (where source = 'D') from item";
        assert_eq!(
            value(&office.cloud, claimed).await,
            "40 40",
            "adopted, not doubled"
        );
        assert_eq!(value(&office.cloud, "select count(*) from part").await, "5");
        let parked = value(&office.cloud, "select count(*) from tandem.quarantine").await;
        assert_eq!(parked, "0");
        assert_eq!(service.stop().await, 0);
    }
}
