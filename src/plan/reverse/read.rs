//! The poll: entries and the rows as they are now, in one statement, so that a row is what its last entry says or newer.

use super::super::desktop_rows::cell;
use super::super::guard::{Guard, belongs, is_mobile};
use super::super::quote::{array, ident, literal, table as qualified};
use crate::limits;
use crate::model::{Arriving, ReverseTable};
use crate::wire::PINNED;

/// How much of the outbox is read at once.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Entries.
    pub entries: usize,
    /// Bytes of the rows; one row at least.
    pub bytes: u64,
    /// A row of more bytes is not read.
    pub row_bytes: u64,
}

/// What stands in an answer's columns, before the row's cells.
pub struct Found;

impl Found {
    /// The table's name in the settings.
    pub const TABLE: usize = 0;
    /// The last entry.
    pub const ENTRY: usize = 1;
    /// All entries, as an array constant.
    pub const ENTRIES: usize = 2;
    /// How many of them haven't been counted yet.
    pub const NEW: usize = 3;
    /// What names the row, as an array constant.
    pub const KEY: usize = 4;
    /// `emptied`, `gone`, `hidden`, `mobile`, `desktop`, `other`.
    pub const STATE: usize = 5;
    /// The desktop had changed it.
    pub const AGAIN: usize = 6;
    /// How many rows look like this.
    pub const COPIES: usize = 7;
    /// The row's bytes.
    pub const BYTES: usize = 8;
    /// The entry that says how the desktop has a row of the phone's, if there is one.
    pub const TOLD_BY: usize = 9;
    /// That row, as a JSON object of texts; none when it is gone.
    pub const TOLD: usize = 10;
    /// There is no other entry.
    pub const ONLY_TOLD: usize = 11;
    /// The first cell.
    pub const CELLS: usize = 12;
}

/// Notes that it was looked, as [`read`] does, and says whether entries wait that that one would read: a statement of a few
/// hundred bytes, that looks at none of the tables.
pub fn waits(reverse_tables: &[&ReverseTable], replicator: &str) -> String {
    let who = literal(replicator);
    let names = array(reverse_tables.iter().map(|reverse| reverse.name.as_str()));
    let (polled, waiting) = (polled(&who), waiting(&who, &names));
    format!(
        "with {polled}
         select exists (
           select from tandem.outbox
           where {waiting}
         )"
    )
}

/// Notes that it was looked.
fn polled(who: &str) -> String {
    let every = limits::REVERSE_NOTED_EVERY_MS;
    format!(
        "noted as (
           update tandem.poll
           set polled_at = clock_timestamp()
           where replicator = {who}
             and polled_at < clock_timestamp() - interval '{every} ms'
         ),
         first as (
           insert into tandem.poll (replicator, polled_at)
           select {who}, clock_timestamp()
           where not exists (select from tandem.poll where replicator = {who})
           on conflict do nothing
         )"
    )
}

/// Entries of these tables, but for those whose way home has stopped.
fn waiting(who: &str, names: &str) -> String {
    let names = literal(names);
    format!(
        r#"replicator = {who}
                 and "table" = any ({names}::text[])
                 and "table" in (
                   select s."table"
                   from tandem.reverse_state as s
                   where s.replicator = {who} and s.why is null
                 )"#
    )
}

/// Reads the oldest entries of these tables, but for those whose way home has stopped, notes that it was looked, and answers
/// rows as [`Found`] says. Two statements of the simple protocol: the settings are the transaction's own, so a pooler may
/// stand between. Rows that a policy hides would look as if they were gone: an error instead, and where we are known to be
/// confined by policies, `hidden`.
pub fn read(reverse_tables: &[&ReverseTable], replicator: &str, budget: &Budget) -> String {
    let confined = reverse_tables.iter().any(|reverse| reverse.confined);
    let names = array(reverse_tables.iter().map(|reverse| reverse.name.as_str()));
    let width = { reverse_tables.iter() }
        .map(|reverse| reverse.arriving.len())
        .max();
    let width = width.unwrap_or_default();
    let who = literal(replicator);
    let parts: Vec<_> = { reverse_tables.iter() }
        .map(|reverse| part(reverse, width, confined.then_some(who.as_str())))
        .collect();
    format!(
        "select {settings}; with {polled}, {oldest}, {KEYS}, found as ({parts}) {within}",
        settings = settings(confined),
        polled = polled(&who),
        oldest = oldest(&waiting(&who, &names), budget),
        parts = parts.join(" union all "),
        within = within(width, budget)
    )
}

