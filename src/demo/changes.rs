//! Changes of the rows that a schema of somebody's own has: copies of them under new keys, values of one in another, rows that go.
//! What the schema's own constraints and triggers refuse is left, and counted.

use std::collections::BTreeMap;

use crate::catalog::ColumnFacts;
use crate::catalog::{RelationFacts, begin_with_empty_search_path, relation};
use crate::config::{Flow, Table};
use crate::fault::{Fault, Side};
use crate::limits;
use crate::model::Name;
use crate::plan::quote::{ident, table as qualified};
use crate::wire::control::Control;

/// The number of a new row, in SQL; no column is called so.
const N: &str = "g.\"tandem n\"";

/// Tables whose rows are changed.
pub(super) struct Changes<'a> {
    desktop: &'a Control,
    tables: Vec<RelationFacts>,
    /// What was done.
    pub(super) done: Done,
    /// Why the last change of a kind was refused, by table and kind.
    pub(super) refused: BTreeMap<(String, &'static str), String>,
}

/// Rows, by what became of them.
#[derive(Clone, Copy, Default)]
pub(super) struct Done {
    pub(super) inserted: u64,
    pub(super) updated: u64,
    pub(super) renamed: u64,
    pub(super) deleted: u64,
}

impl Done {
    /// All of them.
    pub(super) fn all(self) -> u64 {
        self.inserted + self.updated + self.renamed + self.deleted
    }
}

impl<'a> Changes<'a> {
    /// Looks at the tables that the desktop sends; what names a row in the cloud names it here too.
    ///
    /// # Errors
    /// When a query fails.
    pub(super) async fn of(
        (desktop, cloud): (&'a Control, &Control),
        settings: &[Table],
    ) -> Result<Changes<'a>, Fault> {
        let mut tables = Vec::new();
        for table in settings.iter().filter(|table| table.flow != Flow::Reverse) {
            let there = look(cloud, Side::Cloud, &table.cloud_name()).await?;
            let key = table.key.clone().or(there.map(|facts| facts.primary_key));
            let Some(mut facts) = look(desktop, Side::Desktop, &table.desktop_name()).await? else {
                continue;
            };
            let key: Vec<_> = { key.into_iter().flatten() }
                .filter(|name| facts.column(name).is_some())
                .collect();
            if facts.primary_key.is_empty() {
                facts.primary_key.clone_from(&key);
            }
            facts.unique.push(key);
            tables.push(facts);
        }
        Ok(Changes {
            desktop,
            tables,
            done: Done::default(),
            refused: BTreeMap::new(),
        })
    }

    /// Gives tables without rows some, parents before their children. Says how many are still empty.
    ///
    /// # Errors
    /// When the desktop is away.
    pub(super) async fn fill(&mut self) -> Result<usize, Fault> {
        let mut empty: Vec<_> = Vec::new();
        for table in self.tables.clone() {
            if self.count(&table).await? == 0 {
                empty.push(table);
            }
        }
        loop {
            let before = empty.len();
            let mut still = Vec::new();
            for table in empty {
                let made = self
                    .try_all("insert", &table, inserts(&table, 0, 0))
                    .await?;
                self.done.inserted += made;
                if made == 0 {
                    still.push(table);
                }
            }
            if still.len() == before || still.is_empty() {
                return Ok(still.len());
            }
            empty = still;
        }
    }

    /// One round: in each table rows are added, changed, take another key, go. Then all that was changed is changed once more,
    /// in one transaction.
    ///
    /// # Errors
    /// When the desktop is away.
    pub(super) async fn round(&mut self, number: u64) -> Result<(), Fault> {
        let mut together = Vec::new();
        for table in self.tables.clone() {
            let rows = self.count(&table).await?;
            if rows == 0 {
                continue;
            }
            let added = inserts(&table, rows, number);
            self.done.inserted += self.try_all("insert", &table, added).await?;
            for sql in updates(&table, number) {
                let changed = self.try_one("update", &table, &sql).await?;
                self.done.updated += changed;
                if changed > 0 {
                    together.push(sql);
                    break;
                }
            }
            let renamed = rekeys(&table, number);
            self.done.renamed += self.try_all("key change", &table, renamed).await?;
            let last = format!(
                "delete from {name} as t where {which}",
                name = qualified(&table.name),
                which = which("desc", 1, &table)
            );
            self.done.deleted += self.try_one("delete", &table, &last).await?;
        }
        let whole = format!("begin; {}; commit", together.join("; "));
        if self.desktop.client.batch_execute(&whole).await.is_err() {
            let undone = self.desktop.client.batch_execute("rollback").await;
            undone.map_err(Fault::at(Side::Desktop))?;
        }
        Ok(())
    }

