//! Columns that are the cloud's own, on the desktop. Equal rows are interchangeable: of the rows with one name, as many get
//! each look as the cloud has of it, and those that have it already are left alone.

use super::super::kept::UPDATE;
use super::super::quote::{ident, literal};
use super::{Coming, MINE, Over, all_there, columns, is_desktops, key_columns, look, target};
use crate::model::{Column, LogicalMessage, ReverseTable, Statement};

/// Gives the desktop's rows what the cloud has in its own columns. Answers for each entry whether that changed anything.
pub fn level(reverse: &ReverseTable, replicator: &str, rows: &[Coming]) -> Vec<Statement> {
    let over = Over {
        reverse,
        taken: used(reverse),
    };
    let source = over.source();
    let lock = format!(
        "with {source}, {MINE}
         select count(*)
         from (
           select
           from {target} as t
           where {look} in (select {my_key} from mine) and {is_desktops}
           for update of t
         ) as locked",
        target = target(reverse),
        look = look("t", &key_columns(reverse)),
        my_key = look("mine", &key_columns(reverse)),
        is_desktops = is_desktops(reverse)
    );
    let sql = format!(
        r#"with {source},
           {MINE},
           {levelled},
           named as (
             select distinct mine."tandem entry" as entry, {my_key} as name
             from mine
           )
           select coalesce(
             jsonb_agg(
               jsonb_build_array(
                 named.entry, case
                 when exists (select from updated where updated.name = named.name) then 'update'
                 else 'same'
                 end
               )
             ),
             '[]'
           ),
             ({exactly})
           from named{all_there}"#,
        levelled = levelled(reverse, "mine"),
        my_key = look("mine", &key_columns(reverse)),
        exactly = exactly(replicator),
        all_there = all_there(
            reverse,
            UPDATE,
            "(select count(*) from updated)",
            "(select count(*) from lacking join surplus using (\"tandem name\", \"tandem turn\"))"
        )
    );
    vec![
        Statement::bookkeeping(alone(replicator), Vec::new()),
        over.statement(replicator, rows, lock),
        over.statement(replicator, rows, sql),
    ]
}

/// Says in the log that all rows look as was wanted: what a trigger makes of them must not be compared with the cloud again
/// and again.
fn exactly(replicator: &str) -> String {
    format!(
        r#"select pg_logical_emit_message(
             true, '{reverse}', concat(h.nonce, E'\n{leveled}')
           )::text
           from tandem.reverse as h
           where h.replicator = {replicator}
             and exists (select from updated)
             and not exists (select from updated where not updated.exact)"#,
        reverse = LogicalMessage::REVERSE,
        leveled = LogicalMessage::LEVELED,
        replicator = literal(replicator)
    )
}

/// The cloud's columns that name a row, and those of its own.
fn used(reverse: &ReverseTable) -> Vec<usize> {
    let own = { reverse.owned.iter() }.flat_map(|at| reverse.columns[*at].from.uses());
    let names = reverse.names.iter().map(|named| &named.arriving);
    let mut used: Vec<usize> = names.chain(own).copied().collect();
    used.sort_unstable();
    used.dedup();
    used
}

/// CTEs that end in `updated`, over the rows of `wanted`: as many as `tandem copies` says of each name and look.
fn levelled(reverse: &ReverseTable, wanted: &str) -> String {
    format!(
        "{want}, {have}, {surplus}, {lacking}, {updated}",
        want = want(reverse, wanted),
        have = have(reverse),
        surplus = SURPLUS,
        lacking = LACKING,
        updated = updated(reverse)
    )
}

/// `want`: how many rows of each name are to have each look.
fn want(reverse: &ReverseTable, wanted: &str) -> String {
    let owned = columns(reverse, reverse.owned.iter().copied());
    let values = owned.iter().map(|(_, column)| {
        let name = ident(&column.name);
        format!("(array_agg({wanted}.{name}))[1] as {name}")
    });
    let values: Vec<_> = values.collect();
    format!(
        r#"want as (
             select {wanted_name} as "tandem name", {wanted_look} as "tandem look",
               sum({wanted}."tandem copies") as "tandem wanted", {values}
             from {wanted}
             where {wanted}."tandem copies" > 0
             group by 1, 2
           )"#,
        wanted_name = look(wanted, &key_columns(reverse)),
        wanted_look = look(wanted, &owned),
        values = values.join(", ")
    )
}

