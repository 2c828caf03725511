//! What the desktop knows of our stream, in one look.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::observer::one;
use crate::fault::{Fault, Side};
use crate::install::is_installed;
use crate::model::{LagNotice, Timestamp};
use crate::wire::WireError;

/// Our slot, who reads it, and what the reader has told.
pub(crate) struct OnDesktop {
    /// How far the desktop has written.
    pub(crate) lsn: String,
    /// How far it may forget.
    pub(crate) confirmed: Option<String>,
    /// WAL that it keeps for us, in bytes; none without a slot.
    pub(crate) wal_held: Option<i64>,
    /// How far we have received.
    pub(crate) received: Option<String>,
    /// Its clock.
    pub(crate) now: Timestamp,
    /// There is no such slot, or it can't send what is missing any more.
    pub(crate) is_lost: bool,
    /// When the oldest transaction that has been waiting for a while committed, as our stream tells.
    pub(crate) oldest_missing: Option<Timestamp>,
    /// The cloud is taking that one piece by piece.
    pub(crate) is_working: bool,
    /// Somebody reads the slot.
    pub(crate) is_streaming: bool,
}

pub(crate) async fn on_desktop(client: &Client, slot: &str) -> Result<OnDesktop, Fault> {
    let sql = format!(
        "select pg_current_wal_insert_lsn()::text, s.confirmed_flush_lsn::text,
           pg_wal_lsn_diff(pg_current_wal_insert_lsn(), s.restart_lsn)::bigint,
           r.write_lsn::text,
           (
             extract(
               epoch from clock_timestamp() - timestamptz '2000-01-01 00:00:00+00'
             ) * 1000000
           )::bigint,
           s.slot_name is null or coalesce(s.wal_status = 'lost', false), t.told,
           r.pid is not null
         from (select 1) as one
         left join lateral (
           select array_agg(
             substr(a.application_name, length(w.who) + 1) order by a.application_name
           ) as told
           from (select {speaker}) as w(who), pg_stat_activity as a
           where a.datname = current_database() and starts_with(a.application_name, w.who)
         ) as t on true
         left join pg_replication_slots s on s.slot_name = $1
         left join pg_stat_replication r on r.pid = s.active_pid",
        speaker = LagNotice::SPEAKER
    );
    let row = one(client, Side::Desktop, &sql, &[(&slot, Type::TEXT)]).await?;
    let row = row.ok_or_else(|| Fault::wire(Side::Desktop, &WireError::Closed))?;
    // Whoever else has such a name says nothing that we know.
    let told: Vec<&str> = row.get::<_, Option<_>>(6).unwrap_or_default();
    let notice = { told.iter() }.find_map(|words| words.parse::<LagNotice>().ok());
    Ok(OnDesktop {
        lsn: row.get(0),
        confirmed: row.get(1),
        wal_held: row.get::<_, Option<i64>>(2).map(|bytes| bytes.max(0)),
        received: row.get(3),
        now: Timestamp(row.get(4)),
        is_lost: row.get(5),
        oldest_missing: notice.map(|notice| notice.since),
        is_working: notice.is_some_and(|notice| notice.moves),
        is_streaming: row.get(7),
    })
}

/// Why a statement of the office's failed when it ran last: the refill, or the one behind a poll.
pub(crate) async fn failing(client: &Client, replicator: &str) -> Result<Option<String>, Fault> {
    if !is_installed(client, Side::Desktop).await? {
        return Ok(None);
    }
    let sql = "select concat('the refill ', nullif(name, 'refill') || ' ', 'fails: ', failed)
        from tandem.refill
        where replicator = $1 and failed is not null
        union all
        select 'reverse.then fails: ' || then_failed
        from tandem.reverse
        where replicator = $1 and then_failed is not null";
    let row = one(client, Side::Desktop, sql, &[(&replicator, Type::TEXT)]).await?;
    Ok(row.map(|row| row.get(0)))
}
