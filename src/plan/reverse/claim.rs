//! Before the phone's rows are written on the desktop: their entries are claimed, and the rows named in the log.

use super::super::quote::{ident, literal};
use super::{Coming, Over, columns, key_columns};
use crate::model::{Column, LogicalMessage, ReverseTable, Statement};

/// Notes these entries as the last ones of their keys; later ones stay. What follows writes only what is noted so.
pub fn claim(reverse: &ReverseTable, replicator: &str, rows: &[Coming]) -> Statement {
    let over = Over {
        reverse,
        taken: Vec::new(),
    };
    let (replicator_is, table_is) = over.whose();
    let sql = format!(
        r#"insert into tandem.ledger as l (replicator, "table", key_hash, entry)
           select distinct {replicator_is}, {table_is}, {ledger_key}, u.entry::bigint
           from {from}
           on conflict (key_hash) do update
           set entry = excluded.entry
           where l.entry < excluded.entry"#,
        ledger_key = over.ledger_key(),
        from = over.rows().from()
    );
    over.statement(replicator, rows, sql)
}

/// Names what this transaction is about to write in the desktop's log, so that forward knows it for ours: each row's key,
/// and how it will look; no look for one that goes. What a trigger makes of it looks otherwise.
pub fn mark(reverse: &ReverseTable, replicator: &str, rows: &[Coming], gone: bool) -> Statement {
    let over = match gone {
        true => Over::names(reverse),
        false => Over::all(reverse),
    };
    let (replicator_is, table_is) = over.whose();
    let key = fingerprint(reverse, &key_columns(reverse));
    let look = match gone {
        true => "'-'".to_owned(),
        false => fingerprint(reverse, &columns(reverse, 0..reverse.columns.len())),
    };
    let sql = format!(
        r#"with {source}
           select pg_logical_emit_message(
             true, '{prefix}',
             (select h.nonce from tandem.reverse as h where h.replicator = {replicator_is}) || (
               select coalesce(
                 string_agg(
                   concat(E'\n', {key}, ' ', {look}, ' ', replace({table_is}, E'\n', ' ')), ''
                 ),
                 ''
               )
               from src
             )
           )"#,
        source = over.source(),
        prefix = LogicalMessage::REVERSE
    );
    over.statement(replicator, rows, sql)
}

/// Says that what follows is ours, without naming a row.
pub fn bare_mark(replicator: &str) -> Statement {
    Statement::bookkeeping(mark_text(replicator), Vec::new())
}

/// The same as a statement of its own.
pub fn mark_text(replicator: &str) -> String {
    format!(
        "select pg_logical_emit_message(
           true, '{reverse}',
           (select h.nonce from tandem.reverse as h where h.replicator = {replicator})
         )",
        reverse = LogicalMessage::REVERSE,
        replicator = literal(replicator)
    )
}

/// The row's columns as bytes that the log's reader can make too: `n`, or `v`, the length, and the text.
fn fingerprint(reverse: &ReverseTable, columns: &[(usize, &Column)]) -> String {
    let cells = columns.iter().map(|(_, column)| {
        let plain = format!(
            "concat(src.{column}::{compare_type})",
            column = ident(&column.name),
            compare_type = column.compare_type
        );
        // The reader has it in UTF-8.
        let cell = match reverse.charset.filter(|charset| charset.is_bare()) {
            Some(charset) => {
                let encoding = literal(charset.encoding.name());
                format!("tandem.from_office({plain}, {encoding})")
            }
            None => plain,
        };
        format!(
            "case when src.{column} is distinct from null \
             then concat('v', octet_length(convert_to({cell}, 'UTF8')), ':', {cell}) \
             else 'n' end",
            column = ident(&column.name)
        )
    });
    let cells: Vec<_> = cells.collect();
    format!(
        "encode(sha256(convert_to({cells}, 'UTF8')), 'hex')",
        cells = cells.join(" || ")
    )
}
