//! Killed at random moments, with a bad network on top: nothing happens twice, nothing is torn, nothing is missing.
//!
//! `TANDEM_TEST_SEED` replays a run as far as chance is ours; `TANDEM_SOAK_KILLS` sets the number of kills.

use std::time::{Duration, Instant};

use crate::support::bank::{self, Auditor, Dice, Teller};
use crate::support::office::{Office, connect, exec, until};
use crate::support::proxy::Proxy;
use crate::support::servers::{newest, versions};
use tandem::demo::cluster::Binaries;
use tokio::time::sleep;

/// The longest life of a service that is killed at any moment, as a share of what a start takes here and now.
const LIFE_SHARE: u32 = 3;
/// New states of the cloud that are seen in the other lives.
const MOVES: u64 = 3;
/// Between two transactions: a debug build has to keep up with them.
const PACE: Duration = Duration::from_millis(4);
/// The longest stall; shorter than any of tandem's own bounds.
const STALL_MAX_MS: u64 = 400;

fn kills(usual: u64) -> u64 {
    let asked = std::env::var("TANDEM_SOAK_KILLS").ok();
    asked.map_or(usual, |text| text.parse().unwrap())
}

/// One thing a network does, on one of the links.
async fn mishap(office: &Office, dice: &mut Dice) {
    let link: &Proxy = if dice.below(2) == 0 {
        &office.to_desktop
    } else {
        &office.to_cloud
    };
    match dice.below(4) {
        0 => link.cut(),
        1 => link.reset(),
        2 => {
            link.stall();
            sleep(Duration::from_millis(dice.below(STALL_MAX_MS))).await;
            link.resume();
        }
        _ => {}
    }
}

/// Kills the service `count` times with a random mishap before: at any moment of its life, its start included, or, every
/// other time, some while after it has moved the cloud. What a start takes is measured then.
async fn kill_again_and_again(office: &Office, dice: &mut Dice, count: u64) {
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let auditor = Auditor::start(office).await;
    let teller = Teller::paced(office, dice.below(1 << 40), PACE).await;
    let mut start = Duration::from_millis(500);
    for life in 0..count {
        if life % 2 == 0 {
            let since = Instant::now();
            auditor.sees(MOVES).await;
            start = since.elapsed().max(Duration::from_millis(100));
        }
        let half = start * LIFE_SHARE * (dice.below(1000) as u32) / 2000;
        sleep(half).await;
        mishap(office, dice).await;
        sleep(half).await;
        service.kill().await;
        service = office.run();
    }
    let transactions = teller.stop().await;
    let since = Instant::now();
    office.caught_up(&mut service).await;
    let caught_up = since.elapsed();
    let (looks, states) = auditor.stop().await;
    println!(
        "{count} kills, {transactions} transactions, {states} states seen in {looks} looks, caught up in {caught_up:.1?}"
    );
    assert!(states > count, "the cloud hardly moved between the kills");
    office.assert_equal().await;
    bank::assert_once(office).await;
    assert_eq!(service.stop().await, 0);
}

async fn killed(binaries: &Binaries, count: u64) {
    let mut dice = Dice::new(bank::seed());
    let office = bank::open(binaries).await;
    kill_again_and_again(&office, &mut dice, count).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p3_kill_at_random_moments_changes_nothing() {
    killed(&newest(), kills(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p3_kill_at_random_moments_changes_nothing_on_the_oldest_server() {
    killed(&versions()[0], kills(20).div_ceil(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p3_kill_at_random_moments_through_a_pooler_80_ms_away() {
    let Some(office) = bank::open_afar(&newest()).await else {
        return;
    };
    let mut dice = Dice::new(bank::seed());
    kill_again_and_again(&office, &mut dice, kills(20).div_ceil(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_killed_during_the_first_copy_it_starts_over_and_ends_equal() {
    let mut dice = Dice::new(bank::seed());
    let office = bank::open(&newest()).await;
    let more =
        "insert into item select n, 0, repeat('x', 100) from generate_series(200000, 240000) n";
    exec(&office.desktop, more).await;
    let teller = Teller::start(&office, dice.below(1 << 40)).await;
    for _ in 0..8 {
        let service = office.run();
        sleep(Duration::from_millis(20 + dice.below(1200))).await;
        service.kill().await;
    }
    teller.stop().await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    bank::assert_once(&office).await;
    assert_eq!(service.stop().await, 0);
}

/// A row that only an interrupted copy brought to the cloud, and that the desktop has deleted since, is ours to remove.
#[tokio::test(flavor = "multi_thread")]
async fn p1_a_row_deleted_between_two_tries_of_the_first_copy_does_not_stay_in_the_cloud() {
    let office = bank::open(&newest()).await;
    let blocker = connect(&office.servers.cloud, "supabase_admin", "postgres").await;
    exec(&blocker, "begin; lock table scrap").await;
    let service = office.run();
    // Asked of the cloud, where it can be asked: the table isn't there before the service is.
    let known = "select to_regclass('tandem.table_state') is not null";
    until(&office.cloud, known).await;
    let copied = "select exists (select from tandem.table_state where \"table\" = 'item' and state = 'streaming')";
    until(&office.cloud, copied).await;
    service.kill().await;
    exec(&office.desktop, "delete from item where id <= 100").await;
    exec(&blocker, "rollback").await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    office.assert_equal().await;
    bank::assert_once(&office).await;
    assert_eq!(service.stop().await, 0);
}
