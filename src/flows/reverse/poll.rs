//! The cloud's end of the way home: entries are read with their rows, and go when the desktop has them.

use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

use super::outcome::{Done, Outcome};
use crate::apply::Lease;
use crate::fault::{Fault, Kind, Side, blames_table};
use crate::limits;
use crate::model::ReverseTable;
use crate::plan::quote;
use crate::plan::reverse::{Budget, Coming, Found as Place, Told};
use crate::wire::control::Control;
use crate::wire::{ServerError, WireError};

/// What an entry found in the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The table was emptied: it names no row.
    Emptied,
    /// No row of ours.
    Gone,
    /// It was not deleted, but a policy hides it.
    Hidden,
    /// The phone's.
    Mobile,
    /// The desktop's.
    Desktop,
    /// Somebody else's.
    Other,
}

/// A row, or one of the looks of equal rows, with its entries.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) table: String,
    pub(super) state: State,
    /// All entries.
    pub(super) entries: Vec<i64>,
    /// How many of them haven't been counted yet.
    pub(super) new: u64,
    /// The desktop had changed it.
    pub(super) again: bool,
    pub(super) bytes: u64,
    /// How the desktop has it, as the cloud was told.
    pub(super) told: Option<Told>,
    /// It has no other entry.
    pub(super) only_told: bool,
    pub(super) coming: Coming,
}

/// Why nothing was read.
pub(super) enum Unread {
    /// One of the tables isn't as it was.
    Table(Box<ServerError>),
    /// No table is to blame.
    All(Fault),
}

/// Whether entries of these tables wait.
///
/// # Errors
/// When the cloud can't be asked.
pub(super) async fn waits(
    cloud: &Control,
    reverse_tables: &[&ReverseTable],
    replicator: &str,
) -> Result<bool, Fault> {
    let sql = crate::plan::reverse::waits(reverse_tables, replicator);
    let answered = ask(cloud, &sql).await;
    let answered = answered.map_err(|error| Fault::wire(Side::Cloud, &error))?;
    let answer = answered.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    answer.and_then(truth).ok_or_else(in_another_form)
}

/// Reads the oldest entries.
///
/// # Errors
/// When the cloud can't be asked, or a table isn't as it was.
pub(super) async fn read(
    cloud: &Control,
    reverse_tables: &[&ReverseTable],
    replicator: &str,
    budget: &Budget,
) -> Result<Vec<Found>, Unread> {
    if reverse_tables.is_empty() {
        return Ok(Vec::new());
    }
    let sql = crate::plan::reverse::read(reverse_tables, replicator, budget);
    let answered = ask(cloud, &sql).await.map_err(|error| match error {
        WireError::Server(error) if blames_table(&error) => Unread::Table(error),
        error => Unread::All(Fault::wire(Side::Cloud, &error)),
    })?;
    // The settings answer first.
    let rows = answered.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) if row.len() > Place::CELLS => Some(row),
        _ => None,
    });
    let named = |row: &SimpleQueryRow| row.get(Place::TABLE).unwrap_or_default().to_owned();
    let reverse_tables = |name: &str| reverse_tables.iter().find(|reverse| reverse.name == name);
    rows.filter(|row| reverse_tables(&named(row)).is_some())
        .map(|row| {
            let width = reverse_tables(&named(row)).map_or(0, |reverse| reverse.arriving.len());
            found(row, width).ok_or_else(|| Unread::All(in_another_form()))
        })
        .collect()
}

/// The outbox's answer, if it comes in time.
async fn ask(cloud: &Control, sql: &str) -> Result<Vec<SimpleQueryMessage>, WireError> {
    let limit = limits::REVERSE_STATEMENT_MAX;
    let answered = timeout(limit, cloud.client.simple_query(sql)).await;
    let answered = answered.map_err(|_| WireError::Timeout(limit.as_secs()))?;
    Ok(answered?)
}

