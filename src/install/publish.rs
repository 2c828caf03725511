//! Replica identity before publication, in one transaction with a short lock time-out (P10).
//!
//! A published table without replica identity makes the office program's own UPDATE and DELETE
//! fail, so no table is ever published without one. `tandem.publish` in `sql/desktop` does both.

use std::collections::BTreeSet;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::lock_retry::patiently;
use crate::catalog::{lacks_identity, publication};
use crate::failpoint;
use crate::fault::{Fault, Kind, Side};
use crate::model::{Name, Table, Tables, sqlstate};
use crate::plan::quote;
use crate::wire::WireError;

/// Makes the publication if it is missing, and puts right what somebody changed of ours. It starts empty: [`publish`] adds
/// tables one by one.
///
/// # Errors
/// When the server refuses.
pub async fn ensure_publication(
    desktop: &Client,
    name: &str,
    replicator: &str,
) -> Result<(), Fault> {
    match publication(desktop, name).await.map_err(Fault::at(Side::Desktop))? {
        Some(found) if found.all_tables => Err(Fault::new(Kind::Input, format!("publication {name} exists and is FOR ALL TABLES"))
            .hint("give forward.publication another name: tables of it without replica identity can't be updated")),
        Some(found) if found.ours && !found.is_whole() => {
            let mended = desktop.batch_execute(&found.mend()).await;
            // Who set it up for us may own it: which tables that keeps from us was said when both sides agreed.
            let refused = |error: &tokio_postgres::Error| {
                error.code().is_some_and(|code| code.code() == sqlstate::INSUFFICIENT_PRIVILEGE)
            };
            if found.lacks_generated_only() && mended.as_ref().is_err_and(refused) {
                return Ok(());
            }
            mended.map_err(wire)?;
            tracing::warn!("somebody changed the options of publication {name}; they are put right");
            Ok(())
        }
        // What another's publication leaves out was said when both sides agreed.
        Some(_) => Ok(()),
        None => {
            let newer = "select current_setting('server_version_num')::int >= 180000";
            let rows = desktop.query_typed(newer, &[]).await.map_err(wire)?;
            let generated = rows.first().is_some_and(|row| row.get(0));
            let [note, make] = making(name, replicator, generated);
            let sql = format!("begin; {note}; {make}; commit");
            let made = desktop.batch_execute(&sql).await;
            if made.is_err() {
                let _ = desktop.batch_execute("rollback").await;
            }
            failpoint::reach("publication_made");
            made.map_err(wire)
        }
    }
}

/// What of a table is published: itself, or each of its partitions. A partition that is attached to a published
/// root is published at once, and without an identity the program's own changes of it would fail; so partitions
/// are published one by one, and the heartbeat notices new ones.
fn published(table: &Table) -> Vec<&Name> {
    match &table.leaves {
        None => vec![&table.desktop],
        Some(leaves) => leaves.iter().map(|(name, _)| name).collect(),
    }
}

/// Publishes tables after giving each an identity that names its rows. Tries again while the office
/// program holds a table: each try stalls it for at most [`crate::limits::SETUP_LOCK_TIMEOUT`]. Says of how many anything was to
/// be done; `done` hears how many are behind us.
///
/// # Errors
/// When a table stays locked, or the server refuses.
pub async fn publish(
    desktop: &Client,
    (publication, replicator): (&str, &str),
    tables: &[&Table],
    mut done: impl FnMut(u64),
) -> Result<u64, Fault> {
    let lacking = unpublished(desktop, (publication, replicator), tables).await?;
    let mut new = 0;
    for (nth, (table, lacking)) in (0..).zip(tables.iter().zip(lacking)) {
        done(nth);
        let needed = needed(table);
        new += u64::from(!lacking.is_empty());
        for name in lacking {
            let step = publishing(publication, replicator, name, &needed);
            patiently((desktop, Side::Desktop), &name.to_string(), &step).await?;
            failpoint::reach("table_published");
            tracing::debug!(table = %name, "published");
        }
    }
    Ok(new)
}

/// Desktop columns that an old row must carry, as SQL; null when it must carry all.
fn needed(table: &Table) -> String {
    match table.identity() {
        Some(names) => {
            let names: Vec<_> = names.into_iter().map(quote::literal).collect();
            format!("array[{}]::text[]", names.join(", "))
        }
        None => "null".to_owned(),
    }
}

/// The statement that publishes one table or partition.
fn publishing(publication: &str, replicator: &str, name: &Name, needed: &str) -> String {
    format!(
        "select tandem.publish({replicator}, {publication}, {name}::regclass, {needed})",
        replicator = quote::literal(replicator),
        publication = quote::literal(publication),
        name = quote::literal(&quote::table(name))
    )
}

/// The statements that make the publication. PostgreSQL 18 can send `generated` columns, and has to: a table whose old rows carry
/// one that is not sent refuses the office program's own updates and deletes.
fn making(name: &str, replicator: &str, generated: bool) -> [String; 2] {
    let sends = match generated {
        true => ", publish_generated_columns = stored",
        false => "",
    };
    [
        format!(
            "insert into tandem.publication (replicator, publication)
             values ({replicator}, {name})
             on conflict do nothing",
            replicator = quote::literal(replicator),
            name = quote::literal(name)
        ),
        format!(
            "create publication {} with (publish = 'insert, update, delete, truncate'{sends})",
            quote::ident(name)
        ),
    ]
}

