//! A table's settings as they count: what travels, where to, and under which names.

use std::time::Duration;

use crate::model::Name;

/// One table of the desktop and its counterpart.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The name as written; it stands for the table in commands, documents and metrics.
    pub name: String,
    /// The desktop's schema; `public` where none is written.
    pub schema: String,
    /// The desktop's table.
    pub relation: String,
    /// The table in the cloud.
    pub cloud: CloudTable,
    /// Which ways rows travel.
    pub flow: Flow,
    /// The cloud columns that name a row. None: the cloud's primary key. Empty: the whole mapped row, as a multiset.
    pub key: Option<Vec<String>>,
    /// Whether changes stream; else only swaps bring them.
    pub stream: bool,
    /// Time between two swaps; none is off.
    pub swap: Option<Duration>,
    /// The largest share of the owned rows that a batch or a new copy may delete at once; 1 allows all.
    pub max_shrink: f64,
    /// What the tenant means for this table.
    pub tenant: TenantRule,
    /// Desktop columns that don't travel, besides those of [`super::Forward::skip`].
    pub skip: Vec<String>,
    /// Desktop column and its cloud name, in the file's order.
    pub rename: Vec<(String, String)>,
    /// Cloud column and the constant it gets, as text, in the file's order.
    pub set: Vec<(String, String)>,
    /// Cloud columns that are looked up in another table.
    pub lookup: Vec<Lookup>,
    /// Cloud column and SQL over the arriving row.
    pub convert: Vec<(String, String)>,
    /// What happens to a column that can hold less than the sending one.
    pub narrow: Narrow,
    /// Columns that forward sets on insert only; changes of them in the cloud come home.
    pub cloud_owned: Vec<String>,
    /// What happens to a row without its parent.
    pub orphans: Orphans,
    /// What a desktop change of a mobile row does.
    pub on_mobile_row: OnMobileRow,
    /// What becomes of a row that the receiving side keeps out without an error.
    pub kept_out: KeptOut,
    /// The way home.
    pub reverse: TableReverse,
    /// The line of its `name`, for the messages of later checks.
    pub line: usize,
}

impl Table {
    /// Its name on the desktop.
    pub fn desktop_name(&self) -> Name {
        Name {
            schema: self.schema.clone(),
            relation: self.relation.clone(),
        }
    }

    /// Its name in the cloud.
    pub fn cloud_name(&self) -> Name {
        Name {
            schema: self.cloud.schema.clone(),
            relation: self.cloud.relation.clone(),
        }
    }
}

/// A table in the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudTable {
    /// Its schema; `public` where none is written.
    pub schema: String,
    /// Its name.
    pub relation: String,
}

/// Which ways rows travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Desktop to cloud.
    Forward,
    /// Cloud to desktop.
    Reverse,
    /// Both.
    Both,
}

/// What `[tenant]` means for a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantRule {
    /// The table has the tenant's columns.
    Inherit,
    /// The table has no tenant and isn't shared.
    None,
    /// The tenant is found in a parent table, by cloud column and the parent's column.
    Via {
        /// The parent, a cloud table.
        parent: String,
        /// This table's column and the parent's.
        on: Vec<(String, String)>,
    },
}

/// A cloud column that is looked up in a parent table; all names are the cloud's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The column that is filled.
    pub column: String,
    /// The table that is asked.
    pub from: String,
    /// This table's column and the parent's.
    pub on: Vec<(String, String)>,
    /// The parent's column whose value is taken.
    pub take: String,
}

/// What happens when a receiving column can hold less than the sending one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Narrow {
    /// The table isn't started.
    Refuse,
    /// Rows that don't fit are put aside.
    Quarantine,
}

/// What happens to a row whose foreign key has no parent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    /// It is put aside.
    Quarantine,
    /// Its foreign key becomes NULL.
    Null,
}

/// What a desktop change of a row that came from the phone does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMobileRow {
    /// Nothing; it is counted.
    Keep,
    /// It is applied.
    Apply,
}

/// What becomes of a row that a trigger, a rule or row security of the receiving side keeps out without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptOut {
    /// It waits in quarantine.
    Quarantine,
    /// That is wanted: it is counted as ruled out.
    RuleOut,
}

/// The way home of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReverse {
    /// Desktop column and SQL over the cloud row.
    pub convert: Vec<(String, String)>,
    /// Cloud columns that don't come home.
    pub skip: Vec<String>,
    /// What happens where the desktop row isn't what tandem last wrote.
    pub on_conflict: OnConflict,
    /// Whether deletes come home.
    pub deletes: bool,
}

/// What happens to a desktop row that both sides changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// The phone's version wins.
    Update,
    /// The desktop's version stays.
    Keep,
}
