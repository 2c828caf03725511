//! Reads the desktop's catalog, and what the cloud has of it. The server's own functions write the definitions, with every
//! name that isn't its own in full.

mod tables;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use tables::{columns_sql, constraints_sql, indexes_sql, tables_sql};
use types::{COLLATIONS, SEQUENCES, objects_sql, types_sql};

use super::shape::{Column, Constraint, Ground, Index, Kind, Object, Structure, Table};
use crate::catalog::{begin_with_empty_search_path, readable};
use crate::fault::{Fault, Kind as Sort, Side};

type Given<'a> = (&'a (dyn ToSql + Sync), Type);

/// Values are written as every server reads them.
const PINNED: &str = "set local datestyle = iso; set local intervalstyle = postgres; set local timezone = 'UTC'; \
    set local extra_float_digits = 3; set local bytea_output = hex; set local standard_conforming_strings = on; set local quote_all_identifiers = off";

/// What makes up these tables of the desktop.
///
/// # Errors
/// When the desktop can't be asked.
pub(super) async fn structure(client: &Client, tables: &[u32]) -> Result<Structure, Fault> {
    let begun = begin_with_empty_search_path(client).await;
    begun.map_err(|error| Fault::wire(Side::Desktop, &error))?;
    let read = within(client, tables).await;
    let ended = client.batch_execute("rollback").await;
    let read = read?;
    ended.map_err(Fault::at(Side::Desktop))?;
    Ok(read)
}

