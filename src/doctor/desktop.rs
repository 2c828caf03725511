//! The desktop's server and tables.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::publication::is_published;
use super::report::{CheckOutcome, Report, Wrong};
use super::tables::{desktop_tables, logged, rows};
use super::{disk, encoding, office, publication, role, schema, slots};
use crate::catalog::VERSION_MIN;
use crate::config::{Flow, Settings};
use crate::fault::{Fault, Side};
use crate::install::is_installed;
use crate::plan::quote::{ident, table as qualified};

pub(super) async fn check(
    settings: &Settings,
    client: &Client,
    report: &mut Report,
) -> Result<(), Fault> {
    server(client, report).await?;
    encoding::check(settings, client, report).await?;
    role::check((client, Side::Desktop), report).await?;
    disk::desktop(settings, client, report).await?;
    slots::check(settings, client, report).await?;
    let installed = is_installed(client, Side::Desktop).await?;
    schema::check((client, Side::Desktop), installed, report).await?;
    publication::check(settings, client, report).await?;
    tables(settings, client, report).await?;
    let on = (client, Side::Desktop);
    // What only swaps read may be unlogged.
    let logs = settings.tables.iter();
    let logs = logs.filter(|table| table.stream || table.flow != Flow::Forward);
    let tables: Vec<_> = logs.map(|table| qualified(&table.desktop_name())).collect();
    logged(on, "desktop_logged", &tables, report).await?;
    office::check(settings, client, report).await
}

/// The desktop's server, and what our user is on it.
const SERVER: &str =
    "select current_setting('server_version_num')::int, current_setting('server_version'),
    pg_is_in_recovery(), current_setting('wal_level'), current_user::text,
    (select rolsuper or rolreplication from pg_roles where rolname = current_user),
    current_setting('fsync') = 'on' and current_setting('full_page_writes') = 'on',
    current_setting('default_transaction_read_only') = 'on', current_database()::text";

