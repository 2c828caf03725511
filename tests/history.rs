//! Random histories of both sides against a model that knows the ownership rules. `TANDEM_TEST_SEED` replays them.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;

use support::bank::{Dice, seed};
use support::office::{Office, Service, came_home, exec, value};
use support::servers::newest;

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
