//! Which types a column of this server can have, and values of each.
//!
//! The server is asked for all of `pg_type`; each type is tried as a column. Values come from `edges.rs` by name;
//! for the rest they are made from the values of what a type consists of: an array from its elements, a row from its
//! columns, a range from its bounds. A value counts when the server reads back what it wrote.

use std::collections::{BTreeMap, HashMap};

use tandem::plan::quote::{ident, literal};
use tandem::wire::control::Control;

use super::edges::{EDGES, GUESSES};

/// A type that a column can have.
pub struct Found {
    pub schema: String,
    pub name: String,
    /// As one writes it, whatever the search path.
    pub written: String,
    /// Its values as text, without NULL.
    pub values: Vec<String>,
    /// NULL is one of its values.
    pub nullable: bool,
    /// The row type of a table or view that comes with the server.
    pub is_row_of_catalog: bool,
}

/// A type as the catalog has it.
struct Known {
    oid: u32,
    schema: String,
    name: String,
    kind: char,
    written: String,
    is_array: bool,
    /// Types that its values are made of: an element, a base type, a subtype, a range, the columns.
    parts: Vec<u32>,
    /// The relation whose row it is, where it has rows.
    relation: Option<String>,
}

const ALL: &str = "select t.oid, n.nspname::text, t.typname::text, t.typtype::text, format_type(t.oid, -1), \
        exists (select from pg_type e where e.typarray = t.oid), \
        array_remove(array[case when exists (select from pg_type e where e.typarray = t.oid) then t.typelem end, nullif(t.typbasetype, 0), \
            r.rngsubtype, m.rngtypid] \
            || array(select a.atttypid from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped order by a.attnum), null), \
        case when c.relkind in ('r', 'v', 'm') then c.oid::regclass::text end \
    from pg_type t join pg_namespace n on n.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid \
        left join pg_range r on r.rngtypid = t.oid left join pg_range m on m.rngmultitypid = t.oid \
    where n.nspname in ('pg_catalog', 'information_schema', 'public', 'Other Schema') \
        and (c.oid is null or c.relkind = 'c' or n.nspname in ('pg_catalog', 'information_schema')) order by t.oid";

/// Types, tried one by one. Panics when one is left out without a reason that the server gave.
pub async fn types(desktop: &Control, version: u32) -> Vec<Found> {
    let known: Vec<_> = all(desktop).await;
    let (mut refused, mut valueless) = (BTreeMap::<String, Vec<String>>::new(), Vec::new());
    let mut values: HashMap<u32, Vec<String>> = HashMap::new();
    let (mut columns, mut wrong) = (Vec::new(), Vec::new());
    for at in parts_first(&known) {
        let kind = &known[at];
        let column = format!(
            "create table bench.one (c {}); drop table bench.one",
            kind.written
        );
        let column = desktop.client.batch_execute(&column).await;
        if let Err(error) = column {
            let why = error.as_db_error().unwrap().message().to_owned();
            refused
                .entry(why.clone())
                .or_default()
                .push(kind.name.clone());
            let pseudo = kind.kind == 'p' || kind.name.starts_with('_') || kind.relation.is_some();
            assert!(
                pseudo && why.contains("pseudo-type"),
                "{} can't be a column: {why}",
                kind.written
            );
            continue;
        }
        let made = make(desktop, kind, &values, version, &mut wrong)
            .await
            .unwrap_or_else(|why| {
                valueless.push(format!("{}: {why}", kind.written));
                Vec::new()
            });
        values.insert(kind.oid, made);
        columns.push(at);
    }
    assert!(
        wrong.is_empty(),
        "named in edges.rs, but no values: {wrong:#?}"
    );
    let tried = columns.len() + refused.values().map(Vec::len).sum::<usize>();
    assert_eq!(
        tried,
        known.len(),
        "every type is a column or refused by the server"
    );
    println!(
        "PostgreSQL {version}: {} types, of which {} can be columns, with {} values",
        known.len(),
        columns.len(),
        values.values().map(Vec::len).sum::<usize>()
    );
    refused
        .iter()
        .for_each(|(why, names)| println!("no column: {why}: {}", names.join(" ")));
    valueless
        .iter()
        .for_each(|which| println!("NULL only: {which}"));
    found(desktop, &known, &columns, values).await
}

