//! Rows of ours that the cloud has and the desktop doesn't.

use super::super::copies::{have_by_look, have_looks};
use super::super::guard::referred;
use super::super::quote::ident;
use super::super::staging::parked_key;
use super::scope::Scope;
use crate::model::{Column, Source, Table, sqlstate};

/// What the statements about such rows share.
pub(super) struct Extras<'s, 'a> {
    pub(super) scope: &'s Scope<'a>,
    /// CTEs that end in `extra(part, at)`.
    pub(super) ctes: String,
    /// True for the stored row `t` that is the one of `extra`.
    pub(super) found: String,
    /// True for a stored row `t` that others refer to; none where no foreign key leads here.
    pub(super) refers: Option<String>,
    /// Whether the stored cells say the name under which a row is parked.
    pub(super) named: bool,
    /// That name of the stored row `t`.
    pub(super) name: String,
    /// The arriving cells of the stored row `t`, as far as they stand in it.
    pub(super) cells: String,
}

impl<'s, 'a> Extras<'s, 'a> {
    pub(super) fn of(scope: &'s Scope<'a>) -> Extras<'s, 'a> {
        let (table, deletable) = (scope.table, scope.guard.deletable());
        let cells = stored_cells(table);
        let name: Vec<_> = parked_key(table)
            .iter()
            .map(|index| format!("({cells})[{number}]", number = index + 1))
            .collect();
        let name = format!("array[{name}]::text[]", name = name.join(", "));
        let named = is_named_by_cells(table);
        let goes_too =
            "exists (select from extra as e where e.part = c.tableoid and e.at = c.ctid)";
        Extras {
            scope,
            ctes: ctes(scope, named.then_some(&name)),
            found: format!("t.tableoid = extra.part and t.ctid = extra.at and {deletable}"),
            refers: referred(table, goes_too),
            named,
            name,
            cells,
        }
    }
}

/// CTEs that end in `extra`; without rows that are parked under `name` as none that could be copied.
fn ctes(scope: &Scope<'_>, name: Option<&String>) -> String {
    let Scope {
        keys,
        stored,
        these,
        ..
    } = scope;
    let (also, but) = match &scope.touched {
        Some(touched) => (
            format!(", {touched}"),
            format!(" and not exists (select from touched where touched.name = {stored})"),
        ),
        None => (String::new(), String::new()),
    };
    let known = name.map_or(String::new(), |name| known(name));
    let which = format!(
        "{deletable}{these}{known}{but}",
        deletable = scope.guard.deletable()
    );
    let have = have(scope, &which);
    format!(
        "with {keys}{also},
         {have},
         extra as (
           select have.part, have.at
           from have
           left join want using (name)
           where have.nth > coalesce(want.copies, 0)
             and coalesce(current_setting('tandem.spare', true), '') <> 'true'
         )"
    )
}

/// What is too large to be copied, or can't be read, is there all the same.
fn known(name: &str) -> String {
    format!(
        r#" and not exists (
             select
             from tandem.quarantine as q
             where q.replicator = $1
               and q.direction = 'forward'
               and q."table" = $3
               and q.sqlstate in ('{too_large}', '{unreadable}')
               and q.key_hash = md5({name}::text) collate "C"
           )"#,
        too_large = sqlstate::TOO_LARGE,
        unreadable = sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
    )
}

/// CTEs, `want(name, copies)` among them, that end in `have(part, at, name, nth)`: the stored rows that `which` chooses.
fn have(scope: &Scope<'_>, which: &str) -> String {
    let Scope {
        table,
        target,
        stored,
        wanted,
        ..
    } = scope;
    if have_looks(table) {
        return have_by_look(table, target, which);
    }
    format!(
        "want as (
           select {wanted} as name, count(*) as copies
           from src
           group by 1
         ),
         have as (
           select t.tableoid as part, t.ctid as at, {stored} as name,
             row_number() over (partition by {stored}) as nth
           from {target} as t
           where {which}
         )"
    )
}

/// Whether the stored cells say the name under which a row is parked, in the only way to write it.
fn is_named_by_cells(table: &Table) -> bool {
    let key = parked_key(table);
    key.iter().all(|index| {
        let mut columns = table.columns.iter();
        columns.any(|column| {
            column.from == Source::Arriving(*index) && column.exact && !column.cloud_owned
        })
    })
}

/// The arriving cells of the stored row `t`, as far as they stand in it.
fn stored_cells(table: &Table) -> String {
    let cells = (0..table.arriving.len()).map(|index| {
        let of = |column: &&Column| column.from == Source::Arriving(index);
        match table.columns.iter().find(of) {
            None => "null".to_owned(),
            Some(column) => {
                let name = ident(&column.name);
                format!("case when t.{name} is distinct from null then concat(t.{name}) end")
            }
        }
    });
    format!(
        "array[{cells}]::text[]",
        cells = cells.collect::<Vec<_>>().join(", ")
    )
}
