//! The phone's rows on the desktop: claimed, written, remembered.

use super::super::kept::{DELETE, INSERT, UPDATE};
use super::super::quote::{ident, literal};
use super::{
    Coming, MINE, Over, all_there, columns, hash, is_mobile, look, phones_on_desktop, same_key,
    target,
};
use crate::model::{Column, Knot, ReverseTable, Statement};

/// Locks the rows that are about to be written, so that what they are compared with is what is there.
fn lock(over: &Over<'_>, replicator: &str, rows: &[Coming]) -> Statement {
    let reverse = over.reverse;
    let sql = format!(
        "with {source}, {MINE}
         select count(*)
         from (select from {target} as t join mine on {same_key} for update of t) as locked",
        source = over.source(),
        target = target(reverse),
        same_key = same_key(reverse, "mine", rows)
    );
    over.statement(replicator, rows, sql)
}

/// What is on the desktop of the rows at hand.
fn there(reverse: &ReverseTable, rows: &[Coming]) -> String {
    format!(
        r#"there as materialized (
             select distinct on (mine."tandem key") mine."tandem key" as name,
               t.tableoid as part, t.ctid as at, {hash} as hash, {is_mobile} as mobile,
               to_jsonb(t) as image
             from mine
             join {target} as t on {same_key}
             order by mine."tandem key", 5 desc, t.ctid
           )"#,
        hash = hash(reverse, "t"),
        is_mobile = is_mobile(reverse, "mine.\"tandem last\""),
        target = target(reverse),
        same_key = same_key(reverse, "mine", rows)
    )
}

/// Notes conflicts, each once.
fn note(over: &Over<'_>, kinds: &[(&str, &str)]) -> String {
    let (replicator, table) = over.whose();
    let kept = kinds
        .iter()
        .map(|(kind, kept)| format!("when '{kind}' then '{kept}'"));
    let names: Vec<_> = { kinds.iter() }
        .map(|(kind, _)| format!("'{kind}'"))
        .collect();
    format!(
        r#"noted as (
             insert into tandem.conflict (replicator, "table", kind, key, kept, desktop, cloud)
             select {replicator}, {table}, j."tandem verdict",
               j."tandem key"::text[], case j."tandem verdict" {kept} end, j."tandem image",
               j."tandem cloud"
             from judged as j
             where j."tandem verdict" in ({names})
               and not exists (
                 select
                 from tandem.conflict as c
                 where c.replicator = {replicator}
                   and c.seen_at is null
                   and c."table" = {table}
                   and c.kind = j."tandem verdict"
                   and c.key = j."tandem key"::text[]
                   and c.desktop is not distinct from j."tandem image"
                   and c.cloud is not distinct from j."tandem cloud"
               )
           )"#,
        kept = kept.collect::<Vec<_>>().join(" "),
        names = names.join(", ")
    )
}

/// What became of each row: its entry and a word.
const VERDICTS: &str =
    "select coalesce(jsonb_agg(jsonb_build_array(\"tandem entry\", \"tandem verdict\")), '[]')";

/// A setting of the transaction: the keys of rows that went, and come again.
const GONE: &str = "tandem.gone";

/// How many rows have one of these verdicts.
fn wanted(verdicts: &str) -> String {
    format!("(select count(*) from judged as w where w.\"tandem verdict\" in ({verdicts}))")
}

