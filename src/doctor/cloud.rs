//! The cloud's server and tables.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::report::{CheckOutcome, Report, Wrong};
use super::tables::{cloud_tables, logged, rows};
use super::{role, schema};
use crate::catalog::VERSION_MIN;
use crate::config::{Flow, Settings};
use crate::fault::{Fault, Side};
use crate::install::is_installed;
use crate::plan::quote::ident;

pub(super) async fn check(
    settings: &Settings,
    client: &Client,
    report: &mut Report,
) -> Result<(), Fault> {
    server(client, report).await?;
    role::check((client, Side::Cloud), report).await?;
    let installed = is_installed(client, Side::Cloud).await?;
    schema::check((client, Side::Cloud), installed, report).await?;
    exposure(client, report).await?;
    tables(settings, client, report).await?;
    let (on, tables) = ((client, Side::Cloud), cloud_tables(settings));
    logged(on, "cloud_logged", &tables, report).await?;
    triggers(settings, client, installed, report).await
}

/// The cloud's server, and how many connections it takes and has.
const SERVER: &str =
    "select current_setting('server_version_num')::int, current_setting('server_version'),
    pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on',
    current_database()::text, current_setting('server_encoding'),
    (
      select sum(
        case name when 'max_connections' then setting::int else -setting::int end
      )
      from pg_settings
      where name in (
        'max_connections', 'superuser_reserved_connections', 'reserved_connections'
      )
    )::int,
    (select sum(numbackends) from pg_stat_database)::int";

async fn server(client: &Client, report: &mut Report) -> Result<(), Fault> {
    // Of others' sessions a user without privileges sees little, but how many there are.
    let found = rows((client, Side::Cloud), SERVER, &[]).await?;
    let Some(row) = found.first() else {
        return Ok(());
    };
    version(row, report);
    writable(row, report);
    encoding(row, report);
    connections(row, report);
    Ok(())
}

fn version(row: &Row, report: &mut Report) {
    let (number, version): (i32, String) = (row.get(0), row.get(1));
    if number.unsigned_abs() < VERSION_MIN {
        let wrong = Wrong::new(
            format!("the cloud is PostgreSQL {version}"),
            "upgrade it to 14 or newer",
        );
        report.fail("cloud_version", "its state needs 14", wrong);
    } else {
        report.ok("cloud_version", format!("PostgreSQL {version}"));
    }
}

fn writable(row: &Row, report: &mut Report) {
    let database: String = row.get(4);
    match (row.get(2), row.get(3)) {
        (true, _) => {
            let wrong = Wrong::new(
                "the cloud is a standby",
                "let cloud.url lead to the primary",
            );
            report.fail("cloud_is_writable", "nothing can be written there", wrong);
        }
        (false, true) => {
            let fix = format!(
                "ALTER DATABASE {} SET default_transaction_read_only = off;",
                ident(&database)
            );
            report.fail(
                "cloud_is_writable",
                "nothing can be written there; Supabase does that when the disk is full",
                Wrong::new("the cloud is read-only", fix),
            );
        }
        (false, false) => report.ok("cloud_is_writable", "the cloud can be written"),
    }
}

fn encoding(row: &Row, report: &mut Report) {
    let encoding: String = row.get(5);
    if encoding == "UTF8" {
        report.ok("cloud_encoding", "encoding UTF8");
    } else {
        let wrong = Wrong::new(
            format!("the cloud's encoding is {encoding}"),
            "use a database with the encoding UTF8",
        );
        report.fail(
            "cloud_encoding",
            "letters that it doesn't have would be refused",
            wrong,
        );
    }
}

fn connections(row: &Row, report: &mut Report) {
    let (most, used): (i32, i32) = (row.get(6), row.get(7));
    if used * 10 < most * 9 {
        report.ok(
            "cloud_connections",
            format!("{used} of {most} connections in use"),
        );
    } else {
        let fix = format!(
            "ALTER SYSTEM SET max_connections = {}; -- needs a restart",
            most * 2
        );
        report.warn(
            "cloud_connections",
            "phones and tandem may find none left",
            Wrong::new(format!("{used} of {most} connections in use"), fix),
        );
    }
}

/// Whether phones may look into the schema.
async fn exposure(client: &Client, report: &mut Report) -> Result<(), Fault> {
    let sql = "select r.rolname::text
        from pg_roles r
        join pg_namespace n on n.nspname = 'tandem'
        where r.rolname in ('anon', 'authenticated', 'public')
          and has_schema_privilege(r.oid, n.oid, 'usage')
        union all
        select 'public'
        from pg_namespace n, aclexplode(n.nspacl) as a
        where n.nspname = 'tandem' and a.grantee = 0";
    let found = rows((client, Side::Cloud), sql, &[]).await?;
    let open = found.iter().map(|row| {
        let role: String = row.get(0);
        let named = if role == "public" {
            role.clone()
        } else {
            ident(&role)
        };
        Wrong::new(
            format!("{role} may look into the schema tandem"),
            format!("REVOKE ALL ON SCHEMA tandem FROM {named};"),
        )
    });
    report.each(
        "schema_exposed",
        "the schema tandem is closed to phones",
        "the quarantine holds whole rows",
        CheckOutcome::Fail,
        open.collect(),
    );
    Ok(())
}

