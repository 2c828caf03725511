//! Inserting rows that are missing.

use super::super::clauses::and;
use super::super::copies::{have_looks, want_by_look};
use super::super::guard::has_parent;
use super::super::kept::INSERT;
use super::super::orphan::remember;
use super::super::quote::literal;
use super::super::source::insertion;
use super::scope::{Scope, counted};
use crate::model::Statement;

/// The staged rows `src` that are missing, behind the CTEs of [`ctes`].
const MISSING: &str = r#"from want as src
           left join have on have.name = src."tandem name"
           where src."tandem nth" > coalesce(have.copies, 0)"#;

/// See [`super::Diff::insert`].
pub(super) fn missing(scope: &Scope<'_>) -> Statement {
    let Scope {
        table,
        target,
        columns,
        ..
    } = scope;
    let (names, values) = insertion(table, columns);
    let ours = and(has_parent(table));
    let insert = format!("insert into {target} {names} select {values} {MISSING}{ours}");
    let ctes = ctes(scope) + &remember(table, columns);
    let all_there = scope.all_there(INSERT, &format!("select count(*) {MISSING}{ours}"));
    scope.statement(counted(&ctes, "inserted", &insert, &all_there))
}

/// See [`super::Diff::narrow`].
pub(super) fn narrow(scope: &Scope<'_>) -> Statement {
    let ctes = ctes(scope);
    scope.statement(format!(
        r#"{ctes}
           delete from tandem.staging as s
           where s.replicator = $1
             and s.epoch = $2
             and s."table" = $3
             and s.step = $4
             and s.ctid not in (select src."tandem at" {MISSING})"#
    ))
}

/// CTEs that end in `want`, the staged rows numbered among those of their name, and `have`, how many of each the cloud has.
fn ctes(scope: &Scope<'_>) -> String {
    let Scope {
        table,
        target,
        stored,
        wanted,
        source,
        these,
        ..
    } = scope;
    let owned = format!("{owned}{these}", owned = scope.guard.owned());
    if have_looks(table) {
        let want = want_by_look(table, target, &owned);
        return format!("with {source}, {want}");
    }
    format!(
        r#"with {source},
           want as (
             select src.*, {wanted} as "tandem name",
               row_number() over (partition by {wanted}) as "tandem nth"
             from src
           ),
           have as (
             select {stored} as name, count(*) as copies
             from {target} as t
             where {owned}
             group by 1
           )"#
    )
}

impl Scope<'_> {
    /// A last condition that fails where something in the cloud keeps rows out of what was `done`: as many as `wanted` have to
    /// be written. Nothing where the settings allow it.
    pub(super) fn all_there(&self, does: u8, wanted: &str) -> String {
        if self.table.lets_keep_out {
            return String::new();
        }
        let (name, relation) = (literal(&self.table.name), self.relation());
        format!(
            " where case when tandem.keepers({relation}, {does}) is null then true
                else not tandem.kept_out(
                  {name},
                  {relation},
                  {does},
                  (select count(*) from done),
                  ({wanted}),
                  false
                )
              end"
        )
    }
}