async fn within(client: &Client, tables: &[u32]) -> Result<Structure, Fault> {
    let pinned = client.batch_execute(PINNED).await;
    pinned.map_err(Fault::at(Side::Desktop))?;
    let own: [Given<'_>; 1] = [(&tables, Type::OID_ARRAY)];
    let mut found: Vec<Table> = ask(client, Side::Desktop, &tables_sql(), &own).await?;
    let columns: Vec<Column> = ask(client, Side::Desktop, &columns_sql(), &own).await?;
    let constraints: Vec<Constraint> = ask(client, Side::Desktop, &constraints_sql(), &own).await?;
    let indexes: Vec<Index> = ask(client, Side::Desktop, &indexes_sql(), &own).await?;
    for table in &mut found {
        let oid = table.oid;
        let of = |of: &u32| *of == oid;
        table.columns = columns.iter().filter(|c| of(&c.table)).cloned().collect();
        table.constraints = { constraints.iter() }
            .filter(|c| of(&c.table))
            .cloned()
            .collect();
        table.indexes = indexes.iter().filter(|i| of(&i.table)).cloned().collect();
    }
    let mut structure = Structure {
        tables: found,
        ..Structure::default()
    };
    let needs = needs_of_tables(&structure.tables);
    let reached = of_sort(&needs, "type");
    let own: [Given<'_>; 1] = [(&reached, Type::OID_ARRAY)];
    structure.types = ask(client, Side::Desktop, &types_sql(), &own).await?;
    let needs: BTreeSet<_> = { needs.into_iter() }
        .chain(needs_of_types(&structure.types))
        .collect();
    let sequences = of_sort(&needs, "relation");
    let own: [Given<'_>; 1] = [(&sequences, Type::OID_ARRAY)];
    structure.sequences = ask(client, Side::Desktop, SEQUENCES, &own).await?;
    let collations = of_sort(&needs, "collation");
    let own: [Given<'_>; 1] = [(&collations, Type::OID_ARRAY)];
    structure.collations = ask(client, Side::Desktop, COLLATIONS, &own).await?;
    let (sorts, oids): (Vec<_>, Vec<_>) = needs.into_iter().unzip();
    let both: [Given<'_>; 2] = [(&sorts, Type::TEXT_ARRAY), (&oids, Type::OID_ARRAY)];
    let asked = objects_sql(
        "(o.sort, o.oid) in (select * from unnest($1::text[], $2::oid[]) as asked(sort, oid))",
    );
    let objects: Vec<Object> = ask(client, Side::Desktop, &asked, &both).await?;
    structure.objects = { objects.into_iter() }
        .map(|object| ((object.sort.clone(), object.oid), object))
        .collect();
    Ok(structure)
}

/// What the cloud has: names that are taken, and those of the desktop's objects that it knows.
///
/// # Errors
/// When the cloud can't be asked.
pub(super) async fn ground(client: &Client, desk: &Structure) -> Result<Ground, Fault> {
    let wrong = Fault::at::<tokio_postgres::Error>(Side::Cloud);
    let sql = "select current_setting('server_version_num')::int / 10000";
    let rows = client.query_typed(sql, &[]).await.map_err(&wrong)?;
    let version = rows.first().map_or(0, |row| row.get::<_, i32>(0));
    let sql = format!(
        "select {schema} from pg_namespace n",
        schema = readable("n.nspname")
    );
    let rows = client.query_typed(&sql, &[]).await.map_err(&wrong)?;
    let schemas = rows.iter().map(|row| row.get(0)).collect();
    let taken = format!(
        "select {schema}, {relation}, c.relkind::text
         from pg_class c
         join pg_namespace n on n.oid = c.relnamespace
         where n.nspname !~ '^pg_'
         union all
         select {schema}, {kind}, 't'
         from pg_type t
         join pg_namespace n on n.oid = t.typnamespace
         where n.nspname !~ '^pg_' and t.typrelid = 0 and t.typelem = 0",
        schema = readable("n.nspname"),
        relation = readable("c.relname"),
        kind = readable("t.typname"),
    );
    let rows = client.query_typed(&taken, &[]).await.map_err(&wrong)?;
    let taken = { rows.iter() }
        .map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect();
    let names: Vec<_> = desk.objects.values().map(|object| &object.name).collect();
    let own: [Given<'_>; 1] = [(&names, Type::TEXT_ARRAY)];
    let sql = objects_sql("o.name = any ($1)");
    let objects: Vec<Object> = ask(client, Side::Cloud, &sql, &own).await?;
    let objects: BTreeMap<_, _> = { objects.into_iter() }
        .map(|object| (object.key, object.schema))
        .collect();
    Ok(Ground {
        version: version.unsigned_abs(),
        schemas,
        taken,
        objects,
    })
}

/// Rows of a query, as the server's JSON.
async fn ask<T: DeserializeOwned>(
    client: &Client,
    side: Side,
    sql: &str,
    given: &[Given<'_>],
) -> Result<Vec<T>, Fault> {
    let sql = format!("select to_json(one)::text from ({sql}) as one");
    let rows = side.query(client, &sql, given).await?;
    let read = |row: &tokio_postgres::Row| {
        serde_json::from_str(row.get(0)).map_err(|error| {
            Fault::new(
                Sort::Internal,
                format!("internal check failed: the {side}'s catalog can't be read"),
            )
            .cause(error)
        })
    };
    rows.iter().map(read).collect()
}

fn of_sort(needs: &BTreeSet<(String, u32)>, sort: &str) -> Vec<u32> {
    let of = needs.iter().filter(|(found, _)| found == sort);
    of.map(|(_, oid)| *oid).collect()
}

fn needs_of_tables(tables: &[Table]) -> BTreeSet<(String, u32)> {
    let mut needs = BTreeSet::new();
    let mut need = |sort: &str, oid: u32| {
        if oid != 0 {
            needs.insert((sort.to_owned(), oid));
        }
    };
    for table in tables {
        for column in &table.columns {
            need("type", column.kind);
            need("collation", column.collation);
            need("relation", column.sequence);
        }
        let pieces = { table.columns.iter() }.filter_map(|column| column.default.as_ref());
        let pieces = pieces.chain(table.constraints.iter().map(|one| &one.piece));
        for piece in pieces.chain(table.indexes.iter().map(|one| &one.piece)) {
            piece.needs.iter().for_each(|(sort, oid)| need(sort, *oid));
        }
    }
    needs
}

fn needs_of_types(types: &[Kind]) -> BTreeSet<(String, u32)> {
    let mut needs = BTreeSet::new();
    for kind in types {
        needs.insert(("type".to_owned(), kind.oid));
        let parts = kind.attributes.iter().map(|part| part.collation);
        let parts = parts.chain([kind.collation]).filter(|oid| *oid != 0);
        needs.extend(parts.map(|oid| ("collation".to_owned(), oid)));
        let pieces = kind.checks.iter().map(|check| &check.piece);
        for piece in pieces.chain(&kind.default) {
            needs.extend(piece.needs.iter().cloned());
        }
    }
    needs
}
