//! What both sides have to agree on.

use std::collections::BTreeSet;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::disk;
use super::report::{CheckOutcome, Report, Wrong};
use super::tables::{cloud_tables, rows};
use crate::catalog::{Ambiguous, Mismatch, NEEDS_A_PARENT, Sort, measure, measure_reverse};
use crate::config::Settings;
use crate::fault::{Fault, Kind, Side};
use crate::flows::examine;
use crate::install::is_installed;
use crate::model::{Key, Source, Table, Tables};
use crate::plan::quote::{ident, table as qualified};
use crate::plan::{admitted, from};
use crate::{limits, platform};

pub(super) async fn check(
    settings: &Settings,
    (desktop, cloud): (&Client, &Client),
    report: &mut Report,
) -> Result<(), Fault> {
    clocks((desktop, cloud), report).await?;
    quarantine(cloud, report).await?;
    parents(settings, cloud, report).await?;
    disk::cloud(settings, (desktop, cloud), report).await?;
    match examine(settings, desktop, cloud, &BTreeSet::new()).await {
        Ok(Ok(tables)) => {
            fits(Vec::new(), report);
            orphans(&tables, (desktop, cloud), report).await?;
            keys(&tables, (desktop, cloud), report).await
        }
        Ok(Err(mismatches)) => {
            fits(mismatches, report);
            Ok(())
        }
        Err(fault) if matches!(fault.kind, Kind::Input) => {
            let (what, fix) = (fault.what, fault.hint);
            let why = "there is nothing to do";
            report.fail(
                "mapping",
                why,
                Wrong {
                    what,
                    fix,
                    of: None,
                },
            );
            Ok(())
        }
        Err(fault) => Err(fault),
    }
}

/// The settings and both catalogs, one check for each sort of thing that may not fit.
fn fits(mismatches: Vec<Mismatch>, report: &mut Report) {
    let sorts = [
        (Sort::Table, "tables_exist", "all tables are there"),
        (Sort::Column, "columns_fit", "all columns have their place"),
        (Sort::Type, "types_fit", "all types fit"),
        (Sort::Length, "lengths_fit", "all values have room"),
        (
            Sort::Unfilled,
            "empty_refused",
            "all columns that refuse NULL are filled",
        ),
        (Sort::Key, "keys_exist", "all keys are there"),
        (Sort::Settings, "mapping", "the settings fit both sides"),
    ];
    for (sort, id, fine) in sorts {
        let of = mismatches.iter().filter(|found| found.sort == sort);
        let wrong = of.map(|found| Wrong {
            what: format!("{}: {}", found.table, found.what),
            fix: found.fix.clone(),
            of: Some(found.table.clone()),
        });
        let why = "rows of these tables can't be sent; what to change stands in the line";
        report.each(id, fine, why, CheckOutcome::Fail, wrong.collect());
    }
}

