//! One connection to the cloud, and transactions as scripts.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, Message};
use tokio::time::timeout;

use super::told::{Telling, Told};
use crate::config::Endpoint;
use crate::limits;
use crate::model::{Charset, Committed, Lsn, Statement, TableId};
use crate::wire::{Mode, ServerError, Session, WireError};

/// A transaction to run: from BEGIN up to, not including, COMMIT.
pub struct Script {
    statements: Box<dyn Iterator<Item = Statement> + Send>,
    checkpoint: Option<Lsn>,
    end: End,
    flush: bool,
}

/// How a script leaves its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Commit,
    Rollback,
    /// Another script goes on in it.
    Open,
}

impl End {
    fn sql(self) -> Option<&'static str> {
        match self {
            End::Commit => Some("COMMIT"),
            End::Rollback => Some("ROLLBACK"),
            End::Open => None,
        }
    }
}

impl Script {
    /// A transaction that moves the checkpoint to `to`. Statements are asked for one by one, when
    /// there is room to send them, so that a large batch is never encoded whole.
    pub fn moving<I>(statements: I, to: Lsn) -> Script
    where
        I: IntoIterator<Item = Statement>,
        I::IntoIter: Send + 'static,
    {
        Script {
            checkpoint: Some(to),
            ..Script::staying(statements)
        }
    }

    /// Its COMMIT is answered before the cloud's disk has it, as its settings say: nothing is proved by it for good.
    #[must_use]
    pub fn unflushed(self) -> Script {
        Script {
            flush: false,
            ..self
        }
    }

    /// A transaction that leaves the checkpoint where it is.
    pub fn staying<I>(statements: I) -> Script
    where
        I: IntoIterator<Item = Statement>,
        I::IntoIter: Send + 'static,
    {
        Script {
            statements: Box::new(statements.into_iter()),
            checkpoint: None,
            end: End::Commit,
            flush: true,
        }
    }

    /// The beginning of a transaction, or more of it: another script goes on in it, on the same connection.
    pub fn open<I>(statements: I) -> Script
    where
        I: IntoIterator<Item = Statement>,
        I::IntoIter: Send + 'static,
    {
        Script {
            end: End::Open,
            ..Script::staying(statements)
        }
    }

    /// A transaction that is undone at its end: for looking.
    pub fn looking<I>(statements: I) -> Script
    where
        I: IntoIterator<Item = Statement>,
        I::IntoIter: Send + 'static,
    {
        Script {
            end: End::Rollback,
            ..Script::staying(statements)
        }
    }
}

/// A transaction that is committed.
#[derive(Debug)]
pub struct Applied {
    /// Where the checkpoint stands now, if the script moved it.
    pub reached: Option<Lsn>,
    /// The same, if a crash of the cloud can't take it back.
    pub committed: Option<Committed>,
    /// What the statements answered, in their order.
    pub answers: Vec<Answer>,
}

/// What one statement of a script answered.
#[derive(Debug)]
pub struct Answer {
    /// The table whose rows it wrote.
    pub table: Option<TableId>,
    /// The step that it belongs to.
    pub step: Option<usize>,
    /// Its first row as text, if it gave one.
    pub row: Option<Vec<Option<Bytes>>>,
    /// How many rows it wrote or gave.
    pub rows: u64,
}

/// A transaction that left nothing behind, or whose fate is unknown.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The connection failed: the transaction may or may not be committed. Read the checkpoint.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The cloud refused a statement; everything was undone.
    #[error("{error}")]
    Refused {
        /// Whose statement it was; for COMMIT the table that the error names, if it can be known.
        table: Option<TableId>,
        /// The batch's step.
        step: Option<usize>,
        /// What the cloud said.
        error: Box<ServerError>,
    },
    /// COMMIT answered ROLLBACK without saying why.
    #[error("the cloud undid the transaction without saying why")]
    Undone,
}

/// Runs scripts.
pub struct Applier {
    session: Session,
    told: Told,
    /// How long an answer may take: the statement time-out and some slack.
    patience: Duration,
}

