//! The way home of a table, once the settings and both catalogs have agreed: what the desktop takes from the cloud.

use super::{Arriving, Charset, Column, Knot, Name, Owner, Tenant};

/// A table of which something comes home.
#[derive(Clone, Debug)]
pub struct ReverseTable {
    /// `name` in the settings.
    pub name: String,
    /// The desktop's table, which is written.
    pub desktop: Name,
    /// The desktop's table is partitioned: its rows are its partitions'.
    pub partitioned: bool,
    /// The cloud's table, which is read.
    pub cloud: Name,
    /// The cloud's policies may hide rows of it from us.
    pub confined: bool,
    /// Rows of it go without an entry: by what the desktop does to the phone's rows, or by what their parents' tenant becomes.
    pub vanishes: bool,
    /// The cloud's columns that travel.
    pub arriving: Vec<Arriving>,
    /// The desktop's columns that they fill.
    pub columns: Vec<Column>,
    /// What an outbox entry names a row by: these of [`ReverseTable::arriving`]. NULL may stand in those that are not marked.
    pub names: Vec<Named>,
    /// The desktop's columns that name a row there: these of [`ReverseTable::columns`].
    pub key: Vec<usize>,
    /// An index of the desktop's finds a row by its key.
    pub indexed: bool,
    /// No key names a row: equal rows are counted.
    pub counted: bool,
    /// The phone's rows come home.
    pub rows: bool,
    /// Columns that are the cloud's own on any row: these of [`ReverseTable::columns`].
    pub owned: Vec<usize>,
    /// How the cloud's rows say who made them.
    pub owner: Option<Owner>,
    /// The desktop's column for that, and its type without modifier.
    pub desktop_owner: Option<(String, String)>,
    /// Whose rows they are in the cloud.
    pub tenant: Tenant,
    /// Where both sides changed a row, the desktop's version stays.
    pub keeps_desktop: bool,
    /// What the phone deletes is deleted on the desktop.
    pub deletes: bool,
    /// A row that something on the desktop keeps out without an error is ruled out; else it waits in quarantine.
    pub lets_keep_out: bool,
    /// Forward reads the table too, and would take what is written here for the desktop's own.
    pub streams: bool,
    /// What the desktop's bytes mean, where its database doesn't speak UTF-8.
    pub charset: Option<Charset>,
    /// Rows on the desktop may have to wait for one another.
    pub knot: Option<Knot>,
    /// A hash over all this, to notice a change between two runs.
    pub fingerprint: String,
}

/// A column of an outbox entry's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// This one of [`ReverseTable::arriving`].
    pub arriving: usize,
    /// The cloud refuses NULL there.
    pub not_null: bool,
}

impl ReverseTable {
    /// Whether one of the desktop's columns is part of the key.
    pub fn is_key(&self, column: usize) -> bool {
        self.key.contains(&column)
    }
}
