//! What of a table is the cloud's own business: keys that it makes, and times that its triggers set.

use tokio_postgres::Client;

use crate::catalog::{ColumnFacts, RelationFacts};
use crate::fault::{Fault, Side};
use crate::plan::quote;

/// A time without a zone on one side is one with a zone on the other.
pub(super) fn zones_meet(from: &RelationFacts, to: &RelationFacts) -> bool {
    from.columns.iter().any(|column| {
        let other = to
            .column(&column.name)
            .map(|other| other.type_name.as_str());
        matches!(
            (column.type_name.as_str(), other),
            ("timestamp" | "date", Some("timestamptz")) | ("timestamptz", Some("timestamp"))
        )
    })
}

/// Something in the cloud makes a value for the column where none is given.
pub(super) fn is_made(to: &RelationFacts, name: &str) -> bool {
    let facts = to.column(name);
    facts.is_some_and(|facts| facts.has_default || facts.always_identity)
}

/// Columns of the cloud's primary key that are its own: it makes them, and the desktop has no such columns, or none that name its
/// rows.
pub(super) async fn generated(
    from: &RelationFacts,
    to: &RelationFacts,
    desktop: &Client,
) -> Result<Vec<String>, Fault> {
    let made: Vec<_> = { to.primary_key.iter() }
        .filter(|name| is_made(to, name))
        .cloned()
        .collect();
    if made.is_empty() {
        return Ok(made);
    }
    let all = |names: &[String]| names.iter().all(|name| to.primary_key.contains(name));
    let declared = { std::iter::once(&from.primary_key).chain(&from.unique) }
        .any(|names| !names.is_empty() && all(names));
    let known = to
        .primary_key
        .iter()
        .all(|name| from.column(name).is_some());
    let travels = known && (declared || names_rows(from, &to.primary_key, desktop).await?);
    Ok(if travels { Vec::new() } else { made })
}

/// The desktop has rows, and each of them another value in these columns.
async fn names_rows(
    from: &RelationFacts,
    names: &[String],
    desktop: &Client,
) -> Result<bool, Fault> {
    let list: Vec<_> = names.iter().map(|name| quote::ident(name)).collect();
    let nulls: Vec<_> = list.iter().map(|name| format!("{name} is null")).collect();
    let table = from.rows();
    let sql = format!(
        "select exists (select from {table})
           and not exists (select from {table} where {nulls})
           and not exists (select from {table} group by {list} having count(*) > 1)",
        nulls = nulls.join(" or "),
        list = list.join(", ")
    );
    says_yes(desktop, Side::Desktop, &sql).await
}

/// Columns that only one side computes and that can't travel, with the reason.
pub(super) fn computed(from: &RelationFacts, to: &RelationFacts) -> Vec<(String, &'static str)> {
    let both = from
        .columns
        .iter()
        .filter_map(|column| Some((column, to.column(&column.name)?)));
    let why = |(column, other): (&ColumnFacts, &ColumnFacts)| match (
        column.computed,
        other.computed,
    ) {
        (true, false) if column.fleeting => Some(
            "the desktop computes it when it is read (VIRTUAL), so it is not sent; compute it in the cloud, too, or make it STORED there (PostgreSQL 18)",
        ),
        (true, false) if !column.sent => Some(
            "the desktop computes it and does not send it (PostgreSQL 18 would); compute it in the cloud, too",
        ),
        (false, true) => Some("the cloud computes it, so nothing can be written there"),
        _ => None,
    };
    both.filter_map(|(column, other)| Some((column.name.clone(), why((column, other))?)))
        .collect()
}

/// Times that are the receiver's own business, with the reason: a trigger of the cloud sets them, or each run of a refill of the
/// desktop does, so that every row would be written again and again.
pub(super) async fn filled_there(
    from: &RelationFacts,
    to: &RelationFacts,
    (desktop, cloud): (&Client, &Client),
) -> Result<Vec<(String, String)>, Fault> {
    let is_time = |name: &&String| {
        let both = [from.column(name), to.column(name)];
        both.iter().all(|facts| {
            facts.is_some_and(|facts| {
                matches!(facts.type_name.as_str(), "timestamp" | "timestamptz")
            })
        })
    };
    let given = |name: &&String| !to.column(name).is_some_and(|facts| facts.must_be_given());
    let names = from.columns.iter().map(|column| &column.name);
    let names: Vec<_> = names
        .filter(is_time)
        .filter(given)
        .filter(|name| !to.primary_key.contains(name))
        .collect();
    let mut found = Vec::new();
    for name in names {
        let sql = r#"select t.tgname::text
            from pg_trigger t
            join pg_proc p on p.oid = t.tgfoid
            where t.tgrelid = $1
              and not t.tgisinternal
              and t.tgname !~ '^tandem'
              and t.tgtype & 2 = 2
              and t.tgtype & 1 = 1
              and (
                p.prosrc ~* concat('new[.]"?', $2, '"?[[:space:]]*:?=')
                or position(convert_to($2, 'UTF8') in t.tgargs) > 0
              )
            limit 1"#;
        let params: [(&(dyn tokio_postgres::types::ToSql + Sync), _); 2] = [
            (&to.oid, tokio_postgres::types::Type::OID),
            (name, tokio_postgres::types::Type::TEXT),
        ];
        let rows = { cloud.query_typed(sql, &params).await }.map_err(Fault::at(Side::Cloud))?;
        if let Some(row) = rows.first() {
            let trigger: String = row.get(0);
            found.push((
                name.clone(),
                format!("trigger {trigger} of the cloud sets it"),
            ));
            continue;
        }
        let made = from.column(name).is_some_and(|facts| facts.has_default);
        if !made || !from.primary_key.is_empty() {
            continue;
        }
        let sql = format!(
            "select count(*) > 1 and count(distinct t.{name}) = 1 and count(t.{name}) = count(*)
             from {rows} as t",
            name = quote::ident(name),
            rows = from.rows()
        );
        if says_yes(desktop, Side::Desktop, &sql).await? {
            let why = "all rows of the desktop have the same, as a refill leaves them; it would write every row again";
            found.push((name.clone(), why.to_owned()));
        }
    }
    Ok(found)
}

/// The answer to a question.
pub(super) async fn says_yes(client: &Client, side: Side, sql: &str) -> Result<bool, Fault> {
    let rows = { client.query_typed(sql, &[]).await }.map_err(Fault::at(side))?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}
