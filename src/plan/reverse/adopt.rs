//! What the desktop did to rows of the phone's, and the cloud has: the ledger takes it over.

use super::super::array::TextArray;
use super::super::quote::{ident, literal};
use super::{Over, hash};
use crate::model::{Cell, Param, ReverseTable, Statement, oid};

/// How the desktop has a row of the phone's, as forward wrote it.
#[derive(Clone, Debug)]
pub struct Told {
    /// The entry that says so.
    pub entry: u64,
    /// What names it, as an array constant.
    pub key: String,
    /// The desktop's row, as a JSON object of texts; none when it is gone.
    pub row: Option<String>,
}

/// Remembers these rows as they were left, so that only what the desktop does to them from then on is a change that nobody
/// has seen. Older than what the ledger knows already does nothing.
pub fn adopt(reverse: &ReverseTable, replicator: &str, rows: &[Told]) -> Statement {
    let over = Over {
        reverse,
        taken: Vec::new(),
    };
    let columns = reverse.columns.iter().map(|column| {
        let text = over.office(&format!(
            "(u.told::jsonb ->> {column})",
            column = literal(&column.name)
        ));
        format!(
            ", {text}::{base_type} as {column}",
            base_type = column.base_type,
            column = ident(&column.name)
        )
    });
    let names = { reverse.columns.iter() }.map(|column| literal(&column.name));
    let sql = format!(
        r#"with src as materialized (
             select u.entry::bigint as "tandem entry",
               md5(concat($4::text, '/', $5::text, '/', u.key)) as "tandem hash",
               u.told is null as "tandem gone"{columns}
             from unnest($1, $2, $3) as u(key, entry, told)
             where u.told is null or u.told::jsonb ?& array[{names}]::text[]
           )
           update tandem.ledger as l
           set entry = src."tandem entry", state = null,
             hash = case when not src."tandem gone" then {hash} end
           from src
           where l.key_hash = src."tandem hash"
             and l.entry < src."tandem entry"
             and (l.state is null or l.state = 'desktop')"#,
        columns = columns.collect::<String>(),
        names = names.collect::<Vec<_>>().join(", "),
        hash = hash(reverse, "src")
    );
    let mut arrays = [TextArray::new(), TextArray::new(), TextArray::new()];
    for row in rows {
        let entry = row.entry.to_string();
        let cells = [Some(row.key.as_str()), Some(&entry), row.row.as_deref()];
        for (array, cell) in arrays.iter_mut().zip(cells) {
            array.push(cell.map_or(Cell::Null, |text| Cell::Text(text.as_bytes())));
        }
    }
    let mut params: Vec<_> = arrays.into_iter().map(TextArray::finish).collect();
    params.push(Param::text(oid::TEXT, replicator));
    params.push(Param::text(oid::TEXT, &*reverse.name));
    Statement::bookkeeping(sql, params)
}
