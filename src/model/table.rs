//! A table as tandem knows it once the settings and both catalogs have agreed.
//!
//! Everything here was checked at the door (`catalog::resolve`): the key exists, every mapped
//! column has a place on both sides. Later stages never check again.

use super::layout::Layout;
use super::{Charset, Knot, Name, Oid, Relation};

/// A table's number in this run. Parents have smaller numbers than the tables that refer to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u16);

/// A column whose value travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arriving {
    /// Its name where it comes from.
    pub name: String,
    /// Its type without modifier, domains resolved, qualified: what a conversion sees.
    pub base_type: String,
}

/// A column that is filled: the cloud's by forward, the desktop's on the way home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name where it is filled.
    pub name: String,
    /// Where its value comes from.
    pub from: Source,
    /// Its type without modifier, domains resolved, qualified: what arriving text is parsed as (P11).
    pub base_type: String,
    /// Its type with modifier where that normalises a value without refusing it (`numeric(8,2)`,
    /// `timestamp(0)`): stored and arriving values are compared in this form. `text` for `char(n)`.
    pub compare_type: String,
    /// Its type with modifier where that can hold less than what is sent (`narrow = "quarantine"`): a
    /// value that would change in it is refused.
    pub narrower: Option<String>,
    /// How arriving text becomes a value of it.
    pub reads: Reads,
    /// Foreign keys for which it becomes NULL where no parent has their values.
    pub parents: Vec<Parent>,
    /// Values that are written differently are different: not so for `numeric` without a scale,
    /// blanks of `char(n)`, `citext`, floats, or the result of a conversion.
    pub exact: bool,
    /// Whether NULL is refused here, so that `=` can join on it.
    pub not_null: bool,
    /// It is set when a row is inserted, and is the cloud's from then on (`cloud_owned`).
    pub cloud_owned: bool,
}

/// How the text of another type becomes a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// The type reads it.
    #[default]
    Plain,
    /// It is read as the first of these types, and made into one after the other: what the sender's type means by a value is not what
    /// it writes.
    Through(String),
    /// The type reads it, and where it can hold less, only what it would write in the same way fits.
    Spelled,
}

/// A foreign key whose rows come without a parent that isn't there (`orphans = "null"`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The parent, in the cloud.
    pub table: Name,
    /// The table's columns and the parent's; where one of them is NULL nobody is referred to.
    pub on: Vec<(String, String)>,
}

/// Where a column's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This one of [`Table::arriving`].
    Arriving(usize),
    /// The same text for every row (`set`, or a tenant value that the desktop doesn't have).
    Constant(String),
    /// SQL over the arriving row, evaluated in the cloud.
    Converted {
        /// The expression; it uses the desktop's names and types.
        sql: String,
        /// The [`Table::arriving`] columns that it uses.
        uses: Vec<usize>,
    },
    /// The value of a parent's column in the cloud: this one of [`Table::lookups`].
    LookedUp(usize),
}

impl Source {
    /// The arriving columns that it is made of.
    pub fn uses(&self) -> &[usize] {
        match self {
            Source::Arriving(index) => std::slice::from_ref(index),
            Source::Converted { uses, .. } => uses,
            Source::Constant(_) | Source::LookedUp(_) => &[],
        }
    }
}

/// A column that follows a parent's column. Both tables are the cloud's.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The parent.
    pub parent: Name,
    /// This table's column, the parent's, and the type of the parent's without modifier.
    pub on: Vec<(String, String, String)>,
    /// The parent's column whose value is taken.
    pub take: String,
    /// Whose rows of the parent count.
    pub owner: Option<Owner>,
    /// Of which tenant.
    pub tenant: Tenant,
}

/// What names a row on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// These columns, as indices into [`Table::columns`].
    Columns(Vec<usize>),
    /// The whole mapped row; equal rows are counted (`key = []`).
    #[default]
    Multiset,
}

/// How a cloud row says who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The column.
    pub column: String,
    /// Its type in the cloud, without modifier.
    pub base_type: String,
    /// The value of rows that forward writes.
    pub desktop: String,
    /// The value of rows that came from a phone.
    pub mobile: String,
}

/// Which rows of a cloud table belong to this tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenant {
    /// Columns that hold the tenant's values; all rows where there are none.
    pub columns: Vec<TenantColumn>,
    /// Rows whose parent belongs to the tenant.
    pub via: Option<Box<Via>>,
}

/// A tenant that is found in a parent table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// The parent, in the cloud.
    pub parent: Name,
    /// This table's column and the parent's; the latter name one row of the parent.
    pub on: Vec<(String, String)>,
    /// The parent's own tenant.
    pub tenant: Tenant,
}

