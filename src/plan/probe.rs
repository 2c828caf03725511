//! Which rows does the cloud refuse, and why? Found by halves, and undone.

use super::quote;
use super::source::{all, insertion, key, typed};
use super::write::{arrived, params, taken, upsert_from};
use crate::limits;
use crate::model::{Key, Param, Shape, Source, Statement, Step, Table, Work};

/// Puts a step's rows into the staging table, for [`probe`] in the same, undone transaction. None
/// for steps that only remove rows, or whose rows are not whole.
pub fn stage_step(table: &Table, step: &Step, replicator: &str, epoch: u64) -> Option<Statement> {
    if !matches!(step.work, Work::Upsert | Work::AddCopies) || !step.shape.unsent.is_empty() {
        return None;
    }
    let taken = taken(table, step.work, &step.shape);
    let arriving = 0..table.arriving();
    let cells: Vec<_> = arriving.map(|index| format!("u.c{index}")).collect();
    let extra = if step.work == Work::AddCopies {
        vec!["copies".to_owned()]
    } else {
        Vec::new()
    };
    let mut params = params(table, step);
    let first = params.len() + 1;
    params.extend([
        Param::string(replicator),
        Param::int8(epoch),
        Param::string(&table.name),
    ]);
    let sql = format!(
        "insert into tandem.staging (replicator, epoch, \"table\", cells) select ${first}, ${}, ${}, array[{}]::text[] from {}",
        first + 1,
        first + 2,
        cells.join(", "),
        arrived(&taken, &extra),
    );
    Some(Statement::bookkeeping(sql, params))
}

/// Tries the table's staged rows, by halves. Answers: rows refused, whether all were tried, SQLSTATE, message, detail and
/// the key of the first.
pub fn probe(table: &Table, replicator: &str, epoch: u64) -> Statement {
    let key = key(table)
        .into_iter()
        .filter(|(_, column)| matches!(column.from, Source::Desktop(_)));
    let cells: Vec<_> = key
        .map(|(index, _)| format!("coalesce(p.cells[{}], 'NULL')", index + 1))
        .collect();
    let cells = if table.key == Key::Multiset || cells.is_empty() {
        "null".to_owned()
    } else {
        format!("concat_ws(', ', {})", cells.join(", "))
    };
    let sql = format!(
        "select p.refused::text, p.whole::text, p.sqlstate_of, p.message_of, p.detail_of, {cells} from tandem.probe($1, $2, $3, $4, $5::interval) as p"
    );
    let epoch = Param::int8(epoch);
    let limit = format!("{} milliseconds", limits::EXPLAIN_MAX.as_millis());
    Statement::bookkeeping(
        sql,
        vec![
            Param::string(replicator),
            epoch,
            Param::string(&table.name),
            Param::string(some_rows(table)),
            Param::string(&limit),
        ],
    )
}

/// Writes the staged rows given as `$1 tid[]`.
fn some_rows(table: &Table) -> String {
    let columns = typed(&all(table), |index| format!("s.cells[{}]", index + 1));
    let source = format!("select {columns} from tandem.staging as s where s.ctid = any($1)");
    if table.key != Key::Multiset {
        return upsert_from(table, &Shape::default(), &source);
    }
    let (names, values) = insertion(table, &all(table));
    let target = quote::table(&table.cloud);
    format!("with src as ({source}) insert into {target} ({names}) select {values} from src")
}

/// The names of the key's columns that arrive, for people.
pub fn key_names(table: &Table) -> String {
    let key = key(table)
        .into_iter()
        .filter(|(_, column)| matches!(column.from, Source::Desktop(_)));
    key.map(|(_, column)| column.cloud.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}
