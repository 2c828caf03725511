//! Removing what is one too many, and parking the removal of what has to stay.

use super::super::clauses::and;
use super::super::kept::DELETE;
use super::super::quote::literal;
use super::super::row_by_row::cap_parked;
use super::extras::Extras;
use super::scope::counted;
use crate::limits;
use crate::model::{Key, Statement, StepKind, sqlstate};

impl Extras<'_, '_> {
    /// See [`super::Diff::shrink`].
    pub(super) fn shrink(&self) -> Statement {
        let Extras { scope, ctes, .. } = self;
        let (target, owned) = (&scope.target, scope.guard.owned());
        self.scope.statement_on_table(format!(
            "{ctes}
             select tandem.shrink(
               $3,
               many.n,
               (select count(*) from {target} as t where {owned}),
               {share}::float8
             )
             from (select count(*) as n from extra) as many
             where many.n > {rows}",
            share = scope.table.max_shrink,
            rows = limits::SHRINK_ROWS_MIN,
        ))
    }

    /// See [`super::Diff::remove`].
    pub(super) fn remove(&self) -> Statement {
        let Extras { scope, found, .. } = self;
        let (target, spared) = (&scope.target, self.spared());
        let delete = format!("delete from {target} as t using extra where {found}{spared}");
        scope.statement(counted(&self.ctes, "deleted", &delete, ""))
    }

    /// See [`super::Diff::referred`].
    pub(super) fn referred(&self) -> Vec<Statement> {
        let Extras {
            scope, ctes, found, ..
        } = self;
        let Some(refers) = &self.refers else {
            return Vec::new();
        };
        if self.named {
            let why = "'rows of another table refer to it'";
            return self.park(refers, sqlstate::REACHES_OTHERS, why);
        }
        let others = scope.table.reaches.iter();
        let others: Vec<_> = others.map(|reach| reach.child.to_string()).collect();
        let (target, others) = (&scope.target, literal(&others.join(", ")));
        vec![scope.statement(format!(
            "{ctes}
             select tandem.reached({others})
             from extra
             join {target} as t on {found}
             where {refers}"
        ))]
    }

    /// See [`super::Diff::kept`].
    pub(super) fn kept(&self) -> Vec<Statement> {
        let Extras {
            scope, ctes, found, ..
        } = self;
        if scope.table.lets_keep_out {
            return Vec::new();
        }
        let (relation, spared) = (scope.relation(), self.spared());
        let left = format!("tandem.keepers({relation}, {DELETE}) is not null{spared}");
        if self.named {
            let why = format!("tandem.kept_words({relation}, {DELETE})");
            return self.park(&left, sqlstate::KEPT_OUT, &why);
        }
        let (target, name) = (&scope.target, literal(&scope.table.name));
        vec![scope.statement(format!(
            "{ctes},
             held as (
               select count(*) as n
               from extra
               join {target} as t on {found}
               where {left}
             )
             select
             from held
             where tandem.kept_out({name}, {relation}, {DELETE}, 0, held.n, false)"
        ))]
    }

    /// Leaves out rows that others refer to.
    fn spared(&self) -> String {
        and(self.refers.as_ref().map(|refers| format!("not {refers}")))
    }

    /// Parks the removal of those extra rows that `which` chooses, with this SQLSTATE and because of this expression.
    fn park(&self, which: &str, code: &str, why: &str) -> Vec<Statement> {
        let Extras {
            scope,
            ctes,
            found,
            name,
            cells,
            ..
        } = self;
        let target = &scope.target;
        let work = match scope.table.key {
            Key::Multiset => StepKind::RemoveCopies,
            Key::Columns(_) => StepKind::Delete,
        };
        let park = scope.statement(format!(
            r#"{ctes},
               held as (
                 select {name} as key, min({cells}) as cells, count(*) as copies
                 from extra
                 join {target} as t on {found}
                 where {which}
                 group by 1
               )
               insert into tandem.quarantine as q (
                 replicator, "table", key, key_hash, cells, copies, work, sqlstate, why, messages
               )
               select $1, $3, held.key, md5(held.key::text), held.cells, held.copies,
                 '{work}', '{code}', {why}, 0
               from held
               on conflict (replicator, direction, "table", key_hash) do update
               set cells = excluded.cells, copies = excluded.copies,
                 unsent = excluded.unsent, work = excluded.work,
                 sqlstate = excluded.sqlstate, why = excluded.why"#,
            work = work.word(),
        ));
        vec![park, cap_parked(scope.table, scope.manner.replicator)]
    }
}
