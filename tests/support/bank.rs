//! A bank whose books tell on a replicator: money only moves, every write has a mark of its own, and the cloud
//! logs each row version that is written there.
//!
//! An effect that happens twice, goes back or goes missing shows in the log ([`assert_once`]); part of a transaction
//! shows as a sum that is wrong ([`Auditor`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tandem::wire::control::Control;
use tokio::task::JoinHandle;

use super::office::{Office, Plan, connect, exec, value};
use tandem::demo::cluster::Binaries;

/// The tables, and a heartbeat that makes an idle stream move.
pub const SETTINGS: &str = "[heartbeat]\nevery = \"1s\"\n\n[forward]\nskip = []\n\n\
    [[table]]\nname = \"account\"\n\n[[table]]\nname = \"vault\"\n\n[[table]]\nname = \"journal\"\n\n\
    [[table]]\nname = \"item\"\n\n[[table]]\nname = \"scrap\"\nkey = []\n";

/// Accounts, and as many vaults.
const ACCOUNTS: u64 = 40;
/// Items are made, changed and removed under these numbers.
const ITEMS: u64 = 800;
/// What all accounts and vaults hold together.
const MONEY: i64 = 2 * 40 * 1000;
/// Marks of one transaction: its number times this, and its step.
const STEPS: u64 = 100;

const DESKTOP: &str = "
    create table account (id int primary key, amount bigint not null, mark bigint not null);
    create table vault (id int primary key, amount bigint not null, mark bigint not null);
    create table journal (id bigint primary key, mark bigint not null, words text);
    create table item (id bigint primary key, mark bigint not null, words text);
    create table scrap (box int, words text);
    insert into account select n, 1000, 0 from generate_series(1, 40) n;
    insert into vault select n, 1000, 0 from generate_series(1, 40) n;
    insert into journal values (0, 0, 'opening');
    insert into item select n, 0, repeat('first ', 5) from generate_series(1, 400) n;
    insert into scrap select n % 20, 'first' from generate_series(1, 100) n;";

const CLOUD: &str = "
    set role postgres;
    create table account (id int primary key, amount bigint not null, mark bigint not null, writes int not null default 0);
    create table vault (id int primary key, amount bigint not null, mark bigint not null);
    create table journal (id bigint primary key, mark bigint not null, words text);
    create table item (id bigint primary key, mark bigint not null, words text);
    create table scrap (box int, words text);
    create table row_log (n bigserial primary key, of text, id bigint, op text, mark bigint);
    create function log_row() returns trigger language plpgsql as $$
    begin
        if tg_op = 'DELETE' then
            insert into public.row_log (of, id, op, mark) values (tg_table_name, old.id, 'D', old.mark);
        else
            insert into public.row_log (of, id, op, mark) values (tg_table_name, new.id, left(tg_op, 1), new.mark);
        end if;
        return null;
    end $$;
    create function count_write() returns trigger language plpgsql as $$
    begin
        new.writes := old.writes + 1;
        return new;
    end $$;
    create trigger count_write before update on account for each row execute function count_write();
    create trigger log_row after insert or update or delete on account for each row execute function log_row();
    create trigger log_row after insert or update or delete on vault for each row execute function log_row();
    create trigger log_row after insert or update or delete on journal for each row execute function log_row();
    create trigger log_row after insert or update or delete on item for each row execute function log_row();
    reset role;";

/// An office with the bank's tables in both databases.
pub async fn open(binaries: &Binaries) -> Office {
    open_plan(&Plan::tables(binaries, SETTINGS)).await
}

/// As [`open`], for a plan of one's own; its settings are to hold the bank's tables.
pub async fn open_plan(plan: &Plan) -> Office {
    let office = Office::open(plan).await;
    exec(&office.desktop, DESKTOP).await;
    exec(&office.cloud, CLOUD).await;
    office
}

/// As [`open`], behind PgBouncer and 80 ms away; none where PgBouncer isn't installed, which is said.
pub async fn open_afar(binaries: &Binaries) -> Option<Office> {
    open_plan_afar(binaries, SETTINGS).await
}

/// As [`open_afar`], with settings of one's own.
pub async fn open_plan_afar(binaries: &Binaries, settings: &str) -> Option<Office> {
    if super::no_bouncer() {
        return None;
    }
    let plan = Plan {
        bouncer: true,
        ..Plan::tables(binaries, settings)
    };
    let office = open_plan(&plan).await;
    office.to_cloud.set_delay(Duration::from_millis(40));
    Some(office)
}

/// Numbers that a seed repeats (splitmix64).
pub struct Dice(u64);

