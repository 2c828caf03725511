//! Columns that a server computes: nobody writes them, they disturb nothing, and where both sides have them they are compared.

use crate::support::office::{Office, came_home, exec, until, value};
use crate::support::servers::{newest, versions};

/// `gross` is computed on both sides, `label` on the desktop alone, `plain` and `extra` in the cloud alone.
const DESKTOP: &str = "create table item (id int primary key, net numeric(8,2), gross numeric(8,2) generated always as (net * 1.2) stored, \
        label text generated always as ('no ' || id::text) stored, plain int); \
    create table bag (a int, twice int generated always as (a * 2) stored); \
    create table slow (id int primary key, label text generated always as ('no ' || id::text) stored); \
    create table diary (id int primary key, hours int, minutes int generated always as (hours * 60) stored, days int generated always as (hours / 24) stored, source text)";
const CLOUD: &str = "create table item (id int primary key, net numeric(8,2), gross numeric(8,2) generated always as (net * 1.2) stored, \
        label text, plain int generated always as (7) stored, extra int generated always as (id + 1) stored not null); \
    create table bag (a int, twice int generated always as (a * 2) stored); \
    create table slow (id int primary key, label text, extra int generated always as (id + 1) stored); \
    create table diary (id int primary key, hours int, minutes int generated always as (hours * 60) stored, days int, weeks int generated always as (hours / 168) stored, source text)";

#[tokio::test(flavor = "multi_thread")]
async fn generated_columns_need_no_edit_and_are_written_by_nobody() {
    for binaries in versions() {
        let travels = binaries.version >= 18;
        let office = Office::with_tables(&binaries, "", DESKTOP, CLOUD).await;
        exec(&office.desktop, "insert into item (id, net, plain) select n, n, 0 from generate_series(1, 5) n; insert into bag values (1), (1), (2); \
            insert into slow values (1), (2); insert into diary (id, hours, source) values (1, 5, 'D')").await;
        let text = office.proposal().await;
        for (wanted, there) in [
            ("skip = [\"plain\"]", travels),
            ("skip = [\"label\", \"plain\"]", !travels),
            ("# plain: the cloud computes it", true),
            (
                "# label: the desktop computes it and does not send it",
                !travels,
            ),
            ("# rename", false),
        ] {
            assert_eq!(text.contains(wanted), there, "{wanted}: {text}");
        }
        // A table that only swaps bring is read, not sent.
        let text = text
            .replace(
                "name = \"slow\"\nskip = [\"label\"]\n",
                "name = \"slow\"\nstream = false\n",
            )
            .replace(
                "name = \"diary\"\nskip = [\"days\"]\n",
                "name = \"diary\"\nskip = [\"days\"]\nflow = \"both\"\n",
            )
            .replace("name = \"slow\"\n\n", "name = \"slow\"\nstream = false\n\n")
            .replace(
                "name = \"diary\"\n\n",
                "name = \"diary\"\nflow = \"both\"\n\n",
            );
        std::fs::write(
            office.file(),
            format!("{text}\n[heartbeat]\nevery = \"200ms\"\n"),
        )
        .unwrap();
        office.fine(&["bootstrap"]).await;
        let mut service = office.run();
        // Without the publication's option the first of these would fail on PostgreSQL 18 (P10).
        exec(&office.desktop, "update bag set a = a + 10 where a = 2; delete from bag where ctid in (select min(ctid) from bag where a = 1); insert into bag values (5)").await;
        exec(&office.desktop, "update item set net = net + 1 where id < 3; delete from item where id = 3; insert into item (id, net) values (9, 9); \
            update item set id = 40 where id = 4; insert into slow values (3); delete from slow where id = 1; update diary set hours = 6").await;
        exec(
            &office.cloud,
            "insert into diary (id, hours, source) values (2, 48, 'M')",
        )
        .await;
        office.caught_up(&mut service).await;
        until(&office.desktop, "select count(*) = 2 from diary").await;
        came_home(&office).await;
        office.fine(&["swap", "item", "slow"]).await;
        exec(
            &office.cloud,
            "update diary set hours = 72 where id = 2; update item set net = 100 where id = 9",
        )
        .await;
        until(
            &office.desktop,
            "select minutes = 4320 and days = 3 from diary where id = 2",
        )
        .await;
        office.fine(&["repair", "--table", "item", "--apply"]).await;
        office.fine(&["verify"]).await;
        for sql in [
            "select string_agg(concat_ws(' ', id, net, gross), ';' order by id) from item",
            "select string_agg(t::text, ';' order by t::text) from bag t",
            "select string_agg(concat_ws(' ', id, label), ';' order by id) from slow",
            "select string_agg(concat_ws(' ', id, hours, minutes, source), ';' order by id) from diary",
        ] {
            let rows = value(&office.desktop, sql).await;
            assert_eq!(value(&office.cloud, sql).await, rows, "{sql}");
        }
        let label = "select string_agg(coalesce(label, '-'), ' ' order by id) from item";
        assert_eq!(
            value(&office.cloud, label).await,
            match travels {
                true => value(&office.desktop, label).await,
                false => "- - - - -".to_owned(),
            }
        );
        assert_eq!(
            value(&office.cloud, "select concat((select count(*) from tandem.quarantine), (select count(*) from tandem.conflict))").await,
            "00"
        );
        assert_eq!(service.stop().await, 0);
        office.assert_conserved().await;
    }
}

