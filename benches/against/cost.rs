//! What tandem adds to what a change costs anyway: log, dead rows and statements in the cloud, bytes on the line, processor time
//! of everybody, log that the desktop keeps. On each road that a change can take, beside a subscription; and an idle minute.

use std::collections::BTreeMap;
use std::time::Duration;

use tandem::model::Tables;
use tandem::wire::control::Control;
use tokio::time::sleep;

use crate::first::{ADMIN, Hall};
use crate::meter::{Counters, Meter, Rows, counting_server};
use crate::mile::start;
use crate::report::median;
use crate::rival::Rival;
use crate::scene::{Backlog, NATIVE, Scene, number, run, stop, text, wait_for};
use crate::shape::StepShape;

/// A round trip that is none, but goes through the proxies, which count. They cost the processor something and change how the
/// walsender is woken, so bytes are counted in a drain of their own.
const COUNTED: Duration = Duration::from_nanos(1);
const RIVALS: [Rival; 2] = [Rival::Tandem, Rival::Native];
/// Rows that come alone, each when the one before is seen.
const ALONE: u64 = 1000;
/// The log that the slot holds is looked at so often.
const HELD_EVERY: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_secs(60);
/// Of `BENCH_SCALE` at least so much: fewer rows fit into `memory_max`, and take another road.
const SCALE_MIN: f64 = 0.3;
/// Times PowerCA's size in the first copy, before `BENCH_SCALE`.
const FIRST: f64 = 4.0;

/// A way that changes take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Road {
    Alone,
    Backlog,
    Thousand,
    OnePass,
    Staged,
    FirstCopy,
}

impl Road {
    /// All that a backlog can take.
    const DRAINS: [Road; 4] = [Road::Backlog, Road::Thousand, Road::OnePass, Road::Staged];

    fn words(self) -> &'static str {
        match self {
            Road::Alone => "one row, each alone",
            Road::Backlog => "one row per transaction, a backlog",
            Road::Thousand => "1,000 rows per transaction",
            Road::OnePass => "one large update, in one pass",
            Road::Staged => "one large update, over staging",
            Road::FirstCopy => "the first copy of PowerCA",
        }
    }

    fn shape(self) -> StepShape {
        match self {
            Road::Alone | Road::Backlog | Road::FirstCopy => StepShape::One,
            Road::Thousand => StepShape::Thousand,
            Road::OnePass | Road::Staged => StepShape::Million,
        }
    }

    /// A delete speaks against one pass; where it comes first nothing has gone yet.
    fn work(self, scale: f64) -> (String, u64) {
        let (work, rows) = self.shape().work(scale);
        match self {
            Road::Staged => (
                format!("delete from million where id = (select max(id) from million); {work}"),
                rows + 1,
            ),
            _ => (work, rows),
        }
    }
}

/// What one road cost once.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    rows: f64,
    /// Between the first look and the last.
    counted: Counters,
    left: Rows,
    /// The most log that the slot held, in bytes.
    held: f64,
}

type Costs = BTreeMap<(Road, Rival), Vec<Cost>>;

/// Measures all roads so many times, and prints medians.
pub async fn cost(rounds: usize, scale: f64) {
    let scale = scale.max(SCALE_MIN);
    let mut costs = Costs::new();
    Box::pin(stream(rounds, scale, &mut costs)).await;
    let servers = (
        counting_server("postgres").await,
        counting_server(ADMIN).await,
    );
    let hall = Hall::on(servers, FIRST * scale).await;
    let tables = hall.tables().await;
    let proxies = (&hall.to_desktop, &hall.to_cloud);
    let meter = Meter::new((&hall.desktop_server, &hall.cloud_server), proxies).await;
    for round in 0..rounds {
        for rival in turns(round) {
            let cost = first_copy(&hall, &meter, &tables, rival).await;
            costs
                .entry((Road::FirstCopy, rival))
                .or_default()
                .push(cost);
        }
    }
    print(&costs);
    idle(&hall, &meter, &tables).await;
}

/// Nobody always has the warm caches.
fn turns(round: usize) -> [Rival; 2] {
    let mut rivals = RIVALS;
    rivals.rotate_left(round % RIVALS.len());
    rivals
}