impl Dice {
    /// Every seed throws its own numbers.
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// The seed of this run: `TANDEM_TEST_SEED` replays one.
pub fn seed() -> u64 {
    let named = std::env::var("TANDEM_TEST_SEED").ok();
    let made = || {
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        since.as_nanos() as u64 % 1_000_000
    };
    let seed = named.map_or_else(made, |text| text.parse().unwrap());
    println!("TANDEM_TEST_SEED={seed}");
    seed
}

/// The bank at work: one transaction after the other until told to stop. Its errors are the test's.
pub struct Teller {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    /// Fails when its server went away.
    work: JoinHandle<Result<(), String>>,
}

impl Teller {
    /// Goes on after the last transaction in the journal.
    pub async fn start(office: &Office, seed: u64) -> Teller {
        Teller::paced(office, seed, Duration::ZERO).await
    }

    /// As [`Teller::start`], with a pause after each transaction.
    pub async fn paced(office: &Office, seed: u64, pause: Duration) -> Teller {
        let desktop = connect(&office.servers.desktop, "postgres", "enterprise_db").await;
        let last = value(&desktop, "select max(id) from journal").await;
        let (stop, done) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (told, count) = (stop.clone(), done.clone());
        let work = tokio::spawn(async move {
            let mut dice = Dice::new(seed);
            let mut number = last.parse::<u64>().unwrap();
            while !told.load(Ordering::Relaxed) {
                number += 1;
                let sql = transaction(&mut dice, number);
                if let Err(error) = desktop.client.batch_execute(&sql).await {
                    let away = error.is_closed()
                        || error.code().is_some_and(|code| code.code() == "57P01");
                    assert!(away, "{error:?} in {sql}");
                    return Err(error.to_string());
                }
                count.fetch_add(1, Ordering::Relaxed);
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
            Ok(())
        });
        Teller { stop, done, work }
    }

    /// Transactions so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Its server went away, or is about to.
    pub async fn cut_off(self) {
        let ended = tokio::time::timeout(super::office::PATIENCE, self.work).await;
        ended
            .expect("the bank's server is still there")
            .unwrap()
            .unwrap_err();
    }

    /// Ends after the transaction at hand; returns how many there were.
    pub async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.work.await.unwrap().unwrap();
        self.done.load(Ordering::Relaxed)
    }
}

/// Transaction `number`: money moves between two tables, a line in the journal, and something else.
pub fn transaction(dice: &mut Dice, number: u64) -> String {
    let (from, to) = (1 + dice.below(ACCOUNTS), 1 + dice.below(ACCOUNTS));
    let (amount, mark) = (dice.below(2000) as i64 - 1000, number * STEPS);
    let mut sql = format!(
        "begin; update account set amount = amount - ({amount}), mark = {mark} where id = {from};"
    );
    for step in 1..=dice.below(5) {
        sql += &change(dice, number, mark + step);
    }
    sql += &format!(
        "insert into journal values ({number}, {mark}, 'moved {amount}');\
         update vault set amount = amount + ({amount}), mark = {mark} where id = {to}; commit"
    );
    sql
}

fn change(dice: &mut Dice, number: u64, mark: u64) -> String {
    let (item, moved, some) = (
        dice.below(ITEMS),
        100_000 + dice.below(number + 1),
        dice.below(20),
    );
    match dice.below(60) {
        0 => {
            format!("update item set mark = {mark}, words = 'all of them ' || id;")
        }
        1..=12 => format!(
            "insert into item values ({item}, {mark}, 'new {mark}') on conflict do nothing;"
        ),
        13..=26 => format!(
            "update item set mark = {mark}, words = 'w {mark}' where id between {item} and {item} + {some};"
        ),
        27..=34 => format!("delete from item where id in ({item}, {moved});"),
        // A key change; the transaction's number makes the new key unique.
        35..=40 => {
            format!(
                "update item set id = {}, mark = {mark} where id = {item} and not exists (select from item where id = {});",
                100_000 + number,
                100_000 + number
            )
        }
        // Gone and back with another content, which folds to an update.
        41..=44 => format!(
            "delete from item where id = {item}; insert into item values ({item}, {mark}, 'back');"
        ),
        45..=50 => format!("insert into scrap values ({some}, 'scrap {some}');"),
        51..=54 => format!("update scrap set words = 'scrap {mark}' where box = {some};"),
        _ => format!("delete from scrap where box = {some};"),
    }
}

/// Looks at the cloud again and again, each time in one snapshot, and panics when it sees part of a transaction.
pub struct Auditor {
    stop: Arc<AtomicBool>,
    states: Arc<AtomicU64>,
    work: JoinHandle<u64>,
}

impl Auditor {
    /// Starts looking; the tables must have been filled.
    pub async fn start(office: &Office) -> Auditor {
        let cloud = connect(&office.servers.cloud, "postgres", "postgres").await;
        let stop = Arc::new(AtomicBool::new(false));
        let states = Arc::new(AtomicU64::new(0));
        let (told, count) = (stop.clone(), states.clone());
        let work = tokio::spawn(async move {
            let (mut looks, mut last) = (0, 0);
            while !told.load(Ordering::Relaxed) {
                let seen = look(&cloud).await;
                looks += 1;
                count.fetch_add(u64::from(seen != last), Ordering::Relaxed);
                assert!(
                    seen >= last,
                    "the cloud went back from transaction {last} to {seen}"
                );
                last = seen;
            }
            looks
        });
        Auditor { stop, states, work }
    }

