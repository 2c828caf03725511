//! Which tables a statement reads: through its own text, the text of the functions that it calls, and the views in both.

use std::collections::BTreeSet;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use super::sql_identifiers::Mentioned;
use super::strange::readable;
use crate::limits;
use crate::model::Name;
use crate::plan::quote;

/// What a statement reads, as far as it can be found.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The tables: their changes are counted by the server.
    pub tables: Vec<Source>,
    /// Foreign tables: nobody counts their changes.
    pub foreign: Vec<Name>,
    /// Names that were asked for and are not there.
    pub missing: Vec<String>,
    /// The functions and views that lead to them: one that is replaced may read something else.
    pub definitions: Vec<u32>,
    /// Names that stand where the text says what it writes.
    pub written: BTreeSet<String>,
    /// The server counts the changes of tables.
    pub counted: bool,
    /// The server's version, as a number.
    pub version: i32,
}

/// A table that a statement reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its number in the catalog.
    pub oid: u32,
    /// Its name.
    pub name: Name,
    /// The text also names it where it says what it writes.
    pub written: bool,
}

impl Sources {
    /// Why changes can't be seen, or not all of them, in words.
    pub fn trouble(&self) -> Option<String> {
        if !self.counted {
            return Some("the desktop doesn't count changes: track_counts is off".to_owned());
        }
        if let Some(first) = self.missing.first() {
            return Some(format!("[refill] watch names {first}, which is not there"));
        }
        if self.tables.is_empty() {
            let why = "no table was found that the statement reads; name them in [refill] watch";
            return Some(why.to_owned());
        }
        let first = self.foreign.first()?;
        Some(format!(
            "{first} is a foreign table: its changes aren't counted here"
        ))
    }
}

/// Finds the tables that a statement reads; those behind `named` instead, where there are any.
///
/// # Errors
/// When the server can't be asked, or refuses.
pub async fn sources(client: &Client, sql: &str, named: &[String]) -> Result<Sources, Error> {
    let asked =
        "select current_setting('track_counts') = 'on', current_setting('server_version_num')::int";
    let rows = client.query_typed(asked, &[]).await?;
    let mut found = Sources::default();
    if let Some(row) = rows.first() {
        (found.counted, found.version) = (row.get(0), row.get(1));
    }
    let mut text = Mentioned::default();
    text.add(sql);
    let mut functions: BTreeSet<u32> = BTreeSet::new();
    if !named.is_empty() {
        let wanted = find_named(client, named, &mut found.missing).await?;
        relations(client, Looked::Numbers(&wanted), &text, &mut found).await?;
        // What it writes is learned all the same, for a statement that ends its own transaction.
        functions_of(client, &mut text, &mut functions, &[]).await?;
        for table in &mut found.tables {
            table.written = text.written.contains(&table.name.relation);
        }
        found.written = text.written;
        return Ok(found);
    }
    let mut called = Vec::new();
    for _ in 0..limits::TEXTS_DEEP {
        let more = functions_of(client, &mut text, &mut functions, &called).await?;
        let before = called.len();
        found.tables.clear();
        found.foreign.clear();
        found.definitions.clear();
        called = relations(client, Looked::Words, &text, &mut found).await?;
        if !more && called.len() == before {
            break;
        }
    }
    found.definitions.extend(functions);
    found.written = text.written;
    Ok(found)
}

/// The numbers of relations by their names.
async fn find_named(
    client: &Client,
    named: &[String],
    missing: &mut Vec<String>,
) -> Result<Vec<u32>, Error> {
    let quoted: Vec<_> = named
        .iter()
        .map(|name| Name::read(name).map_or_else(|_| name.clone(), |name| quote::table(&name)))
        .collect();
    let sql = "select w.n, to_regclass(w.name)::oid
        from unnest($1::text[]) with ordinality as w(name, n)
        order by 1";
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&quoted, Type::TEXT_ARRAY)];
    let rows = client.query_typed(sql, &params).await?;
    let mut found = Vec::new();
    for (row, name) in rows.iter().zip(named) {
        match row.get::<_, Option<u32>>(1) {
            Some(oid) => found.push(oid),
            None => missing.push(name.clone()),
        }
    }
    Ok(found)
}

/// Schemas whose tables and functions nobody means.
const NOBODYS: &str = "('pg_catalog', 'information_schema', 'pg_toast', 'tandem')";

