//! The sections of the file: every setting outside `[[table]]`, its default and its bounds.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check;
use super::complaint::Complaint;
use super::endpoint::Endpoint;
use super::layers::{Input, Reader, named_by_variables};
use super::section::Section;
use super::side::Surroundings;
use super::units::{Limits, gb, kb, mb};

/// One of the two databases.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// How to reach it, with the password already found.
    pub endpoint: Endpoint,
    /// Where the password came from, for the hint of a refused log-in; none when there is no password.
    pub password_from: Option<String>,
    /// The longest statement; zero, which is PostgreSQL's "no limit", for the desktop.
    pub statement_timeout: Duration,
    /// The zone of desktop columns without one; always none for the cloud.
    pub time_zone: Option<String>,
}

/// How a cloud row says who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The cloud column; a table without it has only desktop rows.
    pub column: String,
    /// What forward writes there.
    pub desktop: String,
    /// What the phone writes there.
    pub mobile: String,
}

/// The stream from the desktop to the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The replication slot on the desktop.
    pub slot: String,
    /// The publication on the desktop.
    pub publication: String,
    /// Desktop columns that don't travel, for every table; a table's own list comes on top.
    pub skip: Vec<String>,
    /// A batch closes at this many rows.
    pub batch_rows: u32,
    /// A batch closes at this many bytes.
    pub batch_bytes: u64,
    /// A batch closes when it is this old.
    pub batch_wait: Duration,
    /// Bytes of buffered WAL and open batches together.
    pub memory_max: u64,
    /// Bytes of WAL held on the desktop, past which status says so.
    pub wal_held_max: u64,
    /// Bytes of WAL held, past which the slot is given up; none is off.
    pub wal_held_drop: Option<u64>,
}

/// The way home of mobile rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverse {
    /// Time between two polls.
    pub every: Duration,
    /// Cloud columns that don't come home, for every table.
    pub skip: Vec<String>,
    /// A statement for the desktop after a poll that wrote rows.
    pub then: Option<String>,
}

/// How whole tables are copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// How the cloud's foreign keys are checked while empty tables are filled.
    pub check_foreign_keys: CheckForeignKeys,
}

/// How foreign keys are checked while an empty table is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckForeignKeys {
    /// By the server, as for everybody.
    EachRow,
    /// By us, for all rows of a transaction at once, where the cloud allows it.
    Together,
}

/// The sign of life that measures the lag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Time between two beats.
    pub every: Duration,
}

/// The comparison in `run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// Time between two comparisons; none is off.
    pub every: Option<Duration>,
}

/// Where metrics and health are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Address and port; none is off.
    pub http: Option<SocketAddr>,
}

/// What is logged, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: Format,
    /// The folder of daily files; none is off. A relative path was resolved beside the settings file.
    pub file: Option<PathBuf>,
    /// How long a daily file stays.
    pub keep: Duration,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// For machines, one document a line.
    Json,
}

const DAY: u64 = 86_400;
const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const BATCH_ROWS: Limits<u32> = Limits {
    range: 1..=1_000_000,
    why: "a batch has at least one row",
};
const BATCH_BYTES: Limits<u64> = Limits {
    range: kb(64)..=gb(1),
    why: "smaller batches cost a round trip each, larger ones lock rows for long",
};
const BATCH_WAIT: Limits<Duration> = Limits {
    range: ms(0)..=s(60),
    why: "all that waits is lag",
};
const MEMORY: Limits<u64> = Limits {
    range: mb(8)..=gb(64),
    why: "less can't hold a batch and the WAL behind it",
};
const WAL_HELD: Limits<u64> = Limits {
    range: mb(16)..=gb(1 << 14),
    why: "WAL comes in segments of 16MB, and is held in whole ones",
};
const STATEMENT: Limits<Duration> = Limits {
    range: s(1)..=s(DAY),
    why: "a batch needs a second on a bad line",
};
const POLL: Limits<Duration> = Limits {
    range: ms(100)..=s(3600),
    why: "a poll is a query in the cloud",
};
const BEAT: Limits<Duration> = Limits {
    range: ms(100)..=s(3600),
    why: "a beat is a small write on the desktop; without it the lag isn't known",
};
const VERIFY: Limits<Duration> = Limits {
    range: s(5)..=s(365 * DAY),
    why: "a comparison reads every row",
};
const KEEP: Limits<Duration> = Limits {
    range: s(DAY)..=s(3650 * DAY),
    why: "a log file holds a day",
};

pub(super) fn replicator(reader: &mut Reader<'_>) -> Option<String> {
    let mut top = reader.top();
    let name = top.checked_text("replicator", check::replicator);
    for section in [
        "desktop",
        "cloud",
        "tenant",
        "owner",
        "forward",
        "reverse",
        "refill",
        "copy",
        "heartbeat",
        "verify",
        "listen",
        "log",
        "alert",
        "table",
    ] {
        top.expect(section);
    }
    top.finish();
    name
}

/// `[tenant]`: free keys, each a cloud column with its one value. A variable overrides a column, or adds one.
pub(super) fn tenant(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    let from_variables = named_by_variables(reader.names.env, "tenant");
    let flagged = reader
        .flags
        .iter()
        .filter_map(|(key, _)| key.strip_prefix("tenant."))
        .map(str::to_owned);
    let extra: Vec<String> = from_variables.into_iter().chain(flagged).collect();
    let mut section = reader.section("tenant");
    let table = section
        .table
        .map(super::document::entries)
        .unwrap_or_default();
    let mut columns: Vec<String> = table
        .into_iter()
        .map(|(key, _)| key.get_ref().to_string())
        .collect();
    for column in extra {
        if !columns
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&column))
        {
            columns.push(column);
        }
    }
    let mut pairs = Vec::new();
    for column in columns {
        let read =
            |input: &Input<'_>| check::identifier(&column).and_then(|_| check::constant(input));
        if let Some(value) = section.optional(&column, read, Clone::clone) {
            pairs.push((column, value));
        }
    }
    section.finish();
    pairs
}

