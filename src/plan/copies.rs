//! Tables without a key: copies of equal rows come and go. They have one name, but may look different in columns of the cloud's
//! own: a phone ticked one of them. Then it isn't the same which one goes.

use super::as_text::output;
use super::clauses::and;
use super::guard::{Change, Guard, has_parent, spares};
use super::kept::{Counted, DELETE, INSERT};
use super::quote::{ident, table as qualified};
use super::source::{Rows, all, image, insertion, key, source};
use super::table_state::IS_OURS;
use crate::model::{Column, Key, Source, Table};

/// The columns of the cloud's own of a table without a key, and where the desktop's rows say how they look.
fn owned(table: &Table) -> Vec<(usize, &Column)> {
    if table.key != Key::Multiset {
        return Vec::new();
    }
    let columns = table.columns.iter().filter(|column| column.cloud_owned);
    let said = columns.filter_map(|column| match column.from {
        Source::Arriving(index) => Some((index, column)),
        _ => None,
    });
    said.collect()
}

/// How a row of the desktop's looks, as `"tandem look"`; none where all rows look alike. As the text that arrived: one that can't
/// be read is no reason to leave the row.
pub(super) fn sent_look(table: &Table, rows: &Rows) -> Option<String> {
    let cells = owned(table).into_iter().map(|(index, _)| rows.cell(index));
    let cells: Vec<_> = cells.collect();
    (!cells.is_empty()).then(|| {
        format!(
            "array[{cells}]::text[] as \"tandem look\"",
            cells = cells.join(", ")
        )
    })
}

/// How the stored row `t` looks.
fn stored_look(table: &Table) -> String {
    let cells = owned(table);
    let cells = cells.iter().map(|(_, column)| {
        let cast = format!("::{compare_type}", compare_type = column.compare_type);
        output(&format!("t.{column}", column = ident(&column.name)), &cast)
    });
    format!(
        "array[{cells}]::text[]",
        cells = cells.collect::<Vec<_>>().join(", ")
    )
}

pub(super) fn copies(
    table: &Table,
    columns: &[(usize, &Column)],
    rows: &Rows,
    look: Option<String>,
) -> String {
    debug_assert_eq!(table.key, Key::Multiset);
    let extra = [
        "u.copies::bigint as \"tandem copies\"",
        "row_number() over () as \"tandem row\"",
    ];
    let extra: Vec<_> = { extra.into_iter().map(str::to_owned) }
        .chain(look)
        .collect();
    source(table, columns, rows, &extra)
}

/// Inserts as many copies as each row says.
pub(super) fn add_copies(table: &Table, rows: &Rows) -> String {
    let (names, values) = insertion(table, &all(table));
    let ours = has_parent(table).map_or(String::new(), |ours| format!(" where {ours}"));
    let sum = format!("(select coalesce(sum(src.\"tandem copies\"), 0)::bigint from src{ours})");
    let counted = Counted {
        table,
        does: INSERT,
        ctes: copies(table, &all(table), rows, None),
        besides: String::new(),
        parts: vec![(
            "added",
            format!(
                "insert into {target} {names} \
                 select {values} \
                 from src, generate_series(1, src.\"tandem copies\"){ours}",
                target = qualified(&table.cloud)
            ),
        )],
        most: sum.clone(),
        wanted: sum,
        still: None,
    };
    counted.text(rows)
}

/// As many of the equal rows as `copies` says: any, where they can't be told apart.
pub(super) fn remove_copies(table: &Table, rows: &Rows) -> String {
    let columns = key(table);
    let joins = columns.iter().filter(|(_, column)| column.not_null);
    let mut tests: Vec<_> = joins
        .map(|(_, column)| format!("t.{column} = src.{column}", column = ident(&column.name)))
        .collect();
    tests.push(format!(
        "{stored} *= {wanted}",
        stored = image("t", &columns),
        wanted = image("src", &columns)
    ));
    let (target, deletable) = (qualified(&table.cloud), Guard::of(table).deletable());
    // A ctid names a row within one partition only.
    let found = format!(
        "t.tableoid = hit.part and t.ctid = hit.at and hit.nth <= hit.copies and {deletable}"
    );
    let spared = and(spares(table, &found, Change::Goes("false")));
    let tests = tests.join(" and ");
    let hit = match have_looks(table) {
        true => hit_by_look(table, &target, &tests, &deletable),
        false => format!(
            "hit as (\
               select t.tableoid as part, t.ctid as at, \
                 row_number() over (partition by src.\"tandem row\") as nth, \
                 src.\"tandem copies\" as copies \
               from {target} as t \
               join src on {tests} \
               where {deletable}\
             )",
        ),
    };
    let counted = Counted {
        table,
        does: DELETE,
        ctes: format!(
            "{copies}, {hit}",
            copies = copies(table, &columns, rows, sent_look(table, rows))
        ),
        besides: String::new(),
        parts: vec![(
            "gone",
            format!("delete from {target} as t using hit where {found}{spared}"),
        )],
        most: "(select coalesce(sum(src.\"tandem copies\"), 0)::bigint from src)".to_owned(),
        wanted: "(select count(*) from hit where hit.nth <= hit.copies)".to_owned(),
        still: None,
    };
    counted.text(rows)
}

