//! What a cloud table is beneath its name: one that was dropped and made again, or emptied, has its old name and none of
//! its rows (P13).
//!
//! Not seen here: rows that somebody deletes or changes one by one, which only a comparison finds; and a TRUNCATE in the
//! very transaction that made the table or had emptied it before, which keeps its file.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::Facts;
use crate::model::{Table, TableId, Tables};
use crate::plan::quote;
use crate::wire::WireError;

/// By what a table is known again, beside its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// System identifier and timeline of the server: a cloud that was restored from a backup has other ones.
    server: String,
    /// The table's identifier.
    oid: u32,
    /// Its files, or its partitions': TRUNCATE makes new ones. So do VACUUM FULL, CLUSTER and some ALTER TABLE, which lose
    /// nothing: then a copy finds nothing to write.
    files: BTreeSet<String>,
    /// The numbers of the columns that we write: one that was dropped and added again has another one. Not those that are
    /// the cloud's own: what they hold is not ours to bring back.
    columns: BTreeMap<String, i16>,
}

/// What all tables are; none for one that isn't there.
pub type Footprints = BTreeMap<TableId, Option<Footprint>>;

/// How a table is no longer what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The server is another one, or went back in time.
    Server,
    /// Another table has its name.
    Table,
    /// Another column has this one's name.
    Column(String),
    /// A file is gone.
    File,
}

impl Changed {
    /// Why the table is copied anew.
    pub fn words(&self) -> String {
        match self {
            Changed::Server => "the cloud is another server, or was restored from a backup; it is copied anew".to_owned(),
            Changed::Table => "the cloud's table was dropped and made again; it is copied anew".to_owned(),
            Changed::Column(name) => format!(
                "column {name} of the cloud's table was dropped and added again; it is copied anew"
            ),
            Changed::File => "the cloud's table was emptied or written anew (TRUNCATE, VACUUM FULL, ALTER TABLE); it is compared with a new copy".to_owned(),
        }
    }
}

impl Footprint {
    /// What has changed since it was like `known`.
    pub fn since(&self, known: &Footprint) -> Option<Changed> {
        let replaced = |(name, number): (&String, &i16)| {
            let now = self.columns.get(name).filter(|now| *now != number);
            now.map(|_| name.clone())
        };
        if self.server != known.server {
            Some(Changed::Server)
        } else if self.oid != known.oid {
            Some(Changed::Table)
        } else if let Some(name) = known.columns.iter().find_map(replaced) {
            Some(Changed::Column(name))
        } else {
            // A partition that is new takes nothing away.
            (!self.files.is_superset(&known.files)).then_some(Changed::File)
        }
    }

    /// For the state in the cloud.
    pub fn text(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// From the state in the cloud; none where nothing is known.
    pub fn parse(text: &str) -> Option<Footprint> {
        serde_json::from_str(text).ok()
    }
}

/// What all tables are, and a mark of it; beyond the mark nothing where it is `$5`.
const LOOK: &str = "with looked as (
      select w.id, c.oid,
        (
          select coalesce(json_object_agg(a.attname, a.attnum order by a.attnum), '{}')::text
          from pg_attribute a
          where a.attrelid = c.oid
            and a.attnum > 0
            and a.attname = any (w.columns::text[])
        ) as columns,
        (
          with recursive tree as (
            select c.oid as oid
            union all
            select i.inhrelid
            from pg_inherits i
            join tree on i.inhparent = tree.oid
            where c.relkind = 'p'
          )
          select array_agg(concat(l.oid, ':', l.relfilenode) order by l.oid)
          from tree
          join pg_class l using (oid)
          where l.relkind <> 'p'
        ) as files
      from unnest(
        $1::bigint[], $2::text[], $3::text[], $4::text[]
      ) as w(id, schema, name, columns)
      left join (
        pg_class c join pg_namespace n on n.oid = c.relnamespace
      ) on n.nspname = w.schema
        and c.relname = w.name
    ),
    marked as (
      select md5(coalesce(string_agg(looked::text, '' order by looked.id), '')) as mark
      from looked
    )
    select l.id, l.oid, l.columns, l.files, m.mark
    from marked as m
    left join looked as l on m.mark is distinct from $5";

