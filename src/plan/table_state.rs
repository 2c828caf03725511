//! All SQL about `tandem.table_state`: nobody else names that table, or writes or reads a state's word.
//!
//! A statement that goes with others into a transaction is a [`Statement`]. What is asked over an ordinary client is a text
//! that says what its parameters are; `$1` is always the replicator.

use super::quote::array;
use crate::model::{Lsn, Param, Statement, Table, TableState, oid};

/// The states for which `is` holds, as a list of SQL.
fn words(is: impl Fn(TableState) -> bool) -> String {
    let states = TableState::ALL.into_iter().filter(|state| is(*state));
    let words: Vec<_> = states.map(|state| format!("'{state}'")).collect();
    words.join(", ")
}

/// Writes a table's state; makes its row where there is none. `$2`: the table, `$3`: its name in the cloud, `$4`: its
/// fingerprint, `$5`: the state, `$6`: why.
pub const PUT: &str = r#"insert into tandem.table_state as s (
      replicator, "table", cloud, fingerprint, state, why
    )
    values ($1, $2, $3, $4, $5, $6)
    on conflict (replicator, "table") do update
    set cloud = excluded.cloud, fingerprint = excluded.fingerprint,
      since = case when s.state = excluded.state then s.since else now() end,
      state = excluded.state, why = excluded.why"#;

/// [`PUT`] as a statement.
pub fn put(
    replicator: &str,
    table: &Table,
    fingerprint: &str,
    state: TableState,
    why: Option<&str>,
) -> Statement {
    let why = why.map_or(Param::null(oid::TEXT), Param::string);
    let cloud = table.cloud.to_string();
    Statement::bookkeeping(
        PUT,
        vec![
            Param::string(replicator),
            Param::string(&table.name),
            Param::string(&cloud),
            Param::string(fingerprint),
            Param::string(state.word()),
            why,
        ],
    )
}

/// Changes one table's row; `value` is `$3`.
fn set(replicator: &str, table: &Table, what: &str, value: Param) -> Statement {
    let sql =
        format!("update tandem.table_state set {what} where replicator = $1 and \"table\" = $2");
    let params = vec![Param::string(replicator), Param::string(&table.name), value];
    Statement::bookkeeping(sql, params)
}

/// The table's copy is whole: from `before` on it streams or waits for its swaps. Where changes are `pending` it will when
/// those are written ([`settle`]).
pub fn settled(replicator: &str, table: &Table, before: Lsn, pending: bool) -> Statement {
    let state = match TableState::whole(table.stream) {
        TableState::Streaming if pending => TableState::Copying,
        whole => whole,
    };
    let what = format!(
        "copied_at = $3::pg_lsn, state = '{state}', since = now(), why = null, swap_why = null"
    );
    set(replicator, table, &what, Param::string(before.to_string()))
}

/// Tables whose copies are whole stream from now on.
pub fn settle<'a>(replicator: &str, tables: impl Iterator<Item = &'a Table>) -> Statement {
    let sql = format!(
        r#"update tandem.table_state
           set state = '{streaming}', since = now(), why = null
           where replicator = $1 and "table" = any ($2) and state = '{copying}'"#,
        streaming = TableState::Streaming,
        copying = TableState::Copying
    );
    let names = array(tables.map(|table| table.name.as_str()));
    let params = vec![
        Param::string(replicator),
        Param::text(oid::TEXT_ARRAY, names),
    ];
    Statement::bookkeeping(sql, params)
}

/// The table is filled piece by piece, and all owned rows in it are ours from now on.
pub fn claimed(replicator: &str, table: &Table, before: Lsn) -> Statement {
    let what = format!(
        "copied_at = $3::pg_lsn, extras = 0, state = '{copying}', since = now(), why = null",
        copying = TableState::Copying
    );
    set(replicator, table, &what, Param::string(before.to_string()))
}

/// The copy of an empty table has so many rows.
pub fn count_filled(replicator: &str, table: &Table, rows: u64) -> Statement {
    let what = "copied = $3::bigint, extras = 0";
    set(replicator, table, what, Param::string(rows.to_string()))
}

/// The table's copy has so many rows.
pub fn count_copied(replicator: &str, table: &Table, rows: u64) -> Statement {
    let what = "copied = $3::bigint";
    set(replicator, table, what, Param::string(rows.to_string()))
}

