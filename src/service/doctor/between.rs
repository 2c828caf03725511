//! What both sides have to agree on.

use std::collections::BTreeSet;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::{CheckOutcome, Report, Wrong, cloud_tables, rows};
use crate::catalog::{Ambiguous, measure, measure_home};
use crate::config::Settings;
use crate::fault::{Fault, Kind, Side};
use crate::flows::examine;
use crate::install::is_installed;
use crate::limits;
use crate::model::{Key, Tables};
use crate::plan::quote::{ident, table as qualified};

pub(super) async fn check(
    settings: &Settings,
    (desktop, cloud): (&Client, &Client),
    report: &mut Report,
) -> Result<(), Fault> {
    clocks((desktop, cloud), report).await?;
    quarantine(cloud, report).await?;
    parents(settings, cloud, report).await?;
    let wrong = match examine(settings, desktop, cloud, &BTreeSet::new()).await {
        Ok(Ok(tables)) => {
            report.ok(
                "mapping",
                format!("{} tables fit on both sides", tables.names().len()),
            );
            return keys(&tables, (desktop, cloud), report).await;
        }
        Ok(Err(mismatches)) => {
            let wrong = mismatches.into_iter().map(|found| Wrong {
                what: format!("{}: {}", found.table, found.what),
                fix: None,
            });
            wrong.collect()
        }
        Err(fault) if matches!(fault.kind, Kind::Input) => vec![Wrong {
            what: fault.what,
            fix: fault.hint,
        }],
        Err(fault) => return Err(fault),
    };
    report.each(
        "mapping",
        "",
        "rows of these tables can't be sent; what to change stands in the line",
        CheckOutcome::Fail,
        wrong,
    );
    Ok(())
}

async fn clocks((desktop, cloud): (&Client, &Client), report: &mut Report) -> Result<(), Fault> {
    let sql = "select (extract(epoch from clock_timestamp()) * 1000)::bigint";
    let since = std::time::Instant::now();
    let (here, there) = tokio::join!(desktop.query_typed(sql, &[]), cloud.query_typed(sql, &[]));
    let took = since.elapsed();
    let at = |rows: Vec<tokio_postgres::Row>| rows.first().map_or(0, |row| row.get::<_, i64>(0));
    let here = at(here.map_err(Fault::at(Side::Desktop))?);
    let there = at(there.map_err(Fault::at(Side::Cloud))?);
    let apart = (here - there).unsigned_abs();
    if u128::from(apart) > limits::CLOCK_SKEW_MAX.as_millis() + took.as_millis() {
        let wrong = Wrong::new(
            format!("the clocks are {:.1} s apart", apart as f64 / 1_000.0),
            "set the desktop's clock: w32tm /resync, or timedatectl set-ntp true",
        );
        report.warn(
            "clock_skew",
            "nothing is lost by that, but times that the desktop writes are wrong",
            wrong,
        );
    } else {
        report.ok("clock_skew", "the clocks agree");
    }
    Ok(())
}

async fn quarantine(cloud: &Client, report: &mut Report) -> Result<(), Fault> {
    let mut waiting = Vec::new();
    if is_installed(cloud, Side::Cloud).await? {
        let sql = "select \"table\", count(*) from tandem.quarantine group by 1 order by 1";
        let rows = rows((cloud, Side::Cloud), sql, &[]).await?;
        waiting.extend(rows.iter().map(|row| {
            let (table, count): (String, i64) = (row.get(0), row.get(1));
            Wrong::new(
                format!("{count} rows of {table} wait in the quarantine"),
                format!("tandem quarantine list --table {table}"),
            )
        }));
    }
    report.each(
        "quarantine",
        "no row waits in the quarantine",
        "they are not where they belong until their cause is mended",
        CheckOutcome::Warn,
        waiting,
    );
    Ok(())
}

/// A row whose parent doesn't travel may find none.
async fn parents(settings: &Settings, cloud: &Client, report: &mut Report) -> Result<(), Fault> {
    let names = cloud_tables(settings);
    let sql = "select w.name, c.confrelid::regclass::text from unnest($1::text[]) as w(name) join pg_constraint c on c.conrelid = to_regclass(w.name) \
        where c.contype = 'f' and c.confrelid <> all (select to_regclass(n) from unnest($1::text[]) as n where to_regclass(n) is not null) \
        group by 1, 2 order by 1, 2";
    let params = [(&names as &(dyn ToSql + Sync), Type::TEXT_ARRAY)];
    let rows = rows((cloud, Side::Cloud), sql, &params).await?;
    let missing = rows.iter().map(|row| {
        let (child, parent): (String, String) = (row.get(0), row.get(1));
        Wrong::new(
            format!("{child} refers to {parent}, which the settings don't have"),
            format!(
                "[[table]]\nname = \"{parent}\" # in tandem.toml, if its rows come from the desktop"
            ),
        )
    });
    report.each(
        "parent_not_configured",
        "all parents travel, too",
        "rows whose parent isn't in the cloud wait in the quarantine",
        CheckOutcome::Warn,
        missing.collect(),
    );
    Ok(())
}

async fn keys(
    tables: &Tables,
    (desktop, cloud): (&Client, &Client),
    report: &mut Report,
) -> Result<(), Fault> {
    let note = |found: Ambiguous, fix: String| {
        Wrong::new(format!("{}: {}", found.table, found.words()), fix)
    };
    let mut wrong = Vec::new();
    for (client, side) in [(desktop, Side::Desktop), (cloud, Side::Cloud)] {
        for table in tables.iter() {
            let found = measure(client, table, side)
                .await
                .map_err(Fault::at(side))?;
            let fix = format!(
                "key = [] # of {} in tandem.toml, or a longer key",
                table.name
            );
            wrong.extend(found.map(|found| note(found, fix)));
        }
        for home in tables.homes() {
            let found = measure_home(client, home, side)
                .await
                .map_err(Fault::at(side))?;
            let fix = format!(
                "key = [...] # of {} in tandem.toml: a longer one",
                home.name
            );
            wrong.extend(found.map(|found| note(found, fix)));
        }
    }
    report.each(
        "key_unique",
        "every key names one row",
        "a row could not be told from another",
        CheckOutcome::Fail,
        wrong,
    );
    let slow = tables
        .iter()
        .filter(|table| !table.indexed && table.key != Key::Multiset);
    let slow = slow.map(|table| {
        let names: Vec<_> = table.key_names().map(ident).collect();
        let target = qualified(&table.cloud);
        Wrong::new(
            format!("{} has no unique index on its key in the cloud", table.name),
            format!(
                "CREATE UNIQUE INDEX CONCURRENTLY ON {target} ({}) NULLS NOT DISTINCT;",
                names.join(", ")
            ),
        )
    });
    report.each(
        "key_index",
        "every key has an index in the cloud",
        "each change reads the whole table there",
        CheckOutcome::Warn,
        slow.collect(),
    );
    Ok(())
}
