//! Reads a table whole, in a snapshot that the slot exported.

use bytes::Bytes;
use postgres_protocol::message::backend::Message;

use crate::config::Endpoint;
use crate::wire::{Incoming, Mode, PINNED, Session, WireError};

/// A read-only session in one snapshot of the desktop.
pub struct TableReader {
    session: Session,
}

/// One line of a copy.
pub enum Line {
    /// The row.
    Row(Bytes),
    /// A row of more bytes than may be kept; it was passed over.
    TooLarge,
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

    /// Starts `COPY ... TO STDOUT`; [`TableReader::line`] gives its lines.
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

    /// The next line; none at the end. A line of more than `limit` bytes is not gathered.
    ///
    /// # Errors
    /// When the copy breaks off: what was read until then is not the table.
    pub async fn line(&mut self, limit: usize) -> Result<Option<Line>, WireError> {
        match self.session.next_within(limit).await? {
            Incoming::Message(Message::CopyData(body)) => Ok(Some(Line::Row(body.into_bytes()))),
            Incoming::Message(Message::CopyDone) => {
                self.session.wait_until_ready().await.map(|_| None)
            }
            Incoming::Large(mut rest) => {
                while rest > 0 {
                    rest -= self.session.piece(rest).await?.len();
                }
                Ok(Some(Line::TooLarge))
            }
            Incoming::Message(_) => Err(WireError::Protocol(
                "an unexpected message in a copy".to_owned(),
            )),
        }
    }

    /// Ends the transaction and the session.
    pub async fn close(self) {
        self.session.terminate().await;
    }
}