pub(super) fn owner(reader: &mut Reader<'_>) -> Owner {
    let mut section = reader.section("owner");
    let owner = Owner {
        column: section.word("column", "source", check::identifier),
        desktop: section.word("desktop", "D", check::filled),
        mobile: section.word("mobile", "M", check::filled),
    };
    if owner.desktop == owner.mobile {
        let found = ["mobile", "desktop"]
            .iter()
            .find_map(|key| section.scalar(key, false).map(|found| (*key, found)));
        if let Some((key, found)) = found {
            let same = Complaint::new("is the same for the desktop's rows and the phone's");
            section.wrong(
                key,
                &found,
                same.hint("who made a row has to be told apart"),
                true,
            );
        }
    }
    section.finish();
    owner
}

pub(super) fn forward(reader: &mut Reader<'_>) -> Forward {
    let mut section = reader.section("forward");
    let forward = Forward {
        slot: section.word("slot", "tandem", check::slot),
        publication: section.word("publication", "tandem", check::identifier),
        skip: skip(&mut section),
        batch_rows: section.count("batch_rows", 5000, &BATCH_ROWS),
        batch_bytes: section.size("batch_bytes", mb(16), &BATCH_BYTES),
        batch_wait: section.duration("batch_wait", ms(50), &BATCH_WAIT),
        memory_max: section.size("memory_max", mb(64), &MEMORY),
        wal_held_max: section.size("wal_held_max", gb(4), &WAL_HELD),
        wal_held_drop: section.size_or_off("wal_held_drop", &WAL_HELD),
    };
    section.finish();
    forward
}

/// The columns that travel in no table; a row says so when they are the default.
fn skip(section: &mut Section<'_, '_>) -> Vec<String> {
    section.columns("skip").unwrap_or_else(|| {
        section.row("skip", super::show::list(&[]), None);
        Vec::new()
    })
}

pub(super) fn reverse(reader: &mut Reader<'_>) -> Reverse {
    let mut section = reader.section("reverse");
    let reverse = Reverse {
        every: section.duration("every", s(1), &POLL),
        skip: skip(&mut section),
        then: section.text("then"),
    };
    section.finish();
    reverse
}

pub(super) fn copy(reader: &mut Reader<'_>) -> Copy {
    let mut section = reader.section("copy");
    let ways = [
        ("each", CheckForeignKeys::EachRow),
        ("once", CheckForeignKeys::Together),
    ];
    let copy = Copy {
        check_foreign_keys: section.choice("check_foreign_keys", CheckForeignKeys::EachRow, &ways),
    };
    section.finish();
    copy
}

pub(super) fn heartbeat(reader: &mut Reader<'_>) -> Heartbeat {
    let mut section = reader.section("heartbeat");
    let heartbeat = Heartbeat {
        every: section.duration("every", s(10), &BEAT),
    };
    section.finish();
    heartbeat
}

pub(super) fn verify(reader: &mut Reader<'_>) -> Verify {
    let mut section = reader.section("verify");
    let verify = Verify {
        every: section.duration_or_off("every", &VERIFY),
    };
    section.finish();
    verify
}

pub(super) fn listen(reader: &mut Reader<'_>) -> Listen {
    let mut section = reader.section("listen");
    let read = |input: &Input<'_>| {
        if check::off(input) {
            return Ok(None);
        }
        let unfit = || {
            Complaint::new("isn't an address with a port").hint("it looks like \"127.0.0.1:9187\"")
        };
        input.text()?.parse().map(Some).map_err(|_| unfit())
    };
    let show = |http: &Option<SocketAddr>| {
        http.map_or_else(|| "off".to_owned(), |address| address.to_string())
    };
    let listen = Listen {
        http: section.or_default("http", None, read, show),
    };
    section.finish();
    listen
}

pub(super) fn log(reader: &mut Reader<'_>, folder: &Path) -> Log {
    let mut section = reader.section("log");
    let formats = [
        ("auto", Format::Auto),
        ("text", Format::Text),
        ("json", Format::Json),
    ];
    let log = Log {
        format: section.choice("format", Format::Auto, &formats),
        file: section.path_or_off("file", folder),
        keep: section.duration("keep", s(30 * DAY), &KEEP),
    };
    section.finish();
    log
}

pub(super) fn desktop(
    reader: &mut Reader<'_>,
    around: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Option<Side> {
    let mut section = reader.section("desktop");
    let endpoint = super::side::endpoint(&mut section, around, warnings);
    let encoding = section.or_default(
        "encoding",
        None,
        |input| check::encoding(input.text()?).map(Some),
        |encoding| encoding.map_or_else(String::new, |known| known.name().to_owned()),
    );
    let time_zone = section.text("time_zone");
    section.finish();
    let (endpoint, password_from) = endpoint?;
    let endpoint = Endpoint {
        encoding,
        ..endpoint
    };
    Some(Side {
        endpoint,
        password_from,
        statement_timeout: Duration::ZERO,
        time_zone,
    })
}

pub(super) fn cloud(
    reader: &mut Reader<'_>,
    around: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Option<Side> {
    let mut section = reader.section("cloud");
    let endpoint = super::side::endpoint(&mut section, around, warnings);
    let statement_timeout = section.duration("statement_timeout", s(600), &STATEMENT);
    section.finish();
    let (endpoint, password_from) = endpoint?;
    Some(Side {
        endpoint,
        password_from,
        statement_timeout,
        time_zone: None,
    })
}
