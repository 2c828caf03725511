//! The outbox's triggers on the cloud's tables: put on, replaced where the settings changed, taken off.

use futures_util::future::try_join_all;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::lock_retry::patiently;
use crate::failpoint;
use crate::fault::{Fault, Kind, Side};
use crate::limits;
use crate::model::{ReverseTable, Tables, listed};
use crate::plan::quote::{array, literal, table as qualified};
use crate::plan::reverse::{Watching, queue_all, watching};

/// Sees to it that all that is to come home is noted, also what was there before, and nothing else.
///
/// # Errors
/// When a table stays locked, or the server refuses.
pub async fn watch(cloud: &Client, replicator: &str, tables: &Tables) -> Result<(), Fault> {
    let reverse_tables = tables.reverse_tables();
    // Asked together, and then put on together: a distant cloud is waited for as often as for one table.
    let watched = reverse_tables.iter();
    let watched = watched.map(|reverse| is_watched(cloud, replicator, reverse));
    let (_, watched) = tokio::try_join!(
        forget_others(cloud, replicator, tables),
        try_join_all(watched)
    )?;
    let put_on = reverse_tables.iter().zip(&watched);
    let put_on = put_on.map(async |(reverse, (is_watched, is_queued))| {
        if !is_watched {
            let name = reverse.cloud.to_string();
            let step = watching_step(replicator, reverse);
            let watched = patiently((cloud, Side::Cloud), &name, &step).await;
            watched.map_err(|fault| owned_by_another(fault, reverse))?;
            failpoint::reach("table_watched");
        }
        // Every later write is noted by the triggers, and those before them have ended; what both find comes twice, harmlessly.
        if reverse.rows && !(*is_watched && *is_queued) {
            queue_again(cloud, replicator, reverse).await?;
            failpoint::reach("phones_rows_queued");
        }
        Ok::<(), Fault>(())
    });
    try_join_all(put_on).await?;
    let new = { reverse_tables.iter().zip(watched) }
        .filter(|(_, (is_watched, _))| !is_watched)
        .map(|(reverse, _)| &reverse.name);
    let new: Vec<_> = new.collect();
    if !new.is_empty() {
        let names = listed(new, limits::NAMES_SHOWN);
        tracing::info!(tables = names, "watched: what changes there comes home");
    }
    Ok(())
}

/// What set-up does in the cloud behind its schema, for reading and pasting.
pub(super) fn all_statements(replicator: &str, tables: &Tables) -> Vec<String> {
    let reverse_tables = tables.reverse_tables().iter();
    let watch = reverse_tables.map(|reverse| format!("{};", watching_step(replicator, reverse)));
    let rows = tables
        .reverse_tables()
        .iter()
        .filter(|reverse| reverse.rows);
    let queue = rows.map(|reverse| format!("{};", queue_all(reverse, replicator)));
    watch.chain(queue).collect()
}

/// Queues the phone's rows of a table once more, and lets it go on if it had stopped.
///
/// # Errors
/// When the server refuses.
pub async fn queue_again(
    cloud: &Client,
    replicator: &str,
    reverse: &ReverseTable,
) -> Result<(), Fault> {
    // One simple query is one transaction.
    let sql = format!(
        r#"delete from tandem.outbox
           where replicator = {who} and "table" = {name} and op = 'T'; {queue_all};
           update tandem.reverse_state
           set why = null, queued = true
           where replicator = {who} and "table" = {name}"#,
        queue_all = queue_all(reverse, replicator),
        who = literal(replicator),
        name = literal(&reverse.name)
    );
    let done = cloud.batch_execute(&sql).await;
    done.map_err(Fault::at(Side::Cloud))
}

fn watching_step(replicator: &str, reverse: &ReverseTable) -> String {
    let Watching {
        insert,
        update,
        delete,
    } = watching(reverse);
    let optional = |sql: Option<String>| sql.map_or("null".to_owned(), |sql| literal(&sql));
    let key = { reverse.names.iter() }.map(|named| &reverse.arriving[named.arriving].name);
    format!(
        "select tandem.watch(
           {replicator}, {name}, {target}::regclass, {fingerprint}, {key}::text[], {insert},
           {update}, {delete}
         )",
        replicator = literal(replicator),
        name = literal(&reverse.name),
        target = literal(&qualified(&reverse.cloud)),
        fingerprint = literal(&reverse.fingerprint),
        key = literal(&array(key)),
        insert = optional(insert),
        update = optional(update),
        delete = optional(delete)
    )
}

/// Whether the triggers are on, and whether the phone's rows of before were queued.
async fn is_watched(
    cloud: &Client,
    replicator: &str,
    reverse: &ReverseTable,
) -> Result<(bool, bool), Fault> {
    let sql = format!(
        r#"select tandem.is_watched($1, $2, {target}::regclass, $3),
             coalesce(
               (
                 select s.queued
                 from tandem.reverse_state s
                 where s.replicator = $1 and s."table" = $2
               ),
               false
             )"#,
        target = literal(&qualified(&reverse.cloud))
    );
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&replicator, Type::TEXT),
        (&reverse.name, Type::TEXT),
        (&reverse.fingerprint, Type::TEXT),
    ];
    let rows = Side::Cloud.query(cloud, &sql, &params).await?;
    let row = rows.first();
    Ok(row.map_or((false, false), |row| (row.get(0), row.get(1))))
}

/// Tables that left the settings, or of which nothing comes home any more.
async fn forget_others(cloud: &Client, replicator: &str, tables: &Tables) -> Result<(), Fault> {
    // What no longer fits is noted all the same, and comes home when it does.
    let misfits = tables.misfits().iter().map(|misfit| misfit.name.as_str());
    let reverse_tables = tables
        .reverse_tables()
        .iter()
        .map(|reverse| reverse.name.as_str());
    let names: Vec<&str> = reverse_tables.chain(misfits).collect();
    let sql = r#"select "table"
        from tandem.reverse_state
        where replicator = $1 and "table" <> all ($2)"#;
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&replicator, Type::TEXT), (&names, Type::TEXT_ARRAY)];
    let rows = cloud.query_typed(sql, &params).await;
    let mut gone = Vec::new();
    for row in rows.map_err(Fault::at(Side::Cloud))? {
        let name: String = row.get(0);
        let (who, table) = (literal(replicator), literal(&name));
        let step = format!(
            r#"select tandem.unwatch({who}, {table});
               delete from tandem.outbox
               where replicator = {who} and "table" = {table};
               delete from tandem.quarantine
               where replicator = {who} and direction = 'reverse' and "table" = {table}"#
        );
        patiently((cloud, Side::Cloud), &name, &step).await?;
        gone.push(name);
    }
    if !gone.is_empty() {
        let names = listed(gone, limits::NAMES_SHOWN);
        tracing::info!(tables = names, "nothing of these comes home any more");
    }
    Ok(())
}

fn owned_by_another(fault: Fault, reverse: &ReverseTable) -> Fault {
    match fault.kind {
        Kind::Transient(_) => fault,
        _ => fault.hint(format!(
            "tandem's user needs the right TRIGGER on {} in the cloud: GRANT TRIGGER ON {} TO it",
            reverse.cloud,
            qualified(&reverse.cloud)
        )),
    }
}