/// Writes rows that the phone made or changed, ownership first: a row of the desktop's own with the same key stays
/// (`taken`), and so does one that is gone in the cloud and was kept (`reused`). Where the desktop's row isn't what was left
/// there (`changed`, `removed`) the settings decide. Answers what became of each.
///
/// `loosely`: rows that may wait for one another are written with NULL where they would, to be filled by [`fill`]; or they
/// go, to be inserted by it.
pub fn put(
    reverse: &ReverseTable,
    replicator: &str,
    rows: &[Coming],
    loosely: bool,
) -> Vec<Statement> {
    let over = Over::all(reverse);
    let knot = reverse.knot.as_ref().filter(|_| loosely);
    let loose = knot.map_or(&[][..], |knot| &knot.loose);
    let source = over.source();
    let writes = !reverse.keeps_desktop;
    let kept = if writes { "cloud" } else { "desktop" };
    let (also_changed, also_removed) = match writes {
        true => (", 'changed'", ", 'removed'"),
        false => ("", ""),
    };
    let hash = hash(reverse, "mine");
    // Where the desktop doesn't say whose a row is, one that looks alike is as good as ours.
    let equal = match reverse.desktop_owner {
        Some(_) => String::new(),
        None => format!(" and there.hash <> {hash}"),
    };
    let target = target(reverse);
    let filled: Vec<_> = { reverse.columns.iter() }
        .map(|column| ident(&column.name))
        .collect();
    let value = |(at, column): (usize, &Column)| match loose.contains(&at) {
        true => format!("null::{base_type}", base_type = column.base_type),
        false => format!("src.{column}", column = ident(&column.name)),
    };
    let set: Vec<_> = { reverse.columns.iter().enumerate() }
        .filter(|(at, _)| !reverse.is_key(*at))
        .map(|column| {
            format!(
                "{column} = {value}",
                column = ident(&column.1.name),
                value = value(column)
            )
        })
        .collect();
    let found = format!(
        "t.tableoid = src.\"tandem part\" and t.ctid = src.\"tandem at\" and src.\"tandem verdict\" in ('update'{also_changed})"
    );
    let makes_way = knot.is_some_and(makes_way) && !set.is_empty();
    let written = match (set.is_empty(), makes_way) {
        (true, _) => String::new(),
        (false, true) => format!(
            r#", gone as (
                 delete from {target} as t
                 using judged as src
                 where {found}
                 returning src."tandem key"
               )"#
        ),
        (false, false) => format!(
            ", updated as (
               update {target} as t
               set {set}
               from judged as src
               where {found}
               returning 1
             )",
            set = set.join(", ")
        ),
    };
    let gone = if makes_way {
        format!(
            r#", set_config(
                 '{GONE}',
                 (select coalesce(jsonb_agg("tandem key"), '[]')::text from gone),
                 true
               )"#
        )
    } else {
        String::new()
    };
    let (mut names, mut values) = (
        filled.clone(),
        reverse
            .columns
            .iter()
            .enumerate()
            .map(value)
            .collect::<Vec<_>>(),
    );
    names_owner(reverse, &mut names, &mut values);
    let (done, changed) = match (set.is_empty(), makes_way) {
        (true, _) => ("(select count(*) from inserted)", String::new()),
        (false, true) => (
            "(select count(*) from gone) + (select count(*) from inserted)",
            format!(", 'update'{also_changed}"),
        ),
        (false, false) => (
            "(select count(*) from updated) + (select count(*) from inserted)",
            format!(", 'update'{also_changed}"),
        ),
    };
    let wanted = wanted(&format!("'insert'{also_removed}{changed}"));
    // Where the desktop would generate what names the row, the cloud's value is insisted on; elsewhere these words do nothing.
    let inserted = format!(
        r#"inserted as (
             insert into {qualified} ({names}) overriding system value
             select {values}
             from judged as src
             where src."tandem verdict" in ('insert'{also_removed})
             returning 1
           )"#,
        qualified = super::qualified(&reverse.desktop),
        names = names.join(", "),
        values = values.join(", ")
    );
    let sql = format!(
        r#"with {source},
           {MINE},
           {there},
           judged as materialized (
             select mine.*, there.part as "tandem part", there.at as "tandem at",
               there.image as "tandem image", case
                 when there.at is not null and not there.mobile{equal} then 'taken'
                 when there.at is not null and there.hash = {hash} then 'same'
                 when there.at is not null and mine."tandem state" = 'kept' then 'reused'
                 when there.at is not null and there.hash <> mine."tandem last" then 'changed'
                 when there.at is not null then 'update'
                 when mine."tandem last" is not null then 'removed'
                 else 'insert'
               end as "tandem verdict"
             from mine
             left join there on there.name = mine."tandem key"
           ){written},
           {inserted},
           {note},
           stated as (
             update tandem.ledger as l
             set state = case j."tandem verdict"
               when 'taken' then 'taken'
               when 'reused' then 'kept'
               when 'changed' then {changed}
               when 'removed' then {changed}
             end
             from judged as j
             where l.key_hash = j."tandem hash"
           ) {VERDICTS}{gone}
           from judged{all_there}"#,
        there = there(reverse, rows),
        note = note(
            &over,
            &[
                ("taken", "desktop"),
                ("reused", "desktop"),
                ("changed", kept),
                ("removed", kept)
            ]
        ),
        all_there = all_there(reverse, INSERT + UPDATE, done, &wanted),
        changed = if writes { "null" } else { "'desktop'" }
    );
    vec![
        lock(&over, replicator, rows),
        over.statement(replicator, rows, sql),
    ]
}

/// A row that changes goes, since NULL is refused where it may have to wait; nobody but us notices that.
fn makes_way(knot: &Knot) -> bool {
    knot.loose.is_empty() && !knot.stiff.is_empty() && knot.rooted.is_none()
}

/// The row is the phone's, where the desktop says that.
fn names_owner(reverse: &ReverseTable, names: &mut Vec<String>, values: &mut Vec<String>) {
    if let (Some((column, base)), Some(owner)) = (&reverse.desktop_owner, &reverse.owner) {
        names.push(ident(column));
        values.push(format!("{mobile}::{base}", mobile = literal(&owner.mobile)));
    }
}