/// The roads of changes that come over the stream.
async fn stream(rounds: usize, scale: f64, costs: &mut Costs) {
    let servers = (
        counting_server("postgres").await,
        counting_server("postgres").await,
    );
    let shapes = [StepShape::One, StepShape::Thousand, StepShape::Million];
    let scene = Scene::on(servers, &shapes, scale).await;
    println!(
        "\nwhat it costs: PostgreSQL {}, {rounds} rounds, fsync on; {}",
        scene.version(),
        scene.place()
    );
    let proxies = (&scene.to_desktop, &scene.to_cloud);
    let meter = Meter::new((&scene.desktop_server, &scene.cloud_server), proxies).await;
    for round in 0..rounds {
        for road in Road::DRAINS {
            let mut both = BTreeMap::<Rival, Cost>::new();
            for trip in [COUNTED, Duration::ZERO] {
                scene.set_round_trip(trip).await;
                for side in [&scene.cloud, &scene.native] {
                    run(side, "vacuum analyze").await;
                }
                let (work, rows) = road.work(scale);
                let backlog = scene.wait_in_log(&work, rows).await;
                for rival in turns(round) {
                    let cost = drain(&scene, &meter, (road, rival), &backlog).await;
                    both.entry(rival).or_default().take(cost);
                }
                scene.assert_equal(road.shape()).await;
            }
            for (rival, cost) in both {
                costs.entry((road, rival)).or_default().push(cost);
            }
        }
        let mut both = BTreeMap::<Rival, Cost>::new();
        for trip in [COUNTED, Duration::ZERO] {
            scene.set_round_trip(trip).await;
            for rival in turns(round) {
                // The other's rows may wait for this one. Some of its own touch the pages that all of them touch.
                let (work, rows) = StepShape::One.work(0.001);
                let backlog = scene.wait_in_log(&work, rows).await;
                scene.drain(rival, &backlog).await;
                let cost = alone(&scene, &meter, rival).await;
                both.entry(rival).or_default().take(cost);
            }
            let backlog = scene.wait_in_log("select", 0).await;
            for rival in RIVALS {
                scene.drain(rival, &backlog).await;
            }
            scene.assert_equal(StepShape::One).await;
        }
        for (rival, cost) in both {
            costs.entry((Road::Alone, rival)).or_default().push(cost);
        }
    }
}

impl Cost {
    /// Takes in a look without the proxies; the bytes of one with them stay.
    fn take(&mut self, other: Cost) {
        let (to, from) = (self.counted.to_cloud, self.counted.from_cloud);
        *self = other;
        self.counted.to_cloud += to;
        self.counted.from_cloud += from;
    }
}

fn side(scene: &Scene, rival: Rival) -> (&Control, &'static str) {
    match rival {
        Rival::Tandem => (&scene.cloud, "tandem"),
        _ => (&scene.native, NATIVE),
    }
}

/// Drains a backlog, from the moment that the stream is there to the sight of its last row.
async fn drain(
    scene: &Scene,
    meter: &Meter<'_>,
    (road, rival): (Road, Rival),
    backlog: &Backlog,
) -> Cost {
    let (cloud, _) = side(scene, rival);
    let finished = Scene::finished(backlog);
    let work = wait_for(cloud, &finished);
    let cost = counted(scene, meter, rival, (backlog.rows, work)).await;
    if rival == Rival::Tandem {
        let staged = cost.left.staged > 0.0;
        assert_eq!(staged, road == Road::Staged, "{road:?} took another road");
    }
    cost
}

/// What one receiver costs from the moment that its stream is there until so many rows have come.
async fn counted(
    scene: &Scene,
    meter: &Meter<'_>,
    rival: Rival,
    (rows, work): (u64, impl Future<Output = ()>),
) -> Cost {
    let (cloud, slot) = side(scene, rival);
    let had = Rows::of(cloud).await;
    let running = scene.begin(rival).await;
    let before = meter.read().await;
    let held = held_while(meter, slot, work).await;
    let counted = meter.read().await - before;
    scene.end(running).await;
    Cost {
        rows: rows as f64,
        counted,
        left: Rows::of(cloud).await - had,
        held,
    }
}

/// Rows that come alone, half of them new: none before the last one is seen.
async fn alone(scene: &Scene, meter: &Meter<'_>, rival: Rival) -> Cost {
    let (cloud, _) = side(scene, rival);
    let last = number(&scene.desktop, "select max(id) from one").await;
    let rows = async {
        for i in 0..ALONE {
            let (id, n) = (last + 1 + i / 2, i % 2);
            let sql = match n {
                0 => format!(
                    "insert into one values ({id}, 0, rpad('new words of row {id}', 90, '.'))"
                ),
                _ => format!("update one set n = 1 where id = {id}"),
            };
            run(&scene.desktop, &sql).await;
            let seen = format!("select exists (select from one where id = {id} and n = {n})");
            wait_for(cloud, &seen).await;
        }
    };
    counted(scene, meter, rival, (ALONE, rows)).await
}

