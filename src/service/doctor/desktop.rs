//! The desktop's server and tables.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::{CheckOutcome, Report, Wrong, rows, schema};
use crate::catalog::VERSION_MIN;
use crate::config::{Flow, Settings};
use crate::fault::{Fault, Side};
use crate::install::is_installed;
use crate::plan::quote::{ident, literal, table as qualified};

pub(super) async fn check(
    settings: &Settings,
    client: &Client,
    report: &mut Report,
) -> Result<(), Fault> {
    server(client, report).await?;
    slots(settings, client, report).await?;
    disk(settings, client, report).await?;
    let installed = is_installed(client, Side::Desktop).await?;
    schema::check((client, Side::Desktop), installed, report).await?;
    publication(settings, client, report).await?;
    tables(settings, client, report).await
}

async fn server(client: &Client, report: &mut Report) -> Result<(), Fault> {
    let sql = "select current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(), \
        current_setting('server_encoding'), current_setting('wal_level'), current_user::text, \
        (select rolsuper or rolreplication from pg_roles where rolname = current_user), current_setting('fsync') = 'on' and current_setting('full_page_writes') = 'on'";
    let rows = rows((client, Side::Desktop), sql, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let (number, version): (i32, String) = (row.get(0), row.get(1));
    if number.unsigned_abs() < VERSION_MIN {
        let wrong = Wrong::new(
            format!("the desktop is PostgreSQL {version}"),
            "upgrade it to 14 or newer",
        );
        report.fail(
            "desktop_version",
            "tandem marks its own writes in the log, which needs 14",
            wrong,
        );
    } else {
        report.ok("desktop_version", format!("PostgreSQL {version}"));
    }
    if row.get(2) {
        let wrong = Wrong::new(
            "the desktop is a standby",
            format!("let {}.url lead to the primary", Side::Desktop),
        );
        report.fail(
            "desktop_is_primary",
            "slots and the way home need a server that can be written",
            wrong,
        );
    } else {
        report.ok("desktop_is_primary", "the desktop can be written");
    }
    let encoding: String = row.get(3);
    if encoding == "SQL_ASCII" {
        let wrong = Wrong::new(
            "the desktop's database has no encoding (SQL_ASCII)",
            "dump it, and load it into a database with the encoding UTF8",
        );
        report.fail(
            "desktop_encoding",
            "nobody knows which letters its bytes are",
            wrong,
        );
    } else {
        report.ok("desktop_encoding", format!("encoding {encoding}"));
    }
    let level: String = row.get(4);
    if level == "logical" {
        report.ok("wal_level", "wal_level is logical");
    } else {
        let wrong = Wrong::new(
            format!("wal_level is {level}"),
            "ALTER SYSTEM SET wal_level = 'logical'; -- needs a restart of PostgreSQL",
        );
        report.fail("wal_level", "its changes can't be read from the log", wrong);
    }
    let user: String = row.get(5);
    if row.get(6) {
        report.ok("may_replicate", format!("{user} may replicate"));
    } else {
        let wrong = Wrong::new(
            format!("{user} may not replicate"),
            format!("ALTER ROLE {} REPLICATION;", ident(&user)),
        );
        report.fail(
            "may_replicate",
            "the log is read through a replication connection",
            wrong,
        );
    }
    if row.get(7) {
        report.ok("fsync", "fsync and full_page_writes are on");
    } else {
        let wrong = Wrong::new(
            "fsync or full_page_writes is off",
            "ALTER SYSTEM SET fsync = on; ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf();",
        );
        report.warn(
            "fsync",
            "after a power failure the desktop may have forgotten what the cloud has",
            wrong,
        );
    }
    Ok(())
}

async fn slots(settings: &Settings, client: &Client, report: &mut Report) -> Result<(), Fault> {
    let name = &settings.forward.slot;
    let found = crate::catalog::slot(client, name)
        .await
        .map_err(Fault::at(Side::Desktop))?;
    let exists = found.is_some();
    match found {
        None => report.ok("slot", format!("slot {name} is made by bootstrap or run")),
        Some(slot) if slot.lost => {
            let wrong = Wrong::new(format!("slot {name} is lost"), "tandem bootstrap --restart");
            report.fail(
                "slot",
                "the desktop has dropped WAL that the cloud doesn't have",
                wrong,
            );
        }
        Some(slot) if slot.plugin != "pgoutput" => {
            let wrong = Wrong::new(
                format!("slot {name} belongs to another program ({})", slot.plugin),
                "set forward.slot to another name in tandem.toml",
            );
            report.fail("slot", "two programs can't read one slot", wrong);
        }
        Some(_) => report.ok("slot", format!("slot {name} is there")),
    }
    let sql = "select current_setting('max_replication_slots')::int, (select count(*) from pg_replication_slots)::int, \
        current_setting('max_wal_senders')::int, (select count(*) from pg_stat_replication where application_name is distinct from 'tandem')::int, \
        (select string_agg(format('SELECT pg_drop_replication_slot(%L);', slot_name), ' ') from pg_replication_slots where not active and slot_name <> $1)";
    let rows = rows((client, Side::Desktop), sql, &[(name, Type::TEXT)]).await?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let (most, used): (i32, i32) = (row.get(0), row.get(1));
    if exists || used < most {
        report.ok(
            "slots_free",
            format!("{used} of {most} replication slots in use"),
        );
    } else {
        let idle: Option<String> = row.get(4);
        let more = format!(
            "ALTER SYSTEM SET max_replication_slots = {}; -- needs a restart of PostgreSQL",
            most + 4
        );
        let fix = idle.map_or(more.clone(), |idle| {
            format!("{idle} -- nobody reads them now; or: {more}")
        });
        report.fail(
            "slots_free",
            "bootstrap needs one",
            Wrong::new(
                format!("no replication slot is free: {used} of {most} in use"),
                fix,
            ),
        );
    }
    let (senders, busy): (i32, i32) = (row.get(2), row.get(3));
    if busy < senders {
        report.ok(
            "senders_free",
            format!("{busy} of {senders} WAL senders are others'"),
        );
    } else {
        let fix = format!(
            "ALTER SYSTEM SET max_wal_senders = {}; -- needs a restart of PostgreSQL",
            senders + 4
        );
        report.fail(
            "senders_free",
            "the log is read through one",
            Wrong::new(
                format!("no WAL sender is free: {busy} of {senders} in use"),
                fix,
            ),
        );
    }
    Ok(())
}

async fn disk(settings: &Settings, client: &Client, report: &mut Report) -> Result<(), Fault> {
    let sql = "select current_setting('max_slot_wal_keep_size') = '-1', \
        (select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint from pg_replication_slots where slot_name = $1)";
    let found = rows(
        (client, Side::Desktop),
        sql,
        &[(&settings.forward.slot, Type::TEXT)],
    )
    .await?;
    let Some(row) = found.first() else {
        return Ok(());
    };
    if row.get(0) && settings.forward.wal_held_drop.is_none() {
        let wrong = Wrong::new(
            "WAL kept for slots has no limit",
            "ALTER SYSTEM SET max_slot_wal_keep_size = '8GB'; SELECT pg_reload_conf();",
        );
        report.warn(
            "wal_limit",
            "if tandem is off for days, the desktop's disk can fill",
            wrong,
        );
    } else {
        report.ok("wal_limit", "WAL kept for slots has a limit");
    }
    let held = row
        .get::<_, Option<i64>>(1)
        .unwrap_or_default()
        .unsigned_abs();
    if held > settings.forward.wal_held_max {
        let wrong = Wrong::new(
            format!(
                "the desktop keeps {} MB of WAL for us, more than wal_held_max",
                held >> 20
            ),
            "tandem run",
        );
        report.warn(
            "wal_held",
            "the desktop's disk fills until the service catches up",
            wrong,
        );
    } else {
        report.ok("wal_held", format!("{} MB of WAL kept for us", held >> 20));
    }
    let sql = "select slot_name::text, (pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn) / 1048576)::bigint from pg_replication_slots \
        where slot_name <> $1 and not active and pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn) > 1073741824";
    let idle = rows(
        (client, Side::Desktop),
        sql,
        &[(&settings.forward.slot, Type::TEXT)],
    )
    .await?;
    let idle = idle.iter().map(|row| {
        let (name, mb): (String, i64) = (row.get(0), row.get(1));
        Wrong::new(
            format!("slot {name} keeps {mb} MB, and nobody reads it"),
            format!("SELECT pg_drop_replication_slot({});", literal(&name)),
        )
    });
    report.each(
        "other_slots",
        "no other slot keeps much WAL",
        "it fills the desktop's disk",
        CheckOutcome::Warn,
        idle.collect(),
    );
    let sql = "select pid, coalesce(application_name, ''), (extract(epoch from clock_timestamp() - xact_start) / 60)::bigint from pg_stat_activity \
        where backend_xid is not null and pid <> pg_backend_pid() and xact_start < clock_timestamp() - interval '10 minutes'";
    let long = rows((client, Side::Desktop), sql, &[]).await?;
    let long = long.iter().map(|row| {
        let (pid, program, minutes): (i32, String, i64) = (row.get(0), row.get(1), row.get(2));
        Wrong::new(
            format!("process {pid} ({program}) has had a transaction open for {minutes} min"),
            format!("SELECT pg_terminate_backend({pid});"),
        )
    });
    report.each(
        "long_transaction",
        "no transaction is open for long",
        "a new slot waits for every open transaction, and WAL is kept as long",
        CheckOutcome::Warn,
        long.collect(),
    );
    Ok(())
}

async fn publication(
    settings: &Settings,
    client: &Client,
    report: &mut Report,
) -> Result<(), Fault> {
    let sql = "select puballtables, pubinsert and pubupdate and pubdelete and pubtruncate, pg_has_role(pubowner, 'usage'), current_user::text from pg_publication where pubname = $1";
    let name = &settings.forward.publication;
    let found = rows((client, Side::Desktop), sql, &[(name, Type::TEXT)]).await?;
    match found.first() {
        Some(row) if row.get(0) => {
            let wrong = Wrong::new(
                format!("publication {name} is FOR ALL TABLES"),
                "set forward.publication to another name in tandem.toml",
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
        Some(row) if !row.get::<_, bool>(2) => {
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
        None => report.ok(
            "publication",
            format!("publication {name} is made by bootstrap or run"),
        ),
    }
    let sql = "select format('%I.%I', n.nspname, c.relname), string_agg(distinct p.pubname::text, ', ') from pg_publication p \
        cross join lateral pg_get_publication_tables(p.pubname) as t join pg_class c on c.oid = t.relid join pg_namespace n on n.oid = c.relnamespace \
        where (p.pubupdate or p.pubdelete) and n.nspname <> 'tandem' and c.relkind = 'r' and (c.relreplident = 'n' or c.relreplident = 'd' and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)) group by 1";
    let silent = rows((client, Side::Desktop), sql, &[]).await?;
    let silent = silent.iter().map(|row| {
        let (table, publications): (String, String) = (row.get(0), row.get(1));
        Wrong::new(
            format!("{table} is published ({publications}) without a replica identity"),
            format!("ALTER TABLE {table} REPLICA IDENTITY FULL;"),
        )
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

async fn tables(settings: &Settings, client: &Client, report: &mut Report) -> Result<(), Fault> {
    let (mut names, mut homes) = (Vec::new(), Vec::new());
    for table in &settings.tables {
        names.push(qualified(&table.desktop_name()));
        homes.push(table.flow != Flow::Forward || !table.cloud_owned.is_empty());
    }
    let sql = "select w.name, c.oid is null, coalesce(has_table_privilege(c.oid, 'select'), false), coalesce(pg_has_role(c.relowner, 'usage'), false), \
        pg_get_userbyid(c.relowner)::text, coalesce(row_security_active(c.oid), false), current_user::text, w.home, \
        coalesce(has_table_privilege(c.oid, 'insert') and has_table_privilege(c.oid, 'update') and has_table_privilege(c.oid, 'delete'), false), \
        exists (select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid where r.prrelid = c.oid and p.pubname = $3) \
        from unnest($1::text[], $2::bool[]) as w(name, home) left join pg_class c on c.oid = to_regclass(w.name)";
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&names, Type::TEXT_ARRAY),
        (&homes, Type::BOOL_ARRAY),
        (&settings.forward.publication, Type::TEXT),
    ];
    let found = rows((client, Side::Desktop), sql, &params).await?;
    let there: Vec<_> = found.iter().filter(|row| !row.get::<_, bool>(1)).collect();
    let user = |row: &Row| ident(&row.get::<_, String>(6));
    let unread = there
        .iter()
        .filter(|row| !row.get::<_, bool>(2))
        .map(|row| {
            let name: String = row.get(0);
            Wrong::new(
                format!("{name} can't be read"),
                format!("GRANT SELECT ON {name} TO {};", user(row)),
            )
        });
    report.each(
        "desktop_may_read",
        "all tables can be read",
        "the first copy reads them",
        CheckOutcome::Fail,
        unread.collect(),
    );
    let others = there
        .iter()
        .filter(|row| !row.get::<_, bool>(3) && !row.get::<_, bool>(9))
        .map(|row| {
            let (name, owner): (String, String) = (row.get(0), row.get(4));
            Wrong::new(
                format!("{name} belongs to {owner}, so we can't publish it"),
                format!("GRANT {} TO {};", ident(&owner), user(row)),
            )
        });
    report.each("desktop_may_publish", "all tables are published, or may be", "only who owns a table may publish it; or let an administrator paste what tandem bootstrap --plan says", CheckOutcome::Fail, others.collect());
    let hidden = there.iter().filter(|row| row.get::<_, bool>(5)).map(|row| {
        let name: String = row.get(0);
        Wrong::new(
            format!("row security hides rows of {name} from us"),
            format!("ALTER ROLE {} BYPASSRLS;", user(row)),
        )
    });
    report.each(
        "desktop_row_security",
        "no policy hides rows of the desktop",
        "rows that we can't see would be missing in the cloud",
        CheckOutcome::Fail,
        hidden.collect(),
    );
    let closed = there
        .iter()
        .filter(|row| row.get::<_, bool>(7) && !row.get::<_, bool>(8))
        .map(|row| {
            let name: String = row.get(0);
            Wrong::new(
                format!("{name} can't be written, and something comes home to it"),
                format!("GRANT INSERT, UPDATE, DELETE ON {name} TO {};", user(row)),
            )
        });
    report.each(
        "home_may_write",
        "all tables that something comes home to can be written",
        "what phones did could not come home",
        CheckOutcome::Fail,
        closed.collect(),
    );
    Ok(())
}
