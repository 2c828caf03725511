//! Which rows of a table have to be read to make the cloud's equal: both sides sum their rows up by ranges of the hashes that
//! name them, as a comparison does, and only rows in ranges that differ are looked at one by one.
//!
//! A range holds a row of one side and the equal one of the other, whatever order either side's keys have. So where a range's
//! sums are equal both sides have the same rows in it; and where two rows that name one another differ, or one has no other,
//! the ranges of both differ. What is compared is all that a copy could change: the columns that travel, what is looked up, whose
//! a row is, and, where it comes home, what the cloud owns.

use std::collections::BTreeSet;

use super::super::copies::have_looks;
use super::super::desktop_rows::{admitted, from};
use super::super::digest::compared;
use super::super::direct::on_pages;
use super::super::guard::Guard;
use super::super::quote::{array, ident, table as qualified};
use super::{Comparison, Look, all_sent, all_stored, looked_up, names};
use crate::limits;
use crate::model::{Param, Source, Statement, Table, TableId, oid};

/// How a table's rows are summed up.
#[derive(Clone, Debug)]
pub struct Sieve {
    table: TableId,
    desktop: Look,
    cloud: Look,
    /// What is looked up: both looks are the cloud's.
    followers: Option<Comparison>,
    ranges: u32,
}

/// A range's number, its rows, and the sum of their hashes.
pub type RangeSum = (u32, u64, String);

/// Rows of a table: those in some of its ranges.
#[derive(Clone, Debug)]
pub struct InRanges {
    sent: String,
    stored: String,
}

/// Pages of a table: from the first on, up to, not including, the second.
pub type Stretch = (u64, u64);

impl Sieve {
    /// For a table of so many pages; none where rows that have one name may look different, and which of them goes is decided by
    /// looking at all of them.
    pub fn of(table: &Table, pages: u64) -> Option<Sieve> {
        if have_looks(table) {
            return None;
        }
        let owned = { table.columns.iter() }
            .filter(|column| table.returns && column.cloud_owned)
            .filter(|column| !matches!(column.from, Source::LookedUp(_)));
        let columns: Vec<_> = compared(table).chain(owned).collect();
        let named = names(table);
        let (mut sent, mut stored) = (
            all_sent(&table.arriving, &columns),
            all_stored(&table.arriving, &columns),
        );
        // A row that nobody claims becomes the desktop's.
        if let Some(owner) = &table.owner {
            sent.push("false".to_owned());
            stored.push(format!("t.{column} is null", column = ident(&owner.column)));
        }
        let ranges = (pages / limits::RANGE_PAGES).clamp(limits::RANGES_MIN, limits::RANGES_MAX);
        Some(Sieve {
            desktop: Look {
                charset: table.charset,
                ..Look::new(
                    from(table),
                    admitted(table),
                    sent,
                    all_sent(&table.arriving, &named),
                )
            },
            cloud: Look::new(
                qualified(&table.cloud),
                Guard::of(table).owned(),
                stored,
                all_stored(&table.arriving, &named),
            ),
            followers: looked_up(table),
            ranges: ranges.next_power_of_two() as u32,
            table: table.id,
        })
    }

    /// Reads the desktop's sums, of the rows on these pages or of all: a [`RangeSum`] for each range in which there are any.
    pub fn sums(&self, pages: Option<&[Stretch]>) -> String {
        let which = match pages {
            Some(pages) => format!(
                "{which} and {on}",
                which = self.desktop.which,
                on = on(pages)
            ),
            None => self.desktop.which.clone(),
        };
        let look = Look {
            which,
            ..self.desktop.clone()
        };
        let sums = look.ranges(self.ranges);
        format!("copy ({sums}) to stdout")
    }

    /// Answers with the ranges whose rows in the cloud don't come to these sums, one behind the other; NULL where there is none.
    pub fn differing(&self, sums: &[RangeSum]) -> Statement {
        let stored = |look: &Look| look.ranges(self.ranges);
        let followers = self.followers.as_ref().map_or(String::new(), |what| {
            format!(
                "
               union
               select coalesce(said.range, have.range)
               from ({desktop}) as said(range, n, sum)
               full join ({cloud}) as have(range, n, sum) using (range)
               where (said.n, said.sum) is distinct from (have.n, have.sum)",
                desktop = stored(&what.desktop),
                cloud = stored(&what.cloud),
            )
        });
        let sql = format!(
            "select string_agg(differs.range::text, ',')
             from (
               select coalesce(sent.range, have.range)
               from unnest($1, $2, $3) as sent(range, n, sum)
               full join ({cloud}) as have(range, n, sum) using (range)
               where (sent.n, sent.sum::numeric)
                 is distinct from (have.n, have.sum::numeric){followers}
             ) as differs(range)",
            cloud = stored(&self.cloud),
        );
        let params = vec![
            Param::text(oid::INT4_ARRAY, array(sums.iter().map(|(range, ..)| range))),
            Param::text(oid::INT8_ARRAY, array(sums.iter().map(|(_, n, _)| n))),
            Param::text(oid::TEXT_ARRAY, array(sums.iter().map(|(.., sum)| sum))),
        ];
        Statement {
            table: Some(self.table),
            ..Statement::bookkeeping(sql, params)
        }
    }

    /// The rows in these ranges.
    pub fn within(&self, ranges: &BTreeSet<u32>) -> InRanges {
        let within = |look: &Look| match ranges.is_empty() {
            // So the table need not even be read.
            true => "false".to_owned(),
            false => format!(
                "({hash} & {mask})::int = any ('{ranges}'::int[])",
                hash = look.named(),
                mask = self.ranges - 1,
                ranges = array(ranges).replace('"', ""),
            ),
        };
        InRanges {
            sent: within(&self.desktop),
            stored: within(&self.cloud),
        }
    }

    /// Into how many ranges all rows fall.
    pub fn ranges(&self) -> usize {
        self.ranges as usize
    }
}

impl InRanges {
    /// True for the desktop's row `t`, if it is one of them; and for all rows that are on none of these pages.
    pub fn sent(&self, pages: Option<&[Stretch]>) -> String {
        match pages {
            Some(pages) => format!("({sent} or not {on})", sent = self.sent, on = on(pages)),
            None => self.sent.clone(),
        }
    }

    /// True for the cloud's row `t`, if it is one of them.
    pub fn stored(&self) -> &str {
        &self.stored
    }
}

/// Answers with a row if the cloud has any of the desktop's.
pub fn owned_rows(table: &Table) -> Statement {
    let (target, owned) = (qualified(&table.cloud), Guard::of(table).owned());
    Statement {
        table: Some(table.id),
        ..Statement::bookkeeping(
            format!("select true from {target} as t where {owned} limit 1"),
            Vec::new(),
        )
    }
}

/// True for a row `t` that is on one of these pages.
fn on(pages: &[Stretch]) -> String {
    let on = pages.iter().map(|(from, to)| on_pages((*from, Some(*to))));
    match pages {
        [] => "false".to_owned(),
        _ => format!("({on})", on = on.collect::<Vec<_>>().join(" or ")),
    }
}
