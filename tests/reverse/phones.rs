//! Many phones at once, late commits, clocks that lie, and everything dying in between: nothing is missed, nothing comes twice.
//!
//! `TANDEM_TEST_SEED` replays a run as far as chance is ours; `TANDEM_SOAK_ROWS` makes it longer, with commits up to 30 s late.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::bank::{Dice, seed};
use crate::support::office::{Office, Plan, connect, exec, until, value};
use crate::support::servers::newest;
use tandem::config::Endpoint;
use tandem::demo::cluster::Mode;
use tandem::wire::control;
use tokio::time::sleep;

const PHONES: u64 = 64;
const SETTINGS: &str = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n[[table]]\nname = \"diary\"\nflow = \"reverse\"\n";
const ON_DESKTOP: &str = "create table diary (id bigint, note text, source char(1), created_at timestamptz); create table arrivals (id bigint); \
    create function arrives() returns trigger language plpgsql as $$ begin insert into arrivals values (new.id); return null; end $$; \
    create trigger arrives after insert on diary for each row execute function arrives()";
const IN_CLOUD: &str = "create table diary (id bigint primary key, note text, source char(1) default 'D', created_at timestamptz); \
    grant insert, update, delete, select on diary to phone; \
    alter table diary enable row level security; create policy all_of_it on diary to phone using (true) with check (true)";

/// What the phones have in common.
struct Firm {
    cloud: Endpoint,
    rows: AtomicU64,
    next: AtomicU64,
    wanted: u64,
    late_ms: u64,
}

/// One phone: transactions that are committed late, or not at all, until there are rows enough.
async fn phone(firm: Arc<Firm>, mut dice: Dice) {
    'connected: loop {
        let Ok(session) = control::connect(&firm.cloud).await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let mut mine: Option<u64> = None;
        while firm.rows.load(Ordering::Relaxed) < firm.wanted {
            let clock = [
                "now()",
                "timestamptz '2001-01-01'",
                "timestamptz '2099-12-31 23:59:59.999'",
                "timestamptz '2026-01-01'",
            ][dice.below(4) as usize];
            let count = 1 + dice.below(20);
            let first = firm.next.fetch_add(count, Ordering::Relaxed);
            let mut script = format!(
                "begin; insert into diary select n, 'note {}', 'M', {clock} from generate_series({first}, {}) n",
                dice.below(1000),
                first + count - 1
            );
            for id in mine.into_iter().flat_map(|id| [id, id + 1]) {
                script += &match dice.below(3) {
                    0 => format!("; delete from diary where id = {id}"),
                    _ => format!("; update diary set note = note || '!' where id = {id}"),
                };
            }
            if session.client.batch_execute(&script).await.is_err() {
                continue 'connected;
            }
            let late = match dice.below(10) {
                0 => dice.below(firm.late_ms),
                _ => dice.below(firm.late_ms / 20),
            };
            sleep(Duration::from_millis(late)).await;
            let commits = dice.below(10) > 0;
            let end = if commits { "commit" } else { "rollback" };
            if session.client.batch_execute(end).await.is_err() {
                continue 'connected;
            }
            if commits {
                firm.rows.fetch_add(count, Ordering::Relaxed);
                mine = Some(first);
            }
        }
        return;
    }
}

/// Something dies, or the network does what networks do.
async fn mishap(office: &Office, dice: &mut Dice) {
    match dice.below(6) {
        0 => office.to_cloud.cut(),
        1 => office.to_desktop.reset(),
        2 => {
            office.to_cloud.stall();
            sleep(Duration::from_millis(dice.below(400))).await;
            office.to_cloud.resume();
        }
        3 => {
            office.servers.desktop.kill_hard().unwrap();
            office.servers.desktop.start_again().unwrap();
        }
        4 => {
            office.servers.cloud.stop(Mode::Immediate).unwrap();
            office.servers.cloud.start_again().unwrap();
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_sixty_four_phones_and_random_kills_nothing_missed_nothing_twice() {
    let asked = std::env::var("TANDEM_SOAK_ROWS").ok();
    let (wanted, late_ms) = asked.map_or((6_000, 2_000), |rows| (rows.parse().unwrap(), 30_000));
    let mut dice = Dice::new(seed());
    let plan = Plan::tables(&newest(), SETTINGS);
    let plan = Plan {
        cloud: plan.cloud.set("max_connections", "150"),
        ..plan
    };
    let office = Office::open(&plan).await;
    exec(&office.desktop, ON_DESKTOP).await;
    exec(
        &office.cloud,
        &format!("set role postgres; set search_path = public; {IN_CLOUD}"),
    )
    .await;
    let mut service = office.run();
    office.caught_up(&mut service).await;
    let firm = Arc::new(Firm {
        cloud: tandem::demo::endpoint(&office.servers.cloud, "phone", "postgres"),
        rows: AtomicU64::new(0),
        next: AtomicU64::new(1),
        wanted,
        late_ms,
    });
    let seeds: Vec<_> = (0..PHONES).map(|_| dice.below(1 << 40)).collect();
    let phones = seeds
        .into_iter()
        .map(|seed| phone(firm.clone(), Dice::new(seed)));
    let (mut kills, since) = (0, Instant::now());
    let killing = async {
        let mut service = service;
        while firm.rows.load(Ordering::Relaxed) < wanted || kills < 8 {
            sleep(Duration::from_millis(dice.below(800))).await;
            mishap(&office, &mut dice).await;
            sleep(Duration::from_millis(dice.below(800))).await;
            service.kill().await;
            kills += 1;
            service = office.run();
        }
        service
    };
    let (_, service) = tokio::join!(futures_util::future::join_all(phones), killing);
    // The test's own clients may have gone with a server.
    let desktop = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
    let cloud = connect(&office.servers.cloud, "supabase_admin", "postgres").await;
    until(&cloud, "select count(*) = 0 from tandem.outbox").await;
    println!(
        "{kills} kills, {} rows in {:.1?}",
        firm.rows.load(Ordering::Relaxed),
        since.elapsed()
    );
    let sql = "select md5(coalesce(string_agg(concat_ws('|', id, note), ';' order by id), '')) || ' ' || count(*) from diary where source = 'M'";
    assert_eq!(value(&desktop, sql).await, value(&cloud, sql).await);
    assert_eq!(value(&desktop, "select count(*) from (select id from arrivals group by id having count(*) > 1) as twice").await, "0");
    assert_eq!(
        value(&desktop, "select count(*) from tandem.conflict").await,
        "0"
    );
    assert_eq!(service.stop().await, 0);
}
