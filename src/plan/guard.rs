//! Whose rows a statement may touch (P4). Every statement on a user's table is made from a
//! [`Guard`], and a guard can only be made from a table: there is no way to leave it out.

use super::quote::{ident, literal, table as qualified};
use crate::model::{Lookup, Owner, Table, Tenant};

/// The predicates that limit a statement to a replicator's own rows.
pub struct Guard {
    tenant: String,
    owned: String,
    deletable: String,
}

impl Guard {
    /// The guard of a table whose cloud row is called `t`.
    pub fn of(table: &Table) -> Guard {
        Guard::made(&table.tenant, table.owner.as_ref(), "t")
    }

    /// The guard of the parent that a lookup asks; its row is called `p`.
    pub(super) fn of_parent(lookup: &Lookup) -> Guard {
        Guard::made(&lookup.tenant, lookup.owner.as_ref(), "p")
    }

    fn made(tenant: &Tenant, owner: Option<&Owner>, row: &str) -> Guard {
        let (owned, deletable) = match owner {
            None => ("true".to_owned(), "true".to_owned()),
            Some(owner) => {
                let column = ident(&owner.column);
                let (value, base) = (literal(&owner.desktop), &owner.base_type);
                let ours = format!("{row}.{column} = {value}::{base}");
                (format!("({ours} or {row}.{column} is null)"), ours)
            }
        };
        Guard {
            tenant: belongs(tenant, row),
            owned,
            deletable,
        }
    }

    /// Rows that may be updated: the desktop's, and those that nobody claims.
    pub fn owned(&self) -> String {
        format!("{} and {}", self.tenant, self.owned)
    }

    /// Rows that may be deleted: the desktop's alone. A row that nobody claims becomes the
    /// desktop's with its next update.
    pub fn deletable(&self) -> String {
        format!("{} and {}", self.tenant, self.deletable)
    }
}

/// True for an arriving row, called `src`, whose parent is one of this tenant's; a row without such a parent is
/// refused, since nobody could say whose it is. None where rows say so themselves.
pub(super) fn has_parent(table: &Table) -> Option<String> {
    let via = table.tenant.via.as_ref()?;
    let parent = literal(&via.parent.to_string());
    let tenant = Tenant {
        columns: Vec::new(),
        via: Some(via.clone()),
    };
    Some(format!(
        "case when {} then true else tandem.no_parent({parent}) end",
        belongs(&tenant, "src")
    ))
}

/// A row belongs to the tenant: by its columns, or by its parent's.
fn belongs(tenant: &Tenant, row: &str) -> String {
    let own = tenant.columns.iter().map(|column| {
        let (name, value) = (ident(&column.cloud), literal(&column.value));
        format!("{row}.{name} = {value}::{}", column.base_type)
    });
    let mut tests: Vec<_> = own.collect();
    if let Some(via) = &tenant.via {
        let parent = format!("{row}p");
        let on = via
            .on
            .iter()
            .map(|(child, named)| format!("{parent}.{} = {row}.{}", ident(named), ident(child)));
        let on: Vec<_> = on.collect();
        tests.push(format!(
            "exists (select from {} as {parent} where {} and {})",
            qualified(&via.parent),
            on.join(" and "),
            belongs(&via.tenant, &parent)
        ));
    }
    if tests.is_empty() {
        "true".to_owned()
    } else {
        tests.join(" and ")
    }
}

/// True unless the foreign keys of other tables would carry a change of the stored row `t` to rows there,
/// which are not ours to change: then it is refused. `when` says that the row is going to be changed, and
/// is asked first; `updates` that it changes, in these columns, instead of going.
pub(super) fn spares(table: &Table, when: &str, updates: Option<&[String]>) -> Option<String> {
    let mut reached = Vec::new();
    for reach in &table.reaches {
        let applies = match updates {
            None => reach.on_delete,
            Some(_) => reach.on_update,
        };
        if !applies {
            continue;
        }
        let pairs = reach.on.iter();
        let refers: Vec<_> = pairs
            .clone()
            .map(|(child, own)| format!("c.{} = t.{}", ident(child), ident(own)))
            .collect();
        let changes: Vec<_> = pairs
            .filter(|(_, own)| updates.is_some_and(|columns| columns.contains(own)))
            .map(|(_, own)| format!("t.{0} is distinct from src.{0}", ident(own)))
            .collect();
        let changes = match updates {
            None => "true".to_owned(),
            Some(_) if changes.is_empty() => continue,
            Some(_) => format!("({})", changes.join(" or ")),
        };
        reached.push(format!(
            "when {when} and {changes} and exists (select from {} as c where {}) then tandem.reached({})",
            qualified(&reach.child),
            refers.join(" and "),
            literal(&reach.child.to_string())
        ));
    }
    (!reached.is_empty()).then(|| format!("case {} else true end", reached.join(" ")))
}

/// True for a stored row `t` whose removal would change rows of other tables; none where no foreign key does that.
pub(super) fn reaches(table: &Table) -> Option<String> {
    let reached = table
        .reaches
        .iter()
        .filter(|reach| reach.on_delete)
        .map(|reach| {
            let refers = reach
                .on
                .iter()
                .map(|(child, own)| format!("c.{} = t.{}", ident(child), ident(own)));
            let refers: Vec<_> = refers.collect();
            let child = qualified(&reach.child);
            format!(
                "exists (select from {child} as c where {})",
                refers.join(" and ")
            )
        });
    let reached: Vec<_> = reached.collect();
    (!reached.is_empty()).then(|| format!("({})", reached.join(" or ")))
}
