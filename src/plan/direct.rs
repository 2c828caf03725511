//! A table into an empty one: COPY from the one side into COPY on the other, where nothing has to be made of the values
//! in the cloud.

use super::desktop_rows::{admitted, cell, from};
use super::quote::{ident, literal, table as qualified};
use crate::model::{Lookup, Reads, Source, Table, TableId, Tables};

/// The two halves.
pub struct Direct {
    /// The SELECT that reads the desktop's rows, with all that goes with them.
    rows: String,
    /// Writes them.
    pub into: String,
    /// Fails unless the cloud's table has no row at all.
    pub taken: String,
    /// The cloud's table, for the words and for SQL.
    target: (String, String),
    /// The cloud's columns, in the order of the values.
    columns: Vec<String>,
}

/// Pages of a table: from the first on, up to the second or all that come.
pub type Pages = (u64, Option<u64>);

impl Direct {
    /// Reads the desktop's rows, or those on some of its table's pages.
    pub fn out(&self, pages: Option<Pages>) -> String {
        let which = pages.map_or(String::new(), |pages| {
            format!(" and {on}", on = on_pages(pages))
        });
        format!("copy ({rows}{which}) to stdout", rows = self.rows)
    }

    /// Where a column of the cloud's stands among the values; none where it gets none.
    pub fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|name| name == column)
    }

    /// Fails unless this transaction has written so many rows of the cloud's table: a trigger keeps some out without an error.
    pub fn all_in(&self, rows: u64) -> String {
        let (words, table) = &self.target;
        format!(
            "select tandem.taken({words})
             where (
               select count(*)
               from {table} as t
               where t.xmin = pg_current_xact_id()::xid
             ) <> {rows}"
        )
    }
}

/// True for a row `t` that is on one of these pages.
pub(super) fn on_pages((from, to): Pages) -> String {
    let to = to.map_or(String::new(), |to| format!(" and t.ctid < '({to},0)'::tid"));
    format!("t.ctid >= '({from},0)'::tid{to}")
}

/// Both halves; none where a value is converted or may be refused, or a row's tenant is its parent's. What is looked up
/// is found on the desktop, as far as the cloud's parent is known to hold just what the desktop's does (`filled`).
///
/// COPY parses text as the column's type with its modifier, which would shorten in silence (P11); so it is done only
/// where the receiving column can hold all that the sending one can.
pub fn direct(table: &Table, tables: &Tables, filled: &dyn Fn(TableId) -> bool) -> Option<Direct> {
    if table.tenant.via.is_some() {
        return None;
    }
    let (mut values, mut names, mut joins) = (Vec::new(), Vec::new(), String::new());
    for column in &table.columns {
        let through = matches!(column.reads, Reads::Through(_));
        if column.narrower.is_some() || !column.parents.is_empty() || through {
            return None;
        }
        values.push(match &column.from {
            Source::Arriving(index) => {
                format!("t.{column}", column = ident(&table.arriving[*index].name))
            }
            Source::Constant(value) => literal(value),
            Source::LookedUp(at) => {
                let lookup = &table.lookups[*at];
                let parent = tables.iter().find(|other| other.cloud == lookup.parent);
                let parent = parent.filter(|parent| filled(parent.id))?;
                joins.push_str(&found(table, parent, lookup, *at)?);
                format!("found{at}.value")
            }
            Source::Converted { .. } => return None,
        });
        names.push(column.name.clone());
    }
    if let Some(owner) = &table.owner {
        values.push(literal(&owner.desktop));
        names.push(owner.column.clone());
    }
    let (into, words) = (qualified(&table.cloud), literal(&table.cloud.to_string()));
    let list: Vec<_> = names.iter().map(|name| ident(name)).collect();
    Some(Direct {
        rows: format!(
            "select {values} from {from} as t{joins} where {admitted}",
            values = values.join(", "),
            from = from(table),
            admitted = admitted(table)
        ),
        into: format!("copy {into} ({names}) from stdin", names = list.join(", ")),
        columns: names,
        taken: format!("select tandem.taken({words}) where exists (select from {into})"),
        target: (words, into.clone()),
    })
}

/// The join that finds what the parent says; parents that disagree say NULL.
fn found(table: &Table, parent: &Table, lookup: &Lookup, at: usize) -> Option<String> {
    let take = &arriving(parent, &lookup.take)?.name;
    let (mut keys, mut on, mut by) = (Vec::new(), Vec::new(), Vec::new());
    for (nth, (own, named, _)) in lookup.on.iter().enumerate() {
        let (own, named) = (arriving(table, own)?, arriving(parent, named)?);
        if own.base_type != named.base_type {
            return None;
        }
        keys.push(format!("t.{named} as k{nth}", named = ident(&named.name)));
        on.push(format!(
            "found{at}.k{nth} = t.{own}",
            own = ident(&own.name)
        ));
        by.push(format!("t.{named}", named = ident(&named.name)));
    }
    let value = cell(take);
    Some(format!(
        " left join (
           select {keys}, case
             when count(distinct coalesce('v' || {value}, 'n')) = 1 then min({value})
           end as value
           from {from} as t
           where {admitted}
           group by {by}
         ) as found{at} on {on}",
        keys = keys.join(", "),
        from = from(parent),
        admitted = admitted(parent),
        by = by.join(", "),
        on = on.join(" and ")
    ))
}

/// The desktop's column that arrives in a cloud column as it is.
fn arriving<'t>(table: &'t Table, cloud: &str) -> Option<&'t crate::model::Arriving> {
    let column = table.columns.iter().find(|column| column.name == cloud)?;
    match column.from {
        Source::Arriving(index) => table.arriving.get(index),
        Source::Constant(_) | Source::Converted { .. } | Source::LookedUp(_) => None,
    }
}
