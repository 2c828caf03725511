//! Random histories of both sides against a model that knows the ownership rules. `TANDEM_TEST_SEED` replays them.

use std::collections::BTreeMap;

use crate::support::bank::{Dice, seed};
use crate::support::office::{Office, Service, came_home, exec, value};
use crate::support::servers::newest;

const SETTINGS: &str = "[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n\
    [[table]]\nname = \"visits\"\nflow = \"both\"\ncloud_owned = [\"tick\"]\nmax_shrink = 1\n";
const TABLE: &str = "create table visits (id int KEY, note text, tick int, source char(1))";
const HISTORIES: u64 = 36;
const STEPS: u64 = 40;

/// What must come out. Notes of the desktop's rows are the desktop's, ticks the cloud's, and the phone's rows the phone's.
#[derive(Default)]
struct Model {
    desk: BTreeMap<u64, (u64, u64)>,
    phone: BTreeMap<u64, (u64, u64)>,
    next: u64,
}

impl Model {
    fn pick(rows: &BTreeMap<u64, (u64, u64)>, dice: &mut Dice) -> Option<u64> {
        let count = rows.len() as u64;
        (count > 0).then(|| *rows.keys().nth(dice.below(count) as usize).unwrap())
    }

    fn text(&self) -> String {
        let row = |(id, (note, tick)): (&u64, &(u64, u64)), who: &str| {
            format!("{id} {note} {tick} {who}")
        };
        let desk = self.desk.iter().map(|of| row(of, "D"));
        let phone = self.phone.iter().map(|of| row(of, "M"));
        let mut all: Vec<_> = desk.chain(phone).collect();
        all.sort();
        all.join("; ")
    }
}

/// One step of one side, sometimes of several rows at once.
async fn step(office: &Office, dice: &mut Dice, model: &mut Model) {
    let note = dice.below(1000);
    match dice.below(10) {
        0 | 1 => {
            let mut script = "begin".to_owned();
            for _ in 0..1 + dice.below(4) {
                model.next += 1;
                model.desk.insert(model.next, (note, 0));
                script += &format!("; insert into visits values ({}, '{note}', 0, 'D')", model.next);
            }
            exec(&office.desktop, &format!("{script}; commit")).await;
        }
        2 => {
            let Some(id) = Model::pick(&model.desk, dice) else { return };
            model.desk.get_mut(&id).unwrap().0 = note;
            exec(&office.desktop, &format!("update visits set note = '{note}' where id = {id}")).await;
        }
        3 => {
            let Some(id) = Model::pick(&model.desk, dice) else { return };
            model.desk.remove(&id);
            exec(&office.desktop, &format!("delete from visits where id = {id}")).await;
        }
        // The desktop's own refill, which knows of no ticks.
        4 => exec(&office.desktop, "begin; create temporary table v on commit drop as select * from visits where source = 'D'; delete from visits where source = 'D'; insert into visits select id, note, 0, 'D' from v; commit").await,
        // A row that isn't in the cloud yet can't be ticked.
        5 | 6 => {
            let Some(id) = Model::pick(&model.desk, dice) else { return };
            let sql = format!("update visits set tick = {note} where id = {id} and source = 'D' returning 1");
            let ticked = office.cloud.client.query_typed(&sql, &[]).await.unwrap().len();
            if ticked == 1 {
                model.desk.get_mut(&id).unwrap().1 = note;
            }
        }
        7 => {
            model.next += 1;
            model.phone.insert(model.next, (note, 7));
            exec(&office.cloud, &format!("insert into visits values ({}, '{note}', 7, 'M')", model.next)).await;
        }
        8 => {
            let Some(id) = Model::pick(&model.phone, dice) else { return };
            *model.phone.get_mut(&id).unwrap() = (note, note);
            exec(&office.cloud, &format!("update visits set note = '{note}', tick = {note} where id = {id}")).await;
        }
        _ => {
            let Some(id) = Model::pick(&model.phone, dice) else { return };
            model.phone.remove(&id);
            exec(&office.cloud, &format!("delete from visits where id = {id}")).await;
        }
    }
}

