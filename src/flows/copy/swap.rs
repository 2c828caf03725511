//! A swap: a table that is whole is made equal once more, and what became of it is noted.

use super::Refusal;
use super::copied::{Copied, How};
use super::merge::{Merge, Merging, of_table};
use super::stage::too_large;
use super::state::{not_applied, refusal};
use crate::fault::Fault;
use crate::flows::refusal_words::{is_of_rule, lies_in_rows, swap_words};
use crate::model::{Param, Recovery, Statement, Table, TableId, oid};
use crate::plan::{Diff, quote};

impl Merge<'_> {
    /// Makes a table equal once more, in one transaction: deletes what is gone, updates what differs, inserts what is
    /// new, and notes it.
    pub(super) async fn swap(
        &mut self,
        copy: &Copied,
        allow_shrink: bool,
    ) -> Result<Merging, Fault> {
        let (table, staged) = (self.tables.get(copy.staged.table()), &copy.staged);
        if let Some(why) = too_large(table, staged) {
            return self.refuse(copy, (Recovery::Operator, why)).await;
        }
        let Diff {
            update,
            insert,
            spare,
            unspare,
            recount,
            ambiguous,
            ..
        } = self.diff(copy);
        let start = self.start(copy).into_iter();
        let start: Vec<_> = start
            .chain(ambiguous)
            .chain((!allow_shrink).then_some(spare))
            .chain(self.guards(copy, allow_shrink))
            .chain(self.removal(copy))
            .chain([unspare, recount])
            .collect();
        let end = vec![self.swapped(copy, None), self.clear_staging(table)];
        let plain = { start.iter().cloned() }.chain(update).chain([insert]);
        let mut outcome = self.settle(&[table], plain.collect(), end.clone()).await?;
        if refusal(&outcome).is_some_and(|error| lies_in_rows(error) || is_of_rule(error)) {
            let statements = start.into_iter().chain(self.tried(&[copy])).collect();
            outcome = self.settle(&[table], statements, end).await?;
        }
        match refusal(&outcome) {
            Some(error) => {
                let (way, _) = of_table(error);
                let why = (way, swap_words(error, &table.name));
                self.refuse(copy, why).await
            }
            None => outcome.map(|()| Merging::Settled).map_err(not_applied),
        }
    }

    /// What a swap must not do without an explicit yes.
    fn guards(&self, copy: &Copied, allow_shrink: bool) -> Vec<Statement> {
        let Diff {
            shrink, empties, ..
        } = self.diff(copy);
        let none = copy.staged.read() == 0;
        match allow_shrink {
            true => Vec::new(),
            false => { none.then_some(empties) }
                .into_iter()
                .chain([shrink])
                .collect(),
        }
    }

    /// The swap is refused: the table is left as it is, and goes on.
    async fn refuse(&mut self, copy: &Copied, why: (Recovery, String)) -> Result<Merging, Fault> {
        let table = self.tables.get(copy.staged.table());
        let noted = [
            self.swapped(copy, Some((why.0, &why.1))),
            self.clear_staging(table),
        ];
        self.run(noted).await.map_err(not_applied)?;
        Ok(Merging::Refused(why.1))
    }

    /// The desktop didn't let us read a table.
    ///
    /// # Errors
    /// When the connection fails or the lease is lost.
    pub(in crate::flows) async fn unread(
        &mut self,
        table: TableId,
        (how, asked): (&How, &[i64]),
        (way, why): Refusal,
    ) -> Result<(), Fault> {
        let table = self.tables.get(table);
        let noted = self.ended(table, asked, None, Some((way, &why)));
        if how.is_swap() {
            tracing::error!(table = %table.name, why, "swap refused; nothing of it was changed");
            return self.run([noted]).await.map_err(not_applied);
        }
        tracing::error!(table = %table.name, why, "stopped");
        self.stopped.insert(table.id);
        let noted = (!asked.is_empty()).then_some(noted);
        self.stop(table, (way, why), noted).await.map(drop)
    }

    pub(super) fn swapped(&self, copy: &Copied, refused: Option<(Recovery, &str)>) -> Statement {
        let table = self.tables.get(copy.staged.table());
        let read = copy.staged.read();
        self.ended(table, &copy.asked, Some(read), refused)
    }

    fn ended(
        &self,
        table: &Table,
        asked: &[i64],
        read: Option<u64>,
        refused: Option<(Recovery, &str)>,
    ) -> Statement {
        let optional = |text: Option<&str>| text.map_or(Param::null(oid::TEXT), Param::string);
        let params = vec![
            Param::string(&self.lease.replicator),
            Param::string(&table.name),
            Param::text(oid::INT8_ARRAY, quote::array(asked)),
            optional(self.snapshot.as_deref()),
            Param::text(oid::PG_LSN, self.before.to_string()),
            read.map_or(Param::null(oid::INT8), Param::int8),
            optional(refused.map(|(_, why)| why)),
            Param::boolean(refused.is_some_and(|(way, _)| way == Recovery::WhenAllowed)),
        ];
        let sql = "select tandem.swapped($1, $2, $3, $4, $5, $6, $7, $8)";
        Statement::bookkeeping(sql, params)
    }
}