impl Applier {
    /// Connects.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub async fn connect(
        endpoint: &Endpoint,
        statement_timeout: Duration,
    ) -> Result<Applier, WireError> {
        // Poolers refuse start-up parameters, so there are none: each transaction sets its own.
        let session = Session::connect(endpoint, Mode::Ordinary, &[]).await?;
        Ok(Applier {
            session,
            told: Told::default(),
            patience: statement_timeout + limits::ANSWER_SLACK,
        })
    }

    /// Connects to the desktop. Our text is UTF-8, which a database of another encoding has to be told; one without an
    /// encoding takes it as it is, and answers with what it has.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub async fn connect_reverse(
        endpoint: &Endpoint,
        statement_timeout: Duration,
    ) -> Result<Applier, WireError> {
        let utf8 = [("client_encoding", "UTF8")];
        let mut session = Session::connect(endpoint, Mode::Ordinary, &utf8).await?;
        if session.server_encoding() == Some(Charset::SQL_ASCII) {
            session.run("set client_encoding to 'SQL_ASCII'").await?;
        }
        Ok(Applier {
            session,
            told: Told::default(),
            patience: statement_timeout + limits::ANSWER_SLACK,
        })
    }

    /// The time to the cloud and back, without any work there; the shortest of a few.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn round_trip(&mut self) -> Result<Duration, WireError> {
        const TRIES: u32 = 3;
        let mut shortest = Duration::MAX;
        for _ in 0..TRIES {
            let sent = Instant::now();
            let direct = self.session.is_direct().await?;
            shortest = shortest.min(sent.elapsed());
            self.told.note_direct(direct);
        }
        Ok(shortest)
    }

    /// Whether nobody stands between us and the server, as far as [`Applier::round_trip`] has found.
    pub fn is_direct(&self) -> bool {
        self.told.is_direct()
    }

    /// Runs one script while nothing else is outstanding.
    ///
    /// # Errors
    /// As [`ApplyError`] says.
    pub async fn run(&mut self, script: Script) -> Result<Applied, ApplyError> {
        let patience = self.patience;
        let answered = timeout(patience, Box::pin(self.exchange(script))).await;
        answered.map_err(|_| WireError::Timeout(patience.as_secs()))?
    }

    async fn exchange(&mut self, script: Script) -> Result<Applied, ApplyError> {
        // What runs alone has plans of its own, and doesn't come again so soon.
        let mut group = self.put(script, Told::keeps_nothing).await?;
        let answer = self.answer(&mut group).await;
        if let Err(ApplyError::Refused { .. }) = &answer {
            self.empty(1).await?;
        }
        answer
    }

    /// Sends one script, as one Sync group.
    pub(super) async fn put(&mut self, script: Script, how: Telling) -> Result<Group, WireError> {
        let Script {
            statements,
            checkpoint,
            end,
            flush,
        } = script;
        let mut sent = Vec::new();
        for statement in statements {
            let (table, step) = (statement.table, statement.step);
            let is_known = self.put_one(statement, how).await?;
            sent.push(SentStatement {
                table,
                step,
                is_known,
            });
        }
        if let Some(sql) = end.sql() {
            let end = Statement::bookkeeping(sql, Vec::new());
            self.put_one(end, how).await?;
        }
        self.session.sync();
        self.session.flush().await?;
        Ok(Group {
            sent,
            end,
            checkpoint,
            flush,
            answers: Answers::default(),
            since: Instant::now(),
        })
    }

    /// Sends one statement; says whether the server knew its text.
    async fn put_one(&mut self, statement: Statement, how: Telling) -> Result<bool, WireError> {
        let way = how(&mut self.told, &statement);
        if let Some(name) = &way.forget {
            self.session.forget(name)?;
        }
        self.session.put_as(way.naming(), statement).await?;
        Ok(way.is_known())
    }

    /// Waits for the answer to the first group that is outstanding. Safe to cancel: what has come of it is kept.
    pub(super) async fn answer(&mut self, group: &mut Group) -> Result<Applied, ApplyError> {
        loop {
            match self.session.next().await {
                Ok(Message::ReadyForQuery(body)) => return group.finish(body.status()),
                Ok(message) => group.answers.take(message)?,
                Err(WireError::Server(error)) if error.severity == "ERROR" => {
                    let at = group.answers.finished();
                    let failed = group.sent.get(at).copied().unwrap_or_default();
                    let SentStatement { table, step, .. } = failed;
                    if self.told.gives_up(failed.is_known, &error) {
                        return Err(WireError::Closed.into());
                    }
                    return Err(ApplyError::Refused { table, step, error });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Empties the pipe of groups that are not read to their end, and leaves the failed transaction.
    pub(super) async fn empty(&mut self, groups: usize) -> Result<(), WireError> {
        self.told.is_in_doubt();
        let mut status = b'I';
        for _ in 0..groups {
            status = match self.session.wait_until_ready().await {
                Ok(status) => status,
                // What stood behind the one that failed.
                Err(WireError::Server(error)) if error.severity == "ERROR" => b'E',
                Err(error) => return Err(error),
            };
        }
        if status != b'I' {
            self.session.run("rollback").await?;
        }
        Ok(())
    }

    /// How long an answer may take.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// The connection itself, for a COPY while nothing else is outstanding.
    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Says goodbye.
    pub async fn close(self) {
        self.session.terminate().await;
    }
}

/// Answers of one Sync group, statement by statement.
#[derive(Default)]
struct Answers {
    tags: Vec<String>,
    rows: Vec<Option<Vec<Option<Bytes>>>>,
    row: Option<Vec<Option<Bytes>>>,
}

impl Answers {
    fn finished(&self) -> usize {
        self.tags.len()
    }

    fn take(&mut self, message: Message) -> Result<(), WireError> {
        match message {
            Message::CommandComplete(body) => {
                self.tags.push(body.tag()?.to_owned());
                self.rows.push(self.row.take());
            }
            Message::DataRow(body) if self.row.is_none() => self.row = Some(cells(&body)?),
            Message::DataRow(_)
            | Message::ParseComplete
            | Message::BindComplete
            | Message::CloseComplete
            | Message::NoData => {}
            Message::RowDescription(_) => {}
            _ => {
                return Err(WireError::Protocol(
                    "an unexpected answer to a batch".to_owned(),
                ));
            }
        }
        Ok(())
    }
}

/// A statement that was sent.
#[derive(Clone, Copy, Default)]
struct SentStatement {
    table: Option<TableId>,
    step: Option<usize>,
    /// The server knew its text.
    is_known: bool,
}

/// A script that was sent.
pub(super) struct Group {
    /// Whose statements they are, in their order.
    sent: Vec<SentStatement>,
    /// What the last answer is about, if all is well.
    end: End,
    checkpoint: Option<Lsn>,
    flush: bool,
    answers: Answers,
    /// When it was sent.
    pub(super) since: Instant,
}

impl Group {
    /// The transaction is committed only if COMMIT says so itself, and goes on only if it is there.
    fn finish(&mut self, status: u8) -> Result<Applied, ApplyError> {
        let Answers { tags, rows, .. } = std::mem::take(&mut self.answers);
        let (said, left) = match self.end.sql() {
            Some(sql) => (
                tags.len() == self.sent.len() + 1 && tags[tags.len() - 1] == sql,
                b'I',
            ),
            None => (tags.len() == self.sent.len(), b'T'),
        };
        if !said || status != left {
            return Err(ApplyError::Undone);
        }
        let count = |tag: &String| tag.rsplit(' ').next().and_then(|count| count.parse().ok());
        let answers = self.sent.iter().zip(rows).zip(&tags);
        let answers = answers.map(|((sent, row), tag)| Answer {
            table: sent.table,
            step: sent.step,
            row,
            rows: count(tag).unwrap_or_default(),
        });
        let reached = self.checkpoint.filter(|_| self.end == End::Commit);
        Ok(Applied {
            reached,
            committed: reached.filter(|_| self.flush).map(Committed::proven),
            answers: answers.collect(),
        })
    }
}

fn cells(body: &DataRowBody) -> Result<Vec<Option<Bytes>>, WireError> {
    let bytes = body.buffer_bytes();
    Ok(body
        .ranges()
        .map(|range| Ok(range.map(|range| bytes.slice(range))))
        .collect()?)
}
