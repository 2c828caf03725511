//! Behind a first copy: keys that the cloud would generate came from the desktop, so its sequences still stand before them, and the
//! first row that somebody adds in the cloud would take one that is there.

use super::stage::run;
use super::state::not_applied;
use crate::apply::{Applier, ApplyError, Lease};
use crate::fault::Fault;
use crate::limits;
use crate::model::{Key, Source, Statement, Table, Tables, alike, listed, sqlstate};
use crate::plan::{TransactionSettings, past_keys};

/// Sets the sequences that make keys past the highest key; those that are further stay. `first` is carried out before, in any case.
///
/// # Errors
/// When the connection fails, or the lease is lost. What we have no right to is said, and left.
pub(super) async fn set_past_keys(
    applier: &mut Applier,
    (opening, lease): (&TransactionSettings, &Lease),
    tables: &Tables,
    first: Statement,
) -> Result<(), Fault> {
    // All at once, where nothing is refused: a distant cloud is waited for once.
    let all = tables.iter().flat_map(statements);
    let all: Vec<_> = [first.clone()].into_iter().chain(all).collect();
    match run(applier, opening, lease, all).await {
        Ok(()) => return Ok(()),
        Err(ApplyError::Refused { error, .. }) if error.code != sqlstate::LEASE_LOST => {}
        Err(error) => return Err(not_applied(error)),
    }
    run(applier, opening, lease, [first])
        .await
        .map_err(not_applied)?;
    let mut left = Vec::new();
    for table in tables.iter() {
        let statements = statements(table);
        if statements.is_empty() {
            continue;
        }
        match run(applier, opening, lease, statements).await {
            Ok(()) => {}
            Err(ApplyError::Refused { error, .. }) if error.code != sqlstate::LEASE_LOST => {
                left.push((error.code.clone(), (&table.name, error)));
            }
            Err(error) => return Err(not_applied(error)),
        }
    }
    for (_, all) in alike(left) {
        let names = listed(all.iter().map(|(name, _)| name), limits::NAMES_SHOWN);
        let error = &all[0].1;
        tracing::warn!(tables = names, %error, "a sequence of the cloud still stands before the keys that came; set it with setval before anybody adds rows there");
    }
    Ok(())
}

fn statements(table: &Table) -> Vec<Statement> {
    let Key::Columns(key) = &table.key else {
        return Vec::new();
    };
    let arriving = key.iter().map(|at| &table.columns[*at]);
    arriving
        .filter(|column| matches!(column.from, Source::Arriving(_)))
        .filter(|column| matches!(column.base_type.as_str(), "smallint" | "integer" | "bigint"))
        .map(|column| Statement::bookkeeping(past_keys(table, column), Vec::new()))
        .collect()
}
