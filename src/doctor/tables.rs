//! The settings' tables on either side, and what is asked of both.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::report::{CheckOutcome, Report, Wrong};
use crate::config::Settings;
use crate::fault::{Fault, Side};
use crate::plan::quote::table as qualified;

/// The settings' tables on the desktop, quoted.
pub(super) fn desktop_tables(settings: &Settings) -> Vec<String> {
    let tables = settings.tables.iter();
    tables
        .map(|table| qualified(&table.desktop_name()))
        .collect()
}

/// The settings' tables in the cloud, quoted.
pub(super) fn cloud_tables(settings: &Settings) -> Vec<String> {
    let tables = settings.tables.iter();
    tables.map(|table| qualified(&table.cloud_name())).collect()
}

/// Tables that a crash empties: the desktop's log doesn't carry them, and the cloud would lose what it had.
pub(super) async fn logged(
    on: (&Client, Side),
    id: &'static str,
    tables: &[String],
    report: &mut Report,
) -> Result<(), Fault> {
    let sql = "select w.name
        from unnest($1::text[]) as w(name)
        join pg_class c on c.oid = to_regclass(w.name)
        where c.relpersistence = 'u'";
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&tables, Type::TEXT_ARRAY)];
    let found = rows(on, sql, &params).await?;
    let unlogged = found.iter().map(|row| {
        let name: String = row.get(0);
        let fix = format!("ALTER TABLE {name} SET LOGGED;");
        Wrong::new(format!("{name} is unlogged on the {}", on.1), fix).of(&name)
    });
    let (why, outcome) = match on.1 {
        Side::Desktop => (
            "its changes don't stand in the log, so they can't be read",
            CheckOutcome::Fail,
        ),
        Side::Cloud => (
            "a crash of the cloud empties it, and nobody notices before the next comparison",
            CheckOutcome::Warn,
        ),
    };
    report.each(
        id,
        "all tables survive a crash",
        why,
        outcome,
        unlogged.collect(),
    );
    Ok(())
}

/// Asks a side.
pub(super) async fn rows(
    (client, side): (&Client, Side),
    sql: &str,
    params: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Vec<Row>, Fault> {
    side.query(client, sql, params).await
}
