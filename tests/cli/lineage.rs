//! A checkpoint belongs to one desktop, one database and one slot (P2, P13): anything else is exit 5.

use tandem::demo::cluster::Binaries;

use crate::support::office::{Office, Plan, connect, exec, value};
use crate::support::servers::{newest, versions};

const DDL: &str = "create table item (id int primary key, what text)";

/// An office that streamed, and whose service was stopped in order.
async fn rested(binaries: &Binaries) -> Office {
    let office = fresh(binaries).await;
    let mut service = office.run();
    exec(&office.desktop, "insert into item values (1, 'a')").await;
    office.caught_up(&mut service).await;
    assert_eq!(service.stop().await, 0);
    office
}

async fn fresh(binaries: &Binaries) -> Office {
    let mut office = Office::open(&Plan::tables(binaries, "[[table]]\nname = \"item\"")).await;
    let file = std::fs::read_to_string(office.file()).unwrap();
    std::fs::write(office.file(), format!("replicator = \"office-1\"\n{file}")).unwrap();
    office.settings.replicator = Some("office-1".to_owned());
    exec(&office.desktop, DDL).await;
    exec(&office.cloud, &format!("set role postgres; {DDL}")).await;
    office
}

/// `run` stops to protect data, says so, and says so again the next time.
async fn protected(office: &Office, words: &[&str]) {
    let before = value(
        &office.cloud,
        "select string_agg(t::text, ',' order by id) from item as t",
    )
    .await;
    for _ in 0..2 {
        let (code, out, error) = office.ask(&["run"]).await;
        assert_eq!((code, out.as_str()), (5, ""), "{error}");
        let report = &error[error.find("error: ").unwrap()..];
        for wanted in words {
            assert!(report.contains(wanted), "no {wanted:?} in {report}");
        }
    }
    let after = value(
        &office.cloud,
        "select string_agg(t::text, ',' order by id) from item as t",
    )
    .await;
    assert_eq!(after, before, "nothing was written");
    let last_words = value(&office.cloud, "select last_words from tandem.checkpoint").await;
    assert!(last_words.contains(words[0]), "{last_words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_slot_that_was_dropped_stops_run() {
    for binaries in versions() {
        let office = rested(&binaries).await;
        exec(
            &office.desktop,
            "select pg_drop_replication_slot('tandem'); insert into item values (2, 'b')",
        )
        .await;
        protected(&office, &["slot tandem does not exist", "copied anew"]).await;
        let (code, out, _) = office.ask(&["lag", "--json"]).await;
        assert!(code == 1 && out.contains("\"slot_lost\""), "{code} {out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_slot_that_somebody_moved_ahead_stops_run() {
    for binaries in versions() {
        let office = rested(&binaries).await;
        exec(&office.desktop, "insert into item values (2, 'b')").await;
        exec(
            &office.desktop,
            "select pg_replication_slot_advance('tandem', pg_current_wal_lsn())",
        )
        .await;
        protected(
            &office,
            &["the slot is ahead", "has committed up to", "confirms"],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_slot_made_anew_stops_run() {
    for binaries in versions() {
        let office = rested(&binaries).await;
        exec(
            &office.desktop,
            "select pg_drop_replication_slot('tandem'); insert into item values (2, 'b')",
        )
        .await;
        exec(
            &office.desktop,
            "select pg_create_logical_replication_slot('tandem', 'pgoutput')",
        )
        .await;
        protected(&office, &["the slot is ahead"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_another_database_or_slot_behind_the_same_replicator_stops_run() {
    for binaries in versions() {
        let office = rested(&binaries).await;
        let admin = connect(&office.servers.desktop, "postgres", "postgres").await;
        exec(&admin, "create database other_office").await;
        let other = connect(&office.servers.desktop, "postgres", "other_office").await;
        exec(&other, DDL).await;
        let file = std::fs::read_to_string(office.file()).unwrap();
        std::fs::write(office.file(), file.replace("enterprise_db", "other_office")).unwrap();
        protected(
            &office,
            &[
                "belongs to another desktop database",
                "enterprise_db",
                "other_office",
            ],
        )
        .await;
        std::fs::write(
            office.file(),
            format!("{file}[forward]\nslot = \"second\"\n"),
        )
        .unwrap();
        protected(&office, &["belongs to another slot", "tandem", "second"]).await;
        std::fs::write(office.file(), &file).unwrap();
        let mut service = office.run();
        office.caught_up(&mut service).await;
        assert_eq!(
            service.stop().await,
            0,
            "with the right settings it goes on"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_another_server_behind_the_same_address_stops_run() {
    let (office, other) = (rested(&newest()).await, fresh(&newest()).await);
    office
        .to_desktop
        .redirect(other.servers.desktop.host(), other.servers.desktop.port());
    protected(&office, &["belongs to another desktop server"]).await;
    // Where it is the same office on a new server, somebody says so (docs/operations.md).
    let rows = "insert into item values (1, 'a'), (2, 'after the upgrade')";
    exec(&other.desktop, rows).await;
    let (code, out, said) = office.ask(&["bootstrap", "--plan"]).await;
    assert_eq!(code, 0, "{out} {said}");
    let (code, out, said) = office.ask(&["bootstrap", "--restart"]).await;
    assert_eq!(code, 0, "{out} {said}");
    let mut service = office.run();
    exec(&other.desktop, "insert into item values (3, 'live')").await;
    office.caught_up(&mut service).await;
    assert_eq!(value(&office.cloud, "select count(*) from item").await, "3");
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_not_ours_is_left_alone() {
    for binaries in versions() {
        let office = fresh(&binaries).await;
        exec(
            &office.desktop,
            "select pg_create_logical_replication_slot('tandem', 'pgoutput')",
        )
        .await;
        let slot = "select concat(restart_lsn, confirmed_flush_lsn) from pg_replication_slots where slot_name = 'tandem'";
        let before = value(&office.desktop, slot).await;
        for _ in 0..2 {
            let (code, _, error) = office.ask(&["run"]).await;
            assert_eq!(code, 2, "{error}");
            assert!(
                error.contains("slot tandem exists") && error.contains("forward.slot"),
                "{error}"
            );
        }
        assert_eq!(value(&office.desktop, slot).await, before);
    }
}
