//! The network between the two servers cuts, resets, stalls and goes away; tandem goes on by itself and loses nothing.

use std::time::Duration;

use crate::support::bank::{self, Teller};
use crate::support::office::{Office, PATIENCE, Plan, Service, value};
use crate::support::proxy::Proxy;
use crate::support::servers::{newest, versions};
use tandem::limits;
use tokio::time::sleep;

/// Between two transactions of the bank.
const PACE: Duration = Duration::from_millis(4);
/// P13: a link that is silently gone is noticed in this time; by what we wait for, whatever the machine adds.
const NOTICED_MAX: Duration = Duration::from_secs(30);
const _: () = assert!(limits::SILENCE_MAX.as_secs() < NOTICED_MAX.as_secs());

/// Each session takes the lease anew. Connections don't tell: a sign of life has its own, and makes it when it is due.
const SESSIONS: &str = "select epoch from tandem.checkpoint";

#[derive(Clone, Copy, Debug)]
enum Mishap {
    Cut,
    Reset,
    Stall,
}

impl Mishap {
    async fn happens(self, link: &Proxy) {
        match self {
            Mishap::Cut => link.cut(),
            Mishap::Reset => link.reset(),
            Mishap::Stall => {
                link.stall();
                sleep(Duration::from_millis(1500)).await;
                link.resume();
            }
        }
    }
}

/// All three mishaps on one link, idle and busy.
async fn heals(office: &Office, link: &Proxy) {
    let mut service = office.run();
    office.caught_up(&mut service).await;
    for mishap in [Mishap::Cut, Mishap::Reset, Mishap::Stall] {
        let before = value(&office.cloud, SESSIONS).await;
        mishap.happens(link).await;
        office.caught_up(&mut service).await;
        let teller = Teller::paced(office, 1, PACE).await;
        bank::busy(&teller, 50).await;
        mishap.happens(link).await;
        bank::busy(&teller, 50).await;
        let done = teller.stop().await;
        office.caught_up(&mut service).await;
        let again = value(&office.cloud, SESSIONS).await != before;
        let is_gone = matches!(mishap, Mishap::Cut | Mishap::Reset);
        assert_eq!(
            again, is_gone,
            "{mishap:?}: only where a connection is gone a session begins anew"
        );
        assert!(done >= 100);
    }
    office.assert_equal().await;
    bank::assert_once(office).await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_the_desktop_link_heals_by_itself() {
    for binaries in versions() {
        let office = bank::open(&binaries).await;
        heals(&office, &office.to_desktop).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_the_cloud_link_heals_by_itself() {
    for binaries in versions() {
        let office = bank::open(&binaries).await;
        heals(&office, &office.to_cloud).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_both_links_heal_by_themselves_through_a_pooler_80_ms_away() {
    let Some(office) = bank::open_afar(&newest()).await else {
        return;
    };
    heals(&office, &office.to_cloud).await;
    heals(&office, &office.to_desktop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_half_open_desktop_link_is_noticed_within_30_s() {
    let office = bank::open(&newest()).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    // As after a sleep: the old connections say nothing any more, and at first no new one is made.
    office.to_desktop.refuse(true);
    office.to_desktop.stall();
    // Nothing but our own look at the clock ends the silence: the server would go on for a minute after that.
    office
        .to_desktop
        .when(PATIENCE, |stats| stats.refused > 0)
        .await
        .expect("not noticed");
    // The network forgets the old connections, else their walsender would keep the slot for a minute.
    office.to_desktop.reset();
    office.to_desktop.resume();
    office.to_desktop.refuse(false);
    finish(&office, service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_half_open_cloud_link_is_survived() {
    // An answer may take as long as the longest statement, and 15 s.
    let settings = format!("statement_timeout = \"10s\"\n{}", bank::SETTINGS);
    let office = bank::open_plan(&Plan::tables(&newest(), &settings)).await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let teller = Teller::paced(&office, 1, PACE).await;
    // The old connections hang for good, behind a pooler that acknowledges every byte; new ones work.
    let old = Proxy::start(office.servers.cloud.host(), office.servers.cloud.port()).unwrap();
    office.to_cloud.redirect(&old.host(), old.port());
    office.to_cloud.cut();
    old.when(PATIENCE, |stats| stats.open >= 2).await.unwrap();
    office.caught_up(&mut service).await;
    let connected = office.to_cloud.stats().connections;
    old.stall();
    office
        .to_cloud
        .redirect(office.servers.cloud.host(), office.servers.cloud.port());
    teller.stop().await;
    let again = office
        .to_cloud
        .when(PATIENCE, |stats| stats.connections > connected)
        .await;
    assert!(again.is_ok(), "no new connection to the cloud");
    finish(&office, service).await;
}

/// The bank works once more, and both sides end equal.
async fn finish(office: &Office, mut service: Service) {
    let teller = Teller::paced(office, 7, PACE).await;
    bank::busy(&teller, 50).await;
    teller.stop().await;
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    bank::assert_once(office).await;
    assert_eq!(service.stop().await, 0);
}
