//! Servers that stop and come back: the desktop's shutdown never waits for us (P10), and we wait for both.

use std::time::Duration;

use crate::support::bank::{self, Teller};
use crate::support::office::{Office, Place, Plan, Service, connect, exec, until, value};
use crate::support::servers::{newest, versions};
use tandem::demo::cluster::Mode;
use tokio::time::sleep;

/// Between two transactions of the bank.
const PACE: Duration = Duration::from_millis(4);
/// Far shorter than tandem waits for the cloud before it leaves the stream.
const SHORT: Duration = Duration::from_secs(3);
/// What it says when it leaves a stream whose positions don't move.
const LEAVES: &str = "the cloud has confirmed nothing";

/// How long the cloud has been silent when the desktop stops.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Silence {
    None,
    Moment,
    /// Until tandem has left the stream.
    Long,
}

/// What the bank does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bank {
    Idle,
    Busy,
}

/// An office whose desktop never gives a receiver up by itself.
async fn open(place: impl Into<Place>) -> Office {
    let mut plan = Plan::tables(place, bank::SETTINGS);
    plan.desktop = plan.desktop.set("wal_sender_timeout", "0");
    bank::open_plan(&plan).await
}

/// A running office, and a bank that works if it is to.
async fn started(office: &Office, bank: Bank) -> (Service, Option<Teller>) {
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // The first copy may have had all of that; what comes behind it the stream has brought.
    office.caught_up(&mut service).await;
    if bank == Bank::Idle {
        return (service, None);
    }
    let teller = Teller::paced(office, 1, PACE).await;
    bank::busy(&teller, 50).await;
    (service, Some(teller))
}

/// The desktop's fast shutdown comes to its end, whoever works, and not because tandem gave the cloud up meanwhile. The
/// server itself waits for ever for a receiver that stays ([`open`]).
async fn shut_down(office: &Office, teller: Option<Teller>) {
    let left = office.said(LEAVES);
    let took = office.servers.desktop.stop(Mode::Fast).unwrap();
    println!("the desktop's shutdown took {took:.1?}");
    let now = office.said(LEAVES);
    assert_eq!(now, left, "the desktop's shutdown waited {took:?} for us");
    if let Some(teller) = teller {
        teller.cut_off().await;
    }
}

/// The test's own clients ended with their servers.
async fn reconnect(office: &mut Office) {
    office.desktop = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    office.cloud = connect(&office.servers.cloud, "supabase_admin", "postgres").await;
}

/// The bank works once more, and both sides end equal.
async fn ends_equal(office: &Office, mut service: Service) {
    let teller = Teller::paced(office, 7, PACE).await;
    bank::busy(&teller, 50).await;
    teller.stop().await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    bank::assert_once(office).await;
    assert_eq!(service.stop().await, 0);
}

