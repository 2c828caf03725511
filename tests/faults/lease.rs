//! One writer (P14), and how the service ends: told to, told twice, killed, fenced off.

use std::time::Duration;

use crate::support::bank::{self, Teller};
use crate::support::office::{Office, Service, exec, finish, until, value};
use crate::support::servers::{newest, versions};

/// Between two transactions of the bank.
const PACE: Duration = Duration::from_millis(4);
async fn epoch(office: &Office) -> i64 {
    value(&office.cloud, "select epoch from tandem.checkpoint")
        .await
        .parse()
        .unwrap()
}

async fn busy_office(office: &Office) -> (Service, Teller) {
    let mut service = office.run();
    // A marker may be in the first copy; one behind it comes with the stream.
    for _ in 0..2 {
        office.caught_up(&mut service).await;
    }
    let teller = Teller::paced(office, 1, PACE).await;
    bank::busy(&teller, 50).await;
    (service, teller)
}

/// How often the service has said that it waits for something.
fn waits_said(office: &Office) -> usize {
    let words = ["trying again", "waiting for its end", "standing by"];
    words.iter().map(|words| office.said(words)).sum()
}

async fn ends_equal(office: &Office, mut service: Service, teller: Teller) {
    bank::busy(&teller, 50).await;
    teller.stop().await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    bank::assert_once(office).await;
    assert_eq!(service.stop().await, 0);
}

async fn stops_and_goes_on(office: &Office) {
    let (mut service, teller) = busy_office(office).await;
    for _ in 0..3 {
        assert_eq!(service.stop().await, 0);
        let lease = value(
            &office.cloud,
            "select held_until <= clock_timestamp() from tandem.checkpoint",
        )
        .await;
        assert_eq!(lease, "true", "a stopped service gives its lease back");
        let left = "select not active from pg_replication_slots where slot_name = 'tandem'";
        until(&office.desktop, left).await;
        let log = office.servers.desktop.log_tail(10_000);
        let rude = log.contains("unexpected EOF") || log.contains("could not receive data");
        assert!(!rude, "it has said goodbye to the desktop: {log}");
        // Nothing is left that the next one would have to wait for, and it waits for nothing.
        let waits = waits_said(office);
        service = office.run();
        office.caught_up(&mut service).await;
        assert_eq!(waits_said(office), waits, "the next start waited");
    }
    ends_equal(office, service, teller).await;
}

async fn second_signal(office: &Office) {
    let (mut service, teller) = busy_office(office).await;
    office.to_cloud.stall();
    bank::busy(&teller, 50).await;
    let finishes = "finishing the current batch";
    let before = office.said(finishes);
    service.signal("TERM");
    // A second one that comes before it has seen the first is none: they are not counted while they wait.
    office.says(finishes, before);
    assert!(
        service.child.try_wait().unwrap().is_none(),
        "the first signal finishes the batch"
    );
    // The cloud stays silent: nothing but the second signal ends it, and only that ends it so.
    service.signal("TERM");
    assert_eq!(service.ended().await, 130);
    office.to_cloud.resume();
    ends_equal(office, office.run(), teller).await;
}

async fn killed_holder(office: &Office) {
    let (service, teller) = busy_office(office).await;
    let before = epoch(office).await;
    service.kill().await;
    // Its lease lasts longer than anybody here waits.
    let lasts = "update tandem.checkpoint set held_until = clock_timestamp() + interval '1 day'";
    exec(&office.cloud, lasts).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    assert!(
        epoch(office).await > before,
        "each holder has an epoch of its own"
    );
    ends_equal(office, service, teller).await;
}

