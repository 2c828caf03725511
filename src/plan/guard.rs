//! Whose rows a statement may touch (P4). Every statement on a user's table is made from a
//! [`Guard`], and a guard can only be made from a table: there is no way to leave it out.

use super::quote::{ident, literal};
use crate::model::Table;

/// The predicates that limit a statement to a replicator's own rows.
pub struct Guard {
    tenant: String,
    owned: String,
    deletable: String,
}

impl Guard {
    /// The guard of a table whose cloud row is called `t`.
    pub fn of(table: &Table) -> Guard {
        let tenant: Vec<_> = table
            .tenant
            .iter()
            .map(|column| {
                format!(
                    "t.{} = {}::{}",
                    ident(&column.cloud),
                    literal(&column.value),
                    column.base_type
                )
            })
            .collect();
        let tenant = if tenant.is_empty() {
            "true".to_owned()
        } else {
            tenant.join(" and ")
        };
        let (owned, deletable) = match &table.owner {
            None => ("true".to_owned(), "true".to_owned()),
            Some(owner) => {
                let column = ident(&owner.column);
                let ours = format!(
                    "t.{column} = {}::{}",
                    literal(&owner.desktop),
                    owner.base_type
                );
                (format!("({ours} or t.{column} is null)"), ours)
            }
        };
        Guard {
            tenant,
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
