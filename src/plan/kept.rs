//! Rows that the cloud keeps out without an error: by a trigger that returns NULL, a rule, row security. How many rows
//! a statement has written says it (P7); by whom is asked only where they are too few.

use super::quote::{literal, table as qualified};
use super::source::Rows;
use crate::model::Table;

/// Inserts, as `pg_trigger.tgtype` counts them.
pub(super) const INSERT: u8 = 4;
/// Deletes.
pub(super) const DELETE: u8 = 8;
/// Updates.
pub(super) const UPDATE: u8 = 16;

/// A write whose rows are counted.
pub(super) struct Counted<'a> {
    pub(super) table: &'a Table,
    /// What it does, in the sum of the above.
    pub(super) does: u8,
    /// CTEs that its parts read, without `with`.
    pub(super) ctes: String,
    /// A CTE that writes besides, behind a comma; or nothing.
    pub(super) besides: String,
    /// Its parts, each under a name by which the next one may ask for its count.
    pub(super) parts: Vec<(&'static str, String)>,
    /// So many rows are written at most: cheap to ask.
    pub(super) most: String,
    /// So many have to be, as the rows stood before.
    pub(super) wanted: String,
    /// So many aren't as they should be afterwards. Where a trigger writes a row in another way, all are.
    pub(super) still: Option<String>,
}

impl Counted<'_> {
    /// The statement, which answers no row. Rows that are tried one by one are written part by part: a rule is not
    /// allowed in a CTE.
    pub(super) fn text(self, rows: &Rows) -> String {
        let Counted {
            table,
            ctes,
            besides,
            ..
        } = &self;
        let whose = format!(
            "{name}, {target}::regclass, {does}",
            name = literal(&table.name),
            target = literal(&qualified(&table.cloud)),
            does = self.does
        );
        if matches!(rows, Rows::Chosen) {
            let parts = { self.parts.iter() }
                .map(|(_, part)| literal(&format!("with {ctes}{besides} {part}")));
            let asked = |sql: &String| literal(&format!("with {ctes} select {sql}"));
            return format!(
                "select tandem.write_counted(\
                   {whose}, array[{parts}], {asked}, {still}, {lets_keep_out}, $1\
                 )",
                parts = parts.collect::<Vec<_>>().join(", "),
                asked = asked(&self.wanted),
                still = self.still.as_ref().map_or("null".to_owned(), asked),
                lets_keep_out = table.lets_keep_out
            );
        }
        let parts =
            { self.parts.iter() }.map(|(name, part)| format!(", {name} as ({part} returning 1)"));
        let done: Vec<_> = { self.parts.iter() }
            .map(|(name, _)| format!("(select count(*) from {name})"))
            .collect();
        format!(
            "with {ctes}{besides}{parts} \
             select \
             from (select {done} as n) as done \
             where case \
               when done.n < {most} and tandem.keepers({target}::regclass, {does}) is not null \
               then tandem.kept_out({whose}, done.n, {wanted}, {lets_keep_out}) \
               else false \
             end",
            parts = parts.collect::<String>(),
            done = done.join(" + "),
            most = self.most,
            target = literal(&qualified(&table.cloud)),
            does = self.does,
            wanted = self.wanted,
            lets_keep_out = table.lets_keep_out
        )
    }
}
