//! The office program: short statements on tables without a key, each of them timed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::bank::Dice;
use super::office::{Office, connect, exec};

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
        let mut clerks = Vec::new();
        for (seed, name) in TABLES.into_iter().enumerate() {
            let desktop = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
            let told = stop.clone();
            clerks.push(tokio::spawn(async move {
                let mut dice = Dice::new(seed as u64);
                let mut waits = Waits::default();
                while !told.load(Ordering::Relaxed) {
                    let sql = statement(&mut dice, name);
                    let since = Instant::now();
                    exec(&desktop, &sql).await;
                    waits.statements += 1;
                    waits.worst = waits.worst.max(since.elapsed());
                    tokio::time::sleep(PACE).await;
                }
                waits
            }));
        }
        App { stop, clerks }
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

fn statement(dice: &mut Dice, name: &str) -> String {
    let (of, word) = (dice.below(BOXES), dice.below(1_000_000));
    match dice.below(10) {
        0..=5 => format!("update {name} set words = 'word {word}' where box = {of}"),
        6 | 7 => format!("delete from {name} where box = {of}"),
        _ => format!("insert into {name} values ({of}, 'new {word}'), ({of}, 'new {word}')"),
    }
}
