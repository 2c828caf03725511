//! Which of a table's columns tie its rows to others, and what loosens them. Pure.

use super::super::bond::Unique;
use super::super::order::Tie;
use super::super::relation::RelationFacts;
use crate::model::{Column, Key, Knot, ReverseTable, Source, Table};

/// What has to be written before a table, by its foreign keys and otherwise: by lookups, and by what names its tenant.
pub fn ties(table: &Table, cloud: &RelationFacts, otherwise: impl Iterator<Item = u32>) -> Tie {
    let receiver = Receiver::cloud(table, cloud);
    let foreigns = cloud.bonds.foreigns.iter().map(|foreign| {
        let loose = receiver.loose(&foreign.columns, foreign.full);
        (foreign.parent, !foreign.deferrable && loose.is_empty())
    });
    Tie {
        oid: cloud.oid,
        parents: foreigns.chain(otherwise.map(|oid| (oid, true))).collect(),
    }
}

/// What ties a table's rows to each other, and to those of the tables in its circle. None where each row can be written
/// for itself.
pub fn knot(table: &Table, cloud: &RelationFacts, circle: (usize, &[u32])) -> Option<Knot> {
    Receiver::cloud(table, cloud).knot(circle)
}

/// The same of the desktop's rows, on the way home.
pub(super) fn reverse_knot(reverse: &ReverseTable, desktop: &RelationFacts) -> Option<Knot> {
    let receiver = Receiver {
        facts: desktop,
        columns: &reverse.columns,
        key: { reverse.key.iter() }
            .map(|at| reverse.columns[*at].name.as_str())
            .collect(),
        counted: reverse.counted || !reverse.rows,
        owner: reverse
            .desktop_owner
            .as_ref()
            .map(|(name, _)| name.as_str()),
        tenant: Vec::new(),
    };
    receiver.knot((0, &[desktop.oid]))
}

/// A table that is written.
struct Receiver<'a> {
    facts: &'a RelationFacts,
    columns: &'a [Column],
    key: Vec<&'a str>,
    /// No key names a row.
    counted: bool,
    owner: Option<&'a str>,
    /// Columns that say whose a row is.
    tenant: Vec<&'a str>,
}

impl<'a> Receiver<'a> {
    fn cloud(table: &'a Table, facts: &'a RelationFacts) -> Receiver<'a> {
        let own = { table.tenant.columns.iter() }.map(|column| column.cloud.as_str());
        let via = table.tenant.via.iter().flat_map(|via| &via.on);
        Receiver {
            facts,
            columns: &table.columns,
            key: table.key_names().collect(),
            counted: table.key == Key::Multiset,
            owner: table.owner.as_ref().map(|owner| owner.column.as_str()),
            tenant: own.chain(via.map(|(own, _)| own.as_str())).collect(),
        }
    }

    fn knot(&self, (number, members): (usize, &[u32])) -> Option<Knot> {
        let bonds = &self.facts.bonds;
        let mut any = bonds.foreigns.iter().any(|foreign| foreign.deferrable);
        let (mut loose, mut stiff) = (Vec::new(), Vec::new());
        for foreign in &bonds.foreigns {
            if members.contains(&foreign.parent) {
                any = true;
                loose.extend(self.loose(&foreign.columns, foreign.full));
            }
        }
        let names_more = |unique: &&Unique| {
            // Another key is another row for a unique constraint, but may overlap it for one that excludes.
            unique.deferrable
                || unique.excludes
                || !unique
                    .columns
                    .iter()
                    .all(|name| self.key.contains(&name.as_str()))
        };
        for unique in bonds.uniques.iter().filter(names_more) {
            any = true;
            let columns = match unique.nulls_equal {
                true => Vec::new(),
                false => self.loose(&unique.columns, false),
            };
            if columns.is_empty() {
                stiff.extend({ unique.columns.iter() }.filter_map(|name| self.free(name)));
            }
            loose.extend(columns);
        }
        for list in [&mut loose, &mut stiff] {
            list.sort_unstable();
            list.dedup();
        }
        any.then(|| Knot {
            circle: number,
            loose,
            stiff,
            rooted: self.rooted(),
        })
    }

    /// The number of a column that we fill and that names no row.
    fn free(&self, name: &str) -> Option<usize> {
        let at = self.columns.iter().position(|column| column.name == name);
        at.filter(|_| !self.key.contains(&name))
    }

    /// Columns of a constraint that may be NULL for a moment: the first, or all where it takes all. They are ours to change,
    /// name no row, and nobody refers to them.
    fn loose(&self, names: &[String], all: bool) -> Vec<usize> {
        let is_loose = |at: &usize| {
            let column = &self.columns[*at];
            let mut referred = self.facts.reaches.iter().flat_map(|reach| &reach.on);
            !column.not_null
                && !column.cloud_owned
                && !matches!(column.from, Source::LookedUp(_))
                && !self.counted
                && !self.tenant.contains(&column.name.as_str())
                && !referred.any(|(_, own)| *own == column.name)
        };
        let free = names.iter().filter_map(|name| self.free(name));
        let mut loose: Vec<_> = free.filter(is_loose).collect();
        match all {
            true if loose.len() < names.len() => loose.clear(),
            true => {}
            false => loose.truncate(1),
        }
        loose
    }

    /// Why a row can't be deleted and inserted anew: somebody else would lose something by it.
    fn rooted(&self) -> Option<String> {
        if self.counted {
            return Some("no key names it".to_owned());
        }
        if let Some(reach) = self.facts.reaches.first() {
            return Some(format!("rows of {} may refer to it", reach.child));
        }
        if let Some(column) = self.columns.iter().find(|column| column.cloud_owned) {
            return Some(format!("its {} is the cloud's own", column.name));
        }
        let filled = |name: &str| {
            self.owner == Some(name) || self.columns.iter().any(|column| column.name == name)
        };
        let left =
            { self.facts.columns.iter() }.find(|column| !column.computed && !filled(&column.name));
        if let Some(column) = left {
            return Some(format!(
                "its {name} doesn't come from the other side",
                name = column.name
            ));
        }
        let triggers = "triggers or rules of the table would run for it";
        self.facts.bonds.triggers.then(|| triggers.to_owned())
    }
}
