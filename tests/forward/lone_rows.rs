//! A row that comes alone is written by a statement of its own form, whose plan the cloud's session keeps: with that it meets all
//! that rows in company do (P1, P4, P8).

use crate::support::office::{Office, Service, exec, until, value};
use crate::support::servers::newest;

const DESKTOP: &str = "create table item (id int primary key, what text, big text, n int default 0); alter table item alter big set storage external";
const CLOUD: &str = "create table item (id int primary key, what text, big text, n int, source char(1), twice int generated always as (n * 2) stored, \
        constraint sane check (what <> 'never')); \
    alter table item alter big set storage external";
const SETTINGS: &str = "[heartbeat]\nevery = \"200ms\"\n[[table]]\nname = \"item\"";
/// A server makes plans of its own for the first runs of a statement that has a name, which it has from its second run on.
const UNTIL_KEPT: i32 = 8;

/// One change after the other, each alone.
async fn each(office: &Office, service: &mut Service, changes: &[String]) {
    for change in changes {
        exec(&office.desktop, change).await;
        office.caught_up(service).await;
        office.assert_equal().await;
    }
}

/// A row's whole life.
fn life(id: i32) -> [String; 6] {
    [
        format!("insert into item values ({id}, 'word', repeat('b{id}', 3000), 1)"),
        format!("update item set what = null, big = repeat('c{id}', 3000) where id = {id}"),
        // The large value is not sent: alone, with the key, and under a key of before.
        format!("update item set n = 2, what = '' where id = {id}"),
        format!("update item set id = {id} + 1000 where id = {id}"),
        format!(
            "begin; update item set id = {id} + 2000 where id = {id} + 1000; update item set n = 3 where id = {id} + 2000; commit"
        ),
        format!("delete from item where id = {id} + 2000"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p4_p8_a_row_alone_is_written_as_rows_in_company_are() {
    let office = Office::with_tables(&newest(), SETTINGS, DESKTOP, CLOUD).await;
    exec(
        &office.cloud,
        "insert into item select i, 'phone', 'p', 0, 'M' from generate_series(5000, 5020) as i",
    )
    .await;
    let phones = "select sum(hashtextextended(t::text || t.xmin::text || t.ctid::text, 0)) from item as t where source = 'M'";
    let phones_before = value(&office.cloud, phones).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    for id in 1..=UNTIL_KEPT {
        each(&office, &mut service, &life(id)).await;
    }
    // Rows that nobody claims become the desktop's.
    exec(
        &office.cloud,
        "insert into item select i, 'nobody''s', 'p', 0, null from generate_series(6000, 6008) as i",
    )
    .await;
    for at in 0..=UNTIL_KEPT {
        let id = 6000 + at;
        let insert = format!("insert into item values ({id}, 'mine', 'm', {at})");
        exec(&office.desktop, &insert).await;
        office.caught_up(&mut service).await;
    }
    office.assert_equal().await;
    let twice = "select count(*) = 9 and bool_and(twice = 2 * n and source = 'D') from item where what = 'mine'";
    assert_eq!(value(&office.cloud, twice).await, "true");
    // What the cloud refuses is parked, and takes no other row with it. A phone's row is one that stands in the way.
    for (at, id) in [3000, 5001, 3001, 5002].into_iter().enumerate() {
        let change = format!("insert into item values ({id}, 'never')");
        exec(&office.desktop, &change).await;
        let parked = format!("select count(*) = {} from tandem.quarantine", at + 1);
        until(&office.cloud, &parked).await;
        exec(&office.desktop, &life(10 + at as i32)[0]).await;
        office.caught_up(&mut service).await;
    }
    assert_eq!(
        value(
            &office.cloud,
            "select count(*) from item where what = 'word'"
        )
        .await,
        "4"
    );
    exec(
        &office.desktop,
        "update item set what = 'now' where id = 3000",
    )
    .await;
    exec(&office.desktop, "delete from item where id = 3001").await;
    exec(&office.desktop, "delete from item where id = 5001").await;
    exec(&office.desktop, "delete from item where id = 5002").await;
    until(&office.cloud, "select count(*) = 0 from tandem.quarantine").await;
    for id in 20..20 + UNTIL_KEPT {
        each(&office, &mut service, &life(id)).await;
    }
    // A value is changed in the cloud, and a row is lost there: the next change makes both good.
    exec(
        &office.cloud,
        "update item set n = 77 where id = 6001; delete from item where id = 6002",
    )
    .await;
    for id in [6001, 6002] {
        let change = format!("update item set what = 'mine again' where id = {id}");
        exec(&office.desktop, &change).await;
    }
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    office.assert_conserved().await;
    assert_eq!(value(&office.cloud, phones).await, phones_before);
    assert_eq!(service.stop().await, 0);
}