/// A foreign key of a cloud table to this one, whose action may change that table when a row of this one goes (P4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The table that refers to this one.
    pub child: Name,
    /// Its columns, and those of this table that they refer to.
    pub on: Vec<(String, String)>,
    /// A delete here changes rows there.
    pub on_delete: bool,
    /// A change of the referred columns here changes rows there.
    pub on_update: bool,
}

/// A table that is replicated.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Its number in this run.
    pub id: TableId,
    /// `name` in the settings: the word for it in documents and metrics.
    pub name: String,
    /// Its name on the desktop.
    pub desktop: Name,
    /// Its identifier there: another one means another table.
    pub desktop_oid: Oid,
    /// Its partitions there, if it is partitioned: name and identifier of each that holds rows.
    pub leaves: Option<Vec<(Name, Oid)>>,
    /// Its name in the cloud.
    pub cloud: Name,
    /// The desktop's columns that travel.
    pub arriving: Vec<Arriving>,
    /// The columns that forward writes.
    pub columns: Vec<Column>,
    /// Columns that follow a parent's.
    pub lookups: Vec<Lookup>,
    /// What names a row.
    pub key: Key,
    /// How the cloud's rows say who made them; none: all rows are the desktop's.
    pub owner: Option<Owner>,
    /// Columns of the desktop's that don't travel, as far as they were there when both sides agreed.
    pub left_out: Vec<String>,
    /// Columns that both sides compute: they are compared, and nobody writes them. What the desktop says is numbered behind
    /// [`Table::arriving`].
    pub computed: Vec<(Arriving, Column)>,
    /// The desktop computes columns that it can send.
    pub generates: bool,
    /// The owner column's name on the desktop, where it has one.
    pub desktop_owner: Option<String>,
    /// What every statement is limited to.
    pub tenant: Tenant,
    /// Foreign keys to this table.
    pub reaches: Vec<Reach>,
    /// The cloud's policies confine us to our tenant's rows of it.
    pub confined: bool,
    /// A unique index of the cloud finds a row by its key, unless one of its columns is NULL.
    pub indexed: bool,
    /// A column of the key is `GENERATED ALWAYS AS IDENTITY` in the cloud: it takes a value in an insert that insists, and in no
    /// update.
    pub fixed_key: bool,
    /// The cloud's table has a foreign key to itself.
    pub refers_to_itself: bool,
    /// Its rows may have to wait for one another, or for rows of other tables that wait for them.
    pub knot: Option<Knot>,
    /// Other tables look columns up in this one, so the whole old row has to be known.
    pub is_looked_up: bool,
    /// Columns that are the cloud's own come home: a change of them on the desktop is undone.
    pub returns: bool,
    /// A desktop change of a row that came from the phone is written; else it is noted.
    pub changes_mobile: bool,
    /// A row that something in the cloud keeps out without an error is ruled out; else it waits in quarantine.
    pub lets_keep_out: bool,
    /// The phone's rows come home, so whole old rows have to be known.
    pub both_ways: bool,
    /// Its changes stream; else only swaps bring them.
    pub stream: bool,
    /// The largest share of the owned rows that a batch may delete.
    pub max_shrink: f64,
    /// What the desktop's bytes mean, where its database doesn't speak UTF-8.
    pub charset: Option<Charset>,
    /// A hash over key and mapping, to notice a change between two runs.
    pub fingerprint: String,
}

/// One column of the tenant's predicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantColumn {
    /// The cloud column.
    pub cloud: String,
    /// Its type without modifier.
    pub base_type: String,
    /// The tenant's value.
    pub value: String,
    /// The desktop column mapped to it, if there is one.
    pub desktop: Option<String>,
}

impl Table {
    /// Rows of both tables may have to wait for one another.
    pub fn is_tied_to(&self, other: &Table) -> bool {
        let circles = self.knot.as_ref().zip(other.knot.as_ref());
        circles.is_some_and(|(one, other)| one.circle == other.circle)
    }