    /// Waits until it has seen so many more states of the cloud.
    pub async fn sees(&self, more: u64) {
        let goal = self.states.load(Ordering::Relaxed) + more;
        let until = Instant::now() + super::office::PATIENCE;
        while self.states.load(Ordering::Relaxed) < goal {
            assert!(!self.work.is_finished(), "the auditor has found something");
            assert!(Instant::now() < until, "the cloud does not move");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends; returns how often it looked and how many different states it saw.
    pub async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let looks = self.work.await.unwrap();
        (looks, self.states.load(Ordering::Relaxed))
    }
}

/// One look, statement by statement in one snapshot; returns the last transaction.
async fn look(cloud: &Control) -> i64 {
    exec(cloud, "begin isolation level repeatable read read only").await;
    let number = async |sql: &str| value(cloud, sql).await.parse::<i64>().unwrap();
    let accounts = number("select sum(amount) from account").await;
    let account_mark = number("select max(mark) from account").await;
    let (lines, last) = (
        number("select count(*) - 1 from journal").await,
        number("select max(id) from journal").await,
    );
    let missing = "select coalesce(string_agg(n::text, ' '), '') from generate_series(0, (select max(id) from journal)) as n where n not in (select id from journal)";
    let missing = if lines == last {
        String::new()
    } else {
        value(cloud, missing).await
    };
    let vault_mark = number("select max(mark) from vault").await;
    let vaults = number("select sum(amount) from vault").await;
    exec(cloud, "commit").await;
    assert_eq!(accounts + vaults, MONEY, "money was made or lost");
    assert_eq!(
        lines, last,
        "transactions are missing before the last: {missing}"
    );
    let marks = (account_mark, vault_mark);
    let whole = last * STEPS as i64;
    assert_eq!(marks, (whole, whole), "part of a transaction is visible");
    last
}

/// Every row version was written to the cloud once, in order, and the last ones are there.
pub async fn assert_once(office: &Office) {
    let none = [
        (
            "written twice",
            "select of, id, mark from row_log where op <> 'D' group by 1, 2, 3 having count(*) > 1",
        ),
        (
            "written after something newer",
            "select of, id, mark from (select *, max(mark) over (partition by of, id order by n rows between unbounded preceding and 1 preceding) as before \
             from row_log where op <> 'D') as l where mark < before",
        ),
        (
            "inserted over a row, or changed or deleted without one",
            "select of, id, mark from (select *, lag(op, 1, 'D') over (partition by of, id order by n) as before from row_log) as l \
             where (op = 'I') <> (before = 'D')",
        ),
        (
            "not as the log ends",
            "with present as (select 'account' as of, id, mark from account union all select 'vault', id, mark from vault \
             union all select 'journal', id, mark from journal union all select 'item', id, mark from item), \
             last as (select distinct on (of, id) * from row_log order by of, id, n desc) \
             select coalesce(l.of, p.of), coalesce(l.id, p.id), coalesce(l.mark, p.mark) from last as l full join present as p on p.of = l.of and p.id = l.id \
             where (l.op = 'D') <> (p.id is null) or l.op is null or p.mark <> l.mark",
        ),
        (
            "counted otherwise than logged",
            "select 'account', id, writes from account as a \
             where writes <> (select count(*) from row_log where of = 'account' and op = 'U' and row_log.id = a.id)",
        ),
    ];
    for (what, sql) in none {
        let sql = format!(
            "select concat(count(*), ' ', min(of || ' ' || id || ' mark ' || mark)) from ({sql}) as wrong(of, id, mark)"
        );
        assert_eq!(
            value(&office.cloud, &sql).await,
            "0 ",
            "row versions {what}"
        );
    }
}

/// Waits until the teller has done `more` transactions.
pub async fn busy(teller: &Teller, more: u64) {
    let (goal, until) = (
        teller.done() + more,
        Instant::now() + super::office::PATIENCE,
    );
    while teller.done() < goal {
        assert!(!teller.work.is_finished(), "the bank's work ended");
        assert!(Instant::now() < until, "the bank stands still");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
