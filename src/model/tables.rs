//! All tables of a run.

use std::collections::{BTreeSet, HashMap};

use super::name::Name;
use super::table::{Column, Source, Table, TableId};
use super::{Oid, ReverseTable};

/// A table that no longer fits the settings or the other side (P8: it stops alone).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaMismatch {
    /// Its name in the settings.
    pub name: String,
    /// The desktop's table.
    pub desktop: Name,
    /// What doesn't fit, and what would mend it.
    pub why: String,
}

/// All tables of this run: those that forward sends, parents first, and what comes home.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    list: Vec<Table>,
    reverse_tables: Vec<ReverseTable>,
    misfits: Vec<SchemaMismatch>,
    by_desktop: HashMap<Name, TableId>,
    by_oid: HashMap<Oid, TableId>,
}

impl Tables {
    /// Numbers the tables in the given order.
    pub fn new(mut list: Vec<Table>) -> Self {
        let (mut by_desktop, mut by_oid) = (HashMap::new(), HashMap::new());
        for (number, table) in list.iter_mut().enumerate() {
            table.id = TableId(number as u16);
            by_desktop.insert(table.desktop.clone(), table.id);
            let leaves = table.leaves.iter().flatten().map(|(_, oid)| *oid);
            for oid in leaves.chain([table.desktop_oid]) {
                by_oid.insert(oid, table.id);
            }
        }
        Tables {
            list,
            reverse_tables: Vec::new(),
            misfits: Vec::new(),
            by_desktop,
            by_oid,
        }
    }

    /// With what comes home.
    #[must_use]
    pub fn with_reverse_tables(self, reverse_tables: Vec<ReverseTable>) -> Self {
        Tables {
            reverse_tables,
            ..self
        }
    }

    /// With those that no longer fit, and stand still until they do.
    #[must_use]
    pub fn with_misfits(self, misfits: Vec<SchemaMismatch>) -> Self {
        Tables { misfits, ..self }
    }

    /// Tables of the settings that were served before and no longer fit.
    pub fn misfits(&self) -> &[SchemaMismatch] {
        &self.misfits
    }

    /// What comes home, table by table.
    pub fn reverse_tables(&self) -> &[ReverseTable] {
        &self.reverse_tables
    }

    /// The way home of the table of this name in the settings.
    pub fn reverse_table(&self, name: &str) -> Option<&ReverseTable> {
        self.reverse_tables
            .iter()
            .find(|reverse| reverse.name == name)
    }

    /// Policies of the cloud confine us to our tenant's rows.
    pub fn are_confined(&self) -> bool {
        self.list.iter().any(|table| table.confined)
            || self.reverse_tables.iter().any(|reverse| reverse.confined)
    }

    /// The names of all tables, whichever way they go or would if they fitted.
    pub fn names(&self) -> BTreeSet<&str> {
        let forward = self.list.iter().map(|table| table.name.as_str());
        let reverse = self
            .reverse_tables
            .iter()
            .map(|reverse| reverse.name.as_str());
        let misfits = self.misfits.iter().map(|misfit| misfit.name.as_str());
        forward.chain(reverse).chain(misfits).collect()
    }

    /// The table with this number.
    pub fn get(&self, id: TableId) -> &Table {
        &self.list[usize::from(id.0)]
    }

    /// The table of this name on the desktop.
    pub fn named(&self, schema: &str, relation: &str) -> Option<&Table> {
        let name = Name {
            schema: schema.to_owned(),
            relation: relation.to_owned(),
        };
        self.by_desktop.get(&name).map(|id| self.get(*id))
    }

    /// The table with this identifier on the desktop, or with a partition that has it, whatever its name is now.
    pub fn with_oid(&self, oid: Oid) -> Option<&Table> {
        self.by_oid.get(&oid).map(|id| self.get(*id))
    }

    /// Tables whose rows are written without their parent in this one until it comes.
    pub fn orphaned_by<'a>(&'a self, parent: &'a Table) -> impl Iterator<Item = &'a Table> {
        let refers = |column: &Column| {
            let mut parents = column.parents.iter();
            !column.cloud_owned && parents.any(|of| of.table == parent.cloud)
        };
        let children = self.list.iter();
        children.filter(move |table| table.columns.iter().any(refers))
    }

    /// Tables with a column that follows one of this table's, with the number of the lookup.
    pub fn lookups_in<'a>(&'a self, parent: &'a Table) -> impl Iterator<Item = (&'a Table, usize)> {
        self.list.iter().flat_map(move |table| {
            let lookups = table.lookups.iter().enumerate();
            lookups
                .filter(move |(at, lookup)| {
                    let owned = |column: &Column| {
                        column.cloud_owned && column.from == Source::LookedUp(*at)
                    };
                    lookup.parent == parent.cloud && !table.columns.iter().any(owned)
                })
                .map(move |(at, _)| (table, at))
        })
    }

    /// All that forward sends, parents first.
    pub fn iter(&self) -> std::slice::Iter<'_, Table> {
        self.list.iter()
    }

    /// How many forward sends.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether forward sends none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