/// Rows of the desktop whose parent isn't there, where the cloud has a foreign key.
async fn orphans(
    tables: &Tables,
    (desktop, cloud): (&Client, &Client),
    report: &mut Report,
) -> Result<(), Fault> {
    let sql = "select w.name, a.attname::text, v.name, b.attname::text
        from unnest($1::text[]) as w(name)
        join pg_constraint c on c.conrelid = to_regclass(w.name)
        join unnest($1::text[]) as v(name) on c.confrelid = to_regclass(v.name)
        join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
        join pg_attribute b on b.attrelid = c.confrelid and b.attnum = c.confkey[1]
        where c.contype = 'f' and cardinality(c.conkey) = 1 and c.conparentid = 0
        order by 1, 2";
    let names: Vec<_> = tables.iter().map(|table| qualified(&table.cloud)).collect();
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&names, Type::TEXT_ARRAY)];
    let named = |name: &str| tables.iter().find(|table| qualified(&table.cloud) == name);
    let mut wrong = Vec::new();
    for row in rows((cloud, Side::Cloud), sql, &params).await? {
        let Some((child, parent)) = named(row.get(0)).zip(named(row.get(2))) else {
            continue;
        };
        // What is converted or looked up can only be known in the cloud.
        let columns = sent_as_is(child, row.get(1)).zip(sent_as_is(parent, row.get(3)));
        // Other types may write equal values differently.
        let columns = columns.filter(|((_, one), (_, other))| one == other);
        let columns = columns.map(|((own, _), (taken, _))| (own, taken));
        let Some((own, taken)) =
            columns.filter(|_| child.columns.iter().all(|column| column.parents.is_empty()))
        else {
            continue;
        };
        let (table, of) = (from(child), from(parent));
        let (own, taken) = (ident(own), ident(taken));
        let ours = admitted(child);
        let count = format!(
            "select count(*)
             from {table} as t
             where {ours}
               and t.{own} is not null
               and not exists (select from {of} as p where p.{taken} = t.{own})"
        );
        let counted = rows((desktop, Side::Desktop), &count, &[]).await?;
        let count = counted.first().map_or(0, |row| row.get::<_, i64>(0));
        if count > 0 {
            let (name, parent) = (&child.name, &parent.name);
            wrong.push(Wrong::new(
                format!("{count} rows of {name} refer to rows of {parent} that the desktop doesn't have"),
                format!("orphans = \"null\" # of {name} in tandem.toml; or add the parents on the desktop"),
            ).of(name));
        }
    }
    report.each(
        "orphans",
        "all rows have the parents that the cloud asks for",
        "they wait in the quarantine until their parents come",
        CheckOutcome::Warn,
        wrong,
    );
    Ok(())
}

/// The desktop's column that travels to this one of the cloud without being changed, and its type.
fn sent_as_is<'a>(table: &'a Table, name: &str) -> Option<(&'a str, &'a str)> {
    let column = table.columns.iter().find(|column| column.name == name)?;
    match column.from {
        Source::Arriving(at) => Some((&table.arriving[at].name, &table.arriving[at].base_type)),
        _ => None,
    }
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
                match count {
                    1 => format!("one row of {table} waits in the quarantine"),
                    _ => format!("{count} rows of {table} wait in the quarantine"),
                },
                format!("tandem quarantine list --table {}", platform::typed(&table)),
            )
            .of(&table)
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
    let sql = format!(
        "select w.name, f.confrelid::regclass::text
         from unnest($1::text[]) as w(name)
         join pg_constraint f on f.conrelid = to_regclass(w.name)
         where {NEEDS_A_PARENT}
           and f.confrelid <> all (
             select to_regclass(n)
             from unnest($1::text[]) as n
             where to_regclass(n) is not null
           )
         group by 1, 2
         order by 1, 2"
    );
    let params = [(&names as &(dyn ToSql + Sync), Type::TEXT_ARRAY)];
    let rows = rows((cloud, Side::Cloud), &sql, &params).await?;
    let missing = rows.iter().map(|row| {
        let (child, parent): (String, String) = (row.get(0), row.get(1));
        Wrong::new(
            format!("{child} refers to {parent}, which the settings don't have"),
            format!(
                "[[table]]\nname = \"{parent}\" # in tandem.toml, if its rows come from the desktop"
            ),
        )
        .of(&child)
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
        Wrong::new(format!("{}: {}", found.table, found.words()), fix).of(&found.table)
    };
    let (mut wrong, mut ambiguous) = (Vec::new(), BTreeSet::new());
    for (client, side) in [(desktop, Side::Desktop), (cloud, Side::Cloud)] {
        for table in tables.iter() {
            let found = measure(client, table, side)
                .await
                .map_err(Fault::at(side))?;
            let fix = format!(
                "key = [] # of {} in tandem.toml, or a longer key",
                table.name
            );
            ambiguous.extend(found.is_some().then_some(&table.name));
            wrong.extend(found.map(|found| note(found, fix)));
        }
        for reverse in tables.reverse_tables() {
            let found = measure_reverse(client, reverse, side)
                .await
                .map_err(Fault::at(side))?;
            let fix = format!(
                "key = [...] # of {} in tandem.toml: a longer one",
                reverse.name
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
    // A key that names several rows gets no unique index.
    let slow = tables.iter().filter(|table| {
        !table.indexed && table.key != Key::Multiset && !ambiguous.contains(&table.name)
    });
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
        .of(&table.name)
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
