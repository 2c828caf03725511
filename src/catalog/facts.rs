//! Which server is it, and can it do what is needed?

use std::time::Duration;

use tokio_postgres::Client;

use crate::config::Settings;
use crate::fault::{Fault, Kind, Side};
use crate::model::Lsn;

/// What identifies a server and what it is set to.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `server_version_num`.
    pub version: u32,
    /// The system identifier that `initdb` gave it.
    pub system_id: String,
    /// Its timeline, one more after each promotion or recovery to a point in time.
    pub timeline: i32,
    /// The database.
    pub database: String,
    /// `wal_level`.
    pub wal_level: String,
    /// `wal_sender_timeout`.
    pub sender_timeout: Duration,
    /// Whether our role may replicate.
    pub may_replicate: bool,
    /// Our role.
    pub user: String,
    /// Where its log ends.
    pub wal_end: Lsn,
    /// When it was started, as it says.
    started: String,
}

/// The oldest server that tandem works with: logical messages need 14.
pub const VERSION_MIN: u32 = 140_000;

/// Asks a server who it is.
///
/// # Errors
/// When the query fails, or the server is too old for tandem.
pub async fn facts(client: &Client, side: Side) -> Result<Facts, Fault> {
    let wire = Fault::at::<tokio_postgres::Error>(side);
    let sql = "select current_setting('server_version_num')::int,
          (select system_identifier::text from pg_control_system()), case
            when pg_is_in_recovery() then (select timeline_id from pg_control_checkpoint())
            else ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int
          end,
          current_database()::text, current_setting('wal_level'),
          coalesce(
            (select setting::bigint from pg_settings where name = 'wal_sender_timeout'), 60000
          ),
          (select rolsuper or rolreplication from pg_roles where rolname = current_user),
          current_user::text, case
            when pg_is_in_recovery() then '0/0'
            else pg_current_wal_insert_lsn()::text
          end,
          extract(epoch from pg_postmaster_start_time())::text";
    let rows = client.query_typed(sql, &[]).await.map_err(wire)?;
    let row = rows
        .first()
        .ok_or_else(|| Fault::new(Kind::Unknown, format!("the {side} answered nothing")))?;
    let version = row.get::<_, i32>(0).unsigned_abs();
    if version < VERSION_MIN {
        return Err(Fault::new(
            Kind::Refused(side),
            format!(
                "the {side} is PostgreSQL {}; tandem needs 14 or newer",
                version / 10_000
            ),
        ));
    }
    Ok(Facts {
        version,
        system_id: row.get(1),
        timeline: row.get(2),
        database: row.get(3),
        wal_level: row.get(4),
        sender_timeout: Duration::from_millis(row.get::<_, i64>(5).unsigned_abs()),
        may_replicate: row.get(6),
        user: row.get(7),
        wal_end: row.get::<_, String>(8).parse().unwrap_or_default(),
        started: row.get(9),
    })
}

impl Facts {
    /// Both URLs have to lead to two databases.
    ///
    /// # Errors
    /// When they lead to one.
    pub fn is_not(&self, other: &Facts) -> Result<(), Fault> {
        let of = |facts: &Facts| {
            (
                facts.system_id.clone(),
                facts.started.clone(),
                facts.database.clone(),
            )
        };
        if of(self) != of(other) {
            return Ok(());
        }
        Err(Fault::new(
            Kind::Input,
            "desktop.url and cloud.url lead to one and the same database",
        )
        .cause(format!(
            "database {} of the server with system identifier {}",
            self.database, self.system_id
        ))
        .hint("nothing was changed; a table can't be kept equal to itself"))
    }

    /// Whether the desktop can feed a replication slot.
    ///
    /// # Errors
    /// What is missing, with the statement that mends it.
    pub fn can_publish(&self) -> Result<(), Fault> {
        let refused = |what: &str| Fault::new(Kind::Refused(Side::Desktop), what);
        if self.wal_level != "logical" {
            return Err(refused(
                "the desktop's wal_level is not logical, so its changes can't be read",
            )
            .cause(format!("wal_level = {}", self.wal_level))
            .hint("ALTER SYSTEM SET wal_level = logical; then restart PostgreSQL"));
        }
        if !self.may_replicate {
            let grant = format!(
                "ALTER ROLE {} REPLICATION;",
                crate::plan::quote::ident(&self.user)
            );
            return Err(refused("the desktop's user may not replicate").hint(grant));
        }
        Ok(())
    }
}

/// The replicator's name: the settings', else made of the desktop's identity.
pub fn replicator_name(settings: &Settings, desktop: &Facts) -> String {
    let made = || {
        format!(
            "{}-{}-{}",
            desktop.system_id, desktop.database, settings.forward.slot
        )
    };
    settings.replicator.clone().unwrap_or_else(made)
}
