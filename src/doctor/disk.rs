//! Room on the disk of a server, as far as it can be seen: that of a server on this computer.

use std::path::PathBuf;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::report::{Report, Wrong};
use super::tables::{desktop_tables, rows};
use crate::config::{Endpoint, Settings};
use crate::fault::{Fault, Side};
use crate::install::is_installed;

/// The WAL that the desktop may keep has to fit.
pub(super) async fn desktop(
    settings: &Settings,
    client: &Client,
    report: &mut Report,
) -> Result<(), Fault> {
    let on = (client, Side::Desktop);
    let sql = "select setting::bigint from pg_settings where name = 'max_slot_wal_keep_size'";
    let found = rows(on, sql, &[]).await?;
    let limit: i64 = found.first().map_or(-1, |row| row.get(0));
    let forward = &settings.forward;
    let most = match (forward.wal_held_drop, u64::try_from(limit)) {
        (Some(drop), _) => drop,
        (None, Ok(megabytes)) => megabytes << 20,
        (None, Err(_)) => forward.wal_held_max,
    };
    let Some(free) = free(&settings.desktop.endpoint, on).await? else {
        let what = format!(
            "not checked: the desktop's disk can't be seen from here; {size} may be kept for us there",
            size = size(most)
        );
        report.skip("desktop_disk", what);
        return Ok(());
    };
    // What is held already has its room.
    let sql = "select coalesce(
          max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)), 0
        )::bigint
        from pg_replication_slots
        where wal_status <> 'lost'";
    let found = rows(on, sql, &[]).await?;
    let held = found
        .first()
        .map_or(0, |row| row.get::<_, i64>(0))
        .max(0)
        .unsigned_abs();
    if free + held > most {
        report.ok(
            "desktop_disk",
            format!("{} free on the desktop's disk", size(free)),
        );
        return Ok(());
    }
    // Half of what is left beside it, so that the office program has the other half and no slot is lost by it.
    let fix = format!(
        "ALTER SYSTEM SET max_slot_wal_keep_size = '{}MB'; SELECT pg_reload_conf();",
        (held >> 20) + (free >> 21).max(64)
    );
    let what = format!(
        "{} free on the desktop's disk, and up to {} of WAL may be kept for us",
        size(free),
        size(most)
    );
    report.warn(
        "desktop_disk",
        "if tandem is off for days, the desktop's disk can fill",
        Wrong::new(what, fix),
    );
    Ok(())
}

/// The first copy has to fit into the cloud, once in the tables and once while it is staged.
pub(super) async fn cloud(
    settings: &Settings,
    (desktop, cloud): (&Client, &Client),
    report: &mut Report,
) -> Result<(), Fault> {
    if is_installed(cloud, Side::Cloud).await? {
        report.ok("cloud_disk", "the first copy has its room");
        return Ok(());
    }
    let names = desktop_tables(settings);
    let sql = "select coalesce(sum(pg_total_relation_size(to_regclass(name))), 0)::bigint
        from unnest($1::text[]) as name";
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&names, Type::TEXT_ARRAY)];
    let found = rows((desktop, Side::Desktop), sql, &params).await?;
    let needed = 2 * found
        .first()
        .map_or(0, |row| row.get::<_, i64>(0))
        .unsigned_abs();
    match free(&settings.cloud.endpoint, (cloud, Side::Cloud)).await? {
        None => report.skip("cloud_disk", format!("not checked: the cloud's disk can't be seen from here; the first copy needs up to {size} there", size = size(needed))),
        Some(free) if free > needed => report.ok("cloud_disk", format!("{} free in the cloud, up to {} needed by the first copy", size(free), size(needed))),
        Some(free) => {
            let what = format!("{} free in the cloud, and the first copy needs up to {}", size(free), size(needed));
            let why = "a cloud whose disk is full takes no more rows, from phones neither";
            report.warn("cloud_disk", why, Wrong::new(what, "give the cloud a larger disk"));
        }
    }
    Ok(())
}

/// Bytes that are free where the server keeps its files; none where it is another computer's disk, or we may not look.
async fn free(endpoint: &Endpoint, on: (&Client, Side)) -> Result<Option<u64>, Fault> {
    if !endpoint.is_near() {
        return Ok(None);
    }
    // Who may not know the folder sees no such row.
    let sql = "select setting from pg_settings where name = 'data_directory'";
    let found = rows(on, sql, &[]).await?;
    let folder = found
        .first()
        .map(|row| PathBuf::from(row.get::<_, String>(0)));
    Ok(folder.and_then(|folder| fs4::available_space(folder).ok()))
}

fn size(bytes: u64) -> String {
    match bytes >> 30 {
        0 => format!("{} MB", bytes >> 20),
        gigabytes => format!("{gigabytes} GB"),
    }
}
