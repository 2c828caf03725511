//! Slots of the desktop, who reads them, and the WAL that is kept for them.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::report::{CheckOutcome, Report, Wrong};
use super::tables::rows;
use crate::catalog::SlotFacts;
use crate::config::Settings;
use crate::fault::{Fault, Side};
use crate::limits;
use crate::plan::quote::literal;

pub(super) async fn check(
    settings: &Settings,
    client: &Client,
    report: &mut Report,
) -> Result<(), Fault> {
    slots(settings, client, report).await?;
    held(settings, client, report).await
}

/// How many slots and senders there may be, and are.
const ROOM: &str = "select current_setting('max_replication_slots')::int,
    (select count(*) from pg_replication_slots)::int,
    current_setting('max_wal_senders')::int,
    (
      select count(*)
      from pg_stat_replication
      where application_name is distinct from 'tandem'
    )::int,
    (
      select string_agg(format('SELECT pg_drop_replication_slot(%L);', slot_name), ' ')
      from pg_replication_slots
      where not active and slot_name <> $1
    )";

async fn slots(settings: &Settings, client: &Client, report: &mut Report) -> Result<(), Fault> {
    let name = &settings.forward.slot;
    let found = crate::catalog::slot(client, name)
        .await
        .map_err(Fault::at(Side::Desktop))?;
    ours(name, found.as_ref(), report);
    let rows = rows((client, Side::Desktop), ROOM, &[(name, Type::TEXT)]).await?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    slots_free(row, found.is_some(), report);
    senders_free(row, report);
    Ok(())
}

/// The slot that we read, if it was made yet.
fn ours(name: &str, found: Option<&SlotFacts>, report: &mut Report) {
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
                format!("slot = \"{name}_2\" # in [forward] of tandem.toml"),
            );
            report.fail("slot", "two programs can't read one slot", wrong);
        }
        Some(_) => report.ok("slot", format!("slot {name} is there")),
    }
}

fn slots_free(row: &Row, exists: bool, report: &mut Report) {
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
}

fn senders_free(row: &Row, report: &mut Report) {
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
}

/// Whether the WAL that is kept has no limit, and how much the slot `$1` keeps.
const KEPT: &str = "select current_setting('max_slot_wal_keep_size') = '-1',
    (
      select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint
      from pg_replication_slots
      where slot_name = $1
    )";

async fn held(settings: &Settings, client: &Client, report: &mut Report) -> Result<(), Fault> {
    let found = rows(
        (client, Side::Desktop),
        KEPT,
        &[(&settings.forward.slot, Type::TEXT)],
    )
    .await?;
    let Some(row) = found.first() else {
        return Ok(());
    };
    limited(settings, row, report);
    timeouts(settings, client, report).await?;
    kept_for_us(settings, row, report);
    kept_for_others(settings, client, report).await?;
    open_for_long(client, report).await
}

fn limited(settings: &Settings, row: &Row, report: &mut Report) {
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
}

fn kept_for_us(settings: &Settings, row: &Row, report: &mut Report) {
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
}

/// Slots beside `$1` that nobody reads and that keep more than a gigabyte.
const OTHERS: &str = "select slot_name::text,
      (pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn) / 1048576)::bigint
    from pg_replication_slots
    where slot_name <> $1
      and not active
      and pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn) > 1073741824";

async fn kept_for_others(
    settings: &Settings,
    client: &Client,
    report: &mut Report,
) -> Result<(), Fault> {
    let idle = rows(
        (client, Side::Desktop),
        OTHERS,
        &[(&settings.forward.slot, Type::TEXT)],
    )
    .await?;
    let idle = idle.iter().map(|row| {
        let (name, mb): (String, i64) = (row.get(0), row.get(1));
        Wrong::new(
            format!("slot {name} keeps {mb} MB, and nobody reads it"),
            format!("SELECT pg_drop_replication_slot({});", literal(&name)),
        )
        .of(&name)
    });
    report.each(
        "other_slots",
        "no other slot keeps much WAL",
        "it fills the desktop's disk",
        CheckOutcome::Warn,
        idle.collect(),
    );
    Ok(())
}

/// Transactions that have been open for more than ten minutes.
const OPEN: &str = "select pid, coalesce(application_name, ''),
      (extract(epoch from clock_timestamp() - xact_start) / 60)::bigint
    from pg_stat_activity
    where backend_xid is not null
      and pid <> pg_backend_pid()
      and xact_start < clock_timestamp() - interval '10 minutes'";

async fn open_for_long(client: &Client, report: &mut Report) -> Result<(), Fault> {
    let long = rows((client, Side::Desktop), OPEN, &[]).await?;
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

/// What else ends a slot, or the connection that reads it.
async fn timeouts(settings: &Settings, client: &Client, report: &mut Report) -> Result<(), Fault> {
    // Older servers have fewer of them.
    let sql = "select coalesce(
          max(setting::bigint) filter (where name = 'max_slot_wal_keep_size'), -1
        ),
          coalesce(
            max(setting::bigint) filter (where name = 'idle_replication_slot_timeout'), 0
          ),
          coalesce(max(setting::bigint) filter (where name = 'wal_sender_timeout'), 60000)
        from pg_settings";
    let found = rows((client, Side::Desktop), sql, &[]).await?;
    let Some(row) = found.first() else {
        return Ok(());
    };
    let (limit, idle, sender): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    match u64::try_from(limit) {
        Ok(megabytes) if megabytes << 20 < settings.forward.wal_held_max => {
            let most = settings.forward.wal_held_max >> 20;
            let wrong = Wrong::new(
                format!(
                    "max_slot_wal_keep_size is {megabytes} MB, less than forward.wal_held_max ({most} MB)"
                ),
                format!(
                    "wal_held_max = \"{}MB\" # in [forward] of tandem.toml",
                    megabytes / 2
                ),
            );
            report.warn(
                "wal_limit_size",
                "the slot would be lost before status has warned",
                wrong,
            );
        }
        _ => report.ok(
            "wal_limit_size",
            "status warns before the desktop drops WAL",
        ),
    }
    if idle > 0 {
        let wrong = Wrong::new(
            "idle_replication_slot_timeout drops slots that nobody reads for a while",
            "ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();",
        );
        report.warn(
            "slot_timeout",
            "after a long week-end everything has to be compared again",
            wrong,
        );
    } else {
        report.ok("slot_timeout", "a slot that nobody reads stays");
    }
    let least = i64::try_from(limits::SENDER_TIMEOUT_MIN.as_millis()).unwrap_or_default();
    if sender < least {
        let wrong = Wrong::new(
            format!("wal_sender_timeout is {sender} ms on the desktop"),
            "ALTER SYSTEM SET wal_sender_timeout = '60s'; SELECT pg_reload_conf();",
        );
        report.warn("sender_timeout", "0 keeps a connection that died, and the slot with it; a few seconds end one that is only slow", wrong);
    } else {
        report.ok(
            "sender_timeout",
            format!("wal_sender_timeout is {} s", sender / 1_000),
        );
    }
    Ok(())
}
