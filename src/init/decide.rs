//! Where what both databases hold leaves a choice: the best answer, and the others.

use tokio_postgres::Client;

use super::own::{is_made, says_yes};
use super::question::{Decisions, Question, remark};
use super::written::list;
use crate::catalog::{ColumnFacts, RelationFacts};
use crate::config::{Flow, Owner, as_text, quoted};
use crate::fault::{Fault, Side};
use crate::plan::quote;

/// Columns of one table whose names may be the key of a table that declares none are looked for among so many of its first.
const KEYS_LOOKED_AT: usize = 4;
/// Fewer rows are told apart by chance.
const ROWS_TELLING: usize = 10;
/// Names on the other side that a column is asked about.
const NAMES_ASKED: usize = 5;

/// Whose rows a table has.
struct Rows {
    /// The cloud has some that phones made.
    mobile: bool,
    /// The cloud has some of the desktop's.
    owned: bool,
    /// The desktop has some.
    filled: bool,
    /// The cloud needs what the desktop hasn't got.
    needs: bool,
}

/// Which ways rows go: those that only phones make come home. What speaks for both is asked.
pub(super) async fn flow(
    decisions: &mut Decisions,
    (from, to): (&RelationFacts, &RelationFacts),
    owner: &Owner,
    clients: (&Client, &Client),
) -> Result<(Flow, Vec<String>), Fault> {
    if to.column(&owner.column).is_none() {
        return Ok((Flow::Forward, Vec::new()));
    }
    let rows = rows(from, to, owner, clients).await?;
    let home = rows.mobile && !rows.owned || rows.needs && !rows.filled;
    let best = if home { 1 } else { 0 };
    let flows = [Flow::Forward, Flow::Reverse, Flow::Both];
    if !rows.mobile || !(rows.owned || rows.filled) {
        return Ok((flows[best], Vec::new()));
    }
    let table = from.name.to_string();
    let id = format!("flow {best}");
    let asks = "both sides have rows of their own. Which way do rows go?";
    let question = Question::new(
        id,
        table,
        asks.to_owned(),
        &[
            "to the cloud; what phones add stays there: flow = \"forward\", which is the default",
            "home; what the desktop adds stays there: flow = \"reverse\"",
            "both ways; ids of both sides must not meet: flow = \"both\"",
        ],
    );
    let (chosen, mut lines) = decisions.choose(&owner.column, question.best(best));
    if flows[chosen] == Flow::Both {
        lines.extend(made_ids(to).iter().map(|column| apart(to, column)));
    }
    Ok((flows[chosen], lines))
}

async fn rows(
    from: &RelationFacts,
    to: &RelationFacts,
    owner: &Owner,
    (desktop, cloud): (&Client, &Client),
) -> Result<Rows, Fault> {
    let needs = to.columns.iter().any(|column| {
        let owned = column.name == owner.column;
        column.must_be_given() && !owned && from.column(&column.name).is_none()
    });
    let (target, column) = (to.rows(), quote::ident(&owner.column));
    let sql = format!(
        "select exists (select from {target} as t where t.{column}::text = {mobile}),
           exists (select from {target} as t where t.{column}::text = {desktop})",
        mobile = quote::literal(&owner.mobile),
        desktop = quote::literal(&owner.desktop)
    );
    let found = { cloud.query_typed(&sql, &[]).await }.map_err(Fault::at(Side::Cloud))?;
    let (mobile, owned) = { found.first() }.map_or((false, false), |row| (row.get(0), row.get(1)));
    let sql = format!("select exists (select from {rows})", rows = from.rows());
    let filled = says_yes(desktop, Side::Desktop, &sql).await?;
    Ok(Rows {
        mobile,
        owned,
        filled,
        needs,
    })
}

