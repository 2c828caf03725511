//! tandem against PostgreSQL's own logical replication, and against a reader that throws everything away: on the same
//! two servers, in the same run, taking turns. `make bench` runs it.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout
)]

#[allow(dead_code)]
#[path = "../../tests/support/chatter.rs"]
mod chatter;
mod cost;
mod first;
mod latency;
mod meter;
mod mile;
mod phone;
#[allow(dead_code)]
#[path = "../../tests/support/proxy.rs"]
mod proxy;
mod report;
mod rival;
mod scene;
mod shape;
mod usage;

use std::path::PathBuf;
use std::time::Duration;

use report::Report;
use rival::Rival;
use scene::Scene;
use shape::StepShape;

/// What to measure, by the environment: `BENCH_ROUNDS=3 BENCH_RTT=0,20,80 BENCH_SHAPES=one,tpcb BENCH_SCALE=1
/// BENCH_FIRST=20 BENCH_JSON=FILE`.
struct Plan {
    rounds: usize,
    round_trips: Vec<Duration>,
    shapes: Vec<StepShape>,
    scale: f64,
    /// What a phone's insert pays: it has no backlog, but a name among the shapes.
    phone: bool,
    /// From a parent table to the phones and back: the same.
    mile: bool,
    /// What each road of a change costs: the same.
    cost: bool,
    /// Times PowerCA's size in the first copy; 0: none.
    first: f64,
    json: Option<PathBuf>,
    latency_seconds: u64,
}

impl Plan {
    fn read() -> Plan {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let number =
            |name: &str, default: f64| set(name).map_or(default, |value| value.parse().unwrap());
        let trips = set("BENCH_RTT").unwrap_or_else(|| "0,20,80".to_owned());
        let shapes = set("BENCH_SHAPES");
        let asked = |one: &str| {
            let named = |names: &String| names.split(',').any(|name| name == one);
            shapes.as_ref().is_none_or(named)
        };
        let wanted = |shape: &StepShape| asked(shape.name());
        Plan {
            rounds: number("BENCH_ROUNDS", 3.0) as usize,
            round_trips: trips
                .split(',')
                .map(|trip| Duration::from_millis(trip.parse().unwrap()))
                .collect(),
            shapes: StepShape::ALL.into_iter().filter(wanted).collect(),
            phone: asked("phone"),
            mile: asked("mile"),
            cost: asked("cost"),
            scale: number("BENCH_SCALE", 1.0),
            first: number("BENCH_FIRST", 1.0),
            json: set("BENCH_JSON").map(PathBuf::from),
            latency_seconds: number("BENCH_LATENCY_SECONDS", 10.0) as u64,
        }
    }
}

fn main() {
    // `cargo bench` and `cargo test --benches` pass flags of their own.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure(Plan::read()));
}

async fn measure(plan: Plan) {
    if plan.first > 0.0 {
        Box::pin(first::first(plan.first, plan.rounds, &plan.round_trips)).await;
    }
    if plan.phone {
        Box::pin(phone::phone(plan.rounds)).await;
    }
    if plan.mile {
        Box::pin(mile::mile()).await;
    }
    if plan.cost {
        Box::pin(cost::cost(plan.rounds, plan.scale)).await;
    }
    if plan.shapes.is_empty() {
        return;
    }
    let mut report = Report::new();
    let scene = Box::pin(Scene::set(&plan.shapes, plan.scale)).await;
    println!(
        "PostgreSQL {}, {} rounds, fsync on; {}",
        scene.version(),
        plan.rounds,
        scene.place()
    );
    for trip in &plan.round_trips {
        scene.set_round_trip(*trip).await;
        for shape in &plan.shapes {
            // Distance is asked of the shapes that feel it most.
            if !trip.is_zero() && !shape.feels_distance() {
                continue;
            }
            for round in 0..plan.rounds {
                let backlog = scene.prepare(*shape, plan.scale).await;
                let mut rivals = Rival::ALL.to_vec();
                // Nobody always has the warm caches.
                rivals.rotate_left(round % Rival::ALL.len());
                for rival in rivals {
                    let drained = Box::pin(scene.drain(rival, &backlog)).await;
                    report.drained(*trip, *shape, rival, drained);
                }
                scene.assert_equal(*shape).await;
            }
            report.print_drain(*trip, *shape);
        }
        if plan.latency_seconds > 0 {
            let times = plan.latency_seconds;
            for round in 0..plan.rounds.min(2) {
                let mut rivals = [Rival::Tandem, Rival::Native];
                rivals.rotate_left(round % 2);
                for rival in rivals {
                    let seen = Box::pin(latency::latency(&scene, rival, times)).await;
                    report.seen(*trip, rival, seen);
                }
            }
            report.print_latency(*trip);
        }
    }
    if let Some(file) = &plan.json {
        std::fs::write(file, report.json()).unwrap();
    }
}
