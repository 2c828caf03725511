//! Rows into the permanent staging table, by COPY, while nothing else is outstanding.

use bytes::{BufMut, BytesMut};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::checkpoint::Lease;
use super::transaction::Applier;
use crate::limits;
use crate::wire::WireError;

/// Fills the staging table for one table; each [`limits::STAGE_BYTES`] are a short transaction.
pub struct Stager<'a> {
    applier: &'a mut Applier,
    /// `replicator TAB epoch TAB table TAB`, escaped.
    prefix: Vec<u8>,
    buffer: BytesMut,
    /// Bytes sent in the COPY that is open, if one is.
    open: Option<usize>,
}

impl<'a> Stager<'a> {
    /// For rows of `table`.
    pub fn new(applier: &'a mut Applier, lease: &Lease, table: &str) -> Stager<'a> {
        let prefix = format!(
            "{}\t{}\t{}\t",
            escape(&lease.replicator),
            lease.epoch,
            escape(table)
        )
        .into_bytes();
        Stager {
            applier,
            prefix,
            buffer: BytesMut::new(),
            open: None,
        }
    }

    /// Takes one line of the desktop's `COPY ... TO`: one array, already escaped, with its newline.
    ///
    /// # Errors
    /// When the connection fails or the cloud refuses.
    pub async fn row(&mut self, line: &[u8]) -> Result<(), WireError> {
        self.buffer.put_slice(&self.prefix);
        self.buffer.put_slice(line);
        if self.buffer.len() >= limits::COPY_BYTES {
            self.send().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), WireError> {
        let session = self.applier.session();
        if self.open.is_none() {
            session
                .query("copy tandem.staging (replicator, epoch, \"table\", cells) from stdin")
                .await?;
            let Message::CopyInResponse(_) = session.next().await? else {
                return Err(WireError::Protocol("COPY did not start".to_owned()));
            };
            self.open = Some(0);
        }
        session.put_copy(&self.buffer);
        session.flush().await?;
        let sent = self.open.unwrap_or_default() + self.buffer.len();
        self.buffer.clear();
        self.open = Some(sent);
        if sent >= limits::STAGE_BYTES {
            self.close().await
        } else {
            Ok(())
        }
    }

    async fn close(&mut self) -> Result<(), WireError> {
        if self.open.take().is_some() {
            let session = self.applier.session();
            frontend::copy_done(session.out());
            session.flush().await?;
            session.wait_until_ready().await?;
        }
        Ok(())
    }

    /// Sends what is left.
    ///
    /// # Errors
    /// As [`Stager::row`].
    pub async fn finish(mut self) -> Result<(), WireError> {
        if !self.buffer.is_empty() {
            self.send().await?;
        }
        self.close().await
    }
}

/// A value in COPY's text format.
fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('\t', "\\t")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}
