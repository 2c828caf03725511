//! COPY straight into a table, in a transaction that is open until the rows are there.

use bytes::{BufMut, BytesMut};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::time::timeout;

use super::transaction::{Applier, ApplyError, Script};
use crate::limits;
use crate::model::Statement;
use crate::wire::{Session, WireError};

/// A table that is being filled.
pub struct CopyIn<'a> {
    applier: &'a mut Applier,
    buffer: BytesMut,
}

impl<'a> CopyIn<'a> {
    /// Begins: `sql` opens a transaction and ends in `COPY ... FROM STDIN`. Nothing else may be outstanding.
    ///
    /// # Errors
    /// As [`ApplyError`] says; the transaction is over then.
    pub async fn begin(applier: &'a mut Applier, sql: &str) -> Result<CopyIn<'a>, ApplyError> {
        let session = applier.session();
        session.query(sql).await?;
        loop {
            match session.next().await {
                Ok(Message::CopyInResponse(_)) => break,
                Ok(Message::ReadyForQuery(_)) => {
                    return Err(WireError::Protocol("COPY did not start".to_owned()).into());
                }
                Ok(_) => {}
                Err(error) => {
                    let error = session.read_to_end(error).await;
                    return Err(undone(applier, error).await);
                }
            }
        }
        let buffer = BytesMut::with_capacity(2 * limits::COPY_BYTES);
        Ok(CopyIn { applier, buffer })
    }

    /// Takes a line of the other side's `COPY ... TO`, with its newline.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn line(&mut self, line: &[u8]) -> Result<(), WireError> {
        // A long line goes on in pieces, and isn't held twice.
        for piece in line.chunks(limits::COPY_BYTES) {
            self.buffer.put_slice(piece);
            if self.buffer.len() >= limits::COPY_BYTES {
                self.send().await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), WireError> {
        let session = self.applier.session();
        session.put_copy(&self.buffer);
        self.buffer.clear();
        session.flush().await
    }

    /// Sends the rest, and commits with `end`; says false, and leaves the table as it was, where not all of these `rows`
    /// went in: a trigger keeps some out without an error.
    ///
    /// # Errors
    /// As [`ApplyError`] says.
    pub async fn commit(mut self, rows: u64, end: Vec<Statement>) -> Result<bool, ApplyError> {
        if !self.buffer.is_empty() {
            self.send().await?;
        }
        let session = self.applier.session();
        frontend::copy_done(session.out());
        session.flush().await?;
        let mut tag = String::new();
        loop {
            match session.next().await {
                Ok(Message::CommandComplete(body)) => {
                    body.tag().map_err(WireError::from)?.clone_into(&mut tag)
                }
                Ok(Message::ReadyForQuery(_)) => break,
                Ok(_) => {}
                Err(error) => {
                    let error = session.read_to_end(error).await;
                    return Err(undone(self.applier, error).await);
                }
            }
        }
        if tag != format!("COPY {rows}") {
            session.run("rollback").await?;
            return Ok(false);
        }
        let done = self.applier.run(Script::staying(end)).await;
        done.map(|_| true)
    }

    /// Leaves the table as it was.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn give_up(self) -> Result<(), WireError> {
        let session = self.applier.session();
        frontend::copy_fail("given up", session.out())?;
        session.flush().await?;
        match session.wait_until_ready().await {
            Ok(_) | Err(WireError::Server(_)) => session.run("rollback").await,
            Err(error) => Err(error),
        }
    }
}

/// Fills several tables in one transaction and one flush: `notes` open it, then come the rows of each COPY, then what is said at
/// the `end`, and the commit. Nothing else may be outstanding, and nothing is sent behind it before it is answered.
///
/// # Errors
/// As [`ApplyError`] says; then nothing of it is there.
pub async fn copy_together(
    applier: &mut Applier,
    notes: &[Statement],
    copies: &[(&str, &[u8])],
    end: &[String],
) -> Result<(), ApplyError> {
    let patience = applier.patience();
    let done = timeout(patience, Box::pin(together(applier, notes, copies, end))).await;
    done.map_err(|_| WireError::Timeout(patience.as_secs()))?
}

async fn together(
    applier: &mut Applier,
    notes: &[Statement],
    copies: &[(&str, &[u8])],
    end: &[String],
) -> Result<(), ApplyError> {
    const COMMIT: &str = "commit";
    let session = applier.session();
    for note in notes {
        session.put(note.clone()).await?;
    }
    session.sync();
    let script = copies.iter().map(|(copy, _)| *copy);
    let script = script.chain(end.iter().map(String::as_str)).chain([COMMIT]);
    let script: Vec<_> = script.collect();
    frontend::query(&script.join("; "), session.out()).map_err(WireError::from)?;
    for (_, rows) in copies {
        // Where a COPY was refused the server passes over its rows.
        for piece in rows.chunks(limits::COPY_BYTES) {
            session.put_copy(piece);
            session.flush_much().await?;
        }
        frontend::copy_done(session.out());
    }
    session.flush().await?;
    let noted = session.wait_until_ready().await;
    let tag = last_tag(session).await;
    match (noted, tag) {
        (Ok(_), Ok((tag, b'I'))) if tag == "COMMIT" => Ok(()),
        (Ok(_), Ok((_, status))) => {
            if status != b'I' {
                session.run("rollback").await?;
            }
            Err(ApplyError::Undone)
        }
        // What the transaction's failure says of all that stood behind it is no news.
        (Err(error), _) | (Ok(_), Err(error)) => Err(undone(applier, error).await),
    }
}

/// Reads up to ReadyForQuery; gives the tag of the last statement, and whether a transaction is open.
async fn last_tag(session: &mut Session) -> Result<(String, u8), WireError> {
    let mut tag = String::new();
    loop {
        match session.next().await {
            Ok(Message::CommandComplete(body)) => body.tag()?.clone_into(&mut tag),
            Ok(Message::ReadyForQuery(body)) => return Ok((tag, body.status())),
            Ok(_) => {}
            Err(error) => return Err(session.read_to_end(error).await),
        }
    }
}

/// Leaves a transaction that failed; the answer has been read to its end.
async fn undone(applier: &mut Applier, error: WireError) -> ApplyError {
    let error = match error {
        WireError::Server(error) if error.severity == "ERROR" => error,
        error => return error.into(),
    };
    let session = applier.session();
    match session.run("rollback").await {
        Ok(()) => ApplyError::Refused {
            table: None,
            step: None,
            error,
        },
        Err(error) => error.into(),
    }
}
