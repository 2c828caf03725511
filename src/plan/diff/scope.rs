//! What all statements of one diff are made of, and those that look at the staged rows alone.

use super::super::copies::sent_look;
use super::super::guard::Guard;
use super::super::orphan::noticing;
use super::super::quote::{literal, table as qualified};
use super::super::source::{Rows, all, image, key, source};
use super::super::staging::{TOUCHED_STEP, place};
use super::super::write_context::WriteContext;

use crate::model::{Column, Key, Param, Statement, Table};

/// The ground of a diff: its table, and the pieces of SQL that its statements share.
pub(super) struct Scope<'a> {
    pub(super) table: &'a Table,
    pub(super) manner: &'a WriteContext<'a>,
    step: usize,
    /// The cloud's table.
    pub(super) target: String,
    pub(super) guard: Guard,
    pub(super) columns: Vec<(usize, &'a Column)>,
    /// The name of the stored row `t`. Names are compared as text so that NULL equals NULL and the join can be hashed.
    pub(super) stored: String,
    /// The name of the staged row `src`.
    pub(super) wanted: String,
    /// CTEs that end in `src`: which row each staged one is, without what it looks like.
    pub(super) keys: String,
    /// CTEs that end in `src`: the staged rows as a whole.
    pub(super) source: String,
    /// The CTE `touched(name)` of rows that the stream has changed since they were read; none where nothing has to be left out.
    pub(super) touched: Option<String>,
    /// A further condition for the stored rows `t` that are looked at.
    pub(super) these: String,
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        table: &'a Table,
        manner: &'a WriteContext<'a>,
        step: usize,
        touched: bool,
        these: Option<&str>,
    ) -> Scope<'a> {
        let columns = all(table);
        let mut looks = vec![r#"u.ctid as "tandem at""#.to_owned()];
        looks.extend(sent_look(table, &Rows::Staged));
        // Which row it is, without what it looks like: a value that can't be read must not keep the others.
        let keys = source(table, &key(table), &Rows::Staged, &looks);
        looks.extend(noticing(table, &columns, &Rows::Staged));
        let source_of_all = source(table, &columns, &Rows::Staged, &looks);
        let name_of = |row: &str| format!("{image}::text", image = image(row, &key(table)));
        let wanted = name_of("src");
        let touched = touched.then(|| {
            let source = source(table, &key(table), &Rows::Beside(TOUCHED_STEP), &[]);
            format!("touched as (with {source} select distinct {wanted} as name from src)")
        });
        Scope {
            table,
            manner,
            step,
            target: qualified(&table.cloud),
            guard: Guard::of(table),
            columns,
            stored: name_of("t"),
            wanted,
            keys,
            source: source_of_all,
            touched,
            these: only(these),
        }
    }

    /// A statement about the rows of the step.
    pub(super) fn statement(&self, sql: String) -> Statement {
        Statement::about(
            self.table.id,
            self.step,
            sql,
            place(self.table, self.step, self.manner),
        )
    }

    /// A statement about the table, not about its rows.
    pub(super) fn statement_on_table(&self, sql: String) -> Statement {
        Statement {
            step: None,
            ..self.statement(sql)
        }
    }

    /// The cloud's table as an expression of type `regclass`.
    pub(super) fn relation(&self) -> String {
        format!("{target}::regclass", target = literal(&self.target))
    }

    /// See [`super::Diff::leave_out`].
    pub(super) fn leave_out(&self) -> Option<Statement> {
        let Scope { keys, wanted, .. } = self;
        let touched = self.touched.as_ref()?;
        Some(self.statement(format!(
            r#"with {keys},
               {touched}
               delete from tandem.staging as s
               using src
               where s.ctid = src."tandem at"
                 and exists (select from touched where touched.name = {wanted})"#
        )))
    }

    /// See [`super::Diff::ambiguous`].
    pub(super) fn ambiguous(&self) -> Option<Statement> {
        if self.table.key == Key::Multiset {
            return None;
        }
        let Scope { keys, wanted, .. } = self;
        let names = literal(&self.table.key_names().collect::<Vec<_>>().join(", "));
        Some(self.statement_on_table(format!(
            "with {keys}
             select tandem.ambiguous({names}, many.keys, many.rows)
             from (
               select count(*) as keys, sum(same.n)::bigint as rows
               from (
                 select count(*) as n
                 from src
                 group by {wanted}
                 having count(*) > 1
               ) as same
             ) as many
             where many.keys > 0"
        )))
    }

    /// See [`super::Diff::empties`].
    pub(super) fn empties(&self) -> Statement {
        let (target, deletable) = (&self.target, self.guard.deletable());
        let sql = format!(
            "select tandem.empties($1)
             where exists (select from {target} as t where {deletable})"
        );
        Statement {
            params: vec![Param::string(&self.table.name)],
            ..self.statement_on_table(sql)
        }
    }
}

/// A further condition, if there is one.
pub(super) fn only(these: Option<&str>) -> String {
    these.map_or(String::new(), |these| format!(" and {these}"))
}

/// A change of rows that says in a setting of the transaction how many there were. Its answer is NULL: one that isn't
/// tells of parked rows.
pub(super) fn counted(ctes: &str, what: &str, change: &str, all_there: &str) -> String {
    format!(
        "{ctes},
         done as ({change} returning 1)
         select case set_config('tandem.{what}', (select count(*) from done)::text, true)
           when '' then '' end{all_there}"
    )
}