    async fn count(&self, table: &RelationFacts) -> Result<u64, Fault> {
        let sql = format!("select count(*) from {name}", name = qualified(&table.name));
        let rows = Side::Desktop.query(&self.desktop.client, &sql, &[]).await?;
        Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0) as u64))
    }

    /// The first of some statements that changes something.
    async fn try_all(
        &mut self,
        kind: &'static str,
        table: &RelationFacts,
        all: Vec<String>,
    ) -> Result<u64, Fault> {
        for sql in all {
            let rows = self.try_one(kind, table, &sql).await?;
            if rows > 0 {
                return Ok(rows);
            }
        }
        Ok(0)
    }

    /// How many rows a statement changed; none where the schema refuses it.
    async fn try_one(
        &mut self,
        kind: &'static str,
        table: &RelationFacts,
        sql: &str,
    ) -> Result<u64, Fault> {
        use tokio_postgres::SimpleQueryMessage::CommandComplete;
        let place = (table.name.to_string(), kind);
        match self.desktop.client.simple_query(sql).await {
            Ok(answers) => {
                let rows = answers.iter().map(|answer| match answer {
                    CommandComplete(rows) => *rows,
                    _ => 0,
                });
                let rows = rows.sum();
                if rows > 0 {
                    self.refused.remove(&place);
                }
                Ok(rows)
            }
            Err(error) => match error.as_db_error() {
                Some(said) => {
                    self.refused.insert(
                        place,
                        format!("{} {}", said.message(), said.detail().unwrap_or_default())
                            .trim_end()
                            .to_owned(),
                    );
                    Ok(0)
                }
                None => Err(Fault::wire(Side::Desktop, &error.into())),
            },
        }
    }
}

async fn look(control: &Control, side: Side, name: &Name) -> Result<Option<RelationFacts>, Fault> {
    let client = &control.client;
    begin_with_empty_search_path(client)
        .await
        .map_err(Fault::at(side))?;
    let facts = relation(client, name).await.map_err(Fault::at(side))?;
    let ended = client.batch_execute("commit").await;
    ended.map_err(Fault::at(side))?;
    Ok(facts)
}

/// Columns that an insert may give.
fn given(table: &RelationFacts) -> impl Iterator<Item = &ColumnFacts> {
    table
        .columns
        .iter()
        .filter(|column| !column.refuses_values())
}

/// A column by which rows are told apart.
fn names_rows(table: &RelationFacts, column: &ColumnFacts) -> bool {
    let sets = std::iter::once(&table.primary_key).chain(&table.unique);
    sets.flatten().any(|name| *name == column.name)
}

/// Rows of a table, found by where they stand: the first ones, or the last.
fn which(order: &str, most: u64, table: &RelationFacts) -> String {
    format!(
        "(t.tableoid, t.ctid) in (
           select o.tableoid, o.ctid
           from {name} as o
           order by o.tableoid {order}, o.ctid {order}
           limit {most}
         )",
        name = qualified(&table.name)
    )
}

/// New rows: copies of those that are there, with other names; where there are none, made from the columns' types. The second
/// is for tables whose constraints are asked at the end, which take no `on conflict`.
fn inserts(table: &RelationFacts, rows: u64, round: u64) -> Vec<String> {
    let target = qualified(&table.name);
    let mut names = Vec::new();
    let mut values = Vec::new();
    for column in given(table) {
        let own = names_rows(table, column);
        if own && column.has_default {
            continue;
        }
        let value = match (parent(table, column, round), own, rows) {
            (Some(value), true, _) | (Some(value), _, 0) => value,
            (_, true, _) => fresh(table, column, round),
            (_, false, 0) => made(column, false),
            (_, false, _) => format!("s.{}", ident(&column.name)),
        };
        names.push(ident(&column.name));
        values.push(value);
    }
    if names.is_empty() {
        return vec![format!("insert into {target} default values")];
    }
    let from = match rows {
        0 => format!(
            "generate_series(1, {}) as g(\"tandem n\")",
            limits::DEMO_ROWS
        ),
        _ => format!(
            r#"generate_series(1, {demo_rows}) as g("tandem n")
               cross join lateral (
                 select o.*
                 from {target} as o
                 order by o.tableoid, o.ctid offset ({N} + {round}) % {rows}
                 limit 1
               ) as s"#,
            demo_rows = limits::DEMO_ROWS
        ),
    };
    let insert = format!(
        "insert into {target} ({names}) select {values} from {from}",
        names = names.join(", "),
        values = values.join(", ")
    );
    vec![format!("{insert} on conflict do nothing"), insert]
}

/// The value of a parent's row: the same row for all columns of one foreign key.
fn parent(table: &RelationFacts, column: &ColumnFacts, round: u64) -> Option<String> {
    let refers = |reference: &&crate::catalog::Reference| {
        reference.on.iter().any(|(own, _)| *own == column.name)
    };
    let reference = table.references.iter().find(refers)?;
    let (_, theirs) = reference.on.iter().find(|(own, _)| *own == column.name)?;
    let (target, theirs) = (qualified(&reference.parent), ident(theirs));
    // Different columns of one key walk at different paces, so that pairs are new ones.
    let pace = 1 + table
        .references
        .iter()
        .position(|other| std::ptr::eq(other, reference))
        .unwrap_or(0) as u64;
    Some(format!(
        "(
           select p.{theirs}
           from {target} as p
           order by p.tableoid,
             p.ctid offset ({N} * {pace} + {round}) % greatest(
               1, (select count(*) from {target})
             )
           limit 1
         )"
    ))
}