/// Both sides compute a column, and not alike: that is seen, and nobody proposes to write it.
#[tokio::test(flavor = "multi_thread")]
async fn columns_that_both_sides_compute_are_compared() {
    let with = |sql: &str| {
        format!(
            "create table item (id int primary key, net int, v int generated always as ({sql}) stored)"
        )
    };
    for binaries in versions() {
        let tables = "[[table]]\nname = \"item\"\n";
        let office =
            Office::with_tables(&binaries, tables, &with("net * 2"), &with("net + net % 3")).await;
        exec(
            &office.desktop,
            "insert into item values (1, 0), (2, 1), (3, 5)",
        )
        .await;
        office.fine(&["bootstrap"]).await;
        let (code, out, said) = office.ask(&["verify", "--json"]).await;
        assert!(
            code == 1 && out.contains("\"missing\":0,\"extra\":0,\"different\":1"),
            "{out} {said}"
        );
        let (_, out, said) = office.ask(&["repair"]).await;
        assert!(
            out.contains("both sides compute v, and not alike")
                && !out.contains("update \"public\""),
            "{out} {said}"
        );
    }
}

/// PostgreSQL 18 has columns that are computed when they are read. No log has them, and a published table that has some can refuse
/// the office's own updates.
#[tokio::test(flavor = "multi_thread")]
async fn p10_columns_that_are_computed_when_read_never_make_an_update_fail() {
    let binaries = newest();
    if binaries.version < 18 {
        println!("skipped: needs PostgreSQL 18");
        return;
    }
    let virtual_one = "w int generated always as (n * 2) virtual";
    let desktop = format!(
        "create table named (id int primary key, n int, {virtual_one}); alter table named replica identity full; \
         create table bag (n int, {virtual_one}); create table sent (id int primary key, n int, {virtual_one})"
    );
    let cloud = format!(
        "create table named (id int primary key, n int, {virtual_one}); create table bag (n int, {virtual_one}); create table sent (id int primary key, n int, w int)"
    );
    let all = "[[table]]\nname = \"named\"\n[[table]]\nname = \"bag\"\nkey = []\n[[table]]\nname = \"sent\"\n";
    let office = Office::with_tables(&binaries, all, &desktop, &cloud).await;
    let (code, _, said) = office.ask(&["bootstrap"]).await;
    for wanted in [
        "bag: the desktop's table has columns that are computed when they are read (VIRTUAL)",
        "sent: column w is computed on the desktop when it is read (VIRTUAL), which does not send it",
    ] {
        assert!(code == 2 && said.contains(wanted), "{wanted}: {said}");
    }
    assert!(!said.contains("named: "), "{said}");
    let text = std::fs::read_to_string(office.file()).unwrap();
    let text = text
        .replace("key = []\n", "key = []\nstream = false\n")
        .replace("name = \"sent\"\n", "name = \"sent\"\nskip = [\"w\"]\n");
    std::fs::write(office.file(), text).unwrap();
    exec(&office.desktop, "insert into named values (1, 1), (2, 2); insert into bag values (1); insert into sent values (1, 1)").await;
    office.fine(&["bootstrap"]).await;
    let mut service = office.run();
    exec(&office.desktop, "update named set n = 5 where id = 1; delete from named where id = 2; update bag set n = 2; update sent set n = 3").await;
    office.caught_up(&mut service).await;
    office.fine(&["swap", "bag"]).await;
    office.fine(&["verify"]).await;
    for sql in [
        "select string_agg(t::text, ';') from named t",
        "select string_agg(t::text, ';') from bag t",
    ] {
        assert_eq!(
            value(&office.cloud, sql).await,
            value(&office.desktop, sql).await
        );
    }
    assert_eq!(service.stop().await, 0);
    office.fine(&["uninstall", "--yes"]).await;
    assert_eq!(
        value(
            &office.desktop,
            "select relreplident::text from pg_class where relname = 'named'"
        )
        .await,
        "f"
    );
}
