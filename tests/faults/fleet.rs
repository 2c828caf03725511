//! Ten offices, ten tenants with the same keys, one cloud: each sees only its own rows, whatever happens to the others; and
//! `tandem fleet` tells the truth about all of them all the way (P15).

use std::path::PathBuf;

use tandem::observe::{Fleet, FleetObserver, Replicator};
use tandem::wire::control::Control;
use tokio::time::{interval, timeout};

use crate::support::office::{
    Office, PATIENCE, Plan, Service, connect, exec, finish, tandem, until, value,
};
use crate::support::servers::newest;

const OFFICES: usize = 10;

const ON_DESKTOP: &str =
    "create table visit (org_id int, id int, note text, primary key (org_id, id));
    create table diary (org_id int, id int, note text, source text, primary key (org_id, id))";
const IN_CLOUD: &str = "set role postgres;
    create table visit (org_id int, id int, note text check (note <> 'poison'), primary key (org_id, id));
    create table diary (org_id int, id int, note text, source text, primary key (org_id, id));
    reset role";

/// `replicator` stands before the first section.
fn settings(office: usize) -> (String, String) {
    let rest = format!(
        "[forward]\nslot = \"tandem_{office}\"\n[heartbeat]\nevery = \"1s\"\n[reverse]\nevery = \"200ms\"\n[tenant]\norg_id = {office}\n\
         [[table]]\nname = \"visit\"\nmax_shrink = 1\n[[table]]\nname = \"diary\"\nflow = \"both\"\n"
    );
    (format!("replicator = \"office-{office}\"\n"), rest)
}

/// One of ten: a database of the desktop's server, with settings of its own.
struct One {
    desktop: Control,
    file: PathBuf,
    service: Option<Service>,
}

struct Ten {
    office: Office,
    ten: Vec<One>,
    looks: FleetObserver,
}

impl Ten {
    async fn open() -> Ten {
        let mut plan = Plan::empty(&newest());
        for spec in [&mut plan.desktop, &mut plan.cloud] {
            *spec = spec.clone().set("max_connections", "200");
        }
        let office = Office::open(&plan).await;
        exec(&office.cloud, IN_CLOUD).await;
        let admin = connect(&office.servers.desktop, "postgres", "postgres").await;
        let mut ten = Vec::new();
        for number in 1..=OFFICES {
            let database = format!("office_{number}");
            exec(&admin, &format!("create database {database}")).await;
            let desktop = connect(&office.servers.desktop, "postgres", &database).await;
            exec(&desktop, ON_DESKTOP).await;
            exec(
                &desktop,
                &format!("insert into visit select {number}, n, 'office {number}' from generate_series(1, 50) n"),
            )
            .await;
            // The first one's way to its desktop can be cut.
            let servers = &office.servers;
            let (host, port) = match number {
                1 => (office.to_desktop.host(), office.to_desktop.port()),
                _ => (servers.desktop.host().to_owned(), servers.desktop.port()),
            };
            let (name, rest) = settings(number);
            let text = format!(
                "{name}[desktop]\nurl = \"postgres://postgres@{host}:{port}/{database}\"\n[cloud]\nurl = \"postgres://postgres@{}:{}/postgres\"\n{rest}",
                servers.cloud.host(),
                servers.cloud.port(),
            );
            let file = office.folder.join(format!("{database}.toml"));
            std::fs::write(&file, text).unwrap();
            let service = Some(office.run_with(&file));
            ten.push(One {
                desktop,
                file,
                service,
            });
        }
        until(
            &office.cloud,
            "select to_regclass('tandem.lifesign') is not null",
        )
        .await;
        let cloud = tandem::demo::endpoint(&office.servers.cloud, "postgres", "postgres");
        let looks = FleetObserver::connect(&cloud).await.unwrap();
        Ten { office, ten, looks }
    }

    /// Waits until the fleet is told to be like that.
    async fn tells(&self, what: &str, is: impl Fn(&Fleet) -> bool) -> Fleet {
        let mut last = String::new();
        let looks = async {
            let mut ticks = interval(std::time::Duration::from_millis(50));
            loop {
                ticks.tick().await;
                let fleet = self.looks.look().await.unwrap();
                if is(&fleet) {
                    return fleet;
                }
                last = serde_json::to_string_pretty(&fleet).unwrap();
            }
        };
        let found = timeout(PATIENCE, looks).await;
        found.unwrap_or_else(|_| panic!("never told: {what}\n{last}"))
    }

