//! Tables with columns that are computed when they are read (PostgreSQL 18, `VIRTUAL`): no old row can carry them. Published with
//! an identity of all columns, such a table refuses the office's own updates and deletes (P10).

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::resolve::{Mismatch, Sort};
use crate::model::Table;
use crate::plan::quote;
use crate::wire::WireError;

/// A column of table `c` is computed when it is read.
const HAS_FLEETING: &str = "exists (
      select
      from pg_attribute a
      where a.attrelid = c.oid and a.attgenerated = 'v' and not a.attisdropped
    )";

/// Table `c` has a unique index `i` that names a row by what an old row must carry, `w.identity`, an array constant, and that is as asked.
/// None where it must carry everything.
fn names_rows(that: &str) -> String {
    format!(
        "exists (
           select
           from pg_index i
           where w.identity is not null
             and i.indrelid = c.oid
             and {that}
             and i.indisunique
             and i.indimmediate
             and i.indisvalid
             and i.indpred is null
             and i.indexprs is null
             and not exists (
               select
               from pg_attribute a
               where a.attrelid = c.oid and a.attnum = any (i.indkey) and not a.attnotnull
             )
             and w.identity::text[] <@ array(
               select a.attname::text
               from pg_attribute a
               where a.attrelid = c.oid
                 and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
             )
         )"
    )
}

/// The replica identity of table `c` is not one by which an old row carries what it must: what `tandem.better_identity` says of one
/// table, for many of them; a server plans a function's statement again for each call.
pub fn lacks_identity() -> String {
    format!(
        "case c.relreplident
           when 'f' then {HAS_FLEETING} and {names_rows}
           when 'd' then not {names_by_key}
           when 'i' then not {names_by_index}
           else true
         end",
        names_rows = names_rows("true"),
        names_by_key = names_rows("i.indisprimary"),
        names_by_index = names_rows("i.indisreplident")
    )
}

/// Tables that would be published so, since no unique index carries what an old row must.
///
/// # Errors
/// When the query fails.
pub async fn fleeting(desktop: &Client, tables: &[Table]) -> Result<Vec<Mismatch>, WireError> {
    let (mut of, mut schemas, mut relations) = (Vec::new(), Vec::new(), Vec::new());
    let mut identities: Vec<Option<String>> = Vec::new();
    for (at, table) in tables.iter().enumerate().filter(|(_, table)| table.stream) {
        let leaves = table.leaves.iter().flatten().map(|(name, _)| name);
        for name in leaves.chain([&table.desktop]) {
            of.push(at as i64);
            schemas.push(name.schema.as_str());
            relations.push(name.relation.as_str());
            let identity = table.identity();
            identities.push(identity.map(quote::array));
        }
    }
    let sql = format!(
        "select distinct w.of
        from unnest(
          $1::bigint[], $2::text[], $3::text[], $4::text[]
        ) as w(of, schema, name, identity)
        join pg_namespace n on n.nspname = w.schema
        join pg_class c on c.relnamespace = n.oid and c.relname = w.name
        where c.relkind <> 'p'
          and {has_fleeting}
          and not {names_rows}
        order by 1",
        has_fleeting = HAS_FLEETING,
        names_rows = names_rows("true")
    );
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&of, Type::INT8_ARRAY),
        (&schemas, Type::TEXT_ARRAY),
        (&relations, Type::TEXT_ARRAY),
        (&identities, Type::TEXT_ARRAY),
    ];
    let rows = desktop.query_typed(&sql, &params).await?;
    let found = rows.iter().filter_map(|row| {
        let at = usize::try_from(row.get::<_, i64>(0)).ok()?;
        Some(Mismatch::new(&tables.get(at)?.name, Sort::Table, WHY))
    });
    Ok(found.collect())
}

const WHY: &str = "the desktop's table has columns that are computed when they are read (VIRTUAL), and PostgreSQL refuses every update and delete \
    of such a table while it is published, unless the old row can be named without them: give it a primary key there (or a unique index of NOT NULL \
    columns) that has what must be known of an old row, make the columns STORED, or say stream = false";
