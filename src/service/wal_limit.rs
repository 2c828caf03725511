//! The WAL that the desktop keeps for us has a limit (P10): past it the slot is given up before the disk is full, and the
//! tables are copied anew when the cloud is back.

use tokio::time::sleep;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::catalog::{self, facts, replicator_name};
use crate::config::Settings;
use crate::fault::{Fault, Side};
use crate::flows::Reloads;
use crate::limits;
use crate::wire::control::{self, Control};

/// Waits until the desktop keeps more WAL for us than `wal_held_drop` allows, and says how much. Over a connection of its own,
/// since it matters most while there is no session.
pub(super) async fn exceeded(reloads: &Reloads) -> u64 {
    let mut news = reloads.news();
    let mut desktop = None;
    let mut settings = news.next().await;
    loop {
        let Some(most) = settings.forward.wal_held_drop else {
            desktop = None;
            settings = news.next().await;
            continue;
        };
        // A session comes first: it knows whether we are the one that runs.
        tokio::select! {
            () = sleep(settings.heartbeat.every.min(limits::WAL_HELD_EVERY)) => {}
            now = news.next() => {
                settings = now;
                continue;
            }
        }
        match held(&settings, &mut desktop).await {
            Ok(Some(bytes)) if bytes > most => return bytes,
            Ok(_) => {}
            Err(fault) => {
                tracing::debug!("{fault}");
                desktop = None;
            }
        }
    }
}

/// How much it keeps; none without a slot.
async fn held(settings: &Settings, desktop: &mut Option<Control>) -> Result<Option<u64>, Fault> {
    let desktop = match desktop {
        Some(desktop) => desktop,
        none => none.insert(connect(settings).await?),
    };
    let sql = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint
        from pg_replication_slots
        where slot_name = $1";
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&settings.forward.slot, Type::TEXT)];
    let rows = Side::Desktop.query(&desktop.client, sql, &params).await?;
    let bytes = rows.first().and_then(|row| row.get::<_, Option<i64>>(0));
    Ok(bytes.map(i64::unsigned_abs))
}

async fn connect(settings: &Settings) -> Result<Control, Fault> {
    let desktop = control::connect(&settings.desktop.endpoint).await;
    desktop.map_err(Fault::at(Side::Desktop))
}

/// Drops the slot, and notes on the desktop that it was, before it is. False where it isn't ours.
///
/// # Errors
/// When the desktop can't be asked, or keeps the slot.
pub(super) async fn give_up(settings: &Settings, bytes: u64) -> Result<bool, Fault> {
    let (desktop, slot) = (connect(settings).await?, &settings.forward.slot);
    let identity = facts(&desktop.client, Side::Desktop).await?;
    let replicator = replicator_name(settings, &identity);
    let kept = i64::try_from(bytes).unwrap_or(i64::MAX);
    let sql = "update tandem.slot
        set given_up_at = now(), given_up_bytes = $3
        where replicator = $1 and slot = $2
        returning true";
    let params: [(&(dyn ToSql + Sync), Type); 3] = [
        (&replicator, Type::TEXT),
        (slot, Type::TEXT),
        (&kept, Type::INT8),
    ];
    let noted = desktop.client.query_typed(sql, &params).await;
    if noted.map_err(Fault::at(Side::Desktop))?.is_empty() {
        return Ok(false);
    }
    // The session that read it has just been left; the server notices that soon.
    let released = catalog::released(&desktop.client, slot).await;
    let dropped = match released {
        Ok(()) => catalog::drop_slot(&desktop.client, slot).await,
        Err(error) => Err(error),
    };
    if let Err(error) = dropped {
        // Else a slot that somebody drops later would look as if we had.
        let sql = "update tandem.slot
            set given_up_at = null, given_up_bytes = null
            where replicator = $1 and slot = $2";
        Side::Desktop
            .query(&desktop.client, sql, &params[..2])
            .await?;
        return Err(Fault::wire(Side::Desktop, &error));
    }
    tracing::error!(
        wal_held_bytes = bytes,
        "slot {slot} is given up: the desktop kept more WAL for us than forward.wal_held_drop allows; nothing is lost, all tables are compared and made equal when the cloud is back"
    );
    Ok(true)
}

/// Whether the slot was given up since it was made.
///
/// # Errors
/// When the desktop can't be asked.
pub(super) async fn is_given_up(
    desktop: &Client,
    replicator: &str,
    slot: &str,
) -> Result<bool, Fault> {
    let sql = "select exists (
          select
          from tandem.slot as t
          where t.replicator = $1
            and t.slot = $2
            and t.given_up_at is not null
            and not exists (select from pg_replication_slots as s where s.slot_name = t.slot)
        )";
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&replicator, Type::TEXT), (&slot, Type::TEXT)];
    let rows = Side::Desktop.query(desktop, sql, &params).await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}
