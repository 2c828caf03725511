//! Rows into the permanent staging table, by COPY, while nothing else is outstanding.

use bytes::{BufMut, BytesMut};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::checkpoint::Lease;
use super::transaction::Applier;
use crate::limits;
use crate::model::Cell;
use crate::wire::WireError;

/// Fills the staging table; each [`limits::STAGE_BYTES`] are a short transaction.
pub struct Stager<'a> {
    applier: &'a mut Applier,
    /// `replicator TAB epoch TAB`, escaped.
    prefix: Vec<u8>,
    /// Rows so far: their order.
    rows: u64,
    buffer: BytesMut,
    /// Bytes sent in the COPY that is open, if one is.
    open: Option<usize>,
}

/// A row to stage: its cells in the order of the table's arriving columns.
pub struct StagedRow<'a> {
    /// The table's name in the settings.
    pub table: &'a str,
    /// The step that it belongs to.
    pub step: usize,
    /// Its cells.
    pub cells: &'a [Cell<'a>],
    /// How many such rows.
    pub copies: u64,
    /// How many row messages it stands for.
    pub messages: u64,
    /// The row under its old key.
    pub origin: Option<&'a [Cell<'a>]>,
}

impl<'a> Stager<'a> {
    /// For the holder of a lease.
    pub fn new(applier: &'a mut Applier, lease: &Lease) -> Stager<'a> {
        let prefix = format!("{}\t{}\t", escape(&lease.replicator), lease.epoch).into_bytes();
        Stager {
            applier,
            prefix,
            rows: 0,
            buffer: BytesMut::new(),
            open: None,
        }
    }

    /// Takes one line of the desktop's `COPY ... TO`: one array, already escaped, with its newline.
    ///
    /// # Errors
    /// When the connection fails or the cloud refuses.
    pub async fn line(&mut self, table: &str, step: usize, line: &[u8]) -> Result<(), WireError> {
        self.begin(table, step, (1, 0));
        self.buffer.put_slice(b"\\N\t");
        // A long line goes on in pieces, and isn't held twice.
        for piece in line.chunks(limits::COPY_BYTES) {
            self.buffer.put_slice(piece);
            self.send_much().await?;
        }
        self.end_row().await
    }

    /// Takes one row.
    ///
    /// # Errors
    /// When the connection fails or the cloud refuses.
    pub async fn row(&mut self, row: &StagedRow<'_>) -> Result<(), WireError> {
        self.begin(row.table, row.step, (row.copies, row.messages));
        match row.origin {
            Some(origin) => self.array(origin).await?,
            None => self.buffer.put_slice(b"\\N"),
        }
        self.buffer.put_u8(b'\t');
        self.array(row.cells).await?;
        self.buffer.put_u8(b'\n');
        self.end_row().await
    }

    /// `text[]`: a long text goes on in pieces, and isn't held twice.
    async fn array(&mut self, cells: &[Cell<'_>]) -> Result<(), WireError> {
        self.buffer.put_u8(b'{');
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                self.buffer.put_u8(b',');
            }
            let Cell::Text(text) = cell else {
                self.buffer.put_slice(b"NULL");
                continue;
            };
            self.buffer.put_u8(b'"');
            for piece in text.chunks(limits::COPY_BYTES) {
                put_escaped(&mut self.buffer, piece);
                self.send_much().await?;
            }
            self.buffer.put_u8(b'"');
        }
        self.buffer.put_u8(b'}');
        Ok(())
    }

    fn begin(&mut self, table: &str, step: usize, (copies, messages): (u64, u64)) {
        self.buffer.put_slice(&self.prefix);
        let (table, n) = (escape(table), self.rows);
        self.rows += 1;
        let fields = format!("{table}\t{step}\t{n}\t{copies}\t{messages}\t");
        self.buffer.put_slice(fields.as_bytes());
    }

    async fn send_much(&mut self) -> Result<(), WireError> {
        if self.buffer.len() >= limits::COPY_BYTES {
            self.send().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), WireError> {
        let session = self.applier.session();
        if self.open.is_none() {
            // Two statements of one query are one transaction, so the setting reaches no other client of a pooler.
            session
                .query(
                    "set local array_nulls = on; copy tandem.staging \
                     (replicator, epoch, \"table\", step, n, copies, messages, origin, cells) from stdin",
                )
                .await?;
            let (Message::CommandComplete(_), Message::CopyInResponse(_)) =
                (session.next().await?, session.next().await?)
            else {
                return Err(WireError::Protocol("COPY did not start".to_owned()));
            };
            self.open = Some(0);
        }
        session.put_copy(&self.buffer);
        session.flush().await?;
        let sent = self.open.unwrap_or_default() + self.buffer.len();
        self.buffer.clear();
        self.open = Some(sent);
        Ok(())
    }

    /// Between two rows: so much in one transaction is enough.
    async fn end_row(&mut self) -> Result<(), WireError> {
        self.send_much().await?;
        if self.open.is_some_and(|sent| sent >= limits::STAGE_BYTES) {
            self.pause().await?;
        }
        Ok(())
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

    /// Sends what is there and ends the COPY, so that the connection can be used for something else.
    ///
    /// # Errors
    /// As [`Stager::row`].
    pub async fn pause(&mut self) -> Result<&mut Applier, WireError> {
        if !self.buffer.is_empty() {
            self.send().await?;
        }
        self.close().await?;
        Ok(self.applier)
    }

    /// Sends what is left.
    ///
    /// # Errors
    /// As [`Stager::row`].
    pub async fn finish(mut self) -> Result<(), WireError> {
        self.pause().await.map(drop)
    }
}

/// A piece of a text in an array in COPY's text format: the array's own escapes, and COPY's over them.
fn put_escaped(out: &mut BytesMut, mut rest: &[u8]) {
    while let Some(at) = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | b'\t' | b'\n' | b'\r'))
    {
        out.put_slice(&rest[..at]);
        out.put_slice(match rest[at] {
            b'"' => b"\\\\\"",
            b'\\' => b"\\\\\\\\",
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            _ => b"\\r",
        });
        rest = &rest[at + 1..];
    }
    out.put_slice(rest);
}

/// A value in COPY's text format.
fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('\t', "\\t")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}