/// The desktop stops after the cloud was silent, and comes back.
async fn desktop_stops(mut office: Office, bank: Bank, silence: Silence) {
    let (service, teller) = started(&office, bank).await;
    match silence {
        Silence::None => {}
        Silence::Moment => {
            office.to_cloud.stall();
            sleep(SHORT).await;
        }
        Silence::Long => {
            office.to_cloud.stall();
            office.says(LEAVES, 0);
        }
    }
    shut_down(&office, teller).await;
    office.servers.desktop.start_again().unwrap();
    office.to_cloud.resume();
    reconnect(&mut office).await;
    ends_equal(&office, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_the_desktop_stops_at_once_while_streaming() {
    for binaries in versions() {
        for bank in [Bank::Idle, Bank::Busy] {
            desktop_stops(open(&binaries).await, bank, Silence::None).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_the_desktop_stops_at_once_while_the_cloud_is_silent_for_a_moment() {
    for binaries in versions() {
        for bank in [Bank::Idle, Bank::Busy] {
            desktop_stops(open(&binaries).await, bank, Silence::Moment).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_the_desktop_stops_at_once_while_the_cloud_is_silent_for_long() {
    desktop_stops(open(&newest()).await, Bank::Idle, Silence::Long).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_a_busy_desktop_stops_at_once_while_the_cloud_is_silent_for_long() {
    desktop_stops(open(&newest()).await, Bank::Busy, Silence::Long).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_the_computer_shuts_down_while_the_cloud_is_silent() {
    let mut office = open(&newest()).await;
    let (mut service, teller) = started(&office, Bank::Busy).await;
    office.to_cloud.stall();
    sleep(SHORT).await;
    // An operating system tells all its programs at once.
    service.signal("TERM");
    office.says("finishing the current batch", 0);
    shut_down(&office, teller).await;
    office.to_cloud.resume();
    assert_eq!(service.ended().await, 0);
    office.servers.desktop.start_again().unwrap();
    reconnect(&mut office).await;
    let service = office.run();
    ends_equal(&office, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_desktop_that_crashes_is_waited_for() {
    let mut office = bank::open(&newest()).await;
    let (service, teller) = started(&office, Bank::Busy).await;
    office.servers.desktop.kill_hard().unwrap();
    teller.unwrap().cut_off().await;
    office.servers.desktop.start_again().unwrap();
    reconnect(&mut office).await;
    ends_equal(&office, service).await;
}

async fn cloud_stops(mut office: Office) {
    for (bank, mode) in [
        (Bank::Idle, Mode::Fast),
        (Bank::Busy, Mode::Fast),
        (Bank::Busy, Mode::Immediate),
    ] {
        let (mut service, teller) = started(&office, bank).await;
        office.servers.cloud.stop(mode).unwrap();
        office.servers.cloud.start_again().unwrap();
        reconnect(&mut office).await;
        if let Some(teller) = teller {
            bank::busy(&teller, 50).await;
            teller.stop().await;
        }
        office.caught_up(&mut service).await;
        assert_eq!(service.stop().await, 0);
    }
    let service = office.run();
    ends_equal(&office, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_cloud_that_stops_or_crashes_is_waited_for() {
    for binaries in versions() {
        cloud_stops(bank::open(&binaries).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_cloud_behind_a_pooler_80_ms_away_that_stops_is_waited_for() {
    if let Some(office) = bank::open_afar(&newest()).await {
        cloud_stops(office).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_the_desktop_stops_at_once_while_streaming_80_ms_away() {
    for silence in [Silence::None, Silence::Moment] {
        if let Some(office) = bank::open_afar(&newest()).await {
            desktop_stops(office, Bank::Busy, silence).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_server_that_is_down_at_the_start_is_waited_for() {
    let mut office = bank::open(&newest()).await;
    for desktop in [true, false] {
        let down = if desktop {
            &office.servers.desktop
        } else {
            &office.servers.cloud
        };
        down.stop(Mode::Fast).unwrap();
        let before = office.said("trying again");
        let service = office.run();
        // A second try.
        office.says("trying again", before + 1);
        down.start_again().unwrap();
        reconnect(&mut office).await;
        ends_equal(&office, service).await;
    }
}

/// While a backlog is written COMMIT doesn't wait for the cloud's disk. What a crash takes back comes again: nothing of it was
/// confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn p2_p3_a_crash_of_the_cloud_takes_back_only_what_the_desktop_still_has() {
    let ddl = "create table item (id int primary key, what text)";
    let settings = "[forward]\nbatch_rows = 1\n[[table]]\nname = \"item\"\n";
    let mut office = Office::with_tables(&newest(), settings, ddl, ddl).await;
    // Its own writer of the log must not be quicker than the crash.
    exec(&office.cloud, "alter system set wal_writer_delay = '10s'").await;
    office.servers.cloud.reload().unwrap();
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let rows = "select count(*) from item";
    for round in 1.. {
        assert!(round <= 20, "nothing was ever taken back");
        let there = value(&office.cloud, rows).await.parse::<u32>().unwrap();
        exec(
            &office.desktop,
            "do $$ begin for n in 1..2000 loop
               insert into item select coalesce(max(id), 0) + 1, 'x' from item; commit;
             end loop; end $$",
        )
        .await;
        until(
            &office.cloud,
            &format!("select count(*) >= {} from item", there + 100),
        )
        .await;
        office.to_cloud.refuse(true);
        let seen = value(&office.cloud, rows).await.parse::<u32>().unwrap();
        office.servers.cloud.stop(Mode::Immediate).unwrap();
        office.servers.cloud.start_again().unwrap();
        reconnect(&mut office).await;
        let kept = value(&office.cloud, rows).await.parse::<u32>().unwrap();
        let confirmed = value(
            &office.desktop,
            "select confirmed_flush_lsn from pg_replication_slots",
        )
        .await;
        let behind = format!("select lsn >= '{confirmed}' from tandem.checkpoint");
        assert_eq!(value(&office.cloud, &behind).await, "true");
        office.to_cloud.refuse(false);
        if kept < seen {
            break;
        }
        office.caught_up(&mut service).await;
    }
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_a_stop_does_not_wait_without_end_for_a_cloud_that_is_silent() {
    let office = open(&newest()).await;
    let (mut service, teller) = started(&office, Bank::Busy).await;
    office.to_cloud.stall_answers();
    // A batch that was committed, and of which tandem doesn't hear.
    let there = value(&office.cloud, "select count(*) from journal").await;
    let more = format!("select count(*) > {there} from journal");
    until(&office.cloud, &more).await;
    service.signal("TERM");
    office.says("finishing the current batch", 0);
    assert_eq!(service.ended().await, 0, "{}", office.log());
    assert_eq!(office.said("nothing is lost, stopping"), 1);
    teller.unwrap().stop().await;
    office.to_cloud.resume();
    let service = office.run();
    ends_equal(&office, service).await;
}
