//! The office program: short statements on tables without a key, each of them timed, and each wait for a lock in the
//! server's log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::bank::Dice;
use super::office::{Office, PATIENCE, connect, exec};

/// Tables without a key, as the office program has them.
pub const TABLES: [&str; 4] = ["paper_0", "paper_1", "paper_2", "paper_3"];
/// Different values of `box`; a statement changes the rows of one.
const BOXES: u64 = 2000;
/// Between two statements of one clerk.
const PACE: Duration = Duration::from_millis(5);

/// The tables' settings.
pub fn settings() -> String {
    let tables = TABLES.map(|name| format!("[[table]]\nname = \"{name}\"\nkey = []\n\n"));
    format!("[heartbeat]\nevery = \"1s\"\n\n{}", tables.concat())
}

/// Makes the tables in both databases, with rows on the desktop.
pub async fn make_tables(office: &Office) {
    for name in TABLES {
        let table =
            format!("create table {name} (box int, words text); create index on {name} (box);");
        exec(
            &office.cloud,
            &format!("set role postgres; {table} reset role"),
        )
        .await;
        let rows = format!(
            "insert into {name} select n % {BOXES}, repeat('word ', 20) from generate_series(1, 10000) n"
        );
        exec(&office.desktop, &format!("{table} {rows}")).await;
    }
}

/// A clerk at each table until told to stop.
pub struct App {
    stop: Arc<AtomicBool>,
    /// The statements of each clerk.
    done: Vec<Arc<AtomicU64>>,
    clerks: Vec<JoinHandle<Waits>>,
}

/// How the program fared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waits {
    /// Statements, none of which failed.
    pub statements: u64,
    /// The slowest of them.
    pub worst: Duration,
}

impl App {
    /// Starts working; an error of a statement is the test's.
    pub async fn start(office: &Office) -> App {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut clerks, mut done) = (Vec::new(), Vec::new());
        for (seed, name) in TABLES.into_iter().enumerate() {
            let desktop = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
            exec(
                &desktop,
                "set log_lock_waits = on; set deadlock_timeout = '1ms'",
            )
            .await;
            let (told, count) = (stop.clone(), Arc::new(AtomicU64::new(0)));
            done.push(count.clone());
            clerks.push(tokio::spawn(async move {
                let mut dice = Dice::new(seed as u64);
                let mut waits = Waits::default();
                while !told.load(Ordering::Relaxed) {
                    let sql = statement(&mut dice, name);
                    let since = Instant::now();
                    exec(&desktop, &sql).await;
                    waits.statements += 1;
                    count.fetch_add(1, Ordering::Relaxed);
                    waits.worst = waits.worst.max(since.elapsed());
                    tokio::time::sleep(PACE).await;
                }
                waits
            }));
        }
        App { stop, done, clerks }
    }

    /// Waits until every clerk has done so many statements more.
    pub async fn goes_on(&self, more: u64) {
        let of = |count: &Arc<AtomicU64>| count.load(Ordering::Relaxed);
        let goals: Vec<_> = self.done.iter().map(|count| of(count) + more).collect();
        let until = Instant::now() + PATIENCE;
        while self
            .done
            .iter()
            .map(of)
            .zip(&goals)
            .any(|(now, goal)| now < *goal)
        {
            assert!(
                self.clerks.iter().all(|clerk| !clerk.is_finished()),
                "a clerk's statement failed"
            );
            assert!(Instant::now() < until, "a clerk stands still");
            tokio::time::sleep(PACE).await;
        }
    }

    /// Ends after the statements at hand.
    pub async fn stop(self) -> Waits {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Waits::default();
        for clerk in self.clerks {
            let waits = clerk.await.unwrap();
            all.statements += waits.statements;
            all.worst = all.worst.max(waits.worst);
        }
        all
    }
}

/// The clerks' waits for locks, as the desktop's server has logged them: who held each, and who else queued for it.
pub fn lock_waits(office: &Office) -> Vec<Vec<u32>> {
    let log = office.servers.desktop.log_tail(usize::MAX);
    let told = log
        .lines()
        .filter_map(|line| line.split_once("holding the lock: "));
    let numbers = |line: &str| {
        let numbers = line.split(|letter: char| !letter.is_ascii_digit());
        numbers.filter_map(|number| number.parse().ok()).collect()
    };
    told.map(|(_, line)| numbers(line)).collect()
}

fn statement(dice: &mut Dice, name: &str) -> String {
    let (of, word) = (dice.below(BOXES), dice.below(1_000_000));
    match dice.below(10) {
        0..=5 => format!("update {name} set words = 'word {word}' where box = {of}"),
        6 | 7 => format!("delete from {name} where box = {of}"),
        _ => format!("insert into {name} values ({of}, 'new {word}'), ({of}, 'new {word}')"),
    }
}