/// What is known of the types that can be columns, with their values.
async fn found(
    desktop: &Control,
    known: &[Known],
    columns: &[usize],
    mut values: HashMap<u32, Vec<String>>,
) -> Vec<Found> {
    let mut found = Vec::new();
    for at in columns {
        let kind = &known[*at];
        let nullable = format!("select concat(null::{})", kind.written);
        found.push(Found {
            schema: kind.schema.clone(),
            name: kind.name.clone(),
            written: kind.written.clone(),
            values: values.remove(&kind.oid).unwrap(),
            nullable: desktop.client.query_typed(&nullable, &[]).await.is_ok(),
            is_row_of_catalog: kind.relation.is_some()
                || kind.is_array
                    && known
                        .iter()
                        .any(|other| other.oid == kind.parts[0] && other.relation.is_some()),
        });
    }
    found
}

async fn all(desktop: &Control) -> Vec<Known> {
    let rows = desktop.client.query_typed(ALL, &[]).await.unwrap();
    let one = |text: String| text.chars().next().unwrap();
    rows.iter()
        .map(|row| Known {
            oid: row.get(0),
            schema: row.get(1),
            name: row.get(2),
            kind: one(row.get(3)),
            written: row.get(4),
            is_array: row.get(5),
            parts: row.get(6),
            relation: row.get(7),
        })
        .collect()
}

/// Places of the types in an order in which a type stands behind what it is made of.
fn parts_first(known: &[Known]) -> Vec<usize> {
    let (mut order, mut done) = (Vec::new(), std::collections::HashSet::new());
    let listed: std::collections::HashSet<_> = known.iter().map(|kind| kind.oid).collect();
    while order.len() < known.len() {
        let before = order.len();
        for (at, kind) in known.iter().enumerate() {
            let ready = kind
                .parts
                .iter()
                .all(|part| done.contains(part) || !listed.contains(part));
            if ready && done.insert(kind.oid) {
                order.push(at);
            }
        }
        assert!(order.len() > before, "types that are made of each other");
    }
    order
}

/// Values of a type; the server's own words when there can be none.
async fn make(
    desktop: &Control,
    kind: &Known,
    values: &HashMap<u32, Vec<String>>,
    version: u32,
    wrong: &mut Vec<String>,
) -> Result<Vec<String>, String> {
    let edges: Vec<_> = EDGES
        .iter()
        .filter(|(name, since, _)| {
            *name == kind.name && *since <= version && kind.schema != "Other Schema"
        })
        .collect();
    let mut made = Vec::new();
    for edge in edges.iter().flat_map(|(_, _, edges)| edges.iter()) {
        let expression = edge
            .strip_prefix('=')
            .map_or_else(|| constant(edge, &kind.written), str::to_owned);
        match read_back(desktop, kind, &expression).await {
            Ok(text) => made.push(text),
            // Left out of this server when it was built, as libxml may be.
            Err((state, why)) if state == "0A000" => return Err(why),
            Err((state, why)) => wrong.push(format!("{}: {edge}: {state} {why}", kind.written)),
        }
    }
    let mut why = String::new();
    for expression in derived(desktop, kind, values, !edges.is_empty()).await {
        match read_back(desktop, kind, &expression).await {
            Ok(text) if !made.contains(&text) => made.push(text),
            Ok(_) => {}
            Err((state, said)) if state == "0A000" => why = said,
            Err((_, said)) => why = if why.is_empty() { said } else { why },
        }
    }
    if made.is_empty() {
        let closed = ["cannot accept a value", "ot implemented"]
            .iter()
            .any(|words| why.contains(words));
        assert!(
            closed,
            "no value of {} was found: {why}; name some in edges.rs",
            kind.written
        );
        return Err(why);
    }
    Ok(made)
}

fn constant(text: &str, written: &str) -> String {
    format!("{}::{written}", literal(text))
}

/// A value's text, when the server reads it as the same value.
async fn read_back(
    desktop: &Control,
    kind: &Known,
    expression: &str,
) -> Result<String, (String, String)> {
    let ask = async |sql: String| {
        let rows = desktop
            .client
            .query_typed(&sql, &[])
            .await
            .map_err(|error| {
                let said = error
                    .as_db_error()
                    .unwrap_or_else(|| panic!("{error:?} in {sql}"));
                (said.code().code().to_owned(), said.message().to_owned())
            })?;
        rows[0]
            .get::<_, Option<String>>(0)
            .ok_or_else(|| (String::new(), "it is NULL".to_owned()))
    };
    let written = &kind.written;
    let text = ask(format!("select case when v is distinct from null then concat(v) end from (select ({expression})::{written}) as one(v)")).await?;
    let again = ask(format!("select concat({}::{written})", literal(&text))).await?;
    if again == text {
        Ok(text)
    } else {
        Err((String::new(), format!("{text} is read as {again}")))
    }
}

