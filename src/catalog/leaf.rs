//! Partitions.

use tokio_postgres::{Client, Row};

use super::sought::Sought;
use super::strange::readable;
use crate::model::Name;
use crate::wire::WireError;

/// A partition that holds rows.
pub(super) struct Leaf {
    pub(super) name: Name,
    pub(super) oid: u32,
    pub(super) kind: char,
    pub(super) persistence: char,
}

/// Without a lock on any: `pg_partition_tree` would wait for whoever has one of them locked.
pub(super) async fn leaves(
    client: &Client,
    asked: &Sought<'_>,
) -> Result<Vec<Vec<Leaf>>, WireError> {
    let tree = ",
         tree as (
           select asked.nth, c.oid
           from asked
           join pg_class c on c.oid = asked.oid
           where c.relkind = 'p'
           union all
           select tree.nth, i.inhrelid
           from tree
           join pg_inherits i on i.inhparent = tree.oid
           where not i.inhdetachpending
         )";
    let schema = readable("n.nspname");
    let table = readable("c.relname");
    let sql = format!(
        "select {schema}, {table}, c.oid, c.relkind::text, c.relpersistence::text, tree.nth
         from tree
         join pg_class c on c.oid = tree.oid
         join pg_namespace n on n.oid = c.relnamespace
         where c.relkind <> 'p'
         order by tree.nth, c.oid"
    );
    let leaf = |row: &Row| Leaf {
        name: Name {
            schema: row.get(0),
            relation: row.get(1),
        },
        oid: row.get(2),
        kind: letter(row.get(3)),
        persistence: letter(row.get(4)),
    };
    asked.of_each(client, (tree, &sql), leaf).await
}

/// A `"char"` of the catalogs.
pub(super) fn letter(text: String) -> char {
    text.chars().next().unwrap_or(' ')
}
