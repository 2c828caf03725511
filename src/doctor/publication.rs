//! What the desktop publishes.

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::report::{CheckOutcome, Report, Wrong};
use super::tables::rows;
use crate::config::{Flow, Settings, Table};
use crate::fault::{Fault, Side};
use crate::plan::quote::{ident, table as qualified};

/// A table that streams is in the publication.
pub(super) fn is_published(table: &Table) -> bool {
    table.flow != Flow::Reverse && table.stream
}

pub(super) async fn check(
    settings: &Settings,
    client: &Client,
    report: &mut Report,
) -> Result<(), Fault> {
    usable(settings, client, report).await?;
    identified(client, report).await?;
    whole(settings, client, report).await
}

/// Whether a table is missing in the publication.
async fn lacks(settings: &Settings, client: &Client) -> Result<bool, Fault> {
    let streaming = settings.tables.iter().filter(|table| is_published(table));
    let names: Vec<_> = streaming
        .map(|table| qualified(&table.desktop_name()))
        .collect();
    let sql = "select exists (
          select
          from unnest($1::text[]) as name
          where not exists (
            select
            from pg_publication p
            cross join lateral pg_get_publication_tables(p.pubname) as t
            where p.pubname = $2 and t.relid = to_regclass(name)
          )
        )";
    let params: [(&(dyn ToSql + Sync), Type); 2] = [
        (&names, Type::TEXT_ARRAY),
        (&settings.forward.publication, Type::TEXT),
    ];
    let found = rows((client, Side::Desktop), sql, &params).await?;
    Ok(found.first().is_some_and(|row| row.get(0)))
}

/// Whether tandem has seen a publication before.
async fn was_there(client: &Client, name: &str) -> Result<bool, Fault> {
    let on = (client, Side::Desktop);
    let installed = rows(on, "select to_regclass('tandem.seen') is not null", &[]).await?;
    if !installed.first().is_some_and(|row| row.get(0)) {
        return Ok(false);
    }
    let sql = "select from tandem.seen where publication = $1 limit 1";
    Ok(!rows(on, sql, &[(&name, Type::TEXT)]).await?.is_empty())
}

/// What the publication `$1` has, and whether we may change it.
const PUBLICATION: &str =
    "select puballtables, pubinsert and pubupdate and pubdelete and pubtruncate,
      pg_has_role(pubowner, 'usage'), current_user::text
    from pg_publication
    where pubname = $1";

/// Our publication publishes what we need, and takes the tables that it lacks.
async fn usable(settings: &Settings, client: &Client, report: &mut Report) -> Result<(), Fault> {
    let name = &settings.forward.publication;
    let found = rows((client, Side::Desktop), PUBLICATION, &[(name, Type::TEXT)]).await?;
    match found.first() {
        Some(row) if row.get(0) => {
            let wrong = Wrong::new(
                format!("publication {name} is FOR ALL TABLES"),
                format!("publication = \"{name}_2\" # in [forward] of tandem.toml"),
            );
            report.fail(
                "publication",
                "tables of it without replica identity can't be updated",
                wrong,
            );
        }
        Some(row) if !row.get::<_, bool>(1) => {
            let fix = format!(
                "ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate');",
                ident(name)
            );
            report.fail(
                "publication",
                "some changes would never reach the cloud",
                Wrong::new(
                    format!("publication {name} leaves out some operations"),
                    fix,
                ),
            );
        }
        // Where all tables are in it nothing has to be added.
        Some(row) if !row.get::<_, bool>(2) && lacks(settings, client).await? => {
            let user: String = row.get(3);
            let fix = format!(
                "ALTER PUBLICATION {} OWNER TO {};",
                ident(name),
                ident(&user)
            );
            report.fail(
                "publication",
                "tables could not be added to it",
                Wrong::new(format!("publication {name} belongs to another user"), fix),
            );
        }
        Some(_) => report.ok("publication", format!("publication {name} is there")),
        // Never made is no fault, and dropped is one that set-up must not paper over.
        None if was_there(client, name).await? => report.fail(
            "publication",
            "what was committed without it never reaches the cloud, also where it is made again by hand",
            Wrong::new(
                format!("publication {name} was dropped"),
                "tandem bootstrap --restart",
            ),
        ),
        None => report.ok(
            "publication",
            format!("publication {name} is made by bootstrap or run"),
        ),
    }
    Ok(())
}

/// Published tables whose updates and deletes the desktop refuses, since nothing names their rows; with their publications.
const WITHOUT_IDENTITY: &str = "select format('%I.%I', n.nspname, c.relname),
      string_agg(distinct p.pubname::text, ', ')
    from pg_publication p
    cross join lateral pg_get_publication_tables(p.pubname) as t
    join pg_class c on c.oid = t.relid
    join pg_namespace n on n.oid = c.relnamespace
    where (p.pubupdate or p.pubdelete)
      and n.nspname <> 'tandem'
      and c.relkind = 'r'
      and (
        c.relreplident = 'n'
        or c.relreplident = 'd'
          and not exists (
            select
            from pg_index i
            where i.indrelid = c.oid and i.indisprimary
          )
      )
    group by 1";

/// What is published, by us or by others, can be updated.
async fn identified(client: &Client, report: &mut Report) -> Result<(), Fault> {
    let silent = rows((client, Side::Desktop), WITHOUT_IDENTITY, &[]).await?;
    let silent = silent.iter().map(|row| {
        let (table, publications): (String, String) = (row.get(0), row.get(1));
        Wrong::new(
            format!("{table} is published ({publications}) without a replica identity"),
            format!("ALTER TABLE {table} REPLICA IDENTITY FULL;"),
        )
        .of(&table)
    });
    report.each(
        "update_would_fail",
        "every published table can be updated",
        "the office program's own UPDATE and DELETE of it fail",
        CheckOutcome::Fail,
        silent.collect(),
    );
    Ok(())
}

/// Tables of which the publication `$1` leaves rows or columns out.
const FILTERED: &str = "select format('%I.%I', n.nspname, c.relname)
    from pg_publication p
    join pg_publication_rel r on r.prpubid = p.oid
    join pg_class c on c.oid = r.prrelid
    join pg_namespace n on n.oid = c.relnamespace
    where p.pubname = $1
      and (to_jsonb(r) ->> 'prqual' is not null or to_jsonb(r) ->> 'prattrs' is not null)";

/// Our publication has all rows and columns of its tables.
async fn whole(settings: &Settings, client: &Client, report: &mut Report) -> Result<(), Fault> {
    let name = &settings.forward.publication;
    // Older servers have neither.
    let part = rows((client, Side::Desktop), FILTERED, &[(name, Type::TEXT)]).await?;
    let part = part.iter().map(|row| {
        let (table, publication): (String, String) = (row.get(0), ident(name));
        Wrong::new(
            format!("publication {name} has only some rows or columns of {table}"),
            format!("BEGIN; ALTER PUBLICATION {publication} DROP TABLE {table}; ALTER PUBLICATION {publication} ADD TABLE {table}; COMMIT; -- then: tandem bootstrap --table with its name"),
        )
        .of(&table)
    });
    report.each(
        "publication_filter",
        "tables are published whole",
        "the rest of it would never reach the cloud; skip and [tenant] in tandem.toml say what travels",
        CheckOutcome::Fail,
        part.collect(),
    );
    Ok(())
}