    /// Columns of the desktop's that are NULL where a parent isn't there; what they say is remembered.
    pub fn orphaned(&self) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        columns
            .filter(|(_, column)| !column.parents.is_empty() && !column.cloud_owned)
            .map(|(at, _)| at)
            .collect()
    }

    /// Whether keys that are written differently name different rows.
    pub fn has_exact_key(&self) -> bool {
        match &self.key {
            Key::Multiset => true,
            Key::Columns(columns) => columns.iter().all(|column| self.columns[*column].exact),
        }
    }

    /// The arriving columns that the key is made of. A constant is equal in all rows: it names nothing.
    pub fn key_arriving(&self) -> Vec<usize> {
        let Key::Columns(columns) = &self.key else {
            return Vec::new();
        };
        let mut arriving: Vec<usize> = Vec::new();
        for index in columns.iter().flat_map(|at| self.columns[*at].from.uses()) {
            if !arriving.contains(index) {
                arriving.push(*index);
            }
        }
        arriving
    }

    /// The arriving columns by which a row is told from others: the key's, or, in a table without one, all but those
    /// that only columns of the cloud's own are made of.
    pub fn naming(&self) -> Vec<usize> {
        if self.key != Key::Multiset {
            return self.key_arriving();
        }
        let only_owned = |index: &usize| {
            let mut used = self
                .columns
                .iter()
                .filter(|column| column.from.uses().contains(index));
            let mut any = false;
            used.all(|column| {
                any = true;
                column.cloud_owned
            }) && any
        };
        (0..self.arriving.len())
            .filter(|index| !only_owned(index))
            .collect()
    }

    /// The arriving columns of which columns of the cloud's own are made, where these come home.
    fn own(&self) -> Vec<usize> {
        let owned = { self.columns.iter() }.filter(|column| column.cloud_owned && self.returns);
        let mut own: Vec<usize> = owned
            .flat_map(|column| column.from.uses())
            .copied()
            .collect();
        own.sort_unstable();
        own.dedup();
        own
    }

    /// The cloud names of the key's columns; none for a multiset.
    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        let columns: &[usize] = match &self.key {
            Key::Columns(columns) => columns,
            Key::Multiset => &[],
        };
        columns.iter().map(|at| self.columns[*at].name.as_str())
    }

    /// Binds the mapping to the columns of a RELATION message.
    ///
    /// # Errors
    /// What doesn't fit any more: a mapped column is gone, or there is one that nobody has said anything about.
    pub fn layout(&self, relation: &Relation) -> Result<Layout, String> {
        let find = |name: &str| {
            let at = relation
                .columns
                .iter()
                .position(|column| column.name == name);
            at.ok_or_else(|| {
                format!("column {name} no longer comes from the desktop: it is gone from the table, or the publication leaves it out; the settings still map it")
            })
        };
        let known = |name: &String| {
            self.left_out.contains(name) || self.arriving.iter().any(|column| column.name == *name)
        };
        let new = { relation.columns.iter() }.find(|column| !known(&column.name));
        if let Some(new) = new {
            return Err(format!(
                "column {} is new on the desktop, and nothing says where it goes; add it in the cloud, or name it in skip and restart",
                new.name
            ));
        }
        let mut slots = vec![None; relation.columns.len()];
        let mut attributes = Vec::with_capacity(self.arriving.len());
        for (index, column) in self.arriving.iter().enumerate() {
            let at = find(&column.name)?;
            slots[at] = Some(index as u16);
            attributes.push(at);
        }
        let owner = self.desktop_owner.as_deref().map(find).transpose()?;
        let mut tenant = Vec::new();
        for column in &self.tenant.columns {
            if let Some(name) = &column.desktop {
                tenant.push((find(name)?, column.value.clone()));
            }
        }
        let mobile = self.owner.as_ref().map(|owner| owner.mobile.clone());
        let owned = self.own().into_iter().map(|index| attributes[index]);
        let owned = owned.collect();
        let key = self
            .key_arriving()
            .into_iter()
            .map(|index| attributes[index]);
        let naming = self.naming().into_iter();
        Ok(Layout {
            naming: naming.map(|index| attributes[index]).collect(),
            key: key.collect(),
            slots,
            attributes,
            owner,
            mobile: mobile.unwrap_or_default(),
            tenant,
            owned,
        })
    }

    /// Desktop columns that an old row must carry; none when it must carry all.
    pub fn identity(&self) -> Option<Vec<&str>> {
        let whole = self.is_looked_up || self.returns || self.both_ways || self.fixed_key;
        if self.key == Key::Multiset || whole {
            return None;
        }
        let key = self.key_arriving().into_iter();
        let names = key.map(|index| self.arriving[index].name.as_str());
        // Whose the old row was has to be known too.
        let tenant = self.tenant.columns.iter();
        let tenant = tenant.filter_map(|column| column.desktop.as_deref());
        Some(
            names
                .chain(tenant)
                .chain(self.desktop_owner.as_deref())
                .collect(),
        )
    }

    /// The layout of a row that holds exactly [`Table::arriving`], in that order, and is ours.
    pub fn own_layout(&self) -> Layout {
        let count = self.arriving.len();
        Layout {
            slots: (0..count).map(|index| Some(index as u16)).collect(),
            attributes: (0..count).collect(),
            key: self.key_arriving(),
            naming: self.naming(),
            owner: None,
            mobile: String::new(),
            tenant: Vec::new(),
            owned: self.own(),
        }
    }
}
