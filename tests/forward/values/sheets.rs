//! Types spread over tables, and the comparison of both sides.

use std::fmt::Write;

use tandem::config::{self, Sources};
use tandem::plan::quote::literal;
use tandem::wire::control::Control;

use super::types::{Found, column};
use crate::support::office::{Office, exec};

/// Types of one table: a row of that many values that are stored apart still fits into a page.
const COLUMNS: usize = 40;

/// Two tables with the same columns: one whose rows have a key, one whose equal rows are counted.
pub struct Sheet {
    /// With a primary key on both sides.
    pub keyed: String,
    /// With no key at all, on either side.
    pub counted: String,
    /// Where the values wait on the desktop.
    source: String,
    columns: Vec<String>,
    types: Vec<String>,
    /// Each row's values.
    rows: Vec<Vec<Option<String>>>,
}

/// Every value of every type is in a row; a type with few values has them several times. Types with about as many
/// values stand together, so that few are repeated.
pub fn sheets(found: &[Found]) -> Vec<Sheet> {
    let mut found: Vec<_> = found.iter().collect();
    found.sort_by_key(|found| found.values.len());
    let sheets = found.chunks(COLUMNS).enumerate().map(|(at, found)| {
        let cell = |found: &Found, row: usize| -> Option<String> {
            let count = found.values.len() + usize::from(found.nullable);
            assert!(count > 0, "{} has no value", found.written);
            found.values.get(row % count).cloned()
        };
        let rows = 1 + found.iter().map(|found| found.values.len()).max().unwrap();
        Sheet {
            keyed: format!("public.keyed_{at}"),
            counted: format!("public.counted_{at}"),
            source: format!("bench.source_{at}"),
            columns: found.iter().map(|found| column(found)).collect(),
            types: found.iter().map(|found| found.written.clone()).collect(),
            rows: (0..rows)
                .map(|row| found.iter().map(|found| cell(found, row)).collect())
                .collect(),
        }
    });
    sheets.collect()
}

impl Sheet {
    fn create(&self) -> String {
        let columns: String =
            self.columns
                .iter()
                .zip(&self.types)
                .fold(String::new(), |mut all, (name, of)| {
                    let _ = write!(all, ", {name} {of}");
                    all
                });
        format!(
            "create table {} (id int primary key{columns}); create table {} (id int{columns});",
            self.keyed, self.counted
        )
    }

    fn fill(&self) -> String {
        let rows = self.rows.iter().enumerate().map(|(id, row)| {
            let cells = row.iter().map(|cell| {
                cell.as_ref()
                    .map_or_else(|| "null".to_owned(), |text| literal(text))
            });
            format!(
                "insert into {} values ({id}, {})",
                self.source,
                cells.collect::<Vec<_>>().join(", ")
            )
        });
        format!(
            "create table {} (like {}); {}",
            self.source,
            self.keyed,
            rows.collect::<Vec<_>>().join("; ")
        )
    }

    /// Every row once more, under numbers from `first` on.
    pub fn insert(&self, first: u32) -> String {
        let columns = self.columns.join(", ");
        format!(
            "begin; insert into {} select id + {first}, {columns} from {source}; insert into {} select id, {columns} from {source}; commit",
            self.keyed,
            self.counted,
            source = self.source
        )
    }

    /// Every value becomes the next one of its type.
    pub fn shift(&self) -> String {
        let set: Vec<_> = self
            .columns
            .iter()
            .map(|name| format!("{name} = s.{name}"))
            .collect();
        let (set, rows) = (set.join(", "), self.rows.len());
        format!(
            "update {} as t set {set} from {source} as s where t.id >= 1000 and s.id = (t.id - 999) % {rows}; \
             update {} as t set {set} from {source} as s where t.id % 2 = 0 and s.id = (t.id + 1) % {rows}",
            self.keyed,
            self.counted,
            source = self.source
        )
    }

    /// A third of the rows goes, and one of each two equal ones.
    pub fn thin(&self) -> String {
        format!(
            "delete from {} where id % 3 = 0; delete from {counted} where ctid in (select max(ctid) from {counted} group by id)",
            self.keyed,
            counted = self.counted
        )
    }

    /// How many rows wait on the desktop.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// What becomes of one row that has a key, by and by: it comes, has the next row's values, has another key, and goes. None behind
    /// the last one.
    pub fn life(&self, row: usize) -> Option<[String; 4]> {
        let (keyed, source, rows) = (&self.keyed, &self.source, self.rows.len());
        let columns = self.columns.join(", ");
        let set = { self.columns.iter() }.map(|name| format!("{name} = s.{name}"));
        let set = set.collect::<Vec<_>>().join(", ");
        let next = (row + 1) % rows;
        (row < rows).then(|| {
            [
                format!("insert into {keyed} select id, {columns} from {source} where id = {row}"),
                format!(
                    "update {keyed} as t set {set} from {source} as s where t.id = {row} and s.id = {next}"
                ),
                // Nothing but the key is sent of values that are stored apart.
                format!("update {keyed} set id = id + 100000 where id = {row}"),
                format!("delete from {keyed} where id = {row} + 100000 and id % 3 = 0"),
            ]
        })
    }

    /// Everything goes and comes back in one transaction.
    pub fn refill(&self) -> String {
        let again = self.insert(0);
        let again = again.strip_prefix("begin; ").unwrap();
        format!(
            "begin; delete from {}; delete from {}; {again}",
            self.keyed, self.counted
        )
    }
}