/// Fills what [`put`] has left empty in the rows that this transaction has written, or inserts those that have gone.
pub fn fill(reverse: &ReverseTable, replicator: &str, rows: &[Coming]) -> Option<Statement> {
    let knot = reverse.knot.as_ref()?;
    let over = Over::all(reverse);
    let (source, target) = (over.source(), target(reverse));
    let sql = if makes_way(knot) {
        let mut names: Vec<_> = reverse
            .columns
            .iter()
            .map(|column| ident(&column.name))
            .collect();
        let mut values: Vec<_> = names.iter().map(|name| format!("src.{name}")).collect();
        names_owner(reverse, &mut names, &mut values);
        format!(
            r#"with {source}, {MINE}
               insert into {qualified} ({names}) overriding system value
               select {values}
               from mine as src
               where coalesce(current_setting('{GONE}', true), '[]')::jsonb ? src."tandem key""#,
            qualified = super::qualified(&reverse.desktop),
            names = names.join(", "),
            values = values.join(", ")
        )
    } else if knot.loose.is_empty() {
        return None;
    } else {
        let loose = columns(reverse, knot.loose.iter().copied());
        let set: Vec<_> = { loose.iter() }
            .map(|(_, column)| format!("{column} = mine.{column}", column = ident(&column.name)))
            .collect();
        format!(
            "with {source}, {MINE}
             update {target} as t
             set {set}
             from mine
             where {same_key}
               and {phones_on_desktop}
               and t.xmin = pg_current_xact_id()::xid
               and {loose} <> {my_loose}",
            set = set.join(", "),
            same_key = same_key(reverse, "mine", rows),
            phones_on_desktop = phones_on_desktop(reverse),
            loose = look("t", &loose),
            my_loose = look("mine", &loose)
        )
    };
    Some(over.statement(replicator, rows, sql))
}

/// Removes rows that the phone deleted, if the settings let it; else they are kept, and known as such.
pub fn remove(reverse: &ReverseTable, replicator: &str, rows: &[Coming]) -> Vec<Statement> {
    let over = Over::names(reverse);
    let writes = !reverse.keeps_desktop;
    let also = if writes { ", 'deleted'" } else { "" };
    let (delete, differs) = match reverse.deletes {
        true => ("'delete'", "'deleted'"),
        false => ("'keep'", "'keep'"),
    };
    let sql = format!(
        r#"with {source},
           {MINE},
           {there},
           judged as materialized (
             select mine.*, there.part as "tandem part", there.at as "tandem at",
               there.image as "tandem image", case
                 when there.at is null or not there.mobile then 'same'
                 when there.hash <> mine."tandem last" then {differs}
                 else {delete}
               end as "tandem verdict"
             from mine
             left join there on there.name = mine."tandem key"
           ),
           gone as (
             delete from {target} as t
             using judged as src
             where t.tableoid = src."tandem part"
               and t.ctid = src."tandem at"
               and src."tandem verdict" in ('delete'{also})
             returning 1
           ),
           {note},
           stated as (
             update tandem.ledger as l
             set state = case j."tandem verdict"
               when 'keep' then 'kept'
               when 'deleted' then {changed}
             end
             from judged as j
             where l.key_hash = j."tandem hash"
           ) {VERDICTS}
           from judged{all_there}"#,
        source = over.source(),
        there = there(reverse, rows),
        target = target(reverse),
        note = note(
            &over,
            &[("deleted", if writes { "cloud" } else { "desktop" })]
        ),
        all_there = all_there(
            reverse,
            DELETE,
            "(select count(*) from gone)",
            &wanted(&format!("'delete'{also}"))
        ),
        changed = if writes { "null" } else { "'desktop'" }
    );
    vec![
        lock(&over, replicator, rows),
        over.statement(replicator, rows, sql),
    ]
}

/// Remembers how the rows stand now, whatever the desktop's triggers made of them: a later difference is the desktop's.
pub fn remember(reverse: &ReverseTable, replicator: &str, rows: &[Coming]) -> Statement {
    let over = Over::names(reverse);
    // A table that doesn't say whose its rows are has only those that we wrote, and others that are taken.
    let mobile = phones_on_desktop(reverse);
    let sql = format!(
        r#"with {source},
           {MINE},
           now as (
             select mine."tandem hash" as name,
               min(case when t.ctid is not null then {hash} end) as hash
             from mine
             left join {target} as t on {same_key} and {mobile}
             group by 1
           )
           update tandem.ledger as l
           set hash = now.hash
           from now
           where l.key_hash = now.name and l.state is null"#,
        source = over.source(),
        hash = hash(reverse, "t"),
        target = target(reverse),
        same_key = same_key(reverse, "mine", rows)
    );
    over.statement(replicator, rows, sql)
}