/// Both sides have said all.
async fn quiet(office: &Office, service: &mut Service) {
    // What the desktop undid is queued with its batch, comes home, and goes out once more as nothing.
    for _ in 0..2 {
        office.caught_up(service).await;
        came_home(office).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p4_p5_p6_random_histories_of_both_sides_end_as_the_model_says() {
    let office = Office::with_tables(
        &newest(),
        SETTINGS,
        &TABLE.replace("KEY", ""),
        &TABLE.replace("KEY", "primary key"),
    )
    .await;
    exec(
        &office.cloud,
        "insert into visits values (0, 'foreign', 0, 'S')",
    )
    .await;
    let first = seed();
    let mut service = office.run_cutting(first);
    office.caught_up(&mut service).await;
    let mut model = Model::default();
    for history in 0..HISTORIES {
        let mut dice = Dice::new(first + history);
        let dies = dice.below(3 * STEPS);
        for at in 0..STEPS {
            step(&office, &mut dice, &mut model).await;
            if at == dies {
                service.kill().await;
                // Batches are cut by dice, and sometimes as the machine has time.
                service = match dice.below(3) {
                    0 => office.run(),
                    _ => office.run_cutting(first + history),
                };
            }
        }
        quiet(&office, &mut service).await;
        let sql = "select coalesce(string_agg(concat_ws(' ', id, note, tick, source), '; '), '') from (select id, note, tick, source from visits where source <> 'S' order by concat_ws(' ', id, note, tick, source) collate \"C\") as v";
        let (desktop, cloud) = (
            value(&office.desktop, sql).await,
            value(&office.cloud, sql).await,
        );
        assert_eq!(
            cloud,
            model.text(),
            "cloud, history {history} of seed {first}"
        );
        assert_eq!(
            desktop,
            model.text(),
            "desktop, history {history} of seed {first}"
        );
        office.assert_conserved().await;
    }
    assert_eq!(
        value(
            &office.cloud,
            "select concat_ws(' ', id, note, tick) from visits where source = 'S'"
        )
        .await,
        "0 foreign 0"
    );
    for side in [&office.desktop, &office.cloud] {
        assert_eq!(
            value(side, "select count(*) from tandem.conflict").await,
            "0"
        );
    }
    assert_eq!(service.stop().await, 0);
}

/// More tables: one without a key that is refilled, swapped and ticked, one whose refill takes two transactions, one whose changes
/// are too many for memory, and two of which one refers to the other.
const MORE: &str = "[forward]\nmemory_max = \"8MB\"\n[heartbeat]\nevery = \"200ms\"\n[reverse]\nevery = \"100ms\"\n\
    [[table]]\nname = \"visits\"\nflow = \"both\"\ncloud_owned = [\"tick\"]\nmax_shrink = 1\nswap = \"3s\"\n\
    [[table]]\nname = \"task\"\nkey = []\ncloud_owned = [\"tick\"]\nmax_shrink = 1\nswap = \"2s\"\n\
    [[table]]\nname = \"chk\"\nkey = [\"id\"]\ncloud_owned = [\"tick\"]\nmax_shrink = 1\n\
    [[table]]\nname = \"bulk\"\nmax_shrink = 1\n\
    [[table]]\nname = \"parent\"\nmax_shrink = 1\n\
    [[table]]\nname = \"child\"\nmax_shrink = 1\n";
const MORE_DESKTOP: &str = "create table visits (id int, note text, tick int, source char(1)); create table task (name text, tick int); \
    create table chk (id int, note text, tick int); create table bulk (id int primary key, note text, words text); \
    create table parent (id int primary key, note text); create table child (id int primary key, parent int references parent, note text); \
    insert into task select 'task ' || n % 10, 0 from generate_series(1, 40) n; insert into chk select n, 'check', 0 from generate_series(1, 30) n; \
    insert into bulk select n, 'first', repeat('bulk ', 60) from generate_series(1, 12000) n";
const MORE_CLOUD: &str = "create table visits (id int primary key, note text, tick int, source char(1)); create table task (nr bigserial primary key, name text, tick int); \
    create table chk (nr bigserial primary key, id int unique, note text, tick int); create table bulk (id int primary key, note text, words text); \
    create table parent (id int primary key, note text); create table child (id int primary key, parent int references parent, note text)";

/// What both sides must have in the end, to the last column.
const EVERYTHING: [&str; 5] = [
    "select concat_ws(' ', id, note, tick, source) from visits where source <> 'S'",
    "select concat_ws(' ', name, tick) from task",
    "select concat_ws(' ', id, note, tick) from chk",
    "select concat_ws(' ', id, note, md5(words)) from bulk",
    "select concat_ws(' ', p.id, p.note, c.id, c.note) from parent p full join child c on c.parent = p.id",
];

/// One step on the other tables.
async fn more(office: &Office, dice: &mut Dice) {
    let (a, b, word) = (dice.below(40), dice.below(10), dice.below(1000));
    let desktop = |sql: String| async move { exec(&office.desktop, &sql).await };
    match dice.below(16) {
        0 => desktop(format!("insert into task values ('task {b}', 0), ('task {b}', 0)")).await,
        1 => desktop(format!("delete from task where ctid = (select min(ctid) from task where name = 'task {b}')")).await,
        // Refills, which know of no ticks.
        2 => desktop("begin; create temporary table t on commit drop as select * from task; delete from task; insert into task select name, 0 from t; commit".to_owned()).await,
        3 => desktop("begin; create temporary table c on commit drop as select * from chk; delete from chk; insert into chk select id, note, 0 from c; commit".to_owned()).await,
        4 => {
            desktop(format!("delete from chk where id between {a} and {}", a + 3)).await;
            desktop(format!("insert into chk select n, 'again {word}', 0 from generate_series({a}, {}) n where not exists (select from chk where id = n)", a + 3)).await;
        }
        5 => desktop("begin; create temporary table c on commit drop as select * from chk; truncate chk; insert into chk select id, note, 0 from c; commit".to_owned()).await,
        6 => desktop(format!("update chk set note = 'note {word}', tick = {b} where id = {a}")).await,
        // Keys change places, and come back.
        7 => desktop("begin; update chk set id = -id; update chk set id = -id, tick = 0; commit".to_owned()).await,
        8 => desktop(format!("begin; update chk set id = 1000 + id where id = {a}; update chk set id = {a}, note = 'back' where id = 1000 + {a}; commit")).await,
        9 | 10 => exec(&office.cloud, &format!("update task set tick = 1 - tick where nr = (select nr from task order by md5(nr || '{word}') limit 1)")).await,
        11 | 12 => exec(&office.cloud, &format!("update chk set tick = tick + 1 where id between {a} and {}", a + 1)).await,
        13 if b < 4 => desktop(format!("update bulk set note = 'bulk {word}' where id % 2 = {}", b % 2)).await,
        13 => desktop("begin; create temporary table w on commit drop as select * from bulk; delete from bulk; insert into bulk select * from w; commit".to_owned()).await,
        14 => desktop(format!("begin; insert into parent values ({word}, 'parent') on conflict do nothing; insert into child values ({word}, {word}, 'child {b}') on conflict (id) do update set note = excluded.note; commit")).await,
        _ => desktop(format!("begin; delete from child where parent % 10 = {b}; delete from parent where id % 10 = {b}; commit")).await,
    }
}

/// Loops that keep the machine busy until they are dropped.
struct Load(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Load {
    fn start(loops: u64) -> Load {
        let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        for _ in 0..loops {
            let told = over.clone();
            std::thread::spawn(move || {
                while !told.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Load(over)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

fn number(name: &str, or: u64) -> u64 {
    std::env::var(name).map_or(or, |number| number.parse().unwrap())
}

/// The long run: kills, refills, ticks, swaps, repairs, tables without a key and large transactions, while the machine is busy, and
/// batches cut by dice. `TANDEM_SOAK_HISTORIES` says how many, `TANDEM_SOAK_LOAD` how many loops keep the machine busy.
#[tokio::test(flavor = "multi_thread")]
async fn p1_p17_long_histories_of_all_kinds_of_tables_end_with_everything_equal() {
    let office = Office::with_tables(&newest(), MORE, MORE_DESKTOP, MORE_CLOUD).await;
    let first = seed();
    let histories = number("TANDEM_SOAK_HISTORIES", 4);
    let _load = Load::start(number("TANDEM_SOAK_LOAD", 0));
    let mut service = office.run_cutting(first);
    office.caught_up(&mut service).await;
    let mut model = Model::default();
    let (mut kills, mut repairs) = (0, 0);
    for history in 0..histories {
        let mut dice = Dice::new(first + history);
        let mut dies = dice.below(2 * STEPS);
        for at in 0..2 * STEPS {
            match dice.below(3) {
                0 => step(&office, &mut dice, &mut model).await,
                _ => more(&office, &mut dice).await,
            }
            if at == dies {
                service.kill().await;
                kills += 1;
                service = match dice.below(3) {
                    0 => office.run(),
                    _ => office.run_cutting(first + history),
                };
                dies += 1 + dice.below(2 * STEPS);
            }
            if dice.below(60) == 0 {
                repairs += 1;
                let (code, out, error) = office.ask(&["repair", "--apply"]).await;
                assert!(matches!(code, 0 | 1), "{code} {out} {error}");
            }
        }
        quiet(&office, &mut service).await;
        // A copy that was on its way has looked at both sides; what it found comes home like anything else.
        quiet(&office, &mut service).await;
        for sql in EVERYTHING {
            let rows = format!(
                "select coalesce(string_agg(v, '; ' order by v collate \"C\"), '') from ({sql}) as r(v)"
            );
            let (desktop, cloud) = (
                value(&office.desktop, &rows).await,
                value(&office.cloud, &rows).await,
            );
            assert!(
                desktop == cloud,
                "history {history} of seed {first}: {sql}\n{}",
                difference(&desktop, &cloud)
            );
        }
        let visits = "select coalesce(string_agg(concat_ws(' ', id, note, tick, source), '; ' order by concat_ws(' ', id, note, tick, source) collate \"C\"), '') from visits";
        assert_eq!(
            value(&office.cloud, visits).await,
            model.text(),
            "history {history} of seed {first}"
        );
        assert_eq!(
            value(&office.cloud, "select count(*) from tandem.quarantine").await,
            "0"
        );
        office.assert_conserved().await;
    }
    println!(
        "{histories} histories from seed {first}: {kills} kills, {repairs} repairs; ended equal"
    );
    assert_eq!(service.stop().await, 0);
}

/// Rows that one side has and the other hasn't.
fn difference(desktop: &str, cloud: &str) -> String {
    let (mut of_desktop, mut of_cloud): (Vec<_>, Vec<_>) =
        (desktop.split("; ").collect(), cloud.split("; ").collect());
    of_desktop.retain(|row| match of_cloud.iter().position(|other| other == row) {
        Some(at) => {
            of_cloud.swap_remove(at);
            false
        }
        None => true,
    });
    format!("desktop only: {of_desktop:?}\ncloud only: {of_cloud:?}")
}