/// The transaction's own settings.
fn settings(confined: bool) -> String {
    let own = [("row_security", "off")];
    let own = own.iter().filter(|_| !confined);
    let pinned = PINNED.iter().filter(|(name, _)| *name != "client_encoding");
    let settings = pinned.chain(own).map(|(name, value)| {
        format!(
            "set_config({name}, {value}, true)",
            name = literal(name),
            value = literal(value)
        )
    });
    settings.collect::<Vec<_>>().join(", ")
}

/// `e`: the oldest entries.
fn oldest(waiting: &str, budget: &Budget) -> String {
    format!(
        r#"e as materialized (
             select id, "table", key, op, told
             from tandem.outbox
             where {waiting}
             order by id
             limit {entries}
           )"#,
        entries = budget.entries
    )
}

/// `k`: what they name, and what they say of it.
const KEYS: &str = r#"k as materialized (
      select "table", key, max(id) as id, array_agg(id) as ids,
        count(*) filter (where op not in ('P', 'A')) as new,
        bool_or(op = 'T') as emptied, (array_agg(op order by id desc))[1] as last,
        bool_or(op = 'R') as again, max(id) filter (where op = 'A') as told_by,
        (array_agg(told order by id desc) filter (where op = 'A'))[1] as told,
        bool_and(op = 'A') as only_told
      from e
      group by 1, 2
    )"#;

/// What was `found`, as far as it stays within the bytes.
fn within(width: usize, budget: &Budget) -> String {
    let cells = (0..width).map(|at| {
        format!(
            ", case when f.bytes <= {row_bytes} then f.c{at} end",
            row_bytes = budget.row_bytes
        )
    });
    format!(
        r#"select f."table", f.id, f.ids::text, f.new, f.key::text, f.state, f.again, f.copies,
             f.bytes, k.told_by, k.told::text, k.only_told{cells}
           from (
             select found.*,
               coalesce(
                 sum(bytes) over (
                   order by id groups between unbounded preceding and 1 preceding
                 ),
                 0
               ) as told
             from found
           ) as f
           join k on k.id = f.id
           where f.told < {bytes}
           order by f.id"#,
        cells = cells.collect::<String>(),
        bytes = budget.bytes
    )
}

/// `confined`: the replicator, where policies may hide rows from us.
fn part(reverse: &ReverseTable, width: usize, confined: Option<&str>) -> String {
    if reverse.counted {
        return counted(reverse, width);
    }
    let (name, target) = (literal(&reverse.name), qualified(&reverse.cloud));
    // The key is known of a row that is gone, too.
    let cells = (0..width).map(|at| {
        let cell = match reverse.arriving.get(at) {
            None => "null::text".to_owned(),
            Some(column) => match reverse.names.iter().position(|named| named.arriving == at) {
                Some(nth) => format!("k.key[{number}]", number = nth + 1),
                None => cell(&column.name),
            },
        };
        format!("{cell} as c{at}")
    });
    let found = reverse.names.iter().enumerate().map(|(nth, named)| {
        let column = &reverse.arriving[named.arriving];
        let (stored, wanted) = (
            format!("t.{column}", column = ident(&column.name)),
            format!("k.key[{number}]", number = nth + 1),
        );
        let equal = format!(
            "{stored} = {wanted}::{base_type}",
            base_type = column.base_type
        );
        match named.not_null {
            true => equal,
            false => format!("({equal} or {stored} is null and {wanted} is null)"),
        }
    });
    let found: Vec<_> = found.collect();
    format!(
        r#"select k."table", k.id, k.ids, k.new, k.key, {state} as state, k.again,
             1::bigint as copies, coalesce(octet_length(t::text), 0)::bigint as bytes, {cells}
           from k
           left join {target} as t on not k.emptied and {found} and {belongs}
           where k."table" = {name}"#,
        state = state(reverse, confined),
        cells = cells.collect::<Vec<_>>().join(", "),
        found = found.join(" and "),
        belongs = belongs(&reverse.tenant, "t"),
    )
}

