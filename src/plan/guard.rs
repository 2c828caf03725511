//! Whose rows a statement may touch (P4). Every statement on a user's table is made from a
//! [`Guard`], and a guard can only be made from a table: there is no way to leave it out.

use super::quote::{ident, literal, table as qualified};
use crate::model::{Lookup, Owner, Reach, ReverseTable, Table, Tenant, Via};

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

    /// The guard of the desktop's rows in the cloud, called `t`, of which something comes home.
    pub(super) fn of_reverse(reverse: &ReverseTable) -> Guard {
        Guard::made(&reverse.tenant, reverse.owner.as_ref(), "t")
    }

    /// The guard of the phone's rows, called `t`: for what the settings let the desktop do to them.
    pub(super) fn of_mobile(table: &Table) -> Guard {
        let mobile = is_mobile(table.owner.as_ref(), "t");
        Guard {
            tenant: belongs(&table.tenant, "t"),
            owned: mobile.clone(),
            deletable: mobile,
        }
    }

    /// The guard of a stored row of another name.
    pub(super) fn of_row(table: &Table, row: &str) -> Guard {
        Guard::made(&table.tenant, table.owner.as_ref(), row)
    }

    /// The guard of the parent that a lookup asks; its row is called `p`.
    pub(super) fn of_parent(lookup: &Lookup) -> Guard {
        Guard::made(&lookup.tenant, lookup.owner.as_ref(), "p")
    }

    fn made(tenant: &Tenant, owner: Option<&Owner>, row: &str) -> Guard {
        let (owned, deletable) = match owner {
            None => ("true".to_owned(), "true".to_owned()),
            Some(owner) => {
                let ours = equals(row, &owner.column, &owner.desktop, &owner.base_type);
                let unclaimed = format!("{row}.{column} is null", column = ident(&owner.column));
                (format!("({ours} or {unclaimed})"), ours)
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
        both(&self.tenant, &self.owned)
    }

    /// Rows that may be deleted: the desktop's alone. A row that nobody claims becomes the
    /// desktop's with its next update.
    pub fn deletable(&self) -> String {
        both(&self.tenant, &self.deletable)
    }
}

/// True for an arriving row, called `src`, whose parent is one of this tenant's, false where it is another one's. A row
/// without any parent is refused, since nobody could say whose it is. None where rows say so themselves.
pub(super) fn has_parent(table: &Table) -> Option<String> {
    let via = table.tenant.via.as_ref()?;
    let parent = literal(&via.parent.to_string());
    Some(format!(
        "case when {ours} then true when {anyones} then false else tandem.no_parent({parent}) end",
        ours = of_parent(via, &via.tenant, "src"),
        anyones = of_parent(via, &Tenant::default(), "src")
    ))
}

/// True for an arriving row, called `src`, whose parent is another tenant's.
pub(super) fn has_other_parent(table: &Table) -> Option<String> {
    let via = table.tenant.via.as_ref()?;
    Some(format!(
        "{anyones} and not {ours}",
        anyones = of_parent(via, &Tenant::default(), "src"),
        ours = of_parent(via, &via.tenant, "src")
    ))
}

/// True for a row that has a parent which belongs to the tenant.
fn of_parent(via: &Via, tenant: &Tenant, row: &str) -> String {
    let parent = format!("{row}p");
    let on = via.on.iter();
    let on = on.map(|(child, named)| {
        format!(
            "{parent}.{named} = {row}.{child}",
            named = ident(named),
            child = ident(child)
        )
    });
    let on: Vec<_> = on.collect();
    format!(
        "exists (select from {parents} as {parent} where {on} and {belongs})",
        parents = qualified(&via.parent),
        on = on.join(" and "),
        belongs = belongs(tenant, &parent)
    )
}

/// A row belongs to the tenant: by its columns, or by its parent's.
pub(super) fn belongs(tenant: &Tenant, row: &str) -> String {
    let own = tenant
        .columns
        .iter()
        .map(|column| equals(row, &column.cloud, &column.value, &column.base_type));
    let mut tests: Vec<_> = own.collect();
    if let Some(via) = &tenant.via {
        tests.push(of_parent(via, &via.tenant, row));
    }
    if tests.is_empty() {
        "true".to_owned()
    } else {
        tests.join(" and ")
    }
}

/// True for a row that a phone made.
pub(super) fn is_mobile(owner: Option<&Owner>, row: &str) -> String {
    owner.map_or("false".to_owned(), |owner| {
        equals(row, &owner.column, &owner.mobile, &owner.base_type)
    })
}

/// A row's column has this value of that type.
pub(super) fn equals(row: &str, column: &str, value: &str, base_type: &str) -> String {
    format!(
        "{row}.{column} = {value}::{base_type}",
        column = ident(column),
        value = literal(value)
    )
}

/// What becomes of a stored row.
pub(super) enum Change<'a> {
    /// It goes, and so does a row `c` of the same table for which this is true.
    Goes(&'a str),
    /// It looks like `src` in these columns.
    Looks(&'a [String]),
}

/// True unless the foreign keys of other tables would carry a change of the stored row `t` to rows there,
/// which are not ours to change: then it is refused. `when` says that the row is going to be changed, and
/// is asked first.
pub(super) fn spares(table: &Table, when: &str, change: Change<'_>) -> Option<String> {
    let mut reached = Vec::new();
    for reach in &table.reaches {
        let changes = match change {
            Change::Goes(_) if reach.on_delete => "true".to_owned(),
            Change::Looks(columns) if reach.on_update => {
                let changes = reach.on.iter().filter(|(_, own)| columns.contains(own));
                let changes: Vec<_> = changes
                    .map(|(_, own)| format!("t.{own} is distinct from src.{own}", own = ident(own)))
                    .collect();
                if changes.is_empty() {
                    continue;
                }
                format!("({changes})", changes = changes.join(" or "))
            }
            _ => continue,
        };
        let goes_too = match change {
            Change::Goes(goes_too) => Some(goes_too),
            Change::Looks(_) => None,
        };
        reached.push(format!(
            "when {when} and {changes} and {refers} then tandem.reached({child})",
            refers = refers(table, reach, goes_too),
            child = literal(&reach.child.to_string())
        ));
    }
    (!reached.is_empty())
        .then(|| format!("case {reached} else true end", reached = reached.join(" ")))
}

/// True for a stored row `t` that others refer to: it can't go, or would take them with it. Rows `c` of the same table
/// for which `goes_too` is true don't count. None where no foreign key leads here.
pub(super) fn referred(table: &Table, goes_too: &str) -> Option<String> {
    let referred = table.reaches.iter();
    let referred: Vec<_> = referred
        .map(|reach| refers(table, reach, Some(goes_too)))
        .collect();
    (!referred.is_empty()).then(|| format!("({referred})", referred = referred.join(" or ")))
}

/// True for a stored row `t` to which a row refers by this foreign key.
fn refers(table: &Table, reach: &Reach, goes_too: Option<&str>) -> String {
    let pairs = reach.on.iter();
    let pairs = pairs.map(|(child, own)| {
        format!(
            "c.{child} = t.{own}",
            child = ident(child),
            own = ident(own)
        )
    });
    let pairs: Vec<_> = pairs.collect();
    let but = match goes_too {
        Some(goes_too) if reach.child == table.cloud => format!(" and not ({goes_too})"),
        _ => String::new(),
    };
    let child = qualified(&reach.child);
    format!(
        "exists (select from {child} as c where {pairs}{but})",
        pairs = pairs.join(" and ")
    )
}

/// Both conditions; a table without owner or tenant has none of that kind.
fn both(one: &str, other: &str) -> String {
    match (one, other) {
        ("true", _) => other.to_owned(),
        (_, "true") => one.to_owned(),
        _ => format!("{one} and {other}"),
    }
}
