//! Both sides' rows as hashes, in the types of the side that receives them: by ranges, so that little crosses the network, then
//! row by row where a range differs. Pure.

mod abroad;
mod beside;
mod look;
mod sieve;

pub use abroad::Abroad;
pub use beside::{differing_in, following, looked_up, owned, queueing};
pub use look::{Look, Reading};
pub use sieve::{InRanges, RangeSum, Sieve, Stretch, owned_rows};

use super::desktop_rows::{admitted, from};
use super::digest::compared;
use super::guard::Guard;
use super::quote::{ident, literal, table as qualified};
use super::reverse::{phones_in_cloud, phones_on_desktop};
use super::source::{held, key, sent};
use crate::model::{Arriving, Column, Key, ReverseTable, Source, Table};

/// What is compared of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// The desktop's rows, as they go out.
    Out,
    /// The phone's rows, as they come home.
    ReverseTable,
    /// Columns of the cloud's own on the desktop's rows, as they come home.
    Owned,
    /// Columns that follow a parent's; both looks are the cloud's.
    LookedUp,
}

/// What is compared of a table in one direction.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The table's name in the settings.
    pub table: String,
    /// What it is.
    pub sort: Sort,
    /// Rows are named by a key; else equal rows are counted.
    pub keyed: bool,
    /// A row that only the receiver has is one too many.
    pub extras: bool,
    /// The desktop's rows.
    pub desktop: Look,
    /// The cloud's rows.
    pub cloud: Look,
    /// The names of the key's columns.
    pub key: Vec<String>,
    /// Those of them that are sent: others are the settings' own, and stand in no parked row.
    pub sent: Vec<bool>,
    /// The names of the columns that are compared, where rows that only one side has don't count.
    pub columns: Vec<String>,
    /// How the sender's rows are looked at where it can't make of them what the receiver would.
    pub abroad: Option<Abroad>,
}

impl Comparison {
    /// The desktop is the side that receives.
    pub fn homeward(&self) -> bool {
        matches!(self.sort, Sort::ReverseTable | Sort::Owned)
    }

    /// Only rows that both sides have count: others are another comparison's.
    pub fn shared(&self) -> bool {
        matches!(self.sort, Sort::Owned | Sort::LookedUp)
    }
}

/// A table on its way out: its owned, mapped rows; not what is looked up in the cloud or its own.
pub fn outward(table: &Table) -> Comparison {
    let columns = beside_computed(table);
    let computed = table.computed.iter().map(|(arriving, _)| arriving);
    let arriving: Vec<_> = table.arriving.iter().chain(computed).cloned().collect();
    let named = names(table);
    let sent = |columns: &[&Column]| all_sent(&arriving, columns);
    Comparison {
        table: table.name.clone(),
        sort: Sort::Out,
        keyed: table.key != Key::Multiset,
        extras: true,
        desktop: Look {
            charset: table.charset,
            ..Look::new(from(table), admitted(table), sent(&columns), sent(&named))
        },
        cloud: Look::new(
            qualified(&table.cloud),
            Guard::of(table).owned(),
            all_stored(&table.arriving, &columns),
            all_stored(&table.arriving, &named),
        ),
        key: named.iter().map(|column| column.name.clone()).collect(),
        sent: { named.iter() }
            .map(|column| !matches!(column.from, Source::Constant(_)))
            .collect(),
        columns: Vec::new(),
        abroad: Some(Abroad::new(
            &arriving,
            (&columns, &named),
            None,
            table.charset,
        )),
    }
}

/// The columns that are compared, those behind the others that both sides compute.
fn beside_computed(table: &Table) -> Vec<&Column> {
    let computed = table.computed.iter().map(|(_, column)| column);
    compared(table).chain(computed).collect()
}

/// The phone's rows of a table; none where only columns come home.
pub fn homeward(reverse: &ReverseTable) -> Option<Comparison> {
    if !reverse.rows || reverse.counted {
        return None;
    }
    let named: Vec<_> = reverse.key.iter().map(|at| &reverse.columns[*at]).collect();
    let outbox: Vec<_> = { reverse.names.iter() }
        .map(|named| reverse.arriving[named.arriving].name.clone())
        .collect();
    let columns: Vec<_> = reverse.columns.iter().collect();
    let sent = |columns: &[&Column]| all_sent(&reverse.arriving, columns);
    Some(Comparison {
        table: reverse.name.clone(),
        sort: Sort::ReverseTable,
        keyed: true,
        extras: reverse.desktop_owner.is_some(),
        desktop: Look {
            charset: reverse.charset,
            ..Look::new(
                super::reverse::target(reverse),
                phones_on_desktop(reverse),
                all_stored(&reverse.arriving, &columns),
                all_stored(&reverse.arriving, &named),
            )
        },
        cloud: Look {
            names: outbox
                .iter()
                .map(|name| format!("t.{name}", name = ident(name)))
                .collect(),
            ..Look::new(
                qualified(&reverse.cloud),
                phones_in_cloud(reverse),
                sent(&columns),
                sent(&named),
            )
        },
        sent: outbox.iter().map(|_| true).collect(),
        key: outbox,
        columns: Vec::new(),
        abroad: abroad(reverse, &columns, &named),
    })
}

