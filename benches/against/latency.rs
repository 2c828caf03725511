//! From COMMIT on the desktop to a row that a reader of the cloud sees.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::rival::Rival;
use crate::scene::{Scene, number, run, stop};

/// Rows a second.
const RATE: u64 = 50;
/// The first rows warm everything up.
const WARM: usize = 50;

/// Milliseconds from COMMIT's answer to sight, in order of size.
pub async fn latency(scene: &Scene, rival: Rival, seconds: u64) -> Vec<f64> {
    let mut tandem = None;
    let side = match rival {
        Rival::Tandem => {
            tandem = Some(scene.start_tandem());
            &scene.cloud
        }
        _ => {
            scene.native_waits_for_the_disk(true).await;
            scene.start_native().await;
            &scene.native
        }
    };
    let first = 1 + number(&scene.desktop, "select coalesce(max(id), 0) from seen").await;
    // Both ends stream once a first row is there.
    run(
        &scene.desktop,
        &format!("insert into seen values ({first}, now())"),
    )
    .await;
    while number(side, "select coalesce(max(id), 0) from seen").await < first {
        sleep(Duration::from_millis(1)).await;
    }
    let rows = RATE * seconds + WARM as u64;
    let writes = async {
        let mut ticks = interval(Duration::from_millis(1000 / RATE));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut committed = BTreeMap::new();
        for id in first + 1..=first + rows {
            ticks.tick().await;
            run(
                &scene.desktop,
                &format!("insert into seen values ({id}, now())"),
            )
            .await;
            committed.insert(id, Instant::now());
        }
        committed
    };
    let looks = async {
        let mut seen = BTreeMap::new();
        let mut last = first;
        while last < first + rows {
            let now = number(side, "select coalesce(max(id), 0) from seen").await;
            let at = Instant::now();
            for id in last + 1..=now {
                seen.insert(id, at);
            }
            last = last.max(now);
        }
        seen
    };
    let (committed, seen) = tokio::join!(writes, looks);
    match &mut tandem {
        Some(tandem) => stop(tandem).await,
        None => {
            scene.stop_native().await;
            scene.native_waits_for_the_disk(false).await;
        }
    }
    let times = committed.iter().skip(WARM).filter_map(|(id, committed)| {
        let seen = seen.get(id)?;
        Some(seen.saturating_duration_since(*committed).as_secs_f64() * 1000.0)
    });
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times
}