/// What names a row, and what the file says about it: the cloud's primary key, or a unique index of it, if the desktop's rows are
/// named by it; measured. Where there is none, what the desktop declares or seems to keep is offered.
pub(super) async fn key(
    decisions: &mut Decisions,
    (from, to): (&RelationFacts, &RelationFacts),
    generated: &[String],
    (desktop, cloud): (&Client, &Client),
) -> Result<(Option<Vec<String>>, Vec<String>), Fault> {
    let written = |facts: Option<&ColumnFacts>| facts.is_some_and(|facts| !facts.computed);
    let sent = |facts: Option<&ColumnFacts>| facts.is_some_and(|facts| facts.sent);
    let known = |name: &String| {
        sent(from.column(name)) && written(to.column(name)) && !generated.contains(name)
    };
    // A unique index takes many rows with the same NULLs, which a key of tandem's names all alike. Where the cloud's rows have
    // a key of their own it is still the better choice: they stay what they are when they change.
    let tells = |names: &[String]| !generated.is_empty() || takes_no_null(from, to, names);
    for names in std::iter::once(&to.primary_key).chain(&to.unique) {
        if !names.is_empty()
            && names.iter().all(known)
            && tells(names)
            && !twice(from, names, desktop, Side::Desktop).await?
        {
            return Ok((Some(names.clone()), Vec::new()));
        }
    }
    let mut found = Vec::new();
    for names in std::iter::once(&from.primary_key).chain(&from.unique) {
        if !names.is_empty() && names.iter().all(known) && tells(names) && !found.contains(names) {
            found.push(names.clone());
        }
    }
    let declared = match found.first() {
        Some(names) => !twice(to, names, cloud, Side::Cloud).await?,
        None => false,
    };
    if found.is_empty() {
        found.extend(seemingly(from, to, generated, desktop).await?);
    }
    if found.is_empty() {
        return Ok((None, Vec::new()));
    }
    let mut choices = vec!["nothing: equal rows are counted: key = []".to_owned()];
    choices.extend(found.iter().map(|names| format!("key = {}", list(names))));
    let choices: Vec<_> = choices.iter().map(String::as_str).collect();
    let table = from.name.to_string();
    let asks = match declared {
        true => {
            "the cloud has no key that the desktop's rows have; the desktop declares one. What names a row?"
        }
        false => "no key is declared that both sides have. What names a row, today and for ever?",
    };
    let question = Question::new(format!("key {table}"), table, asks.to_owned(), &choices);
    let (chosen, lines) = decisions.choose("key", question.best(usize::from(declared)));
    let key = chosen.checked_sub(1).map(|at| found[at].clone());
    Ok((key, lines))
}

/// These columns never name two rows by their NULLs.
fn takes_no_null(from: &RelationFacts, to: &RelationFacts, names: &[String]) -> bool {
    let refused = |name: &String| {
        let both = [from.column(name), to.column(name)];
        both.into_iter().flatten().any(|facts| facts.not_null)
    };
    let mut uniques = [from, to]
        .into_iter()
        .flat_map(|facts| &facts.bonds.uniques);
    let alike = |columns: &[String]| {
        columns.len() == names.len() && names.iter().all(|name| columns.contains(name))
    };
    names.iter().all(refused) || uniques.any(|unique| unique.nulls_equal && alike(&unique.columns))
}

async fn twice(
    facts: &RelationFacts,
    names: &[String],
    client: &Client,
    side: Side,
) -> Result<bool, Fault> {
    let list: Vec<_> = names.iter().map(|name| quote::ident(name)).collect();
    let sql = format!(
        "select exists (select from {rows} group by {list} having count(*) > 1)",
        rows = facts.rows(),
        list = list.join(", ")
    );
    says_yes(client, side, &sql).await
}

/// Single columns that name each row of the desktop so far.
async fn seemingly(
    from: &RelationFacts,
    to: &RelationFacts,
    generated: &[String],
    desktop: &Client,
) -> Result<Vec<Vec<String>>, Fault> {
    let names_things = |column: &&ColumnFacts| {
        let kind = column.type_name.as_str();
        matches!(
            kind,
            "int2" | "int4" | "int8" | "uuid" | "text" | "varchar" | "bpchar"
        ) && to.column(&column.name).is_some()
            && !generated.contains(&column.name)
    };
    let columns = from.columns.iter().filter(names_things);
    let columns: Vec<_> = columns.take(KEYS_LOOKED_AT).collect();
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let each = columns.iter().map(|column| {
        let name = quote::ident(&column.name);
        format!("count(*) >= {ROWS_TELLING} and count(distinct t.{name}) = count(*)")
    });
    let each: Vec<_> = each.collect();
    let sql = format!(
        "select {each} from {rows} as t",
        each = each.join(", "),
        rows = from.rows()
    );
    let rows = { desktop.query_typed(&sql, &[]).await }.map_err(Fault::at(Side::Desktop))?;
    let Some(row) = rows.first() else {
        return Ok(Vec::new());
    };
    let named = columns.iter().enumerate().filter(|(at, _)| row.get(*at));
    Ok(named.map(|(_, column)| vec![column.name.clone()]).collect())
}

/// Which of the times that the receiver sets stay there, and what the file says about each.
pub(super) fn times(
    decisions: &mut Decisions,
    table: &str,
    times: Vec<(String, String)>,
) -> (Vec<String>, Vec<String>) {
    let (mut stay, mut lines) = (Vec::new(), Vec::new());
    for (column, why) in times {
        let asks = format!("{why}. Whose value counts?");
        let question = Question::new(
            format!("times {column} {why}"),
            format!("{table} ({column})"),
            asks,
            &[
                "the cloud's own: it is in skip",
                "the desktop's: it travels, and is written again each time",
            ],
        );
        let (chosen, said) = decisions.choose(&column, question);
        lines.extend(said);
        stay.extend((chosen == 0).then_some(column));
    }
    (stay, lines)
}