/// The table's copy has so many rows, but for those that wait in the quarantine.
pub fn count_copied_but_waiting(replicator: &str, table: &Table, rows: u64) -> Statement {
    let what = "copied = greatest($3::bigint - tandem.waiting($1, $2), 0)";
    set(replicator, table, what, Param::string(rows.to_string()))
}

/// Nothing in the table was there before us any more.
pub fn no_extras(replicator: &str, table: &Table) -> Statement {
    set(replicator, table, "extras = $3::bigint", Param::string("0"))
}

/// Remembers what the cloud's table is; one that was `replaced` has no rows of ours that are known.
pub fn remember_footprint(
    replicator: &str,
    table: &Table,
    footprint: String,
    replaced: bool,
) -> Statement {
    let what = match replaced {
        true => "seen = $3::jsonb, copied_at = null",
        false => "seen = $3::jsonb",
    };
    set(replicator, table, what, Param::string(footprint))
}

/// Behind a common table expression `extra`: how many rows of the cloud the desktop doesn't have. `$3`: the table.
pub const COUNT_EXTRAS: &str = r#"update tandem.table_state
    set extras = (select count(*) from extra)
    where replicator = $1 and "table" = $3"#;

/// Whether a table has rows that were there before us. `$2`: the table.
pub const HAS_EXTRAS: &str = r#"select coalesce(max(s.extras), 0) > 0
    from tandem.table_state as s
    where s.replicator = $1 and s."table" = $2"#;

/// A row where all owned rows of a table are known to be ours: it was copied, and nothing was there before. `$3`: the table.
pub const IS_OURS: &str = r#"select
    from tandem.table_state as s
    where s.replicator = $1 and s."table" = $3 and s.copied_at is not null and s.extras = 0"#;

/// What is remembered of each table: its name, state, fingerprint, `copied_at`, extras, and what the cloud's table was.
pub const REMEMBERED: &str = r#"select "table", state, fingerprint,
      copied_at::text, extras, seen::text
    from tandem.table_state
    where replicator = $1"#;

/// The names of tables that were served before, or whose first copy has begun. One that was copied before and waits for a new
/// copy is among them.
pub fn known() -> String {
    format!(
        r#"select "table"
           from tandem.table_state
           where replicator = $1
             and state <> '{removed}'
             and (state <> '{waiting}' or copied_at is not null)"#,
        removed = TableState::Removed,
        waiting = TableState::Waiting
    )
}

/// Tables that aren't among `$2` any more have left the settings.
pub fn remove_others() -> String {
    format!(
        r#"with gone as (
             update tandem.table_state
             set state = '{removed}', since = now(), why = null
             where replicator = $1 and state <> '{removed}' and not ("table" = any($2))
             returning "table"
           )
           select tandem.void_parked($1, "table")
           from gone"#,
        removed = TableState::Removed
    )
}

/// How many milliseconds ago each table that goes on was swapped for the last time, or copied.
pub fn last_swaps() -> String {
    format!(
        r#"select s."table",
             (
               greatest(
                 0, extract(epoch from clock_timestamp() - coalesce(max(w.ended_at), s.since))
               ) * 1000
             )::bigint
           from tandem.table_state as s
           left join tandem.swap as w on w.replicator = s.replicator
             and w."table" = s."table"
             and w.refused is null
           where s.replicator = $1 and s.state in ({whole})
           group by s."table", s.since"#,
        whole = words(TableState::is_whole)
    )
}

/// Only who has the lease, in epoch `$3`, says what a table's state is.
const OF_HOLDER: &str =
    "exists (select from tandem.checkpoint as c where c.replicator = $1 and c.epoch = $3)";

/// Tables that have stopped until both sides fit.
pub fn unfit() -> String {
    format!(
        r#"select "table"
           from tandem.table_state
           where replicator = $1 and state = '{stopped}' and fingerprint = ''"#,
        stopped = TableState::Stopped
    )
}

/// The table `$2` has stopped until both sides fit, because of `$4`; a row where that is news. `$3`: the epoch.
pub fn stop_until_it_fits() -> String {
    format!(
        r#"update tandem.table_state
           set state = '{stopped}', fingerprint = '', why = $4,
             since = case when state = '{stopped}' then since else now() end
           where replicator = $1
             and "table" = $2
             and {OF_HOLDER}
             and (state, fingerprint, why) is distinct from ('{stopped}', '', $4)
           returning true"#,
        stopped = TableState::Stopped
    )
}