fn in_another_form() -> Fault {
    let what = "internal check failed: the outbox answers in another form";
    Fault::new(Kind::Internal, what)
}

fn found(row: &SimpleQueryRow, width: usize) -> Option<Found> {
    let text = |at: usize| row.get(at);
    let state = match text(Place::STATE)? {
        "emptied" => State::Emptied,
        "gone" => State::Gone,
        "hidden" => State::Hidden,
        "mobile" => State::Mobile,
        "desktop" => State::Desktop,
        "other" => State::Other,
        _ => return None,
    };
    let cells = (0..width).map(|at| text(Place::CELLS + at).map(str::to_owned));
    Some(Found {
        table: text(Place::TABLE)?.to_owned(),
        state,
        entries: {
            let ids = text(Place::ENTRIES)?.strip_prefix('{')?.strip_suffix('}')?;
            let ids = ids.split(',').filter(|id| !id.is_empty());
            ids.map(str::parse).collect::<Result<_, _>>().ok()?
        },
        new: text(Place::NEW)?.parse().ok()?,
        again: truth(text(Place::AGAIN)?)?,
        told: match text(Place::TOLD_BY) {
            None => None,
            Some(entry) => Some(Told {
                entry: entry.parse().ok()?,
                key: text(Place::KEY)?.to_owned(),
                row: text(Place::TOLD).map(str::to_owned),
            }),
        },
        only_told: truth(text(Place::ONLY_TOLD)?)?,
        bytes: text(Place::BYTES)?.parse().ok()?,
        coming: Coming {
            entry: text(Place::ENTRY)?.parse().ok()?,
            key: text(Place::KEY)?.to_owned(),
            cells: cells.collect(),
            copies: text(Place::COPIES)?.parse().ok()?,
        },
    })
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "t" => Some(true),
        "f" => Some(false),
        _ => None,
    }
}

/// The entries of these rows go, and what became of them is counted; what the desktop refused is parked.
///
/// # Errors
/// When the cloud can't be asked, or the lease is another's.
pub(super) async fn settle(
    cloud: &Control,
    lease: &Lease,
    reverse: &ReverseTable,
    done: &[Done],
) -> Result<(), Fault> {
    let ids: Vec<i64> = done
        .iter()
        .flat_map(|done| &done.entries)
        .copied()
        .collect();
    let epoch = i64::try_from(lease.epoch).unwrap_or(i64::MAX);
    let of = |text: fn(&Done) -> Option<String>| done.iter().map(text).collect::<Vec<_>>();
    let tables: Vec<_> = done.iter().map(|_| reverse.name.as_str()).collect();
    let keys: Vec<_> = done.iter().map(|done| done.key.as_str()).collect();
    let outcomes: Vec<_> = done.iter().map(|done| done.outcome.word()).collect();
    let new: Vec<_> = done.iter().map(|done| done.new as i64).collect();
    let codes = of(|done| done.outcome.refusal().map(|(code, _)| code.to_owned()));
    let whys = of(|done| done.outcome.refusal().map(|(_, why)| why.to_owned()));
    let cells = of(|done| match done.outcome {
        Outcome::QuarantinedRow { .. } => Some(quote::array_of(&done.cells)),
        _ => None,
    });
    let sql = "select tandem.delivered($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let params: [(&(dyn ToSql + Sync), Type); 10] = [
        (&lease.replicator, Type::TEXT),
        (&epoch, Type::INT8),
        (&ids, Type::INT8_ARRAY),
        (&tables, Type::TEXT_ARRAY),
        (&keys, Type::TEXT_ARRAY),
        (&outcomes, Type::TEXT_ARRAY),
        (&new, Type::INT8_ARRAY),
        (&codes, Type::TEXT_ARRAY),
        (&whys, Type::TEXT_ARRAY),
        (&cells, Type::TEXT_ARRAY),
    ];
    Side::Cloud
        .query(&cloud.client, sql, &params)
        .await
        .map(drop)
}
