//! One connection to the cloud, one transaction at a time.

use std::time::Duration;

use bytes::Bytes;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, Message};
use tokio::time::timeout;

use crate::config::Endpoint;
use crate::limits;
use crate::model::{Committed, Lsn, Statement, TableId};
use crate::wire::{Mode, ServerError, Session, WireError};

/// A transaction to run: from BEGIN up to, not including, COMMIT.
pub struct Script {
    /// The statements in order.
    pub statements: Vec<Statement>,
    /// Where the checkpoint stands once it is committed; none when it doesn't move it.
    pub checkpoint: Option<Lsn>,
    /// Undo everything instead of committing: for looking.
    pub look_only: bool,
}

/// A transaction that is committed.
#[derive(Debug)]
pub struct Done {
    /// The new checkpoint, if the script moved it.
    pub committed: Option<Committed>,
    /// For each statement the first column of its first row as text.
    pub answers: Vec<Option<Vec<Option<Bytes>>>>,
    /// For each statement how many rows it wrote.
    pub written: Vec<u64>,
}

/// A transaction that left nothing behind, or whose fate is unknown.
#[derive(Debug, thiserror::Error)]
pub enum NotApplied {
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
            patience: statement_timeout + limits::ANSWER_SLACK,
        })
    }

    /// Runs one script.
    ///
    /// # Errors
    /// As [`NotApplied`] says.
    pub async fn run(&mut self, script: Script) -> Result<Done, NotApplied> {
        let patience = self.patience;
        let answered = timeout(patience, Box::pin(self.exchange(script))).await;
        answered.map_err(|_| WireError::Timeout(patience.as_secs()))?
    }

    async fn exchange(&mut self, mut script: Script) -> Result<Done, NotApplied> {
        for statement in &mut script.statements {
            self.session.put(statement)?;
            // The rows are on their way; they need not be held twice.
            statement.params = Vec::new();
            self.session.flush_much().await?;
        }
        let end = if script.look_only {
            "rollback"
        } else {
            "commit"
        };
        self.session.put(&Statement::bookkeeping(end, Vec::new()))?;
        self.session.sync();
        self.session.flush().await?;
        let mut answers = Answers::default();
        loop {
            match self.session.next().await {
                Ok(Message::ReadyForQuery(body)) => return answers.finish(&script, body.status()),
                Ok(message) => answers.take(message)?,
                Err(WireError::Server(error)) if error.severity == "ERROR" => {
                    return Err(self.undo(&script, answers.finished(), error).await?);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Empties the pipe and leaves the failed transaction.
    async fn undo(
        &mut self,
        script: &Script,
        failed: usize,
        error: Box<ServerError>,
    ) -> Result<NotApplied, WireError> {
        if self.session.wait_until_ready().await? != b'I' {
            self.session.run("rollback").await?;
        }
        let statement = script.statements.get(failed);
        let table = statement.and_then(|statement| statement.table);
        let step = statement.and_then(|statement| statement.step);
        Ok(NotApplied::Refused { table, step, error })
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

    /// The transaction is committed only if COMMIT says so itself.
    fn finish(self, script: &Script, status: u8) -> Result<Done, NotApplied> {
        let wanted = if script.look_only {
            "ROLLBACK"
        } else {
            "COMMIT"
        };
        let whole = self.tags.len() == script.statements.len() + 1;
        if status != b'I' || !whole || self.tags.last().map(String::as_str) != Some(wanted) {
            return Err(NotApplied::Undone);
        }
        let written = self
            .tags
            .iter()
            .map(|tag| tag.rsplit(' ').next().and_then(|count| count.parse().ok()));
        Ok(Done {
            committed: script
                .checkpoint
                .filter(|_| !script.look_only)
                .map(Committed::proven),
            written: written.map(Option::unwrap_or_default).collect(),
            answers: self.rows,
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
