//! What the desktop has committed and nobody reads, as far as a look into its log tells soon.

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio_postgres::types::{ToSql, Type};

use super::observer::Observer;
use crate::config::Settings;
use crate::decode::{Message, message};
use crate::limits;
use crate::model::{LogicalMessage, Lsn, Timestamp};

/// What is missing in the cloud.
pub(super) enum Missing {
    /// It would take long to find out, or can't be.
    Unknown,
    /// Nothing.
    Nothing,
    /// The oldest such transaction committed then.
    Since(Timestamp),
}

/// Whether the slot can be looked into.
const MAY: &str = "select exists (
      select
      from pg_replication_slots
      where slot_name = $1
        and plugin = 'pgoutput'
        and not active
        and wal_status <> 'lost'
        and pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn) < $2
    )";

impl Observer {
    /// Reads what the slot would send, without moving it, where nobody else reads it and little log is kept. Whatever
    /// keeps it from an answer leaves the answer unknown: the log is no place to fail for who only looks.
    pub(super) async fn peek(&self, settings: &Settings, checkpoint: Lsn) -> Missing {
        let desktop = &self.desktop.client;
        let limit = limits::PEEK_MAX.as_millis();
        let begin = format!("begin; set local statement_timeout = {limit}");
        if desktop.batch_execute(&begin).await.is_err() {
            return Missing::Unknown;
        }
        let missing = self.peeked(settings, checkpoint).await;
        // Also ends what failed.
        let ended = desktop.batch_execute("rollback").await;
        match (missing, ended) {
            (Ok(missing), Ok(())) => missing,
            _ => Missing::Unknown,
        }
    }

    async fn peeked(
        &self,
        settings: &Settings,
        checkpoint: Lsn,
    ) -> Result<Missing, tokio_postgres::Error> {
        let forward = &settings.forward;
        let desktop = &self.desktop.client;
        // It reads all that is kept before it says the first word.
        let bytes = limits::PEEK_BYTES;
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&forward.slot, Type::TEXT), (&bytes, Type::INT8)];
        let may = desktop.query_typed(MAY, &params).await?;
        if !may.first().is_some_and(|row| row.get(0)) {
            return Ok(Missing::Unknown);
        }
        let sql = "select data
            from pg_logical_slot_peek_binary_changes(
              $1, null, $3, 'proto_version', '1', 'publication_names', quote_ident($2),
              'messages', 'true'
            )";
        let changes = limits::PEEK_CHANGES;
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&forward.slot, Type::NAME),
            (&forward.publication, Type::TEXT),
            (&changes, Type::INT4),
        ];
        let rows = desktop.query_typed_raw(sql, params).await?;
        let mut rows = std::pin::pin!(rows);
        let (mut open, mut read) = (None, 0);
        // A transaction is known by its first change; the rest of it isn't kept.
        while let Some(row) = rows.try_next().await? {
            read += 1;
            let Ok(message) = message(&Bytes::copy_from_slice(row.get(0))) else {
                return Ok(Missing::Unknown);
            };
            match (message, open) {
                (
                    Message::Begin {
                        commit,
                        committed_at,
                        ..
                    },
                    _,
                ) => {
                    open = Some(committed_at).filter(|_| commit >= checkpoint);
                }
                (Message::LogicalMessage { mark, .. }, _)
                    if mark.prefix == LogicalMessage::REVERSE =>
                {
                    open = None
                }
                (Message::Commit { .. }, _) => open = None,
                (
                    Message::Insert { .. }
                    | Message::Update { .. }
                    | Message::Delete { .. }
                    | Message::Truncate { .. },
                    Some(committed_at),
                ) => return Ok(Missing::Since(committed_at)),
                _ => {}
            }
        }
        Ok(if read < changes {
            Missing::Nothing
        } else {
            Missing::Unknown
        })
    }
}
