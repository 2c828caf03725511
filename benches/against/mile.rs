//! The last mile at PowerCA's full size: from the office program's commit in a parent table to the phone's side, and from a phone's
//! commit to the parent table, while the other direction is busy.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tandem::wire::control::Control;
use tokio::process::{Child, Command};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::first::Hall;
use crate::report::median;
use crate::scene::{number, run, stop, text, wait_for};

/// What an office sets for it; all else is as it is by default.
const SECTIONS: &str = "[reverse]\nthen = \"select sync_mobile_to_parent()\"\n\
    [refill]\nsql = \"select sync_views_to_tables()\"\nwhen = \"changed\"\n";
/// The same with the quiet refill, whose text names no view: what it reads is named.
const QUIETLY: &str = "[reverse]\nthen = \"select sync_mobile_to_parent()\"\n\
    [refill]\nsql = \"select sync_quietly()\"\nwhen = \"changed\"\n\
    watch = [\"app.firm\", \"app.office\", \"app.contact\", \"app.client\", \"app.staff\", \"app.job\", \"app.assignment\", \"app.task\", \"app.checklist\", \"app.reminder\", \"app.response\"]\n";
/// The same in parts, one for each table and its query in the office's refill, as lines of the settings.
const PARTS: &str = r#"select string_agg(format(E'[[refill]]\nsql = """select refill_quietly(''%1$s'', $q$ select * from (%3$s) as q(%2$s) $q$, ''{created_at,updated_at}'', $s$source = ''D'' or source is null$s$)"""\n'
    'when = "changed"\nwatch = ["%4$s"]\ntables = ["%1$s"]\n', part[1], part[2], part[3], part[4]), '' order by n)
    from pg_proc, regexp_matches(prosrc, 'insert into (\w+) \(([^)]*)\)\s*(select[^;]*from (\w+));', 'g') with ordinality as m(part, n) where proname = 'sync_views_to_tables'"#;
/// Fills the same tables from the same queries as the office's refill.
const QUIET: &str = r"create function sync_quietly() returns void language plpgsql as $f$
declare part text[]; begin
    for part in select regexp_matches(prosrc, 'insert into (\w+) \(([^)]*)\)\s*(select[^;]*);', 'g') from pg_proc where proname = 'sync_views_to_tables' loop
        perform refill_quietly(part[1]::regclass, format('select * from (%s) as q(%s)', part[3], part[2]), array['created_at', 'updated_at'], $q$source = 'D' or source is null$q$);
    end loop;
end $f$";
/// Changes of one direction.
const CHANGES: u32 = 15;
/// Between two of them, so that none rides with the refill of the one before; and a little more each time, so that they meet every
/// moment of whatever happens once a second.
const APART: Duration = Duration::from_millis(4_000);
const MORE_APART: Duration = Duration::from_millis(137);

const LAST: &str =
    "select round(extract(epoch from ended_at - started_at) * 1000) || ' ms' from tandem.refill";

const ALL_RAN: &str = "select count(*) = 10 and bool_and(ended_at is not null) from tandem.refill";
const PART: &str = "select round(extract(epoch from ended_at - started_at) * 1000) || ' ms' from tandem.refill where name = 'climaster'";

