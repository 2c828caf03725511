//! The replication slot on the desktop.

use std::time::Instant;

use tokio::time::sleep;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::config::Endpoint;
use crate::limits;
use crate::model::Lsn;
use crate::plan::quote;
use crate::wire::{Mode, PINNED, Session, WireError};

/// What `pg_replication_slots` says about it.
#[derive(Clone, Debug)]
pub struct SlotFacts {
    /// `pgoutput`?
    pub plugin: String,
    /// The database that it reads.
    pub database: String,
    /// Somebody reads it.
    pub active_pid: Option<i32>,
    /// Everything before it may be forgotten.
    pub confirmed: Option<Lsn>,
    /// WAL is kept from here on; none when it is lost.
    pub restart: Option<Lsn>,
    /// `lost` when the server has dropped the WAL that it needs.
    pub lost: bool,
}

/// Looks the slot up.
///
/// # Errors
/// When the query fails.
pub async fn slot(desktop: &Client, name: &str) -> Result<Option<SlotFacts>, WireError> {
    let sql = "select coalesce(plugin::text, ''), coalesce(database::text, ''), active_pid,
          confirmed_flush_lsn::text, restart_lsn::text, coalesce(wal_status = 'lost', false)
        from pg_replication_slots
        where slot_name = $1";
    let rows = desktop.query_typed(sql, &[(&name, Type::TEXT)]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let lsn = |at: usize| {
        let text: Option<String> = row.get(at);
        let lsn = text.map(|text| text.parse::<Lsn>()).transpose();
        lsn.map_err(|error| WireError::Protocol(error.to_string()))
    };
    Ok(Some(SlotFacts {
        plugin: row.get(0),
        database: row.get(1),
        active_pid: row.get(2),
        confirmed: lsn(3)?,
        restart: lsn(4)?,
        lost: row.get(5),
    }))
}

/// A new slot, and the session that keeps its snapshot alive until it runs its next command.
pub struct Slot {
    session: Session,
    /// The stream starts here: the snapshot has everything before it and nothing after.
    pub consistent: Lsn,
    /// The exported snapshot's name.
    pub snapshot: String,
}

/// Creates a slot. Waits for all transactions of the server that are open now, as long as they last.
///
/// # Errors
/// What the server says.
pub async fn create(endpoint: &Endpoint, name: &str) -> Result<Slot, WireError> {
    let mut session = Session::connect(endpoint, Mode::Replication, PINNED).await?;
    // This older form of the options works on all versions from 14 on.
    let command = format!(
        "CREATE_REPLICATION_SLOT {} LOGICAL pgoutput EXPORT_SNAPSHOT",
        quote::ident(name)
    );
    let cells = session.row(&command).await?.unwrap_or_default();
    let cell = |at: usize| cells.get(at).cloned().flatten();
    let strange = || WireError::Protocol("CREATE_REPLICATION_SLOT gave no position".to_owned());
    let consistent = cell(1)
        .and_then(|text| text.parse().ok())
        .ok_or_else(strange)?;
    let snapshot = cell(2).ok_or_else(strange)?;
    Ok(Slot {
        session,
        consistent,
        snapshot,
    })
}

impl Slot {
    /// Lets the snapshot go.
    pub async fn close(self) {
        self.session.terminate().await;
    }
}

/// Drops the slot if it is there.
///
/// # Errors
/// When it is in use, or the query fails.
pub async fn drop_slot(desktop: &Client, name: &str) -> Result<(), WireError> {
    let sql =
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1";
    desktop.query_typed(sql, &[(&name, Type::TEXT)]).await?;
    Ok(())
}

/// Waits until nobody reads the slot any more, up to [`limits::GOODBYE_MAX`]: a server's process that was told to end may still
/// be decoding.
///
/// # Errors
/// When the query fails.
pub async fn released(desktop: &Client, name: &str) -> Result<(), WireError> {
    let until = Instant::now() + limits::GOODBYE_MAX;
    while slot(desktop, name)
        .await?
        .is_some_and(|slot| slot.active_pid.is_some())
        && Instant::now() < until
    {
        sleep(limits::SLOT_LOOK_EVERY).await;
    }
    Ok(())
}

/// Where the server left this timeline on its way to the `current` one; none when it never was on it.
///
/// # Errors
/// What the server says.
pub async fn switch_point(
    endpoint: &Endpoint,
    timeline: i32,
    current: i32,
) -> Result<Option<Lsn>, WireError> {
    let mut session = Session::connect(endpoint, Mode::Replication, PINNED).await?;
    let cells = session.row(&format!("TIMELINE_HISTORY {current}")).await?;
    session.terminate().await;
    let history = cells.and_then(|cells| cells.get(1).cloned().flatten());
    Ok(history.and_then(|history| left_at(&unescaped(&history), timeline)))
}

/// The history file's line of a timeline says where it was left.
/// <https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES>
fn left_at(history: &str, timeline: i32) -> Option<Lsn> {
    let lines = history.lines().map(str::split_whitespace);
    lines
        .filter_map(|mut words| Some((words.next()?.parse::<i32>().ok()?, words.next()?)))
        .find(|(number, _)| *number == timeline)
        .and_then(|(_, lsn)| lsn.parse().ok())
}

/// Servers before 15 send the file as `bytea`.
fn unescaped(history: &str) -> String {
    let Some(digits) = history.strip_prefix("\\x") else {
        return history.to_owned();
    };
    let pairs = digits.as_bytes().chunks(2);
    let bytes =
        pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p13_a_timeline_was_left_where_the_history_says() {
        let history = "1\t0/3000148\tno recovery target specified\n\n# a remark\n2\t0/5000000\tbefore 2026-01-01\n";
        assert_eq!(left_at(history, 1), "0/3000148".parse().ok());
        assert_eq!(left_at(history, 2), "0/5000000".parse().ok());
        assert_eq!(left_at(history, 3), None);
        let digits: String = history.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(unescaped(&format!("\\x{digits}")), history);
    }
}
