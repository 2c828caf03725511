//! Reads tables whole, in one snapshot of the desktop.

use bytes::Bytes;
use postgres_protocol::message::backend::Message;

use crate::config::Endpoint;
use crate::limits;
use crate::model::{Charset, Lsn, Oid, Snapshot};
use crate::wire::{Incoming, Mode, PINNED, Session, WireError};

/// A session whose transactions only read, each in one snapshot of the desktop.
pub struct TableReader {
    session: Session,
}

/// What a transaction of a [`TableReader`] sees.
#[derive(Clone, Debug)]
pub struct SnapshotPoint {
    /// The transactions whose rows it sees.
    pub snapshot: Snapshot,
    /// All of them committed before this position.
    pub before: Lsn,
}

/// How large a table is.
#[derive(Clone, Copy, Debug, Default)]
pub struct TableSize {
    /// Its rows, as the statistics say.
    pub rows: u64,
    /// Its pages.
    pub pages: u64,
    /// Its bytes on the disk, with what is stored beside its pages.
    pub bytes: u64,
}

/// One line of a copy.
pub enum Line {
    /// The row.
    Row(Bytes),
    /// A row of more bytes than may be kept; it was passed over.
    TooLarge,
}

const BEGIN: &str = "begin isolation level repeatable read read only";

impl TableReader {
    /// Connects.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub async fn connect(endpoint: &Endpoint) -> Result<TableReader, WireError> {
        let session = Session::connect_as_is(endpoint, Mode::Ordinary, PINNED).await?;
        Ok(TableReader { session })
    }

    /// What the bytes of its lines mean; none where they are UTF-8.
    pub fn charset(&self) -> Option<Charset> {
        self.session.charset()
    }

    /// Opens a transaction that sees exactly what another one has exported, instead of the one that is open.
    ///
    /// # Errors
    /// When the snapshot is gone, or the connection fails.
    pub async fn adopt(&mut self, snapshot: &str) -> Result<(), WireError> {
        let snapshot = snapshot.replace('\'', "''");
        let begin = format!("rollback; {BEGIN}; set transaction snapshot '{snapshot}'");
        self.session.run(&begin).await
    }

    /// Opens a transaction that sees what is committed now, instead of the one that is open.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn look(&mut self) -> Result<SnapshotPoint, WireError> {
        // The position is asked for last: whatever the snapshot sees was in the log before.
        let sql = format!(
            "rollback; {BEGIN};
             select pg_current_snapshot()::text, pg_current_wal_insert_lsn()::text"
        );
        let row = self.session.row(&sql).await?.unwrap_or_default();
        let cell = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
        let strange = |error: String| WireError::Protocol(error);
        Ok(SnapshotPoint {
            snapshot: cell(0)
                .parse()
                .map_err(|error: crate::model::NotASnapshot| strange(error.to_string()))?,
            before: cell(1)
                .parse()
                .map_err(|error: crate::model::NotAnLsn| strange(error.to_string()))?,
        })
    }

    /// How large these tables are together.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn size(&mut self, oids: &[Oid]) -> Result<TableSize, WireError> {
        let sizes = self.sizes(&[oids.to_vec()]).await?;
        Ok(sizes.into_iter().next().unwrap_or_default())
    }

    /// The same for each group of tables, asked at once.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn sizes(&mut self, groups: &[Vec<Oid>]) -> Result<Vec<TableSize>, WireError> {
        let of = |(nth, group): (usize, &Vec<Oid>)| {
            let of = group.iter().map(move |oid| format!("({nth}, {oid}::oid)"));
            of.collect::<Vec<_>>()
        };
        let oids: Vec<_> = groups.iter().enumerate().flat_map(of).collect();
        if oids.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "select string_agg(concat_ws(' ', nth, tuples, pages, bytes), ',')
             from (
               select w.nth, sum(greatest(c.reltuples, 0))::bigint as tuples,
                 coalesce(
                   sum(pg_relation_size(c.oid)) / current_setting('block_size')::bigint, 0
                 )::bigint as pages,
                 coalesce(sum(pg_table_size(c.oid)), 0)::bigint as bytes
               from (values {oids}) as w(nth, oid)
               join pg_class c on c.oid = w.oid
               group by w.nth
             ) as sizes",
            oids = oids.join(", ")
        );
        let row = self.session.row(&sql).await?.unwrap_or_default();
        let all = row.into_iter().next().flatten().unwrap_or_default();
        let mut sizes = vec![TableSize::default(); groups.len()];
        for size in all.split(',') {
            let mut numbers = size.split(' ').map_while(|number| number.parse().ok());
            let mut number = || numbers.next().unwrap_or(0);
            let nth = number() as usize;
            if let Some(size) = sizes.get_mut(nth) {
                *size = TableSize {
                    rows: number(),
                    pages: number(),
                    bytes: number(),
                };
            }
        }
        Ok(sizes)
    }

    /// Starts `COPY ... TO STDOUT`; [`TableReader::line`] gives its lines.
    ///
    /// # Errors
    /// What the server says to it.
    pub async fn start(&mut self, copy: &str) -> Result<(), WireError> {
        self.session.query(copy).await?;
        match self.session.next().await {
            Ok(Message::CopyOutResponse(_)) => Ok(()),
            Ok(_) => Err(WireError::Protocol("COPY did not start".to_owned())),
            Err(error) => Err(self.session.read_to_end(error).await),
        }
    }

    /// All lines of a `COPY ... TO STDOUT` without texts in it, cell by cell. None where the server refuses it: the transaction is
    /// then as it was before.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn numbers(&mut self, copy: &str) -> Result<Option<Vec<Vec<String>>>, WireError> {
        self.begin_try().await?;
        let read = self.all_numbers(copy).await;
        match &read {
            Ok(_) => self.keep_try().await?,
            Err(WireError::Server(error)) if error.severity == "ERROR" => self.undo_try().await?,
            Err(_) => return read.map(Some),
        }
        Ok(read.ok())
    }

    /// What the server refuses from here on doesn't end the transaction, if [`TableReader::undo_try`] follows.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn begin_try(&mut self) -> Result<(), WireError> {
        self.session.run("savepoint tandem_try").await
    }

    /// Nothing was refused.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn keep_try(&mut self) -> Result<(), WireError> {
        self.session.run("release tandem_try").await
    }

    /// The transaction is as it was.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn undo_try(&mut self) -> Result<(), WireError> {
        self.session
            .run("rollback to tandem_try; release tandem_try")
            .await
    }

    async fn all_numbers(&mut self, copy: &str) -> Result<Vec<Vec<String>>, WireError> {
        self.start(copy).await?;
        let mut rows = Vec::new();
        while let Some(line) = self.line(limits::COPY_BYTES).await? {
            if let Line::Row(line) = line {
                let line = String::from_utf8_lossy(&line);
                rows.push(line.trim_end().split('\t').map(str::to_owned).collect());
            }
        }
        Ok(rows)
    }

    /// The next line; none at the end. A line of more than `limit` bytes is not gathered.
    ///
    /// # Errors
    /// When the copy breaks off: what was read until then is not the table.
    pub async fn line(&mut self, limit: usize) -> Result<Option<Line>, WireError> {
        let incoming = match self.session.next_within(limit).await {
            Ok(incoming) => incoming,
            Err(error) => return Err(self.session.read_to_end(error).await),
        };
        match incoming {
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
