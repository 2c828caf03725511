//! Updating rows that look otherwise than on the desktop.

use super::super::clauses::{and, update_differing};
use super::super::guard::has_parent;
use super::super::kept::UPDATE;
use super::super::source::{assignments, differs, rest};
use super::scope::{Scope, counted};
use crate::model::{Key, Statement};

/// See [`super::Diff::update`].
pub(super) fn differing(scope: &Scope<'_>) -> Option<Statement> {
    let Scope {
        table,
        target,
        stored,
        wanted,
        source,
        ..
    } = scope;
    let changing = match &table.key {
        Key::Columns(_) => rest(table),
        // Equal rows that nobody claims become the desktop's; nothing else of them can differ.
        Key::Multiset => Vec::new(),
    };
    if assignments(table, &changing).is_empty() {
        return None;
    }
    let owned = scope.guard.owned();
    let (ctes, from, found) = match &table.key {
        Key::Columns(_) => {
            let ours = and(has_parent(table));
            let found = format!("{stored} = {wanted} and {owned}{ours}");
            (format!("with {source}"), "src", found)
        }
        Key::Multiset => {
            let want = format!("want as (select distinct {wanted} as name from src)");
            let found = format!("{stored} = want.name and {owned}");
            (format!("with {source}, {want}"), "want", found)
        }
    };
    let differs = differs(table, &changing);
    let different = format!(
        "select count(*)
         from {target} as t
         where exists (select from {from} where {found} and {differs})"
    );
    let update = update_differing(table, &changing, from, &found);
    let all_there = scope.all_there(UPDATE, &different);
    Some(scope.statement(counted(&ctes, "updated", &update, &all_there)))
}
