//! Locks on tables that others use all the time.

use tokio::time::sleep;
use tokio_postgres::Client;

use crate::fault::{Fault, Kind, Side};
use crate::limits;
use crate::model::sqlstate;

/// Carries out a step that locks a table, in a transaction of its own. One table's lock after the other, and no wait longer
/// than [`limits::SETUP_LOCK_TIMEOUT`]: while we wait for a table, everybody waits behind us.
///
/// # Errors
/// When the table stays locked, or the server refuses.
pub(super) async fn patiently(
    (client, side): (&Client, Side),
    table: &str,
    step: &str,
) -> Result<(), Fault> {
    let timeout = limits::SETUP_LOCK_TIMEOUT.as_millis();
    // One simple query is one transaction, so that a transaction pooler keeps it on one server connection; and nothing is left
    // open where it fails, so that others may be on their way behind it.
    let script = format!("set local lock_timeout = '{timeout}ms'; {step}");
    for _ in 0..limits::SETUP_LOCK_TRIES {
        let Err(error) = client.batch_execute(&script).await else {
            return Ok(());
        };
        if error
            .code()
            .is_none_or(|code| code.code() != sqlstate::LOCK_NOT_AVAILABLE)
        {
            return Err(Fault::at(side)(error));
        }
        tracing::debug!(table, "the table is in use; trying again");
        sleep(limits::SETUP_LOCK_PAUSE).await;
    }
    let users = match side {
        Side::Desktop => "by the office program",
        Side::Cloud => "in the cloud",
    };
    Err(Fault::new(
        Kind::Transient(side),
        format!("table {table} is locked {users} all the time"),
    )
    .hint("a transaction that stays open on it blocks the set-up; it is tried again"))
}
