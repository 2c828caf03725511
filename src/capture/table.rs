//! Reads a table whole, in a snapshot that the slot exported.

use bytes::Bytes;
use postgres_protocol::message::backend::Message;

use crate::config::Endpoint;
use crate::wire::{Mode, PINNED, Session, WireError};

/// A read-only session in one snapshot of the desktop.
pub struct TableReader {
    session: Session,
}

impl TableReader {
    /// Opens a transaction that sees exactly what `snapshot` names.
    ///
    /// # Errors
    /// As [`Session::connect`]; also when the snapshot is gone.
    pub async fn open(endpoint: &Endpoint, snapshot: &str) -> Result<TableReader, WireError> {
        let mut session = Session::connect(endpoint, Mode::Ordinary, PINNED).await?;
        let snapshot = snapshot.replace('\'', "''");
        let begin = format!(
            "begin isolation level repeatable read read only; set transaction snapshot '{snapshot}'"
        );
        session.run(&begin).await?;
        Ok(TableReader { session })
    }

    /// Starts `COPY ... TO STDOUT`; [`TableReader::row`] gives its lines.
    ///
    /// # Errors
    /// What the server says to it.
    pub async fn start(&mut self, copy: &str) -> Result<(), WireError> {
        self.session.query(copy).await?;
        match self.session.next().await? {
            Message::CopyOutResponse(_) => Ok(()),
            _ => Err(WireError::Protocol("COPY did not start".to_owned())),
        }
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// When the copy breaks off: what was read until then is not the table.
    pub async fn row(&mut self) -> Result<Option<Bytes>, WireError> {
        match self.session.next().await? {
            Message::CopyData(body) => Ok(Some(body.into_bytes())),
            Message::CopyDone => self.session.wait_until_ready().await.map(|_| None),
            _ => Err(WireError::Protocol(
                "an unexpected message in a copy".to_owned(),
            )),
        }
    }

    /// Ends the transaction and the session.
    pub async fn close(self) {
        self.session.terminate().await;
    }
}
