//! A whole table that was staged, against the cloud's owned rows.

use super::compare::{cell, from, row};
use super::copies::{have_by_look, have_looks, sent_look, want_by_look};
use super::digest::admitted;
use super::guard::{Guard, has_parent, referred};
use super::kept::{DELETE, INSERT, UPDATE};
use super::orphan::{noticing, remember};
use super::planner::WriteContext;
use super::quote::{ident, literal, table as qualified};
use super::row_by_row::{TOUCHED_STEP, cap_parked, parked_key, place};
use super::source::{Rows, all, assignments, differs, image, insertion, key, rest, source};
use super::table_state::{COUNT_EXTRAS, HAS_EXTRAS};
use super::write::update_differing;
use crate::limits;
use crate::model::{Key, Source, Statement, StepKind, Table, sqlstate};

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
    copy_out_of(table, which, "true")
}

/// The same of rows `t` for which this is true.
pub fn copy_out_of(table: &Table, which: Which, these: &str) -> String {
    let (key, row) = (table.key_arriving(), row(table));
    let keys = table.arriving.iter().enumerate();
    let keys = keys.map(|(index, column)| match key.contains(&index) {
        true => cell(&column.name),
        false => "null".to_owned(),
    });
    let keys: Vec<_> = keys.collect();
    let (wanted, bytes) = match which {
        Which::All => (row, String::new()),
        Which::UpTo(limit) => (
            row.clone(),
            format!(" and octet_length({row}::text) <= {limit}"),
        ),
        Which::Beyond(limit) => {
            let keys = format!("array[{}]::text[]", keys.join(", "));
            (keys, format!(" and octet_length({row}::text) > {limit}"))
        }
    };
    let (from, ours) = (from(table), admitted(table));
    let these = match these {
        "true" => String::new(),
        these => format!(" and {these}"),
    };
    format!("copy (select {wanted} from {from} as t where {ours}{these}{bytes}) to stdout")
}

/// Makes the diff's statements for the rows of `step`, where `touched` without those that the stream has changed since
/// they were read. `$1` is the replicator, `$2` the epoch, `$3` the table's name, `$4` the step. What is inserted,
/// updated and removed is counted in settings of the transaction (`tandem.inserted` and so on).
pub fn diff(table: &Table, manner: &WriteContext<'_>, step: usize, touched: bool) -> Diff {
    diff_of(table, manner, step, touched, "true")
}