/// What our user may do with the tables `$1`, of which `$2` go out and `$3` come home.
const RIGHTS: &str = "select w.name, w.outward, w.home, current_user::text,
      array_remove(
        array[
          case when not has_table_privilege(c.oid, 'select') then 'SELECT' end,
          case when w.outward
            and not has_table_privilege(c.oid, 'insert') then 'INSERT' end,
          case when w.outward
            and not has_table_privilege(c.oid, 'update') then 'UPDATE' end,
          case when w.outward and not has_table_privilege(c.oid, 'delete') then 'DELETE' end
        ],
        null
      ),
      has_table_privilege(c.oid, 'trigger'),
      row_security_active(c.oid)
        and not exists (
          select
          from pg_policy p
          where p.polrelid = c.oid and p.polname = 'tandem ' || current_user
        ),
      (
        select array_agg(s.oid::regclass::text)
        from pg_depend d
        join pg_class s on s.oid = d.objid and s.relkind = 'S'
        where d.refobjid = c.oid
          and d.deptype in ('a', 'i')
          and d.classid = 'pg_class'::regclass
          and case
            when s.relkind = 'S' then not has_sequence_privilege(s.oid, 'usage')
            else false
          end
      )
    from unnest($1::text[], $2::bool[], $3::bool[]) as w(name, outward, home)
    join pg_class c on c.oid = to_regclass(w.name)";

async fn tables(settings: &Settings, client: &Client, report: &mut Report) -> Result<(), Fault> {
    let names = cloud_tables(settings);
    let (mut out, mut reverse) = (Vec::new(), Vec::new());
    for table in &settings.tables {
        out.push(table.flow != Flow::Reverse);
        reverse.push(table.flow != Flow::Forward || !table.cloud_owned.is_empty());
    }
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&names, Type::TEXT_ARRAY),
        (&out, Type::BOOL_ARRAY),
        (&reverse, Type::BOOL_ARRAY),
    ];
    let found = rows((client, Side::Cloud), RIGHTS, &params).await?;
    may_write(&found, report);
    may_use_sequences(&found, report);
    may_put_triggers(&found, report);
    sees_all_rows(&found, report);
    Ok(())
}

/// Our user, as [`RIGHTS`] say.
fn user(row: &Row) -> String {
    ident(&row.get::<_, String>(3))
}

fn may_write(found: &[Row], report: &mut Report) {
    let closed = found
        .iter()
        .filter(|row| !row.get::<_, Vec<String>>(4).is_empty())
        .map(|row| {
            let (name, lacks): (String, Vec<String>) = (row.get(0), row.get(4));
            let lacks = lacks.join(", ");
            Wrong::new(
                format!("we lack {lacks} on {name} in the cloud"),
                format!("GRANT {lacks} ON {name} TO {};", user(row)),
            )
            .of(&name)
        });
    report.each(
        "cloud_may_write",
        "all tables can be written",
        "rows could not be written there",
        CheckOutcome::Fail,
        closed.collect(),
    );
}

fn may_use_sequences(found: &[Row], report: &mut Report) {
    let counters = found.iter().filter(|row| row.get(1)).flat_map(|row| {
        let names: Option<Vec<String>> = row.get(7);
        let user = user(row);
        names.unwrap_or_default().into_iter().map(move |name| {
            Wrong::new(
                format!("we may not use sequence {name}"),
                format!("GRANT USAGE ON SEQUENCE {name} TO {user};"),
            )
            .of(&name)
        })
    });
    report.each(
        "cloud_may_use_sequence",
        "all generated keys can be made",
        "new rows could not get their key",
        CheckOutcome::Fail,
        counters.collect(),
    );
}

fn may_put_triggers(found: &[Row], report: &mut Report) {
    let unwatched = found
        .iter()
        .filter(|row| row.get(2) && !row.get::<_, bool>(5))
        .map(|row| {
            let name: String = row.get(0);
            Wrong::new(
                format!("we may not put a trigger on {name}"),
                format!("GRANT TRIGGER ON {name} TO {};", user(row)),
            )
            .of(&name)
        });
    report.each(
        "cloud_may_trigger",
        "all tables that come home can be watched",
        "what phones do there would not be noticed",
        CheckOutcome::Fail,
        unwatched.collect(),
    );
}

fn sees_all_rows(found: &[Row], report: &mut Report) {
    let hidden = found.iter().filter(|row| row.get(6)).map(|row| {
        let name: String = row.get(0);
        Wrong::new(
            format!("row security hides rows of {name} from us"),
            format!(
                "ALTER ROLE {} BYPASSRLS; -- or run sql/cloud/role.sql for this table",
                user(row)
            ),
        )
        .of(&name)
    });
    report.each(
        "cloud_row_security",
        "no policy hides rows of the cloud",
        "a row that is hidden would be taken for missing",
        CheckOutcome::Fail,
        hidden.collect(),
    );
}

