//! A table as tandem knows it once the settings and both catalogs have agreed.
//!
//! Everything here was checked at the door (`catalog::resolve`): the key exists, every mapped
//! column has a place on both sides. Later stages never check again.

use std::collections::HashMap;
use std::fmt;

use super::{Cell, Oid, Relation, Tuple};

/// A table's number in this run. Parents have smaller numbers than the tables that refer to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u16);

/// A schema-qualified name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The schema.
    pub schema: String,
    /// The table in it.
    pub relation: String,
}

impl fmt::Display for Name {
    /// As people write it: without the schema when that is `public`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.schema.as_str() {
            "public" => f.write_str(&self.relation),
            schema => write!(f, "{schema}.{}", self.relation),
        }
    }
}

/// A cloud column that forward fills.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name in the cloud.
    pub cloud: String,
    /// Where its value comes from.
    pub from: Source,
    /// Its type without modifier, domains resolved, qualified: what arriving text is parsed as (P11).
    pub base_type: String,
    /// Its type with modifier where that normalises a value without refusing it (`numeric(8,2)`,
    /// `timestamp(0)`): stored and arriving values are compared in this form. `text` for `char(n)`.
    pub compare_type: String,
    /// Values that are written differently are different: not so for `numeric` without a scale,
    /// blanks of `char(n)`, `citext`, or floats.
    pub exact: bool,
    /// Whether the cloud refuses NULL here, so that `=` can join on it.
    pub not_null: bool,
}

/// Where a column's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The desktop column of this name.
    Desktop(String),
    /// The same text for every row (`set`, or a tenant value that the desktop doesn't have).
    Constant(String),
}

/// What names a row on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// These columns, as indices into [`Table::columns`].
    Columns(Vec<usize>),
    /// The whole mapped row; equal rows are counted (`key = []`).
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

/// A table that is replicated.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its number in this run.
    pub id: TableId,
    /// `name` in the settings: the word for it in documents and metrics.
    pub name: String,
    /// Its name on the desktop.
    pub desktop: Name,
    /// Its identifier there: another one means another table.
    pub desktop_oid: Oid,
    /// Its name in the cloud.
    pub cloud: Name,
    /// The columns that forward writes; those from the desktop come first.
    pub columns: Vec<Column>,
    /// What names a row.
    pub key: Key,
    /// How the cloud's rows say who made them; none: all rows are the desktop's.
    pub owner: Option<Owner>,
    /// The owner column's name on the desktop, where it has one.
    pub desktop_owner: Option<String>,
    /// Cloud columns (name, type, value) that every statement is limited to.
    pub tenant: Vec<TenantColumn>,
    /// The cloud's table has a foreign key to itself.
    pub refers_to_itself: bool,
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
    /// Whether keys that are written differently name different rows.
    pub fn has_exact_key(&self) -> bool {
        match &self.key {
            Key::Multiset => true,
            Key::Columns(columns) => columns.iter().all(|column| self.columns[*column].exact),
        }
    }

    /// How many of [`Table::columns`] come from the desktop.
    pub fn arriving(&self) -> usize {
        self.columns
            .iter()
            .filter(|column| matches!(column.from, Source::Desktop(_)))
            .count()
    }

    /// Binds the mapping to the columns of a RELATION message.
    ///
    /// # Errors
    /// The name of a mapped column that the desktop's table no longer has.
    pub fn layout(&self, relation: &Relation) -> Result<Layout, String> {
        let attribute = |name: &str| {
            relation
                .columns
                .iter()
                .position(|column| column.name == name)
        };
        let mut slots = vec![None; relation.columns.len()];
        let mut attributes = Vec::with_capacity(self.columns.len());
        for (index, column) in self.columns.iter().enumerate() {
            if let Source::Desktop(name) = &column.from {
                let at = attribute(name).ok_or_else(|| name.clone())?;
                slots[at] = Some(index as u16);
                attributes.push(at);
            }
        }
        let owner = self
            .desktop_owner
            .as_deref()
            .map(|name| attribute(name).ok_or_else(|| name.to_owned()));
        let mut tenant = Vec::new();
        for column in &self.tenant {
            if let Some(name) = &column.desktop {
                tenant.push((
                    attribute(name).ok_or_else(|| name.clone())?,
                    column.value.clone(),
                ));
            }
        }
        let mobile = self
            .owner
            .as_ref()
            .map(|owner| owner.mobile.clone())
            .unwrap_or_default();
        Ok(Layout {
            slots,
            attributes,
            owner: owner.transpose()?,
            mobile,
            tenant,
        })
    }
}

/// Where a table's mapped columns stand in the tuples of one RELATION message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// For each attribute of the tuple: the column it fills.
    pub slots: Vec<Option<u16>>,
    /// For each arriving column: its attribute.
    attributes: Vec<usize>,
    owner: Option<usize>,
    mobile: String,
    tenant: Vec<(usize, String)>,
}

impl Layout {
    /// The attribute that fills arriving column `column`.
    pub fn attribute(&self, column: usize) -> Option<usize> {
        self.attributes.get(column).copied()
    }

    /// Whether a row is ours to send: it didn't come from a phone and belongs to the tenant.
    pub fn admits(&self, tuple: &Tuple) -> bool {
        let is =
            |at: usize, value: &str| tuple.cells().nth(at) == Some(Cell::Text(value.as_bytes()));
        if self.owner.is_some_and(|at| is(at, &self.mobile)) {
            return false;
        }
        self.tenant.iter().all(|(at, value)| is(*at, value))
    }
}

/// All tables of this run, parents first.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    list: Vec<Table>,
    by_desktop: HashMap<Name, TableId>,
}

impl Tables {
    /// Numbers the tables in the given order.
    pub fn new(mut list: Vec<Table>) -> Self {
        for (number, table) in list.iter_mut().enumerate() {
            table.id = TableId(number as u16);
        }
        let by_desktop = list
            .iter()
            .map(|table| (table.desktop.clone(), table.id))
            .collect();
        Tables { list, by_desktop }
    }

    /// The table with this number.
    pub fn get(&self, id: TableId) -> &Table {
        &self.list[usize::from(id.0)]
    }

    /// The table of a RELATION message.
    pub fn of(&self, relation: &Relation) -> Option<&Table> {
        let name = Name {
            schema: relation.schema.clone(),
            relation: relation.name.clone(),
        };
        self.by_desktop.get(&name).map(|id| self.get(*id))
    }

    /// The table with this identifier on the desktop, whatever its name is now.
    pub fn with_oid(&self, oid: Oid) -> Option<&Table> {
        self.list.iter().find(|table| table.desktop_oid == oid)
    }

    /// All of them, parents first.
    pub fn iter(&self) -> std::slice::Iter<'_, Table> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
