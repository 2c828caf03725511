//! A table's state in the cloud, and what a refusal says of it.

use crate::apply::ApplyError;
use crate::fault::{Fault, Kind, Side, blames_table};
use crate::model::{Recovery, Statement, Table, TableState, sqlstate};
use crate::plan::table_state;
use crate::wire::ServerError;

/// Writes a table's state; makes its row where there is none.
pub fn set_state(
    replicator: &str,
    table: &Table,
    state: TableState,
    why: Option<&str>,
) -> Statement {
    table_state::put(replicator, table, &table.fingerprint, state, why)
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
    table_state::put(replicator, table, fingerprint, way.state(), Some(why))
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
