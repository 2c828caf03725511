//! An empty table is filled by COPY, in one transaction: nobody sees a part of it.

use std::sync::atomic::Ordering;

use super::stage::Staging;
use super::state::{is_ours, not_applied, set, settled};
use crate::apply::{Filling, NotApplied, hold};
use crate::capture::{Line, TableReader};
use crate::fault::{Fault, Side, blames_table};
use crate::model::{Lsn, Table, TableId, Tables};
use crate::plan::{direct, opening};
use crate::wire::WireError;

/// What became of a table.
pub(super) enum Poured {
    /// It is whole: so many rows.
    Whole(u64),
    /// It is as it was: it has rows already, or some of the desktop's don't fit as they are.
    NotThis,
}

/// Fills a table that streams from `before` on, if it is empty and its values fit as they are. `filled`: tables that
/// were filled so from the same snapshot.
///
/// # Errors
/// When a connection fails or the lease is lost.
pub(super) async fn pour(
    staging: &mut Staging<'_>,
    reader: &mut TableReader,
    (table, tables): (&Table, &Tables),
    filled: &(dyn Fn(TableId) -> bool + Sync),
    before: Lsn,
) -> Result<Poured, Fault> {
    let Some(halves) = direct(table, tables, filled) else {
        return Ok(Poured::NotThis);
    };
    let begin = opening(staging.opening).into_iter();
    let begin: Vec<_> = begin.map(|statement| statement.sql.to_string()).collect();
    let begin = format!("{}; {}", begin.join("; "), halves.into);
    let mut filling = match Filling::begin(staging.applier, &begin).await {
        Ok(filling) => filling,
        Err(refused) => return not_this(refused, table),
    };
    let desktop = |error: WireError| Fault::wire(Side::Desktop, &error);
    let limit = usize::try_from(staging.memory_max / 2).unwrap_or(usize::MAX);
    let (mut rows, mut large) = (0, false);
    let start = reader.start(&halves.out).await;
    start.map_err(desktop)?;
    while let Some(line) = reader.line(limit).await.map_err(desktop)? {
        match line {
            Line::Row(line) if !large => {
                rows += 1;
                let sent = filling.line(&line).await;
                sent.map_err(|error| Fault::wire(Side::Cloud, &error))?;
                let bytes = line.len() as u64;
                staging.progress.rows.fetch_add(1, Ordering::Relaxed);
                staging.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Line::Row(_) => {}
            Line::TooLarge => large = true,
        }
    }
    if large {
        let given_up = filling.give_up().await;
        given_up.map_err(|error| Fault::wire(Side::Cloud, &error))?;
        return Ok(Poured::NotThis);
    }
    let replicator = &staging.lease.replicator;
    let end = [
        set(
            replicator,
            table,
            "copied = $3::bigint, extras = 0",
            &rows.to_string(),
        ),
        settled(replicator, table, before, false),
        hold(staging.lease),
    ];
    match filling.commit(end).await {
        Ok(()) => Ok(Poured::Whole(rows)),
        Err(refused) => not_this(refused, table),
    }
}

/// What is wrong with single rows is found out another way.
fn not_this(refused: NotApplied, table: &Table) -> Result<Poured, Fault> {
    match &refused {
        NotApplied::Refused { error, .. }
            if error.code == "TD009" || blames_table(error) || is_ours(error) =>
        {
            tracing::debug!(table = %table.name, %error, "not by COPY");
            Ok(Poured::NotThis)
        }
        _ => Err(not_applied(refused)),
    }
}