/// `have`: the desktop's rows.
fn have(reverse: &ReverseTable) -> String {
    format!(
        r#"have as (
             select {stored_name} as "tandem name", {stored_look} as "tandem look",
               t.tableoid as part, t.ctid as at
             from {target} as t
             where {is_desktops}
           )"#,
        stored_name = look("t", &key_columns(reverse)),
        stored_look = stored_look(reverse),
        target = target(reverse),
        is_desktops = is_desktops(reverse)
    )
}

/// `surplus`: of the rows with these names, those of whose look there are too many.
const SURPLUS: &str = r#"found as (
      select have.*,
        row_number() over (
          partition by have."tandem name", have."tandem look" order by have.at
        ) as nth
      from have
      where have."tandem name" in (select want."tandem name" from want)
    ),
    surplus as (
      select found."tandem name", found.part, found.at,
        row_number() over (
          partition by found."tandem name" order by found.at
        ) as "tandem turn"
      from found
      left join want using ("tandem name", "tandem look")
      where found.nth > coalesce(want."tandem wanted", 0)
    )"#;

/// `lacking`: the looks of which there are too few, as often as one is missing.
const LACKING: &str = r#"counted as (
      select found."tandem name", found."tandem look", count(*) as copies
      from found
      group by 1, 2
    ),
    lacking as (
      select want.*,
        row_number() over (
          partition by want."tandem name" order by want."tandem look"
        ) as "tandem turn"
      from want
      left join counted using ("tandem name", "tandem look")
      cross join lateral generate_series(
        1, want."tandem wanted" - coalesce(counted.copies, 0)
      )
    )"#;

/// `updated`: each of what is too many gets a look that is missing.
fn updated(reverse: &ReverseTable) -> String {
    let owned = columns(reverse, reverse.owned.iter().copied());
    let set = owned
        .iter()
        .map(|(_, column)| format!("{column} = src.{column}", column = ident(&column.name)));
    format!(
        r#"updated as (
             update {target} as t
             set {set}
             from (
               select lacking.*, surplus.part as "tandem part", surplus.at as "tandem at"
               from lacking
               join surplus using ("tandem name", "tandem turn")
             ) as src
             where t.tableoid = src."tandem part" and t.ctid = src."tandem at"
             returning src."tandem name" as name,
               {stored_look} is not distinct from src."tandem look" as exact
           )"#,
        target = target(reverse),
        set = set.collect::<Vec<_>>().join(", "),
        stored_look = stored_look(reverse)
    )
}

/// How a row of the desktop's looks in the cloud's own columns.
fn stored_look(reverse: &ReverseTable) -> String {
    look("t", &columns(reverse, reverse.owned.iter().copied()))
}

/// A tick that comes home while a refill runs would be lost between its being kept and given back: one at a time.
pub fn alone(replicator: &str) -> String {
    format!(
        "select pg_advisory_xact_lock(hashtext('tandem.reverse'), hashtext({replicator}))",
        replicator = literal(replicator)
    )
}

/// The temporary table that keeps what the cloud owns while the office's refill runs.
fn keeper(at: usize) -> String {
    format!("pg_temp.tandem_kept_{at}")
}

/// Keeps the columns of the cloud's own, before a refill in the same transaction. `at` tells tables apart.
pub fn keep(reverse: &ReverseTable, at: usize) -> String {
    let kept = kept(reverse);
    format!(
        r#"create temporary table {keeper}
           on commit drop as
           select {kept}, count(*) as "tandem copies"
           from {target} as t
           where {is_desktops}
           group by {kept}"#,
        keeper = keeper(at).trim_start_matches("pg_temp."),
        target = target(reverse),
        is_desktops = is_desktops(reverse)
    )
}

/// Gives them back behind it. Says how many rows that changed.
pub fn restore(reverse: &ReverseTable, at: usize) -> String {
    format!(
        "with kept as (select k.* from {keeper} as k), {levelled} select count(*) from updated",
        keeper = keeper(at),
        levelled = levelled(reverse, "kept")
    )
}

fn kept(reverse: &ReverseTable) -> String {
    let named = |column: &Column| format!("t.{column}", column = ident(&column.name));
    let key = key_columns(reverse);
    let owned = columns(reverse, reverse.owned.iter().copied());
    let all: Vec<_> = { key.iter().chain(&owned) }
        .map(|(_, column)| named(column))
        .collect();
    all.join(", ")
}