async fn triggers(
    settings: &Settings,
    client: &Client,
    installed: bool,
    report: &mut Report,
) -> Result<(), Fault> {
    let tables = cloud_tables(settings);
    rewriting(&tables, client, report).await?;
    reaching(&tables, client, report).await?;
    unwatched(client, installed, report).await
}

/// Triggers of the tables `$1` that run for each row that is written.
const ROW_TRIGGERS: &str = "select w.name, g.tgname::text
    from unnest($1::text[]) as w(name)
    join pg_trigger g on g.tgrelid = to_regclass(w.name)
    where not g.tgisinternal
      and g.tgenabled <> 'D'
      and g.tgtype & 3 = 3
      and g.tgtype & 20 > 0";

/// Triggers that may change a row before it is written.
async fn rewriting(tables: &[String], client: &Client, report: &mut Report) -> Result<(), Fault> {
    let named: [(&(dyn ToSql + Sync), Type); 1] = [(&tables, Type::TEXT_ARRAY)];
    // tgtype: 1 row, 2 before, 4 insert, 16 update.
    let found = rows((client, Side::Cloud), ROW_TRIGGERS, &named).await?;
    let rewriting = found.iter().map(|row| {
        let (table, name): (String, String) = (row.get(0), row.get(1));
        Wrong::new(
            format!("trigger {name} of {table} may change rows before they are written"),
            format!(
                "ALTER TABLE {table} DISABLE TRIGGER {}; -- if it changes columns that travel",
                ident(&name)
            ),
        )
        .of(&table)
    });
    report.each(
        "rewriting_trigger",
        "no trigger changes rows on their way in",
        "if it changes columns that travel, both sides never become equal",
        CheckOutcome::Warn,
        rewriting.collect(),
    );
    Ok(())
}

/// Foreign keys to the tables `$1` that change rows elsewhere.
const FOREIGN_ACTIONS: &str = r#"select w.name, c.conname::text, r.relname::text,
      c.conrelid::regclass::text,
      regexp_replace(
        pg_get_constraintdef(c.oid),
        ' ON (DELETE|UPDATE) (CASCADE|SET NULL|SET DEFAULT)( \([^)]*\))?', '', 'g'
      )
    from unnest($1::text[]) as w(name)
    join pg_constraint c on c.confrelid = to_regclass(w.name)
    join pg_class r on r.oid = c.conrelid
    where c.contype = 'f'
      and c.conparentid = 0
      and (c.confdeltype in ('c', 'n', 'd') or c.confupdtype in ('c', 'n', 'd'))"#;

/// Foreign keys that carry a delete on to other rows.
async fn reaching(tables: &[String], client: &Client, report: &mut Report) -> Result<(), Fault> {
    let named: [(&(dyn ToSql + Sync), Type); 1] = [(&tables, Type::TEXT_ARRAY)];
    let found = rows((client, Side::Cloud), FOREIGN_ACTIONS, &named).await?;
    let reaching = found.iter().map(|row| {
        let (parent, name, child, definition): (String, String, String, String) =
            (row.get(0), row.get(1), row.get(3), row.get(4));
        let name = ident(&name);
        Wrong::new(
            format!("a delete from {parent} would carry on to {child}"),
            format!(
                "ALTER TABLE {child} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {definition};"
            ),
        )
        .of(&child)
    });
    report.each(
        "fk_action",
        "no foreign key carries a delete to other rows",
        "where it would reach a phone's rows the delete is put into quarantine instead",
        CheckOutcome::Warn,
        reaching.collect(),
    );
    Ok(())
}

/// Triggers of ours that somebody has disabled.
const DISABLED: &str = "select g.tgrelid::regclass::text, g.tgname::text
    from pg_trigger g
    join pg_proc f on f.oid = g.tgfoid
    join pg_namespace n on n.oid = f.pronamespace
    where n.nspname = 'tandem' and g.tgenabled not in ('O', 'A')";

/// Tables whose changes are not noticed, though they should be.
async fn unwatched(client: &Client, installed: bool, report: &mut Report) -> Result<(), Fault> {
    let mut disabled = Vec::new();
    if installed {
        let found = rows((client, Side::Cloud), DISABLED, &[]).await?;
        disabled.extend(found.iter().map(|row| {
            let (table, name): (String, String) = (row.get(0), row.get(1));
            Wrong::new(
                format!("trigger {name} of {table} is disabled"),
                format!("ALTER TABLE {table} ENABLE TRIGGER {};", ident(&name)),
            )
            .of(&table)
        }));
    }
    report.each(
        "watch_disabled",
        "all that phones do is noticed",
        "what phones do there is not noticed",
        CheckOutcome::Fail,
        disabled,
    );
    Ok(())
}