async fn server(client: &Client, report: &mut Report) -> Result<(), Fault> {
    let rows = rows((client, Side::Desktop), SERVER, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    version(row, report);
    primary(row, report);
    writable(row, report);
    wal_level(row, report);
    may_replicate(row, report);
    fsync(row, report);
    Ok(())
}

fn version(row: &Row, report: &mut Report) {
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
}

fn primary(row: &Row, report: &mut Report) {
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
}

fn writable(row: &Row, report: &mut Report) {
    if row.get(7) {
        let fix = role::for_us(
            (row.get(4), row.get(8)),
            "default_transaction_read_only",
            "off",
        );
        let wrong = Wrong::new("our transactions on the desktop are read-only", fix);
        report.fail(
            "desktop_is_writable",
            "set-up and the way home write there",
            wrong,
        );
    } else {
        report.ok("desktop_is_writable", "our transactions may write");
    }
}

fn wal_level(row: &Row, report: &mut Report) {
    let level: String = row.get(3);
    if level == "logical" {
        report.ok("wal_level", "wal_level is logical");
    } else {
        let wrong = Wrong::new(
            format!("wal_level is {level}"),
            "ALTER SYSTEM SET wal_level = 'logical'; -- needs a restart of PostgreSQL",
        );
        report.fail("wal_level", "its changes can't be read from the log", wrong);
    }
}

fn may_replicate(row: &Row, report: &mut Report) {
    let user: String = row.get(4);
    if row.get(5) {
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
}

fn fsync(row: &Row, report: &mut Report) {
    if row.get(6) {
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
}

/// What our user may do with the tables `$1`.
const RIGHTS: &str =
    "select w.name, c.oid is null, coalesce(has_table_privilege(c.oid, 'select'), false),
      coalesce(pg_has_role(c.relowner, 'usage'), false), pg_get_userbyid(c.relowner)::text,
      coalesce(row_security_active(c.oid), false), current_user::text, w.home,
      coalesce(
        has_table_privilege(c.oid, 'insert')
          and has_table_privilege(c.oid, 'update')
          and has_table_privilege(c.oid, 'delete'),
        false
      ),
      exists (
        select
        from pg_publication_rel r
        join pg_publication p on p.oid = r.prpubid
        where r.prrelid = c.oid and p.pubname = $3
      ),
      w.streams,
      coalesce((select o.rolsuper from pg_roles o where o.oid = c.relowner), false)
    from unnest($1::text[], $2::bool[], $4::bool[]) as w(name, home, streams)
    left join pg_class c on c.oid = to_regclass(w.name)";

async fn tables(settings: &Settings, client: &Client, report: &mut Report) -> Result<(), Fault> {
    let names = desktop_tables(settings);
    let reverse_tables = settings.tables.iter();
    let reverse_tables =
        reverse_tables.map(|table| table.flow != Flow::Forward || !table.cloud_owned.is_empty());
    let reverse_tables: Vec<_> = reverse_tables.collect();
    let streams: Vec<_> = settings.tables.iter().map(is_published).collect();
    let params: [(&(dyn ToSql + Sync), Type); 4] = [
        (&names, Type::TEXT_ARRAY),
        (&reverse_tables, Type::BOOL_ARRAY),
        (&settings.forward.publication, Type::TEXT),
        (&streams, Type::BOOL_ARRAY),
    ];
    let found = rows((client, Side::Desktop), RIGHTS, &params).await?;
    let there: Vec<_> = found.iter().filter(|row| !row.get::<_, bool>(1)).collect();
    may_read(&there, report);
    may_publish(&there, report);
    sees_all_rows(&there, report);
    may_write(&there, report);
    Ok(())
}

/// Our user, as [`RIGHTS`] say.
fn user(row: &Row) -> String {
    ident(&row.get::<_, String>(6))
}

fn may_read(there: &[&Row], report: &mut Report) {
    let unread = there
        .iter()
        .filter(|row| !row.get::<_, bool>(2))
        .map(|row| {
            let name: String = row.get(0);
            Wrong::new(
                format!("{name} can't be read"),
                format!("GRANT SELECT ON {name} TO {};", user(row)),
            )
            .of(&name)
        });
    report.each(
        "desktop_may_read",
        "all tables can be read",
        "the first copy reads them",
        CheckOutcome::Fail,
        unread.collect(),
    );
}

fn may_publish(there: &[&Row], report: &mut Report) {
    let others = there
        .iter()
        .filter(|row| row.get(10) && !row.get::<_, bool>(3) && !row.get::<_, bool>(9))
        .map(|row| {
            let (name, owner): (String, String) = (row.get(0), row.get(4));
            Wrong::new(
                format!("{name} belongs to {owner}, so we can't publish it"),
                match row.get(11) {
                    // A grant would make us one, too.
                    true => "let an administrator paste what tandem bootstrap --plan shows for it"
                        .to_owned(),
                    false => format!("GRANT {} TO {};", ident(&owner), user(row)),
                },
            )
            .of(&name)
        });
    report.each("desktop_may_publish", "all tables are published, or may be", "only who owns a table may publish it; or let an administrator paste what tandem bootstrap --plan says", CheckOutcome::Fail, others.collect());
}

fn sees_all_rows(there: &[&Row], report: &mut Report) {
    let hidden = there.iter().filter(|row| row.get::<_, bool>(5)).map(|row| {
        let name: String = row.get(0);
        Wrong::new(
            format!("row security hides rows of {name} from us"),
            format!("ALTER ROLE {} BYPASSRLS;", user(row)),
        )
        .of(&name)
    });
    report.each(
        "desktop_row_security",
        "no policy hides rows of the desktop",
        "rows that we can't see would be missing in the cloud",
        CheckOutcome::Fail,
        hidden.collect(),
    );
}

/// Tables that something comes home to.
fn may_write(there: &[&Row], report: &mut Report) {
    let closed = there
        .iter()
        .filter(|row| row.get::<_, bool>(7) && !row.get::<_, bool>(8))
        .map(|row| {
            let name: String = row.get(0);
            Wrong::new(
                format!("{name} can't be written, and something comes home to it"),
                format!("GRANT INSERT, UPDATE, DELETE ON {name} TO {};", user(row)),
            )
            .of(&name)
        });
    report.each(
        "home_may_write",
        "all tables that something comes home to can be written",
        "what phones did could not come home",
        CheckOutcome::Fail,
        closed.collect(),
    );
}
