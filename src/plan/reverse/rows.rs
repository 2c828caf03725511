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

/// Judges each row by the first of these tests that is true.
fn judged(verdicts: &str) -> String {
    format!(
        r#"judged as materialized (
             select mine.*, there.part as "tandem part", there.at as "tandem at",
               there.image as "tandem image", case {verdicts} end as "tandem verdict"
             from mine
             left join there on there.name = mine."tandem key"
           )"#
    )
}

/// Says in the ledger how rows with these verdicts stand from now on.
fn stated(states: &[(&str, &str)]) -> String {
    let states = states
        .iter()
        .map(|(verdict, state)| format!("when '{verdict}' then {state}"));
    format!(
        r#"stated as (
             update tandem.ledger as l
             set state = case j."tandem verdict" {states} end
             from judged as j
             where l.key_hash = j."tandem hash"
           )"#,
        states = states.collect::<Vec<_>>().join(" ")
    )
}

/// Whose word counts where both sides have changed a row.
fn kept(reverse: &ReverseTable) -> &'static str {
    match reverse.keeps_desktop {
        true => "desktop",
        false => "cloud",
    }
}

/// How such a row stands in the ledger then.
fn settled(reverse: &ReverseTable) -> &'static str {
    match reverse.keeps_desktop {
        true => "'desktop'",
        false => "null",
    }
}

/// Verdicts on rows that are changed on the desktop.
fn updates(reverse: &ReverseTable) -> &'static str {
    match reverse.keeps_desktop {
        true => "'update'",
        false => "'update', 'changed'",
    }
}

/// Verdicts on rows that are inserted there.
fn inserts(reverse: &ReverseTable) -> &'static str {
    match reverse.keeps_desktop {
        true => "'insert'",
        false => "'insert', 'removed'",
    }
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
    let change = Change::of(reverse, loose, knot.is_some_and(makes_way));
    let (kept, settled) = (kept(reverse), settled(reverse));
    let sql = format!(
        "with {source}, {MINE}, {there}, {judged}{changed}, {inserted}, {note}, {stated}
         {VERDICTS}{gone}
         from judged{all_there}",
        source = over.source(),
        there = there(reverse, rows),
        judged = judged(&coming(reverse)),
        changed = change.text(reverse),
        inserted = inserted(reverse, loose),
        note = note(
            &over,
            &[
                ("taken", "desktop"),
                ("reused", "desktop"),
                ("changed", kept),
                ("removed", kept)
            ]
        ),
        stated = stated(&[
            ("taken", "'taken'"),
            ("reused", "'kept'"),
            ("changed", settled),
            ("removed", settled)
        ]),
        gone = change.noted(),
        all_there = change.all_there(reverse)
    );
    vec![
        lock(&over, replicator, rows),
        over.statement(replicator, rows, sql),
    ]
}

/// Verdicts on rows that come.
fn coming(reverse: &ReverseTable) -> String {
    let hash = hash(reverse, "mine");
    // Where the desktop doesn't say whose a row is, one that looks alike is as good as ours.
    let equal = match reverse.desktop_owner {
        Some(_) => String::new(),
        None => format!(" and there.hash <> {hash}"),
    };
    format!(
        r#"when there.at is not null and not there.mobile{equal} then 'taken'
           when there.at is not null and there.hash = {hash} then 'same'
           when there.at is not null and mine."tandem state" = 'kept' then 'reused'
           when there.at is not null and there.hash <> mine."tandem last" then 'changed'
           when there.at is not null then 'update'
           when mine."tandem last" is not null then 'removed'
           else 'insert'"#
    )
}

/// What a row gets in a column, but for those that stay empty for now.
fn value(loose: &[usize], (at, column): (usize, &Column)) -> String {
    match loose.contains(&at) {
        true => format!("null::{base_type}", base_type = column.base_type),
        false => format!("src.{column}", column = ident(&column.name)),
    }
}

/// How a row of the desktop's gets what changed.
enum Change {
    /// It has nothing but its key.
    Never,
    /// It goes, to be inserted by [`fill`].
    Anew,
    /// By these assignments.
    InPlace(String),
}

