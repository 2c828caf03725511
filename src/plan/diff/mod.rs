//! A whole table that was staged, against the cloud's owned rows.

mod extras;
mod insert;
mod removal;
mod scope;
mod update;

use super::desktop_rows::{admitted, cell, from, row};
use super::table_state::{COUNT_EXTRAS, HAS_EXTRAS};
use super::write_context::WriteContext;
use crate::model::{Param, Statement, Table};

use extras::Extras;
use scope::{Scope, only};

/// The statements that make the cloud's owned rows equal to the staged ones.
pub struct Diff {
    /// Refuses to remove too large a share of the owned rows.
    pub shrink: Statement,
    /// Removes owned rows that the desktop doesn't have. Run only where they are known to be ours. Those that
    /// others refer to are left: they can't go, or would take others with them.
    pub remove: Statement,
    /// Parks the removal of those, as long as they are not too many.
    pub referred: Vec<Statement>,
    /// After that parks the removal of those that something in the cloud keeps all the same.
    pub kept: Vec<Statement>,
    /// Counts owned rows that the desktop doesn't have, into the table's state.
    pub extras: Statement,
    /// Counts them again, where there were some.
    pub recount: Statement,
    /// From here on to [`Diff::unspare`] nothing is removed where rows were there before us: nobody said that they may.
    pub spare: Statement,
    /// Ends that.
    pub unspare: Statement,
    /// Updates what differs; in a multiset only whom a row belongs to.
    pub update: Option<Statement>,
    /// Inserts what is missing.
    pub insert: Statement,
    /// Leaves only those staged rows that are missing: for trying them one by one.
    pub narrow: Statement,
    /// Leaves out staged rows that the stream has changed since they were read. Run first.
    pub leave_out: Option<Statement>,
    /// Refuses to remove all rows; for a copy that has none.
    pub empties: Statement,
    /// Refuses a copy in which a key names more than one row.
    pub ambiguous: Option<Statement>,
}

/// Which rows of a table are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those of at most so many bytes.
    UpTo(u64),
    /// The keys of those of more bytes.
    Beyond(u64),
}

/// Reads a table's arriving columns as one `text[]` per row, through the types' output functions, so
/// that a copied value is the text that the stream would send. Rows that aren't ours stay out.
pub fn copy_out(table: &Table, which: Which) -> String {
    copy_out_of(table, which, None)
}

/// Reads as [`copy_out`] does, only rows `t` for which `these` is true, where it is given.
pub fn copy_out_of(table: &Table, which: Which, these: Option<&str>) -> String {
    let (key, row) = (table.key_arriving(), row(table));
    let keys = table.arriving.iter().enumerate();
    let keys = keys.map(|(index, column)| {
        if key.contains(&index) {
            cell(&column.name)
        } else {
            "null".to_owned()
        }
    });
    let keys = keys.collect::<Vec<_>>().join(", ");
    let (wanted, bytes) = match which {
        Which::All => (row, String::new()),
        Which::UpTo(limit) => {
            let bytes = format!(" and octet_length({row}::text) <= {limit}");
            (row, bytes)
        }
        Which::Beyond(limit) => {
            let keys = format!("array[{keys}]::text[]");
            (keys, format!(" and octet_length({row}::text) > {limit}"))
        }
    };
    let (from, ours, these) = (from(table), admitted(table), only(these));
    format!("copy (select {wanted} from {from} as t where {ours}{these}{bytes}) to stdout")
}

/// Makes the diff's statements for the rows of `step`, where `touched` without those that the stream has changed since
/// they were read. `$1` is the replicator, `$2` the epoch, `$3` the table's name, `$4` the step. What is inserted,
/// updated and removed is counted in settings of the transaction (`tandem.inserted` and so on).
pub fn diff(table: &Table, manner: &WriteContext<'_>, step: usize, touched: bool) -> Diff {
    diff_of(table, manner, step, touched, None)
}

/// Makes the statements of [`diff`] where, if `these` is given, all stored rows `t` for which it isn't true are known to be as they
/// should, and none of them was staged.
pub fn diff_of(
    table: &Table,
    manner: &WriteContext<'_>,
    step: usize,
    touched: bool,
    these: Option<&str>,
) -> Diff {
    let scope = Scope::new(table, manner, step, touched, these);
    let extras = Extras::of(&scope);
    let ctes = &extras.ctes;
    Diff {
        shrink: extras.shrink(),
        remove: extras.remove(),
        referred: extras.referred(),
        kept: extras.kept(),
        extras: scope.statement(format!("{ctes} {COUNT_EXTRAS}")),
        recount: scope.statement(format!("{ctes} {COUNT_EXTRAS} and extras > 0")),
        spare: spare(&scope),
        unspare: Statement::bookkeeping("select set_config('tandem.spare', '', true)", Vec::new()),
        update: update::differing(&scope),
        insert: insert::missing(&scope),
        narrow: insert::narrow(&scope),
        leave_out: scope.leave_out(),
        empties: scope.empties(),
        ambiguous: scope.ambiguous(),
    }
}

/// Makes the statement that spares rows which were there before us.
fn spare(scope: &Scope<'_>) -> Statement {
    let sql = format!(
        "select case set_config('tandem.spare', ({HAS_EXTRAS})::text, true) when '' then '' end"
    );
    let params = [scope.manner.replicator, &scope.table.name].map(Param::string);
    Statement {
        params: params.to_vec(),
        ..scope.statement(sql)
    }
}
