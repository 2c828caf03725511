//! Whether what is published is still what was agreed on: by identifier, since a table that was dropped and made
//! again has its old name (P13).

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::model::{Halt, Table, Tables, WayBack};
use crate::wire::WireError;

/// Tables whose changes don't all reach us any more, and why.
///
/// # Errors
/// When the query fails.
pub async fn drift(
    desktop: &Client,
    publication: &str,
    tables: &Tables,
) -> Result<Vec<Halt>, WireError> {
    let (mut names, mut schemas, mut relations, mut oids) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut identities = Vec::new();
    for table in tables.iter() {
        let own = [(&table.desktop, table.desktop_oid)];
        let leaves = table
            .leaves
            .iter()
            .flatten()
            .map(|(name, oid)| (name, *oid));
        let whole: Vec<_> = own.into_iter().chain(leaves).collect();
        for (name, oid) in whole {
            names.push(i64::from(table.id.0));
            schemas.push(name.schema.as_str());
            relations.push(name.relation.as_str());
            oids.push(oid);
            let columns = table.identity();
            identities.push(columns.map(|columns| serde_json::json!(columns).to_string()));
        }
    }
    // A partitioned table's rows are in its partitions, which are published one by one. `pg_partition_tree` would wait
    // for whoever has one of them locked.
    let sql = "select w.id, c.oid is null, coalesce(c.oid <> w.oid, false), \
            coalesce(c.relkind <> 'p' and (r.prrelid is null or tandem.better_identity(c.oid, case when w.identity is not null then array(select json_array_elements_text(w.identity::json)) end) is not null), false), \
            case when c.relkind = 'p' then ( \
                with recursive tree as (select inhrelid as oid from pg_inherits where inhparent = c.oid union all select i.inhrelid from pg_inherits i join tree on i.inhparent = tree.oid) \
                select array_agg(l.oid order by l.oid) from tree join pg_class l using (oid) where l.relkind <> 'p') end \
        from unnest($1::bigint[], $2::text[], $3::text[], $4::oid[], $6::text[]) as w(id, schema, name, oid, identity) \
        left join (pg_class c join pg_namespace n on n.oid = c.relnamespace) on n.nspname = w.schema and c.relname = w.name \
        left join pg_publication_rel r on r.prrelid = c.oid and r.prpubid = (select oid from pg_publication where pubname = $5)";
    let params: [(&(dyn ToSql + Sync), Type); 6] = [
        (&names, Type::INT8_ARRAY),
        (&schemas, Type::TEXT_ARRAY),
        (&relations, Type::TEXT_ARRAY),
        (&oids, Type::OID_ARRAY),
        (&publication, Type::TEXT),
        (&identities, Type::TEXT_ARRAY),
    ];
    let rows = desktop.query_typed(sql, &params).await?;
    let mut halts: Vec<Halt> = Vec::new();
    for row in rows {
        let id: i64 = row.get(0);
        let found = tables.iter().find(|table| i64::from(table.id.0) == id);
        let Some(table) = found.filter(|table| halts.iter().all(|halt| halt.table != table.id))
        else {
            continue;
        };
        let flags = (row.get(1), row.get(2), row.get(3));
        if let Some((why, way)) = verdict(table, flags, row.get(4)) {
            halts.push(Halt {
                table: table.id,
                why: why.to_owned(),
                way,
            });
        }
    }
    Ok(halts)
}

fn verdict(
    table: &Table,
    (gone, another, unpublished): (bool, bool, bool),
    leaves: Option<Vec<u32>>,
) -> Option<(&'static str, WayBack)> {
    let known = table.leaves.as_ref().map(|leaves| {
        let mut oids: Vec<_> = leaves.iter().map(|(_, oid)| *oid).collect();
        oids.sort_unstable();
        oids
    });
    if gone && table.leaves.is_none() {
        return Some(("the desktop's table was dropped or renamed", WayBack::Fit));
    }
    if another {
        return Some((
            "the desktop's table was dropped and made again; it is copied anew",
            WayBack::Copy,
        ));
    }
    if leaves.is_some() && leaves != known || gone {
        return Some((
            "the desktop's table has other partitions now; it is copied anew",
            WayBack::Copy,
        ));
    }
    if unpublished && table.stream {
        return Some((
            "the desktop's table left the publication or its replica identity no longer names its rows; it is published again and copied anew",
            WayBack::Copy,
        ));
    }
    None
}
