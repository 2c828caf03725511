//! Columns that follow a parent's, which the cloud looks up where it writes.

use super::guard::Guard;
use super::quote::{ident, table as qualified};
use crate::model::{Column, Lookup, Source, Table};

/// Names a SELECT of arrived rows `src`, and adds the columns that are looked up.
pub(super) fn looked_up(table: &Table, columns: &[(usize, &Column)], select: &str) -> String {
    let looked_up = columns.iter().filter_map(|(_, column)| match column.from {
        Source::LookedUp(at) => Some((*column, &table.lookups[at])),
        _ => None,
    });
    let looked_up: Vec<_> = looked_up.collect();
    if looked_up.is_empty() {
        return format!("src as materialized ({select})");
    }
    let (mut ctes, mut values, mut joins) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (column, lookup)) in looked_up.into_iter().enumerate() {
        let wanted: Vec<_> = lookup
            .on
            .iter()
            .map(|(child, ..)| format!("base.{child}", child = ident(child)))
            .collect();
        let wanted = format!("select {wanted} from base", wanted = wanted.join(", "));
        ctes.push(format!(
            "found{at} as ({parents})",
            parents = parents(lookup, column, &wanted)
        ));
        values.push(format!(
            "found{at}.value as {column}",
            column = ident(&column.name)
        ));
        let on = lookup.on.iter().enumerate();
        let on: Vec<_> = on
            .map(|(nth, (child, ..))| {
                format!("found{at}.k{nth} = base.{child}", child = ident(child))
            })
            .collect();
        joins.push(format!(
            "left join found{at} on {on}",
            on = on.join(" and ")
        ));
    }
    format!(
        "base as materialized ({select}), \
         {ctes}, \
         src as materialized (select base.*, {values} from base {joins})",
        ctes = ctes.join(", "),
        values = values.join(", "),
        joins = joins.join(" ")
    )
}

/// What each parent that is wanted says: `k0`, ..., `value`, `agreed`. Parents that disagree say NULL.
pub(super) fn parents(lookup: &Lookup, column: &Column, wanted: &str) -> String {
    let names: Vec<_> = lookup
        .on
        .iter()
        .map(|(_, parent, _)| format!("p.{parent}", parent = ident(parent)))
        .collect();
    let keys: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(nth, name)| format!("{name} as k{nth}"))
        .collect();
    let take = format!("p.{take}::text", take = ident(&lookup.take));
    let agreed = format!("count(distinct coalesce('v' || {take}, 'n')) = 1");
    format!(
        "select {keys}, case when {agreed} then min({take})::{base_type} end as value, \
           {agreed} as agreed \
         from {parent} as p \
         where ({names}) in ({wanted}) and {owned} \
         group by {names}",
        keys = keys.join(", "),
        base_type = column.base_type,
        parent = qualified(&lookup.parent),
        names = names.join(", "),
        owned = Guard::of_parent(lookup).owned()
    )
}