fn state(reverse: &ReverseTable, confined: Option<&str>) -> String {
    // A row that isn't seen may be hidden: a policy may apply, and rows don't go there without an entry, which may not be read
    // yet. Only such rows look for theirs.
    let hidden = match confined.filter(|_| !reverse.vanishes) {
        Some(who) => format!(
            r#"when t.ctid is null and k.last in ('I', 'U', 'Q') and not exists (
                 select
                 from tandem.outbox as o
                 where o.replicator = {who}
                   and o.id > k.id
                   and o.op = 'D'
                   and o."table" = k."table"
                   and o.key = k.key
               ) then 'hidden' "#
        ),
        None => String::new(),
    };
    let gone = format!("when k.emptied then 'emptied' {hidden}when t.ctid is null then 'gone'");
    match &reverse.owner {
        None => format!("case {gone} else 'desktop' end"),
        Some(_) => format!(
            "case {gone} when {is_mobile} then 'mobile' when {owned} then 'desktop' else 'other' end",
            is_mobile = is_mobile(reverse.owner.as_ref(), "t"),
            owned = Guard::of_reverse(reverse).owned()
        ),
    }
}

/// Of a table without a key: each look in the cloud's own columns, and how many of the desktop's rows have it.
fn counted(reverse: &ReverseTable, width: usize) -> String {
    let (name, target) = (literal(&reverse.name), qualified(&reverse.cloud));
    let named = |nth: usize| format!("k.key[{number}]", number = nth + 1);
    let is_name = |at: usize| reverse.names.iter().position(|name| name.arriving == at);
    let cells = (0..width).map(|at| match (reverse.arriving.get(at), is_name(at)) {
        (None, _) => format!("null::text as c{at}"),
        (Some(_), Some(nth)) => format!("{named} as c{at}", named = named(nth)),
        (Some(_), None) => format!("l.c{at}"),
    });
    let looks: Vec<_> = (0..reverse.arriving.len())
        .filter(|at| is_name(*at).is_none())
        .collect();
    let looked: String = { looks.iter() }
        .map(|at| {
            format!(
                ", {cell} as c{at}",
                cell = cell(&reverse.arriving[*at].name)
            )
        })
        .collect();
    let groups: String = { looks.iter() }.map(|at| format!(", c{at}")).collect();
    let typed = |value: &dyn Fn(usize) -> String| {
        let cells = reverse.names.iter().enumerate().map(|(nth, named)| {
            let base = &reverse.arriving[named.arriving].base_type;
            format!("{value}::{base}::text", value = value(nth))
        });
        format!(
            "array[{cells}]::text",
            cells = cells.collect::<Vec<_>>().join(", ")
        )
    };
    let stored = typed(&|nth| {
        let at = reverse.names[nth].arriving;
        format!("t.{column}", column = ident(&reverse.arriving[at].name))
    });
    let wanted = typed(&named);
    format!(
        r#"select k."table", k.id, k.ids, k.new,
             k.key, case when l.copies is null then 'gone' else 'desktop' end as state, k.again,
             coalesce(l.copies, 0) as copies, octet_length(k.key::text)::bigint as bytes,
             {cells}
           from k
           left join (
             select name{groups}, count(*) as copies
             from (select {stored} as name{looked} from {target} as t where {owned}{among}) as r
             group by name{groups}
           ) as l on l.name = {wanted}
           where k."table" = {name}"#,
        cells = cells.collect::<Vec<_>>().join(", "),
        owned = Guard::of_reverse(reverse).owned(),
        among = among(reverse)
    )
}

/// Of a table without a key, only rows that have in common with an entry what can be compared without being written out: a row that
/// is named alike has. An index of one of these columns finds them; without one the table is read, but few of its rows are grouped.
fn among(reverse: &ReverseTable) -> String {
    let names = reverse.names.iter().enumerate();
    let equal = names.filter_map(|(nth, named)| {
        let Arriving { name, base_type } = &reverse.arriving[named.arriving];
        let compares = named.not_null && COMPARED.contains(&base_type.as_str());
        compares.then(|| {
            let (column, number) = (ident(name), nth + 1);
            format!("t.{column} = k.key[{number}]::{base_type}")
        })
    });
    let equal: Vec<_> = equal.collect();
    match equal.is_empty() {
        true => String::new(),
        false => format!(
            r#" and exists (select from k where k."table" = {name} and {equal})"#,
            name = literal(&reverse.name),
            equal = equal.join(" and ")
        ),
    }
}

/// Types of which values that are written alike are equal, and whose equality is cheap.
const COMPARED: [&str; 10] = [
    "smallint",
    "integer",
    "bigint",
    "text",
    "character varying",
    "uuid",
    "date",
    "boolean",
    "timestamp without time zone",
    "timestamp with time zone",
];