async fn second_run(office: &Office) {
    let (service, teller) = busy_office(office).await;
    let before = epoch(office).await;
    let holder = value(&office.cloud, "select holder from tandem.checkpoint").await;
    assert!(
        holder.contains(&format!("/{}/", service.child.id().unwrap())),
        "{holder} is not the service"
    );
    let (code, out, words) = finish(&mut office.command(&["run"])).await;
    assert_eq!((code, out.as_str()), (5, ""), "{words}");
    let named = tandem::platform::in_words(&holder);
    assert!(words.contains(&named), "{words} does not name {named}");
    assert_eq!(epoch(office).await, before, "the holder was not disturbed");
    ends_equal(office, service, teller).await;
}

/// Lease, checkpoint and every row version that was written.
async fn written(office: &Office) -> String {
    value(&office.cloud, "select concat(lsn, ' ', epoch, ' ', (select count(*) from row_log)) from tandem.checkpoint").await
}

/// A program that was asleep while another took its lease ends with 5 and writes nothing, whatever it had in hand.
async fn zombie(office: &Office) {
    let (mut service, teller) = busy_office(office).await;
    service.signal("STOP");
    bank::busy(&teller, 100).await;
    let rest = "system_id, timeline, database, slot, 'elsewhere/1/1', interval '1 minute', true";
    exec(
        &office.cloud,
        &format!("select taken from tandem.checkpoint, tandem.take_lease(replicator, {rest})"),
    )
    .await;
    let before = written(office).await;
    service.signal("CONT");
    assert_eq!(service.ended().await, 5);
    assert_eq!(written(office).await, before, "the zombie wrote");
    assert!(office.log().contains("another tandem has taken over"));
    let lease = "select concat(holder, ' ', held_until > clock_timestamp()) from tandem.checkpoint";
    assert_eq!(
        value(&office.cloud, lease).await,
        "elsewhere/1/1 t",
        "the zombie touched its successor's lease"
    );
    exec(
        &office.cloud,
        "update tandem.checkpoint set held_until = 'epoch'",
    )
    .await;
    ends_equal(office, office.run(), teller).await;
}

/// The same without help: a stopped service on a computer that can't be asked is waited for until its term is over.
#[tokio::test(flavor = "multi_thread")]
async fn p14_the_lease_of_a_sleeping_stranger_is_waited_for() {
    let office = bank::open(&newest()).await;
    let (mut zombie, teller) = busy_office(&office).await;
    zombie.signal("STOP");
    // As if it ran on another computer: nobody here can tell whether it lives. Its own writes don't look at the name.
    exec(
        &office.cloud,
        "update tandem.checkpoint set holder = 'elsewhere/1/1', held_until = clock_timestamp() + interval '20 seconds'",
    )
    .await;
    // Its walsender would keep the slot for a minute.
    office.to_desktop.reset();
    let mut service = office.run();
    office.says("waiting for its end", 0);
    office.caught_up(&mut service).await;
    zombie.signal("CONT");
    assert_eq!(zombie.ended().await, 5);
    ends_equal(&office, service, teller).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_u20_stopped_under_load_it_ends_with_0_and_the_next_start_goes_on_at_once() {
    for binaries in versions() {
        stops_and_goes_on(&bank::open(&binaries).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_a_second_signal_stops_at_once_while_the_cloud_is_silent() {
    for binaries in versions() {
        second_signal(&bank::open(&binaries).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_the_lease_of_a_killed_holder_is_taken_over_at_once() {
    for binaries in versions() {
        killed_holder(&bank::open(&binaries).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_a_second_run_is_refused_with_the_holders_name() {
    for binaries in versions() {
        second_run(&bank::open(&binaries).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_a_zombie_whose_lease_was_taken_writes_nothing_and_ends_with_5() {
    for binaries in versions() {
        zombie(&bank::open(&binaries).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_one_writer_and_all_ends_through_a_pooler_80_ms_away() {
    let Some(office) = bank::open_afar(&newest()).await else {
        return;
    };
    stops_and_goes_on(&office).await;
    second_signal(&office).await;
    killed_holder(&office).await;
    second_run(&office).await;
    zombie(&office).await;
}
