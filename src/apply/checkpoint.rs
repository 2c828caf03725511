//! The checkpoint and the lease: one row, one compare-and-set.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::failpoint;
use crate::model::{Batch, Committed, Lsn, Param, Statement, Tables, Timestamp, oid};
use crate::plan::quote::array;
use crate::plan::{TransactionSettings, begin, settings};
use crate::wire::WireError;

/// Who may write, and from where.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Whose state it is.
    pub replicator: String,
    /// The slot that the checkpoint belongs to.
    pub slot: String,
    /// Our turn; a higher one fences us.
    pub epoch: u64,
}

/// A step of the checkpoint.
pub struct Advance<'a> {
    /// Who moves it.
    pub lease: &'a Lease,
    /// Where it must stand; none before the tables were filled.
    pub from: Option<Lsn>,
    /// Where it goes.
    pub to: Lsn,
    /// When the last transaction committed on the desktop; none for a fill.
    pub committed_at: Option<Timestamp>,
    /// What the transaction is told first.
    pub settings: &'a TransactionSettings,
    /// Constraints are asked with each statement, not at COMMIT.
    pub at_once: bool,
}

/// What a transaction that moves the checkpoint begins with: BEGIN, then in one call its settings, as [`opening`] has
/// them, and the raising compare-and-set, with what became of each table's messages.
///
/// [`opening`]: crate::plan::opening
pub fn advance(step: &Advance<'_>, batch: Option<&Batch>, tables: &Tables) -> [Statement; 2] {
    let counts = batch
        .map(|batch| batch.counts.as_slice())
        .unwrap_or_default();
    let names = array(
        counts
            .iter()
            .map(|(table, _)| tables.get(*table).name.as_str()),
    );
    let column = |of: fn(&crate::model::Counts) -> u64| {
        Param::text(
            oid::INT8_ARRAY,
            array(counts.iter().map(|(_, counts)| of(counts))),
        )
    };
    let optional = |type_oid, value: Option<String>| {
        value.map_or(Param::null(type_oid), |value| Param::text(type_oid, value))
    };
    let params = vec![
        Param::string(&*step.lease.replicator),
        Param::string(&*step.lease.slot),
        Param::int8(step.lease.epoch),
        optional(oid::PG_LSN, step.from.map(|lsn| lsn.to_string())),
        Param::text(oid::PG_LSN, step.to.to_string()),
        optional(oid::INT8, step.committed_at.map(|time| time.0.to_string())),
        optional(oid::TEXT, batch.and_then(|batch| batch.heartbeat.clone())),
        Param::text(
            oid::INT8,
            batch.map_or(0, |batch| batch.transactions).to_string(),
        ),
        Param::text(oid::TEXT_ARRAY, names),
        column(|counts| counts.received),
        column(|counts| counts.applied),
        column(|counts| counts.folded),
        column(|counts| counts.ruled_out),
        column(|counts| counts.missed),
        column(|counts| counts.truncated),
        settings(step.settings),
        Param::boolean(step.at_once),
    ];
    // Microseconds since 2000 travel as a number: no date format can change them.
    let sql = "select tandem.advance($1, $2, $3, $4, $5, \
               timestamptz '2000-01-01 00:00:00+00' + $6 * interval '1 microsecond', \
               $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    [begin(), Statement::bookkeeping(sql, params)]
}

/// Fails unless the lease is still ours; for transactions that don't move the checkpoint.
pub fn assert_lease(lease: &Lease) -> Statement {
    let params = vec![Param::string(&*lease.replicator), Param::int8(lease.epoch)];
    Statement::bookkeeping("select tandem.hold($1, $2)", params)
}

/// Empties the staging table of what predecessors left, and of the stream's own rows or of those of `copies`.
pub fn clear_staging(lease: &Lease, copies: bool) -> Statement {
    let params = vec![
        Param::string(&*lease.replicator),
        Param::int8(lease.epoch),
        Param::boolean(copies),
    ];
    Statement::bookkeeping("select tandem.unstage($1, $2, $3)", params)
}

