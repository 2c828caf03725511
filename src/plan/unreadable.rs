//! Rows with a value that can't be read: its bytes mean nothing in the desktop's encoding. They wait in the quarantine, whole,
//! until the value is corrected, or the settings name another encoding and the table is read anew.

use super::quote::literal;
use super::source::Rows;
use super::staging::{UNREADABLE_STEP, parked_key, place};
use super::write_context::WriteContext;
use crate::model::{Charset, Key, Param, Statement, StepKind, Table, oid, sqlstate};

/// Refuses each row with its reason.
pub(super) fn refuse(table: &Table, rows: &Rows) -> String {
    format!(
        "select tandem.unreadable({words}) from {from}",
        words = words(table),
        from = rows.from()
    )
}

/// What [`refuse`] and [`park_unreadable`] tell the cloud's function: the row, its columns, and the rest of the sentence.
fn words(table: &Table) -> String {
    let key = table.key_arriving();
    let names = table.arriving.iter().enumerate().map(|(index, column)| {
        let what = if key.contains(&index) {
            "key column"
        } else {
            "column"
        };
        literal(&format!("{what} {name}", name = column.name))
    });
    let names: Vec<_> = names.collect();
    let why = table.charset.map_or_else(String::new, Charset::unreadable);
    format!(
        "u.cells, array[{names}]::text[], {why}",
        names = names.join(", "),
        why = literal(&why)
    )
}

/// Parks such rows of a copy.
pub fn park_unreadable(table: &Table, manner: &WriteContext<'_>) -> Statement {
    let work = match table.key {
        Key::Multiset => StepKind::AddCopies,
        Key::Columns(_) => StepKind::Upsert,
    };
    let key = parked_key(table).into_iter();
    let key: Vec<_> = key
        .map(|index| format!("u.cells[{number}]", number = index + 1))
        .collect();
    let mut params = place(table, UNREADABLE_STEP, manner);
    params.push(Param::text(oid::PG_LSN, manner.end.to_string()));
    let sql = format!(
        r#"insert into tandem.quarantine as q (
             replicator, "table", key, key_hash, cells, copies, work, sqlstate, why, lsn,
             messages
           )
           select $1, $3, bad.key, md5(bad.key::text), bad.cells, bad.copies, '{work}',
             '{character_not_in_repertoire}', bad.why, $5, 0
           from (
             select array[{key}]::text[] as key, min(u.cells) as cells, count(*) as copies,
               min(tandem.why_unreadable({words})) as why
             from {from}
             group by 1
           ) as bad
           on conflict (replicator, direction, "table", key_hash) do update
           set cells = excluded.cells, unsent = excluded.unsent, copies = excluded.copies,
             work = excluded.work, sqlstate = excluded.sqlstate, why = excluded.why,
             lsn = excluded.lsn, tried_at = now(), tries = q.tries + 1"#,
        work = work.word(),
        character_not_in_repertoire = sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
        key = key.join(", "),
        words = words(table),
        from = Rows::Staged.from()
    );
    Statement {
        table: Some(table.id),
        ..Statement::bookkeeping(sql, params)
    }
}