/// Waits for work, and says how much log a slot held at most meanwhile.
async fn held_while(meter: &Meter<'_>, slot: &str, work: impl Future<Output = ()>) -> f64 {
    let mut most = 0.0_f64;
    let looks = async {
        loop {
            most = most.max(meter.held(slot).await);
            sleep(HELD_EVERY).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = looks => unreachable!("it never ends"),
    }
    most
}

async fn first_copy(hall: &Hall, meter: &Meter<'_>, tables: &Tables, rival: Rival) -> Cost {
    let mut cost = Cost::default();
    for trip in [COUNTED, Duration::ZERO] {
        let cloud = match rival {
            Rival::Tandem => hall.empty("ours").await,
            _ => hall.empty_for_native(tables).await,
        };
        hall.settings("ours", trip);
        let before = meter.read().await;
        match rival {
            Rival::Tandem => hall.tandem(&["bootstrap"]).await,
            _ => hall.sync(&cloud, trip).await,
        };
        let counted = meter.read().await - before;
        if rival == Rival::Native {
            run(&cloud, "drop subscription theirs").await;
        }
        let left = Rows::of(&cloud).await;
        equal(hall, tables, &cloud, rival).await;
        cost.take(Cost {
            rows: hall.rows(tables).await as f64,
            counted,
            left,
            held: 0.0,
        });
        drop(cloud);
        if rival == Rival::Tandem {
            hall.tandem(&["uninstall", "--yes"]).await;
        }
    }
    cost
}

/// As many rows on both sides, with the same values in columns that both have.
async fn equal(hall: &Hall, tables: &Tables, cloud: &Control, rival: Rival) {
    for (desktop, own, theirs, columns) in Hall::columns(tables) {
        let theirs = match rival {
            Rival::Tandem => theirs,
            _ => desktop.clone(),
        };
        let sum = |table: &str, columns: &str| {
            format!(
                "select count(*) || ' ' || coalesce(sum(hashtextextended(row({columns})::text, 0)), 0) from {table}"
            )
        };
        let wanted = text(&hall.desktop, &sum(&desktop, &own)).await;
        let got = text(cloud, &sum(&theirs, &columns)).await;
        assert_eq!(got, wanted, "{rival:?}'s {theirs}");
    }
}

/// What is printed of a road: a name, digits behind the point, and the figure.
type Figure = (&'static str, usize, fn(&Cost) -> f64);
const FIGURES: [Figure; 11] = [
    ("rows", 0, |cost| cost.rows),
    ("log MB", 0, |cost| cost.counted.wal / cost.rows),
    ("statements", 0, |cost| {
        1e6 * cost.counted.cloud_statements / cost.rows
    }),
    ("died", 0, |cost| 1e6 * cost.left.died / cost.rows),
    ("dead", 0, |cost| 1e6 * cost.left.dead / cost.rows),
    ("to MB", 0, |cost| cost.counted.to_cloud / cost.rows),
    ("from MB", 1, |cost| cost.counted.from_cloud / cost.rows),
    ("desktop us", 1, |cost| {
        1e6 * cost.counted.desktop_cpu / cost.rows
    }),
    ("tandem us", 1, |cost| {
        1e6 * cost.counted.tandem_cpu / cost.rows
    }),
    ("cloud us", 1, |cost| {
        1e6 * cost.counted.cloud_cpu / cost.rows
    }),
    ("held MB", 1, |cost| cost.held / 1e6),
];

/// All but the rows themselves and what was held is per million rows, processor time per row; a byte a row is a MB for a million.
fn print(costs: &Costs) {
    let heads = FIGURES.map(|(head, ..)| format!("{head:>11}")).concat();
    println!(
        "\nper million rows; processor time per row\n  {:<43}{heads}",
        ""
    );
    for ((road, rival), times) in costs {
        let figures = FIGURES.map(|(_, digits, figure)| {
            let middle = median(times.iter().map(figure).collect());
            format!("{middle:>11.digits$}")
        });
        println!(
            "  {:<35} {:<7}{}",
            road.words(),
            rival.name(),
            figures.concat()
        );
    }
}

/// PowerCA with all defaults and nobody at work: a minute without anybody, one of a subscription, one of tandem.
async fn idle(hall: &Hall, meter: &Meter<'_>, tables: &Tables) {
    println!("\nan idle minute of PowerCA");
    let minute = async |name: &str| {
        // What belongs to the start is over.
        sleep(IDLE / 6).await;
        let before = meter.read().await;
        sleep(IDLE).await;
        let of = meter.read().await - before;
        println!(
            "  {name}: {:.0} statements on the desktop, {:.0} in the cloud; {:.1} kB to the cloud, {:.1} from it; {:.1} kB of log in the cloud; \
            processor ms: desktop {:.0}, tandem {:.0}, cloud {:.0}",
            of.desktop_statements,
            of.cloud_statements,
            of.to_cloud / 1e3,
            of.from_cloud / 1e3,
            of.wal / 1e3,
            of.desktop_cpu * 1e3,
            of.tandem_cpu * 1e3,
            of.cloud_cpu * 1e3,
        );
    };
    minute("nobody").await;
    let cloud = hall.empty_for_native(tables).await;
    hall.sync(&cloud, COUNTED).await;
    minute("native").await;
    run(&cloud, "drop subscription theirs").await;
    drop(hall.empty("ours").await);
    hall.settings("ours", COUNTED);
    hall.tandem(&["bootstrap"]).await;
    let mut tandem = start(hall).await;
    minute("tandem").await;
    stop(&mut tandem).await;
}