/// What set-up does on the desktop behind its schema, for reading and pasting.
pub(super) fn all_statements(publication: &str, replicator: &str, tables: &Tables) -> Vec<String> {
    let streams = tables.iter().filter(|table| table.stream);
    let publishes = streams.flat_map(|table| {
        let needed = needed(table);
        let names = published(table).into_iter();
        let statements = names.map(|name| publishing(publication, replicator, name, &needed));
        statements.collect::<Vec<_>>()
    });
    let generated = tables.iter().any(|table| table.generates);
    let making = making(publication, replicator, generated).into_iter();
    making
        .chain(publishes)
        .map(|sql| format!("{sql};"))
        .collect()
}

/// Takes a table out of the publication, gives its identity back, and forgets that it was ours.
///
/// # Errors
/// As [`publish`].
pub async fn unpublish(
    desktop: &Client,
    publication: &str,
    replicator: &str,
    name: &Name,
) -> Result<(), Fault> {
    patiently(
        (desktop, Side::Desktop),
        &name.to_string(),
        &unpublishing(publication, replicator, name),
    )
    .await
}

/// The statement that does it.
pub(super) fn unpublishing(publication: &str, replicator: &str, name: &Name) -> String {
    format!(
        "select tandem.unpublish({replicator}, {publication}, {schema}, {relation})",
        replicator = quote::literal(replicator),
        publication = quote::literal(publication),
        schema = quote::literal(&name.schema),
        relation = quote::literal(&name.relation)
    )
}

/// Tables that we put into the publication and that are none of `wanted`.
///
/// # Errors
/// When the query fails.
pub async fn published_besides(
    desktop: &Client,
    publication: &str,
    replicator: &str,
    wanted: &Tables,
) -> Result<Vec<Name>, Fault> {
    let streams = wanted.iter().filter(|table| table.stream);
    let misfits = wanted.misfits().iter().map(|misfit| &misfit.desktop);
    let ours: BTreeSet<&Name> = streams.flat_map(published).chain(misfits).collect();
    let sql = r#"select schema, "table"
        from tandem.published
        where publication = $1 and replicator = $2
        order by 1, 2"#;
    let params = [
        (&publication as _, Type::TEXT),
        (&replicator as _, Type::TEXT),
    ];
    let rows = desktop.query_typed(sql, &params).await.map_err(wire)?;
    let names = rows.iter().map(|row| Name {
        schema: row.get(0),
        relation: row.get(1),
    });
    Ok(names.filter(|name| !ours.contains(name)).collect())
}

/// What of each table something is left to be done for: the lock of the others isn't asked for.
async fn unpublished<'t>(
    desktop: &Client,
    (publication, replicator): (&str, &str),
    tables: &[&'t Table],
) -> Result<Vec<Vec<&'t Name>>, Fault> {
    let all: Vec<_> = { tables.iter().enumerate() }
        .flat_map(|(of, table)| published(table).into_iter().map(move |name| (of, name)))
        .collect();
    let schemas: Vec<_> = all.iter().map(|(_, name)| name.schema.as_str()).collect();
    let relations: Vec<_> = { all.iter() }
        .map(|(_, name)| name.relation.as_str())
        .collect();
    let identities: Vec<_> = { all.iter() }
        .map(|(of, _)| Some(quote::array(tables[*of].identity()?)))
        .collect();
    let sql = format!(
        r#"select w.nth
           from unnest(
             $3::text[], $4::text[], $5::text[]
           ) with ordinality as w(schema, name, identity, nth)
           left join (
             pg_class c join pg_namespace n on n.oid = c.relnamespace
           ) on n.nspname = w.schema
             and c.relname = w.name
           left join pg_publication_rel r on r.prrelid = c.oid
             and r.prpubid = (select oid from pg_publication where pubname = $1)
           left join tandem.published o on o.replicator = $2
             and o.publication = $1
             and o.schema = w.schema
             and o."table" = w.name
           where c.oid is null
             or r.oid is null
             or o.publication is null
             or {lacks_identity}
             or coalesce(to_jsonb(r) ->> 'prqual', to_jsonb(r) ->> 'prattrs') is not null
               and exists (select from tandem.publication where publication = $1)
           order by w.nth"#,
        lacks_identity = lacks_identity()
    );
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&publication, Type::TEXT),
        (&replicator, Type::TEXT),
        (&schemas, Type::TEXT_ARRAY),
        (&relations, Type::TEXT_ARRAY),
        (&identities, Type::TEXT_ARRAY),
    ];
    let rows = desktop.query_typed(&sql, &params).await.map_err(wire)?;
    let mut each: Vec<Vec<&Name>> = tables.iter().map(|_| Vec::new()).collect();
    for row in &rows {
        let nth = usize::try_from(row.get::<_, i64>(0)).unwrap_or_default();
        if let Some((of, name)) = nth.checked_sub(1).and_then(|at| all.get(at)) {
            each[*of].push(name);
        }
    }
    Ok(each)
}

fn wire(error: tokio_postgres::Error) -> Fault {
    Fault::wire(Side::Desktop, &WireError::from(error))
}