/// Measures, and prints medians and the worst.
pub async fn mile() {
    let hall = Hall::open(1.0).await;
    let cloud = hall.empty("ours").await;
    let phone = hall.cloud("ours").await;
    let program = hall.office().await;
    for sql in [
        include_str!("../../sql/demo/work.sql"),
        include_str!("../../sql/desktop/refill.sql"),
        QUIET,
    ] {
        run(&program, sql).await;
    }
    hall.settings_with("ours", Duration::ZERO, SECTIONS);
    hall.tandem(&["bootstrap"]).await;
    let mut tandem = start(&hall).await;
    let changed = |n: u32| {
        format!(
            "update app.client set name = 'mile {n}' where client_id = (select min(client_id) from app.client)"
        )
    };
    let shown =
        |n: u32| format!("select exists (select from climaster where clientname = 'mile {n}')");
    let noted = |n: u32| {
        format!(
            "insert into workdiary (org_id, loc_id, staff_id, date, minutes, tasknotes, source) \
             select org_id, loc_id, staff_id, current_date, 15, 'mile {n}', 'M' from mbstaff order by staff_id limit 1"
        )
    };
    let booked =
        |n: u32| format!("select exists (select from app.daily_work where notes = 'mile {n}')");
    let idle = times((&hall.desktop, &changed), (&cloud, &shown), 0).await;
    let out = busy(
        times((&hall.desktop, &changed), (&cloud, &shown), CHANGES),
        every(&phone, |n| noted(1_000_000 + n), Duration::from_millis(50)),
    )
    .await;
    let refill = text(&hall.desktop, LAST).await;
    let home = busy(
        times((&cloud, &noted), (&hall.desktop, &booked), 2 * CHANGES),
        every(
            &program,
            |n| format!("select demo.work({n}, 20)"),
            Duration::from_millis(200),
        ),
    )
    .await;
    stop(&mut tandem).await;
    hall.settings_with("ours", Duration::ZERO, QUIETLY);
    let mut tandem = start(&hall).await;
    let quiet = times((&hall.desktop, &changed), (&cloud, &shown), 3 * CHANGES).await;
    let quietly = text(&hall.desktop, LAST).await;
    stop(&mut tandem).await;
    let parts = text(&hall.desktop, PARTS).await;
    let then = "[reverse]\nthen = \"select sync_mobile_to_parent()\"\n";
    hall.settings_with("ours", Duration::ZERO, &format!("{then}{parts}"));
    let mut tandem = start(&hall).await;
    wait_for(&hall.desktop, ALL_RAN).await;
    let parted = times((&hall.desktop, &changed), (&cloud, &shown), 4 * CHANGES).await;
    let parted_busy = busy(
        times((&hall.desktop, &changed), (&cloud, &shown), 5 * CHANGES),
        every(&phone, |n| noted(2_000_000 + n), Duration::from_millis(50)),
    )
    .await;
    let part = text(&hall.desktop, PART).await;
    let rows = number(&hall.desktop, "select count(*) from jobtasks").await;
    stop(&mut tandem).await;
    println!(
        "\nthe last mile, {rows} rows in the largest table, s at the median (the worst of {CHANGES})"
    );
    for (what, times) in [
        ("parent's commit to the phone's side", idle),
        ("the same with the quiet refill", quiet),
        ("the same while phones write 20 rows/s", out),
        ("in parts", parted),
        ("in parts while phones write 20 rows/s", parted_busy),
        (
            "a phone's commit to the parent table, while 100 rows/s go out",
            home,
        ),
    ] {
        let worst = times.iter().copied().fold(0.0, f64::max);
        println!("  {what:<62} {:.2} ({worst:.2})", median(times));
    }
    println!("  a refill of the office's took {refill}, a quiet one {quietly}, its part {part}");
}

/// Starts the service, and comes back when it streams.
pub async fn start(hall: &Hall) -> Child {
    let tandem = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .arg("--config")
        .arg(hall.folder.join("tandem.toml"))
        .arg("run")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let streams = "select coalesce((select active from pg_replication_slots where slot_name = 'tandem'), false)";
    wait_for(&hall.desktop, streams).await;
    tandem
}

/// How long each change took until it was seen, in seconds; numbered from `first` on.
async fn times(
    (from, change): (&Control, &dyn Fn(u32) -> String),
    (to, seen): (&Control, &dyn Fn(u32) -> String),
    first: u32,
) -> Vec<f64> {
    let mut times = Vec::new();
    for n in first..first + CHANGES {
        run(from, &change(n)).await;
        let since = Instant::now();
        wait_for(to, &seen(n)).await;
        times.push(since.elapsed().as_secs_f64());
        sleep(APART + MORE_APART * (n % 8)).await;
    }
    times
}

/// Measures while the other direction works.
async fn busy(
    measured: impl Future<Output = Vec<f64>>,
    work: impl Future<Output = ()>,
) -> Vec<f64> {
    tokio::select! {
        times = measured => times,
        () = work => unreachable!("it never ends"),
    }
}

/// Runs statements without end.
async fn every(side: &Control, sql: impl Fn(u32) -> String, pause: Duration) {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 0.. {
        ticks.tick().await;
        run(side, &sql(n)).await;
    }
}
