//! A whole table that was staged, against the cloud's owned rows.

use super::digest::admitted;
use super::guard::Guard;
use super::quote::{ident, table as qualified};
use super::source::{all, assignments, differs, image, insertion, key, rest, typed};
use crate::model::{Key, Param, Source, Statement, Table};

/// The statements that make the cloud's owned rows equal to the staged ones.
pub struct Diff {
    /// Removes owned rows that the desktop doesn't have. Run only where they are known to be ours.
    pub remove: Statement,
    /// Counts owned rows that the desktop doesn't have, into the table's state.
    pub extras: Statement,
    /// Updates what differs; in a multiset only whom a row belongs to.
    pub update: Option<Statement>,
    /// Inserts what is missing.
    pub insert: Statement,
}

/// Reads a table's mapped columns as one `text[]` per row, through the types' output functions, so
/// that a copied value is the text that the stream would send. Rows that aren't ours stay out.
pub fn copy_out(table: &Table) -> String {
    let arriving = table
        .columns
        .iter()
        .filter_map(|column| match &column.from {
            Source::Desktop(name) => Some(format!("t.{}", ident(name))),
            Source::Constant(_) => None,
        });
    let cells: Vec<_> = arriving
        .map(|name| format!("case when {name} is distinct from null then concat({name}) end"))
        .collect();
    let (from, which) = (qualified(&table.desktop), admitted(table));
    format!(
        "copy (select array[{}]::text[] from only {from} as t where {which}) to stdout",
        cells.join(", ")
    )
}

/// Makes the diff's statements. `$1` is the replicator, `$2` the epoch, `$3` the table's name.
pub fn diff(table: &Table, replicator: &str, epoch: u64) -> Diff {
    let params = vec![
        Param::string(replicator),
        Param::int8(epoch),
        Param::string(&table.name),
    ];
    let statement = |sql: String| Statement {
        sql: sql.into(),
        params: params.clone(),
        table: Some(table.id),
        step: None,
    };
    let source = staged(table);
    let (target, guard) = (qualified(&table.cloud), Guard::of(table));
    // The names are compared as text so that NULL equals NULL and the join can be hashed.
    let names_of = |alias: &str| format!("{}::text", image(alias, &key(table)));
    let (stored, wanted) = (names_of("t"), names_of("src"));
    let extras = format!(
        "{source}, want as (select {wanted} as name, count(*) as copies from src group by 1), \
         have as (select t.tableoid as part, t.ctid as at, {stored} as name, row_number() over (partition by {stored}) as nth from {target} as t where {}), \
         extra as (select have.part, have.at from have left join want using (name) where have.nth > coalesce(want.copies, 0))",
        guard.deletable(),
    );
    let changing = rest(table);
    let set = assignments(table, &changing);
    let update = (!set.is_empty()).then(|| {
        if table.key == Key::Multiset {
            // Equal rows that nobody claims become the desktop's; nothing else of them can differ.
            return format!(
                "{source}, want as (select distinct {wanted} as name from src) update {target} as t set {set} from want where {stored} = want.name and {} and {}",
                guard.owned(),
                differs(table, &changing)
            );
        }
        let differs = differs(table, &changing);
        format!("{source} update {target} as t set {set} from src where {stored} = {wanted} and {} and {differs}", guard.owned())
    });
    let (names, values) = insertion(table, &all(table));
    let insert = format!(
        "{source}, want as (select src.*, {wanted} as \"tandem name\", row_number() over (partition by {wanted}) as \"tandem nth\" from src), \
         have as (select {stored} as name, count(*) as copies from {target} as t where {} group by 1) \
         insert into {target} ({names}) select {values} from want as src left join have on have.name = src.\"tandem name\" \
         where src.\"tandem nth\" > coalesce(have.copies, 0)",
        guard.owned(),
    );
    Diff {
        remove: statement(format!(
            "{extras} delete from {target} as t using extra where t.tableoid = extra.part and t.ctid = extra.at and {}",
            guard.deletable()
        )),
        extras: statement(format!(
            "{extras} update tandem.table_state set extras = (select count(*) from extra) where replicator = $1 and \"table\" = $3"
        )),
        update: update.map(&statement),
        insert: statement(insert),
    }
}

fn staged(table: &Table) -> String {
    let columns = typed(&all(table), |index| format!("s.cells[{}]", index + 1));
    format!(
        "with src as materialized (select {columns} from tandem.staging as s where s.replicator = $1 and s.epoch = $2 and s.\"table\" = $3)"
    )
}
