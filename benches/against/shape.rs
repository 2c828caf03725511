//! What the desktop does: six shapes of a backlog.

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepShape {
    /// One row per transaction, each with a key of its own: half inserts, half updates.
    One,
    /// TPC-B: three updates and an insert per transaction.
    Tpcb,
    /// A thousand rows per transaction, half inserts, half updates.
    Thousand,
    /// One update of a million rows.
    Million,
    /// One load of a million rows.
    Load,
    /// A hundred rows per transaction: 40 inserts, 40 updates, 20 deletes.
    Mixed,
}

/// The tables of all shapes, on every side.
pub const TABLES: &str = "
    create table one (id bigint primary key, n int not null, words text not null);
    create table thousand (id bigint primary key, n int not null, words text not null);
    create table million (id bigint primary key, n int not null, words text not null);
    create table load (id bigint primary key, n int not null, words text not null);
    create table mixed (id bigint primary key, n int not null, words text not null);
    create table account (aid int primary key, bid int not null, balance int not null, filler char(84));
    create table teller (tid int primary key, bid int not null, balance int not null, filler char(84));
    create table branch (bid int primary key, balance int not null, filler char(88));
    create table history (hid bigint primary key, tid int, bid int, aid int, delta int, filler char(22));
    create table seen (id bigint primary key, at timestamptz not null);
    create table finish (id bigint primary key);";

pub const NAMES: [&str; 11] = [
    "one", "thousand", "million", "load", "mixed", "account", "teller", "branch", "history",
    "seen", "finish",
];

impl StepShape {
    pub const ALL: [StepShape; 6] = [
        StepShape::One,
        StepShape::Tpcb,
        StepShape::Thousand,
        StepShape::Million,
        StepShape::Load,
        StepShape::Mixed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            StepShape::One => "one",
            StepShape::Tpcb => "tpcb",
            StepShape::Thousand => "thousand",
            StepShape::Million => "million",
            StepShape::Load => "load",
            StepShape::Mixed => "mixed",
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            StepShape::One => "one row per transaction",
            StepShape::Tpcb => "TPC-B, 4 rows per transaction",
            StepShape::Thousand => "1,000 rows per transaction",
            StepShape::Million => "one update of 1,000,000 rows",
            StepShape::Load => "one load of 1,000,000 rows",
            StepShape::Mixed => "100 rows: 40 insert, 40 update, 20 delete",
        }
    }

    pub fn feels_distance(self) -> bool {
        matches!(self, StepShape::One | StepShape::Thousand)
    }

    /// What the tables hold before the first backlog.
    pub fn seed(shapes: &[StepShape], scale: f64) -> String {
        let rows = |many: f64| (many * scale) as u64;
        let words = "rpad('words of row ' || i, 90, '.')";
        let filled = [
            (StepShape::One, rows(200_000.0)),
            (StepShape::Thousand, rows(500_000.0)),
            (StepShape::Million, rows(1_000_000.0)),
            (StepShape::Mixed, rows(300_000.0)),
        ];
        let filled = filled.iter().filter(|(shape, _)| shapes.contains(shape));
        let filled = filled.map(|(shape, rows)| {
            format!(
                "insert into {} select i, 0, {words} from generate_series(1, {rows}) i;",
                shape.name()
            )
        });
        format!(
            "{} insert into account select i, i / 100000 + 1, 0, '' from generate_series(1, {}) i;
            insert into teller select i, 1, 0, '' from generate_series(1, 1000) i; insert into branch select i, 0, '' from generate_series(1, 100) i;",
            filled.collect::<String>(),
            rows(200_000.0)
        )
    }

    /// Does the work, and says how many rows it changed. A sequence gives new keys, so that it can be done again and again.
    pub fn work(self, scale: f64) -> (String, u64) {
        let times = |many: f64| ((many * scale) as u64).max(2);
        let words = "rpad('new words of row ' || k, 90, '.')";
        let each = |table: &str, transactions: u64, rows: u64| {
            format!(
                "do $$ declare base bigint; up bigint; begin select max(id) into base from {table}; up := (base / 7) % 1000;
                for i in 0 .. {transactions} - 1 loop
                    if i % 2 = 0 then
                        insert into {table} select base + i * {rows} + k, i, {words} from generate_series(1, {rows}) k;
                    else
                        update {table} set n = n + 1 where id > up + i * {rows} and id <= up + (i + 1) * {rows};
                    end if;
                    commit;
                end loop; end $$"
            )
        };
        match self {
            StepShape::One => (each("one", times(100_000.0), 1), times(100_000.0)),
            StepShape::Thousand => (each("thousand", times(300.0), 1000), times(300.0) * 1000),
            StepShape::Million => (
                format!("update million set n = n + 1 where id <= {}", times(1_000_000.0)),
                times(1_000_000.0),
            ),
            StepShape::Load => (
                format!(
                    "insert into load select base + k, 0, {words} from generate_series(1, {}) k, (select coalesce(max(id), 0) as base from load) as known",
                    times(1_000_000.0)
                ),
                times(1_000_000.0),
            ),
            StepShape::Tpcb => (
                format!(
                    "do $$ declare base bigint; a int; t int; b int; begin select coalesce(max(hid), 0) into base from history;
                    for i in 1 .. {} loop
                        a := (i * 7919) % {} + 1; t := i % 1000 + 1; b := i % 100 + 1;
                        update account set balance = balance + i where aid = a; update teller set balance = balance + i where tid = t;
                        update branch set balance = balance + i where bid = b; insert into history values (base + i, t, b, a, i, '');
                        commit;
                    end loop; end $$",
                    times(25_000.0),
                    times(200_000.0)
                ),
                times(25_000.0) * 4,
            ),
            StepShape::Mixed => (
                format!(
                    "do $$ declare base bigint; low bigint; begin select max(id), min(id) into base, low from mixed;
                    for i in 0 .. {} - 1 loop
                        insert into mixed select base + i * 40 + k, i, {words} from generate_series(1, 40) k;
                        update mixed set n = n + 1 where id > base - 100000 + i * 40 and id <= base - 100000 + i * 40 + 40;
                        delete from mixed where id >= low + i * 20 and id < low + i * 20 + 20;
                        commit;
                    end loop; end $$",
                    times(2_000.0)
                ),
                times(2_000.0) * 100,
            ),
        }
    }

    /// The tables that it changes.
    pub fn tables(self) -> &'static [&'static str] {
        match self {
            StepShape::One => &["one"],
            StepShape::Thousand => &["thousand"],
            StepShape::Million => &["million"],
            StepShape::Load => &["load"],
            StepShape::Mixed => &["mixed"],
            StepShape::Tpcb => &["account", "teller", "branch", "history"],
        }
    }
}