/// The table `$2`, which has stopped, is copied by the next session, as one that has begun to fit. `$3`: the epoch.
pub fn take_up() -> String {
    format!(
        r#"update tandem.table_state
           set fingerprint = ''
           where replicator = $1 and "table" = $2 and {OF_HOLDER} and state = '{stopped}'"#,
        stopped = TableState::Stopped
    )
}

/// Tables that don't go on, or of which rows wait in the quarantine: the name, the state, or `quarantined`, and the reason.
pub fn troubled() -> String {
    format!(
        r#"select "table", state, coalesce(why, '')
           from tandem.table_state
           where replicator = $1 and state in ('{stopped}', '{held}')
           union all
           select "table", 'quarantined',
             count(*) || case count(*)
               when 1 then ' row; '
               else ' rows; the first: '
             end || (array_agg(sqlstate || ' ' || why order by id))[1]
           from tandem.quarantine
           where replicator = $1
           group by "table"
           union all
           select "table", '{stopped}', why
           from tandem.reverse_state
           where replicator = $1 and why is not null
           order by 1, 2"#,
        held = TableState::Held,
        stopped = TableState::Stopped
    )
}

/// Whether a table of the replicator of the checkpoint `c` is still to be copied, as an expression.
pub fn is_filling() -> String {
    format!(
        "exists (
           select
           from tandem.table_state as s
           where s.replicator = c.replicator and s.state in ({filling})
         )",
        filling = words(TableState::is_filling)
    )
}

/// How many tables the replicator of the checkpoint `c` carries, and whether one of them is still to be copied (null: it has
/// none), as a query with the columns `tables` and `copying`.
pub fn census() -> String {
    format!(
        "select count(*) as tables, bool_or(s.state in ({filling})) as copying
         from tandem.table_state as s
         where s.replicator = c.replicator and s.state <> '{removed}'",
        filling = words(TableState::is_filling),
        removed = TableState::Removed
    )
}

/// Joins a table's state, `s`, to a row with the same `replicator` and `"table"`.
pub const BESIDE: &str = "left join tandem.table_state as s using (replicator, \"table\")";

/// All tables, as `status` shows them: the name, the state, since when, why, and what is counted; `s.extras` comes last.
pub fn shown() -> String {
    format!(
        r#"select s."table", {as_shown},
             to_char(s.since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), {REASON},
             s.copied, s.received, s.applied, s.folded, s.ruled_out, s.quarantined,
             (
               select count(*)
               from tandem.quarantine as q
               where q.replicator = s.replicator and q."table" = s."table"
             ),
             (
               select to_char(max(w.ended_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
               from tandem.swap as w
               where w.replicator = s.replicator and w."table" = s."table" and w.refused is null
             ),
             s.extras
           from tandem.table_state as s {WAY_HOME}
           where s.replicator = $1
           order by 1"#,
        as_shown = as_shown()
    )
}

/// The state of a table `s` as people see it: one whose way home or last swap has trouble says that, as long as nothing worse holds.
fn as_shown() -> String {
    format!(
        "case when r.why is not null and s.state in ({whole}) then '{stopped}' when s.swap_why is not null and s.state in ({whole}) then '{swap_refused}' else s.state end",
        stopped = TableState::Stopped,
        swap_refused = TableState::SwapRefused,
        whole = words(TableState::is_whole)
    )
}

/// Why a table doesn't go on, as it should or at all.
const REASON: &str = "coalesce(s.why, 'nothing comes home any more: ' || r.why, s.swap_why)";

/// The state of the way home beside a table's.
const WAY_HOME: &str = "left join tandem.reverse_state as r using (replicator, \"table\")";

/// Tables of all replicators that wait for a person, or whose state is a word of another version: the replicator, the table's
/// name, its state, and why.
pub fn waiting_for_person() -> String {
    format!(
        r#"select s.replicator, s."table", {as_shown}, {REASON}
           from tandem.table_state as s {WAY_HOME}
           where s.state in ({waiting})
             or s.state in ({whole}) and (r.why is not null or s.swap_why is not null)
             or s.state not in ({words})
           order by 1, 2"#,
        as_shown = as_shown(),
        waiting = words(TableState::waits_for_person),
        words = words(|_| true),
        whole = words(TableState::is_whole)
    )
}