/// The same where all stored rows `t` for which this isn't true are known to be as they should, and none of them was staged.
pub fn diff_of(
    table: &Table,
    manner: &WriteContext<'_>,
    step: usize,
    touched: bool,
    these: &str,
) -> Diff {
    let these = match these {
        "true" => String::new(),
        these => format!(" and {these}"),
    };
    let params = place(table, step, manner);
    let statement = |sql: String| Statement {
        sql: sql.into(),
        params: params.clone(),
        table: Some(table.id),
        step: Some(step),
    };
    let at = ["u.ctid as \"tandem at\"".to_owned()];
    // Which row it is, without what it looks like: a value that can't be read must not keep the others.
    let looks: Vec<_> = at
        .iter()
        .cloned()
        .chain(sent_look(table, &Rows::Staged))
        .collect();
    let keys_in = source(table, &key(table), &Rows::Staged, &looks);
    let columns = all(table);
    let noticed = noticing(table, &columns, &Rows::Staged);
    let said: Vec<_> = looks.iter().cloned().chain(noticed).collect();
    let source = source(table, &columns, &Rows::Staged, &said);
    let (target, guard) = (qualified(&table.cloud), Guard::of(table));
    // The names are compared as text so that NULL equals NULL and the join can be hashed.
    let names_of = |alias: &str| format!("{}::text", image(alias, &key(table)));
    let (stored, wanted) = (names_of("t"), names_of("src"));
    let cells = stored_cells(table);
    let name = parked_key(table)
        .iter()
        .map(|index| format!("({cells})[{}]", index + 1))
        .collect::<Vec<_>>()
        .join(", ");
    let name = format!("array[{name}]::text[]");
    let named = is_named_by_cells(table);
    // What is too large to be copied, or can't be read, is there all the same.
    let known = match named {
        true => format!(
            " and not exists (select from tandem.quarantine as q where q.replicator = $1 and q.direction = 'forward' and q.\"table\" = $3 and q.sqlstate in ('{}', '{}') and q.key_hash = md5({name}::text) collate \"C\")",
            sqlstate::TOO_LARGE,
            sqlstate::CHARACTER_NOT_IN_REPERTOIRE
        ),
        false => String::new(),
    };
    let touched = touched.then(|| {
        let source = self::source(table, &key(table), &Rows::Beside(TOUCHED_STEP), &[]);
        format!("touched as (with {source} select distinct {wanted} as name from src)")
    });
    let (also, but) = match &touched {
        Some(touched) => (
            format!(", {touched}"),
            format!(" and not exists (select from touched where touched.name = {stored})"),
        ),
        None => (String::new(), String::new()),
    };
    let which = format!("{}{these}{known}{but}", guard.deletable());
    let have = match have_looks(table) {
        true => have_by_look(table, &target, &which),
        false => format!(
            "want as (select {wanted} as name, count(*) as copies from src group by 1), \
             have as (select t.tableoid as part, t.ctid as at, {stored} as name, row_number() over (partition by {stored}) as nth from {target} as t where {which})"
        ),
    };
    let extras = format!(
        "with {keys_in}{also}, {have}, \
         extra as (select have.part, have.at from have left join want using (name) where have.nth > coalesce(want.copies, 0) and coalesce(current_setting('tandem.spare', true), '') <> 'true')"
    );
    let found = format!(
        "t.tableoid = extra.part and t.ctid = extra.at and {}",
        guard.deletable()
    );
    let goes_too = "exists (select from extra as e where e.part = c.tableoid and e.at = c.ctid)";
    let referred = referred(table, goes_too);
    let spared = match &referred {
        Some(referred) => format!(" and not {referred}"),
        None => String::new(),
    };
    let park = |which: &str, code: &str, why: &str| {
        let work = match table.key {
            Key::Multiset => StepKind::RemoveCopies,
            Key::Columns(_) => StepKind::Delete,
        };
        let park = statement(format!(
            "{extras}, held as (select {name} as key, min({cells}) as cells, count(*) as copies from extra join {target} as t on {found} where {which} group by 1) \
             insert into tandem.quarantine as q (replicator, \"table\", key, key_hash, cells, copies, work, sqlstate, why, messages) \
             select $1, $3, held.key, md5(held.key::text), held.cells, held.copies, '{}', '{code}', {why}, 0 from held \
             on conflict (replicator, direction, \"table\", key_hash) do update set cells = excluded.cells, copies = excluded.copies, \
             unsent = excluded.unsent, work = excluded.work, sqlstate = excluded.sqlstate, why = excluded.why",
            work.word(),
        ));
        vec![park, cap_parked(table, manner.replicator)]
    };
    let relation = format!("{}::regclass", literal(&target));
    let left = format!("tandem.keepers({relation}, {DELETE}) is not null{spared}");
    let kept = match (table.lets_keep_out, named) {
        (true, _) => Vec::new(),
        (false, true) => {
            let why = format!("tandem.kept_words({relation}, {DELETE})");
            park(&left, sqlstate::KEPT_OUT, &why)
        }
        (false, false) => vec![statement(format!(
            "{extras}, held as (select count(*) as n from extra join {target} as t on {found} where {left}) \
             select from held where tandem.kept_out({}, {relation}, {DELETE}, 0, held.n, false)",
            literal(&table.name),
        ))],
    };
    let referred = referred.map_or(Vec::new(), |referred| {
        if !named {
            let others: Vec<_> = table.reaches.iter().map(|reach| reach.child.to_string()).collect();
            let others = literal(&others.join(", "));
            return vec![statement(format!(
                "{extras} select tandem.reached({others}) from extra join {target} as t on {found} where {referred}"
            ))];
        }
        park(&referred, sqlstate::REACHES_OTHERS, "'rows of another table refer to it'")
    });
    let changing = match &table.key {
        Key::Columns(_) => rest(table),
        Key::Multiset => Vec::new(),
    };
    let ours = has_parent(table).map_or(String::new(), |ours| format!(" and {ours}"));
    let different = |from: &str, found: &str| {
        format!(
            "select count(*) from {target} as t where exists (select from {from} where {found} and {})",
            differs(table, &changing)
        )
    };
    let all_there = |does: u8, wanted: &str| match table.lets_keep_out {
        true => String::new(),
        false => format!(
            " where case when tandem.keepers({relation}, {does}) is null then true else not tandem.kept_out({}, {relation}, {does}, (select count(*) from done), ({wanted}), false) end",
            literal(&table.name),
        ),
    };
    let update = (!assignments(table, &changing).is_empty()).then(|| {
        if table.key == Key::Multiset {
            // Equal rows that nobody claims become the desktop's; nothing else of them can differ.
            let found = format!("{stored} = want.name and {}", guard.owned());
            let update = update_differing(table, &changing, "want", &found);
            let ctes =
                format!("with {source}, want as (select distinct {wanted} as name from src)");
            let wanted = different("want", &found);
            return counted(&ctes, "updated", &update, &all_there(UPDATE, &wanted));
        }
        let found = format!("{stored} = {wanted} and {}{ours}", guard.owned());
        let update = update_differing(table, &changing, "src", &found);
        let wanted = different("src", &found);
        let all_there = all_there(UPDATE, &wanted);
        counted(&format!("with {source}"), "updated", &update, &all_there)
    });
    let (names, values) = insertion(table, &all(table));
    let owned = format!("{}{these}", guard.owned());
    let missing = match have_looks(table) {
        true => want_by_look(table, &target, &owned),
        false => format!(
            "want as (select src.*, {wanted} as \"tandem name\", row_number() over (partition by {wanted}) as \"tandem nth\" from src), \
             have as (select {stored} as name, count(*) as copies from {target} as t where {owned} group by 1)"
        ),
    };
    let missing = format!("with {source}, {missing}");
    let which = "from want as src left join have on have.name = src.\"tandem name\" \
                 where src.\"tandem nth\" > coalesce(have.copies, 0)";
    Diff {
        shrink: Statement {
            // It is about the table, not about its rows.
            step: None,
            ..statement(format!(
                "{extras} select tandem.shrink($3, many.n, (select count(*) from {target} as t where {}), {}::float8) \
                 from (select count(*) as n from extra) as many where many.n > {}",
                guard.owned(),
                table.max_shrink,
                limits::SHRINK_ROWS_MIN,
            ))
        },
        remove: statement(counted(
            &extras,
            "deleted",
            &format!("delete from {target} as t using extra where {found}{spared}"),
            "",
        )),
        referred,
        kept,
        unspare: Statement::bookkeeping(
            "select set_config('tandem.spare', '', true)",
            Vec::new(),
        ),
        spare: statement(format!(
            "select case set_config('tandem.spare', ({HAS_EXTRAS})::text, true) when '' then '' end where $2 >= 0 and $4 >= 0"
        )),
        recount: statement(format!(
            "{extras} {COUNT_EXTRAS} and extras > 0"
        )),
        extras: statement(format!(
            "{extras} {COUNT_EXTRAS}"
        )),
        update: update.map(&statement),
        insert: statement(counted(
            &format!("{missing}{}", remember(table, &columns)),
            "inserted",
            &format!("insert into {target} {names} select {values} {which}{ours}"),
            &all_there(INSERT, &format!("select count(*) {which}{ours}")),
        )),
        narrow: statement(format!(
            "{missing} delete from tandem.staging as s where s.replicator = $1 and s.epoch = $2 and s.\"table\" = $3 and s.step = $4 and s.ctid not in (select src.\"tandem at\" {which})"
        )),
        leave_out: touched.map(|touched| {
            statement(format!(
                "with {keys_in}, {touched} delete from tandem.staging as s using src where s.ctid = src.\"tandem at\" and exists (select from touched where touched.name = {wanted})"
            ))
        }),
        ambiguous: (table.key != Key::Multiset).then(|| Statement {
            step: None,
            ..statement(format!(
                "with {keys_in} select tandem.ambiguous({}, many.keys, many.rows) from (select count(*) as keys, sum(same.n)::bigint as rows \
                 from (select count(*) as n from src group by {wanted} having count(*) > 1) as same) as many where many.keys > 0",
                literal(&table.key_names().collect::<Vec<_>>().join(", "))
            ))
        }),
        empties: Statement {
            step: None,
            ..statement(format!(
                "select tandem.empties($3) where $1 <> '' and $2 >= 0 and $4 >= 0 and exists (select from {target} as t where {})",
                guard.deletable()
            ))
        },
    }
}