/// How the cloud's rows are looked at on the desktop; none where it would have to read them in its own encoding first.
fn abroad(reverse: &ReverseTable, columns: &[&Column], named: &[&Column]) -> Option<Abroad> {
    let names = reverse.names.iter().map(|named| named.arriving).collect();
    let abroad = Abroad::new(&reverse.arriving, (columns, named), Some(names), None);
    reverse.charset.is_none().then_some(abroad)
}

fn all_sent(arriving: &[Arriving], columns: &[&Column]) -> Vec<String> {
    columns
        .iter()
        .map(|column| sent(arriving, column))
        .collect()
}

fn all_stored(arriving: &[Arriving], columns: &[&Column]) -> Vec<String> {
    columns
        .iter()
        .map(|column| held(arriving, "t", column))
        .collect()
}

/// The columns that name a row; all that are compared, where none do.
fn names(table: &Table) -> Vec<&Column> {
    key(table).into_iter().map(|(_, column)| column).collect()
}

/// What a row of the cloud needs, with the desktop's values.
#[derive(Clone, Copy)]
pub enum Mending<'a> {
    /// It isn't there.
    Missing(&'a [Option<String>]),
    /// It is, with these other values where they are known.
    Different(&'a [Option<String>], Option<&'a [Option<String>]>),
    /// Only the cloud has it.
    Extra,
}

/// The columns in which a row differs; none where the cloud's values aren't known.
pub fn differing(
    table: &Table,
    values: Option<&[Option<String>]>,
    in_cloud: Option<&[Option<String>]>,
) -> Vec<String> {
    let pairs = values
        .into_iter()
        .flatten()
        .zip(in_cloud.into_iter().flatten());
    let columns = { beside_computed(table).into_iter() }
        .zip(pairs)
        .filter(|(_, (here, there))| here != there);
    columns.map(|(column, _)| column.name.clone()).collect()
}

/// True for the stored row `t` that has these values in these columns.
fn found_by(names: &[&Column], key: &[Option<String>]) -> Vec<String> {
    let named = names.iter().zip(key).map(|(column, value)| {
        let name = ident(&column.name);
        match value {
            None => format!("t.{name} is null"),
            Some(value) => format!(
                "t.{name} = {value}::{base_type}",
                value = literal(value),
                base_type = column.base_type
            ),
        }
    });
    named.collect()
}

/// The statement that mends a row in the cloud, by its key. They are for reading; what is carried out goes through a diff.
pub fn mending(table: &Table, key: &[Option<String>], what: Mending<'_>) -> String {
    let text = |value: &Option<String>| value.as_deref().map_or("NULL".to_owned(), literal);
    let columns: Vec<_> = compared(table).collect();
    let names = names(table);
    let named = found_by(&names, key);
    let all = |mut named: Vec<String>, guard: String| {
        named.extend((guard != "true").then_some(guard));
        named.join(" and ")
    };
    let (target, guard) = (qualified(&table.cloud), Guard::of(table));
    match what {
        Mending::Extra => format!(
            "delete from {target} as t where {all};",
            all = all(named, guard.deletable())
        ),
        Mending::Different(values, in_cloud) => {
            let only = differing(table, Some(values), in_cloud);
            let set = columns.iter().zip(values).filter(|(column, _)| {
                let wanted = only.is_empty() || only.contains(&column.name);
                wanted && names.iter().all(|name| name.name != column.name)
            });
            let set: Vec<_> = set
                .map(|(column, value)| {
                    format!(
                        "{column} = {text}",
                        column = ident(&column.name),
                        text = text(value)
                    )
                })
                .collect();
            if set.is_empty() {
                let what = only.join(", ").replace(char::is_control, " ");
                return format!(
                    "-- both sides compute {what}, and not alike: give it one definition; nobody can write it"
                );
            }
            format!(
                "update {target} as t set {set} where {all};",
                set = set.join(", "),
                all = all(named, guard.owned())
            )
        }
        Mending::Missing(values) => {
            let mut names: Vec<_> = columns.iter().map(|column| ident(&column.name)).collect();
            let mut given: Vec<_> = values.iter().take(columns.len()).map(text).collect();
            if let Some(owner) = &table.owner {
                names.push(ident(&owner.column));
                given.push(literal(&owner.desktop));
            }
            format!(
                "insert into {target} ({names}) values ({given});",
                names = names.join(", "),
                given = given.join(", ")
            )
        }
    }
}