/// Values as most are, without edges, which the server reads from their text: these travel in arrays of their type.
pub fn usual_values() -> Sheet {
    const TYPES: [&str; 15] = [
        "bool",
        "int2",
        "int4",
        "int8",
        "float4",
        "float8",
        "numeric",
        "numeric(30, 6)",
        "uuid",
        "bytea",
        "date",
        "timestamp",
        "timestamptz",
        "text",
        "varchar(40)",
    ];
    let mut dice = 4711_u64;
    let mut roll = move |most: u64| {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % most
    };
    let mut value = move |of: &str| {
        let long = roll(1 << 31) << 32 | roll(1 << 31) << 1 | roll(2);
        let sign = ["", "-"][roll(2) as usize];
        let digits = |roll: &mut dyn FnMut(u64) -> u64, many: u64| -> String {
            let many = roll(many);
            (0..many)
                .map(|_| ["0", "0", "7", "9", "1"][roll(5) as usize])
                .collect()
        };
        let (year, month) = (1 + roll(9999), 1 + roll(12));
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            2 => 28 + u64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let day = [1, 1 + roll(last), last][roll(3) as usize];
        let date = format!("{year:04}-{month:02}-{day:02}");
        let fraction = ["", ".5", ".000001", ".123", ".99999"][roll(5) as usize];
        let time = format!("{:02}:{:02}:{:02}{fraction}", roll(24), roll(60), roll(60));
        match of {
            "bool" => ["t", "f"][roll(2) as usize].to_owned(),
            "int2" => (long as i16).to_string(),
            "int4" => (long as i32 >> roll(31)).to_string(),
            "int8" => (long as i64 >> roll(63)).to_string(),
            "float4" | "float8" if roll(9) == 0 => format!("{sign}0"),
            "float4" => format!("{sign}{}e{}", long as u32, roll(20) as i64 - 10),
            "float8" => format!("{sign}{long}e{}", roll(200) as i64 - 100),
            "numeric" => format!(
                "{sign}{}1.0{}",
                digits(&mut roll, 25),
                digits(&mut roll, 20)
            ),
            "numeric(30, 6)" => format!("{sign}{}", long >> roll(63)),
            "uuid" => format!("{long:016x}{:016x}", long.rotate_left(17)),
            "bytea" => format!("\\x{}", format!("{long:016x}").repeat(roll(4) as usize)),
            "date" => date,
            "timestamp" => format!("{date} {time}"),
            "timestamptz" => format!("{date} {time}+00"),
            _ => format!("words {long}"),
        }
    };
    let rows = (0..90).map(|row| {
        let cells = TYPES.iter().enumerate();
        let cells = cells.map(|(at, of)| (row % 11 != at).then(|| value(of)));
        cells.collect()
    });
    Sheet {
        keyed: "public.keyed_usual".to_owned(),
        counted: "public.counted_usual".to_owned(),
        source: "bench.source_usual".to_owned(),
        columns: (0..TYPES.len()).map(|at| format!("c{at}")).collect(),
        types: TYPES.map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}

/// Makes the sheets' tables on both sides and puts them into the settings.
pub async fn use_tables(office: &mut Office, sheets: &[Sheet]) {
    let mut settings = std::fs::read_to_string(office.file()).unwrap();
    for sheet in sheets {
        exec(&office.desktop, &sheet.create()).await;
        exec(&office.desktop, &sheet.fill()).await;
        exec(
            &office.cloud,
            &format!("set role postgres; {}; reset role", sheet.create()),
        )
        .await;
        let _ = write!(
            settings,
            "[[table]]\nname = \"{}\"\n[[table]]\nname = \"{}\"\nkey = []\n",
            sheet.keyed, sheet.counted
        );
    }
    std::fs::write(office.file(), settings).unwrap();
    let sources = Sources {
        file: Some(office.file()),
        cwd: office.folder.clone(),
        ..Sources::default()
    };
    office.settings = config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
}

/// Each row as its types write it is the same bytes on both sides.
pub async fn assert_same(office: &Office, sheets: &[Sheet], when: &str) {
    for sheet in sheets {
        for table in [&sheet.keyed, &sheet.counted] {
            let whole = format!("select array[t::text] from {table} as t order by id");
            let (desktop, cloud) =
                tokio::join!(read(&office.desktop, &whole), read(&office.cloud, &whole));
            if desktop == cloud {
                continue;
            }
            // Which column is it?
            let cells = sheet.columns.iter().map(|name| {
                format!("case when t.{name} is distinct from null then concat(t.{name}) end")
            });
            let sql = format!(
                "select array[id::text, {}] from {table} as t order by id",
                cells.collect::<Vec<_>>().join(", ")
            );
            let (desktop, cloud) =
                tokio::join!(read(&office.desktop, &sql), read(&office.cloud, &sql));
            for (mine, theirs) in desktop.iter().zip(&cloud) {
                for (at, (left, right)) in mine.iter().zip(theirs).enumerate().skip(1) {
                    assert!(
                        left == right,
                        "{when}: {} in {table}, id {:?}: {} on the desktop, {} in the cloud",
                        sheet.types[at - 1],
                        mine[0],
                        short(left.as_ref()),
                        short(right.as_ref())
                    );
                }
            }
            panic!(
                "{when}: {table} has {} rows on the desktop and {} in the cloud",
                desktop.len(),
                cloud.len()
            );
        }
    }
}

fn short(value: Option<&String>) -> String {
    value.map_or_else(
        || "NULL".to_owned(),
        |text| {
            format!(
                "{:?} ({} bytes)",
                text.chars().take(300).collect::<String>(),
                text.len()
            )
        },
    )
}

/// Rows of texts, sorted: equal numbers may come in any order.
async fn read(side: &Control, sql: &str) -> Vec<Vec<Option<String>>> {
    let rows = side
        .client
        .query_typed(sql, &[])
        .await
        .unwrap_or_else(|error| panic!("{error:?} in {sql}"));
    let mut rows: Vec<_> = rows.iter().map(|row| row.get(0)).collect();
    rows.sort_unstable();
    rows
}