/// A change of rows that says in a setting of the transaction how many there were. Its answer is NULL: one that isn't
/// tells of parked rows.
fn counted(ctes: &str, what: &str, change: &str, all_there: &str) -> String {
    format!(
        "{ctes}, done as ({change} returning 1) select case set_config('tandem.{what}', (select count(*) from done)::text, true) when '' then '' end{all_there}"
    )
}

/// Whether the stored cells say the name under which a row is parked, in the only way to write it.
fn is_named_by_cells(table: &Table) -> bool {
    let key = parked_key(table);
    key.iter().all(|index| {
        let mut columns = table.columns.iter();
        columns.any(|column| {
            column.from == Source::Arriving(*index) && column.exact && !column.cloud_owned
        })
    })
}

/// The arriving cells of the stored row `t`, as far as they stand in it.
fn stored_cells(table: &Table) -> String {
    let cells = (0..table.arriving.len()).map(|index| {
        let of = |column: &&crate::model::Column| column.from == Source::Arriving(index);
        match table.columns.iter().find(of) {
            None => "null".to_owned(),
            Some(column) => {
                let name = ident(&column.name);
                format!("case when t.{name} is distinct from null then concat(t.{name}) end")
            }
        }
    });
    format!("array[{}]::text[]", cells.collect::<Vec<_>>().join(", "))
}