/// Whole numbers of the cloud's primary key that it can make by itself; uuids don't meet.
fn made_ids(to: &RelationFacts) -> Vec<&ColumnFacts> {
    let ids = to.primary_key.iter().filter(|name| is_made(to, name));
    let ids = ids.filter_map(|name| to.column(name));
    ids.filter(|column| matches!(column.type_name.as_str(), "int2" | "int4" | "int8"))
        .collect()
}

/// The statement that lets the cloud's own ids begin far behind the desktop's.
fn apart(to: &RelationFacts, column: &ColumnFacts) -> String {
    let first = match column.type_name.as_str() {
        "int2" => "16000",
        "int4" => "1000000000",
        _ => "1000000000000",
    };
    remark(&format!(
        "# once, in the cloud: select setval(pg_get_serial_sequence({target}, {column}), {first});",
        target = quote::literal(&quote::table(&to.name)),
        column = quote::literal(&column.name)
    ))
}

/// What a table is to be like whose ids both sides can make.
#[derive(Default)]
pub(super) struct Ids {
    /// Its rows go both ways.
    pub(super) both: bool,
    /// Why it has to wait.
    pub(super) aside: Option<String>,
    /// What the file says.
    pub(super) lines: Vec<String>,
}

/// Ids that both sides can make may meet.
pub(super) fn ids(
    decisions: &mut Decisions,
    (from, to): (&RelationFacts, &RelationFacts),
    owner: &Owner,
) -> Ids {
    let mut found = Ids::default();
    let made = made_ids(to);
    if made.is_empty() {
        return found;
    }
    let owned = [to, from].map(|side| side.column(&owner.column).is_some());
    let waits = |what: &str| {
        format!(
            "phones too, {what}: left out until {} has a column {} that says whose a row is",
            match owned[0] {
                true => "the desktop's table",
                false => "the cloud's table",
            },
            owner.column
        )
    };
    let home = match owned[1] {
        true => "phones too, and theirs come home: the same, and flow = \"both\"".to_owned(),
        false => waits("and theirs come home"),
    };
    let without = waits("and theirs are not taken for the desktop's");
    let uuids = "phones too: left out until the ids are uuids on both sides";
    let choices = match owned[0] {
        true => vec![
            "only the desktop",
            "phones too, and theirs stay in the cloud: its ids begin far behind the desktop's",
            &home,
            uuids,
        ],
        false => vec!["only the desktop", &without, uuids],
    };
    let names: Vec<_> = made.iter().map(|column| column.name.as_str()).collect();
    let names = names.join(", ");
    let question = Question::new(
        format!("ids {owned:?}"),
        format!("{} ({names})", from.name),
        "both sides can make ids, and they may meet. Who adds rows?".to_owned(),
        &choices,
    );
    let (chosen, lines) = decisions.choose(&names, question);
    found.lines = lines;
    match (owned[0], chosen) {
        (_, 0) => {}
        (true, 1 | 2) => {
            found.both = chosen == 2;
            found
                .lines
                .extend(made.iter().map(|column| apart(to, column)));
        }
        (false, 1) => {
            found.aside = Some(format!(
                "it waits for a column {} in the cloud",
                owner.column
            ))
        }
        _ => found.aside = Some(format!("it waits for uuids in {names}, on both sides")),
    }
    found
}

/// A column that only the desktop has may be one that only the cloud has, under another name.
pub(super) fn rename(
    decisions: &mut Decisions,
    (from, to): (&RelationFacts, &RelationFacts),
    left: &str,
    unfilled: &[String],
) -> (Option<String>, Vec<String>) {
    let kind = from.column(left).map(|column| column.category);
    let alike = |name: &&String| to.column(name).map(|column| column.category) == kind;
    let others: Vec<_> = unfilled.iter().filter(alike).take(NAMES_ASKED).collect();
    if others.is_empty() {
        return (None, Vec::new());
    }
    let table = from.name.to_string();
    let pair = |name: &String| format!("rename = {{ {} = {} }}", quoted(left), as_text(name));
    let mut choices = vec!["none: it doesn't travel, and is in skip".to_owned()];
    choices.extend(others.iter().map(|name| format!("{name}: {}", pair(name))));
    let choices: Vec<_> = choices.iter().map(String::as_str).collect();
    let asks = "only the desktop has it. Which column of the cloud is it?".to_owned();
    let id = format!("rename {table} {left}");
    let question = Question::new(id, format!("{table} ({left})"), asks, &choices);
    let (chosen, lines) = decisions.choose(left, question);
    let other = chosen.checked_sub(1).map(|at| others[at].clone());
    (other, lines)
}