impl Change {
    fn of(reverse: &ReverseTable, loose: &[usize], makes_way: bool) -> Change {
        let rest = { reverse.columns.iter().enumerate() }.filter(|(at, _)| !reverse.is_key(*at));
        let set = rest.map(|column| {
            format!(
                "{column} = {value}",
                column = ident(&column.1.name),
                value = value(loose, column)
            )
        });
        let set: Vec<_> = set.collect();
        match (set.is_empty(), makes_way) {
            (true, _) => Change::Never,
            (false, true) => Change::Anew,
            (false, false) => Change::InPlace(set.join(", ")),
        }
    }

    /// A CTE that does it.
    fn text(&self, reverse: &ReverseTable) -> String {
        let target = target(reverse);
        let found = format!(
            r#"t.tableoid = src."tandem part"
               and t.ctid = src."tandem at"
               and src."tandem verdict" in ({updates})"#,
            updates = updates(reverse)
        );
        match self {
            Change::Never => String::new(),
            Change::Anew => format!(
                r#", gone as (
                     delete from {target} as t
                     using judged as src
                     where {found}
                     returning src."tandem key"
                   )"#
            ),
            Change::InPlace(set) => format!(
                ", updated as (
                   update {target} as t
                   set {set}
                   from judged as src
                   where {found}
                   returning 1
                 )"
            ),
        }
    }

    /// Notes what went, for [`fill`].
    fn noted(&self) -> String {
        match self {
            Change::Anew => format!(
                r#", set_config(
                     '{GONE}',
                     (select coalesce(jsonb_agg("tandem key"), '[]')::text from gone),
                     true
                   )"#
            ),
            Change::Never | Change::InPlace(_) => String::new(),
        }
    }

    /// As many rows changed, and came, as had to.
    fn all_there(&self, reverse: &ReverseTable) -> String {
        let (inserts, updates) = (inserts(reverse), updates(reverse));
        let both = format!("{inserts}, {updates}");
        let (done, verdicts) = match self {
            Change::Never => ("(select count(*) from inserted)", inserts),
            Change::Anew => (
                "(select count(*) from gone) + (select count(*) from inserted)",
                &*both,
            ),
            Change::InPlace(_) => (
                "(select count(*) from updated) + (select count(*) from inserted)",
                &*both,
            ),
        };
        all_there(reverse, INSERT + UPDATE, done, &wanted(verdicts))
    }
}

/// Inserts what is new. Where the desktop would generate what names the row, the cloud's value is insisted on; elsewhere these
/// words do nothing.
fn inserted(reverse: &ReverseTable, loose: &[usize]) -> String {
    let columns = reverse.columns.iter();
    let mut names: Vec<_> = columns.map(|column| ident(&column.name)).collect();
    let columns = reverse.columns.iter().enumerate();
    let mut values: Vec<_> = columns.map(|column| value(loose, column)).collect();
    names_owner(reverse, &mut names, &mut values);
    format!(
        r#"inserted as (
             insert into {qualified} ({names}) overriding system value
             select {values}
             from judged as src
             where src."tandem verdict" in ({inserts})
             returning 1
           )"#,
        qualified = super::qualified(&reverse.desktop),
        names = names.join(", "),
        values = values.join(", "),
        inserts = inserts(reverse)
    )
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
    let deletes = match reverse.keeps_desktop {
        true => "'delete'",
        false => "'delete', 'deleted'",
    };
    let sql = format!(
        r#"with {source},
           {MINE},
           {there},
           {judged},
           gone as (
             delete from {target} as t
             using judged as src
             where t.tableoid = src."tandem part"
               and t.ctid = src."tandem at"
               and src."tandem verdict" in ({deletes})
             returning 1
           ),
           {note},
           {stated}
           {VERDICTS}
           from judged{all_there}"#,
        source = over.source(),
        there = there(reverse, rows),
        judged = judged(&going(reverse)),
        target = target(reverse),
        note = note(&over, &[("deleted", kept(reverse))]),
        stated = stated(&[("keep", "'kept'"), ("deleted", settled(reverse))]),
        all_there = all_there(
            reverse,
            DELETE,
            "(select count(*) from gone)",
            &wanted(deletes)
        )
    );
    vec![
        lock(&over, replicator, rows),
        over.statement(replicator, rows, sql),
    ]
}

/// Verdicts on rows that go.
fn going(reverse: &ReverseTable) -> String {
    let (delete, differs) = match reverse.deletes {
        true => ("'delete'", "'deleted'"),
        false => ("'keep'", "'keep'"),
    };
    format!(
        r#"when there.at is null or not there.mobile then 'same'
           when there.hash <> mine."tandem last" then {differs}
           else {delete}"#
    )
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
