//! Replica identity before publication, in one transaction with a short lock time-out (P10).
//!
//! A published table without replica identity makes the office program's own UPDATE and DELETE
//! fail, so no table is ever published without one.

use tokio::time::sleep;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::fault::{Fault, Kind, Side};
use crate::limits;
use crate::model::{Key, Table};
use crate::plan::quote;
use crate::wire::WireError;

/// Makes the publication if it is missing. It starts empty: [`publish`] adds tables one by one.
///
/// # Errors
/// When the server refuses.
pub async fn ensure_publication(desktop: &Client, name: &str) -> Result<(), Fault> {
    let rows = desktop
        .query_typed(
            "select puballtables, pubinsert and pubupdate and pubdelete and pubtruncate from pg_publication where pubname = $1",
            &[(&name, Type::TEXT)],
        )
        .await
        .map_err(wire)?;
    match rows.first().map(|row| (row.get::<_, bool>(0), row.get::<_, bool>(1))) {
        Some((false, true)) => Ok(()),
        Some((false, false)) => Err(Fault::new(Kind::Input, format!("publication {name} leaves out some operations"))
            .hint(format!("ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate');", quote::ident(name)))),
        Some((true, _)) => Err(Fault::new(Kind::Input, format!("publication {name} exists and is FOR ALL TABLES"))
            .hint("give forward.publication another name: tables of it without replica identity can't be updated")),
        None => {
            let sql = format!("create publication {} with (publish = 'insert, update, delete, truncate')", quote::ident(name));
            desktop.batch_execute(&sql).await.map_err(wire)
        }
    }
}

/// Publishes a table after giving it an identity that names its rows. Tries again while the office
/// program holds the table: each try stalls it for at most [`limits::SETUP_LOCK_TIMEOUT`].
///
/// # Errors
/// When the table stays locked, or the server refuses.
pub async fn publish(
    desktop: &Client,
    publication: &str,
    replicator: &str,
    table: &Table,
) -> Result<(), Fault> {
    let Some(steps) = steps(desktop, publication, replicator, table).await? else {
        return Ok(());
    };
    let timeout = limits::SETUP_LOCK_TIMEOUT.as_millis();
    let script = format!("begin; set local lock_timeout = '{timeout}ms'; {steps}; commit");
    for _ in 0..limits::SETUP_LOCK_TRIES {
        match desktop.batch_execute(&script).await {
            Ok(()) => {
                tracing::info!(table = %table.name, "published");
                return Ok(());
            }
            Err(error) => {
                let _ = desktop.batch_execute("rollback").await;
                if error.code().is_none_or(|code| code.code() != "55P03") {
                    return Err(wire(error));
                }
                tracing::debug!(table = %table.name, "the table is in use; trying again");
                sleep(limits::SETUP_LOCK_PAUSE).await;
            }
        }
    }
    Err(Fault::new(
        Kind::Weather(Side::Desktop),
        format!(
            "table {} is locked by the office program all the time",
            table.name
        ),
    )
    .hint("a transaction that stays open on it blocks the set-up; it is tried again"))
}

/// The statements that are still needed; none when the table is published with a good identity.
async fn steps(
    desktop: &Client,
    publication: &str,
    replicator: &str,
    table: &Table,
) -> Result<Option<String>, Fault> {
    let name = quote::table(&table.desktop);
    let mut steps = Vec::new();
    if let Some(identity) = better_identity(desktop, table).await? {
        steps.push(format!(
            "insert into tandem.replica_identity (replicator, schema, \"table\", was, was_index) \
             select {}, n.nspname, c.relname, c.relreplident, (select x.relname from pg_index i join pg_class x on x.oid = i.indexrelid \
             where i.indrelid = c.oid and i.indisreplident) \
             from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = {}::regclass on conflict do nothing",
            quote::literal(replicator),
            quote::literal(&name),
        ));
        steps.push(format!("alter table {name} replica identity {identity}"));
    }
    let published = desktop
        .query_typed(
            "select from pg_publication_tables where pubname = $1 and schemaname = $2 and tablename = $3",
            &[(&publication, Type::TEXT), (&table.desktop.schema, Type::TEXT), (&table.desktop.relation, Type::TEXT)],
        )
        .await
        .map_err(wire)?;
    if published.is_empty() {
        steps.push(format!(
            "alter publication {} add table only {name}",
            quote::ident(publication)
        ));
    }
    Ok((!steps.is_empty()).then(|| steps.join("; ")))
}

/// The identity to set, if the present one doesn't carry the key: an index that does, else FULL.
async fn better_identity(desktop: &Client, table: &Table) -> Result<Option<String>, Fault> {
    let sql = "select c.relreplident::text, coalesce(x.relname::text, ''), coalesce(i.indisprimary, false), coalesce(i.indisreplident, false), \
        coalesce((select array_agg(a.attname::text) from pg_attribute a where a.attrelid = c.oid and a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1])), '{}') \
        from pg_class c join pg_namespace n on n.oid = c.relnamespace \
        left join pg_index i on i.indrelid = c.oid and i.indisunique and i.indimmediate and i.indisvalid and i.indpred is null and i.indexprs is null \
            and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum = any(i.indkey) and not a.attnotnull) \
        left join pg_class x on x.oid = i.indexrelid where n.nspname = $1 and c.relname = $2 order by 2";
    let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] = [
        (&table.desktop.schema, Type::TEXT),
        (&table.desktop.relation, Type::TEXT),
    ];
    let rows = desktop.query_typed(sql, &params).await.map_err(wire)?;
    let needed = needed(table);
    let carries = |columns: &Vec<String>| {
        needed
            .as_ref()
            .is_some_and(|needed| needed.iter().all(|name| columns.contains(name)))
    };
    for row in &rows {
        let (identity, primary, chosen): (String, bool, bool) =
            (row.get(0), row.get(2), row.get(3));
        let good = match identity.as_str() {
            "f" => true,
            "d" => primary && carries(&row.get(4)),
            "i" => chosen && carries(&row.get(4)),
            _ => false,
        };
        if good {
            return Ok(None);
        }
    }
    let index = rows
        .iter()
        .find(|row| !row.get::<_, String>(1).is_empty() && carries(&row.get(4)));
    Ok(Some(index.map_or("full".to_owned(), |row| {
        format!("using index {}", quote::ident(&row.get::<_, String>(1)))
    })))
}

/// Desktop columns that an old row must carry; none when it must carry all.
fn needed(table: &Table) -> Option<Vec<String>> {
    if table.key == Key::Multiset || table.is_looked_up {
        return None;
    }
    let key = table.key_arriving().into_iter();
    let names = key.map(|index| table.arriving[index].name.clone());
    // Whose the old row was has to be known too.
    let tenant = table
        .tenant
        .columns
        .iter()
        .filter_map(|column| column.desktop.clone());
    Some(
        names
            .chain(tenant)
            .chain(table.desktop_owner.clone())
            .collect(),
    )
}

fn wire(error: tokio_postgres::Error) -> Fault {
    Fault::wire(Side::Desktop, &WireError::from(error))
}
