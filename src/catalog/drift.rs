//! Whether what is published is still what was agreed on: by identifier, since a table that was dropped and made
//! again has its old name (P13), and by what changed of the publication, also where it was put back since.

use std::collections::BTreeSet;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::fleeting::lacks_identity;
use super::publication::{Publication, part, publication, publish_whole};
use crate::model::{Name, Recovery, Table, TableId, TableStop, Tables};
use crate::plan::quote;
use crate::wire::WireError;

/// What was found.
#[derive(Clone, Debug)]
pub enum Drift {
    /// There is no publication of this name.
    Gone,
    /// Tables whose changes don't all reach us any more, or may not have, and why.
    Halts(Vec<TableStop>),
}

/// All that a look asks for, a row for each table and each of its partitions.
#[derive(Default)]
struct Asked<'a> {
    names: Vec<i64>,
    schemas: Vec<&'a str>,
    relations: Vec<&'a str>,
    oids: Vec<u32>,
    identities: Vec<Option<String>>,
    columns: Vec<String>,
}

impl<'a> Asked<'a> {
    fn of(tables: impl Iterator<Item = &'a Table>) -> Asked<'a> {
        let mut asked = Asked::default();
        for table in tables {
            let own = [(&table.desktop, table.desktop_oid)];
            let leaves = table.leaves.iter().flatten();
            let leaves = leaves.map(|(name, oid)| (name, *oid));
            for (name, oid) in own.into_iter().chain(leaves) {
                asked.names.push(i64::from(table.id.0));
                asked.schemas.push(name.schema.as_str());
                asked.relations.push(name.relation.as_str());
                asked.oids.push(oid);
                let columns = table.identity();
                let identity = columns.map(quote::array);
                asked.identities.push(identity);
                let read = quote::array(read(table));
                asked.columns.push(read);
            }
        }
        asked
    }
}

/// The desktop's columns that a table's rows are made of.
fn read(table: &Table) -> BTreeSet<&str> {
    let arriving = table.arriving.iter().map(|column| column.name.as_str());
    let tenant = table.tenant.columns.iter();
    let tenant = tenant.filter_map(|column| column.desktop.as_deref());
    arriving
        .chain(tenant)
        .chain(table.desktop_owner.as_deref())
        .collect()
}

/// What is otherwise than it was when both sides agreed. What `tandem.is_narrow` and `tandem.sight` say of one table is asked here for
/// all of them.
fn drifted() -> String {
    format!(
        r#"select w.id, c.oid is null, coalesce(c.oid <> w.oid, false),
             coalesce(c.relkind <> 'p' and r.oid is null, false),
             coalesce(
               c.relkind <> 'p' and {lacks_identity},
               false
             ), case
               when c.relkind = 'p' then (
                 with recursive tree as (
                   select inhrelid as oid
                   from pg_inherits
                   where inhparent = c.oid and not inhdetachpending
                   union all
                   select i.inhrelid
                   from pg_inherits i
                   join tree on i.inhparent = tree.oid
                   where not i.inhdetachpending
                 )
                 select array_agg(l.oid order by l.oid)
                 from tree
                 join pg_class l using (oid)
                 where l.relkind <> 'p'
               )
             end,
             coalesce(r.listed ->> 'prqual', r.listed ->> 'prattrs') is not null,
             r.listed ->> 'prqual' is not null, s.seen,
             array[
               p.mark, r.mark,
               (
                 select string_agg(concat(a.attnum, '.', a.xmin), ' ' order by a.attnum)
                 from pg_attribute a
                 where a.attrelid = c.oid
                   and a.attname = any (w.columns::text[])
                   and a.attnum > 0
               )
             ],
             w.schema, w.name
           from unnest(
             $1::bigint[], $2::text[], $3::text[], $4::oid[], $6::text[], $7::text[]
           ) as w(id, schema, name, oid, identity, columns)
           left join (
             pg_class c join pg_namespace n on n.oid = c.relnamespace
           ) on n.nspname = w.schema
             and c.relname = w.name
           left join (
             select oid, concat(oid, '.', xmin) as mark
             from pg_publication
             where pubname = $5
           ) as p on true
           left join (
             select oid, prpubid, prrelid, concat(oid, '.', xmin) as mark,
               to_jsonb(pg_publication_rel) as listed
             from pg_publication_rel
           ) as r on r.prrelid = c.oid and r.prpubid = p.oid
           left join tandem.seen s on s.replicator = $8
             and s.publication = $5
             and s.schema = w.schema
             and s."table" = w.name"#,
        lacks_identity = lacks_identity()
    )
}

/// Looks at the publication and at all tables.
///
/// What isn't seen: a replica identity that was taken away and given back between two looks.
///
/// # Errors
/// When a query fails.
pub async fn drift(
    desktop: &Client,
    replicator: &str,
    name: &str,
    tables: &Tables,
) -> Result<Drift, WireError> {
    let Some(published) = publication(desktop, name).await? else {
        return Ok(Drift::Gone);
    };
    let asked = Asked::of(tables.iter());
    // A partitioned table's rows are in its partitions, which are published one by one. `pg_partition_tree` would wait
    // for whoever has one of them locked.
    let params: [(&(dyn ToSql + Sync), Type); 8] = [
        (&asked.names, Type::INT8_ARRAY),
        (&asked.schemas, Type::TEXT_ARRAY),
        (&asked.relations, Type::TEXT_ARRAY),
        (&asked.oids, Type::OID_ARRAY),
        (&name, Type::TEXT),
        (&asked.identities, Type::TEXT_ARRAY),
        (&asked.columns, Type::TEXT_ARRAY),
        (&replicator, Type::TEXT),
    ];
    let rows = desktop.query_typed(&drifted(), &params).await?;
    let mut halts: Vec<TableStop> = Vec::new();
    for row in rows {
        let Some(table) = u16::try_from(row.get::<_, i64>(0)).ok().map(TableId) else {
            continue;
        };
        if halts.iter().any(|halt| halt.table == table) {
            continue;
        }
        let table = tables.get(table);
        let verdict = place(table, &row).or_else(|| sent(table, &row, (name, &published)));
        if let Some((why, way)) = verdict {
            let table = table.id;
            halts.push(TableStop { table, why, way });
        }
    }
    Ok(Drift::Halts(halts))
}

type Verdict = Option<(String, Recovery)>;

/// Whether it is the table that was agreed on.
fn place(table: &Table, row: &Row) -> Verdict {
    let (gone, another): (bool, bool) = (row.get(1), row.get(2));
    let leaves: Option<Vec<u32>> = row.get(5);
    let known = table.leaves.as_ref().map(|leaves| {
        let mut oids: Vec<_> = leaves.iter().map(|(_, oid)| *oid).collect();
        oids.sort_unstable();
        oids
    });
    if gone && table.leaves.is_none() {
        let why = "the desktop's table was dropped or renamed".to_owned();
        return Some((why, Recovery::WhenSchemaFits));
    }
    if another {
        return copy("the desktop's table was dropped and made again; it is copied anew");
    }
    if leaves.is_some() && leaves != known || gone {
        return copy("the desktop's table has other partitions now; it is copied anew");
    }
    None
}

/// Whether all of it is sent, and was.
fn sent(table: &Table, row: &Row, (name, published): (&str, &Publication)) -> Verdict {
    if !table.stream {
        return None;
    }
    if row.get(3) {
        return copy(&format!(
            "the desktop's table left publication {name}; it is published again and copied anew"
        ));
    }
    if row.get(4) {
        return copy(
            "the replica identity of the desktop's table no longer names its rows; it is given one again and copied anew",
        );
    }
    let narrow = |why: String, fix: &str| match published.ours {
        true => copy(&format!("{why}; it is put right and the table copied anew")),
        false => Some((format!("{why}; {fix}"), Recovery::WhenSchemaFits)),
    };
    if let Some(why) = published.leaves_out(table) {
        return narrow(why, &published.mend());
    }
    if row.get(6) {
        let relation = Name {
            schema: row.get(10),
            relation: row.get(11),
        };
        let why = format!("publication {name} has {} of {relation}", part(row.get(7)));
        return narrow(why, &publish_whole(name, &relation));
    }
    let seen: Option<Vec<Option<String>>> = row.get(8);
    let now: Vec<Option<String>> = row.get(9);
    let words = match seen {
        None => "what its publication was when it was copied is not known".to_owned(),
        Some(seen) if seen == now => return None,
        Some(seen) => since(&seen, &now, name),
    };
    copy(&format!("{words}; it is copied anew"))
}

/// What changed and was put back; something may not have been sent in between.
fn since(seen: &[Option<String>], now: &[Option<String>], name: &str) -> String {
    let differs = |at: usize| seen.get(at) != now.get(at);
    let oid = |sight: &[Option<String>]| {
        let first = sight.first().cloned().flatten().unwrap_or_default();
        first.split('.').next().map(str::to_owned)
    };
    if oid(seen) != oid(now) {
        format!("publication {name} was dropped and made again")
    } else if differs(0) {
        format!("publication {name} was altered meanwhile, and may have left something out")
    } else if differs(1) {
        format!(
            "the desktop's table left publication {name} and came back, or had a filter or a column list there"
        )
    } else {
        "a column of the desktop's table was altered or replaced, which changes rows without a word in the log".to_owned()
    }
}

fn copy(why: &str) -> Verdict {
    Some((why.to_owned(), Recovery::Recopy))
}

/// Remembers of these tables what is published now: from here on they are whole.
///
/// # Errors
/// When the query fails.
pub async fn remember(
    desktop: &Client,
    replicator: &str,
    name: &str,
    tables: &Tables,
    which: &BTreeSet<TableId>,
) -> Result<(), WireError> {
    let tables = tables.iter().filter(|table| table.stream);
    let asked = Asked::of(tables.filter(|table| which.contains(&table.id)));
    if asked.names.is_empty() {
        return Ok(());
    }
    let sql = r#"insert into tandem.seen as s (replicator, publication, schema, "table", seen)
        select $1, $2, w.schema, w.name,
          tandem.sight($2, c.oid, w.columns::text[])
        from unnest($3::text[], $4::text[], $5::text[]) as w(schema, name, columns)
        join (pg_class c join pg_namespace n on n.oid = c.relnamespace) on n.nspname = w.schema
          and c.relname = w.name
        on conflict (replicator, publication, schema, "table") do update
        set seen = excluded.seen
        where s.seen is distinct from excluded.seen"#;
    let params: [(&(dyn ToSql + Sync), Type); 5] = [
        (&replicator, Type::TEXT),
        (&name, Type::TEXT),
        (&asked.schemas, Type::TEXT_ARRAY),
        (&asked.relations, Type::TEXT_ARRAY),
        (&asked.columns, Type::TEXT_ARRAY),
    ];
    desktop.query_typed(sql, &params).await?;
    Ok(())
}

/// Whether a publication was once seen whole by a replicator: then it isn't made silently when it is missing.
///
/// # Errors
/// When the query fails.
pub async fn is_remembered(
    desktop: &Client,
    replicator: &str,
    name: &str,
) -> Result<bool, WireError> {
    let sql = "select from tandem.seen where replicator = $1 and publication = $2 limit 1";
    let params = [(&replicator as _, Type::TEXT), (&name as _, Type::TEXT)];
    Ok(!desktop.query_typed(sql, &params).await?.is_empty())
}