/// Looks at all tables in the cloud at once, without a lock on any; none for a table that isn't there.
///
/// # Errors
/// When the query fails.
pub async fn footprints(
    cloud: &Client,
    identity: &Facts,
    tables: &Tables,
) -> Result<Footprints, WireError> {
    let looked = footprints_unless(cloud, identity, tables, None).await?;
    Ok(looked.map_or_else(Footprints::new, |(_, prints)| prints))
}

/// The same, with a mark of all of it; none where that is still the one that is `known`: then nothing more crosses the network.
///
/// # Errors
/// When the query fails.
pub async fn footprints_unless(
    cloud: &Client,
    identity: &Facts,
    tables: &Tables,
    known: Option<&str>,
) -> Result<Option<(String, Footprints)>, WireError> {
    let (mut names, mut schemas, mut relations) = (Vec::new(), Vec::new(), Vec::new());
    let mut columns = Vec::new();
    for table in tables.iter() {
        names.push(i64::from(table.id.0));
        schemas.push(table.cloud.schema.as_str());
        relations.push(table.cloud.relation.as_str());
        columns.push(quote::array(written(table)));
    }
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&names, Type::INT8_ARRAY),
        (&schemas, Type::TEXT_ARRAY),
        (&relations, Type::TEXT_ARRAY),
        (&columns, Type::TEXT_ARRAY),
        (&known, Type::TEXT),
    ];
    let rows = cloud.query_typed(LOOK, &params).await?;
    let mark: String = rows.first().map(|row| row.get(4)).unwrap_or_default();
    if known == Some(mark.as_str()) {
        return Ok(None);
    }
    let server = format!("{}/{}", identity.system_id, identity.timeline);
    let print = |row: &Row| {
        let oid = row.get::<_, Option<u32>>(1)?;
        let files: Option<Vec<String>> = row.get(3);
        Some(Footprint {
            server: server.clone(),
            oid,
            files: files.unwrap_or_default().into_iter().collect(),
            columns: serde_json::from_str(row.get(2)).unwrap_or_default(),
        })
    };
    let of = |row: &Row| {
        let id = u16::try_from(row.get::<_, Option<i64>>(0)?).ok()?;
        Some((TableId(id), print(row)))
    };
    Ok(Some((mark, rows.iter().filter_map(of).collect())))
}

/// The columns that we write, and those by which a row is told to be ours.
fn written(table: &Table) -> BTreeSet<&str> {
    let own = table.columns.iter().filter(|column| !column.cloud_owned);
    let owner = table.owner.iter().map(|owner| owner.column.as_str());
    let tenant = table.tenant.columns.iter();
    { own.map(|column| column.name.as_str()) }
        .chain(owner)
        .chain(tenant.map(|column| column.cloud.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(files: &[&str]) -> Footprint {
        Footprint {
            server: "1/1".to_owned(),
            oid: 7,
            files: files.iter().map(|file| (*file).to_owned()).collect(),
            columns: BTreeMap::from([("id".to_owned(), 1), ("v".to_owned(), 2)]),
        }
    }

    #[test]
    fn p13_what_replaced_a_table_is_told_from_what_it_was() {
        let known = print(&["7:7"]);
        assert_eq!(known.since(&known), None);
        assert_eq!(print(&["7:9"]).since(&known), Some(Changed::File));
        assert_eq!(
            print(&["7:7", "8:8"]).since(&known),
            None,
            "a partition more"
        );
        let another = Footprint {
            oid: 8,
            ..known.clone()
        };
        assert_eq!(another.since(&known), Some(Changed::Table));
        let mut replaced = known.clone();
        replaced.columns.insert("v".to_owned(), 3);
        assert_eq!(
            replaced.since(&known),
            Some(Changed::Column("v".to_owned()))
        );
        let mut wider = known.clone();
        wider.columns.insert("w".to_owned(), 3);
        assert_eq!(wider.since(&known), None, "the mapping says that");
        let restored = Footprint {
            server: "1/2".to_owned(),
            ..known.clone()
        };
        assert_eq!(restored.since(&known), Some(Changed::Server));
        assert_eq!(Footprint::parse(&known.text()), Some(known));
    }
}