/// Adds the text of the functions that are mentioned or called; says whether there was a new one.
async fn functions_of(
    client: &Client,
    text: &mut Mentioned,
    functions: &mut BTreeSet<u32>,
    called: &[u32],
) -> Result<bool, Error> {
    let sql = format!(
        "select p.oid, case
           when getdatabaseencoding() = 'SQL_ASCII' then convert_to(t.text, 'SQL_ASCII')
           else convert_to(t.text, 'UTF8')
         end
         from pg_proc as p
         join pg_namespace as n on n.oid = p.pronamespace
         join pg_language as l on l.oid = p.prolang
         cross join lateral (
           select concat_ws(
             ' ', p.prosrc, pg_get_function_sqlbody(p.oid), array_to_string(p.proconfig, ' ')
           )
         ) as t(text)
         where l.lanname not in ('c', 'internal')
           and n.nspname not in {NOBODYS}
           and p.oid <> all ($3)
           and (
             p.oid = any ($4)
             or p.proname = any ($1)
               and (n.nspname = any ($2) or n.nspname = any (current_schemas(false)))
           )
         limit {texts_max}",
        texts_max = limits::TEXTS_MAX
    );
    let mut any = false;
    for _ in 0..limits::TEXTS_DEEP {
        let words: Vec<&String> = text.all.iter().collect();
        let known: Vec<u32> = functions.iter().copied().collect();
        let params: [(&(dyn ToSql + Sync), Type); 4] = [
            (&words, Type::TEXT_ARRAY),
            (&words, Type::TEXT_ARRAY),
            (&known, Type::OID_ARRAY),
            (&called, Type::OID_ARRAY),
        ];
        let rows = client.query_typed(&sql, &params).await?;
        if rows.is_empty() || functions.len() > limits::TEXTS_MAX {
            break;
        }
        any = true;
        for row in rows {
            functions.insert(row.get(0));
            text.add(&String::from_utf8_lossy(row.get(1)));
        }
    }
    Ok(any)
}

/// By what relations are looked for.
enum Looked<'a> {
    /// The words of the text.
    Words,
    /// Their numbers.
    Numbers(&'a [u32]),
}

/// Relations that have a name of `$1` (in the schemas `$2`) or a number of `$3`, and what the views among them read; which of
/// them are named in `$4`, and the functions that they call.
fn relations_sql() -> String {
    format!(
        "with recursive seen as (
           select c.oid
           from pg_class as c
           join pg_namespace as n on n.oid = c.relnamespace
           where c.oid = any ($3)
             or c.relname = any ($1)
               and (n.nspname = any ($2) or n.nspname = any (current_schemas(false)))
           union
           select d.refobjid
           from seen
           join pg_class as v on v.oid = seen.oid and v.relkind in ('v', 'm')
           join pg_rewrite as r on r.ev_class = v.oid and r.ev_type = '1'
           join pg_depend as d on d.classid = 'pg_rewrite'::regclass
             and d.objid = r.oid
             and d.refclassid = 'pg_class'::regclass
             and d.refobjid <> v.oid
         )
         select c.oid, {schema}, {relation}, c.relkind::text, c.relname = any ($4),
           array(
             select d.refobjid
             from pg_rewrite as r
             join pg_depend as d on d.classid = 'pg_rewrite'::regclass
               and d.objid = r.oid
               and d.refclassid = 'pg_proc'::regclass
             where r.ev_class = c.oid and c.relkind in ('v', 'm')
           )
         from seen
         join pg_class as c using (oid)
         join pg_namespace as n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p', 'v', 'm', 'f')
           and c.relpersistence <> 't'
           and n.nspname not in {NOBODYS}
         order by 2, 3",
        schema = readable("n.nspname"),
        relation = readable("c.relname")
    )
}

/// Adds the tables, and those behind views and materialized views; says which functions the views call.
async fn relations(
    client: &Client,
    by: Looked<'_>,
    text: &Mentioned,
    found: &mut Sources,
) -> Result<Vec<u32>, Error> {
    let empty = BTreeSet::new();
    let (names, schemas, numbers) = match by {
        Looked::Words => (&text.read, &text.all, &[][..]),
        Looked::Numbers(numbers) => (&empty, &empty, numbers),
    };
    let names: Vec<&String> = names.iter().collect();
    let schemas: Vec<&String> = schemas.iter().collect();
    let written: Vec<&String> = text.written.iter().collect();
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&names, Type::TEXT_ARRAY),
        (&schemas, Type::TEXT_ARRAY),
        (&numbers, Type::OID_ARRAY),
        (&written, Type::TEXT_ARRAY),
    ];
    let mut called = Vec::new();
    for row in client.query_typed(&relations_sql(), &params).await? {
        let (oid, kind): (u32, String) = (row.get(0), row.get(3));
        let name = Name {
            schema: row.get(1),
            relation: row.get(2),
        };
        called.extend(row.get::<_, Vec<u32>>(5));
        if matches!(kind.as_str(), "v" | "m") {
            found.definitions.push(oid);
        }
        match kind.as_str() {
            "v" => {}
            "f" => found.foreign.push(name),
            _ => found.tables.push(Source {
                oid,
                name,
                written: row.get(4),
            }),
        }
    }
    Ok(called)
}
