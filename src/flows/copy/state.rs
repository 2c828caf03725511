//! A table's state in the cloud, and what a refusal says of it.

use crate::apply::ApplyError;
use crate::fault::{Fault, Kind, Side, blames_table};
use crate::model::{Lsn, Param, Recovery, Statement, Table, oid, sqlstate};
use crate::plan::quote::array;
use crate::wire::ServerError;

/// Writes a table's state; makes its row where there is none.
pub fn set_state(replicator: &str, table: &Table, state: &str, why: Option<&str>) -> Statement {
    put_state(replicator, (table, &table.fingerprint), state, why)
}

/// The table stops. One that goes on when both sides fit is copied by the next session in which they do, whatever the
/// settings said of it meanwhile.
pub(in crate::flows) fn stop_state(
    replicator: &str,
    table: &Table,
    way: Recovery,
    why: &str,
) -> Statement {
    let fingerprint = match way.is_fitting() {
        true => "",
        false => table.fingerprint.as_str(),
    };
    put_state(replicator, (table, fingerprint), way.state(), Some(why))
}

/// What a table that a server refuses waits for, by the error's code.
pub(in crate::flows) fn way_of(error: &ServerError) -> Recovery {
    match error.code.as_str() {
        sqlstate::SHRINKS => Recovery::WhenAllowed,
        // A table or a column isn't there, or is of another type: that is seen when both sides are looked at again.
        sqlstate::UNDEFINED_TABLE | sqlstate::UNDEFINED_COLUMN | sqlstate::DATATYPE_MISMATCH => {
            Recovery::WhenAccepted
        }
        // A copy has more time: nobody waits for its locks.
        sqlstate::NO_TIME => Recovery::Recopy,
        _ => Recovery::Operator,
    }
}

fn put_state(
    replicator: &str,
    (table, fingerprint): (&Table, &str),
    state: &str,
    why: Option<&str>,
) -> Statement {
    let sql = "insert into tandem.table_state as s (replicator, \"table\", cloud, fingerprint, state, why) values ($1, $2, $3, $4, $5, $6) \
        on conflict (replicator, \"table\") do update set cloud = excluded.cloud, fingerprint = excluded.fingerprint, \
        since = case when s.state = excluded.state then s.since else now() end, state = excluded.state, why = excluded.why";
    let why = why.map_or(Param::null(oid::TEXT), Param::string);
    let cloud = table.cloud.to_string();
    Statement::bookkeeping(
        sql,
        vec![
            Param::string(replicator),
            Param::string(&table.name),
            Param::string(&cloud),
            Param::string(fingerprint),
            Param::string(state),
            why,
        ],
    )
}

/// Tables whose copies are whole stream from now on.
pub(in crate::flows) fn settle_states<'a>(
    replicator: &str,
    tables: impl Iterator<Item = &'a Table>,
) -> Statement {
    let sql = "update tandem.table_state set state = 'streaming', since = now(), why = null \
        where replicator = $1 and \"table\" = any ($2) and state = 'copying'";
    let names = array(tables.map(|table| table.name.as_str()));
    let params = vec![
        Param::string(replicator),
        Param::text(oid::TEXT_ARRAY, names),
    ];
    Statement::bookkeeping(sql, params)
}

/// From `before` on the table streams, or will when what has changed since is written, or waits for its swaps.
pub(super) fn settled(replicator: &str, table: &Table, before: Lsn, pending: bool) -> Statement {
    let state = match (table.stream, pending) {
        (false, _) => "swap_only",
        (true, true) => "copying",
        (true, false) => "streaming",
    };
    let what = format!(
        "copied_at = $3::pg_lsn, state = '{state}', since = now(), why = null, swap_why = null"
    );
    set(replicator, table, &what, &before.to_string())
}

/// Changes a table's state, by `$3`.
pub(super) fn set(replicator: &str, table: &Table, what: &str, value: &str) -> Statement {
    let sql =
        format!("update tandem.table_state set {what} where replicator = $1 and \"table\" = $2");
    let params = vec![
        Param::string(replicator),
        Param::string(&table.name),
        Param::string(value),
    ];
    Statement::bookkeeping(sql, params)
}

/// The error that lies in the table's own rows or definition.
pub(super) fn refusal(outcome: &Result<(), ApplyError>) -> Option<&ServerError> {
    match outcome {
        Err(ApplyError::Refused { error, .. }) if blames_table(error) || is_ours(error) => {
            Some(error)
        }
        _ => None,
    }
}

/// Our own conditions on rows and tables.
pub(in crate::flows) fn is_ours(error: &ServerError) -> bool {
    matches!(
        error.code.as_str(),
        sqlstate::DOES_NOT_FIT
            | sqlstate::SHRINKS
            | sqlstate::REACHES_OTHERS
            | sqlstate::TOO_MANY_REFUSED
            | sqlstate::NO_PARENT
            | sqlstate::AMBIGUOUS_KEY
            | sqlstate::KEPT_OUT
            | sqlstate::NO_TIME
    )
}

/// A transaction of the cloud's that failed for a reason that no table is to blame for.
pub fn not_applied(error: ApplyError) -> Fault {
    not_applied_on(Side::Cloud, error)
}

/// The same on either side.
pub(in crate::flows) fn not_applied_on(side: Side, error: ApplyError) -> Fault {
    match error {
        ApplyError::Wire(error) => Fault::wire(side, &error),
        ApplyError::Refused { error, .. } => Fault::server(side, &error),
        ApplyError::Undone => Fault::new(
            Kind::Transient(side),
            format!("the {side} undid a transaction without saying why"),
        ),
    }
}