/// A value that no row of the table has.
fn fresh(table: &RelationFacts, column: &ColumnFacts, round: u64) -> String {
    let (target, name) = (qualified(&table.name), ident(&column.name));
    let text = format!("md5(concat({N}, clock_timestamp(), {round}))");
    let past = |step: &str| format!("((select max(o.{name}) from {target} as o) + {N} * {step})");
    match (column.type_name.as_str(), column.category) {
        ("uuid", _) => "gen_random_uuid()".to_owned(),
        ("date", _) => format!("coalesce({}, current_date + {N})", past("1")),
        ("timestamp" | "timestamptz", _) => {
            format!(
                "coalesce({}, now() + {N} * interval '1 day')",
                past("interval '1 day'")
            )
        }
        ("money", _) => format!("{N}::money"),
        (_, 'N') => format!(
            "((select coalesce(max(o.{name}), 0) from {target} as o) + {N})::{full_type}",
            full_type = column.full_type
        ),
        (_, 'S') => fitted(column, &text),
        _ => made(column, true),
    }
}

/// As much of a text as the column holds.
fn fitted(column: &ColumnFacts, text: &str) -> String {
    // The modifier counts four bytes more than the letters.
    match column.modifier {
        5.. => format!(
            "left({text}, {})::{}",
            column.modifier - 4,
            column.full_type
        ),
        _ => format!("left({text}, 12)::{}", column.full_type),
    }
}

/// A value of a column's type.
fn made(column: &ColumnFacts, own: bool) -> String {
    let base = &column.base_type;
    match (column.type_name.as_str(), column.category) {
        ("uuid", _) => "gen_random_uuid()".to_owned(),
        ("money", _) => format!("{N}::money"),
        ("json" | "jsonb", _) => format!("json_build_object('n', {N})::{base}"),
        ("bytea", _) => format!("decode(md5({N}::text), 'hex')"),
        ("time" | "timetz", _) => format!("(time '08:00' + {N} * interval '1 hour')::{base}"),
        ("inet" | "cidr", _) => format!("('10.0.0.' || {N})::{base}"),
        (_, 'B') => format!("{N} % 2 = 0"),
        (_, 'N') => format!("{N}::{}", column.full_type),
        (_, 'D') => format!("(date '2025-01-01' + {N}::int)::{base}"),
        (_, 'T') => format!("{N} * interval '1 hour'"),
        (_, 'E') => format!("(enum_range(null::{base}))[1]"),
        (_, 'A') => format!("'{{}}'::{base}"),
        (_, 'S') if own => fitted(column, &format!("md5({N}::text)")),
        (_, 'S') => fitted(column, &format!("'text ' || {N}")),
        _ => "null".to_owned(),
    }
}

/// Ways to change some rows: the value of another row, then a value that nobody has.
fn updates(table: &RelationFacts, round: u64) -> Vec<String> {
    let target = qualified(&table.name);
    let refers = |name: &String| {
        table
            .references
            .iter()
            .any(|it| it.on.iter().any(|(own, _)| own == name))
    };
    let mut free: Vec<_> = given(table)
        .filter(|column| !names_rows(table, column) && !refers(&column.name))
        .collect();
    if !free.is_empty() {
        let first = round as usize % free.len();
        free.rotate_left(first);
    }
    let some = which("asc", limits::DEMO_ROWS + 2, table);
    let others = free.iter().map(|column| {
        let name = ident(&column.name);
        let other = format!("from {target} as o where o.{name} <> t.{name}");
        format!(
            "update {target} as t
             set {name} = (select o.{name} {other} order by o.tableoid, o.ctid limit 1)
             where {some} and exists (select {other})"
        )
    });
    let new = free.iter().filter_map(|column| {
        let name = ident(&column.name);
        let value = match (column.type_name.as_str(), column.category) {
            ("money", _) => return None,
            (_, 'N') => format!("t.{name} + 1"),
            (_, 'S') => fitted(column, &format!("md5(concat(t.{name}, clock_timestamp()))")),
            (_, 'B') => format!("not t.{name}"),
            ("date" | "timestamp" | "timestamptz", _) => format!("t.{name} + interval '1 day'"),
            _ => return None,
        };
        Some(format!(
            "update {target} as t set {name} = {value} where {some}"
        ))
    });
    others.chain(new).collect()
}

/// Another key for the last row.
fn rekeys(table: &RelationFacts, round: u64) -> Vec<String> {
    let target = qualified(&table.name);
    let key = given(table).filter(|column| table.primary_key.contains(&column.name));
    let statements = key.map(|column| {
        let value = parent(table, column, round + 1).unwrap_or_else(|| fresh(table, column, round));
        format!(
            r#"update {target} as t
               set {column} = {value}
               from (values (1)) as g("tandem n")
               where {which}"#,
            column = ident(&column.name),
            which = which("desc", 1, table)
        )
    });
    statements.collect()
}