/// What the checkpoint row said when the lease was taken, or why it wasn't.
#[derive(Clone, Debug)]
pub struct LeaseState {
    /// Ours now, or still another's.
    pub taken: bool,
    /// The epoch that we have, or the other has.
    pub epoch: u64,
    /// Who had it.
    pub holder: Option<String>,
    /// How long the other's lease still lasts.
    pub wait: Duration,
    /// The checkpoint; none before the tables were filled.
    pub checkpoint: Option<Committed>,
    /// The desktop's system identifier that the checkpoint belongs to.
    pub system_id: String,
    /// The timeline on which it was written.
    pub timeline: i32,
    /// The last heartbeat that is in it.
    pub heartbeat: Option<String>,
    /// The slot that it belongs to.
    pub slot: String,
    /// The desktop's database that it belongs to.
    pub database: String,
}

/// Who asks for the lease.
pub struct Request<'a> {
    /// The replicator.
    pub replicator: &'a str,
    /// The desktop's system identifier.
    pub system_id: &'a str,
    /// Its timeline.
    pub timeline: i32,
    /// Its database.
    pub database: &'a str,
    /// The slot.
    pub slot: &'a str,
    /// Us: host and process.
    pub holder: &'a str,
    /// How long the lease lasts without renewal.
    pub term: Duration,
}

/// Takes the lease if it is free, or if its holder is known to be dead (`force`). The row is read
/// under lock: a plain read would not see the commit of a dying writer that is still on its way.
///
/// # Errors
/// When the query fails.
pub async fn take(
    cloud: &Client,
    request: &Request<'_>,
    force: bool,
) -> Result<LeaseState, WireError> {
    let term = format!("{} milliseconds", request.term.as_millis());
    let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 9] = [
        (&request.replicator, Type::TEXT),
        (&request.system_id, Type::TEXT),
        (&request.timeline, Type::INT4),
        (&request.database, Type::TEXT),
        (&request.slot, Type::TEXT),
        (&request.holder, Type::TEXT),
        (&term, Type::TEXT),
        (&force, Type::BOOL),
        (&env!("CARGO_PKG_VERSION"), Type::TEXT),
    ];
    let sql = "select taken, o_epoch, o_holder, o_wait_ms, o_lsn::text, o_system_id, o_slot,
          o_database, o_timeline, o_beat
        from tandem.take_lease($1, $2, $3, $4, $5, $6, $7::interval, $8, $9)";
    failpoint::reach("lease_asked");
    let rows = cloud.query_typed(sql, &params).await?;
    failpoint::reach("lease_taken");
    let row = rows
        .first()
        .ok_or_else(|| WireError::Protocol("take_lease gave no row".to_owned()))?;
    let lsn: Option<String> = row.get(4);
    let checkpoint = lsn.map(|text| text.parse::<Lsn>()).transpose();
    let checkpoint = checkpoint.map_err(|error| WireError::Protocol(error.to_string()))?;
    Ok(LeaseState {
        taken: row.get(0),
        epoch: row.get::<_, i64>(1).unsigned_abs(),
        holder: row.get(2),
        wait: Duration::from_millis(row.get::<_, i64>(3).unsigned_abs()),
        checkpoint: checkpoint.map(Committed::proven),
        system_id: row.get(5),
        slot: row.get(6),
        database: row.get(7),
        timeline: row.get(8),
        heartbeat: row.get(9),
    })
}

/// Gives the lease back, so that the next program need not wait for its end.
///
/// # Errors
/// When the query fails; the lease then ends by itself.
pub async fn release(
    cloud: &Client,
    lease: &Lease,
    last_words: Option<&str>,
) -> Result<(), WireError> {
    let epoch = i64::try_from(lease.epoch).unwrap_or(i64::MAX);
    let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] = [
        (&lease.replicator, Type::TEXT),
        (&epoch, Type::INT8),
        (&last_words, Type::TEXT),
    ];
    let sql = "update tandem.checkpoint
        set held_until = now(), released_at = now(), last_words = $3
        where replicator = $1 and epoch = $2";
    cloud.query_typed(sql, &params).await?;
    Ok(())
}