/// Expressions that may be values: made of the parts' values, or guessed.
async fn derived(
    desktop: &Control,
    kind: &Known,
    values: &HashMap<u32, Vec<String>>,
    named: bool,
) -> Vec<String> {
    let written = &kind.written;
    let nothing = Vec::new();
    let of = |part: u32| values.get(&part).unwrap_or(&nothing);
    let part = kind.parts.first().copied().unwrap_or_default();
    match kind.kind {
        _ if kind.is_array => arrays(written, of(part)),
        'd' => of(part)
            .iter()
            .map(|text| constant(text, written))
            .collect(),
        'r' => {
            let mut ranges: Vec<_> = ["empty", "(,)"]
                .iter()
                .map(|text| constant(text, written))
                .collect();
            ranges.extend(of(part).iter().flat_map(|text| {
                let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
                [format!("[{quoted},{quoted}]"), format!("({quoted},)")]
                    .map(|text| constant(&text, written))
            }));
            ranges
        }
        'm' => {
            let all = of(part).join(",");
            let each = of(part)
                .iter()
                .map(|range| constant(&format!("{{{range}}}"), written));
            [
                constant("{}", written),
                constant(&format!("{{{all}}}"), written),
            ]
            .into_iter()
            .chain(each)
            .collect()
        }
        'e' => {
            let labels = format!("select e::text from unnest(enum_range(null::{written})) as e");
            let rows = desktop.client.query_typed(&labels, &[]).await.unwrap();
            rows.iter()
                .map(|row| constant(&row.get::<_, String>(0), written))
                .collect()
        }
        'c' => rows_of(desktop, kind, values).await,
        _ if named => Vec::new(),
        _ => GUESSES.iter().map(|text| constant(text, written)).collect(),
    }
}

/// Empty, with NULL, with every value, of two dimensions, with bounds of its own.
fn arrays(written: &str, elements: &[String]) -> Vec<String> {
    let mut arrays = vec![
        constant("{}", written),
        constant("{NULL}", written),
        constant("[-2:-1]={NULL,NULL}", written),
    ];
    let elements: Vec<_> = elements
        .iter()
        .map(|text| format!("{}::text", literal(text)))
        .collect();
    let Some(first) = elements.first() else {
        return arrays;
    };
    let (last, all) = (elements.last().unwrap(), elements.join(", "));
    // An array's own text, with the delimiter of its type, is what the server makes of its elements.
    let one = |what: &str| format!("array[{what}]::text[]::{written}");
    arrays.extend([
        one(&all),
        one(&format!("null, {all}")),
        one(&format!("array[{first}, null], array[{last}, {first}]")),
    ]);
    arrays.push(format!(
        "('[0:1][7:8]=' || {}::text)::{written}",
        one(&format!("array[{first}, {last}], array[{last}, {first}]"))
    ));
    arrays
}

/// Rows of a relation's own, rows made of its columns' values, and the row of NULLs.
async fn rows_of(
    desktop: &Control,
    kind: &Known,
    values: &HashMap<u32, Vec<String>>,
) -> Vec<String> {
    let written = &kind.written;
    let mut rows = Vec::new();
    if let Some(relation) = &kind.relation {
        let some = format!("select concat(t) from (select * from {relation} limit 4) as t");
        // Some views want an argument, or a privilege that they look for themselves.
        if let Ok(found) = desktop.client.query_typed(&some, &[]).await {
            rows.extend(
                found
                    .iter()
                    .map(|row| constant(&row.get::<_, String>(0), written)),
            );
        }
    }
    for nth in 0..3 {
        let cells = kind.parts.iter().enumerate().map(|(at, part)| {
            let texts = values.get(part).filter(|texts| !texts.is_empty());
            let text = texts.map(|texts| &texts[(nth * 3 + at) % texts.len()]);
            // Values that fill pages belong into columns of their own.
            text.filter(|text| text.len() < 3000)
                .map_or_else(|| "null".to_owned(), |text| literal(text))
        });
        rows.push(format!(
            "row({})::{written}",
            cells.collect::<Vec<_>>().join(", ")
        ));
    }
    let nulls: Vec<_> = kind.parts.iter().map(|_| "null").collect();
    rows.push(format!("row({})::{written}", nulls.join(", ")));
    rows
}

/// A column's name for a type.
pub fn column(found: &Found) -> String {
    let name = match found.schema.as_str() {
        "pg_catalog" => found.name.clone(),
        schema => format!("{schema} {}", found.name),
    };
    ident(name.get(..63).unwrap_or(&name))
}