    /// Waits until this office is told to be in trouble, so and so, and all others to be fine.
    async fn only(&self, number: usize, verdict: &str, why: &str) -> Replicator {
        let name = format!("office-{number}");
        let told = |one: &Replicator| match one.replicator == name {
            true => {
                one.word() == verdict && one.why.as_ref().is_some_and(|said| said.contains(why))
            }
            false => one.word() == "caught_up",
        };
        let fleet = self
            .tells(&format!("only {name} {verdict}: {why}"), |fleet| {
                fleet.replicators.len() == OFFICES && fleet.replicators.iter().all(told)
            })
            .await;
        // Trouble first.
        assert_eq!(fleet.replicators[0].replicator, name);
        fleet.replicators[0].clone()
    }

    async fn all_fine(&self) -> Fleet {
        self.tells("all are caught up", |fleet| {
            let fine = |one: &Replicator| one.word() == "caught_up" && one.why.is_none();
            fleet.replicators.len() == OFFICES && fleet.replicators.iter().all(fine)
        })
        .await
    }

    fn one(&mut self, number: usize) -> &mut One {
        &mut self.ten[number - 1]
    }

    /// Each tenant's rows are those of its desktop, and no desktop has another's.
    async fn assert_equal(&self) {
        for (number, one) in (1..).zip(&self.ten) {
            for table in ["visit", "diary"] {
                let rows = |whose: &str| {
                    format!(
                        "select coalesce(string_agg(concat_ws(' ', org_id, id, note), '; ' order by org_id, id), '') from {table} {whose}"
                    )
                };
                let there = rows(&format!("where org_id = {number}"));
                let until_equal = async {
                    let mut ticks = interval(std::time::Duration::from_millis(50));
                    loop {
                        ticks.tick().await;
                        let here = value(&one.desktop, &rows("")).await;
                        if here == value(&self.office.cloud, &there).await {
                            return here;
                        }
                    }
                };
                let rows = timeout(PATIENCE, until_equal).await;
                let rows = rows.unwrap_or_else(|_| panic!("{table} of office {number} differs"));
                assert!(!rows.is_empty(), "{table} of office {number}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_ten_offices_share_a_cloud_and_the_fleet_tells_the_truth_all_the_way() {
    let mut it = Ten::open().await;
    let fleet = it.all_fine().await;
    let first = &fleet.replicators[0];
    assert_eq!(first.version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!((first.lag_ms, first.lag_bytes), (Some(0), Some(0)));
    assert!(first.wal_held_bytes.is_some() && first.reverse.pending == Some(0));
    assert_eq!((first.tables, first.database.as_str()), (2, "office_1"));
    let names: Vec<_> = { fleet.replicators.iter() }
        .map(|one| one.replicator.as_str())
        .collect();
    assert!(names.is_sorted(), "{names:?}");

    // The same keys everywhere, and what phones make goes to one office.
    for (number, one) in (1..).zip(&it.ten) {
        let work = format!(
            "update visit set note = 'changed by {number}' where id % 3 = 0; delete from visit where id % 7 = 0; \
             insert into visit select {number}, n, 'new {number}' from generate_series(51, 80) n"
        );
        exec(&one.desktop, &work).await;
        exec(
            &it.office.cloud,
            &format!("insert into diary select {number}, n, 'phone of {number}', 'M' from generate_series(1, 20) n"),
        )
        .await;
    }
    it.assert_equal().await;
    it.all_fine().await;

    // One row that the cloud refuses is one office's trouble, and goes again.
    exec(
        &it.ten[2].desktop,
        "update visit set note = 'poison' where id = 1",
    )
    .await;
    let third = it.only(3, "needs_you", "one row in quarantine").await;
    assert_eq!(
        (third.quarantined.forward, third.quarantined.reverse),
        (1, 0)
    );
    exec(
        &it.ten[2].desktop,
        "update visit set note = 'cured' where id = 1",
    )
    .await;
    it.all_fine().await;

    // An office whose desktop is away says so itself.
    it.office.to_desktop.refuse(true);
    it.office.to_desktop.cut();
    let first = it.only(1, "stalled", "the desktop").await;
    assert_eq!((first.lag_ms, first.wal_held_bytes), (None, None));
    exec(
        &it.ten[0].desktop,
        "insert into visit values (1, 1000, 'while away')",
    )
    .await;
    it.office.to_desktop.refuse(false);
    it.all_fine().await;

    // One is killed, and another process that stood by takes over.
    let standby = it.ten[6].file.clone();
    let file = standby.to_str().unwrap().to_owned();
    let mut command = tandem();
    command.args(["-c", &file, "run", "--standby"]);
    let log = std::fs::File::create(it.office.folder.join("standby.log")).unwrap();
    command
        .stdout(std::process::Stdio::null())
        .stderr(log)
        .kill_on_drop(true);
    let successor = Service {
        child: command.spawn().unwrap(),
    };
    let log = it.office.folder.join("standby.log");
    crate::support::poll(PATIENCE, || {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("standing by")
            .then_some(())
    })
    .expect("it does not stand by");
    it.all_fine().await;
    let before = it.one(7).service.take().unwrap();
    let holder = |service: &Service| format!("process {} on ", service.child.id().unwrap());
    let (old, new) = (holder(&before), holder(&successor));
    let seven = |fleet: &Fleet| {
        let mut all = fleet.replicators.iter();
        all.find(|one| one.replicator == "office-7")
            .cloned()
            .unwrap()
    };
    let speaks = |fleet: &Fleet, who: &str| {
        seven(fleet)
            .holder
            .is_some_and(|holder| holder.starts_with(who))
    };
    assert!(speaks(&it.all_fine().await, &old));
    exec(
        &it.ten[6].desktop,
        "insert into visit values (7, 1000, 'before the kill')",
    )
    .await;
    before.kill().await;
    exec(
        &it.ten[6].desktop,
        "insert into visit values (7, 1001, 'behind the kill')",
    )
    .await;
    it.tells("office-7 is taken over", |fleet| speaks(fleet, &new))
        .await;
    it.all_fine().await;
    it.one(7).service = Some(successor);

    // One falls silent: it still runs, as far as anybody here can see, and says nothing any more. The clock is helped.
    let four = it.one(4).service.take().unwrap();
    four.signal("STOP");
    let later = "update tandem.checkpoint set held_until = held_until - interval '1 hour' where replicator = 'office-4'; \
        update tandem.lifesign set at = at - interval '1 hour' where replicator = 'office-4'";
    exec(&it.office.cloud, later).await;
    let silent = it.only(4, "down", "silent since ").await;
    assert!(silent.last_seen_age_ms.is_some_and(|age| age >= 3_500_000));
    assert_eq!((silent.lag_ms, silent.wal_held_bytes), (None, None));
    let (code, out, error) = finish(tandem().args(["-c", &file, "fleet"])).await;
    assert_eq!((code, error.as_str()), (1, ""), "{out}");
    assert!(
        out.starts_with("one of 10 replicators needs somebody\n"),
        "{out}"
    );
    let line = out.lines().nth(3).unwrap_or_default();
    assert!(
        line.contains("office-4") && line.contains("silent since "),
        "{out}"
    );
    four.signal("CONT");
    it.all_fine().await;
    it.one(4).service = Some(four);

    // One is stopped by a person, and started again.
    let nine = it.one(9).service.take().unwrap();
    assert_eq!(nine.stop().await, 0);
    it.only(9, "down", "was stopped at ").await;
    it.one(9).service = Some(it.office.run_with(&it.ten[8].file));
    it.all_fine().await;

    it.assert_equal().await;
    let (code, out, error) = finish(tandem().args(["-c", &file, "fleet"])).await;
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("10 replicators, all fine\n"), "{out}");
    for one in &mut it.ten {
        assert_eq!(one.service.take().unwrap().stop().await, 0);
    }
    // All have said goodbye.
    let fleet = it.looks.look().await.unwrap();
    assert!(fleet.replicators.iter().all(|one| one.word() == "down"));
}