/// CTEs that end in `hit(part, at, nth, copies)`: the stored rows that `found` finds for those of `src`, numbered so that the first
/// `copies` go. Those go first that look as the desktop's did.
pub(super) fn hit_by_look(table: &Table, target: &str, found: &str, deletable: &str) -> String {
    let names = key(table);
    let (sent, stored) = (image("src", &names), image("t", &names));
    format!(
        "looks as (\
           select {sent}::text as name, src.\"tandem look\" as look, \
             sum(src.\"tandem copies\") as copies \
           from src \
           group by 1, 2\
         ), \
         named as (\
           select looks.name, sum(looks.copies) as copies \
           from looks \
           group by 1\
         ), \
         have as (\
           select t.tableoid as part, t.ctid as at, {stored}::text as name, \
             {stored_look} as look \
           from {target} as t \
           where exists (select from src where {found}) and {deletable}\
         ), \
         same as (\
           select have.*, row_number() over (partition by have.name, have.look) as nth \
           from have\
         ), \
         hit as (\
           select same.part, same.at, \
             row_number() over (\
               partition by same.name order by same.nth <= coalesce(looks.copies, 0) desc\
             ) as nth, \
             named.copies \
           from same \
           join named using (name) \
           left join looks using (name, look)\
         )",
        stored_look = stored_look(table)
    )
}

/// CTEs, `want` over the desktop's rows `src` among them, that end in `have(part, at, name, nth)`: the stored rows that `which`
/// chooses, numbered so that the last of them go where there are too many. Those stay first that look as the desktop's do; before the
/// first copy, and as long as rows stand there that it found and nobody has decided about, the desktop can't know what the phones
/// said: then those of which most is said. `$1` is the replicator, `$3` the table's name.
pub(super) fn have_by_look(table: &Table, target: &str, which: &str) -> String {
    let names = key(table);
    let (sent, stored) = (image("src", &names), image("t", &names));
    format!(
        "looks as (\
           select {sent}::text as name, src.\"tandem look\" as look, count(*) as copies \
           from src \
           group by 1, 2\
         ), \
         want as (\
           select looks.name, sum(looks.copies) as copies \
           from looks \
           group by 1\
         ), \
         seen as (\
           select t.tableoid as part, t.ctid as at, {stored}::text as name, \
             {stored_look} as look \
           from {target} as t \
           where {which}\
         ), \
         known as ({IS_OURS}), \
         same as (\
           select seen.*, row_number() over (partition by seen.name, seen.look) as nth \
           from seen\
         ), \
         have as (\
           select same.part, same.at, same.name, \
             row_number() over (\
               partition by same.name order by exists (select from known) \
                 and same.nth <= coalesce(looks.copies, 0) desc, \
               num_nulls(variadic same.look), same.look desc\
             ) as nth \
           from same \
           left join looks using (name, look)\
         )",
        stored_look = stored_look(table)
    )
}

/// CTEs that end in `have(name, copies)` and `want`, the staged rows with their `tandem name` and `tandem nth`: the first of them
/// are those that the cloud has, as far as it has them with this look.
pub(super) fn want_by_look(table: &Table, target: &str, which: &str) -> String {
    let names = key(table);
    let (sent, stored) = (image("src", &names), image("t", &names));
    format!(
        "looks as (\
           select {stored}::text as \"tandem name\", {stored_look} as \"tandem look\", \
             count(*) as \"tandem copies\" \
           from {target} as t \
           where {which} \
           group by 1, 2\
         ), \
         have as (\
           select looks.\"tandem name\" as name, sum(looks.\"tandem copies\") as copies \
           from looks \
           group by 1\
         ), \
         same as (\
           select src.*, {sent}::text as \"tandem name\", \
             row_number() over (partition by {sent}::text, src.\"tandem look\") as \"tandem same\" \
           from src\
         ), \
         want as (\
           select same.*, \
             row_number() over (\
               partition by same.\"tandem name\" \
               order by same.\"tandem same\" <= coalesce(looks.\"tandem copies\", 0) desc\
             ) as \"tandem nth\" \
           from same \
           left join looks using (\"tandem name\", \"tandem look\")\
         )",
        stored_look = stored_look(table)
    )
}

/// Whether equal rows of the table can look different.
pub(super) fn have_looks(table: &Table) -> bool {
    !owned(table).is_empty()
}
